"""What holds a port open: trips, lock-outs, relays that do not obey, and how latches are cleared."""

from chargerd.core.boards.relay import RelayPhase
from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import Event, ResetRequested
from chargerd.core.facts import LatchesCleared, PortLockedOut, PortTripped, RelayUnconfirmed, RelayUnexpected
from chargerd.core.metering.pickup import reached
from chargerd.core.moment import Moment
from chargerd.core.port.answers import answer_request
from chargerd.core.port.ending import end, finish, stop_charging
from chargerd.core.port.port import Ending, Port, Step
from chargerd.core.port.rules import AT_REST, Handler, Reply, always
from chargerd.core.session import Clearing, Latch, Source, StopDetail, StopReason
from chargerd.core.units import Amps, Instant, Seconds, after
from chargerd.core.view import PortState

UNDECIDED = Seconds(19.5)
"""How long a contactor waits for the verdict on a contact once its meter can show it: three readings at rest."""
BEYOND_CONTROL = frozenset({"relay_welded", "relay_will_not_open", "relay_board_lost", "relay_unconfirmed"})
"""Lock-outs of relays that do not open: the contactor above stays open while one is held."""
READ_BACK = frozenset({"relay_will_not_open", "relay_unexpected"})
"""Lock-outs of relays that were read back closed."""
UNBIDDEN_TIMES = 2
"""A relay found closed this often without a command locks its port out."""
REOPENINGS = 3
"""A welded relay is opened this often more, in case it comes loose."""
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
    return not known and carries_unconfirmed(port, now)


def stuck_open(port: Port, now: Moment) -> None:
    """The relay does not close, or has fallen open: end with a latch that wants a person on site."""
    detail = StopDetail(function="relay_stuck_open")
    latch = Latch(port=port.id, function=detail.function, clearing=Clearing.LOCAL, detail=detail, since=now)
    trip_with(port, latch, StopReason.RELAY_FAULT, detail, now)


def would_not_open(port: Port, now: Moment) -> None:
    """Three openings were read back closed: lock out."""
    detail = StopDetail(
        function="relay_will_not_open",
        measured=port.plan.protection.open_tries,
        limit=port.plan.protection.open_tries,
    )
    lock_out(port, "relay_will_not_open", detail, now)


def clears(request: ResetRequested, latch: Latch) -> bool:
    """Say whether a reset may clear a latch: lock-outs want a reason given on site."""
    match latch.clearing:
        case Clearing.REMOTE:
            return True
        case Clearing.LOCAL:
            return request.source is Source.LOCAL
        case _:
            return request.source is Source.LOCAL and bool(request.reason)


def danger(port: Port, latch: Latch, now: Moment) -> str | None:
    """Return what is seen now of the danger a latch is for; `None` if nothing is: then it may be cleared."""
    if latch.function in BEYOND_CONTROL and port.load_seen(now):
        return f"{latch.function}: {port.seen.current:.2f} A flow still"
    if latch.function in READ_BACK and port.relay.read_back:
        return f"{latch.function}: the relay was read back closed still"
    if latch.function == "port_temperature" and port.heat.warm(now.instant):
        return f"{latch.function}: the socket is still warm"
    return None


def clear(port: Port, request: ResetRequested, now: Moment) -> None:
    """Clear every latch this request may clear, and say so; lock-outs want a reason given on site.

    None is cleared whose danger is seen to stand: it would be set again, after somebody had believed the reset.
    """
    dangers = {latch: danger(port, latch, now) for latch in port.latches if clears(request, latch)}
    kept = [latch for latch in port.latches if dangers.get(latch, "") is not None]
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
        standing = ", ".join(filter(None, dangers.values()))
        code = Code.LOCKED_OUT if kept[0].clearing is Clearing.LOCK_OUT else Code.NOT_ALLOWED
        answer_request(port, request, ReplyStatus.REJECTED, Code.NOT_ALLOWED if standing else code, standing)
    else:
        answer_request(port, request, ReplyStatus.DONE, Code.OK, "" if cleared else NOTHING_HELD)
    port.rest(now)
    if carries_unconfirmed(port, now):
        lock_out_unconfirmed(port, now)


def refuse_reset(port: Port, request: ResetRequested, _now: Moment) -> None:
    """Refuse a reset while a session is under way: there is no latch then."""
    answer_request(port, request, ReplyStatus.REJECTED, Code.BUSY)


def trip(port: Port, now: Moment) -> None:
    """Do what the verdict demands: open, end, and latch if its function does."""
    verdict = port.verdict
    assert verdict is not None
    detail, latch = verdict.detail, None
    if verdict.clearing is not None:
        latch = Latch(port=port.id, function=detail.function, clearing=verdict.clearing, detail=detail, since=now)
    trip_with(port, latch, verdict.reason, detail, now)


def trip_with(port: Port, latch: Latch | None, reason: StopReason, detail: StopDetail, now: Moment) -> None:
    """Open at once, end the session for this reason, and hold the port by this latch."""
    session = port.session.order.session
    if latch is not None:
        port.latches.append(latch)
    port.out.tell(PortTripped(port=port.id, function=detail.function, detail=detail, session=session, latch=latch))
    end(port, reason, detail, now)


def lock_out(
    port: Port,
    function: str,
    detail: StopDetail | None,
    now: Moment,
    reason: StopReason = StopReason.RELAY_FAULT,
) -> None:
    """Lock the port out and end its session, if it has one."""
    if not any(latch.function == function for latch in port.latches):
        latch = Latch(port=port.id, function=function, clearing=Clearing.LOCK_OUT, detail=detail, since=now)
        port.latches.append(latch)
        session = port.charge.order.session if port.charge is not None else None
        port.out.tell(PortLockedOut(port=port.id, latch=latch, session=session))
    if port.charge is None:
        port.rest(now)
        return
    if port.ending is None:
        port.ending = Ending(reason=reason, detail=StopDetail(function=function))
    stop_charging(port, now)
    port.recover_until = port.return_at = None
    port.circuits.leave(port.id)
    if port.session.touched and port.load_seen(now):
        port.enter(PortState.STOPPING, now)  # Whoever draws it is not told that nothing flows any more.
        port.take_step(Step.OPEN, port.step_deadline(now))
    else:
        finish(port, now)


def lock_out_unconfirmed(port: Port, now: Moment, elsewhere: Amps | None = None) -> None:
    """Current flows, and nobody can read that the relay is open: lock out.

    `elsewhere` is the current if another port's meter shows it.
    """
    limit, measured = port.plan.protection.weld_current, elsewhere or port.seen.current
    if port.relay.board_lost:
        detail = StopDetail(function="relay_board_lost", measured=measured, limit=limit, unit="a")
    else:
        detail = StopDetail(function="relay_unconfirmed", measured=measured, limit=limit, unit="a")
    lock_out(port, detail.function, detail, now)


def lock_out_welded(port: Port, now: Moment) -> None:
    """Current flows through an open relay: lock out, and open it again, but never toggle it under load."""
    detail = port.weld.detail or port.weld.prove(port.seen)
    lock_out(port, detail.function, detail, now, StopReason.RELAY_WELDED)
    port.reopen = REOPENINGS
    open_again(port, now)


def open_again(port: Port, now: Moment) -> None:
    """Open a welded relay once more."""
    port.reopen -= 1
    port.relay.open(now.instant, port.out)


def found_closed(port: Port, now: Moment) -> None:
    """The relay was read back closed without a command: it is being opened; a second time locks out."""
    port.unbidden += 1
    port.out.tell(RelayUnexpected(port=port.id))
    if port.unbidden >= UNBIDDEN_TIMES:
        lock_out(port, "relay_unexpected", StopDetail(function="relay_unexpected", measured=port.unbidden), now)
    elif port.charge is None:
        port.rest(now)


def tell_unconfirmed(port: Port, now: Moment) -> None:
    """Tell once that nobody knows where the relay stands; without a session it is not free either."""
    opening = port.relay.told_open_at
    if port.unconfirmed_told == opening or not port.unconfirmed(now):
        return
    port.unconfirmed_told = opening
    if not any(latch.function in BEYOND_CONTROL for latch in port.latches):
        port.out.tell(RelayUnconfirmed(port=port.id, board=port.plan.relay.board))
    if port.charge is None:
        port.rest(now)


def out_of_control(port: Port, now: Moment) -> bool:
    """Say whether only the contactor above can still open this port."""
    if any(latch.function in BEYOND_CONTROL for latch in port.latches):
        return True
    if port.station.dead_men.lapses(port.plan.relay):
        return False
    if port.relay.phase is RelayPhase.OPEN:
        return port.shown_open is False  # Only what may be another line's board has called it open.
    if port.relay.board_lost or (port.unconfirmed(now) and port.blind(now)):
        return True
    # Below an open contactor a meter shows nothing whatever its relay does: only a read-back tells.
    cut_off = any(circuit.held for circuit in port.circuits.place(port.id).above)
    return cut_off and port.relay.told_open_at is not None


def carries_unconfirmed(port: Port, now: Moment) -> bool:
    """Say whether current or power was measured so late that an unconfirmed relay should have been open."""
    told, until = port.relay.told_open_at, port.unconfirmed_at()
    if told is None or until is None or not reached(until, now.instant) or port.frozen.dead:
        return False
    since = until if port.station.dead_men.lapses(port.plan.relay) else after(told, port.shown_within())
    seen = port.seen
    flows = seen.current_at is not None and seen.current_at >= since and not port.load_absent()
    draws = seen.power_at is not None and seen.power_at >= since and (seen.power or 0.0) > port.weld.least
    return flows or draws


def undecided_until(port: Port, now: Moment) -> Instant | None:
    """Return until when its contactors wait to see whether its contact carries on, which reads back open.

    `None`: they need not. Without power from above no meter would show it.
    """
    relay, seen = port.relay, port.seen
    opened = relay.opened_at
    if relay.phase is not RelayPhase.OPEN or relay.closed_from is None or opened is None or port.blind(now):
        return None
    shown = after(opened, port.shown_within())
    told = seen.current_at is not None and reached(shown, seen.current_at)
    until = after(shown, UNDECIDED)
    return None if (told and port.load_absent()) or reached(until, now.instant) else until


RESET = Handler(
    request=ResetRequested,
    by_state=dict.fromkeys(AT_REST, (Reply("clear", always, clear),)),
    otherwise=Reply("busy", always, refuse_reset),
)
