"""chargerctl as a technician sees it, against a socket that answers like the daemon."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from chargerd.cli import wording
from chargerd.cli.chargerctl import main
from chargerd.control.server import ControlServer, Peer, Responder
from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.ledger import Json
from chargerd.core.view import PortState
from chargerd.runtime.clock import SystemClock

READING: dict[str, Json] = {
    "power_w": 151.4,
    "current_a": 1.1,
    "voltage_v": 230.0,
    "energy_wh": 12340,
    "age_s": 0.3,
    "quality": "good",
}
LIMITS: dict[str, Json] = {"current_a": 5.0, "power_w": 1000.0, "duration_s": 36000.0, "energy_wh": None}
LATCH: dict[str, Json] = {
    "function": "overcurrent_instant",
    "clearing": "remote",
    "detail": {"function": "overcurrent_instant", "measured": 9.1, "limit": 7.5, "unit": "a"},
}


def port(name: str, state: str = "available", **more: Json) -> dict[str, Json]:
    return {
        "port": name,
        "label": name,
        "state": state,
        "relay_closed": state == "charging",
        "reading": READING,
        "session": None,
        "session_id": None,
        "limits": LIMITS,
        "limits_in_force": None,
        "latches": [],
        "blocked_by": [],
        **more,
    }


PORTS: list[dict[str, Json]] = [
    port("A01"),
    port(
        "A02",
        "charging",
        session={"charging_s": 3723.0, "suspended_s": 0.0, "energy_wh": 155, "peak_power_w": 160.0},
        session_id="S-1",
        limits_in_force={**LIMITS, "energy_wh": 500.0},
        blocked_by=["busy"],
    ),
    port("A03", "tripped", latches=[LATCH], blocked_by=["latched"], reading={**READING, "quality": "stale"}),
    port(
        "A04", "unknown", relay_closed=None, blocked_by=["board_lost", "meter_stale"], reading={"quality": "none"}
    ),
]
BUS: dict[str, Json] = {"bus": "line-a", "line": "/dev/ttyUSB0", "connected": True, "boards_lost": ["meter-a4"]}


class Daemon:
    """Answers like the daemon; `replies` are what a command gets."""

    def __init__(self) -> None:
        self.replies: list[dict[str, Json]] = []
        self.calls: list[tuple[str, dict[str, Json]]] = []
        self.mqtt: Json = {"broker": "b:1883", "connected": True}
        self.bus = BUS

    def call(self, method: str, params: Mapping[str, Json], _peer: Peer, respond: Responder) -> None:
        self.calls.append((method, dict(params)))
        found = next((one for one in PORTS if one["port"] == params.get("port")), None)
        if "port" in params and found is None:
            respond.fail("unknown_port", f"there is no port {params['port']!r}", "the ports are A01, A02")
        elif method in {"status", "watch"}:
            status: dict[str, Json] = {
                "gateway": "shed-1",
                "version": "1",
                "up_s": 61.0,
                "mqtt": self.mqtt,
                "buses": [self.bus],
                "ports": list(PORTS),
            }
            respond.send(status, more=method == "watch")
            if method == "watch":
                respond.send({"port": PORTS[1]}, more=True)
                respond.send({"port": PORTS[2]})
        elif method == "port":
            respond.send(found)
        else:
            for index, reply in enumerate(self.replies):
                respond.send({**reply, "port": params["port"]}, more=index < len(self.replies) - 1)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon()
    server = ControlServer(tmp_path / "chargerctl.sock", one, clock=SystemClock(), on_crash=lambda _error: None)
    with structlog.testing.capture_logs():  # the runner would take the server's lines for chargerctl's
        server.start()
        yield one
        server.stop()


def run(tmp_path: Path, *arguments: str, **environment: str) -> Result:
    socket = str(tmp_path / "chargerctl.sock")
    return CliRunner().invoke(main, ["--socket", socket, *arguments], env={"COLUMNS": "80", **environment})


def reply(status: str, code: str = "ok", message: str = "") -> dict[str, Json]:
    return {"id": "x", "command": "start", "status": status, "code": code, "message": message, "session_id": "S-9"}


def test_status_is_a_table_that_fits_a_narrow_screen(daemon: Daemon, tmp_path: Path) -> None:
    result = run(tmp_path, "status")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "shed-1" in lines[0]
    assert "broker b:1883 connected" in lines[0]
    assert "no answer from meter-a4" in lines[1]
    row = next(line for line in lines if line.startswith("A02"))
    assert row.split()[:7] == ["A02", "charging", "closed", "151", "1.10", "155", "1:02:03"]
    assert "overcurrent_instant" in next(line for line in lines if line.startswith("A03"))
    assert "\x1b" not in result.stdout, "no colours where stdout is no terminal"
    daemon.mqtt, daemon.bus = None, {**BUS, "connected": False}
    other = run(tmp_path, "status").stdout
    assert "no broker configured" in other
    assert "is not there; check adapter and cable" in other
    daemon.mqtt, daemon.bus = {"broker": "b:1883", "connected": False}, {**BUS, "boards_lost": []}
    assert "NOT connected" in run(tmp_path, "status").stdout


def test_everything_speaks_json(daemon: Daemon, tmp_path: Path) -> None:
    assert json.loads(run(tmp_path, "status", "--json").stdout)["ports"][0]["port"] == "A01"
    assert json.loads(run(tmp_path, "port", "A02", "--json").stdout)["session_id"] == "S-1"
    watched = [json.loads(line) for line in run(tmp_path, "watch", "--json").stdout.splitlines()]
    assert len(watched) == 3
    daemon.replies = [reply("accepted"), reply("done")]
    replies = [json.loads(line) for line in run(tmp_path, "start", "A01", "--json").stdout.splitlines()]
    assert [one["status"] for one in replies] == ["accepted", "done"]


def test_watch_prints_a_line_a_change_where_there_is_no_terminal(daemon: Daemon, tmp_path: Path) -> None:
    result = run(tmp_path, "watch")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == len(PORTS) + 2
    assert lines[-2].split()[:2] == ["A02", "charging"]
    assert daemon.calls[0][0] == "watch"


def test_watch_ends_after_its_seconds(daemon: Daemon, tmp_path: Path) -> None:
    assert run(tmp_path, "watch", "--seconds", "0.000001").stdout.count("\n") == len(PORTS)
    assert daemon.calls


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("A01", ["Free.", "a start would be accepted", "no energy limit"]),
        ("A02", ["Charging.", "S-1: 155 Wh in 1:02:03", "500 Wh"]),
        ("A03", ["9.10 A, limit 7.50 A", "chargerctl reset A03", "stale"]),
        ("A04", ["check the board's supply", "The meter does not answer"]),
    ],
)
def test_port_says_why_and_what_next(daemon: Daemon, tmp_path: Path, name: str, words: list[str]) -> None:
    result = run(tmp_path, "port", name, COLUMNS="300")
    assert result.exit_code == 0
    for word in words:
        assert word in result.stdout
    assert daemon.calls == [("port", {"port": name})]


def test_an_unknown_port_gets_the_near_ones_named(daemon: Daemon, tmp_path: Path) -> None:
    result = run(tmp_path, "port", "a1")
    assert result.exit_code == 1
    assert "did you mean" in result.stderr
    assert "A01" in result.stderr
    assert "the ports are" in run(tmp_path, "port", "????").stderr
    assert run(tmp_path, "start", "B77").exit_code == 1
    assert daemon.calls


def test_commands_pass_their_options_on(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [reply("accepted"), reply("done")]
    started = run(
        tmp_path, "start", "A01", "--minutes", "2", "--energy-wh", "5", "--power-w", "300", "--current-a", "2",
        "--order-id", "o",
    )  # fmt: skip
    assert started.exit_code == 0
    assert started.stdout.splitlines() == ["A01: start accepted, session S-9", "A01: current flows"]
    run(tmp_path, "stop", "A01", "--session-id", "S-1")
    run(tmp_path, "reset", "A01", "--reason", "meter replaced")
    run(tmp_path, "stop", "A01")
    run(tmp_path, "reset", "A01")
    assert [params for _name, params in daemon.calls] == [
        {
            "port": "A01",
            "duration_s": 120.0,
            "energy_wh": 5.0,
            "power_w": 300.0,
            "current_a": 2.0,
            "order_id": "o",
        },
        {"port": "A01", "session_id": "S-1"},
        {"port": "A01", "reason": "meter replaced"},
        {"port": "A01"},
        {"port": "A01"},
    ]


@pytest.mark.parametrize(
    ("replies", "code", "words"),
    [
        ([reply("rejected", "latched")], 1, "A trip holds the port open"),
        (
            [reply("accepted"), reply("failed", "relay_fault", "ended: relay_fault")],
            1,
            "does not do what it is told",
        ),
        ([reply("accepted"), reply("done", "no_load")], 1, "is anything plugged in?"),
        ([reply("rejected", "something_new")], 1, "something new"),
    ],
)
def test_a_refusal_says_why_and_sets_the_exit_code(
    daemon: Daemon, tmp_path: Path, replies: list[dict[str, Json]], code: int, words: str
) -> None:
    daemon.replies = replies
    result = run(tmp_path, "start", "A01")
    assert result.exit_code == code
    assert words in result.stdout
    assert "chargerctl port A01" in result.stdout


def test_no_wait_leaves_after_accepted(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [reply("accepted"), reply("failed", "no_load")]
    result = run(tmp_path, "start", "A01", "--no-wait")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["A01: start accepted, session S-9"]


def test_without_a_daemon_a_clear_line_and_its_own_exit_code(tmp_path: Path) -> None:
    for arguments in (["status"], ["watch"], ["port", "A01"], ["start", "A01"], ["stop", "A01"], ["reset", "A01"]):
        result = run(tmp_path, *arguments)
        assert result.exit_code == 3
        assert "chargerd is not running" in result.stderr
        assert "systemctl start chargerd" in result.stderr


def test_wrong_usage_is_exit_code_two(tmp_path: Path) -> None:
    assert run(tmp_path, "start").exit_code == 2
    assert run(tmp_path, "dance").exit_code == 2


def test_the_socket_is_found_in_the_runtime_directory(daemon: Daemon, tmp_path: Path) -> None:
    found = CliRunner().invoke(main, ["status", "--json"], env={"RUNTIME_DIRECTORY": str(tmp_path)})
    assert found.exit_code == 0
    assert daemon.calls


def test_ports_are_completed_from_the_daemon_and_silently_not_without_one(daemon: Daemon, tmp_path: Path) -> None:
    def complete(socket: Path, word: str) -> str:
        environment = {
            "_CHARGERCTL_COMPLETE": "bash_complete",
            "COMP_WORDS": f"chargerctl port {word}",
            "COMP_CWORD": "2",
            "CHARGERCTL_SOCKET": str(socket),
        }
        return CliRunner().invoke(main, [], env=environment, prog_name="chargerctl").stdout

    assert complete(tmp_path / "chargerctl.sock", "A0").split() == [f"plain,A0{number}" for number in range(1, 5)]
    assert complete(tmp_path / "none.sock", "A0").strip() == ""
    assert daemon.calls


def test_every_state_and_obstacle_has_words() -> None:
    assert set(wording.STATES) == {state.value for state in PortState}
    for code in Code:
        assert wording.refusal(code)
        sentence, step = wording.obstacle(code, "A01")
        assert sentence
        assert "{port}" not in step
    assert {status.value for status in ReplyStatus} >= {"done", "rejected"}


def test_live_view_draws_ports(daemon: Daemon, tmp_path: Path) -> None:
    import sys  # noqa: PLC0415 - only this test needs a terminal

    import pexpect  # noqa: PLC0415

    command = [
        str(Path(sys.executable).with_name("chargerctl")),
        "--socket",
        str(tmp_path / "chargerctl.sock"),
        "watch",
    ]
    child: Any = pexpect.spawn(command[0], command[1:], dimensions=(24, 80), timeout=20)
    child.expect("A02")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert daemon.calls
