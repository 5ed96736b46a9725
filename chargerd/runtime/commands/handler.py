"""Takes commands in, from the backend and from the site; each acts at most once and gets its answer.

A command's id is durable before the command acts, and before the broker is told that we have it. Only what is
safe (to stop, to lower, to disable, to lock) acts first, since it waits for no disk. Of what waits for it the
station is told at once, so that what is safe applies to that as well if it comes later. The same id again gets the
stored reply again and does nothing.
"""

import threading
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import TypeAlias

from chargerd import log
from chargerd.contract.arguments import Direction
from chargerd.contract.ledger import RememberedCommand, Reply
from chargerd.core.clock import Clock
from chargerd.core.commands import Answer, Code, ReplyStatus
from chargerd.core.events import (
    Event,
    Request,
    RequestDropped,
    RequestHeard,
    StartRequested,
    UnsafeRequest,
    UpdateRequested,
)
from chargerd.core.moment import Moment
from chargerd.core.plan import StationPlan, circuit_of
from chargerd.core.units import CommandId, Instant
from chargerd.runtime.commands.handlers import direction_of, handler_of
from chargerd.runtime.commands.memory import CommandMemory, JournalOfCommands, Respond
from chargerd.runtime.commands.orders import Orders
from chargerd.runtime.commands.rendezvous import Rendezvous

FINAL = frozenset({ReplyStatus.DONE, ReplyStatus.FAILED, ReplyStatus.REJECTED, ReplyStatus.EXPIRED})

Received: TypeAlias = Callable[[], None]
"""Called when a command's id is durable, or cannot be made so: whoever has brought it may forget it."""


class CommandHandler:
    """Where commands come in and answers go out. Thread-safe; calls nobody while it holds its lock."""

    def __init__(
        self,
        *,
        plan: StationPlan,
        clock: Clock,
        journal: JournalOfCommands,
        dispatch: Callable[[Event], None],
        reply_of: Callable[[Answer], Reply],
        known: Mapping[CommandId, str],
    ) -> None:
        self.orders = Orders(plan)
        self._clock = clock
        self._journal = journal
        self._dispatch = dispatch
        self._reply_of = reply_of
        self.memory = CommandMemory(clock=clock, journal=journal, reply_of=reply_of, kept=known)
        self._lock = threading.Lock()
        self._open: dict[CommandId, Respond] = {}

    # Coming in

    def seen_before(
        self, command: CommandId, name: str, digest: str, respond: Respond, correlation: bytes | None = None
    ) -> bool:
        """Say whether nothing is left to do: its id was used before, or there is no room to keep it.

        Then its reply is repeated, the conflict called by its name, or the command refused. What is safe is taken
        in without any room.
        """
        if self.memory.repeated(command, name, digest, respond):
            return True
        if self.memory.take_in(command, name, digest, correlation):
            return False
        self.refuse(_refused(command, name, Code.TOO_MANY_COMMANDS), respond)
        return True

    def submit(
        self,
        request: Request,
        respond: Respond,
        *,
        digest: str,
        received: Received,
        expires: Instant | None = None,
    ) -> None:
        """Bring a request to the station, in the order that its command's direction asks for.

        `received` is called when its id is durable, or cannot be made so. Without `expires` there was no clock to
        tell until when it may act: then only what is safe is done.
        """
        assert request.command is not None
        with self._lock:
            self._open[request.command] = respond
        match direction_of(request.name):
            case Direction.SAFE:
                # Queued for the journal first, so that replies find it there; it waits for no disk.
                self.memory.keep(self._remembered(request, digest), lambda _done: received())
                self._dispatch(request)
            case Direction.EITHER:
                self._as_far_as_safe(request, digest, expires, received)
            case _:
                self._once_durable(request, digest, expires, received)

    def perform(
        self,
        command: CommandId,
        name: str,
        act: Callable[[], None],
        respond: Respond,
        *,
        digest: str,
        received: Callable[[], None],
    ) -> None:
        """Carry out what concerns no relay, once its id is durable; `act` sees to the answer."""
        with self._lock:
            self._open[command] = respond

        def durable(done: bool) -> None:
            received()
            if done:
                act()
                return
            self.answer(_refused(command, name, Code.STORE_UNAVAILABLE), self._clock.moment())

        remembered = RememberedCommand(command=command, name=name, digest=digest, moment=self._clock.moment())
        self.memory.keep(remembered, durable)

    def refuse(self, answer: Answer, respond: Respond) -> None:
        """Answer a message that is no command, or comes too late. Nothing of it is kept."""
        log.warning("command_refused", command=answer.command, name=answer.name, code=answer.code.value)
        respond(self._reply_of(answer), True)

    # Going out

    def answer(self, answer: Answer, _now: Moment) -> None:
        """Store a reply, then give it to whoever waits for it; a store that fails keeps nobody waiting."""
        final = answer.status in FINAL
        reply = self._reply_of(answer)
        with self._lock:
            respond = self._open.pop(answer.command, None) if final else self._open.get(answer.command)

        def told() -> None:
            if respond is not None:
                respond(reply, final)

        self.memory.keep_reply(reply, told, final=final)

    def conclude(
        self,
        unfinished: tuple[RememberedCommand, ...],
        respond_to: Callable[[RememberedCommand], Respond],
        going_on: Container[CommandId] = (),
        fulfilled: Container[CommandId] = (),
    ) -> None:
        """After a restart: tell those whose command was interrupted that it came to nothing.

        Starts whose session goes on (`going_on`) get their last word from it; what the journal holds (`fulfilled`)
        is done.
        """
        for command in unfinished:
            with self._lock:
                self._open[command.command] = respond_to(command)
            if command.command in going_on:
                continue
            stands = command.command in fulfilled
            holder = command.port is not None and circuit_of(command.port) is not None
            answer = Answer(
                command=command.command,
                name=command.name,
                status=ReplyStatus.DONE if stands else ReplyStatus.FAILED,
                code=Code.OK if stands else Code.FAILED,
                message=f"{'before' if stands else 'interrupted by'} a restart of the gateway",
                port=None if holder else command.port,
                session=command.session,
            )
            self.answer(answer, self._clock.moment())

    # Within

    def _as_far_as_safe(self, request: Request, digest: str, expires: Instant | None, received: Received) -> None:
        """Ask the station at once: only it knows in which direction a request goes, and it does what is safe.

        If the command has no last word then, the rest is not: the station is asked again once the id is durable,
        in time, and there was a clock to tell (`expires`).
        """
        assert isinstance(request, UpdateRequested)
        command, refuse = request.command, self._refusal(request)
        assert command is not None
        kept: list[bool] = []

        def go_on() -> None:
            with self._lock:
                answered = command not in self._open
            if answered:
                return
            if not kept[0]:
                room = self.memory.room_for(request.name)
                refuse(ReplyStatus.REJECTED, Code.STORE_UNAVAILABLE if room else Code.TOO_MANY_COMMANDS)
            elif expires is None:
                refuse(ReplyStatus.REJECTED, Code.CLOCK_UNSYNCHRONISED)
            elif self._clock.now() >= expires:
                refuse(ReplyStatus.EXPIRED, Code.EXPIRED)
            else:
                self._dispatch(replace(request, durable=True))

        meeting = Rendezvous(go_on)

        def durable(done: bool) -> None:
            received()
            kept.append(done)
            meeting.come()

        self.memory.keep(self._remembered(request, digest), durable)
        self._dispatch(request)
        meeting.come()

    def _once_durable(self, request: Request, digest: str, expires: Instant | None, received: Received) -> None:
        """Ask the station once the id is durable; of what could close a relay it is told at once."""
        refuse, remembered = self._refusal(request), self._remembered(request, digest)
        if isinstance(request, UnsafeRequest):
            refuse = self._drops(request, refuse)
        durable = self._when_durable(request, refuse, expires, received)
        if isinstance(request, UnsafeRequest):
            self._dispatch(RequestHeard(request=request))
        if not isinstance(request, StartRequested):
            self.memory.keep(remembered, durable)
            return

        def looked_up(_known: RememberedCommand | None, session_used: bool) -> None:
            if session_used:
                # Remembered with its refusal, so that the same id gets the same answer again.
                self.memory.keep(remembered, lambda _done: received())
                refuse(ReplyStatus.REJECTED, Code.SESSION_EXISTS)
            else:
                self.memory.keep(remembered, durable)

        self._journal.desk_lookup(remembered.command, request.session, looked_up)

    def _when_durable(
        self,
        request: Request,
        refuse: Callable[[ReplyStatus, Code], None],
        expires: Instant | None,
        received: Received,
    ) -> Callable[[bool], None]:
        """Return what the journal tells whether a command's id is durable: only then, and in time, it acts.

        Without a clock to tell (`expires`) it never does: no unsafe command waits for ever.
        """

        def durable(done: bool) -> None:
            received()
            if not done:
                refuse(ReplyStatus.REJECTED, Code.STORE_UNAVAILABLE)
            elif expires is None:
                refuse(ReplyStatus.REJECTED, Code.CLOCK_UNSYNCHRONISED)
            elif self._clock.now() >= expires:
                refuse(ReplyStatus.EXPIRED, Code.EXPIRED)
            else:
                self._dispatch(request)

        return durable

    def _remembered(self, request: Request, digest: str) -> RememberedCommand:
        """Return what the journal keeps of a request."""
        assert request.command is not None
        kept = RememberedCommand(
            command=request.command,
            name=request.name,
            digest=digest,
            moment=self._clock.moment(),
            port=request.port,
        )
        return handler_of(request.name).remembered(request, kept)

    def _drops(
        self, request: UnsafeRequest, refuse: Callable[[ReplyStatus, Code], None]
    ) -> Callable[[ReplyStatus, Code], None]:
        """Return what refuses a command the station has been told of, and tells it that nothing comes of it."""

        def drop(status: ReplyStatus, code: Code) -> None:
            refuse(status, code)
            self._dispatch(RequestDropped(request=request))

        return drop

    def _refusal(self, request: Request) -> Callable[[ReplyStatus, Code], None]:
        def say(status: ReplyStatus, code: Code) -> None:
            assert request.command is not None
            port = request.port if circuit_of(request.port) is None else None
            answer = Answer(command=request.command, name=request.name, status=status, code=code, port=port)
            self.answer(answer, self._clock.moment())

        return say


def _refused(command: CommandId, name: str, code: Code) -> Answer:
    return Answer(command=command, name=name, status=ReplyStatus.REJECTED, code=code)
