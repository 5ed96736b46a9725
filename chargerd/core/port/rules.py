"""What the state table is made of: triggers, rules, and the guards and actions that belong to no phase."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from chargerd.core.events import Event
from chargerd.core.moment import Moment
from chargerd.core.port.condition import Step
from chargerd.core.port.port import Port
from chargerd.core.protection.functions import Result


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


def always(_port: Port, _event: Event, _now: Moment) -> bool:
    """Hold."""
    return True


def step_is(*steps: Step) -> Callable[[Port, Event, Moment], bool]:
    """Hold in one of these steps."""
    return lambda port, _event, _now: port.step in steps


def verdict_is(*results: Result) -> Callable[[Port, Event, Moment], bool]:
    """Hold if the first protective function that has picked up does one of these."""
    return lambda port, _event, now: port.judged(now, *results)


def step_timed_out(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if a step has taken its 3 s."""
    return port.timed_out(now)


def nothing(_port: Port, _event: Event, _now: Moment) -> None:
    """Do nothing: the event has been taken into the port's image, and that is all."""


def rest(port: Port, _event: Event, now: Moment) -> None:
    """Enter the state that fits a port without a session."""
    port.rest(now)
