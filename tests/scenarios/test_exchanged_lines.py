"""Two adapters that swap names: each line hangs on the other's adapter, and no relay of the wrong one closes."""

from dataclasses import replace

import pytest

from chargerd.core.facts import LineChanged, LineRestored
from chargerd.core.plan import CircuitPlan, LinePlan, PortPlan, StationPlan
from chargerd.core.session import StopReason
from chargerd.core.units import BoardId, CircuitId, PortId, Seconds
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.world import World


def on_line(name: str, relay: str) -> PortPlan:
    plan = port_plan(name)
    return replace(plan, relay=replace(plan.relay, board=BoardId(relay)))


def line(name: str, port: PortPlan) -> LinePlan:
    meter = frozenset({port.meter.board})
    return LinePlan(id=name, boards=(port.relay.board, port.meter.board), telling=meter, unique=meter)


A01, B01 = on_line("A01", "relay-a"), on_line("B01", "relay-b")
SITE = StationPlan(
    ports=(A01, B01),
    circuits=(CircuitPlan(id=CircuitId("shed")),),
    lines=(line("line-a", A01), line("line-b", B01)),
    resume_window=Seconds(1800.0),
)


class Sheds(World):
    """Two sheds of one port, each on a line of its own."""

    def __init__(self, site: StationPlan = SITE) -> None:
        super().__init__(site=site)
        self.run(5)
        self.loads[PortId("B01")].energy += 80.0  # What B01's meter has counted could well be what A01's has.

    def swap(self, pause: float = 3.0) -> None:
        """Pull both adapters, and plug each in where the other was."""
        self.adapters.unplug()
        self.run(pause)
        self.adapters.exchange()
        self.adapters.plug()

    def closings(self, port: str) -> int:
        return sum(closed for _, closed, _ in self.contacts[PortId(port)].edges)

    def why_not(self, port: str) -> list[str]:
        return [code.value for code in self.view(port).blocked_by]


@pytest.mark.long
@pytest.mark.parametrize("pause", [0.5, 20.0])
def test_a_session_waits_with_every_relay_open_and_goes_on_when_they_are_swapped_back(pause: float) -> None:
    world = Sheds()
    world.charging()
    world.run(60)
    world.swap(pause)
    world.run(200)
    assert (world.state("A01"), world.state("B01")) == (PortState.SUSPENDED, PortState.AVAILABLE)
    assert "line_changed" in world.why_not("A01")
    assert world.why_not("B01") == ["line_changed"]
    assert (world.closings("A01"), world.closings("B01")) == (1, 0)
    world.swap(pause)
    world.run(60)
    assert world.state("A01") is PortState.CHARGING
    assert (world.closings("A01"), world.closings("B01")) == (2, 0)
    for kind in (LineChanged, LineRestored):
        assert [fact.line for _, fact in world.facts if isinstance(fact, kind)] == ["line-a", "line-b"]


@pytest.mark.long
def test_a_session_is_not_resumed_on_the_other_socket_after_a_restart() -> None:
    world = Sheds()
    world.charging()
    world.run(120)
    world.adapters.exchange()
    world.restart(after=10.0)
    world.run(200)
    assert (world.state("A01"), world.closings("B01")) == (PortState.SUSPENDED, 0)
    assert "line_changed" in world.why_not("A01")
    world.swap()
    world.run(60)
    assert (world.state("A01"), world.closings("A01"), world.closings("B01")) == (PortState.CHARGING, 2, 0)


def test_a_session_that_waits_for_its_line_ends_when_it_has_waited_as_long_as_any_may() -> None:
    short = replace(A01.protection, suspend_total=Seconds(300.0))
    world = Sheds(replace(SITE, ports=(replace(A01, protection=short), B01)))
    world.charging()
    world.run(60)
    world.swap()
    world.run(280)
    assert world.settlements() == []
    world.run(30)
    assert world.settlement().reason is StopReason.SUSPENDED_TOO_LONG


@pytest.mark.long
@pytest.mark.parametrize("pause", [0.5, 3.0])
def test_two_sessions_wait_and_neither_is_held_by_the_others_readings(pause: float) -> None:
    world = Sheds()
    world.charging("A01")
    world.charging("B01")
    world.run(60)
    world.swap(pause)
    world.run(60)
    assert [world.state(port) for port in ("A01", "B01")] == [PortState.SUSPENDED] * 2
    assert not any(contact.closed for contact in world.contacts.values())
    world.swap(pause)
    world.run(90)
    assert [world.state(port) for port in ("A01", "B01")] == [PortState.CHARGING] * 2
    assert world.settlements() == []


@pytest.mark.parametrize("waits", [2.2, 2.8])
def test_no_renewal_closes_a_relay_that_has_opened_while_its_line_was_away(waits: float) -> None:
    world = Sheds()
    world.charging()
    world.run_until("renew", within=10)
    world.run(waits)
    world.adapters.unplug()
    world.set_contact(PortId("A01"), closed=False, by="power")
    world.run(0.3)
    world.adapters.plug()
    world.run(6)
    assert [by for _, closed, by in world.contacts[PortId("A01")].edges if closed] == ["close"] * world.closings(
        "A01"
    )


@pytest.mark.parametrize("after", [0.0, 0.3, 2.0])
def test_a_start_on_the_way_closes_no_relay_of_the_other_line(after: float) -> None:
    world = Sheds()
    world.swap()
    world.run(after)
    world.start("B01")
    world.run(60)
    assert world.answers("start-1")[-1].split()[0] in {"rejected", "failed"}
    assert (world.closings("A01"), world.closings("B01")) == (0, 0)


@pytest.mark.long
def test_nobody_pays_for_what_the_other_lines_meter_has_counted() -> None:
    world = Sheds()
    world.charging()
    world.run(300)
    world.swap()
    world.run(130)
    flowed = world.energy_between("A01", 0.0, world.now)
    world.stop("A01", force=True)
    world.run(30)
    settled = world.settlement()
    assert settled.record.energy == pytest.approx(flowed, abs=1.0)
