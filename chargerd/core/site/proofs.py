"""What a wiring proof says to a station, beside the starts and stops of its sessions."""

from collections.abc import Mapping

from chargerd.core.events import DeadManTested, LeaseWithheld, ProofCleared, ProofHeld, ProofNews, ProofSuspected
from chargerd.core.moment import Moment
from chargerd.core.port import proving
from chargerd.core.port.port import Port, StationContext
from chargerd.core.session import StopDetail
from chargerd.core.site.wiring import Wiring
from chargerd.core.units import PortId


class Proofs:
    """Takes in what proofs say, each word of it for ports that are there."""

    def __init__(self, station: StationContext, ports: Mapping[PortId, Port], wiring: Wiring) -> None:
        self._station = station
        self._ports = ports
        self._wiring = wiring

    def take(self, event: ProofNews, now: Moment) -> list[Port]:
        """Take in one of them; return the ports it concerns."""
        if isinstance(event, DeadManTested):
            self._station.dead_men.tested(event.board, holds=event.holds)
            return [port for port in self._ports.values() if port.plan.relay.board == event.board]
        assert isinstance(event, ProofHeld | ProofSuspected | ProofCleared | LeaseWithheld)
        names = event.ports if isinstance(event, ProofHeld | ProofSuspected) else (event.port,)
        ports = [self._ports[name] for name in names if name in self._ports]
        for port in ports:
            self._tell(port, event, now)
        return ports

    def _tell(
        self, port: Port, event: ProofHeld | ProofSuspected | ProofCleared | LeaseWithheld, now: Moment
    ) -> None:
        match event:
            case ProofHeld():
                proving.hold(port, event.proof, event.lasts, now)
            case ProofCleared():
                proving.clear_provoked(port, event.proof, event.functions, now)
            case ProofSuspected():
                detail = StopDetail(function="wiring_suspect", measured=event.power, unit="w")
                self._wiring.hold(port, detail, now)
            case _:
                proving.withhold(port, now)
