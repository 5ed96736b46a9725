"""Which row is sent next."""

import itertools
from collections.abc import Callable
from dataclasses import replace

from chargerd.contract import bodies
from chargerd.contract.ledger import LedgerRow, LedgerSpan, RowKind
from chargerd.core.moment import Moment
from chargerd.core.units import Instant
from chargerd.mqtt.drain import AGAIN_EVERY, AGAIN_FIRST, ASK_MOST, PROBE, READ_AHEAD, UNDER_WAY, WINDOW, Drain


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
    drain.answered(at(0))
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
    drain.pause(3, at(30))
    assert drain.wants(span(5), at(29)) is None
    fetch(drain, span(5), at(30))
    assert sent(drain, span(5), at(30)) == [3, 4, 5]


def goes(drain: Drain, where: LedgerSpan, now: Instant) -> list[int]:
    """Return all rows that go at `now`, however many fetches that takes."""
    found: list[int] = []
    while (asked := drain.wants(where, now)) is not None:
        drain.fetched(rows(*range(asked + 1, min(where.last, asked + READ_AHEAD) + 1)))
        found += sent(drain, where, now)
    return found


def test_until_somebody_has_said_a_word_one_window_goes_and_then_again_less_and_less_often() -> None:
    drain = Drain()
    drain.connected(at(0))
    assert goes(drain, span(500), at(0)) == list(range(1, WINDOW + 1))
    assert goes(drain, span(501), at(AGAIN_FIRST - 1)) == []
    times = []
    now = 0.0
    while now < 86400:
        now += 60
        again = goes(drain, span(500), at(now))
        if again:
            times.append((now, len(again)))
            assert again == list(range(1, len(again) + 1))
    assert [count for _, count in times[:4]] == [WINDOW] * 4
    pauses = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(times)]
    assert pauses[:3] == [120, 240, 480]
    assert set(pauses[6:]) == {AGAIN_EVERY}
    assert {count for _, count in times[6:]} == {PROBE}


def test_the_first_word_lets_everything_go_and_what_was_sent_a_while_ago_again() -> None:
    drain = Drain()
    drain.connected(at(0))
    goes(drain, span(500), at(0))
    drain.answered(at(20))
    assert goes(drain, span(500), at(20)) == list(range(1, 501))


def test_a_word_the_broker_has_kept_is_not_one_of_somebody_who_is_there() -> None:
    drain = Drain()
    drain.connected(at(2))
    drain.acknowledged(3)
    assert goes(drain, span(500), at(0)) == list(range(4, WINDOW + 4))
    assert goes(drain, span(500), at(1)) == []


def test_rows_that_may_be_under_way_are_not_asked_for() -> None:
    drain = Drain()
    drain.connected(at(0))
    drain.answered(at(0))
    assert goes(drain, span(3), at(0)) == [1, 2, 3]
    assert goes(drain, span(5), at(UNDER_WAY)) == [4, 5]
    drain.answered(at(UNDER_WAY + 1), 1)
    assert goes(drain, span(5), at(UNDER_WAY + 1)) == [2, 3]
    drain.answered(at(UNDER_WAY + 2), 3)
    assert goes(drain, span(5), at(UNDER_WAY + 2)) == [], "4 and 5 went a moment ago"


def test_a_backend_that_waits_for_a_hole_does_not_have_everything_sent_for_each_of_its_words() -> None:
    drain = Drain()
    drain.connected(at(0))
    drain.answered(at(0), 2)
    went = 0
    for second in range(600):
        went += len(goes(drain, span(42), at(second)))
        drain.answered(at(second), 2)
    assert went / 40 <= 2 + 600 / ASK_MOST + 4
    drain.answered(at(600), 42)
    assert goes(drain, span(43), at(600)) == [43]
    drain.answered(at(606), 42)
    assert goes(drain, span(43), at(606)) == [43], "one that stores again is answered at once again"


def test_a_backend_that_waits_for_a_hole_gets_the_oldest_rows_and_the_rest_once_it_is_closed() -> None:
    drain, where = Drain(), span(400)
    drain.connected(at(0))
    drain.answered(at(0))
    assert len(goes(drain, where, at(0))) == 400
    drain.answered(at(10))
    assert len(goes(drain, where, at(10))) == 400, "it may have been away"
    counts = []
    for second in range(20, 2000, 20):
        drain.answered(at(second))
        again = goes(drain, where, at(second))
        assert again == list(range(1, len(again) + 1))
        counts += [len(again)] if again else []
    assert counts[0] == WINDOW
    assert set(counts[5:]) == {PROBE}
    drain.answered(at(2000), PROBE)
    assert goes(drain, where, at(2000)) == list(range(PROBE + 1, 401)), "what else was lost comes with it"


def test_a_backend_that_falls_silent_gets_the_window_after_half_an_hour_and_then_waits() -> None:
    drain = Drain()
    drain.connected(at(0))
    drain.answered(at(0))
    assert goes(drain, span(300), at(0)) == list(range(1, 301))
    assert goes(drain, span(301), at(60)) == [301], "what is new goes while it may be there"
    assert goes(drain, span(301), at(AGAIN_EVERY - 1)) == []
    assert goes(drain, span(301), at(AGAIN_EVERY)) == list(range(1, WINDOW + 1))
    assert goes(drain, span(302), at(AGAIN_EVERY + 60)) == []
    assert goes(drain, span(302), at(2 * AGAIN_EVERY)) == list(range(1, PROBE + 1))
    drain.answered(at(2 * AGAIN_EVERY + 60), 3)
    assert goes(drain, span(302), at(2 * AGAIN_EVERY + 60)) == list(range(4, 303))


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
        drain.pause(seq, at(30))
    fetch(drain, span(5), at(30))
    assert sent(drain, span(5), at(30)) == [2, 3, 4, 5]


def test_an_acknowledgement_does_not_lift_a_pause() -> None:
    drain = Drain()
    drain.connected(at(0))
    fetch(drain, span(5), at(0))
    assert sent(drain, span(5), at(0)) == [1, 2, 3, 4, 5]
    drain.pause(3, at(30))
    drain.answered(at(1))
    assert drain.wants(span(5), at(29)) is None
    assert drain.wants(span(5), at(30)) == 2


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


def through(
    drain: Drain, where: LedgerSpan, now: Instant, *, kept: Callable[[int], bool] = lambda _: True
) -> list[int]:
    """All the drain sends while the journal answers at once, with the rows that are `kept`."""
    found = []
    while (asked := drain.wants(where, now)) is not None:
        there = range(asked + 1, min(where.last, asked + READ_AHEAD) + 1)
        drain.fetched([row for row in rows(*there) if kept(row.seq)])
        found += sent(drain, where, now)
    return found


def listening(acked: int, last: int) -> tuple[Drain, LedgerSpan]:
    """A drain that has sent all there is to a backend that is there and has stored a part of it."""
    drain, where = Drain(), span(last, acked=acked)
    drain.connected(at(0))
    drain.answered(at(0), acked)
    assert through(drain, where, at(0)) == list(range(acked + 1, last + 1))
    return drain, where


def test_a_bounded_replay_sends_what_was_asked_for_and_nothing_else() -> None:
    drain, where = listening(acked=900, last=910)
    drain.replay(where, 300, 420)
    assert not drain.sent_through(where)
    assert through(drain, where, at(0)) == list(range(300, 421))
    assert drain.sent_through(where)
    drain.replay(where, 905, 10_000)
    assert through(drain, where, at(0)) == list(range(905, 911)), "no further than there are rows"
    drain.replay(where, 899, 902)
    assert through(drain, where, at(0)) == [899, 900, 901, 902]
    assert through(drain, span(911, acked=900), at(0)) == [911], "and then on as before"


def test_holes_asked_for_one_after_the_other_are_all_filled_and_an_overlap_comes_once() -> None:
    drain, where = listening(acked=900, last=900)
    for first, last in ((500, 520), (7, 8), (510, 530), (9, 9), (40, 40)):
        drain.replay(where, first, last)
    assert through(drain, where, at(0)) == [7, 8, 9, 40, *range(500, 531)]
    drain.replay(where, 1, 3)
    fetch(drain, where, at(0))
    assert drain.take(where, at(0)) is not None
    drain.replay(where, 1, 3)
    assert through(drain, where, at(0)) == [1, 2, 3], "the same again begins again, once"


def test_a_replay_leaves_out_rows_that_are_kept_no_more_and_gaps_stand_for_theirs() -> None:
    drain, where = listening(acked=900, last=900)
    drain.replay(where, 10, 30)
    drain.replay(where, 200, 205)
    later = replace(where, first=20)
    assert through(drain, later, at(0), kept=lambda seq: not 26 <= seq <= 40) == [*range(20, 26), *range(200, 206)]
    drain.replay(where, 10, 15)
    assert through(drain, later, at(0)) == []
    assert drain.sent_through(later)


def test_a_question_during_a_replay_sends_nothing_twice() -> None:
    drain, where = listening(acked=50, last=60)
    drain.replay(where, 1, 60)
    fetch(drain, where, at(9))
    assert drain.take(where, at(9)) is not None
    drain.answered(at(9), 40)
    assert [*sent(drain, where, at(9)), *through(drain, where, at(9))] == list(range(2, 61))


def test_rows_of_a_replay_that_were_refused_or_lost_go_again_and_only_they() -> None:
    drain, where = listening(acked=900, last=900)
    drain.replay(where, 100, 149)
    fetch(drain, where, at(0))
    assert [drain.take(where, at(0)) is not None for _ in range(20)] == [True] * 20
    for refused in (110, 111, 112):
        drain.pause(refused, at(5))
    assert through(drain, where, at(1)) == []
    assert through(drain, where, at(5)) == list(range(110, 150))
    more = replace(where, last=1030)
    assert through(drain, more, at(5)) == list(range(901, 1031))
    drain.disconnected()
    drain.connected(at(9))
    drain.answered(at(9), 1030)
    assert through(drain, replace(more, acked=1030), at(9)) == [], "the replay is older than all that may be lost"


def test_rows_under_way_at_the_last_word_go_again_though_nothing_new_does() -> None:
    drain = Drain()
    drain.connected(at(0))
    assert goes(drain, span(10), at(0)) == list(range(1, 11))
    drain.answered(at(1), 5)
    assert goes(drain, span(10, acked=5), at(AGAIN_EVERY)) == []
    assert goes(drain, span(10, acked=5), at(1 + AGAIN_EVERY)) == [6, 7, 8, 9, 10]


def test_a_replay_ends_with_its_stream() -> None:
    drain, where = listening(acked=900, last=900)
    drain.replay(where, 1)
    drain.hold()
    drain.renewed(span(902, acked=900, first=901, stream="another"))
    assert drain.wants(span(902, acked=900, first=901, stream="another"), at(0)) == 900


def test_an_acknowledgement_lower_than_before_changes_nothing() -> None:
    drain = Drain()
    drain.connected(at(2))
    drain.acknowledged(4)
    drain.acknowledged(2)
    fetch(drain, span(6), at(0))
    assert sent(drain, span(6), at(0)) == [5, 6]


def test_only_what_was_ever_sent_may_be_acknowledged() -> None:
    drain = Drain()
    drain.begin(3)
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
