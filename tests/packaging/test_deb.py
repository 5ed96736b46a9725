"""The Debian package as it is built, and the unit in it; booted machines are in tests/booted, out of the gate."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chargerd.cli.running import NOT_CONFIGURED
from tests.booted.roots import TREE

BUILD = TREE / "packaging" / "deb" / "build.py"
UNIT = TREE / "systemd" / "chargerd.service"
VERSION = "0.1.0+1.tried"
MOST_BYTES = 15_000_000
MOST_EXPOSURE = 15
"""In tenths, as systemd-analyze takes it."""
PROGRAMS = {
    "chargerd": (8, ("run", "check", "open-relays", "self-test")),
    "chargerctl": (1, ("sessions list", "start")),
}


def build(into: Path, **environment: str) -> Path:
    command = [sys.executable, str(BUILD), "--into", str(into), "--version", VERSION, "amd64"]
    subprocess.run(command, env=os.environ | environment, check=True, capture_output=True)
    return into / f"chargerd_{VERSION}_amd64.deb"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("unpacked") / "root"
    subprocess.run(["dpkg-deb", "--raw-extract", package, root], check=True)
    return root


def test_two_builds_are_the_same_bytes_whoever_builds(package: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        again = build(tmp_path, TZ="Asia/Shanghai", LC_ALL="C", PYTHONHASHSEED="1", COLUMNS="40")
    finally:
        os.umask(before)
    assert again.read_bytes() == package.read_bytes()
    assert package.stat().st_size <= MOST_BYTES


def test_what_is_in_it_and_what_is_not(unpacked: Path) -> None:
    files = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    for place in (
        "usr/lib/systemd/system/chargerd.service",
        "usr/lib/sysusers.d/chargerd.conf",
        "usr/lib/tmpfiles.d/chargerd.conf",
        "usr/lib/udev/rules.d/60-chargerd.rules",
        "usr/share/bash-completion/completions/chargerd",
        "usr/share/zsh/vendor-completions/_chargerctl",
        "usr/share/fish/vendor_completions.d/chargerctl.fish",
        "usr/share/doc/chargerd/copyright",
        "usr/share/doc/chargerd/examples/one-shed.yaml",
        "etc/chargerd/chargerd.example.yaml",
    ):
        assert place in files
    assert "etc/chargerd/chargerd.yaml" not in files, "what is not there cannot be enabled by mistake"
    compiled = sorted(Path(name).name.split("-")[1] for name in files if "_pydantic_core.cpython" in name)
    assert compiled == ["311", "313"], "one for Debian 12's Python and one for 13's"
    assert not [name for name in files if name.endswith(".pyc") or "/pip/" in name or "hatchling" in name]
    assert {path.stat().st_mode & 0o7022 for path in unpacked.rglob("*")} == {0}, "nobody but root writes anything"


def test_it_runs_by_itself_and_says_which_version_it_is(unpacked: Path) -> None:
    """On the standard library and what is in the package: nothing else of this machine's Python is in reach."""
    program = (unpacked / "usr/bin/chargerd").read_text()
    assert program.startswith("#!/usr/bin/python3 -IS\n")
    moved = program.replace("/usr/lib/chargerd", str(unpacked / "usr/lib/chargerd"))

    def chargerd(*words: str) -> str:
        command = [sys.executable, "-IS", "-c", moved, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert chargerd("--version").strip() == f"chargerd, version {VERSION}"
    assert "12 ports on 13 boards" in chargerd("check", str(unpacked / "etc/chargerd/chargerd.example.yaml"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_manual_pages_have_every_command(unpacked: Path, name: str) -> None:
    section, commands = PROGRAMS[name]
    packed = unpacked / f"usr/share/man/man{section}/{name}.{section}.gz"
    page = subprocess.run(["gzip", "-dc", packed], check=True, capture_output=True, text=True).stdout
    for command in commands:
        assert f"\n.SS {name} {command}".replace("-", "\\-") in page
    assert "/usr/lib/" not in page
    assert str(TREE) not in page


def test_maintainer_scripts_are_scripts(unpacked: Path) -> None:
    for name in ("preinst", "postinst", "prerm", "postrm"):
        script = unpacked / "DEBIAN" / name
        assert script.stat().st_mode & 0o111
        subprocess.run(["dash", "-n", script], check=True)
        assert "\nset -e\n" in script.read_text()


def test_the_unit_is_one_and_exposes_little(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    # What it runs need not be installed on the machine of the tests.
    unit.write_text(re.sub(r"/usr/bin/charger\w+", "/bin/true", UNIT.read_text()))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], check=False, capture_output=True, text=True
    )
    assert UNIT.name not in verified.stderr, verified.stderr
    scored = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", "--no-pager", unit],
        check=False,
        capture_output=True,
        text=True,
    )
    assert scored.returncode == 0, scored.stdout[-200:]


def test_the_unit_waits_for_nothing_and_opens_relays_at_its_end() -> None:
    said = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))
    for never in ("network-online", "time-sync", "udev-settle"):
        assert never not in UNIT.read_text()
    assert said["Type"] == "notify"
    ends = re.findall(r"^ExecStopPost=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert ends == ["+/usr/bin/chargerd release-lines", "/usr/bin/chargerd open-relays"]
    assert said["ExecReload"] == "/usr/bin/chargerctl reload", "which waits, and fails where the file is refused"
    assert str(NOT_CONFIGURED) in said["RestartPreventExitStatus"].split()
    assert said["WatchdogSignal"] == "SIGKILL", "one that is stopped hears no other"
    assert said["LoadCredential"] == "chargerd:/etc/chargerd/credentials"
    assert int(said["MemoryMax"].removesuffix("M")) <= 512
