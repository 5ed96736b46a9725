"""The link to a real broker: what is sent again, what never late, and what is said of one that is not there."""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from click.testing import CliRunner
from paho.mqtt.enums import CallbackAPIVersion

from chargerd.cli.operator import command
from chargerd.operator.link import Broker, Link
from chargerd.operator.messages import Command, Message
from chargerd.operator.prices import EXAMPLE, load
from chargerd.operator.store import Store
from tests.broker import Mosquitto, free_port
from tests.judging import every
from tests.operator.rig import Clock
from tests.operator.said import presence, row
from tests.operator.stage import wait

ROOT = "chargerd/v1/shed-1"


class Gateway:
    """What a gateway hears: each command with the Message Expiry it came with."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, int | None]] = []
        self.acks: list[dict[str, object]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_connect = lambda client, *_rest: client.subscribe(
            [(f"{ROOT}/cmd/+", 1), (f"{ROOT}/ack", 1)]
        )
        self._client.on_message = self._message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def say(self, level: str, body: dict[str, object], *, retain: bool = False) -> None:
        self._client.publish(f"{ROOT}/{level}", json.dumps({**body, "gateway": "shed-1"}), qos=1, retain=retain)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        body = json.loads(message.payload)
        if message.topic.endswith("/ack"):
            self.acks.append(body)
        else:
            self.heard.append((body["id"], getattr(message.properties, "MessageExpiryInterval", None)))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as mosquitto:
        yield mosquitto


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(tmp_path / "operator.db", load(None).tariff, clock=Clock())
    yield one
    one.close()


def later(store: Store, seconds: float) -> None:
    assert isinstance(store.clock, Clock)
    store.clock.now += seconds


def test_what_a_broker_was_away_for_is_sent_with_what_is_left_of_it_or_not_at_all(
    broker: Mosquitto, store: Store
) -> None:
    heard: list[Message] = []

    def hear(batch: Sequence[Message]) -> None:
        heard.extend(batch)

    link = Link(Broker(host="127.0.0.1", port=broker.port), store, hear)
    link.start()
    gateway = Gateway(broker.port)
    try:
        wait(lambda: link.connected, "no connection")
        gateway.say("state/gateway", presence(0), retain=True)
        gateway.say("up/event", row(1))
        wait(lambda: {"stream": "s", "through": 1} in gateway.acks, "nothing is acknowledged")
        broker.stop()
        wait(lambda: not link.connected, "the loss is not noticed")
        stale = Command.new("shed-1", "start", {"port": "A01"}, now=store.clock())
        fresh = Command.new("shed-1", "stop", {"port": "A01", "session_id": "S-1"}, now=store.clock())
        for one in (stale, fresh):
            store.keep_command(one, "rider")
            link.send(one)
        later(store, 25.0)
        broker.start()
        wait(lambda: bool(gateway.heard), "nothing is sent again")
        assert {number for number, _expiry in gateway.heard} == {fresh.id}, "a start nobody waits for any more"
        assert every(expiry is not None and expiry <= 275 for _number, expiry in gateway.heard)
        gateway.say("up/reply", {"id": fresh.id, "command": "stop", "status": "done", "code": "ok", "message": ""})
        wait(lambda: not store.unanswered(), "the reply is not stored")
        levels = [message.level for message in heard]
        assert levels.index("up/event") < levels.index("up/reply")
    finally:
        gateway.close()
        link.stop()


def test_a_broker_that_is_not_there_is_said_and_tried_again(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with caplog.at_level(logging.WARNING):
        link = Link(Broker(host="127.0.0.1", port=port), store, lambda _batch: None)
        link.start()
        wait(lambda: "no broker answers at" in caplog.text, "nothing is said")
        link.stop()
    assert f"no broker answers at mqtt://127.0.0.1:{port}" in caplog.text


def test_a_broker_that_refuses_is_said(tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    with Mosquitto(tmp_path / "broker") as strict, caplog.at_level(logging.WARNING):
        strict.stop()
        config = strict.folder / "mosquitto.conf"
        config.write_text(config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
        strict.start()
        link = Link(Broker(host="127.0.0.1", port=strict.port, password="hush"), store, lambda _batch: None)
        link.start()
        wait(lambda: "refuses" in caplog.text, "nothing is said")
        link.stop()
    assert "hush" not in caplog.text


def test_a_disk_that_takes_nothing_ends_nothing(
    broker: Mosquitto, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    link = Link(Broker(host="127.0.0.1", port=broker.port), store, lambda _batch: None)
    store.all("PRAGMA query_only = ON")
    with caplog.at_level(logging.ERROR):
        link.start()
        gateway = Gateway(broker.port)
        wait(lambda: link.connected, "no connection")
        gateway.say("up/event", row(1))
        wait(lambda: "the database takes nothing" in caplog.text, "nothing is said")
        assert gateway.acks == []
        store.all("PRAGMA query_only = OFF")
        gateway.say("up/event", row(1))
        wait(lambda: {"stream": "s", "through": 1} in gateway.acks, "it does not go on")
        gateway.close()
        link.stop()


# The command


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "--broker is needed"),
        (["--broker", "http://x"], "write mqtt://host:port"),
        (["--broker", "mqtt://x", "--prices", "/nowhere.toml"], "No such file"),
        (["--broker", "mqtt://x", "--hooks", "no.such.module"], "No module named"),
        (["--broker", "mqtt://x", "--hooks", "json"], "json has no function identify"),
        (["--broker", "mqtt://x", "--listen", "8080"], "--listen is HOST:PORT"),
        (["--broker", "mqtt://x", "--listen", "127.0.0.1:99999"], "--listen is HOST:PORT"),
    ],
)
def test_a_call_that_is_wrong_is_told_before_anything_begins(
    tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    result = CliRunner().invoke(command, ["--database", str(tmp_path / "x.db"), *arguments])
    assert result.exit_code == 2
    assert complaint in result.output
    assert not (tmp_path / "x.db").exists()


def test_an_address_that_is_taken_is_told(broker: Mosquitto, tmp_path: Path) -> None:
    args = ["--broker", broker.url, "--database", str(tmp_path / "x.db"), "--listen", f"127.0.0.1:{broker.port}"]
    result = CliRunner().invoke(command, args)
    assert result.exit_code == 1
    assert "nothing can be served on" in result.output


def test_the_example_of_prices_is_one() -> None:
    result = CliRunner().invoke(command, ["--example-prices"])
    assert result.output == EXAMPLE
