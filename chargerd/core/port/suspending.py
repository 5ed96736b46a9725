"""A port's suspension: its relay open, its session waiting for a reason to go away, and its return."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from chargerd.core.boards.relay import RelayPhase
from chargerd.core.commands import Checkpoint, Pace, SetPace
from chargerd.core.events import Event
from chargerd.core.facts import (
    SessionSuspended,
)
from chargerd.core.metering.pickup import reached
from chargerd.core.metering.thermal import cooled
from chargerd.core.moment import Moment, passed
from chargerd.core.plan import exceeds
from chargerd.core.port.charge import OUTAGE, Charge, interrupted_by
from chargerd.core.port.ending import count_open, end, stop_charging
from chargerd.core.port.port import Port
from chargerd.core.port.resuming import PROOF_WITHIN, Outlook, outlook
from chargerd.core.port.starting import begin_sequence, ready
from chargerd.core.protection.function import Result
from chargerd.core.session import SessionRecord, StopDetail, StopReason, ThermalState, Waits
from chargerd.core.units import Seconds, after, between
from chargerd.core.view import PortState

OUTAGES = frozenset(
    {
        StopReason.METER_LOST,
        StopReason.BOARD_LOST,
        StopReason.UNDERVOLTAGE,
        StopReason.POWER_LOSS,
        StopReason.RESTART,
    }
)
"""What an outage of the mains looks like from here: a gateway that saves itself is stopped in order, too."""
LEAST_PATIENCE = Seconds(10.0)
"""What a session that waited for its meter before a restart has after it, at least: a start takes seconds."""
VOLTAGES = frozenset({StopReason.OVERVOLTAGE, StopReason.UNDERVOLTAGE})
"""What the voltage has suspended waits for the voltage, as long as any session may be suspended."""
TOGETHER = Seconds(10.0)
"""Sessions that were interrupted no further apart were interrupted by one thing."""


def goes_on_together(port: Port, event: Event, now: Moment) -> bool:
    """Hold if the session could go on, but others that were interrupted with it could as well."""
    return not port.spread and recovered(port, event, now) and interrupted_together(port)


def turn_to_return(port: Port, _event: Event, now: Moment) -> bool:
    """Hold when the instant has come from which a session may go on that was interrupted with others."""
    return reached(port.return_at, now.instant)


def charged(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if the session has charged before; one that has not is not suspended, its start has failed."""
    return port.session.charged


def charged_judged(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a function wants to suspend a session that has charged before."""
    return charged(port, event, now) and port.judged(now, Result.SUSPEND)


def suspended_too_often(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the session has been suspended for faults as often within the hour as it may."""
    return port.session.faults(now) >= port.plan.protection.suspend_times


def too_often_by_circuit(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a circuit has suspended it as often as it may: more often for want of room than for faults."""
    assert port.intervention is not None
    if port.intervention.reason is StopReason.CIRCUIT_OVERLOAD:
        return port.session.sheds(now) >= port.plan.protection.shed_times
    return suspended_too_often(port, event, now)


def too_often_judged(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a function wants to suspend once more than allowed."""
    return port.judged(now, Result.SUSPEND) and suspended_too_often(port, event, now)


def suspended_too_long(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the session has been suspended for as long as it may."""
    return reached(port.session.suspended_too_long_at(), now.instant)


def not_recovered(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the reason for the suspension has not gone away in time."""
    return reached(port.recover_until, now.instant)


def recovered(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if nothing is wrong any more, its circuits have room, and it is its turn."""
    return not any(missing(port, now) for missing in WAITS.values())


def restored(port: Port, now: Moment) -> bool:
    """Say whether the relay is open, its board there, and two readings agree: good news needs two."""
    return not any(missing(port, now) for missing in OWN_WAITS.values())


def no_room_yet(port: Port, event: Event, now: Moment) -> bool:
    """Hold if only others of its circuits keep the session from going on: they have to settle down first."""
    waits = port.id in port.circuits.waiting() and port.circuits.allow(port.id)
    return not_recovered(port, event, now) and waits and restored(port, now)


def on_another_line(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a session, whose outage was short, would end because its line is another one."""
    proved = port.session.kept is None
    return not_recovered(port, event, now) and proved and port.station.lines.changed(port.id)


def outage_proved(port: Port, _event: Event, now: Moment) -> bool:
    """Hold once it is proved that the outage which has interrupted the session was short."""
    return port.session.kept is not None and outlook_of(port, now) is Outlook.GOES_ON


def outage_too_long(port: Port, _event: Event, now: Moment) -> bool:
    """Hold once it is proved that it was not."""
    return outlook_of(port, now) is Outlook.OVER


def suspend_by_circuit(port: Port, now: Moment) -> None:
    """Open and wait, as a circuit demands."""
    assert port.intervention is not None
    suspend(port, port.intervention.reason, port.intervention.detail, now, patience=port.intervention.patience)


def spread(port: Port, now: Moment) -> None:
    """Loads that come back together come back one after the other, in random order."""
    assert port.suspended_at is not None
    pause = port.circuits.return_after(port.id, port.suspended_at)
    port.return_at, port.spread = after(now.instant, pause), True
    port.recover_until = None


def return_in_turn(port: Port, now: Moment) -> None:
    """The instant has come from which the session may go on: the next reading lets it."""
    port.return_at = None
    port.recover_until = after(now.instant, port.plan.protection.recover_within)


def wait_on_for_more(port: Port, now: Moment) -> None:
    """A session waits on for its circuits, or for its line, for as long as it may be suspended at all."""
    port.recover_until = after(now.instant, port.plan.protection.recover_within)


def suspend_by_verdict(port: Port, now: Moment) -> None:
    """Open at once and wait for the verdict's reason to go away."""
    assert port.verdict is not None
    reason = port.verdict.reason
    patience = None if reason in VOLTAGES else port.plan.protection.recover_within
    suspend(port, reason, port.verdict.detail, now, patience=patience)


def suspend_board_lost(port: Port, now: Moment) -> None:
    """Open at once: the board has not confirmed a write for as long as its lease lasts."""
    patience = port.plan.protection.recover_within
    suspend(port, StopReason.BOARD_LOST, StopDetail(function="relay_board_lost"), now, patience=patience)


def end_suspended_too_long(port: Port, now: Moment) -> None:
    """End a session that has been suspended too often or too long."""
    protection = port.plan.protection
    detail = StopDetail(
        function="suspended_too_long",
        measured=port.session.suspended_at(now.instant),
        limit=protection.suspend_total,
        unit="s",
    )
    end(port, outlasted(port, now), detail, now)


def end_not_recovered(port: Port, now: Moment) -> None:
    """End a session for the reason that had suspended it."""
    assert port.suspended_for is not None
    limit = port.plan.protection.recover_within
    detail = StopDetail(function="not_recovered", measured=limit, limit=limit, unit="s")
    dark = port.suspended_for is StopReason.METER_LOST and alone_in_the_dark(port, now)
    end(port, StopReason.POWER_LOSS if dark else port.suspended_for, detail, now)


def end_by_outage(port: Port, now: Moment) -> None:
    """A session that an outage has interrupted does not go on: it ended with its last record."""
    kept = port.session.kept
    assert kept is not None
    end(port, interrupted_by(kept), StopDetail(function="interrupted"), now)


# Before a restart


def suspend_by_restart(port: Port, now: Moment) -> None:
    """Open and wait: the daemon leaves, and another one comes."""
    port.session.waits = Waits(reason=StopReason.RESTART, patience=port.plan.protection.recover_within)
    suspend(port, StopReason.RESTART, StopDetail(function=StopReason.RESTART.value), now)


def wait_through(port: Port, now: Moment) -> None:
    """A session that waits already goes on waiting for the same, and for no longer than it would have."""
    assert port.suspended_for is not None
    left = port.plan.protection.recover_within if port.return_at is not None else None
    if port.recover_until is not None:
        left = between(now.instant, port.recover_until)
    opened = port.relay.phase is RelayPhase.OPEN
    port.session.waits = Waits(reason=port.suspended_for, patience=left, opened=opened)
    port.out.do(Checkpoint(records=(port.record(now),)))


def opened(port: Port, now: Moment) -> None:
    """Its relay is open; what a restart interrupts is written down as of then."""
    count_open(port, now)
    if port.session.waits is not None:
        port.session.waits = replace(port.session.waits, opened=True)
        port.out.do(Checkpoint(records=(port.record(now),)))


# After an outage of the gateway, or a restart


def take_up_warmth(port: Port, warmth: ThermalState, now: Moment) -> None:
    """Take up a wire's thermal image where the journal left it."""
    theta = cooled(warmth.theta, passed(warmth.at, now))
    port.thermal.restore(max(theta, port.thermal.theta(now.instant)), now.instant)
    port.warmth_told = True


def may_go_on(port: Port, record: SessionRecord, now: Moment) -> bool:
    """Say whether a session may yet go on: nothing holds its port, and its order is still allowed there."""
    if record.order.proof is not None:
        return False  # Nobody may stand there any more to see what it would switch on.
    if record.wired not in {None, port.plan.wired}:
        return False  # Another socket, or another meter, has its name now.
    latched = bool(port.latches) or port.circuits.latched(port.id)
    held = latched or port.charge is not None or port.disabled() is not None or port.locked() is not None
    prospect = outlook(record, now, port.station.resume_window)
    return not held and prospect is not Outlook.OVER and not exceeds(record.order.limits, port.plan.limits)


def suspend(
    port: Port, reason: StopReason, detail: StopDetail, now: Moment, *, patience: Seconds | None = None
) -> None:
    """Open at once; the session waits for the reason to go away, for `patience` at most.

    One of a wiring proof ends: nobody may stand there any more to see what it would switch on.
    """
    if port.session.order.proof is not None:
        end(port, reason, detail, now)
        return
    stop_charging(port, now)
    port.session.suspend(detail.function, now)
    port.out.tell(SessionSuspended(record=port.record(now), reason=detail.function, detail=detail))
    port.suspended_for = reason
    port.sequence_from = now.instant
    port.suspended_at = now.instant
    port.return_at, port.spread = None, False
    port.recover_until = None if patience is None else after(now.instant, patience)
    if reason is StopReason.CIRCUIT_OVERLOAD:
        port.circuits.leave(port.id)
        port.circuits.wait(port.id, port.limits)
    port.enter(PortState.SUSPENDED, now)


def take_up(port: Port, record: SessionRecord, now: Moment, *, unanswered: bool) -> None:
    """The gateway was away: the session waits for the proof that it was short, and for its meter."""
    port.charge = Charge.taken_up(port.plan, record, port.models, now, unanswered=unanswered)
    port.suspended_for = StopReason.POWER_LOSS if record.waits is None else record.waits.reason
    port.sequence_from = port.suspended_at = now.instant
    port.recover_until = after(now.instant, PROOF_WITHIN)
    port.enter(PortState.SUSPENDED, now)
    port.circuits.wait(port.id, record.order.limits)
    # No relay is closed yet: who the boards of its line are is asked before the rest, since it waits for that.
    port.out.do(SetPace(port=port.id, pace=Pace.ARMED))
    port.spread = port.session.at_once
    if record.waits is None:
        port.out.tell(SessionSuspended(record=record, reason=OUTAGE))
    elif outlook_of(port, now) is Outlook.GOES_ON:
        prove(port, now)  # At once: what it had waited for before counts on, heard or not.


def prove(port: Port, now: Moment) -> None:
    """The outage was short: the session goes on once its meter is seen."""
    kept = port.session.kept
    assert kept is not None
    outage = passed(kept.at, now)
    assert outage is not None
    port.session.prove(outage, now)
    patience = port.plan.protection.recover_within if kept.waits is None else kept.waits.patience
    port.recover_until = None if patience is None else after(now.instant, max(patience, LEAST_PATIENCE))


def restart(port: Port, now: Moment) -> None:
    """Go through the start sequence again for a suspended session."""
    port.recover_until = port.return_at = None
    port.circuits.leave(port.id)
    port.enter(PortState.STARTING, now)
    begin_sequence(port, now)


def outlook_of(port: Port, now: Moment) -> Outlook:
    """Say whether a session that an outage has interrupted goes on, as of now."""
    kept, back = port.session.kept, port.suspended_at
    if kept is None or back is None:
        return Outlook.GOES_ON
    return outlook(kept, now, port.station.resume_window, between(back, now.instant))


def interrupted_together(port: Port) -> bool:
    """Say whether others of its circuit were interrupted with it: the mains were gone, or a line was."""
    return any(
        other is not port
        and other.plan.circuit == port.plan.circuit
        and other.suspended_for in OUTAGES
        and port.suspended_for in OUTAGES
        and other.suspended_at is not None
        and port.suspended_at is not None
        and abs(between(other.suspended_at, port.suspended_at)) <= TOGETHER
        for other in port.station.ports.values()
    )


def alone_in_the_dark(port: Port, now: Moment) -> bool:
    """Say whether no meter of its circuit speaks, and there are others: the mains are gone."""
    others = [
        other
        for other in port.station.ports.values()
        if other is not port and other.plan.circuit == port.plan.circuit
    ]
    return bool(others) and not any(other.seen.alive(now.instant) for other in [port, *others])


def outlasted(port: Port, now: Moment) -> StopReason:
    """Return the reason of a session that was suspended for too long: the voltage is named, others are not."""
    if port.suspended_for is StopReason.UNDERVOLTAGE and port.mains.dark(now.instant):
        return StopReason.POWER_LOSS
    return port.suspended_for if port.suspended_for in VOLTAGES else StopReason.SUSPENDED_TOO_LONG


def may_return(port: Port, now: Moment) -> bool:
    """Say whether its circuits let a suspended session go on."""
    return not any(missing(port, now) for missing in ABOVE_WAITS.values())


def lacks_room(port: Port, now: Moment) -> bool:
    """Say whether it waits for its circuits, and they have no room for it."""
    waits = port.id in port.circuits.waiting()
    return waits and not port.circuits.admits(port.id, port.limits, now.instant)


def rests(port: Port, now: Moment) -> bool:
    """Say whether a session that was shed has not waited for long enough yet, lest it flutter with its circuit."""
    if port.suspended_for is not StopReason.CIRCUIT_OVERLOAD or port.suspended_at is None:
        return False
    return between(port.suspended_at, now.instant) < port.plan.protection.shed_wait


Missing = Callable[[Port, Moment], bool]
OWN_WAITS: Mapping[str, Missing] = {
    "relay_not_open": lambda port, _now: port.relay.phase is not RelayPhase.OPEN,
    "board_lost": lambda port, _now: port.relay.board_lost,
    "leaving": lambda port, _now: port.station.leaving,
    "line_not_recognised": lambda port, _now: not port.station.lines.recognised(port.id),
    "store_unavailable": lambda port, _now: not port.station.store_writable,
    "readings": lambda port, now: not ready(port, now),
    "meter_frozen": lambda port, _now: port.frozen.dead,
    "outage_not_proved": lambda port, _now: port.session.kept is not None,
    "voltage": lambda port, now: port.mains.out(now.instant),
    "voltage_settling": lambda port, now: port.suspended_for in VOLTAGES and not port.mains.steady(now.instant),
}
"""What a suspended session may wait for of the port itself, and whether it does; it is told by these names."""
ABOVE_WAITS: Mapping[str, Missing] = {
    "circuit_held": lambda port, _now: not port.circuits.allow(port.id),
    "contactor_moving": lambda port, _now: not port.circuits.reachable(port.id),
    "circuit_full": lacks_room,
}
"""The same of the circuits above it."""
WAITS: Mapping[str, Missing] = {
    **OWN_WAITS,
    "shed_wait": rests,
    **ABOVE_WAITS,
    "turn": lambda port, _now: port.return_at is not None,
}
