"""Explains ports and circuits to those who ask why: what holds each, what is kept free for whom, who waits."""

from collections.abc import Iterator, Mapping

from chargerd.core.circuits.circuit import SHED, Circuit
from chargerd.core.circuits.tree import ASTRAY
from chargerd.core.moment import Moment
from chargerd.core.plan import ADMIT, holder_of
from chargerd.core.port.claims import (
    disabled_claim,
    held_claim,
    latch_claim,
    lock_claim,
    moment_of,
    unguarded_claims,
)
from chargerd.core.port.port import Port, StationContext
from chargerd.core.port.waiting import claims_on, suspension_of
from chargerd.core.session import StopDetail
from chargerd.core.units import Amps, PortId, Watts, between
from chargerd.core.view import Allocation, CircuitExplained, CircuitView, Claim, PortExplained, Waiter


def explain_port(port: Port, now: Moment) -> PortExplained:
    """Return a port, all that holds it, and how long that may last."""
    return PortExplained(
        port=port.view(now),
        claims=claims_on(port, now),
        suspension=suspension_of(port, now),
        ending=None if port.ending is None else port.ending.reason,
    )


def explain_circuit(
    view: CircuitView, station: StationContext, ports: Mapping[PortId, Port], now: Moment
) -> CircuitExplained:
    """Return a circuit, all that holds it, what is kept free on it, and who waits for it."""
    circuit = station.circuits.get(view.id)
    assert circuit is not None
    below = [ports[name] for name in station.circuits.below(view.id)]
    return CircuitExplained(
        circuit=view,
        claims=tuple(_claims(circuit, station, below, now)),
        allocations=tuple(_allocations(station, below, now)),
        waiters=tuple(_waiters(station, below, now)),
        room_current=_room_current(circuit, now),
        room_power=_room_power(circuit, now),
    )


def _claims(circuit: Circuit, station: StationContext, below: list[Port], now: Moment) -> Iterator[Claim]:
    own, *above = station.circuits.chain(circuit.plan.id)
    for one in (own, *above):
        for latch in one.latches:
            yield latch_claim(latch, None, one)
        if one.held:
            yield held_claim(below[0], one, now)
        yield from unguarded_claims(one, now, None)
        lock = station.availability.lock_of(holder_of(one.plan.id))
        if lock is not None:
            yield lock_claim(lock, None)
        disabled = station.availability.of(holder_of(one.plan.id))
        if disabled is not None:
            yield disabled_claim(disabled, None)
    yield from _contactor(circuit, now)
    yield from _load(circuit, now)


def _contactor(circuit: Circuit, now: Moment) -> Iterator[Claim]:
    contactor = circuit.contactor
    if contactor is not None and contactor.relay.phase in ASTRAY and not contactor.relay.board_lost:
        since = moment_of(contactor.relay.told_open_at, now)
        yield Claim(what="contactor_moving", circuit=circuit.plan.id, boards=(contactor.plan.board,), since=since)


def _load(circuit: Circuit, now: Moment) -> Iterator[Claim]:
    share = circuit.share(circuit.load(now.instant))
    if share >= SHED:
        detail = StopDetail(function="circuit_overload", measured=share, limit=SHED)
        since = moment_of(circuit.over.since, now)
        yield Claim(what="circuit_overload", circuit=circuit.plan.id, detail=detail, since=since)
    meter = circuit.plan.meter
    if meter is not None and not circuit.feeder_fresh(now.instant):
        at = circuit.feeder.at
        age = None if at is None else between(at, now.instant)
        detail = StopDetail(function="feeder_stale", measured=age, unit="s")
        yield Claim(
            what="feeder_stale",
            circuit=circuit.plan.id,
            boards=(meter.board,),
            detail=detail,
            since=moment_of(at, now),
        )


def _allocations(station: StationContext, below: list[Port], now: Moment) -> Iterator[Allocation]:
    for port in below:
        share = station.circuits.share(port.id)
        if port.charge is None and not share.allocated_power and not share.allocated_current:
            continue
        yield Allocation(
            port=port.id,
            state=port.shown_state(),
            current=share.current,
            power=share.power,
            allocated_current=share.allocated_current,
            allocated_power=share.allocated_power,
            seen=not port.blind(now),
        )


def _waiters(station: StationContext, below: list[Port], now: Moment) -> Iterator[Waiter]:
    names = {port.id: port for port in below}
    for name in station.circuits.waiting():
        port = names.get(name)
        if port is None:
            continue
        full = station.circuits.full(name, port.limits, now.instant)
        until = port.step_until if port.step_until is not None else port.recover_until
        yield Waiter(
            port=name,
            current=port.limits.current,
            power=port.limits.power,
            full=tuple(one.plan.id for one in full),
            until=moment_of(until, now),
        )


def _room_current(circuit: Circuit, now: Moment) -> tuple[Amps, ...] | None:
    if circuit.plan.rating is None:
        return None
    most, promised = ADMIT * circuit.plan.rating, circuit.spoken_for(now.instant)
    return tuple(Amps(max(0.0, most - current)) for current in promised.currents)


def _room_power(circuit: Circuit, now: Moment) -> Watts | None:
    if circuit.plan.power is None:
        return None
    return Watts(max(0.0, ADMIT * circuit.plan.power - circuit.spoken_for(now.instant).power))
