"""A newcomer's set-up: a fresh environment, old and new pip, and an index with newer releases than the locks.

The index is a folder of wheels that pip finds beside its own. Each is a newer release of a locked package that
nobody can import, so that a resolver with a say would take it, or stop as Debian 12's pip did.
"""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.sampling import TURN

TREE = Path(__file__).parents[2]
SETUP = TREE / "packaging" / "venv"
LOCKED: list[str] = runpy.run_path(str(TREE / "packaging" / "install.py"))["LOCKED"]
NEWEST = "99999"
OLD_PIP = "pip==23.0.1" if sys.version_info < (3, 12) else "pip==25.1.1"
"""Debian 12's own; it knows no Python newer than its own, 3.11, so beside those stands Debian 13's."""
LOCKS = [("requirements-demo.lock", OLD_PIP), ("requirements-gateway.lock", "pip>=25")]
"""In the gate they take turns."""
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)", re.MULTILINE)
INSTALLED = """
import importlib.metadata, json
print(json.dumps({each.name.lower(): each.version for each in importlib.metadata.distributions()}))
"""


def pins(lock: Path) -> dict[str, set[str]]:
    """Return the releases that `lock` allows of each package: more than one where a marker chooses."""
    found: dict[str, set[str]] = {}
    for pin in PIN.finditer(lock.read_text()):
        found.setdefault(pin["name"], set()).add(pin["version"])
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    for name in pins(TREE / "requirements.lock"):
        stem = name.replace("-", "_")
        about = f"{stem}-{NEWEST}.dist-info"
        with ZipFile(folder / f"{stem}-{NEWEST}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{stem}.py", "raise SystemExit('a release that no lock names')\n")
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {NEWEST}\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")
    return folder


def environment(newer: Path) -> dict[str, str]:
    """Return this process's, with the newer releases in view of pip, beside the folders it looks into anyway.

    Bytecode is left out: it is most of the work, and nothing here runs for long.
    """
    folders = " ".join(filter(None, (os.environ.get("PIP_FIND_LINKS"), str(newer))))
    return os.environ | {"PIP_FIND_LINKS": folders, "PIP_NO_COMPILE": "1"}


def made(python: str, venv: Path, lock: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(SETUP), python, str(venv), lock, "--editable"]
    return subprocess.run(command, cwd=TREE, env=env, text=True, capture_output=True, check=False)


def installed(venv: Path) -> dict[str, str]:
    said = subprocess.run(
        [venv / "bin/python", "-c", INSTALLED], text=True, capture_output=True, check=True
    ).stdout
    return {normal(name): version for name, version in json.loads(said).items()}


def with_pip(venv: Path, pip: str) -> None:
    """Make an environment that has the release `pip` of pip."""
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, capture_output=True)
    python = str(venv / "bin/python")
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", pip]
    subprocess.run(command, check=True, capture_output=True)


def half_made(venv: Path) -> None:
    """Leave what an interrupted set-up or an interpreter that was removed leaves behind."""
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").symlink_to("/nowhere/python")


def others() -> list[str]:
    """Return the interpreters of other versions that this machine has: they make the same environments."""
    here = f"python3.{sys.version_info.minor}"
    names = [each for each in ("python3.11", "python3.12", "python3.13") if each != here]
    found = [path for path in map(shutil.which, names) if path]
    found += [str(path) for name in names for path in Path.home().glob(f".pyenv/versions/*/bin/{name}")]
    return [
        path for path in found if not subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode
    ]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("lock", "pip"), [LOCKS[int(TURN) % 2]] if TURN else LOCKS)
def test_newer_releases_change_nothing(lock: str, pip: str, newer: Path, tmp_path: Path) -> None:
    env, venv = environment(newer), tmp_path / "venv"
    with_pip(venv, pip)

    result = made(sys.executable, venv, lock, env)

    assert result.returncode == 0, result.stdout + result.stderr
    allowed, there = pins(TREE / lock), installed(venv)
    assert {name for name, version in there.items() if version not in allowed.get(name, ())} <= {
        "pip",
        "setuptools",
        "chargerd",
    }
    assert {name for name in allowed if name not in there} <= {"colorama", "tzdata"}, "all but what is for Windows"
    assert "WARNING" not in result.stdout + result.stderr
    run = subprocess.run([venv / "bin/chargerd", "--help"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.long
@pytest.mark.timeout(600)
def test_newer_releases_change_nothing_for_the_tests_either(newer: Path, tmp_path: Path) -> None:
    """The whole lock, as far as pip's own plan: the gate has just carried it out for real."""
    with_pip(tmp_path / "venv", OLD_PIP)
    words = [*LOCKED, "--dry-run", "-rrequirements.lock"]
    command = [str(tmp_path / "venv/bin/python"), "-m", "pip", *words]
    result = subprocess.run(command, cwd=TREE, env=environment(newer), text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    [plan] = [line.split()[2:] for line in result.stdout.splitlines() if line.startswith("Would install")]
    wanted = dict(each.rsplit("-", 1) for each in plan)
    allowed = pins(TREE / "requirements.lock")
    assert len(wanted) >= len(allowed) - 2
    assert {name for name, version in wanted.items() if version not in allowed[normal(name)]} == set()


def test_the_index_would_mislead_a_resolver(newer: Path, tmp_path: Path) -> None:
    """What the tests above stand on: without the lock's own rules pip does take the newer release."""
    words = ["download", "--quiet", "--no-deps", "--no-index", f"--dest={tmp_path}", "click"]
    command = [sys.executable, "-m", "pip", *words]
    subprocess.run(command, env=environment(newer), check=True, capture_output=True)
    assert [each.name for each in tmp_path.iterdir()] == [f"click-{NEWEST}-py3-none-any.whl"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_other_interpreters_make_it_as_well(newer: Path, tmp_path: Path) -> None:
    """One of them in the gate, the next one with the next commit."""
    if not others():
        pytest.skip("this machine has one Python only")
    for python in others() if not TURN else [others()[int(TURN) % len(others())]]:
        venv = tmp_path / Path(python).name
        result = made(python, venv, "requirements-gateway.lock", environment(newer))
        assert result.returncode == 0, result.stdout + result.stderr
        assert NEWEST not in installed(venv).values()


def test_a_part_says_what_the_whole_says() -> None:
    whole = pins(TREE / "requirements.lock")
    for lock in ("requirements-demo.lock", "requirements-gateway.lock"):
        part = pins(TREE / lock)
        assert part
        assert {name: whole[name] for name in part} == part
    assert "iotcore" not in pins(TREE / "requirements-gateway.lock")


def test_a_lock_that_lacks_something_is_no_set_up_and_one_left_half_made_is_made_anew(tmp_path: Path) -> None:
    enough_to_build = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers")
    entries = re.split(r"(?m)^(?=\S)", (TREE / "requirements-gateway.lock").read_text())
    lock = tmp_path / "short.lock"
    lock.write_text("".join(each for each in entries if each.startswith(enough_to_build)))
    half_made(tmp_path / "venv")

    result = made(sys.executable, tmp_path / "venv", str(lock), os.environ | {"PIP_NO_COMPILE": "1"})

    assert result.returncode != 0
    assert "chargerd 0.1.0 requires pymodbus, which is not installed" in result.stderr
    assert "same command again" in result.stderr


def test_an_index_out_of_reach_is_said_in_words(tmp_path: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"}

    result = made(sys.executable, tmp_path / "venv", "requirements-gateway.lock", os.environ | nowhere)

    assert result.returncode != 0
    assert "Could not set up" in result.stderr
    assert "network or a proxy" in result.stderr
