"""Each protective rule has a scenario that notices if it is bent."""

import re

import pytest

from tests.core.bend import Bend
from tests.core.bends import BENDS, NOTICED, bent, play


def name_of(bend: Bend) -> str:
    new = re.sub(r"\W+", "_", bend.new or "nothing").strip("_")[:40]
    return f"{bend.module}-{re.sub(r'[^a-z0-9]+', '_', bend.old.lower()).strip('_')[:40]}-{new}"


@pytest.mark.parametrize("bend", BENDS, ids=name_of)
def test_a_bent_rule_is_noticed(bend: Bend) -> None:
    with bent(bend):
        try:
            play(bend)
        except Exception as error:
            if type(error).__name__ not in NOTICED:
                raise
            return
    pytest.fail(f"nobody noticed {bend}")


@pytest.mark.parametrize("scenario", sorted({bend.scenario for bend in BENDS}))
def test_the_unbent_rule_passes(scenario: str) -> None:
    bend = next(bend for bend in BENDS if bend.scenario == scenario)
    play(bend)
