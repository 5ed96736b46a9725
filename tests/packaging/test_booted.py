"""The package on a booted machine, as systemd runs it: the short form. `make booted` has the whole."""

import os
import subprocess
import sys

import pytest

from tests.booted.roots import TREE

CANNOT_BOOT = 77


@pytest.mark.timeout(600)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root boots a machine")
def test_a_booted_machine_charges_through_a_restart_a_kill_and_a_wrong_file() -> None:
    command = ["unshare", "--mount", sys.executable, "-m", "tests.booted", "--here"]
    environment = {**os.environ, "PYTHONPATH": f"packaging/deb:{TREE}"}
    told = subprocess.run(command, cwd=TREE, env=environment, capture_output=True, text=True, check=False)
    if told.returncode == CANNOT_BOOT:
        pytest.skip(told.stderr.strip().splitlines()[0])
    assert told.returncode == 0, told.stdout + told.stderr
    assert "wrong file" in told.stdout
