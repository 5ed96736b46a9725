"""The Raspberry Pi's part of the performance document: tables and promises."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.benchmarks.verdict import Verdict

Rows = list[list[str]]
Run = dict[str, Any]
Column = tuple[str, Callable[[Run], str]]


def moment(start: dict[str, float], name: str) -> str:
    return f"{start[f'{name}_s']:.2f} ({start[f'{name}_cpu_s']:.2f})"


def tool(run: dict[str, float]) -> str:
    failed = "" if run["code"] == 0 else f", exit code {run['code']:.0f}"
    return f"{run['took_s']:.2f} ({run['cpu_s']:.2f}){failed}"


def trips(run: Run) -> str:
    missed = f", {run['missed_trips']} never" if run["missed_trips"] else ""
    held = run["trip_ms"]
    return (f"{held['p50']:.0f} / {held['most']:.0f}" if held else "") + missed


START: tuple[Column, ...] = (
    ("first cut-off frame, s (CPU)", lambda run: moment(run["start"], "first_frame")),
    ("all told to open", lambda run: moment(run["start"], "told")),
    ("all read back open", lambda run: moment(run["start"], "read_back")),
    ("online", lambda run: moment(run["start"], "online")),
    ("`chargerd open-relays`, s (CPU)", lambda run: tool(run["open_relays"])),
)
WORK: tuple[Column, ...] = (
    ("trip p50 / most, ms", trips),
    ("CPU ms a transaction", lambda run: f"{run['cpu_ms_per_transaction']:.2f}"),
    ("of a whole core", lambda run: f"{run['core']:.1%}"),
    ("MB", lambda run: f"{run['resident_mb']:.0f}"),
    ("`chargerctl status --json`, s (CPU)", lambda run: tool(run["status_json"])),
    ("`chargerctl status`", lambda run: tool(run["status"])),
)

INTRODUCTION = """\
The daemon with the shipped configurations and a broker, in a cpu cgroup that gives it all there is of a core, or
22 % (about one core of a Raspberry Pi 4), or 11 % (a Pi 3, a Zero 2); the tools run in the same cgroup, beside it.
Every line is a pty with boards of its own. The start is one after a kill: the list of relays and the journal are
there. Times are of the last line and its last relay, counted from the start of the process; in brackets the CPU
seconds used until then. At work, twelve ports of the shed charge, and three on each line of the reference site:
the currents of three are read as often in all as those of twelve."""


def pages(results: dict[str, Any], table: Callable[[list[str], Rows], list[str]]) -> list[str]:
    """Return the section as Markdown, with what an earlier version needed before each arrow."""
    now, before = results.get("pi"), results.get("pi_before")
    if not now:
        return []
    lines = ["", "## On a Raspberry Pi's core", ""]
    if "note" in now:
        return [*lines, now["note"]]
    lines += [INTRODUCTION + (" Before each arrow: the version before." if before else "")]
    earlier = {(run["site"], run["share"]): run for run in before["runs"]} if before else {}
    for columns in (START, WORK):
        rows = [_row(run, earlier.get((run["site"], run["share"])), columns) for run in now["runs"]]
        lines += ["", *table(["site", "a core", *(title for title, _cell in columns)], rows)]
    check = [tool(one["check"]) for one in (before, now) if one]
    return [*lines, "", f"`chargerd check` of the reference site: {' → '.join(check)} s."]


def _row(run: Run, before: Run | None, columns: tuple[Column, ...]) -> list[str]:
    share = "all of it" if run["share"] is None else f"{run['share']:.0%}"
    cells = [" → ".join(cell(one) for one in (before, run) if one is not None) for _title, cell in columns]
    lines = "1 line" if run["buses"] == 1 else f"{run['buses']} lines"
    return [f"{run['site']}, {lines}, {run['ports']} ports", share, *cells]


def promises(pi: dict[str, Any] | None) -> Iterator[Verdict]:
    """Yield a verdict on each promise there are results for."""
    for run in (pi or {"runs": []})["runs"]:
        yield from _promises(run)
    if pi and "check" in pi:
        yield _at_most("`chargerd check` of the reference site, CPU", pi["check"]["cpu_s"], 1.2, "s")


def _promises(run: Run) -> Iterator[Verdict]:
    start, site, whole = run["start"], run["site"], run["share"] is None
    one = site == "one shed"
    if whole:
        yield _at_most(
            f"{site}: CPU until the first cut-off frame on every line", start["first_frame_cpu_s"], 0.15, "s"
        )
        yield _at_most(f"{site}: CPU until online", start["online_cpu_s"], 0.7 if one else 1.2, "s")
        yield _at_most(f"{site}: CPU of `chargerd open-relays`", run["open_relays"]["cpu_s"], 0.15, "s")
        yield _at_most(f"{site}: CPU of `chargerctl status --json`", run["status_json"]["cpu_s"], 0.12, "s")
        yield _at_most(f"{site}: CPU of `chargerctl status`", run["status"]["cpu_s"], 0.25, "s")
    if whole and one:
        yield _at_most(f"{site}: memory", run["resident_mb"], 50.0, "MB")
    if run["share"] == (0.11 if one else 0.22):
        what = f"{site}, {run['share']:.0%} of a core: every relay read back open"
        yield _at_most(what, start["read_back_s"], 5.0, "s")


def _at_most(what: str, measured: float, limit: float, unit: str) -> Verdict:
    return Verdict(
        what=what, wanted=f"<= {limit:.3g} {unit}", measured=f"{measured:.3g} {unit}", met=measured <= limit
    )
