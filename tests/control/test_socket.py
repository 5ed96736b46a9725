"""Server and client over real sockets: many clients, slow ones, dead ones, garbage."""

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from chargerd import __version__
from chargerd.contract.ledger import Json
from chargerd.control import server as server_module
from chargerd.control.client import ControlClient, ControlFailure, DaemonNotRunning
from chargerd.control.protocol import LONGEST_REQUEST, LONGEST_RESPONSE, PROTOCOL
from chargerd.control.server import ControlError, ControlServer, Peer, Responder
from chargerd.runtime.local.handler import action
from chargerd.runtime.process.clock import SystemClock
from tests.patience import PATIENCE_S


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
                raise OSError(f"{params}")
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
        sock.settimeout(PATIENCE_S)
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
    assert stage.handler.peers[0].gid == os.getgid()


def test_hello_says_versions(stage: Stage) -> None:
    with ControlClient(stage.path) as client:
        assert client.hello() == {"protocol": PROTOCOL, "version": __version__}
    assert not stage.handler.peers, "nobody has to be asked for that"


def test_further_results_may_take_their_time(stage: Stage) -> None:
    with ControlClient(stage.path, timeout=2.0) as client:
        stream = client.stream("hold")

        def begin() -> None:
            assert stage.handler.got.wait(PATIENCE_S)
            stage.handler.held[0].send(1, more=True)

        beginning = threading.Thread(target=begin)
        beginning.start()
        assert next(stream) == 1
        beginning.join(PATIENCE_S)
        assert not client.ready(2.1), "longer than the first answer may take"
        later = threading.Timer(0.3, stage.handler.held[0].send, args=(2,))
        later.start()
        assert next(stream) == 2
        later.join(PATIENCE_S)
        counting = client.stream("count")
        next(counting)
        assert client.ready(PATIENCE_S)


def test_no_more_clients_than_the_daemon_can_afford(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MOST_CLIENTS", 2)
    first, second = ControlClient(stage.path), ControlClient(stage.path)
    assert first.call("echo") == second.call("echo") == {}
    with (
        pytest.raises(ControlFailure, match="too many connections") as failure,
        ControlClient(stage.path) as third,
    ):
        third.call("echo")
    assert failure.value.code == "too_many_clients"
    first.__exit__()

    def free() -> bool:
        try:
            with ControlClient(stage.path) as again:
                return bool(again.call("echo", ok=1) == {"ok": 1})
        except ControlFailure:
            return False

    assert _comes_true(free), "a place that was left is given to the next"
    second.__exit__()


def test_many_clients_at_once_and_an_answer_from_another_thread(stage: Stage) -> None:
    clients = [ControlClient(stage.path) for _ in range(20)]
    for number, client in enumerate(clients):
        assert client.call("echo", number=number) == {"number": number}
    answers: list[Any] = []
    waiter = threading.Thread(target=lambda: answers.append(clients[0].call("hold")))
    waiter.start()
    assert stage.handler.got.wait(PATIENCE_S)
    stage.handler.held[0].send("at last")
    waiter.join(PATIENCE_S)
    assert answers == ["at last"]
    for client in clients:
        client.__exit__()


def test_a_client_that_goes_away_is_noticed(stage: Stage) -> None:
    sock = stage.raw()
    sock.sendall(b'{"id": 1, "method": "hold"}\n')
    assert stage.handler.got.wait(PATIENCE_S)
    sock.close()
    assert _comes_true(lambda: stage.handler.held[0].closed)
    stage.handler.held[0].send("to nobody")
    with ControlClient(stage.path) as client:
        assert client.call("echo") == {}


def test_an_answer_after_the_end_disturbs_nobody(tmp_path: Path) -> None:
    one = Stage(tmp_path / "ctl.sock")
    one.server.start()
    sock = one.raw()
    sock.sendall(b'{"id": 1, "method": "hold"}\n')
    assert one.handler.got.wait(PATIENCE_S)
    one.server.stop()
    assert one.handler.held[0].closed
    one.handler.held[0].send("too late")
    sock.close()


def test_a_client_that_leaves_before_its_answer_costs_only_itself(stage: Stage) -> None:
    sock = stage.raw()
    sock.sendall(b'{"id": 1, "method": "hold"}\n')
    assert stage.handler.got.wait(PATIENCE_S)
    sock.shutdown(socket.SHUT_RD)
    for _ in range(3):
        stage.handler.held[0].send("x" * 1000, more=True)
    assert _comes_true(lambda: stage.handler.held[0].closed)
    with ControlClient(stage.path) as client:
        assert client.call("echo") == {}
    sock.close()


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
    assert not stage.crashes


@pytest.mark.parametrize("ending", [b"", b"\n"], ids=["unfinished", "finished"])
def test_what_follows_an_endless_line_is_not_taken_for_a_request(stage: Stage, ending: bytes) -> None:
    with stage.raw() as sock:
        sock.sendall(b'{"id": 1, "method": "echo"}\n' + b"x" * (LONGEST_REQUEST + 1) + ending)
        data = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(b'{"id": 2, "method": "echo"}\n')
            while more := sock.recv(65536):
                data += more
        assert b'"id":2' not in data
    assert not stage.crashes


def test_the_client_sends_no_line_the_server_would_not_take(stage: Stage) -> None:
    with ControlClient(stage.path) as client:
        with pytest.raises(ControlFailure, match="too long"):
            client.call("echo", text="x" * LONGEST_REQUEST)
        assert client.call("echo") == {}


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


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ctl.sock"
    path.write_text("somebody's notes")
    one = Stage(path)
    with pytest.raises(ControlError, match="is no socket"):
        one.server.start()
    one.server.stop()
    assert path.read_text() == "somebody's notes"


def test_a_socket_is_not_replaced_while_its_daemon_may_only_be_busy(tmp_path: Path) -> None:
    path = tmp_path / "ctl.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as busy:
        busy.bind(str(path))
        busy.listen(0)
        knocking = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(3)]
        for one in knocking:
            one.setblocking(False)
            one.connect_ex(str(path))
        second = Stage(path)
        server_module.PROBE, before = 0.05, server_module.PROBE
        with pytest.raises(ControlError):
            second.server.start()
        server_module.PROBE = before
        second.server.stop()
        with pytest.raises(ControlFailure, match="does not answer"):
            ControlClient(path, timeout=0.05)
        for one in knocking:
            one.close()
    assert path.exists()


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
    assert one.crashed.wait(PATIENCE_S)
    assert isinstance(one.crashes[0], OSError), "the handler's own, not taken for the client's"
    one.server.stop()


@pytest.mark.parametrize(("name", "error"), [("accept", ConnectionAbortedError), ("recv", BlockingIOError)])
def test_a_knock_without_a_caller_disturbs_nobody(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str, error: type[OSError]
) -> None:
    original: Callable[..., Any] = getattr(socket.socket, name)
    raised = threading.Event()

    def once(sock: socket.socket, *arguments: Any) -> Any:
        if not raised.is_set() and sock.getsockname() == str(stage.path):
            raised.set()
            raise error
        return original(sock, *arguments)

    monkeypatch.setattr(socket.socket, name, once)
    with ControlClient(stage.path) as client:
        assert client.call("echo", ok=1) == {"ok": 1}
    assert raised.is_set()
    assert not stage.crashes


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
    (tmp_path / "ctl.sock").touch()
    for group, words in (("technicians", "group technicians"), ("root", "use sudo")):
        monkeypatch.setattr(Path, "group", lambda _self, name=group: name)
        with pytest.raises(DaemonNotRunning) as failure:
            ControlClient(tmp_path / "ctl.sock")
        assert failure.value.hint.endswith(words) or words in failure.value.hint


OUTSIDER, GROUP = 65_534, 54_321
CHILD = """
import contextlib, grp, io, os, pwd, shutil
from chargerd.cli.chargerctl import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    with contextlib.suppress(SystemExit):
        main(["--socket", "/nowhere", *{words!r}])
os.setgroups([])
os.setgid({group})
os.setuid({user})
main(["--socket", {path!r}, *{words!r}])
"""
"""Asks once as root, so that all is loaded: whoever it is then may not read this program's files."""


@pytest.fixture
def public() -> Iterator[Stage]:
    """A socket in a folder that anybody may enter, of a group of its own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        one = Stage(Path(folder) / "ctl.sock")
        one.server.start()
        os.chown(one.path, -1, GROUP)
        yield one
        one.server.stop()


def as_somebody(path: Path, group: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run chargerctl in a process that has really become somebody else."""
    child = CHILD.format(group=group, user=OUTSIDER, path=str(path), words=list(words))
    return subprocess.run(
        [sys.executable, "-c", child], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@as_root
def test_the_socket_is_for_its_group_and_for_nobody_else(public: Stage) -> None:
    assert stat.S_IMODE(public.path.stat().st_mode) == 0o660
    refused = as_somebody(public.path, OUTSIDER, "status")
    assert refused.returncode == 77, refused.stderr
    assert f"{public.path} is not yours to use; use sudo" in refused.stderr
    machine = as_somebody(public.path, OUTSIDER, "status", "--json")
    assert (machine.returncode, json.loads(machine.stdout)["error"]["code"]) == (77, "permission")
    assert not public.handler.peers, "nothing of it was heard"


@as_root
def test_who_is_in_the_group_is_heard_and_known_by_name(public: Stage) -> None:
    answered = as_somebody(public.path, GROUP, "status", "--json")
    assert answered.returncode == 1, "this handler knows no status"
    (peer,) = public.handler.peers[:1]
    assert (peer.uid, peer.gid) == (OUTSIDER, GROUP)
    told = action("stop", {"port": "A01"}, peer)
    assert (told.event, told.uid, told.user) == ("local_action", OUTSIDER, "nobody")


def _comes_true(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not holds():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.01)
    return True


def _wait(done: threading.Event) -> None:
    done.wait(PATIENCE_S)


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
    ("answer", "code"),
    [(b"nonsense\n", "protocol"), (b"", "gone"), (b"x" * (LONGEST_RESPONSE + 1), "protocol")],
    ids=["nonsense", "hangs up", "endless"],
)
def test_a_strange_daemon(tmp_path: Path, answer: bytes, code: str) -> None:
    def behave(peer: socket.socket) -> None:
        peer.recv(1000)
        peer.sendall(answer)

    thread = _serve_once(tmp_path / "strange.sock", behave)
    with pytest.raises(ControlFailure) as failure, ControlClient(tmp_path / "strange.sock") as client:
        client.call("echo")
    assert failure.value.code == code
    thread.join(PATIENCE_S)


def test_a_daemon_that_resets_the_connection(tmp_path: Path) -> None:
    def behave(peer: socket.socket) -> None:
        peer.recv(1, socket.MSG_PEEK)  # closing with something unread is a reset

    thread = _serve_once(tmp_path / "rude.sock", behave)
    with pytest.raises(ControlFailure, match="has gone"), ControlClient(tmp_path / "rude.sock") as client:
        client.call("echo")
    thread.join(PATIENCE_S)


def test_a_daemon_that_takes_nothing_any_more(tmp_path: Path) -> None:
    done = threading.Event()
    thread = _serve_once(tmp_path / "full.sock", lambda _peer: _wait(done))
    with ControlClient(tmp_path / "full.sock", timeout=0.01) as client:
        for _ in range(40):  # more than the kernel keeps for a reader
            with pytest.raises(ControlFailure, match="does not answer"):
                client.call("echo", text="x" * 15_000)
    done.set()
    thread.join(PATIENCE_S)


def test_a_daemon_that_does_not_answer(tmp_path: Path) -> None:
    done = threading.Event()
    thread = _serve_once(tmp_path / "mute.sock", lambda _peer: _wait(done))
    with (
        pytest.raises(ControlFailure, match="does not answer"),
        ControlClient(tmp_path / "mute.sock", timeout=0.1) as client,
    ):
        client.call("echo")
    done.set()
    thread.join(PATIENCE_S)
