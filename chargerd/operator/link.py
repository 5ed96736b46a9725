"""The connection to the broker: what comes is stored, and then acknowledged."""

import json
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from chargerd.operator.clock import steady
from chargerd.operator.collector import Collector, Wanted
from chargerd.operator.messages import Command, Message, UnsoundError, understood
from chargerd.operator.store import Store

SESSION_S = 7 * 86_400
"""For how long the broker keeps what comes while we are away."""
MOST_WAITING = 1000
MOST_AT_ONCE = 500
"""Rows that are committed together."""
AGAIN_S = 5.0
"""After so long without a reply a command is sent again: the same id, so that it has one effect."""
WAIT_S = 0.2
KEEPALIVE_S = 30
CONNACK_S = 10.0
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 20.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where the broker is, and who we are to it. `name`: the client id; its session outlives the process.

    `gateway`: whose operator we are; `+`: of all. What we do not store we do not acknowledge.
    """

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca: str | None = None
    root: str = "chargerd/v1"
    name: str = "operator-1"
    gateway: str = "+"
    session_s: int = SESSION_S

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


class Link:
    """Paho's thread fills a queue, ours empties it. `heard` is told of each batch once it is stored."""

    def __init__(self, broker: Broker, store: Store, heard: Callable[[Sequence[Message]], None]) -> None:
        self._broker = broker
        self._store = store
        self._heard = heard
        self._collector = Collector(store)
        # When it is full, paho waits: what gateways send faster than we store waits at the broker.
        self._arrived: queue.Queue[paho.MQTTMessage] = queue.Queue(MOST_WAITING)
        self._sent: dict[str, float] = {}
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._due = 0.0
        self._pause_s = SHORTEST_PAUSE_S
        self.connected = False

    def start(self) -> None:
        """Connect, and go on trying for ever: riders are told meanwhile that no shed can be reached."""
        self._thread.start()

    def stop(self) -> None:
        """Leave; the broker keeps our session."""
        self._leaving.set()
        self._thread.join()
        self._hang_up()

    def send(self, command: Command) -> None:
        """Send a command that is stored; without a connection it goes out when there is one, if it is good then.

        The broker keeps it for no longer than that.
        """
        left = int(command.until - self._store.clock())
        if left < 1 or not self.connected:
            return
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = min(left, command.ttl_s)
        topic = f"{self._broker.root}/{command.gateway}/cmd/{command.name}"
        self._sent[command.id] = steady()
        self._client.publish(topic, command.payload, qos=1, properties=properties)

    # The connection

    def _connect(self) -> None:
        """Begin anew with a client that knows of nothing.

        One that connected again by itself would send again what was under way, with the Message Expiry it had
        then: a start that nobody waits for any more.
        """
        self._hang_up()
        broker = self._broker
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=broker.name, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = lambda _client, _data, message: self._arrived.put(message)
        if broker.tls:
            client.tls_set(ca_certs=broker.ca)
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password)
        kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho does not annotate it
        kept.SessionExpiryInterval = broker.session_s
        self._client, self._pause_s = client, min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._due = steady() + self._pause_s
        try:
            client.connect(broker.host, broker.port, KEEPALIVE_S, clean_start=False, properties=kept)
        except OSError as error:
            log.warning("no broker answers at %s: %s", broker, error)
        else:
            self._due = steady() + CONNACK_S
            client.loop_start()

    def _hang_up(self) -> None:
        self.connected = False
        self._client.disconnect()
        self._client.loop_stop()

    # Paho's thread

    def _on_connect(
        self, client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            log.warning("the broker %s refuses: %s", self._broker, reason)
            return
        log.info("connected to %s", self._broker)
        levels = ("state/#", "up/session", "up/event", "up/reading", "up/reply")
        client.subscribe([(f"{self._broker.root}/{self._broker.gateway}/{level}", 1) for level in levels])
        self._pause_s = SHORTEST_PAUSE_S
        self.connected = True

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self.connected = False
        self._due = steady() + self._pause_s
        if not self._leaving.is_set():
            log.warning("no connection to %s: %s", self._broker, reason)

    # Our own

    def _run(self) -> None:
        again_at = 0.0
        while not self._leaving.is_set():
            if not self.connected and steady() >= self._due:
                self._connect()
            try:
                batch = self._batch()
                self._say(self._collector.take(batch))
                if batch:
                    self._heard(batch)
                if steady() >= again_at:
                    again_at = steady() + 1.0
                    self._send_again()
            except sqlite3.OperationalError:
                log.exception("the database takes nothing; nothing is acknowledged, so it comes again")
                self._leaving.wait(1.0)

    def _batch(self) -> list[Message]:
        """Return what has come, a moment after it has."""
        found: list[Message] = []
        try:
            message = self._arrived.get(timeout=WAIT_S)
            while True:
                self._add(message, found)
                if len(found) == MOST_AT_ONCE:
                    break
                message = self._arrived.get_nowait()
        except queue.Empty:
            pass
        return found

    def _add(self, message: paho.MQTTMessage, found: list[Message]) -> None:
        if not message.payload:  # Somebody has cleared what was retained.
            return
        expires = getattr(message.properties, "MessageExpiryInterval", None)
        try:
            found.append(understood(self._broker.root, message.topic, bytes(message.payload), expires))
        except UnsoundError as error:
            log.warning("%r is not as the contract has it: %r", message.topic, error)

    def _say(self, wanted: Wanted) -> None:
        for (gateway, stream), through in wanted.acks.items():
            ack = json.dumps({"stream": stream, "through": through})
            self._client.publish(f"{self._broker.root}/{gateway}/ack", ack, qos=1, retain=True)
        for gateway, stream, first, last in wanted.replays:
            args = {"stream": stream, "from": first, "to": last}
            self.send(Command.new(gateway, "replay", args, now=self._store.clock()))

    def _send_again(self) -> None:
        now = steady()
        wanted = self._store.unanswered()
        self._sent = {one.id: self._sent[one.id] for one in wanted if one.id in self._sent}
        due = [one for one in wanted if now >= self._sent.get(one.id, now - AGAIN_S) + AGAIN_S]
        for command in due:
            self.send(command)
