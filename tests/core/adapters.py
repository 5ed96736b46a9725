"""The adapters of a modelled site: which line really hangs on each, and who is asked where a board should be."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chargerd.core.events import BoardIdentified, BoardLost
from chargerd.core.faults import FaultKind
from chargerd.core.units import BoardId, Instant, PortId

if TYPE_CHECKING:
    from tests.core.plant import Plant

AFTER, EVERY = 1.0, 120.0
"""Seconds until a board that is there again is asked who it is, and between two times it is asked."""


class Adapters:
    """Lines of the same shape may hang on each other's adapter; what stands at one place is the other's then."""

    def __init__(self, plant: "Plant") -> None:
        self._plant = plant
        self._lines = {line.id: line for line in plant.plan.lines}
        self._telling = [board for line in plant.plan.lines for board in line.boards if board in line.telling]
        self._hangs = {line: line for line in self._lines}
        """Which line really hangs on each one's adapter."""
        self.by_hand = False
        """Nobody asks the boards who they are; the scenario hands in what they tell."""
        self.away: set[BoardId] = set()
        """Boards whose adapter is not there."""
        self.unheard: set[BoardId] = set()
        """Boards that have not answered since theirs is back."""

    @property
    def exchanged(self) -> bool:
        """Say whether any line hangs on another one's adapter."""
        return any(line != adapter for adapter, line in self._hangs.items())

    def unplug(self) -> None:
        """Take all adapters away."""
        plant = self._plant
        plant.relay_bus.lose(port for port, plan in plant.plans.items() if plan.relay.board in self._all())
        for board in self._all():
            if board in plant.boards:
                plant.boards[board].lost = True
            self.away.add(board)
            plant.tell(BoardLost(board=board, at=Instant(plant.now), kind=FaultKind.OFFLINE))

    def exchange(self) -> None:
        """Let the first two lines hang on each other's adapter, or on their own again."""
        one, other = list(self._lines)[:2]
        self._hangs[one], self._hangs[other] = self._hangs[other], self._hangs[one]

    def plug(self) -> None:
        """Bring all adapters back; whoever is there is asked who it is."""
        self.away.clear()
        self.unheard.update(self._all())
        self._plant.later(AFTER, self._ask, self._plant.life)

    def begin(self) -> None:
        """Ask all boards who they are, and again and again, as long as this daemon lives."""
        self._plant.later(AFTER, self._ask_again, self._plant.life)

    def relay_at(self, port: PortId) -> PortId:
        """Return whose relay answers where this port's should."""
        plans = self._plant.plans
        if not self.exchanged or port not in plans:
            return port
        there = (self._there(plans[port].relay.board), plans[port].relay.channel)
        return next(name for name, one in plans.items() if (one.relay.board, one.relay.channel) == there)

    def meter_at(self, port: PortId) -> PortId:
        """Return whose meter answers where this port's should."""
        plans = self._plant.plans
        if not self.exchanged:
            return port
        there = self._there(plans[port].meter.board)
        return next(name for name, one in plans.items() if one.meter.board == there)

    def _all(self) -> Iterable[BoardId]:
        return [board for line in self._lines.values() for board in line.boards]

    def _ask_again(self, life: int) -> None:
        if life == self._plant.life and self._telling and not self.by_hand:
            self._ask(life)
            self._plant.later(EVERY, self._ask_again, life)

    def _ask(self, life: int) -> None:
        plant = self._plant
        for board in self._telling:
            if board not in self.away and life == plant.life:
                silent = any(plant.meters[port].silent for port in plant.plans if self._meter(port) == board)
                words = None if silent else self.serial(self._there(board))
                plant.tell(BoardIdentified(board=board, at=Instant(plant.now), words=words))

    @staticmethod
    def serial(board: BoardId) -> tuple[int, ...]:
        """Return what a board tells of itself."""
        return tuple(board.encode())

    def _meter(self, port: PortId) -> BoardId:
        return self._plant.plans[port].meter.board

    def _there(self, board: BoardId) -> BoardId:
        """Return the board that is asked where one should be: at the same place of the line that hangs there."""
        for line in self._lines.values():
            if board in line.boards:
                return self._lines[self._hangs[line.id]].boards[line.boards.index(board)]
        return board
