"""The journal's thread: takes what was handed in, writes it in order, and goes on when the disk does not."""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Final

from chargerd import log
from chargerd.contract.ledger import Batch, LedgerSpan
from chargerd.core.clock import Clock
from chargerd.core.moment import Moment
from chargerd.core.units import CommandId, Instant, Seconds, after, between
from chargerd.store import backup, schema
from chargerd.store.backlog import Backlog
from chargerd.store.errors import StoreError
from chargerd.store.place import GONE, NO_BOOT, SHAKEN, Mirror, Opened, Place, close_quietly, stand_in
from chargerd.store.retention import DAY_MS, SLICE, Retention
from chargerd.store.start import Start
from chargerd.store.tables import Tables
from chargerd.store.work import Append, Ask, Write

NAP: Final = Seconds(0.5)
"""How long the thread sleeps at most, so that its tick shows that it lives."""
GROUP: Final = 64
"""How many batches one transaction takes at most: more would make the first of them wait."""
RETRY_FIRST: Final = Seconds(0.5)
RETRY_LONGEST: Final = Seconds(8.0)
HOUR: Final = Seconds(3600.0)
PRUNE_EVERY: Final = HOUR
MEASURE_EVERY: Final = Seconds(60.0)
COPY_AFTER: Final = Seconds(600.0)
"""How long after a start the first copy waits: a start has enough to do."""
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
        opened: Opened,
        place: Place,
        *,
        clock: Clock,
        start: Start,
        on_health: Callable[[bool], None],
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self.tables = Tables(opened.connection)
        self.why_not = opened.why_not
        """Why the journal takes nothing, `None` while it does."""
        self.restart_wanted = False
        """Whether the process should begin anew once it is idle: what it knows is not what the file tells."""
        self.span: LedgerSpan = start.span(self.tables, opened.recovery.stream)
        """What the ledger holds; replaced as a whole, so that any thread may read it."""
        self._expected: str | None = None
        """The stream it is to go on under once that is written, if it is to be another one."""
        self.last_turn: Instant = clock.now()
        self.command_bytes = self.tables.state().command_bytes
        """How much of the file remembered commands take up."""
        self.on_appended: Callable[[int], None] | None = None
        self.on_forgotten: Callable[[Sequence[CommandId]], None] | None = None
        self._db = opened.connection
        self._place = place
        self._stand_in = opened.stand_in
        self._code = 0
        self._mirror = Mirror()
        self._knows_all = not opened.stand_in
        """Whether it has read a journal: then no other file can tell it of latches."""
        if self._knows_all:
            known = opened.recovery
            self._mirror.take(
                Batch(
                    sessions=known.sessions,
                    latches=known.latches,
                    disabled=known.disabled,
                    warmths=known.warmths,
                    identities=known.identities,
                    settled_all=known.moved is None,
                )
            )
        self._clock = clock
        self._start = start
        self._boot = opened.recovery.boot
        self._start_owed = opened.why_not is not None
        self._on_health = on_health
        self._on_crash = on_crash
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._changed = threading.Condition()
        self._waiting: deque[Write | Ask] = deque()
        self._closing = False
        self._closed = False
        self._backlog = Backlog()
        self._healthy = opened.why_not is None
        self._retention = Retention(limit_bytes=place.upkeep.limit_bytes)
        self._pause = RETRY_FIRST
        self._retry_at = clock.now()
        self._prune_at = clock.now()
        self._hours_from = clock.now()
        """Up to where hours of running are counted."""
        self._forgetting = True
        self._measure_at = clock.now()
        self._copy_at = after(clock.now(), COPY_AFTER)
        self._copying = False

    # Called by others

    @property
    def running(self) -> bool:
        return self._thread.ident is not None

    @property
    def healthy(self) -> bool:
        """Say whether what is handed in is written."""
        return self._healthy

    @property
    def closed(self) -> bool:
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

    def expect_stream(self, stream: str) -> str:
        """Have the ledger go on under this stream once that is written; return it."""
        self._expected = stream
        return stream

    def turn(self) -> None:
        """Write what is waiting, in the caller's thread: in place of `start`, where time is turned by hand."""
        while self._waiting:
            self._turn()
        self._recover()

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def abandon(self) -> None:
        """Close the file and take nothing any more; what waits is forgotten. Only without its thread."""
        assert not self.running
        with self._changed:
            self._closing = self._closed = True
            self._waiting.clear()
        self._close_file()

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
        close_quietly(self._db)

    def _turn(self) -> bool:
        items = self._take()
        self.last_turn = self._clock.now()
        if items is None:
            self._retry_at = self.last_turn
            self._recover()
            return False
        self._serve(items)
        self._recover()
        self._let_go()
        self._copy()
        return True

    def _serve(self, items: Sequence[Write | Ask]) -> None:
        for asks, group in groupby(items, key=lambda item: isinstance(item, Ask)):
            if asks:
                self._answer([item for item in group if isinstance(item, Ask)])
            else:
                self._write([item for item in group if isinstance(item, Write)])

    def _take(self) -> Sequence[Write | Ask] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing, NAP)
            if self._closing and not self._waiting:
                self._closed = True
                return None
            return [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]

    def _answer(self, asks: Sequence[Ask]) -> None:
        for ask in asks:
            if self._stand_in and not ask.without_file:
                ask.failed()
                continue
            try:
                deliver = ask.read(self.tables)
            except (sqlite3.Error, ValueError) as error:  # a row that does not read as what it should be
                log.warning("journal_unreadable", error=str(error))
                deliver = ask.failed
                self._notice_damage(error)
            deliver()

    def _write(self, items: Sequence[Write]) -> None:
        if not self._recover() or not self._commit(lambda: [item.write(self.tables) for item in items]):
            self._fail(items)
            return
        for item in items:
            self._reflect(item)
            item.committed()

    def _reflect(self, item: Write) -> None:
        if isinstance(item, Append) and not item.refused:
            self._mirror.take(item.batch)

    def _fail(self, items: Sequence[Write | Ask]) -> None:
        for item in items:
            if isinstance(item, Ask):
                item.failed()
                continue
            before = len(self._backlog)
            item.failed(self._backlog)
            if len(self._backlog) != before:
                self._reflect(item)

    def _commit(self, write: Callable[[], object]) -> bool:
        try:
            try:
                self._transact(write)
            except sqlite3.DatabaseError as error:
                if not self._place.make_room(getattr(error, "sqlite_errorcode", 0)):
                    raise
                self._transact(write)
        except UNFORESEEN:
            raise
        except sqlite3.DatabaseError as error:
            self._failed(error)
            return False
        return True

    def _transact(self, write: Callable[[], object]) -> None:
        with self.tables.transaction():
            write()
            state = self.tables.state()
            span = self.tables.ledger.span_of(state)
        self.command_bytes = state.command_bytes
        before = self.span
        if span.stream not in {before.stream, self._expected}:
            # Another stream than the one the backend was told of: nothing is sent of it before a restart.
            return
        self.span = span
        if span.last > before.last and self.on_appended is not None:
            self.on_appended(span.last)

    # Health

    def _notice_damage(self, error: Exception) -> None:
        """A damaged page is found by reading, too: what lies on it would be waited for until a write meets it."""
        if isinstance(error, sqlite3.DatabaseError):
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & schema.PRIMARY
            if code in GONE and code != self._code:
                self._failed(error)

    def _failed(self, error: sqlite3.DatabaseError) -> None:
        name = getattr(error, "sqlite_errorname", None)
        self._code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & schema.PRIMARY
        self.why_not = str(error)
        self.restart_wanted |= self._code in SHAKEN
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
        if self._clock.now() < self._retry_at or not self._reopened_if_lost():
            return False
        if self._start_owed and not self._commit(lambda: self._start.write(self.tables, self.span.stream)):
            return False
        self._start_owed = False
        while self._backlog:
            owed = self._backlog.first(GROUP)
            if not self._commit(partial(self._write_all, owed)):
                return False
            self._backlog.written(len(owed))
        if not self._commit(self.tables.touch):
            return False
        log.info("journal_written_again", restart_wanted=self.restart_wanted)
        self._healthy = True
        self._pause = RETRY_FIRST
        if not self.restart_wanted:
            self.why_not = None
            self._on_health(True)
        return True

    def _reopened_if_lost(self) -> bool:
        # Says whether there is a file to be tried; one that is gone, replaced or damaged is opened anew.
        if not (self._stand_in or self._code in GONE or self._place.is_another()):
            return True
        if not self._stand_in:
            close_quietly(self._db)
            self._use(stand_in(), stands_in=True)
        try:
            opened = self._place.reopen()
        except StoreError as error:
            self._put_off(str(error))
            return False
        close_quietly(self._db)
        self._use(opened.connection, stands_in=False)
        self.restart_wanted = True
        self._start_owed = False
        self._code = 0
        self._backlog.tell_boot(NO_BOOT, opened.recovery.boot)
        whole = self._mirror.whole()
        log.warning("journal_reopened", sessions=len(whole.sessions), latches=len(whole.latches))
        return self._commit(lambda: self._carry_over(whole))

    def _carry_over(self, whole: Batch) -> None:
        self.tables.carry_over(whole, complete=self._knows_all)
        self.tables.count_on(self._start.boot_id, self._boot)

    def _use(self, connection: sqlite3.Connection, *, stands_in: bool) -> None:
        self._db, self.tables, self._stand_in = connection, Tables(connection), stands_in

    def _put_off(self, why: str) -> None:
        log.error("journal_not_opened", error=why, retry_in_s=self._pause)
        self.why_not = why
        self._retry_at = after(self._clock.now(), self._pause)
        self._pause = min(RETRY_LONGEST, Seconds(self._pause * 2))

    def _write_all(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self.tables.write(batch)

    # Upkeep

    def _let_go(self) -> None:
        moment = self._clock.moment()
        if self._may_tidy:
            self._forget(moment.instant)
        if self._may_tidy and moment.instant >= self._prune_at:
            if not self._more(self._retention.by_age, moment):
                self._prune_at = after(moment.instant, PRUNE_EVERY)
            self._place.ballast.take()
        if (
            self._may_tidy
            and moment.instant >= self._measure_at
            and not self._more(self._retention.by_size, moment)
        ):
            self._measure_at = after(moment.instant, MEASURE_EVERY)

    def _forget(self, now: Instant) -> None:
        """Forget commands that were kept for their time, counted in hours of running, a slice at a time."""
        hours = int(between(self._hours_from, now) / HOUR)
        if hours > 0 and self._commit(lambda: self.tables.commands.pass_hours(hours)):
            self._hours_from = after(self._hours_from, Seconds(hours * HOUR))
            self._forgetting = True
        forgotten: list[CommandId] = []
        if self._forgetting and self._commit(lambda: forgotten.extend(self.tables.commands.forget(SLICE))):
            self._forgetting = len(forgotten) >= SLICE
        if forgotten and self.on_forgotten is not None:
            self.on_forgotten(forgotten)

    @property
    def _may_tidy(self) -> bool:
        return self._healthy and not self._copying

    def _more(self, prune: Callable[[Tables, Moment], bool], moment: Moment) -> bool:
        # One slice; the next turn does the next one, after whatever is waiting by then.
        more: list[bool] = []
        done = self._commit(lambda: more.append(prune(self.tables, moment)))
        return done and more[0]

    def _copy(self) -> None:
        moment = self._clock.moment()
        keep = self._place.upkeep.copies
        if not (keep and self._may_tidy) or moment.instant < self._copy_at:
            return
        self._copy_at = after(moment.instant, COPY_AFTER)
        if not self._copy_due(moment):
            return
        self._copying = True
        try:
            if not backup.has_room(self._place.path):
                log.warning("journal_not_copied", why="too little room beside it")
                return
            backup.make(self._db, self._place.path, keep, self._between_slices)
            self._commit(lambda: self.tables.note_copy(moment.wall_ms))
            self._copy_at = after(moment.instant, Seconds(DAY_MS / 1000) if moment.wall_ms is None else COPY_AFTER)
            log.info("journal_copied")
        except (backup.AbandonedError, OSError, sqlite3.Error) as error:
            log.warning("journal_not_copied", why=str(error))
        finally:
            self._copying = False

    def _copy_due(self, moment: Moment) -> bool:
        copied = self.tables.copied_ms()
        if copied is None or moment.wall_ms is None:
            return True
        return not 0 <= moment.wall_ms - copied < DAY_MS

    def _between_slices(self) -> None:
        """Serve whoever waits, while a copy is made."""
        with self._changed:
            closing = self._closing
            items = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
        self.last_turn = self._clock.now()
        self._serve(items)
        if closing or not self._healthy:
            raise backup.AbandonedError("the journal is closed, or its disk has enough to do")
