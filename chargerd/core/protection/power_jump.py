"""A load that suddenly draws far more than it ever has: a second charger on the socket, or a pack that fails.

Measured charges jumped by up to 189 W against the last minute, but never by more than 23 W against the
session's maximum so far. Two vendors had to withdraw a trip by jumps, since legitimate chargers jump; so this is
an alarm, and a trip only where a site wants one.
"""

from chargerd.core.metering.pickup import Pickup
from chargerd.core.plan import Protection
from chargerd.core.session import StopDetail
from chargerd.core.units import Instant, Seconds, Watts

READINGS = 2
"""What lasts for some time has to be seen more than once."""


class Jump:
    """Power of one session while its relay is closed: the most so far, and for how long it has been far above."""

    def __init__(self, protection: Protection) -> None:
        self._protection = protection
        self.most = Watts(0.0)
        """The most so far, but for what is being judged."""
        self._over = Pickup()
        self.detail: StopDetail | None = None
        """The figures of the last jump; stays, once there was one."""

    def note(self, power: Watts, at: Instant, charged: Seconds) -> None:
        """Take in one new reading. `charged` is how long the session has been charging by then."""
        protection = self._protection
        limit = self.most + protection.power_jump
        above = charged >= protection.power_jump_after and power >= limit
        self._over.note(at, above=above)
        if above and self._over.readings >= READINGS and self._over.reached(protection.power_jump_delay, at):
            self.detail = StopDetail(function="power_jump", measured=power, limit=limit, unit="w")
            above = False
        if not above:
            # A peak shorter than the delay is no maximum: it would hide the jump that follows it.
            self.most = max(self.most, power)

    def interrupt(self) -> None:
        """The relay opens."""
        self._over = Pickup()
