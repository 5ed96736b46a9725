"""The link to the broker: one thread that owns everything; paho's thread only fills its queue.

paho keeps nothing over a crash, sends its whole backlog again on a reconnect, and loses its thread to an exception
in a callback. So the ledger is the only queue, paho's own is emptied at each connect, and no callback decides
anything.
"""

import itertools
import queue
import threading
from collections.abc import Callable, Mapping
from typing import TypeAlias

from chargerd.config.document import MqttSection
from chargerd.contract import bodies
from chargerd.contract.commands import Incoming, Refusal
from chargerd.contract.ledger import Body, Json, Reply
from chargerd.contract.parts import json_of, up_ms
from chargerd.contract.payloads import (
    HEALTH_EXPIRY,
    READING_EXPIRY,
    REPLY_EXPIRY,
    ClockAnchorBody,
    EventBody,
    PresenceBody,
)
from chargerd.core.clock import Clock
from chargerd.core.units import Instant, PortId, Seconds, after, between
from chargerd.mqtt.alarms import Alarms
from chargerd.mqtt.attempts import Attempts, LinkState
from chargerd.mqtt.back_off import BackOff, Steadiness
from chargerd.mqtt.feed import Feed, LedgerSource
from chargerd.mqtt.heard import Connected, Delivered, Heard, Lost, NotConnected, PubAck, SubAck
from chargerd.mqtt.inbox import Inbox
from chargerd.mqtt.keys import KeyWatch
from chargerd.mqtt.offer import shortfalls
from chargerd.mqtt.outgoing import BOARD, CIRCUIT, Outgoing, StateSource, Waiting
from chargerd.mqtt.publisher import Publisher
from chargerd.mqtt.reasons import (
    BROKE_OFF,
    NO_PROGRESS,
    RENEWED,
    UNSTEADY,
    Reason,
    not_set_up,
    place_of,
)
from chargerd.mqtt.subscriptions import OWN_STATES, Subscriptions
from chargerd.mqtt.transport import ACK, KEEPALIVE, SESSION_EXPIRY, MakeTransport, Transport

COUNT_WAIT = Seconds(2.0)
"""How long the first connection waits for its number, which the journal makes durable."""
STUCK_AFTER = Seconds(3.0 * KEEPALIVE)
SET_UP_AGAIN_AFTER = Seconds(60.0)
LOOK_AT_KEYS_EVERY = Seconds(60.0)
FAREWELL = Seconds(1.0)
TURN = 1.0

Word: TypeAlias = Callable[[], None]


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
        self._on_crash = on_crash
        self.make_transport: MakeTransport = Transport
        """What makes its connections; before `start`, it may be given another."""
        self._alarms = Alarms(clock, on_alarm)
        self._attempts = Attempts(clock, place_of(config), self._alarms.pass_on)
        self._words: queue.SimpleQueue[Word] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._stopping = threading.Event()
        self._cause = "shutdown"
        self.sessions_wait = False
        """Whether sessions wait for the next start, as its goodbye tells."""
        self._back_off = BackOff(gateway + str(clock.now()))
        self._steadiness = Steadiness(self._back_off)
        self._generations = itertools.count(1)
        self._transport: Transport | None = None
        self._build_at: Instant | None = None
        self._generation = 0
        """The connection that everything here is about; 0 while there is none."""
        self._conn = 0
        """The number the next connection will have; paho's thread reads it."""
        self._conn_said = 0
        self._feed = Feed(
            gateway=gateway,
            clock=clock,
            ledger=ledger,
            alarms=self._alarms,
            post=self._words.put,
            on_renewed=lambda: self._out.all_due(),  # noqa: PLW0108 - made below
        )
        self._keys = KeyWatch(config, clock, self._alarms)
        self._look_at_keys_at = clock.now()
        self._out = Outgoing(
            clock=clock,
            gateway=gateway,
            states=states,
            about_link=self._about,
            ledger=ledger.span,
            may_tell=lambda: self._feed.may_tell,
        )
        self._publisher = Publisher(clock=clock, out=self._out, feed=self._feed, alarms=self._alarms)
        self._subscriptions = Subscriptions(clock=clock, feed=self._feed, alarms=self._alarms)
        self._inbox = Inbox(
            acknowledge=self._acknowledge,
            on_command=on_command,
            on_refused=on_refused,
            post=self._words.put,
        )
        self._progress_at = clock.now()
        self._said_goodbye = False
        self.connected = False
        self.last_turn: Instant = clock.now()

    # Where time is turned by hand, in place of `start` and `stop`

    def begin(self) -> None:
        """Begin to connect; nothing is done without `turn`."""
        self._feed.begin()
        self._build_at = after(self._clock.now(), COUNT_WAIT)
        self._count(self._first_counted)

    def turn(self, timeout: float = 0.0) -> None:
        """Do what is due, in the caller's thread; wait for news for so many seconds at most."""
        self.last_turn = self._clock.now()
        self._listen(timeout)
        self._keep_house(self._clock.now())
        self._publisher.pump(self._conn_said)

    @property
    def has_news(self) -> bool:
        """Whether somebody has handed in something that no turn has dealt with."""
        return not self._words.empty()

    def say_goodbye(self) -> None:
        """Send what waits, apart from the ledger, and then that we leave; `end` follows some turns later."""
        self._feed.disconnected()
        self.turn()
        if self._publisher.has_room:
            self._said_goodbye = self._publisher.publish(
                self._out.goodbye(self._conn_said, waiting=self.sessions_wait)
            )

    @property
    def exhausted(self) -> bool:
        """Whether all is sent that may be, and the rest waits for a backend that says nothing."""
        return self._feed.exhausted and self._publisher.idle

    @property
    def settled(self) -> bool:
        """Whether the broker has confirmed everything it was sent."""
        return self._publisher.idle

    def end(self) -> None:
        """Leave the broker; a goodbye it has not confirmed leaves the last will in force."""
        self._withdraw()()

    # For everybody

    @property
    def unsent(self) -> int:
        """How many rows of the ledger no broker has confirmed, and no backend either."""
        span = self._ledger.span()
        return max(0, span.last - max(span.acked, self._feed.confirmed))

    @property
    def on_event(self) -> Callable[[EventBody], None] | None:
        """Who is told of events with figures of their own; without one they come as alarms."""
        return self._alarms.on_event

    @on_event.setter
    def on_event(self, listener: Callable[[EventBody], None] | None) -> None:
        self._alarms.on_event = listener

    def start(self) -> None:
        """Begin to connect; returns at once, whether there is a broker or not."""
        self._thread.start()

    def stop(self, cause: str = "shutdown", timeout: Seconds = Seconds(3.0), *, waiting: bool = False) -> None:
        """Say goodbye and end; wait for it `timeout` seconds at most. `waiting`: sessions go on after a start."""
        self._cause, self.sessions_wait = cause, waiting
        self._stopping.set()
        self._words.put(_nothing)
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def state(self) -> LinkState:
        """How the link stands, and why; any thread may ask."""
        return self._attempts.state

    @property
    def drained(self) -> bool:
        """Say whether every row of the ledger is with the broker, as far as this connection goes."""
        return self._feed.drained and self._publisher.idle

    def port_changed(self, port: PortId) -> None:
        """Publish a port's state."""
        self._words.put(lambda: self._out.port_changed(port))

    def board_state(self, board: str, body: Body) -> None:
        """Publish `state/board/{board}`, without its envelope, if it differs from the one before."""
        self._words.put(lambda: self._out.given(f"{BOARD}{board}", body))

    def circuit_state(self, circuit: str, body: Body) -> None:
        """Publish `state/circuit/{circuit}`, without its envelope, if it differs from the one before."""
        self._words.put(lambda: self._out.given(f"{CIRCUIT}{circuit}", body))

    def announce(self, messages: Mapping[str, Body | None], withdrawn: Callable[[], None]) -> None:
        """Have messages kept by the broker at whole topics, outside the contract's root; `None` empties one.

        `withdrawn` is called in the link's thread once the broker has taken all that were to be emptied.
        """
        self._words.put(lambda: self._out.announce(messages, withdrawn))

    def publish_states(self) -> None:
        """Publish all states again."""
        self._words.put(self._out.all_due)

    def replay(self, stream: str, start: int, to: int | None, answer: Callable[[str | None], None]) -> None:
        """Send kept rows again from `start` on, up to `to`; `answer` gets the reason if they cannot be."""
        self._words.put(lambda: answer(self._feed.replay(stream, start, to)))

    def rows_added(self) -> None:
        """The ledger has grown."""
        self._words.put(_nothing)

    def publish_reply(self, reply: Reply, correlation: bytes | None) -> None:
        """Publish a reply to a command; without a connection it waits for one, for as long as it is of use."""
        waiting = self._stamped("up/reply", reply.body, REPLY_EXPIRY, correlation=correlation)
        self._words.put(lambda: self._out.replies.append(waiting))

    def publish_reading(self, body: Body) -> None:
        """Publish values of a closed port; without a connection they are dropped."""
        if self.connected:
            waiting = self._stamped("up/reading", body, READING_EXPIRY)
            self._words.put(lambda: self._out.readings.append(waiting))

    def publish_health(self, body: Body) -> None:
        """Publish `up/health`, without its envelope; without a connection it is dropped."""
        if self.connected:
            waiting = self._stamped("up/health", body, HEALTH_EXPIRY, qos=0)
            self._words.put(lambda: self._out.healthy(waiting))

    def _stamped(
        self, topic: str, body: Body, expiry: int, *, correlation: bytes | None = None, qos: int = 1
    ) -> Waiting:
        moment = self._clock.moment()
        payload = {**bodies.envelope(self._gateway, moment), **body}
        expires_at = after(moment.instant, Seconds(expiry))
        return Waiting(topic=topic, payload=payload, expires_at=expires_at, correlation=correlation, qos=qos)

    # For paho's thread

    def hear(self, heard: Heard) -> None:
        """Take in what paho's thread has heard."""
        self._words.put(lambda: self._heard(heard))

    def will(self) -> tuple[int, bytes]:
        """Return the number of the connection about to be made, and its last will."""
        conn = self._conn
        body = PresenceBody(status="offline", cause="lost", conn=conn)
        payload = {**bodies.envelope(self._gateway, self._clock.moment()), **bodies.plain(body)}
        return conn, json_of(payload)

    # The thread

    def _run(self) -> None:
        try:
            self.begin()
            while not self._stopping.is_set():
                self.turn(TURN)
            self._leave()
        except BaseException as error:  # noqa: BLE001 - the thread's last word, passed on to the supervisor
            self._on_crash(error)

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
            self._transport = self.make_transport(
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
            reason = not_set_up(error)
            self._attempts.failed(reason, SET_UP_AGAIN_AFTER)
            self._alarms.say("link_not_set_up", reason.text)
            return
        self._transport.start()

    # What was heard

    def _heard(self, heard: Heard) -> None:
        self._progress_at = self._clock.now()
        match heard:
            case Connected():
                self._connected(heard)
            case NotConnected():
                self._attempts.failed(heard.reason, heard.pause)
                if heard.reason.ours_to_mend:
                    self._alarms.say("connection_refused", heard.reason.text, heard.reason.code)
            case Lost():
                self._lost(heard)
            case Delivered():
                self._delivered(heard)
            case PubAck():
                self._publisher.confirmed(heard)
            case SubAck():
                self._subscriptions.answered(heard)

    def _connected(self, heard: Connected) -> None:
        assert self._transport is not None
        now = self._clock.now()
        self._forget_connection()
        self._generation = heard.generation
        self._conn_said = heard.conn
        self._publisher.opened(self._transport, heard)
        self._steadiness.connected(now)
        self.connected = True
        self._attempts.connected(heard.conn, shortfalls(heard.offer, self._config, asked_session_s=SESSION_EXPIRY))
        self._subscriptions.opened(self._transport, heard)
        self._out.connected(now, heard.offer.room)

    def _lost(self, heard: Lost) -> None:
        if heard.reason.code == "taken_over":
            self._alarms.say("session_taken_over", heard.reason.text)
        elif heard.reason.ours_to_mend:
            self._alarms.say("connection_refused", heard.reason.text, heard.reason.code)
        if heard.generation == self._generation and self.connected:
            reason = heard.reason
            if not self._steadiness.lost(self._clock.now()):
                self._alarms.say("connection_unsteady", "another client may be using this gateway's id")
                reason = UNSTEADY if reason.code == BROKE_OFF else reason
            self._attempts.lost(reason, heard.pause)
            self._part()

    def _part(self) -> None:
        """The connection is gone; the next one has another number."""
        self._forget_connection()
        self._conn += 1
        self._count(self._counted)

    def _forget_connection(self) -> None:
        self.connected = False
        self._generation = 0
        self._steadiness.disconnected()
        self._publisher.closed()
        self._subscriptions.closed()
        self._inbox.clear()
        self._feed.disconnected()

    def _delivered(self, heard: Delivered) -> None:
        if heard.generation != self._generation:
            return
        message = heard.message
        name = self._below_root(message.topic)
        if name in OWN_STATES:
            received = self._inbox.take(heard)
            if message.retain:
                self._feed.own_state(name, bytes(message.payload))
            self._inbox.done(received)
        elif name == ACK:
            received = self._inbox.take(heard)
            self._feed.acknowledged(bytes(message.payload), kept=message.retain)
            self._inbox.done(received)
        else:
            self._inbox.command(name.removeprefix("cmd/"), heard)

    def _below_root(self, topic: str) -> str:
        """Return a topic without our root, also where a broker has made slashes of the dots in our id.

        What is asked of us is done all the same: it may be a stop. Only others do not hear us.
        """
        if topic.startswith(f"{self._root}/"):
            return topic[len(self._root) + 1 :]
        told = f"what was sent below {self._root} came as {topic}: this broker takes dots for slashes"
        self._alarms.say("topic_rewritten", f"{told}; give the gateway an id without dots, or a backend misses it")
        return topic.removeprefix(f"{self._root.replace('.', '/')}/")

    def _acknowledge(self, generation: int, mid: int, qos: int) -> None:
        if self._transport is not None:
            self._transport.acknowledge(generation, mid, qos)

    # What is due

    def _keep_house(self, now: Instant) -> None:
        if self._build_at is not None and now >= self._build_at:
            self._build()
        self._steadiness.look(now)
        if now >= self._look_at_keys_at:
            self._look_at_keys(now)
            self._attempts.look()
        if self._transport is not None:
            self._look_after(self._transport, now)
        self._feed.fetch_due()

    def _look_at_keys(self, now: Instant) -> None:
        self._look_at_keys_at = after(now, LOOK_AT_KEYS_EVERY)
        if self._keys.replaced():
            self._rebuild(RENEWED)
        self._keys.warn()

    def _look_after(self, transport: Transport, now: Instant) -> None:
        silent = between(self._progress_at, now) > STUCK_AFTER + transport.pause
        waits_since = self._publisher.waits_since
        if silent or (waits_since is not None and between(waits_since, now) > STUCK_AFTER):
            self._alarms.say("link_without_progress", f"connected: {self.connected}; the client is made anew")
            self._rebuild(NO_PROGRESS)
        else:
            self._subscriptions.look(now)

    def _rebuild(self, why: Reason) -> None:
        """Throw away a client that does nothing any more, or has old keys, and its thread with it."""
        old, self._transport = self._transport, None
        if old is not None:
            _see_off(old.retire(with_will=False))
        self._attempts.lost(why, Seconds(0.0))
        self._part()
        self._build()

    def _about(self) -> dict[str, Json]:
        """Return what `state/info` says of link and clock."""
        moment = self._clock.moment()
        up = up_ms(moment.instant)
        offset = None if moment.wall_ms is None else moment.wall_ms - up
        anchor = ClockAnchorBody(boot=moment.boot, up_ms=up, offset_ms=offset)
        return {"certificates": self._keys.about(), "clock_anchor": bodies.plain(anchor)}

    # The end

    def _leave(self) -> None:
        """Hand in replies and states that wait, say goodbye, then disconnect; each has a second at most."""
        self._feed.disconnected()
        self._attempts.tell()
        self._settle()
        if self._cause == "shutdown" and self._publisher.has_room:
            self._said_goodbye = self._publisher.publish(
                self._out.goodbye(self._conn_said, waiting=self.sessions_wait)
            )
            self._settle()
        _see_off(self._withdraw())

    def _settle(self) -> None:
        deadline = after(self._clock.now(), FAREWELL)
        self._listen(0.0)
        self._publisher.pump(self._conn_said)
        while not self._publisher.idle and self.connected and self._clock.now() < deadline:
            self._listen(0.05)
            self._publisher.pump(self._conn_said)

    def _withdraw(self) -> Callable[[], object]:
        """Leave the broker; return what then waits for the client to end.

        A goodbye the broker has not confirmed leaves the last will in force.
        """
        transport, self._transport = self._transport, None
        self.connected = False
        if transport is None:
            return _nothing
        return transport.retire(with_will=not (self._said_goodbye and self._publisher.idle))


def _see_off(ended: Callable[[], object]) -> None:
    """Wait for a client to end, but not for long: its own farewell hangs while a message is unacknowledged."""
    thread = threading.Thread(target=ended, name="mqtt farewell", daemon=True)
    thread.start()
    thread.join(FAREWELL)


def _nothing() -> None:
    """Wake the thread, and that is all."""
