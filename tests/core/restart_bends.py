"""Rules of an orderly end and of what comes back after it, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

_ORDER = "scenarios.test_in_order:"
_GOES_ON = _ORDER + "test_a_restart_interrupts_a_session_and_does_not_end_it"
_WAITS = _ORDER + "test_what_waits_already_goes_on_waiting_for_the_same_and_no_longer"
_WRITTEN = _ORDER + "test_what_waits_is_written_down_before_the_daemon_has_gone"
_TWELVE = _ORDER + "test_twelve_sessions_of_one_circuit_are_interrupted_for_ten_seconds_at_most_each"
_TEN_TIMES = _ORDER + "test_a_session_goes_on_ten_times_after_restarts_as_after_outages"
_DRAINING = _ORDER + "test_draining_lets_nothing_start_and_what_charges_go_on"
_WIRED = _ORDER + "test_a_session_does_not_go_on_at_a_port_that_is_wired_otherwise_now"

RESTART_BENDS: tuple[Bend, ...] = (
    Bend(
        "port.table",
        "suspending.charged, suspending.suspend_by_restart",
        "suspending.charged, ending.shut_down",
        _GOES_ON,
    ),
    Bend(
        "port.table",
        '(Rule("wait_through", always, suspending.wait_through),)',
        "IGNORE",
        _WAITS,
    ),
    Bend(
        "port.suspending",
        '    "leaving": lambda port, _now: port.station.leaving,\n',
        "",
        _ORDER + "test_nothing_goes_on_while_the_daemon_leaves",
    ),
    Bend("port.suspending", "if record.waits is None:\n        port.out", "if True:\n        port.out", _GOES_ON),
    Bend("port.suspending", "elif outlook_of(port, now) is Outlook.GOES_ON:", "elif False:", _WAITS),
    Bend(
        "port.suspending",
        "left = between(now.instant, port.recover_until)",
        "left = port.plan.protection.recover_within",
        _WAITS,
    ),
    Bend(
        "port.suspending",
        "if kept.waits is None else kept.waits.patience",
        "if True else None",
        _ORDER + "test_restarts_again_and_again_do_not_let_it_wait_for_ever",
    ),
    Bend(
        "port.suspending",
        "max(patience, LEAST_PATIENCE)",
        "patience",
        _ORDER + "test_a_meter_that_is_back_after_the_restart_lets_it_go_on",
    ),
    Bend(
        "port.suspending",
        "StopReason.POWER_LOSS if record.waits is None else record.waits.reason",
        "StopReason.POWER_LOSS",
        _ORDER + "test_a_voltage_is_waited_for_by_its_name_over_a_restart",
    ),
    Bend("port.suspending", "    if port.session.waits is not None:\n", "    if False:\n", _WRITTEN),
    Bend("station", "(leaving and port.state is PortState.SUSPENDED)", "False", _WRITTEN),
    Bend(
        "port.suspending",
        "SetPace(port=port.id, pace=Pace.ARMED)",
        "SetPace(port=port.id, pace=Pace.CLOSED)",
        _ORDER + "test_no_port_is_read_as_a_closed_one_before_its_relay_is_told_to_close",
    ),
    Bend(
        "metering.totals",
        "record.waits is None or not record.waits.opened",
        "True",
        _ORDER + "test_a_step_of_the_register_is_no_energy_of_a_restart",
    ),
    Bend(
        "metering.totals",
        "record.waits is None or not record.waits.opened",
        "record.waits is None",
        _ORDER + "test_a_step_of_the_register_is_no_energy_of_a_restart",
    ),
    Bend(
        "metering.totals",
        "        if self._away:\n",
        "        if False:\n",
        _ORDER + "test_what_a_meter_counts_while_the_daemon_is_away_is_not_billed",
    ),
    Bend(
        "metering.totals",
        "self.peak * UNCOUNTED / SECONDS_AN_HOUR + 2",
        "2",
        _ORDER + "test_a_slow_meter_makes_up_after_a_restart_for_what_was_drawn_before_it",
    ),
    Bend(
        "metering.totals",
        "self.register_last, self._unwatched, self._away = value, False, False",
        "self.register_last, self._unwatched = value, False",
        _ORDER + "test_what_was_made_up_for_is_read_on_from_there",
    ),
    Bend("station", "self._surroundings.draining = event.begin", "pass", _DRAINING),
    Bend("port.port", "self.station.draining or self", "self", _DRAINING),
    Bend("port.charge", "(record.waits is None and last.reason not in AWAY)", "(last.reason not in AWAY)", _WAITS),
    Bend(
        "port.charge",
        "StopReason.POWER_LOSS if record.waits is None else StopReason.RESTART",
        "StopReason.POWER_LOSS",
        _ORDER + "test_stopped_for_longer_than_an_outage_may_last_it_has_ended_by_the_restart",
    ),
    Bend("port.charge", "AWAY = frozenset({OUTAGE, RESTARTED})", "AWAY = frozenset({OUTAGE})", _TEN_TIMES),
    Bend("port.resuming", "record.interruptions[:-1]", "record.interruptions", _TEN_TIMES),
    Bend(
        "port.starting",
        "    session.return_ahead()\n",
        "",
        _ORDER + "test_a_daemon_that_dies_each_time_it_closes_does_so_ten_times",
    ),
    Bend(
        "port.suspending",
        "if record.wired not in {None, port.plan.wired}:",
        "if False:",
        _WIRED,
        (True,),
    ),
    Bend(
        "port.suspending",
        "record.wired not in {None, port.plan.wired}",
        "record.wired not in {port.plan.wired}",
        _ORDER + "test_one_that_was_kept_before_its_wiring_was_goes_on_and_keeps_it",
    ),
    Bend("port.charge", "            wired=self._plan.wired,\n", "", _WIRED, (False,)),
    Bend("port.charge", "at_once = record.at.boot == now.boot", "at_once = False", _TWELVE),
    Bend(
        "port.charge",
        "at_once = record.at.boot == now.boot",
        "at_once = True",
        _ORDER + "test_after_a_reboot_they_come_back_over_half_a_minute_as_after_any_return_of_the_mains",
    ),
    Bend("circuits.tree", "BETWEEN_RETURNS = Seconds(0.25)", "BETWEEN_RETURNS = Seconds(0.2)", _TWELVE),
    Bend("circuits.tree", "BETWEEN_RETURNS = Seconds(0.25)", "BETWEEN_RETURNS = Seconds(1.0)", _TWELVE),
    Bend(
        "port.charge",
        "        self.at_once = False\n        self._suspended_from = now\n",
        "        self._suspended_from = now\n",
        _ORDER + "test_one_that_is_suspended_after_its_return_keeps_its_second_again",
    ),
)
