"""Over- and undervoltage, U> and U<, by one meter upstream."""

from chargerd.core.protection.function import Function, Protected
from chargerd.core.session import StopDetail
from chargerd.core.units import Instant


class Overvoltage(Function):
    """U>: 264 V for 4 s and in two readings, by one meter upstream (230 V + 15 %; a pile's firmware)."""

    name = "overvoltage"

    def __init__(self, on: Protected) -> None:
        super().__init__(on)
        self._mains = on.models.mains
        self._limit = on.plan.protection.overvoltage
        self.timer = self._mains.over

    def finding(self, now: Instant) -> StopDetail | None:
        """Look at the highest phase of a closed port."""
        if self._on.closed_at is None or not self._mains.over.reached(now):
            return None
        return StopDetail(function=self.name, measured=self._mains.high, limit=self._limit, unit="v")


class Undervoltage(Function):
    """U<: 176 V for 4 s and in two readings (220 V - 20 %: a charger draws more current for it)."""

    name = "undervoltage"

    def __init__(self, on: Protected) -> None:
        super().__init__(on)
        self._mains = on.models.mains
        self._limit = on.plan.protection.undervoltage
        self.timer = self._mains.under

    def finding(self, now: Instant) -> StopDetail | None:
        """Look at the lowest phase of a closed port."""
        if self._on.closed_at is None or not self._mains.under.reached(now):
            return None
        return StopDetail(function=self.name, measured=self._mains.low, limit=self._limit, unit="v")
