"""What holds a port open: trips, lock-outs, relays that do not obey, and how latches are cleared."""

from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import Event, ResetRequested
from chargerd.core.facts import Clearing, Latch, LatchesCleared
from chargerd.core.moment import Moment
from chargerd.core.port.answers import answer_request
from chargerd.core.port.condition import BEYOND_CONTROL
from chargerd.core.port.port import Port
from chargerd.core.port.rules import AT_REST, Handler, Reply, always
from chargerd.core.session import Source, StopDetail, StopReason

NOTHING_HELD = "nothing was held"
"""Of a reset where no latch was: what was wanted is so, but nothing was cleared."""


def welded(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if current flows through a relay that was read back open, three readings long."""
    return port.weld.detail is not None and not any(latch.function == "relay_welded" for latch in port.latches)


def to_open_again(port: Port, _event: Event, _now: Moment) -> bool:
    """Hold if a welded relay is to be opened once more."""
    return port.reopen > 0


def load_unconfirmed(port: Port, _event: Event, now: Moment) -> bool:
    """Hold if current flows through a relay that should have opened by now, and nobody could read that it has."""
    known = any(latch.function in BEYOND_CONTROL for latch in port.latches)
    return not known and port.load_unconfirmed(now)


def lock_out_welded(port: Port, now: Moment) -> None:
    """Current flows through an open relay: lock out."""
    port.lock_out_welded(port.weld.detail or port.weld.prove(port.seen), now)


def open_again(port: Port, now: Moment) -> None:
    """Open a welded relay once more."""
    port.open_again(now)


def trip(port: Port, now: Moment) -> None:
    """Do what the verdict demands: open, end, and latch if its function does."""
    assert port.verdict is not None
    port.trip(port.verdict, now)


def stuck_open(port: Port, now: Moment) -> None:
    """The relay does not close, or has fallen open: end with a latch that wants a person on site."""
    detail = StopDetail(function="relay_stuck_open")
    latch = Latch(port=port.id, function=detail.function, clearing=Clearing.LOCAL, detail=detail)
    port.trip_with(latch, StopReason.RELAY_FAULT, detail, now)


def would_not_open(port: Port, now: Moment) -> None:
    """Three openings were read back closed: lock out."""
    detail = StopDetail(
        function="relay_will_not_open",
        measured=port.plan.protection.open_tries,
        limit=port.plan.protection.open_tries,
    )
    port.lock_out("relay_will_not_open", detail, now)


def out_of_control(port: Port, now: Moment) -> None:
    """Current flows though the relay must be open by now, or should be: lock out."""
    port.lock_out_unconfirmed(now)


def found_closed(port: Port, now: Moment) -> None:
    """The relay closed without a command."""
    port.found_closed(now)


def clears(request: ResetRequested, latch: Latch) -> bool:
    """Say whether a reset may clear a latch: lock-outs want a reason given on site."""
    match latch.clearing:
        case Clearing.REMOTE:
            return True
        case Clearing.LOCAL:
            return request.source is Source.LOCAL
        case _:
            return request.source is Source.LOCAL and bool(request.reason)


def clear(port: Port, request: ResetRequested, now: Moment) -> None:
    """Clear every latch this request may clear, and say so; lock-outs want a reason given on site."""
    kept = [latch for latch in port.latches if not clears(request, latch)]
    cleared = tuple(latch.function for latch in port.latches if latch not in kept)
    port.latches = kept
    if cleared:
        port.unbidden = 0
        port.out.tell(
            LatchesCleared(
                port=port.id,
                functions=cleared,
                source=request.source,
                reason=request.reason,
                kept=tuple(kept),
            )
        )
    if kept:
        code = Code.LOCKED_OUT if kept[0].clearing is Clearing.LOCK_OUT else Code.NOT_ALLOWED
        answer_request(port, request, ReplyStatus.REJECTED, code)
    else:
        answer_request(port, request, ReplyStatus.DONE, Code.OK, "" if cleared else NOTHING_HELD)
    port.rest(now)
    if port.load_unconfirmed(now):
        port.lock_out_unconfirmed(now)


def refuse_reset(port: Port, request: ResetRequested, _now: Moment) -> None:
    """Refuse a reset while a session is under way: there is no latch then."""
    answer_request(port, request, ReplyStatus.REJECTED, Code.BUSY)


RESET = Handler(
    request=ResetRequested,
    by_state=dict.fromkeys(AT_REST, (Reply("clear", always, clear),)),
    otherwise=Reply("busy", always, refuse_reset),
)
