"""How many gateways a broker serves with a core: light clients, and the broker's own processor time and memory."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.brokers.rabbit import cpu_s, rss_mib
from tests.brokers.standing import Standing

SOURCE = Path(__file__).with_name("gateways.c")
STATES = 12
RATE = 1.2
"""Messages a second of a gateway whose twelve ports all charge: a reading each ten seconds of each port."""
SECONDS = 8.0
STOPS_BELOW = 0.95
"""A broker is at its end when it confirms or delivers less than this of what gateways have to say."""
FASTER = 2.0


def compiled(folder: Path) -> Path:
    """Return the program that plays the gateways."""
    program = folder / "gateways"
    subprocess.run(["gcc", "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


def measure(program: Path, broker: Standing, gateways: int, rate: float = RATE) -> dict[str, Any]:
    """Have so many gateways connect and speak; return what it cost the broker."""
    place = broker.place
    words = [str(program), place.host, str(place.port), str(gateways), str(STATES), str(rate), str(SECONDS)]
    words += list(place.login or ())
    began = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        _until(process.stderr.readline, "ready")
        connecting = time.monotonic() - began
        before, machine = cpu_s(broker.pid), busy_s()
        _until(process.stderr.readline, "done")
        spent, everybody = cpu_s(broker.pid) - before, busy_s() - machine
        memory = rss_mib(broker.pid)
        said = json.loads(process.stdout.read())
    rate_found = said["confirmed"] / SECONDS
    return {
        "gateways": gateways,
        "offered_per_s": round(gateways * rate),
        "confirmed_per_s": round(rate_found),
        "received_per_s": round(said["received"] / SECONDS),
        "cores": round(spent / SECONDS, 3),
        "busy_cores": round(everybody / SECONDS, 2),
        "ms_per_message": round(1000 * spent / max(1, said["confirmed"]), 4),
        "memory_mib": round(memory, 1),
        "p50_ms": said["p50_ms"],
        "p99_ms": said["p99_ms"],
        "set_up_s": round(connecting, 1),
        "refused": said["refused"],
        "lost": said["lost"],
    }


def busy_s() -> float:
    """Return the processor time everybody on the machine has had."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def _until(line: Callable[[], str], word: str) -> None:
    while True:
        said = line()
        if said.strip() == word:
            return
        if not said:
            raise RuntimeError(f"the gateways ended before they were {word}")


def ended(row: dict[str, Any]) -> bool:
    """Say whether a broker has come to its end."""
    return bool(
        row["refused"]
        or row["lost"]
        or row["received_per_s"] < STOPS_BELOW * row["offered_per_s"]
        or row["confirmed_per_s"] < STOPS_BELOW * row["offered_per_s"]
    )


def ladder(
    make: Callable[[], Standing], program: Path, steps: tuple[int, ...], say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure with more and more gateways until it does not go on; each step at a broker that is new."""
    rows: list[dict[str, Any]] = []
    idle = 0.0
    for gateways in steps:
        with make() as broker:
            idle = rss_mib(broker.pid)
            row = measure(program, broker, gateways)
        row["ended"] = ended(row)
        rows.append(row)
        cores = f"{row['cores']:.2f} of {row['busy_cores']:.2f} busy cores"
        rate = f"{row['confirmed_per_s']}/s of {row['offered_per_s']}/s"
        waits = f"PUBACK {row['p50_ms']} / {row['p99_ms']} ms"
        say(f"{gateways} gateways: {rate}, {cores}, {row['memory_mib']:.0f} MiB, {waits}")
        if row["ended"]:
            break
    return {"idle_mib": round(idle, 1), "rows": rows}


def stops_at(
    make: Callable[[], Standing], program: Path, gateways: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Have the same gateways speak faster and faster; return the last good row and the first that is not."""
    good: dict[str, Any] | None = None
    rate = RATE * FASTER
    while True:
        with make() as broker:
            row = measure(program, broker, gateways, rate)
        say(
            f"{gateways} gateways, {row['offered_per_s']}/s: {row['confirmed_per_s']}/s confirmed,"
            f" {row['cores']:.2f} cores"
        )
        if ended(row) or rate > 200:
            return {"good": good, "bad": row}
        good, rate = row, rate * FASTER
