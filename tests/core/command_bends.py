"""Rules of commands about what there is already, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

_SAID = "scenarios.test_commands:"
_HIGHER = _SAID + "test_a_limit_may_be_raised_up_to_the_ports_own_and_is_not_clipped"
_LOWER = _SAID + "test_what_was_drawn_before_a_lower_limit_is_no_fault"
_ROOM = _SAID + "test_a_raise_must_fit_into_its_circuit"
_CHANGED = _SAID + "test_a_change_is_told_with_the_session_as_it_is_then"
_SERVICE = _SAID + "test_a_disabled_port_takes_no_start_until_it_is_enabled"

COMMAND_BENDS: tuple[Bend, ...] = (
    Bend(
        "adjust", "exceeds(named(event, port.plan.limits), port.plan.limits)", "False", _HIGHER, ("power", 1000.0)
    ),
    Bend(
        "adjust",
        "return not event.durable and raises(port, event, now)",
        "return False",
        _SAID + "test_a_raise_whose_id_is_not_durable_does_nothing",
    ),
    Bend("adjust", "return exceeds(asked(port, event), port.limits)", "return False", _CHANGED),
    Bend("adjust", "return not _fits(port, asked(port, event), now)", "return False", _ROOM),
    Bend(
        "adjust",
        "return not _fits(port, asked(port, _pending(port).event), now)",
        "return False",
        _SAID + "test_a_raise_is_weighed_again_when_it_is_durable",
    ),
    Bend("adjust", "limits.current - kept.allocated_current", "limits.current", _ROOM),
    Bend(
        "adjust",
        "    if not port.circuits.could_fit(port.id, limits):\n        return False\n",
        "",
        _SAID + "test_a_start_that_waits_keeps_its_place_and_never_asks_for_more_than_there_can_be",
    ),
    Bend(
        "adjust",
        "if drawn >= (math.inf if limits.energy is None else limits.energy):",
        "if False:",
        _SAID + "test_a_suspended_session_whose_energy_is_used_up_does_not_return",
    ),
    Bend(
        "adjust",
        "elif charged >= limits.duration:",
        "elif charged > limits.duration + 20:",
        _SAID + "test_time_that_has_passed_already_ends_the_session",
        (),
        (("situation", "suspended"),),
    ),
    Bend(
        "adjust",
        "return event.session != port.session.order.session",
        "return False",
        _SAID + "test_another_session_is_not_changed",
    ),
    Bend(
        "protection",
        "self.lenient = replace(new, current=max(current, new.current)",
        "self.lenient = replace(new",
        _LOWER,
    ),
    Bend(
        "protection",
        "power=max(power, new.power))",
        "power=new.power)",
        _SAID + "test_a_lower_limit_of_power_judges_what_comes",
    ),
    Bend(
        "protection",
        "or at > self.adopted_at:",
        "or at < self.adopted_at:",
        _SAID + "test_a_lower_limit_of_power_judges_what_comes",
    ),
    Bend(
        "protection",
        "if seen.current is None or seen.current < self.definite_current:",
        "if True:",
        _SAID + "test_a_lower_limit_does_not_begin_three_seconds_anew",
    ),
    Bend(
        "protection",
        "if seen.current is None or seen.current < self.definite_current:",
        "if False:",
        _SAID + "test_a_higher_limit_lets_pass_what_was_too_much",
        (2.3, 300.0, 2.7),
    ),
    Bend(
        "protection",
        "if seen.power is None or seen.power < self.overpower:\n            self.over_power = Pickup()",
        "if True:\n            pass",
        _SAID + "test_a_higher_limit_lets_pass_what_was_too_much",
        (1.0, 450.0, 4.8),
    ),
    Bend(
        "protection",
        "    if not image.order.full_stop:\n        return None\n",
        "",
        _SAID + "test_a_port_may_stay_on_when_the_charge_is_full",
        ("duration_limit",),
        (("full_stop", False),),
    ),
    Bend("condition", "self.station.leaving or self.disabled() is not None", "self.station.leaving", _SERVICE),
    Bend(
        "station",
        "availability=Availability(disabled)",
        "availability=Availability()",
        _SAID + "test_it_survives_a_restart",
    ),
    Bend(
        "availability",
        "        if known.source is Source.LOCAL and event.source is Source.REMOTE:\n            message",
        "        if False:\n            message",
        _SAID + "test_what_was_disabled_on_site_is_enabled_on_site_only",
    ),
    Bend(
        "availability",
        "if known is not None and known.source is Source.LOCAL and event.source is Source.REMOTE:",
        "if False:",
        _SAID + "test_what_was_disabled_on_site_is_enabled_on_site_only",
    ),
    Bend(
        "availability",
        "holders = [port, *(holder_of(circuit.plan.id) for circuit in circuits.place(port).above)]",
        "holders = [port]",
        _SAID + "test_a_circuit_takes_every_port_below_with_it",
    ),
    Bend(
        "table",
        '        T.DISABLED: (Rule("withdraw", when.always, do.withdraw),),\n',
        "        T.DISABLED: IGNORE,\n",
        _SAID + "test_a_start_that_waits_for_its_circuit_is_withdrawn",
        (),
        (("source", "REMOTE"), ("reason", "remote")),
    ),
    Bend(
        "answers",
        "Code.NO_LOAD if unloaded else ending.code",
        "ending.code",
        _SAID + "test_a_start_that_found_no_load_says_so_whoever_ended_it",
        ("remote",),
    ),
    Bend(
        "adjust",
        "if port.session.pending_raise is not None and asked(port, event) == port.limits:",
        "if False:",
        _SAID + "test_a_raise_that_was_overtaken_does_not_come_back_after_a_crash",
        ({"energy": 400.0},),
    ),
    Bend(
        "outbox",
        "if not (over and _opens(command, over))",
        "",
        _SAID + "test_a_raise_in_the_turn_in_which_its_session_ends_does_not_bring_it_back",
    ),
)
