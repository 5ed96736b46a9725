"""The whole daemon, served by libmodbus over Modbus TCP: boards of somebody else's making."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from chargerd.control.client import ControlClient, ControlFailure
from tests.broker import free_port
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.e2e
SOURCE = Path(__file__).parents[1] / "native" / "libmodbus_slave.c"
CONFIGURATION = """\
gateway: {{id: peer}}
buses: {{line: {{tcp: "127.0.0.1:{port}"}}}}
boards:
  relay: {{bus: line, address: 1, profile: waveshare-relay-8, lease: off}}
  meter: {{bus: line, address: 2, profile: eastron-sdm120}}
circuits: {{shed: {{}}}}
ports: [{{id: A01, relay: relay/1, meter: meter, circuit: shed}}]
"""


def ask(socket: Path, method: str, **params: Any) -> Any:
    with ControlClient(socket, timeout=PATIENCE_S) as client:
        return client.call(method, **params)


def wait_ready(socket: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if not ask(socket, "port", port="A01")["blocked_by"]:
                return
        except ControlFailure:
            pass
        time.sleep(0.05)
    raise AssertionError("the daemon does not get ready")


def test_a_charge_on_boards_that_libmodbus_serves(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    assert compiler is not None, "apt-get install gcc libc6-dev libmodbus-dev"
    slave, port = tmp_path / "slave", free_port()
    subprocess.run([compiler, "-I/usr/include/modbus", "-o", slave, SOURCE, "-lmodbus"], check=True)
    config, socket = tmp_path / "chargerd.yaml", tmp_path / "run" / "chargerctl.sock"
    config.write_text(CONFIGURATION.format(port=port))
    command = [
        sys.executable,
        "-m",
        "chargerd",
        "run",
        "--config",
        str(config),
        "--state-dir",
        str(tmp_path / "state"),
    ]
    with (
        subprocess.Popen([slave, "tcp", str(port)], stdout=subprocess.PIPE) as board,
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [*command, "--runtime-dir", str(socket.parent)], stdout=log, stderr=log, env={**os.environ}
        ) as daemon,
    ):
        try:
            wait_ready(socket)
            assert ask(socket, "start", port="A01")["status"] == "done"
            charging = ask(socket, "port", port="A01")
            assert charging["reading"]["current_a"] == 2.0
            assert charging["relay_closed"] is True
            assert ask(socket, "stop", port="A01")["status"] == "done"
            assert ask(socket, "port", port="A01")["relay_closed"] is False
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(PATIENCE_S) == 0
        finally:
            daemon.kill()
            board.kill()
