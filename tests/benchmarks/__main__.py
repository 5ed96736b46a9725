"""`make bench`: chargerd on lines that deliver byte by byte, beside others and against the lines' own floor.

Results are kept section by section in `docs/performance/results.json`, so that one can be measured anew alone
(`--only growth`); `--write` turns what is there into `docs/performance.md` with its plots.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks import growth, machine
from tests.benchmarks.document import all_verdicts, document
from tests.benchmarks.pi import pi
from tests.benchmarks.plots import draw
from tests.benchmarks.race import Say, race
from tests.benchmarks.site import BAUDRATES
from tests.benchmarks.slave import Programs, compile_programs

DOCUMENT = Path("docs/performance.md")
LONG: dict[str, Any] = {
    "baudrates": BAUDRATES,
    "rounds": 3,
    "seconds": 2.5,
    "trips": 4,
    "daemon": 8.0,
    "daemon_at": BAUDRATES,
    "look": 10.0,
    "buses": (1, 4, 8),
    "ports": (12, 96, 250),
    "starts": 2,
    "pi_trips": 8,
    "pi_sites": ("one shed", "reference site"),
}
QUICK: dict[str, Any] = {
    **LONG,
    "baudrates": (9600, 19200),
    "rounds": 1,
    "seconds": 1.5,
    "trips": 3,
    "daemon": 4.0,
    "daemon_at": (19200,),
    "look": 4.0,
    "buses": (4,),
    "ports": (),
    "starts": 1,
    "pi_sites": ("one shed",),
}
Measure = Callable[[Programs, Path, dict[str, Any], Say], Any]


def races(programs: Programs, folder: Path, effort: dict[str, Any], say: Say) -> list[dict[str, Any]]:
    return [race(programs, folder / f"race-{one}", one, effort, say) for one in effort["baudrates"]]


SECTIONS: dict[str, Measure] = {
    "race": races,
    "load": growth.load,
    "growth": growth.growth,
    "ports": growth.ports,
    "pi": pi,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything, in under two minutes")
    parser.add_argument("--only", action="append", choices=sorted(SECTIONS), help="measure this section only")
    parser.add_argument("--none", action="store_true", help="measure nothing: write what is kept")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--results", type=Path, help="keep results here instead of beside the document's plots")
    parser.add_argument("--before", type=Path, help="results of an earlier version, to stand beside the Pi's")
    parser.add_argument("--write", type=Path, nargs="?", const=DOCUMENT, help="write the document and its plots")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    kept = options.results or DOCUMENT.with_suffix("") / "results.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    failed = [] if options.none else measure(options, results, kept)
    if options.before is not None:
        results["pi_before"] = json.loads(options.before.read_text())["pi"]
        keep(results, kept)
    if options.write is not None:
        plots = options.write.with_suffix("")
        options.write.write_text(document(results, draw(results, plots), plots.name))
    if options.json:
        sys.stdout.write(json.dumps(results, indent=1) + "\n")
    else:
        show(results)
    if failed:
        raise SystemExit(f"not measured: {', '.join(failed)}")


def measure(options: argparse.Namespace, results: dict[str, Any], kept: Path) -> list[str]:
    """Measure what is asked for, section by section; returns the sections that came to nothing."""
    console = Console(highlight=False, stderr=True)
    began = time.monotonic()
    failed: list[str] = []

    def say(what: str) -> None:
        console.print(f"{time.monotonic() - began:4.0f} s  {what} ...")

    with tempfile.TemporaryDirectory() as name:
        programs = compile_programs(Path(name))
        for section in options.only or SECTIONS:
            effort = QUICK if options.quick else LONG
            try:
                results[section] = SECTIONS[section](programs, Path(name), effort, say)
            except SystemExit as end:
                console.print(f"{section}: {end}; measure it anew with --only {section}")
                failed.append(section)
                continue
            results["machine"] = machine.description()
            if options.write or options.results or not options.quick:
                keep(results, kept)
    return failed


def keep(results: dict[str, Any], kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(results, indent=1) + "\n")


def show(results: dict[str, Any]) -> None:
    table = Table("promise", "wanted", "measured", "", title_justify="left")
    for one in all_verdicts(results):
        table.add_row(one.what, one.wanted, one.measured, one.word)
    Console(highlight=False).print(table)


if __name__ == "__main__":
    main()
