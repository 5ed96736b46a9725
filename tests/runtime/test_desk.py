"""The desk: at most once, durable before it acts, and an answer for everybody."""

from collections.abc import Callable

import pytest

from chargerd.contract import bodies
from chargerd.contract.ledger import Batch, RememberedCommand, Reply
from chargerd.core.commands import Answer, Code, ReplyStatus
from chargerd.core.events import (
    DisableRequested,
    EnableRequested,
    Event,
    RequestDropped,
    RequestHeard,
    ResetRequested,
    StartRequested,
    StopRequested,
    UpdateRequested,
)
from chargerd.core.moment import Moment
from chargerd.core.plan import NamedLimits, holder_of
from chargerd.core.session import Source
from chargerd.core.units import CircuitId, CommandId, Instant, PortId, Seconds, SessionId, Watts
from chargerd.runtime.commands.handler import CommandHandler
from tests.runtime.test_engine import PLAN, PORT, HandClock

ID = CommandId("c-1")
SOME_TIME = Instant(1e9)


class Journal:
    """Holds what it is given until it is told to be durable."""

    def __init__(self) -> None:
        self.batches: list[tuple[Batch, Callable[[bool], None] | None]] = []
        self.known: dict[CommandId, RememberedCommand] = {}
        self.sessions: set[SessionId] = set()
        self.command_bytes = 0

    def append(self, batch: Batch, done: Callable[[bool], None] | None = None) -> None:
        self.batches.append((batch, done))

    def desk_lookup(
        self,
        command_id: CommandId,
        session_id: SessionId | None,
        deliver: Callable[[RememberedCommand | None, bool], None],
    ) -> None:
        deliver(self.known.get(command_id), session_id in self.sessions)

    def write(self, *, durable: bool = True) -> None:
        batches, self.batches = self.batches, []
        for _, done in batches:
            if done is not None:
                done(durable)


class Stage:
    def __init__(self, known: dict[CommandId, str] | None = None) -> None:
        self.clock = HandClock()
        self.journal = Journal()
        self.events: list[Event] = []
        """What the station is to do."""
        self.news: list[RequestHeard | RequestDropped] = []
        """What it is told of commands on their way."""
        self.replies: list[tuple[Reply, bool]] = []
        self.received = 0
        self.desk = CommandHandler(
            plan=PLAN,
            clock=self.clock,
            journal=self.journal,
            dispatch=self.take,
            reply_of=lambda answer: bodies.reply(answer, None),
            known=known or {},
        )

    def take(self, event: Event) -> None:
        if isinstance(event, RequestHeard | RequestDropped):
            self.news.append(event)
        else:
            self.events.append(event)

    def respond(self, reply: Reply, final: bool) -> None:
        self.replies.append((reply, final))

    def receive(self) -> None:
        self.received += 1

    def start(self, *, expires: Instant | None = SOME_TIME, session: str = "S-1") -> None:
        order = self.desk.orders.order(PORT, session=SessionId(session), command=ID, source=Source.REMOTE)
        self.desk.submit(
            StartRequested(order=order, port=order.port),
            self.respond,
            digest="d",
            expires=expires,
            received=self.receive,
        )

    def codes(self) -> list[tuple[object, object]]:
        return [(reply.body["status"], reply.body["code"]) for reply, _final in self.replies]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_start_acts_only_when_its_id_is_durable(stage: Stage) -> None:
    stage.start()
    assert not stage.events
    assert stage.received == 0
    stage.journal.write()
    assert [type(event) for event in stage.events] == [StartRequested]
    assert stage.received == 1


def test_a_start_the_store_cannot_remember_is_refused(stage: Stage) -> None:
    stage.start()
    stage.journal.write(durable=False)
    assert not stage.events
    assert stage.received == 1, "the broker must not send it for ever"
    stage.journal.write(durable=False)
    assert stage.codes() == [("rejected", "store_unavailable")]


def test_a_start_that_expired_while_the_disk_was_slow_never_acts(stage: Stage) -> None:
    stage.start(expires=Instant(stage.clock.now() + 1))
    stage.clock.instant = Instant(stage.clock.instant + 1)
    stage.journal.write()
    stage.journal.write()
    assert not stage.events
    assert stage.codes() == [("expired", "expired")]


def unsafe(stage: Stage, name: str, expires: Instant | None = SOME_TIME) -> None:
    """Give one of the commands that wait for the disk."""
    if name == "start":
        stage.start(expires=expires)
    elif name == "reset":
        reset = ResetRequested(port=PORT, source=Source.REMOTE, command=ID)
        stage.desk.submit(reset, stage.respond, digest="d", received=stage.receive, expires=expires)
    else:
        enable = EnableRequested(port=PORT, source=Source.REMOTE, reason="r", command=ID)
        stage.desk.submit(enable, stage.respond, digest="d", received=stage.receive, expires=expires)


UNSAFE = ["start", "reset", "enable"]


@pytest.mark.parametrize("name", UNSAFE)
def test_the_station_hears_at_once_of_what_waits_for_the_disk(stage: Stage, name: str) -> None:
    unsafe(stage, name)
    (heard,) = stage.news
    assert isinstance(heard, RequestHeard)
    stage.journal.write()
    assert stage.events == [heard.request]
    assert len(stage.news) == 1


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize(
    ("expires", "durable", "said"),
    [
        (SOME_TIME, False, ("rejected", "store_unavailable")),
        (Instant(0.0), True, ("expired", "expired")),
        (None, True, ("rejected", "clock_unsynchronised")),
    ],
)
def test_and_that_nothing_comes_of_it_after_its_sender(
    stage: Stage, name: str, expires: Instant | None, said: tuple[str, str], *, durable: bool
) -> None:
    unsafe(stage, name, expires)
    told: list[int] = []

    def take(event: Event) -> None:
        told.append(len(stage.journal.batches))
        stage.take(event)

    stage.desk._dispatch = take  # noqa: SLF001 - to see the order
    stage.journal.write(durable=durable)
    assert told == [1], "its last word is handed in first"
    stage.journal.write()
    assert not stage.events
    assert stage.codes() == [said]
    assert stage.news[1] == RequestDropped(request=stage.news[0].request)


def test_a_session_id_that_was_used_drops_its_start(stage: Stage) -> None:
    stage.journal.sessions.add(SessionId("S-1"))
    stage.start()
    assert [type(event) for event in stage.news] == [RequestHeard, RequestDropped]


def test_a_session_id_is_never_used_twice(stage: Stage) -> None:
    stage.journal.sessions.add(SessionId("S-1"))
    stage.start()
    stage.journal.write()
    assert not stage.events
    assert stage.received == 1
    assert stage.codes() == [("rejected", "session_exists")]


def test_a_refusal_that_could_not_be_written_is_repeated_all_the_same(stage: Stage) -> None:
    assert not stage.desk.seen_before(ID, "start", "d", stage.respond)
    stage.start()
    stage.journal.write(durable=False)
    stage.journal.write(durable=False)
    assert stage.desk.seen_before(ID, "start", "d", stage.respond)
    assert stage.codes() == [("rejected", "store_unavailable"), ("rejected", "duplicate")]


def test_a_stop_acts_before_it_is_recorded(stage: Stage) -> None:
    stop = StopRequested(port=PORT, session=None, source=Source.REMOTE, force=True, command=ID)
    stage.desk.submit(stop, stage.respond, digest="d", received=stage.receive)
    assert stage.events == [stop]
    assert stage.received == 0
    stage.journal.write()
    assert stage.received == 1


def test_a_reset_acts_only_when_its_id_is_durable(stage: Stage) -> None:
    reset = ResetRequested(port=PORT, source=Source.REMOTE, command=ID)
    stage.desk.submit(reset, stage.respond, digest="d", received=stage.receive, expires=SOME_TIME)
    assert not stage.events
    stage.journal.write(durable=False)
    stage.journal.write()
    assert not stage.events
    assert stage.codes() == [("rejected", "store_unavailable")]
    again = ResetRequested(port=PORT, source=Source.REMOTE, command=CommandId("c-2"))
    stage.desk.submit(again, stage.respond, digest="d", received=stage.receive, expires=SOME_TIME)
    stage.journal.write()
    assert stage.events == [again]


def test_what_expired_while_the_disk_was_slow_never_makes_a_closing_possible(stage: Stage) -> None:
    soon = Instant(stage.clock.now() + 1)
    reset = ResetRequested(port=PORT, source=Source.REMOTE, command=ID)
    stage.desk.submit(reset, stage.respond, digest="d", received=stage.receive, expires=soon)
    enable = EnableRequested(port=PORT, source=Source.REMOTE, reason="r", command=CommandId("c-2"))
    stage.desk.submit(enable, stage.respond, digest="d", received=stage.receive, expires=soon)
    stage.clock.instant = Instant(stage.clock.instant + 1)
    while stage.journal.batches:
        stage.journal.write()
    assert not stage.events
    assert stage.codes() == [("expired", "expired")] * 2
    assert stage.received == 2


def test_what_a_command_is_known_by_is_durable_with_it(stage: Stage) -> None:
    for number, correlation in (("c-1", b"\xff\x00"), ("c-2", b"x" * 1025), ("c-3", None)):
        assert not stage.desk.seen_before(CommandId(number), "start", "d", stage.respond, correlation)
        reset = ResetRequested(port=PORT, source=Source.REMOTE, command=CommandId(number))
        stage.desk.submit(reset, stage.respond, digest="d", received=stage.receive, expires=SOME_TIME)
    kept = [command.correlation for batch, _done in stage.journal.batches for command in batch.commands]
    assert kept == ["ff00", None, None]


def test_the_same_id_gets_the_stored_reply_again_and_does_nothing(stage: Stage) -> None:
    assert not stage.desk.seen_before(ID, "start", "d", stage.respond)
    stored = Reply(command=ID, body={"id": ID, "status": "done", "code": "ok", "message": ""})
    stage.journal.known[ID] = RememberedCommand(
        command=ID, name="start", digest="d", moment=Moment(instant=Instant(1.0)), reply=stored
    )
    assert stage.desk.seen_before(ID, "start", "d", stage.respond)
    assert stage.codes() == [("done", "duplicate")]
    assert stage.replies[0][0].body["message"] == "said before: ok"
    assert not stage.events


def test_the_same_id_while_it_is_worked_on_and_with_another_body() -> None:
    stage = Stage(known={ID: "d"})
    assert stage.desk.seen_before(ID, "start", "d", stage.respond)
    assert stage.desk.seen_before(ID, "start", "another", stage.respond)
    assert stage.codes() == [("accepted", "duplicate"), ("rejected", "conflict")]
    assert [answer.body["command"] for answer, _final in stage.replies] == ["start", "start"]


def test_answers_are_stored_then_told_and_a_failing_store_keeps_nobody_waiting(stage: Stage) -> None:
    stage.start()
    stage.journal.write()
    accepted = Answer(command=ID, name="start", status=ReplyStatus.ACCEPTED, port=PORT)
    stage.desk.answer(accepted, stage.clock.moment())
    assert not stage.replies
    stage.journal.write()
    done = Answer(command=ID, name="start", status=ReplyStatus.DONE, port=PORT)
    stage.desk.answer(done, stage.clock.moment())
    ((reply, final),) = stage.journal.batches[0][0].replies
    assert final
    assert reply.body["status"] == "done"
    stage.journal.write(durable=False)
    assert [final for _reply, final in stage.replies] == [False, True]
    stage.desk.answer(done, stage.clock.moment())
    stage.journal.write()
    assert len(stage.replies) == 2, "the last word is said once"


def test_after_a_restart_interrupted_commands_are_told_so(stage: Stage) -> None:
    left = RememberedCommand(
        command=ID,
        name="start",
        digest="d",
        moment=Moment(instant=Instant(1.0)),
        port=PORT,
        session=SessionId("S"),
    )
    stage.desk.conclude((left,), lambda _command: stage.respond)
    stage.journal.write()
    assert stage.codes() == [("failed", "failed")]


def test_what_is_no_command_is_refused_and_not_kept(stage: Stage) -> None:
    answer = Answer(
        command=CommandId(""), name="dance", status=ReplyStatus.REJECTED, code=Code.UNSUPPORTED, message="?"
    )
    stage.desk.refuse(answer, stage.respond)
    assert stage.codes() == [("rejected", "unsupported")]
    assert stage.replies[0][0].body["id"] is None
    assert not stage.journal.batches


def test_an_order_is_filled_in(stage: Stage) -> None:
    order = stage.desk.orders.order(PORT)
    assert order.limits == PLAN.ports[0].limits
    assert order.session != stage.desk.orders.order(PORT).session
    assert order.command is not None
    assert order.command.startswith("local-")
    unknown = stage.desk.orders.order(PortId("Z99"))
    assert unknown.port == "Z99"


def test_ids_are_known_until_the_journal_lets_them_go(stage: Stage) -> None:
    assert not stage.desk.seen_before(ID, "start", "d", stage.respond)
    stage.clock.sleep(Seconds(8 * 86_400))
    assert stage.desk.seen_before(ID, "start", "d", stage.respond)
    stage.desk.memory.forget([ID])
    assert not stage.desk.seen_before(ID, "start", "d", stage.respond)
    assert len(stage.desk.memory) == 1


def update(**more: object) -> UpdateRequested:
    return UpdateRequested(
        port=PORT,
        session=SessionId("S-1"),
        source=Source.REMOTE,
        power=Watts(500.0),
        command=ID,
        **more,  # type: ignore[arg-type]  # by name
    )


def changed(stage: Stage, *, expires: float | None = 1e9) -> None:
    until = None if expires is None else Instant(expires)
    stage.desk.submit(update(), stage.respond, digest="d", expires=until, received=stage.receive)


def answered(stage: Stage, status: ReplyStatus = ReplyStatus.DONE) -> None:
    stage.desk.answer(Answer(command=ID, name="update_limits", status=status, port=PORT), stage.clock.moment())


def test_new_limits_are_asked_for_at_once_and_raised_only_when_the_id_is_durable(stage: Stage) -> None:
    changed(stage)
    assert stage.events == [update()], "what is safe is done at once"
    assert stage.received == 0
    stage.journal.write()
    assert stage.events == [update(), update(durable=True)]
    assert stage.received == 1


def test_what_was_answered_at_once_is_not_asked_for_again(stage: Stage) -> None:
    changed(stage)
    answered(stage)
    stage.journal.write()
    assert stage.events == [update()]
    assert stage.codes() == [("done", "ok")]


def test_a_journal_that_is_quicker_than_the_station_changes_nothing(stage: Stage) -> None:
    def dispatch(event: Event) -> None:
        stage.journal.write()
        stage.events.append(event)

    stage.desk._dispatch = dispatch  # noqa: SLF001 - the order of two threads, by hand
    changed(stage)
    assert stage.events == [update(), update(durable=True)]


@pytest.mark.parametrize(
    ("expires", "durable", "said"),
    [
        (1e9, False, ("rejected", "store_unavailable")),
        (None, True, ("rejected", "clock_unsynchronised")),
        (0.0, True, ("expired", "expired")),
    ],
)
def test_nothing_is_raised_without_a_disk_without_a_clock_or_too_late(
    stage: Stage, expires: float | None, said: tuple[str, str], *, durable: bool
) -> None:
    changed(stage, expires=expires)
    stage.journal.write(durable=durable)
    stage.journal.write()
    assert stage.events == [update()]
    assert stage.codes() == [said]


def test_a_port_is_disabled_at_once_and_enabled_once_that_is_durable(stage: Stage) -> None:
    disable = DisableRequested(port=PORT, source=Source.REMOTE, reason="a worn plug", command=ID)
    stage.desk.submit(disable, stage.respond, digest="d", received=stage.receive)
    assert stage.events == [disable]
    stage.journal.write()
    enable = EnableRequested(
        port=holder_of(CircuitId("shed")), source=Source.REMOTE, reason="replaced", command=CommandId("c-2")
    )
    stage.desk.submit(enable, stage.respond, digest="d", received=stage.receive, expires=SOME_TIME)
    assert stage.events == [disable]
    stage.journal.write(durable=False)
    stage.journal.write()
    assert stage.codes() == [("rejected", "store_unavailable")]
    assert stage.replies[0][0].body["port"] is None, "a circuit is no port"
    stage.desk.submit(enable, stage.respond, digest="d", received=stage.receive, expires=SOME_TIME)
    stage.journal.write()
    assert stage.events == [disable, enable]
    assert stage.received == 3


def test_a_stop_is_remembered_with_the_session_it_was_for(stage: Stage) -> None:
    stop = StopRequested(port=PORT, session=SessionId("S-1"), source=Source.REMOTE, command=ID)
    stage.desk.submit(stop, stage.respond, digest="d", received=stage.receive)
    (command,) = stage.journal.batches[0][0].commands
    assert command.session == "S-1"


def test_after_a_restart_what_stands_is_done_and_a_circuit_is_no_port(stage: Stage) -> None:
    left = RememberedCommand(
        command=ID,
        name="disable",
        digest="d",
        moment=Moment(instant=Instant(1.0)),
        port=holder_of(CircuitId("shed")),
    )
    stage.desk.conclude((left,), lambda _command: stage.respond, (), {ID})
    stage.journal.write()
    assert stage.codes() == [("done", "ok")]
    assert stage.replies[0][0].body["port"] is None


def test_what_new_limits_want_is_remembered_with_them(stage: Stage) -> None:
    changed(stage)
    (command,) = stage.journal.batches[0][0].commands
    assert (command.session, command.limits) == ("S-1", NamedLimits(power=Watts(500.0)))
