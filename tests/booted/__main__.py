"""`python -m tests.booted [ROOT ...]`: the package on booted Debians, and on emulated processors. As root.

A root is named `trixie` or `bookworm-arm64`; debootstrap makes each the first time. Without a name all are tried.
`--here` is the short form: a copy of this machine's own root, in a mount namespace the caller makes (`unshare
--mount`), the half of the story that takes a minute. Exit code 77 if no such copy boots here.
"""

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.booted import emulated, roots
from tests.booted.machine import Machine, MachineError
from tests.booted.story import Story

BUILD = roots.TREE / "packaging" / "deb" / "build.py"
THIS = "0.1.0+1.this"
ROOTS = (
    ("bookworm", "amd64"),
    ("trixie", "amd64"),
    ("bookworm", "arm64"),
    ("trixie", "arm64"),
    ("bookworm", "armhf"),
)
"""What is tried: booted on the processor of this machine, emulated on the others."""
SPOILT = {
    "unloadable": ("modbus/bus.py", "raise ImportError('a part is missing')\n"),
    "unstartable": ("cli/running.py", "def run(*_: object) -> int:\n    return 1\n"),
}
"""Of packages that fail: the module, and what is appended to it."""


def build(into: Path, architecture: str, version: str) -> Path:
    """Build a package with a version of its own."""
    command = [sys.executable, str(BUILD), "--into", str(into), "--version", version, architecture]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return into / f"chargerd_{version}_{architecture}.deb"


def spoil(package: Path, name: str, version: str) -> Path:
    """Return a package like another one, of a later version, that fails."""
    module, more = SPOILT[name]
    target = package.with_name(f"chargerd_{version}_amd64.deb")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        subprocess.run(["dpkg-deb", "--raw-extract", package, root], check=True)
        control = root / "DEBIAN/control"
        old = subprocess.run(
            ["dpkg-deb", "--field", package, "Version"], text=True, capture_output=True, check=True
        ).stdout.strip()
        control.write_text(control.read_text().replace(f"Version: {old}", f"Version: {version}"))
        with (root / "usr/lib/chargerd/chargerd" / module).open("a") as file:
            file.write(more)
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", str(root), str(target)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return target


CANNOT_BOOT = 77


def main(wanted: list[str]) -> int:
    """Tell each story that is wanted, or all; the exit status."""
    red = 0
    folder = roots.TREE / "build" / "booted"
    folder.mkdir(parents=True, exist_ok=True)
    if wanted == ["--here"]:
        return short(folder)
    for suite, architecture in wanted_of(wanted):
        print(f"{suite}, {architecture}:", flush=True)
        try:
            if architecture == "amd64":
                booted(suite, folder)
            else:
                package = build(folder, architecture, THIS)
                emulated.try_package(suite, package, architecture, tell)
        except MachineError as error:
            red = 1
            tell(f"FAILED: {error}")
        except subprocess.CalledProcessError as error:
            red = 1
            tell(f"FAILED: {error}\n{error.stdout}\n{error.stderr}")
    return red


def wanted_of(words: list[str]) -> list[tuple[str, str]]:
    """Return the roots that are named, as `trixie` or `bookworm-arm64`; all of them if none is."""
    named = [tuple(word.split("-")) if "-" in word else (word, "amd64") for word in words]
    return [one for one in ROOTS if not named or one in named]


def booted(suite: str, folder: Path) -> None:
    """Tell the story of a booted machine. Raises `MachineError`."""
    this, newer = build(folder, "amd64", THIS), build(folder, "amd64", "0.1.0+2.newer")
    packages = {"this": this, "newer": newer}
    packages |= {name: spoil(newer, name, f"0.1.0+{3 + at}.{name}") for at, name in enumerate(SPOILT)}
    lintian = ["lintian", "--allow-root", "--fail-on=error,warning", str(this)]
    subprocess.run(lintian, check=True, capture_output=True, text=True)
    tell("lintian has nothing to say")
    with Machine(roots.fresh(suite), folder) as machine:
        Story(machine, packages, tell).run()


def short(folder: Path) -> int:
    """Tell the half of the story that takes a minute, on a copy of this machine; the exit status."""
    architecture = subprocess.run(["dpkg", "--print-architecture"], text=True, capture_output=True, check=True)
    this = build(folder, architecture.stdout.strip(), THIS)
    with contextlib.ExitStack() as ends:
        try:
            machine = ends.enter_context(Machine(roots.here(folder), folder))
        except (MachineError, subprocess.CalledProcessError, OSError) as error:
            print(f"no copy of this machine boots: {error}", file=sys.stderr)
            return CANNOT_BOOT
        try:
            Story(machine, {"this": this}, tell).run(short=True)
        except MachineError as error:
            tell(f"FAILED: {error}")
            return 1
    return 0


def tell(line: str) -> None:
    """Say how it goes."""
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
