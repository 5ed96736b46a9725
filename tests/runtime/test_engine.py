"""The engine: open first, one order, deadlines, and what an unforeseen exception leads to."""

import threading
from collections.abc import Callable

import pytest

from chargerd.contract.ledger import Batch
from chargerd.core.clock import Clock
from chargerd.core.commands import (
    Amend,
    Answer,
    BusCommand,
    Checkpoint,
    CloseRelay,
    Code,
    OpenRelay,
    ReadEnergy,
    RenewLease,
    ReplyStatus,
    SetPace,
)
from chargerd.core.events import (
    BoardBack,
    DeadlineReached,
    MeterFault,
    RelayAction,
    RelayReadBack,
    RelayWritten,
    StartRequested,
)
from chargerd.core.facts import Fact
from chargerd.core.faults import FaultKind
from chargerd.core.moment import Moment
from chargerd.core.outbox import Outcome
from chargerd.core.plan import Limits, MeterPlan, PortPlan, RelayPlan, StationPlan, contactor_of
from chargerd.core.session import Order, SessionRecord
from chargerd.core.station import Station
from chargerd.core.units import BoardId, CircuitId, CommandId, Instant, PortId, Seconds, SessionId
from chargerd.core.view import PortState
from chargerd.runtime import engine
from chargerd.runtime.engine import Engine
from tests.judging import every
from tests.patience import PATIENCE_S

HANGS_S = 10.0
"""What takes longer than this waits for somebody: it has some milliseconds of work."""
PORT = PortId("A01")
PLAN = StationPlan(
    ports=(
        PortPlan(
            id=PORT,
            label="A01",
            relay=RelayPlan(board=BoardId("relay"), channel=1),
            meter=MeterPlan(board=BoardId("meter")),
            circuit=CircuitId("shed"),
        ),
    )
)


class HandClock(Clock):
    """Time moves only when it is told to."""

    def __init__(self) -> None:
        self.instant = Instant(100.0)

    def now(self) -> Instant:
        return self.instant

    def moment(self) -> Moment:
        return Moment(instant=self.instant)

    def sleep(self, span: Seconds) -> None:
        self.instant = Instant(self.instant + span)


class Recorder:
    """A bus, a journal, and whoever listens, all in one list."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.done: list[Callable[[bool], None] | None] = []

    def execute(self, command: BusCommand) -> None:
        self.said.append(command)

    def append(self, batch: Batch, done: Callable[[bool], None] | None = None) -> None:
        self.said.append(batch)
        self.done.append(done)

    def facts(self, facts: tuple[Fact, ...], _now: Moment, _checkpoints: tuple[Checkpoint, ...]) -> None:
        self.said.extend(facts)

    def answer(self, answer: Answer, _now: Moment) -> None:
        self.said.append(answer)


class Stage:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.recorder = Recorder()
        self.panics: list[str] = []
        self.station = Station(PLAN, self.clock.moment())
        self.engine = Engine(self.station, self.clock, self.recorder, self.panics.append)
        self.engine.connect(
            relays={PORT: self.recorder},
            meters={PORT: self.recorder},
            note=self.recorder.facts,
            answer=self.recorder.answer,
        )


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_begin_tells_every_relay_to_open(stage: Stage) -> None:
    stage.engine.begin(())
    stage.engine.stop()
    assert stage.recorder.said == [OpenRelay(port=PORT)]


def test_events_move_the_station_and_views_show_it(stage: Stage) -> None:
    stage.engine.begin(())
    now = stage.clock.now()
    stage.engine.dispatch(RelayWritten(port=PORT, action=RelayAction.OPEN, sent_at=now, at=now))
    stage.engine.dispatch(RelayReadBack(port=PORT, closed=False, sent_at=now, at=now))
    assert stage.engine.view(PORT).state is PortState.AVAILABLE
    assert [view.id for view in stage.engine.views()] == [PORT]
    assert stage.engine.idle()
    stage.engine.stop()
    with pytest.raises(KeyError):
        stage.engine.view(PortId("Z99"))


def test_an_exception_in_the_decisions_opens_the_relays_and_says_so(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.engine.begin(())
    stage.recorder.said.clear()

    def broken(_event: object, _now: object) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(stage.station, "handle", broken)
    stage.engine.dispatch(MeterFault(port=PORT, at=stage.clock.now(), kind=FaultKind.TIMEOUT))
    assert stage.recorder.said == [OpenRelay(port=PORT)]
    assert stage.panics == ["ZeroDivisionError: a mistake"]
    stage.engine.dispatch(DeadlineReached())
    stage.engine.panic("again")
    assert len(stage.panics) == 1, "one panic is enough"
    assert stage.recorder.said == [OpenRelay(port=PORT)], "after it nothing is decided any more"
    stage.engine.stop()


def test_what_was_being_decided_when_everything_was_opened_closes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, now = OpenRelay(port=PORT), stage.clock.now()
    closings = (
        CloseRelay(port=PORT, lease=None, not_after=now),
        RenewLease(port=PORT, lease=Seconds(6.0), not_after=now),
    )

    def slow(_event: object, _now: object) -> Outcome:
        stage.engine.panic("the decisions hang")
        stage.recorder.said.clear()
        return Outcome(commands=(*closings, opening))

    monkeypatch.setattr(stage.station, "handle", slow)
    stage.engine.dispatch(DeadlineReached())
    assert stage.recorder.said == [opening]


class Hung:
    """A decision that comes to no end until it is let go, in a thread of its own."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, outcome: Outcome) -> None:
        self._begun, self._go_on = threading.Event(), threading.Event()
        self._outcome = outcome
        monkeypatch.setattr(stage.station, "handle", self._handle)
        self._thread = threading.Thread(target=stage.engine.dispatch, args=(DeadlineReached(),), daemon=True)
        self._thread.start()
        assert self._begun.wait(PATIENCE_S)

    def _handle(self, _event: object, _now: object) -> Outcome:
        self._begun.set()
        assert self._go_on.wait(PATIENCE_S)
        return self._outcome

    def end(self) -> None:
        self._go_on.set()
        ended(self._thread)


def ended(thread: threading.Thread) -> None:
    thread.join(HANGS_S)
    assert not thread.is_alive(), "it waits for a lock that nobody gives back"


def beside(call: Callable[[], None]) -> None:
    """Call something in a thread of its own, which must come to its end."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    ended(thread)


def test_decisions_that_hang_open_the_relays_without_them(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.02)
    closing = CloseRelay(port=PORT, lease=Seconds(6.0), not_after=stage.clock.now())
    hung = Hung(stage, monkeypatch, Outcome(commands=(closing,)))
    beside(lambda: stage.engine.dispatch(DeadlineReached()))
    assert stage.panics == ["the decisions hang"]
    assert stage.recorder.said == [OpenRelay(port=PORT)]
    hung.end()
    assert stage.recorder.said == [OpenRelay(port=PORT)], "what they come to at last closes nothing"


@pytest.mark.parametrize("way", ["panic", "cease"])
def test_whoever_gives_up_waits_for_no_decision(stage: Stage, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    closing = CloseRelay(port=PORT, lease=Seconds(6.0), not_after=stage.clock.now())
    hung = Hung(stage, monkeypatch, Outcome(commands=(closing,)))
    opened = [OpenRelay(port=PORT)] if way == "panic" else []
    beside({"panic": lambda: stage.engine.panic("a bus died"), "cease": stage.engine.cease}[way])
    assert stage.recorder.said == opened
    hung.end()
    assert stage.recorder.said == opened


def test_a_panic_opens_every_contactor_after_the_relays(stage: Stage) -> None:
    contactor, late = contactor_of(CircuitId("shed")), PortId("z01")
    stage.engine.connect(
        relays=dict.fromkeys((contactor, late, PORT), stage.recorder),
        meters={},
        note=stage.recorder.facts,
        answer=stage.recorder.answer,
    )
    stage.engine.panic("a bus died")
    assert stage.recorder.said == [OpenRelay(port=port) for port in (PORT, late, contactor)]


def test_deadlines_are_kept_without_any_event(stage: Stage) -> None:
    seen = threading.Event()
    execute = stage.recorder.execute

    def note(command: BusCommand) -> None:
        execute(command)
        if isinstance(command, OpenRelay) and len(stage.recorder.said) > 1:
            seen.set()

    stage.recorder.execute = note  # type: ignore[method-assign]
    stage.engine.begin(())
    stage.clock.instant = Instant(stage.clock.instant + 1.0)
    # Nobody has confirmed the opening; the thread must notice by itself that it is to be repeated.
    assert seen.wait(PATIENCE_S)
    stage.engine.stop()


def test_commands_to_meters_and_relays_go_to_their_own_bus(stage: Stage) -> None:
    relays, meters = Recorder(), Recorder()
    stage.engine.connect(
        relays={PORT: relays}, meters={PORT: meters}, note=stage.recorder.facts, answer=stage.recorder.answer
    )
    stage.engine.begin(())
    now = stage.clock.now()
    stage.engine.dispatch(RelayWritten(port=PORT, action=RelayAction.OPEN, sent_at=now, at=now))
    stage.engine.dispatch(RelayReadBack(port=PORT, closed=False, sent_at=now, at=now))
    stage.engine.dispatch(BoardBack(board=BoardId("relay"), at=now))
    order = Order(session=SessionId("S"), port=PORT, limits=Limits(), command=CommandId("c"))
    stage.engine.dispatch(StartRequested(order=order, port=PORT))
    stage.engine.stop()
    assert every(isinstance(command, SetPace | ReadEnergy) for command in meters.said)
    assert not any(isinstance(command, SetPace | ReadEnergy) for command in relays.said)
    answers = [said for said in stage.recorder.said if isinstance(said, Answer)]
    assert [answer.command for answer in answers] == ["c"]


def test_begun_before_connected_is_a_mistake() -> None:
    clock = HandClock()
    unconnected = Engine(Station(PLAN, clock.moment()), clock, Recorder(), lambda _reason: None)
    with pytest.raises(KeyError):
        unconnected.begin(())


def test_records_are_handed_in_before_answers(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    # Answered first, a raise that found no room would be refused and, after a crash between the two, hold.
    answer = Answer(
        command=CommandId("c"), name="update_limits", status=ReplyStatus.FAILED, code=Code.CIRCUIT_FULL
    )
    order = Order(session=SessionId("S"), port=PORT, limits=Limits())
    now = stage.clock.moment()
    kept = SessionRecord(order=order, started=now, at=now)
    outcome = Outcome(commands=(answer, Checkpoint(records=(kept,)), Amend(port=PORT, token=1, record=kept)))
    monkeypatch.setattr(stage.station, "handle", lambda _event, _now: outcome)
    stage.engine.dispatch(DeadlineReached())
    written = Batch(sessions=(kept,))
    assert stage.recorder.said == [written, written, answer]
