"""Meters that answer and do not measure, and loads that jump: what is believed, told, and what opens a port."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from chargerd.core.commands import Code
from chargerd.core.events import MeterReading
from chargerd.core.facts import Fact, MeterFrozen, PowerJumped
from chargerd.core.metering.frozen import Frozen
from chargerd.core.plan import MeterPlan, Protection, StationPlan
from chargerd.core.session import EnergyQuality, StopReason
from chargerd.core.units import Amps, BoardId, Instant, PortId, Seconds, Volts, WattHours, Watts
from chargerd.core.view import PortState
from tests.charges.profiles import charges
from tests.core.plant import port_plan
from tests.core.world import World

A01 = PortId("A01")


Told = TypeVar("Told", bound=Fact)


def told(world: World, kind: type[Told]) -> list[Told]:
    return [fact for _, fact in world.facts if isinstance(fact, kind)]


def only(world: World, kind: type[Told]) -> Told:
    """Return the one fact of its kind."""
    found = told(world, kind)
    assert len(found) == 1, found
    return found[0]


def stopped(_counted: float) -> float:
    """A register that does not count."""
    return 5000.0


def stuck(watts: float = 300.0) -> World:
    """A port that charges while its register stands still."""
    world = World()
    world.meters[A01].register = stopped
    world.draw(watts / 138, watts)
    world.charging()
    return world


# A register that stands still


def test_a_register_that_stands_still_under_load_opens_the_port() -> None:
    world = stuck()
    began = world.elapsed
    suspended = world.run_until("suspended meter_frozen", within=200)
    assert 60 <= suspended - began <= 125
    frozen = only(world, MeterFrozen)
    assert frozen.port == A01
    assert frozen.session is not None
    assert frozen.detail.measured == pytest.approx(300 * (suspended - began) / 3600, abs=0.5)
    assert (frozen.detail.function, frozen.detail.limit, frozen.detail.unit) == ("meter_frozen", 5.0, "wh")
    world.tells("open", "meter frozen", "suspended meter_frozen")
    assert world.view().measured.frozen
    world.run_until("contact open", within=2)


def test_the_register_gets_another_chance_and_not_a_fourth_one() -> None:
    world = stuck()
    world.run_until("suspended meter_frozen", within=200)
    world.run_until("resumed", within=60)
    assert not world.view().measured.frozen
    world.run_until("ended suspended_too_long", within=900)
    assert world.count("suspended meter_frozen") == 3


def test_what_the_register_has_not_counted_is_billed_as_an_estimate() -> None:
    world = stuck()
    world.run_until("suspended meter_frozen", within=200)
    world.stop(force=True)
    world.run_until("ended remote", within=10)
    settled = world.settlement()
    assert (settled.quality, settled.quality_reason) == (EnergyQuality.ESTIMATED, "register_frozen")
    assert settled.record.energy == pytest.approx(world.energy_between("A01", 0, world.now), abs=0.6)
    world.tells("estimated register_frozen")


@pytest.mark.parametrize(("steps", "opens"), [(3.0, True), (12.0, False)])
def test_how_many_steps_are_enough_is_the_ports_own(steps: float, *, opens: bool) -> None:
    world = World(port_plan(protection=replace(Protection(), frozen_steps=steps)))
    world.meters[A01].register = stopped
    world.draw(2.0, 200.0)
    world.charging()
    world.run(125)
    assert bool(world.count("suspended meter_frozen")) is opens


@pytest.mark.long
@pytest.mark.parametrize(("watts", "opens"), [(10.0, True), (9.9, False)])
def test_what_a_meter_need_not_count_is_no_evidence(watts: float, *, opens: bool) -> None:
    world = stuck(watts)
    world.run(2000)
    assert bool(world.count("suspended meter_frozen")) is opens


def test_a_register_is_given_a_minute_however_much_is_drawn() -> None:
    world = World(port_plan(meter=MeterPlan(board=BoardId("m"), refresh=Seconds(0.5), power_every=Seconds(0))))
    world.meters[A01].register, world.meters[A01].together = stopped, True
    world.draw(4.5, 1000.0)
    world.charging()
    began = world.elapsed
    assert world.run_until("suspended meter_frozen", within=100) - began == pytest.approx(60, abs=2.5)


def test_a_power_that_is_not_read_is_not_held_for_long() -> None:
    frozen = Frozen(port_plan())
    frozen.take_in(reading(0.0, 2.0, 299.0, energy=5000.0))
    assert not frozen.take_in(reading(3600.0, energy=5000.0))
    assert frozen.due == pytest.approx(299 / 60)
    frozen.pause()
    frozen.take_in(reading(7200.0, energy=5001.0))
    assert frozen.due == 0.0


def test_a_meter_frozen_altogether_is_no_weld_and_ends_the_session() -> None:
    world = World()
    world.charging()
    world.run(10)
    world.meters[A01].frozen, world.meters[A01].register = (2.0, 300.0), stopped
    world.run_until("suspended meter_frozen", within=300)
    world.run_until("ended meter_lost", within=130)
    settled = world.settlement()
    assert settled.detail is not None
    assert settled.detail.function == "not_recovered"
    world.run(60)
    world.tells_not("locked out relay_welded")
    assert world.state() is PortState.AVAILABLE
    assert world.view().blocked_by == (Code.METER_STALE,)
    assert world.view().measured.frozen
    world.start()
    world.tells("answer start rejected meter_stale")
    world.meters[A01].frozen = None
    world.run(15)
    assert world.view().blocked_by == ()


def test_a_weld_is_seen_by_a_meter_whose_register_alone_stands_still() -> None:
    world = stuck()
    world.run_until("suspended meter_frozen", within=200)
    world.by_hand()
    for _ in range(8):
        world.run(0.5)
        world.show(2.1, 310.0)
    world.tells("locked out relay_welded")


@pytest.mark.parametrize(("amps", "watts"), [(0.1, 15.0), (0.0, 0.0)])
def test_a_register_that_counts_what_the_values_do_not_show_opens_the_port(amps: float, watts: float) -> None:
    world = World()
    session = world.charging()
    world.run(30)
    world.meters[A01].frozen = (amps, watts)
    began = world.elapsed
    assert world.run_until("suspended meter_frozen", within=300) - began <= 190
    frozen = only(world, MeterFrozen)
    assert frozen.session == session
    assert frozen.detail.measured is not None
    assert frozen.detail.limit is not None
    assert frozen.detail.measured >= frozen.detail.limit >= 5.0
    world.run_until("ended meter_lost", within=130)
    settled = world.settlement()
    assert settled.quality is EnergyQuality.EXACT
    assert settled.record.energy == pytest.approx(world.energy_between("A01", 0, world.now), abs=2.0)
    world.run(20)
    assert world.view().blocked_by == (Code.METER_STALE,), "also if it shows just what an open port should"


def counted(register: Callable[[float], float], watts: float = 20.0, hours: float = 0.2) -> bool:
    """Say whether a meter that shows `watts` for hours is found, its register as given."""
    frozen, found = Frozen(port_plan()), False
    for second in range(0, round(hours * 3600), 2):
        energy = 5000.0 + register(second / 3600) // 1 if second % 60 == 0 else None
        found = frozen.take_in(reading(float(second), 0.2, watts, energy=energy)) or found
    return found


def test_twice_what_is_shown_and_five_steps_and_ten_watts_is_too_much() -> None:
    assert not counted(lambda hours: 20.0 * hours)
    assert not counted(lambda hours: 39.0 * hours, hours=3)
    assert counted(lambda hours: 45.0 * hours, hours=1)
    assert not counted(lambda hours: 45.0 * hours, hours=0.15), "five steps"
    assert not counted(lambda hours: 9.0 * hours, watts=0.0, hours=3), "a meter may round so little away"
    assert counted(lambda hours: 13.0 * hours, watts=0.0, hours=3)
    assert not counted(lambda hours: 20.0 * hours + 4000.0 * (hours > 0.1)), "then the register is wrong"


def test_values_that_move_are_not_frozen_however_much_the_register_counts() -> None:
    frozen = Frozen(port_plan())
    for second in range(0, 3600, 2):
        energy = 5000.0 + second * 90.0 / 3600 // 1 if second % 60 == 0 else None
        shown = reading(float(second), 0.2, 20.0 + second % 300 // 250, energy=energy)
        assert not frozen.take_in(shown), "it may only be read too seldom"


# Values that stand still


def reading(
    at: float,
    amps: float | None = None,
    watts: float | None = None,
    volts: float | None = None,
    energy: float | None = None,
) -> MeterReading:
    return MeterReading(
        port=A01,
        at=Instant(at),
        current=None if amps is None else Amps(amps),
        power=None if watts is None else Watts(watts),
        voltage=None if volts is None else Volts(volts),
        energy=None if energy is None else WattHours(energy),
    )


COARSE = MeterPlan(board=BoardId("m"), energy_resolution=WattHours(10.0))


def beside(shown: Callable[[float], tuple[float, float, float | None]], seconds: float, **how: bool) -> World:
    """Let A01 show 100.1 W, then what `shown` says, beside a neighbour that moves, unless it is `quiet`."""
    world = World(port_plan("A01", 1, meter=COARSE), port_plan("A02", 2))
    for port in ("A01", "A02"):
        world.charging(port)
        world.by_hand(port)
    world.meters[A01].register = stopped
    began = world.now
    world.show(0.8, 100.1, voltage=229.9)
    while world.now < began + seconds:
        world.run(1)
        past = world.now - began
        amps, watts, volts = shown(past)
        world.tell(reading(world.now, amps, watts, volts))
        wave = 0.0 if how.get("quiet") else past % 7
        world.show(2.0 + wave / 100, 300.0 + wave, port="A02", voltage=230.0 + wave / 10)
    return world


def steady(_past: float) -> tuple[float, float, float | None]:
    return 0.8, 100.2, None


@pytest.mark.long
def test_values_that_stand_still_while_neighbours_move_flag_the_meter_and_open_nothing() -> None:
    world = beside(steady, 298)
    assert not told(world, MeterFrozen)
    world = beside(steady, 600)
    frozen = only(world, MeterFrozen)
    assert frozen.detail.measured == pytest.approx(300, abs=1.5)
    assert (frozen.detail.limit, frozen.detail.unit) == (300, "s")
    assert world.view().measured.frozen
    assert not world.view("A02").measured.frozen
    assert world.state() is PortState.CHARGING
    assert world.count("suspended meter_frozen") == 0


def test_of_a_flagged_meter_two_steps_of_the_register_are_enough() -> None:
    world = beside(steady, 800)
    world.tells("meter frozen", "suspended meter_frozen")
    assert world.count("meter frozen") == 1
    assert 720 <= world.when("suspended meter_frozen") - world.when("started") <= 800


def test_where_no_neighbour_moves_nothing_is_said() -> None:
    world = beside(steady, 600, quiet=True)
    assert not told(world, MeterFrozen)


def flagged(shown: Callable[[float], tuple[float, float, float | None]]) -> bool:
    return bool(told(beside(shown, 320), MeterFrozen))


@pytest.mark.long
def test_zeros_are_no_evidence() -> None:
    assert not flagged(lambda _: (0.0, 0.0, None))


def test_a_standby_load_is_no_evidence() -> None:
    assert not flagged(lambda past: (0.2, 24.89 if past < 2 else 24.9, None))


@pytest.mark.long
def test_a_coarse_figure_is_no_evidence() -> None:
    assert not flagged(lambda _: (0.8, 100.3, None))


@pytest.mark.long
def test_one_step_of_one_value_is_a_sign_of_life() -> None:
    assert not flagged(lambda past: (0.8, 100.2 + (past > 250) / 10, None))
    assert not flagged(lambda past: (0.8, 100.2, 229.9 + (past > 250) / 10))


def test_a_voltage_that_stands_still_is_evidence() -> None:
    assert flagged(lambda past: (0.0, 0.0, 229.8 if past < 2 else 229.9))
    assert not flagged(lambda past: (0.0, 0.0, 229.0 if past < 2 else 230.0)), "too coarse a voltage"


def test_a_value_that_moves_clears_the_flag() -> None:
    world = beside(steady, 310)
    assert world.view().measured.frozen
    world.show(0.8, 100.3)
    assert not world.view().measured.frozen
    assert world.state() is PortState.CHARGING


def test_a_register_that_moves_is_a_sign_of_life() -> None:
    frozen, other = Frozen(port_plan()), Frozen(port_plan())
    frozen.take_in(reading(0.0, 0.8, 100.1))
    for second in range(1, 1200):
        moves = 5000.0 + second // 150
        shown = reading(float(second), 0.8, 100.2, energy=moves if second % 50 == 0 else None)
        assert not frozen.take_in(shown)
        other.take_in(reading(float(second), 1.0, 300.0 + second % 3))
        assert not frozen.compare([other], Instant(float(second)))


def test_readings_within_one_refresh_are_one() -> None:
    slow = MeterPlan(board=BoardId("m"), refresh=Seconds(40.0))
    frozen, other = Frozen(port_plan(meter=slow)), Frozen(port_plan())
    frozen.take_in(reading(0.0, 0.8, 100.1))
    for second in range(1, 440):
        frozen.take_in(reading(float(second), 0.8, 100.2))
        other.take_in(reading(float(second), 1.0, 300.0 + second % 3))
        said = frozen.compare([other], Instant(float(second)))
        assert said is (second == 361), second


def test_a_meter_that_was_never_read_stands_still_for_nobody() -> None:
    frozen = Frozen(port_plan())
    assert not frozen.compare([], Instant(1000.0))
    frozen.take_in(reading(0.0, volts=230.0))
    assert not frozen.compare([], Instant(1000.0))


@pytest.mark.long
@pytest.mark.parametrize("seed", [11, 12])
def test_benign_loads_never_freeze_a_meter(seed: int) -> None:
    """Beside a restless neighbour, with registers of 1 to 100 Wh and, for half of them, a voltage."""
    rng = random.Random(seed)
    for charge in charges(seed, 1):
        step = rng.choice((1.0, 10.0, 100.0))
        plan = MeterPlan(
            board=BoardId("m"), refresh=Seconds(charge.meter.refresh), energy_resolution=WattHours(step)
        )
        frozen, other = Frozen(port_plan(meter=plan)), Frozen(port_plan())
        has_volts, drawn, before, asked = rng.random() < 0.5, rng.uniform(0, 99), 0.0, 0.0
        for at, watts in charge.readings():
            drawn, before = drawn + charge.power(at) * (at - before) / 3600, at
            register = drawn // step * step if at - asked >= 60 else None
            asked = asked if register is None else at
            volts = round(rng.gauss(230, 0.4), 1) if has_volts else None
            shown = reading(at, round(watts / 150, 3), watts, volts, register)
            assert not frozen.take_in(shown), (charge.kind, charge.seed, at, frozen.stuck)
            other.take_in(reading(at, 1.0 + at % 7, 300.0 + at % 5, rng.gauss(230, 0.4)))
            assert not frozen.compare([other], Instant(at)), (charge.kind, charge.seed, at, frozen.still)


# A load that jumps


def jumped(watts: float = 380.0, *, after: float = 1900.0, trips: bool = False) -> World:
    """A load of 300 W that draws more after a while."""
    plan = port_plan(protection=replace(Protection(), power_jump_trips=True)) if trips else port_plan()
    world = World(plan, poll=1.0)
    world.charging()
    world.run(after)
    world.draw(2.5, watts)
    return world


@pytest.mark.long
def test_a_load_that_jumps_is_told_of_once_and_goes_on() -> None:
    world = jumped()
    began = world.elapsed
    told_at = world.run_until("power jumped", within=60)
    assert told_at - began == pytest.approx(30, abs=3)
    world.run(60)
    world.draw(3.5, 500.0)
    world.run(60)
    jump = only(world, PowerJumped)
    assert (jump.detail.function, jump.detail.limit, jump.detail.measured) == ("power_jump", 380.0, 380.0)
    assert world.state() is PortState.CHARGING


def test_where_a_site_wants_it_a_jump_ends_the_session() -> None:
    world = jumped(trips=True)
    world.run_until("tripped power_jump", within=60)
    world.run(5)
    settled = world.settlement()
    assert settled.reason is StopReason.OVERPOWER
    assert settled.detail is not None
    assert settled.detail.function == "power_jump"
    assert world.state() is PortState.AVAILABLE
    assert world.count("power jumped") == 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("watts", "after", "jumps"), [(379.9, 1900.0, False), (380.0, 1700.0, False), (380.0, 1810.0, True)]
)
def test_less_than_eighty_watts_or_within_half_an_hour_is_no_jump(
    watts: float, after: float, *, jumps: bool
) -> None:
    world = jumped(watts, after=after)
    world.run(200)
    assert bool(world.count("power jumped")) is jumps


@pytest.mark.long
def test_a_peak_of_less_than_half_a_minute_is_neither_a_jump_nor_a_maximum() -> None:
    world = jumped()
    world.run(26)
    world.draw(2.0, 300.0)
    world.run(60)
    assert not world.count("power jumped")
    world.draw(2.5, 380.0)
    world.run_until("power jumped", within=40)


@pytest.mark.long
def test_a_jump_is_not_seen_in_one_reading() -> None:
    world = World(port_plan(protection=replace(Protection(), power_jump_delay=Seconds(0.0))))
    world.charging()
    world.run(1900)
    world.by_hand()
    world.show(2.5, 380.0)
    assert not world.count("power jumped")
    world.run(1)
    world.show(2.5, 380.0)
    assert world.count("power jumped") == 1


@pytest.mark.long
def test_a_suspension_breaks_a_jump() -> None:
    world = jumped(trips=True)
    world.run(20)
    world.meters[A01].silent = True
    world.run_until("suspended meter_stale", within=10)
    world.by_itself()
    resumed = world.run_until("resumed", within=60)
    assert world.run_until("tripped power_jump", within=60) - resumed == pytest.approx(30, abs=4)


def after_an_outage() -> World:
    """A session that has charged for 35 min, then the daemon was killed and another one took it up."""
    world = World(site=StationPlan(ports=(port_plan(),), resume_window=Seconds(1800.0)))
    world.charging()
    world.run(2100)
    world.restart()
    world.run_until("resumed", within=60)
    return world


@pytest.mark.long
def test_what_a_load_drew_before_an_outage_is_no_jump_after_it() -> None:
    world = after_an_outage()
    world.run(100)
    assert not world.count("power jumped")
    world.draw(2.5, 380.0)
    world.run_until("power jumped", within=60)


@pytest.mark.long
def test_a_register_that_stands_still_after_an_outage_opens_the_port() -> None:
    world = after_an_outage()
    stands = world.loads[A01].energy_at(world.now)
    world.meters[A01].register = lambda _counted: stands
    world.run_until("suspended meter_frozen", within=300)
    assert world.view().measured.frozen
