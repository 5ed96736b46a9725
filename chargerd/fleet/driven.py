"""One simulated gateway: the real daemon on a machine that is none, turned by hand.

Station, journal, desk and MQTT link are those of a Raspberry Pi. What is not is what they hang on: boards that
answer as events, a clock that shares its time with the whole fleet, a network served by one thread for all.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chargerd.config.site import Site
from chargerd.contract.commands import Arrived, Refusal, parse
from chargerd.contract.ledger import Json, LedgerEntry
from chargerd.control.server import Peer, Responder
from chargerd.core.clock import Clock
from chargerd.core.events import BusEvent, DeadlineReached, RestartRequested, ShutdownRequested
from chargerd.core.facts import Fact, SessionEnded, SessionStarted
from chargerd.core.moment import Moment
from chargerd.core.units import Instant, Seconds, after
from chargerd.core.view import PortView
from chargerd.daemon import Daemon
from chargerd.mqtt.client import MqttLink
from chargerd.mqtt.transport import MakeTransport
from chargerd.runtime.process.host import Host
from chargerd.runtime.process.leaving import SETTLE_WITHIN, How
from chargerd.runtime.reporting import starts
from chargerd.runtime.reporting.watcher import ViewsListener
from chargerd.sim.event_bus import BEAT, EventBus
from chargerd.sim.world import World
from chargerd.store.place import Upkeep

LOOK_EVERY = Seconds(5.0)
"""How often the ports are looked at when nothing happens: what happens has them looked at anyway."""
HAND_IN_WITHIN = Seconds(2.0)
"""How long buses take to open, and the broker to take a goodbye."""
PROGRESS_WITHIN = Seconds(120.0)
"""How long one that leaves waits for the broker to take another row: hundreds that leave together are busy."""
ROUNDS = 50
"""How often a turn goes round at most until nothing is left to do: what one part says may be news to another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a daemon hangs on: a world with a time of its own, what carries its messages, and who looks on."""

    world: World
    world_time: Callable[[], Instant]
    make_transport: MakeTransport
    looked: ViewsListener
    on_beat: Callable[[], None]


class Told(Responder):
    """Passes on the answers to what is asked on site, where there is no socket."""

    def __init__(self, answer: Callable[[Mapping[str, Json]], None]) -> None:
        self._answer = answer

    @property
    def closed(self) -> bool:
        """Say that somebody listens."""
        return False

    def send(self, result: Json, *, more: bool = False) -> None:
        """Take an answer."""
        del more
        if isinstance(result, dict):
            self._answer(result)

    def fail(self, code: str, message: str, hint: str = "") -> None:
        """Take the reason why there is none."""
        self._answer({"status": "rejected", "code": code, "message": message, "hint": hint})


class DrivenDaemon(Daemon):
    """The daemon without a thread: `turn` does what is due, `due` says when that is. Its link must be there."""

    def __init__(
        self,
        site: Site,
        *,
        folder: Path,
        host: Host,
        around: Surroundings,
        upkeep: Upkeep,
    ) -> None:
        self._around = around
        self._beat_at = self._look_at = host.clock.now()
        reading = LOOK_EVERY if site.mqtt is None else Seconds(site.mqtt.reading_interval_s)
        self._look_every = min(LOOK_EVERY, reading)
        self._leaving_until: Instant | None = None
        self._handing_in_until: Instant | None = None
        self._farewell_until: Instant | None = None
        self._unsent = 0
        """Rows left to be handed in: as long as they become fewer, it is waited for."""
        self.event_buses: tuple[EventBus, ...] = ()
        self.started = self.settled = 0
        """Sessions that began and ended, as its ledger tells them."""
        self.gone = False
        """Whether it has left, as far as it had anything to do."""

        def make_buses(
            site: Site, *, clock: Clock, emit: Callable[[BusEvent], None], on_crash: object
        ) -> Sequence[EventBus]:
            del on_crash
            self.event_buses = tuple(
                EventBus(name, site, around.world, clock=clock, emit=emit, world_time=around.world_time)
                for name in site.buses
            )
            return self.event_buses

        super().__init__(
            site,
            state_dir=folder / "state",
            runtime_dir=folder,
            make_buses=make_buses,
            upkeep=upkeep,
            host=host,
            make_transport=around.make_transport,
        )
        self._control.stop()  # Nobody binds its socket; hundreds of them would hold files open.

    @property
    def link(self) -> MqttLink:
        assert self._link is not None
        return self._link

    @property
    def views(self) -> Sequence[PortView]:
        return self._engine.views()

    @property
    def rows(self) -> tuple[int, int, int]:
        """How many rows its ledger has ever had, how many a backend has acknowledged, how many are unsent."""
        span = self._journal.span()
        return span.last, span.acked, self.link.unsent

    def start(self) -> None:
        """Begin; nothing is done without `turn`."""
        self._begin(by_itself=False)
        self.link.begin()

    # What people do

    def ask(self, method: str, params: Mapping[str, Json], answer: Callable[[Mapping[str, Json]], None]) -> None:
        """Ask on site, as `chargerctl` does; answers come as soon as there are any."""
        peer = Peer(pid=os.getpid(), uid=os.getuid(), gid=os.getgid())
        self._local.call(method, params, peer, Told(answer))

    def command(self, name: str, payload: bytes, expiry: int) -> None:
        """Take a command, as if the broker had just delivered it with so many seconds to go."""
        arrived = Arrived(
            name=name, payload=payload, retained=False, message_expiry=expiry, received=self._clock.moment()
        )
        parsed = parse(arrived)
        if isinstance(parsed, Refusal):
            self._refused(parsed)
        else:
            self._command(parsed, lambda: None)

    # Turns

    def turn(self) -> None:
        """Do all that is due."""
        now = self._clock.now()
        beat = now >= self._beat_at
        if beat:
            self._around.on_beat()
            self._beat_at = after(self._beat_at, Seconds(((now - self._beat_at) // BEAT + 1) * BEAT))
        for _ in range(ROUNDS):
            self._go_round(beat=beat)
            beat = False
            if not (self._journal.busy or self.link.has_news or any(bus.busy for bus in self.event_buses)):
                break
        if self._leaving_until is not None and not self.gone:
            self._go_on_leaving()

    def due(self) -> Instant:
        """Return when there is something to be done next."""
        deadline = self._engine.next_deadline()
        first = min(self._beat_at, *(bus.due() for bus in self.event_buses))
        return first if deadline is None else min(first, deadline)

    def _go_round(self, *, beat: bool) -> None:
        for bus in self.event_buses:
            bus.turn()
        deadline = self._engine.next_deadline()
        if deadline is not None and deadline <= self._clock.now():
            self._engine.dispatch(DeadlineReached())
        if self._journal.busy:
            self._journal.turn()
        if self._handing_in_until is None:
            due = beat and self._clock.now() >= self._look_at
            if due:
                self._look_at = after(self._clock.now(), Seconds(self._look_every - BEAT / 2))
            self._onlooker.turn(beat=due)
        if beat or self.link.has_news:
            self.link.turn()

    # The end

    def leave(self, how: How) -> None:
        """Begin to leave: sessions wait or are settled, rows handed in; turns go on until it is `gone`."""
        self._how = how
        self._leaving_until = after(self._clock.now(), SETTLE_WITHIN)
        self._engine.dispatch(ShutdownRequested() if how is How.SHUTDOWN else RestartRequested())

    def kill(self) -> None:
        """End where it stands. What carries its messages is its maker's to break off."""
        self._engine.cease()
        self._journal.abandon()
        self.gone = True

    def _go_on_leaving(self) -> None:
        now = self._clock.now()
        assert self._leaving_until is not None
        if self._handing_in_until is None:
            if not self._engine.idle() and now < self._leaving_until:
                return
            for bus in self.event_buses:
                bus.open_all(HAND_IN_WITHIN)
            self._note(starts.stopped(self._how))
            self.link.sessions_wait = self._how is How.RESTART
            self._journal.turn()
            self._handing_in_until = after(now, PROGRESS_WITHIN)
            self._unsent = self.link.unsent
            self.link.turn()
        if self.link.unsent < self._unsent:
            self._unsent, self._handing_in_until = self.link.unsent, after(now, PROGRESS_WITHIN)
        handed_in = self.link.drained or self.link.exhausted or not self.link.connected
        if now < self._handing_in_until and not handed_in:
            return
        if self._farewell_until is None:
            self._farewell_until = after(now, HAND_IN_WITHIN)
            self.link.say_goodbye()
        if now < self._farewell_until and self.link.connected and not self.link.settled:
            return
        self.link.end()
        self._journal.close(SETTLE_WITHIN)
        self.gone = True

    def _entry(self, fact: Fact, now: Moment) -> LedgerEntry:
        self.started += isinstance(fact, SessionStarted)
        self.settled += isinstance(fact, SessionEnded)
        return super()._entry(fact, now)

    def _listeners(self) -> list[ViewsListener]:
        return [*super()._listeners(), self._around.looked]
