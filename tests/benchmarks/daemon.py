"""The daemon as a process, with no broker."""

import atexit
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from chargerd.control.client import ControlClient, ControlFailure
from tests.benchmarks import machine
from tests.benchmarks.site import UNITS
from tests.benchmarks.slave import Slave

PAUSE_A_PORT = 0.002
"""Seconds between two questions for each port that is told of: asking is work for the daemon, too."""
SETTLED = 2.5
"""Seconds after the last start until the first renewals are under way."""


Started = subprocess.Popen[bytes]


class Daemon:
    """Started with a configuration, asked over its control socket. Its state and socket are in `folder`."""

    def __init__(
        self, config: Path, *, folder: Path | None = None, start: Callable[..., Started] = subprocess.Popen
    ) -> None:
        folder = config.parent if folder is None else folder
        folder.mkdir(exist_ok=True)
        self.socket = folder / "run" / "chargerctl.sock"
        self._log = (folder / "log").open("wb")
        command = [sys.executable, "-m", "chargerd", "run", "--config", str(config)]
        command += ["--state-dir", str(folder / "state"), "--runtime-dir", str(folder / "run")]
        self.began = time.monotonic()
        self._process = start(command, stdout=self._log, stderr=self._log)
        atexit.register(self._process.kill)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, method: str, **params: Any) -> Any:
        with ControlClient(self.socket, timeout=30) as client:
            return next(client.stream(method, **params))

    def wait(self, holds: Callable[[list[dict[str, Any]]], bool], timeout: float = 60.0) -> float:
        """Wait until something holds of all ports; returns when that was."""
        deadline = time.monotonic() + timeout
        ports: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            try:
                ports = self.ask("status")["ports"]
                if holds(ports):
                    return time.monotonic()
            except ControlFailure:
                if self._process.poll() is not None:
                    break
            time.sleep(0.02 + len(ports) * PAUSE_A_PORT)
        end = Path(self._log.name).read_text()[-2000:]
        states = Counter(port["state"] for port in ports)
        raise SystemExit(f"the daemon did not come so far: {dict(states)}; its log ends:\n{end}")

    def wait_ready(self) -> float:
        """Wait until every port may be started; returns how long it took to find all relays open."""
        reconciled = self.wait(lambda ports: all(port["relay_closed"] is False for port in ports)) - self.began
        self.wait(lambda ports: all(port["state"] == "available" and not port["blocked_by"] for port in ports))
        return reconciled

    def charge(self, lines: Iterable[tuple[Slave, list[str]]]) -> None:
        """Start the ports of these lines and let them draw."""
        held = list(lines)
        wanted = {name for _slave, names in held for name in names}
        for slave, names in held:
            for unit, _name in zip(UNITS, names, strict=False):
                slave.current(unit, 0.0)
        for name in sorted(wanted):
            self.ask("start", port=name)
        self.wait(lambda ports: all(port["state"] == "charging" for port in ports if port["port"] in wanted))
        for slave, names in held:
            for unit, _name in zip(UNITS, names, strict=False):
                slave.current(unit, 1.0)
        time.sleep(SETTLED)

    def cpu_s(self) -> float:
        return machine.cpu_s(self.pid)

    def resident_mb(self) -> float:
        return machine.resident_mb(self.pid)
