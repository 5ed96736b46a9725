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
from chargerd.core.events import Event
from chargerd.core.moment import Moment
from chargerd.core.port import actions as do
from chargerd.core.port import guards as when
from chargerd.core.port import limits, resets
from chargerd.core.port.condition import Step
from chargerd.core.port.port import Port
from chargerd.core.protection.functions import Result
from chargerd.core.view import PortState


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
    UPDATE = "update_limits"
    AMENDED = "amended"
    NOT_AMENDED = "not_amended"
    DISABLED = "disabled"
    ENABLED = "enabled"
    SHUTDOWN = "shutdown"
    ADMITTED = "admitted"
    CIRCUIT_TRIP = "circuit_trip"
    CIRCUIT_SUSPEND = "circuit_suspend"


class UnlistedTransition(Exception):  # noqa: N818 - named for what it says
    """Something happened to a port that its state does not know."""


@dataclass(frozen=True, slots=True)
class Rule:
    """If `when` holds, do `then`. Both get the port, the event that came in, and the moment."""

    name: str
    when: Callable[[Port, Event, Moment], bool]
    then: Callable[[Port, Event, Moment], None]


S, T = PortState, Trigger
Rules = tuple[Rule, ...]
IGNORE: Rules = (Rule("ignore", when.always, do.nothing),)
REST: Rules = (Rule("rest", when.always, do.rest),)
LOCK_OUT: Rules = (Rule("lock_out", when.always, do.would_not_open),)
FOUND_CLOSED: Rules = (Rule("found_closed", when.always, do.found_closed),)
REFUSE_START: Rules = (Rule("blocked", when.always, do.refuse_blocked),)
NO_SESSION: Rules = (Rule("no_session", when.always, do.refuse_stop(ReplyStatus.REJECTED, Code.UNKNOWN_SESSION)),)
CLEAR: Rules = (Rule("clear", when.always, resets.clear),)
BUSY_RESET: Rules = (Rule("busy", when.always, resets.refuse_reset),)
SHUT_DOWN: Rules = (Rule("shutdown", when.always, do.shut_down),)
STUCK_OPEN: Rules = (Rule("relay_stuck_open", when.always, do.stuck_open),)
NAMING_RULES: Rules = (
    Rule(
        "unnamed",
        when.unnamed,
        do.refuse_stop(ReplyStatus.REJECTED, Code.NOT_ALLOWED, "name the session, or force"),
    ),
    Rule("wrong_session", when.other_session, do.refuse_stop(ReplyStatus.REJECTED, Code.WRONG_SESSION)),
)
STOP: Rules = (*NAMING_RULES, Rule("stop", when.always, do.stop))
NO_LIMITS: Rules = (Rule("no_session", when.always, limits.refuse(Code.UNKNOWN_SESSION)),)
OTHER_SESSION = Rule("wrong_session", limits.other_session, limits.refuse(Code.WRONG_SESSION))
WITH_LIMITS: Mapping[Trigger, Rules] = {
    T.UPDATE: (
        OTHER_SESSION,
        Rule("limit_too_high", limits.too_much, limits.refuse_limits),
        Rule("overtaken", limits.overtaken, limits.refuse(Code.CONFLICT, "overtaken by a later update")),
        Rule("not_durable", limits.raises_unremembered, limits.hear_raise),
        Rule("circuit_full", limits.raises_without_room, limits.refuse(Code.CIRCUIT_FULL)),
        Rule("raise", limits.raises, limits.write_raise),
        Rule("lower", when.always, limits.lower),
    ),
    T.AMENDED: (
        Rule("circuit_full", limits.pending_without_room, limits.give_up_raise(Code.CIRCUIT_FULL)),
        Rule("raised", when.always, limits.raise_now),
    ),
    T.NOT_AMENDED: (Rule("not_raised", when.always, limits.give_up_raise(Code.STORE_UNAVAILABLE)),),
}
"""What every state with a session has in common that goes on."""
GOES_ON: Mapping[Trigger, Rules] = {T.DISABLED: IGNORE, T.ENABLED: IGNORE}
"""A session under way is finished, whoever disables its port."""
WELDED: Rules = (Rule("relay_welded", when.welded, do.lock_out_welded),)
UNCONFIRMED: Rules = (Rule("out_of_control", when.load_unconfirmed, do.out_of_control),)
"""Current through a relay that nobody can show to be open, wherever a relay may be opening."""
CIRCUIT_TRIP: Rules = (Rule("circuit_trip", when.always, do.end_by_circuit),)
START: Rules = (
    Rule("blocked", when.blocked, do.refuse_blocked),
    Rule("limit_too_high", when.asks_too_much, do.refuse_limits),
    Rule("never_fits", when.no_room_ever, do.refuse_full),
    Rule("not_yet_known", when.not_yet_known, do.await_boards),
    Rule("circuit_full", when.no_room_and_no_patience, do.refuse_full),
    Rule("queue", when.no_room, do.enqueue),
    Rule("accept", when.always, do.accept),
)
KNOWN = Rule("known", when.known, do.take_place)
IDLE: Mapping[Trigger, Rules] = {
    T.READING: (*WELDED, *UNCONFIRMED, *IGNORE),
    T.WAKE: (*UNCONFIRMED, *IGNORE),
    T.OPENED: REST,
    T.CIRCUIT_TRIP: REST,
    T.CIRCUIT_SUSPEND: IGNORE,
    T.WOULD_NOT_OPEN: LOCK_OUT,
    T.UNBIDDEN: FOUND_CLOSED,
    T.START: REFUSE_START,
    T.STOP: NO_SESSION,
    T.RESET: CLEAR,
    T.UPDATE: NO_LIMITS,
    T.SHUTDOWN: IGNORE,
}
"""What every state without a session has in common."""
HELD: Mapping[Trigger, Rules] = {**IDLE, T.DISABLED: REST, T.ENABLED: REST}
"""What holds a port open is shown before its being disabled, and after its being enabled."""

PROTECT: Rules = (
    Rule("trip", when.verdict_is(Result.TRIP), do.trip),
    Rule("suspended_too_often", when.too_often_judged, do.end_suspended_too_long),
    Rule("suspend", when.charged_judged, do.suspend_by_verdict),
    Rule("not_begun", when.verdict_is(Result.SUSPEND), do.fail_by_verdict),
    Rule("end", when.verdict_is(Result.END), do.end_by_verdict),
)
"""Protection before everything else, in every state in which the relay may be closed."""

TABLE: Mapping[PortState, Mapping[Trigger, Rules]] = {
    S.UNKNOWN: {
        **{trigger: rules for trigger, rules in HELD.items() if trigger is not T.UNBIDDEN},
        T.START: START,
    },
    S.AVAILABLE: {**IDLE, T.DISABLED: REST, T.START: START},
    S.DISABLED: {**IDLE, T.ENABLED: REST},
    S.TRIPPED: HELD,
    S.LOCKED_OUT: {**HELD, T.OPENED: (Rule("open_again", when.to_open_again, do.open_again), *REST)},
    S.QUEUED: {
        **WITH_LIMITS,
        T.DISABLED: (Rule("withdraw", when.always, do.withdraw),),
        T.READING: (*WELDED, *UNCONFIRMED, *IGNORE),
        T.WAKE: (*UNCONFIRMED, Rule("queue_timeout", when.step_timed_out, do.give_up_waiting), *IGNORE),
        T.ADMITTED: (Rule("admit", when.always, do.admit),),
        T.OPENED: IGNORE,
        T.WOULD_NOT_OPEN: LOCK_OUT,
        T.UNBIDDEN: FOUND_CLOSED,
        T.CIRCUIT_TRIP: CIRCUIT_TRIP,
        T.CIRCUIT_SUSPEND: IGNORE,
        T.START: REFUSE_START,
        T.STOP: STOP,
        T.RESET: BUSY_RESET,
        T.SHUTDOWN: SHUT_DOWN,
    },
    S.STARTING: {
        **WITH_LIMITS,
        T.DISABLED: (Rule("withdraw", when.untouched, do.withdraw), *IGNORE),
        T.ENABLED: IGNORE,
        T.READING: (
            *PROTECT,
            KNOWN,
            Rule("relay_welded", when.welded_before_closing, do.lock_out_welded),
            Rule(
                "load_before_closing",
                when.load_before_closing,
                do.fail(Code.RELAY_FAULT, "current_before_closing"),
            ),
            Rule("persist", when.readings_complete, do.persist),
            Rule("powered", when.awaits_power, do.energise),
            Rule("charging", when.first_reading, do.begin_charging),
            Rule("wait", when.always, do.nothing),
        ),
        T.WAKE: (
            *PROTECT,
            Rule("turn_lost", when.turn_lost, do.fail(Code.FAILED, "guards_before_closing")),
            Rule("turn", when.turn_has_come, do.energise),
            Rule("too_slow", when.step_timed_out, do.fail_step),
            Rule("wait", when.always, do.nothing),
        ),
        T.OPENED: (KNOWN, *IGNORE),
        T.PERSISTED: (
            Rule("delivered", when.delivered, do.end_delivered),
            Rule("close", when.guards_hold, do.durable_and_close),
            Rule("changed_mind", when.always, do.fail(Code.FAILED, "guards_before_closing")),
        ),
        T.CIRCUIT_TRIP: CIRCUIT_TRIP,
        T.CIRCUIT_SUSPEND: (
            Rule("not_begun", when.uncharged, do.fail_by_circuit),
            Rule("suspended_too_often", when.too_often_by_circuit, do.end_suspended_too_long),
            Rule("suspend", when.always, do.suspend_by_circuit),
        ),
        T.PERSIST_FAILED: (Rule("not_durable", when.always, do.fail(Code.STORE_UNAVAILABLE, "persist_failed")),),
        T.CLOSED: (Rule("closed", when.always, do.announce),),
        T.NOT_CLOSED: (Rule("not_closed", when.always, do.fail(Code.BOARD_LOST, "relay_not_closed")),),
        T.STAYED_OPEN: STUCK_OPEN,
        T.WOULD_NOT_OPEN: LOCK_OUT,
        T.UNBIDDEN: (Rule("relay_unexpected", when.always, do.fail_unbidden),),
        T.LEASE_LOST: (
            Rule("suspended_too_often", when.suspended_too_often, do.end_suspended_too_long),
            Rule("relay_board_lost", when.charged, do.suspend_board_lost),
            Rule("not_confirmed", when.always, do.fail(Code.BOARD_LOST, "relay_board_lost")),
        ),
        T.START: REFUSE_START,
        T.STOP: STOP,
        T.RESET: BUSY_RESET,
        T.SHUTDOWN: SHUT_DOWN,
    },
    S.CHARGING: {
        **WITH_LIMITS,
        **GOES_ON,
        T.READING: (*PROTECT, Rule("confirm", when.always, do.confirm_start)),
        T.WAKE: (*PROTECT, Rule("wait", when.always, do.nothing)),
        T.STAYED_OPEN: STUCK_OPEN,
        T.LEASE_LOST: (
            Rule("suspended_too_often", when.suspended_too_often, do.end_suspended_too_long),
            Rule("relay_board_lost", when.always, do.suspend_board_lost),
        ),
        T.CIRCUIT_TRIP: CIRCUIT_TRIP,
        T.CIRCUIT_SUSPEND: (
            Rule("suspended_too_often", when.too_often_by_circuit, do.end_suspended_too_long),
            Rule("suspend", when.always, do.suspend_by_circuit),
        ),
        T.START: REFUSE_START,
        T.STOP: STOP,
        T.RESET: BUSY_RESET,
        T.SHUTDOWN: SHUT_DOWN,
    },
    S.SUSPENDED: {
        **WITH_LIMITS,
        **GOES_ON,
        T.READING: (
            *WELDED,
            *UNCONFIRMED,
            Rule("outage_proved", when.outage_proved, do.prove),
            Rule("outage_too_long", when.outage_too_long, do.end_by_outage),
            Rule("spread", when.goes_on_together, do.spread),
            Rule("recovered", when.recovered, do.restart),
            Rule("wait", when.always, do.nothing),
        ),
        T.WAKE: (
            *UNCONFIRMED,
            Rule("suspended_too_long", when.suspended_too_long, do.end_suspended_too_long),
            Rule("no_room_yet", when.no_room_yet, do.wait_on_for_more),
            Rule("line_changed", when.on_another_line, do.wait_on_for_more),
            Rule("not_recovered", when.not_recovered, do.end_not_recovered),
            Rule("turn", when.turn_to_return, do.return_in_turn),
            Rule("wait", when.always, do.nothing),
        ),
        T.OPENED: (Rule("count", when.always, do.count_open),),
        T.CIRCUIT_TRIP: CIRCUIT_TRIP,
        T.CIRCUIT_SUSPEND: IGNORE,
        T.WOULD_NOT_OPEN: LOCK_OUT,
        T.UNBIDDEN: FOUND_CLOSED,
        T.START: REFUSE_START,
        T.STOP: STOP,
        T.RESET: BUSY_RESET,
        T.SHUTDOWN: SHUT_DOWN,
    },
    S.STOPPING: {
        **GOES_ON,
        T.UPDATE: (
            OTHER_SESSION,
            Rule("ending", when.always, limits.refuse(Code.UNKNOWN_SESSION, "the session is ending")),
        ),
        T.READING: (
            *WELDED,
            *UNCONFIRMED,
            Rule("settle", when.register_read, do.finish),
            Rule("wait", when.always, do.nothing),
        ),
        T.WAKE: (
            *UNCONFIRMED,
            Rule("still_leased", when.still_leased, do.wait_for_lapse),
            Rule("current_seen", when.load_seen, do.wait_on),
            Rule("settle_without", when.step_timed_out, do.finish),
            Rule("wait", when.always, do.nothing),
        ),
        T.OPENED: (
            Rule("open_again", when.to_open_again, do.open_again),
            Rule("opened", when.step_is(Step.OPEN), do.opened),
            *IGNORE,
        ),
        T.CIRCUIT_TRIP: IGNORE,
        T.CIRCUIT_SUSPEND: IGNORE,
        T.WOULD_NOT_OPEN: LOCK_OUT,
        T.UNBIDDEN: FOUND_CLOSED,
        T.START: REFUSE_START,
        T.STOP: (*NAMING_RULES, Rule("already", when.always, do.remember_stop)),
        T.RESET: BUSY_RESET,
        T.SHUTDOWN: IGNORE,
    },
}


def react(port: Port, trigger: Trigger, event: Event, now: Moment) -> str:
    """Let a port react, and return the name of the rule that did. Raises `UnlistedTransition`."""
    port.to_judge = True
    for rule in TABLE.get(port.state, {}).get(trigger, ()):
        if rule.when(port, event, now):
            rule.then(port, event, now)
            return rule.name
    raise UnlistedTransition(f"port {port.id}: {trigger.value} in {port.state.value}")
