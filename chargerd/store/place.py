"""Where the journal lives: opened at the start, and opened anew when its disk or its file was replaced.

Without its file the daemon works all the same, on a journal in memory that takes nothing: no relay closes,
everything is watched, and what happens is kept until there is a disk to write it to.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ulid import ULID

from chargerd import log
from chargerd.contract.ledger import Batch, Recovery
from chargerd.core.identity import Identity
from chargerd.core.session import Disabled, Latch, SessionRecord, ThermalState
from chargerd.core.units import BoardId, PortId, SessionId
from chargerd.store import files, retention, schema
from chargerd.store.ballast import Ballast, is_full
from chargerd.store.errors import RefusedError, StoreError
from chargerd.store.tables import Tables

Load = Callable[[sqlite3.Connection], Recovery]

NO_BOOT: Final = 0
GONE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""Codes after which only opening the file anew can help: then it is looked through and salvaged."""
SHAKEN: Final = GONE | {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
"""Codes of a disk that is not trusted with new sessions until the process has begun anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What is done for the file beside writing it.

    `copies` are made daily and so many kept, `ballast_bytes` are held for a full disk, `limit_bytes` is how large
    the file may grow. With `lenient` a file that cannot be used keeps nobody from starting. One that is not
    `durable` outlives its process, but no power cut.
    """

    copies: int = 0
    ballast_bytes: int = 0
    limit_bytes: int = retention.LIMIT_BYTES
    lenient: bool = False
    durable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A connection, what it knew, and why it takes nothing for now (`None`: it does)."""

    connection: sqlite3.Connection
    recovery: Recovery
    why_not: str | None = None
    stand_in: bool = False


class Place:
    """The journal's path, what it was when last opened, and its ballast."""

    def __init__(self, path: Path, load: Load, peek: Load, upkeep: Upkeep) -> None:
        self.path = path
        self.upkeep = upkeep
        self.ballast = Ballast(path.with_name(f"{path.name}.ballast"), upkeep.ballast_bytes)
        self._load = load
        self._peek = peek
        self._identity: tuple[int, int] | None = None

    def open(self) -> Opened:
        """Open the journal, leniently if so told. Raises `StoreError`."""
        try:
            opened = self._open_with_ballast()
        except RefusedError:
            raise
        except StoreError as error:
            if not self.upkeep.lenient:
                raise
            log.critical("journal_not_to_be_had", error=str(error))
            opened = self._open_to_read(str(error))
        if opened.why_not is None:
            self.ballast.take()
        return opened

    def reopen(self) -> Opened:
        """Open the journal after it was lost. Raises `StoreError`."""
        return self._open_with_ballast()

    def is_another(self) -> bool:
        """Say whether the path no longer leads to the file that was opened."""
        try:
            found = self.path.stat()
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self._identity

    def make_room(self, code: int) -> bool:
        """Release the ballast if an error is one of a full disk; say whether there is room now."""
        full = code & schema.PRIMARY == sqlite3.SQLITE_FULL or is_full(self.path.parent)
        return full and self.ballast.release()

    def _open_with_ballast(self) -> Opened:
        try:
            return self._open_file(self._load)
        except RefusedError:
            raise
        except StoreError:
            if not (is_full(self.path.parent) and self.ballast.release()):
                raise
        return self._open_file(self._load)

    def _open_file(self, load: Load) -> Opened:
        connection, recovery = files.open_file(self.path, load)
        if not self.upkeep.durable:
            connection.execute("PRAGMA synchronous = OFF")
        found = self.path.stat()
        self._identity = (found.st_dev, found.st_ino)
        return Opened(connection=connection, recovery=recovery)

    def _open_to_read(self, why: str) -> Opened:
        # A full disk can be read: then sessions, latches and commands are known, and only nothing can be added.
        try:
            return replace(self._open_file(self._peek), why_not=why)
        except StoreError:
            connection = stand_in()
        # Which boot this is cannot be told, and must not be taken for an earlier one.
        recovery = replace(self._peek(connection), boot=NO_BOOT)
        return Opened(connection=connection, recovery=recovery, why_not=why, stand_in=True)


def stand_in() -> sqlite3.Connection:
    """Return an empty journal in memory, for a place that has none."""
    connection = schema.in_memory()
    schema.migrate(connection)
    tables = Tables(connection)
    with tables.transaction():
        tables.found(str(ULID()))
    return connection


@dataclass(slots=True)
class Mirror:
    """What a replaced disk is told: sessions, latches, what is disabled, how warm ports and who boards are."""

    sessions: dict[SessionId, SessionRecord] = field(default_factory=dict)
    latches: dict[tuple[PortId, str], Latch] = field(default_factory=dict)
    disabled: dict[PortId, Disabled] = field(default_factory=dict)
    warmths: dict[PortId, ThermalState] = field(default_factory=dict)
    identities: dict[BoardId, Identity] = field(default_factory=dict)
    settled_all: bool = False

    def take(self, batch: Batch) -> None:
        """Follow a batch that was written, or will be."""
        for record in batch.sessions:
            self.sessions[record.order.session] = record
        for session in batch.ended:
            self.sessions.pop(session, None)
        cleared = set(batch.cleared)
        self.latches = {key: latch for key, latch in self.latches.items() if latch.port not in cleared}
        for latch in batch.latches:
            self.latches[latch.port, latch.function] = latch
        for holder in batch.enabled:
            self.disabled.pop(holder, None)
        for one in batch.disabled:
            self.disabled[one.holder] = one
        for warmth in batch.warmths:
            self.warmths[warmth.port] = warmth
        self.identities |= {one.board: one for one in batch.identities}
        self.settled_all |= batch.settled_all

    def whole(self) -> Batch:
        """Return all of it as one batch."""
        return Batch(
            sessions=tuple(self.sessions.values()),
            latches=tuple(self.latches.values()),
            disabled=tuple(self.disabled.values()),
            warmths=tuple(self.warmths.values()),
            identities=tuple(self.identities.values()),
            settled_all=self.settled_all,
        )


def close_quietly(connection: sqlite3.Connection) -> None:
    """Close a connection whose file may be gone."""
    try:
        with closing(connection):
            pass
    except sqlite3.Error as error:
        log.warning("journal_not_closed_cleanly", error=str(error))
