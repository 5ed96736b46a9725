"""What more buses and more ports cost the daemon, and what a full line leaves of a cycle."""

import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.benchmarks import machine
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.figures import WRITE, floor, intervals, over_floor, percentile
from tests.benchmarks.race import Say
from tests.benchmarks.site import PORTS, port_names, write_site
from tests.benchmarks.slave import Programs, Slave


def charging(
    programs: Programs, folder: Path, baudrate: int, *, ports: int, seconds: float, full: bool = False
) -> dict[str, Any]:
    """Have so many ports charge, twelve to a line, and look on."""
    folder.mkdir(parents=True)
    groups = port_names(ports)
    links = [folder / f"tty{number}" for number in range(len(groups))]
    config = write_site(folder, links, baudrate, ports=ports, full=full)
    with ExitStack() as stack:
        slaves = [stack.enter_context(Slave(programs.slave, link, baudrate)) for link in links]
        daemon = stack.enter_context(Daemon(config))
        reconciled = daemon.wait_ready()
        daemon.charge(list(zip(slaves, groups, strict=True)))
        busy = machine.BusyCores()
        for slave in slaves:
            slave.reset()
        cpu = daemon.cpu_s()
        began = time.monotonic()
        time.sleep(seconds)
        core = (daemon.cpu_s() - cpu) / (time.monotonic() - began)
        all_stats = [slave.stats() for slave in slaves]
        resident = daemon.resident_mb()
        cores = busy.mean()
    transactions = sum(stats["transactions"] / stats["elapsed"] for stats in all_stats)
    apart = [interval for stats in all_stats for interval in intervals(stats)]
    rounds = sum(len(reads) for stats in all_stats for reads in stats["reads"]) / ports
    counted = ("feeder_reads", "input_reads", "coil_reads", "power_reads", "renewals")
    ratio = over_floor(all_stats)
    renewals = sum(stats["renewals"] for stats in all_stats) / len(links) / rounds
    return {
        "currents_and_leases_ms": 1000 * ratio * (PORTS * floor(baudrate) + renewals * floor(baudrate, WRITE)),
        "ports": ports,
        "buses": len(links),
        "baudrate": baudrate,
        "core": core,
        "core_per_port": core / ports,
        "cpu_ms_per_transaction": 1000 * core / transactions,
        "resident_mb": resident,
        "over_floor": ratio,
        "cycle_ms": {
            "mean": 1000 * statistics.mean(apart),
            "p50": 1000 * statistics.median(apart),
            "p99": 1000 * percentile(apart, 0.99),
        },
        "turn_floor_ms": 1000 * sum(stats["floors"] for stats in all_stats) / len(links) / rounds,
        "violations": sum(stats["violations"] for stats in all_stats),
        "unknown_requests": sum(stats["strangers"] for stats in all_stats),
        "reconciled_s": reconciled,
        "busy_cores": cores,
        "load": machine.others_busy(),
        "a_second": {name: sum(stats[name] / stats["elapsed"] for stats in all_stats) for name in counted},
    }


def growth(programs: Programs, folder: Path, effort: dict[str, Any], say: Say) -> list[dict[str, Any]]:
    """1, 4, 8 buses of twelve ports at 19200 Bd."""
    found = []
    for buses in effort["buses"]:
        say(f"{buses} buses of {PORTS} ports at 19200 Bd")
        place = folder / f"buses-{buses}"
        found.append(charging(programs, place, 19200, ports=buses * PORTS, seconds=effort["look"]))
    return found


def ports(programs: Programs, folder: Path, effort: dict[str, Any], say: Say) -> list[dict[str, Any]]:
    """12, 96, 250 ports at 9600 Bd."""
    found = []
    for count in effort["ports"]:
        say(f"{count} ports at 9600 Bd")
        found.append(charging(programs, folder / f"ports-{count}", 9600, ports=count, seconds=effort["look"]))
    return found


def load(programs: Programs, folder: Path, effort: dict[str, Any], say: Say) -> dict[str, Any]:
    """One line at 9600 Bd with all there is to read: feeder meter, input module, coils, power."""
    say("9600 Bd, twelve meters, feeder, inputs, coils, power, leases")
    return charging(programs, folder / "load", 9600, ports=PORTS, seconds=effort["look"], full=True)
