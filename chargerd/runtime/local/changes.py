"""What a technician changes of what there is: a session's limits, what is held open, what is out of service."""

from collections.abc import Callable, Mapping

from pydantic import ValidationError

from chargerd.contract.arguments import LimitsArgs
from chargerd.contract.ledger import Json, Reply
from chargerd.contract.requests import complaint
from chargerd.control.server import Responder
from chargerd.core.clock import Clock
from chargerd.core.events import (
    DisableRequested,
    EnableRequested,
    LockRequested,
    ResetRequested,
    UnlockRequested,
    UpdateRequested,
)
from chargerd.core.plan import holder_of
from chargerd.core.session import Source
from chargerd.core.units import CircuitId, Instant, PortId, Seconds, SessionId, after
from chargerd.core.view import PortView
from chargerd.runtime.commands.handler import CommandHandler
from chargerd.runtime.commands.orders import fresh_id, update_of
from chargerd.runtime.engine import Engine

Fields = Mapping[str, Json]
GOOD_FOR = Seconds(8.0)
"""How long a command given on site may wait for the disk. Its sender is told after 10 s that the daemon does not
answer, and must not find that it acts later; 2 s are left for the way back."""


class Changes:
    """Serves `limits`, `reset`, `disable`, `enable`, `lock` and `unlock`."""

    def __init__(
        self,
        engine: Engine,
        desk: CommandHandler,
        clock: Clock,
        find: Callable[[Fields, Responder], PortView | None],
    ) -> None:
        self._engine = engine
        self._desk = desk
        self._clock = clock
        self._find = find
        self.methods: Mapping[str, Callable[[Fields, Responder], None]] = {
            "limits": self._limits,
            "reset": self._reset,
            "disable": self._disable,
            "enable": self._enable,
            "lock": self._lock,
            "unlock": self._unlock,
        }

    def _limits(self, params: Fields, respond: Responder) -> None:
        view = self._find(params, respond)
        limits = limits_of(params, respond) if view is not None else None
        if view is None or limits is None:
            return
        session = params.get("session_id")
        event = UpdateRequested(
            port=view.id,
            session=SessionId(session) if isinstance(session, str) else None,
            source=Source.LOCAL,
            command=fresh_id(),
        )
        self._desk.submit(
            update_of(limits, event),
            replying(respond),
            digest="",
            expires=expiry(self._clock),
            received=nobody,
        )

    def _reset(self, params: Fields, respond: Responder) -> None:
        holder = self._holder(params, respond)
        if holder is not None:
            reason = params.get("reason")
            event = ResetRequested(
                port=holder,
                source=Source.LOCAL,
                reason=reason if isinstance(reason, str) else None,
                command=fresh_id(),
            )
            self._desk.submit(event, replying(respond), digest="", expires=expiry(self._clock), received=nobody)

    def _disable(self, params: Fields, respond: Responder) -> None:
        holder = self._holder(params, respond)
        if holder is not None:
            event = DisableRequested(
                port=holder, source=Source.LOCAL, reason=str(params["reason"]), command=fresh_id()
            )
            self._desk.submit(event, replying(respond), digest="", received=nobody)

    def _enable(self, params: Fields, respond: Responder) -> None:
        holder = self._holder(params, respond)
        if holder is not None:
            event = EnableRequested(
                port=holder, source=Source.LOCAL, reason=str(params["reason"]), command=fresh_id()
            )
            self._desk.submit(event, replying(respond), digest="", expires=expiry(self._clock), received=nobody)

    def _lock(self, params: Fields, respond: Responder) -> None:
        holder = self._holder(params, respond)
        if holder is not None:
            event = LockRequested(
                port=holder,
                source=Source.LOCAL,
                by=str(params["by"]),
                reason=str(params["reason"]),
                command=fresh_id(),
            )
            self._desk.submit(event, replying(respond), digest="", received=nobody)

    def _unlock(self, params: Fields, respond: Responder) -> None:
        holder = self._holder(params, respond)
        if holder is not None:
            reason = params.get("reason")
            event = UnlockRequested(
                port=holder,
                source=Source.LOCAL,
                by=str(params["by"]),
                reason=reason if isinstance(reason, str) else None,
                command=fresh_id(),
            )
            self._desk.submit(event, replying(respond), digest="", expires=expiry(self._clock), received=nobody)

    def _holder(self, params: Fields, respond: Responder) -> PortId | None:
        """Return under which id a port or circuit is held; tell if there is none, or not one."""
        name = params.get("circuit")
        if name is None:
            view = self._find(params, respond)
            return None if view is None else view.id
        circuits = [view.id for view in self._engine.circuit_views()]
        if name not in circuits:
            respond.fail(
                "unknown_circuit", f"there is no circuit {name!r}", f"the circuits are {', '.join(circuits)}"
            )
            return None
        return holder_of(CircuitId(str(name)))


def expiry(clock: Clock) -> Instant:
    """Return until when a command given on site just now may act."""
    return after(clock.now(), GOOD_FOR)


def limits_of(params: Fields, respond: Responder) -> LimitsArgs | None:
    """Return the limits among the parameters; tell what is wrong with them."""
    try:
        return LimitsArgs.model_validate(
            {name: params[name] for name in LimitsArgs.model_fields if name in params}
        )
    except ValidationError as error:
        respond.fail("malformed", complaint(error), "give a figure above 0, or leave it out")
        return None


def replying(respond: Responder) -> Callable[[Reply, bool], None]:
    """Return what hands the replies to a command to whoever gave it."""
    return lambda reply, final: respond.send(dict(reply.body), more=not final)


def nobody() -> None:
    """Nobody waits to be told that a command was received: it came over no broker."""
