"""Has tests of the link run at another broker: `-p tests.brokers.plugin`, with `BROKER` in the environment.

Tests that set mosquitto's own settings are skipped. One broker serves all, and forgets in between.
"""

import os
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
import pytest

import tests.broker
from tests.brokers.client import Client
from tests.brokers.standing import BROKERS, Standing

WHO = ("shed-1", "backend", *(f"gateway-{number}" for number in range(85)))
TOPICS = ("ack", "state/gateway", "state/info", "state/port/A01", "state/port/A02", "cmd/start")
standing: list[Standing] = []


class Other:
    """In place of `tests.broker.Mosquitto`."""

    def __init__(self, folder: Path, *, port: int | None = None, settings: str = "") -> None:
        del folder, port
        if settings:
            pytest.skip("settings of mosquitto")
        if not standing:
            one = BROKERS[os.environ["BROKER"]]()
            one.__enter__()
            standing.append(one)
        self._broker = standing[0]
        self.port = self._broker.place.port

    def __enter__(self) -> Self:
        self.start()
        for name in WHO[:2]:
            with Client(self._broker.place, name, clean=True) as client:
                if name == "backend":
                    for topic in TOPICS:
                        client.publish(f"chargerd/v1/shed-1/{topic}", b"", retain=True)
        return self

    def __exit__(self, *_exception: object) -> None:
        """Leave it to the next one."""

    def start(self) -> None:
        self._broker.start()

    def stop(self) -> None:
        self._broker.kill()

    def kill(self) -> None:
        self._broker.kill()


def pytest_configure() -> None:
    """Take mosquitto's place before any test has looked."""
    tests.broker.Mosquitto = Other  # type: ignore[misc, assignment]
    connect = paho.Client.connect_async

    def logged_in(client: paho.Client, *args: Any, **more: Any) -> None:
        if standing and standing[0].place.login is not None:
            client.username_pw_set(*standing[0].place.login)
        connect(client, *args, **more)

    paho.Client.connect_async = logged_in  # type: ignore[method-assign, assignment]


def pytest_unconfigure() -> None:
    """End the broker."""
    for one in standing:
        one.kill()
