"""`python -m tests.booted [SUITE ...]`: the package on booted Debians. As root; debootstrap makes the roots."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.booted import roots
from tests.booted.machine import Machine, MachineError
from tests.booted.story import Story

BUILD = roots.TREE / "packaging" / "deb" / "build.py"
SUITES = ("bookworm", "trixie")
SPOILT = {
    "unloadable": ("modbus/bus.py", "raise ImportError('a part is missing')\n"),
    "unstartable": ("cli/running.py", "def run(*_: object) -> int:\n    return 1\n"),
}
"""Of packages that fail: the module, and what is appended to it."""


def build(into: Path, version: str) -> Path:
    """Build a package of this machine's processor with a version of its own."""
    subprocess.run(
        [sys.executable, BUILD, "--into", into, "--version", version, "amd64"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return into / f"chargerd_{version}_amd64.deb"


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


def main(suites: list[str]) -> int:
    """Tell each story; the exit status."""
    folder = roots.TREE / "build" / "booted"
    folder.mkdir(parents=True, exist_ok=True)
    this = build(folder, "0.1.0+1.this")
    newer = build(folder, "0.1.0+2.newer")
    packages = {"this": this, "newer": newer}
    packages |= {name: spoil(newer, name, f"0.1.0+{3 + at}.{name}") for at, name in enumerate(SPOILT)}
    red = 0
    for suite in suites or SUITES:
        print(f"{suite}:", flush=True)
        try:
            with Machine(roots.fresh(suite), folder) as machine:
                Story(machine, packages, lambda line: print(f"  {line}", flush=True)).run()
        except MachineError as failure:
            red = 1
            print(f"  FAILED: {failure}", flush=True)
    return red


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
