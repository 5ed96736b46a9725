"""What is asked about the site and changes nothing: `doctor`, `explain`, `circuit`, `why`, `events`.

Whoever answers is loaded with the first question for it: a daemon that nobody asks does without.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chargerd.config.site import Site
from chargerd.contract.ledger import Json
from chargerd.control.server import Responder
from chargerd.core.clock import Clock
from chargerd.core.units import BoardId, PortId
from chargerd.core.view import PortView
from chargerd.runtime.engine import Engine
from chargerd.runtime.local.lines import Lines
from chargerd.runtime.process.configuration import Configuration
from chargerd.runtime.reporting.gateway import GatewayState
from chargerd.runtime.reporting.health import Watched
from chargerd.store.journal import Journal

if TYPE_CHECKING:
    from chargerd.runtime.local.doctor import Doctor
    from chargerd.runtime.local.kept_events import EventQueries

Params = Mapping[str, Json]


@dataclass(kw_only=True, slots=True)
class Questions:
    """Serves `methods` of the control socket. Never blocks."""

    site: Callable[[], Site]
    engine: Engine
    journal: Journal
    clock: Clock
    folder: Path
    portrait: GatewayState
    lines: Lines
    buses: Sequence[Watched]
    link: Callable[[], dict[str, Json] | None]
    why_no_metrics: Callable[[], str | None]
    proved: Callable[[], frozenset[BoardId]]
    configuration: Configuration | None
    _events: "EventQueries | None" = field(default=None, init=False)

    @property
    def methods(self) -> Mapping[str, Callable[[Params, Responder], None]]:
        """What it serves, by the names of the control socket."""
        return {
            "doctor": self._look_around,
            "explain": self._explain,
            "circuit": self._explain_circuit,
            "why": self._tell_why,
            "events": self._tell_events,
        }

    def looked(self, views: Sequence[PortView], changed: frozenset[PortId]) -> None:
        """Tell whoever follows events; told of each look at the station."""
        if self._events is not None:
            self._events.looked(views, changed)

    def _look_around(self, _params: Params, respond: Responder) -> None:
        self._doctor().serve(respond, None if self.configuration is None else self.configuration.refusal)

    def _doctor(self) -> "Doctor":
        from chargerd.runtime.local.doctor import Doctor  # noqa: PLC0415 - loaded when somebody asks for it

        return Doctor(
            site=self.site(),
            configuration=None if self.configuration is None else self.configuration.path,
            folder=self.folder,
            clock=self.clock,
            buses=lambda: self.buses,
            link=self.link,
            why_no_journal=lambda: self.journal.why_not,
            why_no_metrics=self.why_no_metrics,
            proved=self.proved,
        )

    def _explain(self, params: Params, respond: Responder) -> None:
        from chargerd.runtime.local.explaining import PortAsked  # noqa: PLC0415 - as above

        PortAsked(self.engine, self.journal, self.clock, self.portrait.of_port).tell(params, respond)

    def _explain_circuit(self, params: Params, respond: Responder) -> None:
        from chargerd.runtime.local.explaining import tell_circuit  # noqa: PLC0415 - as above

        tell_circuit(self.engine, self.clock, params, respond)

    def _tell_why(self, _params: Params, respond: Responder) -> None:
        from chargerd.runtime.local.why import Why  # noqa: PLC0415 - as above

        Why(
            explain=self.engine.explain_all,
            findings=self.lines.findings,
            site=self.site(),
            clock=self.clock,
            look=self._doctor().tell,
            refused=None if self.configuration is None else self.configuration.refusal,
        ).serve(respond)

    def _tell_events(self, params: Params, respond: Responder) -> None:
        if self._events is None:
            from chargerd.runtime.local.kept_events import EventQueries  # noqa: PLC0415 - as above

            self._events = EventQueries(self.journal, self.site(), self.clock)
        self._events.tell(params, respond)
