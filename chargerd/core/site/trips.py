"""What a circuit does to the ports below it, the latch that stays of it, and how that is cleared.

A trip ends every session below and holds the circuit; a suspension opens every port below as well, but its
sessions wait for the circuit.
"""

from collections.abc import Callable, Mapping

from chargerd.core.boards.relay import RelayPhase
from chargerd.core.circuits.circuit import Circuit
from chargerd.core.circuits.tree import Circuits
from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import DeadlineReached, ResetRequested
from chargerd.core.facts import LatchesCleared
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.plan import holder_of
from chargerd.core.port.latching import NOTHING_HELD, clears
from chargerd.core.port.port import Intervention, Port
from chargerd.core.port.rules import Trigger
from chargerd.core.port.table import react
from chargerd.core.session import Clearing, Latch, StopDetail, StopReason
from chargerd.core.units import CircuitId, PortId

Danger = Callable[[CircuitId, str], tuple[str, ...]]
"""The inputs of a circuit that still report what a latch is named for, or that nobody reads."""


class Trips:
    """The ports below each circuit, and what becomes of them."""

    def __init__(self, circuits: Circuits, ports: Mapping[PortId, Port], out: Outbox) -> None:
        self._circuits = circuits
        self._out = out
        self.below = {
            circuit.plan.id: tuple(ports[port] for port in circuits.below(circuit.plan.id))
            for circuit in circuits.all()
        }

    # What circuits do to ports

    def trip(self, circuit: Circuit, reason: StopReason, detail: StopDetail, now: Moment) -> list[Port]:
        """Open every port below and end its session."""
        below = self.below[circuit.plan.id]
        for port in below:
            port.intervention = Intervention(reason=reason, detail=detail, code=Code.LATCHED)
            react(port, Trigger.CIRCUIT_TRIP, DeadlineReached(), now)
        if circuit.contactor is not None and circuit.contactor.relay.phase not in {
            RelayPhase.OPEN,
            RelayPhase.OPENING,
        }:
            circuit.contactor.open(now.instant, self._out)
        return list(below)

    def suspend(self, circuit: CircuitId, function: str, now: Moment) -> list[Port]:
        """Open every port below; sessions wait for the circuit."""
        below = self.below.get(circuit, ())
        for port in below:
            detail = StopDetail(function=function)
            port.intervention = Intervention(reason=StopReason.BOARD_LOST, detail=detail, code=Code.BOARD_LOST)
            react(port, Trigger.CIRCUIT_SUSPEND, DeadlineReached(), now)
        return list(below)

    # Latches

    def latch(self, circuit: Circuit, function: str, clearing: Clearing, now: Moment) -> Latch | None:
        """Hold a circuit; `None` if this function holds it already."""
        if any(latch.function == function for latch in circuit.latches):
            return None
        detail = StopDetail(function=function)
        holder = holder_of(circuit.plan.id)
        latch = Latch(port=holder, function=function, clearing=clearing, detail=detail, since=now)
        circuit.latches.append(latch)
        return latch

    def reset(self, event: ResetRequested, danger: Danger, now: Moment) -> bool:
        """Clear a circuit's latches, those of inputs that still report danger excepted; say whether it is one."""
        circuit = next((each for each in self._circuits.all() if holder_of(each.plan.id) == event.port), None)
        if circuit is None:
            return False
        name = circuit.plan.id
        kept = [each for each in circuit.latches if not clears(event, each) or danger(name, each.function)]
        cleared = tuple(latch.function for latch in circuit.latches if latch not in kept)
        circuit.latches = kept
        if cleared:
            self._out.tell(
                LatchesCleared(
                    port=event.port,
                    circuit=name,
                    functions=cleared,
                    source=event.source,
                    reason=event.reason,
                    kept=tuple(kept),
                )
            )
        status, code = (ReplyStatus.REJECTED, Code.NOT_ALLOWED) if kept else (ReplyStatus.DONE, Code.OK)
        message = "; ".join(_why_kept(latch, danger(name, latch.function)) for latch in kept)
        self._out.answer(event, status, code, message if kept or cleared else NOTHING_HELD)
        for port in self.below[name]:
            if port.charge is None:
                port.rest(now)
        return True


def _why_kept(latch: Latch, inputs: tuple[str, ...]) -> str:
    """Return what has to happen before a latch is cleared."""
    if inputs:
        return f"{latch.function}: {', '.join(inputs)} still reports it, or is not read"
    with_reason = " with a reason" if latch.clearing is Clearing.LOCK_OUT else ""
    return f"{latch.function}: to be cleared on site{with_reason}"
