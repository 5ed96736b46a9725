"""Rules of how long leases are counted on, bent one at a time; `bends` plays them."""

# ruff: noqa: E501 - quoted source keeps its length

from chargerd.core.plan import LeaseScope
from tests.core.bend import Bend

_CLOSING = "core.test_relay:test_a_lease_counts_from_the_beginning_of_its_closing_not_from_the_echo"
_RENEWAL = "core.test_relay:test_a_lease_counts_from_the_beginning_of_its_renewal_not_from_the_echo"
_UNHEARD = "core.test_relay:test_a_renewal_that_nothing_answered_makes_no_lease_longer"
_STAGGER = "core.test_relay:test_the_first_renewal_is_sooner_by_the_stagger_and_the_others_are_all_as_far_apart"
_WATCHED = "core.test_relay:test_a_board_without_leases_gives_none"

_TOGETHER = "scenarios.test_heartbeats:"
_BLIND = _TOGETHER + "test_on_a_board_that_is_there_an_opening_is_not_left_to_the_lease_of_others"
_COSTS = _TOGETHER + "test_a_lost_board_costs_no_contactor_since_nobody_renews_it"
_SETTLED = _TOGETHER + "test_a_session_is_settled_by_a_lease_of_its_own_only"
_OTHERS = _TOGETHER + "test_a_renewal_of_others_pays_for_nothing_at_a_relay_that_is_being_opened"
_BOOKS = "core.test_relay_books:test_a_lease_of_the_whole_board_counts_only_once_the_board_is_lost"

_FROM = "self._confirmed_from = self.closed_from = event.sent_at"
_UNTIL = "self.leased_until = after(event.sent_at, self._lease)"
_RENEWED = "            self._confirmed_from = event.sent_at\n            self._renewal_due ="
_NEXT = "self._renewal_due = after(event.sent_at, self._renew_every)"
_FIRST = "Seconds(self._renew_every - self._stagger)"

LEASE_BENDS: tuple[Bend, ...] = (
    # From when.
    Bend("boards.relay", _FROM, "self._confirmed_from = self.closed_from = event.at", _CLOSING),
    Bend("boards.relay", _FROM, "self.closed_from, self._confirmed_from = event.sent_at, event.at", _CLOSING),
    Bend("boards.relay", _UNTIL, "self.leased_until = after(event.at, self._lease)", _CLOSING),
    Bend("boards.relay", _UNTIL, "self.leased_until = after(event.at, self._lease)", _RENEWAL),
    Bend("boards.relay", _RENEWED, _RENEWED.replace("sent_at", "at"), _RENEWAL),
    Bend("boards.relay", _NEXT, _NEXT.replace("sent_at", "at"), _RENEWAL),
    Bend("boards.relay", _NEXT, "pass", _RENEWAL),
    Bend(
        "boards.relay",
        "            if self._lease is None:\n                self._confirmed_from = event.sent_at",
        "            if self._lease is None:\n                self._confirmed_from = event.at",
        _WATCHED,
    ),
    # Until when it may be closed, by a write that was heard late or not answered.
    Bend("boards.relay", "self._may_be_closed(event.at)", 'self._may_be_closed(getattr(event, "sent_at", event.at))', _CLOSING),
    Bend("boards.relay", "self._may_be_closed(event.at)", 'self._may_be_closed(getattr(event, "sent_at", event.at))', _RENEWAL),
    Bend("boards.relay", "        if event.sent:\n            self._note_sent(event)\n", "", _UNHEARD),
    Bend(
        "boards.relay",
        "        if event.sent:\n            self._note_sent(event)\n",
        "        if event.sent:\n            self._note_sent(event)\n            self._confirmed_from = event.at\n",
        _UNHEARD,
    ),
    Bend(
        "boards.relay",
        "self._seen_closed_at < self._confirmed_from:",
        "False:",
        "core.test_relay:test_what_was_read_back_before_a_renewal_began_allows_no_further_one",
    ),
    # What one of a whole board promises.
    Bend("boards.dead_men", "relay.scope is LeaseScope.RELAY or relay.board in self._lost", "True", _BLIND, (LeaseScope.BOARD, 5.0)),
    Bend("boards.dead_men", " or relay.board in self._lost", "", _COSTS, (6.0, LeaseScope.BOARD), (("costs", False),)),
    Bend("boards.relay", "if self._lease is not None and self._alone:", "if self._lease is not None:", _SETTLED, (LeaseScope.BOARD, 15.0)),
    Bend("boards.relay", "not self._alone and self.phase is not RelayPhase.CLOSED", "False", _OTHERS),
    Bend("invariants.relay_books", "relay.scope is LeaseScope.RELAY or relay.board in self._lost", "True", _BOOKS),
    Bend("invariants.relay_books", " or relay.board in self._lost", "", _BOOKS),
    # How far apart.
    Bend("boards.relay", _FIRST, "Seconds(self._renew_every + self._stagger)", _STAGGER),
    Bend("boards.relay", _FIRST, "self._renew_every", _STAGGER),
    Bend("boards.relay", _NEXT, "self._renewal_due = after(event.sent_at, Seconds(self._renew_every - self._stagger))", _STAGGER),
)  # fmt: skip
