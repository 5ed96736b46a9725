"""The invariants by themselves: a station that does wrong is caught, whatever it thinks of itself."""

import pytest

from chargerd.core.commands import CloseRelay, Command, OpenRelay, Persist, RenewLease
from chargerd.core.events import DeadlineReached, Event, MeterReading, Persisted, RelayReadBack, StoreChanged
from chargerd.core.facts import (
    Clearing,
    Fact,
    Latch,
    LatchesCleared,
    PortTripped,
    RelayNotReconciled,
    SessionEnded,
)
from chargerd.core.invariants import Invariants, InvariantViolated
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outcome
from chargerd.core.plan import Limits, StationPlan
from chargerd.core.session import Order, SessionRecord, Settlement, Source, StopDetail, StopReason
from chargerd.core.units import Amps, Instant, PortId, Seconds, SessionId
from tests.core.plant import port_plan

A01 = PortId("A01")
CLOSE = CloseRelay(port=A01, lease=Seconds(6.0), not_after=Instant(99.0))
RENEW = RenewLease(port=A01, lease=Seconds(6.0), not_after=Instant(99.0))
OPEN = OpenRelay(port=A01)
LATCH = Latch(port=A01, function="overcurrent_instant", clearing=Clearing.REMOTE)


def record(session: str = "s") -> SessionRecord:
    now = Moment(instant=Instant(0.0))
    return SessionRecord(order=Order(session=SessionId(session), port=A01, limits=Limits()), started=now, at=now)


def ended(session: str = "s") -> SessionEnded:
    settled = Settlement(record=record(session), ended=Moment(instant=Instant(0.0)), reason=StopReason.REMOTE)
    return SessionEnded(settlement=settled)


class Play:
    """Invariants that are told what a station would have done."""

    def __init__(self, *latches: Latch) -> None:
        self.invariants = Invariants(StationPlan(ports=(port_plan(),)), latches)
        self.at = 0.0
        self.tell(None)

    def tell(self, event: Event | None, *commands: Command, facts: tuple[Fact, ...] = ()) -> None:
        self.invariants.check(event, Outcome(commands=commands, facts=facts), Moment(instant=Instant(self.at)))

    def hear(self) -> None:
        self.tell(MeterReading(port=A01, at=Instant(self.at), current=Amps(0.0)))

    def make_durable(self, token: int = 1, session: str = "s") -> None:
        self.tell(DeadlineReached(), Persist(port=A01, token=token, record=record(session)))
        self.tell(Persisted(port=A01, token=token))

    def prepare(self) -> None:
        self.tell(RelayReadBack(port=A01, closed=False, sent_at=Instant(0.0), at=Instant(0.0)))
        self.hear()
        self.make_durable()


@pytest.mark.parametrize("command", [CLOSE, RENEW])
def test_nothing_closes_without_a_durable_session(command: Command) -> None:
    play = Play()
    play.hear()
    with pytest.raises(InvariantViolated, match="S1"):
        play.tell(DeadlineReached(), command)


def test_a_session_being_written_is_not_durable() -> None:
    play = Play()
    play.prepare()
    play.tell(DeadlineReached(), Persist(port=A01, token=2, record=record()))
    with pytest.raises(InvariantViolated, match="S1"):
        play.tell(DeadlineReached(), CLOSE)


def test_a_token_nobody_knows_makes_nothing_durable() -> None:
    play = Play()
    play.hear()
    play.tell(Persisted(port=A01, token=77))
    with pytest.raises(InvariantViolated, match="S1"):
        play.tell(DeadlineReached(), CLOSE)


def test_a_session_that_has_ended_closes_nothing() -> None:
    play = Play()
    play.prepare()
    play.tell(DeadlineReached(), CLOSE)
    play.tell(DeadlineReached(), OPEN, facts=(ended(),))
    with pytest.raises(InvariantViolated, match="S1"):
        play.tell(DeadlineReached(), RENEW)


def test_no_session_ends_with_its_relay_left_closed() -> None:
    play = Play()
    play.prepare()
    play.tell(DeadlineReached(), CLOSE)
    with pytest.raises(InvariantViolated, match="S1"):
        play.tell(DeadlineReached(), facts=(ended(),))


def test_a_closed_relay_is_not_left_to_a_blind_meter() -> None:
    play = Play()
    play.prepare()
    play.tell(DeadlineReached(), CLOSE)
    play.at = 3.9
    play.tell(DeadlineReached())
    play.at = 4.1
    with pytest.raises(InvariantViolated, match="S3"):
        play.tell(DeadlineReached())


def test_nothing_recloses_after_a_trip() -> None:
    play = Play()
    play.prepare()
    trip = PortTripped(
        port=A01, function="overpower", detail=StopDetail(function="overpower"), session=SessionId("s")
    )
    play.tell(DeadlineReached(), OPEN, facts=(trip,))
    with pytest.raises(InvariantViolated, match="S5"):
        play.tell(DeadlineReached(), CLOSE)
    play.make_durable(token=2, session="the next one")
    play.tell(DeadlineReached(), CLOSE)


@pytest.mark.parametrize("command", [CLOSE, RENEW])
def test_a_latch_keeps_open_until_it_is_cleared(command: Command) -> None:
    play = Play(LATCH)
    play.prepare()
    with pytest.raises(InvariantViolated, match="S6"):
        play.tell(DeadlineReached(), command)
    cleared = LatchesCleared(port=A01, functions=(LATCH.function,), source=Source.LOCAL)
    play.tell(DeadlineReached(), facts=(cleared,))
    play.tell(DeadlineReached(), command)


def test_a_stale_meter_keeps_open() -> None:
    play = Play()
    play.prepare()
    play.at = 3.1
    with pytest.raises(InvariantViolated, match="S6"):
        play.tell(DeadlineReached(), CLOSE)


def test_a_store_that_cannot_be_written_keeps_open() -> None:
    play = Play()
    play.prepare()
    play.tell(StoreChanged(writable=False))
    with pytest.raises(InvariantViolated, match="S6"):
        play.tell(DeadlineReached(), CLOSE)
    play.tell(StoreChanged(writable=True))
    play.tell(DeadlineReached(), CLOSE)


def test_every_relay_is_shown_open_or_reported() -> None:
    play = Play()
    play.at = 5.9
    play.tell(DeadlineReached())
    play.at = 6.1
    with pytest.raises(InvariantViolated, match="S9"):
        play.tell(DeadlineReached())
    board = port_plan().relay.board
    play.tell(DeadlineReached(), facts=(RelayNotReconciled(port=A01, board=board),))
