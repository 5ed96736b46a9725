"""A gateway of the reference site as Prometheus sees it, with something of everything there is to tell."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from chargerd.config.budget.budget import budget
from chargerd.config.document import MetricsSection
from chargerd.config.loader import load
from chargerd.config.site import Site
from chargerd.contract.ledger import Body, LedgerEntry, LedgerSpan, RowKind
from chargerd.core.metering.seen import Measured
from chargerd.core.moment import Moment
from chargerd.core.stance import Known, Stance
from chargerd.core.station import Station
from chargerd.core.units import Amps, Celsius, Instant, PortId, Seconds, Volts, WattHours, Watts
from chargerd.core.view import CircuitView, PortView
from chargerd.modbus.build import build
from chargerd.modbus.bus import Bus
from chargerd.modbus.diagnosis import Cause, Finding
from chargerd.mqtt.attempts import LinkState
from chargerd.runtime.metrics.collect import Sources
from chargerd.runtime.metrics.exporter import Exporter
from chargerd.runtime.process.supervisor import Supervisor
from tests.modbus.kit import VirtualClock
from tests.runtime.technician import at_rest

OPEN = Stance(closed=False, known=Known.READ_BACK)
QUARTER = Path(__file__).parents[2] / "config" / "quarter.yaml"


@cache
def quarter() -> Site:
    """Return the reference site, which takes a moment to be read."""
    return load(QUARTER)


@cache
def _budgets() -> Mapping[PortId, Seconds]:
    return {port: one.worst for port, one in budget(quarter()).ports.items()}


@dataclass
class Metered:
    """A site that stands still: what is told of it is set by hand."""

    folder: Path
    site: Site = field(default_factory=quarter)
    clock: VirtualClock = field(default_factory=VirtualClock)
    link: LinkState | None = None
    exporter: Exporter = field(init=False)
    buses: list[Bus] = field(init=False)

    def __post_init__(self) -> None:
        made = build(self.site, clock=self.clock, emit=lambda _event: None, on_crash=lambda _error: None)
        self.buses = list(made)
        supervisor = Supervisor(self.clock)
        supervisor.watch("deadlines", self.clock.now, Seconds(5.0))
        self.link = LinkState(connected=True, since=self.clock.now(), connections=1)
        (self.folder / "journal.db").write_bytes(b"12345")
        sources = Sources(
            site=lambda: self.site,
            clock=self.clock,
            folder=self.folder,
            starts=3,
            threads=lambda: supervisor.watched,
            lines=lambda: [bus.statistics() for bus in self.buses],
            unprepared=frozenset,
            span=lambda: LedgerSpan(stream="s", first=1, last=9, acked=4),
            writable=lambda: True,
            link=lambda: self.link,
            unsent=lambda: 2 if self.link is not None else None,
            budgets=_budgets(),
        )
        self.exporter = Exporter(MetricsSection(port=1), sources)

    def circuits(self) -> tuple[CircuitView, ...]:
        """The circuits of a station that has just begun, each with a contactor that is closed."""
        station = Station(self.site.plan, self.clock.moment())
        return tuple(
            replace(view, contactor=OPEN, rating=Amps(40)) for view in station.circuit_views(self.clock.moment())
        )

    def busy(self) -> None:
        """Show readings of every port, a row of each kind, and an answer of each board."""
        measured = Measured(
            current=Amps(1.5),
            power=Watts(345.0),
            voltage=Volts(230.0),
            energy=WattHours(1000.0),
            at=self.clock.now(),
            fresh=True,
        )
        for body in ROWS:
            self.row(body)
        views = {
            port: replace(view, measured=measured, temperature=Celsius(30.0), relay=OPEN)
            for port, view in at_rest(self.site).items()
        }
        self.look(views.values())
        for bus in self.buses:
            for health in bus._exchange._health.values():  # noqa: SLF001 - instead of frames and their answers
                health.answered(Seconds(0.03), self.clock.now())

    def look(self, views: Iterable[PortView]) -> None:
        """Let the onlooker look."""
        self.exporter.looked(tuple(views), frozenset())
        self.exporter.circuits(self.circuits())

    def row(self, body: Body, *, at: Instant | None = None) -> None:
        """Tell of a row."""
        moment = Moment(instant=self.clock.now() if at is None else at)
        kind = RowKind.EVENT if "severity" in body else RowKind.SESSION
        ended = body["event"] == "ended"
        entry = LedgerEntry(kind=kind, body=body, moment=moment, offline=False, settlement=ended)
        self.exporter.count(entry)

    def text(self, accepted: str | None = None) -> str:
        """What a scrape gets."""
        return self.exporter.page(accepted).body.decode()


ROWS: tuple[Body, ...] = (
    {"event": "started"},
    {"event": "suspended", "reason": "undervoltage"},
    {"event": "ended", "stop_reason": "full", "energy_wh": 500, "energy_quality": "exact"},
    {"event": "port_tripped", "severity": "alarm", "function": "overcurrent_instant", "port": "A01"},
)
A01 = PortId("A01")
FOUND = Finding(cause=Cause.NOISE, boards=())
