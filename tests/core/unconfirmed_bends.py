"""Rules of relays that nobody can show to be open, and of settling while current flows, bent one at a time."""

# ruff: noqa: E501 - quoted source keeps its length

from tests.core.bend import Bend

_HERE = "scenarios.test_unconfirmed:"
_SUSPEND = "scenarios.test_suspensions:"
_REFUSED = _HERE + "test_current_through_a_relay_whose_board_refuses_to_be_read_locks_it_out"
_BLIND = _HERE + "test_a_blind_relay_that_nothing_opens_costs_the_contactor_until_it_is_confirmed"
_DEAD_LINE = _HERE + "test_a_contactor_whose_own_line_is_well_waits_for_no_relay_of_a_dead_one"
_RULE = 'UNCONFIRMED: Rules = (Rule("out_of_control", latching.load_unconfirmed, latching.lock_out_unconfirmed),)'

UNCONFIRMED_BENDS: tuple[Bend, ...] = (
    Bend(
        "port.table",
        _RULE,
        "UNCONFIRMED: Rules = ()",
        _SUSPEND + "test_current_after_the_lease_locks_the_port_out",
    ),
    Bend("port.table", _RULE, "UNCONFIRMED: Rules = ()", _REFUSED, (9.0,)),
    Bend(
        "port.table",
        'T.READING: (*WELDED, *UNCONFIRMED, *IGNORE),\n        T.WAKE: (*UNCONFIRMED, Rule("queue',
        'T.READING: (*WELDED, *IGNORE),\n        T.WAKE: (Rule("queue',
        _HERE + "test_a_start_that_waits_for_its_circuit_is_watched_too",
    ),
    Bend("boards.relay", "UNCONFIRMED_AFTER = Seconds(5.0)", "UNCONFIRMED_AFTER = Seconds(9.0)", _REFUSED, (9.0,)),
    Bend("boards.relay", "UNCONFIRMED_AFTER = Seconds(5.0)", "UNCONFIRMED_AFTER = Seconds(4.0)", _BLIND),
    Bend(
        "boards.relay",
        "return after(max(lapsed, self.told_open_at), shown)",
        "return after(max(lapsed, self.told_open_at), Seconds(shown + 9.0))",
        _DEAD_LINE,
    ),
    Bend(
        "boards.relay",
        "        lapsed = after(self.told_open_at, self._lease) if self.surely_open_at is None else self.surely_open_at\n",
        "        if self.surely_open_at is None:\n            return None\n        lapsed = self.surely_open_at\n",
        _HERE + "test_an_idle_port_that_closes_by_itself_and_whose_board_then_dies",
        (),
        (("seen", True),),
    ),
    Bend("site.contactors", " and not port.unconfirmed(now)\n", "\n", _DEAD_LINE),
    Bend(
        "port.latching",
        "port.relay.board_lost or (port.unconfirmed(now) and port.blind(now))",
        "port.relay.board_lost",
        _BLIND,
    ),
    Bend(
        "port.latching",
        "return cut_off and port.relay.told_open_at is not None",
        "return False",
        _HERE + "test_no_meter_below_an_open_contactor_tells_that_a_relay_is_open",
    ),
    Bend(
        "port.latching",
        "if port.station.dead_men.lapses(port.plan.relay):\n        return False\n    if port.relay",
        "if port.relay",
        _HERE + "test_a_blind_relay_that_lapses_costs_its_own_port_only",
    ),
    Bend(
        "port.port",
        "return self.frozen.dead or not speaks",
        "return not speaks",
        _HERE + "test_a_frozen_meter_is_blind",
    ),
    Bend(
        "port.latching",
        "else after(told, port.shown_within())",
        "else told",
        _HERE + "test_what_a_meter_showed_before_it_could_show_an_opening_is_no_evidence",
    ),
    Bend("port.latching", "return flows or draws", "return flows", _HERE + "test_power_alone_is_a_load_too"),
    Bend("port.latching", '"relay_board_lost", "relay_unconfirmed"}', '"relay_board_lost"}', _REFUSED, (9.0,)),
    Bend(
        "port.latching",
        "    if carries_unconfirmed(port, now):\n        lock_out_unconfirmed(port, now)\n",
        "",
        _HERE + "test_a_reset_does_not_feed_a_relay_that_is_still_unconfirmed",
    ),
    Bend(
        "port.latching",
        "    elif port.charge is None:\n        port.rest(now)\n",
        "",
        _HERE + "test_an_idle_port_that_closes_by_itself_and_whose_board_then_dies",
        (),
        (("seen", True),),
    ),
    Bend(
        "circuits.contactor",
        "return None if told == self._told else",
        "return",
        _HERE + "test_a_contactor_that_cannot_be_read_back_open_is_told_of",
    ),
    # Settled while current is seen.
    Bend(
        "port.ending",
        "return port.step is Step.ENERGY and has_register(port) and not port.load_seen(now)",
        "return port.step is Step.ENERGY and has_register(port)",
        _HERE + "test_no_session_is_settled_by_a_register_alone",
    ),
    Bend(
        "port.ending",
        "step_timed_out(port, event, now) and port.load_seen(now) and",
        "False and",
        _HERE + "test_no_session_is_settled_while_current_is_seen",
    ),
    Bend(
        "port.ending",
        " and not reached(longest, now.instant)",
        "",
        _HERE + "test_a_session_is_settled_a_day_after_its_start_whatever_is_seen",
    ),
    Bend(
        "port.latching",
        "if port.session.touched and port.load_seen(now):",
        "if False:",
        _SUSPEND + "test_current_after_the_lease_locks_the_port_out",
    ),
    Bend(
        "port.port",
        " and self.seen.current_fresh(now.instant)",
        "",
        _HERE + "test_a_meter_that_falls_silent_has_not_seen_a_current",
    ),
    Bend(
        "metering.frozen",
        "            self._held = (reading.power, at)\n",
        "            self._held = None\n",
        _HERE + "test_no_session_is_settled_while_current_is_seen",
    ),
)
