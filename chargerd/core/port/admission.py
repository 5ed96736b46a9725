"""Whether a start is taken: refused, accepted, or made to wait; and what is out of service."""

from chargerd.core.circuits.share import drawn
from chargerd.core.commands import Code, Pace, ReplyStatus, SetPace
from chargerd.core.events import (
    DisableRequested,
    EnableRequested,
    Event,
    LockRequested,
    Request,
    ReserveRequested,
    StartRequested,
    UnlockRequested,
)
from chargerd.core.facts import ReservationEnded
from chargerd.core.moment import Moment
from chargerd.core.plan import exceeds
from chargerd.core.port.answers import answer
from chargerd.core.port.charge import Charge
from chargerd.core.port.ending import end
from chargerd.core.port.port import Port, Step
from chargerd.core.port.rules import AT_REST, GOING_ON, Handler, Reply, always
from chargerd.core.port.starting import begin_sequence, end_start
from chargerd.core.session import Order, Source, StopDetail, StopReason
from chargerd.core.units import Amps, Seconds, Watts, after
from chargerd.core.view import PortState

UNHEARD = frozenset({Code.BOARD_LOST, Code.METER_STALE, Code.NOT_YET_KNOWN})
"""What may be over with the next answer of a board."""


def obstacles_to(port: Port, request: StartRequested | ReserveRequested, now: Moment) -> tuple[Code, ...]:
    """Return why this start, or the one a port is to be kept for, would be refused now."""
    proof = request.order.proof if isinstance(request, StartRequested) else None
    return port.obstacles(now, request.session, proof)


def blocked(port: Port, request: StartRequested | ReserveRequested, now: Moment) -> bool:
    """Hold if a start must be refused; for what is not yet known it waits instead, and may wait for room."""
    obstacles = obstacles_to(port, request, now)
    return any(code not in {Code.NOT_YET_KNOWN, Code.CIRCUIT_FULL} for code in obstacles)


def not_yet_known(port: Port, request: StartRequested, now: Moment) -> bool:
    """Hold for a start of a port whose boards, or whose neighbours' relays, have not been heard of yet."""
    return Code.NOT_YET_KNOWN in port.obstacles(now) or (no_room(port, request, now) and port.room_unclear())


def known(port: Port, _event: Event, now: Moment) -> bool:
    """Hold once a start that has waited for its boards need wait for them no longer."""
    return port.step is Step.KNOWN and not UNHEARD & set(port.obstacles(now))


def asks_too_much(port: Port, request: StartRequested, _now: Moment) -> bool:
    """Hold if the order's limits lie above the port's own."""
    return exceeds(request.order.limits, port.plan.limits)


def no_room_ever(port: Port, request: StartRequested, _now: Moment) -> bool:
    """Hold for a start that would not even fit alone."""
    return not port.circuits.could_fit(port.id, request.order.limits)


def no_room(port: Port, request: StartRequested, now: Moment) -> bool:
    """Hold for a start that does not fit now, and may wait."""
    return not port.circuits.admits(port.id, request.order.limits, now.instant)


def no_room_and_no_patience(port: Port, request: StartRequested, now: Moment) -> bool:
    """Hold for a start that does not fit now, and may not wait."""
    return no_room(port, request, now) and patience_of(port, request.order) <= 0


def untouched(port: Port, _request: object, _now: Moment) -> bool:
    """Hold if the relay was never told to close for the session: it is no charge under way yet."""
    return not port.session.touched


def refuse_blocked(port: Port, request: StartRequested, now: Moment) -> None:
    """Refuse a start, saying the most telling obstacle; what is not yet known comes last among them."""
    code = next(iter(obstacles_to(port, request, now)), Code.NOT_ALLOWED)
    answer(port, request.order, ReplyStatus.REJECTED, code)


def refuse_limits(port: Port, request: StartRequested, _now: Moment) -> None:
    """Refuse a start whose limits lie above the port's own; they are not clipped in silence."""
    answer(port, request.order, ReplyStatus.REJECTED, Code.LIMIT_TOO_HIGH, own_limits(port))


def refuse_full(port: Port, request: StartRequested, _now: Moment) -> None:
    """Refuse a start its circuits cannot take."""
    answer(port, request.order, ReplyStatus.REJECTED, Code.CIRCUIT_FULL)


def give_up_waiting(port: Port, now: Moment) -> None:
    """The start has waited for as long as it may."""
    patience = patience_of(port, port.session.order)
    detail = StopDetail(function="queue_timeout", measured=patience, limit=patience, unit="s")
    end(port, StopReason.QUEUE_TIMEOUT, detail, now)


def withdraw(port: Port, _request: Request, now: Moment) -> None:
    """A start whose relay was not told to close yet does not begin on a port that was disabled meanwhile."""
    disabled = port.disabled()
    assert disabled is not None
    reason = StopReason.REMOTE if disabled.source is Source.REMOTE else StopReason.LOCAL
    end(port, reason, StopDetail(function="disabled"), now, code=Code.DISABLED)


def end_by_lock(port: Port, _request: LockRequested, now: Moment) -> None:
    """Whoever puts a lock on a port wants its relay open now: the session ends."""
    end(port, StopReason.LOCAL, StopDetail(function="locked"), now, code=Code.LOCKED)


def show(port: Port, _request: Request, now: Moment) -> None:
    """Show that a port without a session was taken out of service, or is back."""
    port.rest(now)


def leave(_port: Port, _request: Request, _now: Moment) -> None:
    """Leave a port as it is, whoever takes it out of service or puts it back: its session is finished first."""


def accept(port: Port, request: StartRequested, now: Moment) -> None:
    """Accept a start: the sequence begins with two fresh readings and the register."""
    _take(port, request, now)
    answer(port, request.order, ReplyStatus.ACCEPTED, Code.OK)
    port.enter(PortState.STARTING, now)
    begin_sequence(port, now)


def enqueue(port: Port, request: StartRequested, now: Moment) -> None:
    """Accept a start that has to wait for its circuits."""
    _take(port, request, now)
    _queue(port, now)
    answer(port, request.order, ReplyStatus.ACCEPTED, Code.OK, "waits for its circuit")


def await_boards(port: Port, request: StartRequested, now: Moment) -> None:
    """Accept a start that meets the daemon just begun: nothing is known yet of its boards."""
    _take(port, request, now)
    answer(port, request.order, ReplyStatus.ACCEPTED, Code.OK, "waits for the first answers of its boards")
    port.enter(PortState.STARTING, now)
    port.take_step(Step.KNOWN, port.step_deadline(now))
    port.out.do(SetPace(port=port.id, pace=Pace.ARMED))


def _take(port: Port, request: StartRequested, now: Moment) -> None:
    end_reservation(port, "started", now)
    port.charge = Charge(port.plan, request.order, port.models, now)
    port.charge.raising = request.raising
    port.suspended_for = None


def end_reservation(port: Port, kind: str, now: Moment) -> None:
    """Keep the port no longer, if it is kept: `started`, `released` or `shutdown`, unless it had expired."""
    kept, told = port.reservation, "expired" if port.kept(now) is None else kind
    port.reservation = None
    if kept is not None:
        port.out.tell(ReservationEnded(port=port.id, session=kept.session, kind=told))


def expire_reservation(port: Port, now: Moment) -> None:
    """Keep the port no longer if the time for that is over."""
    if port.kept(now) is None:
        end_reservation(port, "expired", now)


def _queue(port: Port, now: Moment) -> None:
    order = port.session.order
    port.circuits.wait(port.id, order.limits)
    port.enter(PortState.QUEUED, now)
    port.take_step(Step.QUEUE, after(now.instant, patience_of(port, order)))


def take_place(port: Port, now: Moment) -> None:
    """Its boards are known: begin, wait for its circuits, or end for what would have refused the start."""
    order = port.session.order
    obstacles = port.obstacles(now, proof=order.proof)
    held = [code for code in obstacles if code not in {Code.BUSY, Code.CIRCUIT_FULL}]
    detail = StopDetail(function=f"step_{port.step.value}")
    # Until it was known to be open it has counted as closed, at its limit.
    port.circuits.touch(port.id, drawn(port.seen.current or Amps(0.0), port.seen.power or Watts(0.0)))
    if held:
        end_start(port, held[0], detail, now)
    elif port.circuits.admits(port.id, order.limits, now.instant):
        port.enter(PortState.STARTING, now)
        begin_sequence(port, now)
    elif patience_of(port, order) > 0:
        _queue(port, now)
    else:
        end_start(port, Code.CIRCUIT_FULL, detail, now)


def admit(port: Port, now: Moment) -> None:
    """The circuits can take it: the start sequence begins."""
    port.circuits.leave(port.id)
    port.enter(PortState.STARTING, now)
    begin_sequence(port, now)


def patience_of(port: Port, order: Order) -> Seconds:
    """Return how long a start may wait for its circuits."""
    return port.station.queue_for if order.queue_for is None else order.queue_for


def own_limits(port: Port) -> str:
    """Return the port's own limits in words."""
    limits = port.plan.limits
    energy = "" if limits.energy is None else f", {limits.energy:g} Wh"
    return f"this port allows up to {limits.current:g} A, {limits.power:g} W, {limits.duration:g} s{energy}"


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
LOCK = Handler(
    request=LockRequested,
    by_state={
        **{state: (Reply("rest", always, show),) for state in AT_REST if state is not PortState.DISABLED},
        **dict.fromkeys(GOING_ON, (Reply("end", always, end_by_lock),)),
    },
    otherwise=Reply("ignore", always, leave),
)
UNLOCK = Handler(
    request=UnlockRequested,
    by_state={state: (Reply("rest", always, show),) for state in AT_REST if state is not PortState.AVAILABLE},
    otherwise=Reply("ignore", always, leave),
)
