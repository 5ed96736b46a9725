"""Rules of sessions after an outage, bent one at a time; `bends` plays them."""

from chargerd.core.moment import ClockQuality
from tests.core.bend import Bend

_RESUME = "scenarios.test_resuming:"
_WINDOW = _RESUME + "test_the_window_itself_is_within_it_and_a_second_more_is_not"
_OVER = _RESUME + "test_what_was_over_does_not_go_on"

RESUME_BENDS: tuple[Bend, ...] = (
    Bend("resuming", "outage - back_for <= window", "outage - back_for <= window + 1", _WINDOW),
    Bend("resuming", "outage - back_for <= window", "outage - back_for < window", _WINDOW),
    Bend(
        "resuming",
        "outage - back_for <= window",
        "outage <= window",
        _RESUME + "test_the_outage_ends_with_the_start_of_the_daemon_not_with_the_first_reading",
    ),
    Bend(
        "resuming",
        "return outage if outage >= now.instant else None",
        "return outage",
        _RESUME + "test_a_clock_that_went_back_or_tells_less_than_this_boot_is_old_proves_nothing",
        (60.0,),
    ),
    Bend(
        "resuming",
        "if record.at.wall_ms is None or now.wall_ms is None:\n        return None",
        "if record.at.wall_ms is None or now.wall_ms is None:\n        return Seconds(60.0)",
        _RESUME + "test_a_clock_that_proves_nothing_is_waited_for",
    ),
    Bend(
        "resuming",
        "PROOF_WITHIN = Seconds(120.0)",
        "PROOF_WITHIN = Seconds(240.0)",
        _RESUME + "test_but_for_two_minutes_only",
    ),
    Bend(
        "resuming",
        "if not window or ",
        "if ",
        _RESUME + "test_a_window_of_nothing_resumes_nothing",
        (ClockQuality.NONE,),
    ),
    Bend("resuming", "not record.charged or ", "", _OVER, ({"charged": False},)),
    Bend(
        "resuming",
        " or record.ending is not None",
        "",
        _RESUME + "test_a_trip_that_was_not_settled_before_the_crash_stays_a_trip",
    ),
    Bend(
        "resuming",
        "full = limits.energy is not None and record.energy >= limits.energy",
        "full = False",
        _RESUME + "test_an_energy_that_was_delivered_is_not_delivered_again",
    ),
    Bend(
        "station",
        "held = bool(port.latches) or ",
        "held = ",
        _RESUME + "test_a_port_that_is_held_resumes_nothing",
    ),
    Bend(
        "station",
        "port.id not in stopped and ",
        "",
        _RESUME + "test_nor_one_somebody_had_asked_to_end",
    ),
    Bend(
        "station",
        " and not exceeds(record.order.limits, port.plan.limits)",
        "",
        _RESUME + "test_nor_does_one_whose_limits_were_lowered_meanwhile",
    ),
    Bend(
        "charge",
        "totals, made)",
        "totals, made)\n        self.totals.energy = WattHours(2 * self.totals.energy)",
        _RESUME + "test_what_is_counted_is_counted_once",
    ),
    Bend(
        "charge",
        "        self._outages = Seconds(self._outages + unwatched)\n",
        "",
        _RESUME + "test_what_is_counted_is_counted_once",
    ),
    Bend(
        "charge",
        "return sum(one.reason != OUTAGE for one in self._interruptions)",
        "return len(self._interruptions)",
        _RESUME + "test_outages_do_not_use_up_its_suspensions",
    ),
    Bend(
        "guards",
        "        and port.session.kept is None\n",
        "",
        _RESUME + "test_a_clock_that_proves_nothing_is_waited_for",
    ),
    Bend(
        "port",
        "            self.out.do(Checkpoint(records=(self.record(now),)))\n",
        "            pass\n",
        _RESUME + "test_a_trip_that_was_not_settled_before_the_crash_stays_a_trip",
    ),
    Bend(
        "protection",
        "        self.shape.peak = record.level\n",
        "",
        _RESUME + "test_full_is_still_told_by_the_shape_from_before",
    ),
)
