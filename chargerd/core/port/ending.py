"""The end of a port's session: who may stop it, the opening, the register, and the settlement."""

from collections.abc import Callable

from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import Event, StopRequested
from chargerd.core.metering.pickup import reached
from chargerd.core.moment import Moment
from chargerd.core.port.answers import answer_request
from chargerd.core.port.condition import Step
from chargerd.core.port.port import Port
from chargerd.core.port.rules import AT_REST, GOING_ON, Handler, Reply, always, step_timed_out
from chargerd.core.protection.session_limits import LONGEST_SESSION
from chargerd.core.session import Source, StopReason
from chargerd.core.units import after
from chargerd.core.view import PortState


def unnamed(_port: Port, request: StopRequested, _now: Moment) -> bool:
    """Hold for a stop from afar that names no session and does not insist."""
    return nameless(request)


def nameless(stop: StopRequested) -> bool:
    """Say whether a stop names no session and may not: it could stop the next customer."""
    return stop.session is None and not stop.force and stop.source is Source.REMOTE


def other_session(port: Port, request: StopRequested, _now: Moment) -> bool:
    """Hold for a stop that names another session than the one under way."""
    return request.session is not None and request.session != port.session.order.session


def load_seen(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a session would be settled while current is seen at its port; it is a day after its start."""
    longest = after(port.session.image.started_at, LONGEST_SESSION)
    return step_timed_out(port, event, now) and port.load_seen(now) and not reached(longest, now.instant)


def still_leased(port: Port, event: Event, now: Moment) -> bool:
    """Hold if a write that came through late has kept the relay of an ending session closed for longer."""
    lapsed = port.relay.surely_open_at
    in_time = port.step is Step.OPEN and lapsed is not None and now.instant < lapsed
    return in_time and step_timed_out(port, event, now)


def register_read(port: Port, _event: Event, now: Moment) -> bool:
    """Hold once the register an ending session waits for is read, and no current is seen any more."""
    return port.step is Step.ENERGY and port.has_register() and not port.load_seen(now)


def end_by_circuit(port: Port, now: Moment) -> None:
    """Open and end the session, as a circuit demands."""
    assert port.intervention is not None
    port.end(port.intervention.reason, port.intervention.detail, now, code=port.intervention.code)


def refuse_stop(code: Code, message: str = "") -> Callable[[Port, StopRequested, Moment], None]:
    """Refuse a stop with this code."""

    def refuse(port: Port, request: StopRequested, _now: Moment) -> None:
        answer_request(port, request, ReplyStatus.REJECTED, code, message)

    return refuse


def stop(port: Port, request: StopRequested, now: Moment) -> None:
    """End the session because somebody asked for it."""
    remember_stop(port, request, now)
    reason = StopReason.REMOTE if request.source is Source.REMOTE else StopReason.LOCAL
    port.end(reason, None, now)


def remember_stop(port: Port, request: StopRequested, _now: Moment) -> None:
    """Accept a stop; its `done` follows with the settlement."""
    answer_request(port, request, ReplyStatus.ACCEPTED, Code.OK)
    if request.command is not None:
        port.session.pending_stops.append(request.command)


def end_by_verdict(port: Port, now: Moment) -> None:
    """End the session for the verdict's reason."""
    assert port.verdict is not None
    port.end(port.verdict.reason, port.verdict.detail, now)


def wait_for_lapse(port: Port, now: Moment) -> None:
    """Wait on until the last lease must have ended."""
    port.take_step(Step.OPEN, port.give_up_at(now))


def wait_on(port: Port, now: Moment) -> None:
    """Settle nothing while current is seen: look again in a while."""
    port.take_step(port.step, port.step_deadline(now))


def opened(port: Port, now: Moment) -> None:
    """The relay of an ending session is open."""
    port.opened(now)


def finish(port: Port, now: Moment) -> None:
    """Settle the session."""
    port.finish(now)


def shut_down(port: Port, now: Moment) -> None:
    """End the session because the daemon leaves."""
    port.end(StopReason.SHUTDOWN, None, now)


_NAMING = (
    Reply("unnamed", unnamed, refuse_stop(Code.NOT_ALLOWED, "name the session, or force")),
    Reply("wrong_session", other_session, refuse_stop(Code.WRONG_SESSION)),
)
_NO_SESSION = Reply("no_session", always, refuse_stop(Code.UNKNOWN_SESSION))
STOP = Handler(
    request=StopRequested,
    by_state={
        **dict.fromkeys(AT_REST, (_NO_SESSION,)),
        **dict.fromkeys(GOING_ON, (*_NAMING, Reply("stop", always, stop))),
        PortState.STOPPING: (*_NAMING, Reply("already", always, remember_stop)),
    },
)
