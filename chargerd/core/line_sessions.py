"""What becomes of the sessions on a line that is another one than before, and when it is itself again."""

from collections.abc import Iterable

from chargerd.core.commands import Code
from chargerd.core.condition import Intervention
from chargerd.core.events import DeadlineReached
from chargerd.core.facts import LineChanged, LineRestored
from chargerd.core.moment import Moment
from chargerd.core.port import Port
from chargerd.core.relay import Signal
from chargerd.core.session import StopDetail, StopReason
from chargerd.core.table import Trigger, react
from chargerd.core.units import after


def of_another_line(signal: Signal | None) -> Signal | None:
    """Return what a relay's signal says if it may be another line's: that this one is out of reach, not stuck."""
    return Signal.LEASE_LOST if signal is Signal.STAYED_OPEN else signal


def note_astray(port: Port, signal: Signal | None) -> None:
    """Take in that a relay was read: what may be another line's shows nothing of one that was closed before.

    It is known to be open again once its own line has shown it.
    """
    shown = signal is Signal.OPENED and port.relay.closed_from is not None
    port.astray = not port.station.lines.vouched(port.plan.relay.board) and (port.astray or shown)


def follow(said: LineChanged | LineRestored, ports: Iterable[Port], now: Moment) -> None:
    """Open every relay on a line that has changed, its sessions wait; on one that is itself again they may go on.

    What has waited for its line has its time to recover from then on.
    """
    for port in ports:
        patience = port.plan.protection.recover_within
        if isinstance(said, LineChanged):
            detail = StopDetail(function="line_changed")
            port.intervention = Intervention(
                reason=StopReason.BOARD_LOST, detail=detail, code=Code.LINE_CHANGED, patience=patience
            )
            react(port, Trigger.CIRCUIT_SUSPEND, DeadlineReached(), now)
        elif port.recover_until is not None and port.session.kept is None:
            port.recover_until = after(now.instant, patience)
