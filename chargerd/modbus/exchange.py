"""One transaction with a board, and what it shows of the board: how it does, that it is lost, that it is back.

A board that has settings to be made is prepared before it is asked anything else, one transaction at a time; an
opening waits for none of that.
"""

from collections.abc import Callable, Mapping

from chargerd import log
from chargerd.core.clock import Clock
from chargerd.core.events import (
    BoardBack,
    BoardLost,
    BoardPrepared,
    BusEvent,
    ForeignHeard,
    PreparationFailed,
)
from chargerd.core.faults import FaultKind
from chargerd.core.units import BoardId, Instant, Seconds
from chargerd.log import Level
from chargerd.modbus.board import BoardOnBus
from chargerd.modbus.by_hand import kind_of
from chargerd.modbus.connection import Connection
from chargerd.modbus.diagnosis import Cause, Finding
from chargerd.modbus.frames import Request
from chargerd.modbus.health import BoardHealth, BoardStatistics, health_of
from chargerd.modbus.jobs import Job, Open, ReadBack
from chargerd.modbus.manual import Manual
from chargerd.modbus.preparing import Preparing
from chargerd.modbus.schedule import Schedule
from chargerd.modbus.silence import Silence
from chargerd.modbus.trace import Traced, Tracers
from chargerd.modbus.wire import NEVER, Answered, Failed


class Exchange:
    """Asks boards, in the bus's thread."""

    def __init__(
        self,
        *,
        bus: str,
        boards: Mapping[BoardId, BoardOnBus],
        schedule: Schedule,
        connection: Connection,
        clock: Clock,
        tell: Callable[[BusEvent], None],
        tracers: Tracers,
    ) -> None:
        """The lock of `schedule` guards the boards' health as well."""
        self._tracers = tracers
        self._bus = bus
        self._boards = boards
        self._schedule = schedule
        self._lock = schedule.lock
        self._connection = connection
        self._clock = clock
        self._tell = tell
        self._health = health_of({board.id: board.bounds for board in boards.values()})
        self._asked: set[BoardId] = set()
        """The boards that have ever been asked anything."""
        self._silences = {board.id: Silence(board.silence) for board in boards.values()}
        self._preparing = {
            board.id: Preparing(board.relays)
            for board in boards.values()
            if board.relays is not None and board.relays.settings
        }

    def statistics(self) -> tuple[BoardStatistics, ...]:
        """Return how the boards do."""
        with self._lock:
            now = self._clock.now()
            return tuple(
                self._health[board].statistics(
                    board,
                    now,
                    misses=known.misses,
                    lost=known.lost,
                    not_before=known.not_before,
                    silence_wanted=None if self._on_a_network() else self._silences[board].wanted,
                )
                for board, known in self._schedule.back_offs.boards.items()
            )

    def _on_a_network(self) -> bool:
        """Say whether silence before a request is the other end's business."""
        wire = self._connection.wire
        return wire is not None and wire.busy_with_silence > 0

    def ask(
        self, board: BoardOnBus, request: Request, *, urgent: bool = False, not_after: Instant = NEVER
    ) -> Answered | Failed:
        """Perform one transaction, and keep the board's health. Raises `LineGone`."""
        result = self._ask(board, request, urgent=urgent, not_after=not_after)
        preparing = self._preparing.get(board.id)
        if preparing is not None and preparing.unheard and _alive(result):
            preparing.spoke()
            self._go_on_preparing(board.id, preparing)
        return result

    def _ask(self, board: BoardOnBus, request: Request, *, urgent: bool, not_after: Instant) -> Answered | Failed:
        wire = self._connection.wire
        assert wire is not None
        health = self._health[board.id]
        counters, timeout = self._connection.counters, health.timeout(urgent=urgent)
        foreign, tainted = counters.foreign_bytes, counters.tainted
        silence = self._silences[board.id].before(reading=request.echo is None)
        result = wire.transact(request, timeout, silence=silence, urgent=urgent, not_after=not_after)
        if self._tracers:
            self._trace(board.id, request, result, urgent=urgent)
        if isinstance(result, Failed) and result.late:
            return result
        counters.busy += result.at - result.sent_at
        self._asked.add(board.id)
        if counters.tainted > tainted:
            self._stranger(board.id, self._clock.now())
        if health.foreign(counters.foreign_bytes - foreign):
            log.warning("foreign_answers", bus=self._bus, board=board.id)
            self._tell(ForeignHeard(board=board.id, at=self._clock.now()))
        if isinstance(result, Answered):
            self._silences[board.id].answered()
            self._connection.heard()
            with self._lock:
                health.answered(result.took, result.at)
                back = self._schedule.back_offs.answered(board.id)
            if back:
                self._is_back(board)
        else:
            self._failed(board, result, health, timeout)
        return result

    def _failed(self, board: BoardOnBus, result: Failed, health: BoardHealth, timeout: Seconds) -> None:
        """Keep that nothing came of a transaction; also one that refuses has answered."""
        self._count_silence(board.id, result)
        self._note_connection(board.id, result)
        with self._lock:
            health.failed(result.kind, result.at)
            back = _alive(result) and self._schedule.back_offs.answered(board.id)
        if back:
            self._is_back(board)
        if not _alive(result):
            self._was_silent(board, result.kind, self._clock.now(), health.shortened(timeout))

    def _trace(self, board: BoardId, request: Request, result: Answered | Failed, *, urgent: bool) -> None:
        wire = self._connection.wire
        assert wire is not None
        self._tracers.tell(
            Traced(
                bus=self._bus,
                board=board,
                request=request.rtu,
                stray=wire.stray,
                heard=wire.taken,
                result=kind_of(result),
                sent_at=result.sent_at,
                at=result.at,
                urgent=urgent,
            )
        )

    def _is_back(self, board: BoardOnBus) -> None:
        """Have read what may have changed while a board was away, its relays and who it is; tell that it is."""
        now = self._clock.now()
        with self._lock:
            if board.relay_ports:
                self._schedule.ask_coils(board.id)
            self._schedule.identities.begin(now, board.id)
        if board.id in self._preparing:
            self._preparing[board.id].begin()
        self._tell(BoardBack(board=board.id, at=now))

    def _was_silent(self, board: BoardOnBus, kind: FaultKind, now: Instant, shortened: Seconds) -> None:
        """A board has not answered, and was waited for less long than usual by so much; tell if it is lost."""
        wire = self._connection.wire
        busy = 0.0 if wire is None or len(self._boards) == 1 else wire.busy_with_silence
        with self._lock:
            lost = self._schedule.back_offs.missed(board.id, now, Seconds(shortened + busy))
        if lost:
            self._tell(BoardLost(board=board.id, at=now, kind=kind))

    def _stranger(self, board: BoardId, now: Instant) -> None:
        """Count and tell that a stranger's answer came where a board was asked; the log has each board's first."""
        with self._lock:
            first = self._health[board].tainted_at is None
            self._health[board].tainted_at = now
        log.tell(Level.WARNING if first else Level.DEBUG, "strangers_answer", bus=self._bus, board=board)
        self._tell(ForeignHeard(board=board, at=now, tainted=True))

    def _note_connection(self, board: BoardId, result: Failed) -> None:
        """Note what a failure shows of the connection.

        What gives an exception is there, be it a gateway that speaks of a board behind it.
        """
        if result.code is not None:
            self._connection.heard()
        else:
            self._connection.unheard(board, result.sent_at)

    def hung(self) -> bool:
        """Say whether a fresh connection may help: nobody has been heard for a while, whoever was asked."""
        return self._connection.hangs(len(self._asked))

    def _count_silence(self, board: BoardId, result: Failed) -> None:
        """Learn what silence the board wants. What was corrupt was not unheard; what was not sent says nothing."""
        if result.kind is FaultKind.EXCEPTION:
            self._silences[board].answered()
        elif result.sent and result.kind is FaultKind.TIMEOUT:
            self._silences[board].missed()

    def true(self, board: BoardId) -> None:
        """Count that what a board has measured can be true."""
        health = self._health[board]
        if health.untrue:
            with self._lock:
                health.deceived(untrue=False)

    def untrue(self, board: BoardId, why: str, **whose: str) -> None:
        """Count a sound frame that cannot be true; the log has each board's first, the rest is a figure."""
        with self._lock:
            first = not self._health[board].implausible
            self._health[board].deceived(untrue=True)
        log.tell(
            Level.WARNING if first else Level.DEBUG, "implausible", bus=self._bus, board=board, why=why, **whose
        )

    # Preparation

    def unprepared_boards(self) -> tuple[BoardId, ...]:
        """Return the boards whose settings are not known to be right: they count as boards without a dead-man."""
        return tuple(board for board, preparing in self._preparing.items() if not preparing.good)

    def refusing(self) -> tuple[Finding, ...]:
        """Return a finding for each board that has not taken a setting."""
        refused = (board for board, preparing in self._preparing.items() if preparing.failed is not None)
        return tuple(Finding(cause=Cause.UNPREPARED, boards=(board,)) for board in refused)

    def prepare_anew(self) -> None:
        """The line is new: whatever hangs on it may have forgotten its settings."""
        for preparing in self._preparing.values():
            preparing.begin()

    def to_prepare(self, job: Job | None) -> Preparing | None:
        """Return what a job's board must be told first.

        Nothing comes before an opening, nor before the read-back of a board that was silent to what it was told.
        """
        if job is None or isinstance(job, Open | Manual):
            return None
        preparing = self._preparing.get(job.board)
        if preparing is None or preparing.over or (preparing.unheard and isinstance(job, ReadBack)):
            return None
        return preparing

    def prepare(self, name: BoardId, preparing: Preparing) -> None:
        """Do one transaction of a board's preparation: the job it is for stays queued until all are done.

        Raises `LineGone`.
        """
        board, attempt = self._boards[name], preparing.attempt
        result = self._ask(board, preparing.request(), urgent=False, not_after=NEVER)
        if preparing.attempt != attempt:
            return  # It was away, and has begun anew: what was answered is not what is asked first.
        if isinstance(result, Answered):
            preparing.answered(result.pdu)
        elif result.kind is FaultKind.EXCEPTION:
            preparing.refused()
        else:
            preparing.silent()
        self._go_on_preparing(name, preparing)

    def _go_on_preparing(self, board: BoardId, preparing: Preparing) -> None:
        """Tell if a board's preparation is over, well or not; else what is next waits for no regular read-back."""
        if not preparing.over:
            with self._lock:
                self._schedule.ask_coils(board)
        if preparing.good:
            log.info("board_prepared", bus=self._bus, board=board)
            self._tell(BoardPrepared(board=board, at=self._clock.now()))
        elif preparing.failed is not None:
            log.error("board_not_prepared", bus=self._bus, board=board, setting=preparing.failed)
            self._tell(PreparationFailed(board=board, at=self._clock.now(), setting=preparing.failed))


def _alive(result: Answered | Failed) -> bool:
    """Say whether a board is there: also one that refuses has answered."""
    return isinstance(result, Answered) or result.kind is FaultKind.EXCEPTION
