"""The link against a real mosquitto, and against a broker that says nothing."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Generic, Self, TypeVar

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from chargerd.config.document import MqttSection, TlsSection
from chargerd.contract.commands import Incoming, Refusal
from chargerd.contract.ledger import Batch, Body, LedgerEntry, LedgerRow, LedgerSpan, Reply, RowKind
from chargerd.contract.payloads import EventBody
from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.units import CommandId, PortId, Seconds
from chargerd.mqtt.back_off import BackOff
from chargerd.mqtt.client import MqttLink
from chargerd.mqtt.feed import ACK_WAIT, LedgerSource
from chargerd.mqtt.heard import Connected, Delivered, Heard, Lost
from chargerd.mqtt.offer import Offer
from chargerd.mqtt.reasons import NO_PROGRESS
from chargerd.mqtt.transport import Transport
from chargerd.runtime.process.clock import SystemClock
from chargerd.store.journal import Journal
from tests.backend import Backend
from tests.broker import Mosquitto
from tests.judging import every
from tests.patience import PATIENCE_S

CLOCK = SystemClock()
REAL_ACK_WAIT = ACK_WAIT


class Ledger:
    """Rows in memory."""

    def __init__(self, rows: int = 0) -> None:
        self.lock = threading.Lock()
        self.last = rows
        self.acked = 0
        self.stream, self.first = "stream", 1
        self.found: int | None = None
        """The last row of the process before, if rows were made since."""
        self.stream_begun = False
        self.connections = 0
        self.asked: list[int] = []
        self.full = False
        """Whether the disk takes no new stream."""
        self.large: set[int] = set()
        self.padding = 20_000

    def span(self) -> LedgerSpan:
        with self.lock:
            return LedgerSpan(stream=self.stream, first=self.first, last=self.last, acked=self.acked)

    def read_rows(self, after: int, limit: int, deliver: Callable[[Sequence[LedgerRow]], None]) -> None:
        deliver([self.row(seq) for seq in range(after + 1, min(self.last, after + limit) + 1)])

    def row(self, seq: int) -> LedgerRow:
        body: Body = {
            "event": "made_up",
            "number": seq,
            "padding": "x" * self.padding if seq in self.large else "",
        }
        return LedgerRow(
            stream=self.stream, seq=seq, kind=RowKind.EVENT, body=body, moment=CLOCK.moment(), offline=False
        )

    def acknowledge(self, stream: str, through: int, refused: Callable[[], None] | None = None) -> None:
        assert stream == self.stream
        with self.lock:
            ahead = through > self.last
            if not ahead:
                self.acked = max(self.acked, through)
        if ahead and refused is not None:
            refused()

    @property
    def found_last(self) -> int:
        return self.found if self.found is not None else self.last

    def asked_from(self, start: int) -> None:
        self.asked.append(start)

    def renew_stream(self, done: Callable[[bool], None]) -> None:
        if not self.full:
            self.stream, self.first = "another", self.acked + 1
        done(not self.full)

    def count_connection(self, deliver: Callable[[int], None]) -> None:
        self.connections += 1
        deliver(self.connections)


class States:
    def info(self) -> Body:
        return {"version": "test"}

    def port_ids(self) -> Sequence[PortId]:
        return [PortId("A01"), PortId("A02")]

    def port_state(self, port: PortId) -> Body:
        return {"port": port, "state": "available"}


AnyLedger = TypeVar("AnyLedger", bound=LedgerSource)


class Stage(Generic[AnyLedger]):
    def __init__(self, port: int, ledger: AnyLedger, **settings: object) -> None:
        self.ledger = ledger
        self.commands: list[Incoming] = []
        self.refusals: list[Refusal] = []
        self.alarms: list[tuple[str, str]] = []
        self.events: list[EventBody] = []
        self.crashes: list[BaseException] = []
        self.news = threading.Condition()
        self.hold_acknowledgements = False
        self.held: list[Callable[[], None]] = []
        config = MqttSection.model_validate({"host": "127.0.0.1", "port": port, **settings})
        self.link = MqttLink(
            config=config,
            gateway="shed-1",
            clock=CLOCK,
            ledger=ledger,
            states=States(),
            on_command=self._command,
            on_refused=lambda refusal: self._note(self.refusals, refusal),
            on_alarm=lambda name, detail: self._note(self.alarms, (name, detail)),
            on_crash=self.crashes.append,
        )
        self.link.on_event = self.events.append

    def _note(self, into: list[object] | list[Refusal] | list[tuple[str, str]], thing: object) -> None:
        with self.news:
            into.append(thing)  # type: ignore[arg-type]
            self.news.notify_all()

    def _command(self, incoming: Incoming, acknowledge: Callable[[], None]) -> None:
        with self.news:
            self.commands.append(incoming)
            self.news.notify_all()
        if self.hold_acknowledgements:
            self.held.append(acknowledge)
        else:
            acknowledge()

    def wait(self, holds: Callable[[], bool], timeout: float = PATIENCE_S) -> None:
        self.wait_for(holds, timeout, lambda: f"alarms {self.alarms}, crashes {self.crashes}")

    @staticmethod
    def wait_for(holds: Callable[[], bool], timeout: float = PATIENCE_S, why: Callable[[], str] = str) -> None:
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while not holds():
            assert time.monotonic() < deadline, f"it did not come about; {why()}"
            pause.wait(0.01)

    def __enter__(self) -> Self:
        self.link.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.link.stop()
        assert not self.crashes


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as one:
        yield one


@pytest.fixture
def backend(broker: Mosquitto) -> Iterator[Backend]:
    with Backend(broker.port, made_up=True) as one:
        yield one


def numbers(backend: Backend) -> list[int]:
    return [body["seq"] for body in backend.of("up/event")]


def test_birth_after_the_states_then_the_ledger_in_order(broker: Mosquitto, backend: Backend) -> None:
    with Stage(broker.port, Ledger(rows=90)) as stage:
        backend.wait("up/event", lambda body: body["seq"] == 90)
        assert numbers(backend) == list(range(1, 91))
        topics = [topic for topic, _body, _retained in backend.messages]
        assert topics[:4] == ["state/port/A01", "state/port/A02", "state/info", "state/gateway"]
        backend.acknowledge("stream", 90)
        stage.wait(lambda: stage.ledger.acked == 90)
    goodbye = backend.wait("state/gateway", lambda body: body["status"] == "offline")
    assert goodbye["cause"] == "shutdown"


def test_what_was_not_acknowledged_comes_again_after_a_reconnect(
    broker: Mosquitto, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A killed broker forgets its subscribers; the backend is back after 1 s, so rows must wait longer.
    monkeypatch.setattr("chargerd.mqtt.feed.ACK_WAIT", REAL_ACK_WAIT)
    with Stage(broker.port, Ledger(rows=10)) as stage:
        backend.wait("up/event", lambda body: body["seq"] == 10)
        backend.acknowledge("stream", 4)
        stage.wait(lambda: stage.ledger.acked == 4)
        broker.kill()
        stage.wait(lambda: not stage.link.connected)
        stage.ledger.last = 12
        stage.link.rows_added()
        broker.start()
        backend.wait("up/event", lambda body: body["seq"] == 12)
        again = numbers(backend)[10:]
        assert again == list(range(min(again), 13))
        assert min(again) in {1, 5}, "from the oldest that is not known to be acknowledged"
        births = [body["conn"] for body in backend.of("state/gateway") if body["status"] == "online"]
        assert births == sorted(set(births))


def test_a_small_receive_maximum_is_kept(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path / "small", settings="max_inflight_messages 3") as broker,
        Backend(broker.port, made_up=True) as backend,
        Stage(broker.port, Ledger(rows=200)),
    ):
        backend.wait("up/event", lambda body: body["seq"] == 3)
        backend.acknowledge("stream", 0)
        backend.wait("up/event", lambda body: body["seq"] == 200)
        assert numbers(backend) == list(range(1, 201))


def test_a_broker_that_refuses_every_row_stops_the_drain_and_alarms(tmp_path: Path) -> None:
    folder = tmp_path / "acl"
    folder.mkdir()
    acl = folder / "acl"
    acl.write_text("topic readwrite chargerd/v1/shed-1/state/#\ntopic read chargerd/v1/shed-1/cmd/#\n")
    with Mosquitto(folder, settings=f"acl_file {acl}") as broker, Stage(broker.port, Ledger(rows=5)) as stage:
        stage.wait(lambda: any(name == "publish_refused" for name, _ in stage.alarms))
        assert "0x87" in stage.alarms[0][1]
        assert stage.link.connected
        assert stage.ledger.acked == 0


def test_an_acknowledgement_of_rows_there_are_not_is_ignored_with_an_alarm(
    broker: Mosquitto, backend: Backend
) -> None:
    with Stage(broker.port, Ledger(rows=3)) as stage:
        backend.wait("up/event", lambda body: body["seq"] == 3)
        for nonsense in (b"{", b'{"stream": 1}', b'{"stream": "stream", "through": -1}'):
            backend.publish("ack", nonsense)
        backend.acknowledge("another", 2)
        backend.acknowledge("stream", 99)
        stage.wait(lambda: ("ack_ahead", "acknowledged 99") in stage.alarms)
        assert stage.ledger.acked == 0
        backend.publish("ack", {"stream": "stream", "through": 2, "more": "is ignored"})
        stage.wait(lambda: stage.ledger.acked == 2)


def test_commands_come_in_with_what_belongs_to_them_and_replies_go_out(
    broker: Mosquitto, backend: Backend
) -> None:
    with Stage(broker.port, Ledger()) as stage:
        stage.wait(lambda: stage.link.connected)
        backend.wait("state/gateway")
        backend.command("start", port="A01")
        stage.wait(lambda: bool(stage.commands))
        backend.publish("cmd/dance", {"id": "d", "ttl_s": 5, "args": {}}, expiry=5)
        stage.wait(lambda: bool(stage.refusals))
        assert stage.refusals[0].id == "d"
        reply = Reply(command=CommandId("x"), body={"id": "x", "status": ReplyStatus.DONE.value})
        stage.link.publish_reply(reply, b"correlation")
        assert backend.wait("up/reply")["id"] == "x"
        stage.link.publish_reading({"port": "A01", "power_w": 1.0})
        assert backend.wait("up/reading")["power_w"] == 1.0
        stage.link.port_changed(PortId("A02"))
        stage.wait(lambda: len([1 for topic, *_ in backend.messages if topic == "state/port/A02"]) == 2)


def test_a_command_is_acknowledged_to_the_broker_only_when_its_id_is_durable(
    broker: Mosquitto, backend: Backend
) -> None:
    stage = Stage(broker.port, Ledger())
    stage.hold_acknowledgements = True
    with stage:
        backend.wait("state/gateway")
        backend.command("start", port="A01", number="not-durable")
        stage.wait(lambda: bool(stage.commands))
    with Stage(broker.port, Ledger()) as again:
        again.wait(lambda: bool(again.commands))
        assert again.commands[0].id == "not-durable", "the broker has kept what was not acknowledged"


def test_stops_for_all_ports_come_in_though_the_disk_is_slow(broker: Mosquitto, backend: Backend) -> None:
    with Stage(broker.port, Ledger()) as stage:
        stage.hold_acknowledgements = True
        backend.wait("state/gateway")
        for number in range(85):
            backend.command("stop", port=f"A{number:02}", force=True)
        stage.wait(lambda: len(stage.commands) == 85)
        assert len(stage.held) == 85, "no id is on the disk yet"


def test_messages_are_acknowledged_in_the_order_in_which_they_came(broker: Mosquitto, backend: Backend) -> None:
    stage = Stage(broker.port, Ledger(rows=1))
    stage.hold_acknowledgements = True
    with stage:
        backend.wait("up/event", lambda body: body["seq"] == 1)
        backend.command("start", port="A01", number="slow")
        stage.wait(lambda: bool(stage.commands))
        backend.publish("cmd/dance", {"id": "quick", "ttl_s": 5, "args": {}}, expiry=5)
        stage.wait(lambda: bool(stage.refusals))
        backend.acknowledge("stream", 1)
        stage.wait(lambda: stage.ledger.acked == 1)
        assert len(stage.link._inbox) == 3, "what came later waits for the slow one"  # noqa: SLF001
        stage.held[0]()
        stage.wait(lambda: not stage.link._inbox)  # noqa: SLF001
        assert stage.link.connected


def test_a_row_too_large_gives_its_place_to_a_gap_that_names_it(broker: Mosquitto, backend: Backend) -> None:
    ledger = Ledger(rows=3)
    ledger.large = {2}
    with Stage(broker.port, ledger) as stage:
        gap = backend.wait("up/event", lambda body: body["event"] == "gap")
        assert (gap["stream"], gap["seq"], gap["from"], gap["to"]) == ("stream", 2, 2, 2)
        assert gap["dead_letter"] == {"topic": "up/event", "event": "made_up", "session_id": None}
        backend.wait("up/event", lambda body: body["seq"] == 3)
        assert {body["seq"] for body in backend.of("up/event")} == {1, 2, 3}
        backend.acknowledge("stream", 3)
        stage.wait(lambda: ledger.acked == 3)
        assert not stage.alarms, "the gap is what the backend is told"


def test_no_broker_and_a_mute_one_disturb_nobody() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        with Stage(listener.getsockname()[1], Ledger(rows=1)) as stage:
            stage.link.publish_reading({})
            stage.link.publish_reply(Reply(command=CommandId("x"), body={}), None)
            began = CLOCK.now()
            stage.link.port_changed(PortId("A01"))
            assert CLOCK.now() - began < 0.5
            assert not stage.link.connected


def test_a_broker_that_takes_the_connection_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the keep-alive: a node of a cluster may hang, and the one beside it answers at once."""
    monkeypatch.setattr("chargerd.mqtt.paho_client.ANSWER_WITHIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: list[tuple[socket.socket, object]] = []
        accepting = threading.Thread(target=lambda: taken.extend(listener.accept() for _ in range(2)), daemon=True)
        accepting.start()
        with Stage(listener.getsockname()[1], Ledger(rows=1)) as stage:
            stage.wait(lambda: len(taken) == 2)
            assert stage.link.state.reason is not None
            assert stage.link.state.reason.code == "no_connack"
            assert not stage.link.connected
        for sock, _address in taken:
            sock.close()


def test_a_client_without_progress_is_replaced(broker: Mosquitto, backend: Backend) -> None:
    with Stage(broker.port, Ledger()) as stage:
        backend.wait("state/gateway")
        first = stage.link._transport  # noqa: SLF001 - the point is that it is another one afterwards
        stage.link._words.put(lambda: stage.link._rebuild(NO_PROGRESS))  # noqa: SLF001 - as after 90 s
        stage.wait(lambda: stage.link.connected and stage.link._transport is not first)  # noqa: SLF001


def test_a_client_whose_thread_has_died_is_replaced(
    broker: Mosquitto, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargerd.mqtt.client.STUCK_AFTER", 1.0)
    monkeypatch.setattr("chargerd.mqtt.outgoing.PRESENCE_EVERY", 0.2)
    with Stage(broker.port, Ledger()) as stage:
        backend.wait("state/gateway")
        first = stage.link._transport  # noqa: SLF001 - that it is another one afterwards is the point
        assert first is not None
        first._client._thread_terminate = True  # noqa: SLF001 - as if an exception had ended it
        stage.wait(lambda: stage.link._transport is not first and stage.link.connected)  # noqa: SLF001
        assert [name for name, _ in stage.alarms] == ["link_without_progress"]


def test_keys_that_cannot_be_read_alarm_and_stop_nothing(tmp_path: Path) -> None:
    stage = Stage(1, Ledger(), tls=TlsSection(ca=str(tmp_path / "none.pem")), username="u")
    with stage:
        stage.wait(lambda: bool(stage.alarms))
        assert stage.alarms[0][0] == "link_not_set_up"
    password = tmp_path / "password"
    password.write_text("secret\n")
    with Stage(1, Ledger(), username="u", password_file=str(password)) as good:
        assert not good.alarms
    with Stage(1, Ledger(), username="u", password_file=str(tmp_path / "none")) as bad:
        bad.wait(lambda: bool(bad.alarms))


def test_the_back_off_doubles_with_full_jitter_and_a_taken_over_session_waits_for_minutes() -> None:
    back_off = BackOff("seed")
    delays = [back_off.next() for _ in range(12)]
    assert every(0.1 <= delay <= min(120, 5 * 2**number) for number, delay in enumerate(delays))
    assert len(set(delays)) == len(delays)
    assert 120 <= back_off.next(taken_over=True) <= 300
    back_off.unsteady()
    assert 120 < max(back_off.next() for _ in range(50)) <= 300
    back_off.reset()
    assert back_off.next() <= 5


def test_a_row_above_mosquittos_own_limit_gives_its_place_to_a_gap(tmp_path: Path) -> None:
    """It says so in a PUBACK, with a code the standard does not have there, and announces nothing."""
    ledger = Ledger(rows=4)
    ledger.large.add(2)
    ledger.padding = 8_000
    with (
        Mosquitto(tmp_path / "strict", settings="message_size_limit 5000") as broker,
        Backend(broker.port, made_up=True) as backend,
        Stage(broker.port, ledger) as stage,
    ):
        backend.wait("up/event", lambda body: body["seq"] == 4)
        gap = backend.wait("up/event", lambda body: body["seq"] == 2)
        assert (gap["event"], gap["reason"]) == ("gap", "refused with 0x95")
        assert not stage.alarms


def test_a_retained_command_is_known_as_one_while_connected_too(broker: Mosquitto, backend: Backend) -> None:
    with Stage(broker.port, Ledger()) as stage:
        backend.wait("state/gateway")
        backend.command("start", port="A01", retain=True, number="kept")
        stage.wait(lambda: bool(stage.refusals))
        assert (stage.refusals[0].id, stage.refusals[0].code) == ("kept", Code.RETAINED)
        assert not stage.commands


def test_correlation_data_comes_back_and_a_response_topic_is_ignored(broker: Mosquitto, backend: Backend) -> None:
    stage = Stage(broker.port, Ledger())
    with stage, Backend(broker.port, client_id="listener", made_up=True) as listener:
        backend.wait("state/gateway")
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = 20
        properties.CorrelationData = b"17"
        properties.ResponseTopic = "chargerd/v1/shed-1/state/port/A01"
        body = b'{"id": "c", "ttl_s": 30, "args": {"port": "A01", "force": true}}'
        backend._client.publish(f"{backend.root}/cmd/stop", body, qos=1, properties=properties)  # noqa: SLF001
        stage.wait(lambda: bool(stage.commands))
        assert stage.commands[0].correlation == b"17"
        answer = Reply(command=CommandId("c"), body={"id": "c", "status": "done"})
        stage.link.publish_reply(answer, stage.commands[0].correlation)
        assert listener.wait("up/reply")["id"] == "c"
        assert listener.correlations == [b"17"]
        assert every(body.get("id") != "c" for body in listener.of("state/port/A01"))


def test_boards_circuits_and_health_go_out_as_they_are_given(broker: Mosquitto, backend: Backend) -> None:
    stage = Stage(broker.port, Ledger())
    stage.link.board_state("relay-a", {"board": "relay-a", "health": "good"})
    with stage:
        backend.wait("state/gateway")
        given = [topic for topic, _body, _retained in backend.messages]
        assert given.index("state/board/relay-a") < given.index("state/info") < given.index("state/gateway")
        stage.link.circuit_state("shed", {"circuit": "shed", "current_a": 12.0})
        assert backend.wait("state/circuit/shed")["current_a"] == 12.0
        stage.link.board_state("relay-a", {"board": "relay-a", "health": "good"})
        stage.link.board_state("relay-a", {"board": "relay-a", "health": "lost"})
        backend.wait("state/board/relay-a", lambda body: body["health"] == "lost")
        assert len(backend.of("state/board/relay-a")) == 2, "the same again is no news"
        stage.link.publish_health({"load": 0.2})
        health = backend.wait("up/health")
        assert health["gateway"] == "shed-1"
        ports, births = len(backend.of("state/port/A01")), len(backend.of("state/gateway"))
        stage.link.publish_states()
        stage.wait(lambda: len(backend.of("state/gateway")) > births)
        assert len(backend.of("state/port/A01")) > ports
        assert len(backend.of("state/board/relay-a")) == 3


def test_a_replay_is_sent_from_where_it_was_asked(broker: Mosquitto, backend: Backend) -> None:
    with Stage(broker.port, Ledger(rows=5)) as stage:
        backend.wait("up/event", lambda body: body["seq"] == 5)
        backend.acknowledge("stream", 5)
        stage.wait(lambda: stage.ledger.acked == 5)
        answers: list[str | None] = []
        stage.link.replay("another", 1, None, answers.append)
        stage.link.replay("stream", 6, None, answers.append)
        stage.link.replay("stream", 3, None, answers.append)
        stage.wait(lambda: numbers(backend) == [1, 2, 3, 4, 5, 3, 4, 5])
        stage.link.replay("stream", 2, 3, answers.append)
        stage.link.replay("stream", 5, 99, answers.append)
        stage.wait(lambda: numbers(backend)[8:] == [2, 3, 5])
        assert answers == ["the stream here is stream", "the last row is 5", None, None, None]


def test_a_salvaged_journal_is_another_stream_and_the_old_acknowledgement_is_not_its_own(
    tmp_path: Path, broker: Mosquitto, backend: Backend
) -> None:
    def open_journal() -> Journal:
        journal = Journal.open(
            tmp_path / "journal.db", clock=CLOCK, boot_id="b", on_health=lambda _: None, on_crash=lambda _: None
        )
        journal.start()
        return journal

    def add(journal: Journal, count: int) -> None:
        body: Body = {"event": "made_up"}
        entry = LedgerEntry(kind=RowKind.EVENT, body=body, moment=CLOCK.moment(), offline=False)
        journal.append(Batch(entries=(entry,) * count))

    first = open_journal()
    add(first, 30)
    with Stage(broker.port, first):
        backend.wait("up/event", lambda body: body["seq"] == 30)
    first.close(Seconds(5))
    first = open_journal()
    with Stage(broker.port, first):
        backend.wait("state/gateway", lambda body: body["status"] == "online" and body["conn"] == 2)
        old = first.span().stream
        backend.acknowledge(old, 20)
        Stage.wait_for(lambda: first.span().acked == 20)
    first.close(Seconds(5))
    with (tmp_path / "journal.db").open("r+b") as file:
        file.write(b"no journal at all")
    second = open_journal()
    assert second.recovery.salvaged is not None
    add(second, 3)
    with Stage(broker.port, second):
        new = second.span().stream
        assert new != old
        backend.wait("up/event", lambda body: body["stream"] == new and body["seq"] == 3)
        assert second.span().acked == 0, "the retained acknowledgement was the old stream's"
        backend.acknowledge(new, 3)
        Stage.wait_for(lambda: second.span().acked == 3)
    second.close(Seconds(5))


def test_a_client_retired_while_connecting_takes_no_session_from_its_successor() -> None:
    transport = Transport(
        config=MqttSection(host="127.0.0.1"),
        client_id="shed-1",
        root="chargerd/v1/shed-1",
        generations=count(1),
        back_off=BackOff("shed-1"),
        clock=CLOCK,
        owner=Arrivals(),
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for retired in (False, True):
            if retired:
                transport.retire(with_will=False)
            with socket.create_connection(listener.getsockname()) as sock:
                peer, _address = listener.accept()
                transport._when_socket_open(transport._client, None, sock)  # noqa: SLF001 - as paho calls it
                peer.settimeout(0.2)
                with peer, nullcontext() if retired else pytest.raises(TimeoutError):
                    assert peer.recv(1) == b"", "hung up before a word was said"


class Arrivals:
    """The owner of a transport that notes when the broker has taken it."""

    def __init__(self) -> None:
        self.connected: list[float] = []
        self.lost = 0

    def hear(self, heard: Heard) -> None:
        if isinstance(heard, Connected):
            self.connected.append(CLOCK.now())
        self.lost += isinstance(heard, Lost)

    def will(self) -> tuple[int, bytes]:
        return 1, b"{}"


class Pauses(BackOff):
    """Notes which pauses it has drawn: when exactly a gateway is back says how busy the machine is, too."""

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.drawn: list[Seconds] = []

    def next(self, *, taken_over: bool = False) -> Seconds:
        self.drawn.append(super().next(taken_over=taken_over))
        return self.drawn[-1]


def test_eighty_five_gateways_do_not_come_back_within_one_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargerd.mqtt.back_off.BACK_OFF_FIRST", 5.0)
    with Mosquitto(tmp_path / "broker") as broker:
        config = MqttSection.model_validate({"host": "127.0.0.1", "port": broker.port})
        owners = [Arrivals() for _ in range(85)]
        back_offs = [Pauses(f"gateway-{number}") for number in range(85)]
        links = [
            Transport(
                config=config,
                client_id=f"gateway-{number}",
                root=f"chargerd/v1/gateway-{number}",
                generations=count(1),
                back_off=back_offs[number],
                clock=CLOCK,
                owner=owner,
            )
            for number, owner in enumerate(owners)
        ]
        for link in links:
            link.start()
        Stage.wait_for(lambda: all(len(one.connected) == 1 for one in owners))
        broker.kill()
        broker.start()
        Stage.wait_for(lambda: all(len(one.connected) == 2 for one in owners))
        back = sorted(one.drawn[0] for one in back_offs)
        busiest = max(sum(1 for at in back if start <= at < start + 1.0) for start in back)
        assert busiest <= 40, f"{busiest} of 85 come within one second"
        assert back[-1] - back[0] > 3
        for link in links:
            link.retire(with_will=False)()


def test_the_drain_waits_for_the_retained_acknowledgement_and_no_longer(
    broker: Mosquitto, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Seconds(2.0) == REAL_ACK_WAIT
    monkeypatch.setattr("chargerd.mqtt.feed.ACK_WAIT", 1.0)
    with Stage(broker.port, Ledger(rows=4)) as stage:
        stage.wait(lambda: stage.link.connected)
        connected = CLOCK.now()
        backend.wait("up/event", lambda body: body["seq"] == 4)
        assert CLOCK.now() - connected > 0.8
    backend.acknowledge("stream", 3)
    seen = len(backend.of("up/event"))
    with Stage(broker.port, Ledger(rows=5)) as stage:
        stage.wait(lambda: stage.link.connected)
        connected = CLOCK.now()
        backend.wait("up/event", lambda body: body["seq"] == 5)
        assert CLOCK.now() - connected < 0.8, "the acknowledgement has come, so there is nothing to wait for"
        assert numbers(backend)[seen:] == [4, 5]


def test_numbers_that_were_given_out_before_are_not_given_out_again(broker: Mosquitto, backend: Backend) -> None:
    """A card image was restored: the backend has 8 rows of this stream, the journal knew of 3 and has made two."""
    ledger = Ledger(rows=5)
    ledger.found, ledger.acked = 3, 2
    backend.acknowledge("stream", 8)
    with Stage(broker.port, ledger) as stage:
        row = backend.wait("up/event", lambda body: body["seq"] == 5)
        assert row["stream"] == "another"
        sent = [(body["stream"], body["seq"]) for body in backend.of("up/event")]
        assert sent == [("another", 3), ("another", 4), ("another", 5)], "nothing under a number used before"
        assert [name for name, _ in stage.alarms] == ["stream_renewed"]
        birth = backend.wait("state/gateway", lambda body: body["ledger"]["stream"] == "another")
        assert birth["ledger"] == {"stream": "another", "first": 3, "last": 5}
        backend.acknowledge("another", 9)
        stage.wait(lambda: len(stage.alarms) == 2)
        assert stage.alarms[1][0] == "ack_ahead", "once is enough: a backend may always say one too much"
        backend.acknowledge("another", 5)
        stage.wait(lambda: ledger.acked == 5)


def test_rows_this_process_has_made_and_not_sent_are_not_acknowledged_by_an_older_word(
    broker: Mosquitto, backend: Backend
) -> None:
    ledger = Ledger(rows=4)
    ledger.found = 3
    backend.acknowledge("stream", 4)
    with Stage(broker.port, ledger):
        backend.wait("up/event", lambda body: (body["stream"], body["seq"]) == ("another", 4))


def test_what_the_broker_has_kept_of_us_proves_lost_rows(broker: Mosquitto, backend: Backend) -> None:
    """A card that lost its last writes: nobody acknowledged them, but the broker heard how far it was."""
    with Stage(broker.port, Ledger(rows=8)) as stage:
        backend.wait("up/event", lambda body: body["seq"] == 8)
        stage.wait(lambda: stage.link.drained)
    ledger, seen = Ledger(rows=5), len(backend.of("up/event"))
    ledger.found = 3
    with Stage(broker.port, ledger) as stage:
        backend.wait("up/event", lambda body: (body["stream"], body["seq"]) == ("another", 5))
        later = [(body["stream"], body["seq"]) for body in backend.of("up/event")][seen:]
        assert later == [("another", seq) for seq in (1, 2, 3, 4, 5)], "nothing under a number used before"
        assert [name for name, _detail in stage.alarms] == ["stream_renewed"]
        assert "row 8, and 3 was the last here" in stage.alarms[0][1]


def test_what_the_broker_has_kept_of_us_proves_nothing_where_rows_are_there(
    broker: Mosquitto, backend: Backend
) -> None:
    with Stage(broker.port, Ledger(rows=8)):
        backend.wait("up/event", lambda body: body["seq"] == 8)
    with Stage(broker.port, Ledger(rows=9)) as stage:
        backend.wait("up/event", lambda body: body["seq"] == 9)
        assert not stage.alarms
        subscriptions = stage.link._subscriptions  # noqa: SLF001
        assert len(subscriptions._topics) == 2  # noqa: SLF001
        stage.wait(lambda: not subscriptions._own_subscribed)  # noqa: SLF001 - it is told no more of itself


def test_a_session_has_subscriptions_of_one_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    """RabbitMQ keeps one of QoS 0 in a queue of its own, on one node, with which the session is lost."""
    asked: list[tuple[str, SubscribeOptions]] = []
    transport = Transport(
        config=MqttSection(host="127.0.0.1"),
        client_id="shed-1",
        root="chargerd/v1/shed-1",
        generations=count(1),
        back_off=BackOff("shed-1"),
        clock=CLOCK,
        owner=Arrivals(),
    )
    monkeypatch.setattr(transport, "_live", 1)
    monkeypatch.setattr(transport._client, "subscribe", asked.extend)  # noqa: SLF001
    transport.subscribe(1, ("cmd/+", "ack"), own=("state/info", "state/gateway"))
    assert len(asked) == 4
    assert {options.QoS for _topic, options in asked} == {1}


def test_our_own_states_are_acknowledged_to_the_broker(
    broker: Mosquitto, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else they take up room among the commands that may be under way, and come again with each connection."""
    with Stage(broker.port, Ledger(rows=1)) as stage:
        backend.wait("up/event", lambda body: body["seq"] == 1)
        stage.wait(lambda: stage.link.drained)
    acknowledged: list[int] = []
    acknowledge = Transport.acknowledge

    def note(transport: Transport, generation: int, mid: int, qos: int) -> None:
        acknowledged.append(qos)
        acknowledge(transport, generation, mid, qos)

    monkeypatch.setattr(Transport, "acknowledge", note)
    with Stage(broker.port, Ledger(rows=1)) as stage:
        stage.wait(lambda: len(acknowledged) == 2)
        assert acknowledged == [1, 1], "the info and the presence of the life before"


def test_a_broker_that_makes_slashes_of_dots_is_told_of_and_its_commands_are_carried_out() -> None:
    """As RabbitMQ does: `shed.1` is two levels to it."""
    stage = Stage(1, Ledger())
    link = stage.link
    link._root = "chargerd/v1/shed.1"  # noqa: SLF001 - no broker of the tests does this
    link._transport = Transport(  # noqa: SLF001
        config=MqttSection(host="127.0.0.1"),
        client_id="shed.1",
        root="chargerd/v1/shed.1",
        generations=count(1),
        back_off=BackOff("shed.1"),
        clock=CLOCK,
        owner=Arrivals(),
    )
    link.hear(Connected(generation=1, conn=1, offer=Offer()))
    for number, root in enumerate(("chargerd/v1/shed.1", "chargerd/v1/shed/1")):
        message = paho.MQTTMessage(mid=number, topic=f"{root}/cmd/stop".encode())
        message.payload = json.dumps(
            {"id": f"stop-{number}", "ttl_s": 5, "args": {"port": "A01", "force": True}}
        ).encode()
        message.properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        message.properties.MessageExpiryInterval = 5
        link.hear(Delivered(generation=1, message=message, received=CLOCK.moment()))
    link.turn()
    assert [command.id for command in stage.commands] == ["stop-0", "stop-1"]
    assert [name for name, _detail in stage.alarms] == ["topic_rewritten"]
