"""chargerd and others on the same slave in the same run, turn by turn, so that noise hits all of them alike."""

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import machine
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.figures import intervals, over_floor, percentile, round_floor, spread
from tests.benchmarks.site import PORTS, UNITS, port_names, write_site
from tests.benchmarks.slave import Programs, Slave

CLIENTS = ("bus", "wire", "libmodbus", "minimalmodbus", "pymodbus")
TRIPPED = 9.0
LONGEST_TRIP = 10.0
TWO_TIMEOUTS = 1.2
"""Seconds in which a silent board has been missed twice, and the wait after that has begun."""
Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Tally:
    """What one of the racers has shown so far."""

    over_floor: list[float] = field(default_factory=list)
    intervals: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    trips: list[float] = field(default_factory=list)
    missed_trips: int = 0
    violations: int = 0
    transactions: int = 0
    shortest: float = float("inf")
    failed: int = 0
    turn_floor: list[float] = field(default_factory=list)

    def note(self, stats: dict[str, Any], cpu: float, resident: float) -> None:
        self.over_floor.append(over_floor([stats]))
        self.intervals += intervals(stats)
        self.cpu_ms.append(1000 * cpu / stats["transactions"])
        self.cores.append(cpu / stats["elapsed"])
        self.resident.append(resident)
        self.violations += stats["violations"]
        self.transactions += stats["transactions"]
        self.shortest = min(self.shortest, stats["shortest_gap_characters"])
        rounds = sum(len(reads) for reads in stats["reads"]) / PORTS
        self.turn_floor.append(stats["floors"] / max(rounds, 1))

    def summary(self) -> dict[str, Any]:
        trips = [1000 * trip for trip in self.trips]
        return {
            "over_floor": spread(self.over_floor),
            "cycle_ms": {
                "mean": 1000 * statistics.mean(self.intervals),
                "p50": 1000 * statistics.median(self.intervals),
                "p99": 1000 * percentile(self.intervals, 0.99),
            },
            "turn_floor_ms": 1000 * statistics.median(self.turn_floor),
            "cpu_ms_per_transaction": spread(self.cpu_ms),
            "core": spread(self.cores),
            "resident_mb": max(self.resident),
            "trip_ms": {"p50": statistics.median(trips), "p99": percentile(trips, 0.99), "most": max(trips)}
            if trips
            else None,
            "trips": len(trips),
            "missed_trips": self.missed_trips,
            "violations": self.violations,
            "transactions": self.transactions,
            "shortest_silence_characters": self.shortest,
            "failed": self.failed,
        }


@contextmanager
def racing(name: str, config: Path, programs: Programs, slave: Slave, tally: Tally) -> Iterator[int]:
    """Have a client run; gives its process id once it has read every meter."""
    command = [sys.executable, "-m", "tests.benchmarks.clients", name, str(config)]
    if name == "libmodbus":
        command = [str(programs.libmodbus), str(slave.link), str(slave.baudrate)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"{name} did not come to read all meters")
        yield process.pid
        process.terminate()
        last, _none = process.communicate(timeout=10)
        tally.failed += json.loads(last)["failed"]
    finally:
        process.kill()
        process.wait()


def observe(slave: Slave, pid: int, seconds: float, tally: Tally) -> dict[str, Any]:
    """Look on for a while."""
    cpu = machine.cpu_s(pid)
    slave.reset()
    time.sleep(seconds)
    stats = slave.stats()
    tally.note(stats, machine.cpu_s(pid) - cpu, machine.resident_mb(pid))
    return stats


def trip(slave: Slave, unit: int, dice: random.Random, tally: Tally) -> None:
    """Overload one port at a random moment, and note how long its opening took to be on the wire entirely."""
    slave.current(unit, TRIPPED, after=dice.uniform(0.03, 0.3))
    deadline = time.monotonic() + LONGEST_TRIP
    while (took := slave.opened(unit)) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if took is None:
        tally.missed_trips += 1
    else:
        tally.trips.append(took)


def client_turn(
    name: str, config: Path, programs: Programs, slave: Slave, tally: Tally, *, seconds: float, trips: int
) -> None:
    """Give one client its turn."""
    for unit in UNITS:
        slave.current(unit, 1.0)
    dice = random.Random(len(tally.trips))
    with racing(name, config, programs, slave, tally) as pid:
        time.sleep(0.5)
        observe(slave, pid, seconds, tally)
        for unit in dice.sample(UNITS, trips):
            trip(slave, unit, dice, tally)
            slave.current(unit, 1.0)


def daemon_turn(config: Path, slave: Slave, tally: Tally, seconds: float) -> dict[str, float]:
    """Give the whole daemon its turn: twelve ports charging, one meter silent, overloads."""
    (names,) = port_names()
    dice = random.Random(3)
    with Daemon(config) as daemon:
        reconciled = daemon.wait_ready()
        daemon.charge([(slave, names)])
        whole = statistics.mean(intervals(observe(slave, daemon.pid, seconds, tally), leave_out=PORTS - 1))
        slave.silent(UNITS[-1], silent=True)
        time.sleep(TWO_TIMEOUTS)
        slave.reset()
        time.sleep(seconds)
        silent = statistics.mean(intervals(slave.stats(), leave_out=PORTS - 1))
        slave.silent(UNITS[-1], silent=False)
        for index in dice.sample(range(PORTS - 1), PORTS - 1):
            trip(slave, UNITS[index], dice, tally)
            slave.current(UNITS[index], 0.0)
    return {"reconciled_s": reconciled, "silent_growth": silent / whole - 1}


def race(programs: Programs, folder: Path, baudrate: int, effort: dict[str, Any], say: Say) -> dict[str, Any]:
    """Let everybody race at one line speed."""
    link = folder / "tty"
    config = write_site(folder, [link], baudrate, ports=PORTS)
    tallies = {name: Tally() for name in (*CLIENTS, "daemon")}
    busy = machine.BusyCores()
    more: dict[str, float] = {}
    with Slave(programs.slave, link, baudrate) as slave:
        for number in range(effort["rounds"]):
            for name in CLIENTS:
                say(f"{baudrate} Bd, round {number + 1} of {effort['rounds']}: {name}")
                tally, trips = tallies[name], effort["trips"]
                client_turn(name, config, programs, slave, tally, seconds=effort["seconds"], trips=trips)
            if number == effort["rounds"] // 2 and baudrate in effort["daemon_at"]:
                say(f"{baudrate} Bd: the whole daemon")
                more = daemon_turn(config, slave, tallies["daemon"], effort["daemon"])
        realtime = slave.realtime
    return {
        "baudrate": baudrate,
        "floor_ms": 1000 * round_floor(baudrate),
        "transaction_floor_ms": 1000 * round_floor(baudrate) / PORTS,
        "realtime_slave": realtime,
        "busy_cores": busy.mean(),
        "load": machine.others_busy(),
        "racers": {name: tally.summary() for name, tally in tallies.items() if tally.over_floor},
        **more,
    }
