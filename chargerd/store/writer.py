"""The journal's thread: takes what was handed in, writes it in order, and goes on when the disk does not."""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Final

import structlog

from chargerd.core.clock import Clock
from chargerd.core.ledger import Batch, LedgerSpan
from chargerd.core.units import Instant, Seconds, after
from chargerd.store import retention
from chargerd.store.backlog import Backlog
from chargerd.store.tables import Tables
from chargerd.store.work import Ask, Write

log = structlog.get_logger(__name__)

NAP: Final = Seconds(0.5)
"""How long the thread sleeps at most, so that its tick shows that it lives."""
GROUP: Final = 64
"""How many batches one transaction takes at most: more would make the first of them wait."""
RETRY_FIRST: Final = Seconds(0.5)
RETRY_LONGEST: Final = Seconds(8.0)
PRUNE_EVERY: Final = Seconds(3600.0)
UNFORESEEN: Final = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    sqlite3.NotSupportedError,
)
"""Errors of this program rather than of the disk: they end the process instead of being tried again."""


class Writer:
    """Owns the connection from `start` on. Calls nobody while it holds its lock."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        clock: Clock,
        on_health: Callable[[bool], None],
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self.tables = Tables(connection)
        self.span: LedgerSpan = self.tables.span()
        """What the ledger holds; replaced as a whole, so that any thread may read it."""
        self.last_turn: Instant = clock.now()
        self.on_appended: Callable[[int], None] | None = None
        self._db = connection
        self._clock = clock
        self._on_health = on_health
        self._on_crash = on_crash
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._changed = threading.Condition()
        self._waiting: deque[Write | Ask] = deque()
        self._closing = False
        self._closed = False
        self._backlog = Backlog()
        self._healthy = True
        self._pause = RETRY_FIRST
        self._retry_at = clock.now()
        self._prune_at = clock.now()

    # Called by others

    @property
    def running(self) -> bool:
        """Say whether the thread was started."""
        return self._thread.ident is not None

    @property
    def closed(self) -> bool:
        """Say whether nothing is taken any more."""
        return self._closed

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, item: Write | Ask) -> None:
        """Queue something without blocking. After the end it fails at once, in the caller's thread."""
        with self._changed:
            if not self._closed:
                self._waiting.append(item)
                self._changed.notify()
                return
        log.warning("journal_is_closed", refused=type(item).__name__)
        self._fail([item])

    def turn(self) -> None:
        """Write what is waiting, in the caller's thread: in place of `start`, where time is turned by hand."""
        while self._waiting:
            self._turn()
        self._recover()

    def close(self, timeout: float) -> bool:
        """Write what is waiting, close the file, and say whether all was written within `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self.running:
            self._thread.join(timeout)
        else:
            self._run()
        left = len(self._backlog) + len(self._waiting)
        written = self._closed and not self._thread.is_alive() and not left
        if not written:
            log.error("journal_closed_early", left=left)
        return written

    # The thread

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Exception as error:
            log.critical("journal_crashed", exc_info=True)
            self._on_crash(error)
        finally:
            with self._changed:
                self._closed = True
            self._close_file()

    def _close_file(self) -> None:
        try:
            self._db.close()
        except sqlite3.Error as error:
            log.warning("journal_not_closed_cleanly", error=str(error))

    def _turn(self) -> bool:
        items = self._take()
        self.last_turn = self._clock.now()
        if items is None:
            self._retry_at = self.last_turn
            self._recover()
            return False
        for asks, group in groupby(items, key=lambda item: isinstance(item, Ask)):
            if asks:
                self._answer([item for item in group if isinstance(item, Ask)])
            else:
                self._write([item for item in group if isinstance(item, Write)])
        self._recover()
        self._prune()
        return True

    def _take(self) -> Sequence[Write | Ask] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing, NAP)
            if self._closing and not self._waiting:
                self._closed = True
                return None
            return [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]

    def _answer(self, asks: Sequence[Ask]) -> None:
        for ask in asks:
            try:
                deliver = ask.read(self.tables)
            except (sqlite3.Error, ValueError) as error:  # a row that does not read as what it should be
                log.warning("journal_unreadable", error=str(error))
                deliver = ask.failed
            deliver()

    def _write(self, items: Sequence[Write]) -> None:
        if not self._recover() or not self._commit(lambda: [item.write(self.tables) for item in items]):
            self._fail(items)
            return
        for item in items:
            item.committed()

    def _fail(self, items: Sequence[Write | Ask]) -> None:
        for item in items:
            if isinstance(item, Ask):
                item.failed()
            else:
                item.failed(self._backlog)

    def _commit(self, write: Callable[[], object]) -> bool:
        try:
            with self.tables.transaction():
                write()
                span = self.tables.span()
        except UNFORESEEN:
            raise
        except sqlite3.DatabaseError as error:
            self._failed(error)
            return False
        before, self.span = self.span, span
        if span.last > before.last and self.on_appended is not None:
            self.on_appended(span.last)
        return True

    # Health

    def _failed(self, error: sqlite3.DatabaseError) -> None:
        name = getattr(error, "sqlite_errorname", None)
        log.error("journal_not_written", error=str(error), code=name, retry_in_s=self._pause)
        self._retry_at = after(self._clock.now(), self._pause)
        self._pause = min(RETRY_LONGEST, Seconds(self._pause * 2))
        if self._healthy:
            self._healthy = False
            self._on_health(False)

    def _recover(self) -> bool:
        # Says whether the journal can be written; after a failure it tries, first with what is owed.
        if self._healthy:
            return True
        if self._clock.now() < self._retry_at:
            return False
        while self._backlog:
            owed = self._backlog.first(GROUP)
            if not self._commit(partial(self._write_all, owed)):
                return False
            self._backlog.written(len(owed))
        if not self._commit(self.tables.touch):
            return False
        log.info("journal_written_again")
        self._healthy = True
        self._pause = RETRY_FIRST
        self._on_health(True)
        return True

    def _write_all(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self.tables.write(batch)

    def _prune(self) -> None:
        moment = self._clock.moment()
        if not self._healthy or moment.instant < self._prune_at:
            return
        self._prune_at = after(moment.instant, PRUNE_EVERY)
        self._commit(lambda: retention.prune(self.tables, moment.wall_ms))
