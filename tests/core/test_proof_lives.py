"""Wiring proofs of sites that are wired at random, in which anything may happen: what always holds of them.

The station's own invariants are asserted after each event (`chargerd.core.invariants`).
"""

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from chargerd.core.commands import CloseRelay
from chargerd.core.plan import LeaseScope
from chargerd.core.proof import CROSSINGS, Result
from chargerd.core.session import Source
from chargerd.core.units import PortId
from tests.core.prover import TURN, Prover
from tests.core.sheds import SWITCH, shed
from tests.core.world import World

LIVES = 200 if os.environ.get("CHARGERD_CAMPAIGN") == "long" else 4
MOST = 1800.0


def _reverse(world: World, port: PortId, _chance: random.Random) -> None:
    world.meters[port].reversed = True


def _multiply(world: World, port: PortId, chance: random.Random) -> None:
    world.meters[port].times = chance.choice([0.1, 10.0, 100.0, 65536.0])


def _kill_contact(world: World, port: PortId, _chance: random.Random) -> None:
    world.contacts[port].jammed = world.contacts[port].hidden = True


def _kill_coil(world: World, port: PortId, _chance: random.Random) -> None:
    world.contacts[port].jammed = True


def _blow_fuse(world: World, port: PortId, _chance: random.Random) -> None:
    world.meters[port].volts = 0.0


def _silence(world: World, port: PortId, _chance: random.Random) -> None:
    world.meters[port].silent = True


def _weld(world: World, port: PortId, _chance: random.Random) -> None:
    world.contacts[port].welded = world.contacts[port].hidden = world.contacts[port].closed = True


FAULTS = (_reverse, _multiply, _kill_contact, _kill_coil, _blow_fuse, _silence, _weld)


def _wire(world: World, chance: random.Random) -> bool:
    """Exchange, turn round and break at random; say whether anything is wrong that a proof has to find."""
    ports = list(world.plans)
    wrong = False
    for wires in (world.wired, world.feeds):
        if chance.random() < 0.4:
            one, other = chance.sample(ports, 2)
            wires[one], wires[other] = wires[other], wires[one]
            wrong = True
    for port in ports:
        if chance.random() < 0.4:
            chance.choice(FAULTS)(world, port, chance)
            wrong = True
    board = chance.choice(["none"] * 4 + ["everlasting", "off_waits", "glitches"])
    if board != "none":
        setattr(world.board, board, True)
    return wrong or board in {"everlasting", "off_waits"}


def _accidents(world: World, chance: random.Random) -> dict[str, Callable[[Prover], None]]:
    port = chance.choice(list(world.plans))
    return {
        "leave": lambda prover: prover.course.leave(),
        "silent": lambda _: setattr(world.board, "silent", True),
        "back": lambda _: setattr(world.board, "silent", False),
        "deaf": lambda _: setattr(world.board, "deaf", chance.random() < 0.5),
        "journal": lambda _: setattr(world.journal, "failing", chance.random() < 0.5),
        "overload": lambda _: world.draw(26.0, 6000.0, port=port),
        "unplug": lambda _: world.draw(0.0, 0.0, port=port),
        "stop": lambda _: world.stop(port, force=True) and None,
        "start": lambda _: world.start(port, source=chance.choice(list(Source))) and None,
        "disable": lambda _: world.disable(port) and None,
        "enable": lambda _: world.enable(port) and None,
        "meter": lambda _: setattr(world.meters[PortId(port)], "silent", chance.random() < 0.5),
    }


def _live(seed: int) -> None:
    chance = random.Random(seed)
    scope = chance.choice(list(LeaseScope))
    contactor: dict[str, Any] = {"contactor": SWITCH} if chance.random() < 0.4 else {}
    world = shed(chance.randint(2, 4), scope=scope, **contactor)
    world.run(15)
    wrong = _wire(world, chance)
    ports = tuple(world.plans)
    prover = Prover(world, ports, moving=chance.random() < 0.7)
    quiet = chance.random() < 0.3
    end, cut = world.now + MOST, (None if quiet else world.now + chance.uniform(5, 150))
    while not prover.course.done and world.now < end:
        if cut is not None and chance.random() < 0.02:
            accidents = _accidents(world, chance)
            accidents[chance.choice(sorted(accidents))](prover)
        if cut is not None and world.now >= cut and chance.random() < 0.5:
            world.restart(after=chance.uniform(0.5, 30.0))
            prover = Prover(world, ports, moving=prover.moving, evidence=prover.course.evidence)
            cut = end
        prover.turn()
        world.run(TURN)
        assert sum(_closed_for_proof(world, port) for port in ports) <= 1, f"seed {seed}:\n{world.print()}"
    assert prover.course.done, f"seed {seed}:\n{world.print()}"
    _check(prover, seed, wrong=wrong, quiet=quiet)


def _check(prover: Prover, seed: int, *, wrong: bool, quiet: bool) -> None:
    """Look at what the proof has left behind, and, if nothing has disturbed it, at what it says."""
    world = prover.world
    told = f"seed {seed}: {prover.concluded()}\n{world.print()}"
    world.board.silent = world.board.deaf = False
    world.run(90)
    for port in prover.ports:
        session = world.view(port).session
        assert session is None or session.order.proof is None, told
        assert session is not None or not world.contacts[port].coil or world.board.everlasting, told
    for port, contact in world.contacts.items():
        said = any(line.port == port and line.text == "locked out relay_welded" for line in world.book)
        held = port in world.plans and any(one.function == "relay_welded" for one in world.view(port).latches)
        assert held or not (said and contact.welded), told
    if quiet:
        proof = prover.concluded()
        assert (proof.result is Result.PROVED) is not wrong, told
        crossed = {one.port for one in proof.findings if one.kind in CROSSINGS}
        assert not [port for port in crossed if port and not world.view(port).latches], told


def _closed_for_proof(world: World, port: PortId) -> bool:
    session = world.view(port).session
    return session is not None and session.order.proof is not None and world.contacts[port].coil


@pytest.mark.parametrize("part", range(2))
def test_whatever_happens_every_relay_of_a_proof_is_open_at_its_end(part: int) -> None:
    """`CHARGERD_CAMPAIGN=long` plays fifty times as many."""
    for seed in range(part, LIVES, 2):
        _live(seed)


def test_the_lives_close_relays_at_all() -> None:
    world = shed(2)
    world.run(15)
    Prover(world, tuple(world.plans)).run()
    assert sum(isinstance(one, CloseRelay) for _, one in world.commands) == 4
