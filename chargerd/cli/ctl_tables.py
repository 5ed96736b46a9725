"""How ports look on a terminal."""

from collections.abc import Sequence
from textwrap import wrap

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text

from chargerd.cli.boards import CAUSES, is_back
from chargerd.cli.fields import (
    Fields,
    age_of,
    clock,
    entries,
    is_stale,
    measured,
    number,
    obstacles,
    relay_of,
    shown_state,
    table,
    why_not,
    words,
)
from chargerd.cli.wording import LATCHES

MEBI = 1 << 20
SCARCE = 200 * MEBI
"""Free space at which somebody should look."""
CLOCKS = {
    "ntp": ("kept by the network", "dim"),
    "rtc": ("from the machine's own clock alone; look why: timedatectl timesync-status", "yellow"),
    "none": ("nothing vouches for it, and the backend's starts are refused; connect the network", "yellow"),
}
"""Where the time of day comes from."""
SPARE_LINES = 4
"""Of a screen: the first line, the table's header, the line for what had no room, and the cursor's."""

COLUMNS = ("PORT", "STATE", "RELAY", "W", "A", "AGE", "Wh", "TIME", "UP TO")
WHY_NOT = "WHY NOT"
AGE = COLUMNS.index("AGE")
"""Stands there only while a figure is none of now."""
FIGURES = range(3, len(COLUMNS))
"""The columns that are aligned to the right."""
UNITS = {"W": "{} W", "A": "{} A", "AGE": "{} old", "Wh": "{} Wh", "UP TO": "up to {}", "RELAY": "relay {}"}
"""How a figure is told where it stands under no name."""
GAP = 2
LEAST_ROOM = 12
"""For the last column; where there is less, it has lines of its own."""
COLOURS = {
    "charging": "green",
    "starting": "cyan",
    "stopping": "cyan",
    "suspended": "yellow",
    "tripped": "bold red",
    "locked_out": "bold white on red",
    "unknown": "yellow",
    "disabled": "yellow",
    "available": "",
    "blocked": "yellow",
}


Cell = tuple[str, str]
"""What stands in a table, and its style."""


class PortsTable:
    """The table of ports: fits 80 columns. Of `circuits` it says which ones hold a port open, and why.

    It is laid out here, since only its last column may need more than a line: rich asks each cell three times how
    wide it can be, which takes as long for eighty ports as all else that is loaded and drawn.
    """

    def __init__(self, ports: Sequence[Fields], circuits: Sequence[Fields] = ()) -> None:
        self._rows = [_row(port) for port in ports]
        self._whys = [why_not(port, circuits) for port in ports]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield a line for the names and one or more for each port."""
        head: list[Cell] = [(name, "bold") for name in COLUMNS]
        rows = [head, *self._rows]
        widths = [max(len(row[place][0]) for row in rows) for place in range(len(COLUMNS))]
        if not any(row[AGE][0] for row in self._rows):
            widths[AGE] = -GAP
        left = sum(widths) + GAP * len(widths)
        if left - GAP > options.max_width:
            yield from self._stacked(options.max_width)
            return
        longest = max((len(word) for why in self._whys for word in why.split()), default=0)
        if options.max_width - left < max(LEAST_ROOM, longest):
            left = GAP
        for row, why, style in zip(rows, [WHY_NOT, *self._whys], ["bold", *[""] * len(self._rows)], strict=True):
            lines = wrap(why, options.max_width - left, break_on_hyphens=False)
            line = _in_columns(row, widths)
            if left > GAP and lines:
                line.append(lines.pop(0), style)
            line.rstrip()
            yield line
            for rest in lines:
                yield Text(" " * left + rest, style)

    def _stacked(self, width: int) -> RenderResult:
        """Yield some lines for each port, where the columns do not fit beside each other."""
        for row, why in zip(self._rows, self._whys, strict=True):
            told = [
                (UNITS.get(name, "{}").format(cell), look)
                for name, (cell, look) in zip(COLUMNS, row, strict=True)
                if cell not in {"", "-"}
            ]
            line = Text()
            for cell, look in told:
                if line.plain.strip() and len(line.plain) + len(cell) + GAP > width:
                    yield line
                    line = Text(" " * GAP)
                elif line.plain:
                    line.append(" " * GAP)
                line.append(cell, look)
            yield line
            for rest in wrap(why, width - GAP, break_on_hyphens=False):
                yield Text(" " * GAP + rest)


def _in_columns(row: Sequence[Cell], widths: Sequence[int]) -> Text:
    line = Text()
    for place, ((cell, look), width) in enumerate(zip(row, widths, strict=True)):
        if width >= 0:
            line.append(f"{cell:>{width}}" if place in FIGURES else f"{cell:{width}}", look)
            line.append(" " * GAP)
    return line


def _row(port: Fields) -> list[Cell]:
    reading, session = table(port.get("reading")), table(port.get("session"))
    state, relay = shown_state(port), relay_of(port)
    stale = "dim" if is_stale(reading) else ""
    return [
        (str(port["port"]), "bold"),
        (state, COLOURS.get(state, "")),
        (relay, "green" if relay == "closed" else ""),
        (measured(reading, "power_w", 0), stale),
        (measured(reading, "current_a", 2), stale),
        (age_of(reading), stale),
        (number(session.get("energy_wh"), 0), ""),
        (clock(session.get("charging_s")), ""),
        (up_to(table(port.get("limits_in_force"))), ""),
    ]


def up_to(limits: Fields) -> str:
    """Return what ends a session at the latest: its energy, or its time."""
    energy = limits.get("energy_wh")
    return clock(limits.get("duration_s")) if energy is None else f"{number(energy, 0)}Wh"


def header(status: Fields) -> Text:
    """Return the lines above the table: gateway, broker, journal, boards."""
    mqtt = table(status.get("mqtt"))
    text = Text()
    text.append(f"{status.get('gateway')}", style="bold")
    text.append(f"  chargerd {status.get('version')}, up {clock(status.get('up_s'))}, ")
    if not mqtt:
        text.append("no broker configured")
    elif mqtt.get("connected"):
        text.append(f"broker {mqtt.get('broker')} connected", style="green")
    else:
        text.append(f"broker {mqtt.get('broker')} NOT connected", style="yellow")
    if status.get("draining"):
        text.append(
            "\nstops when the last session has ended; back in service: chargerctl drain --cancel", style="yellow"
        )
    _link_lines(text, mqtt)
    _journal_line(text, status)
    _configuration_lines(text, table(status.get("configuration")))
    _clock_line(text, table(status.get("clock")))
    _disk_line(text, table(status.get("disk")))
    for circuit in entries(status.get("circuits")):
        _circuit_line(text, circuit)
    for bus in entries(status.get("buses")):
        _bus_line(text, bus, entries(table(status.get("findings")).get(str(bus.get("bus")))))
    return text


def _link_lines(text: Text, mqtt: Fields) -> None:
    """Say why there is no connection to the broker, or what the broker cannot do; and what to do about either."""
    reason = table(mqtt.get("reason"))
    if reason and not mqtt.get("connected"):
        attempts = mqtt.get("attempts")
        tried = f", tried {attempts} times in {clock(mqtt.get('since_s'))}" if attempts not in {0, 1} else ""
        text.append(f"\n{reason.get('what')}{tried}; {reason.get('then')}", style="yellow")
        if reason.get("said"):
            text.append(f"\nthe broker says: {reason.get('said')}", style="yellow")
    for one in entries(mqtt.get("shortfalls")):
        text.append(f"\n{one.get('what')}; {one.get('then')}", style="yellow")


def _journal_line(text: Text, status: Fields) -> None:
    """Say what is wrong with the records: nothing is closed that cannot be written down."""
    if any("store_unavailable" in words(port.get("blocked_by")) for port in entries(status.get("ports"))):
        text.append("\njournal cannot be written, so no port may start; check the disk: df -h, dmesg", style="red")
    why_not = table(status.get("store")).get("why_not")
    if why_not:
        text.append(f"\n{why_not}", style="red")
    ledger = table(status.get("ledger"))
    last, acked = ledger.get("last"), ledger.get("acked")
    if status.get("mqtt") and isinstance(last, int) and isinstance(acked, int) and last > acked:
        wait = "1 record waits" if last - acked == 1 else f"{last - acked} records wait"
        text.append(f"\n{wait} for the backend's acknowledgement", style="yellow")


def _clock_line(text: Text, known: Fields) -> None:
    """Say what time it is, who vouches for that, and since when."""
    source = str(known.get("source"))
    if source in CLOCKS:
        what, style = CLOCKS[source]
        what, _, then = what.partition("; ")
        told = f"\nclock {known.get('at') or 'not set'}: {what}, for {clock(known.get('for_s'))}"
        told += f"; {then}" if then else ""
        text.append(told, style=style)


def _disk_line(text: Text, disk: Fields) -> None:
    """Say what is wrong with the disk, or how much room it has."""
    free = disk.get("free_bytes")
    if disk.get("why_not"):
        text.append(f"\ndisk {disk.get('folder')}: {disk['why_not']}; see dmesg", style="red")
    elif disk.get("read_only"):
        text.append(f"\ndisk {disk.get('folder')} is mounted read-only; see dmesg: it may be worn", style="red")
    elif isinstance(free, int | float):
        scarce = free < SCARCE
        more = "; look what fills it: du -xh / | sort -h | tail" if scarce else ""
        text.append(f"\ndisk {free / MEBI:.0f} MiB free{more}", style="yellow" if scarce else "dim")


def _configuration_lines(text: Text, configuration: Fields) -> None:
    """Say why the configuration's file is not what runs, or what of it is yet to come."""
    refused, path = entries(configuration.get("refused")), configuration.get("path")
    if refused:
        first = refused[0]
        where = f"{first['file']}:{first['line']}:{first['column']}" if first.get("line") else first["file"]
        text.append(f"\nconfiguration REFUSED: {where}: {first['what']}; {first['hint']}", style="bold red")
        runs = "the one that last started well" if configuration.get("from") == "kept" else "the one before"
        then = "" if "systemctl restart" in str(first["hint"]) else "; correct it, then: chargerctl reload"
        text.append(f"\n{runs} runs on{then}", style="red")
    waiting = words(configuration.get("waiting"))
    if waiting:
        changes = f"1 change of {path} waits" if len(waiting) == 1 else f"{len(waiting)} changes of {path} wait"
        text.append(f"\n{changes} for a restart; see: chargerctl reload --dry-run", style="yellow")
    elif configuration.get("file") == "differs":
        text.append(f"\n{path} has changed since; to use it: chargerctl reload", style="yellow")
    elif configuration.get("file") == "refused" and not refused:
        text.append(f"\n{path} cannot be read any more; see: chargerd check", style="yellow")


def _circuit_line(text: Text, circuit: Fields) -> None:
    """Say what holds a circuit open, and with it every port below; and that one is out of service."""
    for why, step in circuit_latches(circuit):
        text.append(f"\ncircuit {circuit.get('circuit')} is held open: {why}; then: {step}", style="red")
    lock, disabled = table(circuit.get("lock")), table(circuit.get("disabled"))
    if lock:
        said = f"\ncircuit {circuit.get('circuit')} is locked by {lock.get('by')}: {lock.get('reason')}"
        text.append(said, style="bold yellow")
    if disabled:
        text.append(
            f"\ncircuit {circuit.get('circuit')} is out of service: {disabled.get('reason')}", style="yellow"
        )


def circuit_latches(circuit: Fields) -> list[tuple[str, str]]:
    """Return for each latch of a circuit what set it, and what clears it."""
    found = []
    for latch in entries(circuit.get("latches")):
        function = str(latch.get("function"))
        reason = " --reason '...'" if latch.get("clearing") == "lock_out" else ""
        found.append((LATCHES.get(function, function), f"chargerctl reset {circuit.get('circuit')}{reason}"))
    return found


def _bus_line(text: Text, bus: Fields, findings: Sequence[Fields]) -> None:
    """Say what is wrong with a bus: what its findings say, if there are any."""
    lost = bus.get("boards_lost")
    for finding in findings:
        what, then = CAUSES.get(str(finding.get("cause")), (str(finding.get("cause")), "see chargerctl boards"))
        what = f"is there again; just before {what}" if is_back(bus, finding) else what
        who = ", ".join(words(finding.get("boards"))) or str(bus.get("line"))
        why = "" if finding.get("why") is None else f" ({finding['why']})"
        then = then.format(silence=finding.get("pre_silence_ms"))
        text.append(f"\nbus {bus.get('bus')}: {who}: {what}{why}; {then}", style="red")
    if findings:
        return
    if not bus.get("connected"):
        text.append(
            f"\nbus {bus.get('bus')}: {bus.get('line')} is not there; check adapter and cable", style="red"
        )
    elif isinstance(lost, list) and lost:
        names = ", ".join(str(board) for board in lost)
        text.append(f"\nbus {bus.get('bus')}: no answer from {names}", style="red")


def status_view(status: Fields, height: int | None = None) -> Group:
    """Return everything `status` shows, of ports as many as `height` lines hold, those first that matter."""
    head, ports, circuits = header(status), entries(status.get("ports")), entries(status.get("circuits"))
    room = len(ports) if height is None else max(1, height - head.plain.count("\n") - SPARE_LINES)
    if room >= len(ports):
        return Group(head, PortsTable(ports, circuits))
    quiet = [port for port in ports if port["state"] == "available" and not obstacles(port)]
    shown = ([port for port in ports if port not in quiet] + quiet)[:room]
    rest = f"and {len(ports) - room} more: chargerctl status"
    return Group(head, PortsTable([port for port in ports if port in shown], circuits), Text(rest, style="dim"))
