"""A simulated site with the real daemon on it, as a process of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

from chargerd.config.loader import load
from chargerd.control.client import ControlClient, ControlFailure, DaemonNotRunning
from chargerd.runtime.process.clock import SystemClock
from chargerd.sim.line import PtyLine
from chargerd.sim.parts import Edge
from chargerd.sim.world import World
from tests.patience import PATIENCE_S

CONFIGURATION = """\
gateway: {{id: shed-1}}
{mqtt}
buses:
  line-a: {{serial: {tty}, baudrate: {baudrate}}}
boards:
  relay-a: {{bus: line-a, address: 1, profile: waveshare-relay-16{relays}}}
  meter-a1..meter-a{ports}: {{bus: line-a, address: 11..{last}, profile: eastron-sdm120}}
  {boards}
circuits:
  shed: {{{circuit}}}
limits: {{power_w: 1000, current_a: 5.0}}
{more}
ports:
  - {{id: A01..A{ports:02d}, relay: relay-a/1..{ports}, meter: meter-a1..meter-a{ports}, circuit: shed}}
"""


class DaemonSite:
    """Boards on a pty line, and the daemon that drives them. A context manager."""

    def __init__(
        self,
        folder: Path,
        *,
        ports: int = 4,
        baudrate: int = 9600,
        broker: int | None = None,
        more: str = "",
        boards: str = "",
        circuit: str = "",
        relays: str = "",
    ) -> None:
        self.folder = folder
        self.config = folder / "chargerd.yaml"
        self.state = folder / "state"
        self.socket = folder / "run" / "chargerctl.sock"
        self.log = folder / "daemon.log"
        mqtt = f"mqtt: {{host: 127.0.0.1, port: {broker}, reading_interval_s: 1}}" if broker else ""
        self.config.write_text(
            CONFIGURATION.format(
                mqtt=mqtt,
                tty=folder / "tty",
                baudrate=baudrate,
                ports=ports,
                last=10 + ports,
                more=more,
                boards=boards,
                circuit=circuit,
                relays=relays,
            )
        )
        self.clock = SystemClock()
        self.world = World(load(self.config), seed=1)
        self.line = PtyLine(self.world, "line-a", clock=self.clock, baudrate=baudrate, link=folder / "tty")
        self.process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] = self.log.open("ab")
        self.stdout: IO[bytes] | int = self._log
        """Where the daemon's log goes from its next start on."""

    def __enter__(self) -> Self:
        self.line.start()
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.end(signal.SIGTERM)
        self.line.stop()
        assert self.line.failure is None, self.line.failure
        self._log.close()

    # The daemon

    def start(self) -> None:
        command = [sys.executable, "-m", "chargerd", "run", "--config", str(self.config)]
        command += ["--state-dir", str(self.state), "--runtime-dir", str(self.socket.parent)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, stdout=self.stdout, stderr=self._log, env=environment)

    def end(self, number: signal.Signals) -> int | None:
        """Send a signal and wait for the end; returns the exit code."""
        if self.process is None:
            return None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.process = None
        return code

    def ask(self, method: str, **params: Any) -> Any:
        with ControlClient(self.socket, timeout=PATIENCE_S) as client:
            return client.call(method, **params)

    def port(self, name: str) -> dict[str, Any]:
        state: dict[str, Any] = self.ask("port", port=name)
        return state

    def wait_ready(self, timeout: float = PATIENCE_S) -> None:
        """Wait until every port is available and its meter seen."""

        def ready() -> bool:
            try:
                ports = self.ask("status")["ports"]
            except ControlFailure:
                return False
            return all(port["state"] == "available" and not port["blocked_by"] for port in ports)

        self.wait(ready, "the daemon does not get ready", timeout)

    def wait_state(self, port: str, *states: str, timeout: float = PATIENCE_S) -> None:
        def there() -> bool:
            try:
                return self.port(port)["state"] in states
            except DaemonNotRunning:
                return False  # It has just been started.

        self.wait(there, f"{port} is not {' or '.join(states)}", timeout)

    def wait(self, holds: Callable[[], bool], what: str, timeout: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}; the daemon's log ends:\n{self.log.read_text()[-3000:]}")
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"{what}: the daemon has died:\n{self.log.read_text()[-3000:]}")
            pause.wait(0.02)

    # The world

    def contact(self, port: str) -> bool:
        return self.world.relay(port).contact_closed

    def edges(self, port: str) -> list[tuple[float, bool, bool]]:
        """Every movement of a port's contact: when, closed or not, by the board's own timer or not."""
        happened = self.world.edges(port, Edge.CLOSED, Edge.OPEN)
        return [(one.at, one.edge is Edge.CLOSED, one.detail == "lapsed") for one in happened]
