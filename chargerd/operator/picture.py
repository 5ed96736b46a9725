"""How the sheds stand now, from the states that gateways publish. It belongs to the event loop's thread."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chargerd.operator.clock import Clock, steady, wall
from chargerd.operator.messages import Body, Message, figure, part, text, text_or_none, whole
from chargerd.operator.prices import Spent, Tariff

PRESENCE_S, STATE_S = 180.0, 3600.0
POWER_LIVE_S, POWER_GONE_S = 60.0, 600.0
"""How old a power may be that is shown as one of now, and that is shown at all, with its age.

Gateways tell it each ten seconds unless they are set otherwise, each hour at the most.
"""
LONGEST_STEP_S = 60.0
"""Between two readings further apart nobody knows in which tier the time was."""
CURVE_POINTS = 120
EVERYTHING = ("", "")
MOST_READERS = 1000
"""Pages that are open: each is a connection, and one that reads nothing stays for as long as it likes."""


@dataclass(slots=True)
class Curve:
    """The power of one session, and the time it spent in each tier, from readings."""

    points: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=2 * CURVE_POINTS))
    tiers: dict[float | None, float] = field(default_factory=dict)
    last: float | None = None

    def add(self, at: float, power_w: float, tariff: Tariff, step_s: float) -> None:
        """Take a reading in. `step_s`: how far apart points of the curve are."""
        if self.last is not None and 0 < at - self.last <= LONGEST_STEP_S:
            bound = tariff.bound_of(power_w)
            self.tiers[bound] = self.tiers.get(bound, 0.0) + at - self.last
        self.last = at
        if not self.points or at - self.points[-1][0] >= step_s:
            self.points.append((at, power_w))
        if len(self.points) == self.points.maxlen:  # Twice as coarse, and half of it empty again.
            self.points = deque(list(self.points)[::2], maxlen=self.points.maxlen)


@dataclass(slots=True)
class Port:
    """A socket. `state` and the rest are the contract's own; `heard` is by the steady clock."""

    gateway: str
    port: str
    label: str = ""
    circuit: str | None = None
    state: str = "unknown"
    relay_closed: bool = False
    session: str | None = None
    power_w: float | None = None
    power_at: float = 0.0
    """When that was read, by the steady clock."""
    power_good: bool = True
    """Whether the gateway says that it is one of now."""
    energy_wh: float = 0.0
    charging_s: float = 0.0
    suspended_by: str | None = None
    blocked_by: tuple[str, ...] = ()
    latches: tuple[tuple[str, str], ...] = ()
    """Functions and how each is cleared."""
    disabled: str | None = None
    disabled_on_site: bool = False
    lock: str | None = None
    """Who on site has locked it, and why."""
    longest_s: float | None = None
    most_wh: float | None = None
    queue_position: int | None = None
    heard_at: float | None = None
    """By the wall clock; `None`: never."""
    stamp: tuple[int, int] = (0, 0)
    curve: Curve = field(default_factory=Curve)

    def power_now(self, now: float) -> float | None:
        """Return what flows as of `now`, by the steady clock; `None` where what is known says nothing of that."""
        return self.power_w if self.relay_closed and now - self.power_at <= POWER_GONE_S else None

    def power_age(self, now: float) -> float | None:
        """Return how old that is, if it is none of now."""
        age = now - self.power_at
        return None if self.power_now(now) is None or (self.power_good and age <= POWER_LIVE_S) else age

    @property
    def free(self) -> bool:
        """Whether a start would be accepted."""
        return self.state == "available" and not self.blocked_by


@dataclass(slots=True)
class Gateway:
    """A shed. `until`: when its presence is over, by the steady clock."""

    id: str
    name: str = ""
    timezone: str = ""
    online: bool = False
    until: float = 0.0
    conn: int = 0
    lost_at: float | None = None
    shut: bool = False
    """Whether it was stopped in order: its relays are open then; else what charges goes on charging."""
    waits: bool = False
    """Whether what charged then goes on when it is back."""
    stream: str | None = None
    last: int = 0
    first: int = 1
    ports: dict[str, Port] = field(default_factory=dict)
    boards: dict[str, str] = field(default_factory=dict)
    """Health by board."""


class Picture:
    """All sheds. Readers wait for news of what they show."""

    def __init__(self, tariff: Tariff, *, clock: Clock = steady, now: Clock = wall) -> None:
        self.gateways: dict[str, Gateway] = {}
        self._tariff = tariff
        self._clock = clock
        self._now = now
        self._readers: dict[tuple[str, str], list[asyncio.Event]] = {}

    # What gateways say

    def take(self, batch: Sequence[Message]) -> None:
        """Take messages in, in order. What is not as the contract has it changes nothing."""
        for message in batch:
            try:
                self._dispatch(message)
            except (ValueError, LookupError, AttributeError, TypeError):  # Said already, where it was stored.
                continue

    def know(self, gateway: str, port: str, label: str) -> None:
        """Have a socket that is on the wall, whether its gateway is there or not."""
        self._gateway(gateway).ports.setdefault(port, Port(gateway, port, label=label))

    def expire(self) -> None:
        """Count gateways as lost whose presence is over. A copy the broker has dropped tells nobody."""
        for gateway in self.gateways.values():
            if gateway.online and self._clock() >= gateway.until:
                self._offline(gateway)

    def _dispatch(self, message: Message) -> None:
        gateway, body = self._gateway(message.gateway), message.body
        if message.level == "state/gateway":
            self._presence(gateway, message)
        elif message.level == "state/info":
            gateway.name, gateway.timezone = text_or_none(body, "name") or "", text_or_none(body, "timezone") or ""
        elif message.level.startswith("state/port/"):
            self._state(self._port(gateway, body), body)
        elif message.level.startswith("state/board/"):
            gateway.boards[text(body, "board")] = text(body, "health")
            self.tell(gateway.id, "")
        elif message.level == "up/reading":
            self._reading(self._port(gateway, body), body)
        elif message.level in {"up/session", "up/reply", "up/event"}:
            self.tell(gateway.id, text_or_none(body, "port") or "")

    def _presence(self, gateway: Gateway, message: Message) -> None:
        body = message.body
        conn = whole(body, "conn")
        if body["status"] == "online":
            stood = part(body, "ledger")
            gateway.conn = max(conn, gateway.conn)
            gateway.stream, gateway.last = text(stood, "stream"), whole(stood, "last")
            gateway.first = whole(stood, "first")
            gateway.until = self._clock() + (PRESENCE_S if message.expires_s is None else message.expires_s)
            if not gateway.online:
                gateway.online, gateway.lost_at, gateway.shut = True, None, False
                self._all_of(gateway)
        elif conn >= gateway.conn:  # No old death comes after a newer birth.
            gateway.conn, gateway.shut = conn, body.get("cause") == "shutdown"
            gateway.waits = body.get("sessions") == "suspended"
            self._offline(gateway)

    def _offline(self, gateway: Gateway) -> None:
        if gateway.online or gateway.lost_at is None:
            gateway.online, gateway.lost_at = False, self._now()
            self._all_of(gateway)

    def _state(self, port: Port, body: Body) -> None:
        session, reading = body.get("session") or {}, part(body, "reading")
        before = port.session
        port.stamp = (whole(body, "boot"), whole(body, "up_ms"))
        port.label, port.circuit = text_or_none(body, "label") or port.port, text_or_none(body, "circuit")
        relay = part(body, "relay") if body.get("relay") is not None else {"closed": body["relay_closed"]}
        port.state, port.relay_closed = text(body, "state"), relay["closed"] is True
        port.session = text_or_none(body, "session_id")
        self._power(port, reading)
        port.energy_wh, port.charging_s = figure(session, "energy_wh") or 0.0, figure(session, "charging_s") or 0.0
        port.suspended_by = text_or_none(session, "suspended_by")
        port.blocked_by = tuple(str(one) for one in body["blocked_by"])
        port.latches = tuple((text(one, "function"), text(one, "clearing")) for one in body["latches"])
        disabled: Any = body.get("disabled")
        port.disabled = None if disabled is None else text(disabled, "reason")
        lock: Any = body.get("lock")
        port.lock = None if lock is None else f"{text(lock, 'by')}: {text(lock, 'reason')}"
        port.disabled_on_site = disabled is not None and disabled.get("source") == "local"
        port.longest_s = figure(part(body, "limits"), "duration_s")
        port.most_wh = figure(part(body, "limits"), "energy_wh")
        port.queue_position = body.get("queue_position")
        port.heard_at = self._now()
        if port.session != before:
            port.curve = Curve()
        self.tell(port.gateway, port.port)

    def _reading(self, port: Port, body: Body) -> None:
        if text_or_none(body, "session_id") != port.session or port.heard_at is None:
            return
        stamp = (whole(body, "boot"), whole(body, "up_ms"))
        if port.relay_closed and stamp[0] == port.stamp[0] and stamp > port.stamp:
            port.charging_s += (stamp[1] - port.stamp[1]) / 1000
            port.stamp = stamp
        self._power(port, body)
        port.heard_at = self._now()
        if port.session is not None:
            port.energy_wh = max(port.energy_wh, figure(body, "session_energy_wh") or 0.0)
            if port.power_w is not None:
                step = max(1.0, port.charging_s / CURVE_POINTS)
                port.curve.add(port.charging_s, port.power_w, self._tariff, step)
        self.tell(port.gateway, port.port)

    def _power(self, port: Port, reading: Body) -> None:
        port.power_w = figure(reading, "power_w")
        port.power_at = self._clock() - (figure(reading, "age_s") or 0.0)
        port.power_good = reading.get("quality", "good") == "good"

    @property
    def moment(self) -> float:
        """The steady clock's time."""
        return self._clock()

    def _gateway(self, name: str) -> Gateway:
        return self.gateways.setdefault(name, Gateway(name))

    def _port(self, gateway: Gateway, body: Body) -> Port:
        name = text(body, "port")
        return gateway.ports.setdefault(name, Port(gateway.id, name, label=name))

    # Asking

    def port(self, gateway: str, port: str) -> Port | None:
        """Return a socket, if there is such a one."""
        known = self.gateways.get(gateway)
        return None if known is None else known.ports.get(port)

    def ports(self) -> Iterator[Port]:
        """Give all sockets, shed by shed."""
        for _name, gateway in sorted(self.gateways.items()):
            for _port, port in sorted(gateway.ports.items()):
                yield port

    def next_free(self, port: Port, taken: Callable[[Port], bool]) -> Port | None:
        """Return the next socket that is free: of the same shed, from this one on; else of another."""
        here = [one for one in self.ports() if one.gateway == port.gateway]
        place = next((index for index, one in enumerate(here) if one.port == port.port), 0)
        others = [one for one in self.ports() if one.gateway != port.gateway]
        for one in [*here[place + 1 :], *here[:place], *others]:
            if one.free and self.gateways[one.gateway].online and not taken(one):
                return one
        return None

    def spent(self, port: Port, tariff: Tariff) -> Spent:
        """Return what the session at a socket has drawn so far; what no reading told of is at its mean power."""
        tiers: dict[float | None, float] = dict.fromkeys((*tariff.bounds, None), 0.0)
        for bound, span in port.curve.tiers.items():
            if bound in tiers:
                tiers[bound] += span
        rest = port.charging_s - sum(tiers.values())
        mean_w = port.energy_wh * 3600 / port.charging_s if port.charging_s else 0.0
        tiers[tariff.bound_of(mean_w)] += max(0.0, rest)
        return Spent(port.energy_wh, port.charging_s, tiers)

    # News

    def tell(self, gateway: str, port: str) -> None:
        """Wake whoever shows a socket, and whoever shows everything."""
        for key in ((gateway, port), EVERYTHING):
            for event in self._readers.get(key, ()):
                event.set()

    @contextmanager
    def reader(self, gateway: str = "", port: str = "") -> Iterator[asyncio.Event]:
        """Give what is set when there is news of a socket, or of anything."""
        event, key = asyncio.Event(), (gateway, port)
        self._readers.setdefault(key, []).append(event)
        try:
            yield event
        finally:
            self._readers[key].remove(event)
            if not self._readers[key]:
                del self._readers[key]

    @property
    def crowded(self) -> bool:
        """Whether so many pages are open that no more are kept up to date: they are asked for again and again."""
        return self.reading() >= MOST_READERS

    def reading(self) -> int:
        """Return how many pages are open."""
        return sum(map(len, self._readers.values()))

    def _all_of(self, gateway: Gateway) -> None:
        for port in gateway.ports:
            self.tell(gateway.id, port)
        self.tell(gateway.id, "")
