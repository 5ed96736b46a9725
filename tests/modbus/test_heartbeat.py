"""A board whose relays one register keeps closed, all together: what is written when, and what that opens."""

from collections.abc import Iterable

import pytest

from chargerd.config.loader import load_text
from chargerd.config.profiles.library import load_profiles
from chargerd.core.commands import CloseRelay, OpenRelay, RenewLease
from chargerd.core.events import BoardPrepared, RelayAction, RelayNotWritten, RelayWritten
from chargerd.core.units import BoardId, Instant, PortId, Seconds
from chargerd.sim.boards import BoardSim
from chargerd.sim.parts import Relay
from tests.boards import BOARDS
from tests.judging import every
from tests.modbus.kit import SILENCE, TURNAROUND, Bench, Reply, crc, names

PORTS = 3
A01, A02, A03 = names(PORTS)
SITE = """\
gateway: {id: test}
buses: {line: {serial: /dev/null}}
boards:
  relay: {bus: line, address: 1, profile: heartbeat-16}
  meter1..meter3: {bus: line, address: 11..13, profile: eastron-sdm120}
circuits: {shed: {}}
ports: [{id: A01..A03, relay: relay/1..3, meter: meter1..meter3, circuit: shed}]
"""
BEAT = bytes.fromhex("06 01 00 55 55")
LEASE = Seconds(6.0)


class Kept(Bench):
    """A bus with such a board, as it is simulated from its profile; it has been set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        site = load_text(SITE, "test", profiles=load_profiles((BOARDS,)))
        super().__init__(monkeypatch, site)
        self.board = BoardSim(site.boards[BoardId("relay")], [Relay() for _ in range(16)], [])
        self.unheard: set[bytes] = set()
        """What the board is written and does not hear."""
        meters = self.boards.script

        def script(request: bytes) -> Reply:
            if request[0] != 1:
                return meters(request)
            self.pass_time()
            reply = None if request[1:-2] in self.unheard else self.board.answer(request[1:-2], self.clock.now())
            frame = b"" if reply is None else bytes([1]) + reply
            return [(SILENCE + TURNAROUND, frame + crc(frame))] if frame else []

        self.line.script = script
        self.run(2.0)
        assert self.told(BoardPrepared)
        self.forget()

    def pass_time(self) -> None:
        """Let the board's time run out where it does."""
        for relay in self.board.relays:
            if relay.lapses_at is not None and relay.lapses_at <= self.clock.now():
                relay.lapse()

    @property
    def writes(self) -> list[bytes]:
        return [sent[1:-2] for sent in self.line.requests if sent[0] == 1 and sent[1] in {5, 6}]

    @property
    def beats(self) -> int:
        return self.writes.count(BEAT)

    def close(self, ports: Iterable[PortId] = (A01,)) -> None:
        for port in ports:
            self.bus.execute(CloseRelay(port=port, lease=LEASE, not_after=Instant(self.clock.time + 3)))

    def renew(self, ports: Iterable[PortId]) -> None:
        for port in ports:
            self.bus.execute(RenewLease(port=port, lease=LEASE, not_after=Instant(self.clock.time + 2)))

    def written(self, action: RelayAction) -> list[PortId]:
        return [event.port for event in self.told(RelayWritten) if event.action is action]

    @property
    def closed(self) -> list[int]:
        self.pass_time()
        return [channel for channel, relay in enumerate(self.board.relays, 1) if relay.coil]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Kept:
    return Kept(monkeypatch)


def test_nothing_is_written_to_it_while_no_relay_is_to_be_closed(bench: Kept) -> None:
    bench.run(20.0)
    assert bench.writes == []


def test_its_heartbeat_goes_before_a_closing(bench: Kept) -> None:
    bench.close()
    bench.run(1.0)
    assert bench.writes == [BEAT, bytes.fromhex("05 00 00 FF 00")]
    assert bench.written(RelayAction.CLOSE) == [A01]
    assert bench.closed == [1]


def test_a_closing_without_its_heartbeat_is_none_and_nothing_was_sent_that_closes(bench: Kept) -> None:
    bench.unheard.add(BEAT)
    bench.close()
    bench.run(1.0)
    assert bench.writes == [BEAT]
    (failed,) = bench.told(RelayNotWritten)
    assert (failed.port, failed.action, failed.sent, failed.late) == (A01, RelayAction.CLOSE, False, False)


def test_one_heartbeat_serves_closings_that_follow_each_other_and_no_later_one(bench: Kept) -> None:
    bench.close((A01, A02))
    bench.run(0.4)
    assert bench.beats == 1
    bench.run(1.0)
    bench.close((A03,))
    bench.run(1.0)
    assert bench.beats == 2
    assert bench.closed == [1, 2, 3]


def test_one_heartbeat_renews_all_of_them_whoever_asks_first(bench: Kept) -> None:
    bench.close((A01, A02, A03))
    bench.run(3.0)
    bench.forget()
    bench.renew((A02, A01, A03))
    bench.run(1.5)
    assert bench.writes == [BEAT]
    assert sorted(bench.written(RelayAction.RENEW)) == [A01, A02, A03]
    bench.run(3.5)
    assert bench.closed == [1, 2, 3], "of a lease of six seconds five are gone"


def test_a_heartbeat_that_is_not_answered_renews_nobody_and_is_told_of_whom_it_was_for(bench: Kept) -> None:
    bench.close((A01, A02))
    bench.run(3.0)
    bench.forget()
    bench.unheard.add(BEAT)
    bench.renew((A01,))
    bench.run(1.5)
    assert bench.written(RelayAction.RENEW) == []
    (failed,) = bench.told(RelayNotWritten)
    assert (failed.port, failed.action, failed.sent) == (A01, RelayAction.RENEW, True)


def test_all_of_them_open_by_themselves_when_nobody_renews_them(bench: Kept) -> None:
    bench.close((A01, A02, A03))
    bench.run(5.5)
    assert bench.closed == [1, 2, 3]
    bench.run(1.0)
    assert bench.closed == []
    assert bench.beats == 1
    bench.renew((A01,))
    bench.run(1.0)
    assert bench.beats == 2
    assert bench.closed == [], "a heartbeat closes nothing"


def test_one_of_them_is_opened_while_the_others_stay(bench: Kept) -> None:
    bench.close((A01, A02))
    bench.run(1.0)
    bench.bus.execute(OpenRelay(port=A01))
    bench.renew((A02,))
    bench.run(2.0)
    assert bench.closed == [2]


def test_an_opening_that_comes_after_the_heartbeat_leaves_nothing_to_be_closed(bench: Kept) -> None:
    bench.close()
    while not bench.beats:
        bench.turns(1)
    bench.bus.execute(OpenRelay(port=A01))
    bench.run(1.0)
    assert bench.writes == [BEAT, bytes.fromhex("05 00 00 00 00")]
    assert [event.port for event in bench.told(RelayNotWritten) if event.action is RelayAction.CLOSE] == [A01]


def test_without_leases_it_is_closed_as_any_board(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Kept(monkeypatch)
    bench.bus.execute(CloseRelay(port=A01, lease=None, not_after=Instant(bench.clock.time + 3)))
    bench.run(10.0)
    assert bench.writes == [bytes.fromhex("05 00 00 FF 00")]
    assert every(relay.lapses_at is None for relay in bench.board.relays)
    assert bench.closed == [1]
