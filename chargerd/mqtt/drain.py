"""Which row of the ledger is sent next. Pure: the link sends, this remembers.

A row counts as handed in only when the backend's own acknowledgement covers it; a PUBACK merely makes room in the
window. After each connect, and again every half hour, all rows not acknowledged are sent from the oldest on.
"""

from collections import deque
from collections.abc import Sequence

from chargerd.core.ledger import LedgerRow, LedgerSpan
from chargerd.core.units import Instant, Seconds, after

UNCONFIRMED = 100
"""Rows a lost connection may have had under way, and more."""
READ_AHEAD = 50
"""Rows fetched from the journal at once."""
AGAIN_EVERY = Seconds(1800.0)
UNREADABLE_WAIT = Seconds(5.0)
"""How long a journal that gave no rows is left alone: its disk has enough to do."""


def covered_by(row: LedgerRow) -> int:
    """Return the last number a row stands for: a `gap` stands for all it took the place of."""
    to = row.body.get("to")
    return max(row.seq, to) if row.body.get("event") == "gap" and isinstance(to, int) else row.seq


class Drain:
    """The cursor through the ledger for one connection after the other."""

    def __init__(self) -> None:
        self._next = 1
        self._rows: deque[LedgerRow] = deque()
        self._asked: int | None = None
        self._fetched_none = False
        self._open = False
        self._ack_until: Instant | None = None
        self._pause_until: Instant | None = None
        self._read_after: Instant | None = None
        self._again_at: Instant | None = None
        self._acked = 0
        self._reached = 0
        self._dead: set[int] = set()
        self._replay_from = self._replay_through = 0

    def begin(self, span: LedgerSpan) -> None:
        """Take in what an earlier process left: it may have sent any of it, so any of it may be acknowledged."""
        self._reached = max(self._reached, span.last)

    def connected(self, until: Instant) -> None:
        """A connection is new: send nothing before `until`, or before an acknowledgement has come."""
        self._rewind()
        self._open = True
        self._ack_until = until
        self._pause_until = None

    def disconnected(self) -> None:
        """The connection is gone."""
        self._open = False
        self._rows.clear()
        self._dead.clear()

    def replay(self, span: LedgerSpan, start: int) -> None:
        """Send again from `start` on, rows acknowledged long ago included, over any number of connections."""
        self._replay_from = max(start, span.first)
        self._replay_through = max(self._acked, span.acked)
        self._next = self._replay_from
        self._rows.clear()

    def may_acknowledge(self, through: int) -> bool:
        """Say whether all rows up to `through` have ever been sent."""
        return through <= self._reached

    def acknowledged(self, through: int = 0) -> None:
        """The backend's word has come: what it covers is not sent again, the rest may go.

        The journal takes note in its own time; this is known here at once, so that nothing is sent in between.
        """
        self._ack_until = None
        self._acked = max(self._acked, through)
        self._dead = {seq for seq in self._dead if seq > self._acked}

    def pause(self, seq: int, until: Instant) -> None:
        """The broker refuses rows for now: go on from the oldest refused one, later."""
        self._next = min(self._next, seq)
        self._rows.clear()
        self._pause_until = until

    def bury(self, seq: int) -> None:
        """This row will never be taken: go on without it."""
        self._dead.add(seq)

    def wants(self, span: LedgerSpan, now: Instant) -> int | None:
        """Return after which row the next ones are to be fetched, or `None` if none are to be."""
        if self._fetched_none:
            self._fetched_none = False
            self._read_after = after(now, UNREADABLE_WAIT)
        if self._again_at is not None and now >= self._again_at:
            self._rewind()
        self._next = max(self._first_wanted(span), span.first)
        if not self._open or self._rows or self._asked is not None or self._next > span.last or self._held(now):
            return None
        self._asked = self._next - 1
        return self._asked

    def fetched(self, rows: Sequence[LedgerRow]) -> None:
        """Take in rows that were fetched, unless the cursor was set back meanwhile: older ones go first."""
        asked, self._asked = self._asked, None
        if asked is None or self._next <= asked or not self._open:
            return
        self._fetched_none = not rows
        self._rows.extend(row for row in rows if row.seq >= self._next)

    def take(self, span: LedgerSpan, now: Instant) -> LedgerRow | None:
        """Return the next row to send, if there is one; it counts as sent in this connection."""
        if not self._open or self._held(now):
            return None
        while self._rows:
            row = self._rows.popleft()
            self._next = row.seq + 1
            settled = self._replay_through < row.seq <= max(span.acked, self._acked)
            if not settled and row.seq not in self._dead and row.stream == span.stream:
                if self._again_at is None:
                    self._again_at = after(now, AGAIN_EVERY)
                self._reached = max(self._reached, covered_by(row))
                return row
        return None

    def sent_through(self, span: LedgerSpan) -> bool:
        """Say whether there is no row left to send."""
        return not self._rows and self._first_wanted(span) > span.last

    def _first_wanted(self, span: LedgerSpan) -> int:
        """Return the number of the next row worth sending."""
        if self._next <= self._replay_through:
            return self._next
        return max(self._next, self._acked + 1, span.acked + 1)

    def _held(self, now: Instant) -> bool:
        return any(at is not None and now < at for at in (self._ack_until, self._pause_until, self._read_after))

    def _rewind(self) -> None:
        if self._next - UNCONFIRMED <= self._replay_through:
            self._next = max(self._replay_from, self._next - UNCONFIRMED)
        else:
            self._next, self._replay_through = 1, 0
        self._rows.clear()
        self._again_at = None
