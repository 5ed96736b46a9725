"""The paced slave of `tests/native/paced_slave.c`: compiled, started, spoken to."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

SOURCE = Path(__file__).parents[1] / "native" / "paced_slave.c"


def compile_slave(folder: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("the benchmark's slave is written in C: apt-get install gcc libc6-dev")
    program = folder / "paced_slave"
    subprocess.run([compiler, "-O2", "-Wall", "-o", program, SOURCE, "-lm"], check=True)
    return program


class Slave:
    """Twelve meters and a relay board on a pty, byte by byte at line speed."""

    def __init__(self, program: Path, link: Path, baudrate: int, *, turnaround_us: int = 2000) -> None:
        self._process = subprocess.Popen(
            [program, link, str(baudrate), str(turnaround_us)],
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
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def current(self, unit: int, amps: float) -> None:
        self._say(f"current {unit} {amps}")

    def silent(self, unit: int, *, silent: bool) -> None:
        self._say(f"silent {unit} {int(silent)}")

    def reset(self) -> None:
        self._say("reset")

    def stats(self) -> dict[str, Any]:
        self._say("stats")
        return self._answer()
