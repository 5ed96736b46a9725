import struct

import pytest
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from chargerd.config.profiles.library import load_profiles
from chargerd.config.profiles.models import Profile
from chargerd.config.profiles.register_map import Quantity
from chargerd.config.site import Board
from chargerd.core.units import BoardId, Instant
from chargerd.sim.boards import BoardSim, Codec
from chargerd.sim.loads import resistive
from chargerd.sim.parts import Relay
from chargerd.sim.world import World
from tests.judging import every
from tests.sim.shed import shed

BUS = "line-a"


@pytest.fixture
def site() -> World:
    return World(shed(), seed=1)


def exchange(site: World, frame: str) -> str | None:
    """Send a frame, as hexadecimal, and return the answer's."""
    codec = Codec()
    heard = codec.unpack(bytes.fromhex(frame))
    assert heard is not None, "no request"
    answer = site.ask(BUS, *heard)
    return None if answer is None else codec.pack(heard[0], answer).hex(" ").upper()


def ask(site: World, unit: int, pdu: str) -> str | None:
    answer = site.ask(BUS, unit, bytes.fromhex(pdu))
    return None if answer is None else answer.hex(" ").upper()


# Frames, byte for byte


def test_a_timed_closing_is_echoed_closes_and_lapses() -> None:
    site = World(shed(), seed=1)
    frame = "01 05 02 00 00 07 8D B0"
    assert exchange(site, frame) == frame
    assert site.relay("A01").contact_closed
    site.advance(Instant(0.69))
    assert site.relay("A01").coil, "reads closed while its timer runs"
    site.advance(Instant(0.7))
    assert not site.relay("A01").contact_closed


@pytest.mark.parametrize(
    ("sent", "closed"),
    [("01 05 00 00 FF 00 8C 3A", True), ("01 05 00 00 00 00 CD CA", False)],
)
def test_closing_and_opening_are_echoed(site: World, sent: str, closed: bool) -> None:
    site.relay("A01").write(site.now, closed=not closed)
    assert exchange(site, sent) == sent
    assert site.relay("A01").contact_closed is closed


def test_coils_are_read_lowest_first(site: World) -> None:
    for port in ("A01", "A03"):
        site.relay(port).write(site.now, closed=True)
    assert exchange(site, "01 01 00 00 00 08 3D CC") == "01 01 01 05 91 8B"


def test_inputs_are_read(site: World) -> None:
    site.board("relay-a").inputs[1] = True
    assert ask(site, 1, "02 00 00 00 08") == "02 01 02"


def test_many_coils_are_written_at_once_and_their_timers_cancelled(site: World) -> None:
    ask(site, 1, "05 02 00 00 3C")
    assert ask(site, 1, "0F 00 00 00 08 01 02") == "0F 00 00 00 08"
    assert [site.relay(port).coil for port in ("A01", "A02", "A03")] == [False, True, False]
    assert site.relay("A01").lapses_at is None


def test_an_sdm120_answers_floats_with_the_high_word_first(site: World) -> None:
    site.socket("A01").plug(resistive("lamp", 2.0))
    site.relay("A01").write(site.now, closed=True)
    site.advance(Instant(1.0))
    answer = site.ask(BUS, 11, bytes.fromhex("04 00 06 00 02"))
    assert answer is not None
    assert answer[:2] == bytes([4, 4])
    assert struct.unpack(">f", answer[2:])[0] == pytest.approx(site.socket("A01").current)


def test_its_energy_register_is_in_kilowatt_hours(site: World) -> None:
    answer = site.ask(BUS, 11, bytes.fromhex("04 00 48 00 02"))
    assert answer is not None
    assert struct.unpack(">f", answer[2:])[0] * 1000 == pytest.approx(site.meter("A01").values[Quantity.ENERGY])


def test_registers_between_the_known_ones_answer_0(site: World) -> None:
    answer = site.ask(BUS, 11, bytes.fromhex("04 00 00 00 04"))
    assert answer is not None
    assert answer[-4:] == bytes(4)


def test_a_pzem_answers_everything_in_one_frame_with_the_low_word_first(site: World) -> None:
    site.socket("P01").plug(resistive("lamp", 2.0))
    site.relay("P01").write(site.now, closed=True)
    site.advance(Instant(1.5))
    answer = site.ask(BUS, 20, bytes.fromhex("04 00 00 00 0A"))
    assert answer is not None
    words = struct.unpack(">10H", answer[2:])
    assert words[0] / 10 == pytest.approx(site.voltage, abs=1.0)
    assert (words[1] + (words[2] << 16)) / 1000 == pytest.approx(2.0, abs=0.1)
    assert (words[3] + (words[4] << 16)) / 10 == pytest.approx(460, abs=20)
    assert words[5] + (words[6] << 16) == site.meter("P01").values[Quantity.ENERGY]


# What a board refuses


@pytest.mark.parametrize(
    ("unit", "request_pdu", "answer"),
    [
        (1, "05 00 08 FF 00", "85 02"),  # beyond the last coil
        (1, "05 02 08 00 3C", "85 02"),  # beyond the last timer
        (1, "05 01 FF FF 00", "85 02"),  # nothing there
        (1, "05 00 00 12 34", "85 03"),  # neither open nor closed
        (1, "05 02 00 00 00", "85 03"),  # no time at all
        (1, "05 02 00 80 00", "85 03"),  # beyond the longest time
        (1, "01 00 00 00 09", "81 02"),  # more coils than there are
        (1, "01 00 00 00 00", "81 03"),  # none
        (1, "02 00 07 00 02", "82 02"),
        (1, "0F 00 07 00 02 01 03", "8F 02"),
        (1, "04 00 00 00 02", "84 01"),  # a relay board measures nothing
        (1, "06 00 00 00 01", "86 01"),
        (1, "17 00 00 00 01 00 00 00 01 02 00 00", "97 01"),
        (11, "01 00 00 00 08", "81 01"),  # a meter has no coils
        (11, "02 00 00 00 08", "82 01"),
        (11, "05 00 00 FF 00", "85 01"),
        (11, "0F 00 00 00 01 01 01", "8F 01"),
        (11, "06 00 00 00 01", "86 01"),
        (11, "04 00 00 00 01", "84 03"),  # odd counts are not answered
        (11, "04 00 00 00 60", "84 03"),  # longer than it can
        (11, "04 01 00 00 02", "84 02"),
    ],
)
def test_what_a_board_does_not_know_it_refuses(site: World, unit: int, request_pdu: str, answer: str) -> None:
    assert ask(site, unit, request_pdu) == answer


def test_other_units_stay_silent(site: World) -> None:
    assert ask(site, 99, "01 00 00 00 08") is None


def test_a_broadcast_is_obeyed_and_not_answered(site: World) -> None:
    assert ask(site, 0, "05 00 00 FF 00") is None
    assert site.relay("A01").contact_closed


def test_a_silent_or_unpowered_board_says_nothing_and_does_nothing(site: World) -> None:
    board = site.board("relay-a")
    board.silence()
    assert ask(site, 1, "05 00 00 FF 00") is None
    assert not site.relay("A01").contact_closed
    board.speak()
    board.power_off()
    assert ask(site, 1, "05 00 00 FF 00") is None
    board.power_on()
    assert ask(site, 1, "05 00 00 FF 00") is not None


def test_a_deaf_board_echoes_and_does_nothing(site: World) -> None:
    site.board("relay-a").deaf = True
    assert ask(site, 1, "05 00 00 FF 00") == "05 00 00 FF 00"
    assert not site.relay("A01").coil


# A board of another make: registers instead of coils


@pytest.fixture
def register_board() -> BoardSim:
    profile = Profile.model_validate(
        {
            "name": "by-registers",
            "title": "Relays at holding registers",
            "source": "made up for this test",
            "verified": "nothing",
            "relay": {
                "channels": 2,
                "write": 6,
                "first": 1,
                "open_value": 0x0200,
                "close_value": 0x0100,
                "timed_on": {"first": 0x11, "unit_ms": 1000, "max_value": 255},
                "dead_man": "timed_on",
                "read_back": {"function": 3, "first": 1},
            },
        }
    )
    board = Board(id=BoardId("r"), bus=BUS, address=1, profile=profile)
    return BoardSim(board, [Relay(), Relay()], [])


def test_relays_at_registers_are_written_with_function_6_and_read_with_3(register_board: BoardSim) -> None:
    write = bytes.fromhex("06 00 02 01 00")
    assert register_board.answer(write, Instant(0.0)) == write
    assert register_board.answer(bytes.fromhex("03 00 01 00 02"), Instant(0.0)) == bytes.fromhex("03 04 0000 0001")
    register_board.answer(bytes.fromhex("06 00 11 00 05"), Instant(0.0))
    assert register_board.relays[0].lapses_at == Instant(5.0)
    for refused in ("05 00 00 FF 00", "0F 00 00 00 01 01 01", "01 00 00 00 02"):
        answer = register_board.answer(bytes.fromhex(refused), Instant(0.0))
        assert answer is not None
        assert answer[1] == 1


# The codec


def test_thermometers_show_what_their_sensors_do() -> None:
    profile = load_profiles(())["eletechsup-r4dcb08"]
    board = BoardSim(Board(id=BoardId("heat"), bus=BUS, address=9, profile=profile), (), ())
    board.celsius[:3] = [71.25, -5.0, None]
    answer = board.answer(bytes.fromhex("03 00 00 00 08"), Instant(0.0))
    assert answer is not None
    assert answer.hex(" ").upper() == "03 10 02 C8 FF CE 80 00" + " 00 C8" * 5


def test_half_a_frame_and_a_broken_one_are_no_request() -> None:
    codec = Codec()
    frame = bytes.fromhex("01 05 02 00 00 07 8D B0")
    assert every(codec.unpack(frame[:length]) is None for length in range(len(frame)))
    assert codec.unpack(frame[:-1] + b"\x00") is None
    assert codec.unpack(frame) == (1, frame[1:-2])


def test_frames_are_those_of_a_stock_framer() -> None:
    assert Codec().pack(11, b"\x04\x02\x00\x01") == FramerRTU(DecodePDU(False)).encode(b"\x04\x02\x00\x01", 11, 0)
