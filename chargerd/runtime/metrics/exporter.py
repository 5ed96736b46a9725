"""What the daemon has of its figures: it is told of rows and looks, and answers scrapes.

prometheus_client is loaded here and nowhere else: a daemon whose configuration names no address does without it.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from chargerd.config.document import MetricsSection
from chargerd.contract.ledger import LedgerEntry
from chargerd.core.units import PortId
from chargerd.core.view import CircuitView, PortView
from chargerd.runtime.metrics.collect import Sources, collect
from chargerd.runtime.metrics.families import Family, Kind
from chargerd.runtime.metrics.looks import Looks
from chargerd.runtime.metrics.server import MetricsServer, Page
from chargerd.runtime.metrics.tally import Tally


class Exporter(Collector):
    """Counts, keeps what was last looked at, and answers. `start` and `stop` are of the address it answers on."""

    def __init__(self, config: MetricsSection, sources: Sources) -> None:
        self._sources = sources
        self._tally = Tally()
        self._looks = Looks(sources.clock.now())
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._server = MetricsServer(config.address, config.port, self.page)

    def count(self, entry: LedgerEntry) -> None:
        """Take in a row that the ledger is about to get. Never blocks."""
        self._tally.count(entry)

    def start(self) -> None:
        """Begin to answer; an address that cannot be had is tried again."""
        self._server.start()

    def stop(self) -> None:
        """Answer no more; does not wait for who is being answered."""
        self._server.stop()

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it answers; `None` while it cannot."""
        return self._server.address

    @property
    def why_not(self) -> str | None:
        """Why nobody can be answered; `None` where that is not so."""
        return self._server.why_not

    def looked(self, views: Sequence[PortView], _changed: frozenset[PortId]) -> None:
        """Keep what the onlooker has seen of the ports."""
        self._looks.seen(tuple(views), self._sources.clock.now())
        self._tally.looked(views)

    def circuits(self, views: Sequence[CircuitView]) -> None:
        """Keep what the onlooker has seen of the circuits."""
        self._looks.circuits = tuple(views)

    def page(self, accepted: str | None) -> Page:
        """Return all figures in the format asked for."""
        encode, content_type = choose_encoder(accepted or "")
        return Page(content_type=content_type, body=encode(self._registry))

    def collect(self) -> Iterator[Metric]:
        """Look everything up, for the registry."""
        samples = collect(self._sources, self._looks, self._tally.counts())
        sample = partial(Sample, timestamp=None, exemplar=None)
        for family, found in samples.all():
            metric = Metric(_base(family), family.help, family.kind.value)
            metric.samples = [sample(name=name, labels=labels, value=value) for name, labels, value in found]
            yield metric


def _base(family: Family) -> str:
    """Return the name as the library has it: it adds `_total` itself."""
    return family.name.removesuffix("_total") if family.kind is Kind.COUNTER else family.name
