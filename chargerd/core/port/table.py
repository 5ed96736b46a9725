"""What a port does: one table of states and triggers. The first rule whose guard holds wins, protection first.

A state not listed for a trigger is an error: `react` raises `UnlistedTransition`, which the runtime answers like
any unforeseen exception, by opening every relay.

The life of a port: `unknown` until its relay has been read back open; `available`; `starting` through the steps of
the start sequence; `charging`; `suspended` with its relay open while a reason to wait lasts; `stopping` until the
relay is open and the register read; then `available` again, or `tripped` or `locked_out` while latches hold it.
"""

from collections.abc import Mapping

from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import Event
from chargerd.core.moment import Moment
from chargerd.core.port import ending, latching, limits, starting, suspending
from chargerd.core.port.condition import Step
from chargerd.core.port.port import Port
from chargerd.core.port.rules import (
    Rule,
    Trigger,
    UnlistedTransition,
    always,
    nothing,
    rest,
    step_is,
    step_timed_out,
    verdict_is,
)
from chargerd.core.protection.functions import Result
from chargerd.core.view import PortState

S, T = PortState, Trigger
Rules = tuple[Rule, ...]
IGNORE: Rules = (Rule("ignore", always, nothing),)
REST: Rules = (Rule("rest", always, rest),)
LOCK_OUT: Rules = (Rule("lock_out", always, latching.would_not_open),)
FOUND_CLOSED: Rules = (Rule("found_closed", always, latching.found_closed),)
REFUSE_START: Rules = (Rule("blocked", always, starting.refuse_blocked),)
NO_SESSION: Rules = (Rule("no_session", always, ending.refuse_stop(ReplyStatus.REJECTED, Code.UNKNOWN_SESSION)),)
CLEAR: Rules = (Rule("clear", always, latching.clear),)
BUSY_RESET: Rules = (Rule("busy", always, latching.refuse_reset),)
SHUT_DOWN: Rules = (Rule("shutdown", always, ending.shut_down),)
STUCK_OPEN: Rules = (Rule("relay_stuck_open", always, latching.stuck_open),)
NAMING_RULES: Rules = (
    Rule(
        "unnamed",
        ending.unnamed,
        ending.refuse_stop(ReplyStatus.REJECTED, Code.NOT_ALLOWED, "name the session, or force"),
    ),
    Rule("wrong_session", ending.other_session, ending.refuse_stop(ReplyStatus.REJECTED, Code.WRONG_SESSION)),
)
STOP: Rules = (*NAMING_RULES, Rule("stop", always, ending.stop))
NO_LIMITS: Rules = (Rule("no_session", always, limits.refuse(Code.UNKNOWN_SESSION)),)
OTHER_SESSION = Rule("wrong_session", limits.other_session, limits.refuse(Code.WRONG_SESSION))
WITH_LIMITS: Mapping[Trigger, Rules] = {
    T.UPDATE: (
        OTHER_SESSION,
        Rule("limit_too_high", limits.too_much, limits.refuse_limits),
        Rule("overtaken", limits.overtaken, limits.refuse(Code.CONFLICT, "overtaken by a later update")),
        Rule("not_durable", limits.raises_unremembered, limits.hear_raise),
        Rule("circuit_full", limits.raises_without_room, limits.refuse(Code.CIRCUIT_FULL)),
        Rule("raise", limits.raises, limits.write_raise),
        Rule("lower", always, limits.lower),
    ),
    T.AMENDED: (
        Rule("circuit_full", limits.pending_without_room, limits.give_up_raise(Code.CIRCUIT_FULL)),
        Rule("raised", always, limits.raise_now),
    ),
    T.NOT_AMENDED: (Rule("not_raised", always, limits.give_up_raise(Code.STORE_UNAVAILABLE)),),
}
"""What every state with a session has in common that goes on."""
GOES_ON: Mapping[Trigger, Rules] = {T.DISABLED: IGNORE, T.ENABLED: IGNORE}
"""A session under way is finished, whoever disables its port."""
WELDED: Rules = (Rule("relay_welded", latching.welded, latching.lock_out_welded),)
UNCONFIRMED: Rules = (Rule("out_of_control", latching.load_unconfirmed, latching.out_of_control),)
"""Current through a relay that nobody can show to be open, wherever a relay may be opening."""
CIRCUIT_TRIP: Rules = (Rule("circuit_trip", always, ending.end_by_circuit),)
START: Rules = (
    Rule("blocked", starting.blocked, starting.refuse_blocked),
    Rule("limit_too_high", starting.asks_too_much, starting.refuse_limits),
    Rule("never_fits", starting.no_room_ever, starting.refuse_full),
    Rule("not_yet_known", starting.not_yet_known, starting.await_boards),
    Rule("circuit_full", starting.no_room_and_no_patience, starting.refuse_full),
    Rule("queue", starting.no_room, starting.enqueue),
    Rule("accept", always, starting.accept),
)
KNOWN = Rule("known", starting.known, starting.take_place)
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
    Rule("trip", verdict_is(Result.TRIP), latching.trip),
    Rule("suspended_too_often", suspending.too_often_judged, suspending.end_suspended_too_long),
    Rule("suspend", suspending.charged_judged, suspending.suspend_by_verdict),
    Rule("not_begun", verdict_is(Result.SUSPEND), starting.fail_by_verdict),
    Rule("end", verdict_is(Result.END), ending.end_by_verdict),
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
    S.LOCKED_OUT: {**HELD, T.OPENED: (Rule("open_again", latching.to_open_again, latching.open_again), *REST)},
    S.QUEUED: {
        **WITH_LIMITS,
        T.DISABLED: (Rule("withdraw", always, starting.withdraw),),
        T.READING: (*WELDED, *UNCONFIRMED, *IGNORE),
        T.WAKE: (*UNCONFIRMED, Rule("queue_timeout", step_timed_out, starting.give_up_waiting), *IGNORE),
        T.ADMITTED: (Rule("admit", always, starting.admit),),
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
        T.DISABLED: (Rule("withdraw", starting.untouched, starting.withdraw), *IGNORE),
        T.ENABLED: IGNORE,
        T.READING: (
            *PROTECT,
            KNOWN,
            Rule("relay_welded", starting.welded_before_closing, latching.lock_out_welded),
            Rule(
                "load_before_closing",
                starting.load_before_closing,
                starting.fail(Code.RELAY_FAULT, "current_before_closing"),
            ),
            Rule("persist", starting.readings_complete, starting.persist),
            Rule("powered", starting.awaits_power, starting.energise),
            Rule("charging", starting.first_reading, starting.begin_charging),
            Rule("wait", always, nothing),
        ),
        T.WAKE: (
            *PROTECT,
            Rule("turn_lost", starting.turn_lost, starting.fail(Code.FAILED, "guards_before_closing")),
            Rule("turn", starting.turn_has_come, starting.energise),
            Rule("too_slow", step_timed_out, starting.fail_step),
            Rule("wait", always, nothing),
        ),
        T.OPENED: (KNOWN, *IGNORE),
        T.PERSISTED: (
            Rule("delivered", starting.delivered, starting.end_delivered),
            Rule("close", starting.guards_hold, starting.durable_and_close),
            Rule("changed_mind", always, starting.fail(Code.FAILED, "guards_before_closing")),
        ),
        T.CIRCUIT_TRIP: CIRCUIT_TRIP,
        T.CIRCUIT_SUSPEND: (
            Rule("not_begun", starting.uncharged, starting.fail_by_circuit),
            Rule("suspended_too_often", suspending.too_often_by_circuit, suspending.end_suspended_too_long),
            Rule("suspend", always, suspending.suspend_by_circuit),
        ),
        T.PERSIST_FAILED: (Rule("not_durable", always, starting.fail(Code.STORE_UNAVAILABLE, "persist_failed")),),
        T.CLOSED: (Rule("closed", always, starting.announce),),
        T.NOT_CLOSED: (Rule("not_closed", always, starting.fail(Code.BOARD_LOST, "relay_not_closed")),),
        T.STAYED_OPEN: STUCK_OPEN,
        T.WOULD_NOT_OPEN: LOCK_OUT,
        T.UNBIDDEN: (Rule("relay_unexpected", always, starting.fail_unbidden),),
        T.LEASE_LOST: (
            Rule("suspended_too_often", suspending.suspended_too_often, suspending.end_suspended_too_long),
            Rule("relay_board_lost", suspending.charged, suspending.suspend_board_lost),
            Rule("not_confirmed", always, starting.fail(Code.BOARD_LOST, "relay_board_lost")),
        ),
        T.START: REFUSE_START,
        T.STOP: STOP,
        T.RESET: BUSY_RESET,
        T.SHUTDOWN: SHUT_DOWN,
    },
    S.CHARGING: {
        **WITH_LIMITS,
        **GOES_ON,
        T.READING: (*PROTECT, Rule("confirm", always, starting.confirm_start)),
        T.WAKE: (*PROTECT, Rule("wait", always, nothing)),
        T.STAYED_OPEN: STUCK_OPEN,
        T.LEASE_LOST: (
            Rule("suspended_too_often", suspending.suspended_too_often, suspending.end_suspended_too_long),
            Rule("relay_board_lost", always, suspending.suspend_board_lost),
        ),
        T.CIRCUIT_TRIP: CIRCUIT_TRIP,
        T.CIRCUIT_SUSPEND: (
            Rule("suspended_too_often", suspending.too_often_by_circuit, suspending.end_suspended_too_long),
            Rule("suspend", always, suspending.suspend_by_circuit),
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
            Rule("outage_proved", suspending.outage_proved, suspending.prove),
            Rule("outage_too_long", suspending.outage_too_long, suspending.end_by_outage),
            Rule("spread", suspending.goes_on_together, suspending.spread),
            Rule("recovered", suspending.recovered, suspending.restart),
            Rule("wait", always, nothing),
        ),
        T.WAKE: (
            *UNCONFIRMED,
            Rule("suspended_too_long", suspending.suspended_too_long, suspending.end_suspended_too_long),
            Rule("no_room_yet", suspending.no_room_yet, suspending.wait_on_for_more),
            Rule("line_changed", suspending.on_another_line, suspending.wait_on_for_more),
            Rule("not_recovered", suspending.not_recovered, suspending.end_not_recovered),
            Rule("turn", suspending.turn_to_return, suspending.return_in_turn),
            Rule("wait", always, nothing),
        ),
        T.OPENED: (Rule("count", always, suspending.count_open),),
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
            Rule("ending", always, limits.refuse(Code.UNKNOWN_SESSION, "the session is ending")),
        ),
        T.READING: (
            *WELDED,
            *UNCONFIRMED,
            Rule("settle", ending.register_read, ending.finish),
            Rule("wait", always, nothing),
        ),
        T.WAKE: (
            *UNCONFIRMED,
            Rule("still_leased", ending.still_leased, ending.wait_for_lapse),
            Rule("current_seen", ending.load_seen, ending.wait_on),
            Rule("settle_without", step_timed_out, ending.finish),
            Rule("wait", always, nothing),
        ),
        T.OPENED: (
            Rule("open_again", latching.to_open_again, latching.open_again),
            Rule("opened", step_is(Step.OPEN), ending.opened),
            *IGNORE,
        ),
        T.CIRCUIT_TRIP: IGNORE,
        T.CIRCUIT_SUSPEND: IGNORE,
        T.WOULD_NOT_OPEN: LOCK_OUT,
        T.UNBIDDEN: FOUND_CLOSED,
        T.START: REFUSE_START,
        T.STOP: (*NAMING_RULES, Rule("already", always, ending.remember_stop)),
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
