"""A load that suddenly draws far more than it ever has: a second charger on the socket, or a pack that fails.

Measured charges jumped by up to 189 W against the last minute, but never by more than 23 W against the
session's maximum so far. Two vendors had to withdraw a trip by jumps, since legitimate chargers jump; so this is
an alarm, and a trip only where a site wants one.
"""

from chargerd.core.events import MeterReading
from chargerd.core.metering.pickup import DefiniteTime
from chargerd.core.metering.seen import Counted
from chargerd.core.protection.function import Function, Protected
from chargerd.core.session import StopDetail
from chargerd.core.units import Instant, Watts


class PowerJump(Function):
    """Power is 80 W above the session's maximum so far and stays there for 30 s, later than 30 min into charging.

    Threshold: measured benign jumps reached 189 W against the last minute, 23 W against the maximum.
    """

    name = "power_jump"

    def __init__(self, on: Protected) -> None:
        super().__init__(on)
        protection = on.plan.protection
        self._jump, self._later_than = protection.power_jump, protection.power_jump_after
        self._over = DefiniteTime(protection.power_jump_delay)
        self._most = Watts(0.0)
        """The most so far, but for what is being judged."""
        self._detail: StopDetail | None = None
        """The figures of the last jump; stays, once there was one."""

    def read(self, reading: MeterReading, counted: Counted) -> None:
        """Take in one new reading of the power."""
        power, at = self._on.seen.power, reading.at
        if not counted.power or power is None:
            return
        limit = self._most + self._jump
        above = power >= limit and self._on.totals.charged_at(at) >= self._later_than
        self._over.take_in(at, above=above)
        if above and self._over.reached(at):
            self._detail = StopDetail(function=self.name, measured=power, limit=limit, unit="w")
            above = False
        if not above:
            # A peak shorter than the delay is no maximum: it would hide the jump that follows it.
            self._most = max(self._most, power)

    def opened(self) -> None:
        """Forget what was picked up."""
        self._over.reset()

    def taken_up(self) -> None:
        """Go on from the most that was kept."""
        self._most = self._on.most

    def finding(self, _now: Instant) -> StopDetail | None:
        """Return the figures of the jump, while the relay is closed."""
        return None if self._on.closed_at is None else self._detail
