"""Serves `events` on the control socket: what the journal keeps of what has happened, rows and notes as one.

The newest come first, in pages the client asks for one by one, so that nobody who reads slowly holds anything up.
Whoever follows is told what is written from a mark on, also of what came while it was not connected.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, Protocol

from chargerd.config.site import Site
from chargerd.contract.ledger import Json, KeptEvent, Mark, RowKind
from chargerd.contract.parts import stamp, up_ms
from chargerd.contract.payloads import Severity
from chargerd.control.server import Responder
from chargerd.core.clock import Clock
from chargerd.core.moment import Moment, passed
from chargerd.core.units import PortId
from chargerd.core.view import PortView
from chargerd.runtime.local.write_rules import above, served_by

Fields = Mapping[str, Json]
SLICE: Final = 100
"""Read at once: a few milliseconds of the journal's time on a gateway."""
PAGE: Final = 50
END: Final = Mark(2**62, 2**62)
GRAVITY: Final = {severity.value: place for place, severity in enumerate(Severity)}
QUIET: Final = "session_updated"
"""Told every few minutes of each session: shown to whoever asks for it by name."""
OF_A_SESSION: Final = {
    "stop_reason": "reason", "stop_detail": "detail", "reason": "reason", "detail": "detail", "port": "port",
    "session_id": "session_id", "order_id": "order_id", "energy_wh": "energy_wh", "charging_s": "charging_s",
}  # fmt: skip
"""What of a session's row is shown, and by which name: `chargerctl sessions` has all of a settlement."""


class JournalOfEvents(Protocol):
    """What this needs of the journal."""

    def events(
        self,
        limit: int,
        deliver: Callable[[Sequence[KeptEvent] | None], None],
        *,
        before: Mark | None = None,
        after: Mark | None = None,
    ) -> None:
        """Deliver what was written before a mark, newest first, or after it; `None` if it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events somebody wants to see."""

    severity: int
    kinds: tuple[str, ...] = ()
    near: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Of what: ids by the field they stand in; of anything if there are none."""
    since_ms: int | None = None
    within: float | None = None

    def wants(self, body: Fields) -> bool:
        """Say whether an event is one of them, whenever it was."""
        event = str(body["event"])
        if GRAVITY.get(str(body.get("severity")), 0) < self.severity:
            return False
        if not (any(fnmatchcase(event, kind) for kind in self.kinds) if self.kinds else event != QUIET):
            return False
        return not self.near or any(_names(body.get(name)) & ids for name, ids in self.near.items())

    def too_old(self, moment: Moment, now: Moment) -> bool:
        """Say whether it is from before what is wanted, as far as anything proves it."""
        ago = passed(moment, now)
        if self.within is not None:
            return ago is not None and ago > self.within
        if self.since_ms is None:
            return False
        wall = moment.wall_ms if ago is None or now.wall_ms is None else now.wall_ms - ago * 1000
        return wall is not None and wall < self.since_ms


@dataclass(slots=True)
class _Follower:
    respond: Responder
    wanted: Wanted
    mark: Mark
    asking: bool = False


class EventQueries:
    """The method `events`. Never blocks."""

    def __init__(self, journal: JournalOfEvents, site: Site, clock: Clock) -> None:
        self._journal = journal
        self._site = site
        self._clock = clock
        self._lock = threading.Lock()
        self._followers: list[_Follower] = []

    def looked(self, _views: Sequence[PortView], _changed: frozenset[PortId]) -> None:
        """Tell those who follow what was written since: each second, and when something has happened."""
        with self._lock:
            self._followers = [one for one in self._followers if not one.respond.closed]
            idle = [one for one in self._followers if not one.asking]
            for one in idle:
                one.asking = True
        for one in idle:
            self._go_on(one)

    def tell(self, params: Fields, respond: Responder) -> None:
        """Serve `events`: a page of what has happened, or what comes after a mark."""
        port = params.get("port")
        if port is not None and port not in {one.id for one in self._site.ports}:
            ports = ", ".join(one.id for one in self._site.ports)
            respond.fail("unknown_port", f"there is no port {port!r}", f"the ports are {ports}")
            return
        wanted = self._wanted(params)
        after = _mark(params.get("after"))
        if after is not None:
            follower = _Follower(respond, wanted, after)
            follower.asking = True
            with self._lock:
                self._followers.append(follower)
            respond.send({"following": str(after)}, more=True)
            self._go_on(follower)
            return
        limit = params.get("limit")
        page = _Page(self, respond, wanted, limit if isinstance(limit, int) else PAGE)
        page.go(_mark(params.get("before")) or END)

    def _wanted(self, params: Fields) -> Wanted:
        port, kinds = params.get("port"), params.get("kinds")
        since, within = params.get("since_ms"), params.get("within_s")
        return Wanted(
            severity=GRAVITY.get(str(params.get("severity")), 0),
            kinds=tuple(map(str, kinds)) if isinstance(kinds, list) else (),
            near={} if port is None else near(self._site, PortId(str(port))),
            since_ms=since if isinstance(since, int) else None,
            within=float(within) if isinstance(within, int | float) else None,
        )

    def _go_on(self, follower: _Follower) -> None:
        def deliver(found: Sequence[KeptEvent] | None) -> None:
            if found is None:
                unreadable(follower.respond)
                return
            for one in found:
                follower.mark, body = one.mark, shown(one)
                if follower.wanted.wants(body):
                    follower.respond.send({"event": body}, more=True)
            if len(found) == SLICE and not follower.respond.closed:
                self._go_on(follower)
            else:
                follower.asking = False

        self._journal.events(SLICE, deliver, after=follower.mark)

    def ask(self, before: Mark, deliver: Callable[[Sequence[KeptEvent] | None], None]) -> None:
        """Ask for what was written before a mark."""
        self._journal.events(SLICE, deliver, before=before)

    def now(self) -> Moment:
        """Return what time it is."""
        return self._clock.moment()


class _Page:
    """Goes back through what is kept and sends what is wanted, up to a number or a time."""

    def __init__(self, queries: EventQueries, respond: Responder, wanted: Wanted, most: int) -> None:
        self._queries = queries
        self._respond = respond
        self._wanted = wanted
        self._most = most
        self._sent = 0
        self._newest: Mark | None = None

    def go(self, before: Mark) -> None:
        """Ask for the next slice."""
        self._queries.ask(before, self._take)

    def _take(self, found: Sequence[KeptEvent] | None) -> None:
        if found is None:
            unreadable(self._respond)
            return
        now = self._queries.now()
        for one in found:
            self._newest = self._newest or one.mark
            if self._wanted.too_old(one.moment, now):
                self._end(None)
                return
            body = shown(one)
            if self._wanted.wants(body):
                self._sent += 1
                self._respond.send({"event": body}, more=True)
            if self._sent >= self._most:
                self._end(one.mark)
                return
        if len(found) < SLICE or self._respond.closed:
            self._end(None)
        else:
            self.go(found[-1].mark)

    def _end(self, older: Mark | None) -> None:
        newest = self._newest or Mark(0, 0)
        self._respond.send(
            {"count": self._sent, "newest": str(newest), "older": None if older is None else str(older)}
        )


def shown(one: KeptEvent) -> dict[str, Json]:
    """Return an event as it is shown: where it stands, when it was, and what of it is known."""
    head: dict[str, Json] = {
        "id": str(one.mark),
        "at": stamp(one.moment),
        "clock": one.moment.clock.value,
        "boot": one.moment.boot,
        "up_ms": up_ms(one.moment.instant),
        "kept": "note" if one.kind is None else "ledger",
    }
    if one.kind is not RowKind.SESSION:
        return {**head, **{name: value for name, value in one.body.items() if value is not None}}
    event = one.body.get("event")
    grave = Severity.WARNING if event == "suspended" else Severity.INFO
    told = {new: one.body[old] for old, new in OF_A_SESSION.items() if one.body.get(old) is not None}
    return {**head, "event": f"session_{event}", "severity": grave.value, **told}


def near(site: Site, port: PortId) -> dict[str, frozenset[str]]:
    """Return the ids of what has to do with a port: itself, its circuits, its boards and their lines."""
    circuit = next(one.circuit for one in site.ports if one.id == port)
    circuits = above(site, circuit)
    boards = [board for board in site.boards.values() if port in set(served_by(site, board.id))]
    return {
        "port": frozenset({port}),
        "ports": frozenset({port}),
        "circuit": frozenset(circuits),
        "circuits": frozenset(circuits),
        "board": frozenset(board.id for board in boards),
        "bus": frozenset(board.bus for board in boards),
    }


def _names(told: Json) -> set[str]:
    return {str(one) for one in (told if isinstance(told, list) else [told])}


def unreadable(respond: Responder) -> None:
    """Say that nothing can be read now."""
    respond.fail("store_unavailable", "the journal cannot be read", "see what chargerctl status says of the store")


def _mark(text: Json) -> Mark | None:
    return Mark.of(text) if isinstance(text, str) else None
