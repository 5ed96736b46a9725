"""A backend for tests: subscribes to everything a gateway says, gives commands, acknowledges the ledger."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from chargerd.config.document import TlsSection
from tests.contract.checking import complaints, complaints_of_link
from tests.patience import PATIENCE_S


class Backend:
    """Keeps every message in order of arrival; waits for conditions instead of sleeping.

    `gateway` may be `+`, to listen to all.
    """

    def __init__(
        self,
        port: int,
        gateway: str = "shed-1",
        *,
        client_id: str = "backend",
        made_up: bool = False,
        tls: TlsSection | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.root = f"chargerd/v1/{gateway}"
        self.messages: list[tuple[str, dict[str, Any], bool]] = []
        self.correlations: list[bytes] = []
        self.complaints: list[str] = []
        """What the gateway said that its contract does not know: none, or the test has failed."""
        self._made_up = made_up
        """Whether the bodies are a test's own, and only their transport is looked at."""
        self._news = threading.Condition()
        self._number = 0
        self._ready = threading.Event()
        self._port = port
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
        if tls is not None:
            self._client.tls_set(ca_certs=tls.ca, certfile=tls.certificate, keyfile=tls.key)
        if login is not None:
            self._client.username_pw_set(*login)
        self._client.on_connect = self._connected
        self._client.on_message = self._message
        self._client.reconnect_delay_set(1, 1)

    def __enter__(self) -> Self:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
        self._client.connect_async("127.0.0.1", self._port, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._ready.wait(PATIENCE_S), "the test's backend found no broker"
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        assert not self.complaints, self.complaints[:5]

    def _connected(self, client: paho.Client, *_rest: object) -> None:
        client.subscribe([(f"{self.root}/{level}/#", SubscribeOptions(qos=1)) for level in ("state", "up")])
        self._ready.set()

    def _message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload) if message.payload else {}
        correlation = getattr(message.properties, "CorrelationData", None)
        topic = message.topic.split("/", 3)[3]
        with self._news:
            if message.payload:
                look = complaints_of_link if self._made_up else complaints
                self.complaints += look(topic, body)
            if correlation is not None:
                self.correlations.append(correlation)
            self.messages.append((topic, body, message.retain))
            self._news.notify_all()

    def command(
        self, name: str, *, ttl_s: int = 30, retain: bool = False, number: str | None = None, **args: Any
    ) -> str:
        self._number += 1
        number = number or f"command-{self._number}"
        self.publish(f"cmd/{name}", {"id": number, "ttl_s": ttl_s, "args": args}, expiry=ttl_s, retain=retain)
        return number

    def publish(self, topic: str, body: Any, *, expiry: int | None = None, retain: bool = False) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if expiry is not None:
            properties.MessageExpiryInterval = expiry
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        info = self._client.publish(f"{self.root}/{topic}", data, qos=1, retain=retain, properties=properties)
        info.wait_for_publish(PATIENCE_S)

    def acknowledge(self, stream: str, through: int) -> None:
        self.publish("ack", {"stream": stream, "through": through}, retain=True)

    def of(self, topic: str) -> list[dict[str, Any]]:
        with self._news:
            return [body for name, body, _retained in self.messages if name == topic]

    def wait(
        self, topic: str, suits: Callable[[dict[str, Any]], bool] = bool, timeout: float = PATIENCE_S
    ) -> dict[str, Any]:
        """Return the first message on a topic that suits; those that came before count too."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                for name, body, _retained in self.messages:
                    if name == topic and suits(body):
                        return body
                left = deadline - time.monotonic()
                if left <= 0:
                    seen = [body for name, body, _ in self.messages if name == topic][-5:]
                    raise AssertionError(f"nothing on {topic} suits; the last there were {seen}")
                self._news.wait(left)

    def reply(self, number: str, status: str, timeout: float = PATIENCE_S) -> dict[str, Any]:
        return self.wait("up/reply", lambda body: body["id"] == number and body["status"] == status, timeout)

    def ledger(self) -> list[dict[str, Any]]:
        """All rows of the ledger, once each, in order."""
        rows = {(row["stream"], row["seq"]): row for row in self.of("up/session") + self.of("up/event")}
        return [rows[key] for key in sorted(rows)]
