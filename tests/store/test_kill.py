"""kill -9 in the middle of writing: what was called durable is there, and nothing is half there."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chargerd.core.units import SessionId
from tests.store.kit import Opened, got

KILLS = int(os.environ.get("KILLS", "50"))
Open = Callable[..., Opened]
Run = Callable[..., set[int]]


@pytest.fixture(scope="module")
def mother() -> Iterator[subprocess.Popen[str]]:
    """Start the process whose children are killed."""
    command = [sys.executable, "-m", "tests.store.kill_child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def run_and_kill(mother: subprocess.Popen[str]) -> Run:
    """Run a child, kill it after so many lines and a moment, or once it has stopped; return what it said."""

    def run(path: Path, first: int, mode: str, lines: int | None, moment: float = 0.0) -> set[int]:
        assert mother.stdin is not None
        assert mother.stdout is not None
        mother.stdin.write(f"{path} {first} {mode}\n")
        mother.stdin.flush()
        child, said = 0, []
        while not (line := mother.stdout.readline().strip()).startswith("ended"):
            if line.startswith("pid"):
                child = int(line.split()[1])
            said.append(line)
            if line == "stopped" or len(said) - 1 == lines:
                threading.Event().wait(moment)
                os.kill(child, signal.SIGKILL)
        assert line == "ended -9"
        return {int(one) for one in said if one.isdigit()}

    return run


def check(opened: Opened, durable: set[int]) -> None:
    rows = opened.rows()
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    settled = [row.body["n"] for row in rows if "n" in row.body]
    assert [row.body["m"] for row in rows if "m" in row.body] == settled, (
        "a batch is there as a whole or not at all"
    )
    assert settled == sorted(set(map(int, map(str, settled)))), "in order, and none twice"
    assert durable <= set(settled), "what was called durable is there"
    assert {int(one.order.session[1:]) for one in opened.journal.recovery.sessions} == set(settled)
    assert opened.journal.recovery.salvaged is None
    assert opened.journal.verify_settlements() == ()


@pytest.mark.timeout(60 + KILLS)
def test_after_fifty_kills_all_is_there_that_was_called_durable(
    path: Path, open_: Open, run_and_kill: Run
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201 - a failing test shows it
    chance = random.Random(seed)
    durable: set[int] = set()
    for number in range(KILLS):
        durable |= run_and_kill(path, number * 10_000, "honest", chance.randint(1, 60), chance.random() / 100)
        opened = open_()
        check(opened, durable)
        assert opened.journal.recovery.starts == 2 * (number + 1)
        opened.close()
    assert len(durable) > KILLS


def test_a_kill_just_before_a_commit_finds_nobody_told(path: Path, open_: Open, run_and_kill: Run) -> None:
    durable = run_and_kill(path, 0, "honest-stop", None)
    assert durable
    check(open_(), durable)


def test_the_check_sees_a_journal_that_tells_before_it_commits(path: Path, open_: Open, run_and_kill: Run) -> None:
    durable = run_and_kill(path, 0, "bent-stop", None)
    with pytest.raises(AssertionError, match="what was called durable is there"):
        check(open_(), durable)


def test_a_killed_daemon_leaves_no_lock_behind(path: Path, open_: Open, run_and_kill: Run) -> None:
    run_and_kill(path, 0, "honest", 5)
    assert got(lambda deliver: open_().journal.has_session(SessionId("s1"), deliver)) is True
