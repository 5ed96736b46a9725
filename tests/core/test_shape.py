"""The end of a charge by its shape: each rule at its edge, and each rule bent."""

# ruff: noqa: E501 - quoted source keeps its length

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.core.plan import ChargeEnd
from chargerd.core.session import StopReason
from chargerd.core.shape import End, Shape
from chargerd.core.units import Instant, Seconds, Watts
from tests.core.bend import Bend
from tests.core.bends import bent, play

MINUTE = 60.0


class Reel:
    """Plays powers to a shape, one reading each `every` seconds, until it says the charge is over."""

    def __init__(self, every: float = 2.0, **plan: float) -> None:
        self.shape = Shape(ChargeEnd(**{key: Seconds(value) for key, value in plan.items()}))  # type: ignore[arg-type]  # all are floats
        self.every = every
        self.now = 0.0

    def play(self, watts: float, seconds: float) -> End | None:
        """Hold a power for so long."""
        until = self.now + seconds
        while self.now < until and self.shape.end is None:
            self.now += self.every
            self.shape.note(Watts(watts), Instant(self.now))
        return self.shape.end

    def fall(self, first: float, last: float, seconds: float) -> End | None:
        """Fall in a straight line."""
        steps = 60
        for step in range(steps):
            self.play(first + (last - first) * step / (steps - 1), seconds / steps)
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
    assert said[0.2] > said[1.0] > said[0.6]
    assert said[0.2] > said[0.4]


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
    for _ in range(10):
        reel.play(0.5, 4 * MINUTE)
        assert reel.play(5.1, 2) is None
    assert reason(reel.play(0.5, 400)) == "unplugged", "what it fell from is remembered over a flicker"


def test_a_gap_in_the_readings_is_evidence_of_nothing() -> None:
    reel = Reel()
    reel.play(200, 30 * MINUTE)
    reel.play(0.5, 200)
    reel.lapse(61)
    assert reel.play(0.5, 298) is None
    assert reel.play(0.5, 10) is not None, "after a gap it counts anew"


def test_an_opened_relay_is_evidence_of_nothing() -> None:
    reel = Reel()
    reel.play(200, 30 * MINUTE)
    reel.play(0.5, 200)
    reel.shape.interrupt()
    assert reel.play(0.5, 250) is None


def test_a_plug_pulled_while_nobody_looked_was_pulled_all_the_same() -> None:
    reel = Reel()
    reel.play(200, 30 * MINUTE)
    reel.shape.interrupt()
    reel.lapse(30)
    assert reason(reel.play(0.5, 320)) == "unplugged"


def test_a_tapered_charge_is_full_after_forty_five_minutes() -> None:
    reel = Reel()
    reel.play(150, 60 * MINUTE)
    reel.fall(150, 12, 60 * MINUTE)
    began = reel.now
    end = reel.play(12, 60 * MINUTE)
    assert reason(end) == "full"
    assert end is not None
    assert end.confidence > 0.9
    assert 30 * MINUTE < reel.now - began < 45 * MINUTE, "it was under 25 W before it came to rest"


def test_low_is_under_a_third_of_the_peak_for_a_small_charger() -> None:
    reel = Reel()
    reel.play(40, 60 * MINUTE)
    assert reel.play(20, 120 * MINUTE) is None, "half of what it draws at most"
    reel.fall(20, 10, 10 * MINUTE)
    assert reason(reel.play(10, 60 * MINUTE)) == "full"


def test_a_taper_that_recovers_is_no_end() -> None:
    reel = Reel()
    reel.play(180, 60 * MINUTE)
    reel.play(20, 40 * MINUTE)
    assert reel.play(170, 5 * MINUTE) is None
    assert reel.play(20, 40 * MINUTE) is None, "the time runs anew"
    assert reason(reel.play(20, 8 * MINUTE)) == "full"


def test_a_load_that_comes_back_above_the_threshold_by_little_is_no_end_either() -> None:
    reel = Reel()
    reel.play(180, 60 * MINUTE)
    reel.play(22, 40 * MINUTE)
    reel.play(27, 5 * MINUTE)
    assert reel.play(22, 40 * MINUTE) is None


def test_a_rise_of_more_than_six_watts_starts_the_time_anew() -> None:
    for rise, says in ((5.0, "full"), (7.0, None)):
        reel = Reel()
        reel.play(180, 60 * MINUTE)
        reel.play(8, 40 * MINUTE)
        reel.play(8 + rise, 4 * MINUTE)
        assert reason(reel.play(8, 4 * MINUTE)) == says, rise


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


def test_a_step_to_a_restless_idle_is_a_pulled_plug_with_little_confidence() -> None:
    reel = Reel()
    reel.play(200, 60 * MINUTE)
    assert reel.play(3.0, 40 * MINUTE) is None
    end = reel.play(3.0, 10 * MINUTE)
    assert reason(end) == "unplugged"
    assert end is not None
    assert end.confidence < 0.5


def test_a_step_from_the_plateau_to_ten_watts_is_full() -> None:
    reel = Reel()
    reel.play(200, 60 * MINUTE)
    end = reel.play(10, 50 * MINUTE)
    assert reason(end) == "full"
    assert end is not None
    assert end.confidence < 0.9, "no taper was seen"


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
    ("STEP_SHARE = 0.5", "STEP_SHARE = 0.6", test_a_step_from_just_half_of_the_peak_is_a_pulled_plug_and_from_below_it_an_end),
    ("STEP_SHARE = 0.5", "STEP_SHARE = 0.4", test_a_step_from_just_half_of_the_peak_is_a_pulled_plug_and_from_below_it_an_end),
    ("fall.covered < plan.unplugged_after or", "fall.covered < 30 or", test_a_two_battery_charger_rests_for_a_minute_and_goes_on),
    ("QUIET_SHARE = 0.95", "QUIET_SHARE = 0.9", test_an_empty_socket_may_flicker_to_two_watts_one_time_in_twenty),
    ("QUIET_SHARE = 0.95", "QUIET_SHARE = 1.0", test_an_empty_socket_may_flicker_to_two_watts_one_time_in_twenty),
    ("RESTLESS = Watts(5.0)", "RESTLESS = Watts(6.0)", test_what_shows_more_than_five_watts_is_not_an_empty_socket),
    ("return level if level > RESTLESS else self._before", "return level", test_what_shows_more_than_five_watts_is_not_an_empty_socket),
    ("LONGEST_GAP = Seconds(60.0)", "LONGEST_GAP = Seconds(90.0)", test_a_gap_in_the_readings_is_evidence_of_nothing),
    ("self._last = self._fall = self._low_from = None", "self._last = self._low_from = None", test_an_opened_relay_is_evidence_of_nothing),
    ("        self._before = self.lately  # Who", "        # Who", test_a_plug_pulled_while_nobody_looked_was_pulled_all_the_same),
    ("LOW_SHARE = 0.35", "LOW_SHARE = 0.55", test_low_is_under_a_third_of_the_peak_for_a_small_charger),
    ("            self._low_from = None\n            return", "            return", test_a_load_that_comes_back_above_the_threshold_by_little_is_no_end_either),
    ("RISE = Watts(6.0)", "RISE = Watts(8.0)", test_a_rise_of_more_than_six_watts_starts_the_time_anew),
    ("RISE = Watts(6.0)", "RISE = Watts(4.0)", test_a_rise_of_more_than_six_watts_starts_the_time_anew),
    ("plan.full_after + plan.float_for", "plan.full_after", test_a_full_port_stays_on_for_as_long_as_asked),
    ("plan.unplugged_after + plan.float_for", "plan.unplugged_after", test_a_full_port_stays_on_for_as_long_as_asked),
    ("if self.peak >= plan.full_below:\n            return None", "if False:\n            return None", test_a_deeply_discharged_pack_has_time_to_wake_up),
    ("FLAT_AFTER = Seconds(7200.0)", "FLAT_AFTER = Seconds(3600.0)", test_what_never_reached_25_watts_is_over_after_two_hours_with_little_confidence),
    ("self.peak = max(self.peak, level)", "self.peak = max(self.peak, watts)", test_one_high_reading_is_no_peak),
)  # fmt: skip


@pytest.mark.parametrize(("old", "new", "scenario"), BENT)
def test_each_rule_matters(old: str, new: str, scenario: object) -> None:
    bend = Bend("shape", old, new, f"core.test_shape:{scenario.__name__}")  # type: ignore[attr-defined]  # a function
    with bent(bend), pytest.raises(AssertionError):
        play(bend)
