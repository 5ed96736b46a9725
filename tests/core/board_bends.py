"""Rules of closings that may have reached their board, and of boards that come back, bent one at a time."""

from tests.core.bend import Bend

_RELAY = "core.test_relay:"
_RELAYS = "scenarios.test_back:"
_BACK_OPENING = _RELAYS + "test_an_opening_goes_out_at_once_to_a_board_that_is_back"

BOARD_BENDS: tuple[Bend, ...] = (
    # What was sent may have been carried out.
    Bend(
        "boards.relay",
        "        if event.sent:\n            self._note_sent(event)\n",
        "",
        _RELAY + "test_a_closing_that_was_sent_counts_though_nobody_confirmed_it",
    ),
    Bend(
        "boards.relay",
        "        if event.sent:\n            self._note_sent(event)\n",
        "        self._note_sent(event)\n",
        _RELAY + "test_a_closing_that_was_sent_counts_though_nobody_confirmed_it",
    ),
    Bend(
        "boards.relay",
        "            if event.sent and self.phase is RelayPhase.OPENING:\n",
        "            if False:\n",
        _RELAY + "test_an_opening_that_was_sent_is_read_back_though_nobody_confirmed_it",
    ),
    Bend(
        "port.ending",
        "if port.relay.phase is RelayPhase.CLOSING and port.relay.closed_from is not None:",
        "if False:",
        _RELAYS + "test_what_flowed_through_a_closing_that_was_not_read_back_is_counted",
    ),
    # A board that comes back.
    Bend(
        "boards.relay",
        "                out.do(ReadRelay(port=self._port))\n            case RelayPhase.CLOSING:",
        "                pass\n            case RelayPhase.CLOSING:",
        _RELAYS + "test_a_closed_relay_is_read_back_at_once_from_a_board_that_is_back",
    ),
    Bend(
        "boards.relay",
        "                self._written_at = None\n                self._send_open(now, out, RETRY_FIRST)\n",
        "                pass\n",
        _BACK_OPENING,
        ("A01",),
    ),
    Bend(
        "boards.relay",
        "                self._written_at = None\n                self._send_open(now, out, RETRY_FIRST)\n",
        "                self._send_open(now, out, RETRY_FIRST)\n",
        _RELAY + "test_what_was_read_before_a_board_came_back_says_nothing_of_its_relay",
    ),
    Bend(
        "boards.relay",
        "            case _:\n                self.open(now, out)\n",
        "            case _:\n                pass\n",
        _RELAYS + "test_an_open_relay_is_opened_anew_on_a_board_that_is_back",
        ("A01",),
    ),
    Bend(
        "site.board_events",
        "port.relay.board_seen(now.instant, self._out, lost=isinstance(event, BoardLost))",
        "port.relay.board_lost = isinstance(event, BoardLost)",
        _BACK_OPENING,
        ("A01",),
    ),
    Bend(
        "site.contactors",
        "contactor.relay.board_seen(now.instant, self._out, lost=isinstance(event, BoardLost))",
        "contactor.relay.board_lost = isinstance(event, BoardLost)",
        _RELAYS + "test_an_open_relay_is_opened_anew_on_a_board_that_is_back",
        ("contactor/shed",),
    ),
    # The first reading.
    Bend(
        "port.starting",
        "event.current is not None and reached(began, event.at)",
        "reached(began, event.at)",
        _RELAYS + "test_only_a_current_measured_since_the_closing_completes_a_start",
        ("energy",),
    ),
    Bend(
        "port.starting",
        "event.current is not None and reached(began, event.at)",
        "event.current is not None",
        _RELAYS + "test_only_a_current_measured_since_the_closing_completes_a_start",
        ("early",),
    ),
    Bend(
        "port.starting",
        "if session.pending_start is not None and session.image.loaded:",
        "if session.pending_start is not None:",
        _RELAYS + "test_a_start_is_done_once_something_draws",
    ),
)
