"""What stands behind each code for which a start would be refused, with the figures by which it does.

Nothing is decided here. Which codes hold says `Port.obstacles`; this tells why, from the objects that it asks.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from chargerd.core.boards.relay import RelayPhase
from chargerd.core.circuits.circuit import Circuit, Sum, on
from chargerd.core.commands import Code
from chargerd.core.metering.seen import IDLE_STALE_AFTER
from chargerd.core.metering.thermal import START_BELOW, TAU
from chargerd.core.moment import Moment
from chargerd.core.plan import ADMIT, circuit_of, locked_by
from chargerd.core.port.latching import out_of_control
from chargerd.core.port.port import Port, Step
from chargerd.core.session import Clearing, Disabled, Latch, StopDetail
from chargerd.core.units import BoardId, Instant, PortId, Seconds, after, between
from chargerd.core.view import Claim

Says = Callable[[Port, Moment], Iterator[Claim]]


def moment_of(instant: Instant | None, now: Moment) -> Moment | None:
    """Return an instant of this boot as a moment, by the clock as it is now."""
    if instant is None:
        return None
    wall = None if now.wall_ms is None else now.wall_ms - round(between(instant, now.instant) * 1000)
    return replace(now, instant=instant, wall_ms=wall)


# Why a start would be refused


def latch_claim(latch: Latch, code: Code | None, circuit: Circuit | None = None) -> Claim:
    """Return what a latch, of a port or of a circuit, holds by."""
    return Claim(
        what=latch.function,
        code=code,
        detail=latch.detail,
        since=latch.since,
        clearing=latch.clearing,
        circuit=None if circuit is None else circuit.plan.id,
    )


def _locked_out(port: Port, now: Moment) -> Iterator[Claim]:
    for latch in port.latches:
        if latch.clearing is Clearing.LOCK_OUT:
            yield latch_claim(latch, Code.LOCKED_OUT)
    for circuit in port.circuits.place(port.id).above:
        if circuit.held:
            yield held_claim(port, circuit, now)


def held_claim(port: Port, circuit: Circuit, now: Moment) -> Claim:
    """Return that a circuit's contactor stays open for relays below that are out of control."""
    below = (port.station.ports[name] for name in port.circuits.below(circuit.plan.id))
    culprits = tuple(one.id for one in below if out_of_control(one, now))
    return Claim(what="relay_out_of_control", code=Code.LOCKED_OUT, circuit=circuit.plan.id, ports=culprits)


def _latched(port: Port, _now: Moment) -> Iterator[Claim]:
    for latch in port.latches:
        if latch.clearing is not Clearing.LOCK_OUT:
            yield latch_claim(latch, Code.LATCHED)
    for circuit in port.circuits.place(port.id).above:
        for latch in circuit.latches:
            yield latch_claim(latch, Code.LATCHED, circuit)
    if port.id in port.station.suspects and not any(one.function == "wiring_suspect" for one in port.latches):
        others = tuple(sorted(port.station.suspects - {port.id}))
        yield Claim(what="wiring_suspect", code=Code.LATCHED, ports=others)


def _busy(port: Port, _now: Moment) -> Iterator[Claim]:
    yield Claim(what="busy", code=Code.BUSY, since=port.session.started, session=port.session.order.session)


def _disabled(port: Port, _now: Moment) -> Iterator[Claim]:
    if port.station.draining:
        yield Claim(what="draining", code=Code.DISABLED)
    if port.station.leaving:
        yield Claim(what="leaving", code=Code.DISABLED)
    disabled = port.disabled()
    if disabled is not None:
        yield disabled_claim(disabled, Code.DISABLED)


def disabled_claim(disabled: Disabled, code: Code | None) -> Claim:
    """Return why a port or a circuit is out of service."""
    return Claim(
        what="disabled",
        code=code,
        since=disabled.since,
        source=disabled.source,
        reason=disabled.reason,
        circuit=circuit_of(disabled.holder),
    )


def _locked(port: Port, _now: Moment) -> Iterator[Claim]:
    lock = port.locked()
    assert lock is not None
    yield lock_claim(lock, Code.LOCKED)


def lock_claim(lock: Disabled, code: Code | None) -> Claim:
    """Return whose lock hangs on a port or a circuit, and why."""
    return Claim(
        what="locked",
        code=code,
        since=lock.since,
        source=lock.source,
        reason=f"{lock.by}: {lock.reason}",
        circuit=circuit_of(locked_by(lock.holder)),
    )


def _reserved(port: Port, now: Moment) -> Iterator[Claim]:
    kept = port.kept(now)
    assert kept is not None
    yield Claim(what="reserved", code=Code.RESERVED, since=kept.since, until=kept.until, session=kept.session)


def _proving(port: Port, now: Moment) -> Iterator[Claim]:
    held = port.proof
    assert held is not None
    yield Claim(what="proving", code=Code.PROVING, reason=held.proof, until=moment_of(held.until, now))


def _line_changed(port: Port, _now: Moment) -> Iterator[Claim]:
    for line, boards in port.station.lines.changed_boards.items():
        if port.id in port.station.lines.ports_on(line):
            yield Claim(what="line_changed", code=Code.LINE_CHANGED, lines=(line,), boards=boards)


def _board_lost(port: Port, now: Moment) -> Iterator[Claim]:
    relay, code = port.relay, Code.BOARD_LOST
    if relay.board_lost:
        since = moment_of(relay.lost_at, now)
        yield Claim(what="board_lost", code=code, boards=(port.plan.relay.board,), since=since)
    elif port.at_rest and relay.known and relay.phase is not RelayPhase.OPEN:
        yield not_open_claim(port, now, code)
    if not port.circuits.unread(port.id):
        yield from _unguarded(port, now, code)


def not_open_claim(port: Port, now: Moment, code: Code | None) -> Claim:
    """Return that a relay that is to be open is not read back open."""
    since = moment_of(port.relay.told_open_at, now)
    return Claim(what="relay_not_open", code=code, boards=(port.plan.relay.board,), since=since)


def _unguarded(port: Port, now: Moment, code: Code | None) -> Iterator[Claim]:
    for circuit in port.circuits.place(port.id).above:
        yield from unguarded_claims(circuit, now, code)


def unguarded_claims(circuit: Circuit, now: Moment, code: Code | None) -> Iterator[Claim]:
    """Yield what is missing of a circuit's inputs and of its contactor's board."""
    if circuit.unguarded:
        yield Claim(what="input_board_lost", code=code, circuit=circuit.plan.id, boards=circuit.unguarded)
    contactor = circuit.contactor
    if contactor is not None and contactor.relay.board_lost:
        since = moment_of(contactor.relay.lost_at, now)
        yield Claim(
            what="contactor_board_lost",
            code=code,
            circuit=circuit.plan.id,
            boards=(contactor.plan.board,),
            since=since,
        )


def _meter_stale(port: Port, now: Moment) -> Iterator[Claim]:
    seen, meter = port.seen, (port.plan.meter.board,)
    if port.meter_known and not seen.alive(now.instant):
        age = None if seen.current_at is None else between(seen.current_at, now.instant)
        detail = StopDetail(function="meter_stale", measured=age, limit=IDLE_STALE_AFTER, unit="s")
        since = moment_of(seen.current_at, now)
        yield Claim(what="meter_stale", code=Code.METER_STALE, boards=meter, detail=detail, since=since)
    if port.frozen.dead:
        yield frozen_claim(port, Code.METER_STALE)


def frozen_claim(port: Port, code: Code | None) -> Claim:
    """Return that a meter answers and does not measure."""
    detail = port.frozen.finding or port.frozen.still
    return Claim(what="meter_frozen", code=code, boards=(port.plan.meter.board,), detail=detail)


def _store(port: Port, _now: Moment) -> Iterator[Claim]:
    yield Claim(what="store_unavailable", code=Code.STORE_UNAVAILABLE, since=port.station.store_changed)


def _thermal(port: Port, now: Moment) -> Iterator[Claim]:
    theta = port.thermal.theta(now.instant)
    if theta > START_BELOW:
        cools = after(now.instant, Seconds(TAU * math.log(theta / START_BELOW)))
        detail = StopDetail(function="overcurrent_thermal", measured=theta, limit=START_BELOW)
        yield Claim(what="thermal", code=Code.THERMAL, detail=detail, until=moment_of(cools, now))
    if port.heat.warm(now.instant):
        limit = port.plan.protection.temperature_warn
        detail = StopDetail(function="port_temperature", measured=port.heat.celsius, limit=limit, unit="c")
        yield Claim(what="socket_warm", code=Code.THERMAL, detail=detail)


def voltage_claims(port: Port, now: Moment) -> Iterator[Claim]:
    """Yield by how much the voltage is out of its band."""
    mains, protection = port.mains, port.plan.protection
    over = mains.over.readings > 0
    what, measured, limit, pickup = (
        ("overvoltage", mains.high, protection.overvoltage, mains.over)
        if over
        else ("undervoltage", mains.low, protection.undervoltage, mains.under)
    )
    detail = StopDetail(function=what, measured=measured, limit=limit, unit="v")
    yield Claim(what="voltage", code=Code.VOLTAGE, detail=detail, since=moment_of(pickup.since, now))


def full_claims(port: Port, now: Moment) -> Iterator[Claim]:
    """Yield the circuits that have no room for it, or who has waited for longer."""
    full = port.circuits.full(port.id, port.limits, now.instant)
    wanted = on(port.circuits.place(port.id).phase, port.limits.current, port.limits.power)
    for circuit in full:
        detail = room_detail(circuit, wanted, now)
        yield Claim(what="circuit_full", code=Code.CIRCUIT_FULL, circuit=circuit.plan.id, detail=detail)
    if not full:
        yield Claim(what="others_first", code=Code.CIRCUIT_FULL, ports=ahead_of(port))


def room_detail(circuit: Circuit, wanted: Sum, now: Moment) -> StopDetail:
    """Return what would be promised of a circuit together with what is wanted, and what may be."""
    together = circuit.spoken_for(now.instant).plus(wanted)
    rating, power = circuit.plan.rating, circuit.plan.power
    by_power = power is not None and (rating is None or together.power / power > max(together.currents) / rating)
    if by_power and power is not None:
        return StopDetail(function="circuit_full", measured=together.power, limit=ADMIT * power, unit="w")
    most = None if rating is None else ADMIT * rating
    return StopDetail(function="circuit_full", measured=max(together.currents), limit=most, unit="a")


def ahead_of(port: Port) -> tuple[PortId, ...]:
    """Return who waits for circuits for longer than a port."""
    waiting = port.circuits.waiting()
    return waiting[: waiting.index(port.id)] if port.id in waiting else waiting


def _not_yet_known(port: Port, now: Moment) -> Iterator[Claim]:
    boards: list[BoardId] = []
    if not (port.relay.known or port.relay.board_lost):
        boards.append(port.plan.relay.board)
    if not port.meter_known:
        boards.append(port.plan.meter.board)
    beside = (port.station.ports[name] for name in port.circuits.beside(port.id))
    others = tuple(one.id for one in beside if not (one.relay.known or one.relay.board_lost))
    yield Claim(
        what="not_yet_known",
        code=Code.NOT_YET_KNOWN,
        boards=tuple(dict.fromkeys(boards)),
        ports=tuple(name for name in others if name != port.id) if port.finds_no_room(now) else (),
        lines=port.station.lines.pending_on(port.id),
        until=moment_of(port.step_until, now) if port.step is Step.KNOWN else None,
    )


SAYS: Mapping[Code, Says] = {
    Code.LOCKED: _locked,
    Code.LOCKED_OUT: _locked_out,
    Code.LATCHED: _latched,
    Code.BUSY: _busy,
    Code.DISABLED: _disabled,
    Code.RESERVED: _reserved,
    Code.PROVING: _proving,
    Code.LINE_CHANGED: _line_changed,
    Code.BOARD_LOST: _board_lost,
    Code.METER_STALE: _meter_stale,
    Code.STORE_UNAVAILABLE: _store,
    Code.THERMAL: _thermal,
    Code.VOLTAGE: voltage_claims,
    Code.CIRCUIT_FULL: full_claims,
    Code.NOT_YET_KNOWN: _not_yet_known,
}
"""What stands behind each code that `Port.obstacles` may name."""
