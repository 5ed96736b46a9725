"""Rules of the voltage, bent one at a time; `bends` plays them."""

import math

from tests.core.bend import Bend

_VOLTAGE = "scenarios.test_voltage:"
_OUT = _VOLTAGE + "test_four_seconds_out_of_the_band_suspend_all_it_supplies"
_IN = _VOLTAGE + "test_just_inside_the_band_is_good"
_BACK = _VOLTAGE + "test_a_minute_back_in_the_band_lets_it_go_on"

_PHASE = _VOLTAGE + "test_a_port_on_another_phase_is_told_by_a_meter_of_its_own_phase"
_UNSTATED = _VOLTAGE + "test_where_nobody_says_on_which_phase_a_port_hangs_its_own_meter_alone_tells"
_AT_ONCE = _VOLTAGE + "test_another_meter_is_believed_as_soon_as_the_nearer_one_falls_silent"

VOLTAGE_BENDS: tuple[Bend, ...] = (
    # One meter for each phase of each circuit
    Bend("plan", "return (circuit.id, phase.value)", 'return (circuit.id, "")', _PHASE),
    Bend(
        "plan",
        "if circuit is None or (phase is Phase.ALL and circuit.phases > 1):",
        "if circuit is None:",
        _UNSTATED,
    ),
    Bend(
        "plan",
        "(phase is Phase.ALL and circuit.phases > 1)",
        "phase is Phase.ALL",
        _VOLTAGE + "test_in_a_circuit_of_one_phase_one_meter_tells_for_all",
    ),
    Bend(
        "site.voltages",
        "len(event.voltages) == 1 and circuit.plan.phases > 1",
        "False",
        _VOLTAGE + "test_one_voltage_of_a_feeder_of_three_phases_is_no_evidence_for_any",
    ),
    Bend(
        "metering.voltage",
        "if rank == self._rank and len(known) < len(volts):",
        "if False:",
        _VOLTAGE + "test_another_meter_is_believed_as_soon_as_the_nearer_one_leaves_a_phase_out",
        (None,),
    ),
    Bend(
        "metering.voltage",
        "if rank == self._rank and len(known) < len(volts):",
        "if len(known) < len(volts):",
        _VOLTAGE + "test_a_phase_left_out_by_one_that_was_not_believed_changes_nothing",
    ),
    Bend("metering.voltage", "            self._rank = FARTHEST\n", "            pass\n", _AT_ONCE, ("meter",)),
    Bend(
        "site.supply",
        "                self.voltages.feeder_unheard(circuit)\n",
        "                pass\n",
        _AT_ONCE,
        ("feeder",),
    ),
    Bend(
        "station",
        "            self._supply.voltages.unheard(port)\n",
        "            pass\n",
        _AT_ONCE,
        ("meter",),
    ),
    Bend(
        "metering.voltage",
        "if rank <= self._rank:",
        "if True:",
        _VOLTAGE + "test_a_silence_of_one_that_was_not_believed_changes_nothing",
    ),
    Bend(
        "plan",
        "overvoltage: Volts = key(\n        Volts(264.0)",
        "overvoltage: Volts = key(\n        Volts(270.0)",
        _OUT,
        (264.0, "overvoltage"),
    ),
    Bend(
        "plan",
        "overvoltage: Volts = key(\n        Volts(264.0)",
        "overvoltage: Volts = key(\n        Volts(263.0)",
        _IN,
        (263.9,),
    ),
    Bend(
        "plan",
        "undervoltage: Volts = key(Volts(176.0)",
        "undervoltage: Volts = key(Volts(170.0)",
        _OUT,
        (176.0, "undervoltage"),
    ),
    Bend(
        "plan", "undervoltage: Volts = key(Volts(176.0)", "undervoltage: Volts = key(Volts(177.0)", _IN, (176.1,)
    ),
    Bend(
        "plan",
        "voltage_delay: Seconds = key(Seconds(4.0)",
        "voltage_delay: Seconds = key(Seconds(7.0)",
        _OUT,
        (264.0, "overvoltage"),
    ),
    Bend(
        "plan",
        "voltage_delay: Seconds = key(Seconds(4.0)",
        "voltage_delay: Seconds = key(Seconds(2.0)",
        _VOLTAGE + "test_a_dip_of_three_seconds_is_ridden_through",
    ),
    Bend(
        "plan",
        "voltage_back: Seconds = key(\n        Seconds(60.0)",
        "voltage_back: Seconds = key(\n        Seconds(40.0)",
        _BACK,
    ),
    Bend(
        "metering.voltage",
        "self.high >= self.protection.overvoltage",
        "self.high > self.protection.overvoltage",
        _OUT,
        (264.0, "overvoltage"),
    ),
    Bend(
        "metering.voltage",
        "self.low <= self.protection.undervoltage",
        "self.low < self.protection.undervoltage",
        _OUT,
        (176.0, "undervoltage"),
    ),
    Bend(
        "metering.voltage",
        "self.over, self.under = DefiniteTime(delay, keeps=KEEPS)",
        "self.over, self.under = DefiniteTime(delay, 1, KEEPS)",
        _VOLTAGE + "test_one_reading_alone_opens_nothing",
    ),
    Bend(
        "metering.voltage",
        "between(self.at, at) >= refresh",
        "True",
        _VOLTAGE + "test_two_readings_are_needed_and_one_refresh_holds_one",
    ),
    Bend(
        "metering.voltage",
        "max(KEEPS, REFRESHES * refresh)",
        "KEEPS",
        _VOLTAGE + "test_a_meter_that_renews_its_values_seldom_is_believed_all_the_same",
        (20.0,),
    ),
    Bend(
        "metering.voltage",
        "or rank < self._rank",
        "or rank != self._rank",
        _VOLTAGE + "test_the_nearest_meter_is_believed",
    ),
    Bend(
        "metering.pickup",
        "                self.reset()\n",
        "                pass\n",
        _VOLTAGE + "test_what_came_before_a_long_silence_does_not_count",
    ),
    Bend(
        "metering.voltage",
        "return self.known(now) and self._band.reached(now)",
        "return self._band.readings >= READINGS and now >= self._band.since + self.protection.voltage_back",
        _VOLTAGE + "test_good_news_that_stops_coming_is_none",
    ),
    Bend(
        "metering.voltage",
        "DARK = Volts(50.0)",
        "DARK = Volts(1.0)",
        _VOLTAGE + "test_a_line_that_is_dead_ends_it_as_a_power_loss",
    ),
    Bend(
        "metering.voltage",
        "if one is not None and isfinite(one)]",
        "if one is not None]",
        _VOLTAGE + "test_what_is_no_number_is_no_evidence",
        (math.inf,),
    ),
    Bend(
        "port.suspending",
        "port.suspended_for in VOLTAGES and not port.mains.steady(now.instant)",
        "False",
        _BACK,
    ),
    Bend(
        "port.suspending",
        '    "voltage": lambda port, now: port.mains.out(now.instant),\n',
        "",
        _VOLTAGE + "test_a_session_that_waits_for_its_meter_does_not_close_at_a_wrong_voltage",
    ),
    Bend(
        "port.starting",
        "        and not port.mains.out(now.instant)\n",
        "",
        _VOLTAGE + "test_nor_closed_when_it_goes_wrong_during_the_start",
    ),
    Bend(
        "port.port",
        "            Code.VOLTAGE: self.mains.out(now.instant),\n",
        "",
        _VOLTAGE + "test_nothing_is_started_at_a_wrong_voltage",
    ),
    Bend(
        "protection.table",
        "    Row(Undervoltage, Result.SUSPEND, StopReason.UNDERVOLTAGE),\n",
        "",
        _VOLTAGE + "test_one_that_is_only_low_as_undervoltage",
    ),
    Bend(
        "protection.voltage",
        "        self.timer = self._mains.over\n",
        "",
        _VOLTAGE + "test_the_delay_is_told_by_the_clock_between_two_readings",
    ),
    Bend(
        "site.voltages",
        "or (dead and not teller.load_absent())",
        "",
        _VOLTAGE + "test_a_meter_that_shows_no_voltage_under_load_is_broken",
    ),
    Bend(
        "site.voltages",
        "return voltages[place : place + 1] if (place := PHASES.index(phase)) < len(voltages) else ()",
        "return voltages",
        _VOLTAGE + "test_a_phase_concerns_those_that_hang_on_it",
    ),
)
