"""Rules of lines that are known by their boards, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

_HERE = "scenarios.test_lines:"
_ANOTHER = _HERE + "test_nothing_starts_on_a_line_with_another_board"
_WAITS = _HERE + "test_a_start_waits_for_a_board_to_say_who_it_is"
_GOES_ON = _HERE + "test_a_session_goes_on_only_on_the_line_it_began_on"
_ACCEPT = _HERE + "test_nothing_is_kept_of_a_line_that_is_another_one_until_somebody_says_so"
_DEAD = _HERE + "test_but_not_for_one_that_is_dead_or_does_not_tell"
_AWAY = _HERE + "test_a_line_that_was_away_is_waited_for_until_it_has_told_or_was_asked_in_vain"
_UNHEARD = _HERE + "test_a_board_that_is_not_heard_when_it_is_asked_again_is_still_who_it_was"
_WHOLE = _HERE + "test_what_is_accepted_is_the_whole_line_whoever_has_yet_to_tell"
_LOST = _HERE + "test_what_is_not_there_is_not_accepted"
_UNPROVED = _HERE + "test_an_outage_that_is_not_proved_in_time_is_over_whatever_its_line_is"
_EXCHANGED = "scenarios.test_exchanged_lines:"
_BACK = _EXCHANGED + "test_a_session_waits_with_every_relay_open_and_goes_on_when_they_are_swapped_back"
_RESTARTED = _EXCHANGED + "test_a_session_is_not_resumed_on_the_other_socket_after_a_restart"
_ON_THE_WAY = _HERE + "test_a_start_whose_line_was_away_while_it_was_written_comes_to_nothing"
_LATE = _HERE + "test_a_session_has_its_time_to_recover_once_its_line_is_itself_again"
_QUEUED = _HERE + "test_no_contactor_closes_for_a_start_that_has_waited_on_a_line_that_has_changed"
_KEPT_OPEN = _HERE + "test_nor_for_one_under_way_while_nobody_knows_what_hangs_on_its_line"
_ASTRAY = _HERE + "test_a_contactor_stays_open_above_a_relay_that_only_another_lines_board_calls_open"
_BEGUN = _HERE + "test_nor_does_it_close_above_a_line_that_has_changed_after_a_restart"
_LATELY = _HERE + "test_a_contactor_opens_above_a_relay_that_was_open_only_since_its_line_was_last_known"
_UNREAD = _HERE + "test_a_relay_whose_closing_nobody_has_read_back_counts_as_closed"
_NEVER_READ = _HERE + "test_so_does_one_that_nobody_has_read_since_the_daemon_began"
_FOUND_CLOSED = _HERE + "test_a_relay_found_closed_is_known_to_be_open_once_its_own_line_has_shown_it"
MINE, OTHERS = (1, 2), (3, 4)
_STAYS_OPEN, _CLOSES = (("closes", False),), (("closes", True),)

LINE_BENDS: tuple[Bend, ...] = (
    Bend("port.port", "self.station.lines.changed(self.id)", "False", _ANOTHER),
    Bend("port.port", " or self.station.lines.pending(self.id)", "", _WAITS),
    Bend("port.suspending", "not port.station.lines.recognised(port.id)", "False", _GOES_ON, ((5, 6), False)),
    Bend("port.suspending", "lines.recognised(port.id)", "lines.steady(port.id)", _GOES_ON, (None, False)),
    Bend(
        "site.board_events",
        "react(port, Trigger.CIRCUIT_SUSPEND, DeadlineReached(), now)",
        "pass",
        _HERE + "test_a_session_that_charges_is_opened_and_waits_for_its_line",
    ),
    Bend(
        "site.board_events",
        "Signal.LEASE_LOST if signal is Signal.STAYED_OPEN else signal",
        "signal",
        _BACK,
        (0.5,),
    ),
    Bend("site.board_events", "port.recover_until = after(now.instant, patience)", "pass", _LATE),
    Bend(
        "port.table",
        '            Rule("line_changed", suspending.on_another_line, suspending.wait_on_for_more),\n',
        "",
        _BACK,
        (20.0,),
    ),
    Bend(
        "boards.relay",
        "if lost:\n            self._seen_closed_at = None",
        "if lost:\n            pass",
        _EXCHANGED + "test_no_renewal_closes_a_relay_that_has_opened_while_its_line_was_away",
        (2.8,),
    ),
    Bend("port.suspending", "and proved and port.station", "and port.station", _UNPROVED),
    Bend(
        "station",
        "event = replace(event, energy=None)",
        "pass",
        "scenarios.test_exchanged_lines:test_nobody_pays_for_what_the_other_lines_meter_has_counted",
    ),
    Bend("port.starting", "and port.station.lines.steady(port.id)", "", _ON_THE_WAY),
    Bend(
        "port.suspending",
        '    "line_not_recognised": lambda port, _now: not port.station.lines.recognised(port.id),\n',
        "",
        _RESTARTED,
    ),
    Bend("boards.lines", "if event.kind is not FaultKind.OFFLINE:", "if True:", _AWAY),
    Bend("boards.lines", "self._told.setdefault(board, None)", "self._told[board] = None", _UNHEARD),
    Bend("boards.lines", "found | dict.fromkeys(unseen, ())", "found", _WHOLE, (), (("restarted", False),)),
    Bend("boards.lines", " and one.words\n", "\n", _WHOLE, (), (("restarted", True),)),
    Bend("boards.lines", "self._told.keys() - self._lost - found", "self._told.keys() - found", _LOST),
    Bend(
        "boards.lines",
        "known.unique and any(",
        "any(",
        _HERE + "test_what_many_boards_say_is_no_sign_of_another_line",
    ),
    Bend(
        "boards.lines",
        "or self._is_elsewhere(known, words)",
        "",
        _HERE + "test_a_board_known_on_another_line_is_none_of_this_one",
    ),
    Bend("boards.lines", "elif not was_changed:", "else:", _ACCEPT),
    Bend("boards.lines", "            and board not in self._dead\n", "", _DEAD),
    Bend(
        "boards.lines",
        "self._told.pop(event.board, None)",
        "pass",
        _HERE + "test_a_board_that_was_away_has_to_say_again_who_it_is",
    ),
    Bend(
        "boards.lines",
        "if self._boards[board].unique] or kept",
        "] or kept",
        _HERE + "test_nor_on_the_word_of_a_board_of_which_there_are_many",
    ),
    Bend(
        "boards.lines",
        "is None or self._is_changed(known.line):",
        "is None:",
        _HERE + "test_as_long_as_one_board_is_another_it_is_not",
    ),
    Bend(
        "boards.lines",
        "boards += [] if circuit.contactor is None else [circuit.contactor.board]",
        "pass",
        _HERE + "test_a_contactors_line_counts_for_the_ports_below",
    ),
    Bend(
        "site.contactors",
        "needs_power(port) and self._station.lines.steady(port.id)",
        "needs_power(port)",
        _KEPT_OPEN,
    ),
    Bend("site.sharing", "and self._station.lines.steady(port.id)\n", "\n", _QUEUED),
    Bend("port.latching", "return port.shown_open is False", "return False", _ASTRAY, (OTHERS,), _STAYS_OPEN),
    Bend("port.starting", "    port.shown_open = False\n", "", _UNREAD),
    Bend(
        "site.board_events",
        "not port.station.lines.vouched(port.plan.relay.board)",
        "True",
        _ASTRAY,
        (MINE,),
        _CLOSES,
    ),
    Bend(
        "boards.lines",
        "(self._is_changed(known.line) or self._is_pending(known.line))",
        "False",
        _ASTRAY,
        (OTHERS,),
        _STAYS_OPEN,
    ),
    Bend(
        "site.board_events",
        "if event.closed:\n        port.shown_open = False",
        "if event.closed:\n        pass",
        _FOUND_CLOSED,
    ),
    Bend("port.latching", "return port.shown_open is False", "return not port.shown_open", _BEGUN, (MINE, 1800.0)),
    Bend("site.board_events", "port.shown_open is None or port.shown_open_at", "port.shown_open_at", _NEVER_READ),
    Bend("site.board_events", "_unshow(port)", "pass", _LATELY, (), (("told_again", False),)),
    Bend("site.board_events", "or port.shown_open_at >= since", "or True", _LATELY, (), (("told_again", True),)),
    Bend(
        "boards.lines",
        "self._note_itself(board, event.at)",
        "pass",
        _LATELY,
        (),
        (("told_again", True),),
    ),
)
