"""Simulated gateways: a real broker, real processes."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chargerd.cli.simulate import command
from chargerd.fleet.story import named_stories
from tests.backend import Backend
from tests.broker import Mosquitto, free_port
from tests.mqtt.pki import Authority
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.e2e


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as mosquitto:
        yield mosquitto


@contextmanager
def simulated(broker: Mosquitto, folder: Path, *more: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """Gateways; gives what tells how they stand, and after the end what they came to."""
    args = ["--broker", broker.url, "--gateways", "2", "--ports", "3", "--json", "--rate", "1000", *more]
    out = folder / "simulate.out"
    with out.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "chargerd", "simulate", *args], stdout=sink, stderr=subprocess.STDOUT
        )

    def figures() -> dict[str, Any]:
        lines = out.read_text().splitlines()
        assert process.poll() in {None, 0}, lines
        return dict(json.loads(lines[-1])) if lines else {}

    try:
        yield figures
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE_S)
    assert code == 0, out.read_text()


def wait(holds: Callable[[], bool], what: str, timeout: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, what
        pause.wait(0.1)


def gone(gateway: str) -> Callable[[dict[str, Any]], bool]:
    return lambda body: body["gateway"] == gateway and body["cause"] == "shutdown"


def test_riders_order_on_site_and_every_session_is_settled_at_the_end(broker: Mosquitto, tmp_path: Path) -> None:
    with Backend(broker.port, "+") as listener:
        with simulated(broker, tmp_path) as figures:
            wait(lambda: figures().get("charging", 0) >= 2, "nobody charges")
            listener.wait("up/session", lambda body: body["event"] == "started")
        for gateway in ("sim-001", "sim-002"):
            listener.wait("state/gateway", gone(gateway))
        said = listener.of("up/session")
        started = {body["session_id"] for body in said if body["event"] == "started"}
        assert started <= {body["session_id"] for body in said if body["event"] == "ended"}
        assert "shutdown" in {body["stop_reason"] for body in said if body["event"] == "ended"}
        rows = {(body["gateway"], body["seq"]) for body in [*said, *listener.of("up/event")]}
    summary = figures()
    assert summary["kind"] == "summary"
    ended = {body["session_id"] for body in said if body["event"] == "ended"}
    assert (summary["started"], summary["ended"]) == (len(started), len(ended)), "as the ledgers say"
    assert (summary["rows"], summary["rows_unsent"]) == (len(rows), 0)


def test_a_story_is_told_over_tls_to_a_broker_that_wants_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    authority.issue("server")
    authority.issue("sim-001")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # The broker may run as another user.
    with Mosquitto(tmp_path / "broker", settings=authority.listening()) as strict:
        told = ["--ca", str(authority.certificate), "--certificates", str(authority.folder), "--json"]
        args = ["--broker", f"mqtts://127.0.0.1:{strict.port}", "--script", "no_load", "--rate", "30"]
        result = CliRunner().invoke(command, [*args, *told])
        assert result.exit_code == 0, result.output
        assert "u'sim-001'" in (strict.folder / "mosquitto.log").read_text(), "it was told by its certificate"
        lines = [json.loads(line) for line in result.output.splitlines()]
        assert any("no_load" in line["text"] for line in lines if line["kind"] == "story")
        assert lines[-1]["kind"] == "summary"
        assert (lines[-1]["ended"], lines[-1]["rows_unsent"]) == (1, 0)


def test_what_is_wrong_with_a_call_is_told_before_anything_begins(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--broker", "mqtt://127.0.0.1:1", "--script", "nonsuch"])
    assert result.exit_code == 2
    assert "neither a file" in result.output
    address = CliRunner().invoke(command, ["--broker", "http://127.0.0.1", "--json"])
    assert address.exit_code == 2
    assert json.loads(address.output)["kind"] == "error"
    story = tmp_path / "mine.yaml"
    story.write_text("says: x\nsteps:\n  - jump: 1\n")
    args = ["--broker", "mqtt://127.0.0.1:1", "--script", str(story)]
    result = CliRunner().invoke(command, args)
    assert result.exit_code == 2
    assert f"simulate: {story}:3:5: unknown step 'jump'; " in result.output
    told = json.loads(CliRunner().invoke(command, [*args, "--json"]).output)
    assert [problem["line"] for problem in told["problems"]] == [3]
    stories = CliRunner().invoke(command, ["--stories"])
    assert stories.exit_code == 0
    assert [line.split()[0] for line in stories.output.splitlines()] == list(named_stories())


def test_a_broker_that_is_not_there_is_told_with_the_next_step() -> None:
    result = CliRunner().invoke(command, ["--broker", f"mqtt://127.0.0.1:{free_port()}"])
    assert result.exit_code == 1
    assert "no broker answers at mqtt://127.0.0.1" in result.output
    assert "start one, or name another" in result.output


def test_a_broker_without_tls_is_told_apart_from_none(broker: Mosquitto) -> None:
    result = CliRunner().invoke(command, ["--broker", f"mqtts://127.0.0.1:{broker.port}"])
    assert result.exit_code == 1
    assert "answers there without TLS; write mqtt://" in result.output


def test_a_broker_that_refuses_is_told(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as strict:
        strict.stop()
        config = strict.folder / "mosquitto.conf"
        config.write_text(config.read_text().replace("allow_anonymous true", "allow_anonymous false"))
        strict.start()
        result = CliRunner().invoke(command, ["--broker", f"mqtt://user:secret@127.0.0.1:{strict.port}"])
    assert result.exit_code == 1
    assert "refuses: Not authorized" in result.output
    assert "secret" not in result.output
