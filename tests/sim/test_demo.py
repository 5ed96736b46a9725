"""The demo as people run it: the command, in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pexpect
import pytest
from click.testing import CliRunner

from chargerd.cli.demo import UNWATCHED_S, Demo, Options, command, leaving
from chargerd.cli.demo_parts import broker
from chargerd.cli.demo_stage import Happening
from chargerd.cli.demo_view import Lines
from chargerd.sim.line import PtyLine
from tests.backend import Backend
from tests.patience import PATIENCE_S

DEMO = [sys.executable, "-c", "from chargerd.cli.chargerd import main; main()", "demo"]
PROC = Path("/proc")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the demo makes its temporary folder; the short name of a socket must fit beneath it."""
    return tmp_path


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*DEMO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(folder)
    )


def mentioning(folder: Path) -> dict[int, str]:
    """Return the processes whose command line names the folder."""
    found: dict[int, str] = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found[int(entry.name)] = line
    return found


def wait(holds: Callable[[], bool], timeout: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def clean(folder: Path) -> None:
    assert mentioning(folder) == {}
    assert [one.name for one in folder.iterdir() if one.is_dir()] == []


@pytest.fixture
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with start(folder, "--json", "--ports", "3", "--pages", "off") as demo:
        yield demo
        if demo.poll() is None:
            demo.kill()


def child(folder: Path, word: str, demo: subprocess.Popen[str]) -> int:
    """Wait for a child of the demo and return its process id."""
    found: list[int] = []

    def there() -> bool:
        assert demo.poll() is None, demo.communicate()
        found.extend(pid for pid, line in mentioning(folder).items() if word in line)
        return bool(found)

    wait(there)
    return found[0]


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_minute_in_little_shows_starts_a_trip_and_settlements_and_leaves_nothing(folder: Path) -> None:
    demo = start(folder, "--json", "--seconds", "24", "--seed", "1", "--ports", "12", "--pages", "127.0.0.1")
    out, err = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 0, err
    assert "mosquitto_sub" in err
    assert "chargerctl --socket" in err
    told = lines(out)
    summary = told[-1]
    assert summary["kind"] == "summary"
    assert summary["riders"] >= 5
    assert summary["unsettled"] == 0
    accepted = [one for one in told if one["kind"] == "start_accepted"]
    assert summary["sessions"] == len(accepted) >= 4, "every accepted start yields one settlement"
    assert summary["sessions"] == sum(summary["reasons"].values())
    assert summary["reasons"]["overcurrent"] >= 1
    trip = summary["trips"][0]
    assert trip["function"] == "overcurrent_instant"
    assert trip["limit"] == 7.5
    # Current of each of twelve meters each 500 ms at 9600 Bd, then the opening; more is the machine being busy.
    assert 0 < trip["opened_after_ms"] < 10_000
    assert abs(summary["energy_wh"] - summary["energy_flowed_wh"]) <= summary["sessions"]
    kinds = [one["kind"] for one in told if one.get("port") == summary["trips"][0]["port"]]
    assert (
        kinds.index("start_accepted") < kinds.index("start_done") < kinds.index("tripped") < kinds.index("ended")
    )
    assert "rider    http://127.0.0.1:" in err
    assert "▀" not in err, "machines read no codes"
    pages = [one["kind"] for one in told if one["kind"].startswith("page_")]
    assert pages == ["page_free", "page_start", "page_on", "page_charging", "page_receipt"]
    receipt = next(one["text"] for one in told if one["kind"] == "page_receipt")
    assert "You stopped it." in receipt
    settled = next(one for one in told if one["kind"] == "ended" and one.get("port") == "A01")
    assert settled["session_id"] in receipt
    clean(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_leave_while_starting_it_leaves_nothing(
    folder: Path, running: subprocess.Popen[str], number: signal.Signals
) -> None:
    child(folder, "chargerd.yaml", running)
    running.send_signal(number)
    out, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 0, err
    assert lines(out)[-1]["kind"] == "summary"
    clean(folder)


def test_a_daemon_that_dies_ends_the_demo_with_its_last_words(
    folder: Path, running: subprocess.Popen[str]
) -> None:
    daemon = child(folder, "chargerd.yaml", running)
    wait(lambda: any('"started"' in log.read_text() for log in folder.glob("chargerd-demo-*/chargerd.log")))
    os.kill(daemon, signal.SIGKILL)
    _, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 1
    assert "the daemon has ended with exit code -9" in err
    assert '"event": "started"' in err
    kept = list(folder.glob("chargerd-demo-*.log"))
    assert len(kept) == 1
    assert str(kept[0]) in err
    clean(folder)


def test_a_broker_that_dies_ends_the_demo(folder: Path, running: subprocess.Popen[str]) -> None:
    broker = child(folder, "broker.toml", running)
    child(folder, "chargerd.yaml", running)
    os.kill(broker, signal.SIGKILL)
    _, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 1
    assert "the broker has ended" in err
    clean(folder)


def test_even_a_killed_demo_leaves_no_process(folder: Path, running: subprocess.Popen[str]) -> None:
    child(folder, "chargerd.yaml", running)
    running.kill()
    running.communicate()
    wait(lambda: mentioning(folder) == {})


# In this process, where what it does can be measured


def options(**changes: Any) -> Options:
    plain = Options(seconds=4.0, headless=True, rate=60.0, seed=1, broker=None, ports=1, as_json=False)
    return replace(plain, **changes)


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_session_on_one_port(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shown until it charges, however long that takes on a busy machine."""
    leave, tell = threading.Event(), Lines.happened

    def told(view: Lines, happening: Happening) -> None:
        tell(view, happening)
        if happening.kind == "start_done":
            leave.set()

    monkeypatch.setattr(Lines, "happened", told)
    assert Demo(options(seconds=PATIENCE_S), leave).run() == 0
    out = capsys.readouterr().out
    assert "the gateway is online" in out
    assert "A01  Anna arrives" in out
    assert "settled: remote" in out
    assert "Wh settled" in out
    clean(here)


@pytest.mark.parametrize(
    ("arguments", "lasts"), [((), UNWATCHED_S), (("--seconds", "0"), 0.0), (("--seconds", "7"), 7.0)]
)
def test_it_ends_by_itself_where_no_terminal_watches(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], lasts: float
) -> None:
    asked: list[Options] = []

    class Recorder:
        def __init__(self, options: Options, _leave: threading.Event) -> None:
            asked.append(options)

        def run(self) -> int:
            return 0

    monkeypatch.setattr("chargerd.cli.demo.Demo", Recorder)
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0
    assert [one.seconds for one in asked] == [lasts]
    assert ("no terminal watches" in result.output) is (not arguments)


def test_the_live_view_is_drawn(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Demo(options(headless=False, seconds=3.0), threading.Event()).run() == 0
    assert "chargerd demo" in capsys.readouterr().out
    clean(here)


def test_a_broker_that_is_not_there_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{taken.getsockname()[1]}"
        assert Demo(options(broker=url), threading.Event()).run() == 1
    assert f"no broker answers at {url}" in capsys.readouterr().err
    clean(here)


def test_a_broker_of_ones_own_is_used_and_left_as_it_was(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with broker(None, here) as own, Backend(own.address.port, "+") as listener:
        assert Demo(options(broker=str(own.address)), threading.Event()).run() == 0
        assert "named by --broker" in capsys.readouterr().err
        command = ["mosquitto_sub", "-h", own.address.host, "-p", str(own.address.port), "-V", "mqttv5"]
        command += ["-t", "chargerd/v1/+/ack", "-W", "1"]
        heard = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert heard.stdout == "", "the retained acknowledgement is taken back"
        assert listener.wait("state/gateway", lambda body: body["cause"] == "shutdown")


def test_a_line_that_fails_ends_the_demo(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PtyLine, "failure", RuntimeError("cut through"), raising=False)
    monkeypatch.setattr(PtyLine, "__init__", _without_failure(PtyLine.__init__))
    assert Demo(options(), threading.Event()).run() == 1
    assert "a simulated line has failed: RuntimeError('cut through')" in capsys.readouterr().err
    assert mentioning(here) == {}


def _without_failure(init: Callable[..., None]) -> Callable[..., None]:
    """Let the class's own `failure` show through."""

    def changed(line: PtyLine, *args: Any, **options: Any) -> None:
        init(line, *args, **options)
        del line.failure

    return changed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_become_an_event_and_are_given_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with leaving() as leave:
        signal.raise_signal(number)
        assert leave.is_set()
    assert signal.getsignal(number) is before


def test_the_live_view_shows_ports_and_leaves_at_ctrl_c(folder: Path) -> None:
    screen = pexpect.spawn(
        DEMO[0],
        [*DEMO[1:], "--ports", "2", "--pages", "127.0.0.1"],
        env={**environment(folder), "TERM": "xterm"},
        dimensions=(40, 110),
        encoding="utf-8",
        timeout=PATIENCE_S,
    )
    screen.expect("chargerd demo")
    screen.expect("A02")
    screen.expect("arrives")
    screen.expect("mosquitto_sub")
    screen.expect("rider +http://127.0.0.1:")
    screen.expect("operator http://127.0.0.1:")
    screen.sendintr()
    screen.expect("settled")
    screen.expect(pexpect.EOF)
    screen.close()
    assert screen.exitstatus == 0
    clean(folder)
