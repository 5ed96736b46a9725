"""Riders of one simulated gateway: they plug in, order at the gateway itself, stop and leave."""

from collections.abc import Mapping, Sequence

from chargerd.contract.ledger import Json
from chargerd.core.units import Instant, PortId, Seconds, SessionId, after
from chargerd.core.view import PortState, PortView
from chargerd.fleet.gateway import Gateway
from chargerd.sim.loads import lithium
from chargerd.sim.riders import Action, Orders, PhonesStop, PlugsIn, Riders, Unplugs

REFUSED = frozenset({"rejected", "expired", "failed"})
RESET_AGAIN_AFTER = Seconds(10.0)


class Crowd:
    """They order as people on site do, and see what the gateway shows of its ports.

    With `order` false they order nothing: every socket has a bike in it, and the backend starts what it likes.
    """

    def __init__(self, gateway: Gateway, *, seed: int, rate: float, order: bool) -> None:
        self.orders = 0
        self.refused = 0
        self._gateway = gateway
        self._seed = seed
        self._rate = rate
        self._plugged = 0
        self._riders = Riders(seed, gateway.ports, rate) if order else None
        self._sessions: dict[PortId, SessionId] = {}
        self._charging: set[PortId] = set()
        self._reset_at: dict[PortId, Instant] = {}
        self._waiting: set[PortId] = set()
        """Where somebody waits for the first answer to an order."""
        gateway.looks.append(self.looked)
        gateway.beats.append(self.turn)
        if self._riders is None:
            for port in gateway.ports:
                self._plug(port)

    def looked(self, views: Sequence[PortView], _changed: frozenset[PortId]) -> None:
        """See how the ports stand."""
        for view in views:
            session = None if view.session is None else view.session.order.session
            if session is not None or view.id in self._sessions or view.state is PortState.TRIPPED:
                self._look(view, session)

    def turn(self) -> None:
        """Let riders do what is due."""
        if self._riders is not None:
            for action in self._riders.due(self._gateway.time.now()):
                self._act(action, self._riders)

    def _look(self, view: PortView, session: SessionId | None) -> None:
        port, now = view.id, self._gateway.time.now()
        before = self._sessions.get(port)
        if before is not None and session != before:
            del self._sessions[port]
            self._charging.discard(port)
            self._over(port, now)
        if session is not None:
            self._sessions[port] = session
        if view.state is PortState.CHARGING and port not in self._charging:
            self._charging.add(port)
            if self._riders is not None:
                self._riders.started(port, now)
        if view.state is PortState.TRIPPED and now >= self._reset_at.get(port, now):
            self._reset_at[port] = after(now, RESET_AGAIN_AFTER)
            self._gateway.ask("reset", port=port)

    def _over(self, port: PortId, now: Instant) -> None:
        if self._riders is None:
            self._plug(port)
        else:
            self._riders.ended(port, now)

    def _plug(self, port: PortId) -> None:
        self._plugged += 1
        load = lithium(48, 3, seed=self._seed + self._plugged, capacity_scale=self._rate)
        self._gateway.world.socket(port).plug(load)

    def _act(self, action: Action, riders: Riders) -> None:
        visit = action.visit
        match action:
            case PlugsIn() if visit.load is not None:
                self._gateway.world.socket(visit.port).plug(visit.load)
            case Unplugs():
                self._gateway.world.socket(visit.port).unplug()
            case Orders():
                self.orders += 1
                wanted: dict[str, Json] = {"port": visit.port, "duration_s": float(visit.duration)}
                if visit.energy is not None:
                    wanted["energy_wh"] = visit.energy
                self._waiting.add(visit.port)
                self._gateway.ask("start", lambda answer: self._answered(answer, visit.port, riders), **wanted)
            case PhonesStop():
                self._gateway.ask("stop", port=visit.port)
            case _:
                pass

    def _answered(self, answer: Mapping[str, Json], port: PortId, riders: Riders) -> None:
        if port not in self._waiting:
            return  # It was accepted before: what becomes of it is seen at the port.
        self._waiting.discard(port)
        if answer.get("status") in REFUSED:
            self.refused += 1
            riders.ended(port, self._gateway.time.now())
