"""Rules of how long leases are counted on, bent one at a time; `bends` plays them."""

# ruff: noqa: E501 - quoted source keeps its length

from tests.core.bend import Bend

_CLOSING = "core.test_relay:test_a_lease_counts_from_the_beginning_of_its_closing_not_from_the_echo"
_RENEWAL = "core.test_relay:test_a_lease_counts_from_the_beginning_of_its_renewal_not_from_the_echo"
_UNHEARD = "core.test_relay:test_a_renewal_that_nothing_answered_makes_no_lease_longer"
_STAGGER = "core.test_relay:test_the_first_renewal_is_sooner_by_the_stagger_and_the_others_are_all_as_far_apart"
_WATCHED = "core.test_relay:test_a_board_without_leases_gives_none"

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
    # How far apart.
    Bend("boards.relay", _FIRST, "Seconds(self._renew_every + self._stagger)", _STAGGER),
    Bend("boards.relay", _FIRST, "self._renew_every", _STAGGER),
    Bend("boards.relay", _NEXT, "self._renewal_due = after(event.sent_at, Seconds(self._renew_every - self._stagger))", _STAGGER),
)  # fmt: skip
