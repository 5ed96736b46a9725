"""Every profile against bytes that were written without it, and against the board that is simulated from it.

A profile is where a driver and its simulated board agree to be wrong together. The frames in `golden/` were
written from sources of their own, which each row names, by hand and arithmetic, with their CRC.
"""

import struct
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from chargerd.config.profiles.library import load_profiles
from chargerd.config.profiles.models import Profile, RelaySection
from chargerd.config.profiles.register_map import MeterSection, Number, Quantity, Register
from chargerd.config.site import Board
from chargerd.core.units import BoardId, Instant, Seconds, WattHours, Watts
from chargerd.modbus.board import Implausible, MeterBoard, RelayBoard, Values
from chargerd.modbus.feeder import InputBoard
from chargerd.modbus.frames import Request, find_rtu
from chargerd.sim.boards import BoardSim
from chargerd.sim.parts import Meter, Relay
from tests.boards import BOARDS
from tests.modbus.kit import crc

GOLDEN = Path(__file__).parent / "golden"
METER_UNIT, RELAY_UNIT = 11, 1
LEASE = Seconds(6.0)
NOW = Instant(0.0)
PROFILES = load_profiles((BOARDS,))


@cache
def golden(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = YAML(typ="safe").load(GOLDEN / f"{name}.yaml")["cases"]
    return cases


def label(case: Mapping[str, Any]) -> str:
    return f"{case['profile']} {case.get('what') or case['request'][6:17]} {case.get('note', '')}".strip()


def told(values: Values) -> dict[str, float]:
    found = {quantity.value: getattr(values, quantity.value) for quantity in Quantity}
    return {name: value for name, value in found.items() if value is not None}


def known(expected: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in expected.items() if value is not None}


def meter_of(name: str) -> MeterSection:
    section = PROFILES[name].meter
    assert section is not None
    return section


def relay_of(name: str) -> RelaySection:
    section = PROFILES[name].relay
    assert section is not None
    return section


def check_meter(section: MeterSection, case: Mapping[str, Any]) -> None:
    """Ask as the driver does, compare the request's bytes, and let it read the answer's."""
    board = MeterBoard(case.get("unit", METER_UNIT), section)
    answer = bytes.fromhex(case["answer"])
    for channel, expected in case["channels"].items():
        blocks = [
            block
            for block in section.blocks
            if board.read(channel, block).rtu == bytes.fromhex(case["request"])
            and any(section.block_of(quantity) == block for quantity in section.registers)
        ]
        assert len(blocks) == 1, "no block is asked for like this"
        match = find_rtu(board.read(channel, blocks[0]), answer)
        assert match is not None
        assert match.end - match.start == len(answer)
        if expected is None:
            with pytest.raises(Implausible):
                board.values(blocks[0], match.pdu, channel)
        else:
            values = board.values(blocks[0], match.pdu, channel)
            refused = {name for name, value in expected.items() if value is None}
            assert told(values) == pytest.approx(known(expected), rel=1e-6)
            assert {why.partition(":")[0] for why in values.untrue} == refused


@pytest.mark.parametrize("case", golden("meters") + golden("relays"), ids=label)
def test_the_bytes_have_the_crc_of_the_standard(case: Mapping[str, Any]) -> None:
    for key in {"request", "answer"} & case.keys():
        data = bytes.fromhex(case[key])
        right = data[:-2] + crc(data[:-2])
        assert data == right, f"with the right CRC this {key} is {right.hex(' ').upper()}"


@pytest.mark.parametrize("case", golden("meters"), ids=label)
def test_a_meter_is_asked_and_understood(case: Mapping[str, Any]) -> None:
    check_meter(meter_of(case["profile"]), case)


def test_every_quantity_of_every_meter_has_its_bytes_at_the_first_and_last_channel() -> None:
    seen = {
        (case["profile"], channel, quantity)
        for case in golden("meters")
        for channel, expected in case["channels"].items()
        for quantity in expected or ()
    }
    wanted = {
        (name, channel, quantity.value)
        for name, profile in PROFILES.items()
        if profile.meter is not None
        for quantity in profile.meter.registers
        for channel in {1, profile.meter.channels}
    }
    missing = sorted(wanted - seen)
    assert not missing, f"golden/meters.yaml has no bytes for (profile, channel, quantity): {missing}"


def test_every_row_of_a_meter_names_where_its_bytes_come_from_or_says_that_nobody_confirms_it() -> None:
    told: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in YAML(typ="safe").load(GOLDEN / "meters.yaml")["sources"]:
        rows = list(Quantity) if entry["rows"] == "all" else [Quantity(row) for row in entry["rows"]]
        for name, row in product(entry["profiles"], rows):
            told.setdefault((name, row.value), []).append(entry)
    wanted = {
        (name, quantity.value)
        for name, profile in PROFILES.items()
        if profile.meter is not None
        for quantity in profile.meter.registers
    }
    without, unknown = sorted(wanted - set(told)), sorted(set(told) - wanted)
    assert not without, f"`sources` of golden/meters.yaml names none for {without}"
    assert not unknown, f"`sources` of golden/meters.yaml names what no profile has: {unknown}"
    for (name, _row), entries in told.items():
        profile = PROFILES[name]
        for entry in entries:
            assert entry["source"]
            if entry.get("single"):
                assert "one source only" in profile.verified, f"let `verified` of {name} say so: one source only"
            else:
                assert entry["source"] not in profile.source, f"{name}: the bytes need a source of their own"


def test_who_says_that_there_is_one_source_only_marks_whose() -> None:
    """What is verified is told of a family: one of its meters is enough."""
    single = {
        name
        for entry in YAML(typ="safe").load(GOLDEN / "meters.yaml")["sources"]
        if entry.get("single")
        for name in entry["profiles"]
    }
    families: dict[str, set[str]] = {}
    for name, profile in PROFILES.items():
        if profile.meter is not None and "one source only" in profile.verified:
            families.setdefault(profile.verified, set()).add(name)
    unmarked = [sorted(names) for names in families.values() if not names & single]
    assert not unmarked, (
        f"`verified` of {unmarked} says one source only: add `single: true` to theirs in `sources` of "
        "golden/meters.yaml, or say that there are two"
    )


def register_bends(section: MeterSection, register: Register) -> Iterator[dict[str, Any]]:
    yield {"scale": register.scale * 10}
    yield {"address": register.address + 1}
    if register.type.registers > 1:
        yield {"little": not register.little}
    if register.sign is not None:
        yield {"sign": None}
    if section.channels > 1:
        yield {"stride": 1 + (section.stride if register.stride is None else register.stride)}
    if register.type is Number.F32:
        yield {"type": Number.U32}


def bends(section: MeterSection) -> Iterator[tuple[str, MeterSection]]:
    """Yield a section with one thing wrong in it, for everything that can be wrong."""
    for quantity, register in section.registers.items():
        for change in register_bends(section, register):
            registers = {**section.registers, quantity: register.model_copy(update=change)}
            yield f"{quantity.value} {change}", section.model_copy(update={"registers": registers})
    yield "function", section.model_copy(update={"function": 7 - section.function})
    yield "width", section.model_copy(update={"wide": not section.wide})
    if section.group_stride:
        yield "group_stride", section.model_copy(update={"group_stride": section.group_stride * 2})


def holds(section: MeterSection, name: str) -> bool:
    try:
        for case in golden("meters"):
            if case["profile"] == name:
                check_meter(section, case)
    except (AssertionError, KeyError, ValueError, struct.error, pytest.fail.Exception):
        return False
    return True


@pytest.mark.parametrize("name", sorted(name for name, profile in PROFILES.items() if profile.meter))
def test_a_wrong_map_shows(name: str) -> None:
    section = meter_of(name)
    assert holds(section, name), (
        "its unbent map does not agree with the bytes: see test_a_meter_is_asked_and_understood"
    )
    unnoticed = [what for what, bent in bends(section) if holds(bent, name)]
    assert not unnoticed, f"these changes of the map went unnoticed: bytes are missing or too alike: {unnoticed}"


def asked(board: RelayBoard, what: str, profile: Profile) -> Request:
    kind, _, number = what.partition(" ")
    if kind == "inputs":
        assert profile.inputs is not None
        return InputBoard(RELAY_UNIT, profile.inputs).read()
    if kind == "setting":
        return board.read_setting(board.settings[int(number) - 1])
    if kind == "read":
        return board.read()
    if kind == "heartbeat":
        return board.renew(1, LEASE)
    lease = LEASE if kind == "lease" else None
    if kind in {"lease", "close"}:
        return board.close(int(number), lease)
    return board.open(int(number)) if kind == "open" else board.lapse(int(number))


@pytest.mark.parametrize("case", golden("relays"), ids=label)
def test_a_relay_board_is_told_and_understood(case: Mapping[str, Any]) -> None:
    profile = PROFILES[case["profile"]]
    board = RelayBoard(RELAY_UNIT, relay_of(case["profile"]))
    request = asked(board, case["what"], profile)
    assert request.rtu == bytes.fromhex(case["request"])
    match = find_rtu(request, bytes.fromhex(case.get("answer", case["request"])))
    assert match is not None
    if "closed" in case:
        inputs = profile.inputs
        if case["what"] == "read" or inputs is None:
            states = board.states(match.pdu)
        else:
            states = list(InputBoard(RELAY_UNIT, inputs).closed(match.pdu))
        assert [index + 1 for index, closed in enumerate(states) if closed] == case["closed"]
    if "writes" in case:
        setting = board.settings[int(case["what"].partition(" ")[2]) - 1]
        writes = [write.rtu for write in board.wrong(setting, match.pdu)]
        assert writes == [bytes.fromhex(write) for write in case["writes"]]


def test_everything_a_relay_board_can_be_told_has_its_bytes() -> None:
    seen = {(case["profile"], case["what"]) for case in golden("relays")}
    missing: list[tuple[str, str]] = []
    for name, profile in PROFILES.items():
        if profile.relay is None:
            continue
        last = profile.relay.channels
        kinds = ("open", "close", "lease", "lapse") if profile.relay.timed_on else ("open", "close")
        wanted = {(name, f"{kind} {channel}") for kind in kinds for channel in (1, last)} | {(name, "read")}
        wanted |= {(name, f"setting {index + 1}") for index in range(len(profile.relay.prepare))}
        wanted |= {(name, "inputs")} if profile.inputs else set()
        wanted |= {(name, "heartbeat")} if profile.relay.heartbeat else set()
        missing += sorted(wanted - seen)
    assert not missing, f"golden/relays.yaml has no bytes for (profile, what): {missing}"


# The simulated board


def simulated(name: str, unit: int = METER_UNIT) -> BoardSim:
    profile = PROFILES[name]
    meters = [
        Meter(refresh=Seconds(0.0), step=WattHours(1.0), start=WattHours(0.0), crosstalk=Watts(0.0))
        for _ in range(profile.meter.channels if profile.meter else 0)
    ]
    relays = [Relay() for _ in range(profile.relay.channels if profile.relay else 0)]
    board = Board(id=BoardId("board"), bus="line", address=unit, profile=profile)
    return BoardSim(board, relays, meters, profile.inputs.channels if profile.inputs else 0)


SPOKEN = [
    case
    for case in golden("meters")
    if all(expected is not None and None not in expected.values() for expected in case["channels"].values())
]


@pytest.mark.parametrize("case", SPOKEN, ids=label)
def test_the_simulated_meter_answers_the_same_bytes_where_they_mean_something(case: Mapping[str, Any]) -> None:
    unit = case.get("unit", METER_UNIT)
    board = simulated(case["profile"], unit)
    section = meter_of(case["profile"])
    shared = section.shares_energy and "energy" in case["channels"][1]
    for channel, expected in case["channels"].items():
        values = {Quantity(name): value for name, value in expected.items()}
        board.meters[channel - 1].values.update({} if shared and channel > 1 else values)
    answer = board.answer(bytes.fromhex(case["request"])[1:-2], NOW)
    assert answer is not None
    wanted = bytes.fromhex(case["answer"])[1:-2]
    assert len(answer) == len(wanted)
    driver = MeterBoard(unit, section)
    for channel, expected in case["channels"].items():
        block = next(
            block
            for block in section.blocks
            if driver.read(channel, block).pdu == bytes.fromhex(case["request"])[1:-2]
        )
        found = told(driver.values(block, answer, channel))
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", sorted(name for name, profile in PROFILES.items() if profile.relay))
def test_the_simulated_relays_obey_the_golden_bytes(name: str) -> None:
    board = simulated(name, RELAY_UNIT)
    bytes_of = {
        case["what"]: bytes.fromhex(case["request"])[1:-2] for case in golden("relays") if case["profile"] == name
    }
    last = relay_of(name).channels
    for kind in ("lease", "close"):
        if f"{kind} {last}" not in bytes_of:
            continue
        for channel in (1, last):
            assert board.answer(bytes_of[f"{kind} {channel}"], NOW) == bytes_of[f"{kind} {channel}"]
        assert [index + 1 for index, relay in enumerate(board.relays) if relay.coil] == [1, last]
        assert board.relays[0].lapses_at == (NOW + 6.0 if kind == "lease" else None)
        assert board.answer(bytes_of[f"open {last}"], NOW) == bytes_of[f"open {last}"]
        assert board.relays[-1].lapses_at is None
        driver = RelayBoard(RELAY_UNIT, relay_of(name))
        answer = board.answer(bytes_of["read"], NOW)
        assert answer is not None
        assert driver.states(answer) == [True, *[False] * (last - 1)]


def test_a_plain_off_leaves_an_eletechsup_closed_until_its_timer_ends() -> None:
    board = simulated("eletechsup-r4d8a08", RELAY_UNIT)
    driver = RelayBoard(RELAY_UNIT, relay_of("eletechsup-r4d8a08"))
    off = bytes.fromhex("06 00 03 02 00")
    coils = []
    for pdu in (driver.close(3, LEASE).pdu, off, driver.open(3).pdu, driver.close(3, None).pdu, off):
        assert board.answer(pdu, NOW) == pdu
        coils.append((board.relays[2].coil, board.relays[2].lapses_at))
    assert coils == [(True, NOW + 6.0), (True, NOW + 6.0), (False, None), (True, None), (False, None)]


def test_no_opening_of_any_board_is_a_deceptive_one() -> None:
    for name, profile in PROFILES.items():
        if profile.relay is None:
            continue
        for channel in range(1, profile.relay.channels + 1):
            value = int.from_bytes(RelayBoard(RELAY_UNIT, profile.relay).open(channel).pdu[3:], "big")
            assert value not in profile.relay.deceptive_values, name
