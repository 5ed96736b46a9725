"""What a port does: one table of states and triggers. The first rule whose guard holds wins, protection first.

A state not listed for a trigger is an error: `react` raises `UnlistedTransition`, which the runtime answers like
any unforeseen exception, by opening every relay.

The life of a port: `unknown` until its relay has been read back open; `available`; `starting` through the steps of
the start sequence; `charging`; `suspended` with its relay open while a reason to wait lasts; `stopping` until the
relay is open and the register read; then `available` again, or `tripped` or `locked_out` while latches hold it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import Event, MeterReading, ResetRequested, StartRequested, StopRequested
from chargerd.core.facts import Clearing, Latch
from chargerd.core.moment import Moment
from chargerd.core.plan import Limits
from chargerd.core.port import Port, Step
from chargerd.core.protection import Result, reached
from chargerd.core.relay import Phase
from chargerd.core.session import Source, StopDetail, StopReason
from chargerd.core.units import Seconds, after
from chargerd.core.view import PortState

LAPSE_SETTLING = Seconds(0.5)
"""How inexact a board's timer may be, in steps of 100 ms, before current after its lease is held against it."""


class Trigger(StrEnum):
    """What can happen to a port."""

    READING = "reading"
    WAKE = "wake"
    OPENED = "opened"
    CLOSED = "closed"
    NOT_CLOSED = "not_closed"
    STAYED_OPEN = "stayed_open"
    WOULD_NOT_OPEN = "would_not_open"
    UNBIDDEN = "unbidden"
    LEASE_LOST = "lease_lost"
    PERSISTED = "persisted"
    PERSIST_FAILED = "persist_failed"
    START = "start"
    STOP = "stop"
    RESET = "reset"
    SHUTDOWN = "shutdown"


class UnlistedTransition(Exception):  # noqa: N818 - named for what it says
    """Something happened to a port that its state does not know."""


@dataclass(frozen=True, slots=True)
class Rule:
    """If `when` holds, do `then`. Both get the port, the event that came in, and the moment."""

    name: str
    when: Callable[[Port, Event, Moment], bool]
    then: Callable[[Port, Event, Moment], None]


# Guards


def always(_port: Port, _event: Event, _now: Moment) -> bool:
    """Hold."""
    return True


def step_is(*steps: Step) -> Callable[[Port, Event, Moment], bool]:
    """Hold in one of these steps."""
    return lambda port, _event, _now: port.step in steps


def verdict_is(*results: Result) -> Callable[[Port, Event, Moment], bool]:
    """Hold if the first protective function that has picked up does one of these."""
    return lambda port, _event, now: port.judged(now, *results)


def blocked(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if a start must be refused."""
    return bool(port.obstacles(now))


def asks_too_much(port: Port, event: Event, _now: Moment) -> bool:
    """Hold if the order's limits lie above the port's own."""
    assert isinstance(event, StartRequested)
    return exceeds(event.order.limits, port.plan.limits)


def exceeds(asked: Limits, most: Limits) -> bool:
    """Say whether any limit asked for lies above the most there is."""
    return (
        asked.current > most.current
        or asked.power > most.power
        or asked.duration > most.duration
        or (most.energy is not None and (asked.energy is None or asked.energy > most.energy))
    )


def unnamed(_port: Port, event: Event, _now: Moment) -> bool:
    """Hold for a stop from afar that names no session and does not insist."""
    assert isinstance(event, StopRequested)
    return event.session is None and not event.force and event.source is Source.REMOTE


def other_session(port: Port, event: Event, _now: Moment) -> bool:
    """Hold for a stop that names another session than the one under way."""
    assert isinstance(event, StopRequested)
    return event.session is not None and event.session != port.session.order.session


def load_before_closing(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if current flows though the relay has not been closed."""
    return port.step is Step.READINGS and port.seen.agreed_since(port.sequence_from) and not port.load_absent()


def readings_complete(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if two fresh readings agree and the register is known."""
    return port.step is Step.READINGS and port.ready(now) and port.has_register()


def guards_hold(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the relay may be closed, everything checked once more."""
    return port.may_close(now)


def first_reading(port: Port, event: Event, _now: Moment) -> bool:
    """Hold for the first reading of current taken since the relay was closed."""
    assert isinstance(event, MeterReading)
    began = port.relay.closed_from
    return port.step is Step.FIRST_READING and event.current is not None and reached(began, event.at)


def step_timed_out(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if a step has taken its 3 s."""
    return port.timed_out(now)


def charged(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if the session has charged before; one that has not is not suspended, its start has failed."""
    return port.session.charged


def charged_judged(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a function wants to suspend a session that has charged before."""
    return charged(port, event, now) and port.judged(now, Result.SUSPEND)


def suspended_too_often(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if the session has been suspended as often as it may."""
    return port.session.suspensions >= port.plan.protection.suspend_times


def too_often_judged(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a function wants to suspend once more than allowed."""
    return port.judged(now, Result.SUSPEND) and suspended_too_often(port, event, now)


def suspended_too_long(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the session has been suspended for as long as it may."""
    return reached(port.session.suspended_too_long_at(), now.instant)


def not_recovered(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the reason for the suspension has not gone away in time."""
    return reached(port.recover_until, now.instant)


def load_after_lapse(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if current still flows though every lease must have ended: the relay is out of control."""
    lapsed = port.relay.surely_open_at
    if lapsed is None or port.relay.phase is Phase.OPEN or port.load_absent():
        return False
    at = port.seen.current_at
    return at is not None and at >= after(lapsed, Seconds(2 * port.plan.meter.refresh + LAPSE_SETTLING))


def still_leased(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a write that came through late has kept the relay of an ending session closed for longer."""
    lapsed = port.relay.surely_open_at
    in_time = port.step is Step.OPEN and lapsed is not None and now.instant < lapsed
    return in_time and step_timed_out(port, event, now)


def recovered(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the relay is open, its board there, and two readings agree: good news needs two."""
    return (
        port.relay.phase is Phase.OPEN and not port.board_lost and port.station.store_writable and port.ready(now)
    )


def register_read(port: Port, event: Event, _now: Moment) -> bool:
    """Hold for the reading of the register an ending session waits for."""
    assert isinstance(event, MeterReading)
    return port.step is Step.ENERGY and port.wants(event)


# Actions


def nothing(_port: Port, _event: Event, _now: Moment) -> None:
    """Do nothing: the event has been taken into the port's image, and that is all."""


def rest(port: Port, _event: Event, now: Moment) -> None:
    """Enter the state that fits a port without a session."""
    port.rest(now)


def refuse_blocked(port: Port, event: Event, now: Moment) -> None:
    """Refuse a start, saying the most telling obstacle."""
    assert isinstance(event, StartRequested)
    port.answer(event.order, ReplyStatus.REJECTED, port.obstacles(now)[0])


def refuse_limits(port: Port, event: Event, _now: Moment) -> None:
    """Refuse a start whose limits lie above the port's own; they are not clipped in silence."""
    assert isinstance(event, StartRequested)
    limits = port.plan.limits
    port.answer(
        event.order,
        ReplyStatus.REJECTED,
        Code.LIMIT_TOO_HIGH,
        f"this port allows up to {limits.current:g} A, {limits.power:g} W and {limits.duration:g} s",
    )


def accept(port: Port, event: Event, now: Moment) -> None:
    """Accept a start."""
    assert isinstance(event, StartRequested)
    port.accept(event.order, now)


def refuse_stop(status: ReplyStatus, code: Code, message: str = "") -> Callable[[Port, Event, Moment], None]:
    """Refuse a stop with this code."""

    def refuse(port: Port, event: Event, _now: Moment) -> None:
        assert isinstance(event, StopRequested)
        port.answer_request(event, status, code, message)

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
    port.answer_request(event, ReplyStatus.ACCEPTED, Code.OK)
    if event.command is not None:
        port.session.pending_stops.append(event.command)


def clear(port: Port, event: Event, now: Moment) -> None:
    """Clear latches."""
    assert isinstance(event, ResetRequested)
    port.clear(event, now)


def refuse_reset(port: Port, event: Event, _now: Moment) -> None:
    """Refuse a reset while a session is under way: there is no latch then."""
    assert isinstance(event, ResetRequested)
    port.answer_request(event, ReplyStatus.REJECTED, Code.BUSY)


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
    port.suspend(port.verdict.function.reason, port.verdict.detail, now)


def suspend_board_lost(port: Port, _event: Event, now: Moment) -> None:
    """Open at once: the board has not confirmed a write for as long as its lease lasts."""
    port.suspend(StopReason.BOARD_LOST, StopDetail(function="relay_board_lost"), now)


def end_suspended_too_long(port: Port, _event: Event, now: Moment) -> None:
    """End a session that has been suspended too often or too long."""
    protection = port.plan.protection
    detail = StopDetail(
        function="suspended_too_long",
        measured=port.session.suspended_at(now.instant),
        limit=protection.suspend_total,
        unit="s",
    )
    port.end(StopReason.SUSPENDED_TOO_LONG, detail, now)


def end_not_recovered(port: Port, _event: Event, now: Moment) -> None:
    """End a session for the reason that had suspended it."""
    assert port.suspended_for is not None
    limit = port.plan.protection.recover_within
    detail = StopDetail(function="not_recovered", measured=limit, limit=limit, unit="s")
    port.end(port.suspended_for, detail, now)


def fail(code: Code, function: str) -> Callable[[Port, Event, Moment], None]:
    """End a start that came to nothing."""

    def end(port: Port, _event: Event, now: Moment) -> None:
        port.fail(code, StopDetail(function=function), now)

    return end


def fail_step(port: Port, _event: Event, now: Moment) -> None:
    """End a start one of whose steps has taken too long, naming the step."""
    codes = {
        Step.READINGS: Code.METER_STALE,
        Step.PERSIST: Code.STORE_UNAVAILABLE,
        Step.FIRST_READING: Code.METER_STALE,
    }
    code = codes.get(port.step, Code.RELAY_FAULT)
    limit = port.plan.protection.step_timeout
    port.fail(code, StopDetail(function=f"step_{port.step.value}", measured=limit, limit=limit, unit="s"), now)


def persist(port: Port, _event: Event, now: Moment) -> None:
    """Write the session ahead."""
    port.persist(now)


def durable_and_close(port: Port, _event: Event, now: Moment) -> None:
    """Close the relay."""
    port.close(now)


def begin_charging(port: Port, _event: Event, now: Moment) -> None:
    """The first reading is in: the port charges."""
    port.session.charged = True
    port.enter(PortState.CHARGING, now)
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
    """Current flows after the lease must have ended: lock out."""
    detail = StopDetail(
        function="relay_board_lost", measured=port.seen.current, limit=port.plan.protection.weld_current, unit="a"
    )
    port.lock_out("relay_board_lost", detail, now)


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


def restart(port: Port, _event: Event, now: Moment) -> None:
    """Go through the start sequence again."""
    port.restart(now)


def wait_for_lapse(port: Port, _event: Event, now: Moment) -> None:
    """Wait on until the last lease must have ended."""
    port.take_step(Step.OPEN, port.give_up_at(now))


def opened(port: Port, _event: Event, now: Moment) -> None:
    """The relay of an ending session is open."""
    port.opened(now)


def finish(port: Port, _event: Event, now: Moment) -> None:
    """Settle the session."""
    port.finish(now)


def shut_down(port: Port, _event: Event, now: Moment) -> None:
    """End the session because the daemon leaves."""
    port.end(StopReason.SHUTDOWN, None, now)


# The table

S, T = PortState, Trigger
Rules = tuple[Rule, ...]
IGNORE: Rules = (Rule("ignore", always, nothing),)
REST: Rules = (Rule("rest", always, rest),)
LOCK_OUT: Rules = (Rule("lock_out", always, would_not_open),)
FOUND_CLOSED: Rules = (Rule("found_closed", always, found_closed),)
REFUSE_START: Rules = (Rule("blocked", always, refuse_blocked),)
NO_SESSION: Rules = (Rule("no_session", always, refuse_stop(ReplyStatus.REJECTED, Code.UNKNOWN_SESSION)),)
CLEAR: Rules = (Rule("clear", always, clear),)
BUSY_RESET: Rules = (Rule("busy", always, refuse_reset),)
SHUT_DOWN: Rules = (Rule("shutdown", always, shut_down),)
STUCK_OPEN: Rules = (Rule("relay_stuck_open", always, stuck_open),)
NAMING_RULES: Rules = (
    Rule("unnamed", unnamed, refuse_stop(ReplyStatus.REJECTED, Code.NOT_ALLOWED, "name the session, or force")),
    Rule("wrong_session", other_session, refuse_stop(ReplyStatus.REJECTED, Code.WRONG_SESSION)),
)
STOP: Rules = (*NAMING_RULES, Rule("stop", always, stop))
IDLE: Mapping[Trigger, Rules] = {
    T.READING: (Rule("out_of_control", load_after_lapse, out_of_control), *IGNORE),
    T.WAKE: IGNORE,
    T.OPENED: REST,
    T.WOULD_NOT_OPEN: LOCK_OUT,
    T.UNBIDDEN: FOUND_CLOSED,
    T.START: REFUSE_START,
    T.STOP: NO_SESSION,
    T.RESET: CLEAR,
    T.SHUTDOWN: IGNORE,
}
"""What every state without a session has in common."""

PROTECT: Rules = (
    Rule("trip", verdict_is(Result.TRIP), trip),
    Rule("suspended_too_often", too_often_judged, end_suspended_too_long),
    Rule("suspend", charged_judged, suspend_by_verdict),
    Rule("not_seen", verdict_is(Result.SUSPEND), fail(Code.METER_STALE, "meter_stale")),
    Rule("end", verdict_is(Result.END), end_by_verdict),
)
"""Protection before everything else, in every state in which the relay may be closed."""

TABLE: Mapping[PortState, Mapping[Trigger, Rules]] = {
    S.UNKNOWN: {trigger: rules for trigger, rules in IDLE.items() if trigger is not T.UNBIDDEN},
    S.AVAILABLE: {
        **IDLE,
        T.START: (
            Rule("blocked", blocked, refuse_blocked),
            Rule("limit_too_high", asks_too_much, refuse_limits),
            Rule("accept", always, accept),
        ),
    },
    S.TRIPPED: IDLE,
    S.LOCKED_OUT: IDLE,
    S.STARTING: {
        T.READING: (
            *PROTECT,
            Rule("load_before_closing", load_before_closing, fail(Code.RELAY_FAULT, "current_before_closing")),
            Rule("persist", readings_complete, persist),
            Rule("charging", first_reading, begin_charging),
            Rule("wait", always, nothing),
        ),
        T.WAKE: (*PROTECT, Rule("too_slow", step_timed_out, fail_step), Rule("wait", always, nothing)),
        T.OPENED: IGNORE,
        T.PERSISTED: (
            Rule("close", guards_hold, durable_and_close),
            Rule("changed_mind", always, fail(Code.FAILED, "guards_before_closing")),
        ),
        T.PERSIST_FAILED: (Rule("not_durable", always, fail(Code.STORE_UNAVAILABLE, "persist_failed")),),
        T.CLOSED: (Rule("closed", always, announce),),
        T.NOT_CLOSED: (Rule("not_closed", always, fail(Code.BOARD_LOST, "relay_not_closed")),),
        T.STAYED_OPEN: STUCK_OPEN,
        T.WOULD_NOT_OPEN: LOCK_OUT,
        T.UNBIDDEN: (Rule("relay_unexpected", always, fail_unbidden),),
        T.LEASE_LOST: (
            Rule("suspended_too_often", suspended_too_often, end_suspended_too_long),
            Rule("relay_board_lost", charged, suspend_board_lost),
            Rule("not_confirmed", always, fail(Code.BOARD_LOST, "relay_board_lost")),
        ),
        T.START: REFUSE_START,
        T.STOP: STOP,
        T.RESET: BUSY_RESET,
        T.SHUTDOWN: SHUT_DOWN,
    },
    S.CHARGING: {
        T.READING: (*PROTECT, Rule("confirm", always, confirm_start)),
        T.WAKE: (*PROTECT, Rule("wait", always, nothing)),
        T.STAYED_OPEN: STUCK_OPEN,
        T.LEASE_LOST: (
            Rule("suspended_too_often", suspended_too_often, end_suspended_too_long),
            Rule("relay_board_lost", always, suspend_board_lost),
        ),
        T.START: REFUSE_START,
        T.STOP: STOP,
        T.RESET: BUSY_RESET,
        T.SHUTDOWN: SHUT_DOWN,
    },
    S.SUSPENDED: {
        T.READING: (
            Rule("out_of_control", load_after_lapse, out_of_control),
            Rule("recovered", recovered, restart),
            Rule("wait", always, nothing),
        ),
        T.WAKE: (
            Rule("suspended_too_long", suspended_too_long, end_suspended_too_long),
            Rule("not_recovered", not_recovered, end_not_recovered),
            Rule("wait", always, nothing),
        ),
        T.OPENED: (Rule("count", always, count_open),),
        T.WOULD_NOT_OPEN: LOCK_OUT,
        T.UNBIDDEN: FOUND_CLOSED,
        T.START: REFUSE_START,
        T.STOP: STOP,
        T.RESET: BUSY_RESET,
        T.SHUTDOWN: SHUT_DOWN,
    },
    S.STOPPING: {
        T.READING: (
            Rule("out_of_control", load_after_lapse, out_of_control),
            Rule("settle", register_read, finish),
            Rule("wait", always, nothing),
        ),
        T.WAKE: (
            Rule("still_leased", still_leased, wait_for_lapse),
            Rule("settle_without", step_timed_out, finish),
            Rule("wait", always, nothing),
        ),
        T.OPENED: (Rule("opened", step_is(Step.OPEN), opened), *IGNORE),
        T.WOULD_NOT_OPEN: LOCK_OUT,
        T.UNBIDDEN: FOUND_CLOSED,
        T.START: REFUSE_START,
        T.STOP: (*NAMING_RULES, Rule("already", always, remember_stop)),
        T.RESET: BUSY_RESET,
        T.SHUTDOWN: IGNORE,
    },
}


def react(port: Port, trigger: Trigger, event: Event, now: Moment) -> str:
    """Let a port react, and return the name of the rule that did. Raises `UnlistedTransition`."""
    for rule in TABLE.get(port.state, {}).get(trigger, ()):
        if rule.when(port, event, now):
            rule.then(port, event, now)
            return rule.name
    raise UnlistedTransition(f"port {port.id}: {trigger.value} in {port.state.value}")
