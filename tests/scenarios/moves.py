"""How ports move between states, as the scenarios bring it about.

Where a rule of the state table leads is what its action does, and often depends on what else holds the port; so it
is not written beside the rule, where it could be wrong, but observed. `moves.json` keeps each move that any
scenario has shown, with one that shows it; from it and from the table the page on states is made. While scenarios
are tested each is held to it: none may show a move that is not kept, and one that is named must show its own.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from chargerd.core.events import Request
from chargerd.core.moment import Moment
from chargerd.core.port import table
from chargerd.core.port.port import Port
from chargerd.core.port.rules import Trigger
from chargerd.core.view import PortState

BESIDE = ""
"""The trigger of a move that no rule has made: what holds the port has changed elsewhere."""
Acts: TypeAlias = Callable[..., str]
"""`react` or `ask`: lets a port do something, and returns the name of the rule that did it."""
FILE = Path(__file__).with_name("moves.json")


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """A port went from one state to another because a rule of the table held, or `BESIDE` the table."""

    state: str
    to: str
    trigger: str
    rule: str


def kept() -> dict[Move, str]:
    """Return the moves that are known, and the scenario that shows each."""
    return {
        Move(*entry["move"]): entry["scenario"] for entry in json.loads(FILE.read_text(encoding="utf-8"))["moves"]
    }


class _Listener:
    """Hears what the table and the handlers of requests do, and which moves come of it."""

    def __init__(self) -> None:
        self.seen: set[Move] = set()
        self._reacting = False

    def beside(self, acts: Acts) -> Acts:
        """Return what acts in the same way while it is listened to."""

        def act(port: Port, what: Trigger | Request, *more: object) -> str:
            before, self._reacting = port.state, True
            try:
                rule = acts(port, what, *more)
            finally:
                self._reacting = False
            if port.state is not before:
                trigger = what.value if isinstance(what, Trigger) else what.name
                self.seen.add(Move(before.value, port.state.value, trigger, rule))
            return rule

        return act

    def entering(self, enter: Callable[[Port, PortState, Moment], None]) -> Callable[..., None]:
        """Return what enters in the same way while it is listened to."""

        def look(port: Port, state: PortState, now: Moment) -> None:
            if not self._reacting and state is not port.state:
                self.seen.add(Move(port.state.value, state.value, BESIDE, ""))
            enter(port, state, now)

        return look


@contextmanager
def listening() -> Iterator[set[Move]]:
    """Collect the moves of all ports meanwhile."""
    listener = _Listener()
    acting = {name: getattr(table, name) for name in ("react", "ask")}
    users = [module for name, module in list(sys.modules.items()) if name.startswith("chargerd.core")]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Port, "enter", listener.entering(Port.enter))
        for name, acts in acting.items():
            beside = listener.beside(acts)
            for module in users:
                if getattr(module, name, None) is acts:
                    patched.setattr(module, name, beside)
        yield listener.seen


class Collector:
    """A plugin of pytest that asks which moves each scenario shows."""

    def __init__(self) -> None:
        self.shown: dict[Move, list[str]] = {}

    def take_in(self, scenario: str, moves: Iterable[Move]) -> None:
        """Take in what a scenario has shown."""
        for move in moves:
            self.shown.setdefault(move, []).append(scenario)

    def chosen(self, before: Mapping[Move, str]) -> dict[Move, str]:
        """Return one scenario for each move: the one that was, else the one that shows least beside it."""
        counts: dict[str, int] = {}
        for scenarios in self.shown.values():
            for scenario in scenarios:
                counts[scenario] = counts.get(scenario, 0) + 1
        return {
            move: before[move]
            if before.get(move) in scenarios
            else min(scenarios, key=lambda one: (one.startswith("test_every_row"), counts[one], one))
            for move, scenarios in sorted(self.shown.items())
        }
