"""Random lives of two sheds below one supply: circuits that fill up, trip, and lose a phase or their mains."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from chargerd.core.events import BoardBack, BoardPrepared, PreparationFailed
from chargerd.core.plan import (
    CircuitPlan,
    FeederPlan,
    InputKind,
    InputPlan,
    Phase,
    RelayPlan,
    StationPlan,
    holder_of,
)
from chargerd.core.units import Amps, BoardId, CircuitId, Instant, PortId, Seconds, Volts, Watts
from tests.campaign.deck import Deck
from tests.campaign.life import MINUTE, ModelledLife
from tests.campaign.shed import Shed
from tests.core.plant import BOOT, port_plan

MAIN, LEFT, RIGHT = CircuitId("main"), CircuitId("left"), CircuitId("right")
TROUBLES = (
    "detector",
    "input board silent",
    "feeder meter silent",
    "load beside the ports",
    "wrong voltage",
    "mains vanish",
    "crosstalk",
    "wrong voltage of one phase",
    "board not prepared",
    "weld unseen",
)
"""What else can happen in circuits."""
PHASES = (Phase.L1, Phase.L2, Phase.L3)
BOARD = BoardId("relay-a")
"""What switches all ports. It must be told its settings before it counts as having a dead-man."""
PREPARED_AFTER = 0.5
VOLTAGE_WITHIN = 12.0
"""Seconds after which no port charges at a voltage its circuit's meter shows to be wrong: 4 s, and its bus."""
WELD_WITHIN = 60.0
"""Seconds after which current through an open relay is found: three readings at rest, and what else goes on."""
CARRIES = (0.3, 60.0)
"""Amperes and watts that are no crosstalk of whatever flows beside."""
IN_BAND: tuple[Volts | None, ...] = (Volts(230.0), Volts(230.0), Volts(230.0))
DETECTORS = {LEFT: "smoke-left", MAIN: "stop-main"}


def quarter(count: int = 12) -> StationPlan:
    """Two sheds below one supply, which is too small for all of their ports at once."""
    ports = [
        replace(port_plan(f"A{number:02d}", number), circuit=LEFT, phase=PHASES[number % 3])
        if number <= count // 2
        else replace(port_plan(f"A{number:02d}", number), circuit=RIGHT)
        for number in range(1, count + 1)
    ]
    ports = [replace(port, relay=replace(port.relay, prepared=False)) for port in ports]
    switch = RelayPlan(board=BoardId("io-a"), channel=1)
    inputs = (
        InputPlan(id=DETECTORS[LEFT], board=BoardId("io-a"), channel=1, kind=InputKind.SMOKE, circuit=LEFT),
        InputPlan(
            id=DETECTORS[MAIN], board=BoardId("io-a"), channel=2, kind=InputKind.EMERGENCY_STOP, circuit=MAIN
        ),
    )
    meter = FeederPlan(board=BoardId("feeder"), phases=3)
    return StationPlan(
        ports=tuple(ports),
        circuits=(
            CircuitPlan(id=MAIN, phases=3, rating=Amps(20.0)),
            CircuitPlan(id=LEFT, phases=3, parent=MAIN, rating=Amps(10.0), meter=meter, contactor=switch),
            CircuitPlan(id=RIGHT, parent=MAIN, rating=Amps(16.0), power=Watts(2800.0)),
        ),
        inputs=inputs,
        queue_for=Seconds(300.0),
        resume_window=Seconds(1800.0),
    )


class QuarterLife(ModelledLife):
    """Life where circuits fill up, trip, and lose their mains."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._settings = "taken"
        """What the relay board makes of its settings: `taken`, `refused`, or `unanswered`."""
        self._wrong_from: dict[Phase, float] = {}
        self._carries_from: dict[PortId, float] = {}
        shed = Shed(folder, site=quarter())
        shed.watchers.append(self._prepare)
        super().__init__(seed, shed)
        self._troubles = Deck(self.rng, TROUBLES)
        shed.feeder_volts = IN_BAND
        self._sow(self._trouble, 4 * MINUTE)
        self._prepare(shed.now, "begin")
        self._keep_watch()

    def _trouble(self) -> None:
        rng = self.rng
        span, trouble = rng.choice((1.0, 5.0, 20.0, 120.0)), self._troubles.deal()
        self.happened[trouble] += 1
        ways: tuple[Callable[[float], None], ...] = (
            self._detect,
            self._silence_inputs,
            self._silence_feeders,
            self._load_beside,
            lambda span: self._disturb_voltage(span, PHASES, (0.0, 150.0, 230.0, 275.0)),
            self._mains_vanish,
            lambda _span: self._whisper_all(),
            lambda span: self._disturb_voltage(span, (rng.choice(PHASES),), (0.0, 150.0, 275.0, None)),
            self._forget_settings,
            lambda _span: self._let_stick(self._port(), "hidden"),
        )
        ways[TROUBLES.index(trouble)](span)

    def _detect(self, span: float) -> None:
        circuit = self.rng.choice(list(DETECTORS))
        self.shed.danger.add(DETECTORS[circuit])
        self.shed.later(span, self.shed.danger.discard, DETECTORS[circuit])
        self.shed.later(span + self.rng.uniform(1.0, 120.0), self._look_after, circuit)

    def _silence_inputs(self, span: float) -> None:
        self.shed.io.silent = True
        self.shed.later(span, setattr, self.shed.io, "silent", False)

    def _silence_feeders(self, span: float) -> None:
        self.shed.feeders_silent = True
        self.shed.later(span, setattr, self.shed, "feeders_silent", False)

    def _load_beside(self, span: float) -> None:
        self.shed.background[LEFT] = (self.rng.uniform(0.0, 9.0), self.rng.uniform(0.0, 2000.0))
        self.shed.later(span, self._quiet_again)

    def _disturb_voltage(self, span: float, phases: tuple[Phase, ...], volts: tuple[float | None, ...]) -> None:
        """Let the voltage of these phases be wrong, or one that the meter does not tell."""
        wrong = self.rng.choice(volts)
        shown = None if wrong is None else Volts(wrong)
        self.shed.feeder_volts = tuple(shown if phase in phases else Volts(230.0) for phase in PHASES)
        self.shed.later(span, setattr, self.shed, "feeder_volts", IN_BAND)

    def _whisper_all(self) -> None:
        for port in self.names:
            self._whisper(port)

    # The settings of the relay board

    def _forget_settings(self, span: float) -> None:
        """Let the relay board restart, and not take its settings for a while."""
        self._settings = self.rng.choice(("refused", "unanswered"))
        self._reboot(self.shed.board, 2.5)
        self.shed.later(10 * span, self._take_settings)

    def _take_settings(self) -> None:
        if self._settings != "taken":
            self._settings = "taken"
            self._reboot(self.shed.board, 2.5)

    def _prepare(self, _now: float, what: object) -> None:
        """Let the board be told its settings by each daemon, and whenever it is back."""
        if what == "begin" or (isinstance(what, BoardBack) and what.board == BOARD):
            self.shed.later(PREPARED_AFTER, self._answer_settings, self.shed.life)

    def _answer_settings(self, life: int) -> None:
        at = Instant(self.shed.now)
        if life != self.shed.life:
            return
        if self._settings == "taken":
            self.shed.tell(BoardPrepared(board=BOARD, at=at))
        elif self._settings == "refused":
            self.shed.tell(PreparationFailed(board=BOARD, at=at, setting="poll timeout"))

    # What must be found

    def _keep_watch(self) -> None:
        self._watch_voltage()
        self._watch_welds()
        self.shed.later(1.0, self._keep_watch)

    def _watch_voltage(self) -> None:
        """Assert that no port stays closed on a phase whose voltage its circuit's meter shows to be wrong."""
        shed, silent = self.shed, self.shed.dead or self.shed.feeders_silent
        for phase, volts in zip(PHASES, shed.feeder_volts, strict=True):
            if silent or volts is None or 176.0 <= volts <= 264.0:
                self._wrong_from.pop(phase, None)
                continue
            since = self._wrong_from.setdefault(phase, shed.now)
            if shed.now - since <= VOLTAGE_WITHIN:
                continue
            left = [port.id for port in shed.plan.ports if port.phase is phase and self.books.closed(port.id)]
            assert not left, f"{left} at {volts} V since {since - BOOT}\n{shed.tail()}"

    def _watch_welds(self) -> None:
        """Assert that what goes on to carry current unseen is locked out, as long as its meter tells the truth."""
        shed = self.shed
        held = shed.relay_bus.held or shed.meter_bus.held or shed.dead
        for port in self.names:
            contact, meter = shed.contacts[port], shed.meters[port]
            amps, watts = shed.loads[port].at(shed.now)
            deaf = meter.silent or meter.script or held or shed.board.silent or shed.wired[port] != port
            carries = contact.hidden and shed.energised(port) and amps >= CARRIES[0] and watts >= CARRIES[1]
            if not carries or deaf or self.books.closed(port) or self.books.locked(port):
                self._carries_from.pop(port, None)
                continue
            since = self._carries_from.setdefault(port, shed.now)
            assert shed.now - since <= WELD_WITHIN, f"{port} carries since {since - BOOT}\n{shed.tail()}"

    def stick(self, port: PortId, how: str) -> None:
        """Let a contact be stuck, as its board shows or unseen."""
        super().stick(port, "stuck" if how == "hidden" else how)
        self.shed.contacts[port].hidden = how == "hidden"
        if how == "hidden":
            self.outages.distrust(port)
            self.shed.contacts[port].welded = False
            self.shed.set_contact(port, closed=True, by="freed")
            self.shed.contacts[port].welded = True

    def more_faults(self, port: PortId) -> Mapping[str, Callable[[float], None]]:
        """Freeze no meter: what nobody measures, no circuit can be relieved of."""
        return {"meter silent, too": lambda span: self._mains_vanish_at([port], span)}

    def _quiet_again(self) -> None:
        self.shed.background.pop(LEFT, None)

    def _mains_vanish(self, span: float) -> None:
        """Take the mains from one shed: its loads draw nothing, its meters say nothing."""
        self._mains_vanish_at([port for port in self.names if self.shed.plans[port].circuit == RIGHT], span)

    def _mains_vanish_at(self, ports: list[PortId], span: float) -> None:
        for port in ports:
            self.shed.meters[port].silent = True
            self.shed.later(span, setattr, self.shed.meters[port], "silent", False)

    def _whisper(self, port: PortId) -> None:
        """Let a meter show what its neighbours draw, as channels of one board do."""
        if self.shed.loads[port].watts < 1.0:
            self.shed.draw(0.01, self.rng.uniform(0.3, 1.3), port=port)

    def _look_after(self, circuit: CircuitId) -> None:
        if self._alive and not self.shed.dead:
            self.shed.ask_reset(holder_of(circuit))

    def mend(self) -> None:
        """Mend everything that is broken, and clear what has tripped."""
        super().mend()
        shed = self.shed
        shed.danger.clear()
        shed.background.clear()
        shed.feeders_silent, shed.io.silent, shed.feeder_volts = False, False, IN_BAND
        self._take_settings()
