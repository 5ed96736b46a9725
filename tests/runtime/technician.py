"""Somebody on site with `chargerctl`, at the virtual line: asks the handler what the socket would hand it."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import click
from click.testing import CliRunner, Result

from chargerd.config.site import Site
from chargerd.control.client import ControlFailure
from chargerd.control.methods import checked
from chargerd.control.server import Responder
from chargerd.core.metering.seen import Measured
from chargerd.core.moment import Moment
from chargerd.core.plan import Limits
from chargerd.core.units import Instant, PortId
from chargerd.core.view import PortState, PortView
from chargerd.runtime.local.line_requests import LineRequests
from tests.logs import capture_logs
from tests.modbus.kit import Bench

AS_JSON = click.option("--json", "as_json", is_flag=True)


def at_rest(site: Site) -> dict[PortId, PortView]:
    """Every port of a site, free and read back open."""
    return {
        port.id: PortView(
            id=port.id,
            label=port.id,
            circuit=port.circuit,
            board=port.relay.board,
            state=PortState.AVAILABLE,
            since=Moment(instant=Instant(0.0)),
            relay_closed=False,
            limits=Limits(),
            measured=Measured(),
        )
        for port in site.ports
    }


@dataclass
class Answers:
    """What a request has got so far."""

    results: deque[Any] = field(default_factory=deque)
    failure: ControlFailure | None = None
    over: bool = False
    closed: bool = False

    def send(self, result: Any, *, more: bool = False) -> None:
        assert not self.over
        self.results.append(result)
        self.over = not more

    def fail(self, code: str, message: str, hint: str = "") -> None:
        assert not self.over
        self.failure, self.over = ControlFailure(message, hint, code), True


class Technician:
    """Asks, and turns the bus until there is an answer."""

    def __init__(self, bench: Bench, site: Site) -> None:
        self.bench = bench
        self.views = at_rest(site)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._handler = LineRequests(
            site=site, buses=lambda: [bench.bus], views=lambda: tuple(self.views.values()), clock=bench.clock
        )
        self._streamed = Answers()

    def view(self, port: str, **changes: Any) -> None:
        self.views[PortId(port)] = replace(self.views[PortId(port)], **changes)

    def ask(self, method: str, **params: Any) -> Answers:
        self.asked.append((method, params))
        answers = Answers()
        self._handler.methods[method](checked(method, params), cast("Responder", answers))
        return answers

    def call(self, method: str, **params: Any) -> Any:
        answers = self.ask(method, **params)
        self._turn(lambda: answers.over, 20.0)
        if answers.failure is not None:
            raise answers.failure
        return answers.results[-1]

    def stream(self, method: str, **params: Any) -> Iterator[Any]:
        answers = self._streamed = self.ask(method, **params)
        while True:
            self._turn(lambda: bool(answers.results) or answers.over, 20.0)
            if answers.failure is not None:
                raise answers.failure
            yield answers.results.popleft()

    def ready(self, seconds: float) -> bool:
        """Turn the bus for at most so long, or until the stream goes on."""
        self._turn(lambda: bool(self._streamed.results), seconds, must=False)
        return bool(self._streamed.results)

    def _turn(self, until: Callable[[], bool], within: float, *, must: bool = True) -> None:
        end = self.bench.clock.time + within
        while not until() and self.bench.clock.time < end:
            self.bench.run(0.001)
        assert until() or not must, "nobody has answered"

    def types(self, command: Callable[..., click.Command], *words: str, columns: int = 80, **how: Any) -> Result:
        """Run a command as from a terminal; what goes wrong is said as `chargerctl` says it."""

        @contextmanager
        def connect(_path: Path, **_how: object) -> Iterator[Any]:
            try:
                yield self
            except ControlFailure as error:
                click.echo(f"chargerctl: {error}; {error.hint}", err=True)
                raise click.exceptions.Exit(1) from error

        made = command(connect, AS_JSON, lambda: Path("socket"))
        with capture_logs():  # Those of the bus, which is no part of the command.
            return CliRunner().invoke(made, list(words), obj=Path("socket"), env={"COLUMNS": str(columns)}, **how)
