"""Notes: what this gateway alone keeps of what has happened, beside the rows its ledger has for the backend.

Why a line was gone, what the broker said, what the disk answered: whoever stands at the gateway asks for it, and
no backend has to store it. Each note knows behind which row of the ledger it was written, so both can be read as
one, in the order of their writing. Only the newest are kept. A damaged journal loses them: nothing is decided by
them.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from chargerd.contract.ledger import KeptEvent, LedgerEntry, LedgerRow, Mark
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import Instant
from chargerd.store.codec import dump_body, load_body
from chargerd.store.ledger import Ledger

MOST: Final = 4000
"""About a megabyte; at most so many in each hour as `chargerd.runtime.reporting.notes` lets through."""
READ: Final = "id, after, CAST(body AS BLOB), instant, boot, wall_ms, CAST(clock AS BLOB)"


class Notes:
    """Their table, and events as both tables have them. What fails in SQLite comes out as `sqlite3.Error`."""

    def __init__(self, connection: sqlite3.Connection, ledger: Ledger) -> None:
        self._db = connection
        self._ledger = ledger

    def append(self, entries: Iterable[LedgerEntry]) -> None:
        """Add notes behind the ledger's last row, within a transaction, and let go of the oldest."""
        self._db.executemany(
            "INSERT INTO notes (after, body, instant, boot, wall_ms, clock) SELECT last, ?, ?, ?, ?, ? FROM state",
            [
                (
                    dump_body(one.body),
                    one.moment.instant,
                    one.moment.boot,
                    one.moment.wall_ms,
                    one.moment.clock.value,
                )
                for one in entries
            ],
        )
        self._db.execute("DELETE FROM notes WHERE id <= (SELECT max(id) FROM notes) - ?", (MOST,))

    def events_before(self, mark: Mark, limit: int) -> Sequence[KeptEvent]:
        """Return up to `limit` rows and notes written before this mark, newest first."""
        rows = self._ledger.rows_up_to(mark.seq if mark.note else mark.seq - 1, limit)
        found = self._db.execute(
            f"SELECT {READ} FROM notes WHERE after < ?1 OR (after = ?1 AND id < ?2) ORDER BY id DESC LIMIT ?3",  # noqa: S608 - a constant
            (mark.seq, mark.note, limit),
        )
        both = [*map(_of_row, rows), *map(_note, found)]
        return sorted(both, key=lambda one: one.mark, reverse=True)[:limit]

    def events_after(self, mark: Mark, limit: int) -> Sequence[KeptEvent]:
        """Return up to `limit` rows and notes written after this mark, oldest first."""
        rows = self._ledger.rows(mark.seq, limit)
        found = self._db.execute(
            f"SELECT {READ} FROM notes WHERE after > ?1 OR (after = ?1 AND id > ?2) ORDER BY id LIMIT ?3",  # noqa: S608 - a constant
            (mark.seq, mark.note, limit),
        )
        both = [*map(_of_row, rows), *map(_note, found)]
        return sorted(both, key=lambda one: one.mark)[:limit]


def _of_row(row: LedgerRow) -> KeptEvent:
    return KeptEvent(mark=Mark(row.seq, 0), kind=row.kind, body=row.body, moment=row.moment)


def _note(columns: tuple[int, int, bytes, float, int, int | None, bytes]) -> KeptEvent:
    number, after, text, instant, boot, wall_ms, clock = columns
    try:
        body, quality = load_body(text), ClockQuality(clock.decode())
    except ValueError:
        body, quality = {"event": "unreadable", "severity": "warning"}, ClockQuality.NONE
    moment = Moment(instant=Instant(instant), boot=boot, wall_ms=wall_ms, clock=quality)
    return KeptEvent(mark=Mark(after, number), kind=None, body=body, moment=moment)
