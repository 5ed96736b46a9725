"""Rules of wiring proofs, bent one at a time; `bends` plays them."""

from chargerd.core.proof import Kind
from tests.core.bend import Bend

_PROOF = "scenarios.test_proof:"
_PROVED = _PROOF + "test_a_site_that_is_wired_as_planned_is_proved"
_HELD = _PROOF + "test_while_a_proof_holds_a_port_nobody_else_starts_or_reserves_there"
_TAKEN = _PROOF + "test_a_second_proof_finds_the_ports_taken"
_BUSY = _PROOF + "test_a_session_on_one_of_the_ports_refuses_the_whole_proof_and_goes_on"
_CUT = _PROOF + "test_a_power_cut_ends_the_session_of_a_proof_for_good"
_OWN_TIME = _PROOF + "test_a_prover_that_dies_leaves_its_session_to_its_own_time"
_FREE = _PROOF + "test_ports_whose_prover_has_died_are_free_after_a_minute"
_NO_OTHER = _PROOF + "test_no_other_latch_is_cleared_by_a_proof"
_PROVOKED = _PROOF + "test_only_what_the_proof_has_provoked_is_cleared_by_it"
_CROSSED = _PROOF + "test_a_proof_broken_off_before_a_crossed_port_closes_again_leaves_both_latched"
_REFUTED = _PROOF + "test_a_board_that_did_not_open_by_itself_counts_as_one_without_a_dead_man"
_AGAIN = _PROOF + "test_a_later_test_that_passes_takes_that_back"
_LEASE = _PROOF + "test_a_board_whose_lease_is_not_as_promised_is_named"
_NEVER = _PROOF + "test_the_lease_of_a_customers_session_is_never_withheld"
_OFF = _PROOF + "test_a_board_that_lets_its_timer_run_out_after_a_plain_off_fails_the_test_of_its_lease"
_DIFFERS = _PROOF + "test_a_load_may_differ_from_its_nameplate_by_three_tenths"
_CROSSTALK = _PROOF + "test_crosstalk_moves_no_other_meter"
_BROKEN_OFF = _PROOF + "test_a_proof_that_is_broken_off_opens_at_once_and_goes_on_where_it_was"
_SILENT = _PROOF + "test_a_relay_board_that_falls_silent_ends_the_step_and_is_named"

_WRONG = "scenarios.test_proof_goes_wrong:"

PROOF_BENDS: tuple[Bend, ...] = (
    # Who may close what.
    Bend("port.port", "Code.PROVING: self.proved_by(now) != proof,", "Code.PROVING: False,", _HELD),
    Bend("port.proving", "if held not in {None, proof} or", "if", _TAKEN),
    Bend("port.proving", "or (held is None and port.charge is not None)", "", _BUSY),
    Bend(
        "port.port",
        "return None if held is None or reached(held.until, now.instant) else held.proof",
        "return None if held is None else held.proof",
        _FREE,
    ),
    Bend("port.suspending", "if record.order.proof is not None:", "if False:", _CUT),
    Bend("proof_course", "LONGEST = Seconds(60.0)", "LONGEST = Seconds(120.0)", _OWN_TIME),
    # Latches: its own, and no others.
    Bend("port.proving", "if port.proved_by(now) != proof:", "if False:", _NO_OTHER),
    Bend(
        "port.proving",
        "latch.function not in functions & PROVABLE]",
        "latch.function not in functions]",
        _NO_OTHER,
    ),
    Bend("proof_course", "if latched and (port, SUSPECT) in self.evidence.provoked:", "if latched:", _PROVOKED),
    Bend("proof_course", "        if crossed:\n", "        if False:\n", _CROSSED),
    Bend(
        "proof_course",
        "for port in self._called_welded - set(self._loads):",
        "for port in ():",
        _PROOF
        + "test_a_port_called_welded_whose_current_went_with_another_ones_opening_is_not_locked_out_for_good",
    ),
    # Leases.
    Bend(
        "boards.relay",
        "if not self._withheld and self._renewal_due is not None and now >=",
        "if self._renewal_due is not None and now >=",
        _PROVED,
    ),
    Bend("boards.relay", "(LAPSE_TOLERANCE if self._withheld else -RENEWAL_MARGIN)", "-RENEWAL_MARGIN", _PROVED),
    Bend(
        "boards.relay",
        "opened=False, after=Seconds(self._lease + LAPSE_TOLERANCE)",
        "opened=True, after=Seconds(self._lease + LAPSE_TOLERANCE)",
        _REFUTED,
    ),
    Bend(
        "port.proving",
        "        port.station.dead_men.tested(port.plan.relay.board, holds=False)\n",
        "        pass\n",
        _REFUTED,
    ),
    Bend("boards.dead_men", "and relay.board not in self._refuted", "", _REFUTED),
    Bend("boards.dead_men", "            self._refuted.discard(board)\n", "            pass\n", _AGAIN),
    Bend("port.proving", "and port.session.order.proof is not None", "", _NEVER),
    Bend(
        "boards.relay",
        "if self.phase is RelayPhase.CLOSED and self._lease is not None and self._confirmed_from is not None:\n"
        "            self._withheld",
        "if True:\n            self._withheld",
        "core.test_relay:test_of_a_relay_that_is_open_or_not_yet_closed_nothing_is_withheld",
    ),
    Bend(
        "proof_course",
        "if view.measured.fresh and power is not None and abs(power) < MOVED:",
        "if True:",
        _PROOF + "test_a_port_called_welded_whose_current_stays_when_the_other_one_opens_is_locked_out_for_good",
    ),
    Bend("proof", "OFF_WITHIN = Seconds(2.0)", "OFF_WITHIN = Seconds(6.0)", _OFF),
    Bend("proof", "if test.lapse_opened is False or (test", "if (test", _LEASE, ("everlasting", Kind.NO_DEAD_MAN)),
    Bend(
        "proof",
        "if test.fell_open or test.flickered or (",
        "if test.fell_open or (",
        _LEASE,
        ("glitches", Kind.RENEWAL_GLITCH),
    ),
    # What counts as the load, and as moved.
    Bend("proof", "FROM, TO = 0.7, 1.3", "FROM, TO = 0.6, 1.3", _DIFFERS, (0.65, Kind.OTHER_POWER)),
    Bend("proof", "FROM, TO = 0.7, 1.3", "FROM, TO = 0.75, 1.3", _DIFFERS, (0.72, None)),
    Bend("proof", "FROM, TO = 0.7, 1.3", "FROM, TO = 0.7, 1.4", _DIFFERS, (1.35, Kind.OTHER_POWER)),
    Bend("proof", "FROM, TO = 0.7, 1.3", "FROM, TO = 0.7, 1.25", _DIFFERS, (1.28, None)),
    Bend("proof", "MOVED, SHARE = Watts(5.0), 0.05", "MOVED, SHARE = Watts(4.0), 0.01", _CROSSTALK, (4.5, False)),
    Bend("proof", "MOVED, SHARE = Watts(5.0), 0.05", "MOVED, SHARE = Watts(6.0), 0.05", _CROSSTALK, (5.5, True)),
    # To break off.
    Bend("proof_course", "        for port in mine:\n", "        for port in ():\n", _BROKEN_OFF),
    Bend("proof_course", "(None if self._view(port).relay_closed is False else UNCONFIRMED)", "None", _SILENT),
    # What happens to it meanwhile.
    Bend(
        "proof_course",
        " and fact.port in self._idle",
        "",
        _WRONG + "test_a_weld_whose_current_flowed_before_the_closing_stays_locked_out",
    ),
    Bend(
        "proof_course",
        "            self._keep_latched(crossed)\n",
        "            pass\n",
        _WRONG + "test_what_is_suspected_after_a_proof_is_not_cleared_by_the_next",
    ),
    Bend(
        "proof_course",
        "            self._keep_test(_lapsed(self._withheld, detail))\n",
        "            pass\n",
        _WRONG + "test_a_board_that_did_not_open_is_kept_though_whoever_proves_has_gone_by_then",
    ),
    Bend(
        "proof_course",
        "                raise _NotOpenError\n",
        "                return\n",
        _WRONG + "test_nothing_else_closes_while_one_is_not_known_to_be_open",
    ),
    Bend(
        "proof_course",
        "measured.at >= shows and",
        "",
        _WRONG + "test_a_meter_that_shows_late_what_flows_tells_nothing_against_its_board",
    ),
    Bend(
        "proof",
        "kind_of_ratio(_rise(shown) / self._load)",
        "kind_of_ratio(abs(shown.during) / self._load)",
        _WRONG + "test_what_flows_elsewhere_is_no_load_of_ones_own",
    ),
    Bend(
        "boards.relay",
        "return self._outlived() if self._seen_outliving() else",
        "return self._outlived() if self._withheld else",
        _WRONG + "test_a_board_that_falls_silent_while_its_lease_is_withheld_has_shown_nothing",
    ),
    Bend(
        "proof_course",
        "fell = goes_on and view.relay_closed is False",
        "fell = not goes_on or view.relay_closed is False",
        _WRONG + "test_what_ends_the_renewing_from_outside_says_nothing_of_the_board",
        arguments=("locked",),
    ),
    Bend(
        "port.suspending",
        "    if port.session.order.proof is not None:\n",
        "    if False:\n",
        _WRONG + "test_a_board_that_comes_back_closes_nothing_of_a_proof_again",
    ),
)
