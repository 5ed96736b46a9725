"""What must not be written by hand: nothing on a board in use, no relay that is held open, no dead-man."""

from dataclasses import replace
from typing import Any, cast

import pytest

from chargerd.config.loader import load_text
from chargerd.config.profiles.library import load_profiles
from chargerd.config.site import Site
from chargerd.core.session import SessionRecord
from chargerd.core.units import BoardId, PortId
from chargerd.core.view import PortState
from chargerd.runtime.local.write_rules import Write, refusal
from tests.boards import BOARDS
from tests.runtime.technician import at_rest

SITE = load_text(
    """\
gateway: {id: test}
buses: {line: {serial: /dev/line, baudrate: 9600}}
boards:
  relay: {bus: line, address: 1, profile: waveshare-relay-8-d}
  six: {bus: line, address: 2, profile: wirenboard-mr6c}
  meter1..meter3: {bus: line, address: 11..13, profile: eastron-sdm120}
  feeder: {bus: line, address: 20, profile: eastron-sdm120}
circuits:
  shed: {rating_a: 16, meter: feeder, contactor: relay/8}
  yard: {}
ports:
  - {id: A01..A02, relay: relay/1..2, meter: meter1..meter2, circuit: shed}
  - {id: B01, relay: six/1, meter: meter3, circuit: yard}
""",
    "test",
)
ON, OFF = 0xFF00, 0x0000


def why(board: str, function: int, address: int, *values: int, site: Site = SITE, **changes: Any) -> str | None:
    """Return why a write is refused, with `changes` made to the view of A01."""
    views = at_rest(site)
    views[PortId("A01")] = replace(views[PortId("A01")], **changes)
    write = Write(function=function, address=address, values=values)
    return refusal(site, site.boards.get(BoardId(board)), write, views)


@pytest.mark.parametrize("board", ["relay", "meter1", "feeder"])
@pytest.mark.parametrize(
    "changes",
    [
        {"session": cast("SessionRecord", object())},
        {"relay_closed": True},
        {"relay_closed": None},
        {"state": PortState.CHARGING, "relay_closed": True},
    ],
)
def test_nothing_is_written_to_a_board_that_serves_a_port_in_use(board: str, changes: dict[str, Any]) -> None:
    assert why(board, 6, 0x4000, 7) is None
    told = why(board, 6, 0x4000, 7, **changes)
    assert told is not None
    assert told.startswith(f"{board} serves A01")
    assert "nothing is written to a board of a port in use" in told


@pytest.mark.parametrize("board", ["meter2", "meter3", "six"])
def test_boards_that_only_others_use_may_be_written_to(board: str) -> None:
    assert why(board, 6, 0x4000, 7, relay_closed=True) is None


@pytest.mark.parametrize("state", [state for state in PortState if state is not PortState.AVAILABLE])
def test_a_relay_of_a_port_that_is_held_open_is_not_written_to_and_its_neighbours_are(state: PortState) -> None:
    told = why("relay", 5, 0, OFF, state=state)
    assert told == f"relay 1 of relay is A01's, which is {state.value} and stays open"
    assert why("relay", 5, 1, OFF, state=state) is None
    assert why("relay", 5, 0x200, 10, state=state) == told
    assert why("relay", 6, 0, 1, state=state) is None, "registers are no coils"


def test_no_relay_of_a_port_is_closed_without_its_dead_man() -> None:
    assert why("relay", 5, 0, ON) == "that would close the relay of A01 without its dead-man"
    assert why("relay", 5, 0, OFF) is None
    assert why("relay", 5, 0x200, 30) is None, "it opens by itself"
    assert why("relay", 5, 4, ON) is None, "it is nobody's"


@pytest.mark.parametrize("address", [0x00FF, 0x01FF, 0x0100, 0x0400])
def test_what_may_move_all_relays_of_a_board_past_their_rules_is_not_written(address: int) -> None:
    told = f"relay switches relays by coils, and nobody knows which coil {address:#06x} moves"
    assert why("relay", 5, address, ON) == told
    assert why("relay", 5, address, ON, state=PortState.LOCKED_OUT) == told


def test_a_board_switched_by_registers_keeps_all_but_its_relays_to_itself() -> None:
    text = """\
gateway: {id: test}
buses: {line: {serial: /dev/line, baudrate: 9600}}
boards:
  relay: {bus: line, address: 1, profile: eletechsup-r4d8a08}
  meter1: {bus: line, address: 11, profile: eastron-sdm120}
circuits: {shed: {}}
ports: [{id: A01, relay: relay/1, meter: meter1, circuit: shed}]
"""
    site = load_text(text, "test")
    told = "relay switches relays by registers, and nobody knows which register 0x0000 moves"
    assert why("relay", 6, 0, 0x0700, site=site) == told
    assert why("relay", 6, 1, 0x0600, site=site) is None
    assert why("relay", 6, 8, 0x0602, site=site) is None, "it is nobody's"


def test_a_contactor_is_switched_by_the_daemon_only() -> None:
    told = "relay 8 of relay is the contactor of shed: it is switched by the daemon only"
    assert why("relay", 5, 7, OFF) == told


def test_what_a_dead_man_rests_on_is_never_written() -> None:
    told = why("relay", 6, 0x1003, 1)
    assert told is not None
    assert "its dead-man rests on it" in told
    assert why("relay", 16, 0x0FFF, 0, 0) == told
    assert why("relay", 16, 0x0FFE, 0, 0) is None
    for setting in SITE.boards[BoardId("six")].profile.relay.prepare:  # type: ignore[union-attr]  # it has relays
        assert why("six", setting.write, setting.address, 0), setting.name


def test_a_heartbeat_is_the_daemons_alone() -> None:
    kept = load_text(
        """\
gateway: {id: test}
buses: {line: {serial: /dev/line, baudrate: 9600}}
boards:
  relay: {bus: line, address: 1, profile: heartbeat-16}
  meter1: {bus: line, address: 11, profile: eastron-sdm120}
circuits: {shed: {}}
ports: [{id: A01, relay: relay/1, meter: meter1, circuit: shed}]
""",
        "test",
        profiles=load_profiles((BOARDS,)),
    )
    told = "the heartbeat of relay is written by the daemon alone: it keeps its relays closed"
    assert why("relay", 6, 0x0100, 0x5555, site=kept) == told
    assert why("relay", 6, 0x0101, 0x5555, site=kept) is None
    coil = "relay switches relays by coils, and nobody knows which coil 0x0100 moves"
    assert why("relay", 5, 0x0100, ON, site=kept) == coil


def test_a_unit_that_nobody_knows_may_be_written_to() -> None:
    assert refusal(SITE, None, Write(function=6, address=0, values=(1,)), at_rest(SITE)) is None
