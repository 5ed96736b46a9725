"""Two circuits among random faults: whatever happens, what they carry, hold open and let return is right.

The books below know what is true of contacts and loads; the station's own invariants are on as ever.
"""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chargerd.core.commands import CloseRelay
from chargerd.core.facts import CircuitTripped, InputTripped, LatchesCleared
from chargerd.core.plan import CircuitPlan, InputPlan, StationPlan, holder_of
from chargerd.core.session import Source
from chargerd.core.units import Amps, PortId, Seconds, Volts
from tests.core.plant import port_plan
from tests.core.sheds import MAIN, SHED, SMOKE, STOP, SWITCH, feeder
from tests.core.test_machine import EXAMPLES, SPANS
from tests.core.world import World

pytestmark = pytest.mark.long

CHARGES = st.sampled_from((3.0, 8.0, 120.0))
NAMES = ("A01", "A02", "A03", "A04")
PORTS = st.sampled_from(NAMES)
RATING = Amps(12.0)
LOADS = st.sampled_from(((0.0, 0.0), (1.0, 150.0), (3.0, 450.0), (4.9, 700.0), (5.3, 800.0)))
SHED_WITHIN = 20.0
"""Two seconds, then one relay after the other; a lease where its board does not hear."""
OPENED_WITHIN = 8.0
"""Of a trip: a lease, where the relay's board does not hear."""


class Supply(RuleBasedStateMachine):
    """Four ports below a circuit of 12 A with a detector and a contactor, below a main with an emergency stop."""

    @initialize(patience=st.sampled_from((0.0, 60.0)), metered=st.booleans())
    def begin(self, patience: float, *, metered: bool) -> None:
        shed = CircuitPlan(
            id=SHED, parent=MAIN, rating=RATING, contactor=SWITCH, meter=feeder() if metered else None
        )
        self.world = World(
            site=StationPlan(
                ports=tuple(replace(port_plan(name, number)) for number, name in enumerate(NAMES, 1)),
                circuits=(CircuitPlan(id=MAIN), shed),
                inputs=(SMOKE, STOP),
                queue_for=Seconds(patience),
            ),
            begin=False,
        )
        self.metered = metered
        self.tripped: dict[str, float] = {}
        self.closings: list[float] = []
        self.over_from: float | None = None
        self.world.watchers.append(self.see)
        self.world.begin()
        self.world.run(12)

    # The books

    def see(self, now: float, what: object) -> None:
        match what:
            case CloseRelay() if what.port in self.world.plans:
                assert not self.tripped, f"closed while {self.tripped} hold the circuit"
                assert not self.closings or now - self.closings[-1] >= 0.999, "two closings within a second"
                self.closings.append(now)
            case InputTripped() | CircuitTripped() if what.latch is not None:
                self.tripped.setdefault(f"{what.latch.port} {what.function}", now)
            case LatchesCleared():
                for function in what.functions:
                    self.tripped.pop(f"{what.port} {function}", None)
            case _:
                pass

    @invariant()
    def what_has_tripped_is_open(self) -> None:
        if not self.tripped or self.world.now - min(self.tripped.values()) <= OPENED_WITHIN:
            return
        fed = [port for port in NAMES if self.world.energised(PortId(port))]
        assert not fed, f"{self.tripped}, and {fed} are fed:\n{self.world.print()}"

    @invariant()
    def no_load_above_the_rating_lasts(self) -> None:
        flows = [load.amps for port, load in self.world.loads.items() if self.world.energised(port)]
        beside, _ = self.world.background.get(SHED, (0.0, 0.0))
        load = sum(flows) + (beside if self.metered and not self.world.feeders_silent else 0.0)
        if load < RATING or not flows:
            self.over_from = None
            return
        self.over_from = self.world.now if self.over_from is None else self.over_from
        lasted = self.world.now - self.over_from
        assert lasted <= SHED_WITHIN, f"{load} A for {lasted} s:\n{self.world.print()}"

    # What happens

    @rule(span=SPANS)
    def wait(self, span: float) -> None:
        end = self.world.now + span
        while self.world.now < end:
            self.world.run(min(1.0, end - self.world.now))
            self.no_load_above_the_rating_lasts()
            self.what_has_tripped_is_open()

    @rule(ports=st.lists(PORTS, min_size=1, max_size=4, unique=True), load=LOADS, span=CHARGES)
    def charge(self, ports: list[str], load: tuple[float, float], span: float) -> None:
        for port in ports:
            self.world.draw(*load, port=port)
            self.world.start(port)
        self.wait(span)

    @rule(port=PORTS)
    def stop(self, port: str) -> None:
        self.world.stop(port, force=True)
        self.wait(1.0)

    @rule(port=PORTS, load=LOADS)
    def draw(self, port: str, load: tuple[float, float]) -> None:
        self.world.draw(*load, port=port)
        self.wait(4.0)

    @rule(load=LOADS)
    def surge(self, load: tuple[float, float]) -> None:
        for port in NAMES:
            self.world.draw(*load, port=port)
        self.wait(25.0)

    @rule(what=st.sampled_from((SMOKE, STOP)), span=SPANS, seen_to=st.booleans())
    def detect(self, what: InputPlan, span: float, *, seen_to: bool) -> None:
        self.world.danger.add(what.id)
        self.wait(span)
        self.world.danger.discard(what.id)
        self.wait(1.2)
        if seen_to:
            self.look_after()

    @rule()
    def look_after(self) -> None:
        for circuit in (SHED, MAIN):
            self.world.reset(holder_of(circuit), source=Source.LOCAL, reason="looked")
        for port in NAMES:
            self.world.reset(port, source=Source.LOCAL, reason="looked")

    @rule(span=SPANS)
    def lose_the_input_board(self, span: float) -> None:
        self.world.io.silent = True
        self.wait(span)
        self.world.io.silent = False

    @rule(span=SPANS)
    def lose_the_feeder(self, span: float) -> None:
        self.world.feeders_silent = True
        self.wait(span)
        self.world.feeders_silent = False

    @rule(amps=st.sampled_from((4.0, 9.0)), span=SPANS)
    def draw_beside(self, amps: float, span: float) -> None:
        self.world.background[SHED] = (amps, amps * 200)
        self.wait(span)
        self.world.background.clear()

    @rule(volts=st.sampled_from((0.0, 150.0, 280.0)), span=SPANS)
    def supply(self, volts: float, span: float) -> None:
        self.world.feeder_volts = (Volts(volts),)
        self.wait(span)
        self.world.feeder_volts = (Volts(230.0),)

    @rule(ports=st.lists(PORTS, min_size=1, max_size=4, unique=True), span=SPANS)
    def lose_meters(self, ports: list[str], span: float) -> None:
        for port in ports:
            self.world.meters[PortId(port)].silent = True
        self.wait(span)
        for port in ports:
            self.world.meters[PortId(port)].silent = False

    @rule()
    def crash(self) -> None:
        self.world.restart(after=2.0)
        self.wait(3.0)


TestSupply = Supply.TestCase
TestSupply.settings = settings(
    max_examples=EXAMPLES // 3,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
