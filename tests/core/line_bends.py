"""Rules of lines that are known by their boards, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

_HERE = "scenarios.test_lines:"
_ANOTHER = _HERE + "test_nothing_starts_on_a_line_with_another_board"
_WAITS = _HERE + "test_a_start_waits_for_a_board_to_say_who_it_is"
_GOES_ON = _HERE + "test_a_session_goes_on_only_on_the_line_it_began_on"
_ACCEPT = _HERE + "test_nothing_is_kept_of_a_line_that_is_another_one_until_somebody_says_so"
_DEAD = _HERE + "test_but_not_for_one_that_is_dead_or_does_not_tell"

LINE_BENDS: tuple[Bend, ...] = (
    Bend("condition", "self.station.lines.changed(self.id)", "False", _ANOTHER),
    Bend("condition", " or self.station.lines.pending(self.id)", "", _WAITS),
    Bend("guards", "and port.station.lines.recognised(port.id)", "and True", _GOES_ON, ((5, 6), False)),
    Bend("guards", "lines.recognised(port.id)", "lines.steady(port.id)", _GOES_ON, (None, False)),
    Bend(
        "station",
        "react(port, Trigger.CIRCUIT_SUSPEND, DeadlineReached(), now)\n        return ports",
        "pass\n        return ports",
        _HERE + "test_a_session_that_charges_is_opened_and_waits_for_its_line",
    ),
    Bend("lines", "known.unique and any(", "any(", _HERE + "test_what_many_boards_say_is_no_sign_of_another_line"),
    Bend(
        "lines",
        "or self._is_elsewhere(known, words)",
        "",
        _HERE + "test_a_board_known_on_another_line_is_none_of_this_one",
    ),
    Bend("lines", "elif not was_changed:", "else:", _ACCEPT),
    Bend("lines", "            and board not in self._lost\n", "", _DEAD),
    Bend(
        "lines",
        "self._told.pop(event.board, None)",
        "pass",
        _HERE + "test_a_board_that_was_away_has_to_say_again_who_it_is",
    ),
    Bend(
        "lines",
        "if self._boards[board].unique] or kept",
        "] or kept",
        _HERE + "test_nor_on_the_word_of_a_board_of_which_there_are_many",
    ),
    Bend(
        "lines",
        "is not None and not self._is_changed(known.line):",
        "is not None:",
        _HERE + "test_as_long_as_one_board_is_another_it_is_not",
    ),
    Bend(
        "lines",
        "boards += [] if circuit.contactor is None else [circuit.contactor.board]",
        "pass",
        _HERE + "test_a_contactors_line_counts_for_the_ports_below",
    ),
)
