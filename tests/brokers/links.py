"""The daemon's own tests of its link, at each broker that runs here."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TREE = Path(__file__).parents[2]
TESTS = "tests/mqtt/test_link.py"
CLOSING = re.compile(r"(\d+) (passed|failed|skipped)")


def run_links(broker: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Return how many passed, and which did not."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.brokers.plugin", "-q"]
    command += ["--timeout=90", TESTS]
    environment = {**os.environ, "BROKER": broker}
    said = subprocess.run(command, cwd=TREE, env=environment, capture_output=True, text=True, check=False).stdout
    counts = {word: int(number) for number, word in CLOSING.findall(said.splitlines()[-1])}
    failed = re.findall(r"^FAILED \S+::(\S+)", said, re.MULTILINE)
    say(f"{broker}: {counts.get('passed', 0)} tests of the link pass, {len(failed)} fail {' '.join(failed)}")
    return {"passed": counts.get("passed", 0), "failed": failed}
