"""Holds the page on states to what happens: a scenario shows what it is named for, and nothing the page lacks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.moves import Collector, Move, kept, listening

KEPT = kept()


@pytest.fixture(autouse=True)
def _moves_as_drawn(request: pytest.FixtureRequest) -> Iterator[None]:
    with listening() as seen:
        yield
    place = f"{Path(request.node.path).stem}:{request.node.name}"
    for plugin in request.config.pluginmanager.get_plugins():
        if isinstance(plugin, Collector):
            plugin.take_in(place, seen)
            return
    unknown = sorted(_said(move) for move in seen - KEPT.keys())
    assert not unknown, f"not on the page on states (python -m tests.scenarios --write): {unknown}"
    missing = sorted(_said(move) for move, scenario in KEPT.items() if scenario == place and move not in seen)
    assert not missing, f"the page on states names this scenario for what it does not show: {missing}"


def _said(move: Move) -> str:
    return f"{move.state} -> {move.to} by {move.trigger} ({move.rule})"
