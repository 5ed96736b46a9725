"""Drives a wiring proof in a modelled world, and plays the person who carries the load about."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chargerd.core.proof import Evidence, Kind, Proof, Verdicts
from chargerd.core.proof_course import Answer, Ask, Course, Question
from chargerd.core.proof_watch import Sight
from chargerd.core.units import PortId, SessionId, Watts
from tests.core.world import World

TURN = 0.5
"""Seconds between two looks: twice the daemon's own, which costs half as much here."""
LOAD = 100.0
AMPS = 0.45
LONG = 3600.0


@dataclass(slots=True)
class Prover:
    """One run of a proof; `answer` is what the person says, `None` as long as nothing."""

    world: World
    ports: tuple[PortId, ...]
    moving: bool = True
    load: float | None = LOAD
    evidence: Evidence = field(default_factory=Evidence)
    flickers: bool = False
    asks: bool = True
    volts: float | None = 230.0
    passes: PortId | None = None
    """At this port nobody plugs anything."""
    meddle: Callable[["Prover"], None] | None = None
    """Called each turn: whatever happens to a proof."""
    told: int = 0
    course: Course = field(init=False)

    def __post_init__(self) -> None:
        for port, meter in self.world.meters.items():
            meter.volts = self.volts if meter.volts is None else meter.volts
            self.world.draw(0.0, 0.0, port=port)
        self.told = len(self.world.facts)
        numbers = iter(range(1, 10_000))
        self.course = Course(
            self.world.plan,
            proof="proof-1",
            ports=self.ports,
            new_session=lambda: SessionId(f"proof-{self.world.now:.0f}-{next(numbers)}"),
            load=None if self.load is None else Watts(self.load),
            moving=self.moving,
            asks=self.asks,
            evidence=self.evidence,
        )

    def turn(self) -> None:
        """Look once, and do what comes of it."""
        world = self.world
        facts = tuple(fact for _, fact in world.facts[self.told :])
        self.told = len(world.facts)
        now = world.moment()
        views = {view.id: view for view in world.station.views(now)}
        for event in self.course.turn(
            Sight(now=now, views=views, circuits=world.station.circuit_views(now), facts=facts)
        ):
            world.tell(event)
        question = self.course.question
        if question is not None:
            self.course.answer(self.reply(question))

    def reply(self, question: Question) -> Answer:
        """Do what is asked, and say so."""
        if question.ask is Ask.STEADY:
            return Answer.NO if self.flickers else Answer.YES
        if question.port == self.passes and question.ask is Ask.PLUG:
            return Answer.SKIP
        for port in self.ports:
            here = question.ask is Ask.PLUG_ALL or port == question.port
            self.world.draw(AMPS if here else 0.0, LOAD if here else 0.0, port=port)
        return Answer.READY

    def run(self, within: float = LONG) -> Proof:
        """Go on to the end, and return what follows from it."""
        end = self.world.now + within
        while not self.course.done:
            assert self.world.now < end, self.world.print()
            if self.meddle is not None:
                self.meddle(self)
            self.turn()
            self.world.run(TURN)
            closed = [port for port in self.ports if self.world.contacts[port].coil]
            assert len(closed) <= 1, f"{closed} at once"
        return self.concluded()

    def concluded(self) -> Proof:
        """Return what follows from all that was seen."""
        load = None if self.load is None else Watts(self.load)
        return Verdicts(self.world.plan, self.course.evidence, load).conclude(self.ports)


def prove(world: World, ports: Iterable[PortId] = (), **how: object) -> tuple[Proof, Prover]:
    """Prove these ports, or all, from begin to end."""
    chosen = tuple(ports) or tuple(world.plans)
    for port in chosen:
        world.draw(0.0, 0.0, port=port)
        world.ready(port)
    prover = Prover(world, chosen, **how)  # type: ignore[arg-type]  # fields by name
    return prover.run(), prover


def kinds(proof: Proof, port: str | None = None) -> list[Kind]:
    """Return what was found, at one port or at all."""
    return [one.kind for one in proof.findings if port is None or one.port == port]
