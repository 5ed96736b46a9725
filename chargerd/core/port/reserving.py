"""A port that is kept for one session: until that one starts, somebody gives it back, or its time is over.

It moves nothing and protects nothing: it only refuses starts. So it is kept in memory alone, and ends with the
process. For how much of it was left after a power cut nobody could say without a clock; a port that is kept for
nobody costs more than one that has to be reserved again; and whoever reserved it is told, by `gateway_started`.
"""

from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import ReserveRequested
from chargerd.core.facts import PortReserved
from chargerd.core.moment import Moment
from chargerd.core.port.admission import blocked, end_reservation, expire_reservation, obstacles_to
from chargerd.core.port.answers import answer_request
from chargerd.core.port.port import Port
from chargerd.core.port.rules import Handler, Reply, always
from chargerd.core.session import Reservation
from chargerd.core.view import PortState


def gives_back(_port: Port, request: ReserveRequested, _now: Moment) -> bool:
    """Hold for a request that wants no time at all."""
    return request.lasts <= 0


def kept_for_another(port: Port, request: ReserveRequested, now: Moment) -> bool:
    """Hold if the port is kept, and for another session."""
    return port.kept_for_another(request.session, now)


def refuse_blocked(port: Port, request: ReserveRequested, now: Moment) -> None:
    """Refuse to keep a port on which the session could not be started either, and say why."""
    code = next(iter(obstacles_to(port, request, now)), Code.NOT_ALLOWED)
    answer_request(port, request, ReplyStatus.REJECTED, code)


def refuse_kept(port: Port, request: ReserveRequested, _now: Moment) -> None:
    """Refuse what is about another session than the port is kept for."""
    answer_request(port, request, ReplyStatus.REJECTED, Code.RESERVED)


def give_back(port: Port, request: ReserveRequested, now: Moment) -> None:
    """Let the port take any start again; one that is not kept does already."""
    message = "" if port.kept(now) else "was not reserved"
    end_reservation(port, "released", now)
    answer_request(port, request, ReplyStatus.DONE, Code.OK, message)


def keep(port: Port, request: ReserveRequested, now: Moment) -> None:
    """Keep the port from now on; for a session it is kept for already, anew."""
    expire_reservation(port, now)
    port.reservation = Reservation(session=request.session, since=now, lasts=request.lasts)
    port.out.tell(PortReserved(port=port.id, session=request.session, until=port.reservation.until))
    answer_request(port, request, ReplyStatus.DONE, Code.OK)


GIVE_BACK = (Reply("kept_for_another", kept_for_another, refuse_kept), Reply("give_back", gives_back, give_back))
KEEP = (*GIVE_BACK, Reply("blocked", blocked, refuse_blocked), Reply("keep", always, keep))
RESERVE = Handler(
    request=ReserveRequested,
    by_state={
        state: KEEP if state in {PortState.UNKNOWN, PortState.AVAILABLE} else GIVE_BACK for state in PortState
    },
    otherwise=Reply("blocked", always, refuse_blocked),
)
