"""`chargerd run`: the daemon. Before it reads its configuration it opens the relays it drove last."""

import argparse
import contextlib
import fcntl
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from chargerd import log
from chargerd.cli.folders import runtime_folder, state_folder
from chargerd.core.units import Seconds
from chargerd.modbus.emergency import RELAYS_FILE, Openings, read_list
from chargerd.runtime.process.clock import SystemClock

PURPOSE = "Run the daemon until it is told to stop."
OPEN_FIRST = Seconds(1.0)
"""How long all else waits for every line to have been gone through once; silent boards are tried on beside it."""


def main(arguments: Sequence[str]) -> int:
    """Run it; returns the exit code: 1 if it cannot start, 78 if no configuration is usable, 70 if it gave up."""
    options = parser().parse_args(arguments)
    alone = _alone(options.state_dir)
    first = _open_first(options.state_dir / RELAYS_FILE) if alone else None
    # What is loaded now stays: looking for what could go costs a tenth of the start.
    gc.disable()
    leave_out_openssl()
    from chargerd.cli.running import run  # noqa: PLC0415 - the relays come before anything that takes time to load

    return run(options, first)


def leave_out_openssl() -> None:
    """Have hashlib do without OpenSSL, whose library takes 3.5 MB of memory; SHA-256 is Python's own as well.

    Where the broker is spoken to over TLS, `ssl` loads it all the same. A Python built without its own keeps it.
    """
    for own in ("_sha2", "_sha256"):
        with contextlib.suppress(ImportError):
            importlib.import_module(own)
            sys.modules.setdefault("_hashlib", None)  # type: ignore[arg-type] # `None` keeps a module from loading


def parser() -> argparse.ArgumentParser:
    """Return what reads its options."""
    options = argparse.ArgumentParser(
        prog="chargerd run",
        description=f"{PURPOSE} A wrong configuration is refused, and the one that last started well is used. "
        "Exit code 1 if it cannot run, 78 if no configuration can be used, 70 if it had to give up.",
        allow_abbrev=False,
    )
    options.add_argument(
        "--config",
        type=Path,
        default=Path("/etc/chargerd/chargerd.yaml"),
        metavar="FILE",
        help="configuration  [default: %(default)s]",
    )
    options.add_argument(
        "--state-dir",
        type=Path,
        default=state_folder(),
        metavar="FOLDER",
        help="where the journal lives  [default: $STATE_DIRECTORY or /var/lib/chargerd]",
    )
    options.add_argument(
        "--runtime-dir",
        type=Path,
        default=runtime_folder(),
        metavar="FOLDER",
        help="where the control socket appears  [default: $RUNTIME_DIRECTORY or /run/chargerd]",
    )
    options.add_argument(
        "--log-level",
        choices=["debug", "info", "warning", "error"],
        default="info",
        help="[default: %(default)s]",
    )
    return options


def _alone(state_dir: Path) -> bool:
    """Say whether no other daemon uses this folder, and keep any later one from believing so.

    Lines over a network can be opened twice: a second daemon started by mistake must not cut off what the first
    one charges. It is refused later, by the journal.
    """
    try:
        state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        folder = os.open(state_dir, os.O_RDONLY)  # Kept open, and by that locked, for the life of the process.
    except OSError:
        return True
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # A file system without locks: no reason to leave a relay closed.
    return True


def _open_first(path: Path) -> Openings | None:
    """Open the relays in the list, if there is one, and give each line a moment to confirm."""
    try:
        openings = Openings(read_list(path), SystemClock())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        # The start sequence opens all relays, only later.
        log.warning("relays_not_opened_first", why=str(error))
        return None
    openings.start()
    openings.wait(OPEN_FIRST)
    return openings
