"""Which relays are known to open by themselves when nobody speaks to their board any more."""

from chargerd.core.events import BoardBack, BoardEvent, BoardLost, BoardPrepared, PreparationFailed
from chargerd.core.plan import DeadMan, LeaseScope, RelayPlan
from chargerd.core.units import BoardId


class DeadMen:
    """The dead-men of a station's boards, as far as anybody knows of them."""

    def __init__(self) -> None:
        self._prepared: set[BoardId] = set()
        """The boards whose settings were read and were right, since they were last there anew."""
        self._lost: set[BoardId] = set()
        """The boards that do not answer: nothing of them is renewed."""
        self._refuted: set[BoardId] = set()
        """The boards that were seen not to open by themselves, whatever their profile says."""

    def tested(self, board: BoardId, *, holds: bool) -> None:
        """Take in what a bench test has shown of a board."""
        if holds:
            self._refuted.discard(board)
        else:
            self._refuted.add(board)

    def take_in(self, event: BoardEvent) -> None:
        """Take in what an event says of a board's settings: lost it still does what it was set to."""
        if isinstance(event, BoardPrepared):
            self._prepared.add(event.board)
        elif isinstance(event, BoardBack | PreparationFailed):
            self._prepared.discard(event.board)  # Back it may be another, or have forgotten.
        if isinstance(event, BoardLost):
            self._lost.add(event.board)
        elif isinstance(event, BoardBack):
            self._lost.discard(event.board)

    def lapses(self, relay: RelayPlan) -> bool:
        """Say whether a relay is known to open by itself when nobody speaks to its board any more.

        One whose board must be set for that, or may be kept closed by an input, is not until that was set and
        read. A board that opens when it is not polled does not count: it is polled as long as the daemon lives.
        One that opens all its relays or none does once it is lost: before, others of its relays may be renewed.
        """
        known = (relay.prepared or relay.board in self._prepared) and relay.board not in self._refuted
        lapses = relay.scope is LeaseScope.RELAY or relay.board in self._lost
        return known and lapses and relay.lease is not None and relay.dead_man is not DeadMan.NONE
