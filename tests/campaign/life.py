"""What happens in a shed: people, bikes, and everything that breaks; drawn from a seed."""

import random
from collections.abc import Callable
from pathlib import Path

from chargerd.core.moment import ClockQuality
from chargerd.core.plan import PortPlan
from chargerd.core.units import PortId, Seconds, Volts
from chargerd.sim import loads
from tests.campaign.books import Truth
from tests.campaign.shed import Shed
from tests.core.plant import Bus

MINUTE = 60.0
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


class Life:
    """One seed: a shed, what happens in it, and the books kept beside it."""

    def __init__(self, seed: int, folder: Path, *ports: PortPlan, poll: float = 1.0) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.shed = Shed(folder, *ports, poll=poll)
        self.books = Truth(self.shed)
        self.names = list(self.shed.plans)
        self._plugged: dict[PortId, tuple[loads.Load, float]] = {}
        for port in self.names:
            self.shed.draw(0.0, 0.0, port=port)
        self._alive = True
        self._sow(self._arrive, 1 * MINUTE)
        self._sow(self._fault, 2 * MINUTE)
        self._sow(self._rare, 15 * MINUTE)
        self._look()
        self.shed.later(FOLLOW_EVERY, self._follow)

    def run(self, hours: float) -> str:
        """Live on for so long, mend what is broken, settle all, and return the digest of the trace."""
        self.shed.run(hours * 3600.0)
        self._alive = False
        self._mend_all()
        self.shed.run(10.0)
        for port in self.names:
            self.shed.ask_stop(port)
        self.shed.run(30.0)
        self.books.close()
        self.shed.real.close(1.0)
        return self.shed.trace.hexdigest()

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
            self._plugged[port] = (bike, 0.0)
            self.shed.later(rng.uniform(1, 20), self._scan, port)
        elif what < 0.75:
            self._leave(port)
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

    def _leave(self, port: PortId) -> None:
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

    # What breaks, and mends after a while

    def _fault(self) -> None:
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

    def _rare(self) -> None:
        rng, shed = self.rng, self.shed
        if shed.dead:
            return
        match rng.randrange(6):
            case 0:
                shed.kill(rng.choice((0.5, 2.0, 10.0, 60.0)))
            case 1:
                shed.kill(rng.choice((1.0, 30.0, 3600.0)), power=True)
            case 2:
                shed.clock.offset += rng.choice((-1, 1)) * rng.choice((1.0, 3600.0, 3 * 365 * 86400.0))
            case 3:
                shed.clock.quality = rng.choice(list(ClockQuality))
            case 4:
                self._stick(self._port(), "welded")
            case _:
                self._stick(self._port(), "jammed")

    def _stick(self, port: PortId, how: str) -> None:
        contact = self.shed.contacts[port]
        setattr(contact, how, True)
        self.shed.later(self.rng.uniform(5.0, 600.0), self._free, port, how)

    def _free(self, port: PortId, how: str) -> None:
        contact = self.shed.contacts[port]
        setattr(contact, how, False)
        self.shed.set_contact(port, closed=contact.coil, by="freed")

    def _mend_all(self) -> None:
        shed = self.shed
        shed.board.silent = shed.board.mute = shed.board.blind = shed.board.deaf = False
        shed.mend_disk()
        for bus in (shed.relay_bus, shed.meter_bus):
            bus.release()
        for port in self.names:
            shed.meters[port].silent = shed.meters[port].lost_energy = False
            shed.meters[port].script.clear()
            for how in ("welded", "jammed"):
                self._free(port, how)
