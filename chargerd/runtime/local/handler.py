"""Serves the control socket: what a technician asks for, answered from the station's own views."""

import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from chargerd.contract.ledger import Json
from chargerd.contract.payloads import EventBody, Severity
from chargerd.control.methods import ACTING
from chargerd.control.server import Peer, Responder
from chargerd.core.clock import Clock
from chargerd.core.events import StartRequested, StopRequested
from chargerd.core.session import Source
from chargerd.core.units import PortId, SessionId
from chargerd.core.view import PortView
from chargerd.runtime.commands.handler import CommandHandler
from chargerd.runtime.commands.orders import fresh_id
from chargerd.runtime.engine import Engine
from chargerd.runtime.local.changes import Changes, expiry, limits_of, nobody, replying
from chargerd.runtime.local.lines import Lines
from chargerd.runtime.local.settlements import SettlementQueries

Fields = Mapping[str, Json]


class LocalHandler:
    """Answers requests of the control socket. Called in the socket's thread; never blocks it."""

    def __init__(
        self,
        *,
        engine: Engine,
        desk: CommandHandler,
        clock: Clock,
        port_state: Callable[[PortView], dict[str, Json]],
        status: Callable[[], dict[str, Json]],
        accounts: SettlementQueries,
        lines: Lines,
        audit: Callable[[EventBody], None],
        others: Mapping[str, Callable[[Fields, Responder], None]] = MappingProxyType({}),
    ) -> None:
        """`audit` writes into the ledger who has asked for what; `others` are methods that others serve."""
        self._audit = audit
        self._engine = engine
        self._desk = desk
        self._clock = clock
        self._port_state = port_state
        self._status = status
        self._lock = threading.Lock()
        self._watching: list[Responder] = []
        self._methods: Mapping[str, Callable[[Fields, Responder], None]] = {
            "status": self._tell_status,
            "watch": self._watch,
            "port": self._tell_port,
            "start": self._start,
            "stop": self._stop,
            **Changes(engine, desk, clock, self._view).methods,
            **accounts.methods,
            **lines.methods,
            **others,
        }

    def call(self, method: str, params: Fields, peer: Peer, respond: Responder) -> None:
        """Serve one request."""
        serve = self._methods.get(method)
        if serve is None:
            known = ", ".join(sorted(self._methods))
            respond.fail("unsupported", f"no method {method!r}", f"this daemon knows {known}")
            return
        if method in ACTING:
            self._audit(action(method, params, peer))
        serve(params, respond)

    def looked(self, views: Sequence[PortView], changed: frozenset[PortId]) -> None:
        """Tell those who watch: ports that have changed, and ports with a session each time."""
        with self._lock:
            self._watching = [one for one in self._watching if not one.closed]
            watching = tuple(self._watching)
        if not watching:
            return
        for view in views:
            if view.id in changed or view.session is not None:
                state = self._port_state(view)
                for one in watching:
                    one.send({"port": state}, more=True)

    def status(self) -> dict[str, Json]:
        """Return the whole status: the daemon's own, and all ports."""
        ports: list[Json] = [self._port_state(view) for view in self._engine.views()]
        return {**self._status(), "ports": ports}

    def _tell_status(self, _params: Fields, respond: Responder) -> None:
        respond.send(self.status())

    def _watch(self, _params: Fields, respond: Responder) -> None:
        respond.send(self.status(), more=True)
        with self._lock:
            self._watching.append(respond)

    def _tell_port(self, params: Fields, respond: Responder) -> None:
        view = self._view(params, respond)
        if view is not None:
            respond.send(self._port_state(view))

    def _start(self, params: Fields, respond: Responder) -> None:
        view = self._view(params, respond)
        if view is None:
            return
        args = limits_of(params, respond)
        if args is None:
            return
        order = self._desk.orders.order(
            view.id,
            limits=self._desk.orders.limits(view.id, args),
            order=_text(params, "order_id"),
            full_stop=params.get("full_stop") is not False,
        )
        event = StartRequested(order=order, port=view.id)
        self._desk.submit(event, replying(respond), digest="", expires=expiry(self._clock), received=nobody)

    def _stop(self, params: Fields, respond: Responder) -> None:
        view = self._view(params, respond)
        if view is None:
            return
        session = _text(params, "session_id")
        event = StopRequested(
            port=view.id,
            session=SessionId(session) if session else None,
            source=Source.LOCAL,
            force=session is None,
            command=fresh_id(),
        )
        self._desk.submit(event, replying(respond), digest="", received=nobody)

    def _view(self, params: Fields, respond: Responder) -> PortView | None:
        name = _text(params, "port") or ""
        try:
            return self._engine.view(PortId(name))
        except KeyError:
            ports = ", ".join(view.id for view in self._engine.views())
            respond.fail("unknown_port", f"there is no port {name!r}", f"the ports are {ports}")
            return None


def action(method: str, params: Fields, peer: Peer) -> EventBody:
    """Return the event of a command given on site; what became of it is told by the events that follow."""
    from chargerd.runtime.local.who import user_of  # noqa: PLC0415 - it is loaded when somebody gives one

    port, session, circuit = _text(params, "port"), _text(params, "session_id"), _text(params, "circuit")
    return EventBody(
        event="local_action",
        severity=Severity.INFO,
        port=None if port is None else PortId(port),
        circuit=circuit,
        bus=_text(params, "bus"),
        board=_text(params, "board"),
        session_id=None if session is None else SessionId(session),
        function=method,
        source=Source.LOCAL,
        reason=written(params) if method == "write" else _text(params, "reason"),
        uid=peer.uid,
        user=user_of(peer.uid),
    )


def written(params: Fields) -> str:
    """Return what is written by hand, and where to."""
    values = params["values"]
    told = ", ".join(f"0x{int(str(value)):04X}" for value in (values if isinstance(values, list) else []))
    unit = f"unit {params['unit']}, " if "unit" in params else ""
    return f"{unit}function {params['function']}, address 0x{int(str(params['address'])):04X}: {told}"


def _text(params: Fields, name: str) -> str | None:
    value = params.get(name)
    return value if isinstance(value, str) and value else None
