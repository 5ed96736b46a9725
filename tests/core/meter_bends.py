"""Rules about meters that do not measure, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

_METERS = "scenarios.test_meters:"
_BAD = "scenarios.test_bad_input:"
_TOTALS = "core.test_totals:"
_STUCK = _METERS + "test_a_register_that_stands_still_under_load_opens_the_port"
_DEAD = _METERS + "test_a_meter_frozen_altogether_is_no_weld_and_ends_the_session"
_STILL = _METERS + "test_values_that_stand_still_while_neighbours_move_flag_the_meter_and_open_nothing"
_LIFE = _METERS + "test_a_register_that_moves_is_a_sign_of_life"
_JUMP_ROW = """\
    Row(
        PowerJump,
        Result.ALARM,
        StopReason.OVERPOWER,
        tells=PowerJumped,
        trips=lambda protection: protection.power_jump_trips,
    ),
"""
_JUMP = _METERS + "test_a_load_that_jumps_is_told_of_once_and_goes_on"
_NO_JUMP = _METERS + "test_less_than_eighty_watts_or_within_half_an_hour_is_no_jump"
_TRIP = _METERS + "test_where_a_site_wants_it_a_jump_ends_the_session"
_PEAK = _METERS + "test_a_peak_of_less_than_half_a_minute_is_neither_a_jump_nor_a_maximum"

_BLIND = _METERS + "test_a_register_that_counts_what_the_values_do_not_show_opens_the_port"
_BEFORE = _METERS + "test_values_that_move_are_not_frozen_however_much_the_register_counts"
_TWICE = _METERS + "test_twice_what_is_shown_and_five_steps_and_ten_watts_is_too_much"

_REVERSED = "scenarios.test_reversed:"
_BACK = _REVERSED + "test_a_load_that_feeds_back_for_ten_seconds_is_told_of_once_and_goes_on"
_BACK_TRIP = _REVERSED + "test_where_a_site_wants_it_feeding_back_ends_the_session_between_two_readings"
_WEIGHED = _REVERSED + "test_two_ports_of_which_one_is_reversed_do_not_make_nothing"
_FEEDER = _REVERSED + "test_a_reversed_feeder_meter_hides_no_overload"
_BILL = _REVERSED + "test_a_reversed_meter_is_told_of_and_bills_nothing_and_lets_the_session_go_on"

METER_BENDS: tuple[Bend, ...] = (
    # No session bills less for when its power was first read, and `exact` has a register at both ends
    Bend(
        "metering.totals",
        "self._draw(tier, power, span)",
        "pass",
        _TOTALS + "test_the_first_power_holds_back_to_the_closing",
    ),
    Bend(
        "metering.totals",
        "self._unseen < self._refresh",
        "False",
        _TOTALS + "test_a_value_from_before_the_closing_is_no_reading_of_it",
    ),
    Bend(
        "metering.totals",
        "power < FLOWS:\n            return  #",
        "True:\n            return  #",
        _TOTALS + "test_a_load_that_shows_at_once_is_believed_at_once",
    ),
    Bend(
        "port.charge",
        "        if not self.touched:\n            doubt = NOT_CLOSED\n        elif",
        "        if",
        "scenarios.test_bills:test_a_session_that_never_closed_is_not_exact",
    ),
    # Magnitudes protect, signs bill
    Bend(
        "metering.seen",
        "Amps(abs(reading.current))",
        "reading.current",
        _REVERSED + "test_a_current_is_a_magnitude",
        (-8.0,),
    ),
    Bend("metering.seen", "Watts(abs(reading.power))", "reading.power", _WEIGHED),
    Bend(
        "metering.seen",
        "Watts(abs(reading.power))",
        "reading.power",
        _REVERSED + "test_a_weld_behind_a_reversed_meter_is_a_weld",
    ),
    Bend(
        "metering.seen",
        "Watts(abs(reading.power))",
        "reading.power",
        _REVERSED + "test_too_much_power_backwards_ends_the_session",
    ),
    Bend(
        "metering.seen",
        "Watts(abs(reading.power))",
        "reading.power",
        _REVERSED + "test_far_too_much_power_backwards_ends_it_at_one_reading",
    ),
    Bend(
        "metering.seen",
        "Watts(abs(reading.power))",
        "reading.power",
        _REVERSED + "test_a_reversed_neighbour_is_crosstalk_all_the_same",
    ),
    Bend("metering.seen", "else self.signed_power", "else self.power", _BILL),
    Bend("protection.image", "self.totals.hold(reading.power,", "self.totals.hold(seen.power,", _BILL),
    Bend("metering.totals", "self._held = Watts(max(0.0, power))", "self._held = Watts(abs(power))", _BILL),
    Bend(
        "metering.frozen",
        "if power >= COUNTED_FROM:  #",
        "if abs(power) >= COUNTED_FROM and (drawn := abs(drawn)):  #",
        _BILL,
    ),
    Bend(
        "metering.frozen",
        "self._shown + abs(drawn)",
        "self._shown + drawn",
        _REVERSED + "test_a_register_that_counts_both_ways_is_not_called_blind",
    ),
    Bend("circuits.circuit", "[abs(current) for", "[current for", _FEEDER, ((-21.0,), 900.0)),
    Bend("circuits.circuit", "Watts(abs(power)) if", "power if", _FEEDER, ((9.0,), -5000.0)),
    Bend(
        "port.charge",
        "return self.image.most if",
        "return self.totals.peak if",
        _REVERSED + "test_three_sessions_backwards_are_no_open_circuit",
    ),
    Bend(
        "protection.image",
        "max(record.peak_power, record.level)",
        "record.peak_power",
        _REVERSED + "test_what_a_reversed_meter_showed_before_an_outage_is_no_jump_after_it",
    ),
    Bend(
        "metering.voltage",
        "min(abs(one), HIGHEST)",
        "min(one, HIGHEST)",
        _REVERSED + "test_a_voltage_is_a_magnitude_too_and_above_all_ranges_at_least_their_end",
        (-270.0,),
    ),
    # A register that stands still
    Bend(
        "protection.table",
        "    Row(MeterFrozen, Result.SUSPEND, StopReason.METER_LOST),\n",
        "",
        _STUCK,
    ),
    Bend("plan", "frozen_steps: float = key(\n        5.0", "frozen_steps: float = key(\n        11.0", _STUCK),
    Bend(
        "metering.frozen",
        "self._flag(at)\n        return True\n\n    def _limit",
        "return True\n\n    def _limit",
        _STUCK,
    ),
    Bend("metering.frozen", "self.due < limit:", "self.due > limit:", _STUCK),
    Bend("metering.frozen", "self._held = (power, max(since, at))", "pass", _STUCK),
    Bend(
        "metering.frozen",
        "COUNTED_FROM = Watts(10.0)",
        "COUNTED_FROM = Watts(5.0)",
        _METERS + "test_what_a_meter_need_not_count_is_no_evidence",
        (9.9,),
        (("opens", False),),
    ),
    Bend(
        "metering.frozen",
        "if power >= COUNTED_FROM",
        "if power > COUNTED_FROM",
        _METERS + "test_what_a_meter_need_not_count_is_no_evidence",
        (10.0,),
        (("opens", True),),
    ),
    Bend(
        "metering.frozen",
        "STANDS_FOR = Seconds(60.0)",
        "STANDS_FOR = Seconds(20.0)",
        _METERS + "test_a_register_is_given_a_minute_however_much_is_drawn",
    ),
    Bend(
        "metering.frozen",
        "LONGEST_HOLD = Seconds(60.0)",
        "LONGEST_HOLD = Seconds(600.0)",
        _METERS + "test_a_power_that_is_not_read_is_not_held_for_long",
    ),
    Bend(
        "port.starting",
        "    port.frozen.try_again()\n",
        "",
        _METERS + "test_the_register_gets_another_chance_and_not_a_fourth_one",
    ),
    Bend(
        "protection.image",
        '            self.totals.distrust("register_frozen", frozen.due)\n',
        "            pass\n",
        _METERS + "test_what_the_register_has_not_counted_is_billed_as_an_estimate",
    ),
    Bend("port.readings", "port.frozen.dead or explained", "explained", _DEAD),
    Bend("port.port", " or self.frozen.dead,", ",", _DEAD),
    Bend(
        "port.readings",
        "port.frozen.dead or explained",
        "port.frozen.flagged or explained",
        _METERS + "test_a_weld_is_seen_by_a_meter_whose_register_alone_stands_still",
    ),
    Bend(
        "metering.frozen",
        "        return self.stuck or self.blind\n",
        "        return self.stuck\n",
        _BLIND,
        (0.0, 0.0),
    ),
    Bend("port.suspending", '    "meter_frozen": lambda port, _now: port.frozen.dead,\n', "", _BLIND, (0.0, 0.0)),
    Bend("metering.frozen", "            self._base = self.blind = None\n        if", "        if", _BEFORE),
    Bend("metering.frozen", ", self._shown)\n        if", ", 0.0)\n        if", _TWICE),
    Bend("metering.frozen", "more < max(least, COUNTED_FROM * hours)", "more < least", _TWICE),
    Bend("metering.frozen", " or counted > MOST_POWER * hours", "", _TWICE),
    Bend(
        "protection.image",
        "if self.newly_stuck and frozen.stuck is not None:",
        "if self.newly_stuck:",
        _BLIND,
        (0.0, 0.0),
    ),
    # Values that stand still
    Bend(
        "plan",
        "frozen_for: Seconds = key(\n        Seconds(300.0)",
        "frozen_for: Seconds = key(\n        Seconds(240.0)",
        _STILL,
    ),
    Bend(
        "plan",
        "frozen_for: Seconds = key(\n        Seconds(300.0)",
        "frozen_for: Seconds = key(\n        Seconds(601.0)",
        _STILL,
    ),
    Bend(
        "metering.frozen",
        "FLAGGED_STEPS = 2",
        "FLAGGED_STEPS = 5",
        _METERS + "test_of_a_flagged_meter_two_steps_of_the_register_are_enough",
    ),
    Bend(
        "metering.frozen",
        "FLAGGED_STEPS = 2",
        "FLAGGED_STEPS = 0",
        _STILL,
    ),
    Bend(
        "metering.frozen",
        "(by_power and one.moved_since(since))",
        "by_power",
        _METERS + "test_where_no_neighbour_moves_nothing_is_said",
    ),
    Bend("metering.frozen", "FINE = 1000.0", "FINE = 100.0", _METERS + "test_a_coarse_figure_is_no_evidence"),
    Bend(
        "metering.frozen",
        "STANDBY = Watts(25.0)",
        "STANDBY = Watts(5.0)",
        _METERS + "test_a_standby_load_is_no_evidence",
    ),
    Bend(
        "metering.frozen",
        "VOLTAGE_STEPS = 5",
        "VOLTAGE_STEPS = 50",
        _METERS + "test_a_voltage_that_stands_still_is_evidence",
    ),
    Bend("metering.frozen", "READINGS = 10", "READINGS = 5", _METERS + "test_readings_within_one_refresh_are_one"),
    Bend(
        "metering.frozen",
        "if self._counted_at is None or between(self._counted_at, at) >= self._refresh:",
        "if True:",
        _METERS + "test_readings_within_one_refresh_are_one",
    ),
    Bend("metering.frozen", "                    one.restart(at)\n", "                    pass\n", _LIFE),
    Bend(
        "metering.frozen",
        "        if self.flagged and (current or power or voltage):\n            self._set(None)\n",
        "",
        _METERS + "test_a_value_that_moves_clears_the_flag",
    ),
    # A load that jumps
    Bend(
        "plan",
        "power_jump: Watts = key(\n        Watts(80.0)",
        "power_jump: Watts = key(\n        Watts(81.0)",
        _JUMP,
    ),
    Bend(
        "plan",
        "power_jump: Watts = key(\n        Watts(80.0)",
        "power_jump: Watts = key(\n        Watts(79.0)",
        _NO_JUMP,
        (379.9, 1900.0),
        (("jumps", False),),
    ),
    Bend(
        "plan",
        "power_jump_after: Seconds = key(\n        Seconds(1800.0)",
        "power_jump_after: Seconds = key(\n        Seconds(1600.0)",
        _NO_JUMP,
        (380.0, 1700.0),
        (("jumps", False),),
    ),
    Bend(
        "plan",
        "power_jump_after: Seconds = key(\n        Seconds(1800.0)",
        "power_jump_after: Seconds = key(\n        Seconds(1850.0)",
        _NO_JUMP,
        (380.0, 1810.0),
        (("jumps", True),),
    ),
    Bend(
        "plan",
        "power_jump_delay: Seconds = key(Seconds(30.0)",
        "power_jump_delay: Seconds = key(Seconds(20.0)",
        _JUMP,
    ),
    Bend(
        "plan",
        "power_jump_delay: Seconds = key(Seconds(30.0)",
        "power_jump_delay: Seconds = key(Seconds(40.0)",
        _JUMP,
    ),
    Bend(
        "protection.power_jump",
        "DefiniteTime(protection.power_jump_delay)",
        "DefiniteTime(protection.power_jump_delay, 1)",
        _METERS + "test_a_jump_is_not_seen_in_one_reading",
    ),
    Bend("protection.power_jump", "        if not above:\n", "        if power:\n", _PEAK),
    Bend(
        "protection.power_jump",
        "        self._over.reset()\n",
        "        pass\n",
        _METERS + "test_a_suspension_breaks_a_jump",
    ),
    Bend("plan", "power_jump_trips: bool = key(False", "power_jump_trips: bool = key(True", _JUMP),
    Bend(
        "protection.table",
        "        trips=lambda protection: protection.power_jump_trips,\n",
        "",
        _TRIP,
    ),
    Bend(
        "protection.table",
        _JUMP_ROW,
        "",
        _JUMP,
    ),
    Bend(
        "protection.power_jump",
        "self._most = self._on.most",
        "pass",
        _METERS + "test_what_a_load_drew_before_an_outage_is_no_jump_after_it",
    ),
    # A load that feeds back
    Bend(
        "protection.table",
        "    Row(\n        ReversePower,\n        Result.ALARM,",
        "    Row(\n        ReversePower,\n        Result.END,",
        _BACK,
    ),
    Bend("protection.table", "        trips=lambda protection: protection.reverse_power_trips,\n", "", _BACK_TRIP),
    Bend(
        "plan",
        'reverse_power: Watts = key(\n        Watts(20.0), "reverse_power_w"',
        'reverse_power: Watts = key(\n        Watts(20.1), "reverse_power_w"',
        _BACK,
    ),
    Bend(
        "plan",
        'reverse_power: Watts = key(\n        Watts(20.0), "reverse_power_w"',
        'reverse_power: Watts = key(\n        Watts(19.0), "reverse_power_w"',
        _REVERSED + "test_less_than_twenty_watts_back_are_no_alarm",
    ),
    Bend(
        "plan",
        "reverse_power_delay: Seconds = key(Seconds(10.0)",
        "reverse_power_delay: Seconds = key(Seconds(15.0)",
        _BACK,
    ),
    Bend("plan", "reverse_power_trips: bool = key(False", "reverse_power_trips: bool = key(True", _BACK),
    Bend("protection.reverse_power", "reading.power <= self._limit", "abs(reading.power) <= self._limit", _BACK),
    Bend(
        "protection.reverse_power",
        "        self._back.reset()\n",
        "        pass\n",
        _REVERSED + "test_a_suspension_breaks_it",
    ),
    Bend(
        "protection.reverse_power",
        "self._back = self.timer = DefiniteTime(",
        "self._back = DefiniteTime(",
        _BACK_TRIP,
    ),
    Bend(
        "protection.image",
        "self.timers = tuple(one.timer for _, one in opening if",
        "self.timers = tuple(one.timer for _, one in made if",
        "core.test_protection:test_an_alarm_that_opens_nothing_is_never_due",
    ),
    # Bad input
    Bend(
        "metering.pickup",
        "self._last is None or reached(after(self._last, QUIET), at)",
        "True",
        _BAD + "test_what_is_no_number_is_told_once",
    ),
    Bend(
        "metering.pickup",
        "QUIET = Seconds(600.0)",
        "QUIET = Seconds(1.0)",
        _BAD + "test_what_is_no_number_is_told_once",
    ),
    Bend(
        "port.readings",
        "NEGATIVE_FROM = Watts(-5.0)",
        "NEGATIVE_FROM = Watts(-0.5)",
        _BAD + "test_a_little_below_zero_is_noise",
    ),
    Bend(
        "port.readings",
        "NEGATIVE_FROM = Watts(-5.0)",
        "NEGATIVE_FROM = Watts(-5.5)",
        _BAD + "test_power_that_flows_back_is_told",
    ),
    Bend(
        "metering.totals",
        'self.doubt = self.doubt or "register_went_back"',
        "pass",
        _BAD + "test_a_register_that_is_not_believed_makes_an_estimate",
        ("went_back", "register_went_back"),
    ),
    Bend(
        "metering.totals",
        'self.doubt = self.doubt or "register_jumped"',
        "pass",
        _BAD + "test_a_register_that_is_not_believed_makes_an_estimate",
        ("jumped", "register_jumped"),
    ),
    Bend(
        "port.readings",
        "port.out.tell(EnergyEstimated(port=port.id, kind=doubt, session=image.order.session))",
        "return",
        _BAD + "test_a_register_that_is_not_believed_makes_an_estimate",
        ("rolled_over", "register_went_back"),
    ),
    Bend(
        "metering.totals",
        "            span = min(span, self.charging - self._charged_then + UNCOUNTED)\n",
        "            pass\n",
        _TOTALS + "test_a_meter_replaced_behind_an_open_relay_is_not_believed",
    ),
    Bend(
        "metering.totals",
        " - self._charged_then + UNCOUNTED",
        " - self._charged_then",
        _TOTALS + "test_what_a_relay_let_through_before_it_was_seen_to_be_open_is_believed",
    ),
    Bend(
        "metering.totals",
        " and between(self._opened_at, at) > UNCOUNTED / 2",
        "",
        _TOTALS + "test_a_reading_that_lags_behind_an_opening_shows_no_flow",
    ),
    Bend(
        "metering.totals",
        "if not self.closed and power",
        "if power",
        _TOTALS + "test_a_reading_that_lags_behind_an_opening_shows_no_flow",
    ),
    Bend(
        "protection.image",
        "                self.totals.see_open(Watts(abs(reading.power)), reading.at)\n",
        "                pass\n",
        "core.test_protection:test_what_flows_through_a_relay_that_counts_as_open_is_billed_by_the_register",
    ),
)
