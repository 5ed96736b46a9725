"""`chargerd open-relays`: open every relay with nothing of the daemon alive. systemd calls it after a crash."""

import argparse
import os
import sys
from collections.abc import Sequence

from chargerd.cli.folders import add_relay_list
from chargerd.modbus.emergency import RELAYS_FILE, TRIES, open_relays
from chargerd.runtime.process.clock import SystemClock
from chargerd.text import visible_lines

PURPOSE = "Open every relay the daemon last knew of."


def main(arguments: Sequence[str]) -> int:
    """Open them; returns the exit code, 1 if any board did not confirm."""
    path = parser().parse_args(arguments).state_dir / RELAYS_FILE
    if not path.exists():
        print(f"{path} is not there: no daemon has run yet, so nothing is to be opened", file=sys.stderr)
        return 0
    try:
        left = open_relays(path, SystemClock(), in_vain=_in_vain())
    except (OSError, ValueError) as error:
        print(visible_lines(f"chargerd open-relays: {error}"), file=sys.stderr)
        return 1
    if left:
        who = f"not confirmed open: {', '.join(left)}"
        then = "if chargerd runs, it holds the lines: stop it and try again; else switch the circuit off by hand"
        print(visible_lines(f"{who}; {then}"), file=sys.stderr)
        return 1
    print("every relay has been read back open")
    return 0


def _in_vain() -> int:
    """Return how often a dead line is tried: once after a daemon that has ended in order (systemd.exec(5))."""
    return 1 if os.environ.get("SERVICE_RESULT") == "success" else TRIES


def parser() -> argparse.ArgumentParser:
    """Return what reads its options."""
    options = argparse.ArgumentParser(
        prog="chargerd open-relays",
        description=f"{PURPOSE} Not while the daemon runs: it holds the lines. "
        "Exit code 1 if any board did not confirm.",
        allow_abbrev=False,
    )
    add_relay_list(options)
    return options
