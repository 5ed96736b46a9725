"""From a checked site to its buses."""

from collections.abc import Callable, Mapping

from chargerd.config.document import BusSection
from chargerd.config.profiles import Parity, Quantity
from chargerd.config.site import Board, PortWiring, Site
from chargerd.core.clock import Clock
from chargerd.core.plan import PortPlan
from chargerd.core.units import BoardId, PortId, Seconds
from chargerd.modbus.board import BoardOnBus, MeterBoard, RelayBoard, Wiring
from chargerd.modbus.bus import Bus, Emit
from chargerd.modbus.lines import SerialLine, SocketLine
from chargerd.modbus.schedule import Kind, PortOnBus, Reading, Schedule
from chargerd.modbus.wire import Counters, RtuWire, TcpWire, Wire

KINDS = {
    Kind.CURRENT: Quantity.CURRENT,
    Kind.POWER: Quantity.POWER,
    Kind.VOLTAGE: Quantity.VOLTAGE,
    Kind.ENERGY: Quantity.ENERGY,
}


def build(site: Site, *, clock: Clock, emit: Emit, on_crash: Callable[[BaseException], None]) -> tuple[Bus, ...]:
    """Return one bus for each line of the site that has ports on it, not started yet."""
    return tuple(
        _bus(name, section, site, clock, emit, on_crash)
        for name, section in site.buses.items()
        if site.ports_of(name)
    )


def _bus(
    name: str,
    section: BusSection,
    site: Site,
    clock: Clock,
    emit: Emit,
    on_crash: Callable[[BaseException], None],
) -> Bus:
    boards = {board.id: _board(board, site) for board in site.boards.values() if board.bus == name}
    ports = site.ports_of(name)
    plans = {port.id: port for port in site.plan.ports}
    wiring = {port.id: _wiring(port, boards) for port in ports}
    schedule = Schedule(
        {port.id: _on_bus(port, plans[port.id], boards) for port in ports},
        boards,
        [board.id for board in boards.values() if board.relay_ports],
        {
            board.id: Seconds(board.timing.min_period_ms / 1000)
            for board in boards.values()
            if board.timing.min_period_ms
        },
    )
    return Bus(
        name=name,
        connect=connector(section, clock),
        boards=boards,
        wiring=wiring,
        schedule=schedule,
        clock=clock,
        emit=emit,
        on_crash=on_crash,
    )


def connector(section: BusSection, clock: Clock) -> Callable[[Counters], Wire]:
    """Return what opens the line; it raises `LineGone` while that is not to be had."""
    # Start bit, eight data bits, parity and stop bits.
    bits = 9 + section.stopbits + (section.parity is not Parity.NONE)

    def connect(counters: Counters) -> Wire:
        if section.tcp is not None:
            return TcpWire(SocketLine(section.tcp), clock, counters=counters)
        line = SerialLine(section) if section.rtu_over_tcp is None else SocketLine(section.rtu_over_tcp)
        return RtuWire(line, clock, baudrate=section.baudrate, character_bits=bits, counters=counters)

    return connect


def _board(board: Board, site: Site) -> BoardOnBus:
    profile = board.profile
    return BoardOnBus(
        id=board.id,
        timing=profile.timing,
        relays=None if profile.relay is None else RelayBoard(board.address, profile.relay),
        meter=None if profile.meter is None else MeterBoard(board.address, profile.meter),
        relay_ports={port.relay.channel: port.id for port in site.ports if port.relay.board == board.id},
    )


def _wiring(port: PortWiring, boards: Mapping[BoardId, BoardOnBus]) -> Wiring:
    return Wiring(
        relay=(port.relay.board, port.relay.channel) if port.relay.board in boards else None,
        meter=(port.meter.board, port.meter.channel) if port.meter.board in boards else None,
    )


def _on_bus(port: PortWiring, plan: PortPlan, boards: Mapping[BoardId, BoardOnBus]) -> PortOnBus:
    on_bus = PortOnBus(circuit=port.circuit, power_every=plan.meter.power_every)
    board = boards.get(port.meter.board)
    if board is None or board.meter is None:
        return on_bus
    for kind, quantity in KINDS.items():
        if board.meter.has(quantity):
            on_bus.readings[kind] = Reading(
                port=PortId(port.id),
                board=port.meter.board,
                channel=port.meter.channel,
                kind=kind,
                block=board.meter.block_of(quantity),
                refresh=plan.meter.refresh,
            )
    return on_bus
