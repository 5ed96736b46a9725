"""What the protective functions look at: the port's plan and order, its meter's values, its session's totals."""

from dataclasses import InitVar, dataclass, field, replace

from chargerd.core.events import MeterReading
from chargerd.core.metering.frozen import Frozen
from chargerd.core.metering.level import Level
from chargerd.core.metering.pickup import Pickup
from chargerd.core.metering.seen import Seen
from chargerd.core.metering.shape import Shape
from chargerd.core.metering.temperature import Heat
from chargerd.core.metering.thermal import Thermal
from chargerd.core.metering.totals import Totals
from chargerd.core.metering.voltage import Mains
from chargerd.core.plan import Limits, PortPlan
from chargerd.core.protection.power_jump import Jump
from chargerd.core.session import Order, SessionRecord
from chargerd.core.units import Instant, Seconds, Watts, between


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """What is known of a port whichever session it has: a wire does not cool down because a session ends."""

    seen: Seen
    thermal: Thermal
    heat: Heat
    mains: Mains
    frozen: Frozen

    @classmethod
    def of(cls, plan: PortPlan) -> "Models":
        """Return those of a port of which nothing is known yet."""
        return cls(
            seen=Seen(plan.meter, plan.protection),
            thermal=Thermal(),
            heat=Heat(plan.protection),
            mains=Mains(plan.protection),
            frozen=Frozen(plan),
        )


@dataclass(slots=True, kw_only=True)
class Image:
    """What the functions look at: the plan, the order, the meter's values and the session's totals."""

    plan: PortPlan
    order: Order
    models: InitVar[Models]
    totals: Totals
    started_at: Instant
    seen: Seen = field(init=False)
    """The port's, as the four below are, not the session's; none has a default, lest a session go by another."""
    thermal: Thermal = field(init=False)
    heat: Heat = field(init=False)
    mains: Mains = field(init=False)
    frozen: Frozen = field(init=False)
    closed_at: Instant | None = None
    """When the relay was last told to close; `None` while it is open."""
    contact_from: Instant | None = None
    """When the write began that closed it; `None` until its board has read it back closed."""
    over_current: Pickup = field(default_factory=Pickup)
    over_port_current: Pickup = field(default_factory=Pickup)
    """The same by the port's own limit, whatever was ordered."""
    over_power: Pickup = field(default_factory=Pickup)
    ordered: Thermal = field(default_factory=Thermal)
    """The session's own, by the limit of its order: no wire is warm by it, so it ends with the session."""
    level: Level = field(default_factory=Level)
    shape: Shape = field(init=False)
    """What the power of the session has looked like so far."""
    jump: Jump = field(init=False)
    newly_stuck: bool = False
    """Whether the newest reading has shown that the meter does not measure."""
    told: set[str] = field(default_factory=set)
    """What has been told of this session once and for all."""
    most: Watts = Watts(0.0)
    """The highest power that was seen in this session, whichever way it flowed."""
    adopted_at: Instant | None = None
    """When the order's limits were changed; `None` while they are those of the start."""
    lenient: Limits | None = None
    """What readings from before that are judged by."""

    def __post_init__(self, models: Models) -> None:
        self.seen, self.thermal, self.heat = models.seen, models.thermal, models.heat
        self.mains, self.frozen = models.mains, models.frozen
        self.shape = Shape(self.plan.charge_end, self.plan.meter.power_step)
        self.jump = Jump(self.plan.protection)

    def note(self, reading: MeterReading) -> None:
        """Take in a reading: pickups, totals, and whether there is a load at all."""
        counted, seen = self.seen.note(reading), self.seen
        closed = self.closed_at is not None and reading.at >= self.closed_at
        self.newly_stuck = self.frozen.note(reading)
        if not closed:
            if reading.power is not None:
                self.totals.see_open(Watts(abs(reading.power)), reading.at)
            return
        if reading.energy is not None:
            self.totals.register(reading.energy, reading.at)
        if self.newly_stuck and self.frozen.stuck is not None:
            self.totals.distrust("register_frozen", self.frozen.due)
        if seen.current is not None and counted.current:
            self.over_current.note(reading.at, above=seen.current >= self.definite_current)
            factor = self.plan.protection.definite_factor
            self.over_port_current.note(reading.at, above=seen.current >= factor * self.plan.limits.current)
            self.level.note(seen.current, reading.at)
        if reading.power is not None and seen.power is not None:
            if counted.power:
                self.over_power.note(reading.at, above=seen.power >= self.overpower)
                self.shape.note(seen.power, reading.at)
                self.jump.note(seen.power, reading.at, self.totals.charged_at(reading.at))
            self.totals.hold(reading.power, reading.at)
            self.most = max(self.most, seen.power)

    @property
    def loaded(self) -> bool:
        """Whether the load ever reached `no_load_below` in this session."""
        return self.most >= self.plan.charge_end.no_load_below

    def take_up(self, record: SessionRecord, totals: Totals, at: Instant) -> None:
        """Go on after an outage with what was known at `at`, when the record was made."""
        self.totals = totals
        self.started_at = Instant(at - record.elapsed)
        self.shape.take_up(record.level, record.lately, record.energy)
        # The level, too, since what flowed back is in no bill.
        self.most = self.jump.most = max(record.peak_power, record.level)
        if record.doubt is not None:
            self.told.add("doubt")

    def close(self, at: Instant) -> None:
        """The relay is being closed; what was picked up before does not count."""
        self.closed_at, self.contact_from = at, None
        self.over_current, self.over_port_current = Pickup(), Pickup()
        self.over_power = Pickup()

    def open(self) -> None:
        """The relay is being opened: nothing is picked up any more."""
        self.closed_at = self.contact_from = None
        self.frozen.pause()
        self.jump.interrupt()
        self.shape.interrupt()
        self.level.interrupt()
        self.over_current, self.over_port_current = Pickup(), Pickup()
        self.over_power = Pickup()

    def adopt(self, order: Order, now: Instant) -> None:
        """Go by other limits from now on. What was read before is judged by whichever limit lets more pass."""
        held, new, seen = self.order.limits, order.limits, self.seen
        current = held.current if seen.current_at is None else self.limits_at(seen.current_at).current
        power = held.power if seen.power_at is None else self.limits_at(seen.power_at).power
        self.lenient = replace(new, current=max(current, new.current), power=max(power, new.power))
        self.order, self.adopted_at = order, now
        if seen.current is None or seen.current < self.definite_current:
            self.over_current = Pickup()
        if seen.power is None or seen.power < self.overpower:
            self.over_power = Pickup()

    def limits_at(self, at: Instant) -> Limits:
        """Return the limits a reading of this instant is judged by."""
        if self.lenient is None or self.adopted_at is None or at > self.adopted_at:
            return self.order.limits
        return self.lenient

    def inrush(self, at: Instant) -> bool:
        """Say whether a reading was taken so soon after closing that an inrush is to be expected.

        A closing may wait in its bus's queue: until it is confirmed, the inrush may be yet to come.
        """
        span = Seconds(self.plan.protection.inrush_for + self.plan.meter.refresh)
        return self.contact_from is None or between(self.contact_from, at) <= span

    def instant_factor(self, at: Instant) -> float:
        """Of which multiple of the limit I>>> is made up for a reading of this instant."""
        protection = self.plan.protection
        return protection.inrush_factor if self.inrush(at) else protection.instant_factor

    def instant_current(self, at: Instant) -> float:
        """I>>> for a reading of this instant, in amperes."""
        return self.instant_factor(at) * self.limits_at(at).current

    @property
    def definite_current(self) -> float:
        """I>>, in amperes."""
        return self.plan.protection.definite_factor * self.order.limits.current

    @property
    def overpower(self) -> float:
        """P>, in watts."""
        return self.plan.protection.overpower_factor * self.order.limits.power
