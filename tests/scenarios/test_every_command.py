"""Every command that the station decides on is carried out in a scenario.

The scenarios named here are played once more and their answers looked at. A command that is new has none, and
tests/contract/test_each_command.py says so until somebody writes one.
"""

import pytest

from chargerd.core.commands import Answer, ReplyStatus
from tests.core.world import World
from tests.scenarios.test_every_row import Scenario, at, play

BY_COMMAND: dict[str, Scenario] = {
    "start": at("test_charging:test_a_charge_from_start_to_stop"),
    "stop": at("test_charging:test_a_charge_from_start_to_stop"),
    "update_limits": at("test_commands:test_a_start_that_waits_may_ask_for_less_and_begins"),
    "reset": at("test_commands:test_a_latch_is_shown_before_the_disabling_and_cleared_beneath_it"),
    "reserve": at("test_reserving:test_the_one_it_is_kept_for_begins_and_ends_the_wait"),
    "disable": at("test_commands:test_a_disabled_port_takes_no_start_until_it_is_enabled"),
    "lock": at("test_locks:test_a_lock_ends_what_goes_on_and_nothing_starts_until_it_is_taken_away"),
    "unlock": at("test_locks:test_a_lock_ends_what_goes_on_and_nothing_starts_until_it_is_taken_away"),
    "enable": at("test_commands:test_a_disabled_port_takes_no_start_until_it_is_enabled"),
}


@pytest.mark.long
@pytest.mark.parametrize("name", BY_COMMAND)
def test_a_command_is_done_in_its_scenario(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    worlds: list[World] = []
    begin = World.__init__

    def noted(world: World, *args: object, **more: object) -> None:
        worlds.append(world)
        begin(world, *args, **more)  # type: ignore[arg-type]  # whatever it takes

    monkeypatch.setattr(World, "__init__", noted)
    play(BY_COMMAND[name])
    answers = [one for world in worlds for _, one in world.commands if isinstance(one, Answer)]
    assert ReplyStatus.DONE in {one.status for one in answers if one.name == name}
