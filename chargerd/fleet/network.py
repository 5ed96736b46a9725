"""One thread that serves the connections of all gateways, where the daemon's own client has a thread for each.

What blocks, the connecting with its TLS, is done by a few helpers, so that hundreds connect side by side and a
broker that does not answer holds up nobody.
"""

import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.properties import Properties

from chargerd.core.units import Instant, Seconds, after
from chargerd.fleet.clock import Time
from chargerd.mqtt.paho_client import Client
from chargerd.mqtt.transport import MakeTransport, Transport

HELPERS = 16
"""How many connections are made at a time."""
CARE_EVERY = Seconds(5.0)
"""How often each connection is looked at for its keep-alive."""
CONNECT_EVERY = Seconds(0.05)
"""How often connections to be made are looked for."""

Watch = Callable[[str, bytes], None]
"""Told of every publication: its topic below the gateway's root, and its payload."""
BOTH = selectors.EVENT_READ | selectors.EVENT_WRITE


@dataclass(slots=True, eq=False)
class Wire:
    """A client and what the network does for it. `when` is called when something has come."""

    client: Client
    pause: Callable[[], Seconds]
    when: Callable[[], None]
    sock: socket.socket | None = None
    due: Instant | None = None
    """When to connect; `None` while connected, or about to be."""
    writing: bool = False
    ended: bool = False
    barred: bool = False
    """Whether no attempt to connect comes to anything for now."""


class Network:
    """All wires. Everything but `_connect` is called by one thread."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._selector = selectors.DefaultSelector()
        self._wires: dict[paho.Client, Wire] = {}
        self._to_write: deque[paho.Client] = deque()
        self._made: deque[Wire] = deque()
        self._helpers = ThreadPoolExecutor(HELPERS, thread_name_prefix="connecting")
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._care_at: Instant = time.now()
        self._connect_at: Instant = time.now()

    def add(self, client: Client, pause: Callable[[], Seconds], when: Callable[[], None]) -> Wire:
        """Connect a client, and again after each loss, as long after it as `pause` says."""
        wire = Wire(client=client, pause=pause, when=when, due=self._time.now())
        self._wires[client] = wire
        self._connect_at = self._time.now()
        client.on_socket_register_write = lambda client, _data, _sock: self._to_write.append(client)
        closing = client.on_socket_close

        def close(client: paho.Client, data: object, sock: object) -> None:
            self._forget(wire)
            if closing is not None:
                closing(client, data, sock)  # type: ignore[arg-type]  # whatever socket paho hands us

        client.on_socket_close = close
        return wire

    def end(self, wire: Wire) -> None:
        """Send what a client has to say yet, and serve it no more."""
        wire.ended, wire.due = True, None
        if wire.sock is not None:
            wire.client.loop_write()
        self.cut(wire)
        self._wires.pop(wire.client, None)

    def cut(self, wire: Wire) -> None:
        """Break a connection off without a word to the broker."""
        if wire.sock is not None:
            with suppress(OSError):
                wire.sock.shutdown(socket.SHUT_RDWR)
            self._read(wire)

    def close(self) -> None:
        """End everything."""
        self._helpers.shutdown(wait=True, cancel_futures=True)
        self._selector.close()
        self._waker.close()
        self._woken.close()

    def serve(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for something to come, and see to all that is due."""
        self._flush()
        for key, events in self._selector.select(timeout):
            wire = key.data
            if wire is None:
                self._woken.recv(HELPERS)
                continue
            if events & selectors.EVENT_WRITE:
                self._write(wire)
            if events & selectors.EVENT_READ:
                self._read(wire)
        while self._made:
            self._adopt(self._made.popleft())
        self._flush()
        self._take_care(self._time.now())

    def _take_care(self, now: Instant) -> None:
        if now >= self._connect_at:
            self._connect_at = after(now, CONNECT_EVERY)
            for wire in tuple(self._wires.values()):
                if wire.due is not None and now >= wire.due and not wire.barred:
                    wire.due = None
                    self._helpers.submit(self._connect, wire)
        if now >= self._care_at:
            self._care_at = after(now, CARE_EVERY)
            for wire in tuple(self._wires.values()):
                if wire.sock is not None:
                    wire.client.loop_misc()
                    self._look_after(wire)

    def _connect(self, wire: Wire) -> None:
        """Connect, in a helper's thread."""
        try:
            wire.client.reconnect()
        except OSError:
            if wire.client.on_connect_fail is not None:
                wire.client.on_connect_fail(wire.client, None)
        except Exception as error:  # noqa: BLE001 - a name that cannot be encoded, and what else there may be
            wire.client.on_failure(error)
        self._made.append(wire)
        self._waker.send(b".")

    def _adopt(self, wire: Wire) -> None:
        sock = wire.client.socket()
        if isinstance(sock, socket.socket):
            wire.sock, wire.writing = sock, False
            self._selector.register(sock, selectors.EVENT_READ, wire)
            self._to_write.append(wire.client)
            if wire.ended:
                self.cut(wire)
        else:
            self._look_after(wire)

    def _forget(self, wire: Wire) -> None:
        sock, wire.sock = wire.sock, None
        if sock is not None:
            self._selector.unregister(sock)

    def _look_after(self, wire: Wire) -> None:
        """Plan the next attempt if the connection is gone."""
        if wire.sock is None and wire.due is None and not wire.ended:
            wire.due = after(self._time.now(), wire.pause())
        wire.when()

    def _read(self, wire: Wire) -> None:
        try:
            wire.client.loop_read()
            while isinstance(wire.sock, ssl.SSLSocket) and wire.sock.pending():
                wire.client.loop_read()
        except Exception as error:  # noqa: BLE001 - as in its own thread: it begins anew with the next connection
            self._give_up(wire, error)
        self._look_after(wire)

    def _give_up(self, wire: Wire, error: Exception) -> None:
        """End a connection over which something has come that paho did not foresee."""
        sock = wire.sock
        self._forget(wire)
        if sock is not None:
            sock.close()
        wire.client.on_failure(error)

    def _flush(self) -> None:
        for _ in range(len(self._to_write)):
            wire = self._wires.get(self._to_write.popleft())
            if wire is not None and wire.sock is not None:
                self._write(wire)

    def _write(self, wire: Wire) -> None:
        wire.client.loop_write()
        if wire.sock is None:
            self._look_after(wire)
        elif wire.client.want_write() is not wire.writing:
            wire.writing = not wire.writing
            self._selector.modify(wire.sock, BOTH if wire.writing else selectors.EVENT_READ, wire)


class FleetTransport(Transport):
    """A client without a thread of its own. `watch` is told of all that is handed to the broker."""

    barred = False
    """Whether it is to begin without a network."""
    _network: Network
    _when: Callable[[], None]
    _watch: Watch
    _wire: Wire | None = None

    def attach(self, network: Network, when: Callable[[], None], watch: Watch) -> None:
        """Say what serves it and who is told; before it is started."""
        self._network, self._when, self._watch = network, when, watch

    def publish(
        self, generation: int, topic: str, data: bytes, *, qos: int, retain: bool, properties: Properties
    ) -> int | None:
        """Publish as any transport does."""
        mid = super().publish(generation, topic, data, qos=qos, retain=retain, properties=properties)
        if mid is not None:
            self._watch(topic, data)
        return mid

    def bar(self, *, barred: bool) -> None:
        """Break the connection off and let no attempt come through, as a cable that is pulled; or plug it in."""
        if self._wire is not None:
            self._wire.barred = barred
            if barred:
                self._network.cut(self._wire)

    def vanish(self) -> None:
        """Be gone as a process that is killed is: the broker finds out, and says the last will."""
        self._retired = True
        if self._wire is not None:
            self._wire.ended = True
            self._network.cut(self._wire)
            self._network.end(self._wire)

    def _run(self) -> None:
        self._wire = self._network.add(self._client, lambda: self.pause, self._when)
        self._wire.barred = self.barred

    def _cease(self) -> None:
        if self._wire is not None:
            self._network.end(self._wire)


class NetworkCarrier:
    """Carries the messages of one gateway over the network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._made: list[FleetTransport] = []
        self._barred = False

    def maker(self, when: Callable[[], None], watch: Watch) -> MakeTransport:
        """Return what makes the transports of one daemon."""
        self._made.clear()

        def make(**parts: Any) -> FleetTransport:
            made = FleetTransport(**parts)
            made.attach(self._network, when, watch)
            made.barred = self._barred
            self._made.append(made)
            return made

        return make

    def kill(self) -> None:
        """Be gone without a word to the broker."""
        for made in self._made:
            made.vanish()

    def bar(self, *, barred: bool) -> None:
        """Take the network away, or give it back."""
        self._barred = barred
        for made in self._made:
            made.bar(barred=barred)
