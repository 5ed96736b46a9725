"""What a correct file becomes."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from chargerd.config.document import ChargeEndSection, LimitsSection, ProtectionSection
from chargerd.config.profiles.models import Profile
from chargerd.config.site import Channel
from chargerd.core.plan import CEILING, ChargeEnd, DeadMan, Limits, Phase, Protection
from chargerd.core.units import Amps, BoardId, Seconds, WattHours, Watts
from tests.config.sites import BASE, changed, problems, shipped, site, unmarked

PORT = "    limits: {power_w: 400}"
SITE = "limits: {power_w: 800, current_a: 4}"


def channel(board: str, number: int) -> Channel:
    return Channel(board=BoardId(board), channel=number)


def test_ranges_are_spelled_out_and_run_along() -> None:
    found = site()
    assert [(port.id, port.relay, port.meter, port.circuit) for port in found.ports] == [
        ("A01", channel("relay-a", 1), channel("meter-a1", 1), "shed-a"),
        ("A02", channel("relay-a", 2), channel("meter-a2", 1), "shed-a"),
        ("A03", channel("relay-a", 3), channel("meter-a3", 1), "shed-a"),
        ("B01", channel("relay-b", 8), channel("meter-b", 1), "shed-b"),
    ]
    meters = {name: board.address for name, board in found.boards.items() if name.startswith("meter-a")}
    assert meters == {"meter-a1": 11, "meter-a2": 12, "meter-a3": 13}
    assert [port.label for port in found.plan.ports] == ["A01", "A02", "A03", "B01 (wall)"]
    assert found.plan.tariff_tiers == (150.0, 300.0)


def test_a_ports_wiring_is_told_apart_by_place_and_not_by_name() -> None:
    def wired(text: str) -> list[str]:
        return [port.wired for port in site(text).plan.ports]

    before = wired(BASE)
    assert before[3] == "relay 10.0.0.2:4196 1 waveshare-relay-8 8, meter 10.0.0.2:4196 2 pzem-016 1"
    assert len(set(before)) == 4
    assert wired(BASE.replace("line-b", "wall").replace("relay-b", "wall-relay")) == before
    for old, new in (
        ("relay: relay-b/8", "relay: relay-b/7"),
        ('"10.0.0.2:4196"', '"10.0.0.3:4196"'),
        ("bus: line-b, address: 1,", "bus: line-b, address: 3,"),
        ("meter-b: {bus: line-b, address: 2,", "meter-b: {bus: line-b, address: 4,"),
        ("profile: waveshare-relay-8}", "profile: waveshare-relay-8-d}"),
    ):
        after = wired(changed(old, new))
        assert (after[:3], after[3] == before[3]) == (before[:3], False), old


def test_one_label_holds_for_a_range_and_a_ranged_one_runs_along() -> None:
    one = site(changed("id: A01..A03", "id: A01..A03\n    label: Wall"))
    assert [port.label for port in one.plan.ports[:3]] == ["Wall", "Wall", "Wall"]
    many = site(changed("id: A01..A03", "id: A01..A03\n    label: Wall 7..9"))
    assert [port.label for port in many.plan.ports[:3]] == ["Wall 7", "Wall 8", "Wall 9"]


def test_a_single_port_may_have_any_label() -> None:
    assert site(changed("B01 (wall)", "By the wall...")).plan.ports[3].label == "By the wall..."


def test_the_circuits_become_a_tree() -> None:
    main, shed_a, shed_b = site().plan.circuits
    assert (main.parent, main.phases, main.phase, main.rating, main.power) == (None, 3, Phase.ALL, None, None)
    assert (shed_a.parent, shed_a.phases, shed_a.phase) == ("main", 1, Phase.L1)
    assert shed_b.phase is Phase.L2
    rated = site(changed("main: {phases: 3}", "main: {phases: 3, rating_a: 40, power_w: 7800}")).plan.circuits[0]
    assert (rated.rating, rated.power) == (40.0, 7800.0)


def test_a_port_has_its_circuits_phase_only_if_it_says_so() -> None:
    text = changed("    circuit: shed-b", "    circuit: shed-b\n    phase: L2")
    assert [port.phase for port in site(text).plan.ports] == [Phase.ALL, Phase.ALL, Phase.ALL, Phase.L2]


def test_sensors_at_the_sockets_run_along_or_are_shared() -> None:
    boards = changed("  relay-b:", "  heat-a: {bus: line-a, address: 40, profile: eletechsup-r4dcb08}\n  relay-b:")
    each = site(changed("    circuit: shed-a\n", "    circuit: shed-a\n    temperature: heat-a/1..3\n", boards))
    assert [port.temperature for port in each.ports] == [*(channel("heat-a", n) for n in (1, 2, 3)), None]
    one = site(changed("    circuit: shed-a\n", "    circuit: shed-a\n    temperature: heat-a/8\n", boards))
    assert {port.temperature for port in one.ports[:3]} == {channel("heat-a", 8)}


def test_limits_are_the_ports_else_the_sites_else_the_defaults() -> None:
    ports = site().plan.ports
    assert ports[0].limits == replace(Limits(), current=Amps(4.0), power=Watts(800.0))
    assert ports[3].limits == replace(Limits(), current=Amps(4.0), power=Watts(400.0))
    text = changed(SITE, "limits: {energy_wh: 2000, duration_s: 3600}")
    text = changed(PORT, "    limits: {energy_wh: 500, current_a: 16, power_w: 3500}", text)
    ports = site(text).plan.ports
    assert ports[0].limits == replace(Limits(), energy=WattHours(2000.0), duration=Seconds(3600.0))
    assert ports[3].limits == replace(CEILING, energy=WattHours(500.0), duration=Seconds(3600.0))


PROTECTION = {
    "overcurrent_instant_factor": ("instant_factor", 1.4),
    "overcurrent_inrush_factor": ("inrush_factor", 2.5),
    "overcurrent_inrush_s": ("inrush_for", 1.0),
    "overcurrent_definite_factor": ("definite_factor", 1.2),
    "overcurrent_definite_s": ("definite_delay", 2.0),
    "overpower_factor": ("overpower_factor", 1.2),
    "overpower_s": ("overpower_delay", 4.0),
    "overpower_instant_factor": ("overpower_instant_factor", 1.6),
    "meter_stale_s": ("stale_after", 5.0),
    "recover_s": ("recover_within", 60.0),
    "weld_current_a": ("weld_current", 0.1),
    "weld_power_w": ("weld_power", 12.0),
    "open_tries": ("open_tries", 2),
    "step_s": ("step_timeout", 5.0),
    "suspend_times": ("suspend_times", 5),
    "suspend_total_s": ("suspend_total", 900.0),
    "shed_times": ("shed_times", 12),
    "shed_wait_s": ("shed_wait", 30.0),
    "frozen_steps": ("frozen_steps", 8.0),
    "frozen_s": ("frozen_for", 600.0),
    "power_jump_w": ("power_jump", 100.0),
    "power_jump_s": ("power_jump_delay", 60.0),
    "power_jump_after_s": ("power_jump_after", 3600.0),
    "power_jump_trips": ("power_jump_trips", True),
    "reverse_power_w": ("reverse_power", 50.0),
    "reverse_power_s": ("reverse_power_delay", 30.0),
    "reverse_power_trips": ("reverse_power_trips", True),
    "overvoltage_v": ("overvoltage", 255.0),
    "undervoltage_v": ("undervoltage", 190.0),
    "voltage_s": ("voltage_delay", 5.0),
    "voltage_back_s": ("voltage_back", 90.0),
    "temperature_warn_c": ("temperature_warn", 50.0),
    "temperature_trip_c": ("temperature_trip", 65.0),
    "temperature_s": ("temperature_delay", 20.0),
}
LIMITS = {"power_w", "current_a", "duration_s", "energy_wh"}
"""Tried together, above."""
CHARGE_END = {
    "full_below_w": ("full_below", 20.0),
    "full_after_s": ("full_after", 1800.0),
    "unplugged_below_w": ("unplugged_below", 3.0),
    "unplugged_after_s": ("unplugged_after", 200.0),
    "no_load_below_w": ("no_load_below", 9.0),
    "no_load_after_s": ("no_load_after", 90.0),
    "float_s": ("float_for", 600.0),
}


@pytest.mark.parametrize(
    ("section", "tried"),
    [(ProtectionSection, PROTECTION), (ChargeEndSection, CHARGE_END), (LimitsSection, LIMITS)],
)
def test_every_key_is_tried(section: type[BaseModel], tried: Collection[str]) -> None:
    missing = set(section.model_fields) - set(tried)
    assert not missing, f"say in this module which figure of the core {sorted(missing)} is, and try it"


@pytest.mark.parametrize("key", PROTECTION)
def test_each_threshold_reaches_the_core_for_the_site_and_for_a_port(key: str) -> None:
    name, value = PROTECTION[key]
    figure: dict[str, Any] = {name: value}
    wanted = replace(Protection(), **figure)
    said = str(value).lower()
    everywhere = site(changed(SITE, f"protection: {{{key}: {said}}}"))
    assert [port.protection for port in everywhere.plan.ports] == [wanted] * 4
    one = site(changed(PORT, f"    protection: {{{key}: {said}}}"))
    assert [port.protection for port in one.plan.ports] == [*[Protection()] * 3, wanted]


@pytest.mark.parametrize("key", CHARGE_END)
def test_each_end_of_charge_reaches_the_core_for_the_site_and_for_a_port(key: str) -> None:
    name, value = CHARGE_END[key]
    figure: dict[str, Any] = {name: value}
    wanted = replace(ChargeEnd(), **figure)
    assert [port.charge_end for port in site(changed(SITE, f"charge_end: {{{key}: {value}}}")).plan.ports] == [
        wanted
    ] * 4
    one = site(changed(PORT, f"    charge_end: {{{key}: {value}}}"))
    assert [port.charge_end for port in one.plan.ports] == [*[ChargeEnd()] * 3, wanted]


def test_a_zero_counts_as_said() -> None:
    text = changed(SITE, "protection: {overcurrent_inrush_s: 3}")
    text = changed(PORT, "    protection: {overcurrent_inrush_s: 0}", text)
    assert [port.protection.inrush_for for port in site(text).plan.ports] == [3.0, 3.0, 3.0, 0.0]


def test_a_port_that_mends_the_sites_contradiction_does_not_hide_it() -> None:
    text = changed(SITE, "protection: {overcurrent_definite_factor: 1.5}")
    text = changed(PORT, "    protection: {overcurrent_instant_factor: 1.8}", text)
    assert [problem.split(":")[0] for problem in problems(text)] == ["19"]


def test_relays_are_leased_where_the_board_can() -> None:
    relay = site().plan.ports[0].relay
    assert (relay.board, relay.channel, relay.dead_man) == ("relay-a", 1, DeadMan.TIMED_ON)
    assert (relay.lease, relay.renew_every) == (6.0, 3.0)


@pytest.mark.parametrize("word", ["off", "Off", "no", "false"])
def test_a_lease_switched_off_is_no_dead_man(word: str) -> None:
    text = changed(
        "address: 1, profile: waveshare-relay-16", f"address: 1, lease: {word}, profile: waveshare-relay-16"
    )
    found = site(text)
    assert not found.boards[BoardId("relay-a")].lease
    assert [port.relay.lease for port in found.plan.ports] == [None, None, None, 6.0]
    assert [port.relay.dead_man for port in found.plan.ports[2:]] == [DeadMan.NONE, DeadMan.TIMED_ON]


@pytest.mark.parametrize("word", ["on", "yes", "true"])
def test_a_lease_switched_on_is_one(word: str) -> None:
    text = changed(
        "address: 1, profile: waveshare-relay-16", f"address: 1, lease: {word}, profile: waveshare-relay-16"
    )
    assert site(text) == replace(site(), digest=site(text).digest)


def test_meters_bring_their_refresh_resolution_and_how_often_power_is_read() -> None:
    eastron, pzem = site().plan.ports[0].meter, site().plan.ports[3].meter
    assert (eastron.refresh, eastron.energy_resolution, eastron.power_every) == (0.0, 10.0, 2.0)
    assert (eastron.power_step, pzem.power_step) == (0.0, 0.1)
    # One frame of a PZEM holds current and power: there is nothing to read apart.
    assert (pzem.refresh, pzem.energy_resolution, pzem.power_every) == (1.0, 1.0, 0.0)


def test_a_meter_may_be_slow_if_the_patience_with_it_is_three_refreshes() -> None:
    assert site(changed(PORT, "    protection: {meter_stale_s: 3}")).plan.ports[3].protection.stale_after == 3.0


def test_the_ports_of_a_bus_are_those_with_a_board_on_it() -> None:
    text = changed("    meter: meter-b\n", "    meter: feeder-a\n")
    assert [port.id for port in site(text).ports_of("line-a")] == ["A01", "A02", "A03", "B01"]
    assert [port.id for port in site(text).ports_of("line-b")] == ["B01"]


def test_the_broker_has_the_port_that_is_usual_unless_told() -> None:
    def port_of(text: str) -> int:
        mqtt = site(text).mqtt
        assert mqtt is not None
        return mqtt.broker_port

    assert port_of(BASE) == 8883
    assert port_of(changed("  tls: {ca: /ca.pem}\n", "")) == 1883
    assert port_of(changed("  tls: {ca: /ca.pem}\n", "  port: 1234\n")) == 1234


def test_a_site_may_be_without_a_broker() -> None:
    assert site(changed(BASE[BASE.index("mqtt:") : BASE.index("buses:")], "")).mqtt is None


def test_yaml_1_2_leaves_words_and_octal_looking_numbers_alone() -> None:
    text = changed("name: Shed", "name: on").replace("B01\n", "NO\n")
    assert site(text).gateway.name == "on"
    assert site(text).plan.ports[3].id == "NO"
    assert site(changed("name: Shed", "name: 2020-01-01")).gateway.name == "2020-01-01"


def test_the_digest_tells_sites_apart_and_nothing_else() -> None:
    assert site().digest == site(BASE.replace("\n", "\n\n") + "# comment\n").digest
    assert len(site().digest) == 64
    assert site(changed("{power_w: 400}", "{power_w: 401}")).digest != site().digest


def test_the_digest_covers_what_the_boards_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    before = site().digest
    other = bent("eastron-sdm120", {"source": "another manual"})
    monkeypatch.setattr("tests.config.sites.shipped", lambda: {**shipped(), "eastron-sdm120": other})
    assert site().digest != before


def bent(name: str, over: dict[str, object]) -> Profile:
    return Profile.model_validate({**shipped()[name].model_dump(), **over})


@pytest.mark.parametrize(("unit_ms", "most"), [(100, 59), (700, 1000), (6001, 100), (4000, 100)])
def test_a_board_that_cannot_keep_the_lease_exactly_is_refused(
    monkeypatch: pytest.MonkeyPatch, unit_ms: int, most: int
) -> None:
    relay = {
        "channels": 8,
        "dead_man": "timed_on",
        "timed_on": {"first": 512, "unit_ms": unit_ms, "max_value": most},
    }
    other = bent("waveshare-relay-8", {"relay": relay})
    monkeypatch.setattr("tests.config.sites.shipped", lambda: {**shipped(), "waveshare-relay-8": other})
    text, places = unmarked(changed("profile: waveshare-relay-8\u007d", "profile: §waveshare-relay-8\u007d"))
    hint = "correct timed_on in the profile, or set its dead_man to none"
    assert problems(text) == [f"{places[0]}: waveshare-relay-8 cannot close for exactly 6 s; {hint}"]


@pytest.mark.parametrize(("unit_ms", "most"), [(100, 60), (1000, 255), (6000, 1)])
def test_a_board_that_can_is_accepted(monkeypatch: pytest.MonkeyPatch, unit_ms: int, most: int) -> None:
    relay = {
        "channels": 8,
        "dead_man": "timed_on",
        "timed_on": {"first": 512, "unit_ms": unit_ms, "max_value": most},
    }
    other = bent("waveshare-relay-8", {"relay": relay})
    monkeypatch.setattr("tests.config.sites.shipped", lambda: {**shipped(), "waveshare-relay-8": other})
    assert site().plan.ports[3].relay.lease == 6.0
