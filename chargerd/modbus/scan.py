"""Who is on a line: asks address after address, and looks closer where something answers. Pure.

`scan` is a generator: it yields what is to be asked and is sent what came of it. Whoever drives it has the line;
what it asks changes nothing on any board.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from chargerd.config.profiles.models import Profile
from chargerd.modbus.frames import Request, find_rtu, read_bits, read_registers
from chargerd.modbus.manual import Outcome, Rate
from chargerd.modbus.recognise import Guess, Strength, guesses, identity_question, own_question, questions
from chargerd.modbus.strangers import sound_frames

FIRST, LAST = 1, 247
"""Addresses of units (MODBUS over Serial Line V1.02, 2.2)."""
AGAIN = 6
"""How often a unit is asked once more whose answer was not sound."""
SILENCES = 2
"""So often nothing at all came to the same question: what did come then was noise."""
OTHERS: tuple[tuple[int, str], ...] = tuple(
    (baudrate, parity)
    for baudrate in (9600, 19200, 38400, 115200, 57600, 4800, 2400, 1200)
    for parity in ("none", "even")
)
"""What boards are found at, the most usual first."""
UNUSED = 3
"""So many addresses at least are asked at each other rate: a new board has 1, most others a low one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be asked next, at the line's own rate unless it says another; `done` of `total` are over."""

    request: Request
    rate: Rate | None
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A board of the configuration."""

    board: str
    profile: Profile


@dataclass(slots=True, kw_only=True)
class Tally:
    """What came of all that one unit was asked."""

    asked: int = 0
    answered: int = 0
    corrupt: int = 0
    twice: int = 0
    """How often two sound answers came to one question."""
    refused: int = 0

    @property
    def corrupt_share(self) -> float:
        """Which share of what came was no sound answer."""
        came = self.answered + self.corrupt
        return self.corrupt / came if came else 0.0


@dataclass(slots=True, kw_only=True)
class Found:
    """A unit that answers, or at whose address something does."""

    unit: int
    rate: Rate | None = None
    board: str | None = None
    """Its name in the configuration."""
    fits: bool | None = None
    """Whether it is what the configuration says; `None` if that says nothing."""
    guesses: tuple[Guess, ...] = ()
    serial: str | None = None
    """What it says that no other board does, as hexadecimal."""
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True, kw_only=True)
class Report:
    """What a scan has come to."""

    asked: int = 0
    """Addresses that were asked, at the line's own rate."""
    found: list[Found] = field(default_factory=list)
    missing: list[tuple[int, str]] = field(default_factory=list)
    """Boards of the configuration that do not answer."""
    noisy: int = 0
    """Addresses where nobody answers, and bytes came all the same."""
    echoes: int = 0
    """How often our own request came back."""
    questions: int = 0
    strangers: int = 0
    """Sound frames that came by themselves."""
    rates_tried: list[Rate] = field(default_factory=list)
    why_no_rates: str | None = None
    """Why other rates were not tried, or not all of them."""
    why_ended: str | None = None
    """Why not all addresses were asked."""


Steps: TypeAlias = Generator[Question, Outcome, Report]


def scan(
    *,
    units: Sequence[int],
    known: Mapping[int, Known],
    profiles: Iterable[Profile],
    other_rates: Sequence[Rate] = (),
    thorough: bool = True,
) -> Steps:
    """Ask every unit, look closer at those that answer, and then for what is missing at other rates.

    `thorough`: those that are silent are asked a second thing, which takes as long again.
    """
    return _Scan(units, known, tuple(profiles), other_rates, thorough=thorough).run()


def _is_noise(tally: Tally) -> bool:
    """Say whether nobody has answered, and what came did not come each time either."""
    return not tally.answered and tally.asked - tally.corrupt >= SILENCES


class _NotAsked(Exception):  # noqa: N818 - no error: the line, or a port on it, came first
    """A question was not asked."""


class _Scan:
    def __init__(
        self,
        units: Sequence[int],
        known: Mapping[int, Known],
        profiles: tuple[Profile, ...],
        rates: Sequence[Rate],
        *,
        thorough: bool,
    ) -> None:
        self._units = units
        self._thorough = thorough
        self._known = known
        self._profiles = profiles
        self._rates = rates
        self._report = Report()
        self._silent: list[int] = []
        self._done = 0
        self._total = len(units)

    def run(self) -> Steps:
        report = self._report
        try:
            for unit in self._units:
                yield from self._first(unit)
                report.asked += 1
            yield from self._second()
        except _NotAsked as error:
            report.why_ended = str(error)
        here = {one.unit for one in report.found}
        report.missing = [
            (unit, known.board) for unit, known in self._known.items() if unit in self._units and unit not in here
        ]
        if report.why_ended is None and self._rates and (report.missing or not report.found):
            yield from self._elsewhere()
        return report

    def _ask(
        self, request: Request, tally: Tally, rate: Rate | None = None
    ) -> Generator[Question, Outcome, bytes | None]:
        """Ask and count what came; returns the answer. Raises `_NotAsked`."""
        outcome = yield Question(request=request, rate=rate, done=self._done, total=self._total)
        if outcome.why_not is not None:
            raise _NotAsked(outcome.why_not)
        self._count(outcome, tally)
        return outcome.pdu

    def _count(self, outcome: Outcome, tally: Tally) -> None:
        request, report = outcome.request, self._report
        report.questions += 1
        report.echoes += request.rtu in outcome.heard
        report.strangers += len(list(sound_frames(outcome.stray)))
        data = outcome.heard.replace(request.rtu, b"", 1)
        tally.asked += 1
        match = find_rtu(request, data)
        if match is None:
            tally.corrupt += bool(data)
            return
        tally.answered += 1
        tally.refused += outcome.code is not None
        tally.twice += find_rtu(request, data[match.end :]) is not None

    def _first(self, unit: int) -> Generator[Question, Outcome, None]:
        """Ask a unit for something: a board of the configuration what it is always asked, others any register."""
        known, tally = self._known.get(unit), Tally()
        request = read_registers(unit, 3, 0, 1) if known is None else own_question(known.profile, unit)
        pdu = yield from self._ask(request, tally)
        self._done += 1
        if tally.answered or tally.corrupt:
            yield from self._closer(unit, request, pdu, tally)
        else:
            self._silent.append(unit)

    def _second(self) -> Generator[Question, Outcome, None]:
        """Ask silent ones for something else: some boards say nothing to what they do not know."""
        silent, self._silent = self._silent, []
        silent = [unit for unit in silent if self._thorough or unit in self._known]
        self._total = self._done + len(silent)
        for unit in silent:
            tally = Tally()
            request = read_bits(unit, 1, 0, 8) if unit not in self._known else read_registers(unit, 3, 0, 1)
            pdu = yield from self._ask(request, tally)
            self._done += 1
            if tally.answered or tally.corrupt:
                yield from self._closer(unit, request, pdu, tally)
            else:
                self._silent.append(unit)

    def _closer(
        self, unit: int, request: Request, pdu: bytes | None, tally: Tally, rate: Rate | None = None
    ) -> Generator[Question, Outcome, None]:
        """Find out who has answered, and whether it is one board only; bytes without any answer are noise."""
        if not tally.answered:
            pdu = (yield from self._repeat(request, tally, rate)) or pdu
            if _is_noise(tally):
                self._report.noisy += 1
                self._silent.append(unit)
                return
        known = self._known.get(unit)
        found = Found(unit=unit, rate=rate, board=None if known is None else known.board, tally=tally)
        self._report.found.append(found)
        answers = {} if pdu is None else {request.pdu: pdu}
        candidates = self._profiles if known is None else (known.profile,)
        yield from self._tell_apart(found, candidates, answers)
        found.guesses = guesses(candidates, unit, answers)
        if known is not None:
            found.fits = bool(found.guesses)
        if found.fits is False and tally.answered:
            yield from self._tell_apart(found, self._profiles, answers)
            found.guesses = guesses(self._profiles, unit, answers)
        yield from self._identify(found, known)
        if tally.corrupt or tally.twice:
            for _again in range(AGAIN):
                yield from self._ask(request, tally, rate)

    def _repeat(
        self, request: Request, tally: Tally, rate: Rate | None
    ) -> Generator[Question, Outcome, bytes | None]:
        """Ask the same until it is answered, or until nothing came often enough; returns the answer."""
        pdu = None
        for _again in range(AGAIN):
            pdu = (yield from self._ask(request, tally, rate)) or pdu
            if pdu is not None or tally.asked - tally.corrupt >= SILENCES:
                break
        return pdu

    def _tell_apart(
        self, found: Found, profiles: Iterable[Profile], answers: dict[bytes, bytes]
    ) -> Generator[Question, Outcome, None]:
        profiles = tuple(profiles)
        for pdu, request in questions(profiles, found.unit).items():
            if pdu in answers:
                continue
            answer = yield from self._ask(request, found.tally, found.rate)
            if answer is not None:
                answers[pdu] = answer
                best = guesses(profiles, found.unit, answers)
                if best and best[0].strength is Strength.SURE:
                    return

    def _identify(self, found: Found, known: Known | None) -> Generator[Question, Outcome, None]:
        names = {name for guess in found.guesses[:1] for name in guess.profiles}
        likely = [profile for profile in self._profiles if profile.name in names]
        profile = known.profile if known is not None and found.fits else next(iter(likely), None)
        request = None if profile is None else identity_question(profile, found.unit)
        if request is not None:
            pdu = yield from self._ask(request, found.tally, found.rate)
            found.serial = None if pdu is None else pdu[2:].hex()

    def _elsewhere(self) -> Generator[Question, Outcome, None]:
        """Look for what is missing at other rates, one transaction at a time."""
        report = self._report
        here = {one.unit for one in report.found}
        others = [unit for unit in self._units if unit not in here][:UNUSED]
        units = list(dict.fromkeys([*(unit for unit, _board in report.missing), *others]))
        self._total = self._done + len(self._rates) * len(units)
        for place, rate in enumerate(self._rates, 1):
            there = {one.unit for one in report.found}
            if there.issuperset(unit for unit, _board in report.missing) and there - here:
                return  # All that is missed has been found.
            try:
                yield from self._at(rate, [unit for unit in units if unit not in there])
                report.rates_tried.append(rate)
            except _NotAsked as error:  # A port may be closed now, or the adapter may not know this rate.
                report.why_no_rates = report.why_no_rates or str(error)
            self._done = self._total - (len(self._rates) - place) * len(units)

    def _at(self, rate: Rate, units: Iterable[int]) -> Generator[Question, Outcome, None]:
        for unit in units:
            tally, known = Tally(), self._known.get(unit)
            request = read_registers(unit, 3, 0, 1) if known is None else own_question(known.profile, unit)
            pdu = yield from self._ask(request, tally, rate)
            self._done += 1
            if tally.answered:
                yield from self._closer(unit, request, pdu, tally, rate)
