"""Installs what a lock file says, and then the working tree, into the environment this runs in.

    python packaging/install.py LOCK [--editable]

A lock is complete: pip gets `--no-deps` and has nothing to resolve, so no release on any index changes what is
installed; `pip check` afterwards says whether it was complete. Wheels only, since no lock holds what an sdist is
built with. What pip says goes into a log, and its end to the terminal when it failed.
"""

import compileall
import subprocess
import sys
from pathlib import Path
from typing import TextIO

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
LOCKED = ["install", "--no-deps", "--only-binary=:all:", "--require-hashes"]
TREE = ["install", "--no-deps", "--no-build-isolation", "--no-index"]
TOLD = 15  # lines of pip's last words that are shown


def main(lock: str, *how: str) -> int:
    """Install; the exit status is pip's."""
    path = Path(sys.prefix) / "setup.log"
    total = sum("==" in line for line in Path(lock).read_text().splitlines())
    with path.open("w") as log:
        status = (
            run([*LOCKED, f"-r{lock}"], log, total)
            or run([*TREE, *how, "."], log, total)
            or run(["check"], log, total)
        )
    if not status and "--editable" in how:
        # pip does so with what it copies. Where writing bytecode is switched off, every start would do it anew.
        compileall.compile_dir("chargerd", quiet=1)
    if status:
        last = path.read_text().splitlines()[-TOLD:]
        print(
            f"Could not set up {sys.prefix} from {lock}. What pip said last (all of it: {path}):", file=sys.stderr
        )
        print("\n".join(f"  {line}" for line in last), file=sys.stderr)
        print("Most often the network or a proxy is the reason. The same command again goes on.", file=sys.stderr)
    else:
        print(f"  {total} packages of {lock} are in place", flush=True)
    return status


def run(words: list[str], log: TextIO, total: int) -> int:
    """Run pip with `words`, what it says to `log`; on a terminal say how far it is."""
    terminal = sys.stdout.isatty()
    seen = 0
    with subprocess.Popen([*PIP, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        for line in pip.stdout or ():
            log.write(line)
            if line.startswith("Collecting "):
                seen += 1
                if terminal:
                    print(f"\r  {seen} of {total}: {line.split()[1].partition('==')[0]:<40}", end="", flush=True)
            elif line.startswith("Installing collected packages") and seen:
                print(f"\r  {'installing ...':<50}" if terminal else "  downloaded, installing ...", flush=True)
    return pip.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
