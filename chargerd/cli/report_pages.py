"""What stands in the report of a wiring proof, in its order: blocks that HTML and PDF draw, each in its own way.

The result comes first, then what is wrong and what to do, what was not tested, the lines to sign; figures follow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from chargerd.cli.fields import Fields, entries, table
from chargerd.cli.proof_words import RESULTS, distinct, figure, not_tested, remedy, sentence, subject

FUNCTIONS = {
    "overcurrent_instant": "Current, one reading",
    "overcurrent_definite": "Current, for a time",
    "overcurrent_thermal": "Current, thermal image of the wire",
    "overpower": "Power, for a time",
    "overpower_instant": "Power, one reading",
    "overvoltage": "Voltage above",
    "undervoltage": "Voltage below",
    "meter_stale": "Meter silent",
    "relay_board_lost": "Relay board silent",
    "relay_will_not_open": "Relay still closed after so many openings",
    "relay_welded": "Current through an open relay",
    "wiring_suspect": "Power at another, open port",
    "duration_limit": "Time with the relay closed",
    "power_jump": "Power above its maximum so far",
    "reverse_power": "Power flowing back",
    "port_temperature": "Temperature of the socket",
}
THEN = {
    "latched": "opens, until it is cleared",
    "locked_out": "opens, with the contactor; until cleared on site",
    "waits": "opens, and waits until it is over",
    "ends": "opens; the session ends",
    "told": "is told; opens nothing",
}
FAILED = {
    "renewal_glitch": "the load went out, or fell, while it was renewed",
    "off_ineffective": "a plain off does not cancel the timer",
    "no_dead_man": "does not open by itself in time",
}
DEAD_MEN = {
    "timed_on": "each closing is for 6 s",
    "heartbeat": "a register that has to be written each 6 s",
    "poll_timeout": "opens when it is not asked any more",
    "none": "none",
}
SIGNATURES = ("Proved by", "Operator", "Fire protection")
MODES = {"moved": "one load, moved from socket to socket", "each": "one load in every socket"}
HOUR, MINUTE = 3600.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """The title page: what it is, and how it has ended (`proved`, `findings` or `incomplete`)."""

    text: str
    of: str
    result: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """Begins a part; `page` on a page of its own."""

    text: str
    page: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One finding with its remedy."""

    about: str
    what: str
    then: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Points, one a line."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table. `shares` is how wide its columns are; without a head it has pairs of a name and a value."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """Lines to sign on, one for each of these."""

    who: tuple[str, ...]


Block: TypeAlias = Title | Heading | Text | Wrong | Listed | Grid | Signatures


def blocks(report: Fields) -> Iterator[Block]:
    """Yield what stands in a report."""
    ports, boards = entries(report["ports"]), entries(report["boards"])
    findings = distinct(entries(report["findings"]))
    result = str(report["result"])
    yield Title(text="Wiring proof", of=str(report["gateway"]), result=result, sentence=_sentence(result))
    yield Grid(head=(), rows=tuple(_about(report, ports, boards)), shares=(0.36, 0.64))
    yield Heading(text="What was found")
    if not findings:
        yield Text(text="Nothing is wrong with what was tested.")
    for finding in findings:
        yield Wrong(about=subject(finding), what=sentence(finding), then=remedy(finding))
    yield Heading(text="What was not tested")
    yield Listed(items=tuple(not_tested(one) for one in entries(report["not_tested"])))
    yield Heading(text="Signed")
    yield Signatures(who=SIGNATURES)
    yield Heading(text="Wiring", page=True)
    yield Text(text="As the configuration says, and as it was found for each port that is proved.")
    yield _wiring(ports)
    yield from _boards(boards)
    yield from _circuits(entries(report["circuits"]))
    for port in ports:
        yield from _port(port)
    yield Text(text=REACTION)


REACTION = (
    "Contact open within: the time from the moment at which too much flows to an open contact at worst, all ports "
    "closed and one being started, no frame lost; worked out from the configuration, as `chargerd check` does. "
    "Where there is none, the delay decides, and the next reading after it."
)


def _sentence(result: str) -> str:
    text = RESULTS.get(result, result)
    return text.partition(": ")[2].capitalize() + "." if ": " in text else text


def _about(report: Fields, ports: Sequence[Fields], boards: Sequence[Fields]) -> Iterator[tuple[str, str]]:
    versions = table(report["versions"])
    good = sum(port["result"] == "proved" for port in ports)
    opens = [board for board in boards if board["proved"] is not None]
    yield "Ports proved", f"{good} of {len(ports)}"
    yield (
        "Boards that open by themselves",
        f"{sum(board['proved'] is True for board in opens)} of {len(boards)}",
    )
    yield "Begun", when(report["began_at"])
    yield "Ended", when(report["ended_at"]) if report["ended_at"] is not None else "not ended"
    yield "By", f"{report['by'] or '?'} (user id {report['uid']})"
    load = report["load_w"]
    mode = MODES.get(str(report["mode"]), str(report["mode"]))
    yield "Load", mode if load is None else f"{figure(load, 'w')}; {mode}"
    yield "Configuration", f"sha256 {table(report['configuration'])['digest']}"
    yield "Versions", f"chargerd {versions['chargerd']}, Python {versions['python']}, {versions['system']}"
    yield "Proof", f"{report['proof']}; this report was made {when(report['made_at'])}"


def when(ms: object) -> str:
    """Return a moment of the wall clock; a gateway may not have known it."""
    if not isinstance(ms, int | float):
        return "at a time the gateway did not know"
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _wiring(ports: Sequence[Fields]) -> Grid:
    rows = tuple(
        (
            _name(port),
            _place(port["relay"]),
            _place(port["meter"]),
            str(port["circuit"]),
            str(port["phase"]),
            _worded(port["result"]),
        )
        for port in ports
    )
    return Grid(
        head=("Port", "Relay", "Meter", "Circuit", "Phase", "Result"),
        rows=rows,
        shares=(0.18, 0.24, 0.24, 0.12, 0.08, 0.14),
    )


def _name(port: Fields) -> str:
    label, name = str(port["label"]), str(port["port"])
    return name if label == name else f"{name} ({label})"


def _place(channel: Any) -> str:
    place = table(channel)
    return f"{place['board']}/{place['channel']}: {place['profile']}, {place['bus']} address {place['address']}"


def _worded(result: object) -> str:
    return {"proved": "proved", "findings": "WRONG", "incomplete": "not tested"}.get(str(result), str(result))


def _boards(boards: Sequence[Fields]) -> Iterator[Block]:
    yield Heading(text="Relay boards: whether they open by themselves")
    yield Text(
        text="If the gateway dies or a cable is cut, a board with a dead-man opens its sockets. Three tests: the "
        "lease is renewed and the load does not notice; a plain off opens at once and for good; nobody renews, "
        "and the board opens by itself."
    )
    rows = []
    for board in boards:
        test = table(board["test"])
        rows.append(
            (
                str(board["board"]),
                f"{board['profile']}: {DEAD_MEN.get(str(board['dead_man']), str(board['dead_man']))}",
                _renewed(test),
                _off(test),
                _lapsed(test),
                {"True": "proved", "False": "FAILED"}.get(str(board["proved"]), "not tested"),
            )
        )
    yield Grid(
        head=("Board", "Dead-man", "Renewed", "Plain off", "Opened by itself", "Result"),
        rows=tuple(rows),
        shares=(0.14, 0.26, 0.18, 0.14, 0.16, 0.12),
    )


def _renewed(test: Fields) -> str:
    if not test or test["lowest"] is None:
        return "" if not test or test["why"] is None else f"not tested: {test['why']}"
    seen = {"True": ", seen to flicker", "False": ", seen steady"}.get(str(test["flickered"]), "")
    lowest = float(str(test["lowest"]))
    return f"{figure(test['renewed_for'], 's')} at {test['port']}; load never below {lowest:.0%}{seen}"


def _off(test: Fields) -> str:
    if not test or test["off_after"] is None:
        return ""
    return f"open within {figure(test['off_after'], 's')}, " + ("stayed" if test["off_stayed"] else "did NOT stay")


def _lapsed(test: Fields) -> str:
    if not test or test["lapse_opened"] is None:
        return ""
    after = figure(test["lapse_after"], "s")
    return f"after {after} (lease {figure(test['lease'], 's')})" if test["lapse_opened"] else f"NOT within {after}"


def _circuits(circuits: Sequence[Fields]) -> Iterator[Block]:
    if not circuits:
        return
    yield Heading(text="Circuits")
    rows = []
    for one in circuits:
        ratings = [
            figure(one[key], unit) for key, unit in (("rating_a", "a"), ("rating_w", "w")) if one[key] is not None
        ]
        inputs = [f"{each['input']} ({each['kind']})" for each in entries(one["inputs"])]
        rows.append(
            (
                str(one["circuit"]),
                str(one["parent"] or "the supply"),
                f"{one['phases']}",
                ", ".join(ratings) or "none",
                "yes" if one["metered"] else "no",
                str(one["contactor"] or "none"),
                ", ".join(inputs) or "none",
            )
        )
    yield Grid(
        head=("Circuit", "Fed by", "Phases", "Rating", "Metered", "Contactor", "Inputs"),
        rows=tuple(rows),
        shares=(0.14, 0.14, 0.09, 0.14, 0.1, 0.15, 0.24),
    )


def _port(port: Fields) -> Iterator[Block]:
    yield Heading(text=f"Port {_name(port)}: {_worded(port['result'])}", page=True)
    rows = tuple(_closing(one) for one in entries(port["closings"]))
    if rows:
        yield Text(text="What was measured")
        yield Grid(
            head=("Relay", "Load in", "When", "Closed for", "Meters that moved", "Its meter", "And then"),
            rows=rows,
            shares=(0.08, 0.1, 0.17, 0.09, 0.18, 0.18, 0.2),
        )
    limits = table(port["limits"])
    energy = "" if limits.get("energy") is None else f", {limits['energy']} Wh"
    yield Text(
        text=f"Limits of a session: {figure(limits['current'], 'a')}, {figure(limits['power'], 'w')}, "
        f"{span(limits['duration'])}{energy}."
    )
    yield Grid(
        head=("Protective function", "Limit", "For so long", "Contact open within", "Then"),
        rows=tuple(_function(one) for one in entries(port["functions"])),
        shares=(0.34, 0.12, 0.12, 0.16, 0.26),
    )


def _closing(one: Fields) -> tuple[str, ...]:
    moved = [f"{each['port']}: {figure(each['power_w'], 'w')}" for each in entries(one["moved"])]
    loads = one["loads"] if isinstance(one["loads"], list) else []
    own = [
        figure(one[key], unit)
        for key, unit in (("power_w", "w"), ("current_a", "a"), ("voltage_v", "v"))
        if one[key] is not None
    ]
    ended = f"refused: {one['refused']}" if one["refused"] else str(one["ended"] or "opened")
    return (
        str(one["relay"]),
        ", ".join(map(str, loads)) if len(loads) < 4 else "every socket",  # noqa: PLR2004 - what fits
        when(one["at"]),
        figure(one["lasted_s"], "s") if one["closed"] else "did not close",
        ", ".join(moved) or "none",
        ", ".join(own) or "nothing",
        ended,
    )


def _function(one: Fields) -> tuple[str, ...]:
    name, limit, delay, reaction = str(one["function"]), one["limit"], one["delay_s"], one["reaction_s"]
    return (
        f"{FUNCTIONS.get(name, name)} ({name})",
        "" if limit is None else figure(limit, one["unit"]),
        span(delay) if delay else "",
        "" if not isinstance(reaction, int | float) else f"{reaction:.2f} s",
        THEN.get(str(one["then"]), str(one["then"])),
    )


def span(seconds: object) -> str:
    """Return a span in its own unit: 6 s, 5 min, 10 h."""
    if not isinstance(seconds, int | float):
        return "?"
    if seconds >= HOUR:
        return f"{seconds / HOUR:.3g} h"
    return f"{seconds / MINUTE:.3g} min" if seconds >= 2 * MINUTE else f"{seconds:.3g} s"
