"""New limits for a session under way.

To lower is the safe direction: it holds at once, and is written down right after. To raise is the unsafe one: it
holds when the command's id and the session's new record are durable, if its circuits still have room for it then.
A command that does both is a raise. One that comes while an earlier raise, or its id, is being written down
overtakes it.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from chargerd.core.commands import Amend, Checkpoint, Code, ReplyStatus
from chargerd.core.events import Event, UpdateRequested
from chargerd.core.facts import SessionUpdated
from chargerd.core.moment import Moment
from chargerd.core.plan import Limits, exceeds
from chargerd.core.port.admission import own_limits
from chargerd.core.port.answers import answer_request, drop_raise
from chargerd.core.port.charge import Raise
from chargerd.core.port.ending import end
from chargerd.core.port.port import Port
from chargerd.core.port.rules import AT_REST, GOING_ON, Handler, Reply, always
from chargerd.core.session import Source, StopDetail, StopReason
from chargerd.core.units import Amps, Watts
from chargerd.core.view import PortState


def named(event: UpdateRequested, others: Limits) -> Limits:
    """Return the limits a command names, and others where it names none."""
    return Limits(
        current=others.current if event.current is None else event.current,
        power=others.power if event.power is None else event.power,
        duration=others.duration if event.duration is None else event.duration,
        energy=others.energy if event.energy is None else event.energy,
    )


def asked(port: Port, event: UpdateRequested) -> Limits:
    """Return the limits the session would have; what was not named stays as it is."""
    return named(event, port.limits)


# Guards


def other_session(port: Port, request: UpdateRequested, _now: Moment) -> bool:
    """Hold for another session than the one under way; who stands at the port need not name it."""
    if request.session is None:
        return request.source is Source.REMOTE
    return request.session != port.session.order.session


def too_much(port: Port, request: UpdateRequested, _now: Moment) -> bool:
    """Hold for limits above the port's own, or that are none at all."""
    return exceeds(named(request, port.plan.limits), port.plan.limits)


def raises(port: Port, request: UpdateRequested, _now: Moment) -> bool:
    """Hold if anything is to become more than it is."""
    return exceeds(asked(port, request), port.limits)


def overtaken(port: Port, request: UpdateRequested, _now: Moment) -> bool:
    """Hold for a raise that is durable at last, and that a later command has come before."""
    return request.durable and port.session.raising != request.command


def raises_unremembered(port: Port, request: UpdateRequested, now: Moment) -> bool:
    """Hold for a raise whose command is not durable yet: it comes once more when it is."""
    return not request.durable and raises(port, request, now)


def raises_without_room(port: Port, request: UpdateRequested, now: Moment) -> bool:
    """Hold for a raise that does not fit into the 90 % of every circuit above."""
    return not _fits(port, asked(port, request), now)


def pending_without_room(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if the raise that is durable by now no longer fits: others were admitted meanwhile."""
    return not _fits(port, asked(port, _pending(port).event), now)


def _fits(port: Port, limits: Limits, now: Moment) -> bool:
    if limits.current <= port.limits.current and limits.power <= port.limits.power:
        return True
    if not port.circuits.could_fit(port.id, limits):
        return False
    if port.id in port.circuits.waiting():
        return True  # Nothing is kept free for it yet: it waits until its new limits fit.
    kept = port.circuits.share(port.id)
    more = replace(
        limits,
        current=Amps(max(0.0, limits.current - kept.allocated_current)),
        power=Watts(max(0.0, limits.power - kept.allocated_power)),
    )
    return not port.circuits.full(port.id, more, now.instant)


def _pending(port: Port) -> Raise:
    pending = port.session.pending_raise
    assert pending is not None
    return pending


# Actions


def refuse(code: Code, message: str = "") -> Callable[[Port, UpdateRequested, Moment], None]:
    """Refuse new limits with this code."""

    def say(port: Port, request: UpdateRequested, _now: Moment) -> None:
        answer_request(port, request, ReplyStatus.REJECTED, code, message)

    return say


def refuse_limits(port: Port, request: UpdateRequested, _now: Moment) -> None:
    """Refuse limits above the port's own, naming those."""
    answer_request(port, request, ReplyStatus.REJECTED, Code.LIMIT_TOO_HIGH, own_limits(port))


def hear_raise(port: Port, request: UpdateRequested, _now: Moment) -> None:
    """Keep in mind which raise was asked for last: of those that become durable later, it alone counts."""
    port.session.raising = request.command


def write_raise(port: Port, request: UpdateRequested, now: Moment) -> None:
    """Accept a raise: the session's new record is made durable before it holds."""
    port.session.raising = None
    drop_raise(port, Code.CONFLICT, "overtaken by a later update")
    session, token = port.session, port.station.next_token()
    session.pending_raise = Raise(event=request, token=token)
    answer_request(port, request, ReplyStatus.ACCEPTED, Code.OK)
    record = port.record(now)
    amended = replace(record, order=replace(record.order, limits=asked(port, request)))
    port.out.do(Amend(port=port.id, token=token, record=amended))


def raise_now(port: Port, now: Moment) -> None:
    """The new record is durable: its limits hold from now on."""
    pending, port.session.pending_raise = _pending(port), None
    _adopt(port, pending.event, now)


def give_up_raise(code: Code) -> Callable[[Port, Moment], None]:
    """Let the limits be as they are, and the journal know that."""

    def give_up(port: Port, now: Moment) -> None:
        drop_raise(port, code)
        port.out.do(Checkpoint(records=(port.record(now),)))

    return give_up


def lower(port: Port, request: UpdateRequested, now: Moment) -> None:
    """Let lower limits hold at once; what has been passed already ends the session."""
    port.session.raising = None
    if port.session.pending_raise is not None and asked(port, request) == port.limits:
        port.out.do(Checkpoint(records=(port.record(now),)))  # Else the journal would stay with the raise.
    drop_raise(port, Code.CONFLICT, "overtaken by a later update")
    _adopt(port, request, now)


def hold(port: Port, limits: Limits, now: Moment) -> None:
    """Let lower limits hold at once that nobody has sent a command for."""
    _take_on(port, limits, now)
    _end_if_passed(port, limits, now)


def _adopt(port: Port, event: UpdateRequested, now: Moment) -> None:
    limits = asked(port, event)
    _take_on(port, limits, now)
    answer_request(port, event, ReplyStatus.DONE, Code.OK)
    _end_if_passed(port, limits, now)


def _take_on(port: Port, limits: Limits, now: Moment) -> None:
    session = port.session
    if limits != port.limits:
        session.adopt(limits, now)
        port.circuits.amend(port.id, limits)
        if session.announced:
            port.out.tell(SessionUpdated(record=port.record(now)))
        else:
            port.out.do(Checkpoint(records=(port.record(now),)))


def _end_if_passed(port: Port, limits: Limits, now: Moment) -> None:
    record = port.record(now)
    drawn, charged = record.energy, record.charging
    if drawn >= (math.inf if limits.energy is None else limits.energy):
        detail = StopDetail(function="energy_limit", measured=drawn, limit=limits.energy, unit="wh")
        end(port, StopReason.ENERGY_LIMIT, detail, now)
    elif charged >= limits.duration:
        detail = StopDetail(function="duration_limit", measured=charged, limit=limits.duration, unit="s")
        end(port, StopReason.DURATION_LIMIT, detail, now)


_OTHER_SESSION = Reply("wrong_session", other_session, refuse(Code.WRONG_SESSION))
_REPLIES = (
    _OTHER_SESSION,
    Reply("limit_too_high", too_much, refuse_limits),
    Reply("overtaken", overtaken, refuse(Code.CONFLICT, "overtaken by a later update")),
    Reply("not_durable", raises_unremembered, hear_raise),
    Reply("circuit_full", raises_without_room, refuse(Code.CIRCUIT_FULL)),
    Reply("raise", raises, write_raise),
    Reply("lower", always, lower),
)
_ENDING = Reply("ending", always, refuse(Code.UNKNOWN_SESSION, "the session is ending"))
UPDATE = Handler(
    request=UpdateRequested,
    by_state={
        **dict.fromkeys(AT_REST, (Reply("no_session", always, refuse(Code.UNKNOWN_SESSION)),)),
        **dict.fromkeys(GOING_ON, _REPLIES),
        PortState.STOPPING: (_OTHER_SESSION, _ENDING),
    },
)
