"""Every protective function, every row of the manual's tables and every stop reason is reached by a scenario.

The scenarios named here are played once more with their facts looked at: what they are named for must be among
them. A function or a reason that is new has none, and fails here until somebody writes one. What opens nothing and
is only explained, with its figures, is no fact: of its scenario the explanations are looked at.
"""

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest

from chargerd.core.facts import Fact, SessionEnded, SessionSuspended
from chargerd.core.moment import Moment
from chargerd.core.protection.table import FUNCTIONS, Row
from chargerd.core.session import Source, StopReason
from chargerd.core.station import Station
from chargerd.core.view import CircuitExplained, Claim, PortExplained
from tests.core.world import World
from tests.judging import every

ROOT = Path(__file__).parents[2]
CORE = ROOT / "chargerd" / "core"
MANUAL = ROOT / "docs" / "protection.md"

Scenario = tuple[str, tuple[object, ...]]


def at(place: str, *arguments: object) -> Scenario:
    """Return where a scenario stands (module:function, below `tests.scenarios`), and what it is played with."""
    return place, arguments


BY_FUNCTION: dict[str, Scenario] = {
    "overcurrent_instant": at("test_overcurrent:test_one_reading_at_one_and_a_half_times_trips_at_once"),
    "overcurrent_definite": at("test_overcurrent:test_ten_percent_more_trips_after_three_seconds", 5.5),
    "overcurrent_thermal": at("test_warmth:test_a_current_just_above_the_limit_trips_after_minutes_and_latches"),
    "port_temperature": at("test_heat:test_a_socket_of_seventy_degrees_is_opened_after_thirty_seconds"),
    "meter_stale": at("test_suspensions:test_a_meter_silent_for_three_seconds_opens_the_port"),
    "meter_frozen": at("test_meters:test_a_register_that_stands_still_under_load_opens_the_port"),
    "overvoltage": at("test_voltage:test_a_voltage_that_stays_wrong_ends_the_session_by_its_name"),
    "undervoltage": at("test_voltage:test_one_that_is_only_low_as_undervoltage"),
    "overpower": at("test_overcurrent:test_the_orders_own_power_limit_counts"),
    "power_jump": at("test_meters:test_a_load_that_jumps_is_told_of_once_and_goes_on"),
    "power_jump_trip": at("test_meters:test_where_a_site_wants_it_a_jump_ends_the_session"),
    "reverse_power": at("test_reversed:test_a_load_that_feeds_back_for_ten_seconds_is_told_of_once_and_goes_on"),
    "reverse_power_trip": at(
        "test_reversed:test_where_a_site_wants_it_feeding_back_ends_the_session_between_two_readings"
    ),
    "energy_limit": at("test_charging:test_the_orders_energy_ends_it_within_what_two_readings_draw"),
    "duration_limit": at("test_charging:test_the_orders_time_with_the_relay_closed_ends_it"),
    "no_load": at("test_charging:test_a_load_that_never_comes_ends_the_session_after_two_minutes"),
    "unplugged": at("test_end_of_charge:test_a_pulled_plug_ends_the_session_five_minutes_later"),
    "charger_idle": at("test_end_of_charge:test_a_bike_taken_without_its_charger_ends_the_session_in_ten_minutes"),
    "full": at("test_end_of_charge:test_a_tapered_charge_is_full_and_says_how_sure_that_is"),
    "relay_stuck_open": at("test_relays:test_a_relay_that_falls_open_while_charging_is_stuck_open"),
    "relay_board_lost": at("test_reasons:test_a_relay_board_that_stays_away_ends_the_session"),
    "relay_unconfirmed": at(
        "test_unconfirmed:test_current_through_a_relay_whose_board_refuses_to_be_read_locks_it_out", 9.0
    ),
    "relay_unexpected": at("test_relays:test_a_relay_found_closed_is_opened_the_second_time_locked_out"),
    "relay_will_not_open": at("test_relays:test_a_relay_read_back_closed_after_three_openings_is_locked_out"),
    "relay_welded": at("test_welds:test_three_readings_of_current_through_an_open_relay_lock_out"),
    "wiring_suspect": at("test_wiring:test_exchanged_meters_open_the_port_and_hold_both"),
    "relay_open_circuit": at("test_welds:test_three_sessions_without_any_load_point_to_a_fuse", 1.9, 1),
    "relay_not_closed": at("test_relays:test_a_closing_that_is_not_confirmed_fails_the_start_and_is_opened"),
    "relay_out_of_control": at(
        "test_contactors:test_a_relay_out_of_control_costs_all_below_their_contactor", "relay_welded"
    ),
    "current_before_closing": at("test_relays:test_current_before_closing_fails_the_start"),
    "guards_before_closing": at(
        "test_lines:test_a_start_whose_line_was_away_while_it_was_written_comes_to_nothing"
    ),
    "persist_failed": at("test_requests:test_a_journal_that_refuses_fails_the_start"),
    "not_recovered": at(
        "test_suspensions:test_a_meter_that_does_not_come_back_ends_the_session_after_two_minutes"
    ),
    "suspended_too_long": at("test_suspensions:test_three_suspensions_are_borne_the_fourth_ends_the_session"),
    "queue_timeout": at("test_circuits:test_a_start_waits_no_longer_than_it_may"),
    "locked": at("test_locks:test_a_lock_ends_what_goes_on_and_nothing_starts_until_it_is_taken_away"),
    "disabled": at("test_commands:test_a_start_that_waits_for_its_circuit_is_withdrawn", Source.REMOTE, "remote"),
    "circuit_overload": at("test_circuits:test_a_load_of_a_hundred_percent_sheds_the_newest_after_two_seconds"),
    "contactor_stuck_open": at("test_contactors:test_a_contactor_that_does_not_close_is_latched"),
    "contactor_will_not_open": at("test_contactors:test_a_contactor_that_does_not_open_is_locked_out"),
    "contactor_lost": at("test_contactors:test_a_contactor_whose_board_is_lost_suspends_what_is_below"),
    "contactor_opened": at(
        "test_contactors:test_a_relay_out_of_control_costs_all_below_their_contactor", "relay_will_not_open"
    ),
    "flapping": at("test_flapping:test_once_it_is_steady_the_count_is_told_and_what_is_true_then"),
    "input_board_lost": at("test_inputs:test_a_lost_input_board_suspends_what_it_guards_and_lets_it_come_back"),
    "interrupted": at("test_restarts:test_a_restart_sooner_than_the_lease_opens_the_relay_itself"),
    "restart": at("test_in_order:test_a_restart_interrupts_a_session_and_does_not_end_it"),
    "line_changed": at("test_lines:test_a_session_that_charges_is_opened_and_waits_for_its_line"),
    "power_loss": at("test_resuming:test_a_clock_that_comes_and_proves_a_long_outage_ends_it_at_once"),
    "reading_implausible": at("test_bad_input:test_a_sentinel_is_no_reading_and_is_told"),
    "power_negative": at("test_bad_input:test_power_that_flows_back_is_told"),
}

BY_CLAIM: dict[str, Scenario] = {
    "circuit_full": at(
        "test_explained:test_a_queued_start_says_which_circuit_has_no_room_by_how_much_and_who_waits_before_it"
    ),
    "current_seen": at("test_explained:test_a_session_that_ends_says_that_current_is_still_seen"),
    "feeder_stale": at(
        "test_explained:test_a_circuit_whose_meter_is_silent_says_so_and_one_that_carries_too_much_says_how_much"
    ),
    "voltage_settling": at("test_explained:test_what_a_suspended_session_waits_for_is_told_each_by_its_name"),
}
"""What a port or a circuit is said to be held by, with figures, that neither stops, trips nor latches anything."""

BY_REASON: dict[StopReason, Scenario] = {
    StopReason.REMOTE: at("test_charging:test_a_charge_from_start_to_stop"),
    StopReason.LOCAL: at("test_requests:test_a_stop_on_site_need_not_name_the_session"),
    StopReason.FULL: BY_FUNCTION["full"],
    StopReason.UNPLUGGED: BY_FUNCTION["unplugged"],
    StopReason.NO_LOAD: BY_FUNCTION["no_load"],
    StopReason.DURATION_LIMIT: BY_FUNCTION["duration_limit"],
    StopReason.ENERGY_LIMIT: BY_FUNCTION["energy_limit"],
    StopReason.OVERCURRENT: BY_FUNCTION["overcurrent_definite"],
    StopReason.OVERPOWER: BY_FUNCTION["overpower"],
    StopReason.OVERVOLTAGE: BY_FUNCTION["overvoltage"],
    StopReason.UNDERVOLTAGE: BY_FUNCTION["undervoltage"],
    StopReason.OVERTEMPERATURE: BY_FUNCTION["port_temperature"],
    StopReason.RELAY_FAULT: BY_FUNCTION["relay_stuck_open"],
    StopReason.RELAY_WELDED: at("test_welds:test_a_weld_while_the_session_ends_names_it"),
    StopReason.METER_LOST: BY_FUNCTION["not_recovered"],
    StopReason.BOARD_LOST: BY_FUNCTION["relay_board_lost"],
    StopReason.CIRCUIT_OVERLOAD: at(
        "test_reasons:test_a_shed_session_that_cannot_be_started_again_ends_by_the_overload"
    ),
    StopReason.SMOKE: at("test_inputs:test_one_reading_of_smoke_opens_every_port_below_and_the_contactor"),
    StopReason.WATER: at("test_reasons:test_a_detector_ends_the_sessions_below_it_for_its_own_reason", "water"),
    StopReason.HEAT: at("test_reasons:test_a_detector_ends_the_sessions_below_it_for_its_own_reason", "heat"),
    StopReason.EMERGENCY_STOP: at(
        "test_inputs:test_an_emergency_stop_of_the_main_circuit_opens_the_circuits_below"
    ),
    StopReason.POWER_LOSS: at("test_circuits:test_a_circuit_whose_meters_all_fall_silent_has_lost_its_mains"),
    StopReason.SUSPENDED_TOO_LONG: BY_FUNCTION["suspended_too_long"],
    StopReason.QUEUE_TIMEOUT: BY_FUNCTION["queue_timeout"],
    StopReason.START_FAILED: BY_FUNCTION["current_before_closing"],
    StopReason.SHUTDOWN: at("test_queues:test_what_waits_ends_when_the_daemon_leaves"),
    StopReason.RESTART: at("test_in_order:test_what_waits_for_its_circuit_ends_by_the_restart"),
}

NOT_GIVEN = {StopReason.INTERNAL}
"""Kept for gateways of other kinds: this one settles what a crash has left as `power_loss`, or goes on with it."""


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def said(fact: Fact) -> Iterator[str]:
    """Yield the functions a fact is about."""
    yield snake(type(fact).__name__)
    for part in (fact, getattr(fact, "detail", None), getattr(fact, "latch", None)):
        function = getattr(part, "function", None)
        if function is not None:
            yield function
    match fact:
        case SessionSuspended():
            yield fact.reason
        case SessionEnded() if fact.settlement.detail is not None:
            yield fact.settlement.detail.function
        case _:
            pass


@cache
def played(scenario: Scenario) -> list[Fact]:
    """Play a scenario, if it has not been yet, and return the facts of all its worlds."""
    return facts_of(scenario)


def facts_of(scenario: Scenario) -> list[Fact]:
    """Play a scenario, and return the facts of all its worlds."""
    facts: list[Fact] = []
    record = World._record  # noqa: SLF001 - looked over its shoulder

    def noted(world: World, fact: Fact, number: int) -> None:
        facts.append(fact)
        record(world, fact, number)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(World, "_record", noted)
        play(scenario)
    return facts


def play(scenario: Scenario) -> None:
    """Play a scenario."""
    place, arguments = scenario
    module, name = place.split(":")
    function = getattr(importlib.import_module(f"tests.scenarios.{module}"), name)
    keywords = {}
    code = function.__code__
    for number in range(code.co_kwonlyargcount):
        keywords[code.co_varnames[code.co_argcount + number]] = arguments[code.co_argcount + number]
    function(*arguments[: code.co_argcount], **keywords)


@pytest.mark.long
@pytest.mark.parametrize("function", sorted(BY_FUNCTION))
def test_a_function_is_reached_by_its_scenario(function: str) -> None:
    facts = played(BY_FUNCTION[function])
    name = function.removesuffix("_trip")
    assert name in {each for fact in facts for each in said(fact)}


@pytest.mark.parametrize("claim", sorted(BY_CLAIM))
def test_a_claim_is_explained_by_its_figures_in_its_scenario(claim: str) -> None:
    told: list[Claim] = []

    def listened(explain: Callable[..., PortExplained | CircuitExplained]) -> Callable[..., object]:
        def tell(station: Station, name: str, now: Moment) -> object:
            explained = explain(station, name, now)
            told.extend(explained.claims)
            return explained

        return tell

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Station, "explain", listened(Station.explain))
        patched.setattr(Station, "explain_circuit", listened(Station.explain_circuit))
        facts = facts_of(BY_CLAIM[claim])
    details = [one.detail for one in told if one.what == claim]
    assert every(detail is not None and detail.function == claim for detail in details)
    assert claim not in {each for fact in facts for each in said(fact)}, (
        "it stops something: name it in BY_FUNCTION"
    )


@pytest.mark.long
@pytest.mark.parametrize("reason", sorted(BY_REASON))
def test_a_reason_is_given_in_its_scenario(reason: StopReason) -> None:
    facts = played(BY_REASON[reason])
    assert reason in {fact.settlement.reason for fact in facts if isinstance(fact, SessionEnded)}


TELLING = frozenset({"fail", "lock_out", "_latch_contactor", "_suspend_below"})
"""What is told the name of a function."""


def functions_of_the_core() -> set[str]:
    """Return every function a stop, a trip, a latch or a claim can name, as the core's source has them."""
    found = {row.function.name for row in FUNCTIONS}
    for path in CORE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.keyword(arg="function", value=ast.Constant(value=str(name))):
                    found.add(name)
                case ast.Call(func=ast.Name(id="lock_out"), args=[_, ast.Constant(value=str(name)), *_]):
                    found.add(name)
                case ast.Call(func=ast.Attribute(attr=called) | ast.Name(id=called), args=args) if (
                    called in TELLING
                ):
                    constants = [each.value for each in args if isinstance(each, ast.Constant)]
                    found |= {value for value in constants if isinstance(value, str)}
                case _:
                    pass
    return found


def named_in_rows() -> set[str]:
    """Return what the first column of the manual's tables names."""
    rows = re.findall(r"^\| (`[^|]*`) \|", MANUAL.read_text(encoding="utf-8"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_every_function_of_the_core_has_a_scenario() -> None:
    missing = functions_of_the_core() - set(BY_FUNCTION) - set(BY_CLAIM)
    assert not missing, f"write a scenario that reaches {sorted(missing)}, and name it in this module"


def test_every_row_of_the_manual_has_a_scenario() -> None:
    rows = named_in_rows()
    assert {"overcurrent_instant", "meter_frozen", "undervoltage", "unplugged"} <= rows
    missing = rows - set(BY_FUNCTION) - {reason.value for reason in BY_REASON}
    assert not missing, f"write a scenario that reaches {sorted(missing)}, and name it in this module"


def test_every_function_that_opens_a_port_has_its_row_in_the_manual() -> None:
    limits = {"energy_limit", "duration_limit"}
    names = {row.function.name for row in FUNCTIONS} - limits
    missing = sorted(names - named_in_rows())
    assert not missing, f"give {missing} their rows in docs/protection.md"


def test_every_alarm_that_a_site_may_have_trip_has_a_scenario_in_which_it_does() -> None:
    never = next(one.default for one in fields(Row) if one.name == "trips")
    wanted = {f"{row.function.name}_trip" for row in FUNCTIONS if row.trips is not never}
    missing = wanted - set(BY_FUNCTION)
    assert wanted
    assert not missing, f"write a scenario that reaches {sorted(missing)}, and name it in this module"


def test_every_reason_has_a_scenario() -> None:
    missing = set(StopReason) - set(BY_REASON) - NOT_GIVEN
    assert not missing, f"write a scenario that ends for {sorted(missing)}, and name it in this module"


def test_a_reason_said_to_be_never_given_is_nowhere_in_the_core() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in CORE.rglob("*.py"))
    for reason in NOT_GIVEN:
        assert f"StopReason.{reason.name}" not in source
