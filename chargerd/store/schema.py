"""The tables, and how older files become current ones."""

import sqlite3
from pathlib import Path
from typing import Final

from chargerd.store.errors import DamagedError, RefusedError, StoreError

LOCK_PATIENCE_S: Final = 0.5
"""How long to wait for another process that has the file open: long enough for one that is just leaving."""
WAL_LIMIT_BYTES: Final = 4 * 1024 * 1024
"""To which length the write-ahead log is cut after a checkpoint."""
DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
"""Codes of a file that is not what was written. The last one is what missing tables are reported as."""
PRIMARY: Final = 0xFF
"""The primary result code within an extended one (sqlite.org/rescode.html)."""
MAGIC: Final = b"SQLite format 3\0"
VERSION_AT: Final = slice(60, 64)
"""Where a file of SQLite has its `user_version` (sqlite.org/fileformat.html, section 1.3)."""
SHORT_HOURS: Final = 2
LONG_HOURS: Final = 7 * 24 + 1
"""How many counted hours the id of a command is kept at most: the one under way has partly gone."""
ROW_BYTES: Final = 160
"""What a command takes up beside its texts: the row's and the indices' own, pages that are not full."""


def _size(row: str) -> str:
    """Return what works out how much room a command takes up; its id stands in an index as well."""
    texts = ("command", "command", "digest", "data", "reply")
    return " + ".join([str(ROW_BYTES), *(f"coalesce(length(CAST({row}.{one} AS BLOB)), 0)" for one in texts)])


_SIZE: Final = {row: _size(row) for row in ("row", "new", "old")}

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE state (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            stream TEXT NOT NULL,
            last INTEGER NOT NULL DEFAULT 0,
            acked INTEGER NOT NULL DEFAULT 0,
            settled TEXT,
            starts INTEGER NOT NULL DEFAULT 0,
            connections INTEGER NOT NULL DEFAULT 0,
            salvaged TEXT,
            latches_unknown INTEGER NOT NULL DEFAULT 0
        ) STRICT""",
        "CREATE TABLE boots (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE) STRICT",
        "CREATE TABLE session_ids (session TEXT PRIMARY KEY, wall_ms INTEGER) STRICT",
        """CREATE TABLE sessions (
            session TEXT PRIMARY KEY REFERENCES session_ids (session),
            record TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE latches (
            port TEXT NOT NULL,
            function TEXT NOT NULL,
            latch TEXT NOT NULL,
            PRIMARY KEY (port, function)
        ) STRICT""",
        """CREATE TABLE commands (
            command TEXT PRIMARY KEY,
            digest TEXT NOT NULL,
            data TEXT NOT NULL,
            reply TEXT,
            final INTEGER NOT NULL DEFAULT 0,
            wall_ms INTEGER
        ) STRICT""",
        """CREATE TABLE ledger (
            seq INTEGER PRIMARY KEY,
            kind TEXT NOT NULL,
            body TEXT NOT NULL,
            instant REAL NOT NULL,
            boot INTEGER NOT NULL,
            wall_ms INTEGER,
            clock TEXT NOT NULL,
            offline INTEGER NOT NULL,
            settlement INTEGER NOT NULL,
            previous TEXT
        ) STRICT""",
        "CREATE INDEX settlements ON ledger (seq) WHERE settlement = 1",
        "CREATE INDEX unfinished ON commands (final) WHERE final = 0",
        "CREATE TABLE acknowledgements (through INTEGER PRIMARY KEY, wall_ms INTEGER) STRICT",
    ),
    (
        # Up to where only settlements and gaps are left of what nobody acknowledged; when the last copy was made.
        "ALTER TABLE state ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE state ADD COLUMN copied_ms INTEGER",
    ),
    ("CREATE TABLE disabled (holder TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT",),
    ("CREATE TABLE warmth (port TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT",),
    (
        # The last number before the stream began: numbers go on when one is renewed. And whose journal it is.
        "ALTER TABLE state ADD COLUMN begun INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE state ADD COLUMN gateway TEXT",
        "ALTER TABLE state ADD COLUMN machine TEXT",
    ),
    (
        # Ids of commands leave after so many hours of running, and may take up so much of the file.
        "ALTER TABLE state ADD COLUMN hours INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE state ADD COLUMN command_bytes INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE commands ADD COLUMN leaves INTEGER",
        f"UPDATE commands SET leaves = {LONG_HOURS} WHERE final = 1",  # noqa: S608 - constants
        "CREATE INDEX leaving ON commands (leaves) WHERE leaves IS NOT NULL",
        f"UPDATE state SET command_bytes = (SELECT coalesce(sum({_SIZE['row']}), 0) FROM commands AS row)",  # noqa: S608
        f"""CREATE TRIGGER command_comes AFTER INSERT ON commands BEGIN
            UPDATE state SET command_bytes = command_bytes + {_SIZE["new"]};
        END""",  # noqa: S608
        f"""CREATE TRIGGER command_changes AFTER UPDATE OF reply ON commands BEGIN
            UPDATE state SET command_bytes = command_bytes + {_SIZE["new"]} - ({_SIZE["old"]});
        END""",  # noqa: S608
        f"""CREATE TRIGGER command_leaves AFTER DELETE ON commands BEGIN
            UPDATE state SET command_bytes = command_bytes - ({_SIZE["old"]});
        END""",  # noqa: S608
    ),
    ("CREATE TABLE identities (board TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT",),
    (
        # The last number that was given out before the machine became another one.
        "ALTER TABLE state ADD COLUMN moved INTEGER NOT NULL DEFAULT 0",
    ),
    (
        # Why what is open in a journal that was another one's cannot go on, until it is settled.
        "ALTER TABLE state ADD COLUMN unsettled TEXT",
    ),
    (
        # What this gateway alone keeps; `after` is the ledger's last number when it was written.
        """CREATE TABLE notes (
            id INTEGER PRIMARY KEY,
            after INTEGER NOT NULL,
            body TEXT NOT NULL,
            instant REAL NOT NULL,
            boot INTEGER NOT NULL,
            wall_ms INTEGER,
            clock TEXT NOT NULL
        ) STRICT""",
    ),
)
"""One tuple of statements a version; `PRAGMA user_version` counts how many a file has had."""


def opened(path: Path) -> sqlite3.Connection:
    """Open a file with nothing configured. Tests put a file system of their own underneath here."""
    return sqlite3.connect(path, timeout=LOCK_PATIENCE_S, isolation_level=None, check_same_thread=False)


def in_memory() -> sqlite3.Connection:
    """Open a database of this process alone that is gone with it."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def connect(path: Path) -> sqlite3.Connection:
    """Open a journal file for this process alone, durable to the last commit.

    Raises `StoreError` if another process has it open or it cannot be used, `DamagedError` if it is no journal.
    """
    connection: sqlite3.Connection | None = None
    try:
        connection = opened(path)
        _configure(connection)
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise explain(path, error) from error
    return connection


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")


def explain(path: Path, error: sqlite3.Error) -> StoreError | DamagedError:
    """Return what an error of SQLite means for whoever has to put it right."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & PRIMARY
    if code in DAMAGE:
        return DamagedError(f"{path}: {error}")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return RefusedError(
            f"{path}: another daemon has it open; stop that one, or give this one a state directory of its own"
        )
    return StoreError(
        f"{path}: {error}; check that its folder is there, may be written by this user and has free space"
    )


def refuse_newer(path: Path) -> None:
    """Raise `RefusedError` if the file says that a newer program has written it, `OSError` if it cannot be read.

    It is asked without SQLite, which would play the log beside it into the file, and whatever else is wrong with
    it: an older program can take over neither a copy nor a damaged journal of a schema it does not know.
    """
    with path.open("rb") as file:
        header = file.read(VERSION_AT.stop)
    if header.startswith(MAGIC):
        _refuse_newer(path, int.from_bytes(header[VERSION_AT], signed=True))


def _refuse_newer(path: Path, version: int) -> None:
    if version > len(MIGRATIONS):
        raise RefusedError(
            f"{path}: written by a newer chargerd (schema {version}, this one knows {len(MIGRATIONS)}); "
            "install that version again, or move the file aside"
        )


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Look through the whole file. Raises `DamagedError` if anything in it is out of place, `StoreError`."""
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        _refuse_newer(path, version)
        finding = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise explain(path, error) from error
    if finding is None or finding[0] != "ok":
        raise DamagedError(f"{path}: {finding}")
    if version == 0:
        # A new file gets its name only when it is complete, so this one was emptied.
        raise DamagedError(f"{path}: holds nothing")


def outdated(connection: sqlite3.Connection) -> int | None:
    """Return the version of a file that is about to be brought to the current one; `None` if it is current."""
    done = int(connection.execute("PRAGMA user_version").fetchone()[0])
    return done if done < len(MIGRATIONS) else None


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file to the current version, each step in a transaction of its own. Raises `sqlite3.Error`."""
    done = int(connection.execute("PRAGMA user_version").fetchone()[0])
    for version, statements in enumerate(MIGRATIONS[done:], start=done + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")
        except sqlite3.Error:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
