"""The journal: what must survive a power cut, and the ledger the backend is told from.

One connection, one thread that writes; everyone else hands in batches and questions and is called back. Batches
are written in the order in which they came, as many in one transaction as are waiting. What cannot be written
divides in two. Someone waits to act upon a batch (a session before its relay closes, a command before it is
carried out): he is told that it failed, and it is forgotten, since it must not come true behind his back. What has
already happened is kept in memory and tried again, ahead of everything newer.
"""

import queue
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

from ulid import ULID

from chargerd.contract.ledger import (
    Batch,
    KeptEvent,
    LedgerRow,
    LedgerSpan,
    Mark,
    Owner,
    Recovery,
    RememberedCommand,
    Reply,
)
from chargerd.core.clock import Clock
from chargerd.core.units import CommandId, Instant, SessionId
from chargerd.store.chain import ChainCheck
from chargerd.store.errors import StoreError
from chargerd.store.ledger import BEYOND
from chargerd.store.place import Place, Upkeep
from chargerd.store.start import Start
from chargerd.store.tables import Tables
from chargerd.store.work import Acknowledge, Append, Ask, CountConnection, PartGap, RenewStream
from chargerd.store.writer import Writer

ASK_TIMEOUT_S: Final = 30.0
"""How long a caller waits in his own thread for an answer."""

PLAIN: Final = Upkeep()
VERIFY_SLICE: Final = 100
NOBODY: Final = Owner()
NO_ROWS: Sequence[LedgerRow] = ()
NOT_TO_BE_HAD: Final[tuple[RememberedCommand | None, bool]] = (None, True)
UNREADABLE: Final[tuple[str, ...]] = (
    "the settlements cannot be read: the journal is closed, or its disk does not answer",
)

T = TypeVar("T")


class Journal:
    """Sessions, latches, commands and the ledger, durable. Callbacks come in the journal's own thread."""

    def __init__(self, writer: Writer, recovery: Recovery, clock: Clock) -> None:
        self.recovery = recovery
        self._writer = writer
        self._clock = clock
        self._connections = writer.tables.connections()
        self._reserved: dict[SessionId, CommandId] = {}

    # Life

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        boot_id: str,
        on_health: Callable[[bool], None],
        on_crash: Callable[[BaseException], None],
        upkeep: Upkeep = PLAIN,
        owner: Owner = NOBODY,
    ) -> Self:
        """Open the journal at `path`, or make one, and count this start.

        A damaged file is moved aside and what can be read of it is taken over; `recovery` says so. `on_health`
        is told when the journal cannot be written and when it can again, `on_crash` what ended its thread. A
        journal whose `owner` is another one, as on a cloned card, goes on under a new stream. Raises
        `StoreError`, with what to do, if the file is in use or cannot be used.
        """
        start = Start(boot_id=boot_id, owner=owner)
        place = Place(path, start.load, start.peek, upkeep)
        opened = place.open()
        writer = Writer(opened, place, clock=clock, start=start, on_health=on_health, on_crash=on_crash)
        return cls(writer, opened.recovery, clock)

    def start(self) -> None:
        """Begin to write what was and will be handed in."""
        self._writer.start()

    def turn(self) -> None:
        """Write what is waiting, in the caller's thread: in place of `start`, where time is turned by hand."""
        self._writer.turn()

    def close(self, timeout: float) -> bool:
        """Write what is waiting, close the file, and say whether all was written within `timeout` seconds."""
        return self._writer.close(timeout)

    @property
    def busy(self) -> bool:
        return self._writer.busy

    def abandon(self) -> None:
        """Close the file where it stands and forget what waits, as a kill does; where there is no thread."""
        self._writer.abandon()

    @property
    def why_not(self) -> str | None:
        """Why nothing can be written, `None` while it can."""
        return self._writer.why_not

    @property
    def restart_wanted(self) -> bool:
        """Whether the process should begin anew once it is idle: the disk failed, or the file was replaced."""
        return self._writer.restart_wanted and self._writer.healthy

    @property
    def last_turn(self) -> Instant:
        """When the thread last ticked; it does so each second while the disk answers."""
        return self._writer.last_turn

    @property
    def on_appended(self) -> Callable[[int], None] | None:
        """Who is told the newest number after rows were added to the ledger."""
        return self._writer.on_appended

    @on_appended.setter
    def on_appended(self, listener: Callable[[int], None] | None) -> None:
        self._writer.on_appended = listener

    @property
    def on_forgotten(self) -> Callable[[Sequence[CommandId]], None] | None:
        """Who is told which ids of commands are kept no more."""
        return self._writer.on_forgotten

    @on_forgotten.setter
    def on_forgotten(self, listener: Callable[[Sequence[CommandId]], None] | None) -> None:
        self._writer.on_forgotten = listener

    @property
    def command_bytes(self) -> int:
        """How much of the file remembered commands take up; any thread may ask."""
        return self._writer.command_bytes

    # Writing

    def append(self, batch: Batch, done: Callable[[bool], None] | None = None) -> None:
        """Queue a batch; never blocks.

        `done` is told whether it is durable, and if it is not, it never will be. Without `done` the batch is kept
        until it is written. A batch with `done` that brings a command whose id is known already is not written.
        """
        self._writer.put(Append(batch=batch, done=done))
        answered = {reply.command for reply, final in batch.replies if final}
        if answered:
            self._queue(lambda _tables: partial(self._release, answered), lambda: None)

    def acknowledge(self, stream: str, through: int, refused: Callable[[], None] | None = None) -> None:
        """Take note that the backend has stored the ledger up to `through`.

        Another stream or a lower number changes nothing. A number that was never written changes nothing either,
        and `refused` is called.
        """
        wall_ms = self._clock.moment().wall_ms
        self._writer.put(Acknowledge(stream=stream, through=through, wall_ms=wall_ms, refused=refused))

    @property
    def found_last(self) -> int:
        """The highest number that was given out before this process began."""
        return self.recovery.last

    @property
    def stream_begun(self) -> bool:
        """Whether the stream that this process found began with its own start."""
        return self.recovery.begun

    def asked_from(self, start: int) -> None:
        """Have rows begin with this number for whoever reads next, even if it lies within a `gap`."""
        self._writer.put(PartGap(start=start))

    def renew_stream(self, done: Callable[[bool], None]) -> None:
        """Go on under a new stream, since numbers of this one were given out before and lost.

        `done` is told whether that is durable; if it is not, the stream is the old one and stays so.
        """
        self._writer.put(RenewStream(stream=self._writer.expect_stream(str(ULID())), done=done))

    def count_connection(self, deliver: Callable[[int], None]) -> None:
        """Count one more connection to the broker and deliver its number, which is higher than any before.

        Called by one thread. A journal that cannot be written holds back no connection: it counts on in memory.
        """
        self._connections += 1
        self._writer.put(CountConnection(count=self._connections, deliver=deliver))

    # Reading

    def span(self) -> LedgerSpan:
        """Return what the ledger holds, from memory; any thread may ask."""
        return self._writer.span

    def read_rows(self, after: int, limit: int, deliver: Callable[[Sequence[LedgerRow]], None]) -> None:
        """Deliver up to `limit` rows with numbers above `after`, in order; none if they cannot be read."""
        self._ask(lambda tables: tables.ledger.rows(after, limit), deliver, NO_ROWS)

    def events(
        self,
        limit: int,
        deliver: Callable[[Sequence[KeptEvent] | None], None],
        *,
        before: Mark | None = None,
        after: Mark | None = None,
    ) -> None:
        """Deliver up to `limit` rows and notes: written before a mark, newest first, or after one, oldest first.

        `None` if they cannot be read.
        """

        def read(tables: Tables) -> Sequence[KeptEvent] | None:
            if after is not None:
                return tables.notes.events_after(after, limit)
            return tables.notes.events_before(Mark(BEYOND, BEYOND) if before is None else before, limit)

        self._ask(read, deliver, None)

    def history(
        self, limit: int, deliver: Callable[[Sequence[LedgerRow] | None], None], before: int | None = None
    ) -> None:
        """Deliver up to `limit` settlements, newest first, with numbers below `before`; `None` if unreadable."""
        self._ask(lambda tables: tables.ledger.settlements(limit, before), deliver, None)

    def verify(self, deliver: Callable[[int, bool, Sequence[str] | None], None]) -> None:
        """Look through the chain of settlements in slices, so that nobody's commit waits for it.

        Delivers after each slice how many were looked at, whether that is all, and what is wrong so far (`None`:
        they cannot be read).
        """
        check = ChainCheck()

        def look(tables: Tables) -> bool:
            links = tables.ledger.links(0 if check.before is None else check.before.seq, VERIFY_SLICE)
            check.take(links)
            last = len(links) < VERIFY_SLICE
            if last:
                check.finish(tables.state().settled)
            return last

        def looked(last: bool | None) -> None:
            deliver(check.count, last is not False, None if last is None else tuple(check.problems))
            if last is False:
                self._ask(look, looked, None)

        self._ask(look, looked, None)

    def reply_of(self, command: CommandId, deliver: Callable[[Reply | None], None]) -> None:
        """Deliver the newest reply to a command, `None` if there is none."""

        def reply(tables: Tables) -> Reply | None:
            known = tables.commands.find(command)
            return None if known is None else known.reply

        self._ask(reply, deliver, None)

    def has_session(self, session: SessionId, deliver: Callable[[bool], None]) -> None:
        """Deliver whether a session of this id was ever begun. What cannot be read counts as begun."""
        self._ask(lambda tables: tables.session_used(session), deliver, True)

    def desk_lookup(
        self,
        command_id: CommandId,
        session_id: SessionId | None,
        deliver: Callable[[RememberedCommand | None, bool], None],
    ) -> None:
        """Deliver what is known of a command, and whether another one has used this session id.

        A session id is taken by the first command that asks for it, until that command has its final reply: two
        starts that come together cannot both have it. What cannot be read counts as used.
        """

        def look(tables: Tables) -> tuple[RememberedCommand | None, bool]:
            used = session_id is not None and self._taken(tables, session_id, command_id)
            return tables.commands.find(command_id), used

        # Without any file the start goes on to be refused for what it is: the batch with its id is not durable.
        self._writer.put(
            Ask(
                read=lambda tables: partial(deliver, *look(tables)),
                failed=partial(deliver, *NOT_TO_BE_HAD),
                without_file=True,
            )
        )

    def verify_settlements(self) -> tuple[str, ...]:
        """Return what is wrong with the chain of settlements; empty if nothing is.

        Waits for the journal's thread, so it must not be called from a callback. Raises `StoreError` if the
        settlements cannot be read.
        """
        if not self._writer.running and not self._writer.closed:
            return self._writer.tables.ledger.problems()
        answers: queue.SimpleQueue[tuple[str, ...]] = queue.SimpleQueue()
        self._ask(lambda tables: tables.ledger.problems(), answers.put, UNREADABLE)
        with suppress(queue.Empty):
            problems = answers.get(timeout=ASK_TIMEOUT_S)
            if problems is not UNREADABLE:
                return problems
        raise StoreError(UNREADABLE[0])

    # Within

    def _ask(self, read: Callable[[Tables], T], deliver: Callable[[T], None], unknown: T) -> None:
        self._queue(lambda tables: partial(deliver, read(tables)), partial(deliver, unknown))

    def _queue(self, read: Callable[[Tables], Callable[[], None]], failed: Callable[[], None]) -> None:
        self._writer.put(Ask(read=read, failed=failed))

    def _taken(self, tables: Tables, session: SessionId, command: CommandId) -> bool:
        if tables.session_used(session) or self._reserved.get(session, command) != command:
            return True
        self._reserved[session] = command
        return False

    def _release(self, answered: set[CommandId]) -> None:
        self._reserved = {session: by for session, by in self._reserved.items() if by not in answered}
