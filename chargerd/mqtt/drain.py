"""Which row of the ledger is sent next. Pure: the link sends, this remembers.

A row counts as handed in only when the backend's own acknowledgement covers it; a PUBACK merely makes room in the
window. After each connect, rows not acknowledged are sent from the oldest on: `WINDOW` of them, until any
acknowledgement tells that somebody listens. While nobody does, the window goes again at growing intervals, and in
the end only its oldest rows, since a broker that keeps messages for an absent backend keeps every copy.

An acknowledgement is also a question: whatever it says, what lies above it and was sent a while ago goes again at
once, so that a backend that comes back has everything in seconds.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence

from chargerd.contract.ledger import LedgerRow, LedgerSpan, covered_by
from chargerd.core.units import Instant, Seconds, after, between
from chargerd.mqtt.replays import Replays

READ_AHEAD = 50
"""Rows fetched from the journal at once."""
WINDOW = 100
"""Rows sent to a backend nobody has heard of since the connect."""
PROBE = 4
"""Rows of the window that go once the intervals have grown to their end: enough to be answered."""
AGAIN_FIRST = Seconds(60.0)
AGAIN_EVERY = Seconds(1800.0)
"""After how long without an acknowledgement rows go again: at first, and at last."""
UNDER_WAY = Seconds(5.0)
"""A row sent so short a while ago may not have arrived yet: no question makes it go again."""
ASK_MOST = Seconds(60.0)
"""How far apart questions are answered at last, if they acknowledge nothing new: that backend waits for a hole."""
UNREADABLE_WAIT = Seconds(5.0)
"""How long a journal that gave no rows is left alone: its disk has enough to do."""


class Drain:
    """The cursor through the ledger for one connection after the other."""

    def __init__(self) -> None:
        self._next = 1
        self._rows: deque[LedgerRow] = deque()
        self._asked: int | None = None
        self._fetched_none = False
        self._open = False
        self._ack_until: Instant | None = None
        self._own_awaited = False
        """Whether what we have said of ourselves in an earlier life is not known yet, and may still come."""
        self._pause_until: Instant | None = None
        self._read_after: Instant | None = None
        self._heard = False
        """Whether an acknowledgement has come since the connect, or since the last round without one."""
        self._room = 0
        """How many rows may go before one does."""
        self._again_at: Instant | None = None
        self._again_after = AGAIN_FIRST
        self._recent: OrderedDict[int, Instant] = OrderedDict()
        """When rows were sent that may be under way yet, oldest first."""
        self._due_through = 0
        """The highest row that was sent before those and has not been asked for since."""
        self._asked_at: Instant | None = None
        self._ask_after = UNDER_WAY
        self._sent = False
        self._renewing = False
        self._acked = 0
        self._reached = 0
        self._dead: set[int] = set()
        self._replays = Replays()

    def begin(self, last: int) -> None:
        """Take in up to where an earlier process left rows: any may have been sent, so any may be acknowledged."""
        self._reached = max(self._reached, last)

    def connected(self, until: Instant, *, own_states: bool = False) -> None:
        """A connection is new: send nothing before `until`, or before an acknowledgement has come.

        With `own_states` nothing goes either before `own_states_read` tells that none are waited for any more.
        """
        self._recent.clear()
        self._replays.lost()
        self._rewind()
        self._heard = False
        self._room = WINDOW
        self._again_after = AGAIN_FIRST
        self._asked_at, self._ask_after = None, UNDER_WAY
        self._open = True
        self._ack_until = until
        self._own_awaited = own_states
        self._pause_until = None

    def waits_until(self, until: Instant) -> None:
        """The acknowledgement comes before `until`, or not at all."""
        if self._ack_until is not None:
            self._ack_until = min(self._ack_until, until)

    def disconnected(self) -> None:
        """The connection is gone."""
        self._open = False
        self._rows.clear()
        self._dead.clear()

    def replay(self, span: LedgerSpan, start: int, to: int | None = None) -> None:
        """Send again from `start` to `to`, rows acknowledged long ago included, over any number of connections.

        Rows that have not gone out yet come by themselves.
        """
        gone = max(self._next - 1, self._acked, span.acked)
        self._replays.ask(max(start, span.first), gone if to is None else min(to, gone))
        self._rows.clear()

    def hold(self) -> None:
        """Send nothing before the stream is renewed."""
        self._renewing = True

    def renewed(self, span: LedgerSpan) -> None:
        """The stream is another one, of which nothing has been sent yet."""
        self._renewing = False
        self._reached = span.first - 1
        # What was acknowledged of the old stream since it was found out does not count in this one.
        self._acked = span.acked
        self._recent.clear()
        self._replays.forget()
        self._dead.clear()
        self._rewind()

    def own_states_read(self) -> None:
        """What we have said of ourselves in an earlier life is known, or will not come any more."""
        self._own_awaited = False

    @property
    def untouched(self) -> bool:
        """Whether this process has not sent a row yet: what is acknowledged then was sent before it began."""
        return not self._sent

    def may_acknowledge(self, through: int) -> bool:
        """Say whether all rows up to `through` have ever been sent."""
        return through <= self._reached

    def acknowledged(self, through: int = 0) -> None:
        """A word of the backend that the broker kept for us: what it covers is not sent again.

        It is no sign that anybody listens now. The journal takes note in its own time; this is known here at once,
        so that nothing is sent in between.
        """
        self._ack_until = None
        self._acked = max(self._acked, through)
        self._dead = {seq for seq in self._dead if seq > self._acked}

    def answered(self, now: Instant, through: int = 0) -> None:
        """A word of a backend that is there: let everything go, and again what it should have by now.

        One that acknowledges nothing new time after time waits for a row it will not take; its questions are
        answered less and less often, and with the oldest rows alone.
        """
        advances = through > self._acked
        self.acknowledged(through)
        self._heard = True
        # What is under way may be lost, and this may be the last word for long.
        self._again_at = after(now, AGAIN_EVERY) if self._next - 1 > self._acked else None
        self._again_after = AGAIN_FIRST
        if advances:
            self._ask_after = UNDER_WAY
        self._age(now)
        if self._due_through <= self._acked or self._replays.next is not None:
            return
        if not advances and self._asked_at is not None:
            if between(self._asked_at, now) < self._ask_after:
                return
            self._ask_after = min(Seconds(2 * self._ask_after), ASK_MOST)
            self._answer_in_brief(now)
            return
        self._asked_at, self._due_through = now, 0
        self._next = 1
        self._rows.clear()

    def _answer_in_brief(self, now: Instant) -> None:
        """The row it waits for is the next one: all there is above would go again for each question.

        Once it has taken that one it acknowledges more, and gets the rest.
        """
        count = WINDOW if self._ask_after < ASK_MOST else PROBE
        self._asked_at = now
        self._replays.ask(self._acked + 1, min(self._acked + count, self._due_through))
        self._rows.clear()

    def pause(self, seq: int, until: Instant) -> None:
        """The broker refuses rows for now: go on from the oldest refused one, later."""
        self._next = min(self._next, seq)
        self._replays.lost(seq)
        self._rows.clear()
        self._recent.clear()
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
            self._another_round()
        self._next = max(self._first_wanted(span), span.first)
        self._replays.kept_from(span.first)
        if not self._open or self._rows or self._asked is not None or self._cursor > span.last or self._held(now):
            return None
        self._asked = self._cursor - 1
        return self._asked

    def fetched(self, rows: Sequence[LedgerRow]) -> None:
        """Take in rows that were fetched, unless the cursor was set back meanwhile: older ones go first."""
        asked, self._asked = self._asked, None
        if asked is None or self._cursor <= asked or not self._open:
            return
        self._fetched_none = not rows
        self._rows.extend(row for row in rows if row.seq >= self._cursor)

    def take(self, span: LedgerSpan, now: Instant) -> LedgerRow | None:
        """Return the next row to send, if there is one; it counts as sent in this connection."""
        if not self._open or self._held(now):
            return None
        self._age(now)
        while self._rows:
            row = self._rows.popleft()
            if row.stream != span.stream:
                continue
            asked = self._replays.next is not None
            if not (self._asked_for(row.seq) if asked else self._due(row.seq, span)) or row.seq in self._dead:
                continue
            if not asked:
                self._counted(now)
            self._sent = True
            self._replays.sent(row.seq, asked=asked)
            self._recent.pop(row.seq, None)
            self._recent[row.seq] = now
            self._reached = max(self._reached, covered_by(row))
            return row
        return None

    @property
    def _cursor(self) -> int:
        """The number of the next row, or of the first one after it that there is."""
        again = self._replays.next
        return self._next if again is None else again

    def _asked_for(self, seq: int) -> bool:
        """Go on with what was asked for again; say whether this row was."""
        found = self._replays.took(seq)
        if self._replays.next != seq + 1:
            self._rows.clear()
        return found

    def _due(self, seq: int, span: LedgerSpan) -> bool:
        """Go on with what is not acknowledged; say whether this row is to be sent."""
        self._next = seq + 1
        return seq > max(span.acked, self._acked) and seq not in self._recent

    def _counted(self, now: Instant) -> None:
        """Take one row off the window, and see to it that it is not the last word."""
        if self._again_at is None:
            self._again_at = after(now, AGAIN_EVERY if self._heard else self._again_after)
        self._room -= 1

    @property
    def exhausted(self) -> bool:
        """Whether nothing more goes before the backend says a word, or for a long time."""
        return not self._heard and self._room <= 0

    def sent_through(self, span: LedgerSpan) -> bool:
        """Say whether there is no row left to send."""
        return not self._rows and self._replays.next is None and self._first_wanted(span) > span.last

    def _first_wanted(self, span: LedgerSpan) -> int:
        """Return the number of the next row worth sending."""
        return max(self._next, self._acked + 1, span.acked + 1)

    def _held(self, now: Instant) -> bool:
        if self._renewing or self._own_awaited:
            return True
        if not self._heard and self._room <= 0 and self._replays.next is None:
            return True
        waits = (self._ack_until, self._pause_until, self._read_after)
        return any(at is not None and now < at for at in waits)

    def _age(self, now: Instant) -> None:
        """Let go of rows that have had the time to arrive."""
        while self._recent and between(next(iter(self._recent.values())), now) > UNDER_WAY:
            seq, _ = self._recent.popitem(last=False)
            self._due_through = max(self._due_through, seq)

    def _another_round(self) -> None:
        """Nobody has said a word for the whole interval: send the oldest rows again, and wait longer next time."""
        if self._heard:
            self._heard, self._again_after = False, AGAIN_EVERY
            self._room = WINDOW
        else:
            self._again_after = min(Seconds(2 * self._again_after), AGAIN_EVERY)
            self._room = WINDOW if self._again_after < AGAIN_EVERY else PROBE
        self._rewind()

    def _rewind(self) -> None:
        self._next = 1
        self._due_through = 0
        self._rows.clear()
        self._again_at = None
