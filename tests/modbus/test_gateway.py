"""Boards behind a Modbus TCP gateway that serves one request at a time, and connections that hang."""

from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest

from chargerd.config.budget.pacing import GATEWAY_MAY_WAIT
from chargerd.config.loader import load_text
from chargerd.core.commands import OpenRelay, Pace, SetPace
from chargerd.core.events import BoardBack, BoardLost, MeterFault, MeterReading, RelayNotWritten
from chargerd.core.units import BoardId, Instant, PortId, Seconds
from chargerd.modbus import build as building
from chargerd.modbus.gateway import USUALLY_WAITS, Gateway
from chargerd.modbus.lines import LineGone
from chargerd.modbus.tcp_wire import TcpWire
from chargerd.modbus.wire import Counters, RtuWire, Wire
from tests.judging import every
from tests.modbus.kit import BAUDRATE, Boards, VirtualClock, crc, names

SITE = """\
gateway: {{id: test}}
buses: {{line: {{{way}: "10.0.0.9:502"}}}}
boards:
  relay: {{bus: line, address: 1, profile: waveshare-relay-16}}
  meter1..meter{ports}: {{bus: line, address: 11..{last}, profile: eastron-sdm120}}
circuits: {{shed: {{}}}}
ports: [{{id: A01..A{ports:02d}, relay: relay/1..{ports}, meter: meter1..meter{ports}, circuit: shed}}]
"""
TAKES = 0.03
"""Seconds a board behind it takes."""


class VirtualGateway:
    """Serves one request after the other; for a silent board it waits, then says so or says nothing."""

    def __init__(self, clock: VirtualClock, boards: Boards, *, waits: float, says: bool) -> None:
        self.clock = clock
        self.boards = boards
        self.waits = waits
        self.says = says
        self.hangs = False
        self.discarded = False
        self.free_at = 0.0
        self.requests: list[tuple[float, int]] = []
        self._coming: list[tuple[float, bytes]] = []

    def write(self, data: bytes) -> None:
        unit, pdu = data[6], data[7:]
        self.requests.append((self.clock.time, unit))
        if self.hangs:
            return
        begins = max(self.clock.time, self.free_at)
        asked = bytes([unit]) + pdu
        answer = b"".join(reply for _at, reply in self.boards.script(asked + crc(asked)))[:-2]
        self.free_at = begins + (TAKES if answer else self.waits)
        if not answer and self.says:
            answer = bytes([unit, pdu[0] | 0x80, 0x0B])
        if answer:
            self._coming.append((self.free_at, data[:4] + len(answer).to_bytes(2, "big") + answer))

    def read(self) -> bytes:
        here = b"".join(data for at, data in self._coming if at <= self.clock.time + 1e-9)
        self._coming = [one for one in self._coming if one[0] > self.clock.time + 1e-9]
        return here

    def wait(self, timeout: Seconds) -> bool:
        until = self.clock.time + max(0.0, timeout)
        first = min((at for at, _data in self._coming), default=float("inf"))
        self.clock.time = max(self.clock.time, min(first, until))
        return first <= until

    def discard(self) -> None:
        self.discarded = True

    def close(self) -> None:
        pass


class Bench:
    """A bus over such a gateway, turned by hand."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        ports: int = 4,
        *,
        way: str = "tcp",
        waits: float = 1.0,
        says: bool = True,
    ) -> None:
        self.clock = VirtualClock()
        self.boards = Boards(self.clock)
        self.lines: list[VirtualGateway] = []
        self.hangs = False
        self.events: list[tuple[float, Any]] = []
        self._how = (way, waits, says)
        monkeypatch.setattr(building, "connector", lambda _section, _clock: self._connect)
        site = load_text(SITE.format(way=way, ports=ports, last=10 + ports), "test")
        (self.bus,) = building.build(site, clock=self.clock, emit=self._emit, on_crash=self._crashed)

    def _connect(self, counters: Counters) -> Wire:
        way, waits, says = self._how
        line = VirtualGateway(self.clock, self.boards, waits=waits, says=says)
        line.hangs = self.hangs
        self.lines.append(line)
        if way == "tcp":
            return TcpWire(line, self.clock, counters=counters, discard=line.discard)
        return RtuWire(
            line, self.clock, baudrate=BAUDRATE, character_bits=10, counters=counters, discard=line.discard
        )

    def _emit(self, event: Any) -> None:
        self.events.append((self.clock.time, event))

    def _crashed(self, error: BaseException) -> None:
        raise AssertionError from error

    def run(self, seconds: float) -> None:
        end = self.clock.time + seconds
        while self.clock.time < end:
            if not self.bus.turn():
                self.clock.sleep(Seconds(0.001))

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for _at, event in self.events if isinstance(event, kind)]


def gaps(bench: Bench) -> dict[PortId, float]:
    """Return the longest time between two currents of each port."""
    seen: dict[PortId, list[float]] = defaultdict(list)
    for event in bench.told(MeterReading):
        if event.current is not None:
            seen[event.port].append(event.at)
    return {port: max(later - sooner for sooner, later in pairwise(at)) for port, at in seen.items() if at[1:]}


@pytest.mark.parametrize("waits", [0.3, 1.0])
@pytest.mark.parametrize("says", [True, False])
@pytest.mark.parametrize("dead", [14, 1])
def test_a_dead_board_makes_the_others_late_by_its_wait_and_no_more(
    monkeypatch: pytest.MonkeyPatch, waits: float, dead: int, *, says: bool
) -> None:
    bench = Bench(monkeypatch, waits=waits, says=says)
    for port in names(4):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.run(10.0)
    usual = max(gaps(bench).values())
    bench.events.clear()
    bench.boards.silent = {dead}
    bench.run(60.0)
    others = [port for port, unit in zip(names(4), range(11, 15), strict=True) if unit != dead]
    late = gaps(bench)
    assert max(late[port] for port in others) <= usual + 1.0
    assert not [event for event in bench.told(MeterFault) if event.port in others]
    assert {event.board for event in bench.told(BoardLost)} == {"relay" if dead == 1 else "meter4"}


def test_a_dead_relay_board_that_is_to_be_opened_suspends_nobody_either(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    for port in names(4):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.run(10.0)
    bench.events.clear()
    bench.boards.silent = {1}
    for attempt in range(1, 12):
        bench.bus.execute(OpenRelay(port=PortId("A01"), attempt=attempt))
        bench.run(4.0)
    assert len(bench.told(RelayNotWritten)) == 11
    assert max(gaps(bench).values()) < 3.0
    assert not bench.told(MeterFault)


def test_a_board_of_which_the_gateway_says_that_it_is_silent_is_lost_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, waits=0.1)
    bench.run(2.0)
    bench.boards.silent = {11}
    bench.run(20.0)
    assert [event.board for event in bench.told(BoardLost)] == ["meter1"]
    bench.boards.silent = set()
    bench.run(15.0)
    assert [event.board for event in bench.told(BoardBack)] == ["meter1"]
    assert not [line for line in bench.lines if line.discarded]


def test_a_late_board_learns_nothing_wrong_of_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    for port in names(4):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.run(10.0)
    bench.boards.silent = {14}
    bench.run(60.0)
    means = {one.board: one.latency_mean for one in bench.bus.statistics().boards}
    assert means[BoardId("meter1")] == pytest.approx(TAKES, abs=0.005)


# What is learnt


def at(seconds: float) -> Instant:
    return Instant(100.0 + seconds)


def test_the_wait_is_measured_by_the_gateways_own_word() -> None:
    gateway = Gateway()
    assert gateway.waits == USUALLY_WAITS
    gateway.given_up(1, at(0.0))
    assert gateway.busy_until() == at(GATEWAY_MAY_WAIT)
    assert gateway.came_late(1, at(0.7))
    assert gateway.waits == pytest.approx(0.7)
    assert not gateway.came_late(1, at(0.8))
    assert gateway.answered(11, at(0.2), at(0.73)) == pytest.approx(0.03)


def test_and_by_the_next_boards_answer_where_it_says_nothing() -> None:
    gateway = Gateway()
    gateway.answered(11, at(-1.0), at(-0.8))
    gateway.given_up(1, at(0.0))
    gateway.given_up(2, at(0.2))
    assert gateway.answered(11, at(0.4), at(1.4)) == pytest.approx(0.2)
    assert gateway.waits == pytest.approx(0.6)


def test_one_that_serves_many_at_a_time_keeps_nobody_waiting() -> None:
    gateway = Gateway()
    gateway.given_up(1, at(0.0))
    gateway.answered(11, at(0.2), at(0.22))
    assert gateway.waits == pytest.approx(0.22)
    assert gateway.busy_until() == at(0.22)


def test_what_it_refuses_at_once_keeps_nobody_waiting() -> None:
    gateway = Gateway()
    gateway.refused(at(0.0), at(0.1))
    assert gateway.waits == pytest.approx(0.1)


def test_nobody_waits_without_end_for_a_gateway_that_never_says_anything() -> None:
    gateway = Gateway()
    for number in range(10):
        gateway.given_up(number, at(number * 0.2))
    assert gateway.busy_until() == at(1.8 + GATEWAY_MAY_WAIT)


# Connections that hang


@pytest.mark.parametrize("way", ["tcp", "rtu_over_tcp"])
def test_a_connection_over_which_nobody_is_heard_is_renewed_and_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    bench = Bench(monkeypatch, way=way)
    bench.hangs = True
    began = bench.clock.time
    bench.run(200.0)
    assert 4 <= len(bench.lines) <= 7
    assert every(line.discarded for line in bench.lines[:-1])
    first = next(at for at, _unit in bench.lines[1].requests)
    assert 5.0 <= first - began < 9.0


def test_one_that_hangs_once_works_again_within_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.run(5.0)
    bench.lines[-1].hangs = True
    bench.events.clear()
    bench.run(10.0)
    assert len(bench.lines) == 2
    assert {event.port for event in bench.told(MeterReading)} == set(names(4))


def test_as_long_as_one_board_is_heard_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, waits=0.1)
    bench.boards.silent = {1, 11, 12, 13}
    bench.run(60.0)
    assert len(bench.lines) == 1


def test_a_gateway_that_speaks_of_its_dead_boards_is_no_connection_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, waits=0.1)
    bench.boards.silent = {1, 11, 12, 13, 14}
    bench.run(60.0)
    assert len(bench.lines) == 1
    assert len(bench.bus.lost_boards()) == 5


def test_a_fresh_connection_that_is_refused_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.run(2.0)
    bench.lines[-1].hangs = True
    real, refused = bench._connect, iter([True, True])  # noqa: SLF001 - the server is down for a moment

    def connect(counters: Counters) -> Wire:
        if next(refused, False):
            raise LineGone("connection refused")
        return real(counters)

    monkeypatch.setattr(bench.bus._connection, "_connect", connect)  # noqa: SLF001 - see above
    bench.run(12.0)
    assert len(bench.lines) == 2
    assert not bench.bus.lost_boards()
