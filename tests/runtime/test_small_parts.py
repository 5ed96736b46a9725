"""Clock, supervisor, onlooker, scribe, and the words to systemd."""

import os
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chargerd.contract.ledger import Batch, LedgerEntry, RowKind
from chargerd.core.commands import Checkpoint
from chargerd.core.facts import (
    BoardWentSilent,
    Fact,
    LatchesCleared,
    PortLockedOut,
    PortTripped,
    SessionEnded,
    SessionStarted,
)
from chargerd.core.metering.seen import Measured
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.plan import Limits
from chargerd.core.session import (
    Clearing,
    Disabled,
    Latch,
    Order,
    SessionRecord,
    Settlement,
    Source,
    StopDetail,
    StopReason,
)
from chargerd.core.stance import Known, Stance
from chargerd.core.station import Station
from chargerd.core.units import Amps, BoardId, Instant, PortId, Seconds, SessionId, Watts
from chargerd.core.view import PortView
from chargerd.runtime.process import sd_notify
from chargerd.runtime.process.clock import SystemClock, boot_id
from chargerd.runtime.process.supervisor import Supervisor
from chargerd.runtime.reporting.recorder import FactRecorder, batch_of, event_name, outline
from chargerd.runtime.reporting.watcher import Every, PortWatcher
from tests.patience import PATIENCE_S
from tests.runtime.test_engine import PLAN, PORT, HandClock

NOW = Moment(instant=Instant(5.0))
LATCH = Latch(port=PORT, function="overcurrent_instant", clearing=Clearing.REMOTE)
RECORD = SessionRecord(order=Order(session=SessionId("S"), port=PORT, limits=Limits()), started=NOW, at=NOW)
DETAIL = StopDetail(function="overcurrent_instant", measured=9.0, limit=7.5, unit="a")


def test_the_clock_runs_on_and_says_who_vouches_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    first = clock.now()
    clock.sleep(Seconds(0.001))
    assert clock.now() - first >= 0.001
    moment = clock.moment()
    assert (moment.wall_ms is None) is (moment.clock is ClockQuality.NONE)
    for quality in ClockQuality:
        other = SystemClock()
        monkeypatch.setattr(other, "_synchronised", lambda quality=quality: quality is ClockQuality.NTP)
        monkeypatch.setattr(other, "_has_rtc", quality is ClockQuality.RTC)
        other.boot = 7
        seen = other.moment()
        assert seen.clock is quality
        assert (seen.wall_ms is None) is (quality is ClockQuality.NONE)
        assert seen.boot == 7


def test_without_a_boot_id_the_process_stands_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert boot_id() == boot_id()
    monkeypatch.setattr("chargerd.runtime.process.clock.BOOT_ID", tmp_path / "none")
    assert boot_id().startswith("process-")


def test_the_supervisor_names_the_threads_that_hang() -> None:
    clock = HandClock()
    supervisor = Supervisor(clock)
    turns = {"bus": clock.now(), "journal": clock.now()}
    supervisor.watch("bus", lambda: turns["bus"], Seconds(5.0))
    supervisor.watch("journal", lambda: turns["journal"], Seconds(60.0))
    assert supervisor.stuck() == ()
    clock.sleep(Seconds(5.1))
    assert supervisor.stuck() == ("bus",)
    turns["bus"] = clock.now()
    assert supervisor.stuck() == ()


def unforeseen(error: BaseException) -> None:
    pytest.fail(f"unforeseen: {error}")


def test_the_onlooker_tells_what_changed() -> None:
    clock = HandClock()
    station = Station(PLAN, clock.moment())
    told: list[frozenset[PortId]] = []
    onlooker = PortWatcher(
        lambda: station.views(clock.moment()), clock, [lambda _views, changed: told.append(changed)], unforeseen
    )
    onlooker.look()
    onlooker.look()
    assert told == [frozenset({PORT}), frozenset()]


@pytest.mark.parametrize(
    "change",
    [
        {"queue_position": 2},
        {"measured": Measured(current=Amps(0.0), power=Watts(0.0))},
        {"measured": Measured(frozen=True)},
        {"relay": Stance(closed=False, known=Known.BELIEVED)},
        {"relay": Stance(known=Known.BELIEVED)},
        {"disabled": Disabled(holder=PORT, source=Source.LOCAL, reason="lid", since=Moment(instant=Instant(1.0)))},
    ],
)
def test_what_an_onlooker_should_see_at_once(change: dict[str, Any]) -> None:
    clock = HandClock()
    station = Station(PLAN, clock.moment())
    views = [station.views(clock.moment())]
    told: list[frozenset[PortId]] = []
    onlooker = PortWatcher(lambda: views[-1], clock, [lambda _views, changed: told.append(changed)], unforeseen)
    onlooker.look()
    views.append(tuple(replace(view, **change) for view in views[0]))
    onlooker.look()
    onlooker.look()
    assert told[1:] == [frozenset({PORT}), frozenset()]


def test_the_onlooker_looks_when_nudged_and_stops() -> None:
    clock = HandClock()
    looked = threading.Semaphore(0)

    def listener(_views: object, _changed: object) -> None:
        looked.release()

    def views() -> tuple[PortView, ...]:
        return ()

    onlooker = PortWatcher(views, clock, [listener], unforeseen)
    onlooker.stop()
    onlooker = PortWatcher(views, clock, [listener], unforeseen)
    onlooker.start()
    onlooker.nudge()
    assert looked.acquire(timeout=PATIENCE_S)
    onlooker.stop()


def test_an_onlooker_that_dies_says_so() -> None:
    died = threading.Event()

    def listener(_views: object, _changed: object) -> None:
        raise RuntimeError("unforeseen")

    onlooker = PortWatcher(lambda: (), HandClock(), [listener], lambda _error: died.set())
    onlooker.start()
    onlooker.nudge()
    assert died.wait(PATIENCE_S)
    onlooker.stop()


def test_every_says_when_its_interval_has_passed() -> None:
    clock = HandClock()
    every = Every(Seconds(10.0), clock)
    assert not every.passed()
    clock.sleep(Seconds(10.0))
    assert every.passed()
    assert not every.passed()


def entry_of(fact: Fact, now: Moment) -> LedgerEntry:
    return LedgerEntry(kind=RowKind.EVENT, body={"event": type(fact).__name__}, moment=now, offline=False)


def test_facts_become_one_batch_in_their_order() -> None:
    facts: tuple[Fact, ...] = (
        SessionStarted(record=RECORD),
        PortTripped(port=PORT, function="overcurrent_instant", detail=DETAIL, session=SessionId("S"), latch=LATCH),
        PortTripped(port=PORT, function="overpower", detail=DETAIL),
        PortLockedOut(port=PORT, latch=LATCH),
        SessionEnded(settlement=Settlement(record=RECORD, ended=NOW, reason=StopReason.OVERCURRENT)),
        BoardWentSilent(board=BoardId("relay"), kind="timeout"),
        LatchesCleared(port=PORT, functions=("overpower",), source=Source.LOCAL, kept=(LATCH,)),
    )
    batch = batch_of(facts, NOW, entry_of)
    assert batch.sessions == (RECORD,)
    assert batch.ended == ("S",)
    assert batch.latches == (LATCH, LATCH, LATCH)
    assert batch.cleared == (PORT,)
    assert [entry.body["event"] for entry in batch.entries] == [type(fact).__name__ for fact in facts]
    assert batch_of(facts, NOW, entry_of, (Checkpoint(records=(RECORD,)),)).sessions == (*batch.sessions, RECORD)


def test_the_scribe_writes_and_nudges() -> None:
    batches: list[Batch] = []
    nudges: list[bool] = []

    class Journal:
        def append(self, batch: Batch, done: object = None) -> None:
            assert done is None, "facts are kept and tried again, so nobody is told"
            batches.append(batch)

    FactRecorder(Journal(), entry_of, lambda: nudges.append(True)).facts((SessionStarted(record=RECORD),), NOW)
    assert len(batches) == len(nudges) == 1


def test_log_events_carry_the_figures() -> None:
    tripped = PortTripped(port=PORT, function="overcurrent_instant", detail=DETAIL, session=SessionId("S"))
    assert event_name(tripped) == "port_tripped"
    assert outline(tripped)["measured"] == 9.0
    ended = SessionEnded(settlement=Settlement(record=RECORD, ended=NOW, reason=StopReason.FULL))
    assert outline(ended) == {"port": PORT, "session": "S", "energy_wh": 0.0, "reason": "full"}
    assert outline(BoardWentSilent(board=BoardId("relay"), kind="timeout")) == {
        "board": "relay",
        "kind": "timeout",
    }


def test_words_to_systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    sd_notify.notify("READY=1")
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        sd_notify.notify("READY=1", "STATUS=good")
        assert sock.recv(100) == b"READY=1\nSTATUS=good"
    path.unlink()
    sd_notify.notify("WATCHDOG=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "@nobody-listens-here")
    sd_notify.notify("WATCHDOG=1")


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "15000000"}, 15.0),
        ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
    ],
)
def test_the_watchdogs_interval(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], seconds: float | None
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert sd_notify.watchdog_interval() == seconds
