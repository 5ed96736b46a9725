"""What somebody asks of a station: of a port, of a circuit with every port below, or of what there is not.

What is on its way already comes first (`chargerd.core.site.heard`); every request is answered, whatever it names.
"""

from collections.abc import Iterable, Mapping

from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import (
    AvailabilityRequest,
    PortRequest,
    Request,
    RequestNews,
    ResetRequested,
)
from chargerd.core.facts import Fact
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.port.port import Port, StationContext
from chargerd.core.port.table import ask
from chargerd.core.site.heard import Heard
from chargerd.core.site.supply import Supply
from chargerd.core.units import PortId


class Requests:
    """Takes in requests, and answers those that no port takes."""

    def __init__(self, station: StationContext, ports: Mapping[PortId, Port], supply: Supply, out: Outbox) -> None:
        self._station = station
        self._ports = ports
        self._supply = supply
        self._out = out
        self._heard = Heard(station.circuits, out)

    def take(self, event: Request | RequestNews, now: Moment) -> list[Port]:
        """Take in what somebody asks for; return the ports it concerns."""
        name = event.request.port if isinstance(event, RequestNews) else event.port
        asked = self._heard.attend(event, self._ports.get(name))
        if asked is None:
            return []
        if isinstance(asked, AvailabilityRequest):
            return self._change_availability(asked, now)
        return self._ask_port(asked, now)

    def see(self, facts: Iterable[Fact]) -> None:
        """Let what has happened apply to what is on its way."""
        self._heard.see(facts)

    def _ask_port(self, event: PortRequest, now: Moment) -> list[Port]:
        port = self._ports.get(event.port)
        if port is not None:
            ask(port, event, now)
            return [port]
        if not (isinstance(event, ResetRequested) and self._supply.reset(event, now)):
            self._out.answer(event, ReplyStatus.REJECTED, Code.UNKNOWN_PORT)
        return []

    def _change_availability(self, event: AvailabilityRequest, now: Moment) -> list[Port]:
        """Disable or lock a port, or all below a circuit, or take that back; they learn of it together."""
        circuits, availability = self._station.circuits, self._station.availability
        below = circuits.held_by(event.port)
        if event.port not in self._ports and below is None:
            self._out.answer(event, ReplyStatus.REJECTED, Code.UNKNOWN_PORT)
            return []
        ports = [self._ports[name] for name in ([event.port] if below is None else below)]
        before = [_held(port) for port in ports]
        availability.change(event, self._out, now)
        for port, was in zip(ports, before, strict=True):
            if was != _held(port):
                ask(port, event, now)
        return ports


def _held(port: Port) -> tuple[bool, bool]:
    """Return whether a port is disabled, and whether it is locked."""
    return port.disabled() is not None, port.locked() is not None
