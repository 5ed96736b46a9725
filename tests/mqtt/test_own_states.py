"""What the broker has kept of a gateway's own words, and what they prove of its journal."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from chargerd.contract.ledger import LedgerRow
from chargerd.core.units import Instant
from chargerd.mqtt.alarms import Alarms
from chargerd.mqtt.drain import UNREADABLE_WAIT
from chargerd.mqtt.feed import ACK_WAIT, RENEW_AGAIN_AFTER, SUBSCRIBE_WAIT, Feed
from chargerd.mqtt.outgoing import Outgoing
from tests.mqtt.test_clock import WallClock
from tests.mqtt.test_link import Ledger, States

OWN = ("state/info", "state/gateway")


class Begun:
    """A feed whose journal held five rows when its process began, and has made two."""

    def __init__(self) -> None:
        self.clock = WallClock()
        self.ledger = Ledger(rows=7)
        self.ledger.found = 5
        self.alarms: list[str] = []
        posted: list[Callable[[], None]] = []
        self.feed = Feed(
            gateway="shed-1",
            clock=self.clock,
            ledger=self.ledger,
            alarms=Alarms(self.clock, lambda name, _detail: self.alarms.append(name)),
            post=posted.append,
            on_renewed=lambda: None,
        )
        self.posted = posted
        self.feed.begin()
        self.feed.connected(OWN)
        self.feed.subscribed()

    def turn(self) -> list[tuple[str, int]]:
        """Let everything happen that is due; return the rows that are sent."""
        sent = []
        for _ in range(5):
            self.feed.fetch_due()
            while self.posted:
                self.posted.pop(0)()
            while (waiting := self.feed.next()) is not None:
                assert waiting.row is not None
                sent.append((waiting.row.stream, waiting.row.seq))
        return sent


@pytest.mark.parametrize(
    ("said", "renewed"),
    [
        ({"ledger": {"stream": "stream", "first": 1, "last": 6}}, True),
        ({"ledger": {"stream": "stream", "first": 1, "last": 5}}, False),
        ({"ledger": {"stream": "another than here", "first": 1, "last": 2}}, True),
        ({"ledger": {"stream": "stream"}}, False),
        ({"ledger": None}, False),
        ({}, False),
        ("nonsense", False),
    ],
)
@pytest.mark.parametrize("name", OWN)
def test_a_number_beyond_the_last_one_here_begins_a_new_stream(name: str, said: object, renewed: bool) -> None:
    one = Begun()
    one.feed.acknowledged(b'{"stream": "stream", "through": 0}', kept=True)
    assert not one.turn(), "both are waited for, whatever came of the acknowledgement"
    one.feed.own_state(name, json.dumps(said).encode())
    one.feed.own_state(next(other for other in OWN if other != name), b'{"status": "offline"}')
    assert {stream for stream, _seq in one.turn()} == {"another" if renewed else "stream"}
    assert one.alarms == (["stream_renewed"] if renewed else [])
    assert one.feed.own_states_read
    assert not one.feed.wants_own_states


def test_another_stream_proves_nothing_against_one_that_this_process_has_begun() -> None:
    """The broker has kept the one before. A process that renews does so once, whatever it is told of."""
    one = Begun()
    one.ledger.stream_begun = True
    one.feed.own_state("state/info", b'{"ledger": {"stream": "the one before", "last": 60}}')
    one.feed.own_state("state/gateway", b'{"ledger": {"stream": "stream", "last": 6}}')
    one.turn()
    assert one.alarms == ["stream_renewed"]
    one.feed.own_state("state/info", b'{"ledger": {"stream": "stream", "last": 7}}')
    one.turn()
    assert one.alarms == ["stream_renewed"]
    one = Begun()
    one.ledger.stream_begun = True
    for name in OWN:
        one.feed.own_state(name, b'{"ledger": {"stream": "the one before", "last": 60}}')
    one.clock.instant = Instant(one.clock.instant + ACK_WAIT)
    assert {stream for stream, _seq in one.turn()} == {"stream"}
    assert not one.alarms


def test_rows_of_a_file_that_is_under_another_stream_yet_are_not_asked_for_all_the_time() -> None:
    """A card that was moved, and is full: its rows go once it could be made this gateway's own."""
    one = Begun()
    asked: list[int] = []
    row = replace(one.ledger.row(1), stream="its original's")

    def read(after: int, limit: int, deliver: Callable[[Sequence[LedgerRow]], None]) -> None:
        asked.append(after)
        deliver([row][:limit])

    one.ledger.read_rows = read  # type: ignore[method-assign]
    one.clock.instant = Instant(one.clock.instant + ACK_WAIT)
    assert not one.turn()
    assert asked == [0]
    del one.ledger.read_rows
    one.clock.instant = Instant(one.clock.instant + UNREADABLE_WAIT)
    assert len(one.turn()) == 7


def test_nothing_is_said_of_the_ledger_before_what_the_broker_has_kept_is_read_and_what_it_proves_durable() -> (
    None
):
    """What is said takes its place, and a connection or a process may end before anything came of it."""
    one = Begun()
    out = Outgoing(
        clock=one.clock,
        gateway="shed-1",
        states=States(),
        about_link=dict,
        ledger=one.ledger.span,
        may_tell=lambda: one.feed.may_tell,
    )
    out.connected(one.clock.now())

    def said() -> list[str]:
        one.feed.fetch_due()
        return [waiting.topic for waiting in iter(lambda: out.urgent(1), None)]

    assert said() == ["state/port/A01", "state/port/A02"]
    one.feed.own_state("state/info", b'{"ledger": {"stream": "stream", "last": 99}}')
    one.feed.own_state("state/gateway", b"{}")
    assert said() == [], "the journal has not taken it yet"
    one.turn()
    assert said() == ["state/info", "state/gateway"]
    one = Begun()
    one.ledger.full = True
    out.connected(one.clock.now())
    assert said() == ["state/port/A01", "state/port/A02"]
    one.feed.own_state("state/info", b'{"ledger": {"stream": "stream", "last": 99}}')
    one.clock.instant = Instant(one.clock.instant + ACK_WAIT)
    one.turn()
    assert said() == ["state/info", "state/gateway"], "a disk that takes nothing hides no gateway"


def test_what_does_not_come_is_not_waited_for() -> None:
    one = Begun()
    assert not one.turn()
    one.clock.instant = Instant(one.clock.instant + ACK_WAIT)
    assert len(one.turn()) == 7
    one.feed.own_state("state/info", b'{"ledger": {"stream": "stream", "last": 99}}')
    assert not one.alarms, "rows have gone out under these numbers: only an acknowledgement proves anything now"
    one.feed.disconnected()
    one.feed.connected()
    one.feed.subscribed()
    one.clock.instant = Instant(one.clock.instant + ACK_WAIT)
    assert len(one.turn()) == 7


def test_what_this_process_has_told_of_itself_proves_nothing() -> None:
    """The connection held for a second: states had gone out, rows had not."""
    one = Begun()
    one.feed.disconnected()
    assert one.feed.wants_own_states
    one.feed.connected(OWN)
    one.feed.subscribed()
    one.feed.own_state("state/gateway", b'{"ledger": {"stream": "stream", "last": 7}}')
    assert not one.turn()
    assert not one.alarms
    one.feed.own_state("state/info", b'{"ledger": {"stream": "stream", "last": 8}}')
    one.turn()
    assert one.alarms == ["stream_renewed"]


def test_a_new_stream_is_asked_for_until_the_disk_takes_it() -> None:
    one = Begun()
    one.ledger.full = True
    one.feed.acknowledged(b'{"stream": "stream", "through": 9}', kept=True)
    one.feed.own_state("state/info", b"{}")
    one.feed.own_state("state/gateway", b"{}")
    for _ in range(3):
        one.clock.instant = Instant(one.clock.instant + RENEW_AGAIN_AFTER)
        assert not one.turn(), "nothing goes under numbers that were given out before"
    one.ledger.full = False
    assert not one.turn(), "the disk is left alone for a while"
    one.clock.instant = Instant(one.clock.instant + RENEW_AGAIN_AFTER)
    assert one.turn() == [("another", seq) for seq in range(1, 8)]
    assert one.alarms == ["stream_renewed"]


def test_an_acknowledgement_of_the_old_stream_holds_back_nothing_of_the_new_one() -> None:
    """A broker may deliver what it has kept in any order; the journal takes no word on a stream it has left."""
    one = Begun()
    held: list[Callable[[bool], None]] = []
    one.ledger.renew_stream = held.append  # type: ignore[method-assign, assignment]
    one.feed.own_state("state/info", b'{"ledger": {"stream": "stream", "last": 8}}')
    one.feed.own_state("state/gateway", b"{}")
    acknowledge = one.ledger.acknowledge
    one.ledger.acknowledge = lambda *_: None  # type: ignore[method-assign]
    one.feed.acknowledged(b'{"stream": "stream", "through": 4}', kept=True)
    one.ledger.acknowledge = acknowledge  # type: ignore[method-assign]
    one.ledger.stream = "another"
    held.pop()(True)
    assert one.turn() == [("another", seq) for seq in range(1, 8)]


def test_rows_that_are_asked_for_begin_where_they_were_asked_for() -> None:
    """A gap may stand for these and for rows before; the journal parts it before it is read."""
    one = Begun()
    assert one.feed.replay("stream", 4) is None
    assert one.feed.replay("stream", 8) is not None
    assert one.ledger.asked == [4]


def test_a_slow_line_hides_no_proof() -> None:
    one = Begun()
    one.feed.disconnected()
    one.feed.connected()
    one.clock.instant = Instant(one.clock.instant + ACK_WAIT + 1)
    assert not one.turn(), "the broker has not said yet that it has our subscription"
    one.feed.subscribed()
    one.feed.acknowledged(b'{"stream": "stream", "through": 9}', kept=True)
    assert {stream for stream, _seq in one.turn()} == {"another"}


def test_a_broker_that_says_nothing_of_our_subscription_is_not_waited_for_for_ever() -> None:
    one = Begun()
    one.feed.disconnected()
    one.feed.connected(OWN)
    one.clock.instant = Instant(one.clock.instant + SUBSCRIBE_WAIT - 1)
    assert not one.turn()
    one.clock.instant = Instant(one.clock.instant + 1)
    assert len(one.turn()) == 7
