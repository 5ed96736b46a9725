"""A port's start: refused, queued, or taken through the start sequence until current flows.

A port never closes its relay but through this sequence: two agreeing readings, the register, a durable session,
the guards once more, and its turn.
"""

from collections.abc import Callable

from chargerd.core.commands import Checkpoint, Code, ReplyStatus
from chargerd.core.events import (
    DisableRequested,
    EnableRequested,
    Event,
    MeterReading,
    Persisted,
    PersistFailed,
    Request,
    StartRequested,
)
from chargerd.core.metering.pickup import reached
from chargerd.core.moment import Moment
from chargerd.core.plan import exceeds
from chargerd.core.port.answers import FAILURES, answer
from chargerd.core.port.condition import Step
from chargerd.core.port.latching import welded
from chargerd.core.port.port import Port
from chargerd.core.port.rules import AT_REST, Handler, Reply, Trigger, always
from chargerd.core.protection.session_limits import EnergyLimit
from chargerd.core.session import Source, StopDetail, StopReason
from chargerd.core.view import PortState

BEFORE_CLOSING = frozenset({Step.READINGS, Step.PERSIST, Step.TURN, Step.POWER})
"""Of a start: its relay has not been told to close."""
UNHEARD = frozenset({Code.BOARD_LOST, Code.METER_STALE, Code.NOT_YET_KNOWN})
"""What may be over with the next answer of a board."""


def blocked(port: Port, _request: object, now: Moment) -> bool:
    """Hold if a start must be refused; for what is not yet known it waits instead, and may wait for room."""
    return any(code not in {Code.NOT_YET_KNOWN, Code.CIRCUIT_FULL} for code in port.obstacles(now))


def not_yet_known(port: Port, request: StartRequested, now: Moment) -> bool:
    """Hold for a start of a port whose boards, or whose neighbours' relays, have not been heard of yet."""
    return Code.NOT_YET_KNOWN in port.obstacles(now) or (no_room(port, request, now) and port.room_unclear())


def known(port: Port, _event: Event, now: Moment) -> bool:
    """Hold once a start that has waited for its boards need wait for them no longer."""
    return port.step is Step.KNOWN and not UNHEARD & set(port.obstacles(now))


def asks_too_much(port: Port, request: StartRequested, _now: Moment) -> bool:
    """Hold if the order's limits lie above the port's own."""
    return exceeds(request.order.limits, port.plan.limits)


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
    return port.step is Step.READINGS and port.ready(now) and port.has_register()


def delivered(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the register shows, before the relay is closed again, that all of the order was drawn unseen."""
    return EnergyLimit(port.session.image).finding(now.instant) is not None


def guards_hold(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the relay may be closed, everything checked once more."""
    return port.may_close(now)


def first_reading(port: Port, event: Event, _now: Moment) -> bool:
    """Hold for the first reading of current taken since the relay was closed."""
    assert isinstance(event, MeterReading)
    began = port.relay.closed_from
    return port.step is Step.FIRST_READING and event.current is not None and reached(began, event.at)


def no_room_ever(port: Port, request: StartRequested, _now: Moment) -> bool:
    """Hold for a start that would not even fit alone."""
    return not port.circuits.could_fit(port.id, request.order.limits)


def no_room(port: Port, request: StartRequested, now: Moment) -> bool:
    """Hold for a start that does not fit now, and may wait."""
    return not port.circuits.admits(port.id, request.order.limits, now.instant)


def no_room_and_no_patience(port: Port, request: StartRequested, now: Moment) -> bool:
    """Hold for a start that does not fit now, and may not wait."""
    return no_room(port, request, now) and port.patience(request.order) <= 0


def turn_has_come(port: Port, _event: Event, now: Moment) -> bool:
    """Hold when the relay may be closed as far as others of its circuits go."""
    return port.step is Step.TURN and port.timed_out(now)


def turn_lost(port: Port, event: Event, now: Moment) -> bool:
    """Hold if something has come up while the relay waited for its turn."""
    return turn_has_come(port, event, now) and not port.may_close(now)


def awaits_power(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if only the contactor was missing, and what the meter shows once it has closed."""
    return port.step is Step.POWER and port.may_close(now) and port.shown_free()


def untouched(port: Port, _request: object, _now: Moment) -> bool:
    """Hold if the relay was never told to close for the session: it is no charge under way yet."""
    return not port.session.touched


def uncharged(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if the session has not charged yet: it is not suspended, its start fails."""
    return not port.session.charged


def refuse_blocked(port: Port, request: StartRequested, now: Moment) -> None:
    """Refuse a start, saying the most telling obstacle; what is not yet known comes last among them."""
    answer(port, request.order, ReplyStatus.REJECTED, next(iter(port.obstacles(now)), Code.NOT_ALLOWED))


def refuse_limits(port: Port, request: StartRequested, _now: Moment) -> None:
    """Refuse a start whose limits lie above the port's own; they are not clipped in silence."""
    answer(port, request.order, ReplyStatus.REJECTED, Code.LIMIT_TOO_HIGH, port.most())


def accept(port: Port, request: StartRequested, now: Moment) -> None:
    """Accept a start."""
    port.accept(request.order, now)
    port.session.raising = request.raising


def await_boards(port: Port, request: StartRequested, now: Moment) -> None:
    """Accept a start, and let it wait for the first answers of its boards."""
    port.await_boards(request.order, now)
    port.session.raising = request.raising


def take_place(port: Port, now: Moment) -> None:
    """The boards are known: go on as with any other start."""
    port.take_place(now)


def refuse_full(port: Port, request: StartRequested, _now: Moment) -> None:
    """Refuse a start its circuits cannot take."""
    answer(port, request.order, ReplyStatus.REJECTED, Code.CIRCUIT_FULL)


def enqueue(port: Port, request: StartRequested, now: Moment) -> None:
    """Accept a start, and let it wait for its circuits."""
    port.enqueue(request.order, now)
    port.session.raising = request.raising


def admit(port: Port, now: Moment) -> None:
    """The circuits can take a start that has waited."""
    port.admit(now)


def give_up_waiting(port: Port, now: Moment) -> None:
    """The start has waited for as long as it may."""
    patience = port.patience(port.session.order)
    detail = StopDetail(function="queue_timeout", measured=patience, limit=patience, unit="s")
    port.end(StopReason.QUEUE_TIMEOUT, detail, now)


def withdraw(port: Port, _request: Request, now: Moment) -> None:
    """A start whose relay was not told to close yet does not begin on a port that was disabled meanwhile."""
    disabled = port.disabled()
    assert disabled is not None
    reason = StopReason.REMOTE if disabled.source is Source.REMOTE else StopReason.LOCAL
    port.end(reason, StopDetail(function="disabled"), now, code=Code.DISABLED)


def fail_by_circuit(port: Port, now: Moment) -> None:
    """End a start that its circuit does not let happen."""
    assert port.intervention is not None
    port.fail(port.intervention.code, port.intervention.detail, now)


def energise(port: Port, now: Moment) -> None:
    """Close the relay, or wait for the contactors above it."""
    port.energise(now)


def fail(code: Code, function: str) -> Callable[[Port, Moment], None]:
    """End a start that came to nothing."""

    def end(port: Port, now: Moment) -> None:
        port.fail(code, StopDetail(function=function), now)

    return end


def fail_by_verdict(port: Port, now: Moment) -> None:
    """End a start for what would have suspended a session that had charged."""
    assert port.verdict is not None
    code = FAILURES.get(port.verdict.reason, Code.FAILED)
    port.fail(code, port.verdict.detail, now)


def fail_step(port: Port, now: Moment) -> None:
    """End a start one of whose steps has taken too long, naming the step."""
    codes = {
        Step.KNOWN: next((code for code in port.obstacles(now) if code is not Code.BUSY), Code.FAILED),
        Step.READINGS: Code.METER_STALE,
        Step.PERSIST: Code.STORE_UNAVAILABLE,
        Step.FIRST_READING: Code.METER_STALE,
        Step.POWER: Code.BOARD_LOST if port.circuits.powered_from(port.id) is None else Code.METER_STALE,
    }
    code = codes.get(port.step, Code.RELAY_FAULT)
    limit = port.plan.protection.step_timeout
    port.fail(code, StopDetail(function=f"step_{port.step.value}", measured=limit, limit=limit, unit="s"), now)


def persist(port: Port, now: Moment) -> None:
    """Write the session ahead."""
    port.persist(now)


def end_delivered(port: Port, now: Moment) -> None:
    """End a session that has had all of its energy."""
    port.end(StopReason.ENERGY_LIMIT, EnergyLimit(port.session.image).finding(now.instant), now)


def durable_and_close(port: Port, now: Moment) -> None:
    """Close the relay when it is its turn."""
    port.take_turn(now)


def begin_charging(port: Port, now: Moment) -> None:
    """The first reading is in: the port charges."""
    port.session.charged = True
    port.enter(PortState.CHARGING, now)
    port.out.do(Checkpoint(records=(port.record(now),)))
    port.confirm_start()


def announce(port: Port, now: Moment) -> None:
    """The relay is closed: tell it, and wait for the first reading."""
    port.closed(now)


def confirm_start(port: Port, _now: Moment) -> None:
    """Say that current flows, once it does."""
    port.confirm_start()


def fail_unbidden(port: Port, now: Moment) -> None:
    """The relay closed before it was told to: end the start, unless the port is locked out already."""
    port.found_closed(now)
    if port.charge is not None:
        port.fail(Code.RELAY_FAULT, StopDetail(function="relay_unexpected"), now)


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


def show(port: Port, _request: Request, now: Moment) -> None:
    """Show that a port without a session was taken out of service, or is back."""
    port.rest(now)


def leave(_port: Port, _request: Request, _now: Moment) -> None:
    """Leave a port as it is, whoever disables or enables it: its session is finished, its state stands."""


START = Handler(
    request=StartRequested,
    by_state=dict.fromkeys(
        (PortState.UNKNOWN, PortState.AVAILABLE),
        (
            Reply("blocked", blocked, refuse_blocked),
            Reply("limit_too_high", asks_too_much, refuse_limits),
            Reply("never_fits", no_room_ever, refuse_full),
            Reply("not_yet_known", not_yet_known, await_boards),
            Reply("circuit_full", no_room_and_no_patience, refuse_full),
            Reply("queue", no_room, enqueue),
            Reply("accept", always, accept),
        ),
    ),
    otherwise=Reply("blocked", always, refuse_blocked),
)
# The station has answered whoever disables or enables by now: one request may be for many ports.
DISABLE = Handler(
    request=DisableRequested,
    by_state={
        **{state: (Reply("rest", always, show),) for state in AT_REST if state is not PortState.DISABLED},
        PortState.QUEUED: (Reply("withdraw", always, withdraw),),
        PortState.STARTING: (Reply("withdraw", untouched, withdraw),),
    },
    otherwise=Reply("ignore", always, leave),
)
ENABLE = Handler(
    request=EnableRequested,
    by_state={state: (Reply("rest", always, show),) for state in AT_REST if state is not PortState.AVAILABLE},
    otherwise=Reply("ignore", always, leave),
)
