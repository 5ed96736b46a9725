"""One relay, watched: what was commanded, confirmed and read back, and how long its lease runs.

Theory. A relay stays as its board was last told, so a gateway that hangs after a closing would leave a socket
live for good. Therefore nothing is closed but by a *lease*: a write that closes now and lets the board itself
open after 6 s, renewed every 3 s while readings are fresh and the decisions are made. Whatever stops the
renewals (a hang, a crash, a pulled cable) opens the socket.

- A lease counts from the moment its write *began*, since the board's timer cannot have started earlier; the
  relay counts as surely open only a whole lease after the *last* write that may have reached the board.
- A renewal is a close command. Sent too late, it would close a relay that has just opened, behind everybody's
  back. So it goes out only while the relay is surely still closed: up to one second before the last confirmed
  lease ends, and only if the relay was read back closed since the renewal before. A board that lost its supply
  for a moment has opened its relays.
- A relay is called open or closed only after its board has read it back after the write. An opening is repeated
  until then; three openings that read back closed, echoed or not, say that it does not open. A closing is tried
  once: whoever wants it again goes through the start sequence.
- An opening that is not read back in time makes the relay unconfirmed: nobody knows where it stands. A board
  that opens by itself has its lease and the time a meter needs for it; any other has 5 s.
- A lease may be that of a whole board: one register keeps all its relays closed. It is renewed all the same, by
  whichever relay is the first to want it; what is told to open is sure to be open only once it was read back,
  since the board goes on closing it for the others.

What this cannot see is the contact: a board reads back its coil, and a weld shows in the meter alone. Nor does
it know of a board without leases when that has opened by itself: there the read-backs have to follow each other
within 6 s instead.

Figures: a renewal that fails at 3 s is repeated until 5 s; the margin of 1 s is as long as a board's answer may
take unless its profile says otherwise. That the timed command, sent again, restarts a board's timer without
opening the contact is assumed, and was tried on no board yet.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from chargerd.core.commands import CloseRelay, OpenRelay, ReadRelay, RenewLease
from chargerd.core.events import (
    RelayAction,
    RelayEvent,
    RelayNotReadBack,
    RelayNotWritten,
    RelayReadBack,
    RelayWritten,
)
from chargerd.core.outbox import Outbox
from chargerd.core.plan import RENEWAL_MARGIN, RETRY_FIRST, LeaseScope, RelayPlan
from chargerd.core.stance import Known, Stance
from chargerd.core.units import Instant, PortId, Seconds, after, between

RETRY_MOST = Seconds(4.0)
STUCK_READS = 2
"""A relay commanded closed that reads back open this often, once its board has had time to settle, is stuck."""
UNCONFIRMED_AFTER = Seconds(5.0)
"""A relay that nothing but a command opens counts as unconfirmed so long after it was told to."""
READ_BACK_SHOWN = Seconds(10.0)
"""How long a read-back tells where a relay stands: each is read every 2 s at least."""
LAPSE_TOLERANCE = Seconds(1.0)
"""So much longer than its lease a board may keep a relay closed that is not renewed, in a bench test: timers go in
steps of 100 ms, a contact and its read-back take less than the rest. Then it is told to open."""
WATCH_LEASE = Seconds(6.0)
"""On a board without leases: how long a closed relay may go without being read back closed."""


class RelayPhase(StrEnum):
    """Where a relay stands."""

    UNKNOWN = "unknown"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Signal(StrEnum):
    """What a relay has to say to its port."""

    OPENED = "opened"
    CLOSED = "closed"
    NOT_CLOSED = "not_closed"
    STAYED_OPEN = "stayed_open"
    WOULD_NOT_OPEN = "would_not_open"
    UNBIDDEN = "unbidden"
    LEASE_LOST = "lease_lost"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Lapse:
    """How a lease that was not renewed has ended: whether the board has opened, so long after it was given."""

    opened: bool
    after: Seconds
    lease: Seconds


@dataclass(slots=True)
class _Retry:
    at: Instant
    pause: Seconds
    look: bool = False
    """Whether only to look, since what was written may not show yet."""


class RelayWatch:
    """The relay of one port, or the contactor of one circuit."""

    def __init__(self, port: PortId, plan: RelayPlan, open_tries: int) -> None:
        self._port = port
        self._lease = plan.lease
        self._alone = plan.scope is LeaseScope.RELAY
        self._renew_every = plan.renew_every
        self._stagger = plan.stagger
        self._open_tries = open_tries
        self._settling = plan.settling
        self.phase = RelayPhase.UNKNOWN
        self.board_lost = False
        self.lost_at: Instant | None = None
        """Since when its board is lost, if it is."""
        self.known = False
        """Whether it has been read, or asked in vain, since the process began: else nothing is known of it yet."""
        self.read_back: bool | None = None
        self.read_back_at: Instant | None = None
        """When it was asked for that."""
        self.closed_from: Instant | None = None
        """When the write that closed it began."""
        self.last_closing: Instant | None = None
        """When a write that may have closed it was last over."""
        self.opened_at: Instant | None = None
        """When it was last read back open after an opening."""
        self.surely_open_at: Instant | None = None
        """From when on its lease must have ended, whatever was lost; `None`: no lease was given."""
        self.leased_until: Instant | None = None
        """When the last confirmed lease ends; a write whose echo was lost may have made it longer."""
        self.told_open_at: Instant | None = None
        """Since when it is being opened; `None` while it is not."""
        self._written_at: Instant | None = None
        """When the last write of an opening or a closing ended; older read-backs say nothing of it."""
        self._echoed = False
        self._tries = 0
        self._seen_closed_at: Instant | None = None
        self._open_reads = 0
        self._open_read_at: Instant | None = None
        """When it was asked for the last read-back that counts towards its being stuck."""
        self._confirmed_from: Instant | None = None
        self._renewal_due: Instant | None = None
        self._retry: _Retry | None = None
        self._withheld = False
        """Whether nothing renews it, so that its board shows whether it opens by itself."""
        self.lapse: Lapse | None = None
        """How the lease has ended that was withheld last."""

    # What the port asks for

    def open(self, now: Instant, out: Outbox) -> None:
        """Begin to open; an opening under way goes on."""
        if self.phase is RelayPhase.OPENING:
            return
        if self.phase is RelayPhase.OPEN:
            self._forget_leases()  # Whatever closed it was not ours, and gave no lease we know of.
        self._enter(RelayPhase.OPENING)
        self.told_open_at = now
        self._tries = 0
        self._send_open(now, out, RETRY_FIRST)

    def close(self, now: Instant, within: Seconds, out: Outbox) -> None:
        """Begin to close; withheld by the bus if it has not gone out `within` seconds."""
        self._enter(RelayPhase.CLOSING)
        self._forget_leases()
        out.do(CloseRelay(port=self._port, lease=self._lease, not_after=after(now, within)))

    def withhold(self, now: Instant) -> None:
        """Renew a closed relay no more, and look whether its board opens it: a bench test of its dead-man."""
        if self.phase is RelayPhase.CLOSED and self._lease is not None and self._confirmed_from is not None:
            self._withheld, self.lapse = True, None
            self._look_again(now)

    def board_seen(self, now: Instant, out: Outbox, *, lost: bool) -> None:
        """Its board is lost, or back. It may have opened its relays: none is renewed unless it reads closed."""
        was_lost, self.board_lost = self.board_lost, lost
        if lost and not was_lost:
            self.lost_at = now
        if lost:
            self._seen_closed_at = None
        elif was_lost:
            self.check(now, out)

    def check(self, now: Instant, out: Outbox) -> None:
        """The board is back: open anew what is not held closed by a lease in force, else read back."""
        match self.phase:
            case RelayPhase.CLOSED:
                out.do(ReadRelay(port=self._port))
            case RelayPhase.CLOSING:
                pass  # Its write has failed or will; either is reported.
            case RelayPhase.OPENING:
                self._written_at = None
                self._send_open(now, out, RETRY_FIRST)
            case _:
                self.open(now, out)

    @property
    def closing(self) -> bool:
        """Whether it was told to close, and its bus has not said yet what became of that."""
        return self.phase is RelayPhase.CLOSING and self.closed_from is None

    # What the bus says

    def take_in(self, event: RelayEvent, now: Instant, out: Outbox) -> Signal | None:
        """Take in what the bus reports."""
        self.known = self.known or isinstance(event, RelayNotWritten | RelayNotReadBack)
        match event:
            case RelayWritten():
                return self._written(event, now, out)
            case RelayNotWritten():
                return self._not_written(event, now, out)
            case RelayReadBack():
                return self._was_read_back(event, now, out)
            case _:
                self._seen_closed_at = None  # It is asked for again in its time.
                return None

    def unconfirmed_at(self, *, lapses: bool, shown: Seconds) -> Instant | None:
        """Return when an opening that was not read back makes the relay unconfirmed; `None` without an opening.

        `lapses`: whether its board is known to open it by itself. `shown`: how long a meter may show what flowed.
        """
        if self.told_open_at is None:
            return None
        if not lapses or self._lease is None:
            return after(self.told_open_at, UNCONFIRMED_AFTER)
        lapsed = after(self.told_open_at, self._lease) if self.surely_open_at is None else self.surely_open_at
        return after(max(lapsed, self.told_open_at), shown)

    def stands(self, now: Instant, *, lapses: bool, vouched: bool) -> Stance:
        """Return where it stands: as it was read back lately, else as must be by what it was told and its lease.

        `lapses`: whether its board is known to open it by itself; `vouched`: whether it is its own board that
        answers in its place.
        """
        at = self.read_back_at
        lately = at is not None and between(at, now) <= READ_BACK_SHOWN
        if lately and vouched and not self.board_lost:
            return Stance(closed=self.read_back, known=Known.READ_BACK, read_at=at)
        closed = self._believed(now, lapses=lapses, vouched=vouched)
        return Stance(closed=closed, known=Known.UNKNOWN if closed is None else Known.BELIEVED, read_at=at)

    def _believed(self, now: Instant, *, lapses: bool, vouched: bool) -> bool | None:
        lapsed_at = self._lapsed_at() if lapses else None
        if lapsed_at is not None and now >= lapsed_at:
            return False
        match self.phase:
            case RelayPhase.OPEN if vouched:
                return False
            case RelayPhase.CLOSED | RelayPhase.CLOSING:
                return self.closed_from is not None
            case _:
                return None

    def _lapsed_at(self) -> Instant | None:
        """Return from when on its lease must have ended; of one that is being opened, given it or not."""
        if self.told_open_at is None or self._lease is None:
            return self.surely_open_at
        return self.unconfirmed_at(lapses=True, shown=Seconds(0.0))

    def due(self) -> Instant | None:
        """Return when `wake` has something to do."""
        instants = [self._retry.at] if self._retry else []
        if self.phase is RelayPhase.CLOSED and self._confirmed_from is not None:
            instants.append(self._lapse_at())
            if self._renewal_due is not None and not self._withheld:
                instants.append(self._renewal_due)
        return min(instants, default=None)

    def wake(self, now: Instant, out: Outbox) -> Signal | None:
        """Do what has become due: repeat an opening or a read-back, renew the lease, or call it lost."""
        if self.phase is RelayPhase.CLOSED and self._confirmed_from is not None:
            if now >= self._lapse_at():
                return self._outlived() if self._seen_outliving() else Signal.LEASE_LOST
            if not self._withheld and self._renewal_due is not None and now >= self._renewal_due:
                self._renew(now, out)
        if self._retry is not None and now >= self._retry.at:
            pause = Seconds(min(self._retry.pause * 2, RETRY_MOST))
            if self.phase is RelayPhase.OPENING and not (self._echoed or self._retry.look):
                self._send_open(now, out, pause)
            else:
                self._ask(now, out, pause)
        return None

    # How it goes on

    def _written(self, event: RelayWritten, now: Instant, out: Outbox) -> Signal | None:
        if event.action is RelayAction.OPEN:
            if self.phase is RelayPhase.OPENING:
                self._written_at, self._echoed = event.at, True
                self._ask(now, out, RETRY_FIRST)
            return None
        if event.action is RelayAction.RENEW and not self._alone and self.phase is not RelayPhase.CLOSED:
            return None  # Another relay of its board was renewed, which closes nothing here.
        self._note_sent(event)
        if self._lease is not None:
            self.leased_until = after(event.sent_at, self._lease)
        if event.action is RelayAction.CLOSE and self.phase is RelayPhase.CLOSING:
            self._confirmed_from = self.closed_from = event.sent_at
            self._written_at = event.at
            self._ask(now, out, RETRY_FIRST)
        elif event.action is RelayAction.RENEW and self.phase is RelayPhase.CLOSED:
            self._confirmed_from = event.sent_at
            self._renewal_due = after(event.sent_at, self._renew_every)
        return None

    def _not_written(self, event: RelayNotWritten, now: Instant, out: Outbox) -> Signal | None:
        if event.action is RelayAction.OPEN:
            if event.sent and self.phase is RelayPhase.OPENING:
                self._written_at = event.at  # It may have been carried out all the same: the board knows.
                out.do(ReadRelay(port=self._port))
            return None
        if event.sent:
            self._note_sent(event)
        if event.action is RelayAction.CLOSE and self.phase is RelayPhase.CLOSING:
            return Signal.NOT_CLOSED
        if event.action is RelayAction.RENEW and self.phase is RelayPhase.CLOSED:
            if event.late:
                return Signal.LEASE_LOST
            if event.sent:
                self._seen_closed_at = None
            self._renewal_due = after(now, RETRY_FIRST)
        return None

    def _was_read_back(self, event: RelayReadBack, now: Instant, out: Outbox) -> Signal | None:
        self.read_back, self.read_back_at = event.closed, event.sent_at
        if self.phase in {RelayPhase.OPENING, RelayPhase.CLOSING} and (
            self._written_at is None or event.sent_at < self._written_at
        ):
            return None
        match self.phase:
            case RelayPhase.OPENING:
                return self._opening_read(event, now, out)
            case RelayPhase.CLOSING | RelayPhase.CLOSED:
                return self._closed_read(event, now)
            case _:
                if event.closed and self.phase is RelayPhase.OPEN:
                    self.open(now, out)
                    return Signal.UNBIDDEN
                return None

    def _opening_read(self, event: RelayReadBack, now: Instant, out: Outbox) -> Signal | None:
        self.known = True  # What was read before its opening had gone out says nothing yet.
        if not event.closed:
            self._enter(RelayPhase.OPEN)
            self.opened_at = event.at
            return Signal.OPENED
        if self._settles_at(self._written_at) > event.sent_at:
            self._look_again(self._settles_at(self._written_at))
            return None
        self._tries += 1
        self._written_at, self._echoed = None, False
        if self._tries < self._open_tries:
            self._send_open(now, out, RETRY_FIRST)
            return None
        self._retry = _Retry(after(now, RETRY_MOST), RETRY_MOST)
        return Signal.WOULD_NOT_OPEN

    def _closed_read(self, event: RelayReadBack, now: Instant) -> Signal | None:
        if event.closed:
            self._open_reads, self._open_read_at = 0, None
            self._retry = None
            self._seen_closed_at = event.sent_at
            if self._lease is None:
                self._confirmed_from = event.sent_at
            if self.phase is RelayPhase.CLOSING:
                self.phase = RelayPhase.CLOSED
                self._renewal_due = self._first_renewal()
                return Signal.CLOSED
            if self._withheld:
                self._look_again(after(now, RETRY_FIRST))
            return None
        if self._withheld and self._lease is not None and self._confirmed_from is not None:
            self.lapse = Lapse(opened=True, after=between(self._confirmed_from, event.sent_at), lease=self._lease)
            return Signal.LAPSED
        counts_from = max(self._settles_at(self._written_at), self._settles_at(self._open_read_at))
        if event.sent_at >= counts_from:
            self._open_reads, self._open_read_at = self._open_reads + 1, event.sent_at
            counts_from = self._settles_at(event.sent_at)
        if self._open_reads >= STUCK_READS:
            return Signal.STAYED_OPEN
        self._look_again(max(now, counts_from))
        return None

    def _settles_at(self, since: Instant | None) -> Instant:
        """Return from when on a read-back counts against the relay: boards may be slow to show what it does."""
        return Instant(-math.inf) if since is None else after(since, self._settling)

    def _look_again(self, at: Instant) -> None:
        """Ask for the relay's state then."""
        self._retry = _Retry(at, RETRY_FIRST, look=True)

    def _enter(self, phase: RelayPhase) -> None:
        self.phase = phase
        self.told_open_at = None
        self._written_at = None
        self._retry = None
        self._open_reads, self._open_read_at = 0, None
        self._seen_closed_at = None
        self._confirmed_from = None
        self._renewal_due = None
        self._withheld = False

    def _send_open(self, now: Instant, out: Outbox, pause: Seconds) -> None:
        self._echoed = False
        self._retry = _Retry(after(now, pause), pause)
        out.do(OpenRelay(port=self._port, attempt=self._tries + 1))

    def _ask(self, now: Instant, out: Outbox, pause: Seconds) -> None:
        self._retry = _Retry(after(now, pause), pause)
        out.do(ReadRelay(port=self._port))

    def _renew(self, now: Instant, out: Outbox) -> None:
        """Renew, if the relay was read back closed since the last time, and the board always answered; else look.

        A board that has lost its supply for a moment has opened its relays: a renewal would close them again.
        """
        assert self._lease is not None
        assert self._confirmed_from is not None
        if self._open_reads or self._seen_closed_at is None or self._seen_closed_at < self._confirmed_from:
            self._renewal_due = after(now, RETRY_FIRST)
            self._ask(now, out, RETRY_FIRST)
            return
        self._renewal_due = None
        out.do(RenewLease(port=self._port, lease=self._lease, not_after=self._lapse_at()))

    def _lapse_at(self) -> Instant:
        """Return when a renewal comes too late, or, without leases, when the last read-back is too old.

        Of a lease that is withheld: when its board has had all the time there is to open by itself.
        """
        assert self._confirmed_from is not None
        if self._lease is None:
            span = WATCH_LEASE
        else:
            span = Seconds(self._lease + (LAPSE_TOLERANCE if self._withheld else -RENEWAL_MARGIN))
        return after(self._confirmed_from, span)

    def _seen_outliving(self) -> bool:
        """Say whether a lease that is withheld is over, and its relay was read back closed since.

        A board that has fallen silent meanwhile has shown nothing: it may have opened.
        """
        if not self._withheld or self._lease is None or self._confirmed_from is None:
            return False
        return self._seen_closed_at is not None and self._seen_closed_at >= after(
            self._confirmed_from, self._lease
        )

    def _outlived(self) -> Signal:
        """The board has kept its relay closed for longer than it may."""
        assert self._lease is not None
        self.lapse = Lapse(opened=False, after=Seconds(self._lease + LAPSE_TOLERANCE), lease=self._lease)
        return Signal.LAPSED

    def _first_renewal(self) -> Instant | None:
        if self._lease is None or self._confirmed_from is None:
            return None
        return after(self._confirmed_from, Seconds(self._renew_every - self._stagger))

    def _forget_leases(self) -> None:
        self.closed_from = self.leased_until = self.surely_open_at = None

    def _note_sent(self, event: RelayWritten | RelayNotWritten) -> None:
        self._may_be_closed(event.at)
        if event.action is RelayAction.CLOSE:
            self.last_closing = event.at

    def _may_be_closed(self, at: Instant) -> None:
        if self._lease is not None and self._alone:
            self.surely_open_at = after(at, self._lease)
