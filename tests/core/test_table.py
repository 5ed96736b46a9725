"""The state table: complete, protection first, and deaf to nothing that can happen."""

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, product
from types import ModuleType

import pytest

from chargerd.core import station
from chargerd.core.events import DeadlineReached, Event, Request
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.port import rules
from chargerd.core.port.port import Port, StationContext
from chargerd.core.port.rules import Handler, Trigger, UnlistedTransition
from chargerd.core.port.table import HANDLERS, PROTECT, TABLE, ask, react
from chargerd.core.session import Source
from chargerd.core.site import board_events, requests, sharing, trips
from chargerd.core.units import Instant
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.scenarios import (
    test_charging,
    test_circuits,
    test_commands,
    test_contactors,
    test_heat,
    test_in_order,
    test_inputs,
    test_just_begun,
    test_oddities,
    test_overcurrent,
    test_overtaking,
    test_proof,
    test_queues,
    test_relays,
    test_requests,
    test_reserving,
    test_restarts,
    test_resuming,
    test_suspensions,
    test_unconfirmed,
    test_voltage,
    test_warmth,
    test_welds,
    test_wiring,
)
from tests.scenarios.test_every_command import BY_COMMAND

MODULES = (
    test_queues,
    test_oddities,
    test_overtaking,
    test_commands,
    test_just_begun,
    test_relays,
    test_requests,
    test_reserving,
    test_contactors,
    test_overcurrent,
    test_welds,
    test_charging,
    test_warmth,
    test_inputs,
    test_circuits,
    test_restarts,
    test_resuming,
    test_in_order,
    test_heat,
    test_voltage,
    test_suspensions,
    test_unconfirmed,
    test_wiring,
)
"""Those first that tell much in little time: nothing is played once all has been told."""
LISTED = [(state, trigger) for state, row in TABLE.items() for trigger in row]
UNLISTED = [pair for pair in product(PortState, Trigger) if pair not in LISTED]


def stories() -> list[Callable[[], None]]:
    """The scenarios for every situation of a session, and all that need no arguments."""
    found: list[Callable[[], None]] = []
    situations = (
        test_requests.test_leaving_ends_every_session_and_opens_every_relay,
        test_in_order.test_every_relay_is_opened_whatever_goes_on,
        test_requests.test_a_start_of_a_busy_port_is_refused,
        test_requests.test_a_reset_of_a_busy_port_is_refused,
    )
    found.extend(partial(story, it) for story in situations for it in test_requests.WITH_SESSION)
    going_on = (
        test_commands.test_higher_limits_hold_once_they_are_durable_in_every_state,
        test_commands.test_a_journal_that_refuses_leaves_the_limits_as_they_are,
    )
    found.extend(partial(story, it) for story in going_on for it in test_commands.GOING_ON)
    found.append(
        partial(test_commands.test_a_start_that_waits_for_its_circuit_is_withdrawn, Source.LOCAL, "local")
    )
    enabling = test_commands.test_enabling_again_while_a_session_is_under_way
    found.extend(partial(enabling, it) for it in test_requests.WITH_SESSION)
    found.append(test_proof.test_a_site_that_is_wired_as_planned_is_proved)
    for module in MODULES:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_") and not inspect.signature(function).parameters:
                found.append(function)
    return found


def idle_port() -> Port:
    return Port(port_plan(), StationContext(), Outbox(), Moment(instant=Instant(0.0)), ())


@pytest.mark.parametrize(("state", "trigger"), UNLISTED)
def test_what_is_not_listed_is_an_error(state: PortState, trigger: Trigger) -> None:
    port = idle_port()
    port.state = state
    with pytest.raises(UnlistedTransition, match=f"{trigger.value} in {state.value}"):
        react(port, trigger, DeadlineReached(), port.since)


@pytest.mark.parametrize(("state", "trigger"), LISTED)
def test_every_listed_pair_has_an_answer_whatever_its_guards_say(state: PortState, trigger: Trigger) -> None:
    last = TABLE[state][trigger][-1]
    assert last.when is rules.always or last.name == "changed_mind"


@pytest.mark.parametrize("state", [PortState.STARTING, PortState.CHARGING])
@pytest.mark.parametrize("trigger", [Trigger.READING, Trigger.WAKE])
def test_protection_stands_first(state: PortState, trigger: Trigger) -> None:
    assert TABLE[state][trigger][: len(PROTECT)] == PROTECT


def stories_of_command(name: str) -> Iterator[Callable[[], None]]:
    """Yield what stands beside the scenario of a command, also what is played in each of several situations."""
    if name not in BY_COMMAND:
        return
    module: ModuleType = importlib.import_module(f"tests.scenarios.{BY_COMMAND[name][0].partition(':')[0]}")
    for title, function in inspect.getmembers(module, inspect.isfunction):
        wanted = list(inspect.signature(function).parameters)
        marks = [mark for mark in getattr(function, "pytestmark", ()) if mark.name == "parametrize"]
        if title.startswith("test_") and not wanted:
            yield function
        elif title.startswith("test_") and len(marks) == 1 and [marks[0].args[0]] == wanted:
            yield from (partial(function, value) for value in marks[0].args[1])


class Telling:
    """Plays scenarios, each once for all who ask, until what is asked for has come about."""

    def __init__(self) -> None:
        self.told: set[tuple[PortState, str]] = set()
        self._rest = iter(stories())

    def missing(
        self, wanted: Iterable[tuple[PortState, str]], first: Iterable[Callable[[], None]] = ()
    ) -> list[tuple[PortState, str]]:
        """Return what no scenario brings about; those in `first` are played before the others."""
        left = set(wanted) - self.told
        for story in chain(first, self._rest) if left else ():
            self._play(story)
            left -= self.told
            if not left:
                break
        return sorted(left)

    def _play(self, story: Callable[[], None]) -> None:
        def listen(port: Port, trigger: Trigger, event: Event, now: Moment) -> str:
            self.told.add((port.state, trigger))
            return react(port, trigger, event, now)

        def listen_to_request(port: Port, request: Request, now: Moment) -> str:
            self.told.add((port.state, request.name))
            return ask(port, request, now)

        with pytest.MonkeyPatch.context() as patched:
            for caller in (station, board_events, sharing, trips):
                patched.setattr(caller, "react", listen)
            patched.setattr(requests, "ask", listen_to_request)
            story()


@pytest.fixture(scope="module")
def telling() -> Telling:
    return Telling()


@pytest.mark.long
def test_every_listed_pair_has_a_story(telling: Telling) -> None:
    """What no scenario brings about cannot happen, or nobody has thought of how; either way it is looked at."""
    missing = telling.missing(LISTED)
    assert not missing, "\n".join(f"{name} in {state}" for state, name in missing)


@pytest.mark.long
@pytest.mark.parametrize("handler", HANDLERS.values(), ids=lambda handler: handler.request.name)
def test_every_listed_state_is_asked(handler: Handler[Request], telling: Telling) -> None:
    name = handler.request.name
    missing = telling.missing(((state, name) for state in handler.by_state), stories_of_command(name))
    assert not missing, "\n".join(
        f"no scenario asks `{name}` in `{state}`, which its Handler lists: write one in tests/scenarios "
        "(beside that of BY_COMMAND), or take the state out of by_state"
        for state, _ in missing
    )
