"""What happens in a shed: people, bikes, and everything that breaks; drawn from a seed."""

import abc
import random
from collections import Counter
from collections.abc import Callable, Mapping

from chargerd.core.moment import ClockQuality
from chargerd.core.units import PortId, Seconds, SessionId, Volts, Watts
from chargerd.sim import loads
from tests.campaign.books import Truth
from tests.campaign.cloud import Cloud
from tests.campaign.deck import Deck
from tests.campaign.locks import Locks
from tests.campaign.outages import Outages
from tests.campaign.reservations import Reservations
from tests.campaign.shed import Shed
from tests.core.plant import Board, Bus

MINUTE = 60.0
LOOK_EVERY = 0.7
"""Seconds between two looks at what must hold at any time."""
FOLLOW_EVERY = 20.0
"""Seconds between two looks at how far a charge has come."""
SCALE = 4.0
"""How much sooner than real ones packs are full: a charge then ends within an hour or so."""
BIKES: Mapping[str, tuple[int, Callable[[int], loads.Load]]] = {
    "lithium 48 V": (6, lambda seed: loads.lithium(48, 2, seed=seed, capacity_scale=SCALE)),
    "lithium 60 V": (5, lambda seed: loads.lithium(60, 3, seed=seed, capacity_scale=SCALE)),
    "lithium 72 V": (3, lambda seed: loads.lithium(72, 5, seed=seed, capacity_scale=SCALE)),
    "lead-acid 48 V": (4, lambda seed: loads.lead_acid(48, seed=seed, capacity_scale=SCALE)),
    "lead-acid 60 V": (3, lambda seed: loads.lead_acid(60, seed=seed, capacity_scale=SCALE)),
    "two batteries": (2, lambda seed: loads.dual_battery(seed=seed, capacity_scale=SCALE)),
    "small charger": (2, lambda seed: loads.small_charger(seed=seed, capacity_scale=SCALE)),
    "cell balancing": (2, lambda seed: loads.balancing(seed=seed, capacity_scale=SCALE)),
    "ends at 0 W": (2, lambda seed: loads.ending_at(Watts(0.0), seed=seed, capacity_scale=SCALE)),
    "floats at 20 W": (2, lambda seed: loads.ending_at(Watts(20.0), seed=seed, capacity_scale=SCALE)),
    "power jump": (2, lambda seed: loads.jumping(seed=seed, capacity_scale=1.0)),
    "heater": (1, lambda _seed: loads.heater()),
    "kettle": (1, lambda _seed: loads.kettle()),
    "compressor": (1, lambda _seed: loads.compressor()),
    "growing overload": (1, lambda _seed: loads.growing_overload()),
}
"""What is brought, and how many times among 37."""
PEOPLE = ("mind changed", "start at the start", "charger stays")
"""What people do of all that may go wrong."""
RARE = (
    "killed",
    "restarted in order",
    "power cut",
    "clock jumps",
    "clock unsure",
    "welded",
    "stuck",
    "jammed",
    "broker away",
)
"""What breaks seldom, at either depth."""
FAULTS = (
    "meter silent",
    "meter without register",
    "meter frozen",
    "meter reversed",
    "untrue readings",
    "register reset",
    "relay board silent",
    "relay board mute",
    "relay board blind",
    "relay board deaf",
    "relay board refuses",
    "meters exchanged",
    "relay board reboots",
    "relay line held",
    "meter line held",
    "overload",
    "disk stalls",
)
"""What breaks often among modelled boards."""
SHORT = (30.0, 6000.0)
"""Amperes and watts of a short as far as a meter shows it before the breaker goes."""


class Life(abc.ABC):
    """People in a shed, and the books kept beside it; what breaks depends on what the shed is made of."""

    def __init__(self, seed: int, shed: Shed) -> None:
        self.rng = random.Random(seed)
        self._bikes = Deck(self.rng, [name for name, (times, _) in BIKES.items() for _ in range(times)])
        self._decks: dict[frozenset[str], Deck] = {}
        self.shed = shed
        self.books = Truth(shed)
        self.outages = Outages(shed)
        self.cloud = Cloud(seed, shed)
        self.happened: Counter[str] = Counter()
        """What was brought and what broke, by name, and how often."""
        self.names = list(shed.plans)
        self.reservations = Reservations(seed, shed, self.names, self.happened)
        self.locks = Locks(seed, shed, self.names, self.happened)
        self.reserving = True
        """Whether sockets are reserved in this life."""
        self.locking = True
        """Whether they are locked on site now and then."""
        self._alive = True
        self._sow(self._arrive, 1 * MINUTE)
        self._sow(self.fault, 2 * MINUTE)
        self._sow(self._rare, 15 * MINUTE)
        self._look()
        self._ask_why()

    def run(self, hours: float) -> str:
        """Live on for so long, mend what is broken, settle all, and return the digest of the trace."""
        if self.reserving:
            self.reservations.come()
        if self.locking:
            self.locks.come()
        self.shed.run(hours * 3600.0)
        self._alive = False
        self.shed.mend_disk()
        self.cloud.mend()
        self.mend()
        self.reservations.end()
        self.locks.end()
        self.shed.run(12.0)
        for port in self.names:
            self.shed.ask_stop(port)
        self.shed.run(30.0)
        self.books.close()
        self.outages.close()
        self.cloud.close(self.books.ended)
        self.shed.real.close(1.0)
        return self.shed.trace.hexdigest()

    @abc.abstractmethod
    def plug(self, port: PortId, bike: loads.Load) -> None:
        """Plug something in."""

    @abc.abstractmethod
    def pull(self, port: PortId, leaves: Watts) -> None:
        """Pull a plug, or take the battery alone: its charger stays and goes on drawing what it `leaves`."""

    @abc.abstractmethod
    def fault(self) -> None:
        """Let something break for a while."""

    @abc.abstractmethod
    def stick(self, port: PortId, how: str) -> None:
        """Let a contact be `welded`, `stuck` where it is, `jammed` open, or neither again (`freed`)."""

    @abc.abstractmethod
    def mend(self) -> None:
        """Mend everything that is broken."""

    def kill(self, after: float, *, power: bool) -> None:
        """Kill the daemon, or take away everybody's power."""
        self.shed.kill(after, power=power)

    def restart(self, after: float) -> None:
        """Stop the daemon in order, which has a moment for that, and begin anew."""
        self.shed.leave()
        self.shed.later(self.rng.choice((0.3, 1.5)), self._restarted, after, self.shed.life)

    def _restarted(self, after: float, life: int) -> None:
        if life == self.shed.life:  # Else it was killed meanwhile.
            self.begin_anew(after, power=False)

    # When

    def _look(self) -> None:
        self.books.check(self.shed.now)
        self.reservations.check(self.shed.now)
        self.shed.later(LOOK_EVERY, self._look)

    def _ask_why(self) -> None:
        self.shed.ask_why()
        self.shed.later(FOLLOW_EVERY, self._ask_why)

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
            self._bring(port)
            self.shed.later(rng.uniform(1, 20), self._scan, port)
        elif what < 0.75:
            self._take_away(port)
        elif self.shed.dead:
            pass  # Nobody hears them.
        elif what < 0.85:
            self.shed.ask_stop(port)
        elif what < 0.95:
            self._scan(port)
        else:
            self.shed.ask_reset(port)

    def _take_away(self, port: PortId) -> None:
        """Take a bike; some chargers stay behind, and idle at a little power or at more."""
        rng = self.rng
        stays = rng.random() < 0.4
        if stays:
            self.happened["charger stays"] += 1
        self.pull(port, Watts(rng.choice((0.7, rng.uniform(2.0, 15.0))) if stays else 0.0))

    def _bring(self, port: PortId) -> None:
        name = self._bikes.deal()
        self.happened[name] += 1
        self.plug(port, BIKES[name][1](self.rng.getrandbits(30)))

    def break_down(self, ways: Mapping[str, Callable[[float], None]]) -> None:
        """Let one of these things happen; each is told for how many seconds it lasts."""
        name = self._decks.setdefault(frozenset(ways), Deck(self.rng, ways)).deal()
        self.happened[name] += 1
        ways[name](self.rng.choice((1.0, 1.0, 2.5, 2.5, 5.0, 20.0, 200.0)))

    def charging_port(self) -> PortId:
        """Return a port whose contact is closed, if there is one."""
        closed = [port for port in self.names if self.shed.contacts[port].closed]
        return self.rng.choice(closed or self.names)

    def _scan(self, port: PortId) -> None:
        if not self._alive or self.shed.dead:
            return
        limits: dict[str, float] = {}
        if self.rng.random() < 0.2:
            limits["duration"] = self.rng.uniform(60, 3600)
        if self.rng.random() < 0.1:
            limits["energy"] = self.rng.uniform(1, 200)
        session = self.shed.session_of(self.shed.ask_start(port, **limits))
        if self.rng.random() < 0.2:
            self.happened["mind changed"] += 1
            self.shed.later(self.rng.choice((0.0, 0.0, 0.01, 0.5)), self._change_mind, port, session)

    def _change_mind(self, port: PortId, session: SessionId) -> None:
        """Stop at once what was just started: its start may still be on its way to the disk."""
        if not self.shed.dead:
            self.shed.ask_stop(port, session)
            self.books.unwanted.add(session)

    def _rare(self) -> None:
        rng, shed = self.rng, self.shed
        if shed.dead:
            return
        self.break_down(
            {
                **self.more_rare_ones(),
                "killed": lambda _span: self.begin_anew(rng.choice((0.5, 2.0, 10.0, 60.0)), power=False),
                "restarted in order": lambda _span: self.restart(rng.choice((1.0, 5.0, 30.0, 600.0))),
                "power cut": lambda _span: self.begin_anew(rng.choice((1.0, 30.0, 600.0, 3600.0)), power=True),
                "clock jumps": lambda _span: self._let_clock_jump(),
                "clock unsure": lambda _span: setattr(shed.clock, "quality", rng.choice(list(ClockQuality))),
                "welded": lambda _span: self._let_stick(self._port(), "welded"),
                "stuck": lambda _span: self._let_stick(self._port(), "stuck"),
                "jammed": lambda _span: self._let_stick(self._port(), "jammed"),
                "broker away": lambda _span: self.cloud.go_away(rng.choice((5.0, 300.0, 3600.0))),
            }
        )

    def more_rare_ones(self) -> Mapping[str, Callable[[float], None]]:
        """Return what else breaks seldom."""
        return {}

    def begin_anew(self, after: float, *, power: bool) -> None:
        """Kill the daemon; somebody may be waiting for the next one, and is heard before any board is."""
        self.kill(after, power=power)
        if self.rng.random() < 0.5:
            self.happened["start at the start"] += 1
            self._scan(self._port())

    def _let_clock_jump(self) -> None:
        self.shed.clock.offset += self.rng.choice((-1, 1)) * self.rng.choice((1.0, 3600.0, 3 * 365 * 86400.0))

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

    def pull(self, port: PortId, leaves: Watts) -> None:
        """Pull a plug, or leave a charger in its socket."""
        self._plugged.pop(port, None)
        self.shed.draw(leaves / 138.0, leaves, port=port)

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
        shed, port = self.shed, self._port()
        meter, board = shed.meters[port], shed.boards[shed.plans[port].relay.board]

        def broken(thing: object, how: str) -> Callable[[float], None]:
            def begin(span: float) -> None:
                setattr(thing, how, True)
                shed.later(span, setattr, thing, how, False)

            return begin

        self.break_down(
            {
                "meter silent": broken(meter, "silent"),
                "meter without register": broken(meter, "lost_energy"),
                "meter reversed": lambda span: self._reverse(port, span),
                "relay board silent": broken(board, "silent"),
                "relay board mute": broken(board, "mute"),
                "relay board blind": broken(board, "blind"),
                "relay board deaf": broken(board, "deaf"),
                "relay board reboots": lambda span: self._reboot(board, span),
                "relay board refuses": broken(board, "refuses"),
                "meters exchanged": lambda span: self._exchange(port, span),
                "relay line held": lambda span: self._hold(shed.relay_bus, span),
                "meter line held": lambda span: self._hold(shed.meter_bus, span),
                "untrue readings": lambda _span: meter.script.extend(self._nonsense()),
                "register reset": lambda _span: self._reset_register(port),
                "overload": lambda _span: self._overload(self.charging_port()),
                "disk stalls": lambda span: setattr(shed, "stalled_until", shed.now + span),
                **self.more_faults(port),
            }
        )

    def more_faults(self, port: PortId) -> Mapping[str, Callable[[float], None]]:
        """Return what else can break."""
        return {"meter frozen": lambda span: self._freeze(port, span)}

    def _nonsense(self) -> list[tuple[float, float]]:
        figures = (float("nan"), float("inf"), -1.0, 2.0)
        return [
            (self.rng.choice(figures), self.rng.choice((100.0, -200.0))) for _ in range(self.rng.randint(1, 4))
        ]

    def _reboot(self, board: Board, span: float) -> None:
        """Let a relay board restart: its relays fall open by themselves, and it is away for a moment."""
        for port, plan in self.shed.plans.items():
            if self.shed.boards[plan.relay.board] is board:
                there = self.shed.adapters.relay_at(port)
                self.shed.contacts[there].lapses_at, self.shed.contacts[there].coil = None, False
                self.shed.set_contact(there, closed=False, by="power")
        board.silent = True
        self.shed.later(min(span, 2.5), setattr, board, "silent", False)

    def _reverse(self, port: PortId, span: float) -> None:
        """Let somebody put a transformer on the wrong way round, and notice after a while."""
        meter = self.shed.meters[port]
        meter.reversed = True
        self.outages.distrust(port)
        self.shed.later(10 * span, setattr, meter, "reversed", False)

    def _reset_register(self, port: PortId) -> None:
        """Let a register begin at 0 again, for good."""
        begun = self.shed.loads[port].energy_at(self.shed.now)
        self.shed.meters[port].register = lambda counted: counted - begun
        self.outages.distrust(port)

    def _freeze(self, port: PortId, span: float) -> None:
        """Let a meter repeat what it shows, register included, whatever flows."""
        load, meter = self.shed.loads[port], self.shed.meters[port]
        amps, watts = load.at(self.shed.now)
        counted = load.energy_at(self.shed.now)
        meter.frozen, meter.register = (amps, watts), lambda _counted: counted
        self.outages.distrust(port)
        self.shed.later(10 * span, self._thaw, port)

    def _thaw(self, port: PortId) -> None:
        self.shed.meters[port].frozen = self.shed.meters[port].register = None

    def _exchange(self, port: PortId, span: float) -> None:
        """Let two meters measure each other's load for a while."""
        self._give_back()
        other = self.rng.choice([name for name in self.names if name != port] or [port])
        self.shed.wired[port], self.shed.wired[other] = other, port
        self.outages.distrust(port)
        self.outages.distrust(other)
        self.shed.later(10 * span, self._give_back)

    def _give_back(self) -> None:
        self.shed.wired = {name: name for name in self.names}

    def _hold(self, bus: Bus, span: float) -> None:
        bus.held = True
        self.shed.later(min(span, 20.0), bus.release)

    def _overload(self, port: PortId) -> None:
        amps, watts = self.rng.choice(((5.6, 900.0), (7.6, 1100.0), (16.0, 2500.0), SHORT))
        self.shed.draw(amps, watts, port=port)

    def stick(self, port: PortId, how: str) -> None:
        """Let a contact be stuck, or follow its coil again."""
        contact = self.shed.contacts[port]
        contact.welded = how in {"welded", "stuck"}
        contact.jammed = how == "jammed"
        contact.hidden = False
        if how == "freed":
            self.shed.set_contact(port, closed=contact.coil, by="freed")

    def mend(self) -> None:
        """Mend everything that is broken."""
        shed = self.shed
        for board in shed.boards.values():
            board.silent = board.mute = board.blind = board.deaf = board.refuses = False
        self._give_back()
        for bus in (shed.relay_bus, shed.meter_bus):
            bus.release()
        for port in self.names:
            shed.meters[port].silent = shed.meters[port].lost_energy = shed.meters[port].reversed = False
            shed.meters[port].script.clear()
            self._thaw(port)
            self.stick(port, "freed")
