"""The end of a charge: nothing is plugged in, the plug was pulled, or the battery is full.

What tells them apart is the shape of the load, which `chargerd.core.metering.shape` explains.
"""

from chargerd.core.metering.pickup import reached
from chargerd.core.metering.shape import End
from chargerd.core.protection.function import Function, Protected
from chargerd.core.session import StopDetail, StopReason
from chargerd.core.units import Instant


class NoLoad(Function):
    """Power never reached 8 W within 120 s of charging: nothing is plugged in, or it does not want to charge."""

    name = "no_load"

    def __init__(self, on: Protected) -> None:
        super().__init__(on)
        self._plan = on.plan.charge_end

    def finding(self, now: Instant) -> StopDetail | None:
        """Look at the most that was drawn."""
        if self._on.loaded or not reached(self.due(), now):
            return None
        return StopDetail(function=self.name, measured=self._on.most, limit=self._plan.no_load_below, unit="w")

    def due(self) -> Instant | None:
        """Return until when a load may come."""
        return None if self._on.loaded else self._on.totals.charged_for(self._plan.no_load_after)


class Unplugged(Function):
    """Fell in one step from at least half of the peak to what an empty socket shows, and stayed there for 300 s.

    Or to the flat few watts of a charger whose battery was taken, for 10 min or 20: its detail is `charger_idle`.

    Shares and spans: four measured e-bike charges, and a two-battery charger that rests for up to 60 s.
    """

    name = "unplugged"

    def finding(self, _now: Instant) -> StopDetail | None:
        """Ask the shape."""
        return None if self._on.shape.end is None else _ended(self._on.shape.end, StopReason.UNPLUGGED)


class Full(Function):
    """Has tapered and rested for 45 min, or ended by a step from under half of the peak (measured charges).

    An order may say that the port stays on when the charge is full.
    """

    name = "full"

    def finding(self, _now: Instant) -> StopDetail | None:
        """Ask the shape, if the order goes by it."""
        if self._on.shape.end is None or not self._on.order.full_stop:
            return None
        return _ended(self._on.shape.end, StopReason.FULL)


def _ended(end: End, reason: StopReason) -> StopDetail | None:
    if end.reason is not reason:
        return None
    return StopDetail(function=end.function, measured=end.measured, limit=end.limit, unit="w")
