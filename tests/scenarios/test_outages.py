"""Sessions after outages, where several things come together; and a crash at every step of a session's life."""

from dataclasses import replace
from itertools import pairwise

import pytest

from chargerd.core.events import Event
from chargerd.core.facts import SessionSuspended
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.plan import CircuitPlan, PortPlan, StationPlan
from chargerd.core.session import EnergyQuality, Settlement, StopReason
from chargerd.core.units import Amps, CircuitId, Instant, PortId, Seconds, Watts
from chargerd.core.view import PortState
from tests.core.plant import BOOT, port_plan
from tests.core.sheds import names
from tests.core.world import World

A01, A02 = PortId("A01"), PortId("A02")


def site(*ports: PortPlan, rating: float = 63.0, queue_for: float = 0.0) -> StationPlan:
    return StationPlan(
        ports=ports or (port_plan(),),
        circuits=(CircuitPlan(id=CircuitId("shed"), rating=Amps(rating)),),
        resume_window=Seconds(1800.0),
        tariff_tiers=(Watts(150.0),),
        queue_for=Seconds(queue_for),
    )


class Doomed(World):
    """A world whose daemon is killed right after its n-th event, and begun anew a second later."""

    def __init__(self, killed_after: int) -> None:
        self.left = killed_after
        super().__init__(site=site())
        self.later(10.0, self._arrive)
        self.later(80.0, setattr, self.meters[A01], "silent", True)
        self.later(90.0, setattr, self.meters[A01], "silent", False)
        self.later(170.0, self._leave)

    def _arrive(self) -> None:
        self.start()

    def _leave(self) -> None:
        self.stop(force=True)

    def tell(self, event: Event) -> None:
        """Count the events."""
        super().tell(event)
        if not self.dead:
            self.left -= 1
            if self.left == 0:
                self.restart(after=1.0)


def assert_counted_once(world: World, settled: Settlement) -> None:
    """Assert that each watt-hour and each second of a session is in its settlement once, and in its tiers."""
    record = settled.record
    flowed = world.loads[A01].energy_at(world.now) - 5000.0
    if settled.quality is EnergyQuality.EXACT:
        assert record.energy == pytest.approx(flowed, abs=2.0), "a step of the register at either end"
    else:
        assert flowed - 6.0 <= record.energy <= flowed + 1.1, "a checkpoint each minute"
    edges = world.contacts[A01].edges
    closed = sum(later - at for (at, shut, _), (later, _, _) in pairwise(edges) if shut)
    assert record.charging <= closed + 6.1, "an opening that is not read back counts for a lease"
    assert record.charging + record.suspended <= record.elapsed + 1e-6
    if settled.meter_stop is not None:
        assert record.elapsed - record.charging - record.suspended <= 3.0, "but for its start and its end"
    assert sum(tier.energy for tier in record.tiers) == pytest.approx(record.energy)
    assert sum(tier.charging for tier in record.tiers) == pytest.approx(record.charging)


@pytest.mark.long
@pytest.mark.parametrize("part", range(8))
def test_killed_after_any_event_a_session_is_settled_once_and_counted_once(part: int) -> None:
    whole = Doomed(0)
    whole.run(185)
    for number in range(1 + part, len(whole.events), 8 * 12):
        world = Doomed(number)
        world.run(185)
        settled = world.settlements()
        assert len(settled) <= 1, world.print()
        assert world.count("started") <= 1, world.print()
        assert world.state() is PortState.AVAILABLE
        if world.answers("start-1")[:1] == ["accepted ok"] and not settled:
            assert not world.count("close"), "accepted, and not durable yet: settled by its command"
        for one in settled:
            assert_counted_once(world, one)


@pytest.mark.long
def test_those_that_find_no_room_at_once_wait_until_the_others_have_settled_down() -> None:
    world = World(site=site(*(port_plan(name, n) for n, name in enumerate(names(5), 1)), rating=16.4))
    for name in names(5):
        for _ in range(40):
            if not world.view(name).blocked_by:
                break
            world.run(10)
        world.charging(name)
    world.run(120)
    world.restart(after=5.0)
    world.run(900)
    assert {world.state(name) for name in names(5)} == {PortState.CHARGING}
    assert max(world.when("resumed", name) for name in names(5)) > world.when("suspended power_loss") + 151


@pytest.mark.long
def test_one_that_never_finds_room_ends_when_it_has_been_suspended_for_too_long() -> None:
    world = World(site=site(*(port_plan(name, n) for n, name in enumerate(names(2), 1)), rating=11.2))
    for name in names(2):
        world.charging(name)
    world.run(70)
    crowded = replace(world.plan.circuits[0], rating=Amps(6.0))
    world.plan = replace(world.plan, circuits=(crowded,))
    world.draw(4.9, port="A01")
    world.draw(4.9, port="A02")
    world.restart(after=5.0)
    world.run(1900)
    assert [one.reason for one in world.settlements()] == [StopReason.SUSPENDED_TOO_LONG]


def test_a_circuit_sheds_the_newest_session_even_if_an_older_one_was_begun_on_another_boot() -> None:
    made = World(site=site())
    made.charging()
    made.run(70)
    (record,) = made.journal.records.values()
    world = World(site=site(*(port_plan(name, n) for n, name in enumerate(names(2), 1)), rating=11.2), begin=False)
    wall_ms = world.moment().wall_ms
    assert wall_ms is not None
    before = Moment(instant=Instant(900_000.0), boot=0, wall_ms=wall_ms - 1_100_000, clock=ClockQuality.NTP)
    world.journal.records[record.order.session] = replace(record, started=before, at=before)
    world.loads[A01].energy = 5100.0
    world.begin(world.journal.records.values())
    world.run_until("resumed", within=60)
    world.charging("A02")
    world.run(10)
    for name in names(2):
        world.draw(5.6, 400.0, port=name)
    world.run_until("suspended circuit_overload", within=10)
    assert world.state("A02") is PortState.SUSPENDED
    assert world.state("A01") is PortState.CHARGING


def test_a_boot_clock_that_went_back_is_another_boots() -> None:
    world = World(site=site())
    world.charging()
    world.run(70)
    (record,) = world.journal.records.values()
    world.time_from = ClockQuality.NONE
    ahead = replace(record, at=replace(record.at, instant=Instant(BOOT + 500_000.0)))
    world.journal.records[record.order.session] = ahead
    world.restart(after=1.0)
    world.run(130)
    assert [(one.reason, one.record) for one in world.settlements()] == [(StopReason.POWER_LOSS, ahead)]


@pytest.mark.long
def test_a_session_that_does_not_go_on_is_none_that_found_nothing_behind_its_relay() -> None:
    world = World(site=site())
    world.draw(0.0, 0.0)
    for _ in range(2):
        world.charging()
        world.run(125)
        assert world.state() is PortState.AVAILABLE
    world.draw(2.0)
    world.charging()
    world.run(70)
    world.time_from = ClockQuality.NONE
    (record,) = world.journal.records.values()
    world.journal.records[record.order.session] = replace(record, at=replace(record.at, boot=0, wall_ms=None))
    world.station = type(world.station)(world.plan, world.moment())
    for _ in range(2):
        world.station._ports[A01].weld.never_drew(charged=True, peak=Watts(0.0))  # noqa: SLF001 - two before it
    world.begin(world.journal.records.values())
    world.run(130)
    assert world.settlements()[-1].reason is StopReason.POWER_LOSS
    world.tells_not("relay open circuit")


@pytest.mark.long
def test_a_plug_that_was_pulled_during_the_outage_is_no_full_battery() -> None:
    world = World(site=site())
    world.charging()
    world.run(300)
    world.restart(after=20.0)
    world.draw(0.0, 0.0)
    world.run_until("resumed", within=60)
    world.run_until("ended unplugged", within=3 * 3600)


def test_what_flowed_after_the_last_record_is_in_the_register() -> None:
    world = World(site=site())
    world.charging()
    world.run(115)
    (kept,) = world.journal.records.values()
    world.restart(after=2.0)
    world.run_until("resumed", within=60)
    record = world.view().session
    assert record is not None
    assert record.last_register is not None
    assert record.meter_start is not None
    assert record.energy == record.last_register - record.meter_start > kept.energy + 3.0


def test_a_crash_within_the_resumption_is_part_of_the_same_interruption() -> None:
    world = World(site=site())
    world.charging()
    world.run(70)
    before = next(iter(world.journal.records.values()))
    world.restart(after=2.0)
    world.run_until("close", within=60)
    world.restart(after=2.0)
    world.run_until("resumed", within=60)
    record = world.view().session
    assert record is not None
    assert [(one.since, one.reason) for one in record.interruptions] == [(before.at, "power_loss")]
    assert record.suspended == pytest.approx(world.elapsed + BOOT - before.at.instant, abs=0.2)


def test_the_backend_hears_why_twice_if_the_daemon_is_killed_twice() -> None:
    world = World(site=site())
    world.charging()
    world.run(70)
    for _ in range(2):
        world.restart(after=2.0)
    told = [fact.record.energy for _, fact in world.facts if isinstance(fact, SessionSuspended)]
    assert len(told) == 2
    assert told[0] == told[1], "nothing was counted in between"
