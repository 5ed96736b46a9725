"""Processes held to a share of one core, by a cpu cgroup of version 1 or 2."""

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

PERIOD_US = 10_000
"""Short beside a transaction: a slow core is slow all the time, and does not stand still for most of a 100 ms."""
HEAVIEST = {"cpu.shares": "262144", "cpu.weight": "10000"}
"""What else runs on the machine must not take of the share."""


class NoGroup(Exception):  # noqa: N818 - named for what it says
    """This machine lets us make no cpu cgroup; the message says why."""


class Slowed:
    """A cpu cgroup that gives all in it together so much of one core; all there is if `share` is `None`.

    A context manager. Raises `NoGroup`.
    """

    def __init__(self, share: float | None) -> None:
        self._folder = _make(f"chargerd-bench-{os.getpid()}")
        quota = "max" if share is None else str(round(share * PERIOD_US))
        if (self._folder / "cpu.max").exists():
            (self._folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        else:
            (self._folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (self._folder / "cpu.cfs_quota_us").write_text("-1" if share is None else quota)
        for name, value in HEAVIEST.items():
            if (self._folder / name).exists():
                (self._folder / name).write_text(value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        deadline = time.monotonic() + 5.0
        while self._folder.exists() and time.monotonic() < deadline:
            with suppress(OSError):  # who has just ended counts as in it for a moment
                self._folder.rmdir()
            time.sleep(0.01)

    def start(self, command: Sequence[str | Path], **settings: Any) -> "subprocess.Popen[bytes]":
        """Start a program in it."""
        enter = f'echo $$ > {self._folder}/cgroup.procs && exec "$@"'
        return subprocess.Popen(["sh", "-c", enter, "sh", *command], **settings)

    def run(self, command: Sequence[str | Path]) -> dict[str, float]:
        """Run a program in it to its end; returns what it took, and its exit code."""
        began = time.monotonic()
        process = self.start(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        took = time.monotonic() - began
        return {"took_s": took, "cpu_s": used.ru_utime + used.ru_stime, "code": process.returncode}


def _make(name: str) -> Path:
    """Make a group, below our own or else at the top."""
    why = "there is no cpu controller"
    for place in _places():
        folder = place / name
        try:
            with suppress(OSError):
                (place / "cgroup.subtree_control").write_text("+cpu")
            folder.mkdir(exist_ok=True)
        except OSError as error:
            why = f"{folder}: {error.strerror}"
            continue
        if (folder / "cpu.max").exists() or (folder / "cpu.cfs_quota_us").exists():
            return folder
        folder.rmdir()
        why = f"{place} gives no cpu controller to groups below it"
    raise NoGroup(why)


def _places() -> list[Path]:
    """Return where a group with a cpu controller may be made, the best place first."""
    own = dict(_own())
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, mount, kind, options, *_rest = line.split()
        controllers = "" if kind == "cgroup2" else "cpu"
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.split(",")):
            found += [Path(mount) / own.get(controllers, "/").lstrip("/"), Path(mount)]
    return found


def _own() -> list[tuple[str, str]]:
    """Return our own group by hierarchy: `cpu` of version 1, and an empty name for version 2."""
    rows = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    return [
        ("cpu" if controllers else "", path)
        for _number, controllers, path in rows
        if not controllers or "cpu" in controllers.split(",")
    ]
