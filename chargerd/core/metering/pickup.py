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

    def note(self, at: Instant) -> bool:
        """Count it, and say whether it is to be told."""
        new = self._last is None or reached(after(self._last, QUIET), at)
        self.count, self._last = self.count + 1, at
        return new


@dataclass(slots=True)
class Pickup:
    """How long, and over how many new readings, a quantity has been above a threshold without a break."""

    since: Instant | None = None
    readings: int = 0

    def note(self, at: Instant, *, above: bool) -> None:
        """Take in one new reading."""
        if not above:
            self.since, self.readings = None, 0
            return
        if self.since is None:
            self.since = at
        self.readings += 1

    def until(self, delay: Seconds) -> Instant | None:
        """Return when it will have lasted for `delay`; `None` if it is not above."""
        return None if self.since is None else after(self.since, delay)

    def reached(self, delay: Seconds, now: Instant) -> bool:
        """Say whether it has lasted for `delay`."""
        return reached(self.until(delay), now)
