"""What waits to be published apart from the ledger: replies, states, presence, readings; and which goes first."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from chargerd.contract import bodies, parts
from chargerd.contract.ledger import Body, Json, LedgerRow, LedgerSpan
from chargerd.contract.payloads import LARGEST, PRESENCE_EXPIRY, STATE_EXPIRY, LedgerSpanBody, PresenceBody
from chargerd.core.clock import Clock
from chargerd.core.units import Instant, PortId, Seconds, after, between

PRESENCE_EVERY = Seconds(60.0)
STATES_EVERY = Seconds(900.0)
MOST_READINGS = 200
MOST_REPLIES = 1000
INFO = "state/info"
PORT = "state/port/"
BOARD = "state/board/"
CIRCUIT = "state/circuit/"
REPLY = "up/reply"
OUTSIDE = "/"
"""What comes before a topic that is not below the root."""


class StateSource(Protocol):
    """Who knows the states to publish."""

    def info(self) -> Body:
        """Return `state/info` without its envelope."""

    def port_ids(self) -> Sequence[PortId]:
        """Return all ports."""

    def port_state(self, port: PortId) -> Body:
        """Return `state/port/{port}` without its envelope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message to be published; `row` if it is one of the ledger, or a `gap` in the place of one.

    `topic` is below the root, or a whole one after `OUTSIDE`. Without a payload it empties what is retained there.
    """

    topic: str
    payload: Body | None
    qos: int = 1
    retain: bool = False
    expires_at: Instant | None = None
    correlation: bytes | None = None
    row: LedgerRow | None = None
    gap: bool = False

    @property
    def kind(self) -> str:
        """The topic without what it is about."""
        return "/".join(self.topic.split("/")[:2])

    def left(self, now: Instant) -> int:
        """Return for how many seconds it is of use yet, begun ones included."""
        assert self.expires_at is not None
        return ceil(between(now, self.expires_at))


class Outgoing:
    """Queues with bounds; states are not queued but read when they are sent."""

    def __init__(
        self,
        *,
        clock: Clock,
        gateway: str,
        states: StateSource,
        about_link: Callable[[], dict[str, Json]],
        ledger: Callable[[], LedgerSpan],
        may_tell: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._gateway = gateway
        self._states = states
        self._about_link = about_link
        self._ledger = ledger
        self._may_tell = may_tell
        """Whether what tells of the ledger may be published: it takes the place of what the broker has kept."""
        self._dirty: dict[str, None] = {}
        self._given: dict[str, Body] = {}
        """Newest states of boards and circuits, which are handed in rather than asked for."""
        self._announced: Mapping[str, Body | None] = {}
        self._unsaid: deque[str] = deque()
        """Announcements that this connection has not heard yet."""
        self._withdrawing: set[str] = set()
        """Those that are to be emptied, and no broker has taken that yet."""
        self._withdrawn: Callable[[], None] | None = None
        self._room = LARGEST
        self._health: Waiting | None = None
        self._presence_at: Instant | None = None
        self._states_at: Instant | None = None
        self.replies: deque[Waiting] = deque(maxlen=MOST_REPLIES)
        self.readings: deque[Waiting] = deque(maxlen=MOST_READINGS)

    def connected(self, now: Instant, room: int = LARGEST) -> None:
        """Have all states published, in payloads of up to `room` bytes, and after them that we are here."""
        self._room = room
        self._unsaid = deque(self._announced)
        self._all_states(now)
        self._presence_at = now

    def disconnected(self, in_flight: Iterable[Waiting]) -> None:
        """Keep the replies the broker has not confirmed; states come anew, readings are old by then."""
        self._presence_at = self._states_at = self._health = None
        self.readings.clear()
        for waiting in reversed(list(in_flight)):
            self.put_back(waiting)

    def put_back(self, waiting: Waiting) -> None:
        """Keep a reply that did not get through; if there is no room the oldest is given up."""
        if waiting.topic == REPLY and len(self.replies) < MOST_REPLIES:
            self.replies.appendleft(waiting)

    def port_changed(self, port: PortId) -> None:
        """Have a port's state published."""
        self._dirty[f"{PORT}{port}"] = None

    def given(self, topic: str, body: Body) -> None:
        """Have a state published that was handed in, if it says anything new."""
        if self._given.get(topic) != body:
            self._given[topic] = body
            self._dirty[topic] = None

    def announce(self, messages: Mapping[str, Body | None], withdrawn: Callable[[], None]) -> None:
        """Have messages kept at whole topics, from each connect on; `None` empties one.

        `withdrawn` is called once when the broker has taken all that were to be emptied.
        """
        self._announced = {f"{OUTSIDE}{topic}": body for topic, body in messages.items()}
        self._withdrawing = {topic for topic, body in self._announced.items() if body is None}
        self._withdrawn = withdrawn
        self._unsaid = deque(self._announced)

    def taken(self, waiting: Waiting) -> None:
        """The broker has confirmed a message."""
        if waiting.payload is None and waiting.topic in self._withdrawing:
            self._withdrawing.discard(waiting.topic)
            if not self._withdrawing and self._withdrawn is not None:
                self._withdrawn()

    def all_due(self) -> None:
        """Have all states published again, presence after the others."""
        now = self._clock.now()
        self._all_states(now)
        self.presence_due(now)

    def healthy(self, waiting: Waiting) -> None:
        """Have the gateway's health published; only the newest is of use."""
        self._health = waiting

    def presence_due(self, now: Instant) -> None:
        """Have presence published again."""
        self._presence_at = now

    def urgent(self, conn: int) -> Waiting | None:
        """Return the next reply, else the next state as it is now, else presence if that is due."""
        now = self._clock.moment()
        if self._states_at is not None and now.instant >= self._states_at:
            self._all_states(now.instant)
        reply = self._first_of(self.replies)
        if reply is not None:
            return reply
        may_tell = self._may_tell()
        topic = next((one for one in self._dirty if one != INFO or may_tell), None)
        if topic is not None:
            del self._dirty[topic]
            return self._state(topic)
        if may_tell and self._presence_at is not None and now.instant >= self._presence_at:
            self._presence_at = after(now.instant, PRESENCE_EVERY)
            body = PresenceBody(status="online", conn=conn, ledger=self._span())
            return self._presence(body, PRESENCE_EXPIRY)
        return None

    def leisurely(self) -> Waiting | None:
        """Return the gateway's health if it is new, else the next announcement, else the next reading."""
        health, self._health = self._health, None
        if health is None and self._unsaid:
            topic = self._unsaid.popleft()
            return Waiting(topic=topic, payload=self._announced[topic], retain=True)
        return health or self._first_of(self.readings)

    def goodbye(self, conn: int, *, waiting: bool) -> Waiting:
        """Return the presence of one who leaves in order; it stays, and tells the next life where this one was.

        `waiting`: what charged is suspended, and goes on after the next start.
        """
        body = PresenceBody(
            status="offline",
            cause="shutdown",
            sessions="suspended" if waiting else "ended",
            conn=conn,
            ledger=self._span(),
        )
        return self._presence(body, None)

    def _span(self) -> LedgerSpanBody:
        span = self._ledger()
        return LedgerSpanBody(stream=span.stream, first=span.first, last=span.last)

    def _first_of(self, queue: "deque[Waiting]") -> Waiting | None:
        while queue:
            waiting = queue.popleft()
            if waiting.left(self._clock.now()) >= 1:
                return waiting
        return None

    def _all_states(self, now: Instant) -> None:
        for port in self._states.port_ids():
            self.port_changed(port)
        self._dirty.update(dict.fromkeys(self._given))
        self._dirty.pop(INFO, None)
        self._dirty[INFO] = None
        self._states_at = after(now, STATES_EVERY)

    def _state(self, topic: str) -> Waiting:
        if topic == INFO:
            return self._retained(topic, {**self._states.info(), **self._about_link()}, None)
        if topic in self._given:
            return self._retained(topic, self._given[topic], STATE_EXPIRY)
        return self._retained(topic, self._states.port_state(PortId(topic.removeprefix(PORT))), STATE_EXPIRY)

    def _presence(self, body: PresenceBody, expiry: Seconds | None) -> Waiting:
        return self._retained("state/gateway", bodies.plain(body), expiry)

    def _retained(self, topic: str, body: Body, expiry: Seconds | None) -> Waiting:
        moment = self._clock.moment()
        payload = {**bodies.envelope(self._gateway, moment), **body}
        if topic == INFO:
            payload = parts.fitting(payload, self._room)
        expires_at = None if expiry is None else after(moment.instant, expiry)
        return Waiting(topic=topic, payload=payload, retain=True, expires_at=expires_at)
