"""An hour on a line where one answer in ten is spoilt, and a fuzzer for the search of frames.

`CHARGERD_FUZZ` sets how many inputs the fuzzer makes, `CHARGERD_BAD_HOURS` how many hours the line is bad. A short
form of both runs by default; the long one is 1000000 and 1.
"""

import os
import random
import struct

import pytest

from chargerd.core.commands import CloseRelay, OpenRelay, Pace, RenewLease, SetPace
from chargerd.core.events import BusEvent, MeterReading, RelayReadBack, RelayWritten
from chargerd.core.units import Instant, PortId, Seconds
from chargerd.modbus.frames import MatchKind, Request, find_rtu, read_bits, read_registers, write_coil
from tests.modbus.kit import FIRST_METER, SILENCE, TURNAROUND, Bench, Reply, crc, names

INPUTS = int(os.environ.get("CHARGERD_FUZZ", "20000"))
HOURS = float(os.environ.get("CHARGERD_BAD_HOURS", "0.02"))
PORTS = names(12)
SPOILT = 0.1


class Spoiler:
    """Spoils one answer in ten, in one of five ways."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.spoilt = 0
        self._own = bench.boards.script
        self._random = random.Random(seed)
        bench.line.script = self.script

    def script(self, request: bytes) -> Reply:
        reply = list(self._own(request))
        if self._random.random() >= SPOILT:
            return reply
        self.spoilt += 1
        delay, frame = reply[0]
        match self._random.randrange(5):
            case 0:
                place = self._random.randrange(len(frame))
                bad = frame[place] ^ (1 << self._random.randrange(8))
                return [(delay, frame[:place] + bytes([bad]) + frame[place + 1 :])]
            case 1:
                return [(delay, frame[: self._random.randrange(len(frame))])]
            case 2:
                return [(delay, frame + frame)]
            case 3:
                return [(self._random.uniform(0.06, 0.4), frame)]
            case _:
                # One that has the asked board's address, function and length cannot be told from it on this wire.
                unit = self._random.choice([unit for unit in range(1, 247) if unit != request[0]])
                stranger = bytes([unit, 4, 4]) + self._random.randbytes(4)
                return [(delay, stranger + crc(stranger)), (delay + 0.012, frame)]


def amps_of(port: PortId) -> float:
    """A current that says whose it is."""
    return float(PORTS.index(port) + 1)


class Owner:
    """Holds ports closed as the core does, opens and closes them, and checks what it is told."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self._bench = bench
        self._random = random.Random(seed)
        self._due: dict[PortId, float] = {}
        self.readings = 0
        self.opened = 0
        bench.heard = self.hear
        for number, port in enumerate(PORTS):
            bench.boards.amps[FIRST_METER + number] = amps_of(port)
            bench.bus.execute(SetPace(port=port, pace=Pace.CLOSED))

    def hear(self, event: BusEvent) -> None:
        match event:
            case MeterReading(current=current, port=port) if current is not None:
                self.readings += 1
                assert current == pytest.approx(amps_of(port)), "a reading of another port's meter"
            case RelayReadBack(closed=False, port=port, sent_at=sent_at):
                self.opened += 1
                channel = PORTS.index(port)
                # Renewed only after this read-back, it was open when its board was asked, or opens just then.
                lapses = self._bench.boards.lapses.get(channel, 0.0)
                assert lapses <= self._bench.clock.time or self._written_since(port, sent_at), "a false open"
            case RelayWritten(port=port, sent_at=sent_at) if event.action.value != "open":
                self._due[port] = sent_at + 3.0
            case _:
                pass

    def _written_since(self, port: PortId, sent_at: float) -> bool:
        """Say whether a closing of the port went out after that: it says nothing of the read-back's moment."""
        address = struct.pack(">H", 0x200 + PORTS.index(port))
        return any(
            sent.at >= sent_at and sent.data[:2] == b"\x01\x05" and sent.data[2:4] == address
            for sent in self._bench.line.sent
        )

    def step(self) -> None:
        now = self._bench.clock.time
        for port in [port for port, at in self._due.items() if at <= now]:
            by = Instant(self._due.pop(port) + 2.0)
            self._bench.bus.execute(RenewLease(port=port, lease=Seconds(6.0), not_after=by))
        if self._random.random() < 0.05:
            port = self._random.choice(PORTS)
            self._due.pop(port, None)
            if self._random.random() < 0.5:
                self._bench.bus.execute(OpenRelay(port=port))
            else:
                by = Instant(now + 3.0)
                self._bench.bus.execute(CloseRelay(port=port, lease=Seconds(6.0), not_after=by))
        self._bench.run(0.1)
        # What is no longer needed would make the list long.
        del self._bench.line.sent[:-500]
        self._bench.events.clear()


def test_a_line_that_spoils_one_answer_in_ten_deceives_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.run(3.0)
    spoiler, owner = Spoiler(bench, 1), Owner(bench, 2)
    end = bench.clock.time + HOURS * 3600
    while bench.clock.time < end:
        owner.step()
    assert spoiler.spoilt > 60 * HOURS * 60
    assert owner.readings > 1 * HOURS * 3600
    assert owner.opened
    found = bench.bus.statistics()
    assert sum(one.corrupt for one in found.boards)
    assert sum(one.timeouts for one in found.boards)
    assert sum(one.foreign_bytes for one in found.boards)
    bench.line.script = bench.boards.script
    bench.run(30.0)
    assert not bench.bus.lost_boards()


QUESTIONS = (
    read_registers(11, 4, 0x0006, 2),
    read_registers(1, 3, 0x0000, 125),
    read_bits(1, 1, 0, 16),
    write_coil(1, 0, 0x0000),
    write_coil(1, 0x200, 60),
)


def answer_of(question: Request, chance: random.Random) -> bytes:
    if question.echo is not None:
        pdu = question.echo
    else:
        size = question.reply_size - 2
        pdu = bytes([question.function, size]) + chance.randbytes(size)
    body = bytes([question.unit]) + pdu
    return body + crc(body)


def mutated(frame: bytes, chance: random.Random) -> bytes:
    """Bend a frame as lines do: flip, cut, repeat, shift, prefix."""
    data = bytearray(frame)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0 if place < len(data):
                data[place] ^= 1 << chance.randrange(8)
            case 1:
                del data[place:]
            case 2:
                data[place:place] = data
            case 3:
                del data[:place]
            case _:
                data[place:place] = chance.randbytes(chance.randrange(1, 9))
        if not data:
            break
    return bytes(data)


def test_whatever_comes_only_the_answer_is_taken_for_it() -> None:
    chance = random.Random(int(os.environ.get("CHARGERD_FUZZ_SEED", "3")))
    found = 0
    for number in range(INPUTS):
        question = QUESTIONS[number % len(QUESTIONS)]
        noise = chance.randrange(4) == 0
        data = chance.randbytes(chance.randrange(40)) if noise else mutated(answer_of(question, chance), chance)
        match = find_rtu(question, data)
        if match is None:
            continue
        found += 1
        frame = data[match.start : match.end]
        assert frame[0] == question.unit
        assert frame[-2:] == crc(frame[:-2])
        assert frame[1:-2] == match.pdu
        if match.kind is MatchKind.EXCEPTION:
            assert match.pdu[0] == question.function | 0x80
        elif question.echo is not None:
            assert match.pdu == question.echo
        else:
            assert (match.pdu[0], match.pdu[1]) == (question.function, len(match.pdu) - 2)
            assert len(match.pdu) == question.reply_size
    assert found > INPUTS / 50


def test_the_spoiler_spoils(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself: a reading that is another port's is noticed."""
    bench = Bench(monkeypatch)
    bench.run(1.0)
    Owner(bench, 1)
    bench.boards.amps[FIRST_METER] = 7.0
    with pytest.raises(AssertionError, match="another port"):
        bench.run(5.0)
    assert SILENCE + TURNAROUND < 0.06
