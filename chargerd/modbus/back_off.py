"""How long boards that do not answer are left alone, and when one of them counts as lost. Pure.

A silent board costs one timeout for each back-off, not one for each cycle. Of several lost boards only one is
tried at a time. An opening waits for no back-off but a lost board's, and for that one a second at most.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chargerd.config.budget.pacing import BACK_OFF, PROBE_EVERY
from chargerd.core.units import LONG_AGO, BoardId, Instant, Seconds, after
from chargerd.modbus.jobs import Reading

CUT_OFF_BACK_OFF = Seconds(1.0)
"""The longest back-off while an opening waits for the board."""
LOST_AFTER = 3
"""Misses in a row after which a board is reported lost."""


@dataclass(slots=True, kw_only=True)
class Answering:
    """How a board has answered lately."""

    misses: int = 0
    lost: bool = False
    missed_at: Instant = LONG_AGO
    not_before: Instant = LONG_AGO
    unheard: Reading | None = None
    """What it was asked last and did not answer. Its answer may yet come, and must not pass for another's."""


class BackOffs:
    """The boards of one bus, how they answer, and when each may be asked again."""

    def __init__(self, boards: Iterable[BoardId], min_periods: Mapping[BoardId, Seconds]) -> None:
        """`min_periods`: how long after a request some boards want to be left alone."""
        self.boards = {board: Answering() for board in boards}
        self._min_periods = min_periods
        self._rest_until: dict[BoardId, Instant] = {}
        self._probe_at = LONG_AGO

    def asked(self, board: BoardId | None, now: Instant) -> None:
        """Note that a board is asked something; `None`: a unit that the configuration does not know."""
        if board is not None and board in self._min_periods:
            self._rest_until[board] = after(now, self._min_periods[board])

    def rest(self, board: BoardId, until: Instant) -> None:
        """Leave a board alone until then; an opening does not wait for that."""
        self._rest_until[board] = until

    def rests(self, board: BoardId, now: Instant) -> Instant:
        """Return until when a board is to be left alone for its own sake, whether it answers or not."""
        return self._rest_until.get(board, now)

    def answered(self, board: BoardId) -> bool:
        """Note that a board has answered; say whether it had been lost."""
        known = self.boards[board]
        if not known.misses and not known.lost and known.unheard is None:
            return False  # It has answered before as well: almost always so.
        was_lost = known.lost
        self.boards[board] = Answering()
        if was_lost:
            self._probe_at = LONG_AGO
            for other in self.boards.values():
                if other.lost:
                    other.not_before = LONG_AGO  # What silenced them may have been the same.
        return was_lost

    def missed(self, board: BoardId, now: Instant, more: Seconds = Seconds(0.0)) -> bool:
        """Note that a board has not answered, and leave it alone for a while; say whether that makes it lost.

        `more` is added to that while, where it was not waited for as long as its profile says.
        """
        known = self.boards[board]
        known.not_before = after(now, Seconds(BACK_OFF[min(known.misses, len(BACK_OFF) - 1)] + more))
        known.missed_at = now
        known.misses += 1
        if known.lost:
            self._probe_at = after(now, PROBE_EVERY)
        if known.lost or known.misses < LOST_AFTER:
            return False
        known.lost = True
        return True

    def lose_all(self) -> tuple[BoardId, ...]:
        """The line is gone: every board is lost. Returns those that were not."""
        lost = tuple(board for board, known in self.boards.items() if not known.lost)
        for board in lost:
            self.boards[board] = Answering(misses=LOST_AFTER, lost=True)
        return lost

    def forgive(self) -> None:
        """The line is back: every board may be asked at once."""
        self._probe_at = LONG_AGO
        for known in self.boards.values():
            known.not_before = LONG_AGO
            known.misses = 0

    def may(self, board: BoardId, now: Instant, *, cutting: bool = False) -> bool:
        """Say whether a board may be asked now."""
        known = self.boards[board]
        if not known.misses and board not in self._rest_until:
            return True  # It answers, and wants no rest: almost always so.
        return self.wait_for(board, now, cutting=cutting) <= now

    def wait_for(self, board: BoardId, now: Instant, *, cutting: bool = False) -> Instant:
        """Return when a board may be asked again; `cutting`: to open a relay."""
        known = self.boards[board]
        if not cutting:
            probe = self._probe_at if known.lost and known.misses else now
            return max(known.not_before, self._rest_until.get(board, now), probe)
        return min(known.not_before, after(known.missed_at, CUT_OFF_BACK_OFF)) if known.lost else now
