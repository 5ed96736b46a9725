"""Rules of what hangs below other circuits, and of phases, bent one at a time; `bending` plays them."""

from tests.core.bend import Bend

_HERE = "scenarios.test_trees:"
_KEPT_FREE = _HERE + "test_what_is_kept_free_below_is_kept_free_above"
_FLOWS = _HERE + "test_what_flows_below_is_shed_above"
_OVERTAKEN = _HERE + "test_who_has_waited_for_the_circuit_above_is_not_overtaken_from_beside"
_ONE_PHASE = _HERE + "test_a_port_on_one_phase_is_not_opened_to_relieve_another"
_STOPPED = _HERE + "test_an_input_above_holds_what_is_below_until_it_is_cleared_there"
_UNREAD = _HERE + "test_an_input_above_that_nobody_reads_keeps_what_is_below_open"
_LOST = _HERE + "test_a_contactor_above_that_is_lost_suspends_all_below_and_bars_the_rest"
_OUT_OF_CONTROL = _HERE + "test_a_relay_out_of_control_costs_all_below_the_contactor_above"
_INVARIANTS = "core.test_invariants:"

TREE_BENDS: tuple[Bend, ...] = (
    # What is counted above.
    Bend(
        "circuits.circuit",
        "            allocated = allocated.plus(child.allocated)\n",
        "",
        _KEPT_FREE,
    ),
    Bend(
        "circuits.circuit",
        "drawn = drawn.plus(child.drawn)",
        "pass",
        _FLOWS,
    ),
    Bend(
        "circuits.tree",
        "        for circuit in self.place(port).above:\n            circuit.share_changed()",
        "        for circuit in self.place(port).above[:1]:\n            circuit.share_changed()",
        _KEPT_FREE,
    ),
    Bend(
        "circuits.tree",
        "return tuple(circuit for circuit in place.above if not",
        "return tuple(circuit for circuit in place.above[:1] if not",
        _KEPT_FREE,
    ),
    Bend(
        "circuits.tree",
        "return all(circuit.could_fit(extra) for circuit in place.above)",
        "return all(circuit.could_fit(extra) for circuit in place.above[:1])",
        _HERE + "test_a_start_that_never_fits_above_is_refused_however_long_it_would_wait",
    ),
    Bend(
        "circuits.tree",
        "in reserved for circuit in self.place(port).above)",
        "in reserved for circuit in self.place(port).above[:1])",
        _OVERTAKEN,
    ),
    Bend(
        "circuits.tree",
        "if ids & {circuit.plan.id for circuit in self.place(waiting.port).above}",
        "if ids & {circuit.plan.id for circuit in self.place(waiting.port).above[:1]}",
        _OVERTAKEN,
    ),
    Bend("site.sharing", "place(port).above if circuit.rated", "place(port).above[:1] if circuit.rated", _FLOWS),
    Bend(
        "circuits.tree",
        "            while phase is Phase.ALL and at.parent is not None:\n",
        "            while False:\n",
        _HERE + "test_the_phase_of_a_circuit_above_is_that_of_those_below",
    ),
    # What a feeder meter shows, and what it does not.
    Bend(
        "circuits.circuit",
        "self._measured().plus(less).most(below)",
        "self._measured().plus(less)",
        _HERE + "test_a_feeder_that_shows_less_than_its_ports_sheds_by_what_they_show",
    ),
    Bend(
        "circuits.circuit",
        "self._measured().plus(less).most(below)",
        "self._measured().plus(less)",
        _HERE + "test_a_feeder_that_shows_less_than_its_ports_leaves_no_more_room",
    ),
    Bend(
        "circuits.circuit",
        "return self.allocated.plus(self.beside(now))",
        "return self.allocated",
        _HERE + "test_what_flows_beside_the_ports_takes_room_from_them",
    ),
    Bend(
        "circuits.circuit",
        "below = below.plus(circuit.beside(now))",
        "pass",
        _HERE + "test_what_flows_beside_the_ports_below_takes_room_from_those_above",
    ),
    Bend(
        "circuits.circuit",
        "at = min(at, circuit.seen_at(at, now))",
        "pass",
        _HERE + "test_what_a_meter_below_shows_from_before_opens_no_second_port",
        (0.0,),
    ),
    Bend(
        "circuits.circuit",
        ", *(circuit.settle_time() for circuit in self.children)]",
        "]",
        _HERE + "test_what_a_meter_below_shows_from_before_opens_no_second_port",
        (1.0,),
    ),
    # Phases.
    Bend("circuits.tree", "if circuit.relieved_by(self.place(port).phase, load))[:1]", ")[:1]", _ONE_PHASE),
    Bend(
        "circuits.tree",
        "            if not circuit.relieved_by(phase, left):\n                continue\n",
        "",
        _HERE + "test_nor_at_once_for_much_too_much",
    ),
    Bend(
        "circuits.tree",
        "less = on(phase, MINUS",
        "less = on(Phase.ALL, MINUS",
        _HERE + "test_two_phases_with_too_much_are_both_relieved",
    ),
    Bend(
        "circuits.circuit",
        "if power is not None and load.power >= RELIEVED * power:",
        "if False:",
        _HERE + "test_too_much_power_is_relieved_on_whichever_phase",
    ),
    Bend("circuits.circuit", "[place] >= RELIEVED * rating", "[place] >= 1.2 * rating", _ONE_PHASE),
    # How relays close.
    Bend(
        "port.starting",
        "{circuit.plan.id for circuit in port.circuits.place(port.id).above}",
        "{circuit.plan.id for circuit in port.circuits.place(port.id).above[:1]}",
        _HERE + "test_closings_below_different_circuits_go_out_one_a_second_for_the_one_above",
    ),
    Bend(
        "circuits.tree",
        "        above = self.place(port).above\n        last",
        "        above = self.place(port).above[:1]\n        last",
        "core.test_supply:test_a_turn_to_close_is_kept_on_every_circuit_above",
    ),
    # Inputs above.
    Bend(
        "circuits.tree",
        "any(circuit.latches for circuit in self.place(port).above)",
        "any(circuit.latches for circuit in self.place(port).above[:1])",
        _STOPPED,
    ),
    Bend(
        "circuits.tree",
        "any(above.plan.id == circuit for above in place.above)",
        "any(above.plan.id == circuit for above in place.above[:1])",
        _STOPPED,
    ),
    Bend(
        "circuits.tree",
        "circuit.contactor.relay.board_lost)\n            for circuit in self.place(port).above",
        "circuit.contactor.relay.board_lost)\n            for circuit in self.place(port).above[:1]",
        _UNREAD,
    ),
    Bend(
        "circuits.inputs",
        "if plan.circuit == circuit and plan.kind.value == function and",
        "if plan.kind.value == function and",
        _HERE + "test_smoke_on_one_circuit_does_not_keep_the_latch_of_another",
    ),
    Bend(
        "circuits.tree",
        "        above = self.place(port).above\n        lost",
        "        above = self.place(port).above[:1]\n        lost",
        "core.test_supply:test_an_input_above_that_nobody_has_read_yet_is_not_lost",
    ),
    # Contactors above.
    Bend(
        "circuits.tree",
        "for contactor in (circuit.contactor for circuit in self.place(port).above):",
        "for contactor in (circuit.contactor for circuit in self.place(port).above[:1]):",
        _HERE + "test_a_port_waits_for_the_contactor_of_the_circuit_above",
    ),
    Bend(
        "circuits.tree",
        "circuit.unguarded or (circuit.contactor is not None and circuit.contactor.relay.board_lost)",
        "circuit.unguarded",
        _LOST,
    ),
    Bend(
        "site.contactors",
        'return self._trips.suspend(contactor.circuit, "contactor_lost", now)',
        "return []",
        _LOST,
    ),
    Bend(
        "circuits.tree",
        "not in ASTRAY\n            for circuit in self.place(port).above",
        "not in ASTRAY\n            for circuit in self.place(port).above[:1]",
        _HERE + "test_a_session_waits_for_a_contactor_above_that_is_not_known_to_be_open",
    ),
    Bend(
        "circuits.tree",
        "any(circuit.held for circuit in self.place(port).above)",
        "any(circuit.held for circuit in self.place(port).above[:1])",
        _OUT_OF_CONTROL,
        ("B01",),
    ),
    Bend(
        "site.contactors",
        "culprit is not None and not circuit.held:",
        "culprit is not None and culprit.plan.circuit == contactor.circuit and not circuit.held:",
        _OUT_OF_CONTROL,
        ("B01",),
    ),
    Bend(
        "site.contactors",
        "chain = self._circuits.chain(contactor.circuit)",
        "chain = (circuit,)",
        _HERE + "test_a_stop_above_opens_the_contactor_below_under_load",
    ),
    # What watches all of it.
    Bend(
        "invariants.load_books",
        "at = None if at.parent is None else known.get(at.parent)",
        "at = None",
        _INVARIANTS + "test_a_load_above_the_rating_of_a_circuit_further_up_does_not_last",
    ),
    Bend(
        "invariants.load_books",
        "port in self._told and over & set(self._phases[port])",
        "port in self._told",
        _INVARIANTS + "test_a_load_on_one_phase_is_not_for_another_to_relieve",
    ),
)
