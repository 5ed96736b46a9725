"""The limits of a session: what was ordered has been delivered."""

from chargerd.core.metering.pickup import reached
from chargerd.core.protection.function import Function
from chargerd.core.session import StopDetail
from chargerd.core.units import Instant, Seconds, after, between

LONGEST_SESSION = Seconds(86400.0)
"""From start to end, closed or not; no exemption."""


class EnergyLimit(Function):
    """The order's energy has been delivered."""

    name = "energy_limit"

    def finding(self, _now: Instant) -> StopDetail | None:
        """Compare the session's energy with the order's."""
        limit, energy = self._on.order.limits.energy, self._on.totals.energy
        if limit is None or energy < limit:
            return None
        return StopDetail(function=self.name, measured=energy, limit=limit, unit="wh")


class DurationLimit(Function):
    """The order's time with the relay closed is over, or 24 h since the start are."""

    name = "duration_limit"

    def finding(self, now: Instant) -> StopDetail | None:
        """Look at both times, at the order's first."""
        if not reached(self.due(), now):
            return None
        on, limit = self._on, self._on.order.limits.duration
        if reached(on.totals.charged_for(limit), now):
            return StopDetail(function=self.name, measured=on.totals.charged_at(now), limit=limit, unit="s")
        lasted = between(on.started_at, now)
        return StopDetail(function=self.name, measured=lasted, limit=LONGEST_SESSION, unit="s")

    def due(self) -> Instant | None:
        """Return when the first of them will be over."""
        on = self._on
        longest, charged = after(on.started_at, LONGEST_SESSION), on.totals.charged_for(on.order.limits.duration)
        return longest if charged is None else min(longest, charged)
