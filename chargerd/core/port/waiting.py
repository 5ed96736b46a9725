"""What holds a port in all: what a start would be refused for, and what the session under way waits for.

Nothing is decided here. What a suspended session waits for says `WAITS`, how far a start or an end is its step.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from chargerd.core.boards.relay import RelayPhase
from chargerd.core.circuits.tree import ASTRAY
from chargerd.core.commands import Code
from chargerd.core.moment import Moment
from chargerd.core.port.claims import (
    SAYS,
    Says,
    ahead_of,
    frozen_claim,
    full_claims,
    held_claim,
    moment_of,
    not_open_claim,
    unguarded_claims,
    voltage_claims,
)
from chargerd.core.port.port import Port
from chargerd.core.port.suspending import WAITS
from chargerd.core.session import StopDetail, StopReason
from chargerd.core.units import after
from chargerd.core.view import Claim, PortState, Suspension

LAST = (Code.BUSY, Code.NOT_YET_KNOWN)
"""Codes that say little beside any other."""


def claims_on(port: Port, now: Moment) -> tuple[Claim, ...]:
    """Return all that holds a port, in the order in which a start is refused for it, then what only waits."""
    codes = sorted(port.obstacles(now), key=LAST.__contains__)
    found = [claim for code in codes for claim in SAYS[code](port, now)]
    told = {(claim.what, claim.circuit) for claim in found}
    waits = (replace(claim, code=None) for claim in _of_session(port, now))
    return (*found, *(claim for claim in waits if (claim.what, claim.circuit) not in told))


def _of_session(port: Port, now: Moment) -> Iterator[Claim]:
    if port.state is PortState.SUSPENDED:
        for what, missing in WAITS.items():
            if missing(port, now):
                yield from WAITED.get(what, _plainly(what))(port, now)
    elif port.state is PortState.QUEUED:
        yield Claim(what="queued", since=port.since, until=moment_of(port.step_until, now), ports=ahead_of(port))
    elif port.state is PortState.STARTING:
        yield Claim(what=f"step_{port.step.value}", since=port.since, until=moment_of(port.step_until, now))
    elif port.state is PortState.STOPPING:
        yield from _ending(port, now)


def _ending(port: Port, now: Moment) -> Iterator[Claim]:
    if port.load_seen(now):
        limit = port.plan.protection.weld_current
        detail = StopDetail(function="current_seen", measured=port.seen.current, limit=limit, unit="a")
        yield Claim(what="current_seen", detail=detail, since=port.since)
    if port.relay.phase is not RelayPhase.OPEN:
        yield not_open_claim(port, now, None)
    else:
        until = moment_of(port.step_until, now)
        yield Claim(what="register", boards=(port.plan.meter.board,), since=port.since, until=until)


def _plainly(what: str) -> Says:
    def say(_port: Port, _now: Moment) -> Iterator[Claim]:
        yield Claim(what=what)

    return say


def _wait_relay(port: Port, now: Moment) -> Iterator[Claim]:
    yield not_open_claim(port, now, None)


def _wait_board(port: Port, now: Moment) -> Iterator[Claim]:
    since = moment_of(port.relay.lost_at, now)
    yield Claim(what="board_lost", boards=(port.plan.relay.board,), since=since)


def _wait_readings(port: Port, now: Moment) -> Iterator[Claim]:
    since = moment_of(port.seen.current_at, now)
    yield Claim(what="readings", boards=(port.plan.meter.board,), since=since)


def _wait_frozen(port: Port, _now: Moment) -> Iterator[Claim]:
    yield frozen_claim(port, None)


def _wait_settling(port: Port, now: Moment) -> Iterator[Claim]:
    mains, protection = port.mains, port.plan.protection
    under = port.suspended_for is StopReason.UNDERVOLTAGE
    detail = StopDetail(
        function="voltage_settling",
        measured=mains.low if under else mains.high,
        limit=protection.undervoltage if under else protection.overvoltage,
        unit="v",
    )
    since, until = moment_of(mains.back_since, now), moment_of(mains.steady_at(), now)
    yield Claim(what="voltage_settling", detail=detail, since=since, until=until)


def _wait_rest(port: Port, now: Moment) -> Iterator[Claim]:
    assert port.suspended_at is not None
    until = after(port.suspended_at, port.plan.protection.shed_wait)
    yield Claim(what="shed_wait", since=moment_of(port.suspended_at, now), until=moment_of(until, now))


def _wait_circuit(port: Port, now: Moment) -> Iterator[Claim]:
    # No latch: it ends the session.
    for circuit in port.circuits.place(port.id).above:
        if circuit.held:
            yield held_claim(port, circuit, now)
        yield from unguarded_claims(circuit, now, None)


def _wait_contactor(port: Port, now: Moment) -> Iterator[Claim]:
    for circuit in port.circuits.place(port.id).above:
        contactor = circuit.contactor
        if contactor is not None and contactor.relay.phase in ASTRAY:
            since = moment_of(contactor.relay.told_open_at, now)
            yield Claim(
                what="contactor_moving", circuit=circuit.plan.id, boards=(contactor.plan.board,), since=since
            )


def _wait_turn(port: Port, now: Moment) -> Iterator[Claim]:
    yield Claim(what="turn", until=moment_of(port.return_at, now))


WAITED: Mapping[str, Says] = {
    "relay_not_open": _wait_relay,
    "board_lost": _wait_board,
    "readings": _wait_readings,
    "meter_frozen": _wait_frozen,
    "voltage": voltage_claims,
    "voltage_settling": _wait_settling,
    "shed_wait": _wait_rest,
    "circuit_held": _wait_circuit,
    "contactor_moving": _wait_contactor,
    "circuit_full": full_claims,
    "turn": _wait_turn,
}
"""What stands behind what a suspended session waits for; what is not listed has no more to say than its name."""


def suspension_of(port: Port, now: Moment) -> Suspension | None:
    """Return how long the suspension under way may last; `None` without one."""
    if port.state is not PortState.SUSPENDED:
        return None
    session, protection = port.session, port.plan.protection
    ends = [one for one in (session.suspended_too_long_at(), port.recover_until) if one is not None]
    until = moment_of(min(ends), now)
    since = moment_of(port.suspended_at, now)
    assert until is not None
    assert since is not None
    shed = port.suspended_for is StopReason.CIRCUIT_OVERLOAD
    return Suspension(
        by=session.suspended_by,
        since=since,
        until=until,
        times=session.sheds(now) if shed else session.faults(now),
        most=protection.shed_times if shed else protection.suspend_times,
    )
