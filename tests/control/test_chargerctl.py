"""chargerctl as a technician sees it, against a socket that answers like the daemon."""

import io
import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pexpect
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from chargerd import __version__
from chargerd.cli import chargerctl, ctl_watch, wording
from chargerd.cli.chargerctl import main
from chargerd.cli.ctl_tables import status_view
from chargerd.contract.ledger import Json
from chargerd.control.client import ControlClient, ControlFailure
from chargerd.control.server import ControlServer, Peer, Responder
from chargerd.core import station
from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.plan import InputKind
from chargerd.core.protection.table import FUNCTIONS
from chargerd.core.view import PortState
from chargerd.runtime.process.clock import SystemClock
from tests.judging import every
from tests.logs import capture_logs
from tests.patience import PATIENCE_S

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


def claim(what: str, code: str | None = None, **more: Json) -> dict[str, Json]:
    return {"what": what, "code": code, "boards": [], "lines": [], "ports": [], "circuit": None, **more}


def explained(found: dict[str, Any], circuits: list[Any]) -> dict[str, Any]:
    """Return what the daemon makes of a port's state."""
    claims = []
    for one in [found, *circuits]:
        for latch in one.get("latches") or []:
            detail = latch.get("detail") or {}
            held = {name: detail.get(name) for name in ("measured", "limit", "unit")}
            circuit = None if one is found else one["circuit"]
            claims.append(claim(latch["function"], "latched", **held, clearing=latch["clearing"], circuit=circuit))
    told = [code for code in found["blocked_by"] if code not in {"latched", "locked_out"}]
    claims += [claim(code, code, **found.get("claimed", {})) for code in told]
    return {"claims": claims, "suspension": found.get("suspension"), "ending": None}


class Daemon:
    """Answers like the daemon; `replies` are what a command gets."""

    def __init__(self) -> None:
        self.replies: list[dict[str, Json]] = []
        self.calls: list[tuple[str, dict[str, Json]]] = []
        self.mqtt: Json = {"broker": "b:1883", "connected": True}
        self.bus = BUS
        self.ports = list(PORTS)
        self.ledger: Json = None
        self.settled: tuple[str, ...] = ()
        self.circuits: list[Json] = []
        self.endless = False
        self.watchers: list[Responder] = []
        self.around: dict[str, Json] = {}
        self.last_session: Json = None
        self.last_event: Json = None

    def call(self, method: str, params: Mapping[str, Json], _peer: Peer, respond: Responder) -> None:
        self.calls.append((method, dict(params)))
        if method == "sessions":
            self._sessions(params, respond)
        else:
            self._answer(method, params, respond)

    def _sessions(self, params: Mapping[str, Json], respond: Responder) -> None:
        for name in self.settled:
            if params.get("port") in {None, name}:
                respond.send({"settlement": {"session_id": "S-1", "port": name}}, more=True)
        respond.send({"unreadable": 0})

    def _answer(self, method: str, params: Mapping[str, Json], respond: Responder) -> None:
        found = next((one for one in self.ports if one["port"] == params.get("port")), None)
        if "port" in params and found is None:
            respond.fail("unknown_port", f"there is no port {params['port']!r}", "the ports are A01, A02")
        elif method in {"status", "watch"}:
            status: dict[str, Json] = {
                "gateway": "shed-1",
                "version": "1",
                "up_s": 61.0,
                "mqtt": self.mqtt,
                "buses": [self.bus],
                "ledger": self.ledger,
                "ports": list(self.ports),
                "circuits": self.circuits,
                **self.around,
            }
            respond.send(status, more=method == "watch")
            if method == "watch" and self.endless:
                self.watchers.append(respond)
            elif method == "watch":
                respond.send({"port": PORTS[1]}, more=True)
                respond.send({"port": PORTS[2]})
        elif method == "port":
            respond.send(found)
        elif method == "explain":
            assert found is not None
            respond.send({"port": found, **explained(found, self.circuits)}, more=True)
            respond.send({"last_session": self.last_session, "last_event": self.last_event})
        else:
            for index, reply in enumerate(self.replies):
                last = index == len(self.replies) - 1 and not self.endless
                respond.send({**reply, "port": params["port"]}, more=not last)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon()
    server = ControlServer(tmp_path / "chargerctl.sock", one, clock=SystemClock(), on_crash=lambda _error: None)
    with capture_logs():  # the runner would take the server's lines for chargerctl's
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
    assert every(len(line) <= 80 for line in lines)
    assert "shed-1" in lines[0]
    assert "broker b:1883 connected" in lines[0]
    assert "no answer from meter-a4" in lines[1]
    row = next(line for line in lines if line.startswith("A02"))
    assert row.split()[:7] == ["A02", "charging", "closed", "151", "1.10", "155", "1:02:03"]
    place = next(place for place, line in enumerate(lines) if line.startswith("A03"))
    assert lines[place + 1].strip() == "overcurrent_instant"
    assert "\x1b" not in result.stdout, "no colours where stdout is no terminal"
    daemon.mqtt, daemon.bus = None, {**BUS, "connected": False}
    other = run(tmp_path, "status").stdout
    assert "no broker configured" in other
    assert "is not there; check adapter and cable" in other
    daemon.mqtt, daemon.bus = {"broker": "b:1883", "connected": False}, {**BUS, "boards_lost": []}
    assert "NOT connected" in run(tmp_path, "status").stdout


def test_status_says_why_there_is_no_broker_and_what_one_lacks(daemon: Daemon, tmp_path: Path) -> None:
    reason: Json = {"code": "quota", "what": "the quota is used up", "then": "raise it", "said": "no\\x1b"}
    daemon.mqtt = {
        "broker": "b:1883",
        "connected": False,
        "since_s": 754.0,
        "attempts": 17,
        "reason": reason,
        "shortfalls": [],
    }
    shown = " ".join(run(tmp_path, "status").stdout.split())
    assert "the quota is used up, tried 17 times in 12:34; raise it" in shown
    assert "the broker says: no\\x1b" in shown
    lacks: Json = [
        {"code": "small_packets", "what": "it takes 2000 bytes", "then": "let it take more", "said": None}
    ]
    daemon.mqtt = {"broker": "b:1883", "connected": True, "reason": None, "attempts": 0, "shortfalls": lacks}
    shown = " ".join(run(tmp_path, "status").stdout.split())
    assert "it takes 2000 bytes; let it take more" in shown


def test_status_says_in_full_why_a_port_stays_open_however_narrow_the_screen(
    daemon: Daemon, tmp_path: Path
) -> None:
    codes = ["meter_stale", "store_unavailable", "board_lost", "not_yet_known"]
    daemon.ports.append(port("A05", blocked_by=[*codes]))
    for columns in (60, 80, 120):
        shown = run(tmp_path, "status", COLUMNS=str(columns)).stdout
        assert every(len(line) <= columns for line in shown.splitlines())
        assert ", ".join(codes) in " ".join(shown.split())
        assert "1:02:03" in shown


def test_status_says_what_ends_a_session_at_the_latest(daemon: Daemon, tmp_path: Path) -> None:
    timed = port("A05", "charging", session={"charging_s": 1.0}, limits_in_force={**LIMITS, "duration_s": 1800.0})
    daemon.ports.append(timed)
    rows = {line.split()[0]: line.split() for line in run(tmp_path, "status").stdout.splitlines() if line}
    assert rows["A02"][7] == "500Wh"
    assert rows["A05"][7] == "30:00"


def test_status_says_when_nothing_can_be_recorded(daemon: Daemon, tmp_path: Path) -> None:
    assert "journal" not in run(tmp_path, "status").stdout
    daemon.ports[0] = port("A01", blocked_by=["store_unavailable"])
    assert "journal cannot be written" in run(tmp_path, "status").stdout


@pytest.mark.parametrize(
    ("ledger", "mqtt", "shown"),
    [
        ({"last": 12, "acked": 5}, {"broker": "b", "connected": True}, True),
        ({"last": 12, "acked": 12}, {"broker": "b", "connected": True}, False),
        ({"last": 12, "acked": 5}, None, False),
    ],
)
def test_status_counts_what_waits_for_the_backend(
    daemon: Daemon, tmp_path: Path, ledger: Json, mqtt: Json, shown: bool
) -> None:
    daemon.ledger, daemon.mqtt = ledger, mqtt
    assert ("7 records wait" in run(tmp_path, "status").stdout) is shown
    daemon.ledger = {"last": 12, "acked": 11}
    assert ("1 record waits" in run(tmp_path, "status").stdout) is (mqtt is not None)


def test_a_screen_that_is_too_low_shows_what_matters() -> None:
    many: list[Json] = [*(port(f"B{number:02d}") for number in range(30)), PORTS[2]]
    shown = _drawn({"gateway": "g", "ports": many}, 12)
    assert len(shown) <= 12
    assert any(line.startswith("A03") for line in shown)
    assert shown[-1].startswith("and 23 more")
    assert len(_drawn({"gateway": "g", "ports": many}, 50)) == len(many) + 2


def _drawn(status: dict[str, Json], height: int) -> list[str]:
    console = Console(width=80, height=height, file=io.StringIO(), highlight=False)
    with console.capture() as capture:
        console.print(status_view(status, height))
    return capture.get().splitlines()


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
        ("A01", ["free; nothing holds it, and a start would be accepted", "no energy limit"]),
        ("A02", ["Charging.", "nothing holds it", "S-1: 155 Wh in 1:02:03", "500 Wh"]),
        ("A03", ["9.10 A, limit 7.50 A", "chargerctl reset A03", "stale"]),
        ("A04", ["check the board's supply", "the meter of it does not answer", "relay ?"]),
        ("A06", ["relay_stuck_open: the relay did not close"]),
        ("A05", ["relay open", "the meter of it does not answer", "check the meter's supply", "order o-7"]),
    ],
)
def test_port_says_why_and_what_next(daemon: Daemon, tmp_path: Path, name: str, words: list[str]) -> None:
    suspended: dict[str, Json] = {"session": {"charging_s": 1.0}, "order_id": "o-7"}
    daemon.ports.append(port("A05", "suspended", blocked_by=["busy", "meter_stale"], **suspended))
    bare: Json = {"function": "relay_stuck_open", "clearing": "local", "detail": None}
    daemon.ports.append(port("A06", "tripped", blocked_by=["latched"], latches=[bare]))
    result = run(tmp_path, "port", name, COLUMNS="300")
    assert result.exit_code == 0
    for word in words:
        assert word in result.stdout
    assert "A session is under way" not in result.stdout, "whoever looks at it sees that"
    assert daemon.calls == [("explain", {"port": name})]


def test_an_unknown_port_gets_the_near_ones_named(daemon: Daemon, tmp_path: Path) -> None:
    result = run(tmp_path, "port", "a1")
    assert result.exit_code == 1
    assert "did you mean" in result.stderr
    assert "A01" in result.stderr
    assert "the ports are" in run(tmp_path, "port", "????").stderr
    assert run(tmp_path, "start", "B77").exit_code == 1
    daemon.ports.append(port("shed-b1"))
    assert "did you mean shed-b1" in run(tmp_path, "port", "SHED-B2").stderr


def test_what_the_daemon_would_not_take_is_told(daemon: Daemon, tmp_path: Path) -> None:
    result = run(tmp_path, "start", "A01", "--order-id", "x" * 300)
    assert result.exit_code == 1
    assert "order_id" in result.stderr
    assert not daemon.calls


def test_what_goes_wrong_is_an_object_for_a_program(daemon: Daemon, tmp_path: Path) -> None:
    refused = run(tmp_path, "port", "a1", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["code"] == "unknown_port"
    absent = CliRunner().invoke(main, ["--socket", str(tmp_path / "none.sock"), "status", "--json"])
    assert absent.exit_code == 3
    assert json.loads(absent.stdout)["error"]["code"] == "not_running"
    assert daemon.calls


@pytest.mark.parametrize(
    ("theirs", "told"), [("0.0.9", True), (__version__, False), (None, False)], ids=["older", "same", "mute"]
)
def test_what_is_not_understood_may_be_another_version(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: str | None, told: bool
) -> None:
    def hello(_client: ControlClient) -> dict[str, Any]:
        if theirs is None:
            raise ControlFailure("no method 'hello'")
        return {"protocol": 1, "version": theirs}

    def call(_client: ControlClient, _method: str, **_params: Any) -> Any:
        raise ControlFailure("no method 'status'", "this daemon knows nothing", "unsupported")

    monkeypatch.setattr(ControlClient, "hello", hello)
    monkeypatch.setattr(ControlClient, "call", call)
    result = run(tmp_path, "status")
    assert result.exit_code == 1
    assert ("the daemon runs version 0.0.9" in result.stderr) is told
    assert ("this daemon knows nothing" in result.stderr) is not told
    assert not daemon.calls


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
    assert [params for name, params in daemon.calls if name != "status"] == [
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
        ([reply("rejected", "latched")], 1, "a trip holds the port open"),
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


DISABLED: dict[str, Json] = {
    "source": "local",
    "reason": "lid broken",
    "since": "2026-11-29T20:00:00.000Z",
    "circuit": None,
}


@pytest.mark.parametrize(
    ("draining", "disabled", "words"),
    [
        (
            True,
            None,
            "waits for the sessions under way before it ends: nothing starts any more; to take it back: ",
        ),
        (True, None, "chargerctl drain --cancel"),
        (False, DISABLED, "port A01 is out of service by somebody on site: lid broken, since 2026-11-29T20:00"),
        (
            False,
            {**DISABLED, "circuit": "shed", "source": "mqtt"},
            "circuit shed is out of service by the backend",
        ),
        (False, None, "is out of service, or the daemon drains or ends"),
    ],
)
def test_a_port_out_of_service_says_who_and_why_and_a_drain_is_told_from_that(
    daemon: Daemon, tmp_path: Path, *, draining: bool, disabled: Json, words: str
) -> None:
    daemon.around = {"draining": draining}
    charging: dict[str, Json] = {**PORTS[1], "blocked_by": ["disabled", "busy"], "disabled": disabled}
    daemon.ports = [port("A01", blocked_by=["disabled"], disabled=disabled), charging]
    daemon.replies = [reply("rejected", "disabled")]
    result = run(tmp_path, "start", "A01")
    assert result.exit_code == 1
    assert words in result.stdout
    shown = run(tmp_path, "status", COLUMNS="300").stdout
    rows = {line.split()[0]: line.split()[-1] for line in shown.splitlines() if line.startswith("A0")}
    assert rows["A01"] == ("disabled" if disabled else "draining")
    assert (rows["A02"] == "disabled") is bool(disabled), "its session goes on while the daemon drains"
    daemon.replies = [reply("done")]
    held = run(tmp_path, "reset", "A01").stdout
    assert words.partition(";")[0] in held


@pytest.mark.parametrize("option", ["--power-w", "--current-a", "--energy-wh", "--minutes", "--duration-s"])
@pytest.mark.parametrize("figure", ["0", "-1", "nan", "inf", "much"])
def test_a_limit_that_is_none_is_wrong_usage(daemon: Daemon, tmp_path: Path, option: str, figure: str) -> None:
    assert run(tmp_path, "start", "A01", option, figure).exit_code == 2
    assert not daemon.calls


def test_a_duration_is_given_once(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [reply("accepted"), reply("done")]
    assert run(tmp_path, "start", "A01", "--duration-s", "90").exit_code == 0
    assert daemon.calls == [("start", {"port": "A01", "duration_s": 90.0})]
    both = run(tmp_path, "start", "A01", "--duration-s", "90", "--minutes", "2")
    assert both.exit_code == 2
    assert "not both" in both.stderr


@pytest.mark.parametrize(
    ("command", "words"), [("start", "stop it with: chargerctl stop A01"), ("stop", "chargerctl port A01")]
)
def test_who_stops_waiting_is_told_that_the_command_goes_on(
    daemon: Daemon, tmp_path: Path, command: str, words: str
) -> None:
    daemon.replies, daemon.endless = [reply("accepted")], True
    child = spawn(tmp_path, command, "A01")
    child.expect("accepted")
    child.sendintr()
    child.expect(re.escape(words))
    assert ended(child) == 1


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
    daemon.ports.append(port("shed-b1"))
    assert complete(tmp_path / "chargerctl.sock", "sh").strip() == "plain,shed-b1"
    assert complete(tmp_path / "chargerctl.sock", "a01").strip() == "plain,A01"


def test_every_latch_there_is_has_words() -> None:
    core = "".join(path.read_text() for path in Path(station.__file__).parent.rglob("*.py"))
    named = set(re.findall(r"""(?:lock_out\(port, |_latch_contactor\(circuit, )"(\w+)\"""", core))
    named |= {row.function.name for row in FUNCTIONS if row.clearing is not None}
    named |= {kind.value for kind in InputKind} | {"relay_stuck_open", "relay_welded", "latches_unknown"}
    assert {"relay_will_not_open", "contactor_stuck_open", "overcurrent_instant", "smoke"} <= named
    missing = sorted(named - set(wording.LATCHES))
    assert not missing, f"give {missing} their words in LATCHES of chargerd/cli/wording.py"


def test_a_port_never_read_says_so(daemon: Daemon, tmp_path: Path) -> None:
    nothing: dict[str, Json] = {"reading": {"power_w": None, "current_a": None, "age_s": None, "quality": "none"}}
    daemon.ports.append(port("A05", "unknown", temperature_c=31.0, **nothing))
    shown = run(tmp_path, "port", "A05", COLUMNS="300").stdout
    assert "reading   none since the daemon began, socket 31.0 °C" in shown


SHED: list[Json] = [
    {"circuit": "main", "parent": None, "latches": [{"function": "emergency_stop", "clearing": "local"}]},
    {"circuit": "shed", "parent": "main", "latches": [{"function": "smoke", "clearing": "local"}]},
    {"circuit": "yard", "parent": "main", "latches": [{"function": "water", "clearing": "local"}]},
]


def test_a_port_held_by_its_circuits_says_which_why_and_what_clears_them(daemon: Daemon, tmp_path: Path) -> None:
    daemon.circuits = SHED
    daemon.ports = [port("A05", "tripped", circuit="shed", blocked_by=["latched"])]
    shown = run(tmp_path, "port", "A05", COLUMNS="300").stdout
    assert "circuit shed is held open: smoke: smoke was reported" in shown
    assert "then: chargerctl reset shed\n" in shown
    assert "then: chargerctl reset main\n" in shown
    assert "smoke, emergency_stop" in run(tmp_path, "status", COLUMNS="300").stdout


def test_a_port_says_its_own_latch_beside_that_of_its_circuit(daemon: Daemon, tmp_path: Path) -> None:
    daemon.circuits = SHED
    welded: Json = {"function": "relay_welded", "clearing": "lock_out", "detail": None}
    blocked: Json = ["locked_out", "latched"]
    daemon.ports = [port("A05", "locked_out", circuit="shed", latches=[welded], blocked_by=blocked)]
    shown = run(tmp_path, "port", "A05", COLUMNS="300").stdout
    assert "chargerctl reset A05 --reason '...'" in shown
    assert "chargerctl reset shed\n" in shown


def test_a_reset_that_a_lock_out_refuses_says_what_it_wants(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [reply("rejected", "locked_out")]
    daemon.circuits = []
    result = run(tmp_path, "reset", "A01")
    assert result.exit_code == 1
    assert "chargerctl reset A01 --reason '...'" in result.stdout


def test_who_waits_for_long_is_told_where_to_look(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chargerd.cli.chargerctl.PATIENCE", 0.05)
    daemon.replies, daemon.endless = [reply("accepted")], True

    waited = chargerctl.await_reply

    def interrupted(client: ControlClient, port: str) -> None:
        waited(client, port)
        raise KeyboardInterrupt

    monkeypatch.setattr("chargerd.cli.chargerctl.await_reply", interrupted)
    result = run(tmp_path, "start", "A01")
    assert result.exit_code == 1
    assert "still waiting; to see for what, elsewhere: chargerctl port A01" in result.stderr


def test_every_state_and_obstacle_has_words() -> None:
    assert set(wording.STATES) - {"blocked"} == {state.value for state in PortState}
    for code in Code:
        assert wording.refusal(code)
        sentence, step = wording.obstacle(code, "A01")
        assert sentence
        assert "{port}" not in step
    assert {status.value for status in ReplyStatus} >= {"done", "rejected"}


def spawn(tmp_path: Path, *arguments: str, **environment: str) -> Any:
    command = [str(Path(sys.executable).with_name("chargerctl")), "--socket", str(tmp_path / "chargerctl.sock")]
    surroundings = {**os.environ, "TERM": "xterm-256color", **environment}
    return pexpect.spawn(
        command[0],
        [*command[1:], *arguments],
        dimensions=(24, 80),
        timeout=PATIENCE_S,
        encoding="utf-8",
        env=surroundings,
    )


def ended(child: Any) -> int | None:
    child.expect(pexpect.EOF)
    child.close()
    code: int | None = child.exitstatus
    return code


def test_live_view_draws_ports_and_ends_with_its_stream(daemon: Daemon, tmp_path: Path) -> None:
    child = spawn(tmp_path, "watch")
    child.expect("A02")
    assert ended(child) == 0
    assert daemon.calls


def test_live_view_follows_ports_and_what_surrounds_them(daemon: Daemon, tmp_path: Path) -> None:
    daemon.endless = True
    child = spawn(tmp_path, "watch")
    child.expect("no answer from meter-a4")
    child.expect("A04")
    daemon.watchers[0].send({"port": port("A01", "locked_out")}, more=True)
    child.expect("locked_out")
    daemon.bus, daemon.mqtt = {**BUS, "connected": False}, {"broker": "b:1883", "connected": False}
    child.expect("NOT connected")
    child.expect("is not there; check adapter")
    child.sendintr()
    assert ended(child) == 0


def test_live_view_ends_after_its_seconds(daemon: Daemon, tmp_path: Path) -> None:
    daemon.endless = True
    assert ended(spawn(tmp_path, "watch", "--seconds", "0.3")) == 0
    assert len(daemon.watchers) == 1


def test_live_view_within_this_process(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended_by_itself = run(tmp_path, "watch", FORCE_COLOR="1")
    assert ended_by_itself.exit_code == 0
    assert "A02" in ended_by_itself.stdout
    monkeypatch.setattr(ctl_watch, "REFRESH", 0.02)
    daemon.endless = True
    for seconds in ("0.1", "1", "10", str(PATIENCE_S)):  # A busy machine may need some of them to begin.
        assert run(tmp_path, "watch", "--seconds", seconds, FORCE_COLOR="1").exit_code == 0
        if ("status", {}) in daemon.calls:
            break
    assert ("status", {}) in daemon.calls

    def interrupted(_client: ControlClient, _seconds: float) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(ControlClient, "ready", interrupted)
    assert run(tmp_path, "watch", FORCE_COLOR="1").exit_code == 0
    assert run(tmp_path, "watch").exit_code == 0


def test_waiting_interrupted_within_this_process(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_client: ControlClient, _method: str, **_params: Any) -> Iterator[Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(ControlClient, "stream", interrupted)
    result = run(tmp_path, "start", "A01")
    assert result.exit_code == 1
    assert "the start goes on" in result.stderr
    assert not daemon.calls


def test_lines_end_after_their_seconds_though_nothing_changes(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.endless = True
    monkeypatch.setattr(ctl_watch, "DRAW_EVERY", 0.02)
    result = run(tmp_path, "watch", "--seconds", "0.1")
    assert result.exit_code == 0
    assert result.stdout.count("\n") == len(PORTS)


def test_a_watch_that_is_interrupted_has_done_its_work(daemon: Daemon, tmp_path: Path) -> None:
    daemon.endless = True
    child = spawn(tmp_path, "watch", "--json")
    child.expect("shed-1")
    child.kill(signal.SIGINT)
    assert ended(child) == 0


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}], ids=["colours", "no colours"])
def test_colours_are_for_terminals_that_want_them(
    daemon: Daemon, tmp_path: Path, environment: dict[str, str]
) -> None:
    child = spawn(tmp_path, "status", **environment)
    child.expect(pexpect.EOF)
    child.close()
    coloured = re.search(r"\x1b\[[0-9;]*3[0-7]", child.before) is not None
    assert coloured is not bool(environment)
    assert daemon.calls


def test_where_the_relay_was_before_its_board_was_lost_is_no_more_than_that(
    daemon: Daemon, tmp_path: Path
) -> None:
    lost: Json = {"closed": False, "source": "believed", "age_s": 44.0}
    daemon.ports.append(port("A05", "suspended", relay_closed=True, blocked_by=["board_lost"], relay=lost))
    shown = run(tmp_path, "port", "A05", COLUMNS="300").stdout
    assert "relay open, believed; last read back 44.0 s ago, closed then" in shown
    assert "open, believed" in run(tmp_path, "status", COLUMNS="300").stdout
    assert "relay ?" in run(tmp_path, "port", "A04", COLUMNS="300").stdout
    sure: Json = {"closed": True, "source": "read_back", "age_s": 0.4}
    daemon.ports = [port("A05", "charging", relay_closed=True, relay=sure)]
    assert "relay closed, read back 0.4 s ago" in run(tmp_path, "port", "A05", COLUMNS="300").stdout
    daemon.ports = [port("A05", relay_closed=None, relay={"closed": None, "source": "unknown", "age_s": None})]
    assert "relay ?, never read back" in run(tmp_path, "port", "A05", COLUMNS="300").stdout


AT_WIDTHS = pytest.mark.parametrize("columns", ["40", "80", "120"])


@AT_WIDTHS
def test_a_value_that_is_none_of_now_has_its_age_beside_it_and_is_gone_after_a_while(
    daemon: Daemon, tmp_path: Path, columns: str
) -> None:
    def silent(name: str, age: float) -> dict[str, Json]:
        reading: dict[str, Json] = {**READING, "power_w": 200.0, "quality": "stale", "stale": True, "age_s": age}
        return port(name, "charging", reading=reading, relay={"closed": True, "source": "read_back", "age_s": 1.0})

    daemon.ports = [silent("A05", 12.0), silent("A06", 44.0), PORTS[1]]
    shown = run(tmp_path, "status", COLUMNS=columns).stdout
    assert every(len(line) <= int(columns) for line in shown.splitlines())
    blocks = dict(
        zip(("A05", "A06", "A02"), re.split(r"^(?:A05|A06|A02)\b", shown, flags=re.MULTILINE)[1:], strict=True)
    )
    assert "200" in blocks["A05"]
    assert "12 s" in blocks["A05"]
    assert "200" not in blocks["A06"]
    assert "44" not in blocks["A06"]
    assert "151" in blocks["A02"]
    assert "1:02:03" in blocks["A02"]
    told = " ".join(run(tmp_path, "port", "A06", COLUMNS=columns).stdout.split())
    assert "none for 44.0 s" in told
    assert "200" not in told
    old = " ".join(run(tmp_path, "port", "A05", COLUMNS=columns).stdout.split())
    assert "200.0 W, 1.100 A, 230.0 V (stale, 12.0 s old)" in old
    lines = {line.split()[0]: line for line in run(tmp_path, "watch").stdout.splitlines()}
    assert "200 W" in lines["A05"]
    assert "12 s old" in lines["A05"]
    assert "- W" in lines["A06"]


@AT_WIDTHS
def test_no_port_is_free_that_would_refuse_a_start(daemon: Daemon, tmp_path: Path, columns: str) -> None:
    daemon.ports = [port("A05", blocked_by=["meter_stale"]), port("A06")]
    for command in (("status",), ("port", "A05"), ("watch",)):
        shown = run(tmp_path, *command, COLUMNS=columns).stdout
        first = next(line for line in shown.splitlines() if line.startswith("A05"))
        assert "blocked" in first
        assert "available" not in first
        assert "free" not in shown
    assert "free" in run(tmp_path, "port", "A06", COLUMNS=columns).stdout


def test_nothing_has_no_sign(daemon: Daemon, tmp_path: Path) -> None:
    daemon.ports = [port("A05", reading={**READING, "power_w": -0.04, "current_a": -0.0001})]
    for command in (("status",), ("port", "A05"), ("watch",)):
        assert "-0" not in run(tmp_path, *command).stdout


def test_how_old_the_register_is_stands_beside_it(daemon: Daemon, tmp_path: Path) -> None:
    daemon.ports = [port("A05", reading={**READING, "energy_age_s": 3600.0})]
    assert "register 12340 Wh (1:00:00 ago)" in run(tmp_path, "port", "A05", COLUMNS="300").stdout


def test_a_session_that_only_waits_says_what_for(daemon: Daemon, tmp_path: Path) -> None:
    session: Json = {"charging_s": 9.0, "energy_wh": 1, "peak_power_w": 100.0, "suspended_by": "undervoltage"}
    lasts: Json = {"by": "undervoltage", "for_s": 9.0, "ends_in_s": 1791.0, "times": 2, "most": 3, "since": None}
    more: dict[str, Json] = {"suspension": lasts}
    daemon.ports = [port("A05", "suspended", session=session, session_id="S-2", blocked_by=["busy"], **more)]
    shown = run(tmp_path, "port", "A05", COLUMNS="300").stdout
    assert "suspended by undervoltage for 9 s, the 2nd of 3 times in an hour; the session ends in 29:51" in shown
    assert run(tmp_path, "status").stdout.rstrip().endswith("undervoltage")


def test_a_port_that_lacks_more_is_not_said_to_wait_for_what_is_not_yet_known(
    daemon: Daemon, tmp_path: Path
) -> None:
    daemon.ports = [port("A05", "unknown", blocked_by=["board_lost", "not_yet_known"])]
    shown = run(tmp_path, "port", "A05").stdout
    assert "has just begun" not in shown
    assert "the relay board of it does not answer" in shown
    daemon.ports = [port("A05", "unknown", blocked_by=["not_yet_known"])]
    assert "has just begun" in run(tmp_path, "port", "A05").stdout


def test_a_reserved_port_says_for_whom_and_for_how_long(daemon: Daemon, tmp_path: Path) -> None:
    kept: dict[str, Json] = {"session_id": "S-7", "for_s": 60.0, "ends_in_s": 540.0}
    daemon.ports = [port("A05", blocked_by=["reserved"], claimed=kept)]
    shown = run(tmp_path, "port", "A05", COLUMNS="300").stdout
    assert "the backend keeps the port for session S-7, for 60 s, 9:00 more at most" in shown
    assert "next: wait" in shown
    assert run(tmp_path, "status").stdout.rstrip().endswith("reserved")


def test_a_reset_where_nothing_was_held_says_so(daemon: Daemon, tmp_path: Path) -> None:
    daemon.replies = [{**reply("done", "ok", "nothing was held"), "command": "reset"}]
    assert run(tmp_path, "reset", "A01").stdout == "A01: nothing to reset\n"


def test_sessions_of_a_port_that_is_not_there_are_an_error(daemon: Daemon, tmp_path: Path) -> None:
    result = run(tmp_path, "sessions", "list", "--port", "A11")
    assert result.exit_code == 1
    assert "there is no port 'A11'; did you mean" in result.stderr
    assert json.loads(run(tmp_path, "sessions", "list", "--port", "A11", "--json").stdout)["error"]["code"] == (
        "unknown_port"
    )
    assert run(tmp_path, "sessions", "list", "--port", "A01").stdout == "no settlements\n"
    daemon.settled = ("A11",)
    gone = run(tmp_path, "sessions", "list", "--port", "A11")
    assert (gone.exit_code, "S-1" in gone.stdout) == (0, True), "what a port has charged stays when it is gone"


@pytest.mark.parametrize(
    ("typed", "meant"), [(["--json", "status"], "status"), (["sessions", "--json", "list"], "sessions list")]
)
def test_json_before_the_command_is_told_where_it_belongs(typed: list[str], meant: str) -> None:
    result = CliRunner().invoke(main, typed, prog_name="chargerctl")
    assert result.exit_code == 2
    assert f"put --json after the command: chargerctl {meant} --json" in result.stderr
    assert "No such option" in CliRunner().invoke(main, ["--jsn", "status"]).stderr


@AT_WIDTHS
def test_status_says_what_is_wrong_around_the_daemon(daemon: Daemon, tmp_path: Path, columns: str) -> None:
    why: Json = {"cause": "no_permission", "boards": [], "why": "[Errno 13] Permission denied", "share": None}
    daemon.bus = {**BUS, "connected": False}
    daemon.around = {
        "clock": {"at": None, "source": "none", "for_s": 3723.0},
        "disk": {"folder": "/var/lib/chargerd", "free_bytes": 50 << 20, "read_only": False, "why_not": None},
        "findings": {"line-a": [why]},
    }
    result = run(tmp_path, "status", COLUMNS=columns).stdout
    assert every(len(line) <= int(columns) for line in result.splitlines())
    shown = " ".join(result.split())
    assert "clock not set: nothing vouches for it, and the backend's starts are refused" in shown
    assert "for 1:02:03" in shown
    assert "disk 50 MiB free; look what fills it" in shown
    assert "the system does not let chargerd open the device ([Errno 13] Permission denied)" in shown
    assert "is not there; check adapter" not in shown
    known: Json = {"at": "2026-11-29T20:00:00.000Z", "source": "ntp", "for_s": 60.0}
    daemon.around = {"clock": known, "disk": {"folder": "/x", "free_bytes": None, "why_not": "Input/output error"}}
    shown = " ".join(run(tmp_path, "status", COLUMNS=columns).stdout.split())
    assert "clock 2026-11-29T20:00:00.000Z: kept by the network, for 1:00" in shown
    assert "disk /x: Input/output error; see dmesg" in shown
    daemon.around = {"disk": {"folder": "/x", "free_bytes": 1 << 40, "read_only": True, "why_not": None}}
    assert "is mounted read-only" in " ".join(run(tmp_path, "status", COLUMNS=columns).stdout.split())


def commands(
    group: click.Group, parent: click.Context, path: str = "chargerctl"
) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(parent):
        found = group.get_command(parent, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, click.Context(found, parent=parent), f"{path} {name}")
        else:
            yield f"{path} {name}", found


def test_every_command_has_json_and_an_example_of_itself() -> None:
    found = dict(commands(main, click.Context(main, info_name="chargerctl")))
    assert {"chargerctl events", "chargerctl lock", "chargerctl sessions list"} <= set(found)
    assert not [name for name, one in found.items() if "as_json" not in {param.name for param in one.params}]
    assert not [
        name
        for name, one in found.items()
        if f"Example: {name}" not in str(one.epilog).replace("Examples:", "Example:")
    ]
