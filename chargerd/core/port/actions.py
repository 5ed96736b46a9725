"""What the rules of the state table do with a port: one action each, in terms of the port's own primitives."""

from collections.abc import Callable

from chargerd.core.commands import Checkpoint, Code, ReplyStatus
from chargerd.core.events import Event, StartRequested, StopRequested
from chargerd.core.facts import Clearing, Latch
from chargerd.core.moment import Moment
from chargerd.core.port.answers import FAILURES, answer, answer_request
from chargerd.core.port.condition import VOLTAGES, Step
from chargerd.core.port.port import Port
from chargerd.core.protection.functions import energy_limit
from chargerd.core.session import Source, StopDetail, StopReason
from chargerd.core.units import after
from chargerd.core.view import PortState


def nothing(_port: Port, _event: Event, _now: Moment) -> None:
    """Do nothing: the event has been taken into the port's image, and that is all."""


def rest(port: Port, _event: Event, now: Moment) -> None:
    """Enter the state that fits a port without a session."""
    port.rest(now)


def refuse_blocked(port: Port, event: Event, now: Moment) -> None:
    """Refuse a start, saying the most telling obstacle; what is not yet known comes last among them."""
    assert isinstance(event, StartRequested)
    answer(port, event.order, ReplyStatus.REJECTED, port.obstacles(now)[0])


def refuse_limits(port: Port, event: Event, _now: Moment) -> None:
    """Refuse a start whose limits lie above the port's own; they are not clipped in silence."""
    assert isinstance(event, StartRequested)
    answer(port, event.order, ReplyStatus.REJECTED, Code.LIMIT_TOO_HIGH, port.most())


def accept(port: Port, event: Event, now: Moment) -> None:
    """Accept a start."""
    assert isinstance(event, StartRequested)
    port.accept(event.order, now)
    port.session.raising = event.raising


def await_boards(port: Port, event: Event, now: Moment) -> None:
    """Accept a start, and let it wait for the first answers of its boards."""
    assert isinstance(event, StartRequested)
    port.await_boards(event.order, now)
    port.session.raising = event.raising


def take_place(port: Port, _event: Event, now: Moment) -> None:
    """The boards are known: go on as with any other start."""
    port.take_place(now)


def refuse_full(port: Port, event: Event, _now: Moment) -> None:
    """Refuse a start its circuits cannot take."""
    assert isinstance(event, StartRequested)
    answer(port, event.order, ReplyStatus.REJECTED, Code.CIRCUIT_FULL)


def enqueue(port: Port, event: Event, now: Moment) -> None:
    """Accept a start, and let it wait for its circuits."""
    assert isinstance(event, StartRequested)
    port.enqueue(event.order, now)
    port.session.raising = event.raising


def admit(port: Port, _event: Event, now: Moment) -> None:
    """The circuits can take a start that has waited."""
    port.admit(now)


def give_up_waiting(port: Port, _event: Event, now: Moment) -> None:
    """The start has waited for as long as it may."""
    patience = port.patience(port.session.order)
    detail = StopDetail(function="queue_timeout", measured=patience, limit=patience, unit="s")
    port.end(StopReason.QUEUE_TIMEOUT, detail, now)


def end_by_circuit(port: Port, _event: Event, now: Moment) -> None:
    """Open and end the session, as a circuit demands."""
    assert port.intervention is not None
    port.end(port.intervention.reason, port.intervention.detail, now, code=port.intervention.code)


def withdraw(port: Port, _event: Event, now: Moment) -> None:
    """A start whose relay was not told to close yet does not begin on a port that was disabled meanwhile."""
    disabled = port.disabled()
    assert disabled is not None
    reason = StopReason.REMOTE if disabled.source is Source.REMOTE else StopReason.LOCAL
    port.end(reason, StopDetail(function="disabled"), now, code=Code.DISABLED)


def suspend_by_circuit(port: Port, _event: Event, now: Moment) -> None:
    """Open and wait, as a circuit demands."""
    assert port.intervention is not None
    port.suspend(port.intervention.reason, port.intervention.detail, now, patience=port.intervention.patience)


def fail_by_circuit(port: Port, _event: Event, now: Moment) -> None:
    """End a start that its circuit does not let happen."""
    assert port.intervention is not None
    port.fail(port.intervention.code, port.intervention.detail, now)


def energise(port: Port, _event: Event, now: Moment) -> None:
    """Close the relay, or wait for the contactors above it."""
    port.energise(now)


def lock_out_welded(port: Port, _event: Event, now: Moment) -> None:
    """Current flows through an open relay: lock out."""
    port.lock_out_welded(port.weld.detail or port.weld.prove(port.seen), now)


def open_again(port: Port, _event: Event, now: Moment) -> None:
    """Open a welded relay once more."""
    port.open_again(now)


def spread(port: Port, _event: Event, now: Moment) -> None:
    """Loads that come back together come back one after the other, in random order."""
    assert port.suspended_at is not None
    pause = port.circuits.return_after(port.id, port.suspended_at)
    port.return_at, port.spread = after(now.instant, pause), True
    port.recover_until = None


def return_in_turn(port: Port, _event: Event, now: Moment) -> None:
    """The instant has come from which the session may go on: the next reading lets it."""
    port.return_at = None
    port.recover_until = after(now.instant, port.plan.protection.recover_within)


def wait_on_for_more(port: Port, _event: Event, now: Moment) -> None:
    """A session waits on for its circuits, or for its line, for as long as it may be suspended at all."""
    port.recover_until = after(now.instant, port.plan.protection.recover_within)


def refuse_stop(status: ReplyStatus, code: Code, message: str = "") -> Callable[[Port, Event, Moment], None]:
    """Refuse a stop with this code."""

    def refuse(port: Port, event: Event, _now: Moment) -> None:
        assert isinstance(event, StopRequested)
        answer_request(port, event, status, code, message)

    return refuse


def stop(port: Port, event: Event, now: Moment) -> None:
    """End the session because somebody asked for it."""
    assert isinstance(event, StopRequested)
    remember_stop(port, event, now)
    reason = StopReason.REMOTE if event.source is Source.REMOTE else StopReason.LOCAL
    port.end(reason, None, now)


def remember_stop(port: Port, event: Event, _now: Moment) -> None:
    """Accept a stop; its `done` follows with the settlement."""
    assert isinstance(event, StopRequested)
    answer_request(port, event, ReplyStatus.ACCEPTED, Code.OK)
    if event.command is not None:
        port.session.pending_stops.append(event.command)


def trip(port: Port, _event: Event, now: Moment) -> None:
    """Do what the verdict demands: open, end, and latch if its function does."""
    assert port.verdict is not None
    port.trip(port.verdict.function, port.verdict.detail, now)


def end_by_verdict(port: Port, _event: Event, now: Moment) -> None:
    """End the session for the verdict's reason."""
    assert port.verdict is not None
    port.end(port.verdict.function.reason, port.verdict.detail, now)


def suspend_by_verdict(port: Port, _event: Event, now: Moment) -> None:
    """Open at once and wait for the verdict's reason to go away."""
    assert port.verdict is not None
    reason = port.verdict.function.reason
    patience = None if reason in VOLTAGES else port.plan.protection.recover_within
    port.suspend(reason, port.verdict.detail, now, patience=patience)


def suspend_board_lost(port: Port, _event: Event, now: Moment) -> None:
    """Open at once: the board has not confirmed a write for as long as its lease lasts."""
    patience = port.plan.protection.recover_within
    port.suspend(StopReason.BOARD_LOST, StopDetail(function="relay_board_lost"), now, patience=patience)


def end_suspended_too_long(port: Port, _event: Event, now: Moment) -> None:
    """End a session that has been suspended too often or too long."""
    protection = port.plan.protection
    detail = StopDetail(
        function="suspended_too_long",
        measured=port.session.suspended_at(now.instant),
        limit=protection.suspend_total,
        unit="s",
    )
    port.end(port.outlasted(now), detail, now)


def end_not_recovered(port: Port, _event: Event, now: Moment) -> None:
    """End a session for the reason that had suspended it."""
    assert port.suspended_for is not None
    limit = port.plan.protection.recover_within
    detail = StopDetail(function="not_recovered", measured=limit, limit=limit, unit="s")
    dark = port.suspended_for is StopReason.METER_LOST and port.alone_in_the_dark(now)
    port.end(StopReason.POWER_LOSS if dark else port.suspended_for, detail, now)


def fail(code: Code, function: str) -> Callable[[Port, Event, Moment], None]:
    """End a start that came to nothing."""

    def end(port: Port, _event: Event, now: Moment) -> None:
        port.fail(code, StopDetail(function=function), now)

    return end


def fail_by_verdict(port: Port, _event: Event, now: Moment) -> None:
    """End a start for what would have suspended a session that had charged."""
    assert port.verdict is not None
    code = FAILURES.get(port.verdict.function.reason, Code.FAILED)
    port.fail(code, port.verdict.detail, now)


def fail_step(port: Port, _event: Event, now: Moment) -> None:
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


def persist(port: Port, _event: Event, now: Moment) -> None:
    """Write the session ahead."""
    port.persist(now)


def end_delivered(port: Port, _event: Event, now: Moment) -> None:
    """End a session that has had all of its energy."""
    port.end(StopReason.ENERGY_LIMIT, energy_limit(port.session.image, now.instant), now)


def durable_and_close(port: Port, _event: Event, now: Moment) -> None:
    """Close the relay when it is its turn."""
    port.take_turn(now)


def begin_charging(port: Port, _event: Event, now: Moment) -> None:
    """The first reading is in: the port charges."""
    port.session.charged = True
    port.enter(PortState.CHARGING, now)
    port.out.do(Checkpoint(records=(port.record(now),)))
    port.confirm_start()


def announce(port: Port, _event: Event, now: Moment) -> None:
    """The relay is closed: tell it, and wait for the first reading."""
    port.closed(now)


def confirm_start(port: Port, _event: Event, _now: Moment) -> None:
    """Say that current flows, once it does."""
    port.confirm_start()


def stuck_open(port: Port, _event: Event, now: Moment) -> None:
    """The relay does not close, or has fallen open: end with a latch that wants a person on site."""
    detail = StopDetail(function="relay_stuck_open")
    latch = Latch(port=port.id, function=detail.function, clearing=Clearing.LOCAL, detail=detail)
    port.trip_with(latch, StopReason.RELAY_FAULT, detail, now)


def would_not_open(port: Port, _event: Event, now: Moment) -> None:
    """Three openings were read back closed: lock out."""
    detail = StopDetail(
        function="relay_will_not_open",
        measured=port.plan.protection.open_tries,
        limit=port.plan.protection.open_tries,
    )
    port.lock_out("relay_will_not_open", detail, now)


def out_of_control(port: Port, _event: Event, now: Moment) -> None:
    """Current flows though the relay must be open by now, or should be: lock out."""
    port.lock_out_unconfirmed(now)


def found_closed(port: Port, _event: Event, now: Moment) -> None:
    """The relay closed without a command."""
    port.found_closed(now)


def fail_unbidden(port: Port, _event: Event, now: Moment) -> None:
    """The relay closed before it was told to: end the start, unless the port is locked out already."""
    port.found_closed(now)
    if port.charge is not None:
        port.fail(Code.RELAY_FAULT, StopDetail(function="relay_unexpected"), now)


def count_open(port: Port, _event: Event, now: Moment) -> None:
    """A suspended session's relay is open: its charging time stands still."""
    port.count_open(now)


def prove(port: Port, _event: Event, now: Moment) -> None:
    """A session that an outage has interrupted goes on."""
    port.prove(now)


def end_by_outage(port: Port, _event: Event, now: Moment) -> None:
    """A session that an outage has interrupted does not go on: it ended with its last record."""
    port.end(StopReason.POWER_LOSS, StopDetail(function="interrupted"), now)


def restart(port: Port, _event: Event, now: Moment) -> None:
    """Go through the start sequence again."""
    port.restart(now)


def wait_for_lapse(port: Port, _event: Event, now: Moment) -> None:
    """Wait on until the last lease must have ended."""
    port.take_step(Step.OPEN, port.give_up_at(now))


def wait_on(port: Port, _event: Event, now: Moment) -> None:
    """Settle nothing while current is seen: look again in a while."""
    port.take_step(port.step, port.step_deadline(now))


def opened(port: Port, _event: Event, now: Moment) -> None:
    """The relay of an ending session is open."""
    port.opened(now)


def finish(port: Port, _event: Event, now: Moment) -> None:
    """Settle the session."""
    port.finish(now)


def shut_down(port: Port, _event: Event, now: Moment) -> None:
    """End the session because the daemon leaves."""
    port.end(StopReason.SHUTDOWN, None, now)
