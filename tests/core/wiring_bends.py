"""Rules of ports whose meters or relays are exchanged, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

_HERE = "scenarios.test_wiring:"
_CONTACTORS = "scenarios.test_contactors:"
_CROSSED = _HERE + "test_exchanged_meters_open_the_port_and_hold_both"
_BOTH = _HERE + "test_both_in_use_and_exchanged"
_WELD = _HERE + "test_a_weld_beside_a_port_that_draws_nothing_yet_is_a_weld"
_OPEN = _HERE + "test_neither_starts_while_it_is_not_settled_and_a_meter_that_does_not_tell_leaves_it_suspect"
_NOISE = _HERE + "test_crosstalk_is_not_suspected"
_OUTLIVES = _HERE + "test_a_suspicion_is_shown_at_once_and_outlives_the_process"
_ALSO = _HERE + "test_a_session_at_the_other_port_ends_too"
_NOT_STOPPED = (("stopped", False),)

WIRING_BENDS: tuple[Bend, ...] = (
    Bend("site.wiring", "for port in self._ports.values() if self._loaded else ():", "for port in ():", _CROSSED),
    Bend("site.wiring", "self._closed or self._loaded or self._pending", "self._closed or self._pending", _BOTH),
    Bend("site.wiring", "self._closed or self._loaded or self._pending", "self._closed or self._loaded", _CROSSED),
    Bend("site.wiring", "for each in (port, other):", "for each in (port,):", _WELD),
    Bend("site.wiring", "for each in (port, other):", "for each in (other,):", _WELD),
    Bend("site.wiring", "for each in (port, other):", "for each in (port,):", _ALSO, (), _NOT_STOPPED),
    Bend("site.wiring", "for each in (port, other):", "for each in (other,):", _OPEN),
    Bend("site.wiring", "clearing=Clearing.LOCAL", "clearing=Clearing.REMOTE", _CROSSED),
    Bend("site.wiring", "        self.hold(port, detail, now)\n        if other", "        if other", _CROSSED),
    Bend("site.wiring", "            self.hold(other, detail, now)\n", "", _OUTLIVES),
    Bend("site.wiring", "            if welded:", "            if False:", _WELD),
    Bend("site.wiring", "latch.function != detail.function", "latch.function == detail.function", _WELD),
    Bend("site.wiring", "self._stays.add(other.id)", "pass", _WELD),
    Bend(
        "site.wiring",
        "lock_out_unconfirmed(port, now, other.seen.current)",
        "pass",
        "scenarios.test_unconfirmed:test_a_suspected_relay_that_nobody_can_read_and_whose_current_stays_is_locked_out",
    ),
    Bend(
        "site.wiring",
        "            and self._powered_since(other, opened)\n",
        "",
        _CONTACTORS + "test_exchanged_meters_below_a_contactor",
        (),
        (("powered", False),),
    ),
    Bend(
        "site.contactors",
        "port.id in self._station.suspects and",
        "False and",
        _CONTACTORS + "test_a_weld_that_shows_with_the_contactor_of_a_neighbour_is_no_exchanged_wire",
    ),
    Bend("port.readings", "port.frozen.dead or explained", "port.frozen.dead", _WELD),
    Bend(
        "site.wiring",
        "{name: at for name, at in self._closed.items() if not self._draws(self._ports[name], at)}",
        "dict(self._closed)",
        _HERE + "test_a_port_that_draws_itself_is_not_suspected",
    ),
    Bend(
        "site.wiring",
        "(seen.power or 0.0) >= NOTHING",
        "False",
        _HERE + "test_a_port_that_draws_itself_is_not_suspected",
    ),
    Bend("site.wiring", " and (seen.current or 0.0) > LEAST_CURRENT", "", _NOISE, (0.1, 12.0)),
    Bend("site.wiring", "(seen.power or 0.0) > port.weld.least and", "True and", _NOISE, (0.2, 10.0)),
    Bend("site.wiring", "return shown if fell else None", "return None", _HERE + "test_both_in_use_and_exchanged"),
    Bend(
        "site.wiring",
        "after(drew, FELL_WITHIN) >= opened and",
        "",
        _HERE + "test_a_port_full_for_long_is_not_suspected",
    ),
    Bend(
        "site.wiring",
        " and not self._draws(port, shown)",
        "",
        _HERE + "test_a_port_that_goes_on_drawing_is_not_suspected",
    ),
    Bend(
        "site.wiring",
        "if not (shown and _loaded(port)):",
        "if opened is None or not _loaded(port):",
        _HERE + "test_a_neighbour_that_ends_soon_after_a_start_is_not_suspected",
        (4.0,),
    ),
    Bend(
        "site.wiring", " and closed <= since:", ":", _HERE + "test_what_flowed_before_the_closing_is_not_suspected"
    ),
    Bend("port.port", "self.id in self.station.suspects\n            or any(", "any(", _OPEN),
    Bend("site.wiring", "GIVE_UP = Seconds(15.0)", "GIVE_UP = Seconds(60.0)", _OPEN),
    Bend(
        "site.wiring",
        "if port.charge is not None and port.ending is None:",
        "if False:",
        _ALSO,
        (),
        _NOT_STOPPED,
    ),
)
