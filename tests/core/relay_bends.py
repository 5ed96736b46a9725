"""Rules of leases, and of relays whose boards fail for a moment, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

_REBOOT = "scenarios.test_reboots:test_no_renewal_closes_what_a_board_has_opened_that_did_not_answer"
_DEAD = "scenarios.test_restarts:test_the_lease_opens_the_relay_of_a_dead_daemon_and_the_next_one_closes_the_books"
_FIRST = "scenarios.test_reboots:test_the_very_first_lease_ends_by_itself_too"

_UNPREPARED = "scenarios.test_contactors:test_a_board_that_was_not_prepared_counts_as_one_without_dead_man"

RELAY_BENDS: tuple[Bend, ...] = (
    # A dead-man that nobody has set is none.
    Bend("boards.dead_men", "return known and lapses", "return lapses", _UNPREPARED, ("never",)),
    Bend(
        "boards.dead_men",
        "relay.prepared or relay.board in self._prepared",
        "relay.prepared",
        _UNPREPARED,
        ("set",),
    ),
    Bend(
        "boards.dead_men",
        "            self._prepared.discard(event.board)",
        "            pass",
        _UNPREPARED,
        ("back",),
    ),
    Bend("boards.dead_men", "BoardBack | PreparationFailed):", "BoardBack):", _UNPREPARED, ("refused",)),
    Bend(
        "boards.relay",
        "                self._seen_closed_at = None  # It is asked for again in its time.\n",
        "",
        _REBOOT,
        (15.4, 2.3),
    ),
    Bend(
        "boards.relay",
        "            if event.sent:\n                self._seen_closed_at = None\n",
        "",
        _REBOOT,
        (11.8, 0.9),
    ),
    # What a board has not had time to show.
    Bend(
        "boards.relay",
        "if self._settles_at(self._written_at) > event.sent_at:",
        "if False:",
        "core.test_relay:test_what_a_board_shows_before_it_has_settled_is_no_try",
    ),
    Bend(
        "boards.relay",
        "if event.sent_at >= counts_from:",
        "if True:",
        "core.test_relay:test_open_read_backs_of_a_closed_relay_count_a_settling_time_apart_and_after_its_write",
    ),
    Bend(
        "boards.relay",
        "not (self._echoed or self._retry.look):",
        "not self._echoed:",
        "scenarios.test_relays:test_three_openings_without_an_echo_that_read_back_closed_are_tries_too",
    ),
    # Closings that wait in their bus.
    Bend(
        "port.starting",
        "if other.relay.closing:",
        "if False:",
        "scenarios.test_contactors:test_closings_that_wait_in_their_bus_go_out_one_a_second",
        (2.4,),
    ),
    Bend(
        "port.starting",
        "after(other.relay.last_closing, port.apart)",
        "now.instant",
        "scenarios.test_contactors:test_closings_that_wait_in_their_bus_go_out_one_a_second",
        (2.4,),
    ),
    Bend(
        "boards.relay",
        "        if event.action is RelayAction.CLOSE:\n            self.last_closing = event.at\n",
        "",
        "scenarios.test_contactors:test_closings_that_wait_in_their_bus_go_out_one_a_second",
        (1.2,),
    ),
    Bend(
        "protection.overpower",
        "DefiniteTime(protection.overpower_delay)",
        "DefiniteTime(protection.overpower_delay, 1)",
        "scenarios.test_overcurrent:test_one_reading_of_too_much_power_ends_nothing_though_the_next_are_lost",
    ),
    Bend(
        "circuits.circuit",
        "needs=SHED_READINGS",
        "needs=1",
        "scenarios.test_circuits:test_one_reading_of_a_feeder_sheds_nothing_though_its_meter_then_falls_silent",
    ),
    # Never renewed; closed, and renewed, for ever.
    Bend(
        "boards.relay",
        "if not self._withheld and self._renewal_due is not None and now >= self._renewal_due:",
        "if False:",
        "scenarios.test_charging:test_a_charge_from_start_to_stop",
    ),
    Bend(
        "boards.relay",
        "CloseRelay(port=self._port, lease=self._lease,",
        "CloseRelay(port=self._port, lease=None,",
        _FIRST,
    ),
    Bend(
        "boards.relay",
        "RenewLease(port=self._port, lease=self._lease,",
        "RenewLease(port=self._port, lease=None,",
        _DEAD,
    ),
)
