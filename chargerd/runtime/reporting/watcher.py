"""Looks at the station for everybody who shows it, in a thread of its own, so that nobody slows decisions down.

A port's state is passed on when something about it changed that an onlooker should see at once; its values are
passed on at their own interval.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

from chargerd.core.clock import Clock
from chargerd.core.units import Instant, PortId, Seconds, after
from chargerd.core.view import PortView

INTERVAL = Seconds(1.0)

Signature: TypeAlias = tuple[object, ...]
ViewsListener: TypeAlias = Callable[[Sequence[PortView], frozenset[PortId]], None]


def signature(view: PortView) -> Signature:
    """Return what of a view is worth a message of its own when it changes: not the values, not their age."""
    session = view.session.order if view.session is not None else None
    # After an opening nothing else may change for hours: what is then shown must be what flows now.
    seen = (view.measured.power is not None, view.measured.frozen)
    why = (view.latches, view.blocked_by, view.disabled, view.lock, view.queue_position)
    relay = (view.relay_closed, view.relay.closed, view.relay.known)
    return (view.state, view.since, *relay, *why, session, *seen)


class PortWatcher:
    """Takes snapshots each second, and at once when nudged; tells listeners all views and which have changed."""

    def __init__(
        self,
        views: Callable[[], tuple[PortView, ...]],
        clock: Clock,
        listeners: Sequence[ViewsListener],
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self._views = views
        self._clock = clock
        self._listeners = tuple(listeners)
        self._on_crash = on_crash
        self._seen: dict[PortId, Signature] = {}
        self._nudged = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="onlooker", daemon=True)
        self.last_turn: Instant = clock.now()

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look a last time, then end."""
        self._stopped.set()
        self._nudged.set()
        if self._thread.is_alive():
            self._thread.join(timeout=INTERVAL * 2)

    def nudge(self) -> None:
        """Look now: something has happened. Never blocks."""
        self._nudged.set()

    def look(self) -> None:
        """Take one snapshot and tell the listeners."""
        views = self._views()
        signatures = {view.id: signature(view) for view in views}
        changed = frozenset(port for port, now in signatures.items() if self._seen.get(port) != now)
        self._seen = signatures
        for listener in self._listeners:
            listener(views, changed)

    def turn(self, *, beat: bool) -> None:
        """Look if nudged, or on the `beat`: in place of `start`, where time is turned by hand."""
        if beat or self._nudged.is_set():
            self._nudged.clear()
            self.last_turn = self._clock.now()
            self.look()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._nudged.wait(INTERVAL)
                self._nudged.clear()
                self.last_turn = self._clock.now()
                self.look()
        except Exception as error:  # noqa: BLE001 - the thread's last word, passed on to the supervisor
            self._on_crash(error)


class Every:
    """Says when an interval has passed again."""

    def __init__(self, interval: Seconds, clock: Clock) -> None:
        self._interval = interval
        self._clock = clock
        self._due = after(clock.now(), interval)

    def passed(self) -> bool:
        """Say whether the interval has passed since this last was true."""
        now = self._clock.now()
        if now < self._due:
            return False
        self._due = after(now, self._interval)
        return True
