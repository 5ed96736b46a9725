"""Fetches the wheels a lock file names for another processor and Python, and lays out what is in them.

pip chooses, and checks every file against the lock's hashes; nothing is built. A package holds the wheels of
several Pythons: those in pure Python once, compiled parts of each beside each other, since their names differ.
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from zipfile import ZipFile

PYTHONS = ("3.11", "3.13")
"""Debian 12's and 13's."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7l"}
"""Debian's name of an architecture and the wheels'."""
PURE = "-none-any.whl"
ENTRY = re.compile(r"(?m)^(?=[A-Za-z0-9])")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
DOWNLOAD = ["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp"]
LEFT_OUT = ("RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "zip-safe")
"""Of what describes a wheel: pip's own books, and programs that are not installed."""


class WheelError(Exception):
    """A wheel is missing or not what it should be; the message says what pip said."""


def fetch(lock: Path, architecture: str, folder: Path) -> list[Path]:
    """Download the wheels of `lock` for an architecture and all Pythons; return them. Raises `WheelError`."""
    entries = {_name(entry): entry for entry in ENTRY.split(lock.read_text()) if entry.strip()}
    first, *others = PYTHONS
    found = _download(entries.values(), architecture, first, folder)
    compiled = {_name(wheel.name) for wheel in found if not wheel.name.endswith(PURE)}
    again = [entry for name, entry in entries.items() if name in compiled]
    for python in others:
        found += _download(again, architecture, python, folder)
    return sorted(found)


def needed(wheels: Iterable[Path], first: Iterable[str]) -> list[Path]:
    """Return the wheels that `first` need, directly or not; what a wheel wants and is not there has a marker."""
    by_name: dict[str, list[Path]] = {}
    for wheel in wheels:
        by_name.setdefault(_name(wheel.name), []).append(wheel)
    wanted, waiting = set[str](), [_name(one) for one in first]
    while waiting:
        name = waiting.pop()
        if name in wanted or name not in by_name:
            continue
        wanted.add(name)
        waiting += _requirements(by_name[name][0])
    return sorted(wheel for name in wanted for wheel in by_name[name])


def lay_out(wheels: Iterable[Path], folder: Path) -> None:
    """Unpack the wheels into `folder`. Raises `WheelError` when two say different things of one file."""
    for wheel in wheels:
        with ZipFile(wheel) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith("/") or name.rpartition("/")[2] in LEFT_OUT:
                    continue
                if ".data/" in name.partition("/")[0] + "/":
                    continue  # Programs and the like: only ours are installed.
                target = folder / name
                content = archive.read(name)
                if target.exists() and target.read_bytes() != content and ".dist-info/" not in name:
                    raise WheelError(f"{wheel.name} has another {name} than a wheel before it")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)


def _download(entries: Iterable[str], architecture: str, python: str, folder: Path) -> list[Path]:
    into = folder / f"{architecture}-{python}"
    into.mkdir(parents=True, exist_ok=True)
    wanted = into / "wanted.txt"
    wanted.write_text("".join(entries))
    machine = MACHINES[architecture]
    platforms = [f"--platform={one}_{machine}" for one in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *DOWNLOAD, *platforms]
    command += [f"--python-version={python}", f"--dest={into}", f"-r{wanted}"]
    # What an earlier build has fetched serves again, by the same hashes.
    result = subprocess.run([*command, "--no-index", f"--find-links={into}"], capture_output=True, check=False)
    if result.returncode:
        result = subprocess.run(command, capture_output=True, check=False)
    if result.returncode:
        raise WheelError(
            f"pip has no wheels for {architecture}, Python {python}:\n{result.stderr.decode().strip()}"
        )
    named = {_name(entry): entry for entry in entries}
    return [wheel for wheel in sorted(into.glob("*.whl")) if _is_of(wheel, named)]


def _is_of(wheel: Path, named: dict[str, str]) -> bool:
    """Say whether a wheel is the release that is named: an earlier build may have left others."""
    distribution, version = wheel.name.split("-")[:2]
    entry = named.get(_name(distribution), "")
    return entry.partition("==")[2].split()[0:1] == [version]


def _requirements(wheel: Path) -> list[str]:
    with ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(metadata).decode().partition("\n\n")[0].splitlines()
    wants = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ")]
    return [_name(want) for want in wants if "extra ==" not in want]


def _name(text: str) -> str:
    """Return the normalised name a requirement, an entry of a lock or a file name of a wheel begins with."""
    if text.endswith(".whl"):
        text = text.partition("-")[0]
    found = NAME.match(text)
    return "" if found is None else re.sub(r"[-_.]+", "-", found[0]).lower()
