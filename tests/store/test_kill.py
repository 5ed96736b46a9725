"""kill -9 in the middle of writing: what was called durable is there, and nothing is half there."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chargerd.core.units import SessionId
from tests.store.kit import Opened, got

KILLS = 20
Open = Callable[..., Opened]


def run_and_kill(path: Path, first: int, mode: str, lines: int | None) -> set[int]:
    """Run the child, kill it after so many lines, or once it has stopped; return what it said is durable."""
    command = [sys.executable, "-m", "tests.store.kill_child", str(path), str(first), mode]
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            said.append(line.strip())
            if line.strip() == "stopped" or len(said) == lines:
                child.kill()
    assert child.returncode == -9
    # The last line may have been cut by the kill.
    return {int(line) for line in said if line.isdigit()}


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


def test_after_twenty_kills_all_is_there_that_was_called_durable(path: Path, open_: Open) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201 - a failing test shows it
    chance = random.Random(seed)
    durable: set[int] = set()
    for number in range(KILLS):
        durable |= run_and_kill(path, number * 10_000, "honest", chance.randint(1, 60))
        opened = open_()
        check(opened, durable)
        assert opened.journal.recovery.starts == 2 * (number + 1)
        opened.close()
    assert len(durable) > KILLS


def test_a_kill_just_before_a_commit_finds_nobody_told(path: Path, open_: Open) -> None:
    durable = run_and_kill(path, 0, "honest-stop", None)
    assert durable
    check(open_(), durable)


def test_the_check_sees_a_journal_that_tells_before_it_commits(path: Path, open_: Open) -> None:
    durable = run_and_kill(path, 0, "bent-stop", None)
    with pytest.raises(AssertionError, match="what was called durable is there"):
        check(open_(), durable)


def test_a_killed_daemon_leaves_no_lock_behind(path: Path, open_: Open) -> None:
    run_and_kill(path, 0, "honest", 5)
    assert got(lambda deliver: open_().journal.has_session(SessionId("s1"), deliver)) is True
