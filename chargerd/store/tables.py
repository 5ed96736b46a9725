"""The journal's tables: where it stands, what is open or latched, and how a batch is written over all of them.

One connection, one thread at a time.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from chargerd.contract.ledger import Batch, Owner
from chargerd.core.identity import Identity
from chargerd.core.session import Disabled, Latch, SessionRecord, ThermalState
from chargerd.core.units import SessionId
from chargerd.store.codec import DISABLED, IDENTITY, LATCH, SESSION, WARMTH, key
from chargerd.store.commands import Commands
from chargerd.store.ledger import Ledger
from chargerd.store.notes import Notes
from chargerd.store.state import State, read_state


class Tables:
    """Reads and writes rows. Whatever fails in SQLite comes out as `sqlite3.Error`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.commands = Commands(connection)
        self.ledger = Ledger(connection)
        self.notes = Notes(connection, self.ledger)
        self.in_doubt = False
        """Whether latches that are written do not make those known that the file may have lost."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within is committed at the end, or nothing is."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # SQLite has already rolled back by itself after some errors (full disk, I/O).
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    # Where it stands

    def state(self) -> State:
        """Return where the journal stands. Raises `DamagedError` if it does not know."""
        return read_state(self._db)

    def found(
        self,
        stream: str,
        *,
        settled: str | None = None,
        salvaged: str | None = None,
        latches_unknown: bool = False,
    ) -> None:
        """Begin a stream in an empty file."""
        self._db.execute(
            "INSERT INTO state (one, stream, settled, salvaged, latches_unknown) VALUES (1, ?, ?, ?, ?)",
            (stream, settled, salvaged, latches_unknown),
        )

    def note_move(self) -> None:
        """Keep that all there is so far was written on another machine."""
        self._db.execute("UPDATE state SET moved = last")

    def renew_stream(self, stream: str, *, renamed: bool) -> None:
        """Go on under another stream; numbers go on as they were.

        What the backend has not acknowledged goes out under the new one; if the gateway was `renamed`, only what
        was written on this machine: what comes from another one, that one hands in, under the old name.
        """
        begun = self.begins_after(moved=False, renamed=renamed)
        self._db.execute("UPDATE state SET stream = ?1, begun = ?2, acked = ?2", (stream, begun))

    def begins_after(self, *, moved: bool, renamed: bool) -> int:
        """Return behind which row another stream would begin, if the machine is another one, or the name is."""
        acked, last, before = self._db.execute("SELECT acked, last, moved FROM state").fetchone()
        return int(max(acked, last if moved else before) if renamed else acked)

    def note_unsettled(self, why: str | None) -> None:
        """Keep why what is open in the journal cannot go on; `None` once that is settled."""
        self._db.execute("UPDATE state SET unsettled = ?", (why,))

    def set_owner(self, owner: Owner) -> None:
        """Keep whose journal this is."""
        self._db.execute("UPDATE state SET gateway = ?, machine = ?", (owner.gateway, owner.machine))

    def number_of_boot(self, boot_id: str) -> int:
        """Return the number a boot has or would get; nothing is written."""
        query = "SELECT coalesce(max(number) FILTER (WHERE id = ?), max(number) + 1, 1) FROM boots"
        return int(self._db.execute(query, (boot_id,)).fetchone()[0])

    def count_on(self, boot_id: str, number: int) -> None:
        """Let this boot keep the number it has had in another file, so that later ones get higher ones."""
        self._db.execute(
            "UPDATE boots SET number = ?1 WHERE id = ?2 AND (SELECT max(number) FROM boots) < ?1",
            (number, boot_id),
        )

    def used_bytes(self) -> int:
        """Return how much of the file holds something."""
        used, size = self._db.execute(
            "SELECT page_count - freelist_count, page_size"
            " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        ).fetchone()
        return int(used * size)

    def copied_ms(self) -> int | None:
        """Return the wall time of the newest copy of the file."""
        found = self._db.execute("SELECT copied_ms FROM state").fetchone()[0]
        return None if found is None else int(found)

    def note_copy(self, wall_ms: int | None) -> None:
        """Keep when a copy of the file was made."""
        self._db.execute("UPDATE state SET copied_ms = ?", (wall_ms,))

    def touch(self) -> None:
        """Write something that changes nothing: only a write shows whether the disk takes one."""
        self._db.execute("UPDATE state SET last = last")

    def count_start(self, boot_id: str) -> int:
        """Count one more start, and return the number of the boot it happened in."""
        self._db.execute("UPDATE state SET starts = starts + 1")
        self._db.execute("INSERT INTO boots (id) VALUES (?) ON CONFLICT DO NOTHING", (boot_id,))
        return int(self._db.execute("SELECT number FROM boots WHERE id = ?", (boot_id,)).fetchone()[0])

    def connections(self) -> int:
        """Return how many connections were counted."""
        return int(self._db.execute("SELECT connections FROM state").fetchone()[0])

    def set_connections(self, count: int) -> None:
        """Keep how many connections were counted."""
        self._db.execute("UPDATE state SET connections = ?", (count,))

    # Writing

    def write(self, batch: Batch) -> None:
        """Write a batch, within a transaction."""
        self._write_sessions(batch)
        self._db.executemany("DELETE FROM latches WHERE port = ?", [(key(port),) for port in batch.cleared])
        self._db.executemany(
            "INSERT OR REPLACE INTO latches (port, function, latch) VALUES (?, ?, ?)",
            [(key(latch.port), key(latch.function), LATCH.dump(latch)) for latch in batch.latches],
        )
        self._db.executemany("DELETE FROM disabled WHERE holder = ?", [(key(holder),) for holder in batch.enabled])
        self._db.executemany(
            "INSERT OR REPLACE INTO disabled (holder, record) VALUES (?, ?)",
            [(key(one.holder), DISABLED.dump(one)) for one in batch.disabled],
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO warmth (port, record) VALUES (?, ?)",
            [(key(one.port), WARMTH.dump(one)) for one in batch.warmths],
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO identities (board, record) VALUES (?, ?)",
            [(key(one.board), IDENTITY.dump(one)) for one in batch.identities],
        )
        if batch.latches and not self.in_doubt:
            self._db.execute("UPDATE state SET latches_unknown = 0")
        self.commands.add(batch.commands)
        self.commands.reply(batch.replies)
        if batch.settled_all:
            self.note_unsettled(None)
        if batch.entries:
            self.ledger.append(batch.entries)
        if batch.notes:
            self.notes.append(batch.notes)

    def carry_over(self, whole: Batch, *, complete: bool) -> None:
        """Write what a process knows into a file it has opened anew, within a transaction.

        One that has read its journal at the start knows of all open sessions, latches, and what is disabled:
        nothing older that the file may hold of them stands beside that, lest a session that has ended go on at a
        socket that is somebody else's by now. One that has not (`complete` is false) adds what it has, and what
        was unknown of the file's own stays so, whatever latches are written by it.
        """
        self.in_doubt = not complete
        if complete:
            self._db.execute("DELETE FROM sessions")
            self._db.execute("DELETE FROM latches")
            self._db.execute("DELETE FROM disabled")
            self._db.execute("UPDATE state SET latches_unknown = 0")
        self.write(whole)

    def _write_sessions(self, batch: Batch) -> None:
        used = [(key(record.order.session), record.at.wall_ms) for record in batch.sessions]
        used += [(key(session), None) for session in batch.ended]
        self._db.executemany(
            "INSERT INTO session_ids (session, wall_ms) VALUES (?, ?) ON CONFLICT DO NOTHING", used
        )
        self._db.executemany(
            "INSERT INTO sessions (session, record) VALUES (?, ?)"
            " ON CONFLICT DO UPDATE SET record = excluded.record",
            [(key(record.order.session), SESSION.dump(record)) for record in batch.sessions],
        )
        self._db.executemany("DELETE FROM sessions WHERE session = ?", [(key(ended),) for ended in batch.ended])

    def execute(self, statement: str, parameters: Mapping[str, object]) -> sqlite3.Cursor:
        """Run a statement of another module of the store, within a transaction."""
        return self._db.execute(statement, parameters)

    # Reading

    def sessions(self) -> tuple[SessionRecord, ...]:
        """Return the open sessions in the order in which they were begun. Raises `CodecError`."""
        found = self._db.execute("SELECT record FROM sessions ORDER BY rowid")
        return tuple(SESSION.load(text) for (text,) in found)

    def latches(self) -> tuple[Latch, ...]:
        """Return all latches. Raises `CodecError`."""
        found = self._db.execute("SELECT latch FROM latches ORDER BY port, function")
        return tuple(LATCH.load(text) for (text,) in found)

    def disabled(self) -> tuple[Disabled, ...]:
        """Return what is out of service. Raises `CodecError`."""
        found = self._db.execute("SELECT record FROM disabled ORDER BY holder")
        return tuple(DISABLED.load(text) for (text,) in found)

    def warmths(self) -> tuple[ThermalState, ...]:
        """Return how warm ports were when somebody last looked. Raises `CodecError`."""
        found = self._db.execute("SELECT record FROM warmth ORDER BY port")
        return tuple(WARMTH.load(text) for (text,) in found)

    def identities(self) -> tuple[Identity, ...]:
        """Return what boards are known by. Raises `CodecError`."""
        found = self._db.execute("SELECT record FROM identities ORDER BY board")
        return tuple(IDENTITY.load(text) for (text,) in found)

    def session_used(self, session: SessionId) -> bool:
        """Say whether a session of this id was ever begun, as far back as ids are kept."""
        query = "SELECT 1 FROM session_ids WHERE session = ?"
        return self._db.execute(query, (key(session),)).fetchone() is not None
