"""A client that shows what a broker does: every packet is asked for by hand, nothing is tried again by itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

WITHIN_S = 8.0
QUIET_S = 1.0
"""After so long without a message there comes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a broker listens, and who one is to it."""

    port: int
    host: str = "127.0.0.1"
    login: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """A last will, and after how many seconds it is told."""

    topic: str
    delay_s: int = 0


@dataclass(slots=True)
class Client:
    """A context manager: connects on entering, and breaks off without a word on leaving."""

    place: Place
    name: str
    session_s: int = 0
    clean: bool = True
    receive_maximum: int | None = None
    manual: bool = False
    will: Will | None = None
    messages: list[paho.MQTTMessage] = field(default_factory=list)
    properties: Any = None
    code: int | None = None
    """What the CONNACK has said."""
    present: bool = False
    """Whether the broker had a session for us."""
    ended: int | None = None
    """What its DISCONNECT said."""
    acked: dict[int | None, int] = field(default_factory=dict)
    granted: dict[int | None, list[int]] = field(default_factory=dict)
    client: paho.Client = field(init=False)

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.leave()

    def connect(self) -> None:
        """Connect once. Raises `TimeoutError` if there is no answer."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.name,
            protocol=paho.MQTTv5,
            manual_ack=self.manual,
            reconnect_on_failure=False,
        )
        self.client, self.code, self.ended = client, None, None
        client.max_inflight_messages_set(1000)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = lambda _client, _data, message: self.messages.append(message)
        client.on_publish = lambda _client, _data, mid, code, _properties: self.acked.update(
            {mid: int(code.value)}
        )
        client.on_subscribe = lambda _client, _data, mid, codes, _properties: self.granted.update(
            {mid: [int(code.value) for code in codes]}
        )
        if self.place.login is not None:
            client.username_pw_set(*self.place.login)
        if self.will is not None:
            will = made(PacketTypes.WILLMESSAGE)
            will.WillDelayInterval = self.will.delay_s
            client.will_set(self.will.topic, b"lost", qos=1, retain=True, properties=will)
        properties = made(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self.session_s
        if self.receive_maximum is not None:
            properties.ReceiveMaximum = self.receive_maximum
        client.connect(
            self.place.host, self.place.port, keepalive=30, clean_start=self.clean, properties=properties
        )
        client.loop_start()
        self.wait(lambda: self.code is not None, "CONNACK")

    def _connected(self, _client: object, _data: object, flags: Any, code: Any, properties: Any) -> None:
        self.properties, self.present, self.code = properties, flags.session_present, int(code.value)

    def _disconnected(self, _client: object, _data: object, flags: Any, code: Any, _properties: object) -> None:
        self.ended = int(code.value) if flags.is_disconnect_packet_from_server else 0

    def offers(self, name: str, default: int) -> int:
        """Return what its CONNACK says of something."""
        return int(getattr(self.properties, name, default))

    def subscribe(self, topic: str, **options: Any) -> list[int]:
        """Subscribe at QoS 1; return the broker's answer."""
        mid = self.client.subscribe(topic, options=SubscribeOptions(qos=1, **options))[1]
        self.wait(lambda: mid in self.granted or self.ended is not None, "SUBACK")
        return self.granted.get(mid, [-1])

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, expiry: int | None = None, **more: Any
    ) -> int:
        """Publish at QoS 1; return what the PUBACK says, -1 for a connection that ended."""
        mid = self.send(topic, payload, retain=retain, expiry=expiry, **more)
        self.wait(lambda: mid in self.acked or self.ended is not None, "PUBACK")
        return self.acked.get(mid, -1)

    def send(
        self, topic: str, payload: bytes, *, retain: bool = False, expiry: int | None = None, **more: Any
    ) -> int:
        """Publish at QoS 1 and do not wait."""
        properties = made(PacketTypes.PUBLISH)
        if expiry is not None:
            properties.MessageExpiryInterval = expiry
        for name, value in more.items():
            setattr(properties, name, value)
        return int(self.client.publish(topic, payload, qos=1, retain=retain, properties=properties).mid)

    def heard(self, count: int = 1, within: float = WITHIN_S) -> list[paho.MQTTMessage]:
        """Return what has come, as soon as there are so many, or when none comes any more."""
        until = time.monotonic() + (within if count else QUIET_S)
        while time.monotonic() < until and (not count or len(self.messages) < count):
            time.sleep(0.02)
        return list(self.messages)

    def wait(self, holds: Callable[[], bool], what: str, within: float = WITHIN_S) -> None:
        """Wait for something. Raises `TimeoutError`."""
        until = time.monotonic() + within
        while not holds():
            if time.monotonic() > until:
                raise TimeoutError(f"no {what}")
            time.sleep(0.01)

    def leave(self) -> None:
        """Say goodbye."""
        self.client.disconnect()
        self.client.loop_stop()

    def break_off(self) -> None:
        """End the connection without a word, as a power cut does."""
        sock = self.client.socket()
        self.client.loop_stop()
        if sock is not None:
            sock.close()


def made(packet: int) -> Any:
    """Return empty properties."""
    return Properties(packet)  # type: ignore[no-untyped-call]
