"""The invariants by themselves: a station that does wrong is caught, whatever it thinks of itself."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from chargerd.core.commands import Answer, CloseRelay, Command, OpenRelay, Persist, RenewLease, ReplyStatus
from chargerd.core.events import (
    DeadlineReached,
    DisableRequested,
    Event,
    LockRequested,
    MeterReading,
    Persisted,
    RelayReadBack,
    RequestDropped,
    RequestHeard,
    ResetRequested,
    StartRequested,
    StopRequested,
    StoreChanged,
)
from chargerd.core.facts import (
    Fact,
    InputTripped,
    LatchesCleared,
    PortLocked,
    PortLockedOut,
    PortTripped,
    PortUnlocked,
    RelayNotReconciled,
    SessionEnded,
)
from chargerd.core.invariants import order_books
from chargerd.core.invariants.invariants import Invariants, InvariantViolated
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outcome
from chargerd.core.plan import CircuitPlan, FeederPlan, Limits, Phase, StationPlan, holder_of, lock_of
from chargerd.core.session import (
    Clearing,
    Disabled,
    Latch,
    Order,
    SessionRecord,
    Settlement,
    Source,
    StopDetail,
    StopReason,
)
from chargerd.core.units import Amps, BoardId, CircuitId, CommandId, Instant, PortId, Seconds, SessionId
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

    def __init__(self, *latches: Latch, circuits: tuple[CircuitPlan, ...] = ()) -> None:
        self.invariants = Invariants(StationPlan(ports=(port_plan(),), circuits=circuits), latches)
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


def test_only_what_was_closed_is_kept_closed() -> None:
    play = Play()
    play.prepare()
    with pytest.raises(InvariantViolated, match="S1: A01 is renewed, and nothing has closed it"):
        play.tell(DeadlineReached(), RENEW)
    play.tell(DeadlineReached(), CLOSE)
    play.tell(DeadlineReached(), RENEW)
    play.tell(DeadlineReached(), OPEN)
    with pytest.raises(InvariantViolated, match="S1: A01 is renewed"):
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
    play.tell(DeadlineReached(), facts=(ended(),))
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
    play.tell(DeadlineReached(), CLOSE)
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


# S2, S12


def amps(play: Play, current: float, port: PortId = A01, *commands: Command, **values: float) -> None:
    reading = MeterReading(port=port, at=Instant(play.at), current=Amps(current), **values)  # type: ignore[arg-type]
    play.tell(reading, *commands)


def closed_at_zero() -> Play:
    play = Play()
    play.prepare()
    play.tell(DeadlineReached(), CLOSE)
    return play


def read_back(play: Play) -> None:
    play.tell(RelayReadBack(port=A01, closed=True, sent_at=Instant(play.at), at=Instant(play.at)))


def test_three_times_the_limit_is_opened_in_the_same_turn_inrush_or_not() -> None:
    play = closed_at_zero()
    play.at = 0.5
    amps(play, 14.99)
    with pytest.raises(InvariantViolated, match="S2: A01"):
        amps(play, 15.0)
    amps(closed_at_zero(), 15.0, A01, OPEN)


def test_one_and_a_half_times_once_the_inrush_is_over() -> None:
    play = closed_at_zero()
    read_back(play)
    play.at = 3.0
    amps(play, 7.5)
    play.at = 3.1
    amps(play, 7.49)
    with pytest.raises(InvariantViolated, match="S2: A01"):
        amps(play, 7.5)


def test_what_was_read_before_the_closing_or_cannot_be_true_opens_nothing() -> None:
    play = closed_at_zero()
    play.at = 1.0
    play.tell(MeterReading(port=A01, at=Instant(-1.0), current=Amps(99.0)))
    play.at = 1.5
    amps(play, float("nan"))
    amps(play, 99.0, PortId("Z99"))
    play.tell(DeadlineReached(), OPEN)
    amps(play, 99.0)


def test_what_flows_backwards_is_too_much_all_the_same() -> None:
    play = closed_at_zero()
    play.at = 1.5
    with pytest.raises(InvariantViolated, match="S2"):
        amps(play, -99.0, A01, power=-5.0)


LOW, HIGH = CircuitId("low"), CircuitId("high")


def tree(*, meter: FeederPlan | None = None) -> StationPlan:
    """Two ports on L1 and one on every phase below a circuit of 10 A, which is below one without a rating."""
    ports = [port_plan(name, number, circuit=LOW) for number, name in enumerate(("A01", "A02", "A03"), 1)]
    return StationPlan(
        ports=(replace(ports[0], phase=Phase.L1), replace(ports[1], phase=Phase.L1), ports[2]),
        circuits=(CircuitPlan(id=HIGH), CircuitPlan(id=LOW, parent=HIGH, rating=Amps(10.0), meter=meter)),
    )


class Shed(Play):
    """Invariants of a tree, all of whose relays were told to close."""

    def __init__(self, plan: StationPlan) -> None:
        self.invariants = Invariants(plan, ())
        self.at = 0.0
        self.plan = plan
        self.tell(None)
        for number, port in enumerate(plan.ports, 1):
            self.tell(MeterReading(port=port.id, at=Instant(0.0), current=Amps(0.0)))
            self.tell(RelayReadBack(port=port.id, closed=False, sent_at=Instant(0.0), at=Instant(0.0)))
            order = replace(record(f"s{number}"), order=replace(record(f"s{number}").order, port=port.id))
            self.tell(DeadlineReached(), Persist(port=port.id, token=number, record=order))
            self.tell(Persisted(port=port.id, token=number))
            self.tell(DeadlineReached(), CloseRelay(port=port.id, lease=Seconds(6.0), not_after=Instant(99.0)))

    def flow(self, seconds: float, *currents: float) -> None:
        """Let these currents flow, read each second."""
        for _ in range(round(seconds)):
            self.at += 1.0
            for port, current in zip(self.plan.ports, currents, strict=True):
                amps(self, current, port.id)


def test_a_trip_of_a_circuit_opens_all_below_it() -> None:
    shed = Shed(tree())
    latch = Latch(port=holder_of(HIGH), function="smoke", clearing=Clearing.LOCAL)
    tripped = InputTripped(input="i", circuit=HIGH, function="smoke", latch=latch)
    opens = [OpenRelay(port=port.id) for port in shed.plan.ports]
    with pytest.raises(InvariantViolated, match="S2: smoke has tripped high, and nothing opens A03"):
        shed.tell(DeadlineReached(), *opens[:2], facts=(tripped,))
    Shed(tree()).tell(DeadlineReached(), *opens, facts=(tripped,))


def test_what_is_closed_and_opened_in_one_turn_is_open() -> None:
    latch = Latch(port=holder_of(HIGH), function="smoke", clearing=Clearing.LOCAL)
    tripped = InputTripped(input="i", circuit=HIGH, function="smoke", latch=latch)
    close = CloseRelay(port=A01, lease=Seconds(6.0), not_after=Instant(99.0))
    others = [OpenRelay(port=PortId("A02")), OpenRelay(port=PortId("A03"))]
    shed = Shed(tree())
    shed.tell(DeadlineReached(), OPEN)
    shed.tell(DeadlineReached(), close, OPEN)
    shed.tell(DeadlineReached(), *others, facts=(tripped,))
    shed = Shed(tree())
    shed.tell(DeadlineReached(), OPEN, close)
    with pytest.raises(InvariantViolated, match="nothing opens A01"):
        shed.tell(DeadlineReached(), *others, facts=(tripped,))


def test_a_load_above_its_rating_does_not_last() -> None:
    shed = Shed(tree())
    shed.flow(60, 3.0, 3.0, 3.9)
    shed.flow(12, 4.0, 3.0, 3.0)
    with pytest.raises(InvariantViolated, match="S12: low"):
        shed.flow(2, 4.0, 3.0, 3.0)


def test_an_opening_gives_it_time_and_so_does_a_slow_meter() -> None:
    shed = Shed(tree())
    shed.flow(12, 4.0, 4.0, 4.0)
    shed.tell(DeadlineReached(), OpenRelay(port=PortId("A03")))
    shed.flow(12, 4.0, 4.0, 4.0)
    slow = Shed(tree(meter=FeederPlan(board=BoardId("f"), refresh=Seconds(2.0))))
    slow.flow(18, 4.0, 4.0, 4.0)
    with pytest.raises(InvariantViolated, match="S12"):
        slow.flow(2, 4.0, 4.0, 4.0)


def test_what_a_silent_meter_showed_last_is_no_load_of_now() -> None:
    shed = Shed(tree())
    shed.tell(DeadlineReached(), OpenRelay(port=PortId("A03")))
    shed.flow(3, 3.0, 3.0, 9.0)
    for _ in range(60):
        shed.at += 1.0
        for port in ("A01", "A02"):
            amps(shed, 3.0, PortId(port))


def test_what_is_no_number_is_no_load_either() -> None:
    shed = Shed(tree())
    for _ in range(60):
        shed.at += 1.0
        amps(shed, 3.0)
        amps(shed, 3.0, PortId("A02"))
        amps(shed, 9.0, PortId("A03"), power=math.nan)


def test_what_nobody_can_open_is_nobodys_fault() -> None:
    shed = Shed(tree())
    shed.tell(DeadlineReached(), *(OpenRelay(port=port.id) for port in shed.plan.ports))
    shed.flow(60, 4.0, 4.0, 4.0)


def violated(play: Callable[[], None]) -> str:
    """Return which invariant is violated; nothing if none is."""
    try:
        play()
    except InvariantViolated as error:
        return str(error)
    return ""


def test_a_load_above_the_rating_of_a_circuit_further_up_does_not_last() -> None:
    circuits = (CircuitPlan(id=HIGH, rating=Amps(10.0)), CircuitPlan(id=LOW, parent=HIGH))
    shed = Shed(replace(tree(), circuits=circuits))
    assert "S12: high" in violated(lambda: shed.flow(14, 4.0, 3.0, 3.0))


def test_a_load_on_one_phase_is_not_for_another_to_relieve() -> None:
    plan = tree()
    shed = Shed(replace(plan, ports=(plan.ports[0], replace(plan.ports[1], phase=Phase.L2), plan.ports[2])))
    shed.tell(DeadlineReached(), *(OpenRelay(port=PortId(port)) for port in ("A02", "A03")))
    shed.flow(60, 2.0, 12.0, 0.0)


# S4, S7, S8


def test_a_lock_out_is_freed_on_site_and_with_a_reason_only() -> None:
    lock = Latch(port=A01, function="relay_welded", clearing=Clearing.LOCK_OUT)

    def freed(play: Play, source: Source, reason: str | None) -> None:
        cleared = LatchesCleared(port=A01, functions=(lock.function,), source=source, reason=reason)
        play.tell(DeadlineReached(), facts=(cleared,))

    for source, reason in ((Source.REMOTE, "r"), (Source.LOCAL, None), (Source.LOCAL, "")):
        with pytest.raises(InvariantViolated, match="S4"):
            freed(Play(lock), source, reason)
        told = Play()
        told.tell(DeadlineReached(), facts=(PortLockedOut(port=A01, latch=lock),))
        with pytest.raises(InvariantViolated, match="S4"):
            freed(told, source, reason)
    play = Play(lock)
    freed(play, Source.LOCAL, "relay replaced")
    freed(play, Source.REMOTE, None)
    freed(Play(LATCH), Source.REMOTE, None)


def test_a_session_is_settled_once() -> None:
    play = Play()
    play.tell(DeadlineReached(), facts=(ended(),))
    with pytest.raises(InvariantViolated, match="S7: s is settled twice"):
        play.tell(DeadlineReached(), facts=(ended(),))


def test_what_is_settled_is_not_taken_on_again() -> None:
    play = Play()
    play.tell(DeadlineReached(), facts=(ended(),))
    with pytest.raises(InvariantViolated, match="S7: s is settled, and taken on again"):
        play.make_durable()


def test_nothing_is_taken_on_before_the_last_is_settled() -> None:
    play = Play()
    play.make_durable()
    play.make_durable(token=2)
    with pytest.raises(InvariantViolated, match="S7: A01 takes on another, and s is not settled"):
        play.make_durable(token=3, session="another")


@pytest.mark.parametrize("status", [ReplyStatus.ACCEPTED, ReplyStatus.DONE])
def test_a_command_is_accepted_once_and_has_one_last_word(status: ReplyStatus) -> None:
    play = Play()
    play.tell(DeadlineReached(), Answer(command=CommandId("c"), name="start", status=status))
    other = ReplyStatus.FAILED if status is ReplyStatus.ACCEPTED else ReplyStatus.ACCEPTED
    play.tell(DeadlineReached(), Answer(command=CommandId("c"), name="start", status=other))
    with pytest.raises(InvariantViolated, match="S8"):
        play.tell(DeadlineReached(), Answer(command=CommandId("c"), name="start", status=status))


START = StartRequested(order=replace(record().order, command=CommandId("c")), port=A01)
ACCEPTED = Answer(command=CommandId("c"), name="start", status=ReplyStatus.ACCEPTED)
STOP = StopRequested(port=A01, session=SessionId("s"), source=Source.REMOTE)
OVERTAKES = [
    STOP,
    replace(STOP, session=None, force=True),
    replace(STOP, session=None, source=Source.LOCAL),
    DisableRequested(port=A01, source=Source.REMOTE, reason="r"),
    LockRequested(port=A01, source=Source.LOCAL, by="Ada", reason="r"),
]


@pytest.mark.parametrize("event", OVERTAKES)
def test_no_start_is_accepted_after_what_has_overtaken_it(event: Event) -> None:
    play = Play()
    play.tell(RequestHeard(request=START))
    play.tell(event)
    with pytest.raises(InvariantViolated, match="S8: c is accepted after"):
        play.tell(START, ACCEPTED)


@pytest.mark.parametrize("circuit", [None, CircuitId("shed")])
@pytest.mark.parametrize("from_journal", [True, False])
def test_no_port_is_told_to_close_that_is_locked_on_site(circuit: CircuitId | None, *, from_journal: bool) -> None:
    holder = A01 if circuit is None else holder_of(circuit)
    lock = Disabled(
        holder=lock_of(holder), source=Source.LOCAL, reason="r", since=Moment(instant=Instant(0.0)), by="Ada"
    )
    above = {A01: (holder_of(CircuitId("shed")),)}
    books = order_books.OrderBooks((), above, (lock,) if from_journal else ())
    if not from_journal:
        outcome = Outcome(facts=(PortLocked(port=holder, circuit=circuit, lock=lock),), commands=())
        assert books.wrong(None, outcome, Instant(0.0)) is None
    closing = Outcome(facts=(), commands=(CLOSE,))
    assert books.wrong(None, closing, Instant(1.0)) == f"S12: A01 is told to close, and {holder} is locked on site"
    other = Outcome(facts=(), commands=(replace(CLOSE, port=PortId("A02")),))
    assert books.wrong(None, other, Instant(1.0)) is None
    gone = PortUnlocked(port=holder, circuit=circuit, lock=lock, by="Ada")
    assert books.wrong(None, Outcome(facts=(gone,), commands=()), Instant(2.0)) is None
    assert books.wrong(None, closing, Instant(3.0)) is None


@pytest.mark.parametrize("holder", [A01, holder_of(CircuitId("shed"))])
def test_nor_after_a_latch_that_has(holder: PortId) -> None:
    latch = replace(LATCH, port=holder)
    play = Play(circuits=(CircuitPlan(id=CircuitId("shed")),))
    play.tell(RequestHeard(request=START))
    play.tell(None, facts=(InputTripped(input="i", circuit=CircuitId("shed"), function="f", latch=latch),))
    with pytest.raises(InvariantViolated, match="S8: c is accepted after overcurrent_instant"):
        play.tell(START, ACCEPTED)


@pytest.mark.parametrize(
    "event",
    [
        replace(STOP, session=None),
        replace(STOP, session=SessionId("other")),
        replace(STOP, port=PortId("A02")),
        DisableRequested(port=PortId("A02"), source=Source.REMOTE, reason="r"),
        RequestHeard(request=ResetRequested(port=A01, source=Source.REMOTE)),
    ],
)
def test_what_means_another_overtakes_nothing(event: Event) -> None:
    play = Play()
    play.tell(RequestHeard(request=START))
    play.tell(event)
    play.tell(START, ACCEPTED)


def test_what_comes_before_it_was_heard_or_after_it_was_dropped_overtakes_nothing() -> None:
    play = Play()
    play.tell(STOP)
    play.tell(RequestHeard(request=START))
    play.tell(STOP)
    play.tell(RequestDropped(request=START))
    play.tell(START, ACCEPTED)


def test_the_books_keep_only_so_much_of_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_books, "REMEMBERED", 2)
    play = Play()
    for number in range(4):
        play.tell(DeadlineReached(), Answer(command=CommandId(f"c{number}"), name="stop", status=ReplyStatus.DONE))
    play.tell(DeadlineReached(), Answer(command=CommandId("c0"), name="stop", status=ReplyStatus.DONE))


def test_and_only_for_so_long() -> None:
    play = Play()
    play.prepare()
    answer = Answer(command=CommandId("c"), name="stop", status=ReplyStatus.DONE)
    for _ in range(2):
        play.tell(DeadlineReached(), answer)
        play.at += 7 * 86_400.0
