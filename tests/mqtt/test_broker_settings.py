"""The broker's settings in the manual: gateways and backend can do what they have to, and nothing else."""

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from chargerd.config.document import TlsSection
from tests.backend import Backend
from tests.broker import Mosquitto
from tests.mqtt.pki import Authority
from tests.mqtt.test_link import Ledger, Stage
from tests.patience import PATIENCE_S

MANUAL = Path(__file__).parents[2] / "docs" / "backend"
NOT_AUTHORISED = 0x87
OWN = {"listener", "persistence", "persistence_location", "max_queued_messages", "max_inflight_messages"}
"""What the tests' broker sets itself."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("pki"))
    for name in ("server", "shed-1", "shed-2", "backend"):
        made.issue(name)
    return made


@pytest.fixture
def broker(tmp_path: Path, authority: Authority) -> Iterator[Mosquitto]:
    text = (MANUAL / "mosquitto.conf").read_text("utf-8").replace("/etc/mosquitto/acl", str(MANUAL / "acl"))
    text = text.replace("/etc/mosquitto/certs", str(authority.folder))
    kept = [line for line in text.splitlines() if line and line.split()[0] not in OWN]
    with Mosquitto(tmp_path / "broker", settings="\n".join(kept)) as one:
        yield one


def keys(authority: Authority, name: str) -> TlsSection:
    stem = authority.folder / name
    return TlsSection(ca=str(authority.certificate), certificate=f"{stem}.crt", key=f"{stem}.key")


@contextmanager
def anybody(broker: Mosquitto, section: TlsSection) -> Iterator[Callable[[str], int]]:
    """Give what publishes under somebody's certificate, and what the broker answers."""
    answers: queue.SimpleQueue[int] = queue.SimpleQueue()
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="anybody", protocol=paho.MQTTv5)
    client.tls_set(ca_certs=section.ca, certfile=section.certificate, keyfile=section.key)

    def published(_client: paho.Client, _data: object, _mid: int, reason: Any, _more: object) -> None:
        answers.put(int(reason.value))

    client.on_publish = published
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    def publish(topic: str) -> int:
        client.publish(topic, b"{}", qos=1)
        return answers.get(timeout=PATIENCE_S)

    try:
        yield publish
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_gateway_and_its_backend_reach_each_other(broker: Mosquitto, authority: Authority) -> None:
    with (
        Backend(broker.port, made_up=True, tls=keys(authority, "backend")) as backend,
        Stage(broker.port, Ledger(rows=30), tls=keys(authority, "shed-1")) as stage,
    ):
        backend.wait("state/gateway", lambda body: body["status"] == "online")
        backend.wait("up/event", lambda body: body["seq"] == 30)
        backend.acknowledge("stream", 30)
        stage.wait(lambda: stage.ledger.acked == 30)
        backend.command("get", number="look")
        stage.wait(lambda: [one.id for one in stage.commands] == ["look"])
        assert not stage.alarms


def test_nobody_speaks_in_anothers_name(broker: Mosquitto, authority: Authority) -> None:
    root = "chargerd/v1"
    with anybody(broker, keys(authority, "shed-2")) as gateway:
        assert gateway(f"{root}/shed-2/up/event") < NOT_AUTHORISED
        for topic in (
            "shed-1/up/event",
            "shed-1/state/gateway",
            "shed-2/cmd/start",
            "shed-2/ack",
            "shed-1/cmd/start",
        ):
            assert gateway(f"{root}/{topic}") == NOT_AUTHORISED, topic
    with anybody(broker, keys(authority, "backend")) as backend:
        assert backend(f"{root}/shed-1/cmd/start") < NOT_AUTHORISED
        assert backend(f"{root}/shed-1/up/session") == NOT_AUTHORISED


def test_a_certificate_of_another_gateway_throws_nobody_out(broker: Mosquitto, authority: Authority) -> None:
    with Stage(broker.port, Ledger(rows=1), tls=keys(authority, "shed-1")) as stage:
        stage.wait(lambda: stage.link.connected and stage.link.drained)
        with Stage(broker.port, Ledger(), tls=keys(authority, "shed-2")) as thief:
            thief.wait(lambda: any(name == "publish_refused" for name, _ in thief.alarms))
        assert stage.link.connected
        assert stage.ledger.connections == 1
