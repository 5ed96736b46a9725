"""What is out of service: ports, and circuits with every port below, until somebody puts them back.

What is disabled takes no start; a session under way goes on, as with OCPP's ChangeAvailability (`Scheduled`). What
was disabled on site is enabled on site only. What is *locked* has no session either: somebody has a hand in there.
A lock bears a name and a reason, stands beside a disabling and outlives it, and nobody takes it away from afar.
Protection goes on in any case.
"""

from collections.abc import Iterable

from chargerd.core.circuits.tree import Circuits
from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import (
    AvailabilityRequest,
    DisableRequested,
    EnableRequested,
    LockRequested,
    UnlockRequested,
)
from chargerd.core.facts import PortDisabled, PortEnabled, PortLocked, PortUnlocked
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.plan import circuit_of, holder_of, lock_of
from chargerd.core.session import Disabled, Source
from chargerd.core.units import PortId


class Availability:
    """What was disabled or locked, by whom and why; for each port or circuit one word of each kind stands."""

    def __init__(self, held: Iterable[Disabled] = ()) -> None:
        self._held = {one.holder: one for one in held}

    def of(self, holder: PortId) -> Disabled | None:
        """Return why this port itself, or this circuit itself (`holder_of` it), is disabled."""
        return self._held.get(holder)

    def over(self, port: PortId, circuits: Circuits) -> Disabled | None:
        """Return why a port takes no start: its own disabling, or that of the nearest circuit above."""
        return next((self._held[one] for one in _holders(port, circuits) if one in self._held), None)

    def lock_of(self, holder: PortId) -> Disabled | None:
        """Return the lock that hangs on this port itself, or on this circuit itself."""
        return self._held.get(lock_of(holder))

    def lock_over(self, port: PortId, circuits: Circuits) -> Disabled | None:
        """Return the lock that keeps a port open: its own, or that of the nearest circuit above."""
        locks = (self.lock_of(one) for one in _holders(port, circuits))
        return next((lock for lock in locks if lock is not None), None)

    def change(self, event: AvailabilityRequest, out: Outbox, now: Moment) -> None:
        """Do what was asked for, tell of it if it has changed anything, and answer."""
        match event:
            case DisableRequested():
                self._disable(event, out, now)
            case EnableRequested():
                self._enable(event, out)
            case LockRequested():
                self._lock(event, out, now)
            case _:
                self._unlock(event, out)

    def _disable(self, event: DisableRequested, out: Outbox, now: Moment) -> None:
        known = self._held.get(event.port)
        if known is not None and known.source is Source.LOCAL and event.source is Source.REMOTE:
            out.answer(event, ReplyStatus.DONE, Code.OK, f"is disabled on site already: {known.reason}")
            return
        if known is None or (known.source, known.reason) != (event.source, event.reason):
            disabled = Disabled(holder=event.port, source=event.source, reason=event.reason, since=now)
            self._held[event.port] = disabled
            out.tell(
                PortDisabled(
                    port=event.port, circuit=circuit_of(event.port), disabled=disabled, reason=event.reason
                )
            )
        out.answer(event, ReplyStatus.DONE, Code.OK)

    def _enable(self, event: EnableRequested, out: Outbox) -> None:
        known = self._held.get(event.port)
        if known is None:
            out.answer(event, ReplyStatus.DONE, Code.OK, "was not disabled")
            return
        if known.source is Source.LOCAL and event.source is Source.REMOTE:
            message = f"disabled on site, and enabled there only: {known.reason}"
            out.answer(event, ReplyStatus.REJECTED, Code.NOT_ALLOWED, message)
            return
        del self._held[event.port]
        out.tell(
            PortEnabled(port=event.port, circuit=circuit_of(event.port), source=event.source, reason=event.reason)
        )
        out.answer(event, ReplyStatus.DONE, Code.OK)

    def _lock(self, event: LockRequested, out: Outbox, now: Moment) -> None:
        known = self.lock_of(event.port)
        if known is not None and known.by != event.by:
            message = f"{known.by} has locked it already: {known.reason}"
            out.answer(event, ReplyStatus.REJECTED, Code.LOCKED, message)
            return
        if known is None or known.reason != event.reason:
            since = now if known is None else known.since
            lock = Disabled(
                holder=lock_of(event.port), source=event.source, reason=event.reason, since=since, by=event.by
            )
            self._held[lock.holder] = lock
            out.tell(PortLocked(port=event.port, circuit=circuit_of(event.port), lock=lock))
        out.answer(event, ReplyStatus.DONE, Code.OK)

    def _unlock(self, event: UnlockRequested, out: Outbox) -> None:
        known = self.lock_of(event.port)
        if event.source is Source.REMOTE:
            out.answer(event, ReplyStatus.REJECTED, Code.NOT_ALLOWED, "a lock is taken away on site only")
        elif known is None:
            out.answer(event, ReplyStatus.DONE, Code.OK, "was not locked")
        else:
            del self._held[known.holder]
            circuit = circuit_of(event.port)
            out.tell(PortUnlocked(port=event.port, circuit=circuit, lock=known, by=event.by, reason=event.reason))
            out.answer(event, ReplyStatus.DONE, Code.OK)


def _holders(port: PortId, circuits: Circuits) -> list[PortId]:
    """Return under which ids a port may be out of service: its own, and those of the circuits above it."""
    return [port, *(holder_of(circuit.plan.id) for circuit in circuits.place(port).above)]
