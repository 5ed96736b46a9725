"""Rules of sessions after an outage, bent one at a time; `bends` plays them."""

from chargerd.core.moment import ClockQuality
from tests.core.bend import Bend

_RESUME = "scenarios.test_resuming:"
_OUTAGES = "scenarios.test_outages:"
_WINDOW = _RESUME + "test_the_window_itself_is_within_it_and_a_second_more_is_not"
_OVER = _RESUME + "test_what_was_over_does_not_go_on"

_KNOWN = "scenarios.test_resuming:test_what_is_known_of_a_port_protects_a_session_that_goes_on_too"

RESUME_BENDS: tuple[Bend, ...] = (
    Bend("port.resuming", "outage - back_for <= window", "outage - back_for <= window + 1", _WINDOW),
    Bend("port.resuming", "outage - back_for <= window", "outage - back_for < window", _WINDOW),
    Bend(
        "port.resuming",
        "outage - back_for <= window",
        "outage <= window",
        _RESUME + "test_the_outage_ends_with_the_start_of_the_daemon_not_with_the_first_reading",
    ),
    Bend(
        "moment",
        "return span if span >= now.instant else None",
        "return span",
        _RESUME + "test_a_clock_that_went_back_or_tells_less_than_this_boot_is_old_proves_nothing",
        (60.0,),
    ),
    Bend(
        "moment",
        "if since.wall_ms is None or now.wall_ms is None:\n        return None",
        "if since.wall_ms is None or now.wall_ms is None:\n        return Seconds(60.0)",
        _RESUME + "test_a_clock_that_proves_nothing_is_waited_for",
    ),
    Bend(
        "port.resuming",
        "PROOF_WITHIN = Seconds(120.0)",
        "PROOF_WITHIN = Seconds(240.0)",
        _RESUME + "test_but_for_two_minutes_only",
    ),
    Bend(
        "port.resuming",
        "if not window or ",
        "if ",
        _RESUME + "test_a_window_of_nothing_resumes_nothing",
        (ClockQuality.NONE,),
    ),
    Bend(
        "port.resuming",
        ">= MOST_OUTAGES",
        "> MOST_OUTAGES",
        _RESUME + "test_a_session_goes_on_ten_times_and_not_once_more",
    ),
    Bend(
        "port.resuming",
        "one.reason in AWAY for",
        "True for",
        _RESUME + "test_a_session_goes_on_ten_times_and_not_once_more",
    ),
    Bend("port.resuming", "not record.charged or ", "", _OVER, ({"charged": False},)),
    Bend(
        "port.resuming",
        " or record.ending is not None",
        "",
        _RESUME + "test_a_trip_that_was_not_settled_before_the_crash_stays_a_trip",
    ),
    Bend(
        "port.resuming",
        "full = limits.energy is not None and record.energy >= limits.energy",
        "full = False",
        _RESUME + "test_an_energy_that_was_delivered_is_not_delivered_again",
    ),
    Bend(
        "port.suspending",
        "latched = bool(port.latches) or ",
        "latched = ",
        _RESUME + "test_a_port_that_is_held_resumes_nothing",
    ),
    Bend(
        "station",
        "port.id not in stopped and ",
        "",
        _RESUME + "test_nor_one_somebody_had_asked_to_end",
    ),
    Bend(
        "port.suspending",
        " and not exceeds(record.order.limits, port.plan.limits)",
        "",
        _RESUME + "test_nor_does_one_whose_limits_were_lowered_meanwhile",
    ),
    Bend(
        "port.charge",
        "made, meter.refresh), made)",
        "made, meter.refresh), made)\n        self.totals.charging = Seconds(2 * self.totals.charging)",
        _RESUME + "test_what_is_counted_is_counted_once",
    ),
    Bend(
        "port.charge",
        "        self._outages = Seconds(self._outages + unwatched)\n",
        "",
        _RESUME + "test_what_is_counted_is_counted_once",
    ),
    Bend(
        "port.charge",
        "one.reason not in {*AWAY, SHED} and",
        "one.reason != SHED and",
        _RESUME + "test_outages_do_not_use_up_its_suspensions",
    ),
    Bend(
        "port.suspending",
        '    "outage_not_proved": lambda port, _now: port.session.kept is not None,\n',
        "",
        _RESUME + "test_a_clock_that_proves_nothing_is_waited_for",
    ),
    Bend(
        "port.ending",
        "        port.out.do(Checkpoint(records=(port.record(now),)))\n",
        "        pass\n",
        _RESUME + "test_a_trip_that_was_not_settled_before_the_crash_stays_a_trip",
    ),
    Bend(
        "protection.image",
        "self.shape.take_up(record.level, record.lately, record.energy)",
        "self.shape.take_up(record.lately * 0, record.lately, record.energy)",
        _RESUME + "test_a_battery_taken_is_still_told_by_the_shape_from_before",
    ),
    Bend(
        "protection.image",
        "self.shape.take_up(record.level, record.lately, record.energy)",
        "self.shape.take_up(record.level, record.lately * 0, record.energy)",
        _OUTAGES + "test_a_plug_that_was_pulled_during_the_outage_is_no_full_battery",
    ),
    Bend(
        "moment",
        "return span if span >= 0 else None",
        "return span if span >= 0 else Seconds(1.0)",
        _OUTAGES + "test_a_boot_clock_that_went_back_is_another_boots",
    ),
    Bend(
        "site.sharing",
        "(port.session.sheds(), -port.session.image.started_at)",
        "(port.session.sheds(), -port.session.started.instant)",
        _OUTAGES + "test_a_circuit_sheds_the_newest_session_even_if_an_older_one_was_begun_on_another_boot",
    ),
    Bend(
        "port.ending",
        "peak=session.peak)",
        "peak=session.totals.peak)",
        _OUTAGES + "test_a_session_that_does_not_go_on_is_none_that_found_nothing_behind_its_relay",
    ),
    Bend(
        "port.table",
        '            Rule("no_room_yet", suspending.no_room_yet, suspending.wait_on_for_more),\n',
        "",
        _OUTAGES + "test_those_that_find_no_room_at_once_wait_until_the_others_have_settled_down",
    ),
    Bend(
        "metering.totals",
        "least = drawn  #",
        "least = least  #",
        _OUTAGES + "test_what_flowed_after_the_last_record_is_in_the_register",
    ),
    Bend(
        "port.charge",
        "self._counting_from = None if self.totals.closed else now.instant",
        "self._counting_from = now.instant",
        "scenarios.test_suspensions:test_time_spent_on_a_resumption_that_fails_counts_as_suspended",
    ),
    Bend(
        "port.table",
        '            Rule("delivered", starting.delivered, starting.end_delivered),\n',
        "",
        "scenarios.test_resuming:test_it_closes_no_more_when_the_register_shows_that_all_was_drawn_unseen",
    ),
    # What is known of a port whichever session it has.
    Bend(
        "protection.overcurrent",
        "self._wire = on.models.thermal",
        "self._wire = Thermal()",
        _KNOWN,
        ("thermal", "tripped overcurrent_thermal"),
    ),
    Bend(
        "protection.temperature",
        "self._heat = on.models.heat",
        "self._heat = type(on.models.heat)(on.plan.protection)",
        _KNOWN,
        ("heat", "tripped port_temperature"),
    ),
    Bend(
        "protection.voltage",
        "= on.models.mains\n        self._limit = on.plan.protection.overvoltage",
        "= type(on.models.mains)(on.plan.protection)\n        self._limit = on.plan.protection.overvoltage",
        _KNOWN,
        ("mains", "suspended overvoltage"),
    ),
    Bend(
        "protection.meter",
        "self._frozen = on.models.frozen",
        "self._frozen = type(on.models.frozen)(on.plan)",
        _KNOWN,
        ("frozen", "suspended meter_frozen"),
    ),
    Bend(
        "port.suspending",
        "record, port.models, now",
        "record, type(port.models).of(port.plan), now",
        _KNOWN,
        ("heat", "tripped port_temperature"),
    ),
    Bend(
        "port.admission",
        "order, port.models, now",
        "order, type(port.models).of(port.plan), now",
        "scenarios.test_heat:test_a_socket_of_seventy_degrees_is_opened_after_thirty_seconds",
    ),
)
