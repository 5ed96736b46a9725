"""The package on the processor of a gateway, emulated by qemu: it installs, charges, and decides rightly.

Nothing is booted here: what an emulated processor adds is compiled code, and the width and order of its numbers.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import wheels

from tests.booted import roots
from tests.booted.machine import MachineError

NEEDED = ("hypothesis", "iniconfig", "packaging", "pluggy", "pytest", "pytest-timeout", "sortedcontainers")
"""What the core's tests need beside the package."""
DEMO = "chargerd demo --headless --json --seconds 45 --rate 240 --ports 4"
TESTS = (
    "cd /tree && PYTHONPATH=/usr/lib/chargerd:/libraries python3 -S -m pytest -p no:cacheprovider"
    " -p pytest_timeout -q --timeout=3600 -m 'not long' tests/core/test_station.py tests/core/test_protection.py"
    " tests/core/test_table.py tests/core/test_relay.py tests/core/test_supply.py tests/core/test_totals.py"
)


def try_package(suite: str, package: Path, architecture: str, tell: Callable[[str], None]) -> None:
    """Install, check, show, test. Raises `MachineError`, `subprocess.CalledProcessError`."""
    roots.emulate(architecture)
    root = roots.fresh(suite, architecture)
    shutil.copyfile(package, root / "root" / package.name)
    roots.run_in(root, "dpkg", "--install", f"/root/{package.name}")
    processor = roots.run_in(root, "uname", "-m").strip()
    said = roots.run_in(root, "chargerd", "check", "/etc/chargerd/chargerd.example.yaml").splitlines()
    if "12 ports on 13 boards." not in said[-1]:
        raise MachineError(f"chargerd check says {said[-1]}")
    tell(f"{processor}: installed, {said[-1]}")
    roots.run_in(root, "runuser", "-u", "chargerd", "--", "chargerd", "self-test")
    tell(f"{processor}: {charged(roots.run_in(root, 'sh', '-c', DEMO))}")
    if architecture == "arm64":
        libraries = laid_out(architecture, roots.ROOTS / f"libraries-{architecture}")
        shared = ("tests", "pyproject.toml")
        binds = (f"{libraries}:/libraries", *(f"{roots.TREE / name}:/tree/{name}" for name in shared))
        tell(f"{processor}: core's tests: {roots.run_in(root, 'sh', '-c', TESTS, binds=binds).splitlines()[-1]}")


def charged(said: str) -> str:
    """Return what a demo came to. Raises `MachineError` if nobody charged or energy was lost."""
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    summary = next(line for line in lines if line["kind"] == "summary")
    if not summary["sessions"] or summary["unsettled"] or summary["energy_wh"] <= 0:
        raise MachineError(f"the demo came to {summary}")
    return f"{summary['sessions']} sessions settled, {summary['energy_wh']} Wh, {summary['reasons']}"


def laid_out(architecture: str, folder: Path) -> Path:
    """Fetch what the tests need for a processor, as the lock has it, and unpack it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    entries = wheels.ENTRY.split((roots.TREE / "requirements.lock").read_text())
    lock = folder / "needed.lock"
    lock.write_text("".join(entry for entry in entries if entry.partition("==")[0] in NEEDED))
    wheels.lay_out(wheels.fetch(lock, architecture, folder / "wheels"), folder / "libraries")
    return folder / "libraries"
