"""The physical side of a world: contacts with their boards' timers, loads, meters, and the lines they hang on."""

import abc
import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from chargerd.config.budget.pacing import FAST_WITHIN, HURRY
from chargerd.core.commands import (
    CloseRelay,
    Command,
    OpenRelay,
    Pace,
    ReadRelay,
    RenewLease,
)
from chargerd.core.events import (
    BoardBack,
    BoardLost,
    CircuitReading,
    Event,
    InputsNotRead,
    InputsRead,
    MeterFault,
    MeterReading,
    RelayAction,
    RelayNotReadBack,
    RelayNotWritten,
    RelayReadBack,
    RelayWritten,
)
from chargerd.core.faults import FaultKind
from chargerd.core.plan import (
    ChargeEnd,
    DeadMan,
    LeaseScope,
    Limits,
    MeterPlan,
    Phase,
    PortPlan,
    Protection,
    RelayPlan,
    StationPlan,
    contactor_of,
)
from chargerd.core.units import (
    Amps,
    BoardId,
    CircuitId,
    Instant,
    PortId,
    Seconds,
    Volts,
    WattHours,
    Watts,
)
from tests.core.adapters import Adapters
from tests.core.logbook import Line, LogBook

BOOT = 1000.0
"""The boot clock when a world begins; an odd figure would hide nothing, 0 might."""
TRANSACTION = 0.03
"""Seconds one transaction takes on the bus."""
TIMEOUT = 0.2
"""Seconds the bus waits for an answer that does not come."""
COILS_EVERY = 2.0
IDLE_POLL = 5.0
GLITCH = 0.3
"""Seconds for which a board that cannot renew opens instead."""
PHASES = (Phase.L1, Phase.L2, Phase.L3)


def port_plan(name: str = "A01", channel: int = 1, **changes: object) -> PortPlan:
    """A port with the default plan; `lease=None` makes its board one without timed closing."""
    relay = RelayPlan(board=BoardId("relay-a"), channel=channel)
    if "lease" in changes and changes.pop("lease") is None:
        relay = replace(relay, lease=None, dead_man=DeadMan.NONE)
    plan = PortPlan(
        id=PortId(name),
        label=name,
        relay=relay,
        meter=MeterPlan(board=BoardId(f"meter-{name}")),
        circuit=CircuitId("shed"),
        limits=Limits(),
        protection=Protection(),
        charge_end=ChargeEnd(),
    )
    return replace(plan, **changes)  # type: ignore[arg-type]  # the caller names members of PortPlan


@dataclass(slots=True)
class Contact:
    """The physical contact of a relay, with its board's own timer. `welded` and `jammed` are its faults."""

    closed: bool = False
    lapses_at: float | None = None
    welded: bool = False
    jammed: bool = False
    """It does not close, whatever the coil does."""
    coil: bool = False
    hidden: bool = False
    """Its board reads back the coil, not the contact."""
    edges: list[tuple[float, bool, str]] = field(default_factory=list)
    """When it moved, to where, and what moved it."""


@dataclass(slots=True)
class Load:
    """What is plugged in, and what really flowed: the model's own books of current, power and energy."""

    amps: float = 2.0
    watts: float = 300.0
    trace: list[tuple[float, float, float]] = field(default_factory=lambda: [(0.0, 0.0, 0.0)])
    energy: float = 5000.0
    """Watt-hours the meter has counted in its life."""

    def take_in(self, now: float, *, closed: bool) -> None:
        """Write down what flows from now on."""
        then, _, watts = self.trace[-1]
        self.energy += watts * (now - then) / 3600.0
        amps, watts = (self.amps, self.watts) if closed else (0.0, 0.0)
        self.trace.append((now, amps, watts))

    def at(self, when: float) -> tuple[float, float]:
        """Return amperes and watts at an instant."""
        for then, amps, watts in reversed(self.trace):
            if then <= when:
                return amps, watts
        return 0.0, 0.0

    def energy_at(self, now: float) -> float:
        """Return the watt-hours counted by now."""
        then, _, watts = self.trace[-1]
        return self.energy + watts * (now - then) / 3600.0


@dataclass(slots=True)
class Meter:
    """How a port's meter behaves."""

    silent: bool = False
    by_hand: bool = False
    """Nobody polls it; the scenario hands in its readings."""
    together: bool = False
    """Current, power and energy come in one transaction."""
    script: list[tuple[float, float]] = field(default_factory=list)
    """Readings it gives next, in amperes and watts, whatever is true."""
    pace: Pace = Pace.IDLE
    polls: int = 0
    power_at: float = -1e9
    frozen: tuple[float, float] | None = None
    """It shows these amperes and watts, whatever flows."""
    reversed: bool = False
    """Its transformer was put on the wrong way round: power flows back."""
    register: Callable[[float], float] | None = None
    """What its register shows for the watt-hours it should."""
    lost_energy: bool = False
    """It does not give its register."""
    times: float = 1.0
    """What it shows of power and current, as a multiple of what flows."""
    amps_times: float = 1.0
    """The same of the current alone."""
    volts: float | None = None
    """The voltage it shows beside them."""


@dataclass(slots=True)
class Board:
    """How the relay board behaves."""

    silent: bool = False
    deaf: bool = False
    """Writes do not reach it; reads do."""
    mute: bool = False
    """Writes are carried out, but not echoed."""
    blind: bool = False
    """Reads are not answered."""
    refuses: bool = False
    """Reads are answered by an exception: it is there, and tells nothing."""
    misses: int = 0
    lost: bool = False
    everlasting: bool = False
    """Its timers do not run out: what is closed stays so until it is told to open."""
    off_waits: bool = False
    """A plain off does not cancel a timer that runs."""
    glitches: bool = False
    """Renewing a lease opens the contact for a moment."""


@dataclass(slots=True)
class Job:
    port: PortId
    kind: str
    command: Command | None = None


KINDS: Mapping[type, str] = {OpenRelay: "open", CloseRelay: "close", RenewLease: "renew", ReadRelay: "readback"}
URGENCY = {"open": 0, "readback": 1, "close": 2}
IN_TURN = 3
"""Everything else goes by its deadline; a renewal does until it is in a hurry."""


class Bus:
    """One line: one transaction at a time, in the order of the real queue.

    Openings, read-backs, closings and renewals in a hurry go first, everything else by when it is due. What stands
    in its way is told nobody: a closing that waits is no closing yet.
    """

    def __init__(self, world: "Plant") -> None:
        self._world = world
        self._queue: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._busy = False
        self.held = False
        """Nothing goes out: another device keeps the line."""

    def release(self) -> None:
        """Let it go on."""
        self.held = False
        self._begin()

    def put(self, job: Job) -> None:
        """Queue a job. An opening makes its port's queued closings and renewals forgotten."""
        if job.kind == "open":
            self._forget([job.port], "close")
        self._queue.append((self._due(job), next(self._numbers), job))
        self._world.later(0.0, self._begin)

    def lose(self, ports: Iterable[PortId]) -> None:
        """The line of these ports is gone: what was to be closed or renewed on it has come to nothing."""
        self._forget(ports, "close", "renew")

    def renewed(self, ports: Iterable[PortId]) -> None:
        """Forget the renewals of these ports: one for all of them has gone out."""
        ports = set(ports)
        self._queue = [entry for entry in self._queue if entry[2].kind != "renew" or entry[2].port not in ports]

    def _forget(self, ports: Iterable[PortId], *told: str) -> None:
        """Forget closings and renewals; of some it is told that nothing comes of them."""
        ports = set(ports)
        forgotten = [e for e in self._queue if e[2].port in ports and e[2].kind in {"close", "renew"}]
        self._queue = [entry for entry in self._queue if entry not in forgotten]
        for _, _, old in forgotten:
            if old.kind in told:
                self._world.later(0.0, self._world.tell, _not_written(old, self._world.now, sent=False))

    def clear(self) -> None:
        """Forget everything that waits."""
        self._queue.clear()

    def _begin(self) -> None:
        if self._busy or self.held or not self._queue:
            return
        entry = min(self._queue, key=self._rank)
        self._queue.remove(entry)
        self._busy = True
        took = self._world.transact(entry[2])
        self._world.later(took, self._done)

    def _due(self, job: Job) -> float:
        """Return by when a job that has just been put into the queue is to be done."""
        if isinstance(job.command, RenewLease):
            return job.command.not_after - HURRY - FAST_WITHIN
        if isinstance(job.command, CloseRelay):
            return job.command.not_after
        return self._world.now + (0.0 if job.kind == "energy" else FAST_WITHIN)

    def _rank(self, entry: tuple[float, int, Job]) -> tuple[int, float, int]:
        due, number, job = entry
        if isinstance(job.command, RenewLease) and job.command.not_after < self._world.now + HURRY:
            return URGENCY["close"], job.command.not_after, number
        urgency = URGENCY.get(job.kind, IN_TURN)
        return urgency, due if urgency >= URGENCY["close"] else 0.0, number

    def _done(self) -> None:
        self._busy = False
        self._begin()


def _not_written(job: Job, at: float, *, sent: bool, late: bool = False) -> RelayNotWritten:
    return RelayNotWritten(
        port=job.port,
        action=RelayAction(job.kind),
        kind=FaultKind.TIMEOUT,
        at=Instant(at),
        sent=sent,
        late=late,
    )


class Plant(LogBook):
    """Boards, meters and loads in virtual time; whoever drives it hears of them through `tell`."""

    def __init__(self, plan: StationPlan, *, poll: float, coils: float, separate: bool) -> None:
        super().__init__()
        self.plan = plan
        self.now = BOOT
        self.poll = poll
        self.coils = coils
        self.life = 0
        """How many daemons there have been."""
        self.contacts = {port.id: Contact() for port in plan.ports}
        self.loads = {port.id: Load() for port in plan.ports}
        self.meters = {port.id: Meter() for port in plan.ports}
        self.wired = {port.id: port.id for port in plan.ports}
        """Whose load each port's meter measures."""
        self.feeds = {port.id: port.id for port in plan.ports}
        """Whose relay feeds each socket."""
        self.phases = {port.id: port.phase for port in plan.ports}
        """On which phase each socket really hangs."""
        self.boards = {port.relay.board: Board() for port in plan.ports}
        self.board = self.boards[plan.ports[0].relay.board]
        """That of the first port's relay."""
        self.io = Board()
        """The board of contactors and inputs."""
        self.danger: set[str] = set()
        """Inputs that report danger."""
        self.background: dict[str, tuple[float, float]] = {}
        """Amperes and watts that flow in a circuit beside its ports."""
        self.feeders_silent = False
        self.feeder_volts: tuple[Volts | None, ...] = ()
        """What the meters of circuits show."""
        self.parents = {circuit.id: circuit.parent for circuit in plan.circuits}
        self.switched = {
            contactor_of(circuit.id): circuit.id for circuit in plan.circuits if circuit.contactor is not None
        }
        self.contacts |= {contactor: Contact() for contactor in self.switched}
        self.watchers: list[Callable[[float, object], None]] = []
        self.heap: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self.numbers = itertools.count()
        self.plans = {port.id: port for port in plan.ports}
        self.relay_bus = Bus(self)
        self.meter_bus = Bus(self) if separate else self.relay_bus
        self.adapters = Adapters(self)

    @abc.abstractmethod
    def tell(self, event: Event) -> None:
        """Hear of an event."""

    def watch(self, what: object) -> None:
        """Show something to all who watch."""
        for watcher in self.watchers:
            watcher(self.now, what)

    def write(self, port: str, text: str) -> None:
        """Write a line into the log book."""
        self.book.append(Line(self.now - BOOT, port, text))

    def later(self, seconds: float, action: Callable[..., None], *arguments: object) -> None:
        """Let something happen later in this world."""
        heapq.heappush(self.heap, (self.now + seconds, next(self.numbers), action, arguments))

    # The physical side

    def transact(self, job: Job) -> float:
        """Do one transaction and return how long it takes; what the station learns of it comes at its end."""
        match job.kind:
            case "open" | "close" | "renew":
                return self._write_relay(job)
            case "readback" | "coils":
                return self._read_relays(job)
            case _:
                return self._read_meter(job)

    def _write_relay(self, job: Job) -> float:
        command = job.command
        began = self.now
        if isinstance(command, CloseRelay | RenewLease) and began > command.not_after:
            self.later(0.0, self.tell, _not_written(job, began, sent=False, late=True))
            return 0.0
        if self._is_away(job.port):
            # Its bus keeps openings until the line is back, and tells at once that nothing else comes of it.
            self.later(0.0, self.tell, _not_written(job, began, sent=False))
            return TRANSACTION
        board, silent = self._board_of(job.port), self._is_silent(job.port)
        if not (silent or board.deaf):
            lease = command.lease if isinstance(command, CloseRelay | RenewLease) else None
            self.later(TRANSACTION / 3, self._move, self.adapters.relay_at(job.port), job.kind, lease)
        confirmed = not (silent or board.deaf or board.mute)
        took = TRANSACTION if confirmed else TIMEOUT
        self._answered(board, confirmed, took)
        if confirmed and job.kind != "open":
            self._renew_together(job.port, began, took)
        if confirmed:
            self.later(
                took,
                self.tell,
                RelayWritten(
                    port=job.port, action=RelayAction(job.kind), sent_at=Instant(began), at=Instant(began + took)
                ),
            )
        else:
            self.later(took, self.tell, _not_written(job, began + took, sent=True))
        return took

    def _renew_together(self, port: PortId, began: float, took: float) -> None:
        """Tell a board's relays that a heartbeat has renewed them, and forget what waits to, as the bus does."""
        mates = self._kept_together(port)
        self.relay_bus.renewed(mates)
        for each in mates:
            if each != port:
                sent_at, at = Instant(began), Instant(began + took)
                renewed = RelayWritten(port=each, action=RelayAction.RENEW, sent_at=sent_at, at=at)
                self.later(took, self.tell, renewed)

    def _move(self, port: PortId, kind: str, lease: Seconds | None) -> None:
        if lease is not None and self._kept_together(port):
            self._feed(port, kind, lease)
            return
        contact, board = self.contacts[port], self._board_of(port)
        if kind == "open" and board.off_waits and contact.lapses_at is not None:
            return
        if kind == "renew" and board.glitches:
            self.set_contact(port, closed=False, by="glitch")
            self.later(GLITCH, self.set_contact_of_coil, port)
        contact.coil = kind != "open"
        contact.lapses_at = None if kind == "open" or lease is None else self.now + lease
        if board.everlasting:
            contact.lapses_at = None
        if contact.lapses_at is not None:
            self.later(lease or 0.0, self._lapse, port, contact.lapses_at)
        if kind != "renew" or not board.glitches:
            self.set_contact(port, closed=contact.coil, by=kind)

    def set_contact_of_coil(self, port: PortId) -> None:
        """Let a contact be where its coil has it."""
        self.set_contact(port, closed=self.contacts[port].coil, by="coil")

    def _kept_together(self, port: PortId) -> tuple[PortId, ...]:
        """Return the ports whose relays this one's heartbeat keeps closed, itself among them; none without one."""
        if port in self.switched or self.plans[port].relay.scope is LeaseScope.RELAY:
            return ()
        board = self.plans[port].relay.board
        return tuple(each.id for each in self.plans.values() if each.relay.board == board)

    def _feed(self, port: PortId, kind: str, lease: Seconds) -> None:
        """Write a heartbeat, which closes nothing, and close after it if that is meant."""
        self.contacts[port].coil |= kind == "close"
        for each in self._kept_together(port):
            contact = self.contacts[each]
            if contact.coil:
                contact.lapses_at = self.now + lease
                self.later(lease, self._lapse, each, contact.lapses_at)
        self.set_contact(port, closed=self.contacts[port].coil, by=kind)

    def _lapse(self, port: PortId, due: float) -> None:
        contact = self.contacts[port]
        if contact.lapses_at == due:
            contact.lapses_at, contact.coil = None, False
            self.set_contact(port, closed=False, by="lapse")

    def set_contact(self, port: PortId, *, closed: bool, by: str) -> None:
        """Move a contact, as far as its faults allow it."""
        contact = self.contacts[port]
        now_closed = contact.closed if contact.welded else closed and not contact.jammed
        if now_closed == contact.closed:
            return
        contact.closed = now_closed
        contact.edges.append((self.now, now_closed, by))
        fed = [socket for socket, relay in self.feeds.items() if relay == port]
        for each in self.loads if port in self.switched else fed:
            self.loads[each].take_in(self.now, closed=self.energised(each))
        self.write(port, f"contact {'closed' if now_closed else 'open'}")
        self.watch((port, now_closed, by))

    def energised(self, port: PortId) -> bool:
        """Say whether the contact that feeds a socket and every contactor above it are closed."""
        return self.contacts[self.feeds[port]].closed and all(
            self.contacts[contactor].closed
            for contactor, circuit in self.switched.items()
            if circuit in self._above(port)
        )

    def _above(self, port: PortId) -> list[CircuitId]:
        found = [self.plans[port].circuit]
        while (parent := self.parents.get(found[-1])) is not None:
            found.append(parent)
        return found

    def _board_of(self, port: PortId) -> Board:
        return self.io if port in self.switched else self.boards[self.plans[port].relay.board]

    def _is_silent(self, port: PortId) -> bool:
        return self._is_away(port) or self._board_of(port).silent

    def _is_away(self, port: PortId) -> bool:
        return port in self.plans and self.plans[port].relay.board in self.adapters.away

    def read_inputs(self, life: int) -> None:
        """Read all contacts of the input board, each 500 ms."""
        if life != self.life or not self.plan.inputs:
            return
        channels = range(1, 1 + max(plan.channel for plan in self.plan.inputs))
        told = {plan.channel: (plan.active == "closed") is (plan.id in self.danger) for plan in self.plan.inputs}
        board, at = self.plan.inputs[0].board, Instant(self.now)
        if self.io.silent:
            self.tell(InputsNotRead(board=board, at=at, kind=FaultKind.TIMEOUT))
        else:
            closed = tuple(told.get(channel, False) for channel in channels)
            self.tell(InputsRead(board=board, at=at, closed=closed))
        self.later(0.5, self.read_inputs, life)

    def read_feeders(self, life: int) -> None:
        """Read the meters of all circuits, each second."""
        if life != self.life:
            return
        for circuit in self.plan.circuits:
            if circuit.meter is None or self.feeders_silent:
                continue
            amps, watts = self.background.get(circuit.id, (0.0, 0.0))
            below = [port for port in self.loads if circuit.id in self._above(port)]
            now = {port: self.loads[port].at(self.now) for port in below}
            watts += sum(draws for _, draws in now.values())
            each = [
                {phase, Phase.ALL} if circuit.meter.phases > 1 else set(Phase)
                for phase in PHASES[: circuit.meter.phases]
            ]
            currents = tuple(
                Amps(amps + sum(flows for port, (flows, _) in now.items() if self.phases[port] in mine))
                for mine in each
            )
            self.tell(
                CircuitReading(
                    circuit=circuit.id,
                    at=Instant(self.now),
                    currents=currents,
                    power=Watts(watts),
                    voltages=self.feeder_volts,
                )
            )
        self.later(1.0, self.read_feeders, life)

    def _read_relays(self, job: Job) -> float:
        began = self.now
        board = self._board_of(job.port)
        answered = not (self._is_silent(job.port) or board.blind)
        took = TRANSACTION if answered else TIMEOUT
        self._answered(board, answered, took)
        kind = FaultKind.EXCEPTION if answered else FaultKind.TIMEOUT
        ports = [each for each in self.contacts if self._board_of(each) is board]
        if not answered or board.refuses:
            for port in ports:
                fault = RelayNotReadBack(port=port, kind=kind, at=Instant(began + took))
                self.later(took, self.tell, fault)
            return took
        if job.kind != "coils":
            ports = [job.port]
        self.later(TRANSACTION / 3, self._look, ports, began, began + took)
        return took

    def _look(self, ports: list[PortId], began: float, ends: float) -> None:
        for port in ports:
            contact = self.contacts[self.adapters.relay_at(port)]
            self.later(
                ends - self.now,
                self.tell,
                RelayReadBack(
                    port=port,
                    closed=contact.coil if contact.hidden else contact.closed,
                    sent_at=Instant(began),
                    at=Instant(ends),
                ),
            )

    def _answered(self, board: Board, answered: bool, took: float) -> None:
        board.misses = 0 if answered else board.misses + 1
        name = next((name for name, one in self.boards.items() if one is board), BoardId("io-a"))
        if answered and board.lost:
            board.lost = False
            self.adapters.unheard.discard(name)
            self.later(took, self.tell, BoardBack(board=name, at=Instant(self.now + took)))
        elif not answered and board.misses == 3:
            board.lost = True
            self.later(took, self.tell, BoardLost(board=name, at=Instant(self.now + took), kind=FaultKind.TIMEOUT))

    def read_coils(self, life: int) -> None:
        if life == self.life:
            firsts = {port.relay.board: port.id for port in reversed(self.plan.ports)}
            for port in firsts.values():
                self.relay_bus.put(Job(port, "coils"))
            if self.switched:
                self.relay_bus.put(Job(next(iter(self.switched)), "coils"))
            self.later(self.coils, self.read_coils, life)

    def _read_meter(self, job: Job) -> float:
        meter = self.meters[job.port]
        board = self.plans[job.port].meter.board
        away = meter.silent or board in self.adapters.away
        silent = away or (job.kind == "energy" and meter.lost_energy)
        took = TIMEOUT if silent else TRANSACTION
        if board in self.adapters.unheard and not away:
            self.adapters.unheard.discard(board)
            self.later(took, self.tell, BoardBack(board=board, at=Instant(self.now + took)))
        if silent:
            fault = MeterFault(port=job.port, at=Instant(self.now + took), kind=FaultKind.TIMEOUT)
            self.later(took, self.tell, fault)
        else:
            self.later(took, self._give_reading, job)
        return took

    def _give_reading(self, job: Job) -> None:
        meter, load = self.meters[job.port], self.loads[self.wired[self.adapters.meter_at(job.port)]]
        plan = self.plans[job.port].meter
        when = self.now if plan.refresh <= 0 else self.now - self.now % plan.refresh
        amps, watts = load.at(when)
        register = None
        if job.kind == "energy" or meter.together:
            step = plan.energy_resolution
            counted = load.energy_at(self.now)
            counted = counted if meter.register is None else meter.register(counted)
            register = WattHours(counted // step * step)
        if job.kind == "energy" and not meter.together:
            self.tell(MeterReading(port=job.port, at=Instant(self.now), energy=register))
            return
        if meter.frozen is not None:
            amps, watts = meter.frozen
        if meter.script:
            amps, watts = meter.script.pop(0)
        amps, watts = amps * meter.times * meter.amps_times, watts * meter.times
        if meter.reversed:
            watts = -watts
        power = None
        if meter.together or meter.pace is not Pace.CLOSED or self.now - meter.power_at >= plan.power_every - 0.1:
            power, meter.power_at = Watts(watts), self.now
        self.tell(
            MeterReading(
                port=job.port,
                at=Instant(self.now),
                current=Amps(amps),
                power=power,
                voltage=None if meter.volts is None else Volts(meter.volts),
                energy=None if meter.lost_energy else register,
            )
        )

    def set_pace(self, port: PortId, pace: Pace) -> None:
        meter = self.meters[port]
        meter.pace = pace
        meter.polls += 1
        self.later(0.0, self._poll, port, meter.polls)

    def _poll(self, port: PortId, number: int) -> None:
        meter = self.meters[port]
        if number == meter.polls:
            if not meter.by_hand:
                self.meter_bus.put(Job(port, "meter"))
            self.later(IDLE_POLL if meter.pace is Pace.IDLE else self.poll, self._poll, port, number)

    # What was true

    def contact_time(self, port: str = "A01") -> float:
        """Return for how long the contact was really closed."""
        return self.contact_time_between(port, 0.0, self.now)

    def contact_time_between(self, port: str, since: float, until: float) -> float:
        """Return for how long the contact was really closed within a span of the boot clock."""
        edges = [*self.contacts[PortId(port)].edges, (self.now, False, "now")]
        total, closed_at = 0.0, None
        for at, closed, _ in edges:
            if closed:
                closed_at = at
            elif closed_at is not None:
                total += max(0.0, min(at, until) - max(closed_at, since))
                closed_at = None
        return total

    def energy_between(self, port: str, since: float, until: float) -> float:
        """Return the watt-hours that really flowed within a span of the boot clock."""
        trace = [*self.loads[PortId(port)].trace, (self.now, 0.0, 0.0)]
        return sum(
            watts * max(0.0, min(end, until) - max(at, since)) / 3600.0
            for (at, _, watts), (end, _, _) in itertools.pairwise(trace)
        )
