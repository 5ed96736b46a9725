"""The paced slave of `tests/native/paced_slave.c`: compiled, started, spoken to."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

NATIVE = Path(__file__).parents[1] / "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """What is written in C, compiled."""

    slave: Path
    libmodbus: Path


def compile_programs(folder: Path) -> Programs:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("the benchmark's slave is written in C: apt-get install gcc libc6-dev")
    slave, libmodbus = folder / "paced_slave", folder / "libmodbus_master"
    subprocess.run([compiler, "-O2", "-Wall", "-o", slave, NATIVE / "paced_slave.c", "-lm"], check=True)
    headers = "-I/usr/include/modbus"
    command: list[str | Path] = [
        compiler,
        "-O2",
        "-Wall",
        headers,
        "-o",
        libmodbus,
        NATIVE / "libmodbus_master.c",
        "-lmodbus",
    ]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit("the benchmark compares with libmodbus: apt-get install libmodbus-dev")
    return Programs(slave=slave, libmodbus=libmodbus)


class Slave:
    """Twelve meters, a feeder meter and two relay boards on a pty, byte by byte at line speed.

    The meters are like Eastron's, or with `pzem` like Peacefair's, and have the addresses from `first` on.
    """

    def __init__(
        self,
        program: Path,
        link: Path,
        baudrate: int,
        *,
        turnaround_us: int = 2000,
        pzem: bool = False,
        first: int = 11,
    ) -> None:
        self.link = link
        self.baudrate = baudrate
        self.units = range(first, first + 12)
        self._process = subprocess.Popen(
            [program, link, str(baudrate), str(turnaround_us), "pzem" if pzem else "eastron", str(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.realtime = bool(self._answer()["realtime"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def current(self, unit: int, amps: float, *, after: float = 0.0) -> None:
        self._say(f"current {unit} {amps} {after}")

    def opened(self, unit: int) -> float | None:
        """Return how long after its meter's last change a port's relay was told to open, to the last bit."""
        self._say(f"opened {unit}")
        after = float(self._answer()["after"])
        return None if after < 0 else after

    def silent(self, unit: int, *, silent: bool) -> None:
        self._say(f"silent {unit} {int(silent)}")

    def reset(self) -> None:
        self._say("reset")

    def stats(self) -> dict[str, Any]:
        self._say("stats")
        return self._answer()
