"""From results to the performance document."""

from typing import Any

from tests.benchmarks.pi_pages import pages, promises
from tests.benchmarks.plots import NAMES
from tests.benchmarks.verdict import Verdict, verdicts

Rows = list[list[str]]

INTRODUCTION = """\
Written by `python -m tests.benchmarks --write`. The boards are a C program on a pty that delivers byte by byte at
line speed under SCHED_FIFO and takes the time of every byte. Whoever is measured runs on that line as a process
of its own, one after the other in turns, so that noise hits all alike. The machine is not a gateway.

*Floor*: what the frames sent take at least, with the silences of the standard and a turnaround of 2 ms. A client
that breaks the silences can stay below it. *Trip*: from a meter's register changing, at a random moment, to the
last bit of the command that opens its relay. *Bus*: chargerd's bus with its schedule, leases, read-backs, power
and voltage; *daemon*: all of chargerd with twelve ports charging; *loop*: its transactions one after the other, as
the other clients do."""


def document(results: dict[str, Any], plots: list[str], folder: str) -> str:
    """Return the whole document as Markdown."""
    lines = ["# Performance of the bus", "", INTRODUCTION, "", *_machine(results)]
    lines += ["", "## Promises", "", *_table(["promise", "wanted", "measured", ""], _promises(results))]
    for race in results.get("race", ()):
        lines += ["", *_race(race)]
    lines += _images(plots, folder, ("cycle.svg", "trips.svg"))
    for section, title in (("growth", "More buses, 19200 Bd"), ("ports", "More ports, 9600 Bd")):
        if results.get(section):
            lines += ["", f"## {title}", "", *_table(GROWTH, [_growth(one) for one in results[section]])]
            lines += _images(plots, folder, (f"{section}.svg",))
    if results.get("load"):
        lines += ["", "## A full line: twelve meters, feeder, inputs, coils, power, leases at 9600 Bd", ""]
        lines += _table(GROWTH, [_growth(results["load"])])
        lines += ["", *_table(["", "a second"], [[what, f"{rate:.2f}"] for what, rate in _rates(results["load"])])]
    lines += pages(results, _table)
    return "\n".join(lines) + "\n"


def all_verdicts(results: dict[str, Any]) -> list[Verdict]:
    """Return a verdict on each promise there are results for."""
    return [*verdicts(results), *promises(results.get("pi"))]


def _machine(results: dict[str, Any]) -> list[str]:
    held = results["machine"]
    return [
        f"{held['cpu']}, {held['cores']} cores, {held['kernel']}, Python {held['python']},",
        f"pymodbus {held['pymodbus']}, minimalmodbus {held['minimalmodbus']}, libmodbus as Debian has it.",
        "*Cores busy* counts everything on the machine, the slaves and whatever else ran there.",
    ]


def _promises(results: dict[str, Any]) -> Rows:
    return [[one.what, one.wanted, one.measured, f"**{one.word}**"] for one in all_verdicts(results)]


def _race(race: dict[str, Any]) -> list[str]:
    head = ["", "time / floor", "(least to most)", "current p50 / p99, ms", "trip p50 / p99 / most, ms", "trips"]
    head += ["silences broken", "CPU ms a transaction", "one core", "MB", "failed"]
    rows = [_racer(NAMES[name], race["racers"][name]) for name in NAMES if name in race["racers"]]
    beside = f"Twelve currents take {race['floor_ms']:.0f} ms at least. Cores busy: {race['busy_cores']:.1f}."
    if "reconciled_s" in race:
        beside += f" The daemon had read every relay back open {race['reconciled_s']:.2f} s after its start."
    return [f"## {race['baudrate']} Bd, twelve meters", "", beside, "", *_table(head, rows)]


def _racer(name: str, racer: dict[str, Any]) -> list[str]:
    ratio, cycle, trips = racer["over_floor"], racer["cycle_ms"], racer["trip_ms"]
    shown = f"{trips['p50']:.0f} / {trips['p99']:.0f} / {trips['most']:.0f}" if trips else ""
    return [
        name,
        f"{ratio['median']:.3f}",
        f"{ratio['least']:.3f} to {ratio['most']:.3f}",
        f"{cycle['p50']:.0f} / {cycle['p99']:.0f}",
        shown,
        str(racer["trips"]) + (f" (+{racer['missed_trips']} never)" if racer["missed_trips"] else ""),
        f"{racer['violations']} of {racer['transactions']}",
        f"{racer['cpu_ms_per_transaction']['median']:.2f}",
        f"{racer['core']['median']:.1%}",
        f"{racer['resident_mb']:.0f}",
        str(racer["failed"]),
    ]


GROWTH = ["buses", "ports", "one core", "CPU ms a transaction", "core a port", "MB", "time / floor"]
GROWTH += ["current p50 / p99, ms", "silences broken", "reconciled, s", "cores busy"]


def _growth(one: dict[str, Any]) -> list[str]:
    return [
        str(one["buses"]),
        str(one["ports"]),
        f"{one['core']:.1%}",
        f"{one['cpu_ms_per_transaction']:.2f}",
        f"{one['core_per_port']:.2%}",
        f"{one['resident_mb']:.1f}",
        f"{one['over_floor']:.3f}",
        f"{one['cycle_ms']['p50']:.0f} / {one['cycle_ms']['p99']:.0f}",
        str(one["violations"]),
        f"{one['reconciled_s']:.2f}",
        f"{one['busy_cores']:.1f}",
    ]


def _rates(load: dict[str, Any]) -> list[tuple[str, float]]:
    return [(name.replace("_", " "), rate) for name, rate in load["a_second"].items()]


def _images(plots: list[str], folder: str, wanted: tuple[str, ...]) -> list[str]:
    return [line for name in wanted if name in plots for line in ("", f"![{name[:-4]}]({folder}/{name})")]


def _table(head: list[str], rows: Rows) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
