"""The end of a port's session: who may stop it, the opening, the register, and the settlement."""

from collections.abc import Callable

from chargerd.core.boards.relay import RelayPhase
from chargerd.core.commands import Checkpoint, Code, Pace, ReadEnergy, ReplyStatus, SetPace
from chargerd.core.events import Event, StopRequested
from chargerd.core.facts import (
    RelayOpenCircuit,
    SessionEnded,
)
from chargerd.core.metering.pickup import reached
from chargerd.core.metering.thermal import WORTH_KEEPING
from chargerd.core.moment import Moment
from chargerd.core.port.answers import answer_request, drop_raise, last_words
from chargerd.core.port.port import Ending, Port, Step
from chargerd.core.port.rules import AT_REST, GOING_ON, Handler, Reply, always, step_timed_out
from chargerd.core.protection.session_limits import LONGEST_SESSION
from chargerd.core.session import Source, StopDetail, StopReason, ThermalState
from chargerd.core.units import Instant, Seconds, after
from chargerd.core.view import PortState

UNCONFIRMED_END = Seconds(15.0)
"""How long a session waits for its relay to be read back open on a board without leases before it is settled."""


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
    return port.step is Step.ENERGY and has_register(port) and not port.load_seen(now)


def end_by_circuit(port: Port, now: Moment) -> None:
    """Open and end the session, as a circuit demands."""
    assert port.intervention is not None
    end(port, port.intervention.reason, port.intervention.detail, now, code=port.intervention.code)


def refuse_stop(code: Code, message: str = "") -> Callable[[Port, StopRequested, Moment], None]:
    """Refuse a stop with this code."""

    def refuse(port: Port, request: StopRequested, _now: Moment) -> None:
        answer_request(port, request, ReplyStatus.REJECTED, code, message)

    return refuse


def stop(port: Port, request: StopRequested, now: Moment) -> None:
    """End the session because somebody asked for it."""
    remember_stop(port, request, now)
    reason = StopReason.REMOTE if request.source is Source.REMOTE else StopReason.LOCAL
    end(port, reason, None, now)


def remember_stop(port: Port, request: StopRequested, _now: Moment) -> None:
    """Accept a stop; its `done` follows with the settlement."""
    answer_request(port, request, ReplyStatus.ACCEPTED, Code.OK)
    if request.command is not None:
        port.session.pending_stops.append(request.command)


def end_by_verdict(port: Port, now: Moment) -> None:
    """End the session for the verdict's reason."""
    assert port.verdict is not None
    end(port, port.verdict.reason, port.verdict.detail, now)


def wait_for_lapse(port: Port, now: Moment) -> None:
    """Wait on until the last lease must have ended."""
    port.take_step(Step.OPEN, give_up_at(port, now))


def wait_on(port: Port, now: Moment) -> None:
    """Settle nothing while current is seen: look again in a while."""
    port.take_step(port.step, port.step_deadline(now))


def shut_down(port: Port, now: Moment) -> None:
    """End the session because the daemon leaves for good."""
    end(port, StopReason.SHUTDOWN, None, now)


def not_begun(port: Port, now: Moment) -> None:
    """End a session that has not charged yet: there is nothing that could go on after the restart."""
    end(port, StopReason.RESTART, None, now)


def end(
    port: Port, reason: StopReason, detail: StopDetail | None, now: Moment, *, code: Code | None = None
) -> None:
    """Open and end the session; the settlement follows when the relay is open and the register read."""
    unknown = port.step is Step.KNOWN
    stop_charging(port, now)
    port.recover_until = port.return_at = None
    port.circuits.leave(port.id)
    drop_raise(port, Code.FAILED, "the session has ended")
    port.ending = Ending(reason=reason, detail=detail, code=code)
    port.enter(PortState.STOPPING, now)
    port.take_step(Step.OPEN, give_up_at(port, now))
    if port.relay.phase is RelayPhase.OPEN or unknown:
        opened(port, now)
    if port.charge is not None and port.charge.charged:
        # Whoever finds it after a crash must not let it go on.
        port.out.do(Checkpoint(records=(port.record(now),)))


def stop_charging(port: Port, now: Moment) -> None:
    """Open the relay, unless it is known to be open. A closing that was written counts, read back or not."""
    if port.relay.phase is RelayPhase.CLOSING and port.relay.closed_from is not None:
        count_from_closing(port)
    if port.relay.phase is not RelayPhase.OPEN:
        port.relay.open(now.instant, port.out)
    port.session.image.open()


def opened(port: Port, now: Moment) -> None:
    """The relay of an ending session is open: read the register, unless there is nothing to settle by it."""
    count_open(port, now)
    if not port.session.touched or port.session.kept is not None:
        finish(port, now)
        return
    port.sequence_from = now.instant
    port.take_step(Step.ENERGY, port.step_deadline(now))
    port.out.do(ReadEnergy(port=port.id))


def count_open(port: Port, now: Moment) -> None:
    """Charging time ends: now, or with the last confirmed lease, whichever was earlier."""
    until = port.contact_until(now.instant)
    port.session.totals.open(until)
    port.session.contact_opened(until)


def finish(port: Port, now: Moment) -> None:
    """Settle: the session's one record, and the last words to whoever asked."""
    session, ending = port.session, port.ending
    assert ending is not None
    count_open(port, now)
    session.resume(now)
    stop = None
    if port.step is Step.ENERGY and has_register(port):
        assert port.seen.energy is not None
        assert port.seen.energy_at is not None
        session.totals.register(port.seen.energy, port.seen.energy_at)
        stop = port.seen.energy
    port.out.tell(SessionEnded(settlement=session.settle(ending.reason, ending.detail, stop, now)))
    last_words(port, ending)
    if port.weld.never_drew(charged=session.charged, peak=session.peak):
        port.out.tell(RelayOpenCircuit(port=port.id))
    port.discharge()
    warmth = warmth_of(port, now)
    if warmth is not None:
        port.out.do(Checkpoint(records=(), warmths=(warmth,)))
    port.out.do(SetPace(port=port.id, pace=Pace.IDLE))
    port.rest(now)


def warmth_of(port: Port, now: Moment) -> ThermalState | None:
    """Return how warm its wire is, for the journal; `None` for one that is cold and was so before."""
    theta = port.thermal.theta(now.instant)
    was_told, port.warmth_told = port.warmth_told, theta >= WORTH_KEEPING
    return ThermalState(port=port.id, theta=theta, at=now) if was_told or port.warmth_told else None


def count_from_closing(port: Port) -> None:
    """Let charging time run from the write that closed the relay on."""
    totals, began = port.session.totals, port.relay.closed_from
    assert began is not None
    port.session.contact_closed(began)
    totals.close(began)
    assert port.seen.signed_power is not None
    assert port.seen.power_at is not None
    if port.seen.power_at >= began:
        totals.hold(port.seen.signed_power, port.seen.power_at)


def give_up_at(port: Port, now: Moment) -> Instant:
    """Return when a session is settled though its relay was not read back open."""
    patience = after(now.instant, UNCONFIRMED_END)
    lapsed = port.relay.surely_open_at
    return patience if lapsed is None else max(lapsed, port.step_deadline(now))


def has_register(port: Port) -> bool:
    """Say whether the register was read since the sequence began."""
    return port.seen.energy_at is not None and port.seen.energy_at > port.sequence_from


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
