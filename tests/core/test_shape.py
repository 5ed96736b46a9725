"""The end of a charge by its shape: each rule at its edge, and each rule bent."""

# ruff: noqa: E501 - quoted source keeps its length

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.core.metering.shape import End, Shape
from chargerd.core.plan import ChargeEnd
from chargerd.core.session import StopReason
from chargerd.core.units import Instant, Seconds, Watts
from tests.core.bend import Bend
from tests.core.bending import notices
from tests.sampling import sampled

MINUTE = 60.0


class Reel:
    """Plays powers to a shape, one reading each `every` seconds, until it says the charge is over."""

    def __init__(self, every: float = 2.0, step: float = 0.0, **plan: float) -> None:
        self.shape = Shape(ChargeEnd(**{key: Seconds(value) for key, value in plan.items()}), Watts(step))  # type: ignore[arg-type]  # all are floats
        self.every = every
        self.now = 0.0

    def play(self, watts: float, seconds: float) -> End | None:
        """Hold a power for so long."""
        until = self.now + seconds
        while self.now < until and self.shape.end is None:
            self.now += self.every
            self.shape.take_in(Watts(watts), Instant(self.now))
        return self.shape.end

    def fall(self, first: float, last: float, seconds: float) -> End | None:
        """Fall in a straight line."""
        steps = 60
        for step in range(steps):
            self.play(first + (last - first) * step / (steps - 1), seconds / steps)
        return self.shape.end

    def taper(self, first: float, last: float, time_constant: float) -> End | None:
        """Fall exponentially."""
        began = self.now
        while (watts := first * exp((began - self.now) / time_constant)) > last and self.shape.end is None:
            self.play(watts, 10)
        return self.shape.end

    def lapse(self, seconds: float) -> None:
        """See nothing for so long."""
        self.now += seconds


def reason(end: End | None) -> str | None:
    """Return the reason's name."""
    return None if end is None else end.reason.value


def test_a_plug_pulled_on_the_plateau_is_noticed_after_five_minutes() -> None:
    reel = Reel()
    reel.play(200, 30 * MINUTE)
    began = reel.now
    assert reel.play(0.7, 298) is None
    end = reel.play(0.7, 10)
    assert reason(end) == "unplugged"
    assert reel.now - began == pytest.approx(300, abs=4)


def test_a_step_from_just_half_of_the_peak_is_a_pulled_plug_and_from_below_it_an_end() -> None:
    for share, says in ((0.51, "unplugged"), (0.49, "full"), (0.2, "full")):
        reel = Reel()
        reel.play(200, 30 * MINUTE)
        reel.play(200 * share, 10 * MINUTE)
        assert reason(reel.play(0.5, 400)) == says, share


def test_how_sure_it_is_follows_from_where_it_fell_from() -> None:
    said = {}
    for share in (1.0, 0.6, 0.4, 0.2):
        reel = Reel()
        reel.play(200, 30 * MINUTE)
        reel.fall(200, 200 * share, 30 * MINUTE)
        reel.play(200 * share, 5 * MINUTE)
        end = reel.play(0.5, 400)
        assert end is not None
        said[share] = end.confidence
    assert said[1.0] > said[0.6], "a taper had begun"
    assert said[0.4] == said[0.2] < 0.9, "the charger's own end, or a plug pulled late"


def test_a_two_battery_charger_rests_for_a_minute_and_goes_on() -> None:
    reel = Reel()
    for _ in range(5):
        reel.play(212, 20 * MINUTE)
        assert reel.play(1.0, 60) is None
        assert reel.play(190, 20 * MINUTE) is None


def test_an_empty_socket_may_flicker_to_two_watts_one_time_in_twenty() -> None:
    for one_in, ends in ((25, True), (15, False)):
        reel = Reel()
        reel.play(200, 30 * MINUTE)
        for reading in range(200):
            reel.play(2.0 if reading % one_in == 7 else 0.6, reel.every)
        assert (reel.shape.end is not None) is ends, one_in


def test_what_shows_more_than_five_watts_is_not_an_empty_socket() -> None:
    reel = Reel()
    reel.play(200, 30 * MINUTE)
    reel.play(0.5, 4 * MINUTE)
    assert reel.play(5.1, 2) is None
    assert reel.play(0.5, 4 * MINUTE) is None
    assert reason(reel.play(0.5, 70)) == "unplugged", "what it fell from is remembered over a flicker"


def test_a_gap_in_the_readings_is_evidence_of_nothing() -> None:
    for gap, more in ((61, 90), (118, 90), (121, 290)):
        reel = Reel()
        reel.play(200, 30 * MINUTE)
        reel.play(0.5, 200)
        reel.lapse(gap)
        assert reel.play(0.5, more) is None
        assert reel.play(0.5, 20) is not None, "what was seen before a short gap counts, the gap does not"


def test_an_opened_relay_is_evidence_of_nothing() -> None:
    reel = Reel()
    reel.play(200, 30 * MINUTE)
    reel.play(0.5, 200)
    reel.shape.interrupt()
    reel.lapse(50)
    assert reel.play(0.5, 90) is None
    assert reel.play(0.5, 20) is not None
    longer = Reel()
    longer.play(200, 30 * MINUTE)
    longer.play(0.5, 200)
    longer.shape.interrupt()
    longer.lapse(150)
    assert longer.play(0.5, 290) is None


def test_a_plug_pulled_while_nobody_looked_was_pulled_all_the_same() -> None:
    reel = Reel()
    reel.play(200, 30 * MINUTE)
    reel.shape.interrupt()
    reel.lapse(30)
    assert reason(reel.play(0.5, 320)) == "unplugged"


def test_a_tapered_charge_is_full_after_forty_five_minutes_of_rest() -> None:
    reel = Reel()
    reel.play(150, 60 * MINUTE)
    reel.taper(150, 4, 30 * MINUTE)
    began = reel.now
    end = reel.play(4, 60 * MINUTE)
    assert reason(end) == "full"
    assert end is not None
    assert end.confidence == pytest.approx(0.9)
    assert 20 * MINUTE < reel.now - began <= 45 * MINUTE


def test_a_charge_that_rests_higher_up_is_full_with_less_confidence() -> None:
    reel = Reel()
    reel.play(150, 60 * MINUTE)
    reel.taper(150, 12, 30 * MINUTE)
    end = reel.play(12, 60 * MINUTE)
    assert reason(end) == "full"
    assert end is not None
    assert end.confidence < 0.9, "the plug of the battery may have been pulled just then"


def tapering(reel: Reel, time_constant: float) -> float:
    """Charge for an hour and taper exponentially until it is over; return the share of its energy it got."""
    reel.play(150, 60 * MINUTE)
    began = reel.now
    reel.taper(150, 0.1, time_constant)
    left = time_constant * exp((began - reel.now) / time_constant)
    return 1 - left / (3600 + time_constant)


@pytest.mark.long
def test_a_taper_that_still_falls_is_waited_for() -> None:
    for hours in (0.5, 1.0, 2.0, 3.0):
        reel = Reel(every=5.0)
        assert tapering(reel, hours * 3600) >= 0.99, hours
        assert reason(reel.shape.end) == "full"


def test_a_drift_is_no_taper_and_a_fall_that_is_over_is_none() -> None:
    drifting = Reel()
    drifting.play(150, 60 * MINUTE)
    drifting.fall(150, 20, 60 * MINUTE)
    began = drifting.now
    drifting.fall(20, 18.5, 60 * MINUTE)
    assert drifting.now - began <= 45 * MINUTE
    fallen = Reel()
    fallen.play(150, 60 * MINUTE)
    fallen.taper(150, 9, 15 * MINUTE)
    began = fallen.now
    fallen.play(9, 5 * MINUTE)
    fallen.play(7.5, 60 * MINUTE)
    assert fallen.now - began <= 41 * MINUTE


def test_the_time_of_a_tail_pauses_over_a_gap_of_seconds() -> None:
    for gap, over in ((70, True), (130, False)):
        reel = Reel()
        reel.play(150, 60 * MINUTE)
        reel.taper(150, 4, 30 * MINUTE)
        reel.play(4, 18 * MINUTE)
        reel.shape.interrupt()
        reel.lapse(gap)
        assert (reel.play(4, 15 * MINUTE) is not None) is over, gap


def test_low_is_under_a_third_of_the_peak_for_a_small_charger() -> None:
    reel = Reel()
    reel.play(40, 60 * MINUTE)
    assert reel.play(20, 120 * MINUTE) is None, "half of what it draws at most"
    reel.fall(20, 10, 10 * MINUTE)
    assert reason(reel.play(10, 60 * MINUTE)) == "full"


def test_a_taper_that_recovers_is_no_end() -> None:
    reel = Reel()
    reel.play(180, 60 * MINUTE)
    reel.fall(180, 20, 60 * MINUTE)
    reel.play(20, 35 * MINUTE)
    assert reel.play(170, 5 * MINUTE) is None
    reel.fall(170, 20, 60 * MINUTE)
    assert reel.play(20, 40 * MINUTE) is None, "the time runs anew"
    assert reason(reel.play(20, 8 * MINUTE)) == "full"


def test_a_load_that_comes_back_above_the_threshold_by_little_is_no_end_either() -> None:
    reel = Reel()
    reel.play(180, 60 * MINUTE)
    reel.fall(180, 22, 60 * MINUTE)
    reel.play(22, 35 * MINUTE)
    reel.play(27, 5 * MINUTE)
    assert reel.play(22, 40 * MINUTE) is None


def test_a_movement_of_more_than_six_watts_starts_the_time_anew() -> None:
    for move, says in ((5.0, "full"), (7.0, None), (-5.0, "full"), (-7.0, None)):
        reel = Reel()
        reel.play(180, 60 * MINUTE)
        reel.play(60, 10 * MINUTE)
        reel.play(9, 40 * MINUTE)
        reel.play(9 + move, 3 * MINUTE)
        assert reason(reel.play(9 if move > 0 else 9 + move, 4 * MINUTE)) == says, move


def test_a_watt_of_crosstalk_at_the_edge_of_six_restarts_nothing() -> None:
    for crosstalk, over in ((1.0, True), (4.0, False)):
        reel = Reel()
        reel.play(180, 60 * MINUTE)
        reel.taper(180, 20.5, 30 * MINUTE)
        reel.play(19.1, 35 * MINUTE)
        assert (reel.play(19.1 - crosstalk, 14 * MINUTE) is not None) is over, crosstalk


def test_what_falls_through_the_edge_of_six_watts_was_not_at_rest_before() -> None:
    reel = Reel()
    reel.play(180, 60 * MINUTE)
    reel.taper(180, 6.5, 60 * MINUTE)
    assert reel.play(6.3, 35 * MINUTE) is None
    assert reason(reel.play(6.3, 10 * MINUTE)) == "full"


def test_a_fall_that_pauses_for_less_than_a_minute_is_timed_from_its_bottom() -> None:
    reel = Reel()
    reel.play(180, 60 * MINUTE)
    reel.play(24, 50)
    began = reel.now
    assert reason(reel.play(14, 12 * MINUTE)) == "unplugged"
    assert reel.now - began == pytest.approx(10 * MINUTE, abs=10)


def test_a_small_step_to_under_half_is_an_end_and_no_taper_goes_on_there() -> None:
    for level, last, over in ((6.0, 2.0, True), (6.0, 3.5, False)):
        reel = Reel()
        reel.play(100, 30 * MINUTE)
        reel.taper(100, level, 30 * MINUTE)
        reel.play(last + 0.8, 18 * MINUTE)
        reel.play(last + 0.4, 14 * MINUTE)
        assert (reel.play(last, 14 * MINUTE) is not None) is over, last


def test_a_full_port_stays_on_for_as_long_as_asked() -> None:
    tapered = Reel(float_for=1800.0)
    tapered.play(150, 60 * MINUTE)
    tapered.fall(150, 12, 60 * MINUTE)
    assert tapered.play(12, 55 * MINUTE) is None
    assert reason(tapered.play(12, 30 * MINUTE)) == "full"
    stepped = Reel(float_for=1800.0)
    stepped.play(150, 60 * MINUTE)
    stepped.play(30, 10 * MINUTE)
    assert stepped.play(0.5, 30 * MINUTE) is None
    assert reason(stepped.play(0.5, 10 * MINUTE)) == "full"


def test_a_charger_left_alone_after_its_battery_was_taken_is_noticed_in_minutes() -> None:
    for idle in (2.5, 6.0, 10.0, 15.0):
        reel = Reel()
        reel.play(200, 30 * MINUTE)
        began = reel.now
        end = reel.play(idle, 20 * MINUTE)
        assert reason(end) == "unplugged"
        assert end is not None
        assert end.function == "charger_idle"
        assert end.confidence <= 0.7, "a charger that ends on its plateau leaves the same shape"
        assert reel.now - began == pytest.approx(10 * MINUTE, abs=10)


def test_a_low_level_that_is_a_good_share_of_the_peak_is_watched_for_longer() -> None:
    reel = Reel()
    reel.play(60, 60 * MINUTE)
    assert reel.play(14, 19 * MINUTE) is None
    assert reel.play(60, 30 * MINUTE) is None, "it was a pause"
    assert reason(reel.play(14, 21 * MINUTE)) == "unplugged"


def test_a_step_to_more_than_a_charger_idles_at_takes_forty_five_minutes_to_name() -> None:
    reel = Reel()
    reel.play(200, 60 * MINUTE)
    assert reel.play(17, 44 * MINUTE) is None
    assert reason(reel.play(17, 2 * MINUTE)) == "unplugged"


def test_a_charger_taken_after_its_battery_was_pulled_from_the_plateau_not_from_its_idle() -> None:
    reel = Reel()
    reel.play(200, 30 * MINUTE)
    reel.play(12, 6 * MINUTE)
    end = reel.play(0.5, 6 * MINUTE)
    assert reason(end) == "unplugged"
    assert end is not None
    assert end.function == "unplugged"
    assert reel.shape.lately == pytest.approx(200), "what an outage takes along"


def test_what_draws_again_after_a_step_has_its_battery() -> None:
    reel = Reel()
    reel.play(200, 30 * MINUTE)
    reel.play(3, 8 * MINUTE)
    reel.play(14, 3 * MINUTE)
    assert reel.play(3, 40 * MINUTE) is None
    end = reel.play(3, 10 * MINUTE)
    assert reason(end) == "full"
    assert end is not None
    assert end.confidence > 0.9, "it was topped up"


def test_a_full_battery_that_is_topped_up_is_surely_one_and_a_pause_is_no_rest() -> None:
    for rest, tops, sure in ((20, 60, 0.95), (1, 60, 0.7), (20, 110, 0.7)):
        reel = Reel()
        reel.play(200, 30 * MINUTE)
        reel.play(80, 10 * MINUTE)
        reel.play(3, rest * MINUTE)
        reel.play(tops, 4 * MINUTE)
        reel.play(80, 2 * MINUTE)
        end = reel.play(3, 50 * MINUTE)
        assert reason(end) == "full"
        assert end is not None
        assert end.confidence == sure, (rest, tops)


def test_a_socket_too_restless_to_be_surely_empty_is_told_of_all_the_same() -> None:
    reel = Reel()
    reel.play(200, 30 * MINUTE)
    for _ in range(60):
        reel.play(0.5, 5)
        reel.play(2.5, 5)
    end = reel.play(0.5, 10)
    assert reason(end) == "unplugged"
    assert end is not None
    assert end.function == "unplugged"


def test_thresholds_know_the_step_of_the_meter() -> None:
    for step, noticed in ((1.0, True), (0.1, False)):
        reel = Reel(step=step)
        reel.play(200, 30 * MINUTE)
        for _ in range(39):  # A watt of crosstalk, in steps of a watt.
            reel.play(2.0, 4)
            reel.play(1.0, 4)
        assert (reel.shape.end is not None) is noticed, step
    coarse = Reel(step=8.0)
    coarse.play(180, 60 * MINUTE)
    coarse.play(60, 10 * MINUTE)
    for _ in range(20):
        coarse.play(8, 70)
        coarse.play(16, 70)
    assert reason(coarse.shape.end) == "full", "between two steps is no movement"


def test_what_never_reached_25_watts_is_over_after_two_hours_with_little_confidence() -> None:
    reel = Reel()
    assert reel.play(15.5, 119 * MINUTE) is None
    end = reel.play(15.5, 2 * MINUTE)
    assert end is not None
    assert end.reason is StopReason.FULL
    assert end.confidence < 0.5


def test_a_deeply_discharged_pack_has_time_to_wake_up() -> None:
    reel = Reel()
    reel.play(15, 110 * MINUTE)
    assert reel.play(200, 180 * MINUTE) is None


def test_one_high_reading_is_no_peak() -> None:
    reel = Reel()
    reel.play(100, 30 * MINUTE)
    reel.play(900, 2)
    reel.play(100, 30 * MINUTE)
    assert reel.shape.peak == pytest.approx(100)
    assert reason(reel.play(0.5, 400)) == "unplugged"


def test_a_plateau_is_what_was_held() -> None:
    reel = Reel()
    assert reel.play(100, 18) is None
    assert reel.shape.plateau is None, "not seen for long enough"
    reel.play(100, 120)
    assert reel.shape.plateau == pytest.approx(100)
    for watts in range(100, 200, 4):
        reel.play(watts, 4)
    assert reel.shape.plateau == pytest.approx(120, abs=20), "still rising"
    reel.play(200, 120)
    assert reel.shape.plateau == pytest.approx(200)
    reel.play(50, 300)
    assert reel.shape.plateau == pytest.approx(200), "the highest"


@pytest.mark.parametrize("every", [0.5, 1.0, 5.0, 20.0])
def test_slow_and_fast_meters_say_the_same(every: float) -> None:
    reel = Reel(every=every)
    reel.play(200, 60 * MINUTE)
    assert reason(reel.play(0.5, 400)) == "unplugged"
    reel = Reel(every=every)
    reel.play(200, 60 * MINUTE)
    reel.fall(200, 10, 60 * MINUTE)
    assert reason(reel.play(10, 60 * MINUTE)) == "full"


@pytest.mark.long
@given(
    powers=st.lists(st.floats(0.81, 1.0), min_size=10, max_size=200),
    peak=st.floats(30, 900),
    rests=st.sets(st.integers(0, 199), max_size=4),
)
def test_no_load_on_its_plateau_is_ever_over(powers: list[float], peak: float, rests: set[int]) -> None:
    reel = Reel()
    for place, share in enumerate(powers):
        assert reel.play(peak * share, 2 * MINUTE) is None
        if place in rests:
            assert reel.play(1.0, 60) is None


BENT = (
    ("metering.shape", "STEP_SHARE = 0.5", "STEP_SHARE = 0.6", test_a_step_from_just_half_of_the_peak_is_a_pulled_plug_and_from_below_it_an_end),
    ("metering.shape", "STEP_SHARE = 0.5", "STEP_SHARE = 0.4", test_a_step_from_just_half_of_the_peak_is_a_pulled_plug_and_from_below_it_an_end),
    ("metering.shape", "fall.covered < plan.unplugged_after or", "fall.covered < 30 or", test_a_two_battery_charger_rests_for_a_minute_and_goes_on),
    ("metering.shape", "QUIET_SHARE = 0.95", "QUIET_SHARE = 0.9", test_an_empty_socket_may_flicker_to_two_watts_one_time_in_twenty),
    ("metering.shape", "QUIET_SHARE = 0.95", "QUIET_SHARE = 1.0", test_an_empty_socket_may_flicker_to_two_watts_one_time_in_twenty),
    ("metering.shape", "RESTLESS = Watts(5.0)", "RESTLESS = Watts(6.0)", test_what_shows_more_than_five_watts_is_not_an_empty_socket),
    ("metering.shape", "return level if level > self._restless else self._before", "return level", test_a_plug_pulled_while_nobody_looked_was_pulled_all_the_same),
    ("metering.shape", "LONGEST_PAUSE = Seconds(120.0)", "LONGEST_PAUSE = Seconds(200.0)", test_a_gap_in_the_readings_is_evidence_of_nothing),
    ("metering.shape", "LONGEST_PAUSE = Seconds(120.0)", "LONGEST_PAUSE = Seconds(60.0)", test_the_time_of_a_tail_pauses_over_a_gap_of_seconds),
    ("metering.shape", "gap, self._interrupted = Seconds(0.0), False", "self._interrupted = False", test_an_opened_relay_is_evidence_of_nothing),
    ("metering.shape", "        self._before = self.lately  # Who", "        # Who", test_a_plug_pulled_while_nobody_looked_was_pulled_all_the_same),
    ("metering.shape", "LOW_SHARE = 0.35", "LOW_SHARE = 0.55", test_low_is_under_a_third_of_the_peak_for_a_small_charger),
    ("metering.shape", "            self._tail = None\n            return", "            return", test_a_load_that_comes_back_above_the_threshold_by_little_is_no_end_either),
    ("metering.shape", "            return self._tail.before\n", "            pass\n", test_a_charger_taken_after_its_battery_was_pulled_from_the_plateau_not_from_its_idle),
    ("metering.shape", "IDLE_SPANS, DOUBTFUL_SPANS = 2, 4", "IDLE_SPANS, DOUBTFUL_SPANS = 4, 4", test_a_charger_left_alone_after_its_battery_was_taken_is_noticed_in_minutes),
    ("metering.shape", "IDLE_SPANS, DOUBTFUL_SPANS = 2, 4", "IDLE_SPANS, DOUBTFUL_SPANS = 2, 2", test_a_low_level_that_is_a_good_share_of_the_peak_is_watched_for_longer),
    ("metering.shape", "IDLE_MOST = Watts(15.0)", "IDLE_MOST = Watts(20.0)", test_a_step_to_more_than_a_charger_idles_at_takes_forty_five_minutes_to_name),
    ("metering.shape", "if tail.level < self._empty_below:", "if False:", test_a_socket_too_restless_to_be_surely_empty_is_told_of_all_the_same),
    ("metering.shape", "tail.smooth and tail.level <= self._restless", "tail.smooth", test_a_charge_that_rests_higher_up_is_full_with_less_confidence),
    ("metering.shape", "max(plan.unplugged_below, CROSSTALK + step)", "plan.unplugged_below", test_thresholds_know_the_step_of_the_meter),
    ("metering.shape", "plan.full_after + plan.float_for", "plan.full_after", test_a_full_port_stays_on_for_as_long_as_asked),
    ("metering.shape", "plan.unplugged_after + plan.float_for", "plan.unplugged_after", test_a_full_port_stays_on_for_as_long_as_asked),
    ("metering.shape", "if self.peak >= plan.full_below:\n            return None", "if False:\n            return None", test_a_deeply_discharged_pack_has_time_to_wake_up),
    ("metering.shape", "FLAT_AFTER = Seconds(7200.0)", "FLAT_AFTER = Seconds(3600.0)", test_what_never_reached_25_watts_is_over_after_two_hours_with_little_confidence),
    ("metering.shape", "self.peak = max(self.peak, level)", "self.peak = max(self.peak, watts)", test_one_high_reading_is_no_peak),
    ("metering.shape", " or tail.unfinished(self._drawn)", "", test_a_taper_that_still_falls_is_waited_for),
    ("metering.tail", "MOVE = Watts(6.0)", "MOVE = Watts(8.0)", test_a_movement_of_more_than_six_watts_starts_the_time_anew),
    ("metering.tail", "MOVE = Watts(6.0)", "MOVE = Watts(4.0)", test_a_movement_of_more_than_six_watts_starts_the_time_anew),
    ("metering.tail", "abs(level - self._anchor)", "level - self._anchor", test_a_movement_of_more_than_six_watts_starts_the_time_anew),
    ("metering.tail", "max(MOVE, COARSE * step)", "MOVE", test_thresholds_know_the_step_of_the_meter),
    ("metering.tail", "self.before, self.smooth, self._stopped = self._anchor, False, False", "pass", test_what_draws_again_after_a_step_has_its_battery),
    ("metering.tail", "RESTED = Seconds(300.0)", "RESTED = Seconds(30.0)", test_a_full_battery_that_is_topped_up_is_surely_one_and_a_pause_is_no_rest),
    ("metering.shape", "self._topped and level < STEP_SHARE * self.peak", "self._topped", test_a_full_battery_that_is_topped_up_is_surely_one_and_a_pause_is_no_rest),
    ("metering.tail", "SLOWEST = Seconds(21600.0)", "SLOWEST = Seconds(216000.0)", test_a_drift_is_no_taper_and_a_fall_that_is_over_is_none),
    ("metering.tail", "max(rested, self._still(level))", "rested", test_a_watt_of_crosstalk_at_the_edge_of_six_restarts_nothing),
    ("metering.tail", "CROSSTALK = Watts(1.5)", "CROSSTALK = Watts(0.4)", test_a_watt_of_crosstalk_at_the_edge_of_six_restarts_nothing),
    ("metering.tail", "lasted if level * lasted >= SLOWEST * (highest - lowest) else Seconds(0.0)", "lasted", test_what_falls_through_the_edge_of_six_watts_was_not_at_rest_before),
    ("metering.tail", "self._stopped or halved or", "self._stopped or", test_a_small_step_to_under_half_is_an_end_and_no_taper_goes_on_there),
    ("metering.tail", "HALVED = 0.5", "HALVED = 0.9", test_a_small_step_to_under_half_is_an_end_and_no_taper_goes_on_there),
    ("metering.tail", "LASTING = 0.3", "LASTING = 0.0", test_a_drift_is_no_taper_and_a_fall_that_is_over_is_none),
)  # fmt: skip


SHAPE_BENDS = tuple(
    Bend(module, old, new, f"core.test_shape:{scenario.__name__}") for module, old, new, scenario in BENT
)


MINE: list[Bend] = sampled(SHAPE_BENDS, lambda bend: bend.new, 4)


@pytest.mark.long
@pytest.mark.parametrize("bend", MINE, ids=lambda bend: bend.new)
def test_each_rule_matters(bend: Bend) -> None:
    assert notices(bend), "nobody noticed"
