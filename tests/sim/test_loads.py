import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.core.units import Seconds, Volts, Watts
from chargerd.sim.loads import (
    End,
    Load,
    Phase,
    balancing,
    compressor,
    dual_battery,
    ending_at,
    growing_overload,
    heater,
    jumping,
    kettle,
    lead_acid,
    lithium,
    small_charger,
)

V = Volts(230.0)
SETTLED = Seconds(60.0)
"""Long after the relay has closed: no inrush."""


def power(load: Load, energised: float) -> Watts:
    return load.draw(Seconds(energised), SETTLED, V, 0.0).power


def course(load: Load, step: float = 60.0, hours: float = 24.0) -> list[tuple[Watts, Phase]]:
    return [load.shape(Seconds(step * index)) for index in range(int(hours * 3600 / step))]


def minutes_in_taper_above(load: Load, floor: float) -> float:
    return sum(phase is Phase.TAPERING and watts > floor for watts, phase in course(load))


PACKS = [(48, 2), (48, 3), (60, 3), (60, 5), (72, 5)]


@pytest.mark.parametrize(("volts", "amps"), PACKS)
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("end", list(End))
def test_a_lithium_charge_rises_tapers_and_ends(volts: float, amps: float, seed: int, end: End) -> None:
    load = lithium(volts, amps, seed=seed, end=end)
    steps = course(load)
    phases = [phase for phase, _ in itertools.groupby(phase for _, phase in steps)]
    assert phases == [Phase.CHARGING, Phase.TAPERING, Phase.DONE], "in this order, and done for good"
    plateau = [watts for watts, phase in steps if phase is Phase.CHARGING]
    assert 1.0 <= plateau[-1] / plateau[0] <= 1.23, "1 to 18 % of the peak below it at the start"
    peak = max(plateau)
    assert peak == pytest.approx(volts * amps * 1.14 / 0.88, rel=0.02)
    idle = steps[-1][0]
    assert 0 <= idle <= 6
    last = [watts for watts, phase in steps if phase is Phase.TAPERING][-1]
    if end is End.STEP:
        assert last >= 0.099 * peak, "a step down from a seventh of the peak or so"
    else:
        assert last < 8


@pytest.mark.parametrize("seed", range(10))
def test_a_taper_takes_what_was_measured_from_the_knee_to_25_w(seed: int) -> None:
    load = lithium(48, 2, seed=seed, end=End.TAPER)
    assert 42 <= minutes_in_taper_above(load, 25.0) <= 118


def test_capacity_scale_divides_the_length_of_a_charge_and_leaves_power_alone() -> None:
    slow, fast = lithium(60, 3, seed=3), lithium(60, 3, seed=3, capacity_scale=60)
    for seconds in (0.0, 600.0, 7200.0, 20000.0):
        assert power(fast, seconds / 60) == pytest.approx(power(slow, seconds))


@given(seed=st.integers(0, 2**32), volts=st.sampled_from([48, 60]))
def test_lead_acid_rises_by_18_percent_tails_long_and_floats_at_2_w(seed: int, volts: float) -> None:
    load = lead_acid(volts, seed=seed)
    steps = course(load)
    plateau = [watts for watts, phase in steps if phase is Phase.CHARGING]
    assert plateau[0] / max(plateau) == pytest.approx(0.82, abs=0.01)
    assert 115 <= minutes_in_taper_above(load, 25.0) <= 181
    assert steps[-1] == (2.0, Phase.DONE)


def test_a_dual_battery_charger_rests_at_1_w_for_a_minute_at_most_and_comes_back() -> None:
    load = dual_battery(seed=5)
    steps = course(load, step=1.0, hours=9)
    resting = [index for index, (_, phase) in enumerate(steps) if phase is Phase.RESTING]
    assert 20 <= len(resting) <= 61
    assert {steps[index][0] for index in resting} == {1.0}
    before, behind = steps[resting[0] - 1][0], steps[resting[-1] + 1][0]
    assert before == pytest.approx(212, abs=1)
    assert 175 <= behind < before, "back below the maximum so far: no jump"


@pytest.mark.parametrize("seed", range(5))
def test_the_current_of_a_small_charger_is_not_watts_over_volts(seed: int) -> None:
    drawn = small_charger(seed=seed).draw(Seconds(60.0), SETTLED, V, 0.0)
    assert 0.5 <= drawn.power / (drawn.current * V) <= 0.65
    assert 28 <= drawn.power <= 60


def test_inrush_multiplies_current_right_after_each_closing_only() -> None:
    load = lithium(72, 5, seed=1)
    first = load.draw(Seconds(0.0), Seconds(0.0), V, 0.0).current
    later = load.draw(Seconds(0.0), Seconds(1.0), V, 0.0).current
    again = load.draw(Seconds(900.0), Seconds(0.05), V, 0.0).current
    assert first == pytest.approx(later * load.inrush)
    assert again > later * 1.4


def test_noise_moves_power_a_little_and_never_below_zero() -> None:
    load = lithium(48, 2, seed=1)
    quiet = power(load, 600)
    assert load.draw(Seconds(600), SETTLED, V, 1.0).power == pytest.approx(quiet + load.noise)
    assert load.draw(Seconds(600), SETTLED, V, -1000.0).power == 0.0


def test_a_kettle_draws_8_a_and_a_heater_more_power_than_a_port_allows() -> None:
    assert kettle().draw(Seconds(1.0), SETTLED, V, 0.0).current == pytest.approx(8.0)
    drawn = heater().draw(Seconds(1.0), SETTLED, V, 0.0)
    assert drawn.current < 5.0 < drawn.power / 200
    assert drawn.phase is Phase.RUNNING


def test_a_compressor_is_far_above_a_ports_current_and_not_so_far_above_its_power() -> None:
    drawn = lithium(48, 2).with_timer(compressor(), Seconds(0.0)).draw(Seconds(1.0), SETTLED, V, 0.0)
    assert drawn.current > 1.5 * 5.0
    assert drawn.power < 1.5 * 1000.0


def test_a_growing_overload_grows_and_stops_growing() -> None:
    load = growing_overload(start=2.0, per_second=0.5, most=7.0)
    currents = [load.draw(Seconds(t), SETTLED, V, 0.0).current for t in (0, 4, 8, 100)]
    assert currents == pytest.approx([2.0, 4.0, 6.0, 7.0])


def test_a_timer_switches_the_second_thing_on_beside_the_first() -> None:
    charger = lithium(48, 2, seed=1)
    both = charger.with_timer(kettle(), Seconds(10.0))
    assert both.name == "lithium 48 V 2 A and a kettle"
    assert both.draw(Seconds(9.9), SETTLED, V, 0.0) == charger.draw(Seconds(9.9), SETTLED, V, 0.0)
    drawn = both.draw(Seconds(10.0), SETTLED, V, 0.0)
    assert drawn.current == pytest.approx(charger.draw(Seconds(10.0), SETTLED, V, 0.0).current + 8.0)
    assert drawn.phase is Phase.RUNNING


@pytest.mark.parametrize("seed", range(4))
def test_a_balancing_charger_pauses_and_tops_up_with_less_each_time(seed: int) -> None:
    steps = course(balancing(seed=seed), step=20.0, hours=12.0)
    phases = [phase for phase, _ in itertools.groupby(phase for _, phase in steps)]
    assert phases[:2] == [Phase.CHARGING, Phase.TAPERING]
    assert phases.count(Phase.RESTING) >= 2
    assert phases[-1] is Phase.DONE
    resting = [watts for watts, phase in steps if phase is Phase.RESTING]
    assert 1.0 <= min(resting) <= max(resting) <= 3.0
    peak = max(watts for watts, _ in steps)
    first_rest = next(index for index, (_, phase) in enumerate(steps) if phase is Phase.RESTING)
    tops = [watts for watts, phase in steps[first_rest:] if phase is Phase.TAPERING]
    assert tops == sorted(tops, reverse=True)
    assert tops[0] <= 0.2 * peak + 0.1


@pytest.mark.parametrize("idle", [0.0, 20.0])
def test_a_charger_ends_at_exactly_nothing_or_at_its_float(idle: float) -> None:
    load = ending_at(Watts(idle), seed=3)
    assert power(load, 10 * 3600.0) == idle
    assert load.draw(Seconds(36000.0), SETTLED, V, 2.0).power == idle, "no noise"
    assert power(load, 600.0) > 100


def test_a_second_charger_makes_the_power_jump_by_more_than_80_w() -> None:
    load = jumping(seed=1)
    before = [power(load, 60.0 * minute) for minute in range(35)]
    after = power(load, 2760.0)
    assert after - max(before) > 80.0
