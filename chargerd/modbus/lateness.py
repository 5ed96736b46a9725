"""What a bus does later than it should, while its boards answer: the line is short of time then."""

from collections.abc import Mapping
from dataclasses import dataclass

from chargerd.core.units import LONG_AGO, Instant, Seconds, after

LATE_AFTER = Seconds(0.25)
"""How long after its deadline something counts as late: what is under way and a burst are no overload."""
TOLD_EVERY = Seconds(60.0)
OVERLOADED = 3
"""So many late readings of one kind within that time are no accident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """How often something was late, and by how much at worst."""

    count: int
    worst: Seconds


class Lateness:
    """Counts what was late since the start, by its name, and says now and then that it is too much."""

    def __init__(self) -> None:
        self.known: dict[str, Late] = {}
        self._told: Mapping[str, Late] = {}
        self._tell_at = LONG_AGO

    def note(self, name: str, late: Seconds) -> None:
        """Take in how long after its deadline something was begun."""
        if late > LATE_AFTER:
            known = self.known.get(name, Late(count=0, worst=Seconds(0.0)))
            self.known[name] = Late(count=known.count + 1, worst=max(known.worst, late))

    def overload(self, now: Instant) -> dict[str, Late]:
        """Return what was late too often since it was last told; at most once in a while, else nothing.

        `count` is of that time, `worst` of all time.
        """
        if now < self._tell_at:
            return {}
        self._tell_at = after(now, TOLD_EVERY)
        more = {
            name: Late(count=one.count - (self._told[name].count if name in self._told else 0), worst=one.worst)
            for name, one in self.known.items()
        }
        self._told = dict(self.known)
        return {name: one for name, one in more.items() if one.count >= OVERLOADED}
