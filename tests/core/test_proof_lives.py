"""Wiring proofs of sites that are wired at random, in which anything may happen: what always holds of them.

The station's own invariants are asserted after each event (`chargerd.core.invariants`).
"""

import random
from collections.abc import Callable

import pytest

from chargerd.core.commands import CloseRelay
from chargerd.core.plan import LeaseScope
from chargerd.core.proof import CROSSINGS, Result
from chargerd.core.session import Source
from chargerd.core.units import PortId
from tests.core.prover import TURN, Prover
from tests.core.sheds import SWITCH, shed
from tests.core.world import World

LIVES = 14
MOST = 1800.0


def _wire(world: World, chance: random.Random) -> bool:
    """Exchange, turn round and break at random; say whether anything is wrong."""
    ports = list(world.plans)
    wrong = False
    for wires in (world.wired, world.feeds):
        if chance.random() < 0.4:
            one, other = chance.sample(ports, 2)
            wires[one], wires[other] = wires[other], wires[one]
            wrong = True
    for port in ports:
        meter, contact = world.meters[port], world.contacts[port]
        fault = chance.choice(["none"] * 8 + ["reversed", "times", "jammed", "stuck", "fuse", "silent", "welded"])
        wrong |= fault != "none"
        match fault:
            case "reversed":
                meter.reversed = True
            case "times":
                meter.times = chance.choice([0.1, 10.0, 100.0, 65536.0])
            case "jammed":
                contact.jammed = contact.hidden = True
            case "stuck":
                contact.jammed = True
            case "fuse":
                meter.volts = 0.0
            case "silent":
                meter.silent = True
            case "welded":
                contact.welded = contact.hidden = contact.closed = True
            case _:
                pass
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
    world = shed(chance.randint(2, 4), scope=scope, **({"contactor": SWITCH} if chance.random() < 0.4 else {}))
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
    world.board.silent = world.board.deaf = False
    world.run(90)
    for port in ports:
        session = world.view(port).session
        assert session is None or session.order.proof is None, f"seed {seed}: {port}\n{world.print()}"
        if session is None:
            assert not world.contacts[port].coil or world.board.everlasting, (
                f"seed {seed}: {port}\n{world.print()}"
            )
    proof = prover.concluded()
    if quiet and not wrong:
        assert proof.result is Result.PROVED, f"seed {seed}: {proof}\n{world.print()}"
    if quiet and wrong:
        assert proof.result is not Result.PROVED, f"seed {seed}: {proof}\n{world.print()}"
    if quiet:
        crossed = {one.port for one in proof.findings if one.kind in CROSSINGS}
        assert all(world.view(port).latches for port in crossed if port), f"seed {seed}: {proof}\n{world.print()}"


def _closed_for_proof(world: World, port: PortId) -> bool:
    session = world.view(port).session
    return session is not None and session.order.proof is not None and world.contacts[port].coil


@pytest.mark.parametrize("part", range(2))
def test_whatever_happens_every_relay_of_a_proof_is_open_at_its_end(part: int) -> None:
    for seed in range(part, LIVES, 2):
        _live(seed)


def test_the_lives_close_relays_at_all() -> None:
    world = shed(2)
    world.run(15)
    Prover(world, tuple(world.plans)).run()
    assert sum(isinstance(one, CloseRelay) for _, one in world.commands) == 4
