"""`chargerctl watch`: every port, live, with keys; a line a change where there is no terminal."""

import json
import math
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import click

from chargerd.cli.ctl_asking import JOURNAL_WITHIN, ask
from chargerd.cli.ctl_lines import Connect, Option
from chargerd.cli.fields import Fields, age_of, clock, entries, measured, number, shown_state, table, why_not
from chargerd.cli.live import Screen
from chargerd.cli.said import echo
from chargerd.control.client import ControlClient, ControlFailure

DRAW_EVERY: Final = 1.0
"""Seconds between two drawings, unless somebody presses a key."""
REFRESH: Final = 2.0
"""Seconds after which everything is asked for anew: a broker or board that is lost changes no port."""
AGAIN_AFTER: Final = 1.0
"""Seconds after which a daemon that has gone is tried again."""
EVENTS: Final = 100
"""More than a screen holds."""
KEYS: Final = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\b": "backspace",
    "\x1b": "esc",
    "\x04": "q",
}
"""What a terminal sends for keys that are no characters (ECMA-48, xterm's cursor keys in both modes)."""
NOT_NOW: Final = frozenset({"unknown_port", "store_unavailable"})
"""What the view goes on without: a port that a new configuration has taken away, a journal that cannot be read."""
TRANSIENT: Final = frozenset({"gone", "not_running", "timeout", "too_many_clients"})


def command(connect: Connect, as_json: Option, above_zero: Callable[..., float | None]) -> click.Command:
    """Return the command; `connect` opens the daemon's socket and leaves with the right exit code."""

    @click.command(epilog="Examples: chargerctl watch; chargerctl watch --json --seconds 60")
    @as_json
    @click.option(
        "--seconds", type=float, callback=above_zero, help="Stop after so many seconds.  [default: never]"
    )
    @click.pass_obj
    def watch(path: Path, seconds: float | None, *, as_json: bool) -> None:
        """Show every port, live, those first that need somebody; one line a change where there is no terminal.

        Keys: q quits, arrows choose, Enter shows all of a port, f filters, ! shows faults only; p ports, e events,
        b buses, c circuits, ? help. It goes on over restarts of the daemon.
        """
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        with connect(path, as_json=as_json) as client, suppress(KeyboardInterrupt):
            if not as_json and _is_terminal():
                from chargerd.cli.paper import Canvas  # noqa: PLC0415 - drawing is loaded where something is drawn

                canvas = Canvas()
                with canvas.whole(), keyboard() as keys:
                    Live(path, canvas, keys).run(deadline)
            else:
                _lines(client, deadline, as_json=as_json)

    return watch


def _is_terminal() -> bool:
    from chargerd.cli.paper import Paper  # noqa: PLC0415 - as above

    return Paper().is_terminal


class Live:
    """Draws what the daemon says, and does what keys are for, until it is over."""

    def __init__(self, path: Path, canvas: Any, keys: int | None) -> None:
        self._path = path
        self._canvas = canvas
        self._keys = keys
        self._screen = Screen()
        self._events: list[Fields] = []
        self._buses: list[Fields] = []
        self._explained: Fields = {}
        self._silent = ""
        self._drawn_at = -math.inf
        self._ended = False

    def run(self, deadline: float) -> None:
        """Draw it once at least, and go on until somebody quits, the time is up, or the stream ends in order."""
        while True:
            try:
                with self._connected() as client, self._connected() as asking:
                    self._follow(client, asking, deadline)
            except ControlFailure as failure:
                if failure.code not in TRANSIENT:
                    raise
                at = time.strftime("%H:%M:%S")
                self._silent = self._silent or f"{failure}: what stands here is of {at}; waiting for the daemon"
                self._wait_again(deadline)
            if self._over(deadline):
                return

    def _connected(self) -> ControlClient:
        return ControlClient(self._path, for_people=True)

    def _over(self, deadline: float) -> bool:
        return self._ended or self._screen.over or time.monotonic() >= deadline

    def _wait_again(self, deadline: float) -> None:
        until = min(deadline, time.monotonic() + AGAIN_AFTER)
        while (left := until - time.monotonic()) > 0 and not self._screen.over:
            self._draw()
            self._wait(None, min(left, DRAW_EVERY))

    def _follow(self, client: ControlClient, asking: ControlClient, deadline: float) -> None:
        updates = client.stream("watch")
        self._screen.take_status(next(updates), time.monotonic())
        self._silent = ""
        refresh = time.monotonic() + REFRESH
        self._ask(asking)
        self._draw()
        while not self._over(deadline):
            if time.monotonic() >= refresh:
                self._screen.take_status(asking.call("status"), time.monotonic())
                self._ask(asking)
                refresh = time.monotonic() + REFRESH
            if not self._take(client, updates):
                self._ended = True
            now = time.monotonic()
            if now >= self._drawn_at + DRAW_EVERY or self._ended:
                self._draw()
            if not self._ended:
                due = min(deadline, refresh, self._drawn_at + DRAW_EVERY)
                if self._wait(client, max(0.0, due - now)):
                    self._ask(asking)
                    self._draw()

    def _take(self, client: ControlClient, updates: Iterator[Any]) -> bool:
        """Take in what has arrived; say whether more may come."""
        while client.ready(0.0):
            update = next(updates, None)
            if update is None:
                return False
            self._screen.take_port(update["port"], time.monotonic())
        return True

    def _ask(self, asking: ControlClient) -> None:
        """Ask for what the view shows besides the ports."""
        view = self._screen.view
        if view == "buses":
            self._buses = entries(asking.call("boards")["buses"])
        elif view in {"events", "detail"}:
            port = self._screen.port(time.monotonic()) if view == "detail" else None
            given = {} if port is None else {"port": str(port["port"])}
            try:
                *some, _last = asking.stream("events", limit=EVENTS, **given)
                self._explained = self._explain(**given) if given else {}
            except ControlFailure as failure:
                if failure.code not in NOT_NOW:
                    raise
                some = []
            self._events = [one["event"] for one in some][::-1]

    def _explain(self, port: str) -> Fields:
        """Ask over a connection of its own: what comes too late must not be taken for another answer."""
        with self._connected() as client:
            return ask(client, "explain", JOURNAL_WITHIN, port=port)

    def _draw(self) -> None:
        from chargerd.cli.live_views import draw  # noqa: PLC0415 - as above

        now = time.monotonic()
        lines = draw(
            self._screen,
            self._canvas,
            now,
            events=self._events,
            buses=self._buses,
            explained=self._explained,
            silent=self._silent,
        )
        self._canvas.show(lines)
        self._drawn_at = now

    def _wait(self, client: ControlClient | None, seconds: float) -> bool:
        """Wait for a key or for the daemon; say whether a key was pressed."""
        sources: list[Any] = [one for one in (client, self._keys) if one is not None]
        arrived, _, _ = select.select(sources, [], [], seconds)
        if self._keys is None or self._keys not in arrived:
            return False
        typed = os.read(self._keys, 1024).decode("utf-8", "replace")
        if not typed:
            self._keys = None  # Nobody is there any more: it goes on without keys.
        for key in keys_of(typed):
            self._screen.press(key, time.monotonic())
        return bool(typed)


def keys_of(typed: str) -> Iterator[str]:
    """Yield the keys that a terminal has sent, by their names."""
    while typed:
        length = next((length for length in (3, 1) if typed[:length] in KEYS), 1)
        yield KEYS.get(typed[:length], typed[0])
        typed = typed[length:]


@contextmanager
def keyboard() -> Iterator[int | None]:
    """Have single keys arrive, unseen, where there is a keyboard; Ctrl-C interrupts as ever."""
    try:
        keys = sys.stdin.fileno()
        before = termios.tcgetattr(keys)
    except (OSError, ValueError, termios.error):
        yield None
        return
    try:
        tty.setcbreak(keys)
        yield keys
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)


# Where there is no terminal


def _lines(client: ControlClient, deadline: float, *, as_json: bool) -> None:
    updates = client.stream("watch")
    update = next(updates)
    while update is not None:
        if as_json:
            echo(json.dumps(update))
        else:
            for port in update.get("ports") or [update["port"]]:
                echo(_line(port))
        sys.stdout.flush()
        if not _arrives(client, deadline):
            return
        update = next(updates, None)


def _arrives(client: ControlClient, deadline: float) -> bool:
    """Wait for the next update; say whether it came before the deadline."""
    while (left := deadline - time.monotonic()) > 0:
        if client.ready(min(left, DRAW_EVERY)):
            return True
    return False


def _line(port: dict[str, Any]) -> str:
    reading, session = table(port["reading"]), table(port["session"])
    age = age_of(reading)
    return (
        f"{port['port']:<6} {shown_state(port):<10} {measured(reading, 'power_w', 0):>6} W "
        f"{measured(reading, 'current_a', 2):>6} A {number(session.get('energy_wh'), 0):>6} Wh "
        f"{clock(session.get('charging_s')):>8}  {f'{age} old, ' if age else ''}{why_not(port)}"
    ).rstrip(" ,")
