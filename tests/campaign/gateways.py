"""The same shed behind a Modbus TCP gateway: it serves one request at a time and waits for silent boards."""

from pathlib import Path

from chargerd.modbus.lines import LineGone
from chargerd.modbus.tcp_wire import TcpWire
from chargerd.modbus.wire import Counters, Wire
from tests.campaign.frame_life import FrameLife
from tests.campaign.frames import CHARACTER, SILENCE, TURNAROUND, FrameShed, VirtualLine

WAITS = 1.0
"""Seconds the gateway waits for a board that is silent."""
NO_ANSWER = 0x0B
HEADER = 6
GATEWAY_FAULTS = ("connection hangs", "meter silent", "relay board silent", "line gone")
"""What breaks often there."""


class GatewayLine(VirtualLine):
    """Takes Modbus TCP, and serves one request after the other on the line behind it."""

    def __init__(self, shed: "GatewayShed", seed: int) -> None:
        super().__init__(shed, seed)
        self.free_at = 0.0
        self.hangs = False
        """Whether what is sent is taken and never answered: until the next connection."""
        self._header = b""

    def write(self, data: bytes) -> None:
        """Take a request and serve it when those before it are through."""
        self._alive()
        if self.hangs:
            return
        unit, pdu = data[HEADER], data[HEADER + 1 :]
        begins = max(self._shed.now, self.free_at)
        until = begins + (len(pdu) + 3) * CHARACTER
        frame = self._codec.pack(unit, pdu)
        self._shed.sent(frame, until)
        answer = self._shed.ask(unit, pdu, until + SILENCE)
        if answer is None or self._rng.random() < self.faults.lost + self.faults.corrupt:
            self.spoilt["lost"] += answer is not None
            self.free_at, answer = until + WAITS, bytes([pdu[0] | 0x80, NO_ANSWER])
        else:
            self.free_at = until + SILENCE + TURNAROUND + (len(answer) + 3) * CHARACTER
        body = bytes([unit]) + answer
        self._coming.append((self.free_at, data[:4] + len(body).to_bytes(2, "big") + body))

    def discard(self) -> None:
        """The connection is given up, with what has not arrived."""
        self._coming.clear()


class GatewayShed(FrameShed):
    """A shed whose boards hang behind a gateway."""

    way = 'tcp: "10.0.0.9:502"'
    line: GatewayLine

    def make_line(self, seed: int) -> VirtualLine:
        """Return the way to the boards."""
        return GatewayLine(self, seed)

    def connect(self, counters: Counters) -> Wire:
        """Open a new connection: what hung the old one does not hang this one."""
        if self.line.gone:
            raise LineGone("connection refused")
        self.line.discard()
        self.line.hangs = False
        return TcpWire(self.line, self.clock, counters=counters, discard=self.line.discard)


class GatewayLife(FrameLife):
    """Life behind a gateway: a connection that hangs beside what can happen to boards."""

    framed: GatewayShed

    def make_shed(self, folder: Path, ports: int, seed: int) -> FrameShed:
        """Return a shed behind a gateway."""
        return GatewayShed(folder, ports, seed=seed)

    def _scan_later(self) -> None:
        """Nobody scans behind a gateway while ports charge: a silent address keeps it busy for a second."""

    def fault(self) -> None:
        """Let a board fall silent or reboot, the gateway vanish, its connection hang, a meter lie."""
        port = self.rng.choice(self.names)
        self.break_down(
            {
                "connection hangs": lambda _span: self._hang(),
                "relay board silent": lambda span: self._silence("relay", span),
                "meter silent": lambda span: self._silence(self._meter_of(port), span),
                "boards without mains": lambda span: self._reboot(self._boards(), span),
                "spoilt frames": self._spoil,
                "line gone": self._lose_line,
                "untrue readings": lambda span: self._lie(port, span),
            }
        )

    def _silence(self, name: str, span: float) -> None:
        """One silent board makes all others late, an opening too."""
        super()._silence(name, span)
        self._disturb(span)

    def _reboot(self, names: list[str], span: float) -> None:
        super()._reboot(names, span)
        self._disturb(span)

    def _hang(self) -> None:
        self._disturb(20.0)
        self.framed.line.hangs = True

    def mend(self) -> None:
        """Mend everything that is broken."""
        super().mend()
        self.framed.line.hangs = False
