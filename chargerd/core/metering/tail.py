"""The tail of a charge: a stretch of low power, where it came from, whether it rests or still falls.

A charger ends its charge by a taper (lithium 43 to 117 min from the knee to 25 W, lead-acid up to twice that),
or by a step of its own; one whose battery was taken steps down from its plateau and idles at 0 to 15 W.
"""

from collections import deque
from math import log, sqrt
from statistics import fmean, pstdev

from chargerd.core.units import Seconds, WattHours, Watts

MOVE = Watts(6.0)
"""More than the decaying hump of a charger that cuts off by itself; a load at rest does not move by so much."""
COARSE = 1.5
"""And more than this many steps of its meter: one that dithers between two of them moves by one."""
CROSSTALK = Watts(1.5)
"""Neighbours show as 1 W; a threshold lies above that and above one step of the meter."""
HALVED = 0.5
"""Of its level: a small step to less than this is the charger's own end; no taper falls so far in two minutes."""
SETTLING = Seconds(90.0)
"""So long a level is still on its way, since it is taken over such a span."""
RESTED = Seconds(300.0)
"""What rises after so long a rest is topped up: a two-battery charger rests for a minute between its packs."""
MINUTE = Seconds(60.0)
THIRDS = 3
FALL = Watts(0.3)
"""From the first third of a span to its last: neighbours' crosstalk that comes and goes makes as much."""
LASTING = 0.3
"""Of the fall from the first third to the second, there is at least as much from there to the last in a taper."""
SLOWEST = Seconds(21600.0)
"""A time constant: twice that of the slowest measured taper. What falls more slowly is drift."""
UNFINISHED = 0.005
"""Of the energy drawn: a taper that has more than this to come is waited for."""


class Tail:
    """A stretch of low power. `before` is the level it came from; times are seconds of readings, without gaps."""

    def __init__(self, before: Watts, level: Watts, rested: Seconds, step: Watts) -> None:
        self.before = before
        self.smooth = True
        """Whether it came here, and went on since, without a step."""
        self.topped = False
        """Whether it rose again from a rest: a full battery that its charger tops up."""
        self._stopped = False
        """Whether it stepped down to where it rests: no taper goes on there."""
        self.rested = rested
        """How long the level has not moved."""
        self.level = level
        self._anchor = level
        self._move = Watts(max(MOVE, COARSE * step))
        self._crosstalk = Watts(CROSSTALK + step)
        self._minutes: deque[tuple[Seconds, Watts]] = deque()
        """How long each minute took by its readings, and what it drew on average; the newest is the last."""
        self._minute: list[Watts] = []
        self._since = Seconds(0.0)

    def pass_by(self, gap: Seconds) -> None:
        """So much time has been seen."""
        self.rested = Seconds(self.rested + gap)
        self._since = Seconds(self._since + gap)

    def leaves(self, level: Watts) -> bool:
        """Say whether a level above the tail's is a battery topped up: a rise from a rest."""
        return self.topped or (self.rested >= RESTED and level - self._anchor > self._move)

    def settle(self, level: Watts, rested: Seconds, noise: Watts, fallen: Watts) -> None:
        """Take in a new level, which was reached `rested` ago by falling so far.

        A difference of `noise` is none.
        """
        self.level = level
        halved = level < HALVED * (level + fallen) and fallen > max(self._crosstalk, 2 * noise)
        self._stopped = self._stopped or halved or fallen > max(self._move, noise)
        if abs(level - self._anchor) <= max(self._move, noise):
            if self.rested < SETTLING:
                self._anchor, self.rested = level, max(self.rested, rested)
            return
        if level > self._anchor:  # Something draws again: what it stepped down from does not tell any more.
            self.topped = self.topped or self.rested >= RESTED
            self.before, self.smooth, self._stopped = self._anchor, False, False
        self._anchor, self.rested = level, max(rested, self._still(level))

    def _still(self, level: Watts) -> Seconds:
        """Return for how long it has lain there but for its neighbours' crosstalk; zero if that may be a taper.

        Its anchor may lie at the edge of what a load at rest moves by: a watt of crosstalk then tips it over.
        """
        lowest = highest = level
        lasted = Seconds(0.0)
        for took, watts in reversed(self._minutes):
            if max(highest, watts) - min(lowest, watts) > self._crosstalk:
                break
            lowest, highest = min(lowest, watts), max(highest, watts)
            lasted = Seconds(lasted + took)
        return lasted if level * lasted >= SLOWEST * (highest - lowest) else Seconds(0.0)

    def take_in(self, watts: Watts, span: Seconds) -> None:
        """Take in one more reading. Only the last `span` says whether it still falls."""
        self._minute.append(watts)
        if self._since < MINUTE:
            return
        self._minutes.append((self._since, Watts(fmean(self._minute))))
        self._minute, self._since = [], Seconds(0.0)
        while len(self._minutes) * MINUTE > span:
            self._minutes.popleft()

    def unfinished(self, drawn: WattHours) -> bool:
        """Say whether this is a taper of which a good share of `drawn` is yet to come.

        An exponential has its power times its time constant to come.
        """
        fading = self._fading()
        if fading is None:
            return False
        last, time_constant = fading
        return last * time_constant / 3600.0 > UNFINISHED * drawn

    def _fading(self) -> tuple[Watts, Seconds] | None:
        """Return its newest level and the time constant it falls with; `None` if it rests."""
        third = len(self._minutes) // THIRDS
        if self._stopped or third < THIRDS:
            return None
        minutes = [watts for _, watts in self._minutes]
        parts = [minutes[:third], minutes[third:-third], minutes[-third:]]
        first, middle, last = map(fmean, parts)
        noise = sqrt((pstdev(parts[0]) ** 2 + pstdev(parts[2]) ** 2) / third)
        if first - last <= max(FALL, noise / 2) or last <= 0:
            return None
        if middle - last + noise < LASTING * (first - middle):
            return None  # It has fallen, and does not any more.
        time_constant = Seconds((len(minutes) - third) * MINUTE / log(first / last))
        return (Watts(last), time_constant) if time_constant < SLOWEST else None
