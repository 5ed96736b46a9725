"""One paho client and the network thread it brings.

Its callbacks run in that thread, some of them under paho's own locks, and an exception in one would end it: so
they say what was heard and do nothing else, but for what has to happen before paho goes on. That is the last will,
which must carry the number of the connection it is for, and paho's own queue, which is emptied before paho sends
it again regardless of the broker's Receive Maximum.

Every connection has a generation. What belongs to an older one (an acknowledgement, a packet number) is never
taken for the present one's, and nothing is written between two connections, where it would go out ahead of
CONNECT.
"""

import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from chargerd.config.document import MqttSection
from chargerd.contract.payloads import LARGEST
from chargerd.core.clock import Clock
from chargerd.core.units import Instant, Seconds, after
from chargerd.mqtt.attempt import Attempt
from chargerd.mqtt.back_off import BackOff
from chargerd.mqtt.certificates import KeyFiles
from chargerd.mqtt.heard import Connected, Delivered, Heard, Lost, NotConnected, PubAck, SubAck
from chargerd.mqtt.offer import offer_of
from chargerd.mqtt.paho_client import Client
from chargerd.mqtt.reasons import NO_QOS_1, NO_RETAINED, TAKEN_OVER, Reason

ACK = "ack"
KEEPALIVE = 30
SESSION_EXPIRY = 3600
WILL_DELAY = 15
WINDOW = 20
"""Unacknowledged publications at most, or the broker's Receive Maximum if that is less."""
INBOX = 256
"""Commands the broker may deliver before we have acknowledged any: stops for all ports wait for no slow disk."""
LEARNED_FOR = Seconds(3600.0)
"""How long a broker's refusal of retained messages or QoS 1 is believed: then it is asked again."""
DISCONNECT_WITH_WILL = 0x04
USER_TIMEOUT_MS = 20_000
PACKET_HEAD = 5 + 2 + 2
"""Bytes of a PUBLISH besides topic, properties and payload: fixed header, topic's length, packet number."""


class Owner(Protocol):
    """What a transport asks of its owner, from paho's thread; none of it may block or raise."""

    def hear(self, heard: Heard) -> None:
        """Take this in, in order."""

    def will(self) -> tuple[int, bytes]:
        """Return the number of the connection about to be made, and its last will."""


class Transport:
    """Connects by itself until retired. Raises `OSError` or `ValueError` if its keys cannot be used."""

    def __init__(
        self,
        *,
        config: MqttSection,
        client_id: str,
        root: str,
        generations: Iterator[int],
        back_off: BackOff,
        clock: Clock,
        owner: Owner,
    ) -> None:
        self._config = config
        self._clock = clock
        self._root = root
        self._generations = generations
        self._back_off = back_off
        self._hear: Callable[[Heard], None] = owner.hear
        self._will = owner.will
        self._conn = 0
        self._attempt = Attempt(config)
        self._learned: dict[int, Instant] = {}
        """With which codes the broker refuses what it lacks, and until when that is believed."""
        self._live = 0
        """Generation of the connection there is; 0 while there is none. Written by paho's thread alone."""
        self._retired = False
        self.pause = Seconds(0.0)
        """How long paho keeps still before its next attempt."""
        self._client = self._make(client_id)

    def start(self) -> None:
        """Begin to connect, in paho's own thread."""
        properties = properties_of(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY
        properties.ReceiveMaximum = INBOX
        properties.MaximumPacketSize = 4 * LARGEST
        self._client.connect_async(
            self._config.host,
            self._config.broker_port,
            keepalive=KEEPALIVE,
            clean_start=False,
            properties=properties,
        )
        self._run()

    def _run(self) -> None:
        """Have the network served until `_cease`; whoever does so also connects anew after `pause`."""
        self._client.loop_start()

    def _cease(self) -> None:
        self._client.loop_stop()

    def subscribe(self, generation: int, topics: Sequence[str], *, own: Sequence[str] = ()) -> None:
        """Subscribe below the root, and to what of our `own` the broker has kept; `SubAck` tells what came of it.

        `own` is not told what we publish from now on.
        """
        if generation == self._live:
            # Commands as published: else a retained one would come as an ordinary one while we are connected. An
            # acknowledgement not: it is always published retained, and must tell whether its sender is there now.
            options = {topic: SubscribeOptions(qos=1, retainAsPublished=topic != ACK) for topic in topics}
            # Never QoS 0 beside it: RabbitMQ keeps that in a second queue, which no setting makes a quorum queue.
            # When the node is lost that has it, the whole session does not come back elsewhere.
            options |= {topic: SubscribeOptions(qos=1, noLocal=True) for topic in own}
            self._client.subscribe([(f"{self._root}/{topic}", one) for topic, one in options.items()])

    def unsubscribe(self, generation: int, topics: Sequence[str]) -> None:
        """Hear no more of these."""
        if generation == self._live:
            self._client.unsubscribe([f"{self._root}/{topic}" for topic in topics])

    def publish(
        self, generation: int, topic: str, data: bytes, *, qos: int, retain: bool, properties: Properties
    ) -> int | None:
        """Publish below the root, or at a whole topic after a slash; return the packet number.

        `None` if that connection is gone.
        """
        if generation != self._live:
            return None
        info = self._client.publish(whole(self._root, topic), data, qos=qos, retain=retain, properties=properties)
        # What paho queued although the connection broke this instant is dropped at the next connect.
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def packet_size(self, topic: str, data: bytes, properties: Properties) -> int:
        """Return how many bytes a publication has on the wire, at most."""
        # paho has types for most of itself, but not for this.
        packed = len(properties.pack())  # type: ignore[no-untyped-call]
        return PACKET_HEAD + len(whole(self._root, topic).encode()) + packed + len(data)

    def acknowledge(self, generation: int, mid: int, qos: int) -> None:
        """Tell the broker that we have a message of this connection's."""
        if generation == self._live:
            self._client.ack(mid, qos)

    def retire(self, *, with_will: bool) -> Callable[[], object]:
        """Hear nothing any more and leave the broker; return what then waits for paho's thread to end."""
        self._retired, self._hear = True, _deaf
        self._client.drop_out_messages()
        if with_will:
            self._client.disconnect(reasoncode=ReasonCode(PacketTypes.DISCONNECT, identifier=DISCONNECT_WITH_WILL))
        else:
            self._client.disconnect()
        return self._cease

    def _make(self, client_id: str) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5, manual_ack=True)
        client.on_failure = self._when_failed
        client.on_mute = self._when_mute
        client.suppress_exceptions = True
        client.max_inflight_messages_set(65535)
        if self._config.username is not None:
            client.username_pw_set(self._config.username, _password(self._config))
        if self._config.tls is not None:
            tls = self._config.tls
            try:
                client.tls_set(ca_certs=tls.ca, certfile=tls.certificate, keyfile=tls.key)
            except (OSError, ValueError):
                KeyFiles(self._config).check()  # OpenSSL does not say which file it is.
                raise
        client.on_pre_connect = self._when_about_to_connect
        client.on_connect = self._when_connected
        client.on_connect_fail = self._when_not_connected
        client.on_disconnect = self._when_disconnected
        client.on_message = self._when_message
        client.on_publish = self._when_published
        client.on_subscribe = self._when_subscribed
        client.on_socket_open = self._when_socket_open
        client.on_socket_close = self._when_socket_closes
        return client

    # paho's thread

    def _when_about_to_connect(self, client: paho.Client, _userdata: object) -> None:
        self._attempt = Attempt(self._config)
        client.on_log = self._when_logged  # While connected it would cost a line of text for each packet.
        now = self._clock.now()
        self._learned = {code: until for code, until in self._learned.items() if now < until}
        self._conn, payload = self._will()
        properties = properties_of(PacketTypes.WILLMESSAGE)
        properties.WillDelayInterval = WILL_DELAY
        client.will_set(
            f"{self._root}/state/gateway",
            payload,
            qos=0 if NO_QOS_1 in self._learned else 1,
            retain=NO_RETAINED not in self._learned,
            properties=properties,
        )

    def _when_logged(self, _client: paho.Client, _userdata: object, _level: int, _text: str) -> None:
        self._attempt.logged()

    def _when_socket_open(self, _client: paho.Client, _userdata: object, sock: object) -> None:
        """Have the kernel give up on a dead connection after 20 s, rather than after a quarter of an hour.

        A client that was retired while it was connecting says no CONNECT any more: it would take the session from
        its successor.
        """
        self._attempt.opened()
        self._client.await_answer()
        if not isinstance(sock, socket.socket):
            return
        if self._retired:
            sock.shutdown(socket.SHUT_RDWR)
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)

    def _when_mute(self) -> None:
        """Hang up: paho then finds that the connection is gone, as after any other end."""
        self._attempt.mute()
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            with suppress(OSError):  # It may have ended this instant.
                sock.shutdown(socket.SHUT_RDWR)

    def _when_socket_closes(self, _client: paho.Client, _userdata: object, sock: object) -> None:
        self._client.answered()
        if not self._retired:
            self._attempt.closing(sock)

    def _when_connected(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._client.answered()
        if code.is_failure:
            self._come_to_nothing(client, self._attempt.refused(code, _said(properties)), int(code.value))
            return
        client.on_log = None
        client.drop_out_messages()
        self.pause = Seconds(0.0)
        self._live = next(self._generations)
        offer = offer_of(properties, self._learned)
        self._hear(Connected(generation=self._live, conn=self._conn, offer=offer))

    def _when_not_connected(self, client: paho.Client, _userdata: object) -> None:
        # paho keeps the error to itself, but calls from where it has caught it.
        error = sys.exc_info()[1]
        self._come_to_nothing(client, self._attempt.failed(error))
        if error is not None:
            # Else the socket of a handshake that failed stays open until somebody collects garbage.
            traceback.clear_frames(error.__traceback__)

    def _when_failed(self, error: Exception) -> None:
        """Something nobody foresaw has happened in paho's thread, which goes on with the next attempt."""
        if self._live:
            self._lose(self._client, self._attempt.failed(error))
        else:
            self._come_to_nothing(self._client, self._attempt.failed(error))

    def _when_disconnected(
        self,
        client: paho.Client,
        _userdata: object,
        flags: paho.DisconnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        attempt, by_broker, said = self._attempt, flags.is_disconnect_packet_from_server, _said(properties)
        number = int(code.value) if by_broker else attempt.last_code
        if self._live:
            self._lose(client, attempt.lost(code, by_broker=by_broker, said=said), number)
        else:
            reason = attempt.unanswered(code, by_broker=by_broker, said=said)
            self._come_to_nothing(client, reason, number)

    def _lose(self, client: paho.Client, reason: Reason, code: int | None = None) -> None:
        generation, self._live = self._live, 0
        self._attempt.told = True
        self._learn(code)
        self._choose_pause(client, taken_over=code == TAKEN_OVER)
        self._hear(Lost(generation=generation, reason=reason, pause=self.pause))

    def _come_to_nothing(self, client: paho.Client, reason: Reason, code: int | None = None) -> None:
        """Tell once of each attempt why: after a refusal paho also tells that the line is gone."""
        if self._attempt.told:
            return
        self._attempt.told = True
        self._learn(code)
        self._choose_pause(client, taken_over=code == TAKEN_OVER)
        self._hear(NotConnected(reason=reason, pause=self.pause))

    def _learn(self, code: int | None) -> None:
        if code in {NO_RETAINED, NO_QOS_1}:
            self._learned[code] = after(self._clock.now(), LEARNED_FOR)

    def _when_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        self._hear(Delivered(generation=self._live, message=message, received=self._clock.moment()))

    def _when_published(
        self,
        _client: paho.Client,
        _userdata: object,
        mid: int,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._hear(PubAck(generation=self._live, mid=mid, code=int(code.value)))

    def _when_subscribed(
        self,
        _client: paho.Client,
        _userdata: object,
        _mid: int,
        codes: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self._hear(SubAck(generation=self._live, codes=tuple(int(code.value) for code in codes)))

    def _choose_pause(self, client: paho.Client, *, taken_over: bool) -> None:
        """Called once for each attempt: a second notice of the same loss must not shorten the pause."""
        self.pause = self._back_off.next(taken_over=taken_over)
        # paho's annotation wants whole seconds, its arithmetic takes any; whole ones would march in step.
        client.reconnect_delay_set(self.pause, self.pause)  # type: ignore[arg-type]


def _said(properties: Properties | None) -> str | None:
    """Return what a broker has put beside a code."""
    said = getattr(properties, "ReasonString", None)
    return None if said is None else str(said)


class MakeTransport(Protocol):
    """Makes what carries a gateway's messages: a client with a thread of its own, or another."""

    def __call__(
        self,
        *,
        config: MqttSection,
        client_id: str,
        root: str,
        generations: Iterator[int],
        back_off: BackOff,
        clock: Clock,
        owner: Owner,
    ) -> Transport:
        """Make it; nothing is connected yet. Raises as `Transport` does."""


def whole(root: str, topic: str) -> str:
    """Return a topic as the broker knows it."""
    return topic[1:] if topic.startswith("/") else f"{root}/{topic}"


def properties_of(packet: int) -> Properties:
    """Return empty properties for a packet of this type."""
    # paho leaves this one constructor without types.
    return Properties(packet)  # type: ignore[no-untyped-call]


def _deaf(_heard: Heard) -> None:
    """Hear nothing: a newer client has taken over."""


def _password(config: MqttSection) -> str | None:
    if config.password_file is None:
        return None
    lines = Path(config.password_file).read_text(encoding="utf-8").splitlines()
    return lines[0] if lines else ""
