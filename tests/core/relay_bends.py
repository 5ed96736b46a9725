"""Rules of leases, and of relays whose boards fail for a moment, bent one at a time; `bends` plays them."""

from tests.core.bend import Bend

_REBOOT = "scenarios.test_reboots:test_no_renewal_closes_what_a_board_has_opened_that_did_not_answer"
_DEAD = "scenarios.test_restarts:test_the_lease_opens_the_relay_of_a_dead_daemon_and_the_next_one_closes_the_books"
_FIRST = "scenarios.test_reboots:test_the_very_first_lease_ends_by_itself_too"

_UNPREPARED = "scenarios.test_contactors:test_a_board_that_was_not_prepared_counts_as_one_without_dead_man"

RELAY_BENDS: tuple[Bend, ...] = (
    # A dead-man that nobody has set is none.
    Bend(
        "condition",
        "return relay.dead_man if known else DeadMan.NONE",
        "return relay.dead_man",
        _UNPREPARED,
        ("never",),
    ),
    Bend("condition", "relay.prepared or relay.board in self.prepared", "relay.prepared", _UNPREPARED, ("set",)),
    Bend(
        "condition", "            self.prepared.discard(event.board)", "            pass", _UNPREPARED, ("back",)
    ),
    Bend("condition", "BoardBack | PreparationFailed):", "BoardBack):", _UNPREPARED, ("refused",)),
    Bend(
        "relay",
        "                self._seen_closed_at = None  # It is asked for again in its time.\n",
        "",
        _REBOOT,
        (15.4, 2.3),
    ),
    Bend(
        "relay",
        "            if event.sent:\n                self._seen_closed_at = None\n",
        "",
        _REBOOT,
        (11.8, 0.9),
    ),
    # Never renewed; closed, and renewed, for ever.
    Bend(
        "relay",
        "if self._renewal_due is not None and now >= self._renewal_due:",
        "if False:",
        "scenarios.test_charging:test_a_charge_from_start_to_stop",
    ),
    Bend(
        "relay",
        "CloseRelay(port=self._port, lease=self._lease,",
        "CloseRelay(port=self._port, lease=None,",
        _FIRST,
    ),
    # A run before this one may have left anything closed.
    Bend(
        "relay",
        "            self._may_be_closed(now)  # By a run before",
        "            pass  # By a run before",
        "scenarios.test_restarts:test_current_through_a_relay_whose_board_is_silent_from_the_start_is_out_of_control",
    ),
    Bend(
        "relay", "RenewLease(port=self._port, lease=self._lease,", "RenewLease(port=self._port, lease=None,", _DEAD
    ),
)
