"""Which row of the ledger is sent next. Pure: the link sends, this remembers.

A row counts as handed in only when the backend's own acknowledgement covers it; a PUBACK merely makes room in the
window. After each connect, and again every half hour, all rows not acknowledged are sent from the oldest on.
"""

from collections import deque
from collections.abc import Sequence

from chargerd.core.ledger import LedgerRow, LedgerSpan
from chargerd.core.units import Instant, Seconds, after

READ_AHEAD = 50
"""Rows fetched from the journal at once."""
AGAIN_EVERY = Seconds(1800.0)


class Drain:
    """The cursor through the ledger for one connection after the other."""

    def __init__(self) -> None:
        self._next = 1
        self._rows: deque[LedgerRow] = deque()
        self._asked = False
        self._open = False
        self._hold_until: Instant | None = None
        self._again_at: Instant | None = None

    def connected(self, until: Instant) -> None:
        """A connection is new: send nothing before `until`, or before an acknowledgement has come."""
        self._rewind_to(1)
        self._open = True
        self._hold_until = until

    def disconnected(self) -> None:
        """The connection is gone."""
        self._open = False
        self._rows.clear()

    def acknowledged(self) -> None:
        """The backend's word has come: what it covers is known, the rest may go."""
        self._hold_until = None

    def pause(self, seq: int, until: Instant) -> None:
        """The broker refuses rows for now: go on from this one, later."""
        self._rewind_to(seq)
        self._hold_until = until

    def wants(self, span: LedgerSpan, now: Instant) -> int | None:
        """Return after which row the next ones are to be fetched, or `None` if none are to be."""
        if self._again_at is not None and now >= self._again_at:
            self._rewind_to(1)
        self._next = max(self._next, span.acked + 1, span.first)
        if not self._open or self._rows or self._asked or self._held(now) or self._next > span.last:
            return None
        self._asked = True
        return self._next - 1

    def fetched(self, rows: Sequence[LedgerRow]) -> None:
        """Take in rows that were fetched."""
        self._asked = False
        if self._open:
            self._rows.extend(row for row in rows if row.seq >= self._next)

    def take(self, span: LedgerSpan, now: Instant) -> LedgerRow | None:
        """Return the next row to send, if there is one; it counts as sent in this connection."""
        if not self._open or self._held(now):
            return None
        while self._rows:
            row = self._rows.popleft()
            self._next = row.seq + 1
            if row.seq > span.acked and row.stream == span.stream:
                if self._again_at is None:
                    self._again_at = after(now, AGAIN_EVERY)
                return row
        return None

    def sent_through(self, span: LedgerSpan) -> bool:
        """Say whether there is no row left to send."""
        return not self._rows and max(self._next, span.acked + 1) > span.last

    def due(self) -> Instant | None:
        """Return when something here changes by itself."""
        instants = [at for at in (self._hold_until, self._again_at) if at is not None]
        return min(instants, default=None) if self._open else None

    def _held(self, now: Instant) -> bool:
        if self._hold_until is not None and now >= self._hold_until:
            self._hold_until = None
        return self._hold_until is not None

    def _rewind_to(self, seq: int) -> None:
        self._next = seq
        self._rows.clear()
        self._again_at = None
