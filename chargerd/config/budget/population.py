"""What hangs on a line: ports, boards and circuits' meters of a site, and of sites that might be."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from chargerd.config.budget.line_time import LineTime
from chargerd.config.document import BusSection
from chargerd.config.plans import is_leased, lease_scope
from chargerd.config.profiles.models import Profile
from chargerd.config.site import Site
from chargerd.core.plan import LeaseScope, Protection, mains_of
from chargerd.core.units import BoardId, PortId


@dataclass(frozen=True, slots=True, kw_only=True)
class Hung:
    """One port as far as it hangs on one bus: its meter, its relay, or both."""

    port: PortId
    mains: tuple[str, str]
    """The same for all ports whose voltage one meter tells."""
    protection: Protection
    meter: Profile | None = None
    meter_board: BoardId | None = None
    timed: bool = False
    """Whether the meter's times are the configuration's, not its profile's."""
    relay: Profile | None = None
    leased: bool = False
    alone: bool = True
    """Whether its lease is its relay's own; else its board's heartbeat renews it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Everything that hangs on one line."""

    line: LineTime
    ports: tuple[Hung, ...]
    relay_boards: tuple[Profile, ...] = ()
    input_boards: tuple[Profile, ...] = ()
    feeders: tuple[Profile, ...] = ()
    thermometers: tuple[Profile, ...] = ()
    contactors: tuple[Profile, ...] = ()
    """The board of each contactor that is closed by a lease of its own."""
    heartbeats: tuple[Profile, ...] = ()
    """The boards one write each of which renews all their relays."""

    @property
    def used(self) -> bool:
        """Whether anything is read or written on the line."""
        boards = (self.relay_boards, self.input_boards, self.feeders, self.thermometers)
        return bool(self.ports) or any(boards)

    def at(self, line: LineTime) -> "Population":
        """Return the same on another line."""
        return replace(self, line=line)

    def with_ports(self, count: int) -> "Population":
        """Return the same with so many ports: the first ones, or more like the last."""
        last = self.ports[-1]
        more = tuple(
            replace(
                last,
                port=PortId(f"{last.port}+{index}"),
                mains=("port", f"{last.port}+{index}") if last.mains[1] == last.port else last.mains,
                meter_board=BoardId(f"{last.meter_board}+{index}"),
            )
            for index in range(count - len(self.ports))
        )
        return replace(self, ports=(*self.ports[:count], *more))

    def with_meter(self, meter: Profile) -> "Population":
        """Return the same with other meters, as many of them as it takes."""
        assert meter.meter is not None
        ports: list[Hung] = []
        for place, hung in enumerate(self.ports):
            board = BoardId(f"new-{place // meter.meter.channels}")
            ports.append(hung if hung.meter is None else replace(hung, meter=meter, meter_board=board))
        return replace(self, ports=tuple(ports))


def population(site: Site, bus: str, section: BusSection) -> Population:
    """Return what hangs on a bus of a site."""
    plans = {plan.id: plan for plan in site.plan.ports}
    circuits = {circuit.id: circuit for circuit in site.plan.circuits}
    ports = []
    for wiring in site.ports_of(bus):
        meter, relay = site.boards[wiring.meter.board], site.boards[wiring.relay.board]
        ports.append(
            Hung(
                port=wiring.id,
                mains=mains_of(plans[wiring.id], circuits),
                protection=plans[wiring.id].protection,
                meter=meter.profile if meter.bus == bus else None,
                meter_board=meter.id,
                timed=meter.timed,
                relay=relay.profile if relay.bus == bus else None,
                leased=relay.bus == bus and is_leased(relay),
                alone=lease_scope(relay) is not LeaseScope.BOARD,
            )
        )
    relays = {wiring.relay.board for wiring in site.ports}
    relays |= {circuit.contactor.board for circuit in site.plan.circuits if circuit.contactor is not None}
    return Population(
        line=LineTime.of(section),
        ports=tuple(ports),
        relay_boards=_profiles(site, bus, relays),
        input_boards=_profiles(site, bus, {plan.board for plan in site.plan.inputs}),
        thermometers=_profiles(
            site, bus, {port.temperature.board for port in site.ports if port.temperature is not None}
        ),
        contactors=tuple(
            site.boards[circuit.contactor.board].profile
            for circuit in site.plan.circuits
            if circuit.contactor is not None
            and circuit.contactor.lease is not None
            and circuit.contactor.scope is LeaseScope.RELAY
            and site.boards[circuit.contactor.board].bus == bus
        ),
        heartbeats=_profiles(
            site, bus, {board for board in relays if lease_scope(site.boards[board]) is LeaseScope.BOARD}
        ),
        feeders=_profiles(site, bus, (circuit.meter.board for circuit in site.plan.circuits if circuit.meter)),
    )


def _profiles(site: Site, bus: str, boards: Iterable[BoardId]) -> tuple[Profile, ...]:
    here = (site.boards[board] for board in sorted(set(boards)))
    return tuple(board.profile for board in here if board.bus == bus)
