"""Rules of a configuration that is read anew, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

_CONFIGURED = "scenarios.test_configured:"
_LOWER = _CONFIGURED + "test_lower_limits_hold_at_once_for_a_session_under_way"
_HIGHER = _CONFIGURED + "test_higher_limits_are_not_for_a_session_under_way_but_for_the_next"
_RAISE = _CONFIGURED + "test_a_raise_that_is_being_written_down_is_overtaken_by_a_lower_configuration"

CONFIGURED_BENDS: tuple[Bend, ...] = (
    Bend(
        "port.configured",
        "hold(port, lower_of(port.limits, port.plan.limits), now)",
        "pass",
        _LOWER,
    ),
    Bend(
        "port.configured",
        "port.own(lower_of(port.plan.limits, limits), then=limits)",
        "port.own(limits)",
        _HIGHER,
    ),
    Bend(
        "port.configured",
        "port.own(lower_of(port.plan.limits, limits), then=limits)",
        "port.own(lower_of(port.plan.limits, limits))",
        _HIGHER,
    ),
    Bend(
        "port.configured",
        "hold(port, lower_of(port.limits, port.plan.limits), now)",
        "hold(port, limits, now)",
        _CONFIGURED + "test_the_wire_of_a_session_under_way_is_protected_by_what_it_was_promised",
    ),
    Bend(
        "port.configured",
        "if port.state not in GOING_ON:",
        "if False:",
        _CONFIGURED + "test_a_session_that_is_ending_is_left_alone",
    ),
    Bend("port.configured", "if raising is not None and", "if False and raising is not None and", _RAISE),
    Bend(
        "port.configured",
        "and exceeds(asked(port, raising.event), port.plan.limits)",
        "",
        _CONFIGURED + "test_a_raise_that_the_new_configuration_allows_goes_on",
    ),
    Bend("port.configured", "port.out.do(Checkpoint(records=(port.record(now),)))", "pass", _RAISE),
    Bend(
        "port.limits",
        "    _take_on(port, limits, now)\n    _end_if_passed(port, limits, now)",
        "    _take_on(port, limits, now)",
        _CONFIGURED + "test_energy_and_time_that_have_passed_the_new_limit_end_it",
    ),
    Bend("port.port", "if self._limits_to_come is not None:", "if False:", _HIGHER),
    Bend("plan", "current=min(one.current, other.current),", "current=other.current,", _HIGHER),
    Bend("plan", "power=min(one.power, other.power),", "power=one.power,", _LOWER),
    Bend("plan", "duration=min(one.duration, other.duration),", "duration=one.duration,", _LOWER),
    Bend("plan", "energy=min(energies, default=None),", "energy=None,", _LOWER),
    Bend(
        "invariants.load_books",
        "return max(before, self._limits[port]) if at <= since else self._limits[port]",
        "return self._limits[port]",
        _CONFIGURED + "test_what_was_read_before_is_judged_by_what_held_then",
    ),
    Bend(
        "station",
        "self._surroundings.queue_for = event.queue_for",
        "pass",
        _CONFIGURED + "test_a_queue_is_for_starts_that_come_after",
    ),
)
