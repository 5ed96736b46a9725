"""What is out of service: ports, and circuits with every port below, until somebody enables them again.

A session under way goes on, as with OCPP's ChangeAvailability (`Scheduled`), and protection goes on in any case;
only nothing new begins. What was disabled on site is enabled on site only: somebody may have a hand in there.
"""

from collections.abc import Iterable

from chargerd.core.circuits.tree import Circuits
from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.events import DisableRequested, EnableRequested
from chargerd.core.facts import PortDisabled, PortEnabled
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.plan import circuit_of, holder_of
from chargerd.core.session import Disabled, Source
from chargerd.core.units import PortId


class Availability:
    """What was disabled, by whom and why; for each port or circuit one word stands, the site's before others."""

    def __init__(self, held: Iterable[Disabled] = ()) -> None:
        self._held = {one.holder: one for one in held}

    def of(self, holder: PortId) -> Disabled | None:
        """Return why this port itself, or this circuit itself (`holder_of` it), is disabled."""
        return self._held.get(holder)

    def over(self, port: PortId, circuits: Circuits) -> Disabled | None:
        """Return why a port takes no start: its own disabling, or that of the nearest circuit above."""
        holders = [port, *(holder_of(circuit.plan.id) for circuit in circuits.place(port).above)]
        return next((self._held[holder] for holder in holders if holder in self._held), None)

    def change(self, event: DisableRequested | EnableRequested, out: Outbox, now: Moment) -> None:
        """Do what was asked for, tell of it if it has changed anything, and answer."""
        if isinstance(event, DisableRequested):
            self._disable(event, out, now)
        else:
            self._enable(event, out)

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
