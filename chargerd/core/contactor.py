"""A circuit's contactor: closed while a port below is to be closed, leased like any relay.

It closes before the relays below it and opens after them, so that it carries no arc; only where a relay is out of
control, or danger is reported, it opens under load.
"""

from chargerd.core.outbox import Outbox
from chargerd.core.plan import CircuitPlan, contactor_of
from chargerd.core.relay import Phase, RelayWatch
from chargerd.core.units import Instant, Seconds, after

CLOSE_WITHIN = Seconds(3.0)
OPEN_TRIES = 3


class Contactor:
    """The contactor of one circuit."""

    def __init__(self, plan: CircuitPlan) -> None:
        assert plan.contactor is not None
        self.plan = plan.contactor
        self.circuit = plan.id
        self.id = contactor_of(plan.id)
        self.relay = RelayWatch(self.id, plan.contactor, OPEN_TRIES)
        self.board_lost = False
        self._closed_by: Instant | None = None

    @property
    def closed(self) -> bool:
        """Whether it has been read back closed, and holds."""
        return self.relay.phase is Phase.CLOSED

    def settle(self, now: Instant, out: Outbox, *, wanted: bool, loaded: bool, held: bool) -> None:
        """Close or open. `loaded`: a relay below may be closed; `held`: open it whatever is below."""
        moving = self.relay.phase in {Phase.CLOSING, Phase.CLOSED}
        if moving and (held or not (wanted or loaded)):
            self.open(now, out)
        elif wanted and not held and not self.board_lost and self.relay.phase is Phase.OPEN:
            self._closed_by = after(now, CLOSE_WITHIN)
            self.relay.close(now, CLOSE_WITHIN, out)

    def open(self, now: Instant, out: Outbox) -> None:
        """Begin to open."""
        self._closed_by = None
        self.relay.open(now, out)

    def too_slow(self, now: Instant) -> bool:
        """Say whether a closing has come to nothing."""
        late = self._closed_by is not None and now >= self._closed_by
        return late and self.relay.phase is Phase.CLOSING

    def due(self) -> Instant | None:
        """Return when it has to be woken."""
        instants = [self.relay.due()]
        if self.relay.phase is Phase.CLOSING:
            instants.append(self._closed_by)
        return min((instant for instant in instants if instant is not None), default=None)
