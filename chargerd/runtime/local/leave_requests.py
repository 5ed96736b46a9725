"""What is asked on site of the daemon as a whole: to let what charges end and then stop, or to stop at once.

Who asks is told how many sessions are left each time that changes, and at last that it has stopped. Whoever goes
away meanwhile takes nothing back: a drain goes on until it is taken back by name.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

from chargerd import log
from chargerd.contract.ledger import Json
from chargerd.control.server import Responder
from chargerd.core.clock import Clock
from chargerd.core.events import DrainRequested, Event
from chargerd.core.units import Instant, PortId, Seconds, after
from chargerd.core.view import PortView
from chargerd.runtime.process.leaving import How

Fields = Mapping[str, Json]


class LeaveRequests:
    """Serves `drain`, `undrain`, `leave` and `shutdown`. Called in the socket's thread and the onlooker's."""

    def __init__(
        self,
        views: Callable[[], Sequence[PortView]],
        dispatch: Callable[[Event], None],
        clock: Clock,
        go: Callable[[How], None],
    ) -> None:
        """`go` has the daemon end, in this way and for good."""
        self._views = views
        self._dispatch = dispatch
        self._clock = clock
        self._go = go
        self._lock = threading.Lock()
        self._waiting: list[Responder] = []
        self._draining = False
        self._until: Instant | None = None
        self._told: tuple[PortId, ...] = ()
        self._out_of_time = False
        self.methods: Mapping[str, Callable[[Fields, Responder], None]] = {
            "drain": self._drain,
            "undrain": self._undrain,
            "leave": lambda _params, respond: self._leave(How.RESTART, respond),
            "shutdown": lambda _params, respond: self._leave(How.SHUTDOWN, respond),
        }

    @property
    def draining(self) -> bool:
        """Whether nothing starts until all sessions have ended, and the daemon with them."""
        return self._draining

    def looked(self, views: Sequence[PortView], _changed: object) -> None:
        """Look whether what was waited for has come."""
        if self._draining:
            self._look(views)

    def part(self) -> None:
        """Tell whoever waits that the daemon has ended what it had to."""
        left = _sessions(self._views())
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.send({"status": "stopped", "sessions": len(left), "out_of_time": self._out_of_time})

    def _drain(self, params: Fields, respond: Responder) -> None:
        span = params.get("timeout_s")
        self._dispatch(DrainRequested(begin=True))
        left = _sessions(self._views())
        with self._lock:
            self._until = after(self._clock.now(), Seconds(span)) if isinstance(span, int | float) else None
            self._waiting.append(respond)
            self._told = left
        respond.send(_progress(left), more=True)
        self._draining = True
        self._look(self._views())

    def _undrain(self, _params: Fields, respond: Responder) -> None:
        was, self._draining = self._draining, False
        if not was:
            respond.fail("not_allowed", "nothing is being drained", "see: chargerctl status")
            return
        self._dispatch(DrainRequested(begin=False))
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for one in (*waiting, respond):
            one.send({"status": "taken_back", "sessions": len(_sessions(self._views()))})

    def _leave(self, how: How, respond: Responder) -> None:
        left = _sessions(self._views())
        with self._lock:
            self._waiting.append(respond)
        respond.send({"status": "stopping", "sessions": len(left), "ports": list(left)}, more=True)
        self._go(how)

    def _look(self, views: Sequence[PortView]) -> None:
        left = _sessions(views)
        late = self._until is not None and self._clock.now() >= self._until
        if late or not left:
            self._draining, self._out_of_time = False, bool(left)
            log.info("drained", sessions_left=len(left))
            self._go(How.RESTART if left else How.SHUTDOWN)
            return
        with self._lock:
            news, self._told = left != self._told, left
            waiting = [one for one in self._waiting if not one.closed]
            self._waiting = waiting
        for one in waiting if news else []:
            one.send(_progress(left), more=True)


def _progress(left: Sequence[PortId]) -> dict[str, Json]:
    return {"status": "draining", "sessions": len(left), "ports": list(left)}


def _sessions(views: Sequence[PortView]) -> tuple[PortId, ...]:
    return tuple(view.id for view in views if view.session is not None)
