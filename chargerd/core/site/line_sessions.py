"""What becomes of the sessions on a line that is another one than before, and when it is itself again."""

from collections.abc import Iterable

from chargerd.core.boards.relay import Phase, Signal
from chargerd.core.commands import Code
from chargerd.core.events import DeadlineReached, RelayReadBack
from chargerd.core.facts import LineChanged, LineRestored
from chargerd.core.moment import Moment
from chargerd.core.port.condition import Intervention
from chargerd.core.port.port import Port
from chargerd.core.port.rules import Trigger
from chargerd.core.port.table import react
from chargerd.core.session import StopDetail, StopReason
from chargerd.core.units import after


def of_another_line(signal: Signal | None) -> Signal | None:
    """Return what a relay's signal says if it may be another line's: that this one is out of reach, not stuck."""
    return Signal.LEASE_LOST if signal is Signal.STAYED_OPEN else signal


def note_shown(port: Port, event: RelayReadBack) -> None:
    """Take in that a relay was read: what may be another line's board shows nothing of it."""
    if not port.station.lines.vouched(port.plan.relay.board):
        return
    if event.closed:
        port.shown_open = False
    elif port.relay.phase is Phase.OPEN and not port.shown_open:
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
