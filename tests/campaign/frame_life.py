"""Life in a shed whose boards hang on a line: what breaks is the line, its frames, and what boards answer."""

import random
from dataclasses import fields
from pathlib import Path

from chargerd.config.profiles.register_map import Quantity
from chargerd.core.units import BoardId, PortId, Seconds, WattHours, Watts
from chargerd.modbus.frames import read_registers
from chargerd.modbus.manual import Manual
from chargerd.sim import loads
from tests.campaign.frames import TIMED, Faults, FrameShed
from tests.campaign.life import MINUTE, SHORT, Life

LEFT_ALONE = 12.0
"""Seconds a board that has not answered may be left alone: the longest back-off, and what comes before it."""
SCANS_APART = 5 * MINUTE
LATE_FOR = 4.0
"""Seconds after the last request by hand for which an answer of its shape is waited out."""
LONGEST_BY_HAND = 0.25
"""Seconds a request by hand takes that nobody answers, with the drain behind it; a silent board rests as long."""
FRAME_FAULTS = (
    "relay board silent",
    "meter silent",
    "relay board reboots",
    "meter reboots",
    "boards without mains",
    "spoilt frames",
    "line gone",
    "line hangs up",
    "stuck bus",
    "adapter hears itself",
    "deaf relay board",
    "untrue readings",
    "meter frozen",
    "meter reversed",
    "register reset",
    "overload",
    "disk stalls",
    "line scanned",
)
"""What breaks often on a line."""
LINE_FAULTS = tuple(one.name for one in fields(Faults))


class FrameLife(Life):
    """Life in a shed whose boards hang on a line."""

    def __init__(self, seed: int, folder: Path, ports: int = 12, relay: str = TIMED) -> None:
        """`relay` is the profile of the relay board."""
        self._relay = relay
        self.framed = self.make_shed(folder, ports, seed)
        super().__init__(seed, self.framed)
        self._sow(self._short, 4 * MINUTE)
        self._by_hand = random.Random(seed)
        """What people on site ask of the line, in a series of its own."""
        self._scan_later()

    def make_shed(self, folder: Path, ports: int, seed: int) -> FrameShed:
        """Return the shed to live in."""
        return FrameShed(folder, ports, seed=seed, relay=self._relay)

    def plug(self, port: PortId, bike: loads.Load) -> None:
        """Plug something in."""
        self.framed.world.socket(port).plug(bike)

    def pull(self, port: PortId, leaves: Watts) -> None:
        """Pull a plug, or leave a charger in its socket."""
        self.framed.world.socket(port).unplug()
        if leaves:
            self.plug(port, loads.resistive("charger alone", leaves / loads.NOMINAL))

    def _short(self) -> None:
        """Let a charger that is under way break down, if there is one."""
        port = self.charging_port()
        if self.framed.contacts[port].closed:
            self.happened["short"] += 1
            self.plug(port, loads.resistive("short", SHORT[0]))

    def kill(self, after: float, *, power: bool) -> None:
        """Kill the daemon when no transaction is under way in this very thread."""
        self.framed.between_turns(lambda: self.shed.kill(after, power=power))

    def fault(self) -> None:
        """Let a board fall silent or reboot, the line spoil frames, the adapter vanish, a meter lie, or more."""
        port = self.rng.choice(self.names)
        self.break_down(
            {
                "relay board silent": lambda span: self._silence("relay", span),
                "meter silent": lambda span: self._silence(self._meter_of(port), span),
                "relay board reboots": lambda span: self._reboot(["relay"], min(span, 2.5)),
                "meter reboots": lambda span: self._reboot([self._meter_of(port)], min(span, 2.5)),
                "boards without mains": lambda span: self._reboot(self._boards(), span),
                "spoilt frames": self._spoil,
                "more spoilt frames": self._spoil,
                "line gone": self._lose_line,
                "line hangs up": self._hang_up,
                "stuck bus": self._babble,
                "adapter hears itself": self._hear,
                "deaf relay board": self._deafen,
                "untrue readings": lambda span: self._lie(port, span),
                "meter frozen": lambda span: self._freeze(port, 10 * span),
                "meter reversed": lambda span: self._reverse(port, 10 * span),
                "register reset": lambda _span: self._reset_register(port),
                "overload": lambda _span: self.plug(self.charging_port(), loads.kettle()),
                "disk stalls": lambda span: setattr(self.framed, "stalled_until", self.framed.now + span),
            }
        )

    def _boards(self) -> list[str]:
        return ["relay", *map(self._meter_of, self.names)]

    def _meter_of(self, port: PortId) -> str:
        return f"meter{self.names.index(port) + 1}"

    def _disturb(self, span: float, *, relays: bool = True) -> None:
        """Take note that nobody can be held to a time for so long, or to the time of a reading only."""
        until, shed = self.framed.now + span + LEFT_ALONE, self.framed
        shed.sights.blind_until = max(shed.sights.blind_until, until)
        if relays:
            shed.disturbed_until = max(shed.disturbed_until, until)

    def _silence(self, name: str, span: float) -> None:
        self._disturb(span, relays=name == "relay")
        board = self.framed.world.board(name)
        board.silence()
        self.framed.later(span, board.speak)

    def _reboot(self, names: list[str], span: float) -> None:
        self._disturb(span, relays="relay" in names)
        for name in names:
            board = self.framed.world.board(name)
            board.power_off()
            self.framed.later(span, board.power_on)

    def _spoil(self, span: float) -> None:
        self._disturb(span)
        self.framed.line.faults = Faults.evenly(self.rng.choice((0.02, 0.1, 0.3)))
        self.framed.later(span, setattr, self.framed.line, "faults", Faults())

    def _lose_line(self, span: float) -> None:
        self._disturb(span)
        self.framed.line.gone = True
        self.framed.later(span, setattr, self.framed.line, "gone", False)

    def _hang_up(self, span: float) -> None:
        """Let the line be there, and go with whatever is asked first."""
        self._disturb(span)
        self.framed.line.hangs_up = True
        self.framed.later(span, setattr, self.framed.line, "hangs_up", False)

    def _babble(self, span: float) -> None:
        span = min(span, 20.0)
        self._disturb(span)
        self.framed.line.stuck_until = self.framed.now + span

    def _hear(self, span: float) -> None:
        """Let the adapter hear itself for a while, as another one would that was plugged in instead."""
        self._lose_line(1.0)
        self.framed.line.hears_itself = True
        self.framed.later(1.0 + 10 * span, self._hear_no_more)

    def _hear_no_more(self) -> None:
        if self.framed.line.hears_itself:
            self._lose_line(1.0)
            self.framed.line.hears_itself = False

    def _deafen(self, span: float) -> None:
        self._disturb(span)
        self.framed.line.deaf = self.rng.choice((0.005, 0.02, 0.05))
        self.framed.later(span, setattr, self.framed.line, "deaf", 0.0)

    def _scan_later(self) -> None:
        self.framed.later(self._by_hand.expovariate(1 / SCANS_APART), self._scan_line)

    def _scan_line(self) -> None:
        """Let somebody on site ask one address after the other; no cut-off is later by more than one of these."""
        if not self._alive:
            return
        self.happened["line scanned"] += 1
        self._scan_later()
        until = self.framed.now + self._by_hand.uniform(5.0, 60.0)
        self.framed.sights.slow(until + LATE_FOR, LONGEST_BY_HAND)
        self._ask_by_hand(until)

    def _ask_by_hand(self, until: float) -> None:
        rng, bus = self._by_hand, self.framed.bus
        unit = rng.choice((1, 11, 12, 40, rng.randrange(1, 248)))
        if bus is None or self.framed.now >= until:
            return
        known = {1: "relay", **{10 + number: f"meter{number}" for number in range(1, len(self.names) + 1)}}
        bus.ask(
            Manual(
                request=read_registers(unit, rng.choice((3, 4)), rng.choice((0, 6, 0x48)), rng.choice((1, 2))),
                timeout=Seconds(0.08),
                whole=rng.random() < 0.7,
                board=BoardId(known[unit]) if unit in known else None,
                done=lambda outcome: self.framed.later(
                    0.002 if outcome.why_not is None else 1.0, self._ask_by_hand, until
                ),
            )
        )

    def _lie(self, port: PortId, span: float) -> None:
        self._disturb(span, relays=False)
        untrue = self.framed.world.meter(port).untrue
        untrue[Quantity.CURRENT] = self.rng.choice((float("nan"), float("inf"), -0.0, -1.0, 1e9))
        untrue[Quantity.POWER] = self.rng.choice((float("nan"), -200.0))
        self.framed.later(span, untrue.clear)

    def _freeze(self, port: PortId, span: float) -> None:
        meter = self.framed.world.meter(port)
        meter.frozen = True
        self.framed.later(span, setattr, meter, "frozen", False)

    def _reverse(self, port: PortId, span: float) -> None:
        meter = self.framed.world.meter(port)
        meter.reversed = True
        self.outages.distrust(port)
        self.framed.later(span, setattr, meter, "reversed", False)

    def _reset_register(self, port: PortId) -> None:
        socket, meter = self.framed.world.socket(port), self.framed.world.meter(port)
        meter.start = WattHours(-socket.energy)

    def stick(self, port: PortId, how: str) -> None:
        """Let a contact be stuck, or follow its coil again."""
        relay = self.framed.world.relay(port)
        if how == "welded":
            relay.weld()
        elif how == "jammed":
            relay.kill_driver()
        elif how == "stuck":
            relay.stick()
        else:
            relay.repair()
        self.shed.contacts[port].welded = how in {"welded", "stuck"}

    def mend(self) -> None:
        """Mend everything that is broken."""
        shed = self.framed
        shed.line.faults, shed.line.gone, shed.line.stuck_until = Faults(), False, 0.0
        shed.line.hears_itself, shed.line.hangs_up, shed.line.deaf = False, False, 0.0
        for board in shed.world.boards_on("line"):
            board.speak()
            board.power_on()
        for port in self.names:
            self.framed.world.meter(port).untrue.clear()
            self.framed.world.meter(port).frozen = self.framed.world.meter(port).reversed = False
            self.stick(port, "freed")
