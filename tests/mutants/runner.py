"""Runs the tests of a bent copy in a process of its own that has what they import from elsewhere already.

To import pytest, pydantic and their like takes longer than most of these tests do.
"""

import multiprocessing
import os
import sys
import tempfile
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_S = 300.0

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "pytest",
        "_pytest.assertion.rewrite",
        "pytest_cov.plugin",
        "pytest_timeout",
        "hypothesis",
        "hypothesis.strategies",
        "_hypothesis_pytestplugin",
        "pydantic",
        "structlog",
        "rich.console",
        "rich.table",
        "paho.mqtt.client",
        "serial",
        "sqlite3",
        "asyncio",
    ]
)


def red(tests: str, folder: Path) -> str | None:
    """Return what the tests say if they go red, else `None`. Raises `ValueError` if they cannot be run."""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".log") as log:
        process: ForkServerProcess = _context.Process(target=_run, args=(tests, str(folder), log.name))
        process.start()
        process.join(LONGEST_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        said = Path(log.name).read_text(encoding="utf-8", errors="replace")[-3000:]
    if process.exitcode not in {0, 1}:
        raise ValueError(f"{tests}: exit code {process.exitcode}: {said}")
    return said if process.exitcode else None


def _run(tests: str, folder: str, log: str) -> None:
    """Be the process: what it says goes into a file, and `chargerd` comes from the folder."""
    with Path(log).open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": folder, "CAMPAIGN_SEEDS": "1", "CAMPAIGN_FRAME_SEEDS": "1"}
    for name in [name for name in sys.modules if name.partition(".")[0] in {"tests", "chargerd"}]:
        del sys.modules[name]
    sys.path[:] = [folder, *(path for path in sys.path if Path(path).resolve() != ROOT)]
    settings = ["-q", "-x", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", folder]
    settings += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # Of what was imported before.
    code = int(pytest.ExitCode.INTERNAL_ERROR)
    try:
        code = int(pytest.main([*settings, "-o", f"pythonpath={folder}", *tests.split()]))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)  # An exception of ours would else end with 1, as tests that are red do.
