"""What somebody on site asks of a line, on the virtual bench: it costs nobody more than its one transaction."""

from itertools import pairwise
from typing import Any

import pytest

from chargerd.core.commands import OpenRelay, Pace, SetPace
from chargerd.core.events import BoardLost, MeterReading
from chargerd.core.units import BoardId, PortId, Seconds
from chargerd.modbus.by_hand import IN_USE, NOT_JUDGED
from chargerd.modbus.frames import Request, read_registers
from chargerd.modbus.manual import Manual, Outcome, Rate
from chargerd.modbus.trace import Traced
from tests.judging import every
from tests.logs import capture_logs
from tests.modbus.kit import CHARACTER, FIRST_METER, RELAY, SERIAL, Bench, Reply, crc, site

NOWHERE = 99
METER = BoardId("meter1")


class Asked:
    """Asks by hand, and keeps what came of it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.outcomes: list[Outcome] = []

    def ask(self, request: Request, **how: Any) -> None:
        self.bench.bus.ask(Manual(request=request, timeout=Seconds(0.2), done=self.outcomes.append, **how))

    def wait(self, request: Request, **how: Any) -> Outcome:
        count = len(self.outcomes)
        self.ask(request, **how)
        end = self.bench.clock.time + 10.0
        while len(self.outcomes) == count:
            assert self.bench.clock.time < end
            self.bench.run(0.001)
        return self.outcomes[-1]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    bench = Bench(monkeypatch, site(3))
    plain = bench.boards.script
    bench.line.script = lambda request: [] if request[0] == NOWHERE or request[1] == 6 else plain(request)
    bench.run(6.0)
    return Asked(bench)


def closed(bench: Bench) -> None:
    for port in bench.bus.meter_ports:
        bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))


def energy(unit: int = FIRST_METER) -> Request:
    return read_registers(unit, 4, 0x48, 2)


def test_what_a_register_holds_is_read_whole(asked: Asked) -> None:
    outcome = asked.wait(energy(), board=METER)
    assert outcome.pdu is not None
    assert outcome.pdu[2:].hex() == "41457 0a4".replace(" ", "")
    assert outcome.heard == bytes([FIRST_METER]) + outcome.pdu + crc(bytes([FIRST_METER]) + outcome.pdu)
    assert (outcome.code, outcome.why_not, outcome.stray) == (None, None, b"")


def test_a_board_that_says_nothing_to_a_register_is_not_taken_for_lost(asked: Asked) -> None:
    asked.bench.forget()
    for _try in range(6):
        outcome = asked.wait(Request(unit=FIRST_METER, pdu=b"\x06\0\0\0\1", reply_size=5), board=METER)
        assert (outcome.pdu, outcome.heard, outcome.why_not) == (None, b"", None)
    assert not asked.bench.told(BoardLost)
    (health,) = [one for one in asked.bench.bus.statistics().boards if one.board == METER]
    assert health.timeouts == 0


def test_a_board_is_left_alone_for_a_moment_after_it_was_silent_and_its_neighbours_are_not(asked: Asked) -> None:
    closed(asked.bench)
    asked.bench.run(2.0)
    silent = asked.wait(Request(unit=FIRST_METER, pdu=b"\x06\0\0\0\1", reply_size=5), board=METER)
    asked.bench.forget()
    asked.bench.run(0.24)
    units = [sent.data[0] for sent in asked.bench.line.sent]
    assert units
    assert FIRST_METER not in units
    asked.bench.run(0.1)
    assert FIRST_METER in [sent.data[0] for sent in asked.bench.line.sent if sent.at >= silent.at + 0.25]


def test_a_late_answer_to_a_register_never_passes_for_a_current(asked: Asked) -> None:
    bench, plain = asked.bench, asked.bench.boards.script
    late: list[bytes] = []

    def script(request: bytes) -> Reply:
        """Answers what was asked by hand when it is asked the next thing, and that right behind."""
        ((delay, reply),) = plain(request)
        if request[:4] == energy().rtu[:4]:
            late.append(reply)
            return []
        if request[0] != FIRST_METER or not late:
            return [(delay, reply)]
        return [(delay, late[0]), (delay + len(late.pop()) * CHARACTER + 0.004, reply)]

    closed(bench)
    bench.run(1.0)
    bench.line.script = script
    bench.forget()
    assert asked.wait(energy(), board=METER).pdu is None
    bench.run(4.0)
    told = [(one.current, one.power, one.voltage) for one in bench.told(MeterReading)]
    assert len(told) > 20
    assert {value for values in told for value in values} == {None, 1.0, 140.0, 230.0}


def test_each_closed_ports_current_is_read_between_two_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, site(12))
    bench.boards.slow = {FIRST_METER + number: 0.12 for number in range(12)}
    plain = bench.boards.script
    bench.line.script = lambda request: [] if request[0] == NOWHERE else plain(request)
    closed(bench)
    bench.run(20.0)
    bench.forget()
    asked = Asked(bench)
    for _number in range(6):
        asked.ask(read_registers(NOWHERE, 3, 0, 1), whole=True)
    bench.run(30.0)
    assert len(asked.outcomes) == 6
    frames = [sent.data for sent in bench.line.sent]
    places = [place for place, data in enumerate(frames) if data[0] == NOWHERE]
    currents = {bytes([FIRST_METER + number, 4, 0, 6]) for number in range(12)}
    between = [{data[:4] for data in frames[first:last]} for first, last in pairwise(places)]
    assert every(currents <= seen for seen in between)


def test_an_opening_goes_first(asked: Asked) -> None:
    asked.bench.forget()
    for _number in range(3):
        asked.ask(read_registers(NOWHERE, 3, 0, 1))
    asked.bench.bus.execute(OpenRelay(port=PortId("A02")))
    asked.bench.turns(1)
    assert [data[:2] for data in asked.bench.line.requests] == [b"\x01\x05"]


def test_what_must_not_be_sent_is_decided_right_before(asked: Asked) -> None:
    asked.bench.forget()
    outcome = asked.wait(read_registers(NOWHERE, 3, 0, 1), guard=lambda: "A02 is starting")
    assert outcome.why_not == "A02 is starting"
    assert NOWHERE not in [data[0] for data in asked.bench.line.requests]


def test_another_rate_is_never_tried_while_a_port_of_the_line_is_in_use(asked: Asked) -> None:
    fast = Rate(baudrate=19200)
    bench = asked.bench
    assert asked.wait(read_registers(NOWHERE, 3, 0, 1), rate=fast).why_not is None
    bench.bus.execute(SetPace(port=PortId("A02"), pace=Pace.ARMED))
    assert asked.wait(read_registers(NOWHERE, 3, 0, 1), rate=fast).why_not == IN_USE
    bench.bus.execute(SetPace(port=PortId("A02"), pace=Pace.IDLE))
    assert asked.wait(read_registers(NOWHERE, 3, 0, 1), rate=fast).why_not is None


def test_the_line_is_driven_at_its_own_rate_again_whatever_comes(asked: Asked) -> None:
    asked.wait(read_registers(NOWHERE, 3, 0, 1), rate=Rate(baudrate=115_200))
    assert asked.bench.tuned is None
    asked.bench.forget()
    asked.bench.run(6.0)
    assert asked.bench.told(MeterReading)
    assert not asked.bench.told(BoardLost)


def test_nothing_is_asked_of_a_line_that_is_not_there(asked: Asked) -> None:
    asked.bench.unplug()
    asked.bench.run(2.0)
    assert asked.wait(energy(), board=METER).why_not == "the line is not there"


def test_a_line_that_vanishes_under_a_question_is_told_of(asked: Asked) -> None:
    def goes(_request: bytes) -> Reply:
        asked.bench.unplug()
        return []

    asked.bench.line.script = goes
    assert asked.wait(energy(), board=METER).why_not in {"the line is gone", "the line is not there"}


def test_nothing_is_asked_by_hand_any_more_once_the_last_openings_have_begun(asked: Asked) -> None:
    bench = asked.bench
    bench.boards.silent.add(RELAY)
    bench.run(6.0)
    bench.forget()
    asked.ask(read_registers(NOWHERE, 3, 0, 1))
    assert bench.bus.open_all(Seconds(3.0))
    assert NOWHERE not in [data[0] for data in bench.line.requests]
    assert not asked.outcomes


def test_a_mistake_of_whoever_has_asked_ends_no_bus(asked: Asked) -> None:
    def wrong(_outcome: Outcome) -> None:
        raise RuntimeError("a mistake")

    asked.bench.bus.ask(Manual(request=energy(), timeout=Seconds(0.2), done=wrong))
    asked.bench.forget()
    asked.bench.run(6.0)
    assert asked.bench.told(MeterReading)


def test_whoever_looks_on_sees_every_frame_with_what_came(asked: Asked) -> None:
    seen: list[Traced] = []
    broken: list[Traced] = []

    def wrong(traced: Traced) -> None:
        broken.append(traced)
        raise RuntimeError("a mistake")

    tracers = asked.bench.bus.tracers
    tracers.add(wrong)
    look = seen.append
    tracers.add(look)
    asked.bench.forget()
    asked.wait(read_registers(FIRST_METER, 4, SERIAL, 2), board=METER, whole=True)
    asked.bench.boards.silent.add(FIRST_METER)
    asked.bench.run(6.0)
    assert [one.request for one in seen] == asked.bench.line.requests[: len(seen)]
    (by_hand,) = [one for one in seen if one.by_hand]
    assert (by_hand.board, by_hand.result) == (METER, "answer")
    assert every(one.heard for one in seen if one.result == "answer")
    assert {one.result for one in seen} == {"answer", "timeout"}
    assert len(broken) == 1
    tracers.remove(look)
    assert not tracers


def test_what_nobody_can_judge_is_not_sent_and_the_line_goes_on(asked: Asked) -> None:
    def guard() -> str | None:
        raise KeyError("A99")

    with capture_logs():
        outcome = asked.wait(energy(), guard=guard)
    assert outcome.why_not == NOT_JUDGED
    assert asked.wait(energy()).pdu is not None
