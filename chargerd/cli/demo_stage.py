"""The demo's stage: riders act on the world, the operator's backend on the gateway, and all of it is told.

One thread runs it, turn by turn. What a port does is learnt from the gateway's messages only; the world is asked
for one thing the daemon cannot know: when an overload really began, and when the contact really opened.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ulid import ULID

from chargerd.cli.demo_backend import Heard, OperatorBackend, Payload
from chargerd.cli.demo_visitor import Visitor
from chargerd.core.units import Instant, PortId, Seconds, after, between
from chargerd.sim.loads import lithium
from chargerd.sim.parts import Edge
from chargerd.sim.riders import Action, Arrives, Leaves, Orders, PhonesStop, PlugsIn, Riders, Unplugs, Visit
from chargerd.sim.world import World

WAITING = "a charger waits here for you"
"""What is said of a socket that is kept for whoever comes."""
RESET_AFTER = Seconds(12.0)
"""How long after a trip, once its rider is gone, the operator clears the latch."""
KEPT_SCALE = 30.0
"""A battery that is full within some minutes."""
REFUSED = frozenset({"rejected", "expired", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of the demo: `at_s` since it began, and the figures that belong to `kind`."""

    at_s: float
    kind: str
    port: str | None
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """Return it as a JSON object on one line."""
        head = {"kind": self.kind, "at_s": round(self.at_s, 3), "port": self.port, "text": self.text}
        return json.dumps({**head, **self.data})


@dataclass(slots=True)
class PortRow:
    """What is known of a port, for the table. Values are the gateway's own, from its messages."""

    state: str = "unknown"
    power_w: float | None = None
    current_a: float | None = None
    read_at: Instant | None = None
    """When power and current were read."""
    stale: bool = False
    """Whether the gateway itself says that they are none of now."""
    energy_wh: float | None = None
    charging_since: Instant | None = None
    latches: tuple[str, ...] = ()
    doing: str = ""
    session: str | None = None


@dataclass(slots=True)
class Totals:
    """What the summary counts."""

    arrived: int = 0
    started: int = 0
    energy_wh: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    trips: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0


class Stage:
    """Riders, world and backend together. `tell` gets every happening."""

    def __init__(
        self,
        *,
        world: World,
        riders: Riders,
        backend: OperatorBackend,
        began: Instant,
        tell: Callable[[Happening], None],
        kept: Sequence[PortId] = (),
        visitor: Visitor | None = None,
    ) -> None:
        self.rows: dict[PortId, PortRow] = {}
        self.recent: deque[Happening] = deque(maxlen=200)
        self.totals = Totals()
        self.online = False
        """Whether the gateway says so."""
        self.settled: dict[str, Payload] = {}
        """Settlements by session."""
        self._world = world
        self._riders = riders
        self._backend = backend
        self._began = began
        self._now = began
        self._tell = tell
        self._commands: dict[str, tuple[str, Visit]] = {}
        self._resets: dict[PortId, Instant] = {}
        self._open: dict[str, Visit] = {}
        self._opening: list[tuple[PortId, Instant, dict[str, Any]]] = []
        self._kept = frozenset(kept)
        self._visitor = visitor
        self._plugged = 0
        for port in kept:
            self._plug_in(port)

    # Turns

    def turn(self, now: Instant, *, riders: bool = True) -> None:
        """Hear what the gateway says and let the riders act. `riders`: whether they still do."""
        self._now = now
        for heard in self._backend.poll():
            self._hear(heard)
        self._watch_openings()
        while self._visitor is not None and not self._visitor.told.empty():
            told = self._visitor.told.get()
            self._say(told.kind, self._visitor.port, told.text, **told.data)
        if not (riders and self.online):
            return
        for action in self._riders.due(now):
            self._act(action)
        for port, due in tuple(self._resets.items()):
            if now >= due and self._riders.at(port) is None:
                del self._resets[port]
                self._backend.reset_port(port)
                self._say("reset_sent", port, "the operator clears the latch from afar")

    def closing_time(self) -> None:
        """Let the operator stop every session that is still open."""
        for session, visit in self._open.items():
            self._remember(self._backend.stop_port(visit.port, session=session), "stop", visit)
        self._say("closing", None, f"closing time: the operator stops {len(self._open)} sessions")

    @property
    def unsettled(self) -> int:
        """Accepted starts without a settlement."""
        return len(self._open)

    def summary(self) -> dict[str, Any]:
        """Return what it came to."""
        totals = self.totals
        flowed = sum(self._world.socket(port).energy for port in self.rows)
        return {
            "kind": "summary",
            "seconds": round(between(self._began, self._now), 1),
            "riders": totals.arrived,
            "turned_away": self._riders.turned_away,
            "sessions": len(self.settled),
            "refused": totals.refused,
            "unsettled": self.unsettled,
            "energy_wh": round(totals.energy_wh),
            "energy_flowed_wh": round(flowed, 2),
            "reasons": dict(sorted(totals.reasons.items())),
            "trips": totals.trips,
            "ledger_rows": self._backend.ledger.through,
        }

    # Riders

    def _act(self, action: Action) -> None:
        visit = action.visit
        port, row = visit.port, self._row(visit.port)
        match action:
            case Arrives():
                self.totals.arrived += 1
                row.doing = f"{visit.rider} arrives"
                self._say("rider_arrived", port, f"{visit.rider} arrives, {_with(visit)}: {visit.story}")
            case PlugsIn() if visit.load is not None:
                self._world.socket(port).plug(visit.load)
                row.doing = f"{visit.rider} plugs in"
                self._say("plugged_in", port, f"{visit.rider} plugs in: {visit.load.name}")
            case Orders():
                self._order(visit, row)
            case PhonesStop() if row.session is not None:
                self._remember(self._backend.stop_port(port, session=row.session), "stop", visit)
                row.doing = f"{visit.rider} stops by phone"
                self._say("stop_sent", port, f"{visit.rider} stops by phone")
            case Unplugs() if self._world.socket(port).load is not None:
                self._world.socket(port).unplug()
                row.doing = f"{visit.rider} unplugs"
                self._say("unplugged", port, f"{visit.rider} pulls the plug")
            case Leaves():
                row.doing = ""
                self._say("rider_left", port, f"{visit.rider} leaves")
            case _:
                pass

    def _order(self, visit: Visit, row: PortRow) -> None:
        session = str(ULID())
        order = f"order-{self.totals.arrived}"
        command = self._backend.start_port(
            visit.port, session=session, order=order, duration_s=visit.duration, energy_wh=visit.energy
        )
        self._remember(command, "start", visit)
        row.session = session
        row.doing = f"{visit.rider} scans"
        what = f"{visit.duration:.0f} s" if visit.energy is None else f"{visit.energy:g} Wh"
        self._say("start_sent", visit.port, f"{visit.rider} scans and orders {what}", session_id=session)

    def _remember(self, command: str, name: str, visit: Visit) -> None:
        self._commands[command] = (name, visit)

    # The gateway

    def _hear(self, heard: Heard) -> None:
        body, topic = heard.body, heard.topic
        if topic == "state/gateway" and body:
            self._presence(body)
        elif topic.startswith("state/port/") and body:
            self._state(body)
        elif topic == "up/reading":
            self._reading(body)
        elif topic == "up/reply":
            self._reply(body)
        elif topic == "up/session":
            self._session(body)
        elif topic == "up/event":
            self._event(body)

    def _presence(self, body: Payload) -> None:
        online = body["status"] == "online"
        if online is not self.online:
            self.online = online
            self._say("gateway", None, f"the gateway is {body['status']}", status=body["status"])

    def _state(self, body: Payload) -> None:
        row = self._row(PortId(body["port"]))
        row.state = body["state"]
        row.latches = tuple(latch["function"] for latch in body["latches"])
        self._values(row, body["reading"])
        if not body["relay"]["closed"]:  # As far as is known.
            # Its values are read seldom then, and the last ones are from before it opened.
            row.power_w = row.current_a = None
        if body["session"] is None:
            row.charging_since = None
        else:
            row.energy_wh = body["session"]["energy_wh"]

    def _reading(self, body: Payload) -> None:
        row = self._row(PortId(body["port"]))
        self._values(row, body)
        row.energy_wh = body["session_energy_wh"]

    def _values(self, row: PortRow, values: Payload) -> None:
        row.power_w, row.current_a, age = values["power_w"], values["current_a"], values["age_s"]
        row.read_at = None if age is None else Instant(self._now - age)
        row.stale = values["quality"] != "good"

    def _reply(self, body: Payload) -> None:
        name, visit = self._commands.get(body["id"], (body["command"], None))
        status, code = body["status"], body["code"]
        if visit is None and name == "start" and body["session_id"] is not None:
            visit = self._comes_by_phone(body)
        if name == "start" and visit is not None:
            self._start_reply(status, visit)
        data = {"status": status, "code": code, "command_id": body["id"], "session_id": body["session_id"]}
        text = f"{name} {status}" + ("" if code == "ok" else f" ({code})")
        self._say(f"{name}_{status}", body["port"], text, **data)

    def _comes_by_phone(self, body: Payload) -> Visit:
        """Return the visit of somebody who has opened a socket's page: none of our riders."""
        port = PortId(body["port"])
        row = self._row(port)
        if body["status"] == "accepted":
            row.session = body["session_id"]
        return Visit(rider="somebody", port=port, story="comes by phone", load=None, duration=Seconds(0.0))

    def _plug_in(self, port: PortId) -> None:
        """Leave a bike with an empty battery at a socket that is kept."""
        self._plugged += 1
        load = lithium(48, 3, seed=self._plugged, capacity_scale=KEPT_SCALE)
        self._world.socket(port).plug(load)
        self._row(port).doing = WAITING

    def _start_reply(self, status: str, visit: Visit) -> None:
        row = self._row(visit.port)
        if status == "accepted" and row.session is not None and row.session not in self.settled:
            self._open[row.session] = visit
            self.totals.started += 1
        elif status == "done":
            row.charging_since = self._now
            row.doing = f"{visit.rider} charges"
            self._riders.started(visit.port, self._now)
        elif status in REFUSED:
            self.totals.refused += row.session not in self._open and row.session not in self.settled
            self._riders.ended(visit.port, self._now)

    def _session(self, body: Payload) -> None:
        port, event = PortId(body["port"]), body["event"]
        if event != "ended":
            if event in {"suspended", "resumed"}:
                self._say(event, port, f"session {event}", reason=body["reason"])
            return
        session, reason = body["session_id"], body["stop_reason"]
        self._open.pop(session, None)
        self.settled[session] = body
        self.totals.energy_wh += body["energy_wh"]
        self.totals.reasons[reason] += 1
        text = (
            f"settled: {reason}, {body['energy_wh']} Wh ({body['energy_quality']}) in {body['charging_s']} s, "
            f"peak {body['peak_power_w']:.0f} W"
        )
        figures = (
            "session_id",
            "order_id",
            "stop_reason",
            "energy_wh",
            "energy_quality",
            "charging_s",
            "peak_power_w",
        )
        self._say("ended", port, text, **{name: body[name] for name in figures})
        row = self._row(port)
        row.session = None
        row.doing = f"{row.doing.split(' ')[0]} finds: {reason}" if row.doing else ""
        self._riders.ended(port, self._now)
        if port in self._kept:
            self._plug_in(port)

    def _event(self, body: Payload) -> None:
        event, port = body["event"], body["port"]
        if event == "port_tripped":
            self._tripped(PortId(port), body)
        elif event == "latches_cleared":
            self._riders.unblock(PortId(port))
            self._say(event, port, "cleared: " + ", ".join(body["functions"]))
        elif event == "port_locked_out":
            self._riders.block(PortId(port))
            self._say(event, port, f"locked out: {body['function']}")
        else:
            about = {name: body[name] for name in ("board", "function") if body.get(name) is not None}
            self._say(event, port, " ".join((event, *about.values())), **about)

    def _tripped(self, port: PortId, body: Payload) -> None:
        detail = body["detail"] or {}
        measured, limit, unit = (detail.get(name) for name in ("measured", "limit", "unit"))
        trip = {"function": body["function"], "measured": measured, "limit": limit, "unit": unit}
        figures = "" if measured is None else f": {measured} {(unit or '').upper()}, limit {limit}"
        self._say("tripped", port, f"TRIP {body['function']}{figures}", session_id=body["session_id"], **trip)
        # The message may be here before the contact is open: what is decided is told at once.
        record = {"port": port, **trip, "opened_after_ms": None}
        self.totals.trips.append(record)
        overloads = self._world.edges(port, Edge.OVERLOADED)
        if overloads:
            self._opening.append((port, overloads[-1].at, record))
        if body["latch"] is not None:
            self._riders.block(port)
            self._resets[port] = after(self._now, RESET_AFTER)

    def _watch_openings(self) -> None:
        """Tell of tripped contacts that have opened since, and how long after the overload began."""
        for opening in tuple(self._opening):
            port, began, record = opening
            opened = [edge.at for edge in self._world.edges(port, Edge.OPEN) if edge.at >= began]
            if not opened:
                continue
            self._opening.remove(opening)
            record["opened_after_ms"] = round(between(began, opened[0]) * 1000)
            text = f"contact open {record['opened_after_ms']} ms after the overload began"
            self._say("contact_open", port, text, opened_after_ms=record["opened_after_ms"])

    # Telling

    def _row(self, port: PortId) -> PortRow:
        return self.rows.setdefault(port, PortRow())

    def _say(self, kind: str, port: str | None, text: str, **data: object) -> None:
        happening = Happening(at_s=between(self._began, self._now), kind=kind, port=port, text=text, data=data)
        self.recent.append(happening)
        self._tell(happening)


def _with(visit: Visit) -> str:
    return "with nothing in hand" if visit.load is None else f"with a {visit.load.name}"
