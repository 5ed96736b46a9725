"""A simulated gateway over its whole life: its machine, its boards and sockets, and one daemon after the other."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from chargerd.config.site import Site
from chargerd.contract.ledger import Json
from chargerd.core.units import BoardId, Instant, PortId, Seconds, after
from chargerd.core.view import PortState, PortView
from chargerd.fleet.clock import MachineClock, Time
from chargerd.fleet.driven import DrivenDaemon, Surroundings
from chargerd.mqtt.transport import MakeTransport
from chargerd.runtime.process.host import Host
from chargerd.runtime.process.leaving import How
from chargerd.runtime.reporting.watcher import ViewsListener
from chargerd.sim.world import World
from chargerd.store.place import Upkeep
from chargerd.store.retention import LIMIT_BYTES

WORLD_STEP = Seconds(1.0)
NOT_YET = Instant(float("inf"))


class Carrier(Protocol):
    """What carries the messages of one gateway, over the lives of its daemons."""

    def maker(self, when: Callable[[], None], watch: Callable[[str, bytes], None]) -> MakeTransport:
        """Return what makes the transports of one daemon; `when` something has come, `watch` what is published."""

    def kill(self) -> None:
        """Be gone without a word to the broker."""


class Gateway:
    """What it is and what it does; `turn` does what is due, `due` says when that is."""

    def __init__(
        self,
        site: Site,
        *,
        folder: Path,
        time: Time,
        seed: int,
        carrier: Carrier,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        self.id = site.gateway.id
        self.time = time
        self.clock = MachineClock(time)
        self.world = World(site, seed=seed, step=WORLD_STEP)
        self.ports: Sequence[PortId] = [port.id for port in site.ports]
        self.looks: list[ViewsListener] = []
        """Who is told of each look at the ports."""
        self.beats: list[Callable[[], None]] = []
        """Who does something every other second."""
        self.watches: list[Callable[[str, bytes], None]] = []
        """Who is told of each publication: its topic below the root, and its payload."""
        self.on_wanted: Callable[[], None] = _nobody
        """Called when a turn is wanted, whatever `due` has said."""
        self.charging = 0
        """How many of its ports charge, as last looked at."""
        self._site = site
        self._folder = folder
        self._carrier = carrier
        self._upkeep = Upkeep(durable=False, limit_bytes=limit_bytes)
        self._boots = itertools.count(1)
        self._boot_id = ""
        self._card = 1
        self._silent: frozenset[BoardId] = frozenset()
        self._past = (0, 0)
        self._back_at: Instant | None = None
        self._power_cut = False
        self.daemon: DrivenDaemon | None = None

    # Its life

    def start(self, *, rebooted: bool = True) -> None:
        """Start the daemon on what its journal holds; `rebooted`: on a machine that has just come up."""
        if rebooted:
            self._boot_id = f"{self.id}/{next(self._boots)}"
        daemon = DrivenDaemon(
            self._site,
            folder=self._folder,
            host=Host(clock=self.clock, boot_id=self._boot_id, machine=f"machine {self._card}"),
            around=Surroundings(
                world=self.world,
                world_time=self.time.now,
                make_transport=self._carrier.maker(self._come, self._published),
                looked=self._looked,
                on_beat=self._beat,
            ),
            upkeep=self._upkeep,
        )
        for bus in daemon.event_buses:
            bus.silent = self._silent
        self.daemon = daemon
        daemon.start()
        self.on_wanted()

    def kill(self, down_for: Seconds, *, power: bool = False, other_card: bool = False) -> None:
        """End the daemon where it stands; another one begins after a while with what the journal kept.

        `power`: the whole machine was without it, and its boards, too. `other_card`: the journal then turns up in
        another machine.
        """
        assert self.daemon is not None
        self._carrier.kill()
        self.daemon.kill()
        self._bury(self.daemon)
        self._power_cut = power
        self._card += other_card
        if power:
            for port in self.ports:
                self.world.relay(port).lapse()
        self._back_at = after(self.time.now(), down_for)

    def restart(self, down_for: Seconds, how: How = How.RESTART) -> None:
        """Let the daemon leave in order, and another one begin after a while."""
        assert self.daemon is not None
        self._power_cut = False
        self.daemon.leave(how)
        self._back_at = after(self.time.now(), down_for)

    def leave(self) -> None:
        """Let the daemon leave in order, for good."""
        self._back_at = None
        if self.daemon is not None and not self.daemon.gone:
            self.daemon.leave(How.SHUTDOWN)
            self.on_wanted()

    @property
    def gone(self) -> bool:
        """Whether it has left for good."""
        return self._back_at is None and (self.daemon is None or self.daemon.gone)

    def _bury(self, daemon: DrivenDaemon) -> None:
        started, settled = self._past
        self._past = (started + daemon.started, settled + daemon.settled)
        self.daemon = None

    # What may happen to it

    def silence(self, boards: frozenset[BoardId]) -> None:
        """Let these boards, and no others, not answer."""
        self._silent = boards
        if self.daemon is not None:
            for bus in self.daemon.event_buses:
                bus.silent = boards

    def ask(
        self, method: str, answer: "Callable[[Mapping[str, Json]], None] | None" = None, /, **params: Json
    ) -> None:
        """Ask on site; nobody answers while the daemon is not there."""
        if self.daemon is not None and not self.daemon.gone:
            self.daemon.ask(method, params, answer or _unheard)
            self.on_wanted()

    def command(self, name: str, payload: bytes, expiry: int) -> None:
        """Take a command as if the broker had delivered it."""
        if self.daemon is not None and not self.daemon.gone:
            self.daemon.command(name, payload, expiry)
            self.on_wanted()

    # Turns

    def turn(self) -> None:
        """Do all that is due."""
        if self.daemon is not None and not self.daemon.gone:
            self.daemon.turn()
        if self._back_at is not None and self.time.now() >= self._back_at:
            if self.daemon is not None:
                if not self.daemon.gone:
                    return  # It is still leaving.
                self._bury(self.daemon)
            self._back_at = None
            if self._power_cut:
                self.clock.reboot()
            self.start(rebooted=self._power_cut)

    def due(self) -> Instant:
        """Return when there is something to be done next, in the time all gateways share."""
        back = NOT_YET if self._back_at is None else self._back_at
        if self.daemon is None or self.daemon.gone:
            return back
        return min(back, self.clock.shared(self.daemon.due()))

    # How it stands

    @property
    def failure(self) -> str | None:
        """Why its daemon cannot go on; `None` while it does."""
        return None if self.daemon is None else self.daemon.failure

    @property
    def connected(self) -> bool:
        """Whether it has a broker."""
        return self.daemon is not None and self.daemon.connected

    @property
    def sessions(self) -> tuple[int, int]:
        """How many sessions began and ended, as the ledger tells."""
        started, settled = self._past
        if self.daemon is None:
            return started, settled
        return started + self.daemon.started, settled + self.daemon.settled

    @property
    def rows(self) -> tuple[int, int, int]:
        """How many rows the ledger has had, how many a backend has acknowledged, how many are unsent."""
        return (0, 0, 0) if self.daemon is None else self.daemon.rows

    def _come(self) -> None:
        self.on_wanted()

    def _looked(self, views: Sequence[PortView], changed: frozenset[PortId]) -> None:
        self.charging = sum(view.state is PortState.CHARGING for view in views)
        for look in self.looks:
            look(views, changed)

    def _beat(self) -> None:
        for beat in self.beats:
            beat()

    def _published(self, topic: str, payload: bytes) -> None:
        for watch in self.watches:
            watch(topic, payload)


def _unheard(_answer: Mapping[str, Json]) -> None:
    """Nobody waits for the answer."""


def _nobody() -> None:
    """Nobody turns this gateway by its word."""
