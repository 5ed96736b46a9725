"""Rules of locks that somebody on site has put on ports and circuits, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

_LOCKED = "scenarios.test_locks:"
_ENDS = _LOCKED + "test_a_lock_ends_what_goes_on_and_nothing_starts_until_it_is_taken_away"
_ONE = _LOCKED + "test_nobody_takes_over_anothers_lock_and_its_owner_may_change_the_reason"
_ON_ITS_WAY = _LOCKED + "test_a_lock_applies_to_a_start_on_its_way_though_it_is_gone_by_then"
_BESIDE = _LOCKED + "test_a_lock_and_a_disabling_stand_beside_each_other"
_DANGER = _LOCKED + "test_no_reset_clears_a_danger_that_is_seen"

LOCKING_BENDS: tuple[Bend, ...] = (
    Bend("port.port", "Code.LOCKED: self.locked() is not None,", "Code.LOCKED: False,", _ENDS),
    Bend(
        "port.port",
        "elif self.disabled() is not None or self.locked() is not None:",
        "elif self.disabled() is not None:",
        _ENDS,
    ),
    Bend("port.admission", 'Reply("end", always, end_by_lock)', 'Reply("end", always, leave)', _ENDS),
    Bend("port.admission", 'StopReason.LOCAL, StopDetail(function="locked")', "StopReason.LOCAL, None", _ENDS),
    Bend("circuits.availability", "if known is not None and known.by != event.by:", "if False:", _ONE),
    Bend("circuits.availability", "since = now if known is None else known.since", "since = now", _ONE),
    Bend("circuits.availability", "        if event.source is Source.REMOTE:\n", "        if False:\n", _ONE),
    Bend("circuits.availability", "self._held.get(lock_of(holder))", "self._held.get(holder)", _BESIDE),
    Bend(
        "circuits.availability",
        "locks = (self.lock_of(one) for one in _holders(port, circuits))",
        "locks = (self.lock_of(one) for one in [port])",
        _LOCKED + "test_a_circuit_is_locked_with_every_port_below",
    ),
    Bend(
        "port.suspending",
        " or port.locked() is not None",
        "",
        _LOCKED + "test_a_locked_port_does_not_come_back_after_an_outage",
    ),
    Bend(
        "site.requests",
        "return port.disabled() is not None, port.locked() is not None",
        "return port.disabled() is not None, False",
        _ENDS,
    ),
    Bend(
        "site.heard",
        "isinstance(event, DisableRequested | LockRequested)",
        "isinstance(event, DisableRequested)",
        _ON_ITS_WAY,
        ("circuit/shed",),
    ),
    Bend(
        "site.heard",
        "(Code.LOCKED, UnlockRequested) if locks",
        "(Code.LOCKED, EnableRequested) if locks",
        _LOCKED + "test_a_lock_is_not_taken_away_by_an_unlocking_from_before_it",
    ),
    Bend(
        "port.latching",
        "if latch.function in BEYOND_CONTROL and port.load_seen(now):",
        "if False:",
        _DANGER,
        ("weld",),
    ),
    Bend(
        "port.latching",
        "if latch.function in READ_BACK and port.relay.read_back:",
        "if False:",
        _DANGER,
        ("read back",),
    ),
    Bend("port.latching", 'if latch.function == "port_temperature" and', "if False and", _DANGER, ("heat",)),
)
