"""Modbus TCP on a virtual connection, and RTU frames through a real one."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.config.loader import load_text
from chargerd.core.commands import OpenRelay, Pace, ReadRelay, SetPace
from chargerd.core.events import BoardBack, BoardLost, MeterReading, RelayReadBack, RelayWritten
from chargerd.core.faults import FaultKind
from chargerd.core.units import Instant, PortId, Seconds
from chargerd.modbus.frames import read_registers, registers_of, write_coil
from chargerd.modbus.lines import LineGone
from chargerd.modbus.manual import CannotTune, Rate
from chargerd.modbus.tcp_wire import TcpWire
from chargerd.modbus.wire import Answered, Counters, Failed
from tests.judging import every
from tests.logs import capture_logs
from tests.modbus.kit import Boards, Reply, VirtualClock, VirtualLine, crc
from tests.modbus.live import LiveBus, TcpBoards

CURRENT = read_registers(11, 4, 0x0006, 2)
ONE = bytes.fromhex("0B 04 04 3F 80 00 00")
SOON = 0.005


def mbap(number: int, body: bytes) -> bytes:
    return number.to_bytes(2, "big") + bytes(2) + len(body).to_bytes(2, "big") + body


class Bench:
    def __init__(self, *replies: Reply) -> None:
        self.clock = VirtualClock()
        left = iter(replies)
        self.line = VirtualLine(self.clock, lambda _request: next(left, []))
        self.wire = TcpWire(self.line, self.clock, counters=Counters())

    def ask(self, not_after: float = float("inf")) -> Answered | Failed:
        return self.wire.transact(CURRENT, Seconds(0.2), not_after=Instant(not_after))


def test_a_request_is_the_documents_bytes() -> None:
    bench = Bench()
    bench.ask()
    assert bench.line.requests == [bytes.fromhex("00 01 00 00 00 06 0B 04 00 06 00 02")]


def test_the_answer_is_told_apart_by_its_number() -> None:
    bench = Bench([(SOON, mbap(7, bytes.fromhex("0B 04 04 41 10 00 00")) + mbap(1, ONE))])
    result = bench.ask()
    assert isinstance(result, Answered)
    assert registers_of(result.pdu) == [0x3F80, 0]
    assert bench.wire.counters.foreign_bytes == 13


def test_what_is_heard_of_a_unit_reads_as_on_a_line() -> None:
    refusal = bytes.fromhex("0B 84 02")
    bench = Bench([(SOON, mbap(1, ONE))], [(SOON, mbap(2, refusal))], [(SOON, mbap(3, bytes.fromhex("0B 84 0B")))])
    heard = [bench.wire.hear_out(CURRENT, Seconds(0.2)).data for _question in range(4)]
    assert heard == [ONE + crc(ONE), refusal + crc(refusal), b"", b""]
    assert bench.wire.taken == b""
    bench.wire.beware(CURRENT)
    with pytest.raises(CannotTune, match="has no rate such as 19200 Bd"):
        bench.wire.tuned(Rate(baudrate=19200))


def test_a_late_answer_is_not_taken_for_the_next() -> None:
    late = mbap(1, bytes.fromhex("0B 04 04 41 10 00 00"))
    bench = Bench([(0.25, late)], [(0.1, mbap(2, ONE))])
    assert isinstance(bench.ask(), Failed)
    result = bench.ask()
    assert isinstance(result, Answered)
    assert registers_of(result.pdu) == [0x3F80, 0]


def test_numbers_begin_anew_after_the_last() -> None:
    bench = Bench([(SOON, mbap(0, ONE))])
    bench.wire._number = 0xFFFF  # noqa: SLF001 - 65535 transactions would take their time
    assert isinstance(bench.ask(), Answered)
    assert bench.line.requests[0][:2] == bytes(2)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("0B 84 02", FaultKind.EXCEPTION),
        ("0B 04 02 3F 80", FaultKind.CORRUPT),
        ("0B 03 04 3F 80 00 00", FaultKind.CORRUPT),
        ("0C 04 04 3F 80 00 00", FaultKind.TIMEOUT),
    ],
)
def test_anything_else_is_none(body: str, kind: FaultKind) -> None:
    result = Bench([(SOON, mbap(1, bytes.fromhex(body)))]).ask()
    assert isinstance(result, Failed)
    assert result.kind is kind
    assert result.code == (2 if kind is FaultKind.EXCEPTION else None)


def test_a_wrong_echo_confirms_nothing() -> None:
    bench = Bench([(SOON, mbap(1, bytes.fromhex("01 05 00 01 00 00")))])
    result = bench.wire.transact(write_coil(1, 0, 0), Seconds(0.2), urgent=True)
    assert isinstance(result, Failed)
    assert result.kind is FaultKind.CORRUPT


@given(cuts=st.lists(st.integers(0, 12), max_size=5))
def test_an_answer_in_pieces_is_one_answer(cuts: list[int]) -> None:
    whole = mbap(1, ONE)
    edges = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(edges)]
    bench = Bench([(SOON + 0.02 * place, piece) for place, piece in enumerate(pieces)])
    assert isinstance(bench.ask(), Answered)


@pytest.mark.parametrize(
    "start", ["00 01 00 01 00 07", "00 01 00 00 01 00", "00 01 00 00 00 01", "48 54 54 50 2F 31"]
)
def test_whoever_does_not_speak_it_is_hung_up_on(start: str) -> None:
    with pytest.raises(LineGone, match="does not speak"):
        Bench([(SOON, bytes.fromhex(start))]).ask()


def test_what_has_become_late_is_withheld() -> None:
    bench = Bench()
    result = bench.ask(not_after=bench.clock.time - 0.001)
    assert isinstance(result, Failed)
    assert (result.late, result.sent) == (True, False)
    assert not bench.line.sent
    bench.wire.close()
    assert bench.line.closed


# RTU frames in TCP

SITE = """\
gateway: {{id: test}}
buses: {{line: {{rtu_over_tcp: "{endpoint}", baudrate: 9600}}}}
boards:
  relay: {{bus: line, address: 1, profile: waveshare-relay-16}}
  meter: {{bus: line, address: 11, profile: eastron-sdm120}}
circuits: {{shed: {{}}}}
ports: [{{id: A01, relay: relay/1, meter: meter, circuit: shed}}]
"""


@pytest.fixture
def server() -> Iterator[TcpBoards]:
    boards = Boards(VirtualClock())
    boards.lapses[0] = 1e12

    def answer(request: bytes) -> bytes:
        return b"".join(data for _wait, data in boards.script(request))

    with capture_logs(), TcpBoards(answer) as one:
        yield one


def test_a_serial_server_carries_whole_frames_and_comes_back_by_itself(server: TcpBoards) -> None:
    port = PortId("A01")
    with LiveBus(load_text(SITE.format(endpoint=server.endpoint), "test")) as live:
        live.wait(MeterReading, current=1.0)
        live.wait(RelayReadBack, closed=True)
        live.bus.execute(OpenRelay(port=port))
        live.bus.execute(ReadRelay(port=port))
        live.wait(RelayWritten, port=port)
        live.wait(RelayReadBack, closed=False)
        live.bus.execute(SetPace(port=port, pace=Pace.CLOSED))
        live.events.clear()
        server.hang_up()
        live.wait(BoardLost, board="relay", kind=FaultKind.OFFLINE)
        live.wait(BoardBack, board="relay")
        live.wait(MeterReading, current=1.0)
    assert every(crc(request[:-2]) == request[-2:] for request in server.requests)
