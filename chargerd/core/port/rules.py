"""What the state table and the handlers of requests are made of, and the guards and actions of no single phase.

What happens to a port is a trigger: one its state does not list is an error of this program. What somebody asks of
a port is a request: one its state does not list is refused. Nobody may open a site's relays by asking.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import Event, Request
from chargerd.core.moment import Moment
from chargerd.core.port.answers import answer_request
from chargerd.core.port.port import Port, Step
from chargerd.core.protection.function import Result
from chargerd.core.view import PortState


class Trigger(StrEnum):
    """What can happen to a port without anybody asking for it."""

    READING = "reading"
    WAKE = "wake"
    OPENED = "opened"
    CLOSED = "closed"
    NOT_CLOSED = "not_closed"
    STAYED_OPEN = "stayed_open"
    WOULD_NOT_OPEN = "would_not_open"
    UNBIDDEN = "unbidden"
    LEASE_LOST = "lease_lost"
    LAPSED = "lapsed"
    PERSISTED = "persisted"
    PERSIST_FAILED = "persist_failed"
    AMENDED = "amended"
    NOT_AMENDED = "not_amended"
    SHUTDOWN = "shutdown"
    RESTART = "restart"
    ADMITTED = "admitted"
    CIRCUIT_TRIP = "circuit_trip"
    CIRCUIT_SUSPEND = "circuit_suspend"


class UnlistedTransition(Exception):  # noqa: N818 - named for what it says
    """Something happened to a port that its state does not know."""


@dataclass(frozen=True, slots=True)
class Rule:
    """If `when` holds of the port, the event that came in and the moment, do `then`."""

    name: str
    when: Callable[[Port, Event, Moment], bool]
    then: Callable[[Port, Moment], None]


R = TypeVar("R", bound=Request)
R_contra = TypeVar("R_contra", bound=Request, contravariant=True)


@dataclass(frozen=True, slots=True)
class Reply(Generic[R_contra]):
    """If `when` holds of the port, a request and the moment, `then` does what is asked for, or refuses it."""

    name: str
    when: Callable[[Port, R_contra, Moment], bool]
    then: Callable[[Port, R_contra, Moment], None]


def always(_port: Port, _event: object, _now: Moment) -> bool:
    """Hold."""
    return True


def refuse(port: Port, request: Request, _now: Moment) -> None:
    """Refuse a request that nobody has thought of in this state."""
    code = Code.NOT_ALLOWED if port.charge is None else Code.BUSY
    message = f"{request.name}: not possible while the port is {port.state.value}"
    answer_request(port, request, ReplyStatus.REJECTED, code, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler(Generic[R]):
    """How a port takes one class of requests: by the first reply of its state that holds, else by `otherwise`."""

    request: type[R]
    by_state: Mapping[PortState, tuple[Reply[R], ...]]
    otherwise: Reply[R] = Reply("refused", always, refuse)

    def handle(self, port: Port, request: R, now: Moment) -> str:
        """Take a request, and return the name of the reply: there is one in every state."""
        for reply in self.by_state.get(port.state, ()):
            if reply.when(port, request, now):
                reply.then(port, request, now)
                return reply.name
        self.otherwise.then(port, request, now)
        return self.otherwise.name


AT_REST = (PortState.UNKNOWN, PortState.AVAILABLE, PortState.DISABLED, PortState.TRIPPED, PortState.LOCKED_OUT)
"""States without a session."""
GOING_ON = (PortState.QUEUED, PortState.STARTING, PortState.CHARGING, PortState.SUSPENDED)
"""States with a session that is not ending."""


def step_is(*steps: Step) -> Callable[[Port, Event, Moment], bool]:
    """Hold in one of these steps."""
    return lambda port, _event, _now: port.step in steps


def verdict_is(*results: Result) -> Callable[[Port, Event, Moment], bool]:
    """Hold if the first protective function that has picked up does one of these."""
    return lambda port, _event, now: port.judged(now, *results)


def step_timed_out(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if a step has taken its 3 s."""
    return port.timed_out(now)


def nothing(_port: Port, _now: Moment) -> None:
    """Do nothing: the event has been taken into the port's image, and that is all."""
