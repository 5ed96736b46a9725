"""Inputs over circuits: one reading of danger trips what it guards, one that nobody reads has it wait."""

from collections.abc import Iterable

from chargerd.core.circuits.inputs import InputBoard, Inputs
from chargerd.core.circuits.tree import Circuits
from chargerd.core.events import InputsNotRead, InputsRead
from chargerd.core.facts import InputsBack, InputsLost, InputTripped
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.plan import InputPlan
from chargerd.core.port.port import Port
from chargerd.core.session import Clearing, StopDetail, StopReason
from chargerd.core.site.trips import Trips
from chargerd.core.units import CircuitId, Instant


class InputGuard:
    """All inputs of a site, and the circuits they guard."""

    def __init__(
        self, plans: Iterable[InputPlan], circuits: Circuits, trips: Trips, out: Outbox, now: Instant
    ) -> None:
        self._inputs = Inputs(plans, now)
        self._circuits = circuits
        self._trips = trips
        self._out = out
        self._guard()

    def read(self, event: InputsRead, now: Moment) -> list[Port]:
        """Take in the contacts of an input board: one reading opens what it guards."""
        board = self._inputs.boards.get(event.board)
        if board is None:
            return []
        was_lost, told = board.lost, board.reported
        touched = [port for plan in board.read(event) for port in self._input_trips(plan, now)]
        if was_lost and not board.lost:
            self._guard()
            if told:
                board.reported = False
                self._out.tell(InputsBack(board=event.board, circuits=_guarded_by(board)))
        return touched

    def not_read(self, event: InputsNotRead) -> None:
        """An input board was asked in vain: what is missing is told by its age, not by this."""
        if event.board in self._inputs.boards:
            self._inputs.boards[event.board].missed = True
            self._guard()

    def danger(self, circuit: CircuitId, function: str) -> tuple[str, ...]:
        """Return the inputs of this kind on this very circuit that still report danger, or are not seen."""
        return self._inputs.danger(circuit, function)

    def due(self) -> Instant | None:
        """Return when a board will be lost."""
        return self._inputs.due()

    def wake(self, now: Moment) -> list[Port]:
        """Call boards lost that nobody has read for too long: what they guard is opened, and waits."""
        touched: list[Port] = []
        for name, board in self._inputs.boards.items():
            if board.overdue(now.instant):
                self._guard()
                guarded = _guarded_by(board)
                self._out.tell(InputsLost(board=name, circuits=guarded))
                for circuit in guarded:
                    touched += self._trips.suspend(circuit, "input_board_lost", now)
        return touched

    def _input_trips(self, plan: InputPlan, now: Moment) -> list[Port]:
        circuit, function = self._circuits.get(plan.circuit), plan.kind.value
        latch = None if circuit is None else self._trips.latch(circuit, function, Clearing.LOCAL, now)
        if circuit is None or latch is None:
            return []
        self._out.tell(InputTripped(input=plan.id, circuit=plan.circuit, function=function, latch=latch))
        return self._trips.trip(circuit, StopReason(function), StopDetail(function=function), now)

    def _guard(self) -> None:
        for circuit in self._circuits.all():
            circuits = frozenset({circuit.plan.id})
            circuit.unguarded, circuit.unread = self._inputs.unseen(circuits), self._inputs.unread(circuits)


def _guarded_by(board: InputBoard) -> tuple[CircuitId, ...]:
    return tuple(dict.fromkeys(plan.circuit for plan in board.plans))
