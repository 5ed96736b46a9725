"""`chargerd release-lines`: let others open the lines again. systemd calls it as root, before `open-relays`."""

import argparse
import sys
from collections.abc import Sequence

from chargerd.cli.folders import add_relay_list
from chargerd.modbus.emergency import RELAYS_FILE, read_list
from chargerd.modbus.release import release
from chargerd.text import visible_lines

PURPOSE = "Let the system open the lines again that a daemon which died had to itself."


def main(arguments: Sequence[str]) -> int:
    """Release them; returns the exit code, 1 if any could not be: another one is released all the same."""
    path = parser().parse_args(arguments).state_dir / RELAYS_FILE
    try:
        lines = read_list(path)
    except FileNotFoundError:
        return 0  # No daemon has run yet.
    except (OSError, ValueError) as error:
        print(visible_lines(f"chargerd release-lines: {error}"), file=sys.stderr)
        return 1
    left = 0
    for device in sorted({line.settings.serial for line in lines if line.settings.serial is not None}):
        try:
            release(device)
        except FileNotFoundError:
            continue  # Unplugged: with it goes who had it.
        except OSError as error:
            left = 1
            print(visible_lines(f"chargerd release-lines: {error}"), file=sys.stderr)
    return left


def parser() -> argparse.ArgumentParser:
    """Return what reads its options."""
    options = argparse.ArgumentParser(
        prog="chargerd release-lines",
        description=f"{PURPOSE} Needs root. Exit code 1 if any could not be released.",
        allow_abbrev=False,
    )
    add_relay_list(options)
    return options
