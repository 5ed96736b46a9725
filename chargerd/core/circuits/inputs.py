"""Inputs: smoke, water, heat, emergency stop. One reading is enough; an input nobody reads is no comfort.

A board that was not read for 3 s is lost: what it guards is opened, but not latched, and may come back when it has
been read twice. A board never read yet keeps open what it guards as well; it is told as lost after these 3 s.
"""

from collections.abc import Iterable

from chargerd.core.events import InputsRead
from chargerd.core.metering.pickup import earliest
from chargerd.core.plan import InputPlan
from chargerd.core.units import BoardId, CircuitId, Instant, Seconds, after

LOST_AFTER = Seconds(3.0)
"""Six readings: inputs are read every 500 ms."""
GOOD_READINGS = 2


class InputBoard:
    """One board with inputs."""

    def __init__(self, plans: tuple[InputPlan, ...], now: Instant) -> None:
        self.plans = plans
        self.lost = True
        self.reported = False
        """Whether its loss has been told."""
        self.missed = False
        """Whether it was ever asked in vain."""
        self._read_at = now
        self._good = 0
        self.active: frozenset[str] = frozenset()
        """Inputs that reported danger when they were last read."""

    def read(self, event: InputsRead) -> tuple[InputPlan, ...]:
        """Take in a reading; return the inputs that report danger. A reading that lacks a channel is none."""
        if any(plan.channel > len(event.closed) for plan in self.plans):
            return ()
        danger = tuple(plan for plan in self.plans if event.closed[plan.channel - 1] is (plan.active == "closed"))
        self.active = frozenset(plan.id for plan in danger)
        self._read_at = event.at
        self._good += 1
        if self._good >= GOOD_READINGS:
            self.lost = False
        return danger

    def due(self) -> Instant | None:
        """Return when it will be lost, or its loss told."""
        return None if self.lost and self.reported else after(self._read_at, LOST_AFTER)

    def overdue(self, now: Instant) -> bool:
        """Say whether it has just been lost."""
        due = self.due()
        if due is None or now < due:
            return False
        self.lost, self.reported, self._good = True, True, 0
        return True


class Inputs:
    """All inputs of a site."""

    def __init__(self, plans: Iterable[InputPlan], now: Instant) -> None:
        by_board: dict[BoardId, list[InputPlan]] = {}
        for plan in plans:
            by_board.setdefault(plan.board, []).append(plan)
        self.boards = {board: InputBoard(tuple(its), now) for board, its in by_board.items()}

    def unseen(self, circuits: frozenset[CircuitId]) -> tuple[BoardId, ...]:
        """Return the boards whose inputs guard one of these circuits, and which nobody reads."""
        return tuple(
            name
            for name, board in self.boards.items()
            if board.lost and any(plan.circuit in circuits for plan in board.plans)
        )

    def unread(self, circuits: frozenset[CircuitId]) -> bool:
        """Say whether nobody has read an input of these circuits yet, and none of them is lost."""
        silent = [
            board
            for board in self.boards.values()
            if board.lost and any(plan.circuit in circuits for plan in board.plans)
        ]
        return bool(silent) and not any(board.reported or board.missed for board in silent)

    def danger(self, circuit: CircuitId, function: str) -> tuple[str, ...]:
        """Return the inputs of this kind on this very circuit that still report danger, or are not seen."""
        return tuple(
            plan.id
            for board in self.boards.values()
            for plan in board.plans
            if plan.circuit == circuit and plan.kind.value == function and (board.lost or plan.id in board.active)
        )

    def due(self) -> Instant | None:
        """Return when a board will be lost."""
        return earliest([board.due() for board in self.boards.values()]) if self.boards else None
