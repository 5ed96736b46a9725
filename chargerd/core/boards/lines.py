"""Lines, known by what is on them: two adapters that swap names swap the sockets behind them.

What a board tells of itself (a serial number, a type) is kept. A line on which a board tells something else is
another one, until the board is itself again or a person accepts what is there now. Silence is no change: a dead
board is lost, and that has rules of its own. A board that tells nothing of itself identifies nothing. A line whose
adapter was away may be any line: each board of which something is kept has to tell, or to be asked in vain.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from chargerd.core.commands import Checkpoint
from chargerd.core.events import BoardBack, BoardIdentified, BoardLost
from chargerd.core.facts import LineChanged, LineRestored
from chargerd.core.faults import FaultKind
from chargerd.core.identity import Identity
from chargerd.core.outbox import Outbox
from chargerd.core.plan import CircuitPlan, StationPlan
from chargerd.core.units import LONG_AGO, BoardId, CircuitId, Instant, PortId

Words = tuple[int, ...]
Said = TypeVar("Said", LineChanged, LineRestored)


@dataclass(frozen=True, slots=True)
class _Board:
    line: str
    tells: bool
    unique: bool


class Lines:
    """What is kept of each line, what its boards tell now, and whether that is the same."""

    def __init__(
        self, plan: StationPlan | None = None, kept: Iterable[Identity] = (), out: Outbox | None = None
    ) -> None:
        plan = plan or StationPlan(ports=())
        self._out = out or Outbox()
        self._boards = {
            board: _Board(line.id, board in line.telling, board in line.unique)
            for line in plan.lines
            for board in line.boards
        }
        self._kept: dict[BoardId, Words] = {
            one.board: one.words for one in kept if one.board in self._boards and one.words
        }
        self._told: dict[BoardId, Words | None] = {}
        self._itself_at: dict[str, Instant] = {}
        """When a board that shows that a line is itself last did."""
        self._lost: set[BoardId] = set()
        self._dead: set[BoardId] = set()
        """Those of the lost that do not answer on a line that is there."""
        self._changed: dict[BoardId, Words] = {}
        self._of_port = _lines_of_ports(plan, {board: one.line for board, one in self._boards.items()})

    # What is told

    def take_in(self, event: BoardIdentified) -> LineChanged | LineRestored | None:
        """Take in what a board tells of itself; return what that has just turned out to say of its line."""
        known, board, words = self._boards.get(event.board), event.board, event.words
        if known is None:
            return None
        if words is None:
            self._told.setdefault(board, None)  # One that has told before only was not heard this time.
            return None
        self._told[board] = words
        if words == self._kept.get(board):
            self._note_itself(board, event.at)
            if self._changed.pop(board, None) is None or self._is_changed(known.line):
                return None
            return self._say(LineRestored(line=known.line, kind="itself"))
        was_changed = self._is_changed(known.line)
        if board in self._kept or self._is_elsewhere(known, words):
            self._changed[board] = words
        elif not was_changed:
            self._keep({board: words})
        if was_changed or board not in self._changed:
            return None
        return self._say(LineChanged(line=known.line, board=board))

    def board(self, event: BoardLost | BoardBack) -> None:
        """A board is lost, or back: who it is has to be read anew."""
        self._told.pop(event.board, None)
        if isinstance(event, BoardLost):
            self._lost.add(event.board)
            if event.kind is not FaultKind.OFFLINE:
                self._dead.add(event.board)
        else:
            self._lost.discard(event.board)
            self._dead.discard(event.board)

    def accept(self, line: str) -> LineRestored | None:
        """What a line's boards tell now is what it is known by from now on: somebody has looked."""
        if not self._is_changed(line):
            return None
        mine = {board for board, one in self._boards.items() if one.line == line}
        told = {board: words for board, words in self._told.items() if board in mine and words is not None}
        found = told | {board: words for board, words in self._changed.items() if board in mine}
        self._changed = {board: words for board, words in self._changed.items() if board not in mine}
        # What those that have yet to tell will say is meant as well: they are there, and somebody has looked.
        unseen = self._kept.keys() & mine - self._told.keys() - self._lost - found.keys()
        self._keep(found | dict.fromkeys(unseen, ()))
        return self._say(LineRestored(line=line, kind="accepted"))

    def _say(self, fact: Said) -> Said:
        self._out.tell(fact)
        return fact

    def _keep(self, found: Mapping[BoardId, Words]) -> None:
        """Keep what boards tell, over restarts too; of one that is known by nothing, whatever it tells next."""
        self._kept = {board: words for board, words in {**self._kept, **found}.items() if words}
        identities = tuple(Identity(board=board, words=words) for board, words in found.items())
        self._out.do(Checkpoint(records=(), identities=identities))

    def _is_elsewhere(self, known: _Board, words: Words) -> bool:
        """Say whether a board of another line is known by this."""
        return known.unique and any(
            kept == words and self._boards[board].line != known.line for board, kept in self._kept.items()
        )

    # What that means

    @property
    def changed_boards(self) -> Mapping[str, tuple[BoardId, ...]]:
        """The lines that have changed, and the boards that show it."""
        lines = dict.fromkeys(self._boards[board].line for board in self._changed)
        return {
            line: tuple(board for board in self._changed if self._boards[board].line == line) for line in lines
        }

    def ports_on(self, line: str) -> tuple[PortId, ...]:
        """Return the ports with anything on a line."""
        return tuple(port for port, lines in self._of_port.items() if line in lines)

    def changed(self, port: PortId) -> bool:
        """Say whether a line of a port has changed: nothing closes on it."""
        return bool(self._changed) and any(self._is_changed(line) for line in self._lines(port))

    def pending(self, port: PortId) -> bool:
        """Say whether a board of a port's lines is there that has yet to tell who it is."""
        return any(self._is_pending(line) for line in self._lines(port))

    def pending_on(self, port: PortId) -> tuple[str, ...]:
        """Return the lines of a port that have such a board."""
        return tuple(sorted(line for line in self._lines(port) if self._is_pending(line)))

    def steady(self, port: PortId) -> bool:
        """Say whether nothing speaks against a closing."""
        return not self.changed(port) and not self.pending(port)

    def vouched(self, board: BoardId) -> bool:
        """Say whether nothing speaks against its being this board that answers in its place."""
        known = self._boards.get(board)
        return known is None or not (self._is_changed(known.line) or self._is_pending(known.line))

    def another_since(self, board: BoardId) -> Instant | None:
        """Return since when a board's line, which has changed, may be another one; `None`: it has not changed."""
        known = self._boards.get(board)
        if known is None or not self._is_changed(known.line):
            return None
        return self._itself_at.get(known.line, LONG_AGO)

    def recognised(self, port: PortId) -> bool:
        """Say whether a session may go on: each line with anything kept of it has shown that it is the same."""
        return self.steady(port) and all(self._is_itself(line) for line in self._lines(port))

    def _lines(self, port: PortId) -> frozenset[str]:
        return self._of_port.get(port, frozenset())

    def _is_itself(self, line: str) -> bool:
        sure = self._sure(line)
        return not sure or any(self._told.get(board) == self._kept[board] for board in sure)

    def _note_itself(self, board: BoardId, at: Instant) -> None:
        line = self._boards[board].line
        if board in self._sure(line):
            self._itself_at[line] = at

    def _sure(self, line: str) -> list[BoardId]:
        """Return the boards that show best that a line is itself."""
        kept = [board for board in self._kept if self._boards[board].line == line and self._boards[board].tells]
        return [board for board in kept if self._boards[board].unique] or kept

    def _is_pending(self, line: str) -> bool:
        return bool(self._kept) and any(
            known.tells
            and board in self._kept
            and board not in self._told
            and board not in self._dead
            and known.line == line
            for board, known in self._boards.items()
        )

    def _is_changed(self, line: str) -> bool:
        return any(self._boards[board].line == line for board in self._changed)


def _lines_of_ports(plan: StationPlan, line_of: Mapping[BoardId, str]) -> dict[PortId, frozenset[str]]:
    """Return the lines on which each port's relay, its meter and the contactors above it hang."""
    circuits: Mapping[CircuitId, CircuitPlan] = {circuit.id: circuit for circuit in plan.circuits}
    found = {}
    for port in plan.ports:
        boards = [port.relay.board, port.meter.board]
        circuit = circuits.get(port.circuit)
        while circuit is not None:
            boards += [] if circuit.contactor is None else [circuit.contactor.board]
            circuit = None if circuit.parent is None else circuits.get(circuit.parent)
        found[port.id] = frozenset(line_of[board] for board in boards if board in line_of)
    return found
