"""A scripted broker: it knows just enough MQTT 5 to misbehave on purpose."""

import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from tests.contract.checking import complaints_of_link

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14


@dataclass(kw_only=True)
class Published:
    connection: int
    topic: str
    mid: int
    duplicate: bool
    body: dict[str, Any]
    qos: int = 1
    retain: bool = False
    expiry: int | None = None


@dataclass(kw_only=True)
class Script:
    """What it does: the CONNACK's properties and code, and the code of each PUBACK (`None`: none at all)."""

    connack: int = 0
    receive_maximum: int = 20
    puback: Callable[[Published], int | None] = lambda _published: 0
    suback: int = 1
    hang_up_after: int | None = None
    """Break the first connection after this many publications."""
    farewell: int | None = None
    """Say DISCONNECT with this reason to the first connection, right after its CONNACK."""
    mute: bool = False
    """Take the connection and say nothing, ever."""
    drop_every: int | None = None
    """Hang up on every n-th connection as soon as it has said CONNECT."""
    hang_up_every: int | None = None
    """Break every connection after this many publications."""
    offers: dict[str, int] = field(default_factory=dict)
    """More properties of its CONNACK. It ends connections that ask for more than it says it has."""
    guards_states: bool = False
    """Hang up on whoever subscribes to states."""


class Hostile:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.published: list[Published] = []
        self.connects = 0
        self.hellos: list[bytes] = []
        """The CONNECT packets, without their first byte and length."""
        self.farewells: list[bytes] = []
        """The DISCONNECT packets, likewise; an empty one means reason 0."""
        self.subscriptions: list[bytes] = []
        self.most_unanswered = 0
        self.unanswered: dict[int, int] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            sock.close()
        self._thread.join(5)
        wrong = [
            complaint
            for one in self.published
            for complaint in complaints_of_link(one.topic.removeprefix("chargerd/v1/shed-1/"), one.body)
        ]
        assert not wrong, wrong[:5]

    def _serve(self) -> None:
        while True:
            try:
                sock, _address = self._listener.accept()
            except OSError:
                return
            self._open.append(sock)
            self.connects += 1
            threading.Thread(target=self._one, args=(sock, self.connects), daemon=True).start()

    def _one(self, sock: socket.socket, number: int) -> None:
        try:
            with sock, sock.makefile("rb") as stream:
                while head := stream.read(1):
                    body = stream.read(_length(stream.read))
                    if not self._answer(sock, number, head[0], body):
                        sock.shutdown(socket.SHUT_RDWR)
                        return
        except OSError:
            return

    def _answer(self, sock: socket.socket, number: int, head: int, body: bytes) -> bool:
        kind = head >> 4
        if self.script.mute:
            return True
        if kind == CONNECT:
            self.hellos.append(body)
            return self._welcome(sock, number)
        if kind == SUBSCRIBE:
            self.subscriptions.append(body)
            if self.script.guards_states and b"/state/" in body:
                return False
            count = 2
            sock.sendall(_packet(0x90, body[:2] + b"\0" + bytes([self.script.suback]) * count))
        elif kind == DISCONNECT:
            self.farewells.append(body[:1])
        elif kind == PINGREQ:
            sock.sendall(b"\xd0\0")
        elif kind == PUBLISH:
            return self._take(sock, number, head, body)
        return True

    def _welcome(self, sock: socket.socket, number: int) -> bool:
        if self.script.drop_every is not None and number % self.script.drop_every == 0:
            return False
        properties = Properties(PacketTypes.CONNACK)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = self.script.receive_maximum
        for name, value in self.script.offers.items():
            setattr(properties, name, value)
        too_much = self._too_much(qos=(self.hellos[-1][7] & 0x18) >> 3, retain=bool(self.hellos[-1][7] & 0x20))
        if too_much is not None:
            sock.sendall(_packet(0x20, bytes([0, too_much, 0])))
            return False
        packed: bytes = properties.pack()  # type: ignore[no-untyped-call]
        sock.sendall(_packet(0x20, bytes([0, self.script.connack]) + packed))
        self.unanswered[number] = 0
        if number == 1 and self.script.farewell is not None:
            sock.sendall(_packet(0xE0, bytes([self.script.farewell, 0])))
            _leave(sock)
            return False
        return self.script.connack == 0

    def _too_much(self, *, qos: int, retain: bool) -> int | None:
        """Return the code for who sends what it does not have (MQTT 5, 3.2.2.3)."""
        if retain and not self.script.offers.get("RetainAvailable", 1):
            return 0x9A
        return 0x9B if qos > self.script.offers.get("MaximumQoS", 2) else None

    def _take(self, sock: socket.socket, number: int, head: int, body: bytes) -> bool:
        (size,) = struct.unpack("!H", body[:2])
        topic = body[2 : 2 + size].decode()
        rest, mid, qos = body[2 + size :], 0, (head & 6) >> 1
        if qos:
            (mid,) = struct.unpack("!H", rest[:2])
            rest = rest[2:]
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        _properties, used = properties.unpack(rest)  # type: ignore[no-untyped-call]
        one = Published(
            connection=number,
            topic=topic,
            mid=mid,
            duplicate=bool(head & 8),
            body=json.loads(rest[used:] or b"{}"),
            qos=qos,
            retain=bool(head & 1),
            expiry=getattr(properties, "MessageExpiryInterval", None),
        )
        self.published.append(one)
        too_much = self._too_much(qos=one.qos, retain=one.retain)
        if too_much is None and len(body) > self.script.offers.get("MaximumPacketSize", len(body)):
            too_much = 0x95
        if too_much is not None:
            sock.sendall(_packet(0xE0, bytes([too_much, 0])))
            _leave(sock)
            return False
        code = self.script.puback(one) if qos else 0
        if not qos:
            pass
        elif code is None:
            self.unanswered[number] += 1
            self.most_unanswered = max(self.most_unanswered, self.unanswered[number])
        else:
            sock.sendall(_packet(0x40, struct.pack("!HBB", mid, code, 0)))
        mine = sum(1 for published in self.published if published.connection == number)
        return mine != self.script.hang_up_every and not (number == 1 and mine == self.script.hang_up_after)


def _leave(sock: socket.socket) -> None:
    """End so that the last word arrives: to close before all was read is a reset, which swallows it."""
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(4096):
        pass


def _packet(head: int, body: bytes) -> bytes:
    size: bytes = VariableByteIntegers.encode(len(body))  # type: ignore[no-untyped-call]
    return bytes([head]) + size + body


def _length(read: Callable[[int], bytes]) -> int:
    total, shift = 0, 0
    while True:
        byte = read(1)[0]
        total |= (byte & 0x7F) << shift
        if byte < 0x80:
            return total
        shift += 7
