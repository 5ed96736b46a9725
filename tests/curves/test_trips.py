"""Trip times over constant currents: the closed formula within a sample, and more current never trips later."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.curves.__main__ import main
from tests.curves.trips import breaker_band, closed_formula, trip_time


@pytest.mark.parametrize("sampling", [0.1, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("times", [1.04, 1.06, 1.09, 1.1, 1.2, 1.49, 1.5, 2.0, 3.0, 7.5, 20.0])
def test_a_port_trips_within_a_sample_of_the_formula(times: float, sampling: float) -> None:
    measured, formula = trip_time(5.0 * times, sampling=sampling), closed_formula(5.0 * times, 5.0)
    if formula is None:
        assert measured is None
        return
    assert measured is not None
    assert formula - 1e-6 <= measured <= formula + sampling + 1e-6


@settings(deadline=None, max_examples=40)
@given(
    amps=st.tuples(st.floats(5.0, 100.0), st.floats(5.0, 100.0)),
    sampling=st.floats(0.3, 1.0),
    phase=st.floats(0.0, 1.0),
)
def test_more_current_never_trips_later(amps: tuple[float, float], sampling: float, phase: float) -> None:
    less, more = sorted(amps)
    later = trip_time(less, sampling=sampling, phase=phase)
    sooner = trip_time(more, sampling=sampling, phase=phase)
    assert (math.inf if sooner is None else sooner) <= (math.inf if later is None else later)


@pytest.mark.parametrize("kind", ["B", "C"])
def test_a_port_of_five_amperes_is_faster_than_a_breaker_of_sixteen_below_its_magnetic_release(kind: str) -> None:
    for amps in range(6, 42):
        port = trip_time(float(amps), phase=1.0)
        shortest, _ = breaker_band(amps / 16, kind)
        assert port is not None
        assert port <= shortest, amps


def test_the_bands_are_those_of_the_standard() -> None:
    assert breaker_band(1.1, "B")[0] == math.inf
    assert breaker_band(1.45, "C")[1] == pytest.approx(3600)
    assert breaker_band(2.55, "B")[0] == pytest.approx(1.0)
    assert breaker_band(2.55, "B")[1] == pytest.approx(60.0)
    assert breaker_band(6.0, "B") == (0.01, 0.01)
    assert breaker_band(6.0, "C")[0] == 0.01 < breaker_band(6.0, "C")[1]


def test_the_plot_is_drawn_by_a_command(tmp_path: Path) -> None:
    main(["--write", str(tmp_path)])
    picture = (tmp_path / "trip-times.svg").read_text(encoding="utf-8")
    assert "B16" in picture
    assert "C16" in picture
