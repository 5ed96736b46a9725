"""The example of docs/backend/amqp, without a broker: what it stores, acknowledges, and sends again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs.backend.amqp.consumer import AGAIN_S, Message, Store, key_of, message_of, understood
from tests.brokers.cluster import commands_found, ledger_found


class Clock:
    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    one = Store(tmp_path / "backend.sqlite", clock)
    yield one
    one.db.close()


def row(seq: int, event: str = "plain", topic: str = "up/event", **more: Any) -> Message:
    return Message(gateway="shed-1", topic=topic, body={"stream": "S", "seq": seq, "event": event, **more})


def presence(first: int, last: int) -> Message:
    ledger = {"stream": "S", "first": first, "last": last}
    return Message(gateway="shed-1", topic="state/gateway", body={"status": "online", "ledger": ledger})


def reply(number: str, status: str, code: str = "ok") -> Message:
    return Message(gateway="shed-1", topic="up/reply", body={"id": number, "status": status, "code": code})


def rows_of(store: Store) -> list[tuple[int, int]]:
    return store.db.execute("SELECT seq, upto FROM ledger ORDER BY seq").fetchall()


def test_what_is_stored_without_a_hole_is_acknowledged_and_once(store: Store) -> None:
    assert store.take([row(2), row(3)]) == {}, "the first may be with another worker"
    assert store.take([row(1)]) == {("shed-1", "S"): 3}
    assert store.take([row(2), row(3)]) == {}, "it has been said"
    assert rows_of(store) == [(1, 1), (2, 2), (3, 3)]


def test_workers_on_one_database_know_of_each_other(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "backend.sqlite")
    assert store.take([row(1), row(3)]) == {("shed-1", "S"): 1}
    assert other.take([row(2), row(4)]) == {("shed-1", "S"): 4}
    other.db.close()


def test_a_gap_takes_the_place_of_the_rows_it_stands_for(store: Store) -> None:
    store.take([row(1), row(3)])
    span: dict[str, Any] = {"from": 2, "to": 5}
    assert store.take([row(5, "gap", **span)]) == {("shed-1", "S"): 5}
    assert rows_of(store) == [(1, 1), (2, 5)]


def test_a_presence_is_answered_each_time(store: Store) -> None:
    """A gateway that has come back has no retained `ack` to hear."""
    store.take([row(1)])
    for _ in range(2):
        assert store.take([presence(first=1, last=1)]) == {("shed-1", "S"): 1}


def test_a_new_backend_does_not_wait_for_rows_that_are_gone(store: Store) -> None:
    assert store.take([presence(first=40, last=42)]) == {("shed-1", "S"): 39}
    assert store.take([row(40)]) == {("shed-1", "S"): 40}


def test_nonsense_of_one_stops_nobody(store: Store) -> None:
    batch = [("chargerd.v1.shed-1.up.event", b"{"), ("chargerd", b"{}"), ("chargerd.v1.a.up.event", b"[]")]
    assert list(understood(batch)) == []
    bodies: list[dict[str, Any]] = [{}, {"stream": "S", "seq": 2**70}, {"stream": "S", "seq": [1]}]
    nonsense = [Message(gateway="shed-2", topic="up/event", body=body) for body in bodies]
    nonsense += [Message(gateway="shed-2", topic="state/gateway", body={"ledger": "none"})]
    nonsense += [Message(gateway="shed-2", topic="up/reply", body={"id": [], "status": [], "code": "ok"})]
    assert store.take([*nonsense, row(1)]) == {("shed-1", "S"): 1}


def test_a_command_goes_again_under_its_id_until_it_is_answered(store: Store, clock: Clock) -> None:
    number = store.ask("shed-1", "start", {"port": "A01"}, 30)
    first = store.due()
    assert [one.id for one in first] == [number]
    assert json.loads(first[0].payload) == {
        "id": number,
        "expires_at": "1970-01-12T13:47:10.000Z",
        "args": {"port": "A01"},
    }
    assert store.due() == []
    clock.at += AGAIN_S + 1
    assert [(one.id, one.left_s) for one in store.due()] == [(number, 24.0)]
    store.take([reply(number, "accepted")])
    clock.at += AGAIN_S + 1
    assert store.due() == []


def test_a_command_is_given_up_in_time_and_what_the_gateway_says_later_counts(store: Store, clock: Clock) -> None:
    number = store.ask("shed-1", "stop", {"port": "A01", "force": True}, 30)
    clock.at += 29.5
    assert store.due() == [], "it would come too late"

    def status() -> tuple[str, str]:
        found: tuple[str, str] = store.db.execute("SELECT status, code FROM command").fetchone()
        return found

    assert status() == ("expired", "unanswered")
    store.take([reply(number, "done")])
    assert status() == ("done", "ok")
    store.take([reply(number, "failed")])
    assert status() == ("done", "ok"), "its last word has been said"


def test_topics_are_keys_with_dots() -> None:
    assert key_of("cmd/start", "shed-1") == "chargerd.v1.shed-1.cmd.start"
    assert key_of("up/session") == "chargerd.v1.*.up.session"
    message = message_of("chargerd.v1.shed-1.state.port.A01", b"{}")
    assert (message.gateway, message.topic) == ("shed-1", "state/port/A01")


def session(seq: int, event: str, at: str = "1970-01-12T13:46:41.000Z") -> Message:
    return row(seq, event, "up/session", session_id="T-1", at=at)


def test_the_judge_of_a_trial_sees_what_is_missing_and_what_came_twice(store: Store, clock: Clock) -> None:
    store.take([session(1, "started"), session(3, "ended"), session(4, "ended")])
    found = ledger_found(store.db)
    assert (found["rows"], found["holes"], found["ended"], found["ended_twice"]) == (3, 1, 2, 1)
    number = store.ask("shed-1", "start", {"port": "A01"}, 30)
    assert commands_found(store.db, {"T-1": number})["begun_after_their_time"] == 0
    store.take([session(2, "started", at="1970-01-12T13:48:00.000Z")])
    assert commands_found(store.db, {"T-1": number})["begun_after_their_time"] == 1
    clock.at += 30
    store.due()
    assert commands_found(store.db, {"T-1": number})["unanswered"] == 1
