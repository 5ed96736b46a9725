"""The broker's settings in the manual: gateways and backends can do what they have to, and nothing else."""

import json
import queue
import shlex
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.backend import Backend
from tests.mqtt.pki import Authority
from tests.mqtt.shipped_broker import NOT_AUTHORISED, ROOT, SHIPPED, Anybody, ShippedBroker, anybody
from tests.mqtt.test_link import Ledger, Stage
from tests.patience import PATIENCE_S

GATEWAYS = ("shed-1", "shed-2", "shed-3")
STRANGERS = ("backend", "stranger")
"""Certificates of our authority whose names the broker was not told of; one of them sounds like somebody."""
UNKNOWN_GATEWAY = "what the authority signs is not what the broker was told of"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("pki"))
    for name in ("server", *GATEWAYS, *STRANGERS):
        made.issue(name)
    return made


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[ShippedBroker]:
    with ShippedBroker(tmp_path_factory.mktemp("broker"), authority) as one:
        one.access("add-gateway", *GATEWAYS)
        yield one


@pytest.fixture(scope="module")
def login(broker: ShippedBroker) -> tuple[str, str]:
    """Give the backend's name and password, as the script has printed them."""
    _user, name, _password, password = broker.access("add-backend", "backend").split()
    return name, password


def test_a_gateway_and_its_backend_reach_each_other(broker: ShippedBroker, login: tuple[str, str]) -> None:
    with (
        Backend(broker.backends, made_up=True, tls=broker.tls(), login=login) as backend,
        Stage(broker.gateways, Ledger(rows=30), tls=broker.tls("shed-1")) as stage,
    ):
        backend.wait("state/gateway", lambda body: body["status"] == "online")
        backend.wait("up/event", lambda body: body["seq"] == 30)
        backend.acknowledge("stream", 30)
        stage.wait(lambda: stage.ledger.acked == 30)
        backend.command("get", number="look")
        stage.wait(lambda: [one.id for one in stage.commands] == ["look"])
        assert not stage.alarms


def test_nobody_speaks_in_anothers_name(broker: ShippedBroker, login: tuple[str, str]) -> None:
    with anybody(broker.gateways, broker.tls("shed-2")) as gateway:
        assert gateway.publish(f"{ROOT}/shed-2/up/event") < NOT_AUTHORISED
        for topic in (
            f"{ROOT}/shed-1/up/event",
            f"{ROOT}/shed-1/state/gateway",
            f"{ROOT}/shed-2/cmd/start",
            f"{ROOT}/shed-2/ack",
            f"{ROOT}/shed-1/cmd/start",
            f"{ROOT}/shed-1/ack",
            "$CONTROL/dynamic-security/v1",
            "$SYS/broker/uptime",
        ):
            assert gateway.publish(topic) == NOT_AUTHORISED, topic
    with anybody(broker.backends, broker.tls(), login=login) as backend:
        assert backend.publish(f"{ROOT}/shed-1/cmd/start") < NOT_AUTHORISED
        for topic in (f"{ROOT}/shed-1/up/session", "$CONTROL/dynamic-security/v1"):
            assert backend.publish(topic) == NOT_AUTHORISED, topic


def test_a_gateway_hears_its_own_commands_and_nothing_else(broker: ShippedBroker) -> None:
    with anybody(broker.gateways, broker.tls("shed-2")) as gateway:
        for own in ("cmd/+", "ack", "state/gateway", "state/info"):
            assert gateway.subscribe(f"{ROOT}/shed-2/{own}") < NOT_AUTHORISED, own
        for topics in (
            f"$share/backend/{ROOT}/+/up/#",
            f"$share/backend/{ROOT}/+/up/session",
            f"$share/backend/{ROOT}/shed-2/up/event",
            f"$share/backend/{ROOT}/shed-2/cmd/+",
            "$share/backend/#",
            "$share/backend/$CONTROL/#",
            f"{ROOT}/+/up/#",
            f"{ROOT}/+/cmd/+",
            f"{ROOT}/shed-1/cmd/+",
            f"{ROOT}/shed-1/ack",
            f"{ROOT}/shed-1/state/#",
            f"{ROOT}/shed-2/#",
            f"{ROOT}/#",
            "+/#",
            "#",
            "$SYS/#",
            "$CONTROL/#",
        ):
            assert gateway.subscribe(topics) == NOT_AUTHORISED, topics


@pytest.mark.parametrize("name", STRANGERS)
def test_a_certificate_alone_allows_nothing(broker: ShippedBroker, name: str) -> None:
    with anybody(broker.gateways, broker.tls(name)) as stranger:
        assert stranger.publish(f"{ROOT}/{name}/up/event") == NOT_AUTHORISED, UNKNOWN_GATEWAY
        assert stranger.publish(f"{ROOT}/shed-1/cmd/start") == NOT_AUTHORISED
        for topics in (f"{ROOT}/{name}/cmd/+", f"$share/backend/{ROOT}/+/up/#", "#"):
            assert stranger.subscribe(topics) == NOT_AUTHORISED, topics


def test_a_gateway_gets_nowhere_at_the_backends_door(broker: ShippedBroker, login: tuple[str, str]) -> None:
    """There it could choose its client id, and throw out whom it likes."""
    name, _password = login
    for attempt in (None, ("shed-2", "x"), (name, "x"), ("@admin", "x")):
        with anybody(broker.backends, broker.tls("shed-2"), login=attempt, expected=NOT_AUTHORISED):
            pass


def test_nobody_is_thrown_out_by_a_certificate(broker: ShippedBroker, login: tuple[str, str]) -> None:
    with (
        Stage(broker.gateways, Ledger(rows=1), tls=broker.tls("shed-1")) as stage,
        anybody(broker.backends, broker.tls(), login=login, client_id="worker-1") as worker,
    ):
        stage.wait(lambda: stage.link.connected and stage.link.drained)
        for client_id in ("shed-1", "worker-1"):
            with anybody(broker.gateways, broker.tls("shed-2"), client_id=client_id) as thief:
                assert thief.publish(f"{ROOT}/shed-2/up/event") < NOT_AUTHORISED
        look = {"id": "look", "ttl_s": 30, "args": {}}
        assert worker.publish(f"{ROOT}/shed-1/cmd/get", json.dumps(look).encode(), expiry_s=30) < NOT_AUTHORISED
        stage.wait(lambda: [one.id for one in stage.commands] == ["look"])
        assert stage.ledger.connections == 1
        assert worker.lost.empty()


def test_a_last_will_speaks_in_no_other_name_either(broker: ShippedBroker, login: tuple[str, str]) -> None:
    with anybody(broker.backends, broker.tls(), login=login) as backend:
        backend.subscribe(f"{ROOT}/+/state/#")
        for topic in ("shed-1/state/gateway", "shed-1/cmd/stop", "shed-2/state/gateway"):
            with anybody(broker.gateways, broker.tls("shed-2"), will=f"{ROOT}/{topic}") as dying:
                sock = dying.client.socket()
                assert isinstance(sock, socket.socket)
                sock.shutdown(socket.SHUT_RDWR)
                assert dying.lost.get(timeout=PATIENCE_S)
        willed = [topic for topic, body in backend.heard_until(b"will") if body == b"will"]
        assert willed == [f"{ROOT}/shed-2/state/gateway"]
        assert backend.publish(f"{ROOT}/shed-2/state/gateway", b"", retain=True) < NOT_AUTHORISED


def test_what_the_contract_has_no_use_for_reaches_nobody(broker: ShippedBroker, login: tuple[str, str]) -> None:
    with anybody(broker.backends, broker.tls(), login=login) as backend:
        backend.subscribe(f"{ROOT}/+/up/reading")
        with anybody(broker.gateways, broker.tls("shed-2")) as gateway:
            assert gateway.publish(f"{ROOT}/shed-2/up/reading", b" " * 16384) < NOT_AUTHORISED
            gateway.client.publish(f"{ROOT}/shed-2/up/reading", b" " * 20480, qos=1)
            assert gateway.lost.get(timeout=PATIENCE_S), "larger than any message"
        with anybody(broker.gateways, broker.tls("shed-2")) as gateway:
            gateway.client.publish(f"{ROOT}/shed-2/up/reading", b"{}", qos=2)
            assert gateway.lost.get(timeout=PATIENCE_S), "more than QoS 1"
        with anybody(broker.gateways, broker.tls("shed-2")) as gateway:
            gateway.publish(f"{ROOT}/shed-2/up/reading", b"end")
        assert [len(body) for _topic, body in backend.heard_until(b"end")] == [16384, 3]


def rows(gateway: Anybody, count: int) -> set[bytes]:
    said = {b"%d" % number for number in range(count)}
    for row in said:
        assert gateway.publish(f"{ROOT}/shed-2/up/session", row) == 0
    return said


def got(*workers: Anybody, count: int) -> list[set[bytes]]:
    """Return who has which rows, once all have come, each of them once."""
    parts: list[list[bytes]] = [[] for _worker in workers]
    Stage.wait_for(lambda: sum(one.heard.qsize() for one in workers) >= count)
    for worker, part in zip(workers, parts, strict=True):
        while not worker.heard.empty():
            part.append(worker.heard.get()[1])
    assert sum(len(part) for part in parts) == count
    return [set(part) for part in parts]


def test_workers_of_one_name_share_the_rows_and_no_gateway_has_a_share(
    broker: ShippedBroker, login: tuple[str, str]
) -> None:
    shared = f"$share/backend/{ROOT}/+/up/session"
    with ExitStack() as stack:
        workers = [
            stack.enter_context(anybody(broker.backends, broker.tls(), login=login, client_id=f"worker-{number}"))
            for number in (1, 2)
        ]
        for worker in workers:
            assert worker.subscribe(shared) < NOT_AUTHORISED
        gateway = stack.enter_context(anybody(broker.gateways, broker.tls("shed-2")))
        assert gateway.subscribe(shared) == NOT_AUTHORISED
        said = rows(gateway, 40)
        first, second = got(*workers, count=40)
        assert first | second == said
        assert len(first) == len(second) == 20
        with pytest.raises(queue.Empty):
            gateway.heard.get_nowait()


def test_a_worker_that_is_gone_for_good_is_forgotten(broker: ShippedBroker, login: tuple[str, str]) -> None:
    shared = f"$share/backend/{ROOT}/+/up/session"
    with anybody(broker.backends, broker.tls(), login=login, client_id="gone", kept_s=3600) as gone:
        gone.subscribe(shared)
    with (
        anybody(broker.backends, broker.tls(), login=login, client_id="worker-1") as worker,
        anybody(broker.gateways, broker.tls("shed-2")) as gateway,
    ):
        worker.subscribe(shared)
        broker.access("forget", "gone")
        said = rows(gateway, 10)
        assert got(worker, count=10) == [said]


def test_a_gateway_that_was_removed_leaves_nothing_behind(broker: ShippedBroker, login: tuple[str, str]) -> None:
    with anybody(broker.gateways, broker.tls("shed-3")) as gateway:
        for topic in ("state/info", "state/port/A01"):
            assert gateway.publish(f"{ROOT}/shed-3/{topic}", b"left", retain=True) < NOT_AUTHORISED
        broker.access("remove-gateway", "shed-3")
        assert gateway.lost.get(timeout=PATIENCE_S), "it was thrown out"
    with anybody(broker.gateways, broker.tls("shed-3")) as gateway:
        assert gateway.publish(f"{ROOT}/shed-3/up/event") == NOT_AUTHORISED
    left = {f"{ROOT}/shed-3/{topic}" for topic in ("state/info", "state/port/A01", "ack")}
    with anybody(broker.backends, broker.tls(), login=login) as backend:
        assert backend.publish(f"{ROOT}/shed-3/ack", b"left", retain=True) < NOT_AUTHORISED
        assert backend.subscribe(f"{ROOT}/shed-3/#") < NOT_AUTHORISED
        assert {backend.heard.get(timeout=PATIENCE_S)[0] for _message in left} == left
        for topic in left:
            assert backend.publish(topic, b"", retain=True) < NOT_AUTHORISED
    with anybody(broker.backends, broker.tls(), login=login) as backend:
        backend.subscribe(f"{ROOT}/shed-3/#")
        backend.publish(f"{ROOT}/shed-3/cmd/get", b"end")
        assert backend.heard_until(b"end") == [(f"{ROOT}/shed-3/cmd/get", b"end")]


def test_home_assistant_reads_and_a_gateway_announces_itself_as_the_manual_has_it(broker: ShippedBroker) -> None:
    manual = (SHIPPED.parents[1] / "monitoring.md").read_text(encoding="utf-8")
    commands = [shlex.split(line) for line in manual.splitlines() if line.startswith("access dynsec")]
    assert len(commands) == 6
    for _, *words in commands:
        broker.access(*words)
    announced = "homeassistant/device/shed-1/port-A01/config"
    with anybody(broker.gateways, broker.tls("shed-2")) as other:
        assert other.publish(announced) == NOT_AUTHORISED
    with (
        anybody(broker.backends, broker.tls(), client_id="house", login=("@house", "PASSWORD")) as house,
        anybody(broker.gateways, broker.tls("shed-1"), client_id="shed-1") as gateway,
    ):
        assert house.subscribe("homeassistant/#") < NOT_AUTHORISED
        assert house.subscribe(f"{ROOT}/shed-1/state/#") < NOT_AUTHORISED
        assert gateway.publish(announced, b"told") < NOT_AUTHORISED
        assert gateway.publish(f"{ROOT}/shed-1/state/port/A01", b"state") < NOT_AUTHORISED
        assert house.heard_until(b"state")[-2:] == [
            (announced, b"told"),
            (f"{ROOT}/shed-1/state/port/A01", b"state"),
        ]
        assert house.publish(f"{ROOT}/shed-1/cmd/start") == NOT_AUTHORISED
        assert house.publish(announced) == NOT_AUTHORISED
