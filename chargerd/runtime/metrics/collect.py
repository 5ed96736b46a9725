"""Looks up all figures when somebody asks. It takes no lock of the engine: ports are as they were last looked at.

So a scrape holds nobody up, and is answered while the decisions hang: what is told then grows old, and says so.
"""

import shutil
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chargerd import __version__
from chargerd.config.site import Site
from chargerd.contract.ledger import LedgerSpan
from chargerd.contract.payloads import MAJOR, MINOR
from chargerd.core.clock import Clock
from chargerd.core.moment import ClockQuality
from chargerd.core.units import BoardId, Instant, PortId, Seconds, between
from chargerd.core.view import CircuitView, PortView
from chargerd.modbus.diagnosis import BusStatistics
from chargerd.modbus.health import BUCKETS, BoardStatistics
from chargerd.runtime.metrics import families as of
from chargerd.runtime.metrics.looks import Looks
from chargerd.runtime.metrics.samples import Samples
from chargerd.runtime.metrics.tally import Counts
from chargerd.runtime.process.supervisor import Watched
from chargerd.runtime.reporting.health import processor_temperature

JOULES = 3600.0
"""In a watt-hour."""
KINDS = {"timeouts": "timeout", "corrupt": "corrupt", "exceptions": "exception", "implausible": "implausible"}
"""What a bus counts of transactions that came to nothing, and what the label says."""


class LinkFigures(Protocol):
    """How the link stands, and what became of it since the process began."""

    @property
    def connected(self) -> bool: ...

    @property
    def since(self) -> Instant: ...

    @property
    def connections(self) -> int: ...

    @property
    def failures(self) -> int: ...

    @property
    def shortfalls(self) -> Sequence[object]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where figures are looked up. `link` is `None` without a broker; `starts` counts those of the daemon."""

    site: Callable[[], Site]
    clock: Clock
    folder: Path
    starts: int
    threads: Callable[[], Sequence[Watched]]
    lines: Callable[[], Sequence[BusStatistics]]
    unprepared: Callable[[], Container[BoardId]]
    span: Callable[[], LedgerSpan]
    writable: Callable[[], bool]
    link: Callable[[], LinkFigures | None]
    unsent: Callable[[], int | None]
    budgets: Mapping[PortId, Seconds]


def collect(sources: Sources, looks: Looks, counts: Counts) -> Samples:
    """Look everything up."""
    samples = Samples()
    _gateway(sources, looks, samples)
    _store(sources, samples)
    _link(sources, samples)
    _ports(sources, looks.ports, counts, samples)
    _told(looks.ports, counts, samples)
    for circuit in looks.circuits:
        _circuit(circuit, samples)
    unprepared = sources.unprepared()
    for line in sources.lines():
        _line(line, samples)
        for board in line.boards:
            _board(board, line.bus, samples)
            samples.add(of.BOARD_PREPARED, board.board not in unprepared, board.board, line.bus)
    return samples


def _gateway(sources: Sources, looks: Looks, samples: Samples) -> None:
    site, now = sources.site(), sources.clock.moment()
    samples.add(of.BUILD, 1, __version__, f"{MAJOR}.{MINOR}")
    samples.add(of.CONFIG, 1, site.gateway.id, site.gateway.name, site.digest)
    samples.add(of.STARTS, sources.starts)
    samples.add(of.SNAPSHOT_AGE, looks.age(now.instant))
    for thread in sources.threads():
        samples.add(of.TICK_AGE, max(0.0, between(thread.last_turn(), now.instant)), thread.name)
        samples.add(of.TICK_PATIENCE, thread.patience, thread.name)
    for quality in ClockQuality:
        samples.add(of.CLOCK, quality is now.clock, quality.value)
    samples.add(of.TEMPERATURE, processor_temperature())


def _store(sources: Sources, samples: Samples) -> None:
    span = sources.span()
    samples.add(of.JOURNAL_WRITABLE, sources.writable())
    samples.add(of.LEDGER_LAST, span.last)
    samples.add(of.UNACKED, max(0, span.last - span.acked))
    try:
        disk = shutil.disk_usage(sources.folder)
        samples.add(of.DISK_FREE, disk.free)
        samples.add(of.DISK_SIZE, disk.total)
        samples.add(of.JOURNAL_SIZE, (sources.folder / "journal.db").stat().st_size)
    except OSError:
        return  # A disk that is broken or gone: what it would tell is not known.


def _link(sources: Sources, samples: Samples) -> None:
    link = sources.link()
    if link is None:
        return
    samples.add(of.UNSENT, sources.unsent())
    samples.add(of.BROKER_UP, link.connected)
    samples.add(of.BROKER_AGE, max(0.0, between(link.since, sources.clock.now())))
    samples.add(of.BROKER_CONNECTIONS, link.connections)
    samples.add(of.BROKER_FAILURES, link.failures)
    samples.add(of.BROKER_SHORT, len(link.shortfalls))


def _ports(sources: Sources, views: Iterable[PortView], counts: Counts, samples: Samples) -> None:
    site, now = sources.site(), sources.clock.now()
    for view in views:
        port, measured = view.id, view.measured
        board = site.boards.get(view.board)
        line = "" if board is None else board.bus
        samples.add(of.PORT, 1, port, view.label, view.circuit, view.board, line)
        samples.add(of.PORT_STATE, 1, port, view.state.value)
        samples.add(of.PORT_RELAY, view.relay.closed, port)
        usable = measured.fresh and not measured.frozen
        if usable:  # Else they are none of now, whatever they are.
            samples.add(of.PORT_POWER, measured.power, port)
            samples.add(of.PORT_CURRENT, measured.current, port)
        samples.add(of.PORT_VOLTAGE, measured.voltage, port)
        limits = view.limits if view.session is None else view.session.order.limits
        samples.add(of.PORT_LIMIT, limits.current, port)
        samples.add(of.PORT_ENERGY, None if measured.energy is None else measured.energy * JOULES, port)
        samples.add(of.PORT_TEMPERATURE, view.temperature, port)
        samples.add(
            of.PORT_READING_AGE, None if measured.at is None else max(0.0, between(measured.at, now)), port
        )
        samples.add(of.PORT_METER_USABLE, usable, port)
        samples.add(of.PORT_LATCHES, len(view.latches), port)
        samples.add(of.PORT_DISABLED, view.disabled is not None, port)
        samples.add(of.PORT_BUDGET, sources.budgets.get(port), port)
        samples.add(of.PORT_TRIPS, counts.port_trips[port], port)


def _told(views: Sequence[PortView], counts: Counts, samples: Samples) -> None:
    samples.add(of.SESSIONS, sum(view.session is not None for view in views))
    samples.add(of.STARTED, counts.started)
    for reason, count in counts.ended.items():
        samples.add(of.ENDED, count, reason)
    for reason, count in counts.suspended.items():
        samples.add(of.SUSPENDED, count, reason)
    samples.add(of.SETTLED, counts.energy * JOULES)
    samples.add(of.ESTIMATED, counts.estimated)
    for (function, opened), count in counts.trips.items():
        samples.add(of.TRIPS, count, function, opened)
    for (event, severity), count in counts.events.items():
        samples.add(of.EVENTS, count, event, severity)
    samples.add(of.ALARMS, counts.alarms)
    samples.add_histogram(of.CUTOFF, counts.cutoffs.edges, counts.cutoffs.counts, counts.cutoffs.total)


def _circuit(view: CircuitView, samples: Samples) -> None:
    for phase, current in enumerate(view.load_currents, start=1):
        samples.add(of.CIRCUIT_CURRENT, current, view.id, f"L{phase}")
    samples.add(of.CIRCUIT_POWER, view.load_power, view.id)
    if view.rating is not None or view.rating_power is not None:
        samples.add(of.CIRCUIT_SHARE, view.load_share, view.id)
    samples.add(of.CIRCUIT_MEASURED, view.measured, view.id)
    samples.add(of.CIRCUIT_RATING, view.rating, view.id)
    samples.add(of.CIRCUIT_WAITING, len(view.queue), view.id)
    samples.add(of.CIRCUIT_LATCHES, len(view.latches), view.id)
    samples.add(of.CIRCUIT_CONTACTOR, None if view.contactor is None else view.contactor.closed, view.id)


def _line(line: BusStatistics, samples: Samples) -> None:
    boards, name = line.boards, line.bus
    samples.add(of.LINE_UP, line.connected, name)
    samples.add(of.LINE_TRANSACTIONS, line.transactions, name)
    for kind, label in KINDS.items():
        samples.add(of.LINE_ERRORS, sum(getattr(board, kind) for board in boards), name, label)
    samples.add(of.LINE_FOREIGN, sum(board.foreign_bytes for board in boards), name)
    samples.add(of.LINE_BUSY, line.busy, name)
    samples.add(of.LINE_LATE, sum(one.count for one in line.late), name)
    latencies = [sum(counts) for counts in zip(*(board.latency for board in boards), strict=True)]
    if latencies:
        samples.add_histogram(of.LINE_RESPONSE, BUCKETS, latencies, None, name)
    for cause in sorted({finding.cause.value for finding in line.findings}):
        samples.add(of.LINE_FINDINGS, sum(one.cause == cause for one in line.findings), name, cause)


def _board(board: BoardStatistics, line: str, samples: Samples) -> None:
    samples.add(of.BOARD_UP, not board.lost, board.board, line)
    samples.add(of.BOARD_AGE, board.stale_age, board.board, line)
    samples.add(of.BOARD_TRANSACTIONS, board.transactions, board.board, line)
    for kind, label in KINDS.items():
        samples.add(of.BOARD_ERRORS, getattr(board, kind), board.board, line, label)
