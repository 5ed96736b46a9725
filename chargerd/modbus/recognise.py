"""Which board it may be that answers: by what its registers hold, and why that is believed. Pure.

A meter gives itself away by a voltage that can be one, and by a power that fits its voltage and current. Relays
and inputs are bits, which fit many boards: there their number speaks, and nothing is ever more than possible.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chargerd.config.profiles.models import Profile
from chargerd.config.profiles.register_map import Quantity
from chargerd.modbus.board import Implausible, MeterBoard, RelayBoard, Values
from chargerd.modbus.feeder import InputBoard
from chargerd.modbus.frames import Request, read_registers, registers_of

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


ORDER = (Strength.SURE, Strength.LIKELY, Strength.POSSIBLE)


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
    """Return what the answers, by the PDU of their question, speak for; the best first, alike ones as one."""
    found: dict[tuple[Strength, str], list[str]] = {}
    bits = [one for one in (_judged(profile, unit, answers) for profile in profiles) if one is not None]
    for strength, why, name in bits:
        found.setdefault((strength, why), []).append(name)
    told = [Guess(profiles=tuple(names), strength=how, why=why) for (how, why), names in found.items()]
    best = sorted(told, key=lambda guess: ORDER.index(guess.strength))
    return tuple(_most_channels(best))


def _judged(profile: Profile, unit: int, answers: Mapping[bytes, bytes]) -> tuple[Strength, str, str] | None:
    pdu = answers.get(own_question(profile, unit).pdu)
    if pdu is None:
        return None
    judged = judge(profile, unit, pdu)
    return None if judged is None else (*judged, profile.name)


def _most_channels(found: Sequence[Guess]) -> Iterator[Guess]:
    """Leave out boards with fewer relays than answer: whoever has 16 coils tells eight of them as well."""
    bits = [guess for guess in found if guess.strength is Strength.POSSIBLE and guess.why.endswith(COILS)]
    most = max((int(guess.why.split()[1]) for guess in bits), default=0)
    for guess in found:
        if guess not in bits or int(guess.why.split()[1]) == most:
            yield guess


COILS = "relays are read back"


def judge(profile: Profile, unit: int, pdu: bytes) -> tuple[Strength, str] | None:
    """Return how much an answer to `own_question` speaks for a profile, and why; `None`: against it."""
    if profile.meter is not None:
        return _judge_meter(MeterBoard(unit, profile.meter), pdu)
    if profile.relay is not None:
        try:
            RelayBoard(unit, profile.relay).states(pdu)
        except Implausible:
            return None
        return Strength.POSSIBLE, f"all {profile.relay.channels} {COILS}"
    if profile.inputs is not None:
        return Strength.POSSIBLE, f"all {profile.inputs.channels} inputs are read"
    assert profile.thermometers is not None
    return _judge_temperatures(profile, pdu)


def _judge_temperatures(profile: Profile, pdu: bytes) -> tuple[Strength, str] | None:
    section = profile.thermometers
    assert section is not None
    raw = [word for word in registers_of(pdu) if word not in section.invalid]
    celsius = [section.scale * (word - 0x1_0000 if word & 0x8000 else word) for word in raw]
    if not celsius or not all(section.least <= one <= section.most for one in celsius):
        return None
    return Strength.POSSIBLE, f"temperatures of {min(celsius):.1f} to {max(celsius):.1f} C"


def _judge_meter(meter: MeterBoard, pdu: bytes) -> tuple[Strength, str] | None:
    quantity = Quantity.VOLTAGE if meter.has(Quantity.VOLTAGE) else Quantity.CURRENT
    try:
        values = meter.values(meter.block_of(quantity), pdu)
    except Implausible:
        return None
    volts, amps = values.voltage, values.current
    if volts is None or not LEAST_V <= volts <= MOST_V or (amps is not None and amps > MOST_A):
        return None
    told = [f"{volts:.1f} V"]
    if amps is not None:
        told.append(f"{amps:.2f} A")
    if values.power is not None:
        told.append(f"{values.power:.0f} W")
    if not _power_fits(values):
        return None
    certain = values.power is not None and amps is not None and amps > 0
    why = "reads " + ", ".join(told) + (": its power fits" if certain else "")
    return (Strength.SURE if certain else Strength.LIKELY), why


def _power_fits(values: Values) -> bool:
    volts, amps, power = values.voltage, values.current, values.power
    if volts is None or amps is None or power is None:
        return True
    return abs(power) <= volts * amps * (1 + SLACK_SHARE) + SLACK_W
