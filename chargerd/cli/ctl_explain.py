"""`chargerctl explain`, `circuit` and `why`: what holds a port, a circuit or the site, and what to do about it."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem
from rich.text import Text

from chargerd.cli.boards import CAUSES
from chargerd.cli.ctl_asking import MACHINE_WITHIN, Near, ask, ask_port
from chargerd.cli.ctl_lines import Connect, Option, paragraph, width_of_terminal
from chargerd.cli.fields import Fields, entries, number, shown_state, table, words
from chargerd.cli.paper import Paper
from chargerd.cli.said import echo
from chargerd.cli.wording import STATES
from chargerd.cli.wording_claims import figures, span, told
from chargerd.text import Json

WRONG = 1
Completions = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
ORDINALS = {1: "the 1st", 2: "the 2nd", 3: "the 3rd"}
EXAMPLES = {
    "explain": "Example: chargerctl explain A01. Exit code 1 if something holds it.",
    "circuit": "Example: chargerctl circuit shed. Exit code 1 if something holds it.",
    "why": "Example: chargerctl why. Exit code 1 if anything is wrong.",
}


def explain_command(connect: Connect, as_json: Option, complete: Completions, near: Near) -> click.Command:
    """Return `chargerctl explain`."""

    @click.command(epilog=EXAMPLES["explain"])
    @click.argument("port", shell_complete=complete)
    @as_json
    @click.pass_obj
    def explain(path: Path, port: str, *, as_json: bool) -> None:
        """Say what holds a port: every claim in order of priority, since when, what clears it, what to do next.

        With its last session and its last event, and how long a suspension may last.
        """
        with connect(path, as_json=as_json) as client:
            found = ask_port(client, port, near)
        if as_json:
            echo(json.dumps(found))
        else:
            width = width_of_terminal()
            _print([headline(found), *explained(found, width), *last(found, width)])
        if holding(found):
            sys.exit(WRONG)

    return explain


def holding(found: Fields) -> list[Fields]:
    """Return what holds a port, but for the session under way, and what little says beside others."""
    claims = [claim for claim in entries(found.get("claims")) if claim.get("what") != "busy"]
    telling = [claim for claim in claims if claim.get("what") != "not_yet_known"]
    return telling or claims


def headline(found: Fields) -> Text:
    """Return a port's first line: its state, and what holds it first."""
    port = table(found.get("port"))
    state, holds = shown_state(port), holding(found)
    line = Text.assemble((str(port.get("port")), "bold"), " ", state)
    if holds:
        sentence, _, _ = told(holds[0], str(port.get("port")))
        line.append(f": {sentence}")
    elif state == "available":
        line.append(": free; nothing holds it, and a start would be accepted")
    else:
        line.append(f": nothing holds it. {STATES.get(state, '')}")
    return line


def explained(found: Fields, width: int) -> Iterator[Text]:
    """Yield what holds a port, each with what clears it and what to do, and how long its suspension may last."""
    name = str(table(found.get("port")).get("port"))
    for number_of, claim in enumerate(holding(found), start=1):
        yield from claim_lines(claim, name, width, f"{number_of}. ")
    suspension = table(found.get("suspension"))
    if suspension:
        yield from _wrapped(_suspension(suspension), width, "yellow")
    if found.get("ending"):
        yield from _wrapped(f"ending    {found['ending']}", width)


def claim_lines(claim: Fields, name: str | None, width: int, mark: str = "") -> Iterator[Text]:
    """Yield a claim: what it is, what clears it, and the next step."""
    sentence, clears, step = told(claim, name)
    indent = " " * len(mark)
    for place, line in enumerate(paragraph(mark + sentence, width, len(mark))):
        yield Text(line, style="" if place else "bold")
    for label, text in (("clears: ", clears), ("next: ", step)):
        yield from map(Text, paragraph(indent + label + text, width, len(indent) + 2))


def _suspension(one: Fields) -> str:
    times = one.get("times")
    nth = ORDINALS.get(times, f"the {times}th") if isinstance(times, int) else "one"
    return (
        f"suspended by {one.get('by')} for {span(one.get('for_s'))}, {nth} of {one.get('most')} times in an hour; "
        f"the session ends in {span(one.get('ends_in_s'))} if that is not over"
    )


def last(found: Fields, width: int) -> Iterator[Text]:
    """Yield the last session of a port, and its last event."""
    if "last_session" not in found:
        yield Text("last      the journal has not told yet", style="dim")
        return
    session, event = table(found["last_session"]), table(found.get("last_event"))
    if session:
        text = (
            f"last session {session.get('session_id')}: {session.get('stop_reason')}"
            f"{figures(table(session.get('stop_detail')))}, {number(session.get('energy_wh'), 0)} Wh in "
            f"{span(session.get('charging_s'))}, ended {session.get('ended_at') or '(clock not set)'}"
        )
        yield from _wrapped(text, width)
    if event:
        about = [event.get("function"), event.get("reason")]
        said = ", ".join(str(one) for one in about if one)
        name = f"{event.get('event')}{f' ({said})' if said else ''}{figures(table(event.get('detail')))}"
        yield from _wrapped(f"last event {name}, {event.get('at') or '(clock not set)'}", width)
    if not session and not event:
        yield Text("no session and no event is kept of it", style="dim")


def circuit_command(connect: Connect, as_json: Option, complete: Completions) -> click.Command:
    """Return `chargerctl circuit`."""

    @click.command("circuit", epilog=EXAMPLES["circuit"])
    @click.argument("circuit", shell_complete=complete)
    @as_json
    @click.pass_obj
    def show(path: Path, circuit: str, *, as_json: bool) -> None:
        """Say what holds a circuit, what it carries, what is kept free for whom, and who waits for what."""
        with connect(path, as_json=as_json) as client:
            found = client.call("circuit", circuit=circuit)
        if as_json:
            echo(json.dumps(found))
        else:
            _print(list(circuit_lines(found, width_of_terminal())))
        if entries(found["claims"]):
            sys.exit(WRONG)

    return show


def circuit_lines(found: Fields, width: int) -> Iterator[Text]:
    """Yield a circuit: what holds it, its load and its room, allocations, and the queue."""
    circuit, claims = table(found["circuit"]), entries(found["claims"])
    name = str(circuit["circuit"])
    first = told(claims[0], None)[0] if claims else "nothing holds it"
    yield from _wrapped(f"{name}: {first}", width, "bold")
    for number_of, claim in enumerate(claims, start=1):
        yield from claim_lines(claim, None, width, f"{number_of}. ")
    behind = "by its own meter" if circuit.get("measured") else "as the sum of its ports"
    rated = f"{number(circuit.get('rating_current_a'), 1)} A, {number(circuit.get('rating_power_w'), 0)} W"
    load = f"{_amperes(circuit.get('load_current_a'))}, {number(circuit.get('load_power_w'), 0)} W"
    yield from _wrapped(f"load      {load} {behind}; rated {rated}", width)
    yield from _wrapped(
        f"promised  {_amperes(circuit.get('allocated_current_a'))}, "
        f"{number(circuit.get('allocated_power_w'), 0)} W; room for {_amperes(found.get('room_current_a'))}, "
        f"{number(found.get('room_power_w'), 0)} W more",
        width,
    )
    for one in entries(found["allocations"]):
        unseen = "" if one.get("seen") else "; its meter tells nothing, so it counts with its limit"
        draws = f"{number(one['current_a'], 2)} A, {number(one['power_w'], 0)} W"
        kept = f"{number(one['allocated_current_a'], 2)} A, {number(one['allocated_power_w'], 0)} W"
        yield from _wrapped(f"  {one['port']} {one['state']}: draws {draws}; kept free {kept}{unseen}", width)
    yield from _queue(entries(found["waiters"]), width)


def _queue(waiters: Sequence[Fields], width: int) -> Iterator[Text]:
    if not waiters:
        yield Text("nobody waits for it")
    for place, one in enumerate(waiters, start=1):
        full = ", ".join(words(one.get("full")))
        what = f"for room in {full}" if full else "for those before it"
        ends = "" if one.get("ends_in_s") is None else f", {span(one['ends_in_s'])} more at most"
        wants = f"wants {number(one['current_a'], 1)} A, {number(one['power_w'], 0)} W"
        yield from _wrapped(f"waits {place}. {one['port']} {what}: {wants}{ends}", width, "yellow")


def _amperes(currents: Json) -> str:
    if not isinstance(currents, list):
        return "- A"
    if len(set(map(str, currents))) == 1:
        return f"{number(currents[0], 1)} A"
    return "/".join(number(current, 1) for current in currents) + " A"


def why_command(connect: Connect, as_json: Option) -> click.Command:
    """Return `chargerctl why`."""

    @click.command(epilog=EXAMPLES["why"])
    @as_json
    @click.pass_obj
    def why(path: Path, *, as_json: bool) -> None:
        """Say all that is wrong now over the whole site, the worst first, each with the next step."""
        with connect(path, as_json=as_json) as client:
            found = ask(client, "why", MACHINE_WITHIN)
        faults, advice, warnings = all_wrong(found)
        if as_json:
            echo(json.dumps({**found, "ok": not faults}))
        else:
            _print(list(why_lines(found, faults, advice, warnings, width_of_terminal())))
        if faults:
            sys.exit(WRONG)

    return why


NOT_AGAIN = ("line ", "board ")
"""What is looked at of the machine and is told by the station, or by its lines, with more to it."""


def all_wrong(found: Fields) -> tuple[list[Fields], list[Fields], int]:
    """Return what is wrong, the worst first; what lines would do better with; how many looks are worth another."""
    checks = entries(found.get("checks"))
    faults = [one for one in checks if one.get("verdict") == "fault" and not _told_already(one, found)]
    ranked = [*entries(found.get("wrong")), *({"rank": 6, "kind": "check", **one} for one in faults)]
    warnings = sum(one.get("verdict") == "warning" for one in checks)
    ranked.sort(key=lambda one: int(str(one["rank"])))
    advice = [one for one in ranked if _is_advice(one)]
    return [one for one in ranked if not _is_advice(one)], advice, warnings


def _is_advice(one: Fields) -> bool:
    return one.get("verdict") == "warning"


def _told_already(check: Fields, found: Fields) -> bool:
    about = str(check.get("about"))
    stored = any(one.get("what") == "store_unavailable" for one in entries(found.get("wrong")))
    by_lines = any(one.get("kind") == "line" and not _is_advice(one) for one in entries(found.get("wrong")))
    return (about == "journal" and stored) or (about.startswith(NOT_AGAIN) and by_lines)


def why_lines(
    found: Fields, faults: Sequence[Fields], advice: Sequence[Fields], warnings: int, width: int
) -> Iterator[Text]:
    """Yield what is wrong, or that nothing is; then what is only worth a look."""
    counts = ", ".join(
        f"{count} {'free' if state == 'available' else state}"
        for state, count in table(found.get("ports")).items()
    )
    if not faults:
        yield from _wrapped(f"nothing is wrong ({counts})", width, "green")
    for place, fault in enumerate(faults, start=1):
        yield from fault_lines(fault, width, f"{place}. ")
    if faults:
        yield from _wrapped(f"ports: {counts}", width)
    if "checks" not in found:
        yield Text("the machine itself has not been looked at: see chargerctl doctor", style="dim")
    elif warnings:
        times = "one thing is" if warnings == 1 else f"{warnings} things are"
        yield from _wrapped(f"{times} worth a look: chargerctl doctor", width, "dim")
    for one in advice:
        sentence, step = _of_line(one, ())
        yield from _wrapped(f"worth a look: {sentence}; {step}", width, "dim")


def fault_lines(fault: Fields, width: int, mark: str = "") -> Iterator[Text]:
    """Yield one thing that is wrong."""
    held = words(fault.get("held"))
    if fault.get("kind") == "claim":
        alone = held[0] if len(held) == 1 else None
        sentence, _clears, step = told(fault, alone)
        sentence = f"{', '.join(held)}: {sentence}" if held else sentence
        more = f"chargerctl explain {held[0]}" if held else f"chargerctl circuit {fault.get('circuit')}"
        step = f"{step} ({more})"
    elif fault.get("kind") == "line":
        sentence, step = _of_line(fault, held)
    elif fault.get("kind") == "clock":
        sentence = "clock: nothing vouches for the time of day, so starts from the backend are refused"
        step = "connect the network, or set it: sudo timedatectl set-time ..."
    else:
        sentence, step = f"{fault.get('about')}: {fault.get('what')}", str(fault.get("then"))
    for place, line in enumerate(paragraph(mark + sentence, width, len(mark))):
        yield Text(line, style="bold red" if place == 0 else "")
    yield from map(Text, paragraph(" " * len(mark) + "next: " + step, width, len(mark) + 2))


def _of_line(fault: Fields, held: Sequence[str]) -> tuple[str, str]:
    what, then = CAUSES.get(str(fault.get("cause")), (str(fault.get("cause")), "see chargerctl boards"))
    boards = words(fault.get("boards"))
    who = f"{', '.join(boards)} on {fault.get('line')}" if boards else f"line {fault.get('line')}"
    why = "" if fault.get("why") is None else f" ({fault['why']})"
    concerns = f"; it concerns {', '.join(held)}" if held else ""
    return f"{who}: {what}{why}{concerns}", then.format(silence=fault.get("pre_silence_ms"))


def _wrapped(text: str, width: int, style: str = "") -> Iterator[Text]:
    for line in paragraph(text, width):
        yield Text(line, style=style)


def _print(lines: Sequence[Text]) -> None:
    paper = Paper()
    for line in lines:
        paper.print(line)
