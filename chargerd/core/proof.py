"""What a wiring proof has seen, and what follows from it: which wire is wrong, at which port, by which figures.

Theory. A load whose power is known stands in a known socket, one relay closes, and all meters are looked at. That
the load draws tells that the relay feeds this socket; which meter moves tells which one measures it. With the load
alone in socket A and relay A closed:

- only meter A moves: relay and meter are A's. What it shows is compared with the load, and its sign looked at;
- another meter moves instead: that one measures socket A. Relay A is right, or nothing would draw;
- none moves: relay A does not feed socket A. The other relays are closed one after the other: the one at which a
  meter moves feeds it. If none does, contact, wire, fuse or contactor between them are dead.

With a load in every socket nothing tells meters from relays that are exchanged, and both are named.

Figures. A load draws 0.7 to 1.3 times what is written on it: EN 50160 allows the mains 10 % either way, and a
heater's power goes with the square of it (0.81 to 1.21); IEC 60335-1, 10.1 allows the rated power +5 and -10 %.
A meter of an empty socket shows up to 2 W, crosstalk of a board's channels is a hundredth of the power beside it.
Below 50 V there is no mains: the limit of extra-low voltage of IEC 61140.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from chargerd.core.plan import DeadMan, Phase, StationPlan
from chargerd.core.units import Amps, BoardId, CircuitId, PortId, Seconds, Volts, Watts

FROM, TO = 0.7, 1.3
"""Times its nameplate: what a load may draw, and be the one that was named."""
NOTHING = Watts(2.0)
MOVED, SHARE = Watts(5.0), 0.05
"""Another meter has moved by so much, and by this share of what moved most: crosstalk is a hundredth."""
DEAD = Volts(50.0)
CURRENT_FROM, CURRENT_TO = 0.85, 3.5
"""Volts times amperes over watts: 1 for a lamp, 2 for a small charger (power factor 0.5), never below 1."""
TEN, CUT_OFF = 10.0, 50.0
FACTORS = (TEN, 0.1, 100.0, 0.01, 1000.0, 0.001)
SWAPPED = 150.0
"""Further from the load than any factor of ten fits: the words of the figure are the wrong way round."""
DENORMAL = 1e-20
"""A 32-bit figure with its words exchanged is next to nothing, and not nothing: 230.5 V becomes 2.4e-41 V."""
ENOUGH = 3
"""Ports that have shown the same load: what most of them say is what it draws."""
PHASES = (Phase.L1, Phase.L2, Phase.L3)
ON_A_PHASE, CLEARLY = Amps(0.15), 0.5
"""A feeder meter has to show a load so much, and half of what its port shows, to say on which phase it is."""
OFF_WITHIN = Seconds(2.0)
"""An opening that takes longer may have been the end of the lease, which runs for 2 s more at least."""
LAPSE_FROM, LAPSE_TO = Seconds(-0.5), Seconds(1.0)
"""How far from its lease a board may open by itself."""
STEADY = 0.5
"""Of its highest power: what a load may not fall below while its lease is renewed."""


class Kind(StrEnum):
    """What is wrong with a port, or a board. Stable strings of the report."""

    METER_EXCHANGED = "meter_exchanged"
    RELAY_EXCHANGED = "relay_exchanged"
    SOCKET_EXCHANGED = "socket_exchanged"
    EXCHANGED = "exchanged"
    """Meters or relays: with a load in every socket nothing tells which."""
    TWO_METERS = "two_meters"
    METER_REVERSED = "meter_reversed"
    METER_FACTOR = "meter_factor"
    METER_WORD_ORDER = "meter_word_order"
    OTHER_POWER = "other_power"
    WRONG_PHASE = "wrong_phase"
    NO_VOLTAGE = "no_voltage"
    NO_POWER = "no_power"
    CONTACTOR = "contactor"
    RELAY_STUCK_OPEN = "relay_stuck_open"
    RELAY_WELDED = "relay_welded"
    METER_SILENT = "meter_silent"
    BOARD_LOST = "board_lost"
    TRIPPED = "tripped"
    REFUSED = "refused"
    RENEWAL_GLITCH = "renewal_glitch"
    OFF_INEFFECTIVE = "off_ineffective"
    NO_DEAD_MAN = "no_dead_man"


CROSSINGS = frozenset(
    {Kind.METER_EXCHANGED, Kind.RELAY_EXCHANGED, Kind.SOCKET_EXCHANGED, Kind.EXCHANGED, Kind.TWO_METERS}
)
"""Nobody may charge at these: the meter that protects is another one's."""


class Result(StrEnum):
    """How a proof, or a port in it, stands."""

    PROVED = "proved"
    FINDINGS = "findings"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a meter has shown before a closing, and what was furthest from that in it. Power is signed."""

    port: PortId
    before: Watts | None = None
    during: Watts | None = None
    current: Amps | None = None
    voltage: Volts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnPhases:
    """By how much a feeder meter's currents have risen, L1 first."""

    circuit: CircuitId
    rise: tuple[Amps, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """One relay closed, or what became of that, with a load in these sockets."""

    relay: PortId
    loads: tuple[PortId, ...]
    at_ms: int | None = None
    """When, by the wall clock, if that was known."""
    closed: bool = False
    """Whether it was read back closed."""
    lasted: Seconds = Seconds(0.0)
    shown: tuple[Shown, ...] = ()
    phases: tuple[OnPhases, ...] = ()
    refused: str | None = None
    """Why its start was refused."""
    ended: str | None = None
    """The function that ended it, if that was not the proof itself."""
    measured: float | None = None
    """What that function has measured."""
    latched: str | None = None
    """The function that has latched its port meanwhile, for anything else than its wires."""
    still: Watts | None = None
    """What its meter has shown after the opening."""

    def of(self, port: PortId) -> Shown | None:
        """Return what a port's meter has shown."""
        return next((one for one in self.shown if one.port == port), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTest:
    """What a board has shown of its lease at one of its relays. `why`: what kept it from being tested."""

    board: BoardId
    port: PortId
    lease: Seconds
    at_ms: int | None = None
    renewed_for: Seconds = Seconds(0.0)
    lowest: float | None = None
    """The lowest power while it was renewed, as a share of the highest."""
    fell_open: bool = False
    """Whether it was read back open meanwhile, or its session ended."""
    flickered: bool | None = None
    """What the person at the load has seen; `None`: nobody was asked."""
    off_after: Seconds | None = None
    """How long after the stop it was read back open with nothing flowing."""
    off_stayed: bool | None = None
    """Whether it stayed so until its lease would have been over."""
    lapse_after: Seconds | None = None
    lapse_opened: bool | None = None
    """Whether the board has opened by itself, so long after the last renewal."""
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a proof has seen, in its order."""

    closings: tuple[Closing, ...] = ()
    leases: tuple[LeaseTest, ...] = ()
    skipped: tuple[PortId, ...] = ()
    provoked: tuple[tuple[PortId, str], ...] = ()
    """Latches that were set while the proof had a relay closed."""

    def own(self, port: PortId) -> Closing | None:
        """Return the newest closing of a port with a load in its own socket."""
        return next((one for one in reversed(self.closings) if one.relay == port and port in one.loads), None)

    def searches(self, port: PortId) -> list[Closing]:
        """Return the closings of other relays with the load in this socket alone."""
        return [one for one in self.closings if one.loads == (port,) and one.relay != port]

    def lease(self, board: BoardId) -> LeaseTest | None:
        """Return the newest test of a board's lease."""
        return next((one for one in reversed(self.leases) if one.board == board), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong. `other`: the port, circuit or phase it is about as well."""

    kind: Kind
    port: PortId | None = None
    board: BoardId | None = None
    other: str | None = None
    mutual: bool = False
    """Whether the other one is known to hang at this one's place in turn."""
    quantity: str | None = None
    measured: float | None = None
    expected: float | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof as it is concluded: which ports are proved, and everything that was found."""

    result: Result
    ports: dict[PortId, Result]
    findings: tuple[Finding, ...] = ()
    boards: dict[BoardId, bool | None] = field(default_factory=dict)
    """Whether a board's dead-man is proved, by all three tests; `None`: it was not tested."""


def moved(closing: Closing) -> tuple[PortId, ...]:
    """Return the ports whose meters a closing has moved, the furthest first."""
    rises = {one.port: _rise(one) for one in closing.shown}
    most = max(rises.values(), default=0.0)
    found = [port for port, rise in rises.items() if rise >= _least(port, closing, most)]
    return tuple(sorted(found, key=lambda port: -rises[port]))


def _rise(one: Shown) -> float:
    return 0.0 if one.during is None else abs(one.during - (one.before or 0.0))


def _least(port: PortId, closing: Closing, most: float) -> float:
    return NOTHING if port == closing.relay and most < NOTHING / SHARE else max(MOVED, SHARE * most)


class Verdicts:
    """What follows from the evidence of one proof."""

    def __init__(self, plan: StationPlan, evidence: Evidence, load: Watts | None) -> None:
        self._plans = {port.id: port for port in plan.ports}
        self._circuits = {circuit.id: circuit for circuit in plan.circuits}
        self._seen = evidence
        self._load = load or self._usual()

    def conclude(self, ports: Iterable[PortId]) -> Proof:
        """Return how the proof of these ports stands."""
        wanted = tuple(ports)
        found = {port: tuple(self.of_port(port)) for port in wanted}
        results = {port: self._result(port, found[port]) for port in wanted}
        boards = {board: proved(test) for board in self.leased(wanted) for test in [self._seen.lease(board)]}
        findings = [one for port in wanted for one in found[port]]
        findings += [one for test in self._seen.leases for one in of_lease(test)]
        done = all(result is not Result.INCOMPLETE for result in results.values())
        if findings:
            result = Result.FINDINGS
        else:
            result = Result.PROVED if done and None not in boards.values() else Result.INCOMPLETE
        return Proof(result=result, ports=results, findings=tuple(findings), boards=boards)

    def _result(self, port: PortId, findings: tuple[Finding, ...]) -> Result:
        if findings:
            return Result.FINDINGS
        return Result.INCOMPLETE if self._seen.own(port) is None else Result.PROVED

    def leased(self, ports: Iterable[PortId]) -> tuple[BoardId, ...]:
        """Return the relay boards of these ports that are to open by themselves by a lease."""
        relays = [self._plans[port].relay for port in ports if port in self._plans]
        leased = (
            relay.board for relay in relays if relay.lease is not None and relay.dead_man is not DeadMan.NONE
        )
        return tuple(dict.fromkeys(leased))

    def of_port(self, port: PortId) -> list[Finding]:
        """Return what is wrong with a port, as far as its own closing and what followed it say."""
        own = self._seen.own(port)
        if own is None:
            return []
        found = self._not_closed(port, own) or self._meters(port, own)
        if own.still is not None and own.still > MOVED * 2 and not found:
            found = [Finding(kind=Kind.RELAY_WELDED, port=port, quantity="w", measured=own.still)]
        return found

    def crossed(self, ports: Iterable[PortId]) -> tuple[PortId, ...]:
        """Return the ports that must not charge, since what protects them is wired to another one."""
        found = [one for port in ports for one in self.of_port(port) if one.kind in CROSSINGS]
        names = [name for one in found for name in (one.port, one.other) if name in self._plans]
        return tuple(dict.fromkeys(PortId(str(name)) for name in names))

    # A relay that did not close

    def _not_closed(self, port: PortId, own: Closing) -> list[Finding]:
        shown = own.of(port)
        voltage = None if shown is None else shown.voltage
        if voltage is not None and 0 < abs(voltage) < DENORMAL:
            return [Finding(kind=Kind.METER_WORD_ORDER, port=port, quantity="v", measured=voltage)]
        if voltage is not None and voltage < DEAD:
            return [Finding(kind=Kind.NO_VOLTAGE, port=port, quantity="v", measured=voltage)]
        kind = {"meter_stale": Kind.METER_SILENT, "board_lost": Kind.BOARD_LOST}.get(own.refused or "")
        if own.refused is not None:
            return [Finding(kind=kind or Kind.REFUSED, port=port, code=own.refused)]
        ended = {
            "relay_stuck_open": Kind.RELAY_STUCK_OPEN,
            "relay_welded": Kind.RELAY_WELDED,
            "relay_will_not_open": Kind.OFF_INEFFECTIVE,
            "relay_unconfirmed": Kind.BOARD_LOST,
            "current_before_closing": Kind.RELAY_WELDED,
            "meter_stale": Kind.METER_SILENT,
            "relay_board_lost": Kind.BOARD_LOST,
            "relay_not_closed": Kind.BOARD_LOST,
        }
        for function in (own.latched, own.ended):
            if function in ended:
                return [Finding(kind=ended[function], port=port, code=function, measured=own.measured)]
        return []

    # Which meter has moved

    def _meters(self, port: PortId, own: Closing) -> list[Finding]:
        found = moved(own)
        others = [one for one in found if one != port]
        if port not in found:
            return [self._elsewhere(port, own, others[0])] if others else self._nothing(port, own)
        if others:
            return [Finding(kind=Kind.TWO_METERS, port=port, other=others[0])]
        wrong = [*self._power(port, own), *self._current(port, own), *self._phase(port, own)]
        return wrong or self._trip(port, own)

    def _elsewhere(self, port: PortId, own: Closing, other: PortId) -> Finding:
        """With one load alone it is the meter; else nothing tells meters and relays apart."""
        theirs = self._seen.own(other)
        mutual = theirs is not None and port in moved(theirs) and other not in moved(theirs)
        kind = Kind.METER_EXCHANGED if own.loads == (port,) else Kind.EXCHANGED
        return Finding(kind=kind, port=port, other=other, mutual=mutual)

    def _nothing(self, port: PortId, own: Closing) -> list[Finding]:
        """No meter has moved: another relay feeds this socket, or nothing does."""
        for search in self._seen.searches(port):
            found = moved(search)
            if not found:
                continue
            relay = search.relay
            if found[0] == relay:
                return [Finding(kind=Kind.SOCKET_EXCHANGED, port=port, other=relay, mutual=self._fed(relay, port))]
            wrong = [Finding(kind=Kind.RELAY_EXCHANGED, port=port, other=relay, mutual=self._fed(relay, port))]
            if found[0] != port:
                wrong.append(Finding(kind=Kind.METER_EXCHANGED, port=port, other=found[0]))
            return wrong
        tripped = self._trip(port, own)
        if tripped:
            return tripped
        circuit = self._dead_contactor(port)
        if circuit is not None:
            return [Finding(kind=Kind.CONTACTOR, port=port, other=circuit)]
        return [Finding(kind=Kind.NO_POWER, port=port)]

    def _fed(self, port: PortId, relay: PortId) -> bool:
        """Say whether a socket was seen to be fed by another one's relay."""
        return any(search.relay == relay and moved(search) for search in self._seen.searches(port))

    def _dead_contactor(self, port: PortId) -> CircuitId | None:
        """Return the contactor above a port below which nothing has ever drawn, if there is one."""
        circuit = self._circuits.get(self._plans[port].circuit)
        while circuit is not None and circuit.contactor is None:
            circuit = None if circuit.parent is None else self._circuits.get(circuit.parent)
        if circuit is None:
            return None
        below = [own for one in self._plans if circuit.id in self._above(one) and (own := self._seen.own(one))]
        closed = [own for own in below if own.closed]
        return circuit.id if closed and not any(moved(own) for own in closed) else None

    def _above(self, port: PortId) -> list[CircuitId]:
        found, at = [], self._circuits.get(self._plans[port].circuit)
        while at is not None:
            found.append(at.id)
            at = None if at.parent is None else self._circuits.get(at.parent)
        return found

    def _trip(self, port: PortId, own: Closing) -> list[Finding]:
        """What ended it though nothing else was wrong; that it was suspected is told by the meters.

        A meter that shows many times the load has tripped its port before anybody else could look.
        """
        if own.ended is None or own.ended == "wiring_suspect":
            return []
        quantity = "a" if own.ended.startswith("overcurrent") else "w" if own.ended == "overpower" else None
        kind, expected = Kind.TRIPPED, self._drawn(quantity, own.of(port))
        if own.measured is not None and expected:
            kind = kind_of_excess(own.measured / expected, CURRENT_TO if quantity == "a" else TO) or kind
        return [
            Finding(
                kind=kind, port=port, quantity=quantity, measured=own.measured, expected=expected, code=own.ended
            )
        ]

    def _drawn(self, quantity: str | None, shown: Shown | None) -> float | None:
        """Return what the load draws, in amperes (`a`) or watts (`w`); `None`: not known, or not of a load."""
        if quantity == "w":
            return self._load
        if quantity == "a" and self._load and shown is not None and shown.voltage:
            return self._load / shown.voltage
        return None

    # What its own meter shows

    def _power(self, port: PortId, own: Closing) -> list[Finding]:
        shown = own.of(port)
        assert shown is not None
        assert shown.during is not None
        found = []
        if shown.during < -NOTHING:
            found.append(Finding(kind=Kind.METER_REVERSED, port=port, quantity="w", measured=shown.during))
        if self._load:
            kind = kind_of_ratio(_rise(shown) / self._load)
            if kind is not None:
                found.append(
                    Finding(kind=kind, port=port, quantity="w", measured=shown.during, expected=self._load)
                )
        return found

    @staticmethod
    def _current(port: PortId, own: Closing) -> list[Finding]:
        """Compare current with power: a factor in one of them shows without any load that is known."""
        shown = own.of(port)
        if shown is None or not shown.during or not shown.current or not shown.voltage:
            return []
        expected = abs(shown.during) / shown.voltage
        share = shown.current / expected
        if CURRENT_FROM <= share <= CURRENT_TO:
            return []
        if not any(CURRENT_FROM <= share / factor <= CURRENT_TO for factor in FACTORS):
            return []
        return [
            Finding(kind=Kind.METER_FACTOR, port=port, quantity="a", measured=shown.current, expected=expected)
        ]

    def _phase(self, port: PortId, own: Closing) -> list[Finding]:
        phase, shown = self._plans[port].phase, own.of(port)
        if phase is Phase.ALL or shown is None:
            return []
        for one in own.phases:
            if len(one.rise) < len(PHASES):
                continue
            highest = max(range(len(PHASES)), key=lambda place: one.rise[place])
            there, here = one.rise[highest], one.rise[PHASES.index(phase)]
            clear = there >= max(ON_A_PHASE, CLEARLY * (shown.current or 0.0)) and here < CLEARLY * there
            if clear and PHASES[highest] is not phase:
                found = PHASES[highest].value
                return [Finding(kind=Kind.WRONG_PHASE, port=port, other=found, quantity="a", measured=there)]
        return []

    def _usual(self) -> Watts | None:
        """Return what most ports have shown of one load, if it was shown often enough to go by."""
        own = [(port, closing) for port in self._plans if (closing := self._seen.own(port))]
        shown = [one.during for port, closing in own if moved(closing) == (port,) and (one := closing.of(port))]
        found = [abs(power) for power in shown if power is not None]
        one_load = all(len(closing.loads) == 1 for _, closing in own)
        return Watts(median(found)) if one_load and len(found) >= ENOUGH else None


def kind_of_ratio(ratio: float) -> Kind | None:
    """Return what is wrong with a meter that shows so many times the load; `None`: nothing."""
    if FROM <= ratio <= TO:
        return None
    if any(FROM <= ratio / factor <= TO for factor in FACTORS):
        return Kind.METER_FACTOR
    return Kind.METER_WORD_ORDER if ratio >= SWAPPED or ratio <= 1 / SWAPPED else Kind.OTHER_POWER


def kind_of_excess(ratio: float, most: float) -> Kind | None:
    """Return what is wrong with a meter that trips at so many times the load; `None`: the load may be it.

    A driver cuts off what is above its meter's range, so that a hundred times the load may have been any figure.
    """
    if FROM <= ratio / TEN <= most:
        return Kind.METER_FACTOR
    return Kind.METER_WORD_ORDER if ratio >= CUT_OFF else None


def of_lease(test: LeaseTest) -> list[Finding]:
    """Return what a test of a lease has found wrong."""
    found: list[Finding] = []
    if test.fell_open or test.flickered or (test.lowest is not None and test.lowest < STEADY):
        found.append(
            Finding(kind=Kind.RENEWAL_GLITCH, board=test.board, port=test.port, measured=test.lowest, expected=1.0)
        )
    slow = test.off_after is not None and test.off_after > OFF_WITHIN
    if slow or test.off_stayed is False:
        found.append(
            Finding(
                kind=Kind.OFF_INEFFECTIVE,
                board=test.board,
                port=test.port,
                quantity="s",
                measured=test.off_after,
                expected=OFF_WITHIN,
            )
        )
    after, lease = test.lapse_after, test.lease
    in_time = after is not None and lease + LAPSE_FROM <= after <= lease + LAPSE_TO
    if test.lapse_opened is False or (test.lapse_opened and not in_time):
        found.append(
            Finding(
                kind=Kind.NO_DEAD_MAN,
                board=test.board,
                port=test.port,
                quantity="s",
                measured=test.lapse_after,
                expected=test.lease,
            )
        )
    return found


def proved(test: LeaseTest | None) -> bool | None:
    """Say whether all three tests have shown that a board opens by itself, and not before; `None`: not tested."""
    if test is None or test.why is not None:
        return None
    complete = test.lowest is not None and test.off_stayed is not None and test.lapse_opened is not None
    return not of_lease(test) if complete or of_lease(test) else None
