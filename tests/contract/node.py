"""Runs what is written in JavaScript, with the packages that `make npm` installs."""

import os
import shutil
import subprocess
from pathlib import Path

MODULES = Path(__file__).parent / "node_modules"


def node(*command: str | Path, given: str = "", packages: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a script that is given a text, and the packages if it needs them."""
    found = shutil.which("node") or shutil.which("nodejs")
    assert found is not None, "Node.js is not installed; run: make npm"
    assert MODULES.is_dir() or not packages, "what is taken from npm is not installed; run: make npm"
    return subprocess.run(
        [found, *command],
        env={**os.environ, "NODE_PATH": str(MODULES)},
        input=given,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
