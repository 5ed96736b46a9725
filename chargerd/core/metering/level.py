"""The highest current a load holds: what it will take of its circuits once its charger has settled."""

from collections import deque
from statistics import fmean

from chargerd.core.units import Amps, Instant, Seconds, between

LEVEL_SPAN = Seconds(90.0)
SAMPLE_EVERY = Seconds(5.0)
HELD_FOR = Seconds(60.0)
"""So much of the span has to be seen."""
LEVEL_READINGS = 3
CURRENT_RISE = Amps(0.13)
"""15 W at 230 V and a power factor of 0.5: a current still rising by more is no plateau."""


class Level:
    """The highest current a load has held for 90 s."""

    def __init__(self) -> None:
        self._recent: deque[tuple[Instant, Amps]] = deque()
        self.plateau: Amps | None = None

    def take_in(self, amps: Amps, at: Instant) -> None:
        """Take in one new reading of a closed port."""
        if self._recent and between(self._recent[-1][0], at) < SAMPLE_EVERY:
            return
        self._recent.append((at, amps))
        while between(self._recent[0][0], at) > LEVEL_SPAN:
            self._recent.popleft()
        if len(self._recent) < LEVEL_READINGS or between(self._recent[0][0], at) < HELD_FOR:
            return
        mean = Amps(fmean(current for _, current in self._recent))
        if max(current for _, current in self._recent) - mean <= CURRENT_RISE:
            self.plateau = max(self.plateau or mean, mean)

    def interrupt(self) -> None:
        """The relay opens: what comes after is another stretch."""
        self._recent.clear()
