"""What is made of each command: one handler for each, found by the model of its arguments.

Most become a request of the station; those that only read are carried out here. When each acts, and whether it
needs a clock, is not decided here but by the `direction` of its model.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from chargerd.contract.arguments import (
    KNOWN,
    Arguments,
    Direction,
    DisableArgs,
    EnableArgs,
    GetArgs,
    HolderArgs,
    ReplayArgs,
    ReserveArgs,
    ResetArgs,
    StartArgs,
    StopArgs,
    UpdateLimitsArgs,
)
from chargerd.contract.ledger import Recovery, RememberedCommand
from chargerd.core.commands import ReplyStatus
from chargerd.core.events import (
    DisableRequested,
    EnableRequested,
    LockRequested,
    Request,
    ReserveRequested,
    ResetRequested,
    StartRequested,
    StopRequested,
    UnlockRequested,
    UpdateRequested,
)
from chargerd.core.plan import Limits, NamedLimits, holder_of, lock_of
from chargerd.core.session import Source
from chargerd.core.units import CircuitId, CommandId, PortId, Seconds, SessionId, Watts
from chargerd.runtime.commands.after_restart import ports_to_stop
from chargerd.runtime.commands.orders import Orders, update_of

ArgsT = TypeVar("ArgsT", bound=Arguments)
RequestT = TypeVar("RequestT", bound=Request)
Done = Callable[[str | None], None]
"""Told when a command that reads is done; or why it cannot be."""


@dataclass(frozen=True, slots=True)
class Given:
    """How a command came in, besides its arguments."""

    command: CommandId
    source: Source
    orders: Orders


class Publisher(Protocol):
    """What a command that reads is carried out by."""

    def replay(self, stream: str, since: int, to: int | None, answer: Done) -> None:
        """Send kept rows again."""

    def publish_states(self) -> None:
        """Publish all states again."""


class Remembered(Generic[RequestT]):
    """What a crash leaves of a command that the station decides on, whoever may give it."""

    def remembered(self, _request: RequestT, kept: RememberedCommand) -> RememberedCommand:
        """Return what the journal keeps of it, besides the port: what is needed to tell after a crash."""
        return kept

    def fulfilled(self, _command: RememberedCommand, _recovery: Recovery) -> bool:
        """Say whether what it wanted is so by what the journal holds, though it never had its last word."""
        return False


class Handler(ABC, Remembered[RequestT], Generic[ArgsT, RequestT]):
    """Of a command of the contract that the station decides on."""

    @abstractmethod
    def request(self, args: ArgsT, given: Given) -> RequestT:
        """Return what the station is asked."""


class Reader(ABC, Generic[ArgsT]):
    """Of a command that moves nothing."""

    @abstractmethod
    def perform(self, args: ArgsT, publisher: Publisher, done: Done) -> None:
        """Carry it out."""


_HANDLERS: dict[type[Arguments], Handler[Any, Any] | Reader[Any]] = {}
HANDLERS: Mapping[type[Arguments], Handler[Any, Any] | Reader[Any]] = MappingProxyType(_HANDLERS)
"""The handler of each command."""
HandlerT = TypeVar("HandlerT", bound=Handler[Any, Any] | Reader[Any])


def handles(model: type[Arguments]) -> Callable[[type[HandlerT]], type[HandlerT]]:
    """Make a class the handler of the command with these arguments."""

    def register(kind: type[HandlerT]) -> type[HandlerT]:
        _HANDLERS[model] = kind()
        return kind

    return register


def handler_of(name: str) -> Remembered[Any]:
    """Return the handler of a request, by its name. Raises `KeyError` for what the station is not asked."""
    found = _found(name)
    if not isinstance(found, Remembered):
        raise KeyError(name)
    return found


def direction_of(name: str) -> Direction:
    """Return in which direction a command goes, of the contract or given on site only. Raises `KeyError`."""
    return ON_SITE_ONLY[name].direction if name in ON_SITE_ONLY else KNOWN[name].kind.direction


def _found(name: str) -> Remembered[Any] | Reader[Any] | None:
    return ON_SITE_ONLY.get(name) or HANDLERS.get(KNOWN.get(name, Arguments))


def fulfilled(recovery: Recovery) -> frozenset[CommandId]:
    """Return the commands without a last word whose wish the journal holds: they are done, whoever was told."""
    return frozenset(one.command for one in recovery.unfinished if _holds(one, recovery))


def _holds(command: RememberedCommand, recovery: Recovery) -> bool:
    handler = _found(command.name)
    return isinstance(handler, Remembered) and handler.fulfilled(command, recovery)


@handles(StartArgs)
class Start(Handler[StartArgs, StartRequested]):
    """Its last word is that of its session."""

    def request(self, args: StartArgs, given: Given) -> StartRequested:
        """Return the start of an order, with the site's and the port's own where nothing was said."""
        port = PortId(args.port)
        order = given.orders.order(
            port,
            limits=given.orders.limits(port, args.limits),
            session=_session(args.session_id),
            order=args.order_id,
            tiers=None if args.tariff_tiers_w is None else tuple(Watts(bound) for bound in args.tariff_tiers_w),
            source=given.source,
            command=given.command,
            full_stop=args.full_stop,
        )
        if args.queue_s is not None:
            order = replace(order, queue_for=Seconds(args.queue_s))
        return StartRequested(order=order, port=port)

    def remembered(self, request: StartRequested, kept: RememberedCommand) -> RememberedCommand:
        """Keep what it would have started: each accepted start yields one settlement."""
        return replace(kept, session=request.session, order=request.order.order)


@handles(StopArgs)
class Stop(Handler[StopArgs, StopRequested]):
    """Ends a session."""

    def request(self, args: StopArgs, given: Given) -> StopRequested:
        """Return the stop of the session named, or of any."""
        return StopRequested(
            port=PortId(args.port),
            session=_session(args.session_id),
            source=given.source,
            force=args.force,
            command=given.command,
        )

    def remembered(self, request: StopRequested, kept: RememberedCommand) -> RememberedCommand:
        """Keep which session it was for: after a crash that one does not go on."""
        return replace(kept, session=request.session)

    def fulfilled(self, command: RememberedCommand, recovery: Recovery) -> bool:
        """Say whether what it was for is over: settled already, or about to be, as it does not go on."""
        accepted = command.reply is not None and command.reply.body.get("status") == ReplyStatus.ACCEPTED
        return accepted or command.session in recovery.settled or command.port in ports_to_stop(recovery)


@handles(UpdateLimitsArgs)
class UpdateLimits(Handler[UpdateLimitsArgs, UpdateRequested]):
    """Changes the limits of a session under way."""

    def request(self, args: UpdateLimitsArgs, given: Given) -> UpdateRequested:
        """Return the request for these limits."""
        port, session = PortId(args.port), SessionId(args.session_id)
        event = UpdateRequested(port=port, session=session, source=given.source, command=given.command)
        return update_of(args.limits, event)

    def remembered(self, request: UpdateRequested, kept: RememberedCommand) -> RememberedCommand:
        """Keep what it wanted, to be compared with what is found."""
        limits = NamedLimits(
            current=request.current, power=request.power, duration=request.duration, energy=request.energy
        )
        return replace(kept, session=request.session, limits=limits)

    def fulfilled(self, command: RememberedCommand, recovery: Recovery) -> bool:
        """Say whether its session has the limits it wanted."""
        orders = [record.order for record in recovery.sessions if record.order.port == command.port]
        return command.limits is not None and any(
            command.session in {None, order.session} and _within(command.limits, order.limits) for order in orders
        )


@handles(ResetArgs)
class Reset(Handler[ResetArgs, ResetRequested]):
    """Clears latches. Whether it has is not to be told after a crash: others may have come since."""

    def request(self, args: ResetArgs, given: Given) -> ResetRequested:
        """Return the reset of a port or a circuit."""
        return ResetRequested(port=_holder(args), source=given.source, command=given.command)


@handles(DisableArgs)
class Disable(Handler[DisableArgs, DisableRequested]):
    """Takes a port or a circuit out of service."""

    def request(self, args: DisableArgs, given: Given) -> DisableRequested:
        """Return the disabling of a port or a circuit."""
        return DisableRequested(port=_holder(args), source=given.source, reason=args.reason, command=given.command)

    def fulfilled(self, command: RememberedCommand, recovery: Recovery) -> bool:
        """Say whether it is out of service."""
        return _disabled(command, recovery)


@handles(EnableArgs)
class Enable(Handler[EnableArgs, EnableRequested]):
    """Puts a port or a circuit back in service."""

    def request(self, args: EnableArgs, given: Given) -> EnableRequested:
        """Return the enabling of a port or a circuit."""
        return EnableRequested(port=_holder(args), source=given.source, reason=args.reason, command=given.command)

    def fulfilled(self, command: RememberedCommand, recovery: Recovery) -> bool:
        """Say whether it is in service."""
        return not _disabled(command, recovery)


class OnSiteOnly(Remembered[RequestT]):
    """Of a command that no backend can give: it comes over the control socket as the station's own request."""

    direction: Direction


class Lock(OnSiteOnly[LockRequested]):
    """Puts a lock on a port or a circuit."""

    direction = Direction.SAFE

    def fulfilled(self, command: RememberedCommand, recovery: Recovery) -> bool:
        """Say whether it is locked."""
        return _locked(command, recovery)


class Unlock(OnSiteOnly[UnlockRequested]):
    """Takes a lock away."""

    direction = Direction.UNSAFE

    def fulfilled(self, command: RememberedCommand, recovery: Recovery) -> bool:
        """Say whether it is locked no longer."""
        return not _locked(command, recovery)


ON_SITE_ONLY: Mapping[str, OnSiteOnly[Any]] = MappingProxyType(
    {LockRequested.name: Lock(), UnlockRequested.name: Unlock()}
)
"""Commands that the contract does not have, by their names."""


@handles(ReserveArgs)
class Reserve(Handler[ReserveArgs, ReserveRequested]):
    """Keeps a port for one session. A crash forgets it: what it wanted is never found to be so."""

    def request(self, args: ReserveArgs, given: Given) -> ReserveRequested:
        """Return the reservation, or its end."""
        return ReserveRequested(
            port=PortId(args.port),
            session=SessionId(args.session_id),
            source=given.source,
            lasts=Seconds(args.ttl_s),
            command=given.command,
        )


@handles(ReplayArgs)
class Replay(Reader[ReplayArgs]):
    """Sends kept rows again."""

    def perform(self, args: ReplayArgs, publisher: Publisher, done: Done) -> None:
        """Begin to send."""
        publisher.replay(args.stream, args.since, args.to, done)


@handles(GetArgs)
class Get(Reader[GetArgs]):
    """Publishes all states again."""

    def perform(self, _args: GetArgs, publisher: Publisher, done: Done) -> None:
        """Publish them."""
        publisher.publish_states()
        done(None)


def _session(name: str | None) -> SessionId | None:
    return None if name is None else SessionId(name)


def _holder(args: HolderArgs) -> PortId:
    if args.circuit is not None:
        return holder_of(CircuitId(args.circuit))
    assert args.port is not None
    return PortId(args.port)


def _disabled(command: RememberedCommand, recovery: Recovery) -> bool:
    return any(one.holder == command.port for one in recovery.disabled)


def _locked(command: RememberedCommand, recovery: Recovery) -> bool:
    return command.port is not None and any(one.holder == lock_of(command.port) for one in recovery.disabled)


def _within(named: NamedLimits, limits: Limits) -> bool:
    pairs = (
        (named.current, limits.current),
        (named.power, limits.power),
        (named.duration, limits.duration),
        (named.energy, limits.energy),
    )
    return all(wanted is None or wanted == there for wanted, there in pairs)
