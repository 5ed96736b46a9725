"""A station among random faults at random times: whatever happens, the invariants hold, and the books balance."""

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chargerd.core.events import Configured
from chargerd.core.plan import Limits, MeterPlan, exceeds, lower_of
from chargerd.core.session import EnergyQuality, Source
from chargerd.core.units import Amps, BoardId, PortId, Seconds, WattHours, Watts
from chargerd.core.view import PortState
from tests.core import explained
from tests.core.books import Books
from tests.core.plant import port_plan
from tests.core.world import World

pytestmark = pytest.mark.long

NAMES = ("A01", "A02", "A03")
PORTS = st.sampled_from(NAMES)
SPANS = st.one_of(
    st.floats(0.001, 0.3), st.floats(0.3, 4.0), st.floats(4.0, 20.0), st.sampled_from((0.5, 3.0, 5.0, 6.0, 130.0))
)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "current": st.sampled_from((2.0, 4.0, 5.0)),
        "power": st.sampled_from((200.0, 500.0, 1000.0)),
        "duration": st.sampled_from((2.0, 60.0, 3600.0)),
        "energy": st.sampled_from((0.5, 10.0, 600.0)),
    },
)
CONFIGURED = (
    Limits(),
    Limits(current=Amps(3.0), power=Watts(400.0), energy=WattHours(20.0)),
    Limits(current=Amps(8.0), power=Watts(600.0), duration=Seconds(120.0)),
    Limits(current=Amps(2.5), power=Watts(2000.0)),
)
LOADS = st.sampled_from(((2.0, 300.0), (0.0, 0.0), (5.4, 900.0), (5.6, 950.0), (8.0, 900.0), (16.0, 2000.0)))


class Calm(RuleBasedStateMachine):
    """Faults that leave the truth knowable: silence, slowness, a full disk, impatient people."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None
        self.books: Books | None = None

    def _world(self) -> World:
        assert self.world is not None
        return self.world

    @initialize(separate=st.booleans(), wake_late=st.sampled_from((0.0, 0.002, 0.2)), resuming=st.booleans())
    def begin(self, wake_late: float, *, separate: bool, resuming: bool) -> None:
        slow = MeterPlan(board=BoardId("m"), refresh=Seconds(1.0), power_every=Seconds(1.0))
        self.world = World(
            port_plan("A01", 1),
            port_plan("A02", 2, meter=slow),
            port_plan("A03", 3, lease=None),
            tiers=(150.0, 600.0),
            separate=separate,
            wake_late=wake_late,
            begin=False,
        )
        if resuming:
            self.world.plan = replace(self.world.plan, resume_window=Seconds(1800.0))
            self.world.renew()
        self.world.meters[PortId("A02")].together = True
        self.books = Books(self.world)
        self.world.begin()

    @rule(span=SPANS)
    def wait(self, span: float) -> None:
        self._world().run(span)

    @rule(port=PORTS, span=st.floats(1.0, 8.0))
    def start(self, port: str, span: float) -> None:
        self._world().start(port)
        self._world().run(span)

    @rule(port=PORTS)
    def charge(self, port: str) -> None:
        """Bring a port to where most can go wrong."""
        self._mend()
        self._world().run(6.0)
        self._world().reset(port, source=Source.LOCAL, reason="looked at it")
        self._world().enable(port, source=Source.LOCAL)
        self._world().run(5.0)
        self._world().draw(2.0, port=port)
        self._world().start(port)
        self._world().run(3.0)

    @rule(port=PORTS, limit=st.sampled_from(("duration", "energy")), figure=st.floats(1.0, 60.0))
    def start_with_a_limit(self, port: str, limit: str, figure: float) -> None:
        self._world().start(port, source=Source.LOCAL, **{limit: figure})

    @rule(port=PORTS, source=st.sampled_from(Source), force=st.booleans())
    def stop(self, port: str, source: Source, *, force: bool) -> None:
        self._world().stop(port, source=source, force=force)

    @rule(port=PORTS, limits=LIMITS, durable=st.booleans())
    def update(self, port: str, limits: dict[str, float], *, durable: bool) -> None:
        session = self._world().view(port).session
        named = "none" if session is None else session.order.session
        self._world().update(port, named, durable=durable, **limits)  # type: ignore[arg-type]  # floats by name

    @rule(port=PORTS, limits=st.sampled_from(CONFIGURED), queue=st.sampled_from((0.0, 60.0)))
    def configure(self, port: str, limits: Limits, queue: float) -> None:
        """Read a configuration anew: nothing is raised under a session, and nothing that is lower waits."""
        world, name = self._world(), PortId(port)
        before = world.view(port)
        world.tell(Configured(limits={name: limits}, queue_for=Seconds(queue)))
        after = world.view(port)
        if before.session is None:
            assert after.limits == limits
        else:
            assert not exceeds(after.limits, before.limits)
            assert not exceeds(after.limits, limits)
        if before.session is not None and after.session is not None and after.state is not PortState.STOPPING:
            in_force = after.session.order.limits
            assert not exceeds(in_force, lower_of(before.session.order.limits, limits))

    @rule(port=PORTS, source=st.sampled_from(Source), enable=st.booleans())
    def service(self, port: str, source: Source, *, enable: bool) -> None:
        if enable:
            self._world().enable(port, source=source)
        else:
            self._world().disable(port, source=source)

    @rule(port=PORTS, away=st.booleans())
    def lock(self, port: str, *, away: bool) -> None:
        if away:
            self._world().unlock(port)
        else:
            self._world().lock(port)

    @rule(
        port=PORTS,
        session=st.sampled_from(("session-1", "session-2", "none")),
        lasts=st.sampled_from((0.0, 5.0, 60.0)),
    )
    def reserve(self, port: str, session: str, lasts: float) -> None:
        self._world().reserve(port, session, lasts)

    @rule(port=PORTS, load=LOADS)
    def plug(self, port: str, load: tuple[float, float]) -> None:
        self._world().draw(*load, port=port)

    @rule(port=PORTS, silent=st.booleans())
    def meter(self, port: str, *, silent: bool) -> None:
        self._world().meters[PortId(port)].silent = silent

    @rule(port=PORTS, lost=st.booleans())
    def register(self, port: str, *, lost: bool) -> None:
        self._world().meters[PortId(port)].lost_energy = lost

    @rule(silent=st.booleans())
    def board(self, *, silent: bool) -> None:
        self._world().board.silent = silent

    @rule(latency=st.sampled_from((0.0, 0.05, 1.0, 2.99, 3.0, 3.5)), failing=st.booleans(), stuck=st.booleans())
    def journal(self, latency: float, *, failing: bool, stuck: bool) -> None:
        journal = self._world().journal
        journal.latency, journal.failing, journal.stuck = latency, failing, stuck

    @rule()
    def mend(self) -> None:
        self._mend()
        self._world().run(1.0)

    @rule(writable=st.booleans())
    def store(self, *, writable: bool) -> None:
        self._world().store(writable=writable)

    @rule(port=PORTS)
    def reset(self, port: str) -> None:
        self._world().reset(port, source=Source.LOCAL, reason="looked at it")

    @invariant()
    def holds(self) -> None:
        if self.world is not None and self.books is not None:
            self.books.check(self.world.now)
            explained.check(self.world.station, self.world.moment(), self.world.journal.latches.values())

    def _mend(self) -> None:
        world = self._world()
        world.relay_bus.release()
        board, journal = world.board, world.journal
        board.silent = board.deaf = board.mute = board.blind = False
        journal.latency, journal.failing, journal.stuck = 0.05, False, False
        for port, contact in world.contacts.items():
            contact.welded = contact.jammed = False
            world.by_itself(port)
            world.meters[port].lost_energy = False
            if contact.closed and not contact.coil:
                world.set_contact(port, closed=False, by="mended")
        world.store(writable=True)

    def teardown(self) -> None:
        if self.world is None or self.books is None:
            return
        self._mend()
        self.world.run(3.0)
        self.world.shut_down()
        self.world.run(30.0)
        assert self.world.station.idle(), self.world.print()
        self.books.close()
        self.balance()

    def balance(self) -> None:
        """Compare what was settled with what really flowed."""
        assert self.books is not None
        world = self._world()
        for settled in self.books.settlements:
            order, record = settled.record.order, settled.record
            began, ended = record.started.instant, settled.ended.instant
            if order.port == "A03":
                continue  # Without leases nobody knows when it opened while its board was away.
            truth = world.contact_time_between(order.port, began, ended)
            closings = 1 + len(record.interruptions)
            assert abs(record.charging - truth) <= closings * (0.3 + world.wake_late), (record, world.print())
            if settled.quality is EnergyQuality.EXACT:
                assert None not in {record.meter_start, settled.meter_stop}, (record, world.print())
                drawn = world.energy_between(order.port, began, ended)
                assert abs(record.energy - drawn) <= 2.0 + 0.7, (record, drawn, world.print())


class Wild(Calm):
    """Everything else as well: lost writes and echoes, welds, ghosts, a kept line, daemons that end."""

    @rule(deaf=st.booleans(), mute=st.booleans(), blind=st.booleans(), span=st.sampled_from((0.0, 0.2, 1.0, 6.0)))
    def garble(self, span: float, *, deaf: bool, mute: bool, blind: bool) -> None:
        board = self._world().board
        board.deaf, board.mute, board.blind = deaf, mute, blind
        self._world().run(span)

    @rule(port=PORTS)
    def weld(self, port: str) -> None:
        self._world().contacts[PortId(port)].welded = True

    @rule(port=PORTS)
    def jam(self, port: str) -> None:
        contact = self._world().contacts[PortId(port)]
        contact.jammed = True
        self._world().set_contact(PortId(port), closed=False, by="jam")

    @rule(port=PORTS)
    def ghost(self, port: str) -> None:
        self._world().set_contact(PortId(port), closed=True, by="ghost")

    @rule(span=st.floats(0.01, 8.0))
    def keep_the_line(self, span: float) -> None:
        self._world().relay_bus.held = True
        self._world().run(span)
        self._world().relay_bus.release()

    @rule(after=st.floats(0.01, 20.0))
    def kill(self, after: float) -> None:
        self._world().restart(after)

    @rule(after=st.floats(0.01, 20.0), within=st.sampled_from((0.0, 0.1, 1.0)))
    def restart(self, after: float, within: float) -> None:
        self._world().restart_in_order(after, within=within)

    @rule(in_order=st.booleans())
    def rewire(self, *, in_order: bool) -> None:
        """Another configuration: the first port's name means another socket, at which nothing goes on."""
        world = self._world()
        port, *others = world.plan.ports
        world.plan = replace(world.plan, ports=(replace(port, wired=f"{port.wired}+"), *others))
        if in_order:
            world.restart_in_order()
        else:
            world.restart()
        assert world.view(port.id).session is None

    @rule(begin=st.booleans())
    def drain(self, *, begin: bool) -> None:
        self._world().drain(begin=begin)

    def balance(self) -> None:
        """Nobody can know the truth here."""


EXAMPLES = int(os.environ.get("CHARGERD_EXAMPLES", "100"))
"""How many stories of each kind are told; a hunt tells some thousands."""
COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
TestCalm = Calm.TestCase
TestCalm.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, **COMMON)  # type: ignore[arg-type]  # by name
TestWild = Wild.TestCase
TestWild.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, **COMMON)  # type: ignore[arg-type]  # by name
