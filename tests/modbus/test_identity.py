"""Who the boards of a line are: asked when nothing is in a hurry, and never in an opening's way."""

import pytest

from chargerd.config.profiles.models import IdentityRegister
from chargerd.core.commands import CloseRelay, OpenRelay, Pace, SetPace
from chargerd.core.events import BoardIdentified, RelayWritten
from chargerd.core.units import BoardId, Instant, PortId, Seconds
from chargerd.modbus.identity import AFTER, AGAIN, APART, TRIES, WITHIN, Identities
from chargerd.modbus.jobs import NEVER
from tests.modbus.kit import SERIAL, SILENCE, TURNAROUND, Bench, Reply, crc, names, site

METER, RELAY = BoardId("meter1"), BoardId("relay")
NOW = Instant(100.0)


def who(bench: Bench) -> list[tuple[BoardId, tuple[int, ...] | None]]:
    return [(event.board, event.words) for event in bench.told(BoardIdentified)]


def serials_asked(bench: Bench) -> list[int]:
    return [sent.data[0] for sent in bench.line.sent if sent.data[2:4] == SERIAL.to_bytes(2, "big")]


def test_meters_tell_their_serial_numbers_once_the_line_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(2))
    bench.boards.serials = {11: 0x12345678, 12: 0xFFFFFFFF}
    bench.run(AFTER - 0.1)
    assert serials_asked(bench) == []
    bench.run(1.0)
    assert who(bench) == [(METER, (0x1234, 0x5678)), (BoardId("meter2"), None)]
    bench.forget()
    bench.run(AGAIN)
    assert who(bench) == [(METER, (0x1234, 0x5678)), (BoardId("meter2"), None)]


def test_another_line_on_the_same_adapter_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(1))
    bench.boards.serials = {11: 1}
    bench.run(3.0)
    bench.unplug()
    bench.run(3.0)
    bench.forget()
    bench.boards.serials = {11: 2}
    bench.plug()
    bench.run(5.0)
    assert who(bench) == [(METER, (0, 2))]


def test_a_board_that_was_lost_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(1))
    bench.run(3.0)
    bench.boards.silent = {11}
    bench.run(30.0)
    bench.forget()
    bench.boards.silent = set()
    bench.boards.serials = {11: 2}
    bench.run(30.0)
    assert who(bench) == [(METER, (0, 2))]


@pytest.mark.parametrize(("reply", "asked"), [(b"\x0b\x83\x02", 1), (b"", TRIES)])
def test_one_that_refuses_or_does_not_answer_tells_none_and_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, reply: bytes, asked: int
) -> None:
    bench = Bench(monkeypatch, site(1))
    usual = bench.boards.script

    def script(request: bytes) -> Reply:
        if request[2:4] != SERIAL.to_bytes(2, "big"):
            return usual(request)

        return [(SILENCE + TURNAROUND, reply + crc(reply))] if reply else []

    bench.line.script = script
    bench.run(AGAIN * 2)
    assert len(serials_asked(bench)) == asked
    assert who(bench) == [(METER, None)]
    assert bench.bus.lost_boards() == ()


def test_one_that_has_told_before_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(1))
    usual = bench.boards.script
    bench.run(3.0)
    bench.line.script = lambda request: [] if request[2:4] == SERIAL.to_bytes(2, "big") else usual(request)
    bench.run(AGAIN + 5.0)
    bench.line.script = usual
    bench.forget()
    bench.boards.serials = {11: 2}
    bench.run(AGAIN)
    assert who(bench) == [(METER, (0, 2))]


def test_an_opening_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(12))
    bench.run(AFTER)
    bench.forget()
    bench.bus.execute(OpenRelay(port=PortId("A01")))
    bench.turns(1)
    assert [event.port for event in bench.told(RelayWritten)] == ["A01"]


def test_a_start_on_a_line_just_found_waits_for_no_turns_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as nothing charges there; all is known well within a start's time for its first step."""
    bench = Bench(monkeypatch, site(12))
    bench.boards.serials = {unit: unit for unit in range(11, 23)}
    bench.bus.execute(SetPace(port=PortId("A01"), pace=Pace.ARMED))
    bench.run(AFTER + 1.5)
    assert len({board for board, _words in who(bench)}) == 12


def test_boards_that_are_silent_to_it_keep_no_start_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(12))
    usual = bench.boards.script
    bench.line.script = lambda request: [] if request[2:4] == SERIAL.to_bytes(2, "big") else usual(request)
    bench.bus.execute(SetPace(port=PortId("A01"), pace=Pace.ARMED))
    bench.run(AFTER + 2.0)
    assert len(serials_asked(bench)) <= 2


def test_some_that_are_silent_to_it_do_not_keep_the_rest_from_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(12))
    usual = bench.boards.script
    silent = [bytes([unit, 3]) + SERIAL.to_bytes(2, "big") for unit in (11, 14)]
    bench.line.script = lambda request: [] if request[:4] in silent else usual(request)
    bench.bus.execute(SetPace(port=PortId("A01"), pace=Pace.ARMED))
    bench.run(AFTER + 2.0)
    assert len({board for board, words in who(bench) if words is not None}) == 10


def test_what_was_silent_to_it_on_a_line_that_was_away_keeps_nobody_from_being_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, site(12))
    usual = bench.boards.script
    bench.line.script = lambda request: [] if request[2:4] == SERIAL.to_bytes(2, "big") else usual(request)
    bench.run(10.0)
    bench.unplug()
    bench.run(1.5)
    bench.forget()
    bench.line.script = usual
    bench.plug()
    bench.bus.execute(SetPace(port=PortId("A01"), pace=Pace.ARMED))
    bench.run(AFTER + 5.0)
    assert len({board for board, words in who(bench) if words is not None}) == 12


def identities(*boards: BoardId) -> Identities:
    registers = (IdentityRegister(address=1), IdentityRegister(address=7, count=2))
    return Identities(dict.fromkeys(boards, (11, registers)))


def asked(known: Identities, now: Instant, *, idle: bool = True, alone: bool = True) -> list[BoardId]:
    return [job.board for _by, job in known.due(now, idle=idle, alone=alone)]


def test_all_registers_together_are_who_it_is() -> None:
    known = identities(METER)
    assert asked(known, NOW) == []
    known.begin(NOW)
    later = Instant(NOW + AFTER)
    assert asked(known, later) == [METER]
    assert known.request(METER).pdu == bytes([3, 0, 1, 0, 1])
    assert known.answered(METER, bytes([3, 2, 0, 5]), later) is None
    assert known.request(METER).pdu == bytes([3, 0, 7, 0, 2])
    assert known.answered(METER, bytes([3, 4, 0, 6, 0, 7]), later) == ((5, 6, 7),)
    assert known.jobs[0].begins == later + AGAIN


@pytest.mark.parametrize("refused", [True, False])
def test_an_answer_that_brings_its_board_back_says_nothing_in_the_new_round(*, refused: bool) -> None:
    known = identities(METER)
    known.begin(NOW)
    known.request(METER)
    assert known.answered(METER, bytes([3, 2, 0, 5]), NOW) is None
    known.request(METER)
    known.begin(NOW, METER)  # Told by the very answer to the second.
    if refused:
        assert not known.failed(METER, NOW, refused=True)
    else:
        assert known.answered(METER, bytes([3, 4, 0, 6, 0, 7]), NOW) is None
    assert asked(known, Instant(NOW + AFTER)) == [METER]
    assert known.request(METER).pdu == bytes([3, 0, 1, 0, 1])


def test_among_other_work_they_are_asked_apart_and_at_last_before_it() -> None:
    known = identities(METER, RELAY)
    known.begin(NOW)
    known.begin(NOW, BoardId("nobody knows"))
    later = Instant(NOW + AFTER)
    assert asked(known, later, idle=False, alone=False) == []
    assert asked(known, later, idle=False) == [METER, RELAY]
    known.asked(known.jobs[0], later)
    assert known.jobs[0].begins == NEVER
    assert asked(known, later, idle=False) == []
    assert asked(known, later) == [RELAY]
    assert asked(known, Instant(later + APART), idle=False) == [RELAY]
    assert asked(known, Instant(later + WITHIN), idle=False, alone=False) == [RELAY]


@pytest.mark.parametrize("moves", [True, False])
def test_a_relay_that_moves_by_itself_has_one_board_say_at_once_who_it_is(
    monkeypatch: pytest.MonkeyPatch, *, moves: bool
) -> None:
    bench = Bench(monkeypatch, site(12))
    bench.run(5.0)
    for port in names(12):
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
    bench.bus.execute(CloseRelay(port=PortId("A01"), lease=Seconds(600.0), not_after=Instant(1e9)))
    bench.run(5.0)
    bench.line.sent.clear()
    if moves:
        bench.boards.lapses[0] = 0.0
    bench.run(2.5)
    assert serials_asked(bench) == ([11] if moves else [])


def test_what_was_opened_was_not_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(3))
    bench.bus.execute(CloseRelay(port=PortId("A01"), lease=Seconds(600.0), not_after=Instant(1e9)))
    bench.run(10.0)
    bench.line.sent.clear()
    bench.bus.execute(OpenRelay(port=PortId("A01")))
    bench.run(5.0)
    bench.bus.execute(CloseRelay(port=PortId("A01"), lease=Seconds(600.0), not_after=Instant(1e9)))
    bench.run(5.0)
    assert bench.boards.closed(0)
    assert serials_asked(bench) == []


def test_the_one_with_a_serial_number_that_has_told_is_asked_first() -> None:
    plain = (IdentityRegister(address=1, unique=False),)
    known = Identities({RELAY: (1, plain), METER: (11, (IdentityRegister(address=1),)), BoardId("x"): (2, plain)})
    known.doubt(NOW)
    known.begin(NOW)
    assert asked(known, NOW) == [], "nobody has told yet"
    for board in (RELAY, METER):
        known.request(board)
        known.answered(board, bytes([3, 2, 0, 5]), NOW)
    known.asked(known.jobs[0], NOW)
    known.doubt(NOW)
    assert asked(known, NOW, idle=False, alone=False) == [METER]
    known.request(METER)
    assert known.answered(METER, bytes([3, 2, 0, 5]), NOW) == ((5,),)
    assert asked(known, NOW, idle=False, alone=False) == []
