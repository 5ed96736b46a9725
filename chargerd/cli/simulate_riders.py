"""Riders of one simulated gateway: they plug in, order at the gateway itself, stop and leave."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chargerd.control.client import ControlClient, ControlFailure
from chargerd.core.clock import Clock
from chargerd.core.units import PortId, Seconds
from chargerd.sim.loads import lithium
from chargerd.sim.riders import Action, Orders, PhonesStop, PlugsIn, Riders, Unplugs
from chargerd.sim.world import World

TURN = Seconds(1.0)
REFUSED = frozenset({"rejected", "expired", "failed"})


class Crowd:
    """The riders of a gateway, in a thread of their own; they order over the control socket, as people on site do.

    With `order` false they order nothing: every socket has a bike in it, and the backend starts what it likes.
    """

    def __init__(
        self, *, world: World, socket: Path, clock: Clock, ports: list[PortId], seed: int, rate: float, order: bool
    ) -> None:
        self.status: dict[str, Any] = {}
        """What the gateway said last."""
        self.ended = 0
        self.orders = 0
        self.refused = 0
        self._world = world
        self._socket = socket
        self._clock = clock
        self._ports = ports
        self._seed = seed
        self._rate = rate
        self._riders = Riders(seed, ports, rate) if order else None
        self._sessions: dict[PortId, str] = {}
        self._charging: set[PortId] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="riders", daemon=True)

    def start(self) -> None:
        """Let them come."""
        if self._riders is None:
            for number, port in enumerate(self._ports):
                self._plug(port, number)
        self._thread.start()

    def stop(self) -> None:
        """Nobody comes any more."""
        self._stopped.set()
        self._thread.join(timeout=5.0)

    def _plug(self, port: PortId, number: int) -> None:
        load = lithium(48, 3, seed=self._seed + number, capacity_scale=self._rate)
        self._world.socket(port).plug(load)

    def _run(self) -> None:
        while not self._stopped.wait(TURN):
            try:
                self._turn()
            except ControlFailure:
                continue  # It is busy, or about to leave; the main thread sees if it has failed.

    def _turn(self) -> None:
        self.status = self._call("status")
        for port in self.status["ports"]:
            self._look(PortId(port["port"]), port)
        if self._riders is not None:
            for action in self._riders.due(self._clock.now()):
                self._act(action, self._riders)

    def _look(self, port: PortId, state: dict[str, Any]) -> None:
        before, session = self._sessions.get(port), state["session_id"]
        if before is not None and session != before:
            del self._sessions[port]
            self._charging.discard(port)
            self.ended += 1
            self._over(port)
        if session is not None:
            self._sessions[port] = session
        if state["state"] == "charging" and port not in self._charging:
            self._charging.add(port)
            if self._riders is not None:
                self._riders.started(port, self._clock.now())
        if state["state"] == "tripped":
            self._call("reset", port=port)

    def _over(self, port: PortId) -> None:
        if self._riders is None:
            self._plug(port, self.ended)
        else:
            self._riders.ended(port, self._clock.now())

    def _act(self, action: Action, riders: Riders) -> None:
        visit = action.visit
        match action:
            case PlugsIn() if visit.load is not None:
                self._world.socket(visit.port).plug(visit.load)
            case Unplugs():
                self._world.socket(visit.port).unplug()
            case Orders():
                self.orders += 1
                wanted: dict[str, Any] = {"port": visit.port, "duration_s": float(visit.duration)}
                if visit.energy is not None:
                    wanted["energy_wh"] = visit.energy
                if self._call("start", **wanted)["status"] in REFUSED:
                    self.refused += 1
                    riders.ended(visit.port, self._clock.now())
            case PhonesStop():
                self._call("stop", port=visit.port)
            case _:
                pass

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the first answer; nobody here waits for current to flow."""
        with ControlClient(self._socket, timeout=5.0) as client:
            answers: Iterator[dict[str, Any]] = iter(client.stream(method, **params))
            return next(answers)
