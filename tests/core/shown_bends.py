"""What onlookers are shown of relays and readings, bent one at a time."""

from tests.core.bend import Bend

_HERE = "scenarios.test_shown:"
_SILENT = _HERE + "test_a_closed_relay_is_believed_open_once_its_board_is_silent_and_its_lease_has_ended"
_NOTHING_OPENS = _HERE + "test_of_a_relay_that_nothing_opens_nobody_knows_where_it_is_once_its_board_is_silent"
_QUEUED = _HERE + "test_a_port_that_waits_in_the_queue_is_read_each_five_seconds_and_not_stale_for_that"

SHOWN_BENDS: tuple[Bend, ...] = (
    Bend("boards.relay", "if lately and vouched and not self.board_lost:", "if lately and vouched:", _SILENT),
    Bend("boards.relay", "if lapsed_at is not None and now >= lapsed_at:", "if now < 0:", _SILENT),
    Bend(
        "boards.relay",
        "lapsed_at = self._lapsed_at() if lapses else None",
        "lapsed_at = self.told_open_at",
        _NOTHING_OPENS,
    ),
    Bend("port.port", "self.charge is not None and self.state is not PortState.QUEUED", "True", _QUEUED),
    Bend(
        "port.claims",
        '        yield Claim(what="meter_stale", code=Code.METER_STALE,',
        '        yield Claim(what="meter_stale", code=Code.VOLTAGE,',
        "scenarios.test_explained:test_a_silent_meter_is_told_with_its_age_and_how_long_the_session_waits_for_it",
    ),
)
