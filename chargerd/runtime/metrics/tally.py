"""Counts what the ledger is told: sessions, trips, alarms, and how long a trip took to an open contact.

It is told under the engine's lock, of rows and not of transactions: a few additions each.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chargerd.contract.bodies import SEVERITY
from chargerd.contract.ledger import Json, LedgerEntry
from chargerd.core.session import StopReason
from chargerd.core.units import Instant, PortId, Seconds, between
from chargerd.core.view import PortView

CUTOFF_EDGES: tuple[Seconds, ...] = tuple(Seconds(s) for s in (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0))
"""Upper edges, in seconds; an opening that nobody could confirm for longer is told as an alarm of its own."""
OF_TRIPS = {"port_tripped": "port", "circuit_tripped": "circuit", "input_tripped": "input"}
ALARM = "alarm"


@dataclass(slots=True, kw_only=True)
class Histogram:
    """Values counted by the upper edges they lie below; one more count holds what lies above all."""

    edges: tuple[Seconds, ...]
    counts: list[int]
    total: float = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.total += value


def _cutoffs() -> Histogram:
    return Histogram(edges=CUTOFF_EDGES, counts=[0] * (len(CUTOFF_EDGES) + 1))


@dataclass(slots=True, kw_only=True)
class Counts:
    """Since the start of the daemon; energies are in watt-hours."""

    started: int = 0
    ended: Counter[str] = field(default_factory=lambda: Counter({str(reason): 0 for reason in StopReason}))
    suspended: Counter[str] = field(default_factory=Counter)
    energy: float = 0.0
    estimated: int = 0
    trips: Counter[tuple[str, str]] = field(default_factory=Counter)
    port_trips: Counter[str] = field(default_factory=Counter)
    events: Counter[tuple[str, str]] = field(
        default_factory=lambda: Counter({(event, str(severity)): 0 for event, severity in SEVERITY.items()})
    )
    alarms: int = 0
    cutoffs: Histogram = field(default_factory=_cutoffs)


class Tally:
    """Thread-safe; calls nobody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = Counts()
        self._tripped: dict[PortId, Instant] = {}
        """When the ports tripped that have not been seen open since."""

    def count(self, entry: LedgerEntry) -> None:
        """Take in a row that the ledger is about to get."""
        body = entry.body
        event = str(body.get("event"))
        with self._lock:
            if entry.settlement:
                self._settled(body)
            elif event == "started":
                self._counts.started += 1
            elif event == "suspended":
                self._counts.suspended[str(body.get("reason"))] += 1
            elif "severity" in body:
                self._told(event, body, entry.moment.instant)

    def looked(self, views: Iterable[PortView]) -> None:
        """See which ports that tripped are open by now."""
        if not self._tripped:
            return
        with self._lock:
            for view in views:
                tripped = self._tripped.get(view.id)
                if tripped is None:
                    continue
                if view.opened_at is not None and view.opened_at >= tripped:
                    self._counts.cutoffs.observe(between(tripped, view.opened_at))
                    del self._tripped[view.id]
                elif view.relay_closed is False:
                    del self._tripped[view.id]  # It was open already, so nothing had to be opened.

    def counts(self) -> Counts:
        """Return what has been counted, as of now."""
        with self._lock:
            now = self._counts
            return Counts(
                started=now.started,
                ended=now.ended.copy(),
                suspended=now.suspended.copy(),
                energy=now.energy,
                estimated=now.estimated,
                trips=now.trips.copy(),
                port_trips=now.port_trips.copy(),
                events=now.events.copy(),
                alarms=now.alarms,
                cutoffs=Histogram(
                    edges=now.cutoffs.edges, counts=list(now.cutoffs.counts), total=now.cutoffs.total
                ),
            )

    def _settled(self, body: Mapping[str, Json]) -> None:
        self._counts.ended[str(body["stop_reason"])] += 1
        energy = body["energy_wh"]
        self._counts.energy += energy if isinstance(energy, int | float) else 0.0
        self._counts.estimated += body["energy_quality"] == "estimated"

    def _told(self, event: str, body: Mapping[str, Json], at: Instant) -> None:
        severity = str(body["severity"])
        self._counts.events[event, severity] += 1
        self._counts.alarms += severity == ALARM
        of = OF_TRIPS.get(event)
        if of is not None:
            self._counts.trips[str(body["function"]), of] += 1
        if event == "port_tripped":
            port = PortId(str(body["port"]))
            self._counts.port_trips[port] += 1
            self._tripped.setdefault(port, at)
