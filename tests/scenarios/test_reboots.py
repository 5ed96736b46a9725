"""A relay board that loses its supply for a moment: its relays fall open, and no renewal may close them again."""

import pytest

from chargerd.core.units import PortId
from tests.core.world import World

A01 = PortId("A01")


def reboot(world: World, span: float) -> None:
    """Let the board's relays fall open; for so many seconds it answers nothing."""
    contact = world.contacts[A01]
    contact.lapses_at, contact.coil = None, False
    world.set_contact(A01, closed=False, by="power")
    world.board.silent = True
    world.run(span)
    world.board.silent = False


RENEWAL_FAILS = (11.8, 0.9)
"""When to begin, and for how long, so that a renewal stays unanswered, but no read-back."""
READ_BACK_FAILS = (15.4, 2.3)


@pytest.mark.parametrize(
    ("began", "span"), [RENEWAL_FAILS, READ_BACK_FAILS, *((10.0 + 0.4 * step, 2.3) for step in range(15))]
)
def test_no_renewal_closes_what_a_board_has_opened_that_did_not_answer(began: float, span: float) -> None:
    world = World()
    world.charging()
    world.run(began)
    reboot(world, span)
    world.run(6.0)
    assert "renew" not in [by for _, closed, by in world.contacts[A01].edges if closed]
    world.tells("contact open", "open")


@pytest.mark.parametrize("how", ["silent", "blind", "mute"])
def test_a_board_that_misses_an_answer_and_keeps_its_relays_is_renewed_in_time(how: str) -> None:
    world = World()
    world.charging()
    for _ in range(20):
        world.run(2.7)
        setattr(world.board, how, True)
        world.run(0.4)
        setattr(world.board, how, False)
    assert len(world.contacts[A01].edges) == 1
    world.tells_not("suspended relay_board_lost")


def test_the_very_first_lease_ends_by_itself_too() -> None:
    world = World()
    world.charging()
    world.tells_not("renew")
    world.restart(after=10.0)
    edges = world.contacts[A01].edges
    assert [by for _, _, by in edges[:2]] == ["close", "lapse"]
    assert edges[1][0] - edges[0][0] <= 6.1
