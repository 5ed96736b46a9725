"""Which board it may be that answers: by what its registers hold, and why that is believed. Pure.

A meter gives itself away by a voltage that can be one, and by a power that fits its voltage and current. Relays
and inputs are bits, which fit many boards: there their number speaks, and nothing is ever more than possible.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chargerd.config.profiles.models import Profile, RelaySection
from chargerd.config.profiles.register_map import Quantity
from chargerd.modbus.board import Implausible, MeterBoard, RelayBoard, Values
from chargerd.modbus.feeder import InputBoard
from chargerd.modbus.frames import READS_OF_BITS, Request, read_registers, registers_of

LEAST_V, MOST_V = 85.0, 290.0
"""Supplies of 100 to 240 V, and what they may be off by."""
MOST_A = 200.0
SLACK_W, SLACK_SHARE = 15.0, 0.15
"""How much more than voltage times current a power may be: the three are not read at one instant."""


class Strength(StrEnum):
    """How much speaks for a guess."""

    SURE = "sure"
    LIKELY = "likely"
    POSSIBLE = "possible"


LEAST_FACTOR = 0.2
"""A power factor that a load has; what lies below may be any three numbers."""
PHASES_APART = 0.15
"""How far the voltages of phases may lie apart, as a share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What in an answer speaks for a profile: how many things that fit each other, and in words."""

    score: int
    why: str
    relays: int = 0
    """How many are read back, and by which function."""
    function: int = 0

    def strength(self, *, tied: bool) -> Strength:
        """Return how much that is; `tied`: something else fits as well."""
        if self.score > 1 and not tied:
            return Strength.SURE
        return Strength.LIKELY if self.score > 0 else Strength.POSSIBLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a board may be: profiles that say the same of what it answered, and why."""

    profiles: tuple[str, ...]
    strength: Strength
    why: str


def own_question(profile: Profile, unit: int) -> Request:
    """Return what a board of this profile is asked all the time anyway."""
    if profile.meter is not None:
        return _meter_question(MeterBoard(unit, profile.meter))
    if profile.relay is not None:
        return RelayBoard(unit, profile.relay).read()
    if profile.inputs is not None:
        return InputBoard(unit, profile.inputs).read()
    assert profile.thermometers is not None
    return read_registers(
        unit, profile.thermometers.function, profile.thermometers.first, profile.thermometers.channels
    )


def identity_question(profile: Profile, unit: int) -> Request | None:
    """Return what asks for something that no other board says: a serial number, if it has one."""
    unique = next((one for one in profile.identity if one.unique), None)
    return None if unique is None else read_registers(unit, unique.function, unique.address, unique.count)


def _meter_question(meter: MeterBoard) -> Request:
    quantity = Quantity.VOLTAGE if meter.has(Quantity.VOLTAGE) else Quantity.CURRENT
    return meter.read(1, meter.block_of(quantity))


def questions(profiles: Iterable[Profile], unit: int) -> dict[bytes, Request]:
    """Return what tells the profiles apart, by PDU, the most telling first: meters, then the most bits."""
    asked = [(profile.meter is None, own_question(profile, unit)) for profile in profiles]
    asked.sort(key=lambda one: (one[0], -one[1].reply_size if one[0] else 0))
    return {request.pdu: request for _bits, request in asked}


def guesses(profiles: Iterable[Profile], unit: int, answers: Mapping[bytes, bytes]) -> tuple[Guess, ...]:
    """Return what the answers, by the PDU of their question, speak for; the best first, alike ones as one.

    Nothing is sure if something else fits as well.
    """
    found: dict[Evidence, list[str]] = {}
    for profile in profiles:
        pdu = answers.get(own_question(profile, unit).pdu)
        evidence = None if pdu is None else judge(profile, unit, pdu)
        if evidence is not None:
            found.setdefault(evidence, []).append(profile.name)
    best = sorted(_most_relays(found), key=lambda evidence: -evidence.score)
    tied = len(best) > 1 and best[0].score == best[1].score
    return tuple(
        Guess(profiles=tuple(found[evidence]), strength=evidence.strength(tied=tied), why=evidence.why)
        for evidence in best
    )


def _most_relays(found: Iterable[Evidence]) -> Iterator[Evidence]:
    """Leave out boards with fewer relays than answer: whoever has 16 coils tells eight of them as well."""
    most: dict[int, int] = {}
    found = tuple(found)
    for evidence in found:
        most[evidence.function] = max(most.get(evidence.function, 0), evidence.relays)
    for evidence in found:
        if not evidence.relays or evidence.relays == most[evidence.function]:
            yield evidence


def judge(profile: Profile, unit: int, pdu: bytes) -> Evidence | None:
    """Return what in an answer to `own_question` speaks for a profile; `None` if it speaks against it."""
    if profile.meter is not None:
        return _judge_meter(MeterBoard(unit, profile.meter), profile.meter.channels, pdu)
    if profile.relay is not None:
        return _judge_relays(profile.relay, RelayBoard(unit, profile.relay), pdu)
    if profile.inputs is not None:
        return Evidence(score=0, why=f"all {profile.inputs.channels} inputs are read")
    assert profile.thermometers is not None
    return _judge_temperatures(profile, pdu)


def _judge_relays(section: RelaySection, board: RelayBoard, pdu: bytes) -> Evidence | None:
    registers = section.read_back.function not in READS_OF_BITS
    if registers and not set(registers_of(pdu)) <= {0, 1}:
        return None
    count = len(board.states(pdu))
    why = f"all {count} relays are read back"
    return Evidence(score=0, why=why, relays=count, function=section.read_back.function)


def _judge_temperatures(profile: Profile, pdu: bytes) -> Evidence | None:
    section = profile.thermometers
    assert section is not None
    raw = [word for word in registers_of(pdu) if word not in section.invalid]
    celsius = [section.scale * (word - 0x1_0000 if word & 0x8000 else word) for word in raw]
    if not celsius or not all(section.least <= one <= section.most for one in celsius):
        return None
    return Evidence(score=0, why=f"temperatures of {min(celsius):.1f} to {max(celsius):.1f} C")


def _judge_meter(meter: MeterBoard, channels: int, pdu: bytes) -> Evidence | None:
    quantity = Quantity.VOLTAGE if meter.has(Quantity.VOLTAGE) else Quantity.CURRENT
    block = meter.block_of(quantity)
    beside = [one for one in range(1, channels + 1) if meter.begins(one, block) == meter.begins(1, block)]
    try:
        first, *others = (meter.values(block, pdu, channel) for channel in beside)
    except Implausible:
        return None
    volts, amps, power = first.voltage, first.current, first.power
    if volts is None or not LEAST_V <= volts <= MOST_V or (amps is not None and amps > MOST_A):
        return None
    if not _power_fits(first):
        return None
    told = [f"{volts:.1f} V"]
    told += [] if amps is None else [f"{amps:.2f} A"]
    told += [] if power is None else [f"{power:.0f} W"]
    certain = amps is not None and power is not None and abs(power) >= LEAST_FACTOR * volts * amps > 0
    score = 1 + certain + _of_phases(volts, others)
    return Evidence(score=score, why="reads " + ", ".join(told) + (": its power fits" if certain else ""))


def _of_phases(volts: float, others: Sequence[Values]) -> int:
    """Return what the other phases say: each with the like voltage speaks for them, all without speak against."""
    found = [one.voltage for one in others if one.voltage is not None]
    like = sum(abs(one - volts) <= PHASES_APART * volts for one in found)
    return like if like or not found else -1


def _power_fits(values: Values) -> bool:
    volts, amps, power = values.voltage, values.current, values.power
    if volts is None or amps is None or power is None:
        return True
    return abs(power) <= volts * amps * (1 + SLACK_SHARE) + SLACK_W
