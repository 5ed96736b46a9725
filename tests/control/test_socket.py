"""Server and client over real sockets: many clients, slow ones, dead ones, garbage."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chargerd.control import server as server_module
from chargerd.control.client import ControlClient, ControlFailure, DaemonNotRunning
from chargerd.control.protocol import LONGEST_REQUEST
from chargerd.control.server import ControlError, ControlServer, Peer, Responder
from chargerd.core.ledger import Json
from chargerd.runtime.clock import SystemClock


class Handler:
    def __init__(self) -> None:
        self.held: list[Responder] = []
        self.peers: list[Peer] = []
        self.got = threading.Event()

    def call(self, method: str, params: Mapping[str, Json], peer: Peer, respond: Responder) -> None:
        self.peers.append(peer)
        match method:
            case "echo":
                respond.send(dict(params))
            case "count":
                for number in range(3):
                    respond.send(number, more=number < 2)
            case "hold":
                self.held.append(respond)
                self.got.set()
            case "flood":
                while not respond.closed:
                    respond.send("x" * 100_000, more=True)
            case "break":
                raise ZeroDivisionError
            case _:
                respond.fail("unsupported", f"no {method}", "try echo")


class Stage:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.handler = Handler()
        self.crashes: list[BaseException] = []
        self.crashed = threading.Event()
        self.server = ControlServer(path, self.handler, clock=SystemClock(), on_crash=self._crash)

    def _crash(self, error: BaseException) -> None:
        self.crashes.append(error)
        self.crashed.set()

    def raw(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(5)
        sock.connect(str(self.path))
        return sock


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    one = Stage(tmp_path / "ctl.sock")
    one.server.start()
    yield one
    one.server.stop()
    assert not one.path.exists()


def line(sock: socket.socket) -> Any:
    data = b""
    while not data.endswith(b"\n"):
        data += sock.recv(65536)
    return json.loads(data)


def test_calls_and_streams(stage: Stage) -> None:
    with ControlClient(stage.path) as client:
        assert client.call("echo", port="A01") == {"port": "A01"}
        assert list(client.stream("count")) == [0, 1, 2]
        assert client.call("count") == 2
        with pytest.raises(ControlFailure, match="no dance") as failure:
            client.call("dance")
        assert failure.value.code == "unsupported"
        assert failure.value.hint == "try echo"
    assert stage.handler.peers[0].pid == os.getpid()
    assert stage.handler.peers[0].uid == os.getuid()


def test_many_clients_at_once_and_an_answer_from_another_thread(stage: Stage) -> None:
    clients = [ControlClient(stage.path) for _ in range(20)]
    for number, client in enumerate(clients):
        assert client.call("echo", number=number) == {"number": number}
    answers: list[Any] = []
    waiter = threading.Thread(target=lambda: answers.append(clients[0].call("hold")))
    waiter.start()
    assert stage.handler.got.wait(5)
    stage.handler.held[0].send("at last")
    waiter.join(5)
    assert answers == ["at last"]
    for client in clients:
        client.__exit__()


def test_a_client_that_goes_away_is_noticed(stage: Stage) -> None:
    sock = stage.raw()
    sock.sendall(b'{"id": 1, "method": "hold"}\n')
    assert stage.handler.got.wait(5)
    sock.close()
    deadline = threading.Event()
    for _ in range(500):
        if stage.handler.held[0].closed:
            break
        deadline.wait(0.01)
    assert stage.handler.held[0].closed
    stage.handler.held[0].send("to nobody")


def test_a_client_that_does_not_read_is_dropped_and_disturbs_nobody(stage: Stage) -> None:
    sock = stage.raw()
    sock.sendall(b'{"id": 1, "method": "flood"}\n')
    with ControlClient(stage.path) as client:
        assert client.call("echo", ok=True) == {"ok": True}
    sock.close()


def test_garbage_gets_an_error_and_the_connection_goes_on(stage: Stage) -> None:
    with stage.raw() as sock:
        for garbage in (
            b"{\n",
            b"[]\n",
            b'{"id": "x", "method": "echo"}\n',
            b'{"id": 1, "method": "echo", "x": 1}\n',
        ):
            sock.sendall(garbage)
            assert line(sock)["error"]["code"] == "malformed"
        sock.sendall(b"\n")
        sock.sendall(b'{"id": 7, "met')
        sock.sendall(b'hod": "echo"}\n')
        assert line(sock) == {"id": 7, "result": {}, "more": False, "error": None}
        sock.sendall(b"x" * (LONGEST_REQUEST + 1))
        assert line(sock)["error"]["code"] == "malformed"
    assert not stage.crashes


def test_a_stale_socket_is_replaced_and_a_living_one_is_not(stage: Stage, tmp_path: Path) -> None:
    second = Stage(stage.path)
    with pytest.raises(ControlError, match="another daemon"):
        second.server.start()
    second.server.stop()
    assert stage.path.exists(), "the socket is the first one's"
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(stale))
    other = Stage(stale)
    other.server.start()
    with ControlClient(stale) as client:
        assert client.call("echo") == {}
    other.server.stop()


def test_a_socket_that_cannot_be_bound_says_so(tmp_path: Path) -> None:
    one = Stage(tmp_path / "missing" / "ctl.sock")
    with pytest.raises(ControlError, match="No such file"):
        one.server.start()
    one.server.stop()


def test_the_group_is_only_given_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "GROUP", "no-such-group-here")
    one = Stage(tmp_path / "ctl.sock")
    one.server.start()
    assert one.path.stat().st_mode & 0o777 == 0o660
    one.server.stop()


def test_a_mistake_in_the_handler_is_reported(tmp_path: Path) -> None:
    one = Stage(tmp_path / "ctl.sock")
    one.server.start()
    with pytest.raises(ControlFailure, match=r"gone|answer"), ControlClient(one.path, timeout=0.5) as client:
        client.call("break")
    assert one.crashed.wait(5)
    assert isinstance(one.crashes[0], ZeroDivisionError)
    one.server.stop()


def test_stopped_before_it_was_started(tmp_path: Path) -> None:
    Stage(tmp_path / "ctl.sock").server.stop()


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(DaemonNotRunning, match="not running") as failure:
        ControlClient(tmp_path / "none.sock")
    assert "systemctl start chargerd" in failure.value.hint
    with pytest.raises(DaemonNotRunning):
        ControlClient(tmp_path / ("x" * 200))


def test_not_ours_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(socket.socket, "connect", denied)
    with pytest.raises(DaemonNotRunning, match="not yours") as failure:
        ControlClient(tmp_path / "ctl.sock")
    assert "group chargerd" in failure.value.hint


def _wait(done: threading.Event) -> None:
    done.wait(5)


def _serve_once(path: Path, behave: Callable[[socket.socket], None]) -> threading.Thread:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(1)

    def serve() -> None:
        peer, _ = listener.accept()
        with peer, listener:
            behave(peer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("answer", "code"), [(b"nonsense\n", "protocol"), (b"", "gone")], ids=["nonsense", "hangs up"]
)
def test_a_strange_daemon(tmp_path: Path, answer: bytes, code: str) -> None:
    def behave(peer: socket.socket) -> None:
        peer.recv(1000)
        peer.sendall(answer)

    thread = _serve_once(tmp_path / "strange.sock", behave)
    with pytest.raises(ControlFailure) as failure, ControlClient(tmp_path / "strange.sock") as client:
        client.call("echo")
    assert failure.value.code == code
    thread.join(5)


def test_a_daemon_that_does_not_answer(tmp_path: Path) -> None:
    done = threading.Event()
    thread = _serve_once(tmp_path / "mute.sock", lambda _peer: _wait(done))
    with (
        pytest.raises(ControlFailure, match="does not answer"),
        ControlClient(tmp_path / "mute.sock", timeout=0.1) as client,
    ):
        client.call("echo")
    done.set()
    thread.join(5)
