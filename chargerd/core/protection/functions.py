"""The protective functions of a port and the limits of its session, in one table in order of priority.

Each function is a predicate over the port's image: it returns the figures behind its decision, or `None`. They are
asked on every reading and at every deadline while the relay is not known to be open. Software comes first, the
breaker behind it stays the backstop: all thresholds lie below the curves of IEC 60898-1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from chargerd.core.facts import Clearing
from chargerd.core.metering.pickup import earliest, reached
from chargerd.core.protection.image import Image
from chargerd.core.session import StopDetail, StopReason
from chargerd.core.units import Instant, Seconds, after, between

LONGEST_SESSION = Seconds(86400.0)
"""From start to end, closed or not; no exemption."""


DEFINITE_READINGS = 2
"""What lasts for some time has to be seen more than once."""


def overcurrent_instant(image: Image, _now: Instant) -> StopDetail | None:
    """I>>>: one valid reading at 1.5 times the limit, or at 3 times within an inrush.

    Factors: shipped pile firmware; no intentional delay, after IEC 60255-151 clause 4 (instantaneous function).
    Whether a reading lies within the inrush is told from when it was taken, not from when it is looked at.
    """
    seen = image.seen
    if seen.current is None or seen.current_at is None or image.closed_at is None:
        return None
    if seen.current_at < image.closed_at:
        return None
    threshold = image.instant_current(seen.current_at)
    if seen.current < threshold:
        return None
    return StopDetail(function="overcurrent_instant", measured=seen.current, limit=threshold, unit="a")


def overcurrent_definite(image: Image, now: Instant) -> StopDetail | None:
    """I>>: 1.1 times the limit for 3 s and in two readings at least (definite time, IEC 60255-151)."""
    pickup = image.over_current
    if pickup.readings < DEFINITE_READINGS or not pickup.reached(image.plan.protection.definite_delay, now):
        return None
    return StopDetail(
        function="overcurrent_definite", measured=image.seen.current, limit=image.definite_current, unit="a"
    )


def overcurrent_thermal(image: Image, now: Instant) -> StopDetail | None:
    """I>: θ has reached 1, by the first-order thermal model of IEC 60255-149; the wire's, or the order's own."""
    if image.closed_at is None:
        return None
    for one in (image.thermal, image.ordered):
        if reached(one.reaches_one_at(), now):
            return StopDetail(function="overcurrent_thermal", measured=one.theta(now), limit=1.0)
    return None


def _port_instant(image: Image, _now: Instant) -> bool:
    """Say whether I>>> is reached by the port's own limit as well."""
    current, at = image.seen.current, image.seen.current_at
    return (
        current is not None and at is not None and current >= image.instant_factor(at) * image.plan.limits.current
    )


def _port_definite(image: Image, now: Instant) -> bool:
    """Say whether I>> is reached by the port's own limit as well."""
    return image.over_port_current.reached(image.plan.protection.definite_delay, now)


def _port_thermal(image: Image, now: Instant) -> bool:
    """Say whether it is the wire that is hot."""
    return reached(image.thermal.reaches_one_at(), now)


def meter_stale(image: Image, now: Instant) -> StopDetail | None:
    """No valid reading for 3 s, and never less than three of the meter's own: what is not seen is opened."""
    if image.closed_at is None:
        return None
    until = image.seen.fresh_until()
    limit = image.plan.protection.stale_after
    if until is None:
        return StopDetail(function="meter_stale", limit=limit, unit="s")
    if now < until:
        return None
    return StopDetail(function="meter_stale", measured=limit + between(until, now), limit=limit, unit="s")


def meter_frozen(image: Image, _now: Instant) -> StopDetail | None:
    """The register stands still though five of its steps were drawn; two, where the values stand still as well.

    Or it counts five steps, and twice what is shown, of what values that stand still do not show.
    Treated like a stale meter: what is not measured is not seen. Steady values alone do not open a port, since a
    standby load is steady too. What a meter must count at all: IEC 62053-21, starting current.
    """
    return None if image.closed_at is None else image.frozen.finding


def overpower(image: Image, now: Instant) -> StopDetail | None:
    """P>: 1.1 times the limit for 5 s and in two readings, or 1.5 times in one outside the inrush; no latch.

    Factors: the AP3000 and DC589 protocols' overpower orders.
    """
    seen, protection = image.seen, image.plan.protection
    if seen.power is None or seen.power_at is None or image.closed_at is None or seen.power_at < image.closed_at:
        return None
    threshold = protection.overpower_instant_factor * image.limits_at(seen.power_at).power
    at_once = seen.power >= threshold and not image.inrush(seen.power_at)
    pickup = image.over_power
    lasting = pickup.readings >= DEFINITE_READINGS and pickup.reached(protection.overpower_delay, now)
    if not at_once and not lasting:
        return None
    limit = threshold if at_once else image.overpower
    return StopDetail(function="overpower", measured=seen.power, limit=limit, unit="w")


def port_temperature(image: Image, now: Instant) -> StopDetail | None:
    """The socket's own sensor has shown 70 °C or more for 30 s; one that is silent or invalid is not hot.

    Threshold: a 12-port pile's firmware. IEC 60884-1 lets a terminal rise by 45 K, which is 70 °C at 25 °C.
    """
    if not reached(image.heat.trips_at(), now):
        return None
    limit = image.plan.protection.temperature_trip
    return StopDetail(function="port_temperature", measured=image.heat.celsius, limit=limit, unit="c")


def power_jump(image: Image, _now: Instant) -> StopDetail | None:
    """Power is 80 W above the session's maximum so far and stays there for 30 s, later than 30 min into charging.

    Threshold: measured benign jumps reached 189 W against the last minute, 23 W against the maximum.
    """
    return image.jump.detail


def power_jump_trip(image: Image, now: Instant) -> StopDetail | None:
    """The same where a site wants it to trip: off by default, two vendors' firmware had to withdraw it."""
    if not image.plan.protection.power_jump_trips or image.closed_at is None:
        return None
    return power_jump(image, now)


def overvoltage(image: Image, now: Instant) -> StopDetail | None:
    """U>: 264 V for 4 s and in two readings, by one meter upstream (230 V + 15 %; a pile's firmware)."""
    if image.closed_at is None or not reached(image.mains.over_at(), now):
        return None
    limit = image.plan.protection.overvoltage
    return StopDetail(function="overvoltage", measured=image.mains.high, limit=limit, unit="v")


def undervoltage(image: Image, now: Instant) -> StopDetail | None:
    """U<: 176 V for 4 s and in two readings (220 V - 20 %: a charger draws more current for it)."""
    if image.closed_at is None or not reached(image.mains.under_at(), now):
        return None
    limit = image.plan.protection.undervoltage
    return StopDetail(function="undervoltage", measured=image.mains.low, limit=limit, unit="v")


def energy_limit(image: Image, _now: Instant) -> StopDetail | None:
    """The order's energy has been delivered."""
    limit = image.order.limits.energy
    if limit is None or image.totals.energy < limit:
        return None
    return StopDetail(function="energy_limit", measured=image.totals.energy, limit=limit, unit="wh")


def duration_limit(image: Image, now: Instant) -> StopDetail | None:
    """The order's time with the relay closed is over, or 24 h since the start are."""
    limit = image.order.limits.duration
    if reached(image.totals.charged_for(limit), now):
        return StopDetail(function="duration_limit", measured=image.totals.charged_at(now), limit=limit, unit="s")
    if reached(after(image.started_at, LONGEST_SESSION), now):
        lasted = between(image.started_at, now)
        return StopDetail(function="duration_limit", measured=lasted, limit=LONGEST_SESSION, unit="s")
    return None


def no_load(image: Image, now: Instant) -> StopDetail | None:
    """Power never reached 8 W within 120 s of charging: nothing is plugged in, or it does not want to charge."""
    if image.loaded:
        return None
    end = image.plan.charge_end
    if not reached(image.totals.charged_for(end.no_load_after), now):
        return None
    return StopDetail(function="no_load", measured=image.most, limit=end.no_load_below, unit="w")


def _ended_by_shape(image: Image, reason: StopReason) -> StopDetail | None:
    end = image.shape.end
    if end is None or end.reason is not reason:
        return None
    return StopDetail(function=end.function, measured=end.measured, limit=end.limit, unit="w")


def unplugged(image: Image, _now: Instant) -> StopDetail | None:
    """Fell in one step from at least half of the peak to what an empty socket shows, and stayed there for 300 s.

    Or to the flat few watts of a charger whose battery was taken, for 10 min or 20: its detail is `charger_idle`.

    Shares and spans: four measured e-bike charges, and a two-battery charger that rests for up to 60 s.
    """
    return _ended_by_shape(image, StopReason.UNPLUGGED)


def full(image: Image, _now: Instant) -> StopDetail | None:
    """Has tapered and rested for 45 min, or ended by a step from under half of the peak (measured charges).

    An order may say that the port stays on when the charge is full.
    """
    if not image.order.full_stop:
        return None
    return _ended_by_shape(image, StopReason.FULL)


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
class Function:
    """One row of the table."""

    picks_up: Callable[[Image, Instant], StopDetail | None]
    result: Result
    reason: StopReason
    clearing: Clearing | None = None
    by_port: Callable[[Image, Instant], bool] | None = None
    """Whether the port's own limits forbid it as well: what only the order forbade latches nothing."""

    def latch(self, image: Image, now: Instant) -> Clearing | None:
        """Return who may clear the latch that is set now; `None`: no latch is."""
        return self.clearing if self.by_port is None or self.by_port(image, now) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The first function that has picked up, and its figures."""

    function: Function
    detail: StopDetail


FUNCTIONS: tuple[Function, ...] = (
    Function(
        picks_up=overcurrent_instant,
        result=Result.TRIP,
        reason=StopReason.OVERCURRENT,
        clearing=Clearing.REMOTE,
        by_port=_port_instant,
    ),
    Function(
        picks_up=overcurrent_definite,
        result=Result.TRIP,
        reason=StopReason.OVERCURRENT,
        clearing=Clearing.REMOTE,
        by_port=_port_definite,
    ),
    Function(
        picks_up=overcurrent_thermal,
        result=Result.TRIP,
        reason=StopReason.OVERCURRENT,
        clearing=Clearing.REMOTE,
        by_port=_port_thermal,
    ),
    Function(
        picks_up=port_temperature,
        result=Result.TRIP,
        reason=StopReason.OVERTEMPERATURE,
        clearing=Clearing.LOCAL,
    ),
    Function(picks_up=meter_stale, result=Result.SUSPEND, reason=StopReason.METER_LOST),
    Function(picks_up=meter_frozen, result=Result.SUSPEND, reason=StopReason.METER_LOST),
    Function(picks_up=overvoltage, result=Result.SUSPEND, reason=StopReason.OVERVOLTAGE),
    Function(picks_up=undervoltage, result=Result.SUSPEND, reason=StopReason.UNDERVOLTAGE),
    Function(picks_up=overpower, result=Result.TRIP, reason=StopReason.OVERPOWER),
    Function(picks_up=power_jump_trip, result=Result.TRIP, reason=StopReason.OVERPOWER),
    Function(picks_up=power_jump, result=Result.ALARM, reason=StopReason.OVERPOWER),
    Function(picks_up=energy_limit, result=Result.END, reason=StopReason.ENERGY_LIMIT),
    Function(picks_up=duration_limit, result=Result.END, reason=StopReason.DURATION_LIMIT),
    Function(picks_up=no_load, result=Result.END, reason=StopReason.NO_LOAD),
    Function(picks_up=unplugged, result=Result.END, reason=StopReason.UNPLUGGED),
    Function(picks_up=full, result=Result.END, reason=StopReason.FULL),
)
"""All functions of a port, most urgent first. A trip without `clearing` sets no latch."""
ALARMS = tuple(function for function in FUNCTIONS if function.result is Result.ALARM)
OPENING = tuple(function for function in FUNCTIONS if function not in ALARMS)


def judge(image: Image, now: Instant) -> Verdict | None:
    """Return what the first function in order of priority has found, if any has; alarms open nothing."""
    for function in OPENING:
        detail = function.picks_up(image, now)
        if detail is not None:
            return Verdict(function=function, detail=detail)
    return None


def alarms(image: Image, now: Instant) -> Iterator[Verdict]:
    """Yield what is to be told of a port that is otherwise left alone."""
    for function in ALARMS:
        if (detail := function.picks_up(image, now)) is not None:
            yield Verdict(function=function, detail=detail)


def next_judgement(image: Image) -> Instant | None:
    """Return when a function may pick up without another reading; `None` while the relay is open."""
    if image.closed_at is None:
        return None
    protection, totals = image.plan.protection, image.totals
    instants: list[Instant | None] = [
        after(image.started_at, LONGEST_SESSION),
        totals.charged_for(image.order.limits.duration),
        image.seen.fresh_until(),
        image.thermal.reaches_one_at(),
        image.ordered.reaches_one_at(),
        image.heat.trips_at(),
        image.mains.over_at(),
        image.mains.under_at(),
    ]
    if not image.loaded:
        instants.append(totals.charged_for(image.plan.charge_end.no_load_after))
    if image.over_power.readings >= DEFINITE_READINGS:
        instants.append(image.over_power.until(protection.overpower_delay))
    if image.over_current.readings >= DEFINITE_READINGS:
        instants.append(image.over_current.until(protection.definite_delay))
    return earliest(instants)
