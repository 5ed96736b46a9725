"""The power is cut at every sync and at random moments between; the real journal opens what is left.

`POWER_CUTS=100000 pytest tests/store/test_power_cut.py` is the long form.
"""

import os

import pytest

from tests.sampling import TURN
from tests.store.power_cut import Tally, campaign, look

POINTS = int(os.environ.get("POWER_CUTS", "3200"))
SEED = int(os.environ.get("POWER_CUTS_SEED", "1"))
EACH = 3200
"""Cuts of one load: all its syncs four times over, and as many random places again."""


PARTS = 3 if TURN else 1
"""A run of the gate looks at every third cut, the next commit at the next ones."""
PART = int(TURN or 0) % PARTS


@pytest.mark.timeout(60 + POINTS // 10)
def test_after_any_power_cut_all_is_there_that_was_told_durable_and_each_session_is_settled_once() -> None:
    tallies = [campaign(EACH, SEED + number, PART, PARTS) for number in range(max(1, POINTS // EACH))]
    whole = Tally(
        points=sum(one.points for one in tallies),
        syncs=sum(one.syncs for one in tallies),
        problems=[problem for one in tallies for problem in one.problems],
    )
    assert whole.problems == []
    assert whole.points >= min(POINTS, EACH) // PARTS
    assert whole.syncs >= 1000 * len(tallies)


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
def test_the_proof_sees_a_journal_that_does_not_wait_for_the_disk(synchronous: str) -> None:
    tally = look(SEED, EACH, synchronous, share=7, shares=40)
    assert len(tally.problems) > tally.points / 4, tally.problems
