"""Limits that are right each by itself and cannot all be meant."""

import pytest

from chargerd.config.problems import ConfigurationError
from tests.config.sites import changed, site


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        site(text)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "main: {phases: 3}",
            "main: {phases: 3, rating_a: 4}",
            (
                "site.yaml:19:35: current_a of 4 of A01 can never be admitted: rating_a of circuit main is 4 "
                "(and 3 more like it); give at most 3.6, 90% of it"
            ),
        ),
        (
            "shed-b: {parent: main, phase: L2}",
            "shed-b: {parent: main, phase: L2, power_w: 400}",
            (
                "site.yaml:31:23: power_w of 400 of B01 can never be admitted: power_w of circuit shed-b is 400; "
                "give at most 360, 90% of it"
            ),
        ),
        (
            "limits: {power_w: 400}",
            "limits: {current_a: 0.2}",
            (
                "site.yaml:26:5: weld_current_a of 0.2 is not below current_a of 0.2 of B01; "
                "lower weld_current_a or raise current_a"
            ),
        ),
        (
            "limits: {power_w: 400}",
            "limits: {power_w: 40}\n    charge_end: {no_load_below_w: 40}",
            (
                "site.yaml:32:35: no_load_below_w of 40 is not below power_w of 40 of B01; "
                "lower no_load_below_w or raise power_w"
            ),
        ),
        (
            "limits: {power_w: 400}",
            "limits: {power_w: 80}\n    protection: {power_jump_trips: on}",
            (
                "site.yaml:26:5: power_jump_w of 80 is not below power_w of 80 of B01; "
                "lower power_jump_w or raise power_w"
            ),
        ),
        (
            "limits: {power_w: 400}",
            "limits: {duration_s: 1800}\n    protection: {power_jump_trips: on}",
            (
                "site.yaml:26:5: power_jump_after_s of 1800 is not below duration_s of 1800 of B01; "
                "lower power_jump_after_s or raise duration_s"
            ),
        ),
        (
            "limits: {power_w: 400}",
            "limits: {power_w: 20}",
            (
                "site.yaml:26:5: full_below_w of 25 is not below power_w of 20 of B01; "
                "lower full_below_w or raise power_w"
            ),
        ),
    ],
)
def test_what_cannot_all_be_meant_is_refused_where_it_stands(old: str, new: str, told: str) -> None:
    assert refused(changed(old, new)) == [told]


def test_nine_tenths_of_a_circuit_are_admitted() -> None:
    assert site(changed("main: {phases: 3}", "main: {phases: 3, rating_a: 4.5}")).ports


@pytest.mark.parametrize(
    ("section", "lower", "low", "upper", "high"),
    [
        ("protection", "overcurrent_definite_factor", 1.5, "overcurrent_instant_factor", 1.5),
        ("protection", "overcurrent_instant_factor", 2, "overcurrent_inrush_factor", 1.9),
        ("protection", "overpower_factor", 1.4, "overpower_instant_factor", 1.3),
        ("protection", "recover_s", 100, "suspend_total_s", 90),
        ("protection", "voltage_back_s", 600, "suspend_total_s", 300),
        ("protection", "shed_wait_s", 400, "suspend_total_s", 300),
        ("protection", "undervoltage_v", 220, "overvoltage_v", 215),
        ("protection", "temperature_warn_c", 70, "temperature_trip_c", 65),
        ("charge_end", "unplugged_below_w", 4, "full_below_w", 3),
    ],
)
def test_a_lower_figure_that_is_not_below_its_upper_one_is_refused(
    section: str, lower: str, low: float, upper: float, high: float
) -> None:
    more = ", recover_s: 10" if lower == "voltage_back_s" else ""
    said = f"    {section}: {{{lower}: {low}, {upper}: {high}{more}}}"
    told = refused(changed("    limits: {power_w: 400}", said))
    assert [f"{lower} of {low:g} is not below {upper} of {high:g}" in line for line in told] == [True], told
