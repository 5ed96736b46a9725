"""People with bikes: they come, plug in, scan, charge, leave, and some of them misbehave.

Pure and seeded: `due` says what they do next, and they are told how their sessions go. `rate` lets them come more
often and makes their batteries smaller and their orders shorter; how fast a hand moves stays as it is.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from chargerd.core.units import Instant, PortId, Seconds, after
from chargerd.sim.loads import (
    Load,
    compressor,
    dual_battery,
    growing_overload,
    heater,
    kettle,
    lead_acid,
    lithium,
    small_charger,
)

BETWEEN_ARRIVALS = Seconds(600.0)
"""Mean, at rate 1: a shed of twelve sockets in the evening."""
LEAST_BETWEEN = Seconds(3.0)
NAMES = (
    "Anna",
    "Bo",
    "Chen",
    "Dana",
    "Emil",
    "Fatma",
    "Goran",
    "Hana",
    "Ines",
    "Jun",
    "Kofi",
    "Lena",
    "Mei",
    "Nils",
    "Olga",
    "Pavel",
    "Qi",
    "Rosa",
    "Sami",
    "Tomas",
    "Uma",
    "Vera",
    "Wei",
    "Yusuf",
    "Zofia",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One rider at one port. `story` says in a few words what will happen."""

    rider: str
    port: PortId
    story: str
    load: Load | None
    """What is plugged in; `None`: the rider forgets to."""
    duration: Seconds
    energy: float | None = None
    """Watt-hours ordered, `None`: by time only."""
    stops_after: Seconds | None = None
    """Stops by phone this long after charging began."""
    unplugs_after: Seconds | None = None
    """Pulls the plug this long after charging began, and tells nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrives:
    """A rider stands at a port."""

    visit: Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class PlugsIn:
    """The rider plugs in `visit.load`."""

    visit: Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The rider scans the port and pays: a start is wanted."""

    visit: Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class PhonesStop:
    """The rider stops the session by phone."""

    visit: Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplugs:
    """The rider pulls the plug."""

    visit: Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaves:
    """The rider is gone; the socket is empty."""

    visit: Visit


Action: TypeAlias = Arrives | PlugsIn | Orders | PhonesStop | Unplugs | Leaves
Teller: TypeAlias = Callable[[random.Random, float], Visit]
"""Makes a visit from a source of chance and the rate; rider and port are filled in later."""


def _visit(story: str, load: Load | None, hours: float, rate: float, **more: float | None) -> Visit:
    # An hour of a day that runs sixty times faster is a minute; less than a minute is no charge at all.
    duration = Seconds(max(60.0, hours * 3600 / rate))
    visit = Visit(rider="", port=PortId(""), story=story, load=load, duration=duration)
    return replace(visit, **more)  # type: ignore[arg-type]  # the callers below name members of Visit


def _lithium(rng: random.Random, rate: float) -> Load:
    volts, amps = rng.choice([(48, 2), (48, 3), (60, 3), (60, 5), (72, 5)])
    return lithium(volts, amps, seed=rng.getrandbits(32), capacity_scale=rate)


def _charges(rng: random.Random, rate: float) -> Visit:
    return _visit("charges", _lithium(rng, rate), rng.uniform(2, 6), rate)


def _lead_acid(rng: random.Random, rate: float) -> Visit:
    load = lead_acid(rng.choice([48, 60]), seed=rng.getrandbits(32), capacity_scale=rate)
    return _visit("charges overnight", load, rng.uniform(4, 8), rate)


def _two_packs(rng: random.Random, rate: float) -> Visit:
    load = dual_battery(seed=rng.getrandbits(32), capacity_scale=rate)
    return _visit("charges two packs", load, rng.uniform(4, 8), rate)


def _scooter(rng: random.Random, rate: float) -> Visit:
    load = small_charger(seed=rng.getrandbits(32), capacity_scale=rate)
    return _visit("charges a scooter", load, rng.uniform(1, 4), rate)


def _too_little(rng: random.Random, rate: float) -> Visit:
    load = lithium(72, 5, seed=rng.getrandbits(32), ampere_hours=40, capacity_scale=rate)
    energy = max(1.0, round(rng.uniform(90, 180) / rate))
    return _visit("orders too little energy", load, 6, rate, energy=energy)


def _phones(rng: random.Random, rate: float) -> Visit:
    return _visit("stops by phone", _lithium(rng, rate), 4, rate, stops_after=rng.uniform(12, 40))


def _pulls_plug(rng: random.Random, rate: float) -> Visit:
    return _visit("pulls the plug early", _lithium(rng, rate), 1, rate, unplugs_after=rng.uniform(15, 60))


def _cooks(rng: random.Random, rate: float) -> Visit:
    load = _lithium(rng, rate).with_timer(kettle(), Seconds(rng.uniform(8, 30)))
    return _visit("has a kettle on a timer", load, 4, rate)


def _fails(rng: random.Random, rate: float) -> Visit:
    load = growing_overload(start=rng.uniform(1.5, 3.0), per_second=rng.uniform(0.1, 0.3))
    return _visit("has a failing charger", load, 4, rate)


def _freezes(_rng: random.Random, rate: float) -> Visit:
    return _visit("brings a heater", heater(5.3), 2, rate)


def _forgets(rng: random.Random, rate: float) -> Visit:
    return _visit("forgets to plug in", None, rng.uniform(2, 4), rate)


TELLERS: tuple[tuple[Teller, int], ...] = (
    (_charges, 8),
    (_lead_acid, 3),
    (_two_packs, 1),
    (_scooter, 2),
    (_too_little, 3),
    (_phones, 3),
    (_pulls_plug, 2),
    (_cooks, 2),
    (_fails, 1),
    (_freezes, 1),
    (_forgets, 1),
)
"""Who comes, and how often beside the others."""


def _pumps(rng: random.Random, rate: float) -> Visit:
    # Unlike a kettle's, its current is beyond a threshold that its power is not: it can only trip by current.
    load = lithium(48, 2, seed=rng.getrandbits(32), capacity_scale=rate).with_timer(compressor(), Seconds(10.0))
    return _visit("pumps tyres with a compressor", load, 4, rate)


def _first_stop(rng: random.Random, rate: float) -> Visit:
    return replace(_phones(rng, rate), stops_after=Seconds(14.0))


OPENING: tuple[tuple[float, Teller], ...] = (
    (1.0, _charges),
    (2.5, _pumps),
    (4.0, _too_little),
    (6.0, _first_stop),
    (9.0, _lead_acid),
)
"""The first visits, so that whoever looks sees within a minute what there is to see: seconds, and who comes."""


class Riders:
    """All riders of a site. `ports` are taken in turn, from the first one on."""

    def __init__(self, seed: int, ports: Sequence[PortId], rate: float = 1.0) -> None:
        self.turned_away = 0
        """How many found every port taken."""
        self._random = random.Random(seed)  # noqa: S311 - a simulation has no secrets
        self._ports = tuple(ports)
        self._rate = rate
        self._visits: dict[PortId, Visit] = {}
        self._blocked: set[PortId] = set()
        self._turn = 0
        self._numbers = itertools.count()
        self._names = itertools.count()
        self._plan: list[tuple[Instant, int, Action]] = []
        self._opening: list[tuple[float, Teller]] = list(OPENING)
        self._next: tuple[Instant, Teller] | None = None
        self._began: Instant | None = None

    # What they do

    def due(self, now: Instant) -> list[Action]:
        """Return what riders do up to `now`, in order."""
        if self._began is None:
            self._began = now
            self._next = self._next_arrival(now)
        while self._next is not None and self._next[0] <= now:
            at, teller = self._next
            self._arrive(at, teller)
            self._next = self._next_arrival(at)
        done: list[Action] = []
        while self._plan and self._plan[0][0] <= now:
            action = heapq.heappop(self._plan)[2]
            if self._visits.get(action.visit.port) is not action.visit:
                continue
            if isinstance(action, Leaves):
                del self._visits[action.visit.port]
            done.append(action)
        return done

    def at(self, port: PortId) -> Visit | None:
        """Return who is at a port."""
        return self._visits.get(port)

    # What they are told

    def started(self, port: PortId, now: Instant) -> None:
        """Charging has begun at this port."""
        visit = self._visits.get(port)
        if visit is None:
            return
        if visit.stops_after is not None:
            self._later(now, visit.stops_after, PhonesStop(visit=visit))
        if visit.unplugs_after is not None:
            self._later(now, visit.unplugs_after, Unplugs(visit=visit))

    def ended(self, port: PortId, now: Instant) -> None:
        """The session at this port is over, or never came about."""
        visit = self._visits.get(port)
        if visit is None:
            return
        pause = Seconds(self._random.uniform(3, 8))
        self._later(now, pause, Unplugs(visit=visit))
        self._later(now, Seconds(pause + self._random.uniform(1, 4)), Leaves(visit=visit))

    def block(self, port: PortId) -> None:
        """Nobody can charge at this port until further notice; people see that and go to another."""
        self._blocked.add(port)

    def unblock(self, port: PortId) -> None:
        """This port can be used again."""
        self._blocked.discard(port)

    # Inside

    def _next_arrival(self, last: Instant) -> tuple[Instant, Teller]:
        if self._opening and self._began is not None:
            offset, teller = self._opening.pop(0)
            return after(self._began, Seconds(offset)), teller
        tellers, weights = zip(*TELLERS, strict=True)
        wait = max(LEAST_BETWEEN, self._random.expovariate(self._rate / BETWEEN_ARRIVALS))
        return after(last, Seconds(wait)), self._random.choices(tellers, weights)[0]

    def _arrive(self, at: Instant, teller: Teller) -> None:
        visit = teller(self._random, self._rate)
        port = self._free_port()
        if port is None:
            self.turned_away += 1
            return
        name = NAMES[next(self._names) % len(NAMES)]
        visit = replace(visit, rider=name, port=port)
        self._visits[port] = visit
        self._later(at, Seconds(0.0), Arrives(visit=visit))
        if visit.load is not None:
            self._later(at, Seconds(self._random.uniform(0.5, 1.5)), PlugsIn(visit=visit))
        self._later(at, Seconds(self._random.uniform(1.6, 3.0)), Orders(visit=visit))

    def _free_port(self) -> PortId | None:
        for offset in range(len(self._ports)):
            port = self._ports[(self._turn + offset) % len(self._ports)]
            if port not in self._visits and port not in self._blocked:
                self._turn = (self._turn + offset + 1) % len(self._ports)
                return port
        return None

    def _later(self, now: Instant, span: Seconds, action: Action) -> None:
        heapq.heappush(self._plan, (after(now, span), next(self._numbers), action))
