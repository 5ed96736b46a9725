"""Overcurrent, I>>>, I>> and I>: at once, after a definite time, and by the warmth of the wire.

All thresholds lie below the curves of IEC 60898-1: software comes first, the breaker stays the backstop.
"""

from chargerd.core.events import MeterReading
from chargerd.core.metering.pickup import DefiniteTime, reached
from chargerd.core.metering.seen import Counted
from chargerd.core.metering.thermal import Thermal
from chargerd.core.protection.function import Function, Protected
from chargerd.core.session import StopDetail
from chargerd.core.units import Amps, Instant


class OvercurrentInstant(Function):
    """I>>>: one valid reading at 1.5 times the limit, or at 3 times within an inrush.

    Factors: shipped pile firmware; no intentional delay, after IEC 60255-151 clause 4 (instantaneous function).
    Whether a reading lies within the inrush is told from when it was taken, not from when it is looked at.
    """

    name = "overcurrent_instant"

    def __init__(self, on: Protected) -> None:
        super().__init__(on)
        self._least = min(on.plan.protection.instant_factor, on.plan.protection.inrush_factor)

    def finding(self, _now: Instant) -> StopDetail | None:
        """Judge the newest reading of the current."""
        on, seen = self._on, self._on.seen
        if seen.current is None or seen.current_at is None or on.closed_at is None:
            return None
        if seen.current < self._least * on.order.limits.current:
            return None  # Nearly always: whenever it was taken, and whichever limit held then.
        if seen.current_at < on.closed_at:
            return None
        threshold = self._factor(seen.current_at) * on.limits_at(seen.current_at).current
        if seen.current < threshold:
            return None
        return StopDetail(function=self.name, measured=seen.current, limit=threshold, unit="a")

    def by_port(self, _now: Instant) -> bool:
        """Say whether it is reached by the port's own limit as well."""
        current, at = self._on.seen.current, self._on.seen.current_at
        return (
            current is not None and at is not None and current >= self._factor(at) * self._on.plan.limits.current
        )

    def _factor(self, at: Instant) -> float:
        """Of which multiple of the limit I>>> is made up for a reading of this instant."""
        protection = self._on.plan.protection
        return protection.inrush_factor if self._on.inrush(at) else protection.instant_factor


class OvercurrentDefinite(Function):
    """I>>: 1.1 times the limit for 3 s and in two readings at least (definite time, IEC 60255-151)."""

    name = "overcurrent_definite"

    def __init__(self, on: Protected) -> None:
        super().__init__(on)
        protection = on.plan.protection
        self._factor = protection.definite_factor
        self._over = self.timer = DefiniteTime(protection.definite_delay)
        self._over_port = DefiniteTime(protection.definite_delay, needs=1)
        """The same by the port's own limit, whatever was ordered."""

    @property
    def _threshold(self) -> float:
        """I>>, in amperes."""
        return self._factor * self._on.order.limits.current

    def read(self, reading: MeterReading, counted: Counted) -> None:
        """See whether the current is above the limits, of the order and of the port."""
        on = self._on
        if counted.current and on.seen.current is not None:
            self._over.take_in(reading.at, above=on.seen.current >= self._threshold)
            self._over_port.take_in(reading.at, above=on.seen.current >= self._factor * on.plan.limits.current)

    def closed(self, _at: Instant) -> None:
        """Begin anew."""
        self.opened()

    def opened(self) -> None:
        """Forget what was picked up."""
        self._over.reset()
        self._over_port.reset()

    def adopted(self) -> None:
        """Go on with what is too high for the new limit as well, or commands could keep it from tripping."""
        current = self._on.seen.current
        if current is None or current < self._threshold:
            self._over.reset()

    def finding(self, now: Instant) -> StopDetail | None:
        """Say for how long it has lasted."""
        if not self._over.reached(now):
            return None
        return StopDetail(function=self.name, measured=self._on.seen.current, limit=self._threshold, unit="a")

    def by_port(self, now: Instant) -> bool:
        """Say whether it is reached by the port's own limit as well."""
        return self._over_port.reached(now)


class OvercurrentThermal(Function):
    """I>: θ has reached 1, by the first-order thermal model of IEC 60255-149; the wire's, or the order's own."""

    name = "overcurrent_thermal"

    def __init__(self, on: Protected) -> None:
        super().__init__(on)
        self._wire = on.models.thermal
        self._ordered = Thermal()
        """By the limit of the order: no wire is warm by it, so it ends with the session."""

    def read(self, reading: MeterReading, _counted: Counted) -> None:
        """Warm up by the current; the wire's image is the port's, and warms up without a session, too."""
        if reading.current is not None:
            self._ordered.take_in(Amps(abs(reading.current)), self._on.order.limits.current, reading.at)

    def finding(self, now: Instant) -> StopDetail | None:
        """Look at both images, at the wire's first."""
        if self._on.closed_at is None or not reached(self.due(), now):
            return None
        hot = self._wire if self.by_port(now) else self._ordered
        return StopDetail(function=self.name, measured=hot.theta(now), limit=1.0)

    def due(self) -> Instant | None:
        """Return when the first of them will be there, if the current stays."""
        wire, ordered = self._wire.reaches_one_at(), self._ordered.reaches_one_at()
        if wire is None or ordered is None:
            return ordered if wire is None else wire
        return min(wire, ordered)

    def by_port(self, now: Instant) -> bool:
        """Say whether it is the wire that is hot."""
        return reached(self._wire.reaches_one_at(), now)
