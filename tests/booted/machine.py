"""A booted Debian with boards on a serial line: systemd-nspawn, and a pseudo-terminal that outlives each boot.

The boards are simulated out here, as real ones are outside the gateway: what happens to their contacts is seen
even while nothing in there runs. There is no network in there.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from chargerd.config.loader import load
from chargerd.runtime.process.clock import SystemClock
from chargerd.sim.line import PtyLine
from chargerd.sim.loads import resistive
from chargerd.sim.parts import Edge
from chargerd.sim.world import World
from tests.patience import PATIENCE_S

PORTS = tuple(f"A{number:02d}" for number in range(1, 13))
DEVICE = "/dev/shed-a"
DIALOUT = 20
CONFIGURATION = f"""\
gateway: {{id: shed-1}}
buses:
  line-a: {{serial: {DEVICE}, baudrate: 9600}}
boards:
  relay-a: {{bus: line-a, address: 1, profile: waveshare-relay-16}}
  meter-a1..meter-a12: {{bus: line-a, address: 11..22, profile: eastron-sdm120}}
circuits:
  shed: {{}}
limits: {{power_w: 600, current_a: 4.0, duration_s: 36000}}
ports:
  - {{id: A01..A12, relay: relay-a/1..12, meter: meter-a1..meter-a12, circuit: shed}}
"""
DROP_IN = """\
[Service]
# A pseudo-terminal stands for the adapter.
DeviceAllow=char-pts rw
"""
# What belongs to a boot of its own: systemd 257 no longer likes the cgroups of some hosts, and asks for this word.
ENVIRONMENT = {"SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE": "1"}


WANTS_REBOOT = 133
"""Exit code of systemd-nspawn, which leaves it to whoever manages it to boot the machine once more."""


class MachineError(AssertionError):
    """What was expected of a machine did not come; the message says what did."""


class Machine:
    """A root that boots, and twelve sockets on its line. A context manager: on entering it boots."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.log = folder / f"{root.name}.log"
        self.log.unlink(missing_ok=True)
        config = folder / "chargerd.yaml"
        config.write_text(CONFIGURATION)
        self.clock = SystemClock()
        self.world = World(load(config), seed=1)
        self.line = PtyLine(self.world, "line-a", clock=self.clock, link=folder / f"{root.name}-tty")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.line.start()
        device = Path(self.line.path)
        os.chown(device, 0, DIALOUT)
        device.chmod(0o660)
        self.write("/etc/systemd/system/chargerd.service.d/line.conf", DROP_IN)
        # The same machine after each boot: a journal knows whose it is.
        self.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        self._boot()
        self.wait_booted()
        return self

    def __exit__(self, *_exception: object) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self.line.stop()
        assert self.line.failure is None, self.line.failure

    def _boot(self) -> None:
        nspawn = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network"]
        nspawn += [f"--directory={self.root}", f"--bind={self.line.path}:{DEVICE}"]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                nspawn, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **ENVIRONMENT}
            )

    # In there

    def write(self, path: str, text: str) -> None:
        """Write a file of the machine."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def leader(self) -> int | None:
        """Return the process that is the machine's first; `None` while there is none."""
        assert self._process is not None
        try:
            words = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        except OSError:
            return None
        for word in words:  # A helper of nspawn's may be beside it.
            if Path(f"/proc/{word}/comm").exists() and Path(f"/proc/{word}/comm").read_text().strip() == "systemd":
                return int(word)
        return None

    def run(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell command in there. Raises `MachineError` if it fails and `check` is said."""
        leader = self.leader()
        if leader is None:
            raise MachineError(f"nothing runs in there; the end of {self.log}:\n{self.log.read_text()[-2000:]}")
        result = subprocess.run(
            ["nsenter", f"--target={leader}", "--all", "--", "sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        )
        if check and result.returncode:
            raise MachineError(f"{command}: exit code {result.returncode}\n{result.stdout}\n{self.journal()}")
        return result

    def journal(self) -> str:
        """Return the end of what the daemon has said."""
        return self.run("journalctl --no-pager -u chargerd -n 60 -o cat", check=False).stdout

    def ask(self, words: str) -> Any:
        """Return what a command of chargerctl prints as JSON; `None` if it fails."""
        result = self.run(f"chargerctl {words} --json", check=False)
        return json.loads(result.stdout.splitlines()[-1]) if result.returncode == 0 else None

    def wait(self, holds: Callable[[], object], what: str, within: float = PATIENCE_S) -> float:
        """Wait until something holds; return how many seconds that took. Raises `MachineError`."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > within:
                raise MachineError(f"{what} did not come in {within:.0f} s\n{self.journal()}")
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_booted(self, *, other_than: int | None = None) -> None:
        """Wait until all that is to start has started, or failed."""

        def booted() -> bool:
            assert self._process is not None
            if self._process.poll() == WANTS_REBOOT:
                self._boot()
            leader = self.leader()
            if leader is None or leader == other_than:
                return False
            return self.run("systemctl is-system-running", check=False).stdout.strip() in {"running", "degraded"}

        self.wait(booted, "a booted machine")

    def main_pid(self) -> str:
        """Return the daemon's process, in there; `0` if there is none."""
        return self.run("systemctl show -P MainPID chargerd").stdout.strip()

    # What is charged

    def plug_in(self) -> None:
        """Plug a lamp into every socket."""
        for port in PORTS:
            self.world.socket(port).plug(resistive("lamp", 0.4))

    def states(self) -> dict[str, str]:
        """Return what each port does; nothing while nobody answers."""
        status = self.ask("status")
        return {} if status is None else {port["port"]: port["state"] for port in status["ports"]}

    def all_are(self, *states: str) -> bool:
        """Say whether every port is in one of these states."""
        found = self.states()
        return len(found) == len(PORTS) and set(found.values()) <= set(states)

    def closed(self) -> set[str]:
        """Return the ports whose contact is closed, as the world knows it."""
        return {port for port in PORTS if self.world.relay(port).contact_closed}

    def sessions(self) -> set[str]:
        """Return the ids of the sessions that are open."""
        status = self.ask("status")
        return set() if status is None else {port["session_id"] for port in status["ports"] if port["session_id"]}

    def start_all(self) -> None:
        """Have every socket charge."""
        for port in PORTS:
            self.run(f"chargerctl start {port} --minutes 120 --no-wait")
        self.wait(lambda: self.all_are("charging"), "twelve sockets that charge")

    def longest_gap(self, since: float) -> float:
        """Return the longest time that a contact was open since then: 0 if none was."""
        longest = 0.0
        for port in PORTS:
            opened: float | None = None
            for one in self.world.edges(port, Edge.CLOSED, Edge.OPEN):
                if one.at < since:
                    continue
                if one.edge is Edge.OPEN:
                    opened = one.at
                elif opened is not None:
                    longest, opened = max(longest, one.at - opened), None
            if opened is not None:
                longest = max(longest, self.clock.now() - opened)
        return longest
