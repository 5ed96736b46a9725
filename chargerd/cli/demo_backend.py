"""The demo's ear and mouth at the broker: it sends its riders' commands, and hears what the gateway says.

Where the reference operator runs, that one stores the ledger and acknowledges it; where its libraries are missing,
this one acknowledges what it has heard.
"""

import itertools
import json
import queue
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from chargerd.fleet.site import Address

START_TTL, STOP_TTL = 20, 300
Payload: TypeAlias = Mapping[str, Any]
"""A decoded message; `Any`, since JSON is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A message from the gateway: its topic below the root, and its payload."""

    topic: str
    body: Payload


@dataclass(slots=True)
class Ledger:
    """The rows stored so far, by sequence number. `through`: all up to here are stored."""

    stream: str | None = None
    through: int = 0
    rows: dict[int, Payload] = field(default_factory=dict)

    def store(self, row: Payload) -> bool:
        """Store a row; `False` if it was there already."""
        if self.stream is None:
            self.stream = row["stream"]
        if row["stream"] != self.stream or row["seq"] in self.rows:
            return False
        self.rows[row["seq"]] = row
        while self.through + 1 in self.rows:
            self.through += 1
        return True


class OperatorBackend:
    """The backend's connection. `poll` hands over what has come since; it belongs to one thread."""

    def __init__(self, broker: Address, *, prefix: str, gateway: str, acknowledges: bool = True) -> None:
        self.acknowledges = acknowledges
        self.ledger = Ledger()
        self._broker = broker
        self._root = f"{prefix}/{gateway}"
        self._ids = itertools.count(1)
        self._acknowledged = 0
        # Callbacks run on paho's own thread, and an exception there would end it: they only fill this queue.
        self._arrived: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"demo-backend-{secrets.token_hex(4)}", protocol=paho.MQTTv5
        )
        self._client.username_pw_set(broker.username, broker.password)
        self._client.on_connect = self._connected
        self._client.on_message = self._received

    def start(self) -> None:
        """Connect, and stay connected. Raises `OSError` if the broker cannot be reached."""
        self._client.connect(self._broker.host, self._broker.port, keepalive=30)
        self._client.loop_start()

    def stop(self) -> None:
        """Take the retained acknowledgement back and leave."""
        if self._client.is_connected():
            self._client.publish(f"{self._root}/ack", b"", qos=0, retain=True)
        self._client.disconnect()
        self._client.loop_stop()

    def poll(self) -> list[Heard]:
        """Return what the gateway has said, each row of the ledger once; acknowledge what is stored."""
        heard: list[Heard] = []
        while not self._arrived.empty():
            topic, payload = self._arrived.get()
            body = json.loads(payload) if payload else {}
            if "seq" in body and not self.ledger.store(body):
                continue
            heard.append(Heard(topic=topic, body=body))
        if self.acknowledges and self.ledger.through > self._acknowledged:
            self._acknowledged = self.ledger.through
            ack = {"stream": self.ledger.stream, "through": self._acknowledged}
            self._client.publish(f"{self._root}/ack", json.dumps(ack), qos=1, retain=True)
        return heard

    def start_port(
        self, port: str, *, session: str, order: str, duration_s: float, energy_wh: float | None
    ) -> str:
        """Send `start`; return the command's id."""
        limits: dict[str, float] = {"duration_s": duration_s}
        if energy_wh is not None:
            limits["energy_wh"] = energy_wh
        args = {"port": port, "session_id": session, "order_id": order, "limits": limits}
        return self._command("start", START_TTL, args)

    def stop_port(self, port: str, *, session: str) -> str:
        """Send `stop`; return the command's id."""
        return self._command("stop", STOP_TTL, {"port": port, "session_id": session})

    def reset_port(self, port: str) -> str:
        """Send `reset`; return the command's id."""
        return self._command("reset", STOP_TTL, {"port": port})

    def _command(self, name: str, ttl: int, args: Mapping[str, object]) -> str:
        number = f"{name}-{next(self._ids)}-{secrets.token_hex(3)}"
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho does not annotate it
        properties.MessageExpiryInterval = ttl
        payload = json.dumps({"id": number, "ttl_s": ttl, "args": args})
        self._client.publish(f"{self._root}/cmd/{name}", payload, qos=1, properties=properties)
        return number

    def _connected(
        self, client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if not reason.is_failure:
            client.subscribe([(f"{self._root}/state/#", 1), (f"{self._root}/up/#", 1)])

    def _received(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._arrived.put((message.topic.removeprefix(f"{self._root}/"), bytes(message.payload)))
