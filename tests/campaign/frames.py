"""The same shed, frame by frame: the real buses on a virtual line, and boards that answer by their registers.

The line has the timing of 9600 Bd and every fault a line has: lost, late, cut, doubled and corrupted frames, those
of strangers, echoes, an adapter that hears itself, a board that is deaf for a while after each frame, and a stuck
driver that never falls silent. Bus threads are turned by hand.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from unittest.mock import patch

from chargerd.config.budget.budget import budget
from chargerd.config.loader import load_text
from chargerd.config.profiles.library import load_profiles
from chargerd.core.commands import BusCommand, CloseRelay, OpenRelay
from chargerd.core.events import DeadlineReached
from chargerd.core.units import Instant, PortId, Seconds, Watts
from chargerd.modbus import build as building
from chargerd.modbus.bus import Bus
from chargerd.modbus.lines import LineGone
from chargerd.modbus.wire import Counters, RtuWire, Wire
from chargerd.sim.boards import Codec
from chargerd.sim.parts import Edge
from tests.boards import BOARDS
from tests.campaign.shed import Shed
from tests.campaign.sights import Sights, WatchedWorld
from tests.core.logbook import word

BAUDRATE = 9600
CHARACTER = 10 / BAUDRATE
SILENCE = 3.5 * CHARACTER
TURNAROUND = 0.002
RELAY_UNIT = 1
CROSSTALK = Watts(1.2)
"""What a meter may show of its neighbours' power: a little more than was measured."""
STRANGER = bytes.fromhex("0b04043f80000001d4")
"""A meter's answer that nobody asked for; its CRC does not matter."""

TIMED = "waveshare-relay-16"
HEARTBEAT = "heartbeat-16"
"""A relay board whose leases are the board's, not each relay's."""

SITE = """\
gateway: {{id: test}}
buses: {{line: {{{way}}}}}
boards:
  relay: {{bus: line, address: 1, profile: {relay}}}
  meter1..meter{ports}: {{bus: line, address: 11..{last}, profile: eastron-sdm120}}
circuits: {{shed: {{}}}}
ports: [{{id: A01..A{ports:02d}, relay: relay/1..{ports}, meter: meter1..meter{ports}, circuit: shed}}]
"""


@dataclass(slots=True, kw_only=True)
class Faults:
    """How likely an answer is spoilt in each way."""

    lost: float = 0.0
    late: float = 0.0
    corrupt: float = 0.0
    cut: float = 0.0
    doubled: float = 0.0
    foreign: float = 0.0
    echoed: float = 0.0
    strange: float = 0.0
    """A stranger's answer of the same shape, sooner than the board can give its own."""

    @classmethod
    def evenly(cls, share: float) -> "Faults":
        """Return faults of all kinds that spoil this share of the answers in all."""
        kinds = [one.name for one in fields(cls)]
        return cls(**dict.fromkeys(kinds, share / len(kinds)))


class VirtualLine:
    """A line in virtual time; whole frames arrive with their last byte, as adapters hand them over."""

    def __init__(self, shed: "FrameShed", seed: int) -> None:
        self.faults = Faults()
        self.gone = False
        self.hangs_up = False
        """Whether it can be opened, and goes with the first request."""
        self.stuck_until = 0.0
        self.hears_itself = False
        """Whether the adapter hands over what it sends itself."""
        self.deaf = 0.0
        """How long after any frame the relay board hears nothing, in seconds."""
        self.spoilt: Counter[str] = Counter()
        """How many answers were spoilt in each way."""
        self.shortest_gap = float("inf")
        """The shortest silence before one of our requests, in seconds."""
        self._shed = shed
        self._rng = random.Random(seed)
        self._codec = Codec()
        self._coming: list[tuple[float, bytes]] = []
        self._last_byte = -1.0

    def write(self, data: bytes) -> None:
        """Send a request; the boards hear it when it is through and the line has fallen silent."""
        self._alive()
        if self.hangs_up:
            raise LineGone("hung up")
        now = self._shed.now
        gap = now - self._last_byte
        if now >= self.stuck_until:
            self.shortest_gap = min(self.shortest_gap, gap)
        until = now + len(data) * CHARACTER
        self._last_byte = until
        if self.hears_itself:
            self._deliver(data, now)
        if data[0] == RELAY_UNIT and gap < self.deaf:
            return
        self._shed.sent(data, until)
        heard = self._codec.unpack(data)
        answer = None if heard is None else self._shed.ask(heard[0], heard[1], until + SILENCE)
        if answer is not None and heard is not None and now >= self.stuck_until:
            self._spoil(self._codec.pack(heard[0], answer), data, until + SILENCE + TURNAROUND)

    def _spoil(self, frame: bytes, request: bytes, begin: float) -> None:
        drawn = self._rng.random()
        for fault in fields(self.faults):
            drawn -= getattr(self.faults, fault.name)
            if drawn < 0:
                self.spoilt[fault.name] += 1
                self._bent(fault.name, frame, request, begin)
                return
        self._deliver(frame, begin)

    def _bent(self, how: str, frame: bytes, request: bytes, begin: float) -> None:
        rng = self._rng
        match how:
            case "lost":
                pass
            case "late":
                self._deliver(frame, begin + rng.uniform(0.1, 0.6))
            case "corrupt":
                place = rng.randrange(len(frame))
                self._deliver(
                    frame[:place] + bytes([frame[place] ^ 1 << rng.randrange(8)]) + frame[place + 1 :], begin
                )
            case "cut":
                self._deliver(frame[: rng.randrange(1, len(frame))], begin)
            case "doubled":
                self._deliver(frame + frame, begin)
            case "foreign":
                self._deliver(STRANGER, begin)
                self._deliver(frame, begin + len(STRANGER) * CHARACTER + SILENCE)
            case "strange":
                self._deliver(
                    self._codec.pack(frame[0], frame[1:3] + bytes(len(frame) - 5)), begin - 9 * CHARACTER
                )
                self._deliver(frame, begin + len(frame) * CHARACTER)
            case _:
                self._deliver(request + frame, begin)

    def _deliver(self, data: bytes, begin: float) -> None:
        self._coming.append((begin + len(data) * CHARACTER, data))
        self._coming.sort(key=lambda one: one[0])

    def read(self) -> bytes:
        """Return what has arrived."""
        self._alive()
        now = self._shed.now
        if now < self.stuck_until:
            babble = int((now - self._last_byte) / CHARACTER)
            self._last_byte = now if babble > 0 else self._last_byte
            return bytes(max(0, babble))
        here = b""
        while self._coming and self._coming[0][0] <= now + 1e-9:
            at, data = self._coming.pop(0)
            here += data
            self._last_byte = max(self._last_byte, at)
        return here

    def wait(self, timeout: Seconds) -> bool:
        """Let time pass until something arrives, at most so long; say whether it has."""
        self._alive()
        until = self._shed.now + max(0.0, timeout)
        if self._shed.now < self.stuck_until:
            self._shed.advance(min(until, self._shed.now + 0.01))
            return self._shed.now - self._last_byte >= CHARACTER
        if self._coming and self._coming[0][0] <= until:
            self._shed.advance(max(self._shed.now, self._coming[0][0]))
            self._alive()
            return True
        self._shed.advance(until)
        return False

    def close(self) -> None:
        """Nothing to give back."""

    def _alive(self) -> None:
        if self.gone:
            raise LineGone("unplugged")


class FrameShed(Shed):
    """A shed whose boards hang on a line."""

    way = f"serial: /dev/null, baudrate: {BAUDRATE}"

    def __init__(self, folder: Path, ports: int = 12, *, seed: int = 0, relay: str = TIMED) -> None:
        text = SITE.format(way=self.way, ports=ports, last=10 + ports, relay=relay)
        self.site = load_text(text, "test", profiles=load_profiles((BOARDS,)))
        self.world = WatchedWorld(self.site, seed=seed, step=Seconds(0.25), crosstalk=CROSSTALK)
        self.sights = self.world.sights = Sights(self.world, self.site, budget(self.site).ports)
        self._line_seed = seed
        self.line = self.make_line(seed)
        self.bus: Bus | None = None
        self.cut_asked: dict[PortId, float] = {}
        self.cuts: list[float] = []
        """Seconds from each opening a live port was told to the last bit of its frame, on a line that works."""
        self.disturbed_until = 0.0
        """Until then line or relay board are broken, or left alone after it."""
        self._told = 0
        self._later: list[Callable[[], None]] = []
        super().__init__(folder, *self.site.plan.ports)

    # The buses

    def begin_buses(self) -> None:
        """Build the real buses on the virtual line."""
        self.world.begin_at(Instant(self.now))
        with patch.object(building, "connector", lambda _section, _clock: self.connect):
            (self.bus,) = building.build(self.site, clock=self.clock, emit=self.tell, on_crash=self._crashed)

    def end_buses(self) -> None:
        """Forget the buses, as a killed process does."""
        self.bus = None
        self.cut_asked.clear()
        self.sights.forget()

    def execute(self, command: BusCommand) -> None:
        """Hand a command to the real bus."""
        self.watch(command)
        self._mark(command.port, word(command))
        if isinstance(command, OpenRelay):
            self.sights.told_to_open(command.port)
            if self.contacts[command.port].closed:
                self.cut_asked.setdefault(command.port, self.now)
        elif isinstance(command, CloseRelay):
            self.sights.told_to_close(command.port)
        assert self.bus is not None
        self.bus.execute(command)

    def make_line(self, seed: int) -> VirtualLine:
        """Return the way to the boards."""
        return VirtualLine(self, seed)

    def connect(self, counters: Counters) -> Wire:
        """Open the line. Raises `LineGone`."""
        if self.line.gone:
            raise LineGone("no such device")
        return RtuWire(self.line, self.clock, baudrate=BAUDRATE, character_bits=10, counters=counters)

    def sent(self, frame: bytes, until: float) -> None:
        """See a request on the line; it is in the trace, and openings are measured."""
        self.trace.update(f"{until!r} {frame.hex()}\n".encode())
        if frame[0] == RELAY_UNIT and frame[1] == 5 and frame[2] == 0 and frame[4:6] == b"\x00\x00":
            port = PortId(f"A{frame[3] + 1:02d}")
            self.sights.opened(port, until)
            asked = self.cut_asked.pop(port, None)
            if asked is not None and asked >= self.disturbed_until:
                self.cuts.append(until - asked)

    def ask(self, unit: int, pdu: bytes, at: float) -> bytes | None:
        """Let the boards hear a request."""
        self.world.advance(Instant(at))
        answer = self.world.ask("line", unit, pdu)
        self._follow()
        return answer

    def _follow(self) -> None:
        """Take note of contacts that have moved."""
        log = self.world.log
        while self._told < len(log):
            line = log[self._told]
            self._told += 1
            if line.edge not in {Edge.CLOSED, Edge.OPEN}:
                continue
            closed = line.edge is Edge.CLOSED
            port = PortId(line.port)
            self.contacts[port].closed = closed
            by = {"written": "close" if closed else "open", "lapsed": "lapse"}.get(line.detail, "freed")
            self._mark(port, f"contact {'closed' if closed else 'open'}")
            self.watch((port, closed, by))

    # Time

    def advance(self, to: float) -> None:
        """Let time pass for everybody else, while the bus waits."""
        while True:
            deadline = None if self.dead else self.engine.next_deadline()
            happens = self.heap[0][0] if self.heap else None
            if happens is not None and happens <= to and (deadline is None or happens <= deadline):
                at, _, action, arguments = heapq.heappop(self.heap)
                self.now = max(self.now, at)
                action(*arguments)
            elif deadline is not None and deadline <= to:
                self.now = max(self.now, deadline)
                self.tell(DeadlineReached())
            else:
                break
        self.now = max(self.now, to)

    def between_turns(self, action: Callable[[], None]) -> None:
        """Do something when no transaction is under way: what a bus's own thread cannot survive."""
        self._later.append(action)

    def _step(self, end: float) -> bool:
        while self._later:
            self._later.pop(0)()
        self.sights.check(self.now)
        if self.now >= end:
            return False
        if self.bus is None or not self.bus.turn():
            self.advance(min(end, self.now + 0.005))
            self.world.advance(Instant(self.now))
            self._follow()
        return True

    # What breaks

    def lose_power(self) -> None:
        """Take the boards' supply away and give it back: every relay is open."""
        boards = self.world.boards_on("line")
        for board in boards:
            board.power_off()
        self.world.advance(Instant(self.now))
        self._follow()
        for board in boards:
            board.power_on()

    def reboot(self, took: float) -> None:
        """Let the boot clock go on: the real buses and their line share it with the shed."""

    def pass_dead(self, end: float) -> None:
        """Let time pass without a daemon; the boards' timers run out."""
        super().pass_dead(end)
        self.world.advance(Instant(end))
        self._follow()

    @property
    def worst_cut(self) -> float:
        """The longest from an opening's decision to its last bit on the line."""
        return max(self.cuts, default=0.0)
