"""Ids of commands have a share of their own: a flood pushes out no row, and no id before its time."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chargerd.contract import bodies
from chargerd.contract.ledger import Batch, Reply
from chargerd.core.commands import Answer, Code, ReplyStatus
from chargerd.core.events import Event, StartRequested, StopRequested, UpdateRequested
from chargerd.core.session import Source
from chargerd.core.units import CommandId, Instant, PortId, SessionId, Watts
from chargerd.runtime.commands import known
from chargerd.runtime.commands.handler import CommandHandler
from chargerd.store.journal import Journal
from chargerd.store.place import Upkeep
from tests.runtime.test_engine import PLAN
from tests.store.kit import HandClock, entry

PORT = PortId("A01")
HOUR_S = 3600.0
STEP_H = 4
LIMIT = 2 * 1024 * 1024


class Gateway:
    """A desk on a journal, whose thread is turned by hand. What the station would do is said by the test."""

    def __init__(self, folder: Path, clock: HandClock | None = None) -> None:
        self.clock = clock or HandClock()
        self.journal = Journal.open(
            folder / "journal.db",
            clock=self.clock,
            boot_id="b",
            on_health=lambda _: None,
            on_crash=lambda error: pytest.fail(str(error)),
            upkeep=Upkeep(limit_bytes=LIMIT, copies=0, ballast_bytes=0),
        )
        self.replies: list[dict[str, object]] = []
        self.acted: list[CommandId] = []
        self.desk = CommandHandler(
            plan=PLAN,
            clock=self.clock,
            journal=self.journal,
            dispatch=self.take,
            reply_of=lambda answer: bodies.reply(answer, None),
            known=self.journal.recovery.known_ids,
        )
        self.journal.on_forgotten = self.desk.memory.forget

    def take(self, event: Event) -> None:
        """Stand in for a station that obeys each stop, and whose port is busy."""
        if isinstance(event, StopRequested):
            assert event.command is not None
            self.acted.append(event.command)
            self.answer(event.command, "stop", ReplyStatus.DONE)
        if isinstance(event, StartRequested):
            assert event.order.command is not None
            self.answer(event.order.command, "start", ReplyStatus.REJECTED)

    def answer(self, command: CommandId, name: str, status: ReplyStatus) -> None:
        self.desk.answer(Answer(command=command, name=name, status=status), self.clock.moment())

    def respond(self, reply: Reply, _final: bool) -> None:
        self.replies.append(dict(reply.body))

    def code(self) -> object:
        self.journal.turn()
        return self.replies[-1]["code"]

    def stop(self, number: str) -> None:
        command = CommandId(number)
        if not self.desk.seen_before(command, "stop", "d", self.respond):
            event = StopRequested(
                port=PORT, session=SessionId("S"), source=Source.REMOTE, force=False, command=command
            )
            self.desk.submit(event, self.respond, digest="d", received=lambda: None)

    def read(self, number: str, name: str = "get") -> None:
        command = CommandId(number)
        if not self.desk.seen_before(command, name, "d", self.respond):
            act: Callable[[], None] = lambda: self.answer(command, name, ReplyStatus.DONE)  # noqa: E731
            self.desk.perform(command, name, act, self.respond, digest="d", received=lambda: None)

    def start(self, number: str) -> None:
        """Start a port."""
        command = CommandId(number)
        if not self.desk.seen_before(command, "start", "d", self.respond):
            order = self.desk.orders.order(PORT, command=command, source=Source.REMOTE)
            self.desk.submit(
                StartRequested(order=order, port=order.port),
                self.respond,
                digest="d",
                expires=Instant(1e9),
                received=lambda: None,
            )

    def remembered(self) -> int:
        return len(self.desk.memory)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path)
    yield made
    made.journal.close(5.0)


def test_a_week_of_commands_pushes_out_no_row_and_no_id(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.6 a second for a week, at a 400th of all figures: most are refused, or only ask."""
    monkeypatch.setattr(known, "MOST", known.MOST // 400)
    rows = tuple(entry({"event": "x" * 400}) for _ in range(3000))
    gateway.journal.append(Batch(entries=rows))
    with_effect: list[tuple[float, str]] = []
    for step in range(7 * 24 // STEP_H + 8):
        for number in range(round(0.6 * STEP_H * HOUR_S / 400)):
            name = f"{step}-{number}"
            if number % 11 == 0:
                with_effect.append((gateway.clock.instant, name))
                gateway.stop(name)
            elif number % 2:
                gateway.read(name)
            else:
                gateway.start(name)
        gateway.journal.turn()
        gateway.clock.advance(STEP_H * HOUR_S)
        assert gateway.remembered() < known.MOST
        assert gateway.journal.command_bytes < known.SHARE_BYTES / 400
    assert [reply["code"] for reply in gateway.replies if reply["code"] != "ok"] == []
    assert gateway.journal.span().first == 1
    assert gateway.journal.span().last == len(rows), "no gap took the place of any row"
    assert len(gateway.acted) == len(with_effect)
    # Each that had an effect is known for seven days, and nothing for much longer.
    for at, name in with_effect:
        age = gateway.clock.instant - at
        seen = gateway.desk.memory.repeated(CommandId(name), "stop", "d", gateway.respond)
        assert seen or age > 7 * 24 * HOUR_S, (name, age)
        assert not seen or age < (7 * 24 + 2 + STEP_H) * HOUR_S, (name, age)
    assert gateway.remembered() < len(with_effect) + 100


def test_a_full_share_takes_in_nothing_but_what_is_safe(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MOST", 6)
    monkeypatch.setattr(known, "MOST_READING", 3)
    monkeypatch.setattr(known, "SPARE", 2)
    for number in range(3):
        gateway.read(f"g{number}")
    gateway.journal.turn()
    gateway.read("one-too-many")
    assert gateway.code() == Code.TOO_MANY_COMMANDS
    for number in range(3):
        gateway.start(f"s{number}")
    gateway.journal.turn()
    gateway.start("one-too-many")
    assert gateway.code() == Code.TOO_MANY_COMMANDS
    for number in range(5):
        gateway.stop(f"t{number}")
        assert gateway.code() == Code.OK, "a stop needs no room"
    gateway.stop("t0")
    assert gateway.code() == Code.DUPLICATE
    assert gateway.replies[-1]["status"] == "done", "the answer of one that the journal does not keep, too"
    assert gateway.acted == [f"t{number}" for number in range(5)]
    assert gateway.remembered() == 8
    gateway.desk.submit(
        UpdateRequested(
            port=PORT, session=SessionId("S"), source=Source.REMOTE, power=Watts(5.0), command=CommandId("u")
        ),
        gateway.respond,
        digest="d",
        expires=Instant(1e9),
        received=lambda: None,
    )
    gateway.clock.advance(2.5 * HOUR_S)
    gateway.journal.turn()
    gateway.journal.append(Batch())
    gateway.journal.turn()
    gateway.start("again")
    assert gateway.code() == Code.OK, "an hour later there is room again"
    assert gateway.remembered() == 1


def test_what_there_is_no_room_for_may_be_lowered_and_not_raised(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "MOST", 0)
    number = CommandId("u")
    assert not gateway.desk.seen_before(number, "update_limits", "d", gateway.respond)
    raised = UpdateRequested(
        port=PORT, session=SessionId("S"), source=Source.REMOTE, power=Watts(5.0), command=number
    )
    gateway.desk.submit(raised, gateway.respond, digest="d", expires=Instant(1e9), received=lambda: None)
    assert gateway.code() == Code.TOO_MANY_COMMANDS


def test_the_share_of_the_journal_counts_as_well(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.start("s1")
    gateway.journal.turn()
    monkeypatch.setattr(known, "SHARE_BYTES", gateway.journal.command_bytes)
    gateway.start("s2")
    assert gateway.code() == Code.TOO_MANY_COMMANDS


def test_ids_are_known_after_a_restart(tmp_path: Path) -> None:
    first = Gateway(tmp_path)
    first.stop("t")
    first.journal.turn()
    first.journal.close(5.0)
    second = Gateway(tmp_path)
    second.stop("t")
    assert second.code() == Code.DUPLICATE
    assert second.acted == []
    second.journal.close(5.0)
