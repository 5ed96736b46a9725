"""How long rows are kept, and how they leave.

Spans are counted on the wall clock. A row written while nothing vouched for it counts from the moment the wall
time is first known, and so does one whose stamp turns out to lie in the future. While the wall time is not known,
nothing leaves by age; then the newest `MOST` rows that may leave are kept.
"""

from typing import Final

from chargerd.store.tables import Tables

DAY_MS: Final = 86_400_000
COMMANDS_MS: Final = 7 * DAY_MS
"""The contract keeps ids of commands this long."""
ACKNOWLEDGED_MS: Final = 7 * DAY_MS
"""How long a row stays for reading on site after the backend has acknowledged it."""
SESSION_IDS_MS: Final = 400 * DAY_MS
"""A year and a month: longer than any backend takes to settle its accounts."""
MOST: Final = 100_000
"""About 30 MB of rows: two weeks of a busy gateway."""


STAMP: Final = (
    "UPDATE commands SET wall_ms = :now WHERE wall_ms IS NULL OR wall_ms > :now",
    "UPDATE session_ids SET wall_ms = :now WHERE wall_ms IS NULL OR wall_ms > :now",
    "UPDATE acknowledgements SET wall_ms = :now WHERE wall_ms IS NULL OR wall_ms > :now",
)
BY_AGE: Final = (
    "DELETE FROM commands WHERE wall_ms < :now - :commands",
    "DELETE FROM session_ids WHERE wall_ms < :now - :ids AND session NOT IN (SELECT session FROM sessions)",
    """DELETE FROM ledger WHERE seq <=
       (SELECT max(through) FROM acknowledgements WHERE wall_ms < :now - :acknowledged)""",
    "DELETE FROM acknowledgements WHERE wall_ms < :now - :acknowledged",
)
BY_COUNT: Final = (
    "DELETE FROM ledger WHERE seq <= (SELECT min(acked, last - :most) FROM state)",
    "DELETE FROM commands WHERE final = 1 AND rowid <= (SELECT max(rowid) - :most FROM commands)",
)


def prune(tables: Tables, wall_ms: int | None) -> None:
    """Let go of what was kept long enough, within a transaction; rows nobody has acknowledged stay.

    `wall_ms` is the wall time, `None` while it is not known. Raises `sqlite3.Error`.
    """
    figures = {
        "now": wall_ms,
        "commands": COMMANDS_MS,
        "ids": SESSION_IDS_MS,
        "acknowledged": ACKNOWLEDGED_MS,
        "most": MOST,
    }
    for statement in BY_COUNT if wall_ms is None else (*STAMP, *BY_AGE):
        tables.execute(statement, figures)
