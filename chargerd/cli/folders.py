"""Where the daemon keeps its things."""

import argparse
import os
from pathlib import Path


def state_folder() -> Path:
    """Return where the journal and the list of relays live."""
    return _folder("STATE_DIRECTORY", "/var/lib/chargerd")


def runtime_folder() -> Path:
    """Return where the control socket appears."""
    return _folder("RUNTIME_DIRECTORY", "/run/chargerd")


def _folder(variable: str, default: str) -> Path:
    """Return the folder systemd made for us, or the usual place."""
    # systemd separates several folders by colons; the unit asks for one.
    return Path(os.environ.get(variable, default).split(":")[0])


def add_relay_list(options: argparse.ArgumentParser) -> None:
    """Let options say where the daemon's list of relays is."""
    options.add_argument(
        "--state-dir",
        type=Path,
        default=state_folder(),
        metavar="FOLDER",
        help="where the daemon keeps its list of relays  [default: $STATE_DIRECTORY or /var/lib/chargerd]",
    )
