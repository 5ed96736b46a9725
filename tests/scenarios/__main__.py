"""`python -m tests.scenarios --write`: plays every scenario, and writes how ports move and the page on states."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import astuple

import pytest

from tests.scenarios import states_page
from tests.scenarios.moves import FILE, Collector, kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Play every scenario, and write what they show."""
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios", description=__doc__)
    parser.add_argument(
        "--write", action="store_true", required=True, help="write moves.json, states.md, states.svg"
    )
    parser.parse_args(arguments)
    collector = Collector()
    options = ["-p", "no:cacheprovider", "-q", "--deselect", "tests/scenarios/test_states_page.py"]
    if failed := pytest.main([*options, str(FILE.parent)], plugins=[collector]):
        return failed
    entries = [
        json.dumps({"move": astuple(move), "scenario": scenario})
        for move, scenario in collector.chosen(kept()).items()
    ]
    FILE.write_text('{"moves": [\n  ' + ",\n  ".join(entries) + "\n]}\n", encoding="utf-8")
    states_page.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
