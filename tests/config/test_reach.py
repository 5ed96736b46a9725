"""Limits whose thresholds no meter of the site can show."""

import pytest

from chargerd.config.profiles.register_map import Number, Register
from tests.config.sites import BASE, changed, site
from tests.config.test_contradictions import refused
from tests.config.test_notes import notes

SHUNT = BASE.replace("profile: pzem-016}", "profile: pzem-004t-10a}")
"""B01 has a meter of 10 A and 2300 W."""
LIMITS = "limits: {power_w: 400}"


def with_limits(new: str) -> str:
    assert SHUNT != BASE
    return SHUNT.replace(LIMITS, new)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (
            "limits: {power_w: 400, current_a: 7}",
            (
                "1.5 times current_a of 7 lies above what meter meter-b of B01 can show, which ends at 10 A; "
                "give at most 6.66, or take a meter with a wider range"
            ),
        ),
        (
            "limits: {power_w: 2200}",
            (
                "1.1 times power_w of 2200 lies above what meter meter-b of B01 can show, which ends at 2300 W; "
                "give at most 2090.9, or take a meter with a wider range"
            ),
        ),
    ],
)
def test_a_threshold_no_reading_can_reach_is_refused(limits: str, told: str) -> None:
    assert [problem.split(": ", 1)[1] for problem in refused(with_limits(limits))] == [told]


@pytest.mark.parametrize(
    "limits",
    [
        "limits: {power_w: 400, current_a: 3.33}",
        "limits: {power_w: 1533, current_a: 3}",
    ],
)
def test_one_that_a_reading_can_just_reach_is_none(limits: str) -> None:
    assert notes(with_limits(limits)) == []


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (
            "limits: {power_w: 400, current_a: 6}",
            (
                "3 times current_a of 6 lies above what meter meter-b of B01 can show, which ends at 10 A; "
                "an inrush cannot be told from a short: for its 2 s only the breaker trips on it"
            ),
        ),
        (
            "limits: {power_w: 1600, current_a: 3}",
            (
                "1.5 times power_w of 1600 lies above what meter meter-b of B01 can show, which ends at 2300 W; "
                "power far above the limit opens after overpower_s instead of at once"
            ),
        ),
    ],
)
def test_a_second_threshold_no_reading_can_reach_is_noted(limits: str, told: str) -> None:
    assert [note.split(": ", 1)[1] for note in notes(with_limits(limits))] == [told]


def test_a_circuit_whose_meter_ends_below_its_overload_is_refused() -> None:
    text = changed("main: {phases: 3}", "main: {phases: 3, meter: feeder-a, rating_a: 180, power_w: 45000}")
    told = [problem.split(": ", 1)[1].split(";")[0] for problem in refused(text)]
    assert told == [
        "1.2 times rating_a of 180 lies above what meter feeder-a of circuit main can show, which ends at 200 A",
        (
            "1.2 times power_w of 45000 lies above what meter feeder-a of circuit main can show, "
            "which ends at 50000 W"
        ),
    ]
    lower = changed("main: {phases: 3}", "main: {phases: 3, meter: feeder-a, rating_a: 160, power_w: 40000}")
    assert site(lower).notes == ()


@pytest.mark.parametrize(
    ("register", "most"),
    [
        (Register(address=0, type=Number.U16, scale=0.01), 655.34),
        (Register(address=0, type=Number.I16, scale=-0.01), 327.67),
        (Register(address=0, type=Number.U16, scale=0.01, most=100), 100.0),
        (Register(address=0, type=Number.U16, scale=0.01, most=1000), 655.34),
        (Register(address=0, type=Number.F32), 3.4028234663852886e38),
    ],
)
def test_a_register_shows_no_more_than_it_holds(register: Register, most: float) -> None:
    assert register.shows == pytest.approx(most)
