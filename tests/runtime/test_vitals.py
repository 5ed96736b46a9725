"""Boards and health as the backend is told of them."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chargerd.config.loader import load_text
from chargerd.contract.ledger import Body, LedgerSpan
from chargerd.core.units import BoardId, Seconds
from chargerd.modbus.wire import Counters
from chargerd.runtime.reporting import health as reporting
from chargerd.runtime.reporting.health import HEALTH_EVERY, HealthReporter
from tests.modbus.kit import VirtualClock

SITE = """\
gateway: {id: test}
buses: {line: {serial: /dev/null, baudrate: 9600}}
boards:
  relay: {bus: line, address: 1, profile: waveshare-relay-8, lease: off}
  meter: {bus: line, address: 11, profile: eastron-sdm120}
circuits: {shed: {}}
ports: [{id: A01, relay: relay/1, meter: meter, circuit: shed}]
"""


@dataclass
class OneBus:
    name: str = "line"
    connected: bool = True
    counters: Counters = field(default_factory=Counters)
    lost: tuple[BoardId, ...] = ()

    unprepared: tuple[BoardId, ...] = ()
    unheard: tuple[BoardId, ...] = ()

    def unheard_boards(self) -> tuple[BoardId, ...]:
        return self.unheard

    def unprepared_boards(self) -> tuple[BoardId, ...]:
        return self.unprepared

    def lost_boards(self) -> tuple[BoardId, ...]:
        return self.lost


@dataclass
class Told:
    boards: list[tuple[str, Body]] = field(default_factory=list)
    health: list[Body] = field(default_factory=list)

    def board_state(self, board: str, body: Body) -> None:
        self.boards.append((board, body))

    def publish_health(self, body: Body) -> None:
        self.health.append(body)


def test_boards_are_told_when_they_change_and_health_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "journal.db").write_bytes(b"12345")
    hot = tmp_path / "temp"
    hot.write_text("54321\n", encoding="ascii")
    monkeypatch.setattr(reporting, "TEMPERATURE", hot)
    told, bus, clock = Told(), OneBus(), VirtualClock()
    watch = HealthReporter(
        link=told,
        boards=load_text(SITE, "test").boards,
        buses=[bus],
        folder=tmp_path,
        span=lambda: LedgerSpan(stream="s", first=1, last=9, acked=4),
        clock=clock,
    )
    watch.looked((), frozenset())
    watch.looked((), frozenset())
    assert [(board, body["health"], body["dead_man"]) for board, body in told.boards] == [
        ("relay", "good", "none"),
        ("meter", "good", None),
    ]
    bus.lost = (BoardId("meter"),)
    watch.looked((), frozenset())
    assert [(board, body["health"]) for board, body in told.boards[2:]] == [("meter", "lost")]
    bus.lost, bus.connected = (), False
    watch.looked((), frozenset())
    assert [body["health"] for _, body in told.boards[3:]] == ["unknown", "unknown"]
    bus.connected, bus.unheard = True, (BoardId("relay"),)
    watch.looked((), frozenset())
    assert [(board, body["health"]) for board, body in told.boards[5:]] == [("meter", "good")], (
        "one is not known yet"
    )
    bus.unheard, bus.connected = (), False
    watch.looked((), frozenset())
    assert not told.health
    clock.sleep(Seconds(HEALTH_EVERY + 1))
    watch.looked((), frozenset())
    (health,) = told.health
    assert health["temperature_c"] == 54.321
    assert (health["ledger_waiting"], health["journal_bytes"]) == (5, 5)
    hot.unlink()
    assert watch.health().temperature_c is None
    tmp_path.rename(tmp_path.with_name("unplugged"))
    without_a_disk = watch.health()
    assert (without_a_disk.disk_free_bytes, without_a_disk.journal_bytes) == (None, None)


def test_a_board_without_its_settings_has_no_dead_man(tmp_path: Path) -> None:
    told, bus = Told(), OneBus()
    site = load_text(SITE.replace("waveshare-relay-8, lease: off", "wirenboard-mr6c"), "test")
    watch = HealthReporter(
        link=told,
        boards=site.boards,
        buses=[bus],
        folder=tmp_path,
        span=lambda: LedgerSpan(stream="s", first=1, last=1, acked=1),
        clock=VirtualClock(),
    )
    bus.unprepared = (BoardId("relay"),)
    watch.looked((), frozenset())
    bus.unprepared = ()
    watch.looked((), frozenset())
    assert [body["dead_man"] for board, body in told.boards if board == "relay"] == ["none", "poll_timeout"]
