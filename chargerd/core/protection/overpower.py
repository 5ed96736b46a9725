"""Overpower, P>: more than was ordered, for seconds or by far."""

from chargerd.core.events import MeterReading
from chargerd.core.metering.pickup import DefiniteTime
from chargerd.core.metering.seen import Counted
from chargerd.core.protection.function import Function, Protected
from chargerd.core.session import StopDetail
from chargerd.core.units import Instant


class Overpower(Function):
    """P>: 1.1 times the limit for 5 s and in two readings, or 1.5 times in one outside the inrush; no latch.

    Factors: the AP3000 and DC589 protocols' overpower orders.
    """

    name = "overpower"

    def __init__(self, on: Protected) -> None:
        super().__init__(on)
        protection = on.plan.protection
        self._factor, self._instant_factor = protection.overpower_factor, protection.overpower_instant_factor
        self._least = min(self._factor, self._instant_factor)
        self._over = DefiniteTime(protection.overpower_delay)

    @property
    def _threshold(self) -> float:
        """P>, in watts."""
        return self._factor * self._on.order.limits.power

    def read(self, reading: MeterReading, counted: Counted) -> None:
        """See whether the power is above the limit."""
        if counted.power and self._on.seen.power is not None:
            self._over.take_in(reading.at, above=self._on.seen.power >= self._threshold)

    def closed(self, _at: Instant) -> None:
        """Begin anew."""
        self._over.reset()

    def opened(self) -> None:
        """Forget what was picked up."""
        self._over.reset()

    def adopted(self) -> None:
        """Go on with what is too high for the new limit as well, or commands could keep it from tripping."""
        power = self._on.seen.power
        if power is None or power < self._threshold:
            self._over.reset()

    def finding(self, now: Instant) -> StopDetail | None:
        """Judge the newest reading of the power, and for how long it has been too high."""
        on, seen = self._on, self._on.seen
        if seen.power is None or seen.power_at is None or on.closed_at is None or seen.power_at < on.closed_at:
            return None
        if self._over.since is None and seen.power < self._least * on.order.limits.power:
            return None  # Nearly always, whichever limit held when it was taken.
        threshold = self._instant_factor * on.limits_at(seen.power_at).power
        at_once = seen.power >= threshold and not on.inrush(seen.power_at)
        if not at_once and not self._over.reached(now):
            return None
        limit = threshold if at_once else self._threshold
        return StopDetail(function=self.name, measured=seen.power, limit=limit, unit="w")

    def due(self) -> Instant | None:
        """Return when it will have been too high for long enough."""
        return self._over.due()
