"""How long a quantity has been beyond a threshold, and when a deadline counts as having come."""

from collections.abc import Iterable
from dataclasses import dataclass

from chargerd.core.units import Instant, Seconds, after

QUIET = Seconds(600.0)
"""What has not happened for so long is news when it does."""


def reached(deadline: Instant | None, now: Instant) -> bool:
    """Say whether a deadline has come.

    Decisions and wake-ups compare the very same figure: rounding must not wake the station too early for ever.
    """
    return deadline is not None and now >= deadline


def earliest(deadlines: Iterable[Instant | None]) -> Instant | None:
    """Return the first of these deadlines to come; `None` if there is none."""
    return min([one for one in deadlines if one is not None], default=None)


@dataclass(slots=True)
class Recurring:
    """Something that happens again and again and is told once; again after a quiet time."""

    count: int = 0
    _last: Instant | None = None

    def take_in(self, at: Instant) -> bool:
        """Count it, and say whether it is to be told."""
        new = self._last is None or reached(after(self._last, QUIET), at)
        self.count, self._last = self.count + 1, at
        return new


@dataclass(slots=True)
class DefiniteTime:
    """A definite-time function (IEC 60255-151): a quantity beyond its threshold for `delay`, without a break.

    It takes `needs` new readings as well: what lasts has to be seen more than once. Where a reading counts for
    `keeps` only, a longer silence breaks the time, and nothing is reached by what is older than that.
    """

    delay: Seconds
    needs: int = 2
    keeps: Seconds | None = None
    since: Instant | None = None
    readings: int = 0
    """How many new readings it has been beyond the threshold for, without a break."""
    _read_at: Instant | None = None

    def take_in(self, at: Instant, *, above: bool) -> None:
        """Take in one new reading."""
        if self.keeps is not None:
            if self._read_at is not None and at > after(self._read_at, self.keeps):
                self.reset()
            self._read_at = at
        if not above:
            self.since, self.readings = None, 0
            return
        if self.since is None:
            self.since = at
        self.readings += 1

    def reset(self) -> None:
        """Forget what was picked up."""
        self.since, self.readings = None, 0

    def due(self) -> Instant | None:
        """Return when it will have lasted for long enough by what has been read; `None`: not by that."""
        if self.since is None or self.readings < self.needs:
            return None
        until = after(self.since, self.delay)
        if self.keeps is not None and self._read_at is not None and until > after(self._read_at, self.keeps):
            return None
        return until

    def reached(self, now: Instant) -> bool:
        """Say whether it has lasted for long enough."""
        if self.since is None:
            return False  # As a rule, and this is asked at every reading.
        return reached(self.due(), now)
