"""Which row is sent next."""

from dataclasses import replace

from chargerd.core.ledger import LedgerRow, LedgerSpan, RowKind
from chargerd.core.moment import Moment
from chargerd.core.units import Instant
from chargerd.mqtt import bodies
from chargerd.mqtt.drain import AGAIN_EVERY, READ_AHEAD, Drain


def span(last: int, acked: int = 0, first: int = 1, stream: str = "s") -> LedgerSpan:
    return LedgerSpan(stream=stream, first=first, last=last, acked=acked)


def rows(*numbers: int, stream: str = "s") -> list[LedgerRow]:
    return [
        LedgerRow(
            stream=stream, seq=seq, kind=RowKind.EVENT, body={}, moment=Moment(instant=Instant(0)), offline=False
        )
        for seq in numbers
    ]


def at(seconds: float) -> Instant:
    return Instant(seconds)


def sent(drain: Drain, where: LedgerSpan, now: Instant) -> list[int]:
    found = []
    while (row := drain.take(where, now)) is not None:
        found.append(row.seq)
    return found


def fetch(drain: Drain, where: LedgerSpan, now: Instant) -> None:
    after = drain.wants(where, now)
    assert after is not None
    drain.fetched(rows(*range(after + 1, min(where.last, after + READ_AHEAD) + 1)))


def test_nothing_goes_before_the_acknowledgement_or_its_time() -> None:
    drain = Drain()
    assert drain.wants(span(3), at(0)) is None, "there is no connection"
    drain.connected(at(2))
    assert drain.wants(span(3), at(1)) is None
    fetch(drain, span(3), at(2))
    assert not drain.sent_through(span(3))
    assert sent(drain, span(3), at(2)) == [1, 2, 3]
    assert drain.wants(span(3), at(2)) is None, "all of it is on its way"
    assert drain.sent_through(span(3))
    assert drain.sent_through(span(9, acked=9))


def test_an_acknowledgement_opens_the_drain_and_its_rows_are_not_sent() -> None:
    drain = Drain()
    drain.connected(at(2))
    drain.acknowledged()
    fetch(drain, span(5, acked=3), at(0))
    assert sent(drain, span(5, acked=3), at(0)) == [4, 5]


def test_rows_acknowledged_while_they_waited_are_skipped() -> None:
    drain = Drain()
    drain.connected(at(0))
    fetch(drain, span(5), at(0))
    assert sent(drain, span(5, acked=4), at(0)) == [5]


def test_one_fetch_at_a_time() -> None:
    drain = Drain()
    drain.connected(at(0))
    assert drain.wants(span(5), at(0)) == 0
    assert drain.wants(span(5), at(0)) is None
    drain.fetched(rows(1, 2))
    assert drain.wants(span(5), at(0)) is None, "there is something to send first"
    assert sent(drain, span(5), at(0)) == [1, 2]
    assert drain.wants(span(5), at(0)) == 2


def test_rows_fetched_for_a_connection_that_is_gone_are_dropped() -> None:
    drain = Drain()
    drain.connected(at(0))
    drain.wants(span(5), at(0))
    drain.disconnected()
    drain.fetched(rows(1, 2))
    assert drain.take(span(5), at(0)) is None
    drain.connected(at(0))
    fetch(drain, span(5), at(0))
    assert sent(drain, span(5), at(0)) == [1, 2, 3, 4, 5], "a new connection begins with the oldest row"


def test_a_refusal_pauses_and_goes_on_from_the_refused_row() -> None:
    drain = Drain()
    drain.connected(at(0))
    fetch(drain, span(5), at(0))
    assert sent(drain, span(5), at(0)) == [1, 2, 3, 4, 5]
    drain.pause(3, at(60))
    assert drain.wants(span(5), at(59)) is None
    fetch(drain, span(5), at(60))
    assert sent(drain, span(5), at(60)) == [3, 4, 5]


def test_what_stays_unacknowledged_is_sent_again_each_half_hour() -> None:
    drain = Drain()
    drain.connected(at(0))
    fetch(drain, span(3), at(0))
    assert sent(drain, span(3), at(0)) == [1, 2, 3]
    assert drain.wants(span(3, acked=1), at(AGAIN_EVERY - 1)) is None
    fetch(drain, span(3, acked=1), at(AGAIN_EVERY))
    assert sent(drain, span(3, acked=1), at(AGAIN_EVERY)) == [2, 3]


def test_rows_of_an_older_stream_and_pruned_ones_are_left_alone() -> None:
    drain = Drain()
    drain.connected(at(0))
    assert drain.wants(span(9, first=7), at(0)) == 6
    drain.fetched(rows(7, stream="older") + rows(8, 9))
    assert sent(drain, span(9, first=7), at(0)) == [8, 9]


def test_refusals_of_several_rows_go_on_from_the_oldest() -> None:
    drain = Drain()
    drain.connected(at(0))
    fetch(drain, span(5), at(0))
    assert sent(drain, span(5), at(0)) == [1, 2, 3, 4, 5]
    for seq in (2, 3, 4, 5):
        drain.pause(seq, at(60))
    fetch(drain, span(5), at(60))
    assert sent(drain, span(5), at(60)) == [2, 3, 4, 5]


def test_an_acknowledgement_does_not_lift_a_pause() -> None:
    drain = Drain()
    drain.connected(at(0))
    fetch(drain, span(5), at(0))
    assert sent(drain, span(5), at(0)) == [1, 2, 3, 4, 5]
    drain.pause(3, at(60))
    drain.acknowledged()
    assert drain.wants(span(5), at(59)) is None
    assert drain.wants(span(5), at(60)) == 2


def test_rows_that_were_asked_for_before_a_reconnect_do_not_go_first() -> None:
    drain = Drain()
    drain.connected(at(0))
    fetch(drain, span(100), at(0))
    sent(drain, span(100), at(0))
    assert drain.wants(span(100), at(0)) == 50
    drain.disconnected()
    drain.connected(at(1))
    drain.fetched(rows(*range(51, 101)))
    fetch(drain, span(100), at(1))
    assert sent(drain, span(100), at(1))[0] == 1


def test_a_journal_that_gives_no_rows_is_left_alone_for_a_while() -> None:
    drain = Drain()
    drain.connected(at(0))
    assert drain.wants(span(3), at(0)) == 0
    drain.fetched([])
    assert [drain.wants(span(3), at(0)) for _ in range(9)] == [None] * 9
    assert drain.wants(span(3), at(60)) == 0


def test_a_replay_sends_acknowledged_rows_again_and_then_goes_on_as_before() -> None:
    drain = Drain()
    drain.connected(at(0))
    drain.acknowledged(8)
    fetch(drain, span(10, acked=8), at(0))
    assert sent(drain, span(10, acked=8), at(0)) == [9, 10]
    drain.replay(span(10, acked=8), 3)
    assert not drain.sent_through(span(10, acked=8))
    fetch(drain, span(10, acked=8), at(0))
    assert sent(drain, span(10, acked=8), at(0)) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert drain.wants(span(10, acked=8), at(0)) is None
    fetch(drain, span(11, acked=8), at(0))
    assert sent(drain, span(11, acked=8), at(0)) == [11]


def test_a_replay_begins_with_what_is_still_kept_and_outlives_its_connection() -> None:
    drain = Drain()
    drain.connected(at(0))
    drain.acknowledged(900)
    drain.replay(span(900, acked=900, first=101), 1)
    assert drain.wants(span(900, acked=900, first=101), at(0)) == 100
    drain.fetched(rows(*range(101, 151)))
    assert sent(drain, span(900, acked=900, first=101), at(0))[0] == 101
    drain.disconnected()
    drain.connected(at(0))
    found = []
    while (asked := drain.wants(span(900, acked=900, first=101), at(0))) is not None:
        drain.fetched(rows(*range(asked + 1, min(900, asked + READ_AHEAD) + 1)))
        found += sent(drain, span(900, acked=900, first=101), at(0))
    assert found == list(range(101, 901)), "what the lost connection had under way goes again"
    drain.disconnected()
    drain.connected(at(0))
    drain.acknowledged(900)
    fetched = sent(drain, span(950, acked=900, first=101), at(0))
    assert not fetched


def test_an_acknowledgement_lower_than_before_changes_nothing() -> None:
    drain = Drain()
    drain.connected(at(2))
    drain.acknowledged(4)
    drain.acknowledged(2)
    fetch(drain, span(6), at(0))
    assert sent(drain, span(6), at(0)) == [5, 6]


def test_only_what_was_ever_sent_may_be_acknowledged() -> None:
    drain = Drain()
    drain.begin(span(3))
    assert drain.may_acknowledge(3), "an earlier process may have sent it"
    assert not drain.may_acknowledge(4)
    drain.connected(at(0))
    fetch(drain, span(5), at(0))
    sent(drain, span(5), at(0))
    assert drain.may_acknowledge(5)
    assert not drain.may_acknowledge(6)


def test_a_gap_may_be_acknowledged_as_far_as_it_reaches() -> None:
    [gap] = rows(3)
    gap = replace(gap, body={"event": "gap", "from": 3, "to": 40})
    drain = Drain()
    drain.connected(at(0))
    drain.wants(span(60), at(0))
    drain.fetched([*rows(1, 2), gap])
    assert sent(drain, span(60), at(0)) == [1, 2, 3]
    assert drain.may_acknowledge(40)
    assert not drain.may_acknowledge(41)
    assert bodies.gap_payload("g", gap, "refused")["to"] == 40, "nor does a refused gap forget what it stands for"
