"""Who the boards of a line are: their identity registers, read one at a time when nothing is in a hurry. Pure.

What a board says is read again and again, since lines can be exchanged behind a server whose connection stands.
One that refuses, or does not answer twice, tells none: it is left alone until its line or itself was away. One
that has told before was not heard in noise, and is asked again in its time.
"""

from collections.abc import Iterator, Mapping

from chargerd.config.profiles.models import IdentityRegister
from chargerd.core.units import LONG_AGO, BoardId, Instant, Seconds, after
from chargerd.modbus.frames import Request, read_registers, registers_of
from chargerd.modbus.jobs import NEVER, Identify

AFTER = Seconds(1.0)
"""So long the first openings and their read-backs have the line to themselves."""
AGAIN = Seconds(120.0)
WITHIN = Seconds(60.0)
"""So long it goes after everything else that is due where a relay is closed; a session that may go on has twice
that for its proof."""
APART = Seconds(2.0)
"""Where there is other work: a line with nothing else to do is asked one board after the other."""
TRIES = 2
"""Requests in a row without an answer after which a board tells none, and others are in no hurry to be asked."""
MEANINGLESS = ({0x0000}, {0xFFFF})
"""What registers hold that were never written."""

Words = tuple[int, ...]


class Identities:
    """What is asked of the boards of one bus. Not thread-safe: its owner holds a lock."""

    def __init__(self, units: Mapping[BoardId, tuple[int, tuple[IdentityRegister, ...]]]) -> None:
        """`units`: the unit address and the registers of each board that has any."""
        self._registers = {board: registers for board, (_unit, registers) in units.items() if registers}
        self._units = {board: units[board][0] for board in self._registers}
        self.jobs = tuple(Identify(board=board) for board in self._registers)
        self._of = {job.board: job for job in self.jobs}
        self._words: dict[BoardId, list[int]] = {board: [] for board in self._registers}
        self._place = dict.fromkeys(self._registers, 0)
        self._misses = dict.fromkeys(self._registers, 0)
        self._awaited: set[BoardId] = set()
        """Boards asked in the round they are in: what comes from another belongs to the round before."""
        self._have_told: set[BoardId] = set()
        self._silences = 0
        """Requests in a row without an answer, to whichever board: no start waits for more than `TRIES`."""
        self._not_before = LONG_AGO
        self._urgent: BoardId | None = None
        """The board that is asked at once: its line may have been exchanged just now."""

    def begin(self, now: Instant, board: BoardId | None = None) -> None:
        """Ask all boards anew, or one: they may be others than before."""
        self._silences = 0
        for name in self._registers if board is None else {board} & self._registers.keys():
            self._restart(name, after(now, AFTER))

    def doubt(self, now: Instant) -> None:
        """Ask one board at once that has told before, one with a serial number if there is any."""
        told = [board for board in self._registers if board in self._have_told]
        surest = [board for board in told if any(one.unique for one in self._registers[board])] or told
        if surest and self._urgent is None:
            self._restart(surest[0], now)
            self._urgent = surest[0]

    def due(
        self, now: Instant, *, idle: bool, alone: bool, calm: bool = False
    ) -> Iterator[tuple[Instant, Identify]]:
        """Yield what is to be asked, the longest due first, and by when.

        `alone`: nothing else with a deadline is due. `idle`: nor is any reading of a closed port. `calm`: no relay
        is closed, and a start may be waiting for it.
        """
        for job in sorted(self.jobs, key=lambda job: (job.board != self._urgent, job.begins)):
            hurried = (calm and self._silences < TRIES) or job.board == self._urgent
            if not (idle or hurried) and now < self._not_before:
                return
            by = after(job.begins, Seconds(0.0) if hurried else WITHIN)
            if job.begins <= now and (alone or by <= now):
                yield by, job

    def asked(self, job: Identify, now: Instant) -> None:
        """A board is being asked: again when it is known what came of it."""
        job.begins = NEVER
        self._not_before = after(now, APART)

    def request(self, board: BoardId) -> Request:
        """Return what asks a board for its next register."""
        self._awaited.add(board)
        register = self._registers[board][self._place[board]]
        return read_registers(self._units[board], register.function, register.address, register.count)

    def answered(self, board: BoardId, pdu: bytes, now: Instant) -> tuple[Words | None] | None:
        """Take in an answer; return the words when that was the last one (in a tuple: it may tell none).

        One that has brought its board back has begun a new round by that, and says nothing in it.
        """
        if board not in self._awaited:
            return None
        self._awaited.discard(board)
        self._silences = 0
        self._words[board] += registers_of(pdu)
        self._place[board] += 1
        if self._place[board] < len(self._registers[board]):
            self._of[board].begins = now
            return None
        words = tuple(self._words[board])
        self._have_told.add(board)
        self._restart(board, after(now, AGAIN))
        return (None if set(words) in MEANINGLESS else words,)

    def failed(self, board: BoardId, now: Instant, *, refused: bool) -> bool:
        """Take in that there was no answer; say whether the board tells none."""
        if board not in self._awaited:
            return False
        self._awaited.discard(board)
        self._misses[board] += 1
        self._silences = 0 if refused else self._silences + 1
        if refused or self._misses[board] >= TRIES:
            self._restart(board, after(now, AGAIN) if board in self._have_told else NEVER)
            return True
        self._of[board].begins = after(now, AFTER)
        return False

    def _restart(self, board: BoardId, begins: Instant) -> None:
        self._words[board], self._place[board], self._misses[board] = [], 0, 0
        self._of[board].begins = begins
        self._awaited.discard(board)
        if board == self._urgent:
            self._urgent = None
