"""What a protective function is, and what all of them look at.

A function is one class in a file of its family and one row of `chargerd.core.protection.table`. The image of a
port's session makes one of each, tells them what happens, and asks them; only of what a function has methods for.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from chargerd.core.events import MeterReading
from chargerd.core.metering.frozen import Frozen
from chargerd.core.metering.level import Level
from chargerd.core.metering.pickup import DefiniteTime
from chargerd.core.metering.seen import Counted, MeterState
from chargerd.core.metering.shape import Shape
from chargerd.core.metering.temperature import Heat
from chargerd.core.metering.thermal import Thermal
from chargerd.core.metering.totals import Totals
from chargerd.core.metering.voltage import Mains
from chargerd.core.plan import Limits, PortPlan
from chargerd.core.session import Order, StopDetail
from chargerd.core.units import Instant, Seconds, Watts, between


class Result(StrEnum):
    """What a function that has picked up does to the port."""

    TRIP = "trip"
    """Open, end the session; latch, unless only the order forbade it."""
    SUSPEND = "suspend"
    """Open; the session goes on if the reason goes away in time."""
    END = "end"
    """Open and end the session."""
    ALARM = "alarm"
    """Tell, and leave the port alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """What is known of a port whichever session it has: a wire does not cool down because a session ends."""

    seen: MeterState
    thermal: Thermal
    heat: Heat
    mains: Mains
    frozen: Frozen

    @classmethod
    def of(cls, plan: PortPlan) -> "Models":
        """Return those of a port of which nothing is known yet."""
        return cls(
            seen=MeterState(plan.meter, plan.protection),
            thermal=Thermal(),
            heat=Heat(plan.protection),
            mains=Mains(plan.protection),
            frozen=Frozen(plan),
        )


@dataclass(slots=True, kw_only=True)
class Protected:
    """The protected object: a port with its plan and its order, its meter's values, its session's totals."""

    plan: PortPlan
    order: Order
    models: Models
    """The port's, not the session's; no default, lest a session go by others."""
    totals: Totals
    started_at: Instant
    seen: MeterState = field(init=False)
    """That of `models`, which is looked at all the time."""
    level: Level = field(default_factory=Level)
    shape: Shape = field(init=False)
    """What the power of the session has looked like so far."""
    most: Watts = Watts(0.0)
    """The highest power that was seen in this session, whichever way it flowed."""
    closed_at: Instant | None = None
    """When the relay was last told to close; `None` while it is open."""
    contact_from: Instant | None = None
    """When the write began that closed it; `None` until its board has read it back closed."""
    adopted_at: Instant | None = None
    """When the order's limits were changed; `None` while they are those of the start."""
    lenient: Limits | None = None
    """What readings from before that are judged by."""
    _inrush: Seconds = field(init=False)

    def __post_init__(self) -> None:
        self.seen = self.models.seen
        self.shape = Shape(self.plan.charge_end, self.plan.meter.power_step)
        self._inrush = Seconds(self.plan.protection.inrush_for + self.plan.meter.refresh)

    @property
    def loaded(self) -> bool:
        """Whether the load ever reached `no_load_below` in this session."""
        return self.most >= self.plan.charge_end.no_load_below

    def limits_at(self, at: Instant) -> Limits:
        """Return the limits a reading of this instant is judged by."""
        if self.lenient is None or self.adopted_at is None or at > self.adopted_at:
            return self.order.limits
        return self.lenient

    def inrush(self, at: Instant) -> bool:
        """Say whether a reading was taken so soon after closing that an inrush is to be expected.

        A closing may wait in its bus's queue: until it is confirmed, the inrush may be yet to come.
        """
        return self.contact_from is None or between(self.contact_from, at) <= self._inrush


class Function(ABC):
    """One protective function on one session.

    Only `name` and `finding` are needed. A method that is not overridden is never called: a function is not told
    of what it has nothing to do with.
    """

    name: ClassVar[str]
    """As a trip, a latch, an alarm and the manual call it."""

    timer: DefiniteTime | None = None
    """The definite time it goes by, where it goes by that alone: it is not asked before that has begun."""

    def __init__(self, on: Protected) -> None:
        self._on = on

    def read(self, _reading: MeterReading, _counted: Counted) -> None:
        """Take in a reading that `on.seen` has taken in; nothing counts while the relay is open."""
        return

    def closed(self, _at: Instant) -> None:
        """The relay is being closed: what was read before does not count."""
        return

    def opened(self) -> None:
        """The relay is being opened: nothing is picked up any more."""
        return

    def adopted(self) -> None:
        """Other limits hold from now on."""
        return

    def taken_up(self) -> None:
        """The session goes on after an outage; `on` has what is kept of it."""
        return

    @abstractmethod
    def finding(self, now: Instant) -> StopDetail | None:
        """Return the figures behind its decision to pick up, or `None`."""

    def due(self) -> Instant | None:
        """Return when it may pick up without another reading, while the relay is closed; `None`: never.

        Not asked of one that has a timer.
        """
        return None

    def by_port(self, _now: Instant) -> bool:
        """Say whether the port's own limits forbid it as well: what only the order forbade latches nothing."""
        return True
