"""From a checked site to its buses."""

from collections.abc import Callable, Mapping

from chargerd.config.budget.pacing import INPUTS_EVERY, THERMOMETERS_EVERY
from chargerd.config.document import BusSection
from chargerd.config.profiles.register_map import Quantity
from chargerd.config.site import Board, Channel, PortWiring, Site
from chargerd.core.clock import Clock
from chargerd.core.plan import PortPlan, contactor_of, mains_of
from chargerd.core.units import BoardId, CircuitId, PortId, Seconds
from chargerd.modbus.board import BoardOnBus, MeterBoard, RelayBoard, Wiring
from chargerd.modbus.bus import Bus, Emit
from chargerd.modbus.connector import connector
from chargerd.modbus.feeder import Feeder, InputBoard, Supply, ThermometerBoard, readings_of
from chargerd.modbus.identity import Identities
from chargerd.modbus.jobs import Kind, Poll, Reading
from chargerd.modbus.port_on_bus import PortOnBus
from chargerd.modbus.schedule import Schedule

KINDS = {
    Kind.CURRENT: Quantity.CURRENT,
    Kind.POWER: Quantity.POWER,
    Kind.VOLTAGE: Quantity.VOLTAGE,
    Kind.ENERGY: Quantity.ENERGY,
}


def build(site: Site, *, clock: Clock, emit: Emit, on_crash: Callable[[BaseException], None]) -> tuple[Bus, ...]:
    """Return one bus for each line of the site that has ports on it, not started yet."""
    used = _used(site)
    return tuple(
        _bus(name, section, site, clock, emit, on_crash) for name, section in site.buses.items() if name in used
    )


def _used(site: Site) -> set[str]:
    """Return the buses with anything on them that is read or written."""
    boards = {channel.board for port in site.ports for channel in (port.relay, port.meter)}
    boards |= {plan.board for plan in site.plan.inputs}
    boards |= {port.temperature.board for port in site.ports if port.temperature is not None}
    for circuit in site.plan.circuits:
        boards |= {part.board for part in (circuit.meter, circuit.contactor) if part is not None}
    return {site.boards[board].bus for board in boards}


def _contactors(site: Site) -> dict[PortId, Channel]:
    """Return the relays of contactors, under the names commands and events mean them by."""
    return {
        contactor_of(circuit.id): Channel(board=circuit.contactor.board, channel=circuit.contactor.channel)
        for circuit in site.plan.circuits
        if circuit.contactor is not None
    }


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
    circuits = {circuit.id: circuit for circuit in site.plan.circuits}
    wiring = {port.id: _wiring(port, boards) for port in ports}
    wiring |= {
        port: Wiring(relay=(channel.board, channel.channel), meter=None)
        for port, channel in _contactors(site).items()
        if channel.board in boards
    }
    supply = _supply(site, boards)
    schedule = Schedule(
        {port.id: _on_bus(port, plans[port.id], boards, mains_of(plans[port.id], circuits)) for port in ports},
        boards,
        [board.id for board in boards.values() if board.relay_ports],
        {
            board.id: Seconds(board.timing.min_period_ms / 1000)
            for board in boards.values()
            if board.timing.min_period_ms
        },
        supply.regulars,
        Identities(
            {
                board.id: (board.address, board.profile.identity)
                for board in site.boards.values()
                if board.bus == name
            }
        ),
    )
    return Bus(
        name=name,
        connect=connector(section, clock),
        boards=boards,
        wiring=wiring,
        schedule=schedule,
        supply=supply,
        clock=clock,
        emit=emit,
        on_crash=on_crash,
    )


def _supply(site: Site, boards: Mapping[BoardId, BoardOnBus]) -> Supply:
    """Return what one bus reads of inputs and circuits' meters."""
    inputs: dict[BoardId, InputBoard] = {}
    feeders: dict[CircuitId, Feeder] = {}
    regulars: list[Poll] = []
    for name in dict.fromkeys(plan.board for plan in site.plan.inputs):
        section = site.boards[name].profile.inputs
        if name in boards and section is not None:
            inputs[name] = InputBoard(site.boards[name].address, section)
            regulars.append(Poll(board=name, every=INPUTS_EVERY))
    for circuit in site.plan.circuits:
        board = None if circuit.meter is None else boards.get(circuit.meter.board)
        if circuit.meter is not None and board is not None and board.meter is not None:
            meter = site.boards[board.id].profile.meter
            assert meter is not None
            feeders[circuit.id] = Feeder(circuit.id, circuit.meter, board.meter)
            regulars += readings_of(circuit, meter)
    thermometers = _thermometers(site, boards)
    regulars += [Poll(board=name, every=THERMOMETERS_EVERY, thermometers=True) for name in thermometers]
    return Supply(inputs=inputs, feeders=feeders, regulars=tuple(regulars), thermometers=thermometers)


def _thermometers(site: Site, boards: Mapping[BoardId, BoardOnBus]) -> dict[BoardId, ThermometerBoard]:
    """Return the boards of one bus whose thermometers sit at sockets."""
    found: dict[BoardId, dict[PortId, int]] = {}
    for port in site.ports:
        if port.temperature is not None and port.temperature.board in boards:
            found.setdefault(port.temperature.board, {})[port.id] = port.temperature.channel
    return {
        name: ThermometerBoard(site.boards[name].address, section, ports)
        for name, ports in found.items()
        if (section := site.boards[name].profile.thermometers) is not None
    }


def _board(board: Board, site: Site) -> BoardOnBus:
    profile = board.profile
    relays = {port.id: port.relay for port in site.ports} | _contactors(site)
    return BoardOnBus(
        id=board.id,
        timing=profile.timing,
        relays=None if profile.relay is None else RelayBoard(board.address, profile.relay),
        meter=None if profile.meter is None else MeterBoard(board.address, profile.meter),
        relay_ports={place.channel: port for port, place in relays.items() if place.board == board.id},
    )


def _wiring(port: PortWiring, boards: Mapping[BoardId, BoardOnBus]) -> Wiring:
    return Wiring(
        relay=(port.relay.board, port.relay.channel) if port.relay.board in boards else None,
        meter=(port.meter.board, port.meter.channel) if port.meter.board in boards else None,
    )


def _on_bus(
    port: PortWiring, plan: PortPlan, boards: Mapping[BoardId, BoardOnBus], mains: tuple[str, str]
) -> PortOnBus:
    on_bus = PortOnBus(mains=mains, power_every=plan.meter.power_every)
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
