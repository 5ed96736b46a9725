"""What a station does by the clock, whatever happens: checkpoints and news of sessions, one look at relays."""

from collections.abc import Mapping

from chargerd.core.circuits.contactor import Contactor
from chargerd.core.commands import Checkpoint, ReadEnergy
from chargerd.core.facts import RelayNotReconciled, SessionUpdated
from chargerd.core.metering.pickup import earliest, reached
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.plan import StationPlan
from chargerd.core.port.ending import warmth_of
from chargerd.core.port.port import Port
from chargerd.core.session import SessionRecord
from chargerd.core.units import Instant, PortId, after


class Rounds:
    """Its times; all of them come from `begin` on."""

    def __init__(
        self,
        plan: StationPlan,
        ports: Mapping[PortId, Port],
        contactors: Mapping[PortId, Contactor],
        out: Outbox,
    ) -> None:
        self._plan = plan
        self._ports = ports
        self._contactors = contactors
        self._out = out
        self._checkpoint_at: Instant | None = None
        self._update_at: Instant | None = None
        self._reconciled_by: Instant | None = None
        self._due: Instant | None = None

    def begin(self, now: Instant) -> None:
        """The station begins."""
        self._checkpoint_at = after(now, self._plan.checkpoint_every)
        self._update_at = after(now, self._plan.update_every)
        self._reconciled_by = after(now, self._plan.reconcile_within)
        self._due = self._first()

    def due(self) -> Instant | None:
        """Return when `wake` has something to do."""
        return self._due

    def wake(self, now: Moment) -> None:
        """Do what is due."""
        if reached(self._checkpoint_at, now.instant):
            self._checkpoint(now)
        if reached(self._update_at, now.instant):
            self._update(now)
        if reached(self._reconciled_by, now.instant):
            self._report_unreconciled()
        self._due = self._first()

    def _first(self) -> Instant | None:
        return earliest((self._checkpoint_at, self._update_at, self._reconciled_by))

    def _checkpoint(self, now: Moment) -> None:
        self._checkpoint_at = after(now.instant, self._plan.checkpoint_every)
        records = self._records(now)
        warmths = tuple(one for port in self._ports.values() if (one := warmth_of(port, now)) is not None)
        if records or warmths:
            self._out.do(Checkpoint(records=records, warmths=warmths))
        for record in records:
            self._out.do(ReadEnergy(port=record.order.port))

    def _update(self, now: Moment) -> None:
        self._update_at = after(now.instant, self._plan.update_every)
        for record in self._records(now):
            self._out.tell(SessionUpdated(record=record))

    def _report_unreconciled(self) -> None:
        """Tell whose relays were not shown open in time; what was not heard of by now is no longer unknown."""
        self._reconciled_by = None
        for contactor in self._contactors.values():
            contactor.relay.known = True
            if contactor.relay.opened_at is None:
                self._out.tell(RelayNotReconciled(port=contactor.id, board=contactor.plan.board))
        for port in self._ports.values():
            port.meter_known = port.relay.known = True
            if port.relay.opened_at is None:
                self._out.tell(RelayNotReconciled(port=port.id, board=port.plan.relay.board))

    def _records(self, now: Moment) -> tuple[SessionRecord, ...]:
        return tuple(
            port.record(now)
            for port in self._ports.values()
            if port.charge is not None and port.charge.announced and port.charge.kept is None
        )
