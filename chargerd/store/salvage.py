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

from ulid import ULID

from chargerd import log
from chargerd.contract.ledger import Owner, RowKind
from chargerd.core.moment import ClockQuality
from chargerd.store import schema
from chargerd.store.codec import COMMAND, DISABLED, IDENTITY, LATCH, SESSION, WARMTH, dump_body, load_body
from chargerd.store.errors import DamagedError
from chargerd.store.tables import Tables

Value: TypeAlias = str | int | float | None
Row: TypeAlias = tuple[Value, ...]

SAVED: Final = {
    "boots": "number, id",
    "session_ids": "session, wall_ms",
    "sessions": "session, record",
    "latches": "port, function, latch",
    "disabled": "holder, record",
    "warmth": "port, record",
    "identities": "board, record",
    "commands": "command, digest, data, reply, final, wall_ms",
    "ledger": "seq, kind, body, instant, boot, wall_ms, clock, offline, settlement, previous",
}
"""Tables in the order in which they refer to each other, and their columns."""
LARGEST_ROWID: Final = 2**63 - 1
MOST_BETWEEN: Final = 2**20
"""Numbers looked at beside damaged pages: more than a journal of 256 MiB has rows."""
MOST_LOOKS: Final = 20_000
"""Looks at them: a second or two."""
KIND, BODY, BOOT, CLOCK, SETTLEMENT = 1, 2, 4, 6, 8
"""Places of columns within a row of the ledger."""


@dataclass(slots=True)
class Salvage:
    """What could be read: rows by table, and whether the latches are all there."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    acked: int = 0
    settled: str | None = None
    connections: int = 0
    owner: Owner = field(default_factory=Owner)
    moved: int = 0
    """The last number from before the machine became another one."""
    unsettled: str | None = None
    """Why what is open cannot go on, until it is settled."""
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
        salvage.latches_unknown |= not (complete["latches"] and is_sound(connection, "latches"))
        # Somebody may be at work on a port that is not known to be disabled any more.
        salvage.latches_unknown |= not (complete["disabled"] or _is_absent(connection, "disabled"))
    return salvage


def _read_state(connection: sqlite3.Connection, salvage: Salvage) -> None:
    with suppress(sqlite3.Error):  # What cannot be read keeps its careful default.
        row = connection.execute("SELECT acked, settled, connections, latches_unknown FROM state").fetchone()
        if row is not None:
            salvage.acked, salvage.settled, salvage.connections = int(row[0]), row[1], int(row[2])
            salvage.latches_unknown = bool(row[3])
    with suppress(sqlite3.Error):  # Older files do not say whose they are.
        row = connection.execute("SELECT gateway, machine FROM state").fetchone()
        if row is not None:
            gateway, machine = (one if isinstance(one, str) else None for one in row)
            salvage.owner = Owner(gateway=gateway, machine=machine)
    with suppress(sqlite3.Error):
        row = connection.execute("SELECT moved FROM state").fetchone()
        salvage.moved = 0 if row is None else int(row[0])
    with suppress(sqlite3.Error):
        row = connection.execute("SELECT unsettled FROM state").fetchone()
        salvage.unsettled = row[0] if row is not None and isinstance(row[0], str) else None


def _read_table(connection: sqlite3.Connection, table: str, salvage: Salvage) -> bool:
    # From both ends, since a damaged page hides what lies behind it, then what lies between two of them.
    rows: dict[int, Row] = {}
    complete, reached = True, {"ASC": 0, "DESC": LARGEST_ROWID}
    for direction in reached:
        try:
            for rowid, *row in connection.execute(f"{_select(table)} ORDER BY rowid {direction}"):
                rows[rowid], reached[direction] = tuple(row), rowid
        except sqlite3.Error as error:
            complete = False
            log.warning("journal_table_damaged", table=table, error=str(error))
        else:
            break
    if not complete:
        rows |= _between(connection, table, reached["ASC"] + 1, reached["DESC"] - 1)
    kept = [row for _, row in sorted(rows.items()) if _readable(table, row)]
    salvage.rows[table] = kept
    return complete and len(kept) == len(rows)


def _select(table: str) -> str:
    return f"SELECT rowid, {SAVED[table]} FROM {table}"  # noqa: S608 - constants


def _between(connection: sqlite3.Connection, table: str, first: int, last: int) -> dict[int, Row]:
    """Return the rows beside damaged pages: each span that cannot be read is halved, down to single rows.

    It ends after `MOST_LOOKS`, since a page that is missing may stand for any number of rows that never were; so
    it begins beside what could be read.
    """
    last = min(last, _last(connection) if table == "ledger" else LARGEST_ROWID)
    upwards = last >= LARGEST_ROWID - 1
    first, last = (first, first + MOST_BETWEEN) if upwards else (max(first, last - MOST_BETWEEN), last)
    rows: dict[int, Row] = {}
    spans = [(first, last)]
    for _ in range(MOST_LOOKS):
        if not spans:
            break
        first, last = spans.pop()
        try:
            query = f"{_select(table)} WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
            for rowid, *row in connection.execute(query, (first, last)):
                rows[rowid], first = tuple(row), rowid + 1
        except sqlite3.Error:
            half = (first + last) // 2
            halves = [(first, half), (half + 1, last)] if first < last else []
            spans += reversed(halves) if upwards else halves
    return rows


def _last(connection: sqlite3.Connection) -> int:
    """Return the number of the ledger's newest row, or the largest there could be."""
    with suppress(sqlite3.Error):
        row = connection.execute("SELECT last FROM state").fetchone()
        return LARGEST_ROWID if row is None else int(row[0])
    return LARGEST_ROWID


def is_sound(connection: sqlite3.Connection, table: str) -> bool:
    """Say whether a table and its indexes agree; rows that can be read do not prove that none is missing."""
    try:
        finding = connection.execute(f"PRAGMA integrity_check({table})").fetchone()
    except sqlite3.Error:
        return False
    return finding is not None and finding[0] == "ok"


def _is_absent(connection: sqlite3.Connection, table: str) -> bool:
    """Say whether a file is of a version that had no such table."""
    with suppress(sqlite3.Error):
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return connection.execute(query, (table,)).fetchone() is None
    return False


def _readable(table: str, row: Row) -> bool:
    loaders: dict[str, Callable[[], object]] = {
        "sessions": lambda: SESSION.load(str(row[1])),
        "latches": lambda: LATCH.load(str(row[2])),
        "disabled": lambda: DISABLED.load(str(row[1])),
        "warmth": lambda: WARMTH.load(str(row[1])),
        "identities": lambda: IDENTITY.load(str(row[1])),
        "commands": lambda: COMMAND.load(str(row[2])),
        "ledger": lambda: (RowKind(str(row[KIND])), ClockQuality(str(row[CLOCK])), load_body(str(row[BODY]))),
    }
    try:
        loaders.get(table, lambda: None)()
    except ValueError as error:
        log.warning("journal_row_unreadable", table=table, error=str(error))
        return False
    return True


def write(path: Path, salvage: Salvage | None, moved_to: Path | None) -> None:
    """Make a new journal with a new stream at `path`, complete and closed. Raises `StoreError`, `DamagedError`.

    Rows the backend has not acknowledged are numbered anew from 1; those it has are left behind.
    """
    try:
        with closing(schema.connect(path)) as connection:
            schema.migrate(connection)
            tables = Tables(connection)
            with tables.transaction():
                _fill(connection, tables, salvage, moved_to)
    except sqlite3.Error as error:
        raise schema.explain(path, error) from error


def _fill(connection: sqlite3.Connection, tables: Tables, salvage: Salvage | None, moved_to: Path | None) -> None:
    stream = str(ULID())
    if salvage is None:
        # Without a file to move this is the first journal here; with one, nothing of it could be read.
        lost = moved_to is not None
        tables.found(stream, salvaged=str(moved_to) if lost else None, latches_unknown=lost)
        return
    tables.found(stream, settled=_newest_digest(salvage), salvaged=str(moved_to))
    tables.set_connections(salvage.connections)
    # A card that was copied while it ran holds a damaged journal, as likely as not: it is a copy all the same.
    tables.set_owner(salvage.owner)
    tables.note_unsettled(salvage.unsettled)
    owed = _owed(salvage)
    refused = {table: _insert(connection, table, rows) for table, rows in owed.items()}
    tables.commands.keep_finished()
    log.warning("journal_rows_refused", **refused)
    _count_boots_on(connection, salvage)
    unknown = salvage.latches_unknown or refused["latches"] > 0
    connection.execute(
        "UPDATE state SET latches_unknown = ?, last = (SELECT coalesce(max(seq), 0) FROM ledger), moved = ?",
        (unknown, sum(isinstance(row[0], int) and row[0] <= salvage.moved for row in owed["ledger"])),
    )


def _count_boots_on(connection: sqlite3.Connection, salvage: Salvage) -> None:
    """Give no boot a number that rows speak of as another's.

    The boot clocks of the two would be taken for one: an outage of days would look like one of seconds.
    """
    of_sessions = (SESSION.load(str(row[1])).at.boot for row in salvage.rows.get("sessions", []))
    of_ledger = (boot for row in salvage.rows.get("ledger", []) if isinstance(boot := row[BOOT], int))
    newest = max((*of_sessions, *of_ledger), default=0)
    connection.execute(
        "INSERT INTO boots (number, id) SELECT ?1, ?2 WHERE ?1 > (SELECT coalesce(max(number), 0) FROM boots)",
        (newest, f"lost-{newest}"),
    )


def _owed(salvage: Salvage) -> dict[str, Sequence[Row]]:
    rows: dict[str, Sequence[Row]] = {table: salvage.rows.get(table, []) for table in SAVED}
    # What is settled is not open, whatever a page says that is older than the others: it would be settled again.
    settled = _settled(rows["ledger"])
    rows["sessions"] = [row for row in rows["sessions"] if row[0] not in settled]
    # Those were begun, and so were open ones, even if the list of ids does not say so any more.
    begun = dict.fromkeys([*(row[0] for row in rows["sessions"]), *settled])
    known = {row[0] for row in rows["session_ids"]}
    rows["session_ids"] = [*rows["session_ids"], *((one, None) for one in begun if one not in known)]
    rows["ledger"] = [row for row in rows["ledger"] if isinstance(row[0], int) and row[0] > salvage.acked]
    return rows


def _settled(ledger: Sequence[Row]) -> dict[Value, None]:
    """Return the sessions whose settlements can be read, in order, acknowledged ones included."""
    named = (load_body(str(row[BODY])).get("session_id") for row in ledger if row[SETTLEMENT])
    return dict.fromkeys(session for session in named if isinstance(session, str))


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[Row]) -> int:
    # Returns how many rows do not fit, as a damaged page may hold anything.
    columns = SAVED[table]
    places = ", ".join("?" for _ in columns.split(","))
    statement = f"INSERT INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - constants
    number, refused = 0, 0
    for row in rows:
        try:
            connection.execute(statement, _renumbered(number + 1, row) if table == "ledger" else row)
            number += 1
        except sqlite3.IntegrityError:
            refused += 1
    return refused


def _renumbered(seq: int, row: Row) -> Row:
    # A gap speaks of the numbers of the old stream; in the new one it is what has taken its own place.
    body = load_body(str(row[BODY]))
    if body.get("event") != "gap":
        return (seq, *row[1:])
    was = f"{body.get('reason')}; rows {body.get('from')} to {body.get('to')} of the stream before"
    return (seq, row[KIND], dump_body({**body, "from": seq, "to": seq, "reason": was}), *row[BODY + 1 :])


def _newest_digest(salvage: Salvage) -> str | None:
    settlements = [row for row in salvage.rows.get("ledger", []) if row[SETTLEMENT]]
    if salvage.settled is not None or not settlements:
        return salvage.settled
    digest = load_body(str(settlements[-1][BODY])).get("digest")
    return digest if isinstance(digest, str) else None
