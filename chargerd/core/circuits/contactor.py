"""A circuit's contactor: closed while a port below is to be closed, leased like any relay.

It closes before the relays below it and opens after them, so that it carries no arc; only where a relay is out of
control, or danger is reported, it opens under load.
"""

from chargerd.core.boards.relay import RelayPhase, RelayWatch
from chargerd.core.facts import RelayUnconfirmed
from chargerd.core.metering.pickup import earliest
from chargerd.core.outbox import Outbox
from chargerd.core.plan import CircuitPlan, contactor_of
from chargerd.core.units import Instant, Seconds, after

CLOSE_WITHIN = Seconds(3.0)
OPEN_TRIES = 3
SETTLING = Seconds(0.5)
"""How inexact a board's timer may be, in steps of 100 ms."""


class Contactor:
    """The contactor of one circuit."""

    def __init__(self, plan: CircuitPlan) -> None:
        assert plan.contactor is not None
        self.plan = plan.contactor
        self.circuit = plan.id
        self.id = contactor_of(plan.id)
        self.relay = RelayWatch(self.id, plan.contactor, OPEN_TRIES)
        self._closed_by: Instant | None = None
        self.watched_until: Instant | None = None
        """When it need wait no longer for what a meter below has to show."""
        self._told: Instant | None = None
        """The opening of which it was told that nobody could read it back."""

    @property
    def closed(self) -> bool:
        """Whether it has been read back closed, and holds."""
        return self.relay.phase is RelayPhase.CLOSED

    def settle(self, now: Instant, out: Outbox, *, wanted: bool, loaded: bool, held: bool) -> None:
        """Close or open. `loaded`: a relay below may be closed; `held`: open it whatever is below."""
        moving = self.relay.phase in {RelayPhase.CLOSING, RelayPhase.CLOSED}
        if moving and (held or not (wanted or loaded)):
            self.open(now, out)
        elif wanted and not held and not self.relay.board_lost and self.relay.phase is RelayPhase.OPEN:
            self._closed_by = after(now, CLOSE_WITHIN)
            self.relay.close(now, CLOSE_WITHIN, out)

    def open(self, now: Instant, out: Outbox) -> None:
        """Begin to open."""
        self._closed_by = None
        self.relay.open(now, out)

    def too_slow(self, now: Instant) -> bool:
        """Say whether a closing has come to nothing."""
        late = self._closed_by is not None and now >= self._closed_by
        return late and self.relay.phase is RelayPhase.CLOSING

    def unconfirmed_at(self, *, lapses: bool) -> Instant | None:
        """Return when nobody knows any more where it stands; `lapses`: whether its board opens it by itself."""
        told = self.relay.told_open_at
        return None if told == self._told else self.relay.unconfirmed_at(lapses=lapses, shown=SETTLING)

    def tell_unconfirmed(self, out: Outbox) -> None:
        """Tell that an opening was not read back in time."""
        self._told = self.relay.told_open_at
        out.tell(RelayUnconfirmed(port=self.id, board=self.plan.board))

    def due(self, *, lapses: bool) -> Instant | None:
        """Return when it has to be woken."""
        instants = [self.relay.due(), self.unconfirmed_at(lapses=lapses), self.watched_until]
        if self.relay.phase is RelayPhase.CLOSING:
            instants.append(self._closed_by)
        return earliest(instants)
