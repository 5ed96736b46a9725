"""What happens in a shed: people, bikes, and everything that breaks; drawn from a seed."""

import abc
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from chargerd.core.moment import ClockQuality
from chargerd.core.plan import (
    CircuitPlan,
    FeederPlan,
    InputKind,
    InputPlan,
    RelayPlan,
    StationPlan,
    holder_of,
)
from chargerd.core.units import Amps, BoardId, CircuitId, PortId, Seconds, Volts, Watts
from chargerd.sim import loads
from tests.campaign.books import Truth
from tests.campaign.frames import Faults, FrameShed
from tests.campaign.outages import Outages
from tests.campaign.shed import Shed
from tests.core.plant import Bus, port_plan

MINUTE = 60.0
LEFT_ALONE = 12.0
"""Seconds a board that has not answered may be left alone: the longest back-off, and what comes before it."""
LOOK_EVERY = 0.7
"""Seconds between two looks at what must hold at any time."""
FOLLOW_EVERY = 20.0
"""Seconds between two looks at how far a charge has come."""
BIKES: tuple[Callable[[int], loads.Load], ...] = (
    lambda seed: loads.lithium(48, 2, seed=seed, capacity_scale=4.0),
    lambda seed: loads.lithium(60, 3, seed=seed, capacity_scale=4.0),
    lambda seed: loads.lithium(72, 5, seed=seed, capacity_scale=4.0),
    lambda seed: loads.lead_acid(48, seed=seed, capacity_scale=4.0),
    lambda seed: loads.lead_acid(60, seed=seed, capacity_scale=4.0),
    lambda seed: loads.dual_battery(seed=seed, capacity_scale=4.0),
    lambda seed: loads.small_charger(seed=seed, capacity_scale=4.0),
    lambda _seed: loads.heater(),
    lambda _seed: loads.kettle(),
    lambda _seed: loads.compressor(),
    lambda _seed: loads.growing_overload(),
)
SHORT = (30.0, 6000.0)
"""Amperes and watts of a short as far as a meter shows it before the breaker goes."""
WEIGHTS = (12, 10, 6, 8, 6, 4, 4, 2, 2, 1, 1)
"""How often each of them is brought."""


class Life(abc.ABC):
    """People in a shed, and the books kept beside it; what breaks depends on what the shed is made of."""

    def __init__(self, seed: int, shed: Shed) -> None:
        self.rng = random.Random(seed)
        self.shed = shed
        self.books = Truth(shed)
        self.outages = Outages(shed)
        self.names = list(shed.plans)
        self._alive = True
        self._sow(self._arrive, 1 * MINUTE)
        self._sow(self.fault, 2 * MINUTE)
        self._sow(self._rare, 15 * MINUTE)
        self._look()

    def run(self, hours: float) -> str:
        """Live on for so long, mend what is broken, settle all, and return the digest of the trace."""
        self.shed.run(hours * 3600.0)
        self._alive = False
        self.shed.mend_disk()
        self.mend()
        self.shed.run(12.0)
        for port in self.names:
            self.shed.ask_stop(port)
        self.shed.run(30.0)
        self.books.close()
        self.outages.close()
        self.shed.real.close(1.0)
        return self.shed.trace.hexdigest()

    @abc.abstractmethod
    def plug(self, port: PortId, bike: loads.Load) -> None:
        """Plug something in."""

    @abc.abstractmethod
    def pull(self, port: PortId) -> None:
        """Pull a plug."""

    @abc.abstractmethod
    def fault(self) -> None:
        """Let something break for a while."""

    @abc.abstractmethod
    def stick(self, port: PortId, how: str) -> None:
        """Let a contact be `welded`, `jammed` open, or neither again (`freed`)."""

    @abc.abstractmethod
    def mend(self) -> None:
        """Mend everything that is broken."""

    def kill(self, after: float, *, power: bool) -> None:
        """Kill the daemon, or take away everybody's power."""
        self.shed.kill(after, power=power)

    # When

    def _look(self) -> None:
        self.books.check(self.shed.now)
        self.shed.later(LOOK_EVERY, self._look)

    def _sow(self, happening: Callable[[], None], mean: float) -> None:
        def again() -> None:
            if not self._alive:
                return
            happening()
            self._sow(happening, mean)

        self.shed.later(self.rng.expovariate(1 / mean), again)

    def _port(self) -> PortId:
        return self.rng.choice(self.names)

    # People

    def _arrive(self) -> None:
        port, rng = self._port(), self.rng
        what = rng.random()
        if what < 0.6:
            bike = rng.choices(BIKES, WEIGHTS)[0](rng.getrandbits(30))
            self.plug(port, bike)
            self.shed.later(rng.uniform(1, 20), self._scan, port)
        elif what < 0.75:
            self.pull(port)
        elif self.shed.dead:
            pass  # Nobody hears them.
        elif what < 0.85:
            self.shed.ask_stop(port)
        elif what < 0.95:
            self._scan(port)
        else:
            self.shed.ask_reset(port)

    def _scan(self, port: PortId) -> None:
        if not self._alive or self.shed.dead:
            return
        limits: dict[str, float] = {}
        if self.rng.random() < 0.2:
            limits["duration"] = self.rng.uniform(60, 3600)
        if self.rng.random() < 0.1:
            limits["energy"] = self.rng.uniform(1, 200)
        self.shed.ask_start(port, **limits)

    def _rare(self) -> None:
        rng, shed = self.rng, self.shed
        if shed.dead:
            return
        match rng.randrange(6):
            case 0:
                self.kill(rng.choice((0.5, 2.0, 10.0, 60.0)), power=False)
            case 1:
                self.kill(rng.choice((1.0, 30.0, 600.0, 3600.0)), power=True)
            case 2:
                shed.clock.offset += rng.choice((-1, 1)) * rng.choice((1.0, 3600.0, 3 * 365 * 86400.0))
            case 3:
                shed.clock.quality = rng.choice(list(ClockQuality))
            case 4:
                self._let_stick(self._port(), "welded")
            case _:
                self._let_stick(self._port(), "jammed")

    def _let_stick(self, port: PortId, how: str) -> None:
        self.stick(port, how)
        self.shed.later(self.rng.uniform(5.0, 600.0), self.stick, port, "freed")


class ModelledLife(Life):
    """Life in a shed of modelled boards."""

    def __init__(self, seed: int, shed: Shed) -> None:
        super().__init__(seed, shed)
        self._plugged: dict[PortId, tuple[loads.Load, float]] = {}
        for port in self.names:
            self.shed.draw(0.0, 0.0, port=port)
        self.shed.later(FOLLOW_EVERY, self._follow)

    def plug(self, port: PortId, bike: loads.Load) -> None:
        """Plug something in; what it draws is followed from now on."""
        self._plugged[port] = (bike, 0.0)

    def pull(self, port: PortId) -> None:
        """Pull a plug; some chargers stay behind without their pack."""
        self._plugged.pop(port, None)
        self.shed.draw(0.0, 0.7 if self.rng.random() < 0.3 else 0.0, port=port)

    def _follow(self) -> None:
        """Let the loads go on, as far as they are energised."""
        for port in self.names:
            plugged = self._plugged.get(port)
            contact = self.shed.contacts[port]
            if plugged is None:
                continue
            bike, energised = plugged
            drawn = bike.draw(Seconds(energised), Seconds(energised), Volts(230.0), self.rng.gauss(0, 1))
            self.shed.draw(float(drawn.current), float(drawn.power), port=port)
            if contact.closed:
                self._plugged[port] = (bike, energised + FOLLOW_EVERY)
        self.shed.later(FOLLOW_EVERY, self._follow)

    def fault(self) -> None:
        """Let a meter, the relay board, a line or the disk fail, or a load draw too much."""
        rng, shed, port = self.rng, self.shed, self._port()
        meter, board = shed.meters[port], shed.board
        span = rng.choice((1.0, 1.0, 2.5, 2.5, 5.0, 20.0, 200.0))
        broken: tuple[tuple[object, str], ...] = (
            (meter, "silent"),
            (meter, "silent"),
            (meter, "lost_energy"),
            (board, "silent"),
            (board, "mute"),
            (board, "blind"),
            (board, "deaf"),
        )
        other: tuple[Callable[[], None], ...] = (
            lambda: self._hold(shed.relay_bus, span),
            lambda: self._hold(shed.meter_bus, span),
            lambda: meter.script.append((rng.choice((float("nan"), float("inf"), -1.0, 2.0)), 100.0)),
            lambda: self._overload(port),
            lambda: setattr(shed, "stalled_until", shed.now + span),
        )
        which = rng.randrange(len(broken) + len(other))
        if which < len(broken):
            thing, how = broken[which]
            setattr(thing, how, True)
            shed.later(span, setattr, thing, how, False)
        else:
            other[which - len(broken)]()

    def _hold(self, bus: Bus, span: float) -> None:
        bus.held = True
        self.shed.later(min(span, 20.0), bus.release)

    def _overload(self, port: PortId) -> None:
        amps, watts = self.rng.choice(((5.6, 900.0), (7.6, 1100.0), (16.0, 2500.0), SHORT))
        self.shed.draw(amps, watts, port=port)

    def stick(self, port: PortId, how: str) -> None:
        """Let a contact be stuck, or follow its coil again."""
        contact = self.shed.contacts[port]
        contact.welded = how == "welded"
        contact.jammed = how == "jammed"
        if how == "freed":
            self.shed.set_contact(port, closed=contact.coil, by="freed")

    def mend(self) -> None:
        """Mend everything that is broken."""
        shed = self.shed
        shed.board.silent = shed.board.mute = shed.board.blind = shed.board.deaf = False
        for bus in (shed.relay_bus, shed.meter_bus):
            bus.release()
        for port in self.names:
            shed.meters[port].silent = shed.meters[port].lost_energy = False
            shed.meters[port].script.clear()
            self.stick(port, "freed")


MAIN, LEFT, RIGHT = CircuitId("main"), CircuitId("left"), CircuitId("right")
DETECTORS = {LEFT: "smoke-left", MAIN: "stop-main"}


def quarter(count: int = 12) -> StationPlan:
    """Two sheds below one supply, which is too small for all of their ports at once."""
    ports = [
        replace(port_plan(f"A{number:02d}", number), circuit=LEFT if number <= count // 2 else RIGHT)
        for number in range(1, count + 1)
    ]
    switch = RelayPlan(board=BoardId("io-a"), channel=1)
    inputs = (
        InputPlan(id=DETECTORS[LEFT], board=BoardId("io-a"), channel=1, kind=InputKind.SMOKE, circuit=LEFT),
        InputPlan(
            id=DETECTORS[MAIN], board=BoardId("io-a"), channel=2, kind=InputKind.EMERGENCY_STOP, circuit=MAIN
        ),
    )
    meter = FeederPlan(board=BoardId("feeder"))
    return StationPlan(
        ports=tuple(ports),
        circuits=(
            CircuitPlan(id=MAIN, rating=Amps(40.0)),
            CircuitPlan(id=LEFT, parent=MAIN, rating=Amps(20.0), meter=meter, contactor=switch),
            CircuitPlan(id=RIGHT, parent=MAIN, rating=Amps(16.0), power=Watts(2800.0)),
        ),
        inputs=inputs,
        queue_for=Seconds(300.0),
        resume_window=Seconds(1800.0),
    )


class QuarterLife(ModelledLife):
    """Life where circuits fill up, trip, and lose their mains."""

    def __init__(self, seed: int, folder: Path) -> None:
        super().__init__(seed, Shed(folder, site=quarter()))
        self._sow(self._trouble, 4 * MINUTE)

    def _trouble(self) -> None:
        rng, shed = self.rng, self.shed
        span = rng.choice((1.0, 5.0, 20.0, 120.0))
        match rng.randrange(7):
            case 0:
                circuit = rng.choice(list(DETECTORS))
                shed.danger.add(DETECTORS[circuit])
                shed.later(span, shed.danger.discard, DETECTORS[circuit])
                shed.later(span + rng.uniform(1.0, 120.0), self._look_after, circuit)
            case 1:
                shed.io.silent = True
                shed.later(span, setattr, shed.io, "silent", False)
            case 2:
                shed.feeders_silent = True
                shed.later(span, setattr, shed, "feeders_silent", False)
            case 3:
                shed.background[LEFT] = (rng.uniform(0.0, 18.0), rng.uniform(0.0, 2000.0))
                shed.later(span, self._quiet_again)
            case 4:
                shed.feeder_volts = (Volts(rng.choice((0.0, 150.0, 230.0, 275.0))),)
                shed.later(span, setattr, shed, "feeder_volts", (Volts(230.0),))
            case 5:
                self._mains_vanish(span)
            case _:
                for port in self.names:
                    self._whisper(port)

    def _quiet_again(self) -> None:
        self.shed.background.pop(LEFT, None)

    def _mains_vanish(self, span: float) -> None:
        """Take the mains from one shed: its loads draw nothing, its meters say nothing."""
        below = [port for port in self.names if self.shed.plans[port].circuit == RIGHT]
        for port in below:
            self.shed.meters[port].silent = True
            self.shed.later(span, setattr, self.shed.meters[port], "silent", False)

    def _whisper(self, port: PortId) -> None:
        """Let a meter show what its neighbours draw, as channels of one board do."""
        if self.shed.loads[port].watts < 1.0:
            self.shed.draw(0.01, self.rng.uniform(0.3, 1.3), port=port)

    def _look_after(self, circuit: CircuitId) -> None:
        if self._alive and not self.shed.dead:
            self.shed.ask_reset(holder_of(circuit))

    def mend(self) -> None:
        """Mend everything that is broken, and clear what has tripped."""
        super().mend()
        shed = self.shed
        shed.danger.clear()
        shed.background.clear()
        shed.feeders_silent, shed.io.silent, shed.feeder_volts = False, False, (Volts(230.0),)


class FrameLife(Life):
    """Life in a shed whose boards hang on a line."""

    def __init__(self, seed: int, folder: Path, ports: int = 12) -> None:
        self.framed = FrameShed(folder, ports, seed=seed)
        super().__init__(seed, self.framed)
        self._sow(self._short, 4 * MINUTE)

    def plug(self, port: PortId, bike: loads.Load) -> None:
        """Plug something in."""
        self.framed.world.socket(port).plug(bike)

    def pull(self, port: PortId) -> None:
        """Pull a plug."""
        self.framed.world.socket(port).unplug()

    def _short(self) -> None:
        """Let a charger that is under way break down, if there is one."""
        closed = [port for port in self.names if self.framed.contacts[port].closed]
        if closed:
            self.plug(self.rng.choice(closed), loads.resistive("short", SHORT[0]))

    def kill(self, after: float, *, power: bool) -> None:
        """Kill the daemon when no transaction is under way in this very thread."""
        self.framed.between_turns(lambda: self.shed.kill(after, power=power))

    def fault(self) -> None:
        """Let a board fall silent or reboot, the line spoil frames, the adapter vanish, or the disk stall."""
        rng, shed = self.rng, self.framed
        span = rng.choice((1.0, 1.0, 2.5, 2.5, 5.0, 20.0, 200.0))
        name = rng.choice(["relay", *(f"meter{number + 1}" for number in range(len(self.names)))])
        board, line, which = shed.world.board(name), shed.line, rng.randrange(7)
        if which in {2, 3, 4, 5} or (which in {0, 1} and name == "relay"):
            shed.disturbed_until = max(shed.disturbed_until, shed.now + span + LEFT_ALONE)
        if which in range(6):
            shed.broken_until = max(shed.broken_until, shed.now + span + LEFT_ALONE)
        match which:
            case 0:
                board.silence()
                shed.later(span, board.speak)
            case 1:
                board.power_off()
                shed.later(span, board.power_on)
            case 2 | 3:
                line.faults = Faults.evenly(rng.choice((0.02, 0.1, 0.3)))
                shed.later(span, setattr, line, "faults", Faults())
            case 4:
                line.gone = True
                shed.later(span, setattr, line, "gone", False)
            case 5:
                line.stuck_until = shed.now + min(span, 20.0)
            case _:
                shed.stalled_until = shed.now + span

    def stick(self, port: PortId, how: str) -> None:
        """Let a contact be stuck, or follow its coil again."""
        relay = self.framed.world.relay(port)
        if how == "welded":
            relay.weld()
        elif how == "jammed":
            relay.kill_driver()
        else:
            relay.repair()
        self.shed.contacts[port].welded = how == "welded"

    def mend(self) -> None:
        """Mend everything that is broken."""
        shed = self.framed
        shed.line.faults, shed.line.gone, shed.line.stuck_until = Faults(), False, 0.0
        for board in shed.world.boards_on("line"):
            board.speak()
            board.power_on()
        for port in self.names:
            self.stick(port, "freed")
