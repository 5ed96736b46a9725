"""The meter itself: what is not seen, or not measured, is opened."""

from chargerd.core.protection.function import Function, Protected
from chargerd.core.session import StopDetail
from chargerd.core.units import Instant, between


class MeterStale(Function):
    """No valid reading for 3 s, and never less than three of the meter's own: what is not seen is opened."""

    name = "meter_stale"

    def __init__(self, on: Protected) -> None:
        super().__init__(on)
        self._limit = on.plan.protection.stale_after

    def finding(self, now: Instant) -> StopDetail | None:
        """Look at the age of the newest readings."""
        if self._on.closed_at is None:
            return None
        until = self._on.seen.fresh_until()
        if until is None:
            return StopDetail(function=self.name, limit=self._limit, unit="s")
        if now < until:
            return None
        measured = self._limit + between(until, now)
        return StopDetail(function=self.name, measured=measured, limit=self._limit, unit="s")

    def due(self) -> Instant | None:
        """Return when they will be too old."""
        return self._on.seen.fresh_until()


class MeterFrozen(Function):
    """The register stands still though five of its steps were drawn; two, where the values stand still as well.

    Or it counts five steps, and twice what is shown, of what values that stand still do not show.
    Treated like a stale meter: what is not measured is not seen. Steady values alone do not open a port, since a
    standby load is steady too. What a meter must count at all: IEC 62053-21, starting current.
    """

    name = "meter_frozen"

    def __init__(self, on: Protected) -> None:
        super().__init__(on)
        self._frozen = on.models.frozen

    def opened(self) -> None:
        """Nothing is drawn any more that should be counted."""
        self._frozen.pause()

    def finding(self, _now: Instant) -> StopDetail | None:
        """Return what watches the port's meter has found."""
        return None if self._on.closed_at is None else self._frozen.finding
