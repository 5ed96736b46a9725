"""Rules of commands about what there is already, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

_SAID = "scenarios.test_commands:"
_HIGHER = _SAID + "test_a_limit_may_be_raised_up_to_the_ports_own_and_is_not_clipped"
_LOWER = _SAID + "test_what_was_drawn_before_a_lower_limit_is_no_fault"
_ROOM = _SAID + "test_a_raise_must_fit_into_its_circuit"
_CHANGED = _SAID + "test_a_change_is_told_with_the_session_as_it_is_then"
_SERVICE = _SAID + "test_a_disabled_port_takes_no_start_until_it_is_enabled"

_BEHIND = "scenarios.test_overtaking:"
_STOPPED = _BEHIND + "test_a_stop_applies_to_a_start_on_its_way"
_NEXT = _BEHIND + "test_a_stop_of_the_next_start_does_not_touch_the_session_under_way"
_TRUE = (("unnamed", True),)

OVERTAKING_BENDS: tuple[Bend, ...] = (
    Bend(
        "site.heard",
        "case StopRequested() if self._stop(event, under_way):",
        "case StopRequested() if False:",
        _STOPPED,
        ({"session": "session-1"}, "remote"),
    ),
    Bend(
        "site.heard",
        'heard.overtake(Code.CONFLICT, "overtaken by a stop")',
        "pass",
        _STOPPED,
        ({"force": True}, "remote"),
    ),
    Bend(
        "site.heard",
        "        if heard.overtaken is not None:\n            self._refuse",
        "        if False:\n            self._refuse",
        _STOPPED,
        ({"force": True}, "remote"),
    ),
    Bend(
        "site.heard",
        "            self._refuse(heard.request, *heard.overtaken)\n            self._confirm_stops(heard)\n",
        "            self._confirm_stops(heard)\n            self._refuse(heard.request, *heard.overtaken)\n",
        _STOPPED,
        ({"force": True}, "remote"),
    ),
    Bend(
        "site.heard",
        "and session in {None, heard.request.order.session}",
        "",
        _BEHIND + "test_a_stop_from_afar_must_name_a_start_on_its_way_or_insist",
    ),
    Bend(
        "site.heard", "(under_way is None or event.session not in {None, under_way})", "under_way is None", _NEXT
    ),
    Bend(
        "site.heard",
        "            and heard.request.port == port\n",
        "",
        _BEHIND + "test_a_stop_from_afar_must_name_a_start_on_its_way_or_insist",
    ),
    Bend(
        "site.heard",
        "if starts and nameless(event):",
        "if False:",
        _BEHIND + "test_a_stop_from_afar_must_name_a_start_on_its_way_or_insist",
    ),
    Bend(
        "site.heard",
        "        if heard is not None:\n            self._confirm_stops(heard)\n",
        "",
        _BEHIND + "test_a_start_that_is_dropped_leaves_nothing_behind",
    ),
    Bend(
        "site.heard",
        "and event.port in heard.holders:",
        "and event.port == heard.request.port:",
        _BEHIND + "test_a_disabling_applies_to_a_start_on_its_way_though_it_is_undone_by_then",
        ("circuit/shed",),
    ),
    Bend(
        "site.heard",
        "elif isinstance(heard.request, back) and event.port == heard.request.port:",
        "elif False:",
        _BEHIND + "test_a_disabling_is_not_undone_by_an_enabling_from_before_it",
        ("local",),
    ),
    Bend(
        "site.heard",
        "isinstance(heard.request, StartRequested) and holder in heard.holders",
        "isinstance(heard.request, StartRequested) and holder == heard.request.port",
        _BEHIND + "test_an_emergency_applies_to_a_start_on_its_way_though_it_is_over_by_then",
    ),
    Bend(
        "site.heard",
        "case PortTripped() | PortLockedOut() | InputTripped() if",
        "case PortTripped() | InputTripped() if",
        _BEHIND + "test_so_does_a_lock_out",
    ),
    Bend(
        "site.heard",
        "                case CircuitTripped():\n",
        "                case CircuitTripped() if fact.latch is not None:\n",
        _BEHIND + "test_and_a_relay_out_of_control_beside_it",
    ),
    Bend(
        "site.heard",
        "if starts or (isinstance(heard.request, ResetRequested) and holder == heard.request.port):",
        "if starts:",
        _BEHIND + "test_a_reset_clears_nothing_that_came_after_it",
        ("remote",),
    ),
    Bend(
        "site.heard",
        "heard.request = replace(start, order=replace(start.order, limits=limits))",
        "pass",
        _BEHIND + "test_lower_limits_become_those_of_a_start_on_its_way",
        (),
        _TRUE,
    ),
    Bend(
        "site.heard",
        "elif raises and not event.durable:",
        "elif False:",
        _BEHIND + "test_a_lower_limit_is_not_undone_by_a_raise_from_before_it",
        (),
        (("heard_with_the_start", True),),
    ),
    Bend(
        "site.heard",
        "elif exceeds(named(event, port.plan.limits), port.plan.limits):",
        "elif False:",
        _BEHIND + "test_a_start_on_its_way_is_given_no_more_than_the_port_allows",
    ),
    Bend(
        "site.heard",
        "replace(heard.request, raising=heard.raising)",
        "heard.request",
        _BEHIND + "test_lower_limits_become_those_of_a_start_on_its_way",
        (),
        _TRUE,
    ),
    Bend(
        "port.limits",
        "return request.durable and port.session.raising != request.command",
        "return False",
        _BEHIND + "test_a_raise_of_whatever_is_under_way_does_not_raise_the_next_customers_limits",
    ),
    Bend(
        "port.limits",
        "    port.session.raising = None\n    if port",
        "    if port",
        _BEHIND + "test_a_lower_limit_is_not_undone_by_a_raise_from_before_it",
        (),
        (("heard_with_the_start", False),),
    ),
)

_BEGUN = "scenarios.test_just_begun:"

BEGUN_BENDS: tuple[Bend, ...] = (
    Bend(
        "boards.relay",
        "self.known = self.known or isinstance(event, RelayNotWritten | RelayNotReadBack)",
        "self.known = True",
        _BEGUN + "test_what_was_read_before_its_opening_went_out_makes_no_relay_known",
    ),
    Bend(
        "station",
        "LINGERS = Seconds(30.0)",
        "LINGERS = Seconds(3600.0)",
        "scenarios.test_requests:test_a_session_whose_relay_does_not_open_is_left_to_whoever_comes_next",
    ),
    Bend(
        "station",
        "            port.charge is None\n            or (port.state is PortState.STOPPING",
        "            port.relay.phase is RelayPhase.OPEN\n            or (port.state is PortState.STOPPING",
        "scenarios.test_requests:test_it_is_at_rest_when_no_session_goes_on_whatever_relays_say",
    ),
    Bend(
        "port.admission",
        "return any(code not in {Code.NOT_YET_KNOWN, Code.CIRCUIT_FULL} for code in obstacles)",
        "return bool(obstacles)",
        _BEGUN + "test_a_start_in_the_moment_of_the_beginning_is_accepted_and_waits",
    ),
    Bend(
        "boards.relay",
        "self.known = self.known or isinstance(event, RelayNotWritten | RelayNotReadBack)",
        "pass",
        _BEGUN + "test_what_was_asked_in_vain_is_lost",
        ("board", "board_lost"),
    ),
    Bend(
        "port.readings",
        "    port.meter_known = True\n",
        "",
        _BEGUN + "test_what_was_asked_in_vain_is_lost",
        ("meter", "meter_stale"),
    ),
    Bend(
        "site.rounds",
        "port.meter_known = port.relay.known = True",
        "pass",
        _BEGUN + "test_a_line_that_says_nothing_at_all_is_lost_in_the_end",
    ),
    Bend(
        "site.sharing",
        "return port.state in NEEDS_POWER and port.step is not Step.KNOWN",
        "return port.state in NEEDS_POWER",
        _BEGUN + "test_no_contactor_closes_above_a_relay_that_nobody_has_read",
    ),
    Bend(
        "port.admission",
        "or (no_room(port, request, now) and port.room_unclear())",
        "",
        _BEGUN + "test_nor_from_one_that_may_not_wait_where_others_may",
    ),
    Bend(
        "port.admission",
        "if code not in {Code.BUSY, Code.CIRCUIT_FULL}]",
        "if code is Code.LATCHED]",
        _BEGUN + "test_what_comes_up_while_it_waits_ends_it",
    ),
    Bend(
        "port.ending",
        "if port.relay.phase is RelayPhase.OPEN or unknown:",
        "if port.relay.phase is RelayPhase.OPEN:",
        _BEGUN + "test_a_stop_while_it_waits_ends_it_at_once",
    ),
    Bend(
        "circuits.inputs",
        "not any(board.reported or board.missed for board in silent)",
        "True",
        _BEGUN + "test_inputs_that_do_not_come_are_lost",
    ),
)

COMMAND_BENDS: tuple[Bend, ...] = (
    Bend(
        "port.table", "        latching.RESET,\n", "", "core.test_asking:test_every_class_of_request_has_a_handler"
    ),
    Bend(
        "port.rules",
        "        self.otherwise.then(port, request, now)\n",
        "",
        "scenarios.test_requests:test_a_start_of_a_busy_port_is_refused",
        (),
        (("situation", "charging"),),
    ),
    Bend(
        "port.limits",
        "exceeds(named(request, port.plan.limits), port.plan.limits)",
        "False",
        _HIGHER,
        ("power", 1000.0),
    ),
    Bend(
        "port.limits",
        "return not request.durable and raises(port, request, now)",
        "return False",
        _SAID + "test_a_raise_whose_id_is_not_durable_does_nothing",
    ),
    Bend("port.limits", "return exceeds(asked(port, request), port.limits)", "return False", _CHANGED),
    Bend("port.limits", "return not _fits(port, asked(port, request), now)", "return False", _ROOM),
    Bend(
        "port.limits",
        "return not _fits(port, asked(port, _pending(port).event), now)",
        "return False",
        _SAID + "test_a_raise_is_weighed_again_when_it_is_durable",
    ),
    Bend("port.limits", "limits.current - kept.allocated_current", "limits.current", _ROOM),
    Bend(
        "port.limits",
        "    if not port.circuits.could_fit(port.id, limits):\n        return False\n",
        "",
        _SAID + "test_a_start_that_waits_keeps_its_place_and_never_asks_for_more_than_there_can_be",
    ),
    Bend(
        "port.limits",
        "if drawn >= (math.inf if limits.energy is None else limits.energy):",
        "if False:",
        _SAID + "test_a_suspended_session_whose_energy_is_used_up_does_not_return",
    ),
    Bend(
        "port.limits",
        "elif charged >= limits.duration:",
        "elif charged > limits.duration + 20:",
        _SAID + "test_time_that_has_passed_already_ends_the_session",
        (),
        (("situation", "suspended"),),
    ),
    Bend(
        "port.limits",
        "return request.session != port.session.order.session",
        "return False",
        _SAID + "test_another_session_is_not_changed",
    ),
    Bend(
        "protection.image",
        "self.lenient = replace(new, current=max(current, new.current)",
        "self.lenient = replace(new",
        _LOWER,
    ),
    Bend(
        "protection.image",
        "power=max(power, new.power))",
        "power=new.power)",
        _SAID + "test_a_lower_limit_of_power_judges_what_comes",
    ),
    Bend(
        "protection.function",
        "or at > self.adopted_at:",
        "or at < self.adopted_at:",
        _SAID + "test_a_lower_limit_of_power_judges_what_comes",
    ),
    Bend(
        "protection.overcurrent",
        "if current is None or current < self._threshold:",
        "if True:",
        _SAID + "test_a_lower_limit_does_not_begin_three_seconds_anew",
    ),
    Bend(
        "protection.overcurrent",
        "if current is None or current < self._threshold:",
        "if False:",
        _SAID + "test_a_higher_limit_lets_pass_what_was_too_much",
        (2.3, 300.0, 2.7),
    ),
    Bend(
        "protection.overpower",
        "if power is None or power < self._threshold:\n            self._over.reset()",
        "if True:\n            pass",
        _SAID + "test_a_higher_limit_lets_pass_what_was_too_much",
        (1.0, 450.0, 4.8),
    ),
    Bend(
        "protection.charge_end",
        " or not self._on.order.full_stop:",
        ":",
        _SAID + "test_a_port_may_stay_on_when_the_charge_is_full",
        ("duration_limit",),
        (("full_stop", False),),
    ),
    Bend("port.port", "self.station.leaving or self.disabled() is not None", "self.station.leaving", _SERVICE),
    Bend(
        "station",
        "availability=Availability(out_of_service)",
        "availability=Availability()",
        _SAID + "test_it_survives_a_restart",
    ),
    Bend(
        "port.admission",
        '        PortState.STARTING: (Reply("withdraw", untouched, withdraw),),\n',
        "",
        _SAID + "test_no_relay_closes_for_a_start_once_its_port_is_disabled",
        ("turn", "A01"),
    ),
    Bend(
        "port.admission",
        "    return not port.session.touched",
        "    return True",
        _SAID + "test_a_session_that_comes_back_from_a_suspension_goes_on_though_its_port_is_disabled",
    ),
    Bend(
        "circuits.availability",
        "        if known.source is Source.LOCAL and event.source is Source.REMOTE:\n            message",
        "        if False:\n            message",
        _SAID + "test_what_was_disabled_on_site_is_enabled_on_site_only",
    ),
    Bend(
        "circuits.availability",
        "if known is not None and known.source is Source.LOCAL and event.source is Source.REMOTE:",
        "if False:",
        _SAID + "test_what_was_disabled_on_site_is_enabled_on_site_only",
    ),
    Bend(
        "circuits.availability",
        "return [port, *(holder_of(circuit.plan.id) for circuit in circuits.place(port).above)]",
        "return [port]",
        _SAID + "test_a_circuit_takes_every_port_below_with_it",
    ),
    Bend(
        "port.admission",
        '        PortState.QUEUED: (Reply("withdraw", always, withdraw),),\n',
        "",
        _SAID + "test_a_start_that_waits_for_its_circuit_is_withdrawn",
        (),
        (("source", "REMOTE"), ("reason", "remote")),
    ),
    Bend(
        "port.answers",
        "Code.NO_LOAD if unloaded else ending.code",
        "ending.code",
        _SAID + "test_a_start_that_found_no_load_says_so_whoever_ended_it",
        ("remote",),
    ),
    Bend(
        "port.limits",
        "if port.session.pending_raise is not None and asked(port, request) == port.limits:",
        "if False:",
        _SAID + "test_a_raise_that_was_overtaken_does_not_come_back_after_a_crash",
        ({"energy": 400.0},),
    ),
    *OVERTAKING_BENDS,
    *BEGUN_BENDS,
    Bend(
        "outbox",
        "if not (over and _opens(command, over))",
        "",
        _SAID + "test_a_raise_in_the_turn_in_which_its_session_ends_does_not_bring_it_back",
    ),
)
