"""The link to the broker: one thread that owns everything; paho's thread only fills its queue.

paho keeps nothing over a crash, ignores the broker's Receive Maximum, sends its whole backlog again on a
reconnect, calls a refused PUBLISH published, and loses its thread to an exception in a callback. So the ledger is
the only queue, paho's own is emptied at each connect, the window is counted here by PUBACKs, and no callback
decides anything.
"""

import itertools
import json
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from chargerd.config.document import MqttSection
from chargerd.core.clock import Clock
from chargerd.core.ledger import Body, LedgerRow, LedgerSpan, Reply
from chargerd.core.units import Instant, PortId, Seconds, after, between
from chargerd.mqtt import bodies
from chargerd.mqtt.alarms import Alarms
from chargerd.mqtt.commands import Arrived, Incoming, Refusal, parse
from chargerd.mqtt.contract import LARGEST, AckBody, PresenceBody
from chargerd.mqtt.drain import READ_AHEAD, Drain
from chargerd.mqtt.inbox import Inbox, Received
from chargerd.mqtt.outgoing import READING_EXPIRY, REPLY_EXPIRY, Outgoing, StateSource, Waiting
from chargerd.mqtt.transport import (
    KEEPALIVE,
    WINDOW,
    BackOff,
    Connected,
    Delivered,
    Heard,
    Lost,
    NotConnected,
    PubAck,
    SubAck,
    Transport,
    properties_of,
)

log = structlog.get_logger(__name__)

TOPICS = ("cmd/+", "ack")
ACK_WAIT = Seconds(2.0)
"""How long the drain waits after a connect for the retained acknowledgement."""
COUNT_WAIT = Seconds(2.0)
"""How long the first connection waits for its number, which the journal makes durable."""
STEADY_AFTER = Seconds(10.0)
"""A connection that held this long resets the back-off."""
STUCK_AFTER = Seconds(3.0 * KEEPALIVE)
SET_UP_AGAIN_AFTER = Seconds(60.0)
SUBSCRIBE_AGAIN_AFTER = Seconds(60.0)
PAUSE_REFUSED = Seconds(60.0)
PAUSE_OTHER = Seconds(5.0)
REFUSED = frozenset({0x87, 0x97})
"""Not authorised, quota exceeded: the broker's settings are wrong; sending on would lose rows."""
DEAD = frozenset({0x90, 0x99})
"""Topic name invalid, payload format invalid: this one message will never be taken."""
FAILURE = 0x80
FAREWELL = Seconds(1.0)
TURN = 1.0

Word: TypeAlias = Callable[[], None]


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


class MqttLink:
    """The gateway's side of the contract. Thread-safe; no method blocks but `stop`."""

    def __init__(
        self,
        *,
        config: MqttSection,
        gateway: str,
        clock: Clock,
        ledger: LedgerSource,
        states: StateSource,
        on_command: Callable[[Incoming, Callable[[], None]], None],
        on_refused: Callable[[Refusal], None],
        on_alarm: Callable[[str, str], None],
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._config = config
        self._gateway = gateway
        self._root = f"{config.prefix}/{gateway}"
        self._clock = clock
        self._ledger = ledger
        self._on_command = on_command
        self._on_refused = on_refused
        self._on_crash = on_crash
        self._alarms = Alarms(clock, on_alarm)
        self._words: queue.SimpleQueue[Word] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._stopping = threading.Event()
        self._cause = "shutdown"
        self._back_off = BackOff(gateway + str(clock.now()))
        self._generations = itertools.count(1)
        self._transport: Transport | None = None
        self._build_at: Instant | None = None
        self._generation = 0
        """The connection that everything here is about; 0 while there is none."""
        self._conn = 0
        """The number the next connection will have; paho's thread reads it."""
        self._conn_said = 0
        self._window = WINDOW
        self._largest_packet: int | None = None
        self._in_flight: dict[int, Waiting] = {}
        self._drain = Drain()
        self._out = Outgoing(clock=clock, gateway=gateway, states=states)
        self._inbox = Inbox(self._acknowledge)
        self._connected_at: Instant | None = None
        self._subscribe_at: Instant | None = None
        self._progress_at = clock.now()
        self.connected = False
        self.last_turn: Instant = clock.now()

    # For everybody

    def start(self) -> None:
        """Begin to connect; returns at once, whether there is a broker or not."""
        self._thread.start()

    def stop(self, cause: str = "shutdown", timeout: Seconds = Seconds(3.0)) -> None:
        """Say goodbye and end; wait for it `timeout` seconds at most."""
        self._cause = cause
        self._stopping.set()
        self._words.put(_nothing)
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def drained(self) -> bool:
        """Say whether every row of the ledger is with the broker, as far as this connection goes."""
        return self._drain.sent_through(self._ledger.span()) and not self._in_flight

    def port_changed(self, port: PortId) -> None:
        """Publish a port's state."""
        self._words.put(lambda: self._out.port_changed(port))

    def rows_added(self) -> None:
        """The ledger has grown."""
        self._words.put(_nothing)

    def publish_reply(self, reply: Reply, correlation: bytes | None) -> None:
        """Publish a reply to a command; without a connection it waits for one, for as long as it is of use."""
        waiting = self._stamped("up/reply", reply.body, REPLY_EXPIRY, correlation)
        self._words.put(lambda: self._out.replies.append(waiting))

    def publish_reading(self, body: Body) -> None:
        """Publish values of a closed port; without a connection they are dropped."""
        if self.connected:
            waiting = self._stamped("up/reading", body, READING_EXPIRY, None)
            self._words.put(lambda: self._out.readings.append(waiting))

    def _stamped(self, topic: str, body: Body, expiry: int, correlation: bytes | None) -> Waiting:
        moment = self._clock.moment()
        payload = {**bodies.envelope(self._gateway, moment), **body}
        expires_at = after(moment.instant, Seconds(expiry))
        return Waiting(topic=topic, payload=payload, expires_at=expires_at, correlation=correlation)

    # For paho's thread

    def hear(self, heard: Heard) -> None:
        """Take in what paho's thread has heard."""
        self._words.put(lambda: self._heard(heard))

    def will(self) -> tuple[int, bytes]:
        """Return the number of the connection about to be made, and its last will."""
        conn = self._conn
        body = PresenceBody(status="offline", cause="lost", conn=conn)
        payload = {**bodies.envelope(self._gateway, self._clock.moment()), **bodies.plain(body)}
        return conn, _json(payload)

    # The thread

    def _run(self) -> None:
        try:
            self._drain.begin(self._ledger.span())
            self._build_at = after(self._clock.now(), COUNT_WAIT)
            self._count(self._first_counted)
            while not self._stopping.is_set():
                self._turn()
            self._leave()
        except BaseException as error:  # noqa: BLE001 - the thread's last word, passed on to the supervisor
            self._on_crash(error)

    def _turn(self) -> None:
        self.last_turn = self._clock.now()
        self._listen(TURN)
        self._keep_house(self._clock.now())
        self._pump()

    def _listen(self, timeout: float) -> None:
        try:
            self._words.get(block=timeout > 0, timeout=timeout)()
            while True:
                self._words.get_nowait()()
        except queue.Empty:
            pass

    def _count(self, counted: Callable[[int], None]) -> None:
        self._ledger.count_connection(lambda number: self._words.put(lambda: counted(number)))

    def _first_counted(self, number: int) -> None:
        self._counted(number)
        if self._transport is None:
            self._build()

    def _counted(self, number: int) -> None:
        """Take a number from the journal; a presence under an older one is said again under this one."""
        if number > self._conn:
            self._conn = number
            if self.connected:
                self._conn_said = number
                self._out.presence_due(self._clock.now())

    def _build(self) -> None:
        """Make a new paho client and let it connect in its own thread; unreadable keys are tried again."""
        now = self._clock.now()
        self._progress_at, self._build_at = now, None
        try:
            self._transport = Transport(
                config=self._config,
                client_id=self._gateway,
                root=self._root,
                generations=self._generations,
                back_off=self._back_off,
                clock=self._clock,
                owner=self,
            )
        except (OSError, ValueError) as error:
            self._build_at = after(now, SET_UP_AGAIN_AFTER)
            self._alarms.say("link_not_set_up", f"{self._config.host}: {error}")
            return
        self._transport.start()

    # What was heard

    def _heard(self, heard: Heard) -> None:
        self._progress_at = self._clock.now()
        match heard:
            case Connected():
                self._connected(heard)
            case NotConnected():
                if heard.refused is not None:
                    self._alarms.say("connection_refused", heard.refused, heard.refused)
            case Lost():
                self._lost(heard)
            case Delivered():
                self._delivered(heard)
            case PubAck():
                self._published(heard)
            case SubAck():
                self._subscribed(heard)

    def _connected(self, heard: Connected) -> None:
        assert self._transport is not None
        now = self._clock.now()
        self._forget_connection()
        self._generation = heard.generation
        self._conn_said = heard.conn
        self._window = max(1, min(WINDOW, heard.receive_maximum))
        self._largest_packet = heard.largest_packet
        self._connected_at = now
        self.connected = True
        log.info("connected", broker=f"{self._config.host}:{self._config.broker_port}", conn=heard.conn)
        self._transport.subscribe(heard.generation, TOPICS)
        self._drain.connected(after(now, ACK_WAIT))
        self._out.connected(now)

    def _lost(self, heard: Lost) -> None:
        if heard.taken_over:
            self._alarms.say("session_taken_over", "another client uses this gateway's id")
        if heard.generation == self._generation and self.connected:
            log.warning("disconnected", why=heard.why)
            self._part()

    def _part(self) -> None:
        """The connection is gone; the next one has another number."""
        self._forget_connection()
        self._conn += 1
        self._count(self._counted)

    def _forget_connection(self) -> None:
        self.connected = False
        self._generation = 0
        self._connected_at = self._subscribe_at = None
        self._out.disconnected(self._in_flight.values())
        self._in_flight.clear()
        self._inbox.clear()
        self._drain.disconnected()

    def _delivered(self, heard: Delivered) -> None:
        if heard.generation != self._generation:
            return
        message = heard.message
        name = message.topic.removeprefix(f"{self._root}/")
        received = Received(generation=heard.generation, mid=message.mid, qos=message.qos)
        self._inbox.take(received)
        if name == "ack":
            self._take_ack(bytes(message.payload))
            self._inbox.done(received)
            return
        arrived = Arrived(
            name=name.removeprefix("cmd/"),
            payload=bytes(message.payload),
            retained=message.retain,
            message_expiry=getattr(message.properties, "MessageExpiryInterval", None),
            received=heard.received,
            correlation=getattr(message.properties, "CorrelationData", None),
        )
        parsed = parse(arrived)
        if isinstance(parsed, Refusal):
            self._on_refused(parsed)
            self._inbox.done(received)
        else:
            self._on_command(parsed, lambda: self._words.put(lambda: self._inbox.done(received)))

    def _acknowledge(self, generation: int, mid: int, qos: int) -> None:
        if self._transport is not None:
            self._transport.acknowledge(generation, mid, qos)

    def _take_ack(self, payload: bytes) -> None:
        try:
            ack = AckBody.model_validate_json(payload)
        except ValueError as error:
            log.warning("ack_not_understood", why=str(error)[:200])
            return
        if ack.stream != self._ledger.span().stream:
            log.info("ack_of_another_stream", stream=ack.stream)
            self._drain.acknowledged()
        elif not self._drain.may_acknowledge(ack.through):
            self._ack_ahead(ack.through)
        else:
            self._ledger.acknowledge(ack.stream, ack.through, lambda: self._ack_ahead(ack.through))
            self._drain.acknowledged(ack.through)

    def _ack_ahead(self, through: int) -> None:
        self._words.put(lambda: self._alarms.say("ack_ahead", f"acknowledged {through}", through))

    def _published(self, heard: PubAck) -> None:
        if heard.generation != self._generation:
            return
        sent = self._in_flight.pop(heard.mid, None)
        if sent is None or heard.code < FAILURE:
            return
        detail = f"{sent.topic} {sent.seq or ''} refused with 0x{heard.code:02x}"
        if heard.code in DEAD:
            self._bury(sent, detail)
            return
        if sent.seq is not None:
            pause = PAUSE_REFUSED if heard.code in REFUSED else PAUSE_OTHER
            self._drain.pause(sent.seq, after(self._clock.now(), pause))
        self._alarms.say("publish_refused", detail, (sent.kind, heard.code))

    def _bury(self, dead: Waiting, detail: str) -> None:
        """Go on without a message that will never be taken.

        The alarm is a row itself; a dead one makes no further alarm, or a broker that takes none would have rows
        made without end.
        """
        if dead.seq is not None:
            self._drain.bury(dead.seq)
        if dead.payload.get("event") == "dead_letter":
            log.error("dead_letter", detail=detail)
        else:
            self._alarms.say("dead_letter", detail, dead.seq or dead.kind)

    def _subscribed(self, heard: SubAck) -> None:
        if heard.generation == self._generation and heard.refused:
            codes = ", ".join(f"0x{code:02x}" for code in heard.refused)
            self._alarms.say("subscription_refused", f"no commands will come; the broker says {codes}")
            self._subscribe_at = after(self._clock.now(), SUBSCRIBE_AGAIN_AFTER)

    # What is due

    def _keep_house(self, now: Instant) -> None:
        if self._build_at is not None and now >= self._build_at:
            self._build()
        if self._connected_at is not None and between(self._connected_at, now) > STEADY_AFTER:
            self._back_off.reset()
        if self._transport is not None:
            self._look_after(self._transport, now)
        wanted = self._drain.wants(self._ledger.span(), now)
        if wanted is not None:
            self._ledger.read_rows(wanted, READ_AHEAD, lambda rows: self._words.put(lambda: self._fetched(rows)))

    def _look_after(self, transport: Transport, now: Instant) -> None:
        if self._subscribe_at is not None and now >= self._subscribe_at:
            self._subscribe_at = None
            transport.subscribe(self._generation, TOPICS)
        if between(self._progress_at, now) > STUCK_AFTER + transport.pause:
            log.error("link_without_progress", connected=self.connected)
            self._rebuild()

    def _fetched(self, rows: Sequence[LedgerRow]) -> None:
        self._drain.fetched(rows)

    def _rebuild(self) -> None:
        """Throw away a client that does nothing any more, and its thread with it."""
        old, self._transport = self._transport, None
        if old is not None:
            _retire(old)
        self._part()
        self._build()

    def _pump(self) -> None:
        """Publish while the window has room: replies, states, presence, rows of the ledger, readings."""
        while self.connected and len(self._in_flight) < self._window:
            waiting = self._next()
            if waiting is None or not self._publish(waiting):
                return

    def _next(self) -> Waiting | None:
        waiting = self._out.urgent(self._conn_said)
        if waiting is not None:
            return waiting
        row = self._drain.take(self._ledger.span(), self._clock.now())
        if row is not None:
            return Waiting(
                topic=f"up/{row.kind.value}", payload=bodies.ledger_payload(self._gateway, row), seq=row.seq
            )
        return self._out.reading()

    def _publish(self, waiting: Waiting) -> bool:
        """Hand a message to paho; `False` if the connection is gone, of which we shall hear in a moment."""
        assert self._transport is not None
        data, properties = _json(waiting.payload), self._properties(waiting)
        packet = self._transport.packet_size(waiting.topic, data, properties)
        if len(data) > LARGEST or (self._largest_packet is not None and packet > self._largest_packet):
            self._bury(waiting, f"{waiting.topic} {waiting.seq or ''} is {len(data)} bytes long")
            return True
        mid = self._transport.publish(
            self._generation, waiting.topic, data, retain=waiting.retain, properties=properties
        )
        if mid is None:
            self._out.put_back(waiting)
            return False
        self._in_flight[mid] = waiting
        return True

    def _properties(self, waiting: Waiting) -> Properties:
        properties = properties_of(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        if waiting.expires_at is not None:
            properties.MessageExpiryInterval = waiting.left(self._clock.now())
        if waiting.correlation is not None:
            properties.CorrelationData = waiting.correlation
        return properties

    # The end

    def _leave(self) -> None:
        """Hand in replies and states that wait, say goodbye, then disconnect; each has a second at most."""
        self._drain.disconnected()
        self._settle()
        if self.connected and self._cause == "shutdown" and len(self._in_flight) < self._window:
            self._publish(self._out.goodbye(self._conn_said))
            self._settle()
        transport, self._transport = self._transport, None
        self.connected = False
        if transport is not None:
            _retire(transport)

    def _settle(self) -> None:
        deadline = after(self._clock.now(), FAREWELL)
        self._listen(0.0)
        self._pump()
        while self._in_flight and self.connected and self._clock.now() < deadline:
            self._listen(0.05)
            self._pump()


def _retire(transport: Transport) -> None:
    """End a client without waiting for it: its own farewell hangs while a message is unacknowledged."""
    thread = threading.Thread(target=transport.retire(), name="mqtt farewell", daemon=True)
    thread.start()
    thread.join(FAREWELL)


def _json(payload: Body) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _nothing() -> None:
    """Wake the thread, and that is all."""
