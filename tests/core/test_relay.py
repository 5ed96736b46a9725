"""One relay by itself: what no board in its right mind does."""

from dataclasses import replace

import pytest

from chargerd.core.boards.relay import RelayPhase, RelayWatch, Signal
from chargerd.core.commands import OpenRelay, ReadRelay, RenewLease
from chargerd.core.events import RelayAction, RelayNotWritten, RelayReadBack, RelayWritten
from chargerd.core.faults import FaultKind
from chargerd.core.outbox import Outbox
from chargerd.core.plan import PortPlan
from chargerd.core.stance import Known
from chargerd.core.units import Instant, PortId, Seconds
from tests.core.plant import port_plan

A01 = PortId("A01")


def watch(plan: PortPlan | None = None) -> RelayWatch:
    plan = plan or port_plan()
    return RelayWatch(plan.id, plan.relay, plan.protection.open_tries)


def read_back(at: float, *, closed: bool) -> RelayReadBack:
    return RelayReadBack(port=A01, closed=closed, sent_at=Instant(at), at=Instant(at + 0.03))


def written(action: RelayAction, at: float) -> RelayWritten:
    return RelayWritten(port=A01, action=action, sent_at=Instant(at), at=Instant(at + 0.03))


def not_written(action: RelayAction, at: float, *, sent: bool) -> RelayNotWritten:
    return RelayNotWritten(port=A01, action=action, kind=FaultKind.TIMEOUT, at=Instant(at), sent=sent)


def opening(plan: PortPlan | None = None) -> tuple[RelayWatch, Outbox]:
    relay, out = watch(plan), Outbox()
    relay.open(Instant(0.0), out)
    return relay, out


def opened(plan: PortPlan | None = None) -> tuple[RelayWatch, Outbox]:
    relay, out = opening(plan)
    relay.take_in(written(RelayAction.OPEN, 0.1), Instant(0.13), out)
    assert relay.take_in(read_back(0.2, closed=False), Instant(0.23), out) is Signal.OPENED
    out.empty()
    return relay, out


def closed() -> tuple[RelayWatch, Outbox]:
    relay, out = opened()
    relay.close(Instant(1.0), Seconds(3.0), out)
    relay.take_in(written(RelayAction.CLOSE, 1.0), Instant(1.03), out)
    assert relay.take_in(read_back(1.1, closed=True), Instant(1.13), out) is Signal.CLOSED
    out.empty()
    return relay, out


def test_a_read_back_from_before_the_write_says_nothing() -> None:
    relay, out = opening()
    relay.take_in(read_back(0.05, closed=False), Instant(0.08), out)
    relay.take_in(written(RelayAction.OPEN, 0.1), Instant(0.13), out)
    assert relay.take_in(read_back(0.11, closed=False), Instant(0.14), out) is None
    assert relay.phase is RelayPhase.OPENING
    assert relay.take_in(read_back(0.2, closed=False), Instant(0.23), out) is Signal.OPENED


@pytest.mark.parametrize(
    ("at", "lapses", "vouched", "stands"),
    [
        (11.1, True, True, (True, Known.READ_BACK)),
        (11.2, True, True, (False, Known.BELIEVED)),
        (6.9, True, False, (True, Known.BELIEVED)),
        (7.1, True, False, (False, Known.BELIEVED)),
        (60.0, False, True, (True, Known.BELIEVED)),
    ],
)
def test_where_a_closed_relay_stands(
    at: float, *, lapses: bool, vouched: bool, stands: tuple[bool | None, Known]
) -> None:
    relay, _ = closed()
    told = relay.stands(Instant(at), lapses=lapses, vouched=vouched)
    assert (told.closed, told.known, told.read_at) == (*stands, 1.1)


def test_where_a_relay_stands_that_is_being_closed_or_opened_or_is_not_known() -> None:
    relay, out = opened()
    assert relay.stands(Instant(60.0), lapses=False, vouched=True).closed is False
    assert relay.stands(Instant(60.0), lapses=False, vouched=False).known is Known.UNKNOWN
    relay.close(Instant(60.0), Seconds(3.0), out)
    assert relay.stands(Instant(60.0), lapses=True, vouched=True).closed is False, "its write has not gone out"
    relay.take_in(written(RelayAction.CLOSE, 60.1), Instant(60.13), out)
    assert relay.stands(Instant(60.2), lapses=True, vouched=True).closed is True
    relay.open(Instant(60.3), out)
    assert relay.stands(Instant(60.4), lapses=True, vouched=True).known is Known.UNKNOWN
    assert relay.stands(Instant(66.2), lapses=True, vouched=True).closed is False
    relay.board_seen(Instant(66.3), out, lost=True)
    assert relay.stands(Instant(66.4), lapses=False, vouched=True).known is Known.UNKNOWN


def test_a_read_back_before_anything_was_asked_says_nothing() -> None:
    relay, out = watch(), Outbox()
    assert relay.take_in(read_back(0.0, closed=True), Instant(0.0), out) is None
    relay.check(Instant(1.0), out)
    assert isinstance(out.empty().commands[0], OpenRelay)


def test_an_opening_under_way_is_not_begun_twice() -> None:
    relay, out = opening()
    out.empty()
    relay.open(Instant(0.01), out)
    assert not out.empty().commands


def test_an_opening_that_never_left_is_no_reason_to_read_back() -> None:
    relay, out = opening()
    out.empty()
    relay.take_in(not_written(RelayAction.OPEN, 0.1, sent=False), Instant(0.1), out)
    assert not out.empty().commands
    relay.take_in(not_written(RelayAction.OPEN, 0.2, sent=True), Instant(0.2), out)
    assert out.empty().commands == (ReadRelay(port=A01),)


def test_openings_are_repeated_with_growing_pauses() -> None:
    relay, out = opening()
    at, pauses = 0.0, []
    for _ in range(8):
        due = relay.due()
        assert due is not None
        pauses.append(due - at)
        at = due
        assert relay.wake(due, out) is None
    assert pauses == [0.25, 0.5, 1, 2, 4, 4, 4, 4]


def test_waking_early_does_nothing() -> None:
    relay, out = opening()
    out.empty()
    assert relay.wake(Instant(0.1), out) is None
    assert not out.empty().commands


def test_a_board_that_comes_back_does_not_forgive_tries() -> None:
    relay, out = opening()
    signals = []
    for number in range(3):
        relay.check(Instant(number), out)
        relay.take_in(written(RelayAction.OPEN, number + 0.1), Instant(number + 0.13), out)
        signals.append(relay.take_in(read_back(number + 0.5, closed=True), Instant(number + 0.53), out))
    assert signals == [None, None, Signal.WOULD_NOT_OPEN]


def test_what_a_board_shows_before_it_has_settled_is_no_try() -> None:
    relay, out = opening()
    relay.take_in(written(RelayAction.OPEN, 0.1), Instant(0.13), out)
    out.empty()
    for at in (0.16, 0.25, 0.42):
        assert relay.take_in(read_back(at, closed=True), Instant(at), out) is None
        assert not out.empty().commands
        assert relay.due() == pytest.approx(0.13 + 0.3)
    assert relay.wake(Instant(0.44), out) is None
    assert out.empty().commands == (ReadRelay(port=A01),), "asked, not opened anew"
    assert relay.take_in(read_back(0.44, closed=True), Instant(0.47), out) is None
    assert out.empty().commands == (OpenRelay(port=A01, attempt=2),)


def test_open_read_backs_of_a_closed_relay_count_a_settling_time_apart_and_after_its_write() -> None:
    relay, out = opened()
    relay.close(Instant(1.0), Seconds(3.0), out)
    relay.take_in(written(RelayAction.CLOSE, 1.0), Instant(1.03), out)
    out.empty()
    for at in (1.05, 1.2, 1.32, 1.34, 1.5, 1.63):
        assert relay.take_in(read_back(at, closed=False), Instant(at), out) is None
    assert relay.due() == pytest.approx(1.34 + 0.3)
    assert relay.wake(Instant(1.65), out) is None
    assert out.empty().commands == (ReadRelay(port=A01),)
    assert relay.take_in(read_back(1.65, closed=False), Instant(1.68), out) is Signal.STAYED_OPEN


def test_a_closing_written_while_opening_extends_the_time_until_it_is_surely_open() -> None:
    relay, out = closed()
    relay.open(Instant(2.0), out)
    relay.take_in(written(RelayAction.RENEW, 1.99), Instant(2.02), out)
    assert relay.surely_open_at == 2.02 + 6
    relay.take_in(not_written(RelayAction.RENEW, 2.3, sent=True), Instant(2.3), out)
    assert relay.surely_open_at == 2.3 + 6
    relay.take_in(not_written(RelayAction.RENEW, 2.5, sent=False), Instant(2.5), out)
    assert relay.surely_open_at == 2.3 + 6
    assert relay.leased_until == 1.99 + 6, "what is confirmed is less than what may be"


def test_a_late_echo_of_an_opening_after_it_was_read_back_says_nothing() -> None:
    relay, out = opened()
    assert relay.take_in(written(RelayAction.OPEN, 0.3), Instant(0.33), out) is None
    assert relay.phase is RelayPhase.OPEN


def test_an_opening_that_fails_when_the_relay_is_known_to_be_open_says_nothing() -> None:
    relay, out = opened()
    assert relay.take_in(not_written(RelayAction.OPEN, 0.3, sent=True), Instant(0.33), out) is None
    assert not out.empty().commands


def test_a_closing_refused_after_the_port_thought_better_of_it_says_nothing() -> None:
    relay, out = opened()
    relay.close(Instant(1.0), Seconds(3.0), out)
    relay.open(Instant(1.1), out)
    assert relay.take_in(not_written(RelayAction.CLOSE, 1.1, sent=False), Instant(1.1), out) is None


def test_one_open_read_back_of_a_closed_relay_is_asked_after_once() -> None:
    relay, out = closed()
    assert relay.take_in(read_back(2.0, closed=False), Instant(2.03), out) is None
    assert relay.due() == 2.3
    assert relay.wake(Instant(2.3), out) is None
    assert out.empty().commands == (ReadRelay(port=A01),)
    assert relay.take_in(read_back(2.3, closed=True), Instant(2.33), out) is None
    assert relay.due() == 1.0 + 3.0, "the renewal, and no further question"
    assert relay.take_in(read_back(2.4, closed=False), Instant(2.43), out) is None, "counted anew"
    assert relay.take_in(read_back(2.7, closed=False), Instant(2.73), out) is Signal.STAYED_OPEN


def test_a_board_without_leases_gives_none() -> None:
    relay, out = watch(port_plan(lease=None)), Outbox()
    relay.open(Instant(0.0), out)
    relay.take_in(written(RelayAction.OPEN, 0.1), Instant(0.13), out)
    relay.take_in(read_back(0.2, closed=False), Instant(0.23), out)
    relay.close(Instant(1.0), Seconds(3.0), out)
    relay.take_in(written(RelayAction.CLOSE, 1.0), Instant(1.03), out)
    relay.take_in(read_back(1.1, closed=True), Instant(1.13), out)
    assert (relay.surely_open_at, relay.leased_until) == (None, None)
    assert relay.due() == 1.1 + 6
    assert relay.wake(Instant(7.2), out) is Signal.LEASE_LOST


def test_a_renewal_that_never_left_is_sent_again_and_one_that_got_no_answer_is_looked_into() -> None:
    for sent, then in ((False, RenewLease), (True, ReadRelay)):
        relay, out = closed()
        relay.take_in(not_written(RelayAction.RENEW, 4.0, sent=sent), Instant(4.0), out)
        assert relay.wake(Instant(4.25), out) is None
        assert [type(command) for command in out.empty().commands] == [then]
        assert relay.wake(Instant(4.26), out) is None
        assert not out.empty().commands


def test_a_closing_that_was_sent_counts_though_nobody_confirmed_it() -> None:
    relay, out = opened()
    relay.close(Instant(1.0), Seconds(3.0), out)
    assert relay.take_in(not_written(RelayAction.CLOSE, 1.2, sent=False), Instant(1.2), out) is Signal.NOT_CLOSED
    assert (relay.surely_open_at, relay.last_closing) == (None, None)
    relay.close(Instant(2.0), Seconds(3.0), out)
    assert relay.take_in(not_written(RelayAction.CLOSE, 2.2, sent=True), Instant(2.2), out) is Signal.NOT_CLOSED
    assert (relay.surely_open_at, relay.last_closing) == (2.2 + 6, 2.2)


def test_an_opening_that_was_sent_is_read_back_though_nobody_confirmed_it() -> None:
    relay, out = opening()
    out.empty()
    relay.take_in(not_written(RelayAction.OPEN, 0.2, sent=True), Instant(0.2), out)
    assert [type(command) for command in out.empty().commands] == [ReadRelay]
    assert relay.take_in(read_back(0.1, closed=False), Instant(0.2), out) is None, "asked before it was written"
    assert relay.take_in(read_back(0.3, closed=False), Instant(0.33), out) is Signal.OPENED


def test_what_was_read_before_a_board_came_back_says_nothing_of_its_relay() -> None:
    relay, out = opening()
    relay.take_in(written(RelayAction.OPEN, 0.1), Instant(0.13), out)
    relay.check(Instant(1.0), out)
    assert relay.take_in(read_back(0.5, closed=False), Instant(1.1), out) is None
    assert relay.phase is RelayPhase.OPENING


def slow(action: RelayAction, at: float) -> RelayWritten:
    """A write whose echo takes its time, as behind a gateway."""
    return RelayWritten(port=A01, action=action, sent_at=Instant(at), at=Instant(at + 0.4))


def test_of_a_relay_that_is_open_or_not_yet_closed_nothing_is_withheld() -> None:
    relay, out = opened()
    relay.withhold(Instant(0.5))
    assert relay.due() is None, "an open one is not looked at"
    relay.close(Instant(1.0), Seconds(3.0), out)
    relay.withhold(Instant(1.01))
    relay.take_in(written(RelayAction.CLOSE, 1.0), Instant(1.03), out)
    assert relay.take_in(read_back(1.1, closed=True), Instant(1.13), out) is Signal.CLOSED
    out.empty()
    due = relay.due()
    assert due is not None
    assert relay.wake(due, out) is None
    renewal(out)


def test_a_relay_without_a_lease_has_none_to_withhold() -> None:
    relay, out = opened(port_plan(lease=None))
    relay.close(Instant(1.0), Seconds(3.0), out)
    relay.take_in(written(RelayAction.CLOSE, 1.0), Instant(1.03), out)
    assert relay.take_in(read_back(1.1, closed=True), Instant(1.13), out) is Signal.CLOSED
    relay.withhold(Instant(2.0))
    assert relay.wake(Instant(7.2), out) is Signal.LEASE_LOST
    assert relay.lapse is None


def held() -> tuple[RelayWatch, Outbox]:
    """A relay closed at 1.0 by a write whose echo came at 1.4."""
    relay, out = opened()
    relay.close(Instant(1.0), Seconds(3.0), out)
    relay.take_in(slow(RelayAction.CLOSE, 1.0), Instant(1.4), out)
    assert relay.take_in(read_back(1.5, closed=True), Instant(1.53), out) is Signal.CLOSED
    out.empty()
    return relay, out


def renewal(out: Outbox) -> RenewLease:
    (command,) = out.empty().commands
    assert isinstance(command, RenewLease)
    return command


def test_a_lease_counts_from_the_beginning_of_its_closing_not_from_the_echo() -> None:
    relay, out = held()
    assert (relay.closed_from, relay.leased_until) == (1.0, 1.0 + 6)
    assert relay.surely_open_at == 1.4 + 6, "the board may have heard it as late as that"
    assert relay.due() == 1.0 + 3.0
    assert relay.wake(Instant(4.0), out) is None
    assert renewal(out).not_after == 1.0 + 6 - 1
    assert relay.wake(Instant(5.99), out) is None
    assert relay.wake(Instant(6.0), out) is Signal.LEASE_LOST


def test_a_lease_counts_from_the_beginning_of_its_renewal_not_from_the_echo() -> None:
    relay, out = held()
    relay.take_in(slow(RelayAction.RENEW, 4.0), Instant(4.4), out)
    assert relay.closed_from == 1.0
    assert relay.leased_until == 4.0 + 6
    assert relay.surely_open_at == 4.4 + 6
    assert relay.due() == 4.0 + 3.0
    relay.take_in(read_back(5.0, closed=True), Instant(5.03), out)
    assert relay.wake(Instant(7.0), out) is None
    assert renewal(out).not_after == 4.0 + 6 - 1
    assert relay.wake(Instant(8.99), out) is None
    assert relay.wake(Instant(9.0), out) is Signal.LEASE_LOST


def test_a_renewal_that_nothing_answered_makes_no_lease_longer() -> None:
    relay, out = held()
    relay.take_in(not_written(RelayAction.RENEW, 4.5, sent=True), Instant(4.5), out)
    assert relay.leased_until == 1.0 + 6
    assert relay.surely_open_at == 4.5 + 6
    assert relay.wake(Instant(6.0), out) is Signal.LEASE_LOST


def test_what_was_read_back_before_a_renewal_began_allows_no_further_one() -> None:
    relay, out = held()
    relay.take_in(read_back(3.99, closed=True), Instant(4.02), out)
    relay.take_in(slow(RelayAction.RENEW, 4.0), Instant(4.4), out)
    assert relay.wake(Instant(7.0), out) is None
    assert out.empty().commands == (ReadRelay(port=A01),)


def test_the_first_renewal_is_sooner_by_the_stagger_and_the_others_are_all_as_far_apart() -> None:
    # Later by as much, the last relays of a board would lose their first lease before it is renewed.
    plan = port_plan()
    relay, out = opened(replace(plan, relay=replace(plan.relay, stagger=Seconds(2.5))))
    relay.close(Instant(1.0), Seconds(3.0), out)
    relay.take_in(written(RelayAction.CLOSE, 1.0), Instant(1.03), out)
    relay.take_in(read_back(1.1, closed=True), Instant(1.13), out)
    assert relay.due() == 1.0 + 3.0 - 2.5
    relay.take_in(written(RelayAction.RENEW, 1.5), Instant(1.53), out)
    assert relay.due() == 1.5 + 3.0
