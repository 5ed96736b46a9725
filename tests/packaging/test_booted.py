"""The package on a booted machine, as systemd runs it: the short form. `make booted` has the whole."""

import os
import subprocess
import sys

import pytest

from tests.booted.roots import TREE
from tests.sampling import TURN

CANNOT_BOOT, TURNS = 77, 3
FIRST = ("nice", "--adjustment=-15")
"""Its boards and its line are processes as well: what else the tests do must not make them late."""


@pytest.mark.timeout(600)
@pytest.mark.skipif(TURN != "" and int(TURN) % TURNS != 0, reason="its turn comes with each third commit")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root boots a machine")
def test_a_booted_machine_charges_through_a_restart_a_kill_and_a_wrong_file() -> None:
    command = [*FIRST, "unshare", "--mount", sys.executable, "-m", "tests.booted", "--here"]
    environment = {**os.environ, "PYTHONPATH": f"packaging/deb:{TREE}"}
    told = subprocess.run(command, cwd=TREE, env=environment, capture_output=True, text=True, check=False)
    if told.returncode == CANNOT_BOOT:
        pytest.skip(told.stderr.strip().splitlines()[0])
    assert told.returncode == 0, told.stdout + told.stderr
    assert "wrong file" in told.stdout
