"""Rules of a port that is kept for one session, bent one at a time; `bends` plays them."""

from chargerd.core.session import Source
from tests.core.bend import Bend

_KEPT = "scenarios.test_reserving:"
_TAKEN = _KEPT + "test_the_one_it_is_kept_for_begins_and_ends_the_wait"
_BY_ITSELF = _KEPT + "test_it_ends_by_itself_to_the_second_and_is_told_once"
_GIVEN_BACK = _KEPT + "test_it_is_given_back_by_the_same_session_and_by_no_other"

RESERVING_BENDS: tuple[Bend, ...] = (
    Bend(
        "port.port",
        "Code.RESERVED: self.kept_for_another(session, now),",
        "Code.RESERVED: False,",
        _KEPT + "test_no_other_session_starts_there_from_afar_or_on_site",
        (Source.LOCAL,),
    ),
    Bend(
        "port.port",
        "return kept is not None and kept.session != session",
        "return kept is not None",
        _TAKEN,
    ),
    Bend("port.admission", 'end_reservation(port, "started", now)', "pass", _TAKEN),
    Bend("port.port", "instants.append(None if kept is None else kept.until.instant)", "pass", _BY_ITSELF),
    Bend("station", "expire_reservation(port, now)", "pass", _BY_ITSELF),
    Bend(
        "port.port",
        "return None if kept is None or reached(kept.until.instant, now.instant) else kept",
        "return kept",
        _KEPT + "test_what_comes_in_its_very_last_moment_finds_it_over",
    ),
    Bend(
        "port.reserving",
        "expire_reservation(port, now)",
        "pass",
        _KEPT + "test_and_so_does_the_next_reservation",
    ),
    Bend("port.reserving", "kept_for_another, refuse_kept", "lambda *_: False, refuse_kept", _GIVEN_BACK),
    Bend("port.reserving", "gives_back, give_back", "lambda *_: False, give_back", _GIVEN_BACK),
    Bend(
        "port.reserving",
        'blocked, refuse_blocked), Reply("keep"',
        'lambda *_: False, refuse_blocked), Reply("keep"',
        _KEPT + "test_where_nothing_could_start_nothing_is_kept",
        ("store",),
    ),
    Bend(
        "port.admission",
        "code = next(iter(obstacles_to(port, request, now)), Code.NOT_ALLOWED)",
        "code = next(iter(port.obstacles(now)), Code.NOT_ALLOWED)",
        _KEPT + "test_what_keeps_its_own_session_from_starting_is_said_and_not_that_it_is_kept",
    ),
    Bend(
        "station",
        'end_reservation(port, "shutdown", now)',
        "pass",
        _KEPT + "test_leaving_ends_it_and_a_restart_forgets_it",
    ),
)
