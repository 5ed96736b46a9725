"""The command `chargerd`. What has to be quick loads nothing of the others: not even what reads their options."""

import importlib
import sys

QUICK = {
    "run": "chargerd.cli.run",
    "open-relays": "chargerd.cli.open_relays",
    "release-lines": "chargerd.cli.release_lines",
}
"""Commands that open relays before anything else: modules with a `main(arguments)` that returns the exit code."""


def main() -> None:
    """Do what the command line says."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in QUICK:
        sys.exit(importlib.import_module(QUICK[arguments[0]]).main(arguments[1:]))
    from chargerd.cli.commands import group  # noqa: PLC0415 - see above

    group(prog_name="chargerd")
