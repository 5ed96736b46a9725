"""What the daemon says to a broker, heard without asking it for anything: asking is work for it, too."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


class Listener:
    """Keeps the newest presence and port states of a gateway. A context manager."""

    def __init__(self, port: int, gateway: str) -> None:
        self._root = f"chargerd/v1/{gateway}/state/"
        self._news = threading.Condition()
        self._online_at: float | None = None
        self._ports: dict[str, dict[str, Any]] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(self._root + topic, 1) for topic in ("gateway", "port/+")])

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _heard(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        topic = message.topic.removeprefix(self._root)
        body = json.loads(message.payload) if message.payload else {}
        with self._news:
            if topic != "gateway":
                self._ports[body["port"]] = body
            elif body["status"] != "online" or message.retain:
                self._online_at = None
            elif self._online_at is None:
                self._online_at = time.monotonic()
            self._news.notify_all()

    def forget(self) -> None:
        """Forget what is known: a daemon starts anew."""
        with self._news:
            self._online_at = None
            self._ports.clear()

    def online(self, within: float) -> float:
        """Wait until the gateway is online; returns when that was."""
        with self._news:
            self._news.wait_for(lambda: self._online_at is not None, within)
            if self._online_at is None:
                raise SystemExit(f"the daemon was not online within {within:.0f} s")
            return self._online_at

    def ports(self, count: int, holds: Callable[[dict[str, Any]], bool], within: float) -> None:
        """Wait until something holds of all ports."""
        with self._news:
            held = self._news.wait_for(
                lambda: len(self._ports) == count and all(map(holds, self._ports.values())), within
            )
            if not held:
                states = [(name, body["state"], body["blocked_by"]) for name, body in sorted(self._ports.items())]
                raise SystemExit(f"not all {count} ports came so far within {within:.0f} s: {states}")
