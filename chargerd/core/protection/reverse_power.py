"""Reverse power (ANSI 32R): a load that feeds back. No charger does; a meter wired the wrong way round looks so.

So it is an alarm, and a trip only where a site wants one: a socket that is fed (an inverter, a charger for both
ways) is then opened. What a single reading shows, session or not, is told as `power_negative` all the same.
"""

from chargerd.core.events import MeterReading
from chargerd.core.metering.pickup import DefiniteTime
from chargerd.core.metering.seen import Counted
from chargerd.core.protection.function import Function, Protected
from chargerd.core.session import StopDetail
from chargerd.core.units import Instant, Watts


class ReversePower(Function):
    """Real power has been at 20 W or more backwards for 10 s and in two readings.

    Threshold: an empty socket shows as little as -1 W, and the coarsest meters have steps of 1 W.
    """

    name = "reverse_power"

    def __init__(self, on: Protected) -> None:
        super().__init__(on)
        self._limit = Watts(-on.plan.protection.reverse_power)
        self._back = self.timer = DefiniteTime(on.plan.protection.reverse_power_delay)

    def read(self, reading: MeterReading, counted: Counted) -> None:
        """See whether the power flows back: by its sign, which other functions do not look at."""
        if counted.power and reading.power is not None:
            self._back.take_in(reading.at, above=reading.power <= self._limit)

    def opened(self) -> None:
        """Forget what was picked up."""
        self._back.reset()

    def finding(self, now: Instant) -> StopDetail | None:
        """Say for how long it has lasted."""
        if not self._back.reached(now):
            return None
        return StopDetail(function=self.name, measured=self._on.seen.signed_power, limit=self._limit, unit="w")
