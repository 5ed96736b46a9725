"""A crash after each record of the journal: no session settled twice or never, no last word that is not true.

Random requests are made of a shed whose disk and whose deadlines are late at times. What the daemon has handed to
its journal is then written anew, one batch after the other, and after each the file is asked what a daemon would
find in it, had it been the last.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import cast

import pytest

from chargerd.contract.ledger import Batch, Recovery, RememberedCommand
from chargerd.core.commands import ReplyStatus
from chargerd.core.events import StopRequested, UpdateRequested
from chargerd.core.plan import CircuitPlan, StationPlan
from chargerd.core.session import Source
from chargerd.core.units import Amps, CircuitId, CommandId, Instant, PortId, Seconds, SessionId, Watts
from chargerd.core.view import PortState
from chargerd.runtime.commands.after_restart import interrupted, ports_to_stop
from chargerd.runtime.commands.handler import FINAL
from chargerd.runtime.commands.handlers import fulfilled
from chargerd.store.journal import NOBODY, Journal
from chargerd.store.start import Start
from chargerd.store.work import Append
from tests.campaign import shed as campaign
from tests.campaign.shed import Shed
from tests.core.plant import port_plan
from tests.logs import silence
from tests.store.kit import HandClock, connection_of, open_journal

SEEDS = int(os.environ.get("EACH_RECORD_SEEDS", "3"))
FIRST = int(os.environ.get("EACH_RECORD_FIRST", "0"))
PORTS = ("A01", "A02", "A03")
SITE = StationPlan(
    ports=tuple(port_plan(name, number) for number, name in enumerate(PORTS, 1)),
    circuits=(CircuitPlan(id=CircuitId("shed"), rating=Amps(8.0)),),
    queue_for=Seconds(1.0),
    resume_window=Seconds(1800.0),
    update_every=Seconds(45.0),
)


@dataclass
class Log:
    """What was handed in, and whether somebody waited to act upon it."""

    batches: list[tuple[Batch, bool]] = field(default_factory=list)
    written: int = 0
    """How many of them were written; a kill loses the others."""

    def killed(self) -> None:
        """Forget what was not written."""
        del self.batches[self.written :]

    def listen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Note what every journal of the shed is handed."""
        log = self

        class Heard(Journal):
            def append(self, batch: Batch, done: Callable[[bool], None] | None = None) -> None:
                log.batches.append((batch, done is not None))
                super().append(batch, done)

            def turn(self) -> None:
                """Write what is waiting, and not what comes of that: others may come in between."""
                writer = self._writer
                if writer._waiting:  # noqa: SLF001 - its thread is turned by hand
                    writer._turn()  # noqa: SLF001 - as above
                log.written = len(log.batches) - sum(isinstance(one, Append) for one in writer._waiting)  # noqa: SLF001 - as above

        monkeypatch.setattr(campaign, "Journal", Heard)


class Requests(Shed):
    """A shed of three ports, two of which find room, and people who want a lot of them."""

    def __init__(self, folder: Path, seed: int, log: Log) -> None:
        self.rng = random.Random(seed)
        self.log = log
        self.figures = count(1)
        self.ordered: set[float] = set()
        super().__init__(folder, site=SITE)

    def _deadline(self) -> float | None:
        due = super()._deadline()
        return None if due is None else due + self.wake_late

    def kill(self, after: float, *, power: bool = False) -> None:
        """Kill the daemon, and what it had not written."""
        self.log.killed()
        super().kill(after, power=power)

    def _turn(self, life: int) -> None:
        super()._turn(life)
        if life == self.life:
            self.due()

    def live(self, steps: int) -> None:
        """Do something, let some time pass, and so on."""
        doings = (
            self.someone_starts,
            self.someone_changes,
            self.someone_regrets,
            self.someone_waits,
            self.someone_stops,
            self.breaks,
        )
        self.run(6.0)
        for _ in range(steps):
            self.rng.choice(doings)()
            self.wake_late = self.rng.choice((0.0, 0.0, 0.3))
            self.run(self.rng.choice((0.0, 0.01, 0.05, 0.3, 2.0, 9.0)))
        self.wake_late = 0.0
        self.mend_disk()
        self.run(60.0)

    def someone_starts(self) -> None:
        """Ask for a start with limits that leave room for more."""
        port, power = self.rng.choice(PORTS), self.figure()
        self.ordered.add(power)
        self.ask_start(port, current=self.rng.choice((1.0, 3.0, 4.0)), power=power)
        self.draw(self.rng.choice((0.5, 0.9)), port=port)

    def figure(self) -> float:
        """Return a limit of power nobody has named before."""
        return self.rng.choice((300.0, 500.0, 700.0)) + next(self.figures) / 1000

    def someone_regrets(self) -> None:
        """Ask for more, and for what there was, while the disk still writes down the first."""
        port = self.rng.choice(PORTS)
        self.change(port, 950.0 + next(self.figures) / 1000)
        self.run(self.rng.choice((0.01, 0.03)))
        self.change(port)

    def someone_waits(self) -> None:
        """Ask for more at the very end of the time a start may wait, when the deadline comes late."""
        port = self.rng.choice(PORTS)
        self.ask_start(port, current=4.0, power=400.0)
        self.wake_late = 0.3
        self.run(self.rng.choice((0.95, 0.97, 0.99, 1.01)))
        self.change(port, self.figure() + 200.0)
        self.run(0.2)

    def someone_changes(self) -> None:
        """Ask for other limits of a session: more or less of one, and maybe of another as well."""
        self.change(self.rng.choice(PORTS), self.figure(), self.rng.choice((None, 2.0, 4.5)))

    def change(self, name: str, power: float | None = None, current: float | None = None) -> None:
        """Ask for other limits of a session; for the same power unless one is given."""
        port = PortId(name)
        session = self.station.view(port, self.clock.moment()).session
        if session is None:
            return
        power = session.order.limits.power if power is None else power
        number = CommandId(f"update-{next(self.numbers)}")
        event = UpdateRequested(
            port=port,
            session=session.order.session,
            source=Source.REMOTE,
            power=Watts(power),
            current=None if current is None else Amps(current),
            command=number,
        )
        self.desk.seen_before(number, "update_limits", "digest", self._respond)
        until = Instant(self.clock.now() + 60.0)
        self.desk.submit(event, self._respond, digest="digest", expires=until, received=_nothing)
        self.due()

    def someone_stops(self) -> None:
        """Stop a session by its name, now and then by the name of an older one."""
        port = PortId(self.rng.choice(PORTS))
        session = self.station.view(port, self.clock.moment()).session
        name = "session-0" if session is None or self.rng.random() < 0.2 else session.order.session
        number = CommandId(f"stop-{next(self.numbers)}")
        event = StopRequested(port=port, session=SessionId(name), source=Source.REMOTE, command=number)
        self.desk.seen_before(number, "stop", "digest", self._respond)
        self.desk.submit(event, self._respond, digest="digest", received=_nothing)
        self.due()

    def breaks(self) -> None:
        """The disk is slow, a charger fails, the gateway is killed, or its mains are gone."""
        what = self.rng.random()
        if what < 0.4:
            self.stalled_until = self.now + self.rng.choice((0.1, 1.0, 4.0))
        elif what < 0.6:
            port = self.rng.choice(PORTS)
            self.draw(12.0, port=port)
            self.run(1.0)
            self.draw(0.0, port=port)
            self.ask_reset(port)
        elif what < 0.9:
            self.kill(self.rng.choice((0.5, 5.0)))
        else:
            self.kill(60.0, power=True)


def _nothing() -> None:
    pass


class Reader:
    """Writes what was handed in once more, and compares what is found with what had been said."""

    def __init__(self, path: Path, ordered: set[float]) -> None:
        self.ordered = ordered
        """Figures that a start has named."""
        self.opened = open_journal(path, HandClock(wall_ms=None), start=False)
        connection_of(self.opened.journal).execute("PRAGMA synchronous = OFF")  # Nobody cuts its power.
        self.clock: HandClock = self.opened.clock
        self.settled: Counter[str] = Counter()
        self.accepted: dict[CommandId, str] = {}
        self.commands: dict[CommandId, RememberedCommand] = {}
        self.said: dict[CommandId, list[str]] = {}
        self.held: dict[SessionId | None, CommandId] = {}
        """The newest change of limits that was done, by session."""
        self.tripped: set[str] = set()

    def take(self, batch: Batch, *, awaited: bool) -> None:
        """Write one batch, as a transaction of its own, and look."""
        self.opened.journal.append(batch, (lambda _done: None) if awaited else None)
        self.opened.journal.turn()
        self.settled.update(str(entry.body["session_id"]) for entry in batch.entries if entry.settlement)
        self.tripped.update(
            str(entry.body["session_id"]) for entry in batch.entries if entry.body["event"] == "port_tripped"
        )
        for command in batch.commands:
            self.commands.setdefault(command.command, command)
        for reply, _final in batch.replies:
            told = self.commands.get(reply.command)
            if told is not None and told.limits is not None and reply.body["status"] == ReplyStatus.DONE:
                self.held[told.session] = told.command
            self.said.setdefault(reply.command, []).append(cast("str", reply.body["status"]))
            if reply.body["command"] == "start" and reply.body["status"] == ReplyStatus.ACCEPTED:
                self.accepted[reply.command] = str(reply.body["session_id"])
        self.look()

    def look(self) -> None:
        """Compare."""
        found = Start(boot_id="boot-z", owner=NOBODY).peek(connection_of(self.opened.journal))  # As it begins.
        left = [record.order.session for record in interrupted(found)]
        assert len(left) == len(set(left)), left
        for session in {*self.settled, *left, *self.accepted.values()}:
            times = self.settled[session] + left.count(SessionId(session))
            assert times == 1, f"{session} would be settled {times} times"
        for number, statuses in self.said.items():
            command = self.commands.get(number)
            if command is not None and statuses[-1] in FINAL:
                self.true(command, statuses[-1], found)
        self.reconciled(found)
        for record in found.sessions:
            session = record.order.session
            assert session not in self.tripped or record.ending is not None or not record.charged, record
            done = self.held.get(session)
            if done is not None:
                power = record.order.limits.power
                assert power in {self.figure(done), *self.unanswered()}, f"{done} was done, and {power} W hold"

    def figure(self, command: CommandId) -> float | None:
        """Return what a change of limits has named."""
        limits = self.commands[command].limits
        return None if limits is None else limits.power

    def unanswered(self) -> set[float | None]:
        """Return what changes have named that still wait for their last word."""
        waiting = (one for one in self.commands if self.said.get(one, [""])[-1] not in FINAL)
        return {self.figure(one) for one in waiting}

    def true(self, command: RememberedCommand, status: str, found: Recovery) -> None:
        """Compare the last word to a command with what is found."""
        if command.name == "stop" and status == ReplyStatus.DONE:
            assert self.settled[str(command.session)] == 1, f"{command.command} was done"
        if command.name == "update_limits" and status != ReplyStatus.DONE and command.limits is not None:
            others = {one.limits.power for one in self.commands.values() if one.limits and one is not command}
            power = command.limits.power
            for record in found.sessions:
                if record.order.session == command.session and power not in {*others, *self.ordered}:
                    assert record.order.limits.power != power, f"{command.command} was {status}, and holds"

    def reconciled(self, found: Recovery) -> None:
        """Stops that a crash cuts short end what they were for, and nothing else."""
        stopped, done = ports_to_stop(found), fulfilled(found)
        for command in found.unfinished:
            if command.name != "stop":
                continue
            for record in found.sessions:
                if record.order.session == command.session:
                    assert record.order.port in stopped, command
                    assert command.command in done, command
        wanted = {command.session for command in found.unfinished if command.name == "stop"}
        for record in found.sessions:
            assert record.order.port not in stopped or record.order.session in wanted, record.order


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with silence():
        yield


def read_again(log: Log, shed: Requests, folder: Path) -> Reader:
    """Write all that was handed in once more, and look after each batch."""
    shed.real.close(1.0)
    reader = Reader(folder / "again" / "journal.db", shed.ordered)
    for batch, awaited in log.batches:
        reader.take(batch, awaited=awaited)
    assert reader.opened.journal.verify_settlements() == ()
    reader.opened.close()
    return reader


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_a_crash_after_any_record_settles_each_session_once(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    log.listen(monkeypatch)
    shed = Requests(tmp_path, seed, log)
    shed.live(120)
    assert read_again(log, shed, tmp_path).settled.total() > 0


def test_and_one_that_ends_in_the_turn_of_its_raise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    log.listen(monkeypatch)
    shed = Requests(tmp_path, 0, log)
    shed.run(6.0)
    for port in PORTS:
        shed.ask_start(port, current=3.5)
        shed.run(0.5)
    waiting = shed.station.view(PortId("A03"), shed.clock.moment())
    assert waiting.session is not None
    event = UpdateRequested(
        port=waiting.id,
        session=waiting.session.order.session,
        source=Source.REMOTE,
        command=CommandId("update-1"),
        current=Amps(4.5),
    )
    shed.tell(event)
    until = shed.station._ports[PortId("A03")].step_until  # noqa: SLF001 - shown nowhere
    assert until is not None
    shed.wake_late = 1.0
    shed.run_to(until + 0.001)
    waiting = shed.station.view(PortId("A03"), shed.clock.moment())
    assert waiting.state is PortState.QUEUED, "nobody was woken when its time was over"
    shed.tell(replace(event, durable=True))
    shed.run(5.0)
    assert read_again(log, shed, tmp_path).settled[str(event.session)] == 1


class Unwritable(Requests):
    """The same with a disk that takes nothing for a while, again and again, and a gateway that is not killed."""

    def breaks(self) -> None:
        """Let the disk fail, or come back."""
        failing = "OFF" if self.rng.random() < 0.5 else "ON"
        connection_of(self.real).execute(f"PRAGMA query_only = {failing}")

    def end(self) -> None:
        """Let the disk come back for good, stop everybody, and have all of it written."""
        connection_of(self.real).execute("PRAGMA query_only = OFF")
        self.run(20.0)
        for port in PORTS:
            self.ask_stop(port)
        self.run(30.0)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_a_disk_that_takes_nothing_for_a_while_loses_and_doubles_nothing(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    log.listen(monkeypatch)
    shed = Unwritable(tmp_path, seed, log)
    shed.live(120)
    shed.end()
    accepted = {number for number, said in shed.replies.items() if "start" in number and "accepted ok" in said}
    sessions = {SessionId(number.replace("start", "session")) for number in accepted}
    settled = Counter(shed.settlement_rows())
    assert {session: settled[session] for session in sessions} == dict.fromkeys(sessions, 1)
    assert settled.total() == len(settled) >= len(sessions) > 0
    assert shed.durable_sessions() == ()
    assert [number for number, said in shed.replies.items() if len(said) != len(set(said))] == []
    assert shed.real.verify_settlements() == ()
    shed.real.close(1.0)
