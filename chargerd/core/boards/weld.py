"""A relay that says it is open and is not: current still flows. And its opposite: closed, and none ever flows."""

from chargerd.core.metering.seen import MeterState
from chargerd.core.plan import PortPlan
from chargerd.core.session import StopDetail
from chargerd.core.units import Instant, Seconds, Watts, after

WELD_READINGS = 3
CROSSTALK = 0.01
"""Of the power of a board's other channels: measured crosstalk is about 1 W, a hundredth leaves room."""
SETTLING = Seconds(0.5)
REFRESHES = 2
"""So long after an opening a meter may still show what flowed before."""
DRY_POWER = Watts(2.0)
DRY_SESSIONS = 3


class Weld:
    """Watches one port's meter while its relay has been read back open."""

    def __init__(self, plan: PortPlan) -> None:
        self._plan = plan
        self._counted_at: Instant | None = None
        self._readings = 0
        self._dry = 0
        self.least = plan.protection.weld_power
        """The power from which on something flows, and is no crosstalk."""
        self.detail: StopDetail | None = None
        """The figures, once the contact counts as welded."""

    def take_in(self, seen: MeterState, opened_at: Instant | None, beside: float) -> None:
        """Take in that a reading came. `beside` is the power of the other channels of its board, in watts.

        `opened_at` is when the relay was read back open; `None` while it may be closed.
        """
        protection = self._plan.protection
        self.least = Watts(max(protection.weld_power, CROSSTALK * beside))
        if opened_at is None:
            self._readings, self.detail = 0, None
            return
        shown = after(opened_at, Seconds(REFRESHES * self._plan.meter.refresh + SETTLING))
        at = seen.current_at
        if at is None or at < shown or seen.power_at is None or seen.power_at < shown:
            return
        if self._counted_at is not None and at < after(self._counted_at, self._plan.meter.refresh):
            return
        if at == self._counted_at:
            return
        self._counted_at = at
        assert seen.current is not None
        assert seen.power is not None
        if seen.power > self.least and seen.current > protection.weld_current:
            self._readings += 1
        else:
            self._readings, self.detail = 0, None
        if self._readings >= WELD_READINGS:
            self.prove(seen)

    @property
    def counting(self) -> bool:
        """Whether the newest reading that counts has shown current and power through the open relay."""
        return self._readings > 0

    def prove(self, seen: MeterState) -> StopDetail:
        """Call the contact welded, by what was shown last."""
        limit = self._plan.protection.weld_current
        self.detail = StopDetail(function="relay_welded", measured=seen.current, limit=limit, unit="a")
        return self.detail

    def never_drew(self, *, charged: bool, peak: Watts) -> bool:
        """Take in the end of a session; say whether three in a row have found nothing behind a closed relay."""
        if not charged:
            return False
        self._dry = self._dry + 1 if peak < DRY_POWER else 0
        return self._dry == DRY_SESSIONS
