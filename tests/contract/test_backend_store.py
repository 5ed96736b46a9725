"""The example's ledger: once each, acknowledged without a hole, whatever the order in which rows come."""

import importlib.util
import json
import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.broker import free_port

EXAMPLE = Path(__file__).parents[2] / "docs" / "backend" / "backend.py"


def example() -> Any:
    spec = importlib.util.spec_from_file_location("backend_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def opened(folder: Path) -> Any:
    return example().Store(str(folder / "ledger.db"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    store = opened(tmp_path)
    yield store
    store.db.close()


def row(seq: int, event: str = "port_tripped", **more: Any) -> dict[str, Any]:
    return {"stream": "s", "seq": seq, "gateway": "shed-1", "event": event, **more}


def test_rows_in_any_order_are_acknowledged_as_far_as_there_is_no_hole(store: Any) -> None:
    assert [store.add(row(seq)) for seq in (2, 1, 4, 4, 3)] == [0, 2, 2, 2, 4]


def test_a_settlement_that_comes_again_counts_once(store: Any) -> None:
    ended = row(1, "ended", session_id="S-1", order_id=None, energy_wh=120, stop_reason="full")
    assert [store.add(ended), store.add(ended)] == [1, 1]
    assert store.db.execute("SELECT session_id, energy_wh FROM settlement").fetchall() == [("S-1", 120)]


def test_a_gap_fills_the_places_of_the_rows_it_names(store: Any) -> None:
    store.add(row(1))
    assert store.add(row(2, "gap", **{"from": 2, "to": 7})) == 7
    assert store.add(row(8)) == 8


def test_a_gap_replaces_what_stands_under_its_numbers(store: Any) -> None:
    """Rows that were sent, not acknowledged, and then dropped: the gap begins among those that are stored."""
    for seq in (1, 2, 3, 4):
        store.add(row(seq))
    assert store.add(row(3, "gap", **{"from": 3, "to": 6})) == 6
    assert store.db.execute("SELECT seq, upto FROM ledger ORDER BY seq").fetchall() == [(1, 1), (2, 2), (3, 6)]


def test_a_row_that_comes_after_all_takes_the_place_of_its_own_gap(store: Any) -> None:
    store.add(row(1, "gap", **{"from": 1, "to": 1}))
    assert store.add(row(1, "ended", session_id="S-1", order_id=None, energy_wh=120, stop_reason="full")) == 1
    assert '"ended"' in store.db.execute("SELECT body FROM ledger").fetchone()[0]


def test_a_gap_of_one_row_takes_no_settlement_away(store: Any) -> None:
    """It was stored, not acknowledged, and the next broker does not take it, or the disk has lost it since."""
    ended = row(1, "ended", session_id="S-1", order_id=None, energy_wh=120, stop_reason="full")
    gap = row(1, "gap", **{"from": 1, "to": 1})
    assert [store.add(message) for message in (gap, ended, gap)] == [1, 1, 1]
    assert '"ended"' in store.db.execute("SELECT body FROM ledger").fetchone()[0]


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[dict[str, Any]]]:
    """Return how many rows there are, and messages in any order, with repeats, in which none of them is missing.

    Runs of facts have left in favour of a gap, before or after they were sent; settlements never leave.
    """
    last = draw(st.integers(1, 12))
    ended = draw(st.sets(st.integers(1, last)))
    plain = {
        seq: row(seq, "ended", session_id=f"S-{seq}", order_id=None, energy_wh=seq, stop_reason="full")
        if seq in ended
        else row(seq)
        for seq in range(1, last + 1)
    }
    needed, extra, seq = [], [], 1
    while seq <= last:
        longest = next((other for other in range(seq, last + 1) if other in ended), last + 1) - seq
        length = draw(st.integers(0, longest))
        if length:
            needed.append(row(seq, "gap", **{"from": seq, "to": seq + length - 1}))
            extra += [plain[other] for other in range(seq, seq + length)]
        else:
            needed.append(plain[seq])
        seq += max(1, length)
    repeats = draw(st.lists(st.sampled_from(needed + extra), max_size=12))
    return last, draw(st.permutations(needed + repeats))


@settings(deadline=None)
@given(histories())
def test_whatever_comes_in_whatever_order_no_hole_stays_and_nothing_counts_twice(
    history: tuple[int, list[dict[str, Any]]],
) -> None:
    last, messages = history
    with TemporaryDirectory() as folder:
        store = opened(Path(folder))
        through = [store.add(message) for message in messages]
        assert through == sorted(through)
        assert through[-1] == last
        settled = store.db.execute("SELECT count(*), count(DISTINCT session_id) FROM settlement").fetchone()
        wanted = len({message["session_id"] for message in messages if message["event"] == "ended"})
        assert settled == (wanted, wanted)
        store.db.close()


def test_streams_are_counted_apart(store: Any) -> None:
    assert store.add(row(1)) == 1
    assert store.add({**row(1), "stream": "another"}) == 1


def test_a_gateway_takes_no_place_in_anothers_ledger(store: Any) -> None:
    """Whoever copies another's stream under its own name has that for itself."""
    assert store.add({**row(1), "gateway": "shed-2", "text": "forged"}) == 1
    assert store.begin("shed-2", "s", 100) == 99
    assert store.begin("shed-1", "s", 1) == 0
    assert store.add(row(1)) == 1
    assert store.db.execute("SELECT count(*) FROM ledger").fetchone() == (2,)


def test_a_message_is_the_gateways_whose_topic_it_came_on() -> None:
    understood = example().understood
    own = {"gateway": "shed-1", "stream": "s", "seq": 1}
    assert understood("chargerd/v1/shed-1/up/event", json.dumps(own).encode()) == ("shed-1", "up/event", own)
    with pytest.raises(ValueError, match="gateway of its topic"):
        understood("chargerd/v1/shed-2/up/event", json.dumps(own).encode())


def unconnected(store: Any) -> Any:
    """Return the example without its connection."""
    module = example()
    backend = module.Backend.__new__(module.Backend)
    backend.store, backend.asked, backend.stood, backend.arrived = store, {}, {}, queue.Queue()
    backend.unanswered, backend.stored, backend.say_at = {}, 0, 0.0
    return backend


def test_it_says_how_it_goes_and_what_nobody_has_replied_to(
    store: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = unconnected(store)
    backend.say(10.0)
    assert capsys.readouterr().out == "", "nothing has happened"
    backend.stored = 3
    backend.say(11.0)
    backend.stored = 2
    backend.say(12.0)
    assert capsys.readouterr().out == "3 rows stored\n"
    backend.say(21.0)
    assert capsys.readouterr().out == "2 rows stored\n"
    backend.unanswered = {"n": ("shed-1", "start", 50.0), "m": ("shed-1", "stop", 50.0)}
    backend.take("shed-1", "up/reply", {"id": "m", "status": "done", "code": "ok", "message": ""})
    backend.say(49.0)
    assert capsys.readouterr().out == "shed-1 m done ok \n"
    backend.say(50.0)
    backend.say(51.0)
    assert capsys.readouterr().out == "shed-1 n has no reply to start within 30 s: is that gateway online?\n"


def test_nonsense_of_one_gateway_stops_nothing(store: Any, capsys: pytest.CaptureFixture[str]) -> None:
    backend = unconnected(store)
    acknowledged: list[tuple[str, str, int]] = []
    backend.acknowledge = lambda *ack: acknowledged.append(ack)
    sound = {**row(1), "gateway": "shed-1"}
    unsound: tuple[dict[str, Any], ...] = (
        *({"gateway": None}, {"gateway": "\x1b[2J"}, {"stream": None}, {"stream": []}),
        *({"seq": {}}, {"seq": 2**64}, {"event": "ended"}),
    )
    nonsense = (
        *(b"\xff", b"[]", b"null", b"7", b"{}", b"[" * 100_000),
        *(json.dumps({**sound, **part}).encode() for part in unsound),
    )
    for payload in (*nonsense, json.dumps(sound).encode(), b""):
        backend.arrived.put(SimpleNamespace(topic="chargerd/v1/shed-1/up/event", payload=payload))
        backend.turn()
    assert acknowledged == [("shed-1", "s", 1)]
    told = capsys.readouterr().out
    assert told.count("is not as the contract has it") == len(nonsense)
    assert "\x1b" not in told


def test_what_a_gateway_says_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    example().shown("shed-1", "\x1b]0;owned\x07", "\u202egnp")
    assert capsys.readouterr().out == "shed-1 \\x1b]0;owned\\x07 \\u202egnp\n"


def test_a_new_backend_waits_for_no_row_the_gateway_has_no_more(store: Any) -> None:
    assert store.add(row(18)) == 0, "there may be some before it"
    assert store.begin("shed-1", "s", 17) == 16
    assert store.add(row(17)) == 18
    assert store.begin("shed-1", "s", 3) == 18, "what is stored stays so"
    assert store.begin("shed-1", "another", 1) == 0


def presence(last: int) -> dict[str, Any]:
    return {"status": "online", "ledger": {"stream": "s", "first": 1, "last": last}}


class Clock:
    """Stands where the example has `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def asking(store: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[tuple[int, int]], Clock]:
    """Give the example, what it asks for, and its clock."""
    backend, asked, clock = unconnected(store), [], Clock()
    monkeypatch.setitem(type(backend).present.__globals__, "time", clock)
    backend.acknowledge = lambda *_ack: None
    backend.command = lambda _gateway, _name, **span: asked.append((span["from"], span["to"]))
    return backend, asked, clock


def test_what_no_ack_brings_is_asked_for_though_no_row_comes(
    store: Any, asking: tuple[Any, list[tuple[int, int]], Clock]
) -> None:
    """A database that was put back: its last rows were acknowledged, and nothing happens at the gateway."""
    backend, asked, clock = asking
    backend.take("shed-1", "up/event", row(1))
    backend.take("shed-1", "state/gateway", presence(6))
    assert asked == [], "what nobody has acknowledged comes for the ack"
    clock.now += 60
    backend.take("shed-1", "state/gateway", presence(6))
    assert asked == [(2, 6)]
    for seq in range(2, 7):
        backend.take("shed-1", "up/event", row(seq))
    for last in (6, 9, 9):
        clock.now += 60
        backend.take("shed-1", "state/gateway", presence(last))
    assert asked == [(2, 6), (7, 9)]
    assert store.begin("shed-1", "s", 1) == 6


def test_rows_that_stay_away_are_asked_for_less_and_less_often(
    asking: tuple[Any, list[tuple[int, int]], Clock],
) -> None:
    backend, asked, clock = asking
    for _minute in range(6 * 60):
        backend.take("shed-1", "state/gateway", presence(6))
        clock.now += 60
    assert 11 <= len(asked) <= 15
    backend.take("shed-1", "up/event", row(1))
    backend.take("shed-1", "up/event", row(4))
    assert asked[-1] == (2, 3), "another hole is asked for at once"


@pytest.mark.parametrize("wanted", [[], ["fly", "shed-1", "A01"]])
def test_wrong_usage_is_told_in_its_own_words(wanted: list[str]) -> None:
    arguments = ["localhost", "1883", "ledger.db", *wanted] if wanted else []
    done = subprocess.run([sys.executable, str(EXAMPLE), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "python backend.py HOST PORT ledger.db" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broker_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), "127.0.0.1", str(free_port()), str(tmp_path / "ledger.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("no broker answers at 127.0.0.1:")
    assert len(done.stderr.splitlines()) == 1
