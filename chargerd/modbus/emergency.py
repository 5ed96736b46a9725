"""The last resort: open every relay from a list of ready-made frames, with nothing else of the daemon alive.

The daemon writes the list at every start; systemd has it sent after the daemon has ended, whatever it died of.
"""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from chargerd.config.document import BusSection
from chargerd.config.site import Site
from chargerd.core.clock import Clock
from chargerd.core.events import FaultKind
from chargerd.core.plan import contactor_of
from chargerd.core.units import PortId, Seconds
from chargerd.modbus.board import RelayBoard
from chargerd.modbus.build import connector
from chargerd.modbus.frames import Request
from chargerd.modbus.lines import LineGone
from chargerd.modbus.wire import Answered, Counters, Failed, Wire

RELAYS_FILE = "relays.json"
TRIES = 3
SILENT_AFTER = 2
"""Timeouts in a row after which a board's other relays wait for the next try."""
RETRY_AFTER = Seconds(0.5)
"""How long to wait before the next try: a line just given up by its last user may take a moment to be free."""


class Opening(BaseModel):
    """One relay: what to send to open it, as the PDU in hexadecimal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: str
    unit: int
    pdu: str
    timeout_s: float


class Line(BaseModel):
    """One bus and its relays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bus: BusSection
    relays: tuple[Opening, ...]


class RelaysFile(BaseModel):
    """All relays of a site."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lines: tuple[Line, ...]


def write_relays_file(site: Site, path: Path) -> None:
    """Write the list of a site's relays, replacing an older one in one step."""
    lines = []
    for name, section in site.buses.items():
        relays = tuple(_openings(site, name))
        if relays:
            lines.append(Line(bus=section, relays=relays))
    new = path.with_suffix(".new")
    with new.open("w", encoding="utf-8") as file:
        file.write(RelaysFile(lines=tuple(lines)).model_dump_json(indent=1))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _openings(site: Site, bus: str) -> Sequence[Opening]:
    found = []
    relays = [(port.id, port.relay.board, port.relay.channel) for port in site.ports]
    # Contactors last: relays open the smaller currents.
    relays += [
        (contactor_of(circuit.id), circuit.contactor.board, circuit.contactor.channel)
        for circuit in site.plan.circuits
        if circuit.contactor is not None
    ]
    for port, name, channel in relays:
        board = site.boards[name]
        if board.bus != bus or board.profile.relay is None:
            continue
        request = RelayBoard(board.address, board.profile.relay).open(channel)
        timeout = board.profile.timing.timeout_ms / 1000
        found.append(Opening(port=port, unit=board.address, pdu=request.pdu.hex(), timeout_s=timeout))
    return found


def open_relays(path: Path, clock: Clock) -> tuple[PortId, ...]:
    """Open every relay in the list; returns ports whose board did not confirm. Raises `OSError`, `ValueError`."""
    try:
        relays = RelaysFile.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise ValueError(f"{path} is no list of relays: {error.errors()[0]['msg']}") from error
    # All lines at once: a dead one must not keep the others waiting.
    with ThreadPoolExecutor(max_workers=max(1, len(relays.lines))) as pool:
        left = pool.map(lambda line: _open_line(line, clock), relays.lines)
    return tuple(port for ports in left for port in ports)


def _open_line(line: Line, clock: Clock) -> list[PortId]:
    left = list(line.relays)
    for number in range(TRIES):
        if number:
            clock.sleep(RETRY_AFTER)
        try:
            wire = connector(line.bus, clock)(Counters())
        except LineGone:
            continue
        try:
            left = _open_once(wire, left)
        except LineGone:
            continue
        finally:
            wire.close()
        if not left:
            break
    return [PortId(opening.port) for opening in left]


def _open_once(wire: Wire, relays: Sequence[Opening]) -> list[Opening]:
    """Go through the relays once, trying no further ones of a board that is silent. Returns what is left.

    Those that were not tried come first: one relay a board says nothing to must not keep the others closed. A
    wrong or refusing answer is no silence, nor is a single lost frame.
    """
    failed: list[Opening] = []
    untried: list[Opening] = []
    silences: Counter[int] = Counter()
    for opening in relays:
        if silences[opening.unit] >= SILENT_AFTER:
            untried.append(opening)
            continue
        result = _open(wire, opening)
        timed_out = isinstance(result, Failed) and result.kind is FaultKind.TIMEOUT
        silences[opening.unit] = silences[opening.unit] + 1 if timed_out else 0
        if isinstance(result, Failed):
            failed.append(opening)
    return untried + failed


def _open(wire: Wire, opening: Opening) -> Answered | Failed:
    pdu = bytes.fromhex(opening.pdu)
    request = Request(unit=opening.unit, pdu=pdu, reply_size=len(pdu), echo=pdu)
    return wire.transact(request, Seconds(opening.timeout_s), urgent=True)
