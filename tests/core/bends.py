"""Protective rules, bent one at a time: for each, the scenario that must notice. Adding a rule is adding a line."""

# ruff: noqa: E501 - quoted source keeps its length

from tests.core.bend import Bend
from tests.core.board_bends import BOARD_BENDS
from tests.core.command_bends import COMMAND_BENDS
from tests.core.configured_bends import CONFIGURED_BENDS
from tests.core.flapping_bends import FLAPPING_BENDS
from tests.core.heat_bends import HEAT_BENDS
from tests.core.lease_bends import LEASE_BENDS
from tests.core.line_bends import LINE_BENDS
from tests.core.locking_bends import LOCKING_BENDS
from tests.core.meter_bends import METER_BENDS
from tests.core.proof_bends import PROOF_BENDS
from tests.core.relay_bends import RELAY_BENDS
from tests.core.reserving_bends import RESERVING_BENDS
from tests.core.restart_bends import RESTART_BENDS
from tests.core.resume_bends import RESUME_BENDS
from tests.core.shown_bends import SHOWN_BENDS
from tests.core.supply_bends import SUPPLY_BENDS
from tests.core.tree_bends import TREE_BENDS
from tests.core.unconfirmed_bends import UNCONFIRMED_BENDS
from tests.core.voltage_bends import VOLTAGE_BENDS
from tests.core.wiring_bends import WIRING_BENDS

_OVER = "scenarios.test_overcurrent:"
_SUSPEND = "scenarios.test_suspensions:"
_CIRCUITS = "scenarios.test_circuits:"
_RELAYS = "scenarios.test_relays:"
_ASKED = "scenarios.test_requests:"
_CHARGE = "scenarios.test_charging:"
_RESTART = "scenarios.test_restarts:"
_CONTACTORS = "scenarios.test_contactors:"
_LATE = _CONTACTORS + "test_a_weld_that_shows_with_a_late_contactor_locks_out_too"

BENDS: tuple[Bend, ...] = (
    # What comes of a turn in which nothing is to be done, or nothing has happened.
    Bend(
        "outbox",
        "if not self.commands and not self.facts:",
        "if not self.facts:",
        "scenarios.test_charging:test_a_charge_from_start_to_stop",
    ),
    Bend(
        "invariants.relay_books",
        "if not outcome.commands and not outcome.facts:",
        "if not outcome.commands:",
        "core.test_relay_books:test_what_a_frozen_meter_shows_is_left_to_the_station",
    ),
    # I>>>
    Bend(
        "plan",
        "    instant_factor: float = key(\n        1.5",
        "    instant_factor: float = key(\n        3.0",
        _OVER + "test_one_reading_at_one_and_a_half_times_trips_at_once",
    ),
    Bend(
        "plan",
        "    instant_factor: float = key(\n        1.5",
        "    instant_factor: float = key(\n        1.49",
        _OVER + "test_just_below_one_and_a_half_times_does_not",
    ),
    Bend(
        "protection.overcurrent",
        "if seen.current < threshold:",
        "if seen.current <= threshold:",
        _OVER + "test_one_reading_at_one_and_a_half_times_trips_at_once",
    ),
    Bend(
        "plan",
        "inrush_factor: float = key(\n        3.0",
        "inrush_factor: float = key(\n        6.0",
        _OVER + "test_an_inrush_may_be_twice_as_high_for_two_seconds",
        (1.9, 15.0),
        (("trips", True),),
    ),
    Bend(
        "plan",
        "inrush_factor: float = key(\n        3.0",
        "inrush_factor: float = key(\n        1.5",
        _OVER + "test_an_inrush_may_be_twice_as_high_for_two_seconds",
        (1.9, 14.99),
        (("trips", False),),
    ),
    Bend(
        "plan",
        "inrush_for: Seconds = key(\n        Seconds(2.0)",
        "inrush_for: Seconds = key(\n        Seconds(4.0)",
        _OVER + "test_an_inrush_may_be_twice_as_high_for_two_seconds",
        (2.001, 7.5),
        (("trips", True),),
    ),
    Bend(
        "protection.function",
        "inrush_for + self.plan.meter.refresh)",
        "inrush_for)",
        _OVER + "test_a_slow_meter_has_its_refresh_more",
        (2.9,),
        (("trips", False),),
    ),
    Bend(
        "protection.function",
        "return self.contact_from is None or between(self.contact_from, at) <= self._inrush",
        "return self.closed_at is not None and between(self.closed_at, at) <= self._inrush",
        _OVER + "test_a_closing_that_waits_in_the_queue_does_not_use_up_the_inrush",
    ),
    Bend(
        "protection.image",
        "if self.closed_at is not None and reading.at >= self.closed_at:",
        "if self.closed_at is not None:",
        "core.test_protection:test_what_was_read_before_the_closing_counts_for_nothing",
    ),
    Bend(
        "protection.overcurrent",
        "        if seen.current_at < on.closed_at:\n            return None\n",
        "",
        _OVER + "test_a_reading_from_before_the_closing_does_not_trip",
    ),
    Bend(
        "protection.overcurrent",
        "* on.limits_at(seen.current_at).current",
        "* on.plan.limits.current",
        _OVER + "test_the_sessions_own_limit_counts_not_the_ports",
    ),
    Bend(
        "protection.table",
        "OvercurrentInstant, Result.TRIP, StopReason.OVERCURRENT, Clearing.REMOTE",
        "OvercurrentInstant, Result.TRIP, StopReason.OVERCURRENT",
        _OVER + "test_one_reading_at_one_and_a_half_times_trips_at_once",
    ),
    Bend(
        "protection.image",
        "clearing = row.clearing if function.by_port(now) else None",
        "clearing = row.clearing",
        _OVER + "test_one_reading_that_only_the_order_forbids_ends_it_and_latches_nothing",
    ),
    Bend(
        "protection.overcurrent",
        "current >= self._factor(at) * self._on.plan.limits.current",
        "current > 2 * self._factor(at) * self._on.plan.limits.current",
        _OVER + "test_one_that_the_port_forbids_as_well_latches",
    ),
    Bend(
        "protection.overcurrent",
        "return self._over_port.reached(now)",
        "return True",
        _OVER + "test_three_seconds_above_the_orders_limit_are_none_above_the_ports",
    ),
    Bend(
        "protection.overcurrent",
        "return self._over_port.reached(now)",
        "return False",
        _OVER + "test_ten_percent_above_the_orders_limit_latches_if_it_is_above_the_ports_too",
        (5.5,),
        (("latched", True),),
    ),
    Bend(
        "port.readings",
        "port.thermal.take_in(current, port.plan.limits.current, reading.at)",
        "port.thermal.take_in(current, port.limits.current, reading.at)",
        _OVER + "test_warmth_by_the_orders_limit_is_no_warmth_of_the_wire",
    ),
    Bend(
        "protection.overcurrent",
        "self._ordered.take_in(Amps(abs(reading.current)), self._on.order.limits.current, reading.at)",
        "pass",
        _OVER + "test_warmth_by_the_orders_limit_is_no_warmth_of_the_wire",
    ),
    Bend(
        "protection.overcurrent",
        "return ordered if wire is None else wire",
        "return wire",
        "core.test_protection:test_the_orders_own_warmth_is_looked_at_in_time",
    ),
    # I>>
    Bend(
        "plan",
        "definite_factor: float = key(\n        1.1",
        "definite_factor: float = key(\n        2.2",
        _OVER + "test_ten_percent_more_trips_after_three_seconds",
        (5.5,),
    ),
    Bend(
        "plan",
        "definite_factor: float = key(\n        1.1",
        "definite_factor: float = key(\n        1.09",
        _OVER + "test_just_below_ten_percent_more_never_trips",
    ),
    Bend(
        "protection.overcurrent",
        "above=on.seen.current >= self._threshold",
        "above=on.seen.current > self._threshold",
        _OVER + "test_ten_percent_more_trips_after_three_seconds",
        (5.5,),
    ),
    Bend(
        "plan",
        "definite_delay: Seconds = key(Seconds(3.0)",
        "definite_delay: Seconds = key(Seconds(6.0)",
        _OVER + "test_ten_percent_more_trips_after_three_seconds",
        (5.5,),
    ),
    Bend(
        "plan",
        "definite_delay: Seconds = key(Seconds(3.0)",
        "definite_delay: Seconds = key(Seconds(2.5)",
        _OVER + "test_ten_percent_more_trips_after_three_seconds",
        (5.5,),
    ),
    Bend(
        "metering.pickup",
        "needs: int = 2",
        "needs: int = 1",
        _OVER + "test_a_single_reading_is_not_enough_for_a_definite_time",
    ),
    Bend(
        "metering.pickup",
        "            self.since, self.readings = None, 0\n            return\n",
        "            return\n",
        _OVER + "test_one_reading_below_begins_the_three_seconds_anew",
    ),
    Bend(
        "protection.overcurrent",
        "if counted.current and on.seen.current is not None:",
        "if on.seen.current is not None:",
        _OVER + "test_a_single_reading_is_not_enough_for_a_definite_time",
    ),
    Bend(
        "protection.overcurrent",
        "self._over = self.timer = DefiniteTime(",
        "self._over = DefiniteTime(",
        _OVER + "test_ten_percent_more_trips_after_three_seconds",
        (5.5,),
    ),
    # P>
    Bend(
        "plan",
        "overpower_factor: float = key(\n        1.1",
        "overpower_factor: float = key(\n        1.2",
        _OVER + "test_ten_percent_more_power_ends_the_session_after_five_seconds_without_a_latch",
    ),
    Bend(
        "plan",
        "overpower_delay: Seconds = key(Seconds(5.0)",
        "overpower_delay: Seconds = key(Seconds(10.0)",
        _OVER + "test_ten_percent_more_power_ends_the_session_after_five_seconds_without_a_latch",
    ),
    Bend(
        "plan",
        "overpower_instant_factor: float = key(\n        1.5",
        "overpower_instant_factor: float = key(\n        3.0",
        _OVER + "test_one_and_a_half_times_the_power_ends_it_on_one_reading",
        (1500.0,),
        (("trips", True),),
    ),
    Bend(
        "protection.overpower",
        "seen.power >= threshold and not on.inrush(seen.power_at)",
        "seen.power >= threshold",
        _OVER + "test_power_is_masked_during_an_inrush",
        (2.0,),
        (("trips", False),),
    ),
    Bend(
        "protection.overpower",
        "return self._over.due()",
        "return None",
        _OVER + "test_ten_percent_more_power_ends_the_session_after_five_seconds_without_a_latch",
    ),
    # meter_stale
    Bend(
        "plan",
        "stale_after: Seconds = key(\n        Seconds(3.0)",
        "stale_after: Seconds = key(\n        Seconds(6.0)",
        _SUSPEND + "test_a_meter_silent_for_three_seconds_opens_the_port",
    ),
    Bend(
        "protection.table",
        "    Row(MeterStale, Result.SUSPEND, StopReason.METER_LOST),\n",
        "",
        _SUSPEND + "test_a_meter_silent_for_three_seconds_opens_the_port",
    ),
    Bend(
        "protection.meter",
        "return self._on.seen.fresh_until()",
        "return None",
        _SUSPEND + "test_a_meter_silent_for_three_seconds_opens_the_port",
    ),
    Bend(
        "metering.seen",
        "max(protection.stale_after, POLLS * meter.refresh)",
        "protection.stale_after",
        _SUSPEND + "test_a_slow_meter_may_miss_three_of_its_own_readings",
    ),
    Bend(
        "metering.seen",
        "        return min(after(self.current_at, self._stale_after), after(self.power_at, self._power_stale_after))",
        "        return after(self.current_at, self._stale_after)",
        _SUSPEND + "test_power_that_is_missing_is_no_zero",
    ),
    Bend(
        "metering.seen",
        "        if reading.power is not None:\n            self.power, self.power_at = Watts(abs(reading.power)), reading.at",
        "        if True:\n            self.power, self.power_at = Watts(abs(reading.power or 0.0)), reading.at",
        _SUSPEND + "test_power_that_is_missing_is_no_zero",
    ),
    Bend(
        "metering.seen",
        "if len(self._pair) < 2 or self._pair[0][0] <= since:",
        "if len(self._pair) < 2:",
        _SUSPEND + "test_good_news_needs_two_readings_after_the_suspension",
    ),
    Bend(
        "metering.seen",
        "<= self._agree_within\n",
        "<= 9.0\n",
        _RELAYS + "test_readings_that_disagree_about_a_current_prove_nothing_yet",
    ),
    Bend(
        "metering.seen",
        " and all(current < self._agree_within for _, current in self._pair)",
        "",
        _RELAYS + "test_both_readings_must_show_no_current",
    ),
    Bend(
        "plan",
        "recover_within: Seconds = key(\n        Seconds(120.0)",
        "recover_within: Seconds = key(\n        Seconds(240.0)",
        _SUSPEND + "test_a_meter_that_does_not_come_back_ends_the_session_after_two_minutes",
    ),
    Bend(
        "plan",
        "suspend_times: int = key(\n        3",
        "suspend_times: int = key(\n        4",
        _SUSPEND + "test_three_suspensions_are_borne_the_fourth_ends_the_session",
    ),
    Bend(
        "port.charge",
        "LATELY = Seconds(3540.0)",
        "LATELY = Seconds(7200.0)",
        _SUSPEND + "test_four_seconds_every_twenty_minutes_cost_no_charge",
    ),
    Bend(
        "port.charge",
        "LATELY = Seconds(3540.0)",
        "LATELY = Seconds(3000.0)",
        _SUSPEND + "test_what_began_longer_ago_than_the_hour_counts_no_more",
    ),
    Bend(
        "port.charge",
        "one.reason not in {*AWAY, SHED}",
        "one.reason not in AWAY",
        _CIRCUITS + "test_shedding_uses_up_no_suspensions_for_faults_nor_their_time",
    ),
    Bend(
        "port.charge",
        "spent = self._shed_for if self._shed else self._suspended - self._outages - self._shed_for",
        "spent = self._suspended - self._outages",
        _CIRCUITS + "test_half_an_hour_without_room_ends_it_whatever_faults_have_taken",
    ),
    Bend(
        "port.charge",
        "            if self._shed:\n                self._shed_for = Seconds(self._shed_for + span)\n",
        "",
        _CIRCUITS + "test_shedding_uses_up_no_suspensions_for_faults_nor_their_time",
    ),
    Bend(
        "port.charge",
        "sheds=Seconds(self._shed_for + shed)",
        "sheds=self._shed_for",
        _CIRCUITS + "test_what_was_shed_when_the_mains_went_is_counted_once",
    ),
    Bend(
        "plan",
        "shed_times: int = key(\n        10",
        "shed_times: int = key(\n        9",
        _CIRCUITS + "test_ten_times_in_an_hour_are_borne",
    ),
    Bend(
        "plan",
        "shed_times: int = key(\n        10",
        "shed_times: int = key(\n        11",
        _CIRCUITS + "test_ten_times_in_an_hour_are_borne",
    ),
    Bend(
        "plan",
        "shed_wait: Seconds = key(\n        Seconds(60.0)",
        "shed_wait: Seconds = key(\n        Seconds(50.0)",
        _CIRCUITS + "test_what_was_shed_rests_for_a_minute_before_it_comes_back",
    ),
    Bend(
        "port.suspending",
        '    "shed_wait": rests,\n',
        "",
        _CIRCUITS + "test_what_was_shed_rests_for_a_minute_before_it_comes_back",
    ),
    Bend(
        "site.sharing",
        "(port.session.sheds(), -port.session.image.started_at)",
        "-port.session.image.started_at",
        _CIRCUITS + "test_shedding_does_not_always_take_the_same",
    ),
    Bend(
        "plan",
        "suspend_total: Seconds = key(\n        Seconds(1800.0)",
        "suspend_total: Seconds = key(\n        Seconds(3600.0)",
        _SUSPEND + "test_half_an_hour_of_suspensions_in_all_ends_the_session",
    ),
    Bend(
        "port.charge",
        "        self.resume(now)\n        self.at_once",
        "        self.at_once",
        _SUSPEND + "test_time_spent_on_a_resumption_that_fails_counts_as_suspended",
    ),
    # The start sequence
    Bend(
        "port.starting",
        "    port.out.do(Persist(port=port.id, token=port.token, record=port.record(now)))\n",
        "    port.out.do(Persist(port=port.id, token=port.token, record=port.record(now)))\n    close(port, now)\n",
        _CHARGE + "test_the_session_is_durable_before_the_relay_closes",
    ),
    Bend(
        "port.table",
        'Rule("close", starting.guards_hold, starting.take_turn)',
        'Rule("close", always, starting.take_turn)',
        _ASKED + "test_guards_are_checked_once_more_before_closing",
        (),
        (("hindrance", "lose_store"), ("code", "failed")),
    ),
    Bend(
        "port.starting",
        "if powered is None or not port.load_absent():",
        "if powered is None:",
        _RELAYS + "test_current_between_two_refreshes_keeps_the_relay_open",
    ),
    Bend(
        "port.starting",
        "port.seen.quiet_since(max(port.sequence_from, powered))",
        "port.seen.quiet_since(port.sequence_from)",
        _LATE,
        (0.6, 0.2),
    ),
    Bend("port.starting", "elif shown_free(port):", "elif True:", _LATE, (1.6, 0.05)),
    Bend(
        "port.starting",
        "Step.READINGS, Step.PERSIST, Step.TURN, Step.POWER}",
        "Step.READINGS}",
        _ASKED + "test_guards_are_checked_once_more_before_closing",
        (),
        (("hindrance", "find_current"), ("code", "relay_fault")),
    ),
    Bend(
        "port.starting",
        "return welded(port, event, now) or (",
        "return (",
        _CONTACTORS + "test_current_that_comes_and_goes_below_a_late_contactor_is_a_weld_all_the_same",
    ),
    Bend(
        "port.starting",
        "port.step is Step.POWER and may_close(port, now) and shown_free(port)",
        "port.step is Step.POWER and may_close(port, now)",
        _CONTACTORS + "test_readings_that_never_agree_once_the_contactor_is_closed_fail_the_start",
    ),
    Bend(
        "port.starting",
        "        and port.station.store_writable\n        and port.relay",
        "        and port.relay",
        _ASKED + "test_guards_are_checked_once_more_before_closing",
        (),
        (("hindrance", "lose_store"), ("code", "failed")),
    ),
    Bend(
        "port.starting",
        "        and not port.relay.board_lost\n",
        "",
        _ASKED + "test_guards_are_checked_once_more_before_closing",
        (),
        (("hindrance", "lose_board"), ("code", "failed")),
    ),
    Bend(
        "port.starting",
        "        and port.seen.fresh(now.instant)\n        and",
        "        and",
        _ASKED + "test_guards_are_checked_once_more_before_closing",
        (),
        (("hindrance", "lose_meter"), ("code", "failed")),
    ),
    Bend(
        "plan",
        "weld_current: Amps = key(\n        Amps(0.2)",
        "weld_current: Amps = key(\n        Amps(0.4)",
        _RELAYS + "test_current_before_closing_fails_the_start",
    ),
    Bend(
        "plan",
        "step_timeout: Seconds = key(\n        Seconds(3.0)",
        "step_timeout: Seconds = key(\n        Seconds(6.0)",
        _ASKED + "test_a_journal_has_three_seconds",
        (3.1,),
        (("closes", False),),
    ),
    Bend(
        "port.ending",
        "port.seen.energy_at > port.sequence_from",
        "port.seen.energy_at > 0",
        _ASKED + "test_a_register_read_before_the_start_is_not_its_first",
    ),
    Bend(
        "port.port",
        "Code.DISABLED: self.station.draining or self.station.leaving",
        "Code.DISABLED: self.station.draining",
        _ASKED + "test_nothing_starts_once_the_daemon_leaves",
    ),
    Bend(
        "port.starting",
        "if port.step is not Step.PERSIST or port.token != event.token:",
        "if port.step is not Step.PERSIST:",
        _ASKED + "test_late_news_of_the_journal_moves_nothing",
        (),
        (("late", "Persisted"),),
    ),
    # Relays and leases
    Bend(
        "plan",
        "open_tries: int = key(\n        3",
        "open_tries: int = key(\n        4",
        _RELAYS + "test_a_relay_read_back_closed_after_three_openings_is_locked_out",
    ),
    Bend(
        "plan",
        "open_tries: int = key(\n        3",
        "open_tries: int = key(\n        2",
        _RELAYS + "test_a_relay_that_opens_at_the_third_try_is_fine",
    ),
    Bend(
        "boards.relay",
        "        self._written_at, self._echoed = None, False\n        if self._tries",
        "        self._written_at = None\n        if self._tries",
        _RELAYS + "test_a_locked_out_relay_is_opened_on_and_on",
    ),
    Bend(
        "boards.relay",
        "event.sent_at < self._written_at",
        "event.sent_at < -1e9",
        "core.test_relay:test_a_read_back_from_before_the_write_says_nothing",
    ),
    Bend(
        "boards.relay",
        "STUCK_READS = 2",
        "STUCK_READS = 1",
        "core.test_relay:test_one_open_read_back_of_a_closed_relay_is_asked_after_once",
    ),
    Bend(
        "boards.relay",
        "STUCK_READS = 2",
        "STUCK_READS = 9999",
        _RELAYS + "test_a_relay_that_falls_open_while_charging_is_stuck_open",
    ),
    Bend(
        "plan",
        "RENEWAL_MARGIN = Seconds(1.0)",
        "RENEWAL_MARGIN = Seconds(0.0)",
        _SUSPEND + "test_renewals_that_fail_suspend_one_second_before_the_lease_ends",
    ),
    Bend(
        "boards.relay",
        "            if event.late:\n                return Signal.LEASE_LOST\n",
        "",
        _SUSPEND + "test_a_bus_that_says_late_is_believed_at_once",
    ),
    Bend(
        "boards.relay",
        "not_after=self._lapse_at()",
        "not_after=after(self._lapse_at(), Seconds(60.0))",
        _SUSPEND + "test_a_renewal_that_waits_too_long_is_withheld_though_the_core_hangs",
        (7.0,),
    ),
    Bend(
        "boards.relay",
        "WATCH_LEASE = Seconds(6.0)",
        "WATCH_LEASE = Seconds(60.0)",
        _SUSPEND + "test_a_board_without_leases_that_falls_silent_suspends_after_six_seconds",
        (20.0,),
    ),
    Bend(
        "port.latching",
        "UNBIDDEN_TIMES = 2",
        "UNBIDDEN_TIMES = 3",
        _RELAYS + "test_a_relay_found_closed_is_opened_the_second_time_locked_out",
    ),
    Bend(
        "port.latching",
        "UNBIDDEN_TIMES = 2",
        "UNBIDDEN_TIMES = 1",
        _RELAYS + "test_a_relay_found_closed_is_opened_the_second_time_locked_out",
    ),
    Bend(
        "port.latching",
        "return request.source is Source.LOCAL and bool(request.reason)",
        "return request.source is Source.LOCAL",
        _RELAYS + "test_a_lock_out_survives_a_restart_and_only_a_person_with_a_reason_clears_it",
    ),
    Bend(
        "port.latching",
        "return request.source is Source.LOCAL and bool(request.reason)",
        "return bool(request.reason)",
        _RELAYS + "test_a_lock_out_survives_a_restart_and_only_a_person_with_a_reason_clears_it",
    ),
    Bend(
        "port.latching",
        "        port.latches.append(latch)\n        session = ",
        "        session = ",
        _RELAYS + "test_a_relay_read_back_closed_after_three_openings_is_locked_out",
    ),
    Bend(
        "site.rounds",
        "if port.relay.opened_at is None:",
        "if port.state is None:",
        _RELAYS + "test_a_relay_that_cannot_be_shown_open_is_reported_after_five_seconds",
    ),
    Bend(
        "station",
        "        for port in self._ports.values():\n            port.relay.open(now.instant, self._out)\n        self._supply.begin(now)",
        "        self._supply.begin(now)",
        _RELAYS + "test_all_relays_are_opened_at_the_start",
    ),
    # Ends and books
    Bend(
        "plan",
        "no_load_after: Seconds = key(Seconds(120.0)",
        "no_load_after: Seconds = key(Seconds(240.0)",
        _CHARGE + "test_a_load_that_never_comes_ends_the_session_after_two_minutes",
    ),
    Bend(
        "plan",
        "no_load_below: Watts = key(\n        Watts(8.0)",
        "no_load_below: Watts = key(\n        Watts(7.0)",
        _CHARGE + "test_a_load_that_never_comes_ends_the_session_after_two_minutes",
    ),
    Bend(
        "protection.table",
        "    Row(NoLoad, Result.END, StopReason.NO_LOAD),\n",
        "",
        _CHARGE + "test_a_load_that_never_comes_ends_the_session_after_two_minutes",
    ),
    Bend(
        "protection.table",
        "    Row(Unplugged, Result.END, StopReason.UNPLUGGED),\n",
        "",
        "scenarios.test_end_of_charge:test_a_pulled_plug_ends_the_session_five_minutes_later",
    ),
    Bend(
        "protection.table",
        "    Row(DurationLimit, Result.END, StopReason.DURATION_LIMIT),\n",
        "",
        _CHARGE + "test_the_orders_time_with_the_relay_closed_ends_it",
    ),
    Bend(
        "protection.table",
        "    Row(EnergyLimit, Result.END, StopReason.ENERGY_LIMIT),\n",
        "",
        _CHARGE + "test_the_orders_energy_ends_it_within_what_two_readings_draw",
    ),
    Bend(
        "protection.session_limits",
        "LONGEST_SESSION = Seconds(86400.0)",
        "LONGEST_SESSION = Seconds(172800.0)",
        _CHARGE + "test_a_day_is_the_longest_session",
    ),
    Bend(
        "protection.image",
        "            self.totals.register(reading.energy, reading.at)\n",
        "            pass\n",
        _CHARGE + "test_the_register_pulls_the_energy_at_every_checkpoint",
    ),
    Bend(
        "port.port",
        "return now if lapsed is None else min(now, lapsed)",
        "return now",
        _SUSPEND + "test_renewals_that_fail_suspend_one_second_before_the_lease_ends",
    ),
    Bend(
        "port.charge",
        "untouched = record.meter_start is None",
        "untouched = record.charging <= 0",
        _RESTART + "test_a_session_killed_before_its_first_checkpoint_is_an_estimate_too",
    ),
    Bend(
        "port.ending",
        "return request.session is not None and request.session != port.session.order.session",
        "return False",
        _ASKED + "test_a_stop_from_afar_must_name_the_session_or_insist",
        (),
        (("situation", "charging"),),
    ),
    Bend(
        "port.ending",
        "return stop.session is None and not stop.force and stop.source is Source.REMOTE",
        "return False",
        _ASKED + "test_a_stop_from_afar_must_name_the_session_or_insist",
        (),
        (("situation", "charging"),),
    ),
    Bend(
        "station",
        "            react(port, Trigger.WAKE, event, now)\n            tell_unconfirmed(port, now)\n            signal = port.relay.wake(now.instant, self._out)\n",
        "            signal = port.relay.wake(now.instant, self._out)\n            react(port, Trigger.WAKE, event, now)\n",
        "core.test_station:test_a_lease_is_not_renewed_for_a_meter_gone_stale_in_the_same_moment",
    ),
    Bend(
        "station",
        "        if readings.is_known(event):\n",
        "        if readings.is_known:\n",
        "core.test_station:test_what_is_no_number_keeps_no_meter_fresh",
        (float("nan"),),
    ),
    *SUPPLY_BENDS,
    *TREE_BENDS,
    *BOARD_BENDS,
    *FLAPPING_BENDS,
    *HEAT_BENDS,
    *RESUME_BENDS,
    *RESTART_BENDS,
    *METER_BENDS,
    *PROOF_BENDS,
    *RELAY_BENDS,
    *LEASE_BENDS,
    *SHOWN_BENDS,
    *UNCONFIRMED_BENDS,
    *VOLTAGE_BENDS,
    *LINE_BENDS,
    *WIRING_BENDS,
    *COMMAND_BENDS,
    *CONFIGURED_BENDS,
    *LOCKING_BENDS,
    *RESERVING_BENDS,
)
