"""What a session has drawn: sums that stay sums."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.core.metering.totals import Totals
from chargerd.core.units import Instant, Seconds, WattHours, Watts

BOUNDS = (Watts(150.0), Watts(600.0))
STEPS = st.lists(st.tuples(st.floats(0.001, 100.0), st.floats(-10.0, 2000.0)), min_size=1, max_size=30)


def charge(steps: list[tuple[float, float]], resolution: float = 1.0) -> tuple[Totals, float]:
    totals, now = Totals(BOUNDS, WattHours(resolution)), 0.0
    totals.register(WattHours(100.0), Instant(now))
    totals.close(Instant(now))
    for span, watts in steps:
        totals.hold(Watts(watts), Instant(now))
        now += span
    totals.open(Instant(now))
    return totals, now


@given(steps=STEPS)
def test_tiers_sum_to_the_totals_and_time_to_the_time(steps: list[tuple[float, float]]) -> None:
    totals, now = charge(steps)
    totals.register(WattHours(102.0), Instant(now))
    assert totals.charging == pytest.approx(now)
    assert sum(tier.charging for tier in totals.tiers()) == pytest.approx(totals.charging)
    assert sum(tier.energy for tier in totals.tiers()) == pytest.approx(totals.energy)
    assert 1.0 <= totals.energy <= 3.0, "within one step of the register"


@given(steps=STEPS, looks=st.lists(st.floats(0.0, 4000.0), max_size=5))
def test_looking_changes_nothing(steps: list[tuple[float, float]], looks: list[float]) -> None:
    totals, _ = charge(steps[:-1] or steps)
    totals.close(Instant(5000.0))
    before = (totals.charging, totals.energy, totals.tiers())
    for at in looks:
        seen = totals.as_of(Instant(5000.0 + at))
        assert seen.charging >= totals.charging
        assert sum(tier.charging for tier in seen.tiers()) == pytest.approx(seen.charging)
    assert (totals.charging, totals.energy, totals.tiers()) == before


def test_power_of_an_open_relay_counts_for_nothing() -> None:
    totals = Totals((), WattHours(1.0))
    totals.hold(Watts(500.0), Instant(0.0))
    totals.open(Instant(100.0))
    assert {totals.charging, totals.energy, totals.peak} == {0.0}
    assert totals.charged_for(Seconds(10.0)) is None


def test_an_instant_that_was_counted_is_not_counted_again() -> None:
    totals = Totals((), WattHours(1.0))
    totals.close(Instant(10.0))
    totals.hold(Watts(360.0), Instant(10.0))
    totals.advance(Instant(20.0))
    totals.advance(Instant(15.0))
    assert totals.charging == pytest.approx(10)
    assert totals.energy == pytest.approx(1)


def test_energy_without_any_power_seen_falls_into_the_lowest_tier() -> None:
    totals = Totals(BOUNDS, WattHours(1.0))
    totals.register(WattHours(100.0), Instant(0.0))
    totals.register(WattHours(110.0), Instant(60.0))
    assert [tier.energy for tier in totals.tiers()] == pytest.approx([9, 0, 0])


def test_a_register_that_goes_back_is_no_longer_trusted() -> None:
    totals, now = charge([(3600.0, 10.0)])
    totals.register(WattHours(110.0), Instant(now))
    totals.register(WattHours(3.0), Instant(now))
    assert totals.doubt == "register_went_back"
    assert totals.energy == pytest.approx(10, abs=1)
    totals.register(WattHours(2.0), Instant(now))
    assert totals.doubt == "register_went_back"


def test_one_wrong_register_does_not_become_the_bill() -> None:
    totals = Totals((), WattHours(10.0))
    totals.register(WattHours(12_000.0), Instant(0.0))
    totals.close(Instant(0.0))
    totals.hold(Watts(480.0), Instant(0.0))
    totals.register(WattHours(230_100.0), Instant(60.0))
    assert totals.energy == pytest.approx(8.0)
    assert totals.doubt == "register_jumped"
    assert totals.register_last == 12_000.0
    totals.register(WattHours(12_020.0), Instant(120.0))
    assert totals.energy == pytest.approx(16.0), "from now on the integral stands"
    assert totals.register_last == 12_020.0


def test_a_meter_replaced_behind_an_open_relay_is_not_believed() -> None:
    totals, now = charge([(3600.0, 100.0)])
    totals.register(WattHours(200.0), Instant(now))
    # Suspended for twenty minutes; the meter that speaks then has counted a little more than the old one.
    totals.register(WattHours(700.0), Instant(now + 1200.0))
    assert totals.doubt == "register_jumped"
    assert totals.energy == pytest.approx(100.0, abs=1)


def test_what_a_relay_let_through_before_it_was_seen_to_be_open_is_believed() -> None:
    totals, now = charge([(3600.0, 100.0)])
    totals.register(WattHours(200.0), Instant(now))
    totals.register(WattHours(230.0), Instant(now + 1200.0))
    assert totals.doubt is None
    assert totals.energy == pytest.approx(130.0, abs=1)


def test_what_flows_through_a_relay_that_does_not_open_is_what_the_register_says() -> None:
    for watts, doubt in ((400.0, None), (2.0, "register_jumped")):
        totals, now = charge([(3600.0, 100.0)])
        totals.register(WattHours(200.0), Instant(now))
        for second in (10.0, 40.0):
            totals.see_open(Watts(watts), Instant(now + second))
        totals.register(WattHours(333.0), Instant(now + 1200.0))
        assert totals.doubt == doubt
        assert totals.energy == pytest.approx(100.0 if doubt else 233.0, abs=1)


def test_a_reading_that_lags_behind_an_opening_shows_no_flow() -> None:
    totals, now = charge([(3600.0, 100.0)])
    totals.register(WattHours(200.0), Instant(now))
    totals.close(Instant(now))
    totals.see_open(Watts(400.0), Instant(now + 40.0))
    totals.open(Instant(now + 40.0))
    totals.see_open(Watts(400.0), Instant(now + 60.0))
    totals.register(WattHours(700.0), Instant(now + 1200.0))
    assert totals.doubt == "register_jumped"


def test_the_peak_of_the_first_five_minutes_is_kept() -> None:
    totals, _ = charge([(200.0, 300.0), (200.0, 400.0), (10.0, 900.0)])
    assert totals.peak == pytest.approx(900)
    assert totals.peak_first_5_min == pytest.approx(400)


def test_the_first_power_holds_back_to_the_closing() -> None:
    totals = Totals(BOUNDS, WattHours(1.0))
    totals.close(Instant(0.0))
    totals.advance(Instant(1.5))
    totals.hold(Watts(360.0), Instant(2.0))
    totals.open(Instant(10.0))
    assert totals.energy == pytest.approx(1.0), "10 s of 360 W"
    assert [tier.charging for tier in totals.tiers()] == pytest.approx([0.0, 10.0, 0.0])
    totals.close(Instant(100.0))
    totals.open(Instant(103.0))
    assert totals.energy == pytest.approx(1.0), "what nobody has read, the register alone knows"
    assert totals.charging == pytest.approx(13.0)


def test_a_value_from_before_the_closing_is_no_reading_of_it() -> None:
    for first, drawn in ((0.5, 1.0), (1.0, 0.8)):
        totals = Totals((), WattHours(1.0), Seconds(1.0))
        totals.close(Instant(0.0))
        totals.hold(Watts(1.0), Instant(first))
        totals.hold(Watts(360.0), Instant(2.0))
        totals.open(Instant(10.0))
        assert totals.energy == pytest.approx(drawn, abs=0.01)


def test_a_load_that_shows_at_once_is_believed_at_once() -> None:
    totals = Totals((), WattHours(1.0), Seconds(1.0))
    totals.close(Instant(0.0))
    totals.hold(Watts(360.0), Instant(0.5))
    totals.hold(Watts(0.0), Instant(2.0))
    totals.open(Instant(10.0))
    assert totals.energy == pytest.approx(0.2)
