"""Each protective rule has a scenario that notices if it is bent."""

import importlib
import re

import pytest

from tests.core.bend import Bend
from tests.core.bending import notices, play
from tests.core.bends import BENDS
from tests.sampling import sampled

pytestmark = pytest.mark.long

SHARES = 4


def name_of(bend: Bend) -> str:
    new = re.sub(r"\W+", "_", bend.new or "nothing").strip("_")[:40]
    return f"{bend.module}-{re.sub(r'[^a-z0-9]+', '_', bend.old.lower()).strip('_')[:40]}-{new}"


MINE: list[Bend] = sampled(BENDS, name_of, SHARES)
"""Those whose turn it is."""


def with_arguments() -> dict[str, Bend]:
    """One bend for each way in which a scenario is played with arguments."""
    return {
        f"{bend.scenario}-{bend.arguments}-{bend.keywords}": bend
        for bend in BENDS
        if bend.arguments or bend.keywords
    }


def test_each_bend_has_its_turn() -> None:
    turns = [sampled(BENDS, name_of, SHARES, str(turn)) for turn in range(SHARES)]
    assert sorted(name_of(bend) for each in turns for bend in each) == sorted(map(name_of, BENDS))
    assert min(len(turn) for turn in turns) > len(BENDS) // SHARES // 2


@pytest.mark.parametrize("bend", MINE, ids=name_of)
def test_a_bent_rule_is_noticed(bend: Bend) -> None:
    assert notices(bend), "the scenario passes with this change too: sharpen it, or drop the line that was bent"


@pytest.mark.parametrize("bend", with_arguments().values(), ids=list(with_arguments()))
def test_the_unbent_rule_passes(bend: Bend) -> None:
    play(bend)


@pytest.mark.parametrize(
    "scenario", sorted({one.scenario for one in BENDS if not (one.arguments or one.keywords)})
)
def test_a_scenario_without_arguments_is_a_test_of_its_own(scenario: str) -> None:
    """So it is played unbent already, where it stands."""
    name, function = scenario.split(":")
    assert name.rpartition(".")[2].startswith("test_")
    assert function.startswith("test_")
    marks = getattr(getattr(importlib.import_module(f"tests.{name}"), function), "pytestmark", [])
    others = {mark.name for mark in marks} - {"long"}
    assert "parametrize" not in others, "this scenario is parametrized: give the bend its arguments"
    assert not others, f"a scenario may be marked `long` and nothing else: {sorted(others)}"
