"""What somebody on site has asked of a bus, and when its turn has come. Pure.

Between two of them each fast reading has its turn once. So no port is looked at later, by more than one such
transaction, than if nobody had asked; and whoever asks again and again, as a scan does, goes on all the same.
"""

from collections import deque
from collections.abc import Callable, Iterable

from chargerd.config.budget.pacing import MANUAL_WITHIN
from chargerd.core.units import LONG_AGO, BoardId, Instant, after
from chargerd.modbus.jobs import Reading
from chargerd.modbus.manual import Manual


class ManualQueue:
    """The manual requests of one bus. Not thread-safe: its owner holds a lock."""

    def __init__(
        self,
        readings: Iterable[Reading],
        may_read: Callable[[Reading, Instant], bool],
        rests: Callable[[BoardId, Instant], Instant],
    ) -> None:
        """`may_read`: whether a reading can be made; `rests`: until when a board is to be left alone."""
        self._readings = tuple(readings)
        self._may_read = may_read
        self._rests = rests
        self._jobs: deque[Manual] = deque()
        self._by = LONG_AGO
        """By when the next one is to have its turn."""
        self._before: list[Reading] = []
        """The fast readings that have not had their turn since the last one."""

    def __bool__(self) -> bool:
        """Say whether any is queued."""
        return bool(self._jobs)

    def add(self, job: Manual, now: Instant) -> None:
        """Queue one."""
        self._by = max(self._by, after(now, MANUAL_WITHIN))
        self._jobs.append(job)

    def drop(self) -> tuple[Manual, ...]:
        """Remove and return all."""
        dropped = tuple(self._jobs)
        self._jobs.clear()
        return dropped

    def begun(self, job: Manual, now: Instant) -> None:
        """Take one off the queue: it is being made."""
        self._jobs.remove(job)
        self._by = after(now, MANUAL_WITHIN)
        self._before = [reading for reading in self._readings if reading.fast]

    def served(self, reading: Reading) -> None:
        """Take note that a reading has had its turn."""
        if self._before:
            self._before = [one for one in self._before if one is not reading]

    def ready(self, now: Instant) -> list[tuple[Instant, Manual]]:
        """Return the one that may go now, and by when it should; none before each fast reading had its turn."""
        if not self._jobs or self._unread(now):
            return []
        ready = next((job for job in self._jobs if self._from(job, now) <= now), None)
        return [] if ready is None else [(self._by, ready)]

    def due(self, now: Instant) -> list[Instant]:
        """Return when the next one may go; none as long as readings go first, which are due by themselves."""
        if not self._jobs or self._unread(now):
            return []
        return [min(self._from(job, now) for job in self._jobs)]

    def _unread(self, now: Instant) -> bool:
        return any(reading.fast and self._may_read(reading, now) for reading in self._before)

    def _from(self, job: Manual, now: Instant) -> Instant:
        """Return from when on it may be made; a board that is lost may be asked by hand all the same."""
        return now if job.board is None else self._rests(job.board, now)
