"""Messages outside the contract's root, kept by a real broker and taken back."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.broker import Mosquitto
from tests.mqtt.test_link import Ledger, Stage
from tests.patience import PATIENCE_S


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as one:
        yield one


def retained(port: int, topic: str) -> dict[str, bytes]:
    """Return what a broker has kept, as a newcomer gets it."""
    found: dict[str, bytes] = {}
    there = threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)

    def heard(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if message.topic == "end":
            there.set()
        elif message.retain:
            found[message.topic] = bytes(message.payload)

    def subscribed(*_words: object) -> None:
        client.publish("end")  # It comes after all that is kept.

    def connected(*_words: object) -> None:
        client.subscribe([(topic, 1), ("end", 0)])

    client.on_message = heard
    client.on_connect = connected
    client.on_subscribe = subscribed
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert there.wait(PATIENCE_S)
    client.loop_stop()
    client.disconnect()
    return found


def test_announcements_are_kept_by_the_broker_and_withdrawn_from_it(broker: Mosquitto) -> None:
    taken = threading.Event()
    with Stage(broker.port, Ledger()) as stage:
        stage.link.announce({"homeassistant/device/x/a/config": {"n": 1}, "homeassistant/b": {"n": 2}}, taken.set)
        deadline = time.monotonic() + PATIENCE_S
        while len(kept := retained(broker.port, "homeassistant/#")) < 2:
            assert time.monotonic() < deadline
    assert kept == {"homeassistant/device/x/a/config": b'{"n":1}', "homeassistant/b": b'{"n":2}'}
    assert not taken.is_set(), "nothing was withdrawn"
    with Stage(broker.port, Ledger()) as stage:
        stage.link.announce({"homeassistant/b": {"n": 2}, "homeassistant/device/x/a/config": None}, taken.set)
        assert taken.wait(PATIENCE_S)
    assert retained(broker.port, "homeassistant/#") == {"homeassistant/b": b'{"n":2}'}
