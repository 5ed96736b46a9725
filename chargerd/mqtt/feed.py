"""The ledger on its way to the broker: rows in order, acknowledgements, dead letters, replays.

Owned by the link's thread. The journal answers in a thread of its own and is led back by `post`.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from pydantic import ValidationError

from chargerd import log
from chargerd.contract import bodies
from chargerd.contract.arguments import AckBody, KeptState
from chargerd.contract.ledger import LedgerRow, LedgerSpan, covered_by
from chargerd.contract.requests import complaint
from chargerd.core.clock import Clock
from chargerd.core.units import Instant, Seconds, after
from chargerd.mqtt.alarms import Alarms
from chargerd.mqtt.drain import READ_AHEAD, Drain
from chargerd.mqtt.outgoing import Waiting

SUBSCRIBE_WAIT = Seconds(30.0)
"""How long the drain waits after a connect for the broker's word on our subscription: on a slow line, seconds."""
ACK_WAIT = Seconds(2.0)
"""How long it waits after that for the retained acknowledgement."""
RENEW_AGAIN_AFTER = Seconds(5.0)
"""How long a journal that did not take a new stream is left alone."""
PAUSE_REFUSED = Seconds(60.0)
PAUSE_OTHER = Seconds(5.0)
REFUSED = frozenset({0x87, 0x97})
"""Not authorised, quota exceeded: the broker's settings are wrong; sending on would lose rows."""
DEAD = frozenset({0x90, 0x95, 0x99})
"""Topic name invalid, packet too large, payload format invalid: this one message will never be taken."""


class LedgerSource(Protocol):
    """What the link needs of the journal."""

    def span(self) -> LedgerSpan:
        """Return what the ledger holds, at once."""

    def read_rows(self, after: int, limit: int, deliver: Callable[[Sequence[LedgerRow]], None]) -> None:
        """Fetch rows without blocking."""

    def acknowledge(self, stream: str, through: int, refused: Callable[[], None] | None = None) -> None:
        """The backend has stored rows up to here; `refused` is called if there are no such rows yet."""

    def count_connection(self, deliver: Callable[[int], None]) -> None:
        """Count one more connection and tell which it is."""

    @property
    def found_last(self) -> int:
        """The highest number of a row that was given out before this process began."""

    @property
    def stream_begun(self) -> bool:
        """Whether the stream found then had only just begun, with this process."""

    def asked_from(self, start: int) -> None:
        """Rows are about to be read from here on: let them begin with it, even if a `gap` stands for it."""

    def renew_stream(self, done: Callable[[bool], None]) -> None:
        """Go on under a new stream; `done` is told whether it is durable."""


class Feed:
    """Hands out the next row to send and learns what became of it."""

    def __init__(
        self,
        *,
        gateway: str,
        clock: Clock,
        ledger: LedgerSource,
        alarms: Alarms,
        post: Callable[[Callable[[], None]], None],
        on_renewed: Callable[[], None],
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._ledger = ledger
        self._alarms = alarms
        self._post = post
        self._on_renewed = on_renewed
        self._renewed = False
        self._proof = ""
        """Why the stream is renewed, if it is."""
        self._renew_at: Instant | None = None
        """When to ask the journal once more for another stream."""
        self._spoken = False
        """Whether this process has been connected, and so may have told of its rows in a retained state."""
        self._said_last = 0
        """Up to which row it may have."""
        self._own_states: set[str] = set()
        """Those of our own retained states that have not come yet."""
        self._own_until: Instant | None = None
        self._own_read = False
        self._own_awaited = False
        self._renewing = False
        """Whether a new stream has been asked for, and the journal has not said yet what came of it."""
        self._drain = Drain()
        self._gaps: dict[int, str] = {}
        """Rows this connection's broker will not take, and why."""
        self.confirmed = 0
        """The highest number a broker has confirmed in this stream since the process began."""
        self._first: deque[Waiting] = deque()
        """Gaps that take the place of rows just refused."""

    def begin(self) -> None:
        """Take in what an earlier process left."""
        self._drain.begin(self._ledger.found_last)

    def connected(self, own_states: Sequence[str] = ()) -> None:
        """A connection is new: what is not acknowledged goes again, after the acknowledgement or its time.

        `own_states` are topics under which the broker may have kept what we have said of the ledger.
        """
        until = after(self._clock.now(), SUBSCRIBE_WAIT)
        self._own_states, self._own_until = set(own_states), until if own_states else None
        self._own_awaited = bool(own_states)
        self._drain.connected(until, own_states=bool(own_states))
        self._spoken = True

    def subscribed(self) -> None:
        """The broker has taken our subscription: what it has kept for us comes right behind, or there is nothing.

        Rows that go before it hide the proof that their numbers were given out before.
        """
        until = after(self._clock.now(), ACK_WAIT)
        self._drain.waits_until(until)
        if self._own_until is not None:
            self._own_until = min(self._own_until, until)

    def disconnected(self) -> None:
        """The connection is gone; the next broker may take what this one did not."""
        self._drain.disconnected()
        if self._spoken:
            self._said_last = self._ledger.span().last
        self._own_until = None
        self._gaps.clear()
        self._first.clear()

    @property
    def drained(self) -> bool:
        """Say whether every row has been handed to this connection."""
        return not self._first and self._drain.sent_through(self._ledger.span())

    # Our own words of an earlier life

    @property
    def wants_own_states(self) -> bool:
        """Whether our own retained states may tell something: before the first row is sent, and once."""
        return not self._own_read and self._drain.untouched

    @property
    def own_states_read(self) -> bool:
        """Whether they have come, or will not come any more."""
        return self._own_read

    @property
    def may_tell(self) -> bool:
        """Whether what we say of the ledger may take the place of what the broker has kept.

        Not before that is read, and what it proves is durable: it is gone then, and this connection, or this
        process, may be as well.
        """
        return not (self._own_awaited or self._renewing)

    def own_state(self, name: str, payload: bytes) -> None:
        """Take in a retained state of our own: what it tells of and is not here has been lost here.

        That is a number beyond the last one, or another stream than the one this process has found: this journal
        has gone on under that one already, and was put back since.
        """
        self._own_states.discard(name)
        try:
            said = KeptState.model_validate_json(payload).ledger
        except ValueError:
            said = None  # Another version's, or a stranger's; it proves nothing.
        if said is None or self._renewed or not self.wants_own_states:
            return
        stream = self._ledger.span().stream
        # What this process has told of in a connection that did not last proves nothing.
        last = max(self._ledger.found_last, self._said_last)
        if said.stream != stream:
            if not self._ledger.stream_begun:
                self._renew(f"{name} of this gateway was told of {said.stream}, and {stream} was found here")
        elif said.last > last:
            self._renew(f"{name} of this gateway was told of row {said.last}, and {last} was the last here")

    def _look_at_own_states(self) -> None:
        if self._own_until is not None and (not self._own_states or self._clock.now() >= self._own_until):
            self._own_until, self._own_read, self._own_awaited = None, True, False
            self._drain.own_states_read()

    @property
    def exhausted(self) -> bool:
        """Say whether nothing more goes before the backend says a word, or for a long time."""
        return not self._first and self._drain.exhausted

    # Rows

    def fetch_due(self) -> None:
        """Have the next rows fetched if it is time for them."""
        self._look_at_own_states()
        self._renew_if_due()
        wanted = self._drain.wants(self._ledger.span(), self._clock.now())
        if wanted is not None:
            self._ledger.read_rows(wanted, READ_AHEAD, lambda rows: self._post(lambda: self._fetched(rows)))

    def _fetched(self, rows: Sequence[LedgerRow]) -> None:
        # Those of another stream are of a file that is not ours yet, or not told of: as if it could not be read.
        stream = self._ledger.span().stream
        self._drain.fetched([row for row in rows if row.stream == stream])

    def next(self) -> Waiting | None:
        """Return the next row to publish, or the gap that stands for it."""
        if self._first:
            return self._first.popleft()
        row = self._drain.take(self._ledger.span(), self._clock.now())
        if row is None:
            return None
        reason = self._gaps.get(row.seq)
        if reason is not None:
            return self._gap(row, reason)
        payload = bodies.ledger_payload(self._gateway, row)
        return Waiting(topic=f"up/{row.kind.value}", payload=payload, row=row)

    def _gap(self, row: LedgerRow, reason: str) -> Waiting:
        payload = bodies.gap_payload(self._gateway, row, reason)
        return Waiting(topic="up/event", payload=payload, row=row, gap=True)

    # What became of them

    def taken(self, waiting: Waiting) -> None:
        """The broker has confirmed a row."""
        if waiting.row is not None:
            self.confirmed = max(self.confirmed, covered_by(waiting.row))

    def refused(self, waiting: Waiting, code: int) -> None:
        """The broker has refused a row: wait, or send a gap in its place if it will never be taken."""
        if code in DEAD:
            self.dead(waiting, f"refused with 0x{code:02x}", code)
            return
        assert waiting.row is not None
        pause = PAUSE_REFUSED if code in REFUSED else PAUSE_OTHER
        self._drain.pause(waiting.row.seq, after(self._clock.now(), pause))

    def dead(self, waiting: Waiting, reason: str, about: int | None = None) -> None:
        """Put a gap in the place of a row that will never be taken; without one if the broker refuses even that.

        The alarm is a row itself: it is told once an hour for each cause, or a broker that takes none would have
        rows made without end.
        """
        row = waiting.row
        assert row is not None
        log.error("dead_letter", topic=waiting.topic, seq=row.seq, reason=reason, gap_refused=waiting.gap)
        if not waiting.gap:
            self._gaps[row.seq] = reason
            self._first.append(self._gap(row, reason))
            return
        self._drain.bury(row.seq)
        self._alarms.say("dead_letter", f"row {row.seq} {reason}, and so was the gap in its place", about)

    # What the backend says

    def acknowledged(self, payload: bytes, *, kept: bool) -> None:
        """Take in the backend's own acknowledgement; `kept` if the broker had kept it, and nobody may be there."""
        through = self._covered(payload)
        if kept:
            self._drain.acknowledged(through)
        else:
            self._drain.answered(self._clock.now(), through)

    def _covered(self, payload: bytes) -> int:
        """Return up to where an acknowledgement counts: 0 for one that acknowledges nothing here."""
        try:
            ack = AckBody.model_validate_json(payload)
        except ValidationError as error:
            why = complaint(error)
            self._post(lambda: self._alarms.say("ack_not_understood", why))
            return 0
        if ack.stream != self._ledger.span().stream:
            log.info("ack_of_another_stream", stream=ack.stream)
            return 0
        if not self._drain.may_acknowledge(ack.through):
            if self._drain.untouched and not self._renewed:
                last = self._ledger.found_last
                self._renew(f"row {ack.through} was acknowledged, and {last} was the last here")
            else:
                self._ack_ahead(ack.through)
            return 0
        self._ledger.acknowledge(ack.stream, ack.through, lambda: self._ack_ahead(ack.through))
        return ack.through

    def _renew(self, proof: str) -> None:
        """Begin a new stream: somebody has rows under numbers that are to be given out again, or were already.

        Once in a process: a backend that always acknowledges one too much is no proof a second time.
        """
        self._renewed = self._renewing = True
        self._proof = proof
        self._drain.hold()
        self._ask_for_stream()

    def _ask_for_stream(self) -> None:
        self._ledger.renew_stream(
            lambda durable: self._post(self._stream_renewed if durable else self._renew_later)
        )

    def _stream_renewed(self) -> None:
        self._renewing = False
        self.confirmed = 0
        self._drain.renewed(self._ledger.span())
        self._alarms.say("stream_renewed", f"{self._proof}: the journal is an older one")
        self._on_renewed()

    def _renew_later(self) -> None:
        """The disk did not take it: nothing goes under the old stream, so it has to be tried until it does."""
        self._renewing = False
        self._renew_at = after(self._clock.now(), RENEW_AGAIN_AFTER)

    def _renew_if_due(self) -> None:
        if self._renew_at is not None and self._clock.now() >= self._renew_at:
            self._renew_at = None
            self._ask_for_stream()

    def _ack_ahead(self, through: int) -> None:
        # About nothing in particular: a backend that always says one too much is one mistake, not one a row.
        self._post(lambda: self._alarms.say("ack_ahead", f"acknowledged {through}"))

    def replay(self, stream: str, start: int, to: int | None = None) -> str | None:
        """Send kept rows again from `start` on, up to `to` or to the last; return why not, if they cannot be."""
        span = self._ledger.span()
        if stream != span.stream:
            return f"the stream here is {span.stream}"
        if start > span.last:
            return f"the last row is {span.last}"
        self._ledger.asked_from(start)
        self._drain.replay(span, start, to)
        log.info("replay", start=start, to=to, first=span.first, last=span.last)
        return None
