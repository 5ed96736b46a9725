"""Sheds: sites with circuits, inputs, contactors and feeder meters, for the scenarios about them."""

from dataclasses import replace
from typing import Any

from chargerd.core.plan import (
    CircuitPlan,
    DeadMan,
    FeederPlan,
    InputKind,
    InputPlan,
    LeaseScope,
    RelayPlan,
    StationPlan,
    contactor_of,
    holder_of,
)
from chargerd.core.units import Amps, BoardId, CircuitId, PortId, Seconds, Watts
from tests.core.plant import port_plan
from tests.core.world import World

SHED, MAIN = CircuitId("shed"), CircuitId("main")
CONTACTOR = contactor_of(SHED)
HOLDER = holder_of(SHED)
SMOKE = InputPlan(id="smoke-1", board=BoardId("io-a"), channel=1, kind=InputKind.SMOKE, circuit=SHED)
STOP = InputPlan(
    id="stop-1",
    board=BoardId("io-a"),
    channel=3,
    kind=InputKind.EMERGENCY_STOP,
    circuit=MAIN,
    active="closed",
)
SWITCH = RelayPlan(board=BoardId("io-a"), channel=1)


def names(count: int) -> list[str]:
    """Return the names of a shed's ports."""
    return [f"A{number:02}" for number in range(1, count + 1)]


def shed(
    count: int = 3,
    *,
    queue_for: float = 0.0,
    inputs: tuple[InputPlan, ...] = (),
    lease: float | None = 6.0,
    prepared: bool = True,
    scope: LeaseScope = LeaseScope.RELAY,
    **circuit: Any,
) -> World:
    """Return a world of one shed below a main circuit; the further arguments are members of `CircuitPlan`."""
    plan = replace(CircuitPlan(id=SHED, parent=MAIN), **circuit)
    ports = [port_plan(name, number) for number, name in enumerate(names(count), 1)]
    if lease is None:
        ports = [replace(port, relay=replace(port.relay, lease=None, dead_man=DeadMan.NONE)) for port in ports]
    ports = [replace(port, relay=replace(port.relay, prepared=prepared, scope=scope)) for port in ports]
    return World(
        site=StationPlan(
            ports=tuple(ports),
            circuits=(CircuitPlan(id=MAIN), plan),
            inputs=inputs,
            queue_for=Seconds(queue_for),
        )
    )


def rated(amps: float | None, watts: float | None = None) -> dict[str, Any]:
    """Return the rating of a circuit."""
    return {
        "rating": None if amps is None else Amps(amps),
        "power": None if watts is None else Watts(watts),
    }


def feeder(refresh: float = 0.0) -> FeederPlan:
    """Return the meter of a circuit."""
    return FeederPlan(board=BoardId("feeder"), refresh=Seconds(refresh))


def all_charging(world: World, *ports: str) -> None:
    """Bring these ports to `charging`, one after the other."""
    for port in ports:
        world.charging(port)


def closed(world: World) -> list[str]:
    """Return the ports whose contact is closed."""
    return [port for port, contact in world.contacts.items() if contact.closed and PortId(port) in world.plans]
