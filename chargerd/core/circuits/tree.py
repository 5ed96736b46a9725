"""The supply tree: who hangs on what, what may still be promised, who waits for it, and when relays may close."""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from chargerd.core.boards.relay import RelayPhase
from chargerd.core.circuits.circuit import PLACES, RELIEVED, Circuit, on
from chargerd.core.circuits.share import NO_SHARE, Share
from chargerd.core.plan import OVERLOAD, Limits, Phase, StationPlan, holder_of
from chargerd.core.session import Latch
from chargerd.core.units import LONG_AGO, CircuitId, Instant, PortId, Seconds, after

BETWEEN_CLOSINGS = Seconds(1.0)
"""At most one relay per second per circuit: inrush currents must not add up."""
BETWEEN_RETURNS = Seconds(0.25)
"""The same for what flowed until the daemon ended, within one boot. The inrush of a charger's capacitors is over
within a period or two of the mains, 40 ms; the second is for what nobody has seen yet, and twelve of them would be
twelve."""
RETURN_OVER = Seconds(30.0)
"""After the mains have returned, loads come back in random order over this time."""
MINUS = -1.0
ASTRAY = frozenset({RelayPhase.UNKNOWN, RelayPhase.OPENING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a port hangs: its phase, and the circuits above it, the nearest first."""

    phase: Phase
    above: tuple[Circuit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A start that waits until its circuits can take it."""

    port: PortId
    limits: Limits


class Circuits:
    """All circuits of a site. A port whose circuit is not described has none above it, and no rule of theirs."""

    def __init__(self, plan: StationPlan | None = None, latches: Iterable[Latch] = (), seed: int = 0) -> None:
        plan = plan or StationPlan(ports=())
        held = tuple(latches)
        plans = {circuit.id: circuit for circuit in plan.circuits}
        self._seed = seed
        self._by_id: dict[CircuitId, Circuit] = {}
        self._shares: dict[PortId, Share] = {}
        self._chains: dict[CircuitId, tuple[Circuit, ...]] = {}
        for circuit in plan.circuits:
            phase, at = circuit.phase, circuit
            while phase is Phase.ALL and at.parent is not None:
                at = plans[at.parent]
                phase = at.phase
            mine = [latch for latch in held if latch.port == holder_of(circuit.id)]
            self._by_id[circuit.id] = Circuit(plan=circuit, phase=phase, latches=mine, shares=self._shares)
        for name in self._by_id:
            self._chains[name] = self._hang(name)
        self._places = {port.id: self._place(port.circuit, port.phase) for port in plan.ports}
        for port in plan.ports:
            if port.circuit in self._by_id:
                self._by_id[port.circuit].own.append((port.id, PLACES[self._places[port.id].phase]))
        self._queue: list[Waiting] = []

    def _hang(self, circuit: CircuitId) -> tuple[Circuit, ...]:
        """Hang a circuit on the one above; return it with all that are above it, the nearest first."""
        chain = [self._by_id[circuit]]
        while (parent := chain[-1].plan.parent) is not None:
            chain.append(self._by_id[parent])
        for above in chain[1:2]:
            above.children.append(chain[0])
        return tuple(chain)

    def _place(self, circuit: CircuitId, phase: Phase) -> Place:
        above = self._chains.get(circuit, ())
        return Place(phase=above[0].phase if phase is Phase.ALL and above else phase, above=above)

    # Looking around

    def all(self) -> tuple[Circuit, ...]:
        """Return all circuits."""
        return tuple(self._by_id.values())

    def get(self, circuit: CircuitId) -> Circuit | None:
        """Return a circuit, or nothing if there is none of this name."""
        return self._by_id.get(circuit)

    def place(self, port: PortId) -> Place:
        """Return where a port hangs."""
        return self._places[port] if port in self._places else Place(phase=Phase.ALL, above=())

    def chain(self, circuit: CircuitId) -> tuple[Circuit, ...]:
        """Return a circuit and those above it."""
        return self._chains.get(circuit, ())

    def below(self, circuit: CircuitId) -> tuple[PortId, ...]:
        """Return the ports below a circuit, in the order of the plan."""
        return tuple(
            port for port, place in self._places.items() if any(above.plan.id == circuit for above in place.above)
        )

    def beside(self, port: PortId) -> tuple[PortId, ...]:
        """Return the ports that share a circuit with this one, itself among them."""
        above = self.place(port).above
        return self.below(above[-1].plan.id) if above else ()

    def held_by(self, holder: PortId) -> tuple[PortId, ...] | None:
        """Return the ports below the circuit this means (`holder_of` it); `None` if it means none."""
        return next((self.below(circuit) for circuit in self._by_id if holder_of(circuit) == holder), None)

    def latched(self, port: PortId) -> bool:
        """Say whether a latch on a circuit above keeps this port open."""
        return any(circuit.latches for circuit in self.place(port).above)

    def held(self, port: PortId) -> bool:
        """Say whether a contactor above has to stay open for a relay that is out of control."""
        return any(circuit.held for circuit in self.place(port).above)

    def unguarded(self, port: PortId) -> bool:
        """Say whether nobody reads an input that guards a circuit above, or its contactor's board is away."""
        return any(
            circuit.unguarded or (circuit.contactor is not None and circuit.contactor.relay.board_lost)
            for circuit in self.place(port).above
        )

    def unread(self, port: PortId) -> bool:
        """Say whether inputs or contactors above were not heard of yet, and none is lost."""
        above = self.place(port).above
        lost = any(circuit.unguarded and not circuit.unread for circuit in above)
        contactors = [circuit.contactor for circuit in above if circuit.contactor is not None]
        away = any(contactor.relay.board_lost for contactor in contactors)
        unheard = any(circuit.unread for circuit in above) or not all(it.relay.known for it in contactors)
        return unheard and not lost and not away

    def reachable(self, port: PortId) -> bool:
        """Say whether every contactor above is known to be where it was told to be."""
        return all(
            circuit.contactor is None or circuit.contactor.relay.phase not in ASTRAY
            for circuit in self.place(port).above
        )

    def powered_from(self, port: PortId) -> Instant | None:
        """Return since when every contactor above is closed; `None`: one of them is not."""
        since = LONG_AGO
        for contactor in (circuit.contactor for circuit in self.place(port).above):
            if contactor is None:
                continue
            if not contactor.closed:
                return None
            since = max(since, contactor.relay.last_closing or since)
        return since

    def allow(self, port: PortId) -> bool:
        """Say whether nothing about the circuits above keeps this port open."""
        return not (self.latched(port) or self.held(port) or self.unguarded(port))

    # Loads

    def share(self, port: PortId) -> Share:
        """Return a port's share as it was last told."""
        return self._shares.get(port, NO_SHARE)

    def touch(self, port: PortId, share: Share) -> bool:
        """Take in what a port takes now; say whether that has changed anything."""
        if self._shares.get(port, NO_SHARE) == share:
            return False
        self._shares[port] = share
        for circuit in self.place(port).above:
            circuit.share_changed()
        return True

    def relief(
        self, circuit: Circuit, at: Instant, now: Instant, newest: Callable[[], Sequence[PortId]]
    ) -> tuple[PortId, ...]:
        """Return which of the closed ports below, told newest first, have to be opened now.

        A load at 120 % or a thermal image at 1 opens enough at once; one at 100 % for 2 s opens one, and one more
        with each reading that can show what the last opening has brought, until it is under 95 %.
        """
        at = circuit.seen_at(at, now)
        share = circuit.look(at, now)
        if circuit.relieved_from is not None and at < circuit.relieved_from:
            return ()
        hot = circuit.thermal.theta(now) >= 1.0 and share >= RELIEVED
        if share >= OVERLOAD or hot:
            chosen = self._enough(circuit, now, newest())
        elif circuit.shedding or circuit.lasts(now):
            chosen = self._first(circuit, now, newest())
        else:
            return ()
        circuit.over.reset()  # Else nobody left to open would be asked for again at once.
        if chosen:
            circuit.shedding = True
            circuit.relieved_from = after(now, circuit.settle_time())
        return chosen

    def _first(self, circuit: Circuit, now: Instant, newest: Sequence[PortId]) -> tuple[PortId, ...]:
        load = circuit.load(now)
        return tuple(port for port in newest if circuit.relieved_by(self.place(port).phase, load))[:1]

    def _enough(self, circuit: Circuit, now: Instant, newest: Sequence[PortId]) -> tuple[PortId, ...]:
        left = circuit.load(now)
        chosen: list[PortId] = []
        for port in newest:
            if circuit.share(left) < RELIEVED:
                break
            phase, share = self.place(port).phase, self.share(port)
            if not circuit.relieved_by(phase, left):
                continue
            less = on(phase, MINUS * share.current, MINUS * share.power)
            left = left.plus(less)
            chosen.append(port)
        return tuple(chosen)

    # Admission

    def could_fit(self, port: PortId, limits: Limits) -> bool:
        """Say whether a start would fit if nothing else were there."""
        place = self.place(port)
        extra = on(place.phase, limits.current, limits.power)
        return all(circuit.could_fit(extra) for circuit in place.above)

    def full(self, port: PortId, limits: Limits, now: Instant) -> tuple[Circuit, ...]:
        """Return the circuits that cannot take this start now."""
        place = self.place(port)
        extra = on(place.phase, limits.current, limits.power)
        return tuple(circuit for circuit in place.above if not circuit.fits(extra, now))

    def admits(self, port: PortId, limits: Limits, now: Instant) -> bool:
        """Say whether a start fits, and takes nothing from those that have waited for longer."""
        reserved: set[CircuitId] = set()
        for waiting in self._queue:
            if waiting.port == port:
                break
            reserved |= {circuit.plan.id for circuit in self.full(waiting.port, waiting.limits, now)}
        free = not any(circuit.plan.id in reserved for circuit in self.place(port).above)
        return free and not self.full(port, limits, now)

    def wait(self, port: PortId, limits: Limits) -> None:
        """Let a start wait at the end of the queue."""
        self._queue.append(Waiting(port=port, limits=limits))

    def leave(self, port: PortId) -> None:
        """Let a start wait no more."""
        self._queue = [waiting for waiting in self._queue if waiting.port != port]

    def amend(self, port: PortId, limits: Limits) -> None:
        """Give a start that waits other limits; it keeps its place."""
        self._queue = [
            Waiting(port=port, limits=limits) if waiting.port == port else waiting for waiting in self._queue
        ]

    @property
    def crowded(self) -> bool:
        """Say whether anybody waits."""
        return bool(self._queue)

    def waiting(self) -> tuple[PortId, ...]:
        """Return who waits, the longest first."""
        return tuple(waiting.port for waiting in self._queue) if self._queue else ()

    def position(self, port: PortId) -> int | None:
        """Return a port's position among those that wait for the same circuits, from 1."""
        ids = {circuit.plan.id for circuit in self.place(port).above}
        rivals = [
            waiting.port
            for waiting in self._queue
            if ids & {circuit.plan.id for circuit in self.place(waiting.port).above}
        ]
        return rivals.index(port) + 1 if port in rivals else None

    # Closing

    def book(self, port: PortId, now: Instant, apart: Seconds) -> Instant:
        """Return when a relay may close, `apart` from those before it, and keep that instant in each circuit."""
        above = self.place(port).above
        last = [circuit.last_closing for circuit in above if circuit.last_closing is not None]
        slot = max((now, *(after(closing, apart) for closing in last)))
        for circuit in above:
            circuit.last_closing = slot
        return slot

    def return_after(self, port: PortId, outage: Instant) -> Seconds:
        """Return how long after the mains have returned a port waits: random, but the same for the same seed."""
        number = zlib.crc32(f"{self._seed}/{outage:.1f}/{port}".encode())
        return Seconds(RETURN_OVER * number / 2**32)
