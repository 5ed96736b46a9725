"""The start sequence: what a start, or a return from a suspension, goes through until current flows.

A port never closes its relay but through this sequence: two agreeing readings, the register, a durable session,
the guards once more, and its turn.
"""

from collections.abc import Callable

from chargerd.core.boards.relay import RelayPhase
from chargerd.core.commands import Checkpoint, Code, Pace, Persist, ReadEnergy, ReplyStatus, SetPace
from chargerd.core.events import (
    Event,
    MeterReading,
    Persisted,
    PersistFailed,
)
from chargerd.core.facts import (
    SessionResumed,
    SessionStarted,
)
from chargerd.core.metering.pickup import reached
from chargerd.core.moment import Moment
from chargerd.core.port.answers import FAILURES, answer_start
from chargerd.core.port.ending import count_from_closing, end, has_register
from chargerd.core.port.latching import found_closed, welded
from chargerd.core.port.port import Port, Step
from chargerd.core.port.rules import Trigger
from chargerd.core.protection.session_limits import EnergyLimit
from chargerd.core.session import StopDetail, StopReason
from chargerd.core.units import Instant, Seconds, after
from chargerd.core.view import PortState

LOOK_AGAIN = Seconds(0.1)
"""How soon a relay that waits for another's closing to leave its bus looks again."""
BEFORE_CLOSING = frozenset({Step.READINGS, Step.PERSIST, Step.TURN, Step.POWER})
"""Of a start: its relay has not been told to close."""


def load_before_closing(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if current flows though the relay has not been closed."""
    since = port.sequence_from
    known = port.seen.power_at is not None and port.seen.power_at > since
    return port.step in BEFORE_CLOSING and known and port.seen.agreed_since(since) and not port.load_absent()


def welded_before_closing(port: Port, event: Event, now: Moment) -> bool:
    """Hold if it draws power besides: its contactor has closed, and its own contact carries though read open."""
    return welded(port, event, now) or (load_before_closing(port, event, now) and port.weld.counting)


def readings_complete(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if two fresh readings agree and the register is known."""
    return port.step is Step.READINGS and ready(port, now) and has_register(port)


def delivered(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the register shows, before the relay is closed again, that all of the order was drawn unseen."""
    return EnergyLimit(port.session.image).finding(now.instant) is not None


def guards_hold(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the relay may be closed, everything checked once more."""
    return may_close(port, now)


def first_reading(port: Port, event: Event, _now: Moment) -> bool:
    """Hold for the first reading of current taken since the relay was closed."""
    assert isinstance(event, MeterReading)
    began = port.relay.closed_from
    return port.step is Step.FIRST_READING and event.current is not None and reached(began, event.at)


def turn_has_come(port: Port, _event: Event, now: Moment) -> bool:
    """Hold when the relay may be closed as far as others of its circuits go."""
    return port.step is Step.TURN and port.timed_out(now)


def turn_lost(port: Port, event: Event, now: Moment) -> bool:
    """Hold if something has come up while the relay waited for its turn."""
    return turn_has_come(port, event, now) and not may_close(port, now)


def awaits_power(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if only the contactor was missing, and what the meter shows once it has closed."""
    return port.step is Step.POWER and may_close(port, now) and shown_free(port)


def uncharged(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if the session has not charged yet: it is not suspended, its start fails."""
    return not port.session.charged


def fail_by_circuit(port: Port, now: Moment) -> None:
    """End a start that its circuit does not let happen."""
    assert port.intervention is not None
    end_start(port, port.intervention.code, port.intervention.detail, now)


def fail(code: Code, function: str) -> Callable[[Port, Moment], None]:
    """End a start that came to nothing."""

    def end_so(port: Port, now: Moment) -> None:
        end_start(port, code, StopDetail(function=function), now)

    return end_so


def fail_by_verdict(port: Port, now: Moment) -> None:
    """End a start for what would have suspended a session that had charged."""
    assert port.verdict is not None
    code = FAILURES.get(port.verdict.reason, Code.FAILED)
    end_start(port, code, port.verdict.detail, now)


def fail_step(port: Port, now: Moment) -> None:
    """End a start one of whose steps has taken too long, naming the step."""
    obstacles = port.obstacles(now, proof=port.session.order.proof)
    codes = {
        Step.KNOWN: next((code for code in obstacles if code is not Code.BUSY), Code.FAILED),
        Step.READINGS: Code.METER_STALE,
        Step.PERSIST: Code.STORE_UNAVAILABLE,
        Step.FIRST_READING: Code.METER_STALE,
        Step.POWER: Code.BOARD_LOST if port.circuits.powered_from(port.id) is None else Code.METER_STALE,
    }
    code = codes.get(port.step, Code.RELAY_FAULT)
    limit = port.plan.protection.step_timeout
    detail = StopDetail(function=f"step_{port.step.value}", measured=limit, limit=limit, unit="s")
    end_start(port, code, detail, now)


def end_delivered(port: Port, now: Moment) -> None:
    """End a session that has had all of its energy."""
    end(port, StopReason.ENERGY_LIMIT, EnergyLimit(port.session.image).finding(now.instant), now)


def begin_charging(port: Port, now: Moment) -> None:
    """The first reading is in: the port charges."""
    port.session.charged = True
    port.enter(PortState.CHARGING, now)
    port.out.do(Checkpoint(records=(port.record(now),)))
    confirm_start(port, now)


def fail_unbidden(port: Port, now: Moment) -> None:
    """The relay closed before it was told to: end the start, unless the port is locked out already."""
    found_closed(port, now)
    if port.charge is not None:
        end_start(port, Code.RELAY_FAULT, StopDetail(function="relay_unexpected"), now)


def begin_sequence(port: Port, now: Moment) -> None:
    """Ask for fresh readings and the register."""
    port.session.durable = False
    port.frozen.try_again()
    port.sequence_from = now.instant
    port.take_step(Step.READINGS, port.step_deadline(now))
    port.out.do(SetPace(port=port.id, pace=Pace.ARMED))
    port.out.do(ReadEnergy(port=port.id))


def persist(port: Port, now: Moment) -> None:
    """Write the session ahead."""
    session = port.session
    assert port.seen.energy is not None
    assert port.seen.energy_at is not None
    session.totals.register(port.seen.energy, port.seen.energy_at)
    session.return_ahead()
    port.token = port.station.next_token()
    port.take_step(Step.PERSIST, port.step_deadline(now))
    port.out.do(Persist(port=port.id, token=port.token, record=port.record(now)))


def take_turn(port: Port, now: Moment) -> None:
    """Close when it is this relay's turn: one a second per circuit, or a little more after a restart."""
    slot = port.circuits.book(port.id, now.instant, port.apart)
    if slot > now.instant:
        port.take_step(Step.TURN, slot)
    else:
        energise(port, now)


def energise(port: Port, now: Moment) -> None:
    """Close, or wait for the closing before it, or for power from above and what the meter shows with it."""
    turn = turn_of(port, now)
    if turn > now.instant:
        port.take_step(Step.TURN, turn)
    elif shown_free(port):
        close(port, now)
    else:
        port.take_step(Step.POWER, port.step_deadline(now))


def close(port: Port, now: Moment) -> None:
    """Close the relay; its readings are judged from now on."""
    port.session.touched = True
    port.session.image.close(now.instant)
    port.take_step(Step.CLOSE, port.step_deadline(now))
    port.shown_open = False
    port.out.do(SetPace(port=port.id, pace=Pace.CLOSED))
    port.relay.close(now.instant, port.plan.protection.step_timeout, port.out)


def closed(port: Port, now: Moment) -> None:
    """The relay has been read back closed: charging time runs from its write on."""
    session = port.session
    session.image.contact_from = port.relay.closed_from
    count_from_closing(port)
    session.resume(now)
    fact = SessionResumed if session.announced else SessionStarted
    session.announced = True
    port.out.tell(fact(record=port.record(now)))
    port.take_step(Step.FIRST_READING, port.step_deadline(now))


def confirm_start(port: Port, _now: Moment) -> None:
    """Tell whoever started it that current flows, once it does."""
    session = port.session
    if session.pending_start is not None and session.image.loaded:
        answer_start(port, ReplyStatus.DONE, Code.OK)


def end_start(port: Port, code: Code, detail: StopDetail, now: Moment) -> None:
    """End a start that came to nothing; a session that was resuming ends by what had suspended it."""
    end(port, port.suspended_for or StopReason.START_FAILED, detail, now, code=code)


def may_close(port: Port, now: Moment) -> bool:
    """Say whether the guards of a closing edge hold (invariant S6), and the session is durable (S1)."""
    return (
        port.session.durable
        and not port.latches
        and port.id not in port.station.suspects
        and port.circuits.allow(port.id)
        and not port.relay.board_lost
        and port.station.lines.steady(port.id)
        and port.station.store_writable
        and port.relay.phase is RelayPhase.OPEN
        and port.seen.fresh(now.instant)
        and not port.mains.out(now.instant)
    )


def ready(port: Port, now: Moment) -> bool:
    """Say whether two fresh readings since the sequence began agree that nothing flows."""
    return port.seen.quiet_since(port.sequence_from) and port.seen.fresh(now.instant)


def shown_free(port: Port) -> bool:
    """Say whether two readings agree that nothing flows though there is power from above.

    Below an open contactor every meter shows that, also that of a welded contact.
    """
    powered = port.circuits.powered_from(port.id)
    if powered is None or not port.load_absent():
        return False
    return port.seen.quiet_since(max(port.sequence_from, powered))


def turn_of(port: Port, now: Moment) -> Instant:
    """Return when its relay may be told to close as far as the closings of its circuits go that went before.

    One that waits in a bus's queue is waited for: what was admitted one by one closes one by one.
    """
    turn, mine = now.instant, {circuit.plan.id for circuit in port.circuits.place(port.id).above}
    for other in port.station.ports.values():
        above = port.circuits.place(other.id).above
        if other is port or not any(circuit.plan.id in mine for circuit in above):
            continue
        if other.relay.closing:
            turn = max(turn, after(now.instant, LOOK_AGAIN))
        elif other.relay.last_closing is not None:
            turn = max(turn, after(other.relay.last_closing, port.apart))
    return turn


def written(port: Port, event: Persisted | PersistFailed) -> Trigger | None:
    """Take in the journal's answer: to a start written ahead, or to higher limits; `None` for one that is late."""
    pending, durable = None if port.charge is None else port.charge.pending_raise, isinstance(event, Persisted)
    if pending is not None and pending.token == event.token:
        return Trigger.AMENDED if durable else Trigger.NOT_AMENDED
    if port.step is not Step.PERSIST or port.token != event.token:
        return None  # Late news of a start that has been given up meanwhile.
    if not durable:
        return Trigger.PERSIST_FAILED
    port.session.durable = True
    return Trigger.PERSISTED
