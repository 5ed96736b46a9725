"""What `chargerd simulate` tells of its gateways: each second how they stand, at the end what they came to."""

import json
import os
import resource
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from chargerd.cli.said import echo, echo_over
from chargerd.config.problems import Problem
from chargerd.core.units import Instant, Seconds, after, between
from chargerd.fleet.clock import Time
from chargerd.fleet.crowd import Crowd
from chargerd.fleet.fleet import Fleet

TELL_EVERY = Seconds(1.0)
TEXT = (
    "{seconds:7.1f} s  {connected}/{gateways} connected  {charging} charging  {ended} ended  "
    "{rows} rows, {rows_unacknowledged} unacknowledged  {memory_mib} MiB"
)


class Figures:
    """Counts over all gateways, each from its own ledger."""

    def __init__(self, fleet: Fleet, crowds: Sequence[Crowd], gateways: int, time: Time) -> None:
        self._fleet = fleet
        self._crowds = crowds
        self._gateways = gateways
        self._time = time
        self._began = time.now()

    def begin(self) -> None:
        """Count the seconds from now on: all are connected."""
        self._began = self._time.now()

    @property
    def seconds(self) -> float:
        """How many have passed since it began, as the gateways count them."""
        return between(self._began, self._time.now())

    @property
    def connected(self) -> int:
        """How many gateways have a broker."""
        return sum(gateway.connected for gateway in self._fleet.gateways)

    @property
    def unsent(self) -> int:
        """How many rows no broker has confirmed."""
        return sum(gateway.rows[2] for gateway in self._fleet.gateways)

    def now(self, kind: str) -> dict[str, Any]:
        """Return how it stands. `rows_unacknowledged` grows as long as no backend acknowledges the ledger."""
        fleet = self._fleet.gateways
        rows = [gateway.rows for gateway in fleet]
        sessions = [gateway.sessions for gateway in fleet]
        return {
            "kind": kind,
            "seconds": round(self.seconds, 1),
            "gateways": self._gateways,
            "set_up": len(fleet),
            "connected": self.connected,
            "charging": sum(gateway.charging for gateway in fleet),
            "orders": sum(crowd.orders for crowd in self._crowds),
            "refused": sum(crowd.refused for crowd in self._crowds),
            "started": sum(started for started, _ in sessions),
            "ended": sum(ended for _, ended in sessions),
            "rows": sum(last for last, _, _ in rows),
            "rows_unacknowledged": sum(last - acked for last, acked, _ in rows),
            "rows_unsent": sum(unsent for _, _, unsent in rows),
            "memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "cpu_s": round(sum(os.times()[:2]), 1),
        }


def tell_error(text: str, problems: Sequence[Problem] = (), *, as_json: bool) -> None:
    """Tell why it does not go on: for people on stderr, for programs as an object like all others."""
    if as_json:
        found = [asdict(problem) for problem in problems]
        echo(json.dumps({"kind": "error", "message": text, "problems": found}))
        return
    for line in [str(problem) for problem in problems] or [text]:
        echo(f"simulate: {line}", err=True)


class Teller:
    """Tells them, as lines for people or as JSON."""

    def __init__(self, figures: Figures, time: Time, *, as_json: bool) -> None:
        self._figures = figures
        self._time = time
        self._as_json = as_json
        self._due: Instant = after(time.now(), TELL_EVERY)

    def tell_now_and_then(self, kind: str) -> None:
        """Tell how it stands, if it is time to."""
        if self._time.now() >= self._due:
            self._due = after(self._time.now(), TELL_EVERY)
            self.tell(kind)

    def tell(self, kind: str, *, last: bool = False) -> None:
        """Tell how it stands."""
        figures = self._figures.now(kind)
        if self._as_json:
            echo(json.dumps(figures))
            return
        text = f"{figures['set_up']} set up  {TEXT}" if kind == "setup" else TEXT
        echo_over(text.format(**figures), last=last)

    def tell_trouble(self, text: str) -> None:
        """Tell what has gone wrong."""
        tell_error(text, as_json=self._as_json)

    def tell_of(self, gateway: str, text: str) -> None:
        """Tell what a story does at a gateway, or has heard from it."""
        at = round(self._figures.seconds, 1)
        if self._as_json:
            echo(json.dumps({"kind": "story", "seconds": at, "gateway": gateway, "text": text}))
        else:
            echo(f"{at:7.1f} s  {gateway}  {text}")
