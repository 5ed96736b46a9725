"""`chargerd self-test`: a new version tries the journal on a copy, while the version before still writes it."""

import importlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chargerd.cli import self_test
from chargerd.contract.ledger import Batch
from chargerd.store import schema
from tests.store.kit import Opened, latch, record


def tried(path: Path) -> Result:
    return CliRunner().invoke(self_test.command, ["--state-dir", str(path.parent)])


def files(path: Path) -> set[str]:
    return {one.name for one in path.parent.iterdir()}


def test_a_journal_in_use_is_tried_on_a_copy_and_left_alone(path: Path, open_: Callable[..., Opened]) -> None:
    opened = open_()
    assert opened.write(Batch(sessions=(record(),), latches=(latch(),)))
    before = files(path)

    result = tried(path)

    assert result.exit_code == 0, result.output
    assert "parts load; the journal opens, with 1 open sessions and 1 latches" in result.stdout
    assert files(path) == before
    assert opened.write(Batch(ended=(record().order.session,))), "who writes it goes on"


def test_all_that_is_shipped_loads() -> None:
    assert self_test.load_everything() > 200


ONLY_A_GATEWAYS = """
import re, sys
from importlib.metadata import packages_distributions
from pathlib import Path
lock = Path(sys.argv[1]).read_text()
known = {re.sub(r"[-_.]+", "-", one).lower() for one in re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.M)}
for module, owners in packages_distributions().items():
    names = {re.sub(r"[-_.]+", "-", one).lower() for one in owners}
    if not names & {*known, "chargerd"}:
        sys.modules.setdefault(module, None)
from chargerd.cli.self_test import load_everything
print(load_everything())
"""


def test_with_what_a_gateway_has_it_loads_too() -> None:
    """An upgrade whose self-test wants more than the package brings would be taken back everywhere."""
    lock = Path(__file__).parents[2] / "requirements-gateway.lock"
    command = [sys.executable, "-c", ONLY_A_GATEWAYS, str(lock)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 200


def test_where_there_is_no_journal_none_is_made(path: Path) -> None:
    path.parent.mkdir()
    result = tried(path)
    assert (result.exit_code, files(path)) == (0, set())
    assert "there is no journal yet" in result.stdout


def test_a_journal_of_a_newer_version_is_refused_in_words(path: Path, open_: Callable[..., Opened]) -> None:
    open_().close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    result = tried(path)
    assert result.exit_code == 1
    assert "cannot run here" in result.stderr
    assert "written by a newer chargerd" in result.stderr


def test_a_journal_this_version_cannot_read_is_no_good_sign(path: Path, open_: Callable[..., Opened]) -> None:
    open_().close()
    path.write_bytes(path.read_bytes()[:4096])
    result = tried(path)
    assert result.exit_code == 1
    assert "reads as damaged" in result.stderr


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SPARE_BYTES", 1 << 60, "no room for a copy"),
        ("TRIES", 0, "is written all the time"),
    ],
)
def test_one_that_cannot_be_copied_keeps_nobody_from_upgrading(
    path: Path, open_: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch, name: str, value: int, said: str
) -> None:
    open_().close()
    monkeypatch.setattr(self_test, name, value)
    result = tried(path)
    assert result.exit_code == 0
    assert said in result.stdout


def test_a_part_that_does_not_load_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()

    def missing(name: str) -> None:
        raise ImportError(f"no module named {name}")

    monkeypatch.setattr(importlib, "import_module", missing)
    result = tried(path)
    assert result.exit_code == 1
    assert "no module named chargerd." in result.stderr
