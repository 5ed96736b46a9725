"""Takes out of a damaged journal what can still be read, and makes a new journal of it.

What must not get lost in silence is latches: a port that was locked out would take customers again. So whether all
of them could be read is part of the result.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import structlog
from ulid import ULID

from chargerd.store import schema
from chargerd.store.codec import COMMAND, LATCH, SESSION, CodecError, load_body
from chargerd.store.errors import DamagedError, StoreError
from chargerd.store.tables import Tables

log = structlog.get_logger(__name__)

Value: TypeAlias = str | int | float | None
Row: TypeAlias = tuple[Value, ...]

SAVED: Final = {
    "boots": "number, id",
    "session_ids": "session, wall_ms",
    "sessions": "session, record",
    "latches": "port, function, latch",
    "commands": "command, digest, data, reply, final, wall_ms",
    "ledger": "seq, kind, body, instant, boot, wall_ms, clock, offline, settlement, previous",
}
"""Tables in the order in which they refer to each other, and their columns."""


@dataclass(slots=True)
class Salvage:
    """What could be read: rows by table, and whether the latches are all there."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    acked: int = 0
    settled: str | None = None
    connections: int = 0
    latches_unknown: bool = True


def read(path: Path) -> Salvage:
    """Return what a damaged file still tells. Raises `StoreError` if another daemon has it open."""
    salvage = Salvage()
    try:
        connection = schema.connect(path)
    except DamagedError:
        return salvage
    with closing(connection):
        _read_state(connection, salvage)
        complete = {table: _read_table(connection, table, salvage) for table in SAVED}
        salvage.latches_unknown |= not (complete["latches"] and _sound(connection, "latches"))
    return salvage


def _read_state(connection: sqlite3.Connection, salvage: Salvage) -> None:
    with suppress(sqlite3.Error):  # What cannot be read keeps its careful default.
        row = connection.execute("SELECT acked, settled, connections, latches_unknown FROM state").fetchone()
        if row is not None:
            salvage.acked, salvage.settled, salvage.connections = int(row[0]), row[1], int(row[2])
            salvage.latches_unknown = bool(row[3])


def _read_table(connection: sqlite3.Connection, table: str, salvage: Salvage) -> bool:
    # From both ends: a damaged page in the middle hides what lies behind it from either side.
    rows: dict[Row, Row] = {}
    complete = True
    for direction in ("ASC", "DESC"):
        try:
            query = f"SELECT rowid, {SAVED[table]} FROM {table} ORDER BY rowid {direction}"  # noqa: S608 - constants
            for rowid, *row in connection.execute(query):
                rows[(rowid,)] = tuple(row)
        except sqlite3.Error as error:
            complete = False
            log.warning("journal_table_damaged", table=table, error=str(error))
        else:
            break
    kept = [row for _, row in sorted(rows.items()) if _readable(table, row)]
    salvage.rows[table] = kept
    return complete and len(kept) == len(rows)


def _sound(connection: sqlite3.Connection, table: str) -> bool:
    try:
        finding = connection.execute(f"PRAGMA integrity_check({table})").fetchone()
    except sqlite3.Error:
        return False
    return finding is not None and finding[0] == "ok"


def _readable(table: str, row: Row) -> bool:
    loaders: dict[str, tuple[int, Callable[[str], object]]] = {
        "sessions": (1, SESSION.load),
        "latches": (2, LATCH.load),
        "commands": (2, COMMAND.load),
        "ledger": (2, load_body),
    }
    if table not in loaders:
        return True
    column, load = loaders[table]
    try:
        load(str(row[column]))
    except CodecError as error:
        log.warning("journal_row_unreadable", table=table, error=str(error))
        return False
    return True


def write(path: Path, salvage: Salvage | None, moved_to: Path | None) -> None:
    """Make a new journal with a new stream at `path`, complete and closed. Raises `StoreError`.

    Rows the backend has not acknowledged are numbered anew from 1; those it has are left behind.
    """
    try:
        with closing(schema.connect(path)) as connection:
            schema.migrate(connection)
            tables = Tables(connection)
            with tables.transaction():
                _fill(connection, tables, salvage, moved_to)
    except sqlite3.Error as error:
        raise StoreError(str(schema.explain(path, error))) from error
    except DamagedError as error:
        raise StoreError(f"{error}; the disk does not keep what is written to it: replace it") from error


def _fill(connection: sqlite3.Connection, tables: Tables, salvage: Salvage | None, moved_to: Path | None) -> None:
    stream = str(ULID())
    if salvage is None:
        unknown = moved_to is not None
        tables.found(stream, salvaged=None if moved_to is None else str(moved_to), latches_unknown=unknown)
        return
    tables.found(stream, settled=salvage.settled, salvaged=str(moved_to), latches_unknown=salvage.latches_unknown)
    tables.set_connections(salvage.connections)
    known = {row[0] for row in salvage.rows.get("session_ids", [])}
    orphans = [(row[0], None) for row in salvage.rows.get("sessions", []) if row[0] not in known]
    salvage.rows.setdefault("session_ids", []).extend(orphans)
    for table, columns in SAVED.items():
        rows: Sequence[Row] = salvage.rows.get(table, [])
        if table == "ledger":
            rows = _renumbered(rows, salvage)
            connection.execute("UPDATE state SET last = ?", (len(rows),))
        places = ", ".join("?" for _ in columns.split(","))
        connection.executemany(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({places})", rows)  # noqa: S608 - constants


def _renumbered(rows: Sequence[Row], salvage: Salvage) -> list[Row]:
    owed = [row for row in rows if isinstance(row[0], int) and row[0] > salvage.acked]
    settlements = [row for row in rows if row[8]]
    if salvage.settled is None and settlements:
        salvage.settled = str(load_body(str(settlements[-1][2])).get("digest"))
    return [(number, *row[1:]) for number, row in enumerate(owed, start=1)]
