"""How the live view is drawn: lines that fit the screen, whatever its width, and bars for shares of limits."""

from collections.abc import Sequence
from textwrap import wrap
from types import MappingProxyType
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from chargerd.cli.ctl_events import COLOURS as GRAVITY
from chargerd.cli.ctl_events import lines_of
from chargerd.cli.ctl_port import port_view
from chargerd.cli.ctl_tables import COLOURS, header, up_to
from chargerd.cli.fields import (
    Fields,
    age_of,
    clock,
    entries,
    is_gone,
    is_stale,
    measured,
    number,
    relay_of,
    shown_state,
    table,
    why_not,
    words,
)
from chargerd.cli.live import Screen, counts
from chargerd.text import Json

WIDE: Final = 100
USUAL: Final = 64
"""Columns from which on there is room for current, relay and energy, and for a bar with its figure."""
HIGH: Final = 0.8
"""From this share of a limit on a bar is yellow; from all of it on, red."""
HEAD_SHARE: Final = 3
"""What stands above the ports takes a third of the screen at most."""
KEYS: Final = (
    ("q", "quit"),
    ("↑↓", ""),
    ("↵", "detail"),
    ("f", "filter"),
    ("!", "faults"),
    ("p", "ports"),
    ("e", "events"),
    ("b", "buses"),
    ("c", "circuits"),
    ("?", "help"),
)
HELP: Final = (
    ("q", "quit; so does Ctrl-C"),
    ("↑ ↓", "choose a port; also k and j"),
    ("↵", "everything about it, and what happened to it last; also d"),
    ("f", "show what has these letters only: of port, label, circuit, state or reason; also /"),
    ("!", "show what needs somebody only, and all again"),
    ("p e b c", "ports, events, buses, circuits"),
    ("Esc", "back to all ports"),
)
MEANING: Final = (
    "Ports that need somebody stand first. A bar is the share of the port's limit, by power or current, whichever "
    "is more. What is dim is none of now, and its age stands beside it."
)


def draw(
    screen: Screen,
    console: Console,
    now: float,
    *,
    events: Sequence[Fields] = (),
    buses: Sequence[Fields] = (),
    explained: Fields = MappingProxyType({}),
    silent: str = "",
) -> list[Text]:
    """Return the lines of a screen, at most as many as the console has. `silent` says why nothing new comes."""
    width, height = console.width, console.height
    head = _head(screen, console, silent)
    foot = _foot(screen, width)
    room = max(1, height - len(head) - 1)
    body = {
        "ports": lambda: ports_lines(screen, width, room, now, unicode=_draws(console)),
        "detail": lambda: _detail(screen, console, room, now, events, explained),
        "events": lambda: events_lines(events, width, room),
        "buses": lambda: buses_lines(buses, width),
        "circuits": lambda: circuits_lines(screen, width, unicode=_draws(console)),
        "help": lambda: [Text(line) for line in _help(width)],
    }[screen.view]()
    body = body[:room]
    return [*head, *body, *[Text("")] * (room - len(body)), foot]


def _draws(console: Console) -> bool:
    return (console.encoding or "").lower().startswith("utf")


def _head(screen: Screen, console: Console, silent: str) -> list[Text]:
    """Return what is wrong around the ports, and how many there are of each kind."""
    width, most = console.width, max(1, console.height // HEAD_SHARE)
    lines = _fold(header(screen.status), console)
    if len(lines) > most:
        lines = [*lines[: most - 1], Text("… and more: chargerctl status", style="yellow")]
    if silent:
        lines = [Text(line, style="bold white on red") for line in _cut_words(silent, width)] + lines
    rest = f", showing {screen.sought!r}" if screen.sought and not screen.typing else ""
    rest += ", faults only" if screen.faults else ""
    return [*lines, *(Text(line, style="bold") for line in _cut_words(counts(screen.ports) + rest, width))]


def _foot(screen: Screen, width: int) -> Text:
    if screen.typing:
        return _cut(
            Text.assemble(("filter: ", "bold"), screen.sought, ("▏", "blink"), ("  ↵ keep, Esc none", "dim")),
            width,
        )
    line = Text()
    for key, what in KEYS:
        shown = Text.assemble(
            (" " if line.plain else ""), (key, "bold reverse"), (f" {what}" if what and width >= USUAL else "")
        )
        if cell_len(line.plain) + cell_len(shown.plain) > width:
            break
        line.append_text(shown)
    return line


# Ports


def ports_lines(screen: Screen, width: int, room: int, now: float, *, unicode: bool) -> list[Text]:
    """Return a line for each port, the marked one always among them."""
    ports = screen.shown(now)
    if not ports:
        return [Text("nothing of that kind; Esc shows all", style="dim")]
    marked = next((at for at, port in enumerate(ports) if port["port"] == screen.chosen), 0)
    names = max(4, *(cell_len(str(port["port"])) for port in ports))
    aged = any(age_of(table(port.get("reading"))) for port in ports)
    rows = room - 1
    top = max(0, min(marked - rows // 2, len(ports) - rows)) if len(ports) > rows else 0
    lines = [_cut(_port_head(width, names, aged=aged), width)]
    for at, port in enumerate(ports[top : top + rows], top):
        line = _cut(_port_line(port, screen, width, names, aged=aged, unicode=unicode), width)
        if at == marked and screen.chosen is not None:
            line.pad_right(max(0, width - cell_len(line.plain)))
            line.stylize("reverse")
        lines.append(line)
    if top + rows < len(ports):
        lines[-1] = Text(f"and {len(ports) - top - rows + 1} more below", style="dim")
    return lines


def _port_head(width: int, names: int, *, aged: bool) -> Text:
    line = f"{'PORT':{names}}  {'STATE':<10}  {'W':>5}  "
    if width < USUAL:
        return Text(f"{line}LIMIT, WHY", style="bold")
    line += f"{'OF LIMIT':<{_bar_room(width)}}  {'  AGE  ' if aged else ''}{'TIME':>7}  "
    if width >= WIDE:
        line += f"{'A':>6}  {'RELAY':<6}  {'Wh':>6}  {'UP TO':>8}  "
    return Text(f"{line}WHY NOT", style="bold")


def _port_line(port: Fields, screen: Screen, width: int, names: int, *, aged: bool, unicode: bool) -> Text:
    reading, session, state = table(port.get("reading")), table(port.get("session")), shown_state(port)
    stale, why = "dim" if is_stale(reading) else "", why_not(port, screen.circuits)
    line = Text()
    line.append(set_cell_size(str(port["port"]), names) + "  ", "bold")
    line.append(f"{state:<10}", COLOURS.get(state, ""))
    line.append(f"  {measured(reading, 'power_w', 0):>5}  ", stale)
    drawn = bar(share_of(port), _bar_room(width), dim=bool(stale), unicode=unicode)
    if width < USUAL:
        line.append_text(Text(why) if why else drawn)
        return line.append(f" {age_of(reading)}", "dim")
    line.append_text(drawn).append("  ")
    if aged:
        line.append(f"{age_of(reading):>5}  ", stale)
    line.append(f"{clock(session.get('charging_s')):>7}  ")
    if width >= WIDE:
        relay = relay_of(port)
        line.append(f"{measured(reading, 'current_a', 2):>6}  ", stale)
        line.append(f"{relay.replace(', believed', '?'):<6}  ", "green" if relay == "closed" else "")
        line.append(f"{number(session.get('energy_wh'), 0):>6}  {up_to(table(port.get('limits_in_force'))):>8}  ")
    return line.append(why)


def share_of(port: Fields) -> float | None:
    """Return which share of its limit a port draws, by current or power; `None` if that is not known."""
    reading = table(port.get("reading"))
    if not port.get("session") and not reading.get("power_w") and not reading.get("current_a"):
        return 0.0
    limits = table(port.get("limits_in_force")) or table(port.get("limits"))
    if is_gone(reading):
        return None
    pairs = [(reading.get(name), limits.get(name)) for name in ("power_w", "current_a")]
    shares = [
        abs(drawn) / limit
        for drawn, limit in pairs
        if isinstance(drawn, int | float) and isinstance(limit, int | float) and limit
    ]
    return max(shares, default=None)


def _bar_room(width: int) -> int:
    return 13 if width >= WIDE else 10 if width >= USUAL else 6


def bar(share: float | None, room: int, *, dim: bool, unicode: bool) -> Text:
    """Return a bar for a share of a limit, with its figure where there is room."""
    if share is None or share == 0:
        return Text(f"{'-' if share is None else '':<{room}}")
    figure = f"{min(share, 9.99):>5.0%}" if room > len("100 %  ") else ""
    length = room - len(figure)
    filled = min(length, max(round(share * length), 1 if share >= 0.01 else 0))  # noqa: PLR2004 - a hundredth shows
    full, empty = ("█", "░") if unicode else ("#", ".")
    colour = "dim" if dim else "red" if share >= 1 else "yellow" if share >= HIGH else "green"
    return Text.assemble(
        (full * filled, colour), (empty * (length - filled), "dim"), (figure, "dim" if dim else "")
    )


# One port


def _detail(
    screen: Screen,
    console: Console,
    room: int,
    now: float,
    events: Sequence[Fields],
    explained: Fields,
) -> list[Text]:
    port = screen.port(now)
    if port is None:
        return [Text("there is no such port any more; Esc shows all", style="dim")]
    known = explained if table(explained.get("port")).get("port") == port["port"] else {}
    parts = port_view({**known, "port": dict(port)}, console.width).renderables
    told = [line for part in parts if isinstance(part, Text) for line in _fold(part, console)]
    recent = events_lines(events, console.width, max(0, room - len(told) - 2))
    return [*told, Text(""), Text("LAST EVENTS", style="bold"), *recent]


# The others


def events_lines(events: Sequence[Fields], width: int, room: int) -> list[Text]:
    """Return the newest events that fit, the newest last."""
    found: list[Text] = []
    for event in reversed(events):
        colour = GRAVITY.get(str(event.get("severity")), "")
        lines = [Text(line, style="" if at else colour) for at, line in enumerate(lines_of(event, width))]
        if len(found) + len(lines) > room:
            break
        found = [*lines, *found]
    return found if events else [Text("nothing is kept yet", style="dim")]


def buses_lines(buses: Sequence[Fields], width: int) -> list[Text]:
    """Return how each line and each board does, and what is wrong with it."""
    from chargerd.cli.boards import CAUSES  # noqa: PLC0415 - only for whoever looks at them

    lines = []
    for bus in buses:
        there = bus.get("connected") is True
        said = "connected" if there else "NOT THERE"
        lines.append(
            _cut(
                Text.assemble(
                    (f"{bus['bus']}", "bold"),
                    "  ",
                    (said, "" if there else "bold red"),
                    f"  {bus.get('transactions')} transactions",
                ),
                width,
            )
        )
        for finding in entries(bus.get("findings")):
            what, then = CAUSES.get(str(finding["cause"]), (str(finding["cause"]), "look at the line"))
            who = ", ".join(words(finding.get("boards"))) or str(bus["bus"])
            told = f"  {who}: {what}; {then.format(silence=finding.get('pre_silence_ms') or 0)}"
            lines += [Text(line, style="yellow") for line in _cut_words(told, width)]
        for board in entries(bus.get("boards")):
            lines.append(_cut(_board_line(board, width), width))
    return lines or [Text("its buses are simulated: there is no line", style="dim")]


def _board_line(board: Fields, width: int) -> Text:
    lost = board.get("lost") is True
    line = Text("  ")
    line.append(set_cell_size(str(board["board"]), 12 if width >= USUAL else 10), "bold red" if lost else "")
    line.append(f"  {'lost' if lost else 'answers':<7}", "red" if lost else "green")
    line.append(f"  {number(board.get('age_s'), 1):>6} s ago")
    if width >= USUAL:
        counted = ("answers", "timeouts", "corrupt")
        line.append("  " + ", ".join(f"{board.get(name)} {name}" for name in counted), "dim")
    return line


def circuits_lines(screen: Screen, width: int, *, unicode: bool) -> list[Text]:
    """Return what each circuit carries of what it may, and what holds it."""
    lines = []
    for circuit in screen.circuits:
        share = circuit_share(circuit)
        room = _bar_room(width) + (10 if width >= USUAL else 0)
        line = Text.assemble((set_cell_size(str(circuit["circuit"]), 12 if width >= USUAL else 8), "bold"), "  ")
        line.append_text(bar(share, room, dim=False, unicode=unicode))
        load = "/".join(number(one, 1) for one in _figures(circuit.get("load_current_a")))
        line.append(f"  {load} of {number(circuit.get('rating_current_a'), 0)} A")
        if width >= USUAL:
            line.append(f", {number(circuit.get('load_power_w'), 0)} W")
            line.append("" if circuit.get("measured") else ", not measured", "dim")
        lines.append(_cut(line, width))
        for told, style in _of_circuit(circuit):
            lines += [Text(f"  {part}", style=style) for part in _cut_words(told, width - 2)]
    return lines or [Text("no circuits are configured", style="dim")]


def _of_circuit(circuit: Fields) -> list[tuple[str, str]]:
    found = [(f"held open: {latch.get('function')}", "bold red") for latch in entries(circuit.get("latches"))]
    lock, disabled = table(circuit.get("lock")), table(circuit.get("disabled"))
    if lock:
        found.append((f"locked by {lock.get('by')}: {lock.get('reason')}", "bold yellow"))
    if disabled:
        found.append((f"out of service: {disabled.get('reason')}", "yellow"))
    if words(circuit.get("queue")):
        found.append((f"waiting for room: {', '.join(words(circuit.get('queue')))}", "yellow"))
    if circuit.get("contactor_closed") is not None:
        found.append((f"contactor {relay_of(circuit, 'contactor')}", "dim"))
    return found


def circuit_share(circuit: Fields) -> float | None:
    """Return which share of its rating a circuit carries: its worst phase, or its power."""
    rating, power = circuit.get("rating_current_a"), circuit.get("rating_power_w")
    shares = []
    if isinstance(rating, int | float) and rating:
        shares += [one / rating for one in _figures(circuit.get("load_current_a"))]
    load = circuit.get("load_power_w")
    if isinstance(power, int | float) and power and isinstance(load, int | float):
        shares.append(load / power)
    return max(shares, default=None)


def _figures(value: Json) -> list[float]:
    return [float(one) for one in value if isinstance(one, int | float)] if isinstance(value, list) else []


# Lines


def _cut(line: Text, width: int) -> Text:
    line.truncate(width, overflow="ellipsis")
    return line


def _help(width: int) -> list[str]:
    keys = [line for key, what in HELP for line in _cut_words(f"{key:<9}{what}", width, indent=9)]
    return [*keys, "", *_cut_words(MEANING, width)]


def _cut_words(text: str, width: int, indent: int = 0) -> list[str]:
    return wrap(text, max(width, 20), subsequent_indent=" " * indent, break_on_hyphens=False) or [""]


def _fold(text: Text, console: Console) -> list[Text]:
    """Return a text in lines that fit, its styles kept."""
    return [line for part in text.split("\n", allow_blank=True) for line in part.wrap(console, console.width)]
