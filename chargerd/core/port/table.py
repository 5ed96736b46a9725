"""What a port does: one table of states and triggers. The first rule whose guard holds wins, protection first.

A state not listed for a trigger is an error: `react` raises `UnlistedTransition`, which the runtime answers like
any unforeseen exception, by opening every relay.

The life of a port: `unknown` until its relay has been read back open; `available`; `starting` through the steps of
the start sequence; `charging`; `suspended` with its relay open while a reason to wait lasts; `stopping` until the
relay is open and the register read; then `available` again, or `tripped` or `locked_out` while latches hold it.
"""

from collections.abc import Mapping
from typing import Any

from chargerd.core.commands import Code
from chargerd.core.events import Event, Request
from chargerd.core.moment import Moment
from chargerd.core.port import admission, ending, latching, limits, proving, reserving, starting, suspending
from chargerd.core.port.port import Port, Step
from chargerd.core.port.rules import (
    Handler,
    Rule,
    Trigger,
    UnlistedTransition,
    always,
    nothing,
    step_is,
    step_timed_out,
    verdict_is,
)
from chargerd.core.protection.function import Result
from chargerd.core.view import PortState

S, T = PortState, Trigger
Rules = tuple[Rule, ...]
IGNORE: Rules = (Rule("ignore", always, nothing),)
REST: Rules = (Rule("rest", always, Port.rest),)
LOCK_OUT: Rules = (Rule("lock_out", always, latching.would_not_open),)
FOUND_CLOSED: Rules = (Rule("found_closed", always, latching.found_closed),)
SHUT_DOWN: Rules = (Rule("shutdown", always, ending.shut_down),)
SUSPEND: Rules = (
    Rule("restart", suspending.charged, suspending.suspend_by_restart),
    Rule("not_begun", always, ending.not_begun),
)
"""What a restart interrupts."""
STUCK_OPEN: Rules = (Rule("relay_stuck_open", always, latching.stuck_open),)
AMENDING: Mapping[Trigger, Rules] = {
    T.AMENDED: (
        Rule("circuit_full", limits.pending_without_room, limits.give_up_raise(Code.CIRCUIT_FULL)),
        Rule("raised", always, limits.raise_now),
    ),
    T.NOT_AMENDED: (Rule("not_raised", always, limits.give_up_raise(Code.STORE_UNAVAILABLE)),),
}
"""What every state with a session has in common that goes on."""
WELDED: Rules = (Rule("relay_welded", latching.welded, latching.lock_out_welded),)
UNCONFIRMED: Rules = (Rule("out_of_control", latching.load_unconfirmed, latching.lock_out_unconfirmed),)
"""Current through a relay that nobody can show to be open, wherever a relay may be opening."""
CIRCUIT_TRIP: Rules = (Rule("circuit_trip", always, ending.end_by_circuit),)
KNOWN = Rule("known", admission.known, admission.take_place)
IDLE: Mapping[Trigger, Rules] = {
    T.READING: (*WELDED, *UNCONFIRMED, *IGNORE),
    T.WAKE: (*UNCONFIRMED, *IGNORE),
    T.OPENED: REST,
    T.CIRCUIT_TRIP: REST,
    T.CIRCUIT_SUSPEND: IGNORE,
    T.WOULD_NOT_OPEN: LOCK_OUT,
    T.UNBIDDEN: FOUND_CLOSED,
    T.SHUTDOWN: IGNORE,
    T.RESTART: IGNORE,
}
"""What every state without a session has in common."""

PROTECT: Rules = (
    Rule("trip", verdict_is(Result.TRIP), latching.trip),
    Rule("suspended_too_often", suspending.too_often_judged, suspending.end_suspended_too_long),
    Rule("suspend", suspending.charged_judged, suspending.suspend_by_verdict),
    Rule("not_begun", verdict_is(Result.SUSPEND), starting.fail_by_verdict),
    Rule("end", verdict_is(Result.END), ending.end_by_verdict),
)
"""Protection before everything else, in every state in which the relay may be closed."""

TABLE: Mapping[PortState, Mapping[Trigger, Rules]] = {
    S.UNKNOWN: {trigger: rules for trigger, rules in IDLE.items() if trigger is not T.UNBIDDEN},
    S.AVAILABLE: IDLE,
    S.DISABLED: IDLE,
    S.TRIPPED: IDLE,
    S.LOCKED_OUT: {**IDLE, T.OPENED: (Rule("open_again", latching.to_open_again, latching.open_again), *REST)},
    S.QUEUED: {
        **AMENDING,
        T.READING: (*WELDED, *UNCONFIRMED, *IGNORE),
        T.WAKE: (*UNCONFIRMED, Rule("queue_timeout", step_timed_out, admission.give_up_waiting), *IGNORE),
        T.ADMITTED: (Rule("admit", always, admission.admit),),
        T.OPENED: IGNORE,
        T.WOULD_NOT_OPEN: LOCK_OUT,
        T.UNBIDDEN: FOUND_CLOSED,
        T.CIRCUIT_TRIP: CIRCUIT_TRIP,
        T.CIRCUIT_SUSPEND: IGNORE,
        T.SHUTDOWN: SHUT_DOWN,
        T.RESTART: SUSPEND,
    },
    S.STARTING: {
        **AMENDING,
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
            Rule("close", starting.guards_hold, starting.take_turn),
            Rule("changed_mind", always, starting.fail(Code.FAILED, "guards_before_closing")),
        ),
        T.CIRCUIT_TRIP: CIRCUIT_TRIP,
        T.CIRCUIT_SUSPEND: (
            Rule("not_begun", starting.uncharged, starting.fail_by_circuit),
            Rule("suspended_too_often", suspending.too_often_by_circuit, suspending.end_suspended_too_long),
            Rule("suspend", always, suspending.suspend_by_circuit),
        ),
        T.PERSIST_FAILED: (Rule("not_durable", always, starting.fail(Code.STORE_UNAVAILABLE, "persist_failed")),),
        T.CLOSED: (Rule("closed", always, starting.closed),),
        T.NOT_CLOSED: (Rule("not_closed", always, starting.fail(Code.BOARD_LOST, "relay_not_closed")),),
        T.STAYED_OPEN: STUCK_OPEN,
        T.WOULD_NOT_OPEN: LOCK_OUT,
        T.UNBIDDEN: (Rule("relay_unexpected", always, starting.fail_unbidden),),
        T.LEASE_LOST: (
            Rule("suspended_too_often", suspending.suspended_too_often, suspending.end_suspended_too_long),
            Rule("relay_board_lost", suspending.charged, suspending.suspend_board_lost),
            Rule("not_confirmed", always, starting.fail(Code.BOARD_LOST, "relay_board_lost")),
        ),
        T.SHUTDOWN: SHUT_DOWN,
        T.RESTART: SUSPEND,
    },
    S.CHARGING: {
        **AMENDING,
        T.READING: (*PROTECT, Rule("confirm", always, starting.confirm_start)),
        T.WAKE: (*PROTECT, Rule("wait", always, nothing)),
        T.STAYED_OPEN: STUCK_OPEN,
        T.LEASE_LOST: (
            Rule("suspended_too_often", suspending.suspended_too_often, suspending.end_suspended_too_long),
            Rule("relay_board_lost", always, suspending.suspend_board_lost),
        ),
        T.LAPSED: (Rule("lapsed", always, proving.end_lapsed),),
        T.CIRCUIT_TRIP: CIRCUIT_TRIP,
        T.CIRCUIT_SUSPEND: (
            Rule("suspended_too_often", suspending.too_often_by_circuit, suspending.end_suspended_too_long),
            Rule("suspend", always, suspending.suspend_by_circuit),
        ),
        T.SHUTDOWN: SHUT_DOWN,
        T.RESTART: SUSPEND,
    },
    S.SUSPENDED: {
        **AMENDING,
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
        T.OPENED: (Rule("count", always, suspending.opened),),
        T.CIRCUIT_TRIP: CIRCUIT_TRIP,
        T.CIRCUIT_SUSPEND: IGNORE,
        T.WOULD_NOT_OPEN: LOCK_OUT,
        T.UNBIDDEN: FOUND_CLOSED,
        T.SHUTDOWN: SHUT_DOWN,
        T.RESTART: (Rule("wait_through", always, suspending.wait_through),),
    },
    S.STOPPING: {
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
        T.SHUTDOWN: IGNORE,
        T.RESTART: IGNORE,
    },
}


UNPROVOKED: Mapping[tuple[PortState, Trigger], Rules] = {
    (state, trigger): rules[len(PROTECT) :]
    for state, row in TABLE.items()
    for trigger, rules in row.items()
    if rules[: len(PROTECT)] == PROTECT
}
"""What is left of rules that begin with `PROTECT` while no function has picked up: none of those holds then."""


def react(port: Port, trigger: Trigger, event: Event, now: Moment) -> str:
    """Let a port react, and return the name of the rule that did. Raises `UnlistedTransition`."""
    port.to_judge = True
    rules = UNPROVOKED.get((port.state, trigger))
    if rules is None or port.picked_up(now) is not None:
        rules = TABLE.get(port.state, {}).get(trigger, ())
    for rule in rules:
        if rule.when(port, event, now):
            rule.then(port, now)
            return rule.name
    raise UnlistedTransition(f"port {port.id}: {trigger.value} in {port.state.value}")


HANDLERS: Mapping[type[Request], Handler[Any]] = {
    handler.request: handler
    for handler in (
        admission.START,
        ending.STOP,
        latching.RESET,
        limits.UPDATE,
        reserving.RESERVE,
        admission.DISABLE,
        admission.ENABLE,
        admission.LOCK,
        admission.UNLOCK,
    )
}
UNFORESEEN: Handler[Any] = Handler(request=object, by_state={})
"""Of a class of requests that has no handler yet."""


def ask(port: Port, request: Request, now: Moment) -> str:
    """Let a port take what somebody asks of it, and return the name of its reply; it has one to everything."""
    return HANDLERS.get(type(request), UNFORESEEN).handle(port, request, now)
