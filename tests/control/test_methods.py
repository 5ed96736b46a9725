"""What the door lets through: no limit that is none, none that nobody knows, and no line that ends the daemon."""

import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargerd.contract.ledger import Json
from chargerd.control.client import ControlClient, ControlFailure
from chargerd.control.methods import ACTING, LEAVING, METHODS, BadParams, checked
from chargerd.control.server import ControlServer, Peer, Responder
from chargerd.runtime.process.clock import SystemClock
from tests.patience import PATIENCE_S

LIMITS = ("duration_s", "energy_wh", "power_w", "current_a")
SETTINGS = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Handler:
    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Json]]] = []
        self.crashed = threading.Event()

    def call(self, method: str, params: Mapping[str, Json], _peer: Peer, respond: Responder) -> None:
        self.calls.append((method, dict(params)))
        respond.send(None)


@pytest.fixture
def handler() -> Handler:
    return Handler()


@pytest.fixture
def path(tmp_path: Path, handler: Handler) -> Iterator[Path]:
    where = tmp_path / "ctl.sock"
    server = ControlServer(where, handler, clock=SystemClock(), on_crash=lambda _error: handler.crashed.set())
    server.start()
    yield where
    server.stop()
    assert not handler.crashed.is_set()


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("value", [0, -1, -0.0, float("nan"), float("inf"), 10**400, True, "5", [5], {}])
def test_a_limit_that_is_no_limit_is_refused(limit: str, value: Json) -> None:
    with pytest.raises(BadParams, match=limit) as refused:
        checked("start", {"port": "A01", limit: value})
    assert refused.value.code == "malformed"


@pytest.mark.parametrize("figure", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 400, b"0"])
def test_so_is_one_written_as_it_goes_over_the_wire(path: Path, handler: Handler, figure: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(str(path))
        sock.sendall(b'{"id":1,"method":"start","params":{"port":"A01","power_w":' + figure + b"}}\n")
        assert b'"malformed"' in sock.recv(4096)
    assert not handler.calls


@pytest.mark.parametrize("method", sorted(METHODS))
def test_what_a_method_does_not_know_it_refuses(method: str) -> None:
    needs: dict[str, dict[str, Json]] = {
        "status": {},
        "watch": {},
        "verify": {},
        "boards": {},
        "doctor": {},
        "events": {},
        "drain": {"timeout_s": 60.0},
        "undrain": {},
        "leave": {},
        "shutdown": {},
        "compare": {},
        "reload": {"restart": True},
        "prove": {"ports": ["A01"], "load_w": 100.0, "each": True, "anew": False, "asks": True, "by": "Ann"},
        "prove-answer": {"proof": "proof-1", "answer": "ready"},
        "prove-report": {},
        "accept-line": {"bus": "line-a"},
        "line": {"bus": "line-a"},
        "trace": {"bus": "line-a", "errors": True},
        "read": {"board": "meter-a1", "quantity": "current", "count": 1, "channel": 1},
        "write": {"bus": "line-a", "unit": 17, "function": 6, "address": 18, "values": [1]},
        "probe": {
            "bus": "line-a",
            "unit": 17,
            "function": 3,
            "address": 0,
            "count": 1,
            "words": 1,
            "timeout_ms": 80.0,
            "parity": "none",
            "stopbits": 1,
        },
        "session": {"session_id": "s"},
        "circuit": {"circuit": "shed"},
        "why": {},
        "disable": {"port": "A01", "reason": "a worn plug"},
        "enable": {"circuit": "shed", "reason": "replaced"},
        "lock": {"port": "A01", "by": "Ada", "reason": "a new socket"},
        "unlock": {"circuit": "shed", "by": "Ada"},
    }
    params = needs.get(method, {"port": "A01"})
    assert checked(method, params) == params
    with pytest.raises(BadParams, match="does not know 'energy_kwh'") as refused:
        checked(method, {**params, "energy_kwh": 1})
    assert refused.value.code == "unsupported"
    assert refused.value.hint.startswith(f"{method} takes ")


ASKING = {
    "boards", "circuit", "compare", "doctor", "events", "explain", "line", "port", "probe", "prove-report", "read",
    "session", "sessions", "status", "trace", "verify", "watch", "why",
}  # fmt: skip
WITHIN = {"prove-answer": "a step of `prove`, which is written down"}


def test_every_method_that_changes_something_is_written_down_with_who_has_used_it() -> None:
    changing = set(METHODS) - ACTING - ASKING - set(WITHIN)
    assert not changing, f"{changing}: in ACTING of chargerd/control/methods.py, or in ASKING here"
    assert not ACTING & ASKING, "what only asks leaves no trace"


def test_a_port_has_to_be_named() -> None:
    why = {"reason": "why"}
    needs: dict[str, dict[str, Json]] = {"disable": {**why}, "enable": {**why}, "unlock": {"by": "Ada"}}
    needs["lock"] = {**why, "by": "Ada"}
    for method in ("port", *ACTING - LEAVING - {"accept-line", "prove", "reload", "write"}):
        others = needs.get(method, {})
        with pytest.raises(BadParams, match="port"):
            checked(method, others)
        with pytest.raises(BadParams, match="port"):
            checked(method, {**others, "port": ""})


def test_what_was_left_out_is_not_handed_on() -> None:
    assert checked("start", {"port": "A01", "power_w": 300, "order_id": None}) == {"port": "A01", "power_w": 300}


def test_the_handler_refuses_methods_that_are_not_listed() -> None:
    assert checked("dance", {"step": 1}) == {"step": 1}


def test_the_client_hears_what_was_wrong(path: Path, handler: Handler) -> None:
    with ControlClient(path) as client:
        with pytest.raises(ControlFailure, match="power_w") as failure:
            client.call("start", port="A01", power_w=-1)
        assert failure.value.code == "malformed"
        assert "current_a" in failure.value.hint
        assert client.call("start", port="A01", power_w=300) is None
    assert handler.calls == [("start", {"port": "A01", "power_w": 300.0})]


def test_who_did_something_is_written_to_the_log(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ControlClient(path) as client:
        client.call("status")
        client.call("reset", port="A01", reason="relay replaced")
    lines = [line for line in capsys.readouterr().out.splitlines() if "local_command" in line]
    assert len(lines) == 1
    for word in ("reset", "relay replaced", "uid=", "pid="):
        assert word in lines[0]


@SETTINGS
@given(garbage=st.binary(max_size=300))
def test_no_bytes_end_the_daemon(path: Path, handler: Handler, garbage: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(str(path))
        sock.sendall(garbage + b"\n")
        sock.sendall(b'{"id":1,"method":"hello"}\n')
        assert _read_until(sock, b'"protocol"')
    assert not handler.crashed.is_set()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@SETTINGS
@given(
    method=st.sampled_from(sorted(METHODS)),
    params=st.dictionaries(st.sampled_from(["port", "reason", "session_id", "order_id", *LIMITS]), json_values),
)
def test_what_is_let_through_is_of_its_kind(method: str, params: dict[str, Json]) -> None:
    try:
        passed = checked(method, params)
    except BadParams:
        return
    assert set(passed) <= set(METHODS[method].model_fields)
    for name, value in passed.items():
        if name in LIMITS:
            assert isinstance(value, float)
            assert 0 < value < float("inf")
        else:
            assert isinstance(value, str)


def _read_until(sock: socket.socket, word: bytes) -> bool:
    data = b""
    while word not in data:
        more = sock.recv(65536)
        if not more:
            return False
        data += more
    return True
