"""Random lives of a shed of twelve, an hour each, or half of one frame by frame.

`CAMPAIGN_SEEDS` and `CAMPAIGN_HOURS` make it longer.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaign.frame_life import FRAME_FAULTS, LINE_FAULTS, FrameLife
from tests.campaign.frames import CHARACTER, HEARTBEAT, TIMED
from tests.campaign.gateways import GATEWAY_FAULTS, GatewayLife
from tests.campaign.life import BIKES, FAULTS, PEOPLE, RARE, Life
from tests.campaign.lines_life import LINE_TROUBLES, TwoLinesLife
from tests.campaign.locks import LOCKING
from tests.campaign.quarter import TROUBLES, QuarterLife
from tests.campaign.reservations import RESERVING
from tests.judging import every
from tests.logs import silence

SEEDS = int(os.environ.get("CAMPAIGN_SEEDS", "6"))
FRAME_SEEDS = int(os.environ.get("CAMPAIGN_FRAME_SEEDS", "2"))
GATEWAY_SEEDS = int(os.environ.get("CAMPAIGN_GATEWAY_SEEDS", "1"))
HOURS = float(os.environ.get("CAMPAIGN_HOURS", "1"))
FRAME_HOURS = HOURS / 2
"""Lives frame by frame cost six times as much."""
KEPT_TOGETHER = 1
"""Of two seeds, the one whose relays a heartbeat keeps closed, all together."""
FIRST = int(os.environ.get("CAMPAIGN_FIRST", "0"))
FRAME_LIVES = range(FIRST + 3, FIRST + 3 + 3 * FRAME_SEEDS, 3)
"""One with a heartbeat and one without take turns; in the first two all on the list happens."""

LONGEST_TRANSACTION = 0.25
"""Seconds a request takes that nobody answers: its frame, 200 ms, and the silence after it."""


HAPPENED: dict[str, Counter[str]] = {"events": Counter(), "frames": Counter(), "gateway": Counter()}
"""What has been brought and has broken in all lives so far, at each depth."""
LIVED: Counter[str] = Counter()
ENOUGH = {"events": 6.0, "frames": 1.0, "gateway": 0.5}
"""Hours of lives in which everything on the list is to happen."""


def note(depth: str, life: Life) -> None:
    HAPPENED[depth].update(life.happened)
    LIVED[depth] += 1


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with silence():
        yield


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_whatever_happens_the_invariants_hold_and_the_books_balance(seed: int, tmp_path: Path) -> None:
    life = QuarterLife(seed, tmp_path) if seed % 2 else TwoLinesLife(seed, tmp_path)
    life.run(HOURS)
    note("events", life)
    assert sum(life.books.accepted.values()) > 0 or not life.books.started


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", FRAME_LIVES)
def test_and_so_they_do_frame_by_frame(seed: int, tmp_path: Path) -> None:
    together = seed % 2 == KEPT_TOGETHER
    life = FrameLife(seed, tmp_path, relay=HEARTBEAT if together else TIMED)
    life.run(FRAME_HOURS)
    note("frames", life)
    HAPPENED["frames"][HEARTBEAT] += together
    HAPPENED["frames"].update(life.framed.line.spoilt)
    assert life.framed.line.shortest_gap >= 3.5 * CHARACTER - 1e-6, "the silence between frames"
    assert life.framed.worst_cut <= 2 * LONGEST_TRANSACTION, "in flight, and one more"
    sights = life.framed.sights
    assert 0 < max(sights.taken) <= sights.bound, "a reading of this port, what is in flight, and the opening"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + GATEWAY_SEEDS))
def test_and_behind_a_gateway(seed: int, tmp_path: Path) -> None:
    life = GatewayLife(seed, tmp_path)
    life.run(FRAME_HOURS)
    note("gateway", life)
    HAPPENED["gateway"].update(life.framed.line.spoilt)
    assert life.framed.worst_cut <= 2 * LONGEST_TRANSACTION, "in flight, and one more"
    assert every(taken <= life.framed.sights.bound for taken in life.framed.sights.taken)


@pytest.mark.parametrize(
    ("depth", "seeds", "all_of_it"),
    [
        ("events", SEEDS, {*BIKES, *PEOPLE, *RESERVING, *LOCKING, *RARE, *FAULTS, *TROUBLES, *LINE_TROUBLES}),
        ("frames", FRAME_SEEDS, {*BIKES, *FRAME_FAULTS, *LINE_FAULTS, "short", HEARTBEAT}),
        ("gateway", GATEWAY_SEEDS, {*GATEWAY_FAULTS, "lost"}),
    ],
)
def test_nothing_on_the_list_is_left_out(depth: str, seeds: int, all_of_it: set[str]) -> None:
    """Plays after the lives of its depth, and only if all of them were led."""
    hours = HOURS if depth == "events" else FRAME_HOURS
    if LIVED[depth] < seeds or seeds * hours < ENOUGH[depth]:
        pytest.skip("only some of the lives were led")
    assert not all_of_it - set(HAPPENED[depth])


def test_the_same_seed_gives_the_same_frames(tmp_path: Path) -> None:
    traces = []
    for turn in ("first", "second"):
        folder = tmp_path / turn
        folder.mkdir()
        traces.append(FrameLife(3, folder, ports=4).run(0.1))
    assert traces[0] == traces[1]


def test_the_same_seed_gives_the_same_trace(tmp_path: Path) -> None:
    traces = []
    for turn in ("first", "second", "other"):
        folder = tmp_path / turn
        folder.mkdir()
        traces.append(TwoLinesLife(8 if turn == "other" else 7, folder, ports=4).run(0.5))
    assert traces[0] == traces[1] != traces[2]


def test_the_same_seed_gives_the_same_quarter(tmp_path: Path) -> None:
    traces = []
    for turn in ("first", "second", "other"):
        folder = tmp_path / turn
        folder.mkdir()
        traces.append(QuarterLife(8 if turn == "other" else 7, folder).run(0.3))
    assert traces[0] == traces[1] != traces[2]
