"""The ledger's table: rows in the order of their numbers, gaps where some left, settlements in their chain."""

import sqlite3
from collections.abc import Iterable
from typing import TypeAlias

from chargerd import log
from chargerd.contract.ledger import Body, LedgerEntry, LedgerRow, LedgerSpan, RowKind
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import Instant
from chargerd.store.chain import Link, problems_of, sealed
from chargerd.store.codec import dump_body, load_body
from chargerd.store.state import State, read_state

BEYOND = 2**62
"""More than any number of a row."""
COLUMNS = "seq, kind, body, instant, boot, wall_ms, clock, offline"
READ = "seq, CAST(kind AS BLOB), CAST(body AS BLOB), instant, boot, wall_ms, CAST(clock AS BLOB), offline"
"""The same as bytes: text that is no UTF-8 any more must not keep the rows beside it from being read."""
Columns: TypeAlias = tuple[int, bytes, bytes, float, int, int | None, bytes, int]


class Ledger:
    """The table of it. Whatever fails in SQLite comes out as `sqlite3.Error`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def span_of(self, state: State) -> LedgerSpan:
        """Return what the ledger holds, standing so."""
        first = self._db.execute("SELECT min(seq) FROM ledger").fetchone()[0]
        return LedgerSpan(
            stream=state.stream,
            first=state.last + 1 if first is None else max(first, state.begun + 1),
            last=state.last,
            acked=state.acked,
        )

    # Writing

    def append(self, entries: Iterable[LedgerEntry]) -> None:
        """Append entries, within a transaction: each gets the next number, a settlement its place in the chain."""
        state = read_state(self._db)
        seq, settled = state.last, state.settled
        for entry in entries:
            seq += 1
            previous = settled if entry.settlement else None
            body = entry.body
            if entry.settlement:
                body = sealed(body, gateway=state.owner.gateway, previous=previous)
                settled = str(body["digest"])
            self.insert(seq, entry, dump_body(body), previous)
        self._db.execute("UPDATE state SET last = ?, settled = ?", (seq, settled))

    def insert(self, seq: int, entry: LedgerEntry, text: str, previous: str | None) -> None:
        """Put one row into the ledger under this number."""
        moment = entry.moment
        self._db.execute(
            f"INSERT INTO ledger ({COLUMNS}, settlement, previous) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - COLUMNS is a constant
            (
                seq,
                entry.kind.value,
                text,
                moment.instant,
                moment.boot,
                moment.wall_ms,
                moment.clock.value,
                entry.offline,
                entry.settlement,
                previous,
            ),
        )

    def acknowledge(self, through: int, wall_ms: int | None) -> None:
        """Keep that the backend has everything up to this number, and when it said so."""
        self._db.execute("UPDATE state SET acked = ?", (through,))
        self._db.execute(
            "INSERT INTO acknowledgements (through, wall_ms) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (through, wall_ms),
        )
        self.part_gap(through)

    def part_gap(self, through: int) -> None:
        """Part a gap that stands for this row and the next one in two.

        Rows that were acknowledged while nothing came through may have left before the gateway heard of it. With
        them the gap would count as acknowledged, and nobody would hear of the rows behind. Nor would a backend
        that asks for these again.
        """
        found = self._db.execute(
            "SELECT seq, CAST(body AS BLOB) FROM ledger WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (through,)
        ).fetchone()
        try:
            body = {} if found is None else load_body(found[1])
        except ValueError:
            return  # It is a gap of its own then, of one row.
        to = body.get("to")
        if body.get("event") == "gap" and isinstance(to, int) and to > through:
            self._db.execute(
                """INSERT INTO ledger
                (seq, kind, body, instant, boot, wall_ms, clock, offline, settlement, previous)
                SELECT ?1, kind, ?2, instant, boot, wall_ms, clock, offline, settlement, previous
                FROM ledger WHERE seq = ?3""",
                (through + 1, dump_body({**body, "from": through + 1}), found[0]),
            )
            known = dump_body({**body, "to": through})
            self._db.execute("UPDATE ledger SET body = ?1 WHERE seq = ?2", (known, found[0]))

    # Reading

    def rows(self, after: int, limit: int) -> tuple[LedgerRow, ...]:
        """Return up to `limit` rows with numbers above `after`, in order.

        In the place of a row that cannot be read stands a `gap` with its number, so that nobody waits for it.
        """
        query = f"SELECT {READ} FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608 - a constant
        stream = read_state(self._db).stream
        return tuple(_row_or_gap(stream, columns) for columns in self._db.execute(query, (after, limit)))

    def rows_up_to(self, seq: int, limit: int) -> tuple[LedgerRow, ...]:
        """Return up to `limit` rows with numbers up to `seq`, newest first, as in `rows`."""
        query = f"SELECT {READ} FROM ledger WHERE seq <= ? ORDER BY seq DESC LIMIT ?"  # noqa: S608 - a constant
        stream = read_state(self._db).stream
        return tuple(_row_or_gap(stream, columns) for columns in self._db.execute(query, (seq, limit)))

    def newest(self) -> Body | None:
        """Return the ledger's last row, a `gap` if it cannot be read; `None` if there is none."""
        rows = self.rows(read_state(self._db).last - 1, 1)
        return rows[-1].body if rows else None

    def settlements(self, limit: int, before: int | None = None) -> tuple[LedgerRow, ...]:
        """Return up to `limit` settlements, newest first, with numbers below `before`.

        In the place of one that cannot be read stands a `gap`, as in `rows`.
        """
        query = f"SELECT {READ} FROM ledger WHERE settlement = 1 AND seq < ? ORDER BY seq DESC LIMIT ?"  # noqa: S608 - a constant
        found = self._db.execute(query, (BEYOND if before is None else before, limit))
        stream = read_state(self._db).stream
        return tuple(_row_or_gap(stream, columns) for columns in found)

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with the chain of settlements; empty if nothing is."""
        return problems_of(self.links(0, BEYOND), read_state(self._db).settled)

    def links(self, after: int, limit: int) -> tuple[Link, ...]:
        """Return up to `limit` settlements with numbers above `after`, in order, as they stand in their chain."""
        found = self._db.execute(
            "SELECT seq, body, previous FROM ledger WHERE settlement = 1 AND seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        return tuple(Link(seq=seq, text=body, previous=previous) for seq, body, previous in found)


def gap_body(first: int, last: int, reason: str) -> Body:
    """Return the body of the row that takes the place of rows `first` to `last`."""
    return {"event": "gap", "severity": "alarm", "from": first, "to": last, "reason": reason}


def _row(stream: str, columns: Columns) -> LedgerRow:
    """Return a row as it stands in the ledger. Raises `ValueError` if it cannot be read."""
    seq, kind, body, instant, boot, wall_ms, clock, offline = columns
    quality = ClockQuality(clock.decode())
    return LedgerRow(
        stream=stream,
        seq=seq,
        kind=RowKind(kind.decode()),
        body=load_body(body),
        moment=Moment(instant=Instant(instant), boot=boot, wall_ms=wall_ms, clock=quality),
        offline=bool(offline),
    )


def _row_or_gap(stream: str, columns: Columns) -> LedgerRow:
    try:
        return _row(stream, columns)
    except ValueError as error:
        seq, _, _, instant, boot, *_ = columns
        log.warning("ledger_row_unreadable", seq=seq, error=str(error))
        return LedgerRow(
            stream=stream,
            seq=seq,
            kind=RowKind.EVENT,
            body=gap_body(seq, seq, "the row cannot be read any more"),
            moment=Moment(instant=Instant(instant), boot=boot, wall_ms=None, clock=ClockQuality.NONE),
            offline=True,
        )
