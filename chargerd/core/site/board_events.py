"""What boards and their lines do to ports: a board silent or back, a line that is another one than before.

What is on a line that has changed is out of reach: every relay there is opened, its sessions wait, and what is
shown of them counts for nothing until the line is itself again.
"""

from collections.abc import Iterable, Mapping

from chargerd.core.boards.relay import RelayPhase, Signal
from chargerd.core.commands import Code
from chargerd.core.events import (
    BoardEvent,
    BoardIdentified,
    BoardLost,
    BoardPrepared,
    DeadlineReached,
    ForeignHeard,
    LineAccepted,
    PreparationFailed,
    RelayReadBack,
)
from chargerd.core.facts import (
    BoardNotPrepared,
    BoardReturned,
    BoardWentSilent,
    ForeignAnswers,
    LineChanged,
    LineRestored,
)
from chargerd.core.metering.pickup import Recurring
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.port.port import Intervention, Port, StationContext
from chargerd.core.port.rules import Trigger
from chargerd.core.port.table import react
from chargerd.core.session import StopDetail, StopReason
from chargerd.core.site.contactors import Contactors
from chargerd.core.units import BoardId, PortId, after

BoardNews = BoardEvent | BoardIdentified | LineAccepted


class BoardEvents:
    """Takes in what is told of boards and lines."""

    def __init__(
        self, station: StationContext, ports: Mapping[PortId, Port], contactors: Contactors, out: Outbox
    ) -> None:
        self._station = station
        self._ports = ports
        self._contactors = contactors
        self._out = out
        self._strangers: dict[tuple[BoardId, str | None], Recurring] = {}
        """Answers of boards that nobody had asked, told once while they go on."""

    def take(self, event: BoardNews, now: Moment) -> list[Port]:
        """Take in what is told of a board or a line; return the ports on it whose relays that concerns."""
        if isinstance(event, BoardIdentified | LineAccepted):
            return self._line(event, now)
        return self._board(event, now)

    def _board(self, event: BoardEvent, now: Moment) -> list[Port]:
        """Take in what a board's bus says of it; return the ports on one that is lost or back."""
        self._station.dead_men.take_in(event)
        match event:
            case BoardPrepared():
                return []
            case PreparationFailed():
                self._out.tell(BoardNotPrepared(board=event.board, kind=event.setting))
                return []
            case ForeignHeard():
                self._foreign(event)
                return []
            case _:
                pass
        ports = [port for port in self._ports.values() if port.plan.relay.board == event.board]
        self._station.lines.board(event)
        if isinstance(event, BoardLost):
            self._out.tell(BoardWentSilent(board=event.board, kind=event.kind.value))
        else:
            self._out.tell(BoardReturned(board=event.board))
        self._contactors.board(event, now)
        for port in ports:
            port.relay.board_seen(now.instant, self._out, lost=isinstance(event, BoardLost))
        return ports

    def _line(self, event: BoardIdentified | LineAccepted, now: Moment) -> list[Port]:
        """Take in what says which line it is; return the ports on one that has changed, or is itself again."""
        lines = self._station.lines
        said = lines.take_in(event) if isinstance(event, BoardIdentified) else lines.accept(event.line)
        if said is None:
            return []
        ports = [self._ports[port] for port in lines.ports_on(said.line)]
        follow(said, ports, now)
        return ports

    def _foreign(self, event: ForeignHeard) -> None:
        kind = "tainted" if event.tainted else None
        if self._strangers.setdefault((event.board, kind), Recurring()).take_in(event.at):
            self._out.tell(ForeignAnswers(board=event.board, kind=kind))


def of_another_line(signal: Signal | None) -> Signal | None:
    """Return what a relay's signal says if it may be another line's: that this one is out of reach, not stuck."""
    return Signal.LEASE_LOST if signal is Signal.STAYED_OPEN else signal


def take_shown(port: Port, event: RelayReadBack) -> None:
    """Take in that a relay was read: what may be another line's board shows nothing of it."""
    if not port.station.lines.vouched(port.plan.relay.board):
        return
    if event.closed:
        port.shown_open = False
    elif port.relay.phase is RelayPhase.OPEN and not port.shown_open:
        port.shown_open, port.shown_open_at = True, event.sent_at


def _unshow(port: Port) -> None:
    """Forget what was shown of a relay, if its line has changed, since that was last known to be itself."""
    since = port.station.lines.another_since(port.plan.relay.board)
    if since is not None and (port.shown_open is None or port.shown_open_at >= since):
        port.shown_open = False


def follow(said: LineChanged | LineRestored, ports: Iterable[Port], now: Moment) -> None:
    """Open every relay on a line that has changed, its sessions wait; on one that is itself again they may go on.

    What has waited for its line has its time to recover from then on.
    """
    for port in ports:
        patience = port.plan.protection.recover_within
        if isinstance(said, LineChanged):
            _unshow(port)
            detail = StopDetail(function="line_changed")
            port.intervention = Intervention(
                reason=StopReason.BOARD_LOST, detail=detail, code=Code.LINE_CHANGED, patience=patience
            )
            react(port, Trigger.CIRCUIT_SUSPEND, DeadlineReached(), now)
        elif port.recover_until is not None and port.session.kept is None:
            port.recover_until = after(now.instant, patience)
