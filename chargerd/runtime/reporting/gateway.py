"""What the daemon shows of itself when asked: `state/info`, the states of its ports, `chargerctl status`."""

from collections.abc import Callable, Sequence

from chargerd import __version__
from chargerd.config.budget.budget import budget
from chargerd.config.problems import Problem
from chargerd.config.site import Site
from chargerd.contract import bodies
from chargerd.contract.arguments import KNOWN
from chargerd.contract.ledger import Body, Json
from chargerd.contract.payloads import MAJOR, MINOR
from chargerd.core.clock import Clock
from chargerd.core.units import PortId
from chargerd.core.view import PortView
from chargerd.runtime.engine import Engine
from chargerd.runtime.reporting.health import Watched
from chargerd.store.journal import Journal


class GatewayState:
    """Answers with bodies as they go out; every answer is of now."""

    def __init__(
        self,
        *,
        site: Site,
        engine: Engine,
        journal: Journal,
        buses: Sequence[Watched],
        clock: Clock,
        link: Callable[[], dict[str, Json] | None],
        configuration: Callable[[], Json] = lambda: None,
        refusal: Callable[[], Problem | None] = lambda: None,
    ) -> None:
        """`configuration`: what is known of where the site was read from; `None` if that was no file.

        `refusal`: why that file, as it is now, is not what runs.
        """
        self._site = site
        self._engine = engine
        self._journal = journal
        self._buses = buses
        self._clock = clock
        self._link = link
        self._configuration = configuration
        self._refusal = refusal
        self._began = clock.now()
        self.latencies = {port: one.worst for port, one in budget(site).ports.items()}
        """At worst, from too much current to an open contact, of each port."""

    def adopt(self, site: Site) -> None:
        """Tell of this site from now on: a configuration was read anew."""
        self._site = site

    def info(self) -> Body:
        """Return `state/info`."""
        site = self._site
        span = self._journal.span()
        refused = self._refusal()
        ports: list[Json] = [
            {"port": port.id, "label": port.label, "circuit": port.circuit} for port in site.plan.ports
        ]
        boards: list[Json] = [
            {"board": board.id, "bus": board.bus, "address": board.address, "profile": board.profile.name}
            for board in site.boards.values()
        ]
        circuits: list[Json] = [circuit.id for circuit in site.plan.circuits]
        return {
            "name": site.gateway.name,
            "timezone": site.gateway.timezone,
            "version": __version__,
            "contract": f"{MAJOR}.{MINOR}",
            "configuration": site.digest,
            "configuration_refused": None if refused is None else str(refused),
            "starts": self._journal.recovery.starts,
            "ports": ports,
            "boards": boards,
            "circuits": circuits,
            "capabilities": list(KNOWN),
            "ledger": {"stream": span.stream, "first": span.first, "last": span.last},
        }

    def port_ids(self) -> Sequence[PortId]:
        """Return all ports."""
        return [port.id for port in self._site.plan.ports]

    def port_state(self, port: PortId) -> Body:
        """Return `state/port/{port}`."""
        return self.of_port(self._engine.view(port))

    def of_port(self, view: PortView) -> dict[str, Json]:
        """Return `state/port/{port}` of a port as it was looked at."""
        latency = self.latencies.get(view.id)
        return bodies.plain(bodies.port_state(view, now=self._clock.moment(), latency_budget=latency))

    def status(self) -> dict[str, Json]:
        """Return what `chargerctl status` tells of the gateway."""
        span, now = self._journal.span(), self._clock.moment()
        mqtt = self._site.mqtt
        buses: list[Json] = [_bus_status(bus, self._site) for bus in self._buses]
        return {
            "gateway": self._site.gateway.id,
            "name": self._site.gateway.name,
            "version": __version__,
            "boot": self._journal.recovery.boot,
            "up_s": round(self._clock.now() - self._began, 1),
            "mqtt": None
            if mqtt is None
            else {"broker": f"{mqtt.host}:{mqtt.broker_port}", **(self._link() or {"connected": False})},
            "ledger": {"stream": span.stream, "last": span.last, "acked": span.acked},
            "configuration": self._configuration(),
            "store": {"writable": self._journal.why_not is None, "why_not": self._journal.why_not},
            "buses": buses,
            "circuits": [
                bodies.plain(bodies.circuit_state(view, now=now)) for view in self._engine.circuit_views()
            ],
        }


def _bus_status(bus: Watched, site: Site) -> dict[str, Json]:
    counters = bus.counters
    lost: list[Json] = list(bus.lost_boards())
    return {
        "bus": bus.name,
        "line": site.buses[bus.name].place,
        "connected": bus.connected,
        "boards_lost": lost,
        "transactions": counters.transactions,
        "timeouts": counters.timeouts,
        "corrupt": counters.corrupt,
        "exceptions": counters.exceptions,
        "foreign_bytes": counters.foreign_bytes,
    }
