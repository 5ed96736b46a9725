"""The reaction time a site's buses leave: from too much current at the clamp to an open contact, port by port.

`budget(site)` foretells what the schedule does when every port is closed and one more is being started; the paces
are the schedule's own (`chargerd.config.budget.pacing`). All spans are seconds.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from chargerd.config.budget.bus_load import POLLS, Fast, Load, again, another_port, load_of
from chargerd.config.budget.line_time import WRITE, LineTime, read_back
from chargerd.config.budget.pacing import GATEWAY_MAY_WAIT
from chargerd.config.budget.population import Population, population
from chargerd.config.plans import LEASE, RENEW_EVERY
from chargerd.config.profiles.models import Profile
from chargerd.config.site import PortWiring, Site
from chargerd.core.plan import RENEWAL_MARGIN, RETRY_FIRST
from chargerd.core.units import PortId, Seconds

CONTACT = Seconds(0.01)
"""Release time of a relay's contact: data sheets of 10 A to 16 A relays for printed boards say 5 to 10 ms."""
MOST_PORTS = 246
"""Addresses of a line, less one for a relay board."""


class Trouble(StrEnum):
    """Why a site cannot meet its own times."""

    STALE = "stale"
    """Three polls take longer than the time after which a meter counts as silent."""
    DEFINITE = "definite"
    """The delay of the definite overcurrent function ends before a second value of the meter can be there."""
    OVERPOWER = "overpower"
    """The delay of the overpower function ends before a second value of the power can be there."""
    LOST = "lost"
    """One answer that is lost makes a meter count as silent whose times were set so."""
    LEASES = "leases"
    """Leases that fall due together cannot all be renewed in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A time that cannot be met: how long it takes, and how long it may. `ports` are those it holds for."""

    trouble: Trouble
    bus: str
    ports: tuple[PortId, ...]
    takes: Seconds
    may: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PortBudget:
    """The parts of one port's reaction time at their worst, and their sum.

    The parts named `_lost` come on top when one frame is lost in that part.
    """

    port: PortId
    refresh: Seconds
    """Until the meter's registers show what flows."""
    interval: Seconds
    """From one reading to the next, no port being started."""
    polling: Seconds
    """Until the reading that shows it is complete, a port being started."""
    in_flight: Seconds
    """Until the transaction under way on the relay's bus is over."""
    write: Seconds
    """Until the board has been told to open, and the contact is open."""
    polling_lost: Seconds
    in_flight_lost: Seconds
    write_lost: Seconds
    read_back: Seconds
    """Beside the sum: until the open relay has been read back as well."""
    definite: Seconds
    """The whole time for a current above the definite threshold, its delay included."""
    silent: Seconds
    """The whole time from the last reading of a meter that falls silent."""

    @property
    def worst(self) -> Seconds:
        """From the overload to the open contact, every frame arriving."""
        return Seconds(self.refresh + self.polling + self.in_flight + self.write)

    @property
    def worst_lost(self) -> Seconds:
        """The same with one frame lost in each part."""
        return Seconds(self.worst + self.polling_lost + self.in_flight_lost + self.write_lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class BusBudget:
    """What a bus has to carry: `share` of its time is needed, from 0."""

    bus: str
    baudrate: int | None
    """`None` on Modbus TCP, which is reckoned with a network round trip instead."""
    ports: int
    share: float
    round: Seconds
    """The floor: every current once and nothing else."""
    interval: Seconds
    """The longest polling interval of a port on it, no port being started; 0 without meters."""
    gateway_may_wait: Seconds | None = None
    """Modbus TCP: how long a gateway may wait for a silent board before other boards' meters count as silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The reaction times of a site, and those it cannot meet."""

    ports: Mapping[PortId, PortBudget]
    buses: Mapping[str, BusBudget]
    faults: tuple[Fault, ...]


def budget(site: Site) -> Budget:
    """Return the reaction times of a site."""
    populations = populations_of(site)
    loads = {name: load_of(there) for name, there in populations.items()}
    plans = {plan.id: plan.protection.definite_delay for plan in site.plan.ports}
    stale = {plan.id: plan.protection.stale_after for plan in site.plan.ports}
    return Budget(
        ports={
            wiring.id: _port(wiring, site, loads, populations, plans[wiring.id], stale[wiring.id])
            for wiring in site.ports
        },
        buses={name: _bus(name, there, loads[name], site) for name, there in populations.items()},
        faults=tuple(fault for name, load in loads.items() for fault in faults_of(load, name)),
    )


def populations_of(site: Site) -> dict[str, Population]:
    """Return what hangs on each bus that anything is read or written on."""
    found = {name: population(site, name, section) for name, section in site.buses.items()}
    return {name: there for name, there in found.items() if there.used}


def _port(
    wiring: PortWiring,
    site: Site,
    loads: Mapping[str, Load],
    populations: Mapping[str, Population],
    delay: Seconds,
    stale: Seconds,
) -> PortBudget:
    meter, relay = site.boards[wiring.meter.board], site.boards[wiring.relay.board]
    load, fast = loads[meter.bus], _fast_of(loads[meter.bus], wiring.id)
    there, line = loads[relay.bus], populations[relay.bus].line
    polling = Seconds(load.interval_starting(fast) + fast.after_asking)
    write = _write(line, relay.profile)
    end = Seconds(there.longest + write)
    lost = Seconds(max(RETRY_FIRST, line.lost(WRITE, relay.profile.timing)) + there.longest)
    seen = Seconds(fast.refresh + polling + max(delay, counted(load, fast)))
    return PortBudget(
        port=wiring.id,
        refresh=fast.refresh,
        interval=load.interval(fast),
        polling=polling,
        in_flight=there.longest,
        write=write,
        polling_lost=again(load, fast),
        in_flight_lost=Seconds(there.longest_lost - there.longest),
        write_lost=lost,
        read_back=line.takes(read_back(relay.profile), relay.profile.timing),
        definite=Seconds(seen + end),
        silent=Seconds(max(stale, POLLS * fast.refresh) + end),
    )


def _fast_of(load: Load, port: PortId) -> Fast:
    return next(fast for fast in load.fast if fast.hung.port == port)


def _write(line: LineTime, relay: Profile) -> Seconds:
    asked = line.asked(WRITE, relay.timing)
    return Seconds(asked + line.turnaround(relay.timing) + CONTACT)


def _bus(name: str, there: Population, load: Load, site: Site) -> BusBudget:
    section = site.buses[name]
    return BusBudget(
        bus=name,
        baudrate=None if section.tcp is not None else section.baudrate,
        ports=len(there.ports),
        share=load.share,
        round=load.round,
        interval=Seconds(max((load.interval(fast) for fast in load.fast), default=0.0)),
        gateway_may_wait=_gateway_may_wait(load) if section.tcp is not None else None,
    )


def _gateway_may_wait(load: Load) -> Seconds:
    """Return how long all boards of a line may be kept waiting by one of them that is silent."""
    spare = (fast.hung.protection.stale_after - load.interval(fast) - load.longest for fast in load.fast)
    return Seconds(max(0.0, min(GATEWAY_MAY_WAIT, *spare, GATEWAY_MAY_WAIT)))


def counted(load: Load, fast: Fast) -> Seconds:
    """Return the longest time from one value of a meter that counts to the next."""
    return Seconds(fast.refresh + load.interval_starting(fast))


def faults_of(load: Load, bus: str) -> tuple[Fault, ...]:
    """Return the times a load cannot meet, the worst case of each."""
    return _faults_of(load, bus, load.fast)


def _faults_of(load: Load, bus: str, each: tuple[Fast, ...]) -> tuple[Fault, ...]:
    found: list[Fault] = []

    def note(trouble: Trouble, cases: list[tuple[PortId, float, float]]) -> None:
        late = [case for case in cases if case[1] > case[2]]
        if late:
            _port, takes, may = max(late, key=lambda case: case[1] / case[2])
            ports = tuple(case[0] for case in late)
            found.append(Fault(trouble=trouble, bus=bus, ports=ports, takes=Seconds(takes), may=Seconds(may)))

    note(
        Trouble.STALE,
        [(one.hung.port, POLLS * load.poll(one), one.hung.protection.stale_after) for one in each],
    )
    note(
        Trouble.DEFINITE,
        [(one.hung.port, counted(load, one), one.hung.protection.definite_delay) for one in each],
    )
    note(
        Trouble.OVERPOWER,
        [(one.hung.port, _power_counted(load, one), one.hung.protection.overpower_delay) for one in each],
    )
    note(
        Trouble.LOST,
        [
            (one.hung.port, load.interval(one) + again(load, one), one.hung.protection.stale_after)
            for one in each
            if one.hung.timed
        ],
    )
    leases = LEASE - RENEWAL_MARGIN - RENEW_EVERY
    note(Trouble.LEASES, [(port, load.renewals, leases) for port in load.leased])
    return tuple(found)


def _power_counted(load: Load, fast: Fast) -> float:
    """Return the longest time from one value of the power that counts to the next."""
    return fast.refresh + load.power_interval if load.power_interval else counted(load, fast)


def fits(there: Population) -> bool:
    """Say whether all times can be met with this on a line."""
    return _is_met(load_of(there))


def _is_met(load: Load) -> bool:
    return not _faults_of(load, "", load.kinds)


def room(site: Site) -> Mapping[str, int]:
    """Return how many more ports like its last one would fit on each bus."""
    return {
        name: most_ports(there) - len(there.ports) if there.ports else 0
        for name, there in populations_of(site).items()
    }


def most_ports(there: Population) -> int:
    """Return how many ports like those there may hang on the line; never less than there are, if those fit."""
    here, load, more = len(there.ports), load_of(there), another_port(there)
    if _is_met(load):
        return _most(here, MOST_PORTS, lambda count: _is_met(load.with_more(more, count - here)))
    return _most(0, here - 1, lambda count: fits(there.with_ports(count)))


def _most(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return the highest number from `low` to `high` up to which something holds; `low` if for none."""
    while low < high:
        middle = math.ceil((low + high) / 2)
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
