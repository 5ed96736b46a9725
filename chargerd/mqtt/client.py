"""The link to the broker: one thread that owns everything, and paho's, whose callbacks only fill its queue.

paho keeps nothing over a crash, ignores the broker's Receive Maximum, sends its whole backlog again on a
reconnect, calls a refused PUBLISH published, and loses its thread to an exception in a callback. So the ledger is
the only queue, paho's own is emptied at each connect, the window is counted here by PUBACKs, and no callback does
anything.
"""

import json
import queue
import random
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from chargerd.config.document import MqttSection
from chargerd.core.clock import Clock
from chargerd.core.ledger import Body, LedgerRow, LedgerSpan, Reply
from chargerd.core.moment import Moment
from chargerd.core.units import Instant, PortId, Seconds, after, between
from chargerd.mqtt import bodies
from chargerd.mqtt.commands import Arrived, Incoming, Refusal, parse
from chargerd.mqtt.contract import LARGEST, AckBody, PresenceBody
from chargerd.mqtt.drain import READ_AHEAD, Drain

log = structlog.get_logger(__name__)

KEEPALIVE = 30
SESSION_EXPIRY = 3600
WILL_DELAY = 15
WINDOW = 20
"""Unacknowledged publications at most, or the broker's Receive Maximum if that is less."""
ACK_WAIT = Seconds(2.0)
"""How long the drain waits after a connect for the retained acknowledgement."""
PRESENCE_EVERY = Seconds(60.0)
PRESENCE_EXPIRY = 180
STATES_EVERY = Seconds(900.0)
STATE_EXPIRY = 3600
REPLY_EXPIRY = 3600
READING_EXPIRY = 86400
MOST_READINGS = 200
MOST_REPLIES = 1000
BACK_OFF_FIRST, BACK_OFF_MOST = Seconds(1.0), Seconds(60.0)
TAKEN_OVER_BACK_OFF = (Seconds(120.0), Seconds(300.0))
TAKEN_OVER = 0x8E
STEADY_AFTER = Seconds(10.0)
"""A connection that held this long resets the back-off."""
STUCK_AFTER = Seconds(3.0 * KEEPALIVE)
PAUSE_REFUSED = Seconds(60.0)
PAUSE_OTHER = Seconds(5.0)
REFUSED = frozenset({0x87, 0x97})
"""Not authorised, quota exceeded: the broker's settings are wrong; sending on would lose rows."""
DEAD = frozenset({0x90, 0x99})
"""Topic name invalid, payload format invalid: this one message will never be taken."""
FAILURE = 0x80
USER_TIMEOUT_MS = 20_000
TURN = 1.0


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


class StateSource(Protocol):
    """Who knows the states to publish."""

    def info(self) -> Body:
        """Return `state/info` without its envelope."""

    def port_ids(self) -> Sequence[PortId]:
        """Return all ports."""

    def port_state(self, port: PortId) -> Body:
        """Return `state/port/{port}` without its envelope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A publication the broker has not acknowledged yet; `seq` if it is a row of the ledger."""

    topic: str
    seq: int | None = None


@dataclass(slots=True, kw_only=True)
class _Received:
    """A message of the broker's; `done` when it may be acknowledged."""

    mid: int
    qos: int
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    topic: str
    body: Body
    moment: Moment
    expires_at: Instant
    correlation: bytes | None = None


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
        self._states = states
        self._on_command = on_command
        self._on_refused = on_refused
        self._on_alarm = on_alarm
        self._on_crash = on_crash
        self._words: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._jitter = random.Random(gateway + str(clock.now()))  # noqa: S311 - spreads reconnects, guards nothing
        self._stopping = threading.Event()
        self._client: paho.Client | None = None
        self._conn = 0
        self._received: deque[_Received] = deque()
        self._window = WINDOW
        self._largest = LARGEST
        self._in_flight: dict[int, _Sent] = {}
        self._drain = Drain()
        self._dirty: dict[str, None] = {}
        self._replies: deque[_Waiting] = deque(maxlen=MOST_REPLIES)
        self._readings: deque[_Waiting] = deque(maxlen=MOST_READINGS)
        self._connected_at: Instant | None = None
        self._progress_at = clock.now()
        self._failures = 0
        self._presence_at: Instant | None = None
        self._states_at: Instant | None = None
        self.connected = False
        self.last_turn: Instant = clock.now()

    # For everybody

    def start(self) -> None:
        """Begin to connect; returns at once, whether there is a broker or not."""
        self._thread.start()

    def stop(self, cause: str = "shutdown", timeout: Seconds = Seconds(3.0)) -> None:
        """Say goodbye and end."""
        self._words.put(lambda: self._say_goodbye(cause))
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def drained(self) -> bool:
        """Say whether every row of the ledger is with the broker, as far as this connection goes."""
        return self._drain.sent_through(self._ledger.span()) and not self._in_flight

    def port_changed(self, port: PortId) -> None:
        """Publish a port's state."""
        self._words.put(lambda: self._dirty.update({f"state/port/{port}": None}))

    def rows_added(self) -> None:
        """The ledger has grown."""
        self._words.put(_nothing)

    def publish_reply(self, reply: Reply, correlation: bytes | None) -> None:
        """Publish a reply to a command."""
        self._queue_up(self._replies, "up/reply", reply.body, REPLY_EXPIRY, correlation)

    def publish_reading(self, body: Body) -> None:
        """Publish values of a closed port; not kept for long while there is no connection."""
        if self.connected:
            self._queue_up(self._readings, "up/reading", body, READING_EXPIRY, None)

    def _queue_up(
        self, into: "deque[_Waiting]", topic: str, body: Body, expiry: int, correlation: bytes | None
    ) -> None:
        moment = self._clock.moment()
        waiting = _Waiting(
            topic=topic,
            body=body,
            moment=moment,
            expires_at=after(moment.instant, Seconds(expiry)),
            correlation=correlation,
        )
        self._words.put(lambda: into.append(waiting))

    # The thread

    def _run(self) -> None:
        try:
            self._count_then_connect()
            while not (self._stopping.is_set() and self._words.empty()):
                self._turn()
            self._hang_up()
        except BaseException as error:  # noqa: BLE001 - the thread's last word, passed on to the supervisor
            self._on_crash(error)

    def _turn(self) -> None:
        self.last_turn = self._clock.now()
        try:
            self._words.get(timeout=TURN)()
            while True:
                self._words.get_nowait()()
        except queue.Empty:
            pass
        self._keep_house(self._clock.now())
        self._pump()

    def _count_then_connect(self) -> None:
        counted: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._ledger.count_connection(counted.put)
        try:
            self._conn = counted.get(timeout=ACK_WAIT)
        except queue.Empty:
            log.warning("connection_not_counted")
        self._build()

    def _build(self) -> None:
        """Make a new paho client and let it connect in its own thread; unreadable keys are tried again."""
        self._progress_at = self._clock.now()
        try:
            client = self._new_client()
        except (OSError, ValueError) as error:
            self._on_alarm("link_not_set_up", f"{self._config.host}: {error}")
            return
        self._client = client
        self._set_will(client)
        properties = _properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY
        properties.ReceiveMaximum = WINDOW
        properties.MaximumPacketSize = 4 * LARGEST
        client.connect_async(
            self._config.host,
            self._config.broker_port,
            keepalive=KEEPALIVE,
            clean_start=False,
            properties=properties,
        )
        client.loop_start()

    def _new_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=self._gateway, protocol=paho.MQTTv5, manual_ack=True
        )
        client.suppress_exceptions = True
        client.max_inflight_messages_set(65535)
        if self._config.username is not None:
            client.username_pw_set(self._config.username, _password(self._config))
        if self._config.tls is not None:
            tls = self._config.tls
            client.tls_set(ca_certs=tls.ca, certfile=tls.certificate, keyfile=tls.key)
        client.on_connect = self._when_connected
        client.on_connect_fail = self._when_not_connected
        client.on_disconnect = self._when_disconnected
        client.on_message = self._when_message
        client.on_publish = self._when_published
        client.on_socket_open = _watch_socket
        return client

    def _set_will(self, client: paho.Client) -> None:
        body = PresenceBody(status="offline", cause="lost", conn=self._conn)
        payload = {**bodies.envelope(self._gateway, self._clock.moment()), **bodies.plain(body)}
        properties = _properties(PacketTypes.WILLMESSAGE)
        properties.WillDelayInterval = WILL_DELAY
        client.will_set(
            f"{self._root}/state/gateway", json.dumps(payload), qos=1, retain=True, properties=properties
        )

    # paho's thread: words for the queue and nothing else

    def _when_connected(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self._words.put(lambda: self._refused(client, code))
            client.reconnect_delay_set(*self._delay(int(code.value)))
            return
        most = getattr(properties, "ReceiveMaximum", WINDOW)
        largest = getattr(properties, "MaximumPacketSize", LARGEST)
        self._words.put(lambda: self._connected(client, most, largest))

    def _when_not_connected(self, client: paho.Client, _userdata: object) -> None:
        client.reconnect_delay_set(*self._delay(0))
        self._words.put(self._progress)

    def _when_disconnected(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        client.reconnect_delay_set(*self._delay(int(code.value)))
        self._words.put(lambda: self._disconnected(client, code))

    def _when_message(self, client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        moment = self._clock.moment()
        self._words.put(lambda: self._arrived(client, message, moment))

    def _when_published(
        self,
        client: paho.Client,
        _userdata: object,
        mid: int,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._words.put(lambda: self._acknowledged(client, mid, int(code.value)))

    def _delay(self, code: int) -> tuple[int, int]:
        """Return how long to wait before the next attempt: anywhere up to a bound that doubles (full jitter)."""
        if code == TAKEN_OVER:
            delay = self._jitter.uniform(*TAKEN_OVER_BACK_OFF)
        else:
            bound = min(BACK_OFF_MOST, BACK_OFF_FIRST * 2**self._failures)
            self._failures = min(self._failures + 1, 10)
            delay = self._jitter.uniform(0.1, bound)
        # paho's annotation wants whole seconds, its arithmetic takes any; whole ones would march in step.
        return delay, delay  # type: ignore[return-value]

    # Our thread: what the words mean

    def _progress(self) -> None:
        self._progress_at = self._clock.now()

    def _refused(self, client: paho.Client, code: ReasonCode) -> None:
        self._progress()
        if client is self._client:
            self._on_alarm("connection_refused", str(code))

    def _connected(self, client: paho.Client, most: int, largest: int) -> None:
        if client is not self._client:
            return
        now = self._clock.now()
        self._progress()
        client.drop_out_messages()
        self._received.clear()
        self._in_flight.clear()
        self._window = max(1, min(WINDOW, most))
        self._largest = largest
        self._connected_at = now
        self.connected = True
        log.info("connected", broker=f"{self._config.host}:{self._config.broker_port}", conn=self._conn)
        options = SubscribeOptions(qos=1)
        client.subscribe([(f"{self._root}/cmd/+", options), (f"{self._root}/ack", options)])
        self._drain.connected(after(now, ACK_WAIT))
        self._all_states()
        self._presence_at = now

    def _all_states(self) -> None:
        for port in self._states.port_ids():
            self._dirty[f"state/port/{port}"] = None
        self._dirty["state/info"] = None
        self._states_at = after(self._clock.now(), STATES_EVERY)

    def _disconnected(self, client: paho.Client, code: ReasonCode) -> None:
        if client is not self._client or not self.connected:
            return
        self._progress()
        self.connected = False
        self._connected_at = self._presence_at = None
        self._in_flight.clear()
        self._drain.disconnected()
        self._readings.clear()
        log.warning("disconnected", why=str(code))
        if int(code.value) == TAKEN_OVER:
            self._on_alarm("session_taken_over", "another client uses this gateway's id")
        self._conn += 1
        self._ledger.count_connection(_ignore)
        self._set_will(client)

    def _arrived(self, client: paho.Client, message: paho.MQTTMessage, moment: Moment) -> None:
        self._progress()
        name = message.topic.removeprefix(f"{self._root}/")
        received = _Received(mid=message.mid, qos=message.qos)
        self._received.append(received)

        def acknowledge() -> None:
            received.done = True
            self._acknowledge_in_order(client)

        if name == "ack":
            self._take_ack(bytes(message.payload))
            acknowledge()
            return
        arrived = Arrived(
            name=name.removeprefix("cmd/"),
            payload=bytes(message.payload),
            retained=message.retain,
            message_expiry=getattr(message.properties, "MessageExpiryInterval", None),
            received=moment,
            correlation=getattr(message.properties, "CorrelationData", None),
        )
        parsed = parse(arrived)
        if isinstance(parsed, Refusal):
            self._on_refused(parsed)
            acknowledge()
        else:
            self._on_command(parsed, lambda: self._words.put(acknowledge))

    def _acknowledge_in_order(self, client: paho.Client) -> None:
        """Tell the broker what we have, in the order in which it came (MQTT 5, 4.6), however long each took."""
        while self._received and self._received[0].done:
            received = self._received.popleft()
            if client is self._client and self.connected:
                client.ack(received.mid, received.qos)

    def _take_ack(self, payload: bytes) -> None:
        try:
            ack = AckBody.model_validate_json(payload)
        except ValueError as error:
            log.warning("ack_not_understood", why=str(error)[:200])
            return
        if ack.stream != self._ledger.span().stream:
            log.info("ack_of_another_stream", stream=ack.stream)
        else:
            self._ledger.acknowledge(
                ack.stream, ack.through, lambda: self._on_alarm("ack_ahead", f"acknowledged {ack.through}")
            )
        self._drain.acknowledged()

    def _acknowledged(self, client: paho.Client, mid: int, code: int) -> None:
        self._progress()
        sent = self._in_flight.pop(mid, None) if client is self._client else None
        if sent is None or code < FAILURE:
            return
        if code in DEAD:
            self._on_alarm("dead_letter", f"{sent.topic} {sent.seq or ''} refused with 0x{code:02x}")
        elif sent.seq is not None:
            pause = PAUSE_REFUSED if code in REFUSED else PAUSE_OTHER
            self._drain.pause(sent.seq, after(self._clock.now(), pause))
            self._on_alarm("publish_refused", f"{sent.topic} refused with 0x{code:02x}")
        else:
            log.warning("publish_refused", topic=sent.topic, code=f"0x{code:02x}")

    # What is due

    def _keep_house(self, now: Instant) -> None:
        if self._connected_at is not None and between(self._connected_at, now) > STEADY_AFTER:
            self._failures = 0
        if self.connected and self._states_at is not None and now >= self._states_at:
            self._all_states()
        taken_over = TAKEN_OVER_BACK_OFF[1] if not self.connected else Seconds(0.0)
        if between(self._progress_at, now) > STUCK_AFTER + taken_over and not self._stopping.is_set():
            log.error("link_without_progress", connected=self.connected)
            self._rebuild()
        span = self._ledger.span()
        wanted = self._drain.wants(span, now)
        if wanted is not None:
            self._ledger.read_rows(wanted, READ_AHEAD, lambda rows: self._words.put(lambda: self._fetched(rows)))

    def _fetched(self, rows: Sequence[LedgerRow]) -> None:
        self._drain.fetched(rows)

    def _rebuild(self) -> None:
        """Throw away a client that does nothing any more, and its thread with it."""
        old, self._client = self._client, None
        self.connected = False
        self._in_flight.clear()
        self._drain.disconnected()
        if old is not None:
            _retire(old)
        self._build()

    def _pump(self) -> None:
        """Publish while the window has room: replies, states, presence, rows of the ledger, readings."""
        while self.connected and len(self._in_flight) < self._window:
            if not (self._pump_reply() or self._pump_state() or self._pump_row() or self._pump_reading()):
                return

    def _pump_reply(self) -> bool:
        return self._pump_waiting(self._replies)

    def _pump_reading(self) -> bool:
        return self._pump_waiting(self._readings)

    def _pump_waiting(self, waiting: "deque[_Waiting]") -> bool:
        while waiting:
            one = waiting.popleft()
            left = between(self._clock.now(), one.expires_at)
            if left >= 1:
                payload = {**bodies.envelope(self._gateway, one.moment), **one.body}
                self._publish(one.topic, payload, expiry=int(left), correlation=one.correlation)
                return True
        return False

    def _pump_state(self) -> bool:
        now = self._clock.moment()
        head = bodies.envelope(self._gateway, now)
        if self._dirty:
            topic = next(iter(self._dirty))
            del self._dirty[topic]
            body = self._states.info() if topic == "state/info" else self._states.port_state(_port_of(topic))
            expiry = None if topic == "state/info" else STATE_EXPIRY
            self._publish(topic, {**head, **body}, retain=True, expiry=expiry)
            return True
        if self._presence_at is not None and now.instant >= self._presence_at:
            self._presence_at = after(now.instant, PRESENCE_EVERY)
            body = bodies.plain(PresenceBody(status="online", conn=self._conn))
            self._publish("state/gateway", {**head, **body}, retain=True, expiry=PRESENCE_EXPIRY)
            return True
        return False

    def _pump_row(self) -> bool:
        row = self._drain.take(self._ledger.span(), self._clock.now())
        if row is None:
            return False
        self._publish(f"up/{row.kind.value}", bodies.ledger_payload(self._gateway, row), seq=row.seq)
        return True

    def _publish(
        self,
        topic: str,
        payload: Body,
        *,
        retain: bool = False,
        expiry: int | None = None,
        correlation: bytes | None = None,
        seq: int | None = None,
    ) -> None:
        assert self._client is not None
        data = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        if len(data) > min(LARGEST, self._largest):
            self._on_alarm("dead_letter", f"{topic} {seq or ''} is {len(data)} bytes long")
            return
        properties = _properties(PacketTypes.PUBLISH)
        properties.ContentType = "application/json"
        if expiry is not None:
            properties.MessageExpiryInterval = expiry
        if correlation is not None:
            properties.CorrelationData = correlation
        info = self._client.publish(f"{self._root}/{topic}", data, qos=1, retain=retain, properties=properties)
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._in_flight[info.mid] = _Sent(topic=topic, seq=seq)

    # The end

    def _say_goodbye(self, cause: str) -> None:
        self._dirty.clear()
        self._presence_at = None
        if self.connected and cause == "shutdown":
            body = bodies.plain(PresenceBody(status="offline", cause="shutdown", conn=self._conn))
            head = bodies.envelope(self._gateway, self._clock.moment())
            self._publish("state/gateway", {**head, **body}, retain=True)

    def _hang_up(self) -> None:
        """Give the broker a second to take what is in flight, then disconnect."""
        deadline = after(self._clock.now(), Seconds(1.0))
        while self._in_flight and self.connected and self._clock.now() < deadline:
            try:
                self._words.get(timeout=0.05)()
            except queue.Empty:
                continue
        client, self._client = self._client, None
        self.connected = False
        if client is not None:
            _retire(client)


def _retire(client: paho.Client) -> None:
    """End a client without waiting for it: its own farewell hangs while a message is unacknowledged."""
    client.drop_out_messages()
    client.disconnect()
    thread = threading.Thread(target=client.loop_stop, name="mqtt farewell", daemon=True)
    thread.start()
    thread.join(1.0)


def _watch_socket(_client: paho.Client, _userdata: object, sock: object) -> None:
    """Have the kernel give up on a dead connection after 20 s, rather than after a quarter of an hour."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


def _password(config: MqttSection) -> str | None:
    if config.password_file is None:
        return None
    lines = Path(config.password_file).read_text(encoding="utf-8").splitlines()
    return lines[0] if lines else ""


def _port_of(topic: str) -> PortId:
    return PortId(topic.removeprefix("state/port/"))


def _properties(packet: int) -> Properties:
    # paho leaves this one constructor without types.
    return Properties(packet)  # type: ignore[no-untyped-call]


def _nothing() -> None:
    """Wake the thread, and that is all."""


def _ignore(_number: int) -> None:
    """Take no note of a number."""
