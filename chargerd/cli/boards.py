"""`chargerctl boards`: how each line and board does, and what is probably wrong."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import accumulate
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chargerd.cli.fields import Fields, entries, number, words
from chargerd.cli.paper import Paper
from chargerd.cli.said import echo
from chargerd.control.client import ControlClient
from chargerd.text import Json

CAUSES: Mapping[str, tuple[str, str]] = {
    "no_line": (
        "the line is not there",
        "plug the adapter in, or write the name it has (ls /dev/serial/by-path); or look at the other end",
    ),
    "no_permission": (
        "the system does not let chargerd open the device",
        "put the user chargerd runs as into the group that owns it, often dialout, and start the daemon again",
    ),
    "line_in_use": (
        "another program has the device open",
        "end it: `fuser -v` with the device tells which, often ModemManager, a console or a second chargerd",
    ),
    "refused": (
        "the other end refuses the connection",
        "look at the port number, whether its service is switched on, and how many clients it takes",
    ),
    "not_modbus_tcp": (
        "the other end does not speak Modbus TCP",
        "write rtu_over_tcp instead of tcp if it is a server that passes RTU on, or set it to Modbus TCP",
    ),
    "hung_up": (
        "the other end closes the connection",
        "look how many clients it takes, and whether it wants tcp instead of rtu_over_tcp",
    ),
    "network_silent": (
        "no board at the other end answers",
        "look at its rate and line, and what it is: tcp for a Modbus gateway, rtu_over_tcp if it passes RTU on",
    ),
    "partly_silent": (
        "answers, and not always",
        "try pre_silence_ms: 20, then a longer timeout_ms, of this board; else look at its plug",
    ),
    "wants_silence": ("is heard much better after a longer silence", "set pre_silence_ms: {silence:g} for it"),
    "refuses": ("refuses what it is asked", "compare its model and firmware with its profile"),
    "echo": (
        "whether the adapter hears itself is not as configured",
        "leave echo out, or write what is told here",
    ),
    "bus_silent": (
        "no board answers",
        "look at the adapter, its plug, A and B swapped, and the supply; chargerctl scan tells more",
    ),
    "board_silent": ("does not answer, others do", "look at its supply, its plug and its address"),
    "noise": ("answers are corrupt", "end the line with 120 ohms at both ends, and check shield and baud rate"),
    "foreign": (
        "bytes come that are no answer to it",
        "look for a board with a wrong address, a second master, or a board that answers too late",
    ),
    "tainted": (
        "others' answers come in place of its own, and nothing is taken from such a moment",
        "look for a second master, for other clients of its serial server, and whether baudrate is the line's",
    ),
    "implausible": ("it answers what cannot be true", "look at its profile and its wiring, or replace it"),
    "line_changed": (
        "it is another board than before, and nothing closes on its line",
        "look which adapter is which; if what is there is right, say so with `chargerctl accept-line`",
    ),
    "unprepared": (
        "it has not taken its settings, and counts as having no dead-man",
        "look in the log which, compare its firmware with its profile, and set it by the maker's own tool",
    ),
    "board_noise": (
        "its answers are corrupt",
        "look at its plug; another board may have its address: chargerctl scan tells",
    ),
}
"""What is probably wrong, in a technician's words, and what to look at."""


def command(
    connect: Callable[..., AbstractContextManager[ControlClient]], as_json: Callable[[Any], Any]
) -> click.Command:
    """Return the command; `connect` opens the daemon's socket and leaves with the right exit code."""

    @click.command(epilog="Example: chargerctl boards")
    @as_json
    @click.pass_obj
    def boards(path: Path, *, as_json: bool) -> None:
        """Show how each line and board does, and what is probably wrong."""
        with connect(path, as_json=as_json) as client:
            told = client.call("boards")
        if as_json:
            echo(json.dumps(told))
            return
        console = Paper()
        edges = told["latency_up_to_ms"]
        for bus in entries(told["buses"]):
            _show(console, bus, edges)

    return boards


def accept_command(
    connect: Callable[..., AbstractContextManager[ControlClient]], as_json: Callable[[Any], Any]
) -> click.Command:
    """Return `chargerctl accept-line`."""

    @click.command("accept-line", epilog="Example: chargerctl accept-line line-a")
    @click.argument("bus")
    @as_json
    @click.pass_obj
    def accept_line(path: Path, bus: str, *, as_json: bool) -> None:
        """Say that the boards which a line has now are the right ones, after looking at each socket of it."""
        with connect(path, as_json=as_json) as client:
            told = client.call("accept-line", bus=bus)
        echo(json.dumps(told) if as_json else f"{bus}: known by {', '.join(words(told['boards']))} as told now")

    return accept_line


def _show(console: Console, bus: Fields, edges: Json) -> None:
    state = "connected" if bus["connected"] else "not there"
    echo = ", the adapter hears itself" if bus["hears_itself"] else ""
    told = f": {state}, {bus['transactions']} transactions{echo}"
    console.print(Text.assemble((str(bus["bus"]), "bold"), told))
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("BOARD", no_wrap=True)
    untrue = any(board["implausible"] for board in entries(bus["boards"]))
    counts = ("ANSWERS", "TIMEOUTS", "CORRUPT", "REFUSED", *(("UNTRUE",) if untrue else ()))
    for name in (*counts, "50 % ms", "99 % ms", "AGE s"):
        shown.add_column(name, justify="right", no_wrap=True)
    for board in entries(bus["boards"]):
        shown.add_row(*_row(board, edges, untrue=untrue))
    console.print(shown)
    for late in entries(bus["late"]):
        console.print(Text(f"late: {late['what']}, {_times(late['count'])}, by {late['worst_ms']} ms at worst"))
    for finding in entries(bus["findings"]):
        what, then = CAUSES.get(str(finding["cause"]), (str(finding["cause"]), "look at the line"))
        what = f"is there again; just before {what}" if is_back(bus, finding) else what
        share = "" if finding["share"] is None else f" ({float(str(finding['share'])):.0%})"
        why = "" if finding["why"] is None else f" ({finding['why']})"
        then = then.format(silence=finding["pre_silence_ms"])
        who = ", ".join(words(finding["boards"])) or str(bus["bus"])
        console.print(Text(f"{who}: {what}{share}{why}; {then}", style="yellow"))


def is_back(bus: Fields, finding: Fields) -> bool:
    """Say whether a finding is of a line that was not there, and is again: it is told a while longer."""
    return finding.get("cause") == "no_line" and bool(bus.get("connected"))


def _times(count: Json) -> str:
    return "once" if count == 1 else f"{count} times"


def _row(board: Fields, edges: Json, *, untrue: bool) -> list[Text]:
    latency = board["latency"] if isinstance(board["latency"], list) else []
    counts = [int(str(count)) for count in latency]
    figures = [board["answers"], board["timeouts"], board["corrupt"], board["exceptions"]]
    if untrue:
        figures.append(board["implausible"])
    name = Text(str(board["board"]), style="red" if board["lost"] else "")
    spread = [_up_to(counts, share, edges) for share in (0.5, 0.99)]
    return [name, *(Text(str(figure)) for figure in figures), *map(Text, spread), Text(number(board["age_s"], 1))]


def _up_to(counts: Sequence[int], share: float, edges: Json) -> str:
    """Return the upper edge of the bucket in which this share of the answers has come."""
    total = sum(counts)
    if not total or not isinstance(edges, list):
        return "-"
    place = next(place for place, upto in enumerate(accumulate(counts)) if upto >= share * total)
    edge = edges[place]
    return f"<{float(str(edge)):.0f}" if edge is not None else "longer"
