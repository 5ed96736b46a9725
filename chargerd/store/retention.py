"""How long rows are kept, and how they leave.

Spans are counted on the wall clock, once it has held for a day: one that jumps by years ends nothing, and nor
does setting it right again. A row written while nothing vouched for its time counts from then, and so does one
whose stamp turns out to lie in the future; what was written in this boot has its age from the boot's own clock.
Until the time has held nothing leaves by age, and the newest `MOST` rows that may leave are kept.

Rows nobody has acknowledged leave only where they have to: when the file has outgrown its limit, or after
`UNACKNOWLEDGED_MS`. Settlements never do. A `gap` takes the place of each run of rows that left, in the same
transaction, so that no number is missing without a word.

Ids of commands have a share of their own, which no row has to make room for. They are kept for hours in which the
daemon ran: no clock and no restart makes one leave early. Everything goes in slices: a commit that somebody waits
for comes in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chargerd.contract.ledger import LedgerEntry, RowKind
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import Instant, Seconds, between
from chargerd.store.codec import dump_body
from chargerd.store.ledger import gap_body
from chargerd.store.tables import Tables

DAY_MS: Final = 86_400_000
ACKNOWLEDGED_MS: Final = 7 * DAY_MS
"""How long a row stays for reading on site after the backend has acknowledged it."""
UNACKNOWLEDGED_MS: Final = 90 * DAY_MS
"""How long a fact waits for a backend that does not come; counted only on clocks that were synchronised, then and
now: one that ran on a flat battery may have stamped it with any year."""
SESSION_IDS_MS: Final = 400 * DAY_MS
"""A year and a month: longer than any backend takes to settle its accounts."""
MOST: Final = 100_000
"""About 30 MB of rows: two weeks of a busy gateway."""
LIMIT_BYTES: Final = 256 * 1024 * 1024
"""How large the journal may grow, beside the share of remembered commands, before facts make room: a week of 85
busy ports fits."""
ENOUGH: Final = 0.95
"""Down to which part of the limit room is made, so that it is not made row by row."""
HELD_FOR: Final = Seconds(86_400.0)
"""How long the wall time has to have gone evenly before anything leaves by it."""
JUMP_MS: Final = 3_600_000
"""By how much it may be set between two looks and still count as even: spans are of days."""
SLICE: Final = 500
"""How many rows leave in one transaction."""


STAMP: Final = (
    "UPDATE session_ids SET wall_ms = :now WHERE wall_ms IS NULL OR wall_ms > :now",
    "UPDATE acknowledgements SET wall_ms = :now WHERE wall_ms IS NULL OR wall_ms > :now",
)
BY_AGE: Final = (
    """DELETE FROM session_ids WHERE rowid IN (
       SELECT rowid FROM session_ids
       WHERE wall_ms < :now - :ids AND session NOT IN (SELECT session FROM sessions) LIMIT :slice)""",
    """DELETE FROM ledger WHERE seq IN (
       SELECT seq FROM ledger WHERE seq <=
       (SELECT max(through) FROM acknowledgements WHERE wall_ms < :now - :acknowledged)
       ORDER BY seq LIMIT :slice)""",
    """DELETE FROM acknowledgements WHERE wall_ms < :now - :acknowledged
       AND through < (SELECT coalesce(min(seq), :beyond) FROM ledger)""",
)
BY_COUNT: Final = (
    """DELETE FROM ledger WHERE seq IN (
       SELECT seq FROM ledger WHERE seq <= (SELECT min(acked, last - :most) FROM state)
       ORDER BY seq LIMIT :slice)""",
)
ACKNOWLEDGED: Final = """DELETE FROM ledger WHERE seq IN (
    SELECT seq FROM ledger WHERE seq <= (SELECT acked FROM state) ORDER BY seq LIMIT :slice)"""
OLDEST: Final = """SELECT seq,
    CASE WHEN boot = :boot THEN :now - (:instant - instant) * 1000 WHEN clock = 'ntp' THEN wall_ms END FROM ledger
    WHERE settlement = 0 AND seq > (SELECT max(acked, dropped) FROM state) ORDER BY seq LIMIT :slice"""


@dataclass(slots=True)
class Retention:
    """Lets rows go, one slice at a time. `limit_bytes` is how large the file may grow."""

    limit_bytes: int = LIMIT_BYTES
    shrinking: bool = False
    _offset: float | None = None
    """Milliseconds between wall and boot clock at the last look; `None` while the wall time was not known."""
    _even_since: Instant = Instant(0.0)

    def by_age(self, tables: Tables, moment: Moment) -> bool:
        """Let go of what was kept long enough, within a transaction; say whether there is more of it."""
        held = self._held(moment)
        figures = _figures(moment)
        for statement in STAMP if held else ():
            tables.execute(statement, figures)
        full = [tables.execute(one, figures).rowcount >= SLICE for one in (BY_AGE if held else BY_COUNT)]
        if not held or moment.wall_ms is None or moment.clock is not ClockQuality.NTP:
            return any(full)
        oldest = _oldest(tables, moment)
        old = _older(oldest, moment.wall_ms - UNACKNOWLEDGED_MS)
        _drop(tables, old, moment, "kept for 90 days without being acknowledged")
        return any(full) or (bool(old) and len(oldest) >= SLICE)

    def _held(self, moment: Moment) -> bool:
        """Say whether the wall time has gone evenly with the boot's own clock for long enough."""
        before = self._offset
        self._offset = None if moment.wall_ms is None else moment.wall_ms - moment.instant * 1000
        if before is None or self._offset is None or abs(self._offset - before) > JUMP_MS:
            self._even_since = moment.instant
        return self._offset is not None and between(self._even_since, moment.instant) >= HELD_FOR

    def by_size(self, tables: Tables, moment: Moment) -> bool:
        """Make room if the file has outgrown its limit; say whether there is more to do. Within a transaction."""
        used = tables.used_bytes() - tables.state().command_bytes
        self.shrinking = used > self.limit_bytes * (ENOUGH if self.shrinking else 1.0)
        if not self.shrinking:
            return False
        if tables.execute(ACKNOWLEDGED, {"slice": SLICE}).rowcount:
            return True
        oldest = [seq for seq, _ in _oldest(tables, moment)]
        _drop(tables, oldest, moment, f"the journal has outgrown {self.limit_bytes // (1024 * 1024)} MiB")
        self.shrinking = bool(oldest)
        return self.shrinking


def _figures(moment: Moment) -> dict[str, float | None]:
    return {
        "now": moment.wall_ms,
        "boot": moment.boot,
        "instant": moment.instant,
        "ids": SESSION_IDS_MS,
        "acknowledged": ACKNOWLEDGED_MS,
        "most": MOST,
        "slice": SLICE,
        "beyond": 2**62,
    }


def _older(rows: Sequence[tuple[int, float | None]], before: int) -> Sequence[int]:
    """Return the first of these rows, given with their times, as far as they are surely older than `before`.

    One whose time nobody vouches for is as old as the next one that has one, at least.
    """
    count = 0
    for place, (_, wall_ms) in enumerate(rows, start=1):
        if wall_ms is not None and wall_ms >= before:
            break
        if wall_ms is not None:
            count = place
    return [seq for seq, _ in rows[:count]]


def _oldest(tables: Tables, moment: Moment) -> Sequence[tuple[int, float | None]]:
    """Return the oldest rows that may leave, with their times as far as boot or network vouch for them."""
    return tables.execute(OLDEST, _figures(moment)).fetchall()


def _drop(tables: Tables, seqs: Sequence[int], moment: Moment, reason: str) -> None:
    # Settlements between them stay, so there is one gap for each run of numbers.
    runs: list[tuple[int, int]] = []
    for seq in seqs:
        if runs and runs[-1][1] == seq - 1:
            runs[-1] = (runs[-1][0], seq)
        else:
            runs.append((seq, seq))
    for first, last in runs:
        tables.execute("DELETE FROM ledger WHERE seq BETWEEN :first AND :last", {"first": first, "last": last})
        body = gap_body(first, last, reason)
        gap = LedgerEntry(kind=RowKind.EVENT, body=body, moment=moment, offline=True)
        tables.ledger.insert(first, gap, dump_body(body), None)
    if runs:
        tables.execute("UPDATE state SET dropped = :through", {"through": runs[-1][1]})
