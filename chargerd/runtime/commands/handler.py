"""Takes commands in, from the backend and from the site; each acts at most once and gets its answer.

A command's id is durable before the command acts, and before the broker is told that we have it. Only what is
safe (to stop, to lower, to disable) acts first, since it waits for no disk. Of what waits for it the station is
told at once, so that what is safe applies to that as well if it comes later. The same id again gets the stored
reply again and does nothing.
"""

import threading
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import TypeAlias

from ulid import ULID

from chargerd import log
from chargerd.contract.arguments import LimitsArgs
from chargerd.contract.ledger import ON_SITE, RememberedCommand, Reply
from chargerd.core.clock import Clock
from chargerd.core.commands import Answer, Code, ReplyStatus
from chargerd.core.events import (
    AvailabilityRequest,
    DisableRequested,
    EnableRequested,
    Event,
    RequestDropped,
    RequestHeard,
    ResetRequested,
    StartRequested,
    StopRequested,
    UnsafeRequest,
    UpdateRequested,
)
from chargerd.core.moment import Moment
from chargerd.core.plan import Limits, NamedLimits, StationPlan, circuit_of
from chargerd.core.session import Order, Source
from chargerd.core.units import Amps, CommandId, Instant, PortId, Seconds, SessionId, WattHours, Watts
from chargerd.runtime.commands.memory import CommandMemory, JournalOfCommands, Respond
from chargerd.runtime.commands.rendezvous import Meeting

FINAL = frozenset({ReplyStatus.DONE, ReplyStatus.FAILED, ReplyStatus.REJECTED, ReplyStatus.EXPIRED})

Received: TypeAlias = Callable[[], None]
"""Called when a command's id is durable, or cannot be made so: whoever has brought it may forget it."""


class Desk:
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
        self._ports = {port.id: port for port in plan.ports}
        self._tiers = plan.tariff_tiers
        self._clock = clock
        self._journal = journal
        self._dispatch = dispatch
        self._reply_of = reply_of
        self.memory = CommandMemory(clock=clock, journal=journal, reply_of=reply_of, kept=known)
        self._lock = threading.Lock()
        self._open: dict[CommandId, Respond] = {}

    # Coming in

    def order(
        self,
        port: PortId,
        *,
        limits: Limits | None = None,
        session: SessionId | None = None,
        order: str | None = None,
        tiers: tuple[Watts, ...] | None = None,
        source: Source = Source.LOCAL,
        command: CommandId | None = None,
        full_stop: bool = True,
    ) -> Order:
        """Return an order with a new session id, the site's tiers and the port's limits where nothing was said."""
        return Order(
            session=session or SessionId(str(ULID())),
            port=port,
            limits=limits or self.limits_of(port),
            order=order,
            tiers=self._tiers if tiers is None else tiers,
            source=source,
            command=command or fresh_id(),
            full_stop=full_stop,
        )

    def limits_of(self, port: PortId) -> Limits:
        """Return the port's own limits; the defaults for a port there is not, which the station will refuse."""
        plan = self._ports.get(port)
        return plan.limits if plan is not None else Limits()

    def limits(self, port: PortId, args: LimitsArgs | None) -> Limits:
        """Return what was ordered, with the port's own limits where nothing was said."""
        own = self.limits_of(port)
        if args is None:
            return own
        return Limits(
            current=own.current if args.current_a is None else Amps(args.current_a),
            power=own.power if args.power_w is None else Watts(args.power_w),
            duration=own.duration if args.duration_s is None else Seconds(args.duration_s),
            energy=own.energy if args.energy_wh is None else WattHours(args.energy_wh),
        )

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

    def start(
        self, order: Order, respond: Respond, *, digest: str, expires: Instant | None, received: Callable[[], None]
    ) -> None:
        """Start a port: the id is made durable, then the station is asked; `received` is called in between."""
        assert order.command is not None
        command = order.command
        event = StartRequested(order=order, port=order.port)
        refuse = self._drops(event, self._refusal(command, "start", order.port))
        remembered = RememberedCommand(
            command=command,
            name="start",
            digest=digest,
            moment=self._clock.moment(),
            port=order.port,
            session=order.session,
            order=order.order,
        )
        durable = self._when_durable(event, refuse, expires, received)
        with self._lock:
            self._open[command] = respond
        self._dispatch(RequestHeard(request=event))

        def looked_up(_known: RememberedCommand | None, session_used: bool) -> None:
            if session_used:
                # Remembered with its refusal, so that the same id gets the same answer again.
                self.memory.keep(remembered, lambda _done: received())
                refuse(ReplyStatus.REJECTED, Code.SESSION_EXISTS)
            else:
                self.memory.keep(remembered, durable)

        self._journal.desk_lookup(command, order.session, looked_up)

    def stop(self, event: StopRequested, respond: Respond, *, digest: str, received: Callable[[], None]) -> None:
        """End a session. Queued for the journal first, so that replies find it there; acts without waiting."""
        self._at_once(event, "stop", respond, digest=digest, received=received)

    def disable(
        self, event: DisableRequested, respond: Respond, *, digest: str, received: Callable[[], None]
    ) -> None:
        """Take a port or a circuit out of service: acts without waiting, like everything in the safe direction."""
        self._at_once(event, "disable", respond, digest=digest, received=received)

    def enable(
        self,
        event: EnableRequested,
        respond: Respond,
        *,
        digest: str,
        expires: Instant | None,
        received: Callable[[], None],
    ) -> None:
        """Put a port or a circuit back in service: made durable first."""
        self._once_durable(event, "enable", respond, digest=digest, received=received, expires=expires)

    def reset(
        self,
        event: ResetRequested,
        respond: Respond,
        *,
        digest: str,
        expires: Instant | None,
        received: Callable[[], None],
    ) -> None:
        """Clear latches: made durable first, like everything that makes a closing possible."""
        self._once_durable(event, "reset", respond, digest=digest, received=received, expires=expires)

    def update(
        self,
        event: UpdateRequested,
        respond: Respond,
        *,
        digest: str,
        expires: Instant | None,
        received: Callable[[], None],
    ) -> None:
        """Change the limits of a session. Only the station knows in which direction that is.

        So it is asked at once, and does what is safe. If the command has no last word then, it is a raise: the
        station is asked again once the id is durable, in time, and there was a clock to tell (`expires`).
        """
        assert event.command is not None
        command, refuse = event.command, self._refusal(event.command, "update_limits", event.port)
        kept: list[bool] = []

        def go_on() -> None:
            with self._lock:
                answered = command not in self._open
            if answered:
                return
            if not kept[0]:
                room = self.memory.room_for("update_limits")
                refuse(ReplyStatus.REJECTED, Code.STORE_UNAVAILABLE if room else Code.TOO_MANY_COMMANDS)
            elif expires is None:
                refuse(ReplyStatus.REJECTED, Code.CLOCK_UNSYNCHRONISED)
            elif self._clock.now() >= expires:
                refuse(ReplyStatus.EXPIRED, Code.EXPIRED)
            else:
                self._dispatch(replace(event, durable=True))

        meeting = Meeting(go_on)

        def durable(done: bool) -> None:
            received()
            kept.append(done)
            meeting.come()

        with self._lock:
            self._open[command] = respond
        self._remember(event, "update_limits", digest, durable)
        self._dispatch(event)
        meeting.come()

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

    def _at_once(
        self,
        event: StopRequested | DisableRequested,
        name: str,
        respond: Respond,
        *,
        digest: str,
        received: Received,
    ) -> None:
        assert event.command is not None
        with self._lock:
            self._open[event.command] = respond
        self._remember(event, name, digest, lambda _done: received())
        self._dispatch(event)

    def _once_durable(
        self,
        event: ResetRequested | EnableRequested,
        name: str,
        respond: Respond,
        *,
        digest: str,
        received: Received,
        expires: Instant | None,
    ) -> None:
        assert event.command is not None
        refuse = self._drops(event, self._refusal(event.command, name, event.port))
        with self._lock:
            self._open[event.command] = respond
        self._dispatch(RequestHeard(request=event))
        self._remember(event, name, digest, self._when_durable(event, refuse, expires, received))

    def _when_durable(
        self,
        event: Event,
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
                self._dispatch(event)

        return durable

    def _remember(
        self,
        event: StopRequested | ResetRequested | UpdateRequested | AvailabilityRequest,
        name: str,
        digest: str,
        done: Callable[[bool], None],
    ) -> None:
        assert event.command is not None
        remembered = RememberedCommand(
            command=event.command, name=name, digest=digest, moment=self._clock.moment(), port=event.port
        )
        if isinstance(event, StopRequested | UpdateRequested):
            remembered = replace(remembered, session=event.session)
        if isinstance(event, UpdateRequested):
            limits = NamedLimits(
                current=event.current, power=event.power, duration=event.duration, energy=event.energy
            )
            remembered = replace(remembered, limits=limits)
        self.memory.keep(remembered, done)

    def _drops(
        self, event: UnsafeRequest, refuse: Callable[[ReplyStatus, Code], None]
    ) -> Callable[[ReplyStatus, Code], None]:
        """Return what refuses a command the station has been told of, and tells it that nothing comes of it."""

        def drop(status: ReplyStatus, code: Code) -> None:
            refuse(status, code)
            self._dispatch(RequestDropped(request=event))

        return drop

    def _refusal(self, command: CommandId, name: str, port: PortId) -> Callable[[ReplyStatus, Code], None]:
        def say(status: ReplyStatus, code: Code) -> None:
            named = port if circuit_of(port) is None else None
            answer = Answer(command=command, name=name, status=status, code=code, port=named)
            self.answer(answer, self._clock.moment())

        return say


def _refused(command: CommandId, name: str, code: Code) -> Answer:
    return Answer(command=command, name=name, status=ReplyStatus.REJECTED, code=code)


def fresh_id() -> CommandId:
    """Return an id for a command given on site."""
    return CommandId(f"{ON_SITE}{ULID()}")
