"""How latches are cleared: which of them a request may clear, and what is told of it."""

from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import Event, ResetRequested
from chargerd.core.facts import Clearing, Latch, LatchesCleared
from chargerd.core.moment import Moment
from chargerd.core.port.answers import answer_request
from chargerd.core.port.port import Port
from chargerd.core.session import Source

NOTHING_HELD = "nothing was held"
"""Of a reset where no latch was: what was wanted is so, but nothing was cleared."""


def clears(request: ResetRequested, latch: Latch) -> bool:
    """Say whether a reset may clear a latch: lock-outs want a reason given on site."""
    match latch.clearing:
        case Clearing.REMOTE:
            return True
        case Clearing.LOCAL:
            return request.source is Source.LOCAL
        case _:
            return request.source is Source.LOCAL and bool(request.reason)


def clear(port: Port, event: Event, now: Moment) -> None:
    """Clear every latch this request may clear, and say so; lock-outs want a reason given on site."""
    assert isinstance(event, ResetRequested)
    kept = [latch for latch in port.latches if not clears(event, latch)]
    cleared = tuple(latch.function for latch in port.latches if latch not in kept)
    port.latches = kept
    if cleared:
        port.unbidden = 0
        port.out.tell(
            LatchesCleared(
                port=port.id,
                functions=cleared,
                source=event.source,
                reason=event.reason,
                kept=tuple(kept),
            )
        )
    if kept:
        code = Code.LOCKED_OUT if kept[0].clearing is Clearing.LOCK_OUT else Code.NOT_ALLOWED
        answer_request(port, event, ReplyStatus.REJECTED, code)
    else:
        answer_request(port, event, ReplyStatus.DONE, Code.OK, "" if cleared else NOTHING_HELD)
    port.rest(now)
    if port.load_unconfirmed(now):
        port.lock_out_unconfirmed(now)


def refuse_reset(port: Port, event: Event, _now: Moment) -> None:
    """Refuse a reset while a session is under way: there is no latch then."""
    assert isinstance(event, ResetRequested)
    answer_request(port, event, ReplyStatus.REJECTED, Code.BUSY)
