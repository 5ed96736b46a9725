"""The ledger: once each, acknowledged without a hole, whatever the order in which rows come."""

import json
import logging
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.operator.collector import Collector, Wanted
from chargerd.operator.messages import UnsoundError, understood
from chargerd.operator.prices import load
from chargerd.operator.store import Store
from tests.operator.said import GATEWAY, STREAM, ended, heard, payload, presence, row, under_way

ROOT = "chargerd/v1"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """A database and what fills it."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.store = Store(path, load(None).tariff, clock=self.clock)
        self.collector = Collector(self.store, clock=self.clock)

    def say(self, level: str, *bodies: dict[str, Any], gateway: str = GATEWAY) -> Wanted:
        return self.collector.take([heard(level, body, gateway) for body in bodies])

    def add(self, body: dict[str, Any], gateway: str = GATEWAY) -> int:
        """Store a row; return what is acknowledged for it."""
        return self.say("up/session", {**body, "gateway": gateway}, gateway=gateway).acks[gateway, body["stream"]]

    def all(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(one) for one in self.store.all(query)]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    one = Kept(tmp_path / "ledger.db")
    yield one
    one.store.close()


def test_rows_in_any_order_are_acknowledged_as_far_as_there_is_no_hole(kept: Kept) -> None:
    assert [kept.add(row(seq)) for seq in (2, 1, 4, 4, 3)] == [0, 2, 2, 2, 4]


def test_a_settlement_that_comes_again_counts_once(kept: Kept) -> None:
    assert [kept.add(ended(1)), kept.add(ended(1)), kept.add(ended(2, energy_wh=999))] == [1, 1, 2]
    assert kept.all("SELECT session_id, energy_wh, amount FROM session") == [("S-1", 120, 20)]


def test_a_settlement_stays_whatever_comes_after_it(kept: Kept) -> None:
    """Rows of the same session come in any order, since some are sent again."""
    kept.add(ended(3))
    kept.add(under_way(1))
    kept.add(under_way(2, "updated", energy_wh=500))
    assert kept.all("SELECT energy_wh, settled, stop_reason FROM session") == [(120, 1, "full")]


def test_a_gap_fills_the_places_of_the_rows_it_names(kept: Kept) -> None:
    kept.add(row(1))
    assert kept.add(row(2, "gap", **{"from": 2, "to": 7})) == 7
    assert kept.add(row(8)) == 8


def test_a_gap_replaces_what_stands_under_its_numbers(kept: Kept) -> None:
    """Rows that were sent, not acknowledged, and then dropped: the gap begins among those that are stored."""
    for seq in (1, 2, 3, 4):
        kept.add(row(seq))
    assert kept.add(row(3, "gap", **{"from": 3, "to": 6})) == 6
    assert kept.all("SELECT seq, upto FROM ledger ORDER BY seq") == [(1, 1), (2, 2), (3, 6)]


def test_a_row_that_comes_after_all_takes_the_place_of_its_own_gap(kept: Kept) -> None:
    kept.add(row(1, "gap", **{"from": 1, "to": 1}))
    assert kept.add(ended(1)) == 1
    assert '"ended"' in kept.all("SELECT body FROM ledger")[0][0]


def test_a_gap_of_one_row_takes_no_settlement_away(kept: Kept) -> None:
    """It was stored, not acknowledged, and the next broker does not take it, or the disk has lost it since."""
    gap = row(1, "gap", **{"from": 1, "to": 1})
    assert [kept.add(body) for body in (gap, ended(1), gap)] == [1, 1, 1]
    assert '"ended"' in kept.all("SELECT body FROM ledger")[0][0]


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[dict[str, Any]]]:
    """Return how many rows there are, and messages in any order, with repeats, in which none of them is missing.

    Runs of facts have left in favour of a gap, before or after they were sent; settlements never leave.
    """
    last = draw(st.integers(1, 12))
    settled = draw(st.sets(st.integers(1, last)))
    plain = {seq: ended(seq, f"S-{seq}") if seq in settled else row(seq) for seq in range(1, last + 1)}
    needed, extra, seq = [], [], 1
    while seq <= last:
        longest = next((other for other in range(seq, last + 1) if other in settled), last + 1) - seq
        length = draw(st.integers(0, longest))
        if length:
            needed.append(row(seq, "gap", **{"from": seq, "to": seq + length - 1}))
            extra += [plain[other] for other in range(seq, seq + length)]
        else:
            needed.append(plain[seq])
        seq += max(1, length)
    repeats = draw(st.lists(st.sampled_from(needed + extra), max_size=12))
    return last, draw(st.permutations(needed + repeats))


@settings(deadline=None, max_examples=40)
@given(histories(), st.booleans())
def test_whatever_comes_in_whatever_order_no_hole_stays_and_nothing_counts_twice(
    history: tuple[int, list[dict[str, Any]]], together: bool
) -> None:
    last, messages = history
    with TemporaryDirectory() as folder:
        kept = Kept(Path(folder) / "ledger.db")
        kept.store.all("PRAGMA synchronous = OFF")
        if together:
            through = [kept.say("up/event", *messages).acks[GATEWAY, STREAM]]
        else:
            through = [kept.add(message) for message in messages]
        assert through == sorted(through)
        assert through[-1] == last
        settled = kept.all("SELECT count(*), count(DISTINCT session_id) FROM session WHERE settled = 1")
        wanted = len({message["session_id"] for message in messages if message["event"] == "ended"})
        assert settled == [(wanted, wanted)]
        kept.store.close()


def test_streams_are_counted_apart(kept: Kept) -> None:
    assert kept.add(row(1)) == 1
    assert kept.add({**row(1), "stream": "another"}) == 1


def test_a_gateway_takes_no_place_in_anothers_ledger(kept: Kept) -> None:
    """Whoever copies another's stream under its own name has that for itself."""
    assert kept.add({**row(1), "text": "forged"}, "shed-2") == 1
    assert kept.store.ledger.begin("shed-2", "s", 100) == 99
    assert kept.store.ledger.begin("shed-1", "s", 1) == 0
    assert kept.add(row(1)) == 1
    assert kept.all("SELECT count(*) FROM ledger") == [(2,)]


def test_a_message_is_the_gateways_whose_topic_it_came_on() -> None:
    own = {"gateway": "shed-1", "stream": "s", "seq": 1}
    told = understood(ROOT, "chargerd/v1/shed-1/up/event", payload(own))
    assert (told.gateway, told.level, told.body) == ("shed-1", "up/event", own)
    with pytest.raises(UnsoundError, match="gateway of its topic"):
        understood(ROOT, "chargerd/v1/shed-2/up/event", payload(own))


@pytest.mark.parametrize("nonsense", [b"\xff", b"[]", b"null", b"7", b"{}", b"[" * 100_000, b'{"gateway": null}'])
def test_what_is_no_message_is_put_aside(nonsense: bytes) -> None:
    with pytest.raises(UnsoundError):
        understood(ROOT, "chargerd/v1/shed-1/up/event", nonsense)


@pytest.mark.parametrize(
    "part",
    [
        *({"stream": None}, {"stream": []}, {"seq": {}}, {"seq": 2**64}, {"seq": True}, {"seq": -1}, {"event": 7}),
        *({"event": "ended", "tiers": 3}, {"event": "ended", "energy_wh": -5}, {"event": "ended", "ended": None}),
        {"event": "ended", "ended_at": "yesterday"},
    ],
)
def test_nonsense_of_one_gateway_stops_nothing(
    kept: Kept, part: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """In one batch with what is sound: neither the batch nor half of the unsound row is stored."""
    unsound = {**ended(2, "S-2"), **part}
    with caplog.at_level(logging.WARNING):
        wanted = kept.say("up/event", row(1), unsound, row(3))
    assert wanted.acks == {(GATEWAY, STREAM): 1}
    assert kept.all("SELECT seq FROM ledger") == [(1,), (3,)]
    assert kept.all("SELECT * FROM session") == []
    assert "is not as the contract has it" in caplog.text


def test_what_a_gateway_says_steers_no_terminal(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        kept.say("up/event", {"stream": 7}, gateway="\x1b]0;owned\x07\u202e")
    assert "\x1b" not in caplog.text
    assert "\u202e" not in caplog.text


def test_a_disk_that_is_full_has_nothing_acknowledged(kept: Kept) -> None:
    kept.add(row(1))
    kept.store.all("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError):
        kept.say("up/event", row(2))
    kept.store.all("PRAGMA query_only = OFF")
    assert kept.say("up/event", row(2)).acks == {(GATEWAY, STREAM): 2}


def test_a_new_operator_waits_for_no_row_the_gateway_has_no_more(kept: Kept) -> None:
    assert kept.add(row(18)) == 0, "there may be some before it"
    info = {"ledger": {"stream": "s", "first": 17, "last": 18}, "clock_anchor": {"offset_ms": None}}
    assert kept.say("state/info", info).acks == {(GATEWAY, STREAM): 16}
    assert kept.add(row(17)) == 18
    assert kept.store.ledger.begin("shed-1", "s", 3) == 18, "what is stored stays so"
    assert kept.store.ledger.begin("shed-1", "another", 1) == 0


def test_what_no_ack_brings_is_asked_for_though_no_row_comes(kept: Kept) -> None:
    """A database that was put back: its last rows were acknowledged, and nothing happens at the gateway."""
    kept.add(row(1))
    first = kept.say("state/gateway", presence(6))
    assert (first.acks, first.replays) == ({(GATEWAY, STREAM): 1}, []), (
        "what nobody has acknowledged comes for the ack"
    )
    kept.clock.now += 60
    assert kept.say("state/gateway", presence(6)).replays == [(GATEWAY, STREAM, 2, 6)]
    for seq in range(2, 7):
        kept.add(row(seq))
    asked = []
    for last in (6, 9, 9):
        kept.clock.now += 60
        asked += kept.say("state/gateway", presence(last)).replays
    assert asked == [(GATEWAY, STREAM, 7, 9)]


def test_rows_that_stay_away_are_asked_for_less_and_less_often(kept: Kept) -> None:
    asked = []
    for _minute in range(6 * 60):
        asked += kept.say("state/gateway", presence(6)).replays
        kept.clock.now += 60
    assert 11 <= len(asked) <= 15
    kept.add(row(1))
    assert kept.say("up/event", row(4)).replays == [(GATEWAY, STREAM, 2, 3)], "another hole is asked for at once"


# Time


def test_moments_without_a_clock_get_their_time_when_it_is_known(kept: Kept) -> None:
    kept.add(under_way(1))
    kept.add(ended(2))
    kept.add(under_way(3, session="S-2"))
    assert kept.all("SELECT started_at, ended_at FROM session") == [(None, None), (None, None)]
    kept.add(row(4, "clock_fixed", severity="info", offset_ms=1_790_000_000_000))
    assert kept.all("SELECT started_at, ended_at FROM session ORDER BY session_id") == [
        (1_790_000_001.0, 1_790_003_601.0),
        (1_790_000_005.0, None),
    ]
    kept.add(ended(5, "S-2"))
    assert kept.all("SELECT ended_at FROM session WHERE session_id = 'S-2'") == [(1_790_003_601.0,)]


def test_each_end_is_rebased_by_its_own_boot(kept: Kept) -> None:
    kept.add(ended(1, ended={"boot": 2, "up_ms": 7000}))
    kept.add(row(2, "clock_fixed", severity="info", offset_ms=1_790_000_000_000, boot=2))
    assert kept.all("SELECT started_at, ended_at FROM session") == [(None, 1_790_000_007.0)]


# Money


def test_a_clone_of_a_card_bills_nothing(kept: Kept) -> None:
    assert kept.add(ended(1)) == 1
    kept.add(ended(1, stop_reason="power_loss"), "shed-2")
    assert kept.all("SELECT gateway, amount FROM session ORDER BY gateway") == [("shed-1", 20), ("shed-2", 0)]


def test_a_step_of_a_wiring_proof_is_nobodys(kept: Kept) -> None:
    kept.add(ended(1, "S-1", order_id="proof-01J8", start_source="local"))
    kept.add(ended(2, "S-2", order_id="proof-01J8"))
    kept.add(ended(3, "S-3", start_source="local"))
    assert kept.all("SELECT amount FROM session ORDER BY session_id") == [(0,), (20,), (20,)]


def test_alarms_are_kept_and_news_is_not(kept: Kept) -> None:
    kept.add(row(1, at="2026-09-21T14:13:50.000Z", function="overcurrent"))
    kept.add(row(2, "board_back", severity="info", port=None))
    kept.add(row(3, "board_lost", severity="warning", port=None, board="meter-a1"))
    assert kept.all("SELECT event, at, port, reason FROM alarm ORDER BY seq") == [
        ("port_tripped", 1_790_000_030.0, "A01", "overcurrent"),
        ("board_lost", 1000.0, None, "meter-a1"),
    ]
    assert json.loads(kept.all("SELECT body FROM ledger WHERE seq = 2")[0][0])["event"] == "board_back"


def test_the_prices_are_those_of_the_settlement(kept: Kept) -> None:
    tariff = load(None).tariff
    assert tariff.price_at(120) == Decimal("0.20")
    tiers = [(150, 1800), (285, 900), (None, 900)]
    told = [{"up_to_w": bound, "charging_s": span, "energy_wh": 40} for bound, span in tiers]
    kept.add(ended(1, tiers=told))
    assert kept.all("SELECT amount FROM session") == [(29,)], "0.10 + 0.075 + 0.1125, half up"
