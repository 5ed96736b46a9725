"""`make bench`: the real daemon on a line that delivers byte by byte, measured against the line's own floor.

Figures, no verdict: these machines are noisy. `--write` puts the table into docs/performance.md.
"""

import argparse
import atexit
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from chargerd.config.loader import load_text
from chargerd.control.client import ControlClient, ControlFailure
from chargerd.core.commands import CloseRelay, OpenRelay, Pace, RenewLease, SetPace
from chargerd.core.events import BusEvent, RelayAction, RelayWritten
from chargerd.core.units import Instant, PortId, Seconds
from chargerd.modbus.build import build
from chargerd.runtime.clock import SystemClock
from tests.benchmarks.slave import Slave, compile_slave

PORTS = 12
UNITS = range(11, 11 + PORTS)
CHARACTER_BITS = 10
SILENCE = 3.5
TURNAROUND = 0.002
READ, READ_REPLY, WRITE, COILS_REPLY = 8, 9, 8, 7

CONFIGURATION = """\
gateway: {{id: bench}}
buses: {{line: {{serial: {tty}, baudrate: {baudrate}}}}}
boards:
  relay: {{bus: line, address: 1, profile: waveshare-relay-16}}
  meter1..meter12: {{bus: line, address: 11..22, profile: eastron-sdm230}}
circuits: {{shed: {{}}}}
limits: {{power_w: 1000, current_a: 5.0}}
charge_end: {{no_load_after_s: 3600}}
ports: [{{id: A01..A12, relay: relay/1..12, meter: meter1..meter12, circuit: shed}}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure: what, how much, and what was wanted."""

    what: str
    value: str
    wanted: str


def floor(baudrate: int, reply: int) -> float:
    """Return the seconds a transaction takes at least: request, silence, turnaround, reply, silence."""
    character = CHARACTER_BITS / baudrate
    return (READ + SILENCE + reply + SILENCE) * character + TURNAROUND


class Daemon:
    """The daemon as a process, with no broker."""

    def __init__(self, folder: Path, tty: Path, baudrate: int) -> None:
        self._socket = folder / "run" / "chargerctl.sock"
        config = folder / "chargerd.yaml"
        config.write_text(CONFIGURATION.format(tty=tty, baudrate=baudrate))
        command = [sys.executable, "-m", "chargerd", "run", "--config", str(config)]
        command += ["--state-dir", str(folder / "state"), "--runtime-dir", str(folder / "run")]
        self.began = time.monotonic()
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        atexit.register(self._process.kill)

    def ask(self, method: str, **params: Any) -> Any:
        with ControlClient(self._socket, timeout=30) as client:
            return next(client.stream(method, **params))

    def wait(self, holds: Callable[[list[dict[str, Any]]], bool], timeout: float = 40.0) -> float:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                if holds(self.ask("status")["ports"]):
                    return time.monotonic()
            except ControlFailure:
                pass
            time.sleep(0.005)
        raise SystemExit(f"the daemon did not come so far; its log is {self._log.name}")

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()


def start(daemon: Daemon, slave: Slave, names: list[str]) -> None:
    for name in names:
        slave.current(UNITS[int(name[1:]) - 1], 0.0)
    for name in names:
        daemon.ask("start", port=name)
    daemon.wait(lambda ports: all(port["state"] == "charging" for port in ports if port["port"] in names))
    for name in names:
        slave.current(UNITS[int(name[1:]) - 1], 1.0)
    time.sleep(2.5)


def intervals(stats: dict[str, Any], leave_out: int | None = None) -> list[float]:
    found: list[float] = []
    for index, reads in enumerate(stats["reads"]):
        if index != leave_out:
            found += [later - earlier for earlier, later in pairwise(reads)]
    return found


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def daemon_rows(program: Path, folder: Path, baudrate: int, seconds: float) -> list[Row]:
    """Measure the whole daemon with twelve charging ports."""
    folder.mkdir()
    tty = folder / "tty"
    names = [f"A{number:02d}" for number in range(1, PORTS + 1)]
    with Slave(program, tty, baudrate) as slave:
        daemon = Daemon(folder, tty, baudrate)
        reconciled = daemon.wait(lambda ports: all(port["relay_closed"] is False for port in ports)) - daemon.began
        daemon.wait(lambda ports: all(not port["blocked_by"] for port in ports))
        start(daemon, slave, names)
        cpu = daemon.cpu_s()
        slave.reset()
        time.sleep(seconds)
        stats = slave.stats()
        cpu = (daemon.cpu_s() - cpu) / stats["elapsed"]
        memory = daemon.resident_mb()
        trips = [trip(daemon, slave, name) for name in random.Random(1).sample(names, PORTS)]
        for name in names:
            daemon.ask("reset", port=name)
        start(daemon, slave, names)
        slave.reset()
        time.sleep(seconds / 2)
        whole = statistics.mean(intervals(slave.stats(), leave_out=PORTS - 1))
        slave.silent(UNITS[-1], silent=True)
        slave.reset()
        time.sleep(seconds / 2)
        early = intervals(slave.stats(), leave_out=PORTS - 1)
        daemon.stop()
    apart = intervals(stats)
    unit = floor(baudrate, READ_REPLY)
    growth = statistics.mean(early) / whole - 1
    polling = PORTS * unit
    return [
        Row(what="silences shorter than 3.5 characters", value=str(stats["violations"]), wanted="0"),
        Row(what="shortest silence, characters", value=f"{stats['shortest_gap_characters']:.2f}", wanted=">= 3.5"),
        Row(what="line in use", value=f"{stats['floors'] / stats['elapsed']:.3f}", wanted=">= 0.90"),
        Row(
            what="current of each port, p50 / p99 / max, ms",
            value=" / ".join(
                f"{1000 * value:.0f}" for value in (statistics.median(apart), percentile(apart, 0.99), max(apart))
            ),
            wanted="every 500 at 9600",
        ),
        Row(
            what="lease renewals a second",
            value=f"{stats['renewals'] / stats['elapsed']:.2f}",
            wanted="4 (12 each 3 s)",
        ),
        Row(
            what="overload to last bit of opening, p50 / max, ms",
            value=f"{1000 * statistics.median(trips):.0f} / {1000 * max(trips):.0f}",
            wanted=f"polling floor {1000 * polling:.0f} + two transactions {2000 * unit:.0f}",
        ),
        Row(what="others' cycle with one board silent", value=f"{100 * growth:+.1f} %", wanted="<= +10 %"),
        Row(what="relays reconciled after start, s", value=f"{reconciled:.2f}", wanted="<= 2"),
        Row(what="resident, MB", value=f"{memory:.1f}", wanted="<= 60"),
        Row(what="one core", value=f"{100 * cpu:.1f} %", wanted=""),
    ]


def trip(daemon: Daemon, slave: Slave, name: str) -> float:
    """Overload one port and return how long its opening took to be on the wire entirely."""
    channel = int(name[1:])
    slave.reset()
    time.sleep(random.Random(channel).uniform(0.05, 0.5))
    slave.current(UNITS[channel - 1], 9.0)
    daemon.wait(lambda ports: next(port for port in ports if port["port"] == name)["state"] == "tripped")
    slave.current(UNITS[channel - 1], 0.0)
    opened = [write for write in slave.stats()["writes"] if write["channel"] == channel and not write["closed"]]
    return float(opened[0]["at"] - opened[0]["changed"])


def opening_rows(program: Path, folder: Path, baudrate: int, times: int) -> list[Row]:
    """Measure how long an opening waits for the wire: the bus alone, busy with twelve ports."""
    folder.mkdir()
    tty = folder / "tty"
    clock = SystemClock()
    written: dict[PortId, Instant] = {}

    def emit(event: BusEvent) -> None:
        if isinstance(event, RelayWritten) and event.action is RelayAction.OPEN:
            written[event.port] = event.sent_at
        elif isinstance(event, RelayWritten):
            again = Instant(event.sent_at + 5.0)
            bus.execute(RenewLease(port=event.port, lease=Seconds(6.0), not_after=again))

    waits: list[float] = []
    crashed: list[BaseException] = []
    with Slave(program, tty, baudrate):
        site = load_text(CONFIGURATION.format(tty=tty, baudrate=baudrate), "bench")
        (bus,) = build(site, clock=clock, emit=emit, on_crash=crashed.append)
        bus.start()
        for port in bus.ports:
            bus.execute(SetPace(port=port, pace=Pace.CLOSED))
        time.sleep(1.0)
        dice = random.Random(7)
        for _ in range(times):
            port = PortId(f"A{dice.randint(1, PORTS):02d}")
            bus.execute(CloseRelay(port=port, lease=Seconds(6.0), not_after=Instant(clock.now() + 3)))
            time.sleep(dice.uniform(0.15, 0.3))
            written.pop(port, None)
            asked = clock.now()
            bus.execute(OpenRelay(port=port))
            while port not in written:
                if crashed:
                    raise crashed[0]
                time.sleep(0.0005)
            waits.append(written[port] - asked)
        bus.stop(Seconds(2.0))
    longest = floor(baudrate, READ_REPLY)
    shown = (
        f"{1000 * statistics.median(waits):.1f} / {1000 * percentile(waits, 0.99):.1f} / {1000 * max(waits):.1f}"
    )
    return [
        Row(
            what="opening asked for to its first bit, p50 / p99 / max, ms",
            value=shown,
            wanted=f"transaction in flight and one more: {2000 * longest:.0f}",
        )
    ]


def machine() -> str:
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to look at each case")
    parser.add_argument("--write", type=Path, help="write the results into this file, too")
    options = parser.parse_args()
    sections: list[tuple[str, list[Row]]] = []
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = compile_slave(folder)
        for baudrate in (9600, 19200):
            console.print(f"{baudrate} Bd: twelve charging ports, {options.seconds:g} s ...")
            rows = daemon_rows(program, folder / f"daemon-{baudrate}", baudrate, options.seconds)
            rows += opening_rows(program, folder / f"opening-{baudrate}", baudrate, int(options.seconds * 2))
            title = f"{baudrate} Bd, twelve meters read for 2 registers at a time, turnaround 2 ms"
            sections.append((title, rows))
            table = Table("what", "measured", "wanted", title=title, title_justify="left")
            for row in rows:
                table.add_row(row.what, row.value, row.wanted)
            console.print(table)
    console.print(machine())
    if options.write is not None:
        options.write.write_text(document(sections))


def document(sections: list[tuple[str, list[Row]]]) -> str:
    lines = [
        "# Performance of the bus",
        "",
        "Written by `python -m tests.benchmarks --write docs/performance.md`. The boards are a C program on a pty",
        "that delivers byte by byte at line speed and takes the time of every byte; the daemon is the real one.",
        "Figures of one run, on a machine that is not a gateway:",
        "",
        f"{machine()}.",
        "",
        "*Line in use*: the sum of the floors of all frames (characters, 3.5 characters of silence before request",
        "and answer, turnaround) over the time passed.",
    ]
    for title, rows in sections:
        lines += ["", f"## {title}", "", "| what | measured | wanted |", "|---|---|---|"]
        lines += [f"| {row.what} | {row.value} | {row.wanted} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
