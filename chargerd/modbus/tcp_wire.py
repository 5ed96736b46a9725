"""One transaction at a time over Modbus TCP: answers are told apart by their number, and no silence is kept.

Behind the connection may be a gateway that serves one request at a time; see `chargerd.modbus.gateway`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from chargerd.core.clock import Clock
from chargerd.core.faults import FaultKind
from chargerd.core.units import Instant, Seconds, after, between
from chargerd.modbus.frames import Request, crc, fits, refuses
from chargerd.modbus.gateway import Gateway
from chargerd.modbus.lines import Line, LineGone, Trouble
from chargerd.modbus.manual import CannotTune, Rate
from chargerd.modbus.wire import NEVER, Answered, Counters, Failed, Heard, refusal, too_late

MBAP = 6
"""Bytes of a Modbus TCP header before the unit."""
LONGEST_BODY = 254
"""Bytes a Modbus TCP header can announce: unit and PDU (MODBUS Messaging on TCP/IP V1.0b, 3.1.3)."""


class TcpWire:
    """Modbus TCP: answers are told apart by their transaction number, too."""

    def __init__(
        self, line: Line, clock: Clock, *, counters: Counters, discard: Callable[[], None] | None = None
    ) -> None:
        self.discard = discard
        self.heard: bool | None = False
        self.stray = self.taken = b""
        self._gateway = Gateway()
        self._line = line
        self._clock = clock
        self._number = 0
        self._buffer = b""
        self.counters = counters

    @property
    def echo(self) -> bool | None:
        """A network does not answer for a board."""
        return False

    @property
    def busy_with_silence(self) -> Seconds:
        """How long a gateway at the other end waits for a board that does not answer."""
        return self._gateway.waits

    def close(self) -> None:
        """Close the connection."""
        self._line.close()

    def transact(
        self,
        request: Request,
        timeout: Seconds,
        *,
        silence: Seconds = Seconds(0.0),  # noqa: ARG002 - there is no line to be silent on
        urgent: bool = False,  # noqa: ARG002 - nor one to drain
        not_after: Instant = NEVER,
    ) -> Answered | Failed:
        """Ask and wait for the answer."""
        self.stray = self.taken = b""
        sent_at = self._clock.now()
        if sent_at > not_after:
            return too_late(sent_at)
        self._number = (self._number + 1) & 0xFFFF
        self.counters.transactions += 1
        body = bytes([request.unit]) + request.pdu
        header = self._number.to_bytes(2, "big") + bytes(2) + len(body).to_bytes(2, "big")
        self._line.write(header + body)
        while (left := between(self._clock.now(), self._deadline(sent_at, timeout))) > 0:
            if not self._line.wait(left):
                continue
            data = self._line.read()
            self.taken += data
            self._buffer += data
            answer = self._next_answer(request, sent_at)
            if answer is not None:
                return answer
        self._gateway.given_up(self._number, sent_at)
        self.counters.timeouts += 1
        return Failed(kind=FaultKind.TIMEOUT, sent_at=sent_at, at=self._clock.now())

    def hear_out(self, request: Request, window: Seconds, *, silence: Seconds = Seconds(0.0)) -> Heard:
        """Ask, and return the answer as a line would have brought it: here it is told apart by its number."""
        result = self.transact(request, window, silence=silence)
        pdu = result.pdu if isinstance(result, Answered) else b""
        if isinstance(result, Failed) and result.kind is FaultKind.EXCEPTION and result.code is not None:
            pdu = bytes([request.function | 0x80, result.code])
        frame = bytes([request.unit]) + pdu
        return Heard(data=frame + crc(frame) if pdu else b"", sent_at=result.sent_at, at=result.at)

    def beware(self, request: Request) -> None:
        """Nothing to do: an answer tells by its number what it answers."""

    def tuned(self, rate: Rate) -> AbstractContextManager[None]:
        """Say that a network has no rate."""
        raise CannotTune(f"the other end speaks Modbus TCP, which has no rate such as {rate.baudrate} Bd")

    def _deadline(self, sent_at: Instant, timeout: Seconds) -> Instant:
        """Return when the board is silent: it cannot answer while the gateway still waits for another one."""
        return after(max(sent_at, self._gateway.busy_until()), timeout)

    def _next_answer(self, request: Request, sent_at: Instant) -> Answered | Failed | None:
        while len(self._buffer) >= MBAP:
            length = int.from_bytes(self._buffer[4:6], "big")
            if self._buffer[2:4] != bytes(2) or not 2 <= length <= LONGEST_BODY:  # noqa: PLR2004 - unit, function
                raise LineGone("the other side does not speak Modbus TCP", Trouble.NOT_MODBUS_TCP)
            size = MBAP + length
            if len(self._buffer) < size:
                return None
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            number, unit, pdu = int.from_bytes(frame[:2], "big"), frame[MBAP : MBAP + 1], frame[MBAP + 1 :]
            if number == self._number and unit == bytes([request.unit]) and pdu:
                return self._judged(request, pdu, sent_at)
            self._gateway.came_late(number, self._clock.now())
            self.counters.foreign_bytes += size
        return None

    def _judged(self, request: Request, pdu: bytes, sent_at: Instant) -> Answered | Failed:
        """Return what the answer with the right number and unit says."""
        now = self._clock.now()
        if refuses(request, pdu):
            return self._refused(pdu[1], sent_at, now)
        took = self._gateway.answered(request.unit, sent_at, now)
        if fits(request, pdu):
            return Answered(pdu=pdu, sent_at=sent_at, at=now, took=took)
        self.counters.corrupt += 1
        return Failed(kind=FaultKind.CORRUPT, sent_at=sent_at, at=now)

    def _refused(self, code: int, sent_at: Instant, now: Instant) -> Failed:
        kind = refusal(self.counters, code)
        if kind is FaultKind.TIMEOUT:
            self._gateway.refused(sent_at, now)
        return Failed(kind=kind, sent_at=sent_at, at=now, code=code)
