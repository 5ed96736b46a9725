"""The fixed bounds, figure by figure: what no site can configure away. Written out, not taken from the models."""

import pytest
from pydantic import BaseModel

from chargerd.config.document import ChargeEndSection, LimitsSection, ProtectionSection
from tests.config.sites import changed, problems, site

SITE = "limits: {power_w: 800, current_a: 4}"
PORT = "    limits: {power_w: 400}"
BOUNDS: dict[str, dict[str, tuple[float, float]]] = {
    "protection": {
        "overcurrent_instant_factor": (1.2, 2.0),
        "overcurrent_inrush_factor": (1.5, 5.0),
        "overcurrent_inrush_s": (0, 5),
        "overcurrent_definite_factor": (1.05, 1.5),
        "overcurrent_definite_s": (0.5, 10),
        "overpower_factor": (1.05, 1.5),
        "overpower_s": (1, 30),
        "overpower_instant_factor": (1.2, 2.0),
        "meter_stale_s": (1, 15),
        "recover_s": (5, 600),
        "weld_current_a": (0.05, 0.5),
        "weld_power_w": (5, 50),
        "step_s": (1, 10),
        "suspend_total_s": (60, 7200),
        "shed_wait_s": (10, 600),
        "frozen_steps": (3, 50),
        "frozen_s": (120, 3600),
        "power_jump_w": (30, 2000),
        "power_jump_s": (5, 600),
        "power_jump_after_s": (300, 36000),
        "reverse_power_w": (5, 2000),
        "reverse_power_s": (2, 600),
        "overvoltage_v": (110, 280),
        "undervoltage_v": (70, 220),
        "voltage_s": (4, 30),
        "voltage_back_s": (10, 600),
        "temperature_warn_c": (40, 80),
        "temperature_trip_c": (45, 85),
        "temperature_s": (10, 120),
    },
    "charge_end": {
        "full_below_w": (1, 200),
        "full_after_s": (30, 36000),
        "unplugged_below_w": (1.5, 5),
        "unplugged_after_s": (30, 3600),
        "no_load_below_w": (6, 50),
        "no_load_after_s": (10, 3600),
        "float_s": (0, 36000),
    },
    "limits": {
        "power_w": (0, 3500),
        "current_a": (0, 16),
        "duration_s": (0, 57600),
        "energy_wh": (0, 100_000),
    },
    "resume": {"window_s": (0, 86400)},
    "queue": {"queue_s": (0, 36000)},
}
WHOLE = {"open_tries", "suspend_times", "shed_times"}
"""Counts have their bounds tried elsewhere: no hundredth is one."""
FIGURES = [(section, key, *bounds) for section, keys in BOUNDS.items() for key, bounds in keys.items()]
FOR_PORTS = [figure for figure in FIGURES if figure[0] not in {"resume", "queue"}]


@pytest.mark.parametrize("section", [ProtectionSection, ChargeEndSection, LimitsSection])
def test_every_figure_has_its_bounds_here(section: type[BaseModel]) -> None:
    written = {key for keys in BOUNDS.values() for key in keys}
    figures = {key for key, info in section.model_fields.items() if info.metadata} - WHOLE
    assert figures
    assert not figures - written, f"write the bounds of {sorted(figures - written)} out here"


@pytest.mark.parametrize(("section", "key", "least", "most"), FIGURES)
def test_a_site_cannot_leave_the_bounds(section: str, key: str, least: float, most: float) -> None:
    for figure, word in ((least - 0.01, "give "), (most + 0.01, f"give at most {most:g}")):
        told = problems(changed(SITE, f"{section}: {{{key}: {figure}}}"))
        assert len(told) == 1
        assert f"{section}.{key} is {figure}" in told[0]
        assert word in told[0]


@pytest.mark.parametrize(("section", "key", "least", "most"), FOR_PORTS)
def test_a_port_cannot_either(section: str, key: str, least: float, most: float) -> None:
    for figure in (least - 0.01, most + 0.01):
        assert (
            f"ports.2.{section}.{key} is {figure}"
            in problems(changed(PORT, f"    {section}: {{{key}: {figure}}}"))[0]
        )


@pytest.mark.parametrize(("section", "key", "least", "most"), FIGURES)
def test_the_highest_figure_itself_is_within_the_bounds(section: str, key: str, least: float, most: float) -> None:
    assert least < most
    others = {
        "overcurrent_definite_factor": "overcurrent_instant_factor: 2",
        "overpower_factor": "overpower_instant_factor: 2",
        "temperature_warn_c": "temperature_trip_c: 85",
    }
    beside = f", {others[key]}" if key in others else ""
    assert len(site(changed(SITE, f"{section}: {{{key}: {most}{beside}}}")).ports) == 4


@pytest.mark.parametrize(
    ("key", "least", "most"), [("open_tries", 1, 5), ("suspend_times", 0, 10), ("shed_times", 1, 30)]
)
def test_what_is_counted_is_a_whole_number_within_its_bounds(key: str, least: int, most: int) -> None:
    for count in (least, most):
        assert len(site(changed(SITE, f"protection: {{{key}: {count}}}")).ports) == 4
    for figure in (least - 1, most + 1, least + 0.5):
        assert f"protection.{key} is" in problems(changed(SITE, f"protection: {{{key}: {figure}}}"))[0]
