"""Ports whose meters or relays are exchanged: one closes, and the current shows on another one that is open.

The port that closed is opened and held at once, and so is the other one unless it has a session: a suspicion must
outlive the process. If the current goes with it, both stay so until somebody has looked: which of the two wires is
wrong cannot be told from here. If it stays, the open one carries it by itself: that is a weld, the first is free.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from chargerd.core.boards.relay import RelayPhase
from chargerd.core.commands import Pace, SetPace
from chargerd.core.events import MeterReading
from chargerd.core.facts import LatchesCleared, PortTripped, WiringSuspect
from chargerd.core.metering.pickup import reached
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.port.latching import BEYOND_CONTROL, lock_out_unconfirmed, trip_with
from chargerd.core.port.port import Port, StationContext
from chargerd.core.session import Clearing, Latch, StopDetail, StopReason
from chargerd.core.units import Amps, Instant, PortId, Seconds, Watts, after
from chargerd.core.view import PortState

FELL_WITHIN = Seconds(10.0)
"""A port that drew no longer before another's opening, and does not after it, has shown what that one drew."""
NOTHING = Watts(2.0)
LEAST_CURRENT = Amps(0.1)
GIVE_UP = Seconds(15.0)
"""So long the other port's meter may take to tell; if it does not, the wiring stays suspect."""
MAY_CARRY = frozenset({PortState.STARTING, PortState.CHARGING})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Suspicion:
    """The port that was opened for it, the one that showed its current, and by when that is to be settled."""

    port: Port
    other: Port
    detail: StopDetail
    until: Instant


class Wiring:
    """Watches all ports of a site for current that shows on the wrong one."""

    def __init__(self, ports: Mapping[PortId, Port], station: StationContext, out: Outbox) -> None:
        self._ports = ports
        self._station = station
        self._out = out
        self._closed: dict[PortId, Instant] = {}
        """When the write began that closed a port that has shown no load of its own since."""
        self._drew_at: dict[PortId, Instant] = {}
        """When a port has last shown a load."""
        self._loaded: dict[PortId, Instant] = {}
        """Since which reading an open port shows a load."""
        self._pending: dict[PortId, _Suspicion] = {}
        self._stays: set[PortId] = set()
        """Open ports whose load has stayed when the port suspected with them had opened."""

    def closed(self, port: Port) -> None:
        """A port's relay has been read back closed."""
        assert port.relay.closed_from is not None
        self._closed[port.id] = port.relay.closed_from

    def take_in(self, port: Port, event: MeterReading) -> None:
        """Take in a reading that the port's image has taken in."""
        if event.power is not None and abs(event.power) >= NOTHING:
            self._drew_at[port.id] = event.at
        opened = port.relay.opened_at if port.relay.phase is RelayPhase.OPEN else None
        # What a meter may still show from before the opening is no load of an open port.
        shown = opened is not None and _since(port, after(opened, port.shown_within()))
        if not (shown and _loaded(port)):
            self._loaded.pop(port.id, None)
        else:
            self._loaded.setdefault(port.id, event.at)

    def explains(self, port: Port) -> bool:
        """Say whether the load of an open port may be another one's: then it says nothing of its contact yet."""
        since = self._loaded.get(port.id)
        if since is None or port.id in self._station.suspects:
            return since is not None and port.id not in self._stays
        return any(self._idle_from(other, port) is not None for other in self._ports.values())

    def judge(self, now: Moment) -> list[Port]:
        """Open what may be wired wrongly, and settle what was suspected; return the ports that were touched."""
        if not (self._closed or self._loaded or self._pending):
            return []  # Nothing has closed lately, and nothing open shows a load: almost always so.
        self._closed = {name: at for name, at in self._closed.items() if not self._draws(self._ports[name], at)}
        touched = []
        for port in self._ports.values() if self._loaded else ():
            touched += self._suspect(port, now)
        for suspicion in tuple(self._pending.values()):
            touched += self._settle(suspicion, now)
        return touched

    def due(self) -> Instant | None:
        """Return when `judge` has something to do though nothing is read."""
        if not self._pending:
            return None
        return min(suspicion.until for suspicion in self._pending.values())

    @staticmethod
    def _draws(port: Port, since: Instant) -> bool:
        """Say whether a port carries a load of its own, or nothing any more, since an instant."""
        seen = port.seen
        shown = seen.power_at is not None and seen.power_at >= since and (seen.power or 0.0) >= NOTHING
        return shown or port.relay.phase is not RelayPhase.CLOSED

    def _idle_from(self, port: Port, other: Port) -> Instant | None:
        """Return since when a closed port may carry what an open one shows: its closing, or the other's opening.

        At that opening its own load has gone, if it was the other's. `None`: it does not come into question.
        """
        since, opened = self._loaded.get(other.id), other.relay.opened_at
        if since is None or opened is None or port is other or port.state not in MAY_CARRY:
            return None
        closed = self._closed.get(port.id)
        if closed is not None and closed <= since:
            return closed
        drew, shown = self._drew_at.get(port.id), after(opened, port.shown_within())
        fell = drew is not None and after(drew, FELL_WITHIN) >= opened and not self._draws(port, shown)
        return shown if fell else None

    @staticmethod
    def _told_since(port: Port, idle: Instant) -> bool:
        """Say whether its meter has been heard since it has had time to show a load."""
        return port.seen.power_at is not None and port.seen.power_at > after(idle, port.plan.meter.refresh)

    def _suspect(self, port: Port, now: Moment) -> list[Port]:
        """Open a port that shows nothing while another one does that is open, and wait for what comes of it."""
        shows = [(other, self._idle_from(port, other)) for other in map(self._ports.__getitem__, self._loaded)]
        others = [
            other
            for other, idle in shows
            if idle is not None
            and self._told_since(port, idle)
            and _since(other, after(idle, other.plan.meter.refresh))
        ]
        if not others:
            return []
        other = max(others, key=lambda one: one.seen.power or 0.0)
        detail = StopDetail(
            function="wiring_suspect", measured=other.seen.power, limit=other.plan.protection.weld_power, unit="w"
        )
        self._pending[port.id] = _Suspicion(
            port=port, other=other, detail=detail, until=after(now.instant, GIVE_UP)
        )
        self._station.suspects |= {port.id, other.id}
        self._closed.pop(port.id, None)
        self._out.tell(WiringSuspect(ports=(port.id, other.id), detail=detail, session=port.session.order.session))
        self.hold(port, detail, now)
        if other.charge is None:
            self.hold(other, detail, now)
            self._out.do(SetPace(port=other.id, pace=Pace.ARMED))
        return [port, other]

    def _settle(self, suspicion: _Suspicion, now: Moment) -> list[Port]:
        """Hold both, unless the current stays and the rule of welds finds the other one welded."""
        port, other = suspicion.port, suspicion.other
        opened = port.relay.opened_at if port.relay.phase is RelayPhase.OPEN else None
        told = (
            opened is not None
            and _since(other, after(opened, other.shown_within()))
            and self._powered_since(other, opened)
        )
        welded = any(latch.function == "relay_welded" for latch in other.latches)
        stays = told and _loaded(other)
        if stays and not welded:
            self._stays.add(other.id)
        settled = welded or (told and not stays)
        over = reached(suspicion.until, now.instant)
        stuck = (port.unconfirmed(now) or over) and self._carries(port, other)
        if stuck:
            lock_out_unconfirmed(port, now, other.seen.current)
        if not settled and not over:
            return [port, other] if stuck else []
        del self._pending[port.id]
        self._stays.discard(other.id)
        self._station.suspects = {one for each in self._pending.values() for one in (each.port.id, each.other.id)}
        if other.charge is None:
            self._out.do(SetPace(port=other.id, pace=Pace.IDLE))
        for each in (port, other):
            if welded:
                self._release(each, suspicion.detail, now)
            else:
                self.hold(each, suspicion.detail, now)
        return [port, other]

    @staticmethod
    def _carries(port: Port, other: Port) -> bool:
        """Say whether a port that was told to open, and is not known to be, still feeds what another one shows."""
        told = port.relay.told_open_at
        if told is None or any(latch.function in BEYOND_CONTROL for latch in port.latches):
            return False
        return _loaded(other) and not other.frozen.dead and _since(other, after(told, other.shown_within()))

    def _powered_since(self, port: Port, instant: Instant) -> bool:
        """Say whether every contactor above a port has been closed since: without it nothing would flow."""
        contactors = [circuit.contactor for circuit in self._station.circuits.place(port.id).above]
        return all(one is None or (one.closed and reached(one.relay.closed_from, instant)) for one in contactors)

    def hold(self, port: Port, detail: StopDetail, now: Moment) -> None:
        """Latch a port and end its session, unless it is held already."""
        if any(latch.function == detail.function for latch in port.latches):
            return
        latch = Latch(port=port.id, function=detail.function, clearing=Clearing.LOCAL, detail=detail, since=now)
        if port.charge is not None and port.ending is None:
            trip_with(port, latch, StopReason.RELAY_FAULT, detail, now)
            return
        port.latches.append(latch)
        self._out.tell(PortTripped(port=port.id, function=detail.function, detail=detail, latch=latch))
        if port.charge is None:
            port.rest(now)

    def _release(self, port: Port, detail: StopDetail, now: Moment) -> None:
        """Take back what a suspicion has latched: one of the two is welded, their wires are where they belong."""
        kept = [latch for latch in port.latches if latch.function != detail.function]
        if kept != port.latches:
            port.latches = kept
            cleared = LatchesCleared(
                port=port.id, functions=(detail.function,), source=None, reason="relay_welded", kept=tuple(kept)
            )
            self._out.tell(cleared)
            if port.charge is None:
                port.rest(now)


def _loaded(port: Port) -> bool:
    """Say whether a port's meter shows a load that is no crosstalk."""
    seen = port.seen
    return (seen.power or 0.0) > port.weld.least and (seen.current or 0.0) > LEAST_CURRENT


def _since(port: Port, instant: Instant) -> bool:
    """Say whether both current and power of a port were read after an instant."""
    seen = port.seen
    known = seen.current_at is not None and seen.power_at is not None
    return known and min(seen.current_at or instant, seen.power_at or instant) > instant
