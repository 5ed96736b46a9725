"""The machine and what else runs on it."""

import os
import platform
import time
from pathlib import Path
from typing import Any

import minimalmodbus  # type: ignore[import-untyped]
import pymodbus


def description() -> dict[str, Any]:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in info if "model name" in line), platform.machine())
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "pymodbus": pymodbus.__version__,
        "minimalmodbus": minimalmodbus.__version__,
        "timer_slack_us": int(Path("/proc/self/timerslack_ns").read_text()) / 1000,
    }


def others_busy() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


class BusyCores:
    """How many cores worked on average since it was made: ours, the slaves' and everybody else's."""

    def __init__(self) -> None:
        self._began = self._read()

    @staticmethod
    def _read() -> tuple[float, float]:
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return sum(fields[:8]) - fields[3] - fields[4], sum(fields[:8])

    def mean(self) -> float:
        busy, every = self._read()
        return (busy - self._began[0]) / max(1.0, every - self._began[1]) * (os.cpu_count() or 1)


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process, by its CPU clock: to the nanosecond, unlike /proc's ticks."""
    return time.clock_gettime((~pid << 3) | 2)


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
