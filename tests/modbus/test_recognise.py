"""Every board there is a profile for is recognised by what its registers hold, and others are not taken for it."""

import pytest

from chargerd.config.loader import load_text
from chargerd.config.profiles.library import load_profiles
from chargerd.config.profiles.models import Profile
from chargerd.config.profiles.register_map import Quantity
from chargerd.core.plan import DeadMan
from chargerd.core.units import Instant
from chargerd.modbus.frames import Request, fits
from chargerd.modbus.recognise import (
    Evidence,
    Strength,
    guesses,
    identity_question,
    judge,
    own_question,
    questions,
)
from chargerd.sim.world import World
from tests.judging import every

PROFILES = load_profiles(())
UNIT = 9
SITE = """\
gateway: {{id: test}}
buses: {{line: {{tcp: "10.0.0.2:502"}}}}
boards:
  relay: {{bus: line, address: {relay}, profile: {relays}}}
  meter: {{bus: line, address: {meter}, profile: {meters}}}
circuits: {{shed: {{}}}}
ports: [{{id: A01, relay: relay/1, meter: meter/1, circuit: shed}}]
"""


def world(profile: Profile) -> World:
    """A simulated line with a board of this profile at the unit that is asked."""
    is_meter = profile.meter is not None
    text = SITE.format(
        relay=1 if is_meter else UNIT,
        relays="waveshare-relay-16" if is_meter else profile.name,
        meter=UNIT if is_meter else 2,
        meters=profile.name if is_meter else "eastron-sdm120",
    )
    one = World(load_text(text, "test", profiles=PROFILES), seed=1)
    one.begin_at(Instant(0.0))
    one.advance(Instant(5.0))
    return one


def answers_of(profile: Profile) -> dict[bytes, bytes]:
    line, found = world(profile), {}
    for pdu, request in questions(PROFILES.values(), UNIT).items():
        answer = line.ask("line", UNIT, request.pdu)
        if answer is not None and fits(request, answer):
            found[pdu] = answer
    return found


SWITCHING = [one for one in PROFILES.values() if one.relay is not None or one.meter is not None]


@pytest.mark.parametrize("profile", SWITCHING, ids=lambda one: one.name)
def test_a_board_is_recognised_among_all_there_are(profile: Profile) -> None:
    found = guesses(PROFILES.values(), UNIT, answers_of(profile))
    assert profile.name in {name for guess in found for name in guess.profiles}
    if profile.meter is not None:
        (best, *_others) = found
        assert profile.name in best.profiles
        assert best.strength is not Strength.POSSIBLE
        assert best.why.startswith("reads 2"), best.why


def test_what_cannot_be_a_supply_speaks_against_a_meter() -> None:
    profile = PROFILES["pzem-016"]
    pdu = answers_of(profile)[own_question(profile, UNIT).pdu]
    assert judge(profile, UNIT, pdu) is not None
    words = [int.from_bytes(pdu[place : place + 2], "big") for place in range(2, len(pdu), 2)]
    for changed in ([0, *words[1:]], [4000, *words[1:]], [*words[:3], 0x7FFF, *words[4:]]):
        other = pdu[:2] + b"".join(word.to_bytes(2, "big") for word in changed)
        assert judge(profile, UNIT, other) is None, changed


def pzem(volts: float, amps: float, watts: float) -> bytes:
    """What a PZEM-016 answers: tenths of a volt, then milliamperes and tenths of a watt, low word first."""
    milli, tenths = round(amps * 1000), round(watts * 10)
    words = [round(volts * 10), milli & 0xFFFF, milli >> 16, tenths & 0xFFFF, tenths >> 16, 0, 0, 500, 0, 0]
    return bytes([4, 20]) + b"".join(word.to_bytes(2, "big") for word in words)


@pytest.mark.parametrize(
    ("watts", "strength", "why"),
    [
        (225.0, Strength.SURE, "reads 230.0 V, 1.00 A, 225 W: its power fits"),
        (30.0, Strength.LIKELY, "reads 230.0 V, 1.00 A, 30 W"),
    ],
)
def test_a_power_that_fits_makes_it_sure(watts: float, strength: Strength, why: str) -> None:
    profile = PROFILES["pzem-016"]
    answers = {own_question(profile, UNIT).pdu: pzem(230.0, 1.0, watts)}
    (best, *_others) = guesses([profile], UNIT, answers)
    assert (best.strength, best.why) == (strength, why)


def test_nothing_is_sure_where_two_fit_alike() -> None:
    one = PROFILES["pzem-016"]
    other = one.model_copy(update={"name": "other"})
    pdu = pzem(230.0, 1.0, 225.0)
    assert other.meter is not None
    power = other.meter.registers[Quantity.POWER].model_copy(update={"scale": 0.05})
    registers = {**other.meter.registers, Quantity.POWER: power}
    other = other.model_copy(update={"meter": other.meter.model_copy(update={"registers": registers})})
    found = guesses([one, other], UNIT, {own_question(one, UNIT).pdu: pdu})
    assert [(guess.profiles, guess.strength) for guess in found] == [
        (("pzem-016",), Strength.LIKELY),
        (("other",), Strength.LIKELY),
    ]


def test_temperatures_and_inputs_are_no_more_than_possible() -> None:
    thermometers = next(one for one in PROFILES.values() if one.thermometers is not None and one.meter is None)
    request = own_question(thermometers, UNIT)
    count = (request.reply_size - 2) // 2
    warm = bytes([request.function, 2 * count]) + (235).to_bytes(2, "big") * count
    told = judge(thermometers, UNIT, warm)
    assert told == Evidence(score=0, why="temperatures of 23.5 to 23.5 C")
    hot = bytes([request.function, 2 * count]) + (9000).to_bytes(2, "big") * count
    assert judge(thermometers, UNIT, hot) is None
    with_inputs = PROFILES["waveshare-relay-8-d"].model_copy(update={"relay": None})
    asked = own_question(with_inputs, UNIT)
    assert judge(with_inputs, UNIT, bytes([asked.function, 1, 0])) == Evidence(
        score=0, why="all 8 inputs are read"
    )


def test_states_that_are_none_are_no_relays() -> None:
    of_registers = next(
        one for one in PROFILES.values() if one.relay is not None and one.relay.read_back.function in {3, 4}
    )
    request: Request = own_question(of_registers, UNIT)
    assert judge(of_registers, UNIT, bytes([request.function, request.reply_size - 2]) + b"\xff" * 2 * 8) is None


def test_meters_are_asked_for_first_and_then_what_has_the_most_bits() -> None:
    asked = list(questions(PROFILES.values(), UNIT).values())
    kinds = [request.function in {1, 2} for request in asked]
    assert kinds.index(True) > sum(one.meter is not None for one in PROFILES.values()) / 3
    bits = [request.reply_size for request in asked if request.function == 1]
    assert bits == sorted(bits, reverse=True)


def test_only_what_no_other_board_says_is_a_serial_number() -> None:
    asked = {name: identity_question(one, UNIT) for name, one in PROFILES.items()}
    assert asked["eastron-sdm120"] is not None
    assert asked["waveshare-relay-16"] is None
    assert every(one.relay is None or one.relay.dead_man in DeadMan for one in PROFILES.values())
