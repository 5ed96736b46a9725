"""`chargerctl scan`, `read`, `write` and `trace` as a technician types them, at the virtual line."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import click
import pytest

from chargerd.cli import ctl_lines, ctl_registers, ctl_scan, ctl_trace
from chargerd.cli.ctl_lines import place_of, spans
from chargerd.cli.register_values import plain, registers, switch, value, where
from chargerd.control.client import ControlFailure
from chargerd.core.view import PortState
from chargerd.modbus.scan_findings import ScanCause
from chargerd.text import Json
from tests.judging import every
from tests.modbus.kit import FIRST_METER, Bench, Reply, frame, site
from tests.modbus.test_scan import UNITS, answer, garbled
from tests.runtime.technician import Technician

SITE = site(3)
FEW = ("line", "--units", "1,11..14", "--quick")


@pytest.fixture
def technician(monkeypatch: pytest.MonkeyPatch) -> Technician:
    bench = Bench(monkeypatch, SITE)
    there = {1, *range(FIRST_METER, FIRST_METER + 3)}
    bench.line.script = lambda request: (
        answer(bench.boards, request) if request[0] in there and bench.tuned is None else []
    )
    bench.run(6.0)
    return Technician(bench, SITE)


def scripted(technician: Technician, change: Callable[[bytes, list[tuple[float, bytes]]], Reply]) -> None:
    bench, plain_ = technician.bench, technician.bench.line.script
    bench.line.script = lambda request: change(request, list(plain_(request)))


# scan


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_sound_line_is_described_board_by_board_at_any_width(technician: Technician, columns: int) -> None:
    done = technician.types(ctl_scan.command, *FEW, columns=columns)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert every(len(line) <= columns for line in lines), lines
    said = " ".join(done.stdout.split())
    assert said.startswith("line: all 4 boards answer as configured, and nobody else")
    assert "5 addresses asked at 9600 Bd, parity none" in said
    assert "11 meter1: as configured, eastron-sdm120: reads 230.0 V, serial 00004e2b" in said


def first_line(technician: Technician, *words: str) -> str:
    done = technician.types(ctl_scan.command, *(words or FEW), columns=200)
    assert done.exit_code == 1, done.output
    return done.stdout.splitlines()[0]


def test_the_first_line_names_a_board_that_is_silent_and_says_that_other_rates_were_tried(
    technician: Technician,
) -> None:
    scripted(technician, lambda request, replies: [] if request[0] == 12 else replies)
    done = technician.types(ctl_scan.command, *FEW, "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert [(one["cause"], one["boards"]) for one in told["findings"]] == [("silent", ["meter2"])]
    assert len(told["rates_tried"]) == 15
    assert told["missing"] == [{"unit": 12, "board": "meter2"}]


def test_the_first_line_names_two_boards_at_one_address(technician: Technician) -> None:
    scripted(
        technician,
        lambda request, replies: (
            [*replies, *((at + 0.02, reply) for at, reply in replies)] if request[0] == 13 else replies
        ),
    )
    said = first_line(technician)
    assert said.startswith("line: meter3 (address 13): two boards answer at one address (")
    assert "disconnect one of them" in said


def test_the_first_line_names_new_boards_that_all_have_address_one(technician: Technician) -> None:
    scripted(
        technician,
        lambda request, _replies: (
            [(0.006, garbled(frame("0183020000")))] if request[0] == 1 and request[1] != 5 else []
        ),
    )
    said = first_line(technician, "line", "--units", "1..14", "--no-other-rates")
    assert said.startswith("line: relay (address 1): several new boards answer together, at the address they all")


def test_while_a_port_charges_other_rates_are_not_tried_and_that_is_said(technician: Technician) -> None:
    technician.view("A01", relay_closed=True, state=PortState.CHARGING)
    scripted(technician, lambda request, replies: [] if request[0] == 12 else replies)
    done = technician.types(ctl_scan.command, "line", "--units", "11..14", columns=200)
    assert "other rates were not tried: A01 in use: another rate is tried only while no port of the line is" in (
        done.stdout
    )
    probes = [params for method, params in technician.asked if method == "probe"]
    assert every("baudrate" not in params for params in probes)
    silent = [params for params in probes if params["unit"] == 14]
    assert len(silent) == 1, "asked once, while ports charge"
    refused = technician.types(ctl_scan.command, *FEW, "--other-rates")
    assert refused.exit_code == 1
    assert "other rates cannot be tried: A01 in use" in refused.stderr


@pytest.mark.parametrize("units", ["0..5", "240..248", "a", "5..1", ""])
def test_addresses_that_are_none_are_wrong_usage(technician: Technician, units: str) -> None:
    done = technician.types(ctl_scan.command, "line", "--units", units)
    assert done.exit_code == 2
    assert "1 to 247" in done.stderr


def test_a_scan_that_is_interrupted_tells_what_it_has_found(technician: Technician) -> None:
    asked, call = [], technician.call

    def interrupted(method: str, **params: object) -> object:
        asked.append(method)
        if len(asked) > 6:
            raise KeyboardInterrupt
        return call(method, **params)

    technician.call = interrupted  # type: ignore[method-assign]  # as whoever presses Ctrl-C
    done = technician.types(ctl_scan.command, *FEW, columns=200)
    assert done.exit_code == 1
    assert done.stdout.startswith("line: the scan ended before it was through (it was ended by hand)")
    assert "11 meter1: as configured" in done.stdout


def test_every_cause_is_told_in_words() -> None:
    assert set(ctl_scan.CAUSES) == set(ScanCause)


def test_a_gateway_is_not_kept_busy_with_silent_addresses_while_ports_charge() -> None:
    line: dict[str, Json] = {"kind": "tcp", "in_use": ["A01"], "line": "10.0.0.1:502", "connected": True}
    with pytest.raises(ControlFailure, match="each silent address keeps the gateway"):
        ctl_scan._wanted(line, (1,), None, None, None)  # noqa: SLF001 - what is possible


# read


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_registers_are_read_by_address_by_kind_and_by_quantity(technician: Technician, columns: int) -> None:
    done = technician.types(
        ctl_registers.read_command, "meter1", "0x48..0x49", "power", "--as", "f32", columns=columns
    )
    assert done.exit_code == 0, done.output
    assert every(len(line) <= columns for line in done.stdout.splitlines())
    said = " ".join(done.stdout.split())
    assert said == "input register 0x0048: 12.34 (4145 70A4) power: 140 W (input register 0x000C, f32)"
    bits = technician.types(ctl_registers.read_command, "line:1", "c:0..15", columns=columns)
    assert bits.stdout.splitlines()[:2] == ["coil 0x0000: off", "coil 0x0001: off"]


def test_what_a_register_may_mean_is_shown_in_all_ways_and_the_frames_beside(technician: Technician) -> None:
    done = technician.types(ctl_registers.read_command, "meter1", "0..1", "--as", "all", "--raw", columns=200)
    assert "input register 0x0000: 4366 0000" in done.stdout
    assert "  as f32: 230\n" in done.stdout
    assert "  as u16: 17254, 0\n" in done.stdout
    assert "sent 0b04000000027161\ncame 0b040443660000a41f in 23.4 ms" in done.stdout
    told = technician.types(ctl_registers.read_command, "meter1", "0..1", "--as", "f32", "--json")
    assert json.loads(told.stdout)["typed"] == [230.0]


def test_what_is_no_register_is_wrong_usage(technician: Technician) -> None:
    for words in (("meter1", "0x1_0"), ("meter1", "5..1"), ("meter1", "70000"), ("line:0", "1"), ("line:x", "1")):
        done = technician.types(ctl_registers.read_command, *words)
        assert done.exit_code == 2, words


def test_a_wide_range_is_read_in_pieces_that_keep_nobody_waiting(technician: Technician) -> None:
    scripted(
        technician,
        lambda request, _replies: [
            (0.006, frame((request[:2] + bytes([2 * request[5], *([0] * 2 * request[5])])).hex()))
        ],
    )
    done = technician.types(ctl_registers.read_command, "meter1", "0..69", "--as", "f32", "--json")
    assert [params["count"] for _method, params in technician.asked] == [32, 32, 6]
    assert [len(json.loads(line)["typed"]) for line in done.stdout.splitlines()] == [16, 16, 3]


# write


def test_a_write_asks_first_and_says_what_is_there_now(
    technician: Technician, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {0x12: 5}

    def script(request: bytes, replies: list[tuple[float, bytes]]) -> Reply:
        function, address, number = struct.unpack(">BHH", request[1:6])
        if request[0] != FIRST_METER or function not in {3, 6} or address not in held:
            return replies
        if function == 6:
            held[address] = number
            return [(0.006, request)]
        return [(0.006, frame(f"0b0302{held[address]:04x}"))]

    scripted(technician, script)
    monkeypatch.setattr(ctl_registers, "somebody_is_there", lambda: True)
    words = ("meter1", "0x12", "9")
    refused = technician.types(ctl_registers.write_command, *words, input="n\n")
    assert refused.exit_code == 1
    assert held[0x12] == 5
    done = technician.types(ctl_registers.write_command, *words, input="y\n")
    assert "Write 9 (0x0009) to register 0x0012 of meter1? (it holds 5 (0x0005) now)" in done.stderr
    assert (done.exit_code, done.stdout) == (0, "meter1: 0x0012 holds 9 (0x0009) now\n")
    told = technician.types(ctl_registers.write_command, *words, "--yes", "--json")
    assert {name: json.loads(told.stdout)[name] for name in ("before", "after", "values")} == {
        "before": [9],
        "after": [9],
        "values": [9],
    }


def test_nothing_is_written_where_nobody_can_be_asked(technician: Technician) -> None:
    done = technician.types(ctl_registers.write_command, "meter1", "0x12", "9")
    assert done.exit_code == 2
    assert "say --yes" in done.stderr
    assert not technician.asked


def test_a_write_to_a_board_in_use_is_refused_in_words(technician: Technician) -> None:
    technician.view("A02", relay_closed=True, state=PortState.CHARGING)
    done = technician.types(ctl_registers.write_command, "relay", "c:1", "off", "--yes")
    assert done.exit_code == 1
    assert "relay serves A02, and A02 is charging: nothing is written to a board of a port in use" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("meter1", "current", "1"),
        ("meter1", "i:0", "1"),
        ("meter1", "0..1", "1"),
        ("meter1", "0", "70000"),
        ("meter1", "0", "nan", "--as", "f32"),
        ("relay", "c:0", "perhaps"),
    ],
)
def test_what_cannot_be_written_is_wrong_usage(technician: Technician, words: tuple[str, ...]) -> None:
    assert technician.types(ctl_registers.write_command, *words, "--yes").exit_code == 2


def test_values_are_put_into_words_in_either_order() -> None:
    assert registers("2.0", "f32", "big") == [0x4000, 0]
    assert registers("2.0", "f32", "little") == [0, 0x4000]
    assert registers("-1", "i16", "big") == [0xFFFF]
    assert value([0, 0x4000], "f32", "little") == 2.0
    assert value([0xFFFF], "i16", "big") == -1
    assert (switch("ON"), switch("0")) == (0xFF00, 0)
    assert [plain(number) for number in (3, 2.5, 4.0, float("nan"), float("inf"))] == [
        "3",
        "2.5",
        "4",
        "nan",
        "inf",
    ]
    assert where("h:0x10..0x1f").count == 16
    assert place_of("line-a:17") == {"bus": "line-a", "unit": 17}
    assert spans([3, 1, 2, 7]) == "1..3, 7"


# trace


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_frames_go_by_decoded_with_their_bytes(technician: Technician, columns: int) -> None:
    done = technician.types(ctl_trace.command, "line", "--board", "meter1", "--count", "2", columns=columns)
    assert done.exit_code == 0, done.output
    assert every(len(line) <= columns for line in done.stdout.splitlines())
    said = " ".join(done.stdout.split())
    assert "meter1 read 2 input registers at 0x0006: 3f80 0000" in said
    assert "> 0b 04 00 06 00 02 91 60 < 0b 04 04 3f 80 00 00" in said


def test_what_goes_wrong_is_shown_alone(technician: Technician) -> None:
    scripted(technician, lambda request, replies: [(0.006, b"\x0c\x00")] if request[0] == 12 else replies)
    done = technician.types(ctl_trace.command, "line", "--errors", "--count", "1", columns=200)
    assert "meter2 read 2 input registers at 0x0006: no sound answer" in done.stdout
    assert "< 0c 00" in done.stdout
    unknown = technician.types(ctl_trace.command, "line", "--board", "meter9")
    assert unknown.exit_code == 2
    assert "it has relay, meter1, meter2, meter3" in unknown.stderr


def test_a_capture_says_itself_what_it_is(technician: Technician, tmp_path: Path) -> None:
    file = tmp_path / "line.pcap"
    done = technician.types(ctl_trace.command, "line", "--board", "11", "--count", "1", "--pcap", str(file))
    assert "1 transactions written" in done.stderr
    data = file.read_bytes()
    assert struct.unpack("<IHHiIII", data[:24]) == (0xA1B2C3D4, 2, 4, 0, 0, 65535, 252)
    packets, place = [], 24
    while place < len(data):
        (size,) = struct.unpack("<I", data[place + 8 : place + 12])
        packets.append(data[place + 16 : place + 16 + size])
        place += 16 + size
    assert [packet[4:9] for packet in packets] == [b"mbrtu"] * 2
    assert [struct.unpack(">I", packet[24:28])[0] for packet in packets] == [0, 502]
    assert packets[0].endswith(bytes.fromhex("0b04000600029160"))


def test_a_refusal_is_told_with_what_it_means(technician: Technician) -> None:
    scripted(technician, lambda request, replies: [(0.006, frame("0c8402"))] if request[0] == 12 else replies)
    done = technician.types(ctl_trace.command, "line", "--errors", "--count", "1", columns=200)
    assert "at 0x0006: exception 2, it has no such address" in done.stdout


def test_over_modbus_tcp_an_answer_is_shown_as_on_a_line() -> None:
    body = bytes.fromhex("0b0402001e")
    told = {
        "at_s": 1.0,
        "wall_ms": 1_700_000_000_123,
        "board": None,
        "unit": 11,
        "request": frame("0b0400060001").hex(),
        "heard": (b"\0\7\0\0\0\5" + body).hex(),
        "stray": "ff",
        "result": "answer",
        "took_ms": 2.0,
        "urgent": True,
        "by_hand": False,
    }
    first, *rest = ctl_trace.lines(told, with_hex=False)
    assert first.endswith("2.0 ms !unit 11 read 1 input registers at 0x0006: 001e")
    assert rest == ["    ? ff came by itself before"]
    assert [packet[-len(frame(body.hex())) :] for packet in ctl_trace.packets(told)][1] == frame(body.hex())


def test_the_units_of_the_bench_are_those_of_the_site() -> None:
    assert {1, FIRST_METER} <= UNITS


def test_buses_and_boards_are_completed_from_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        def __init__(self, _path: Path, timeout: float) -> None:
            assert timeout == 1.0

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_why: object) -> None:
            """Nothing is open."""

        def call(self, _method: str) -> Any:
            return {"buses": [{"bus": "line-a", "boards": [{"board": "meter-a1"}, {"board": "relay-a"}]}]}

    monkeypatch.setattr(ctl_lines, "ControlClient", Client)
    context = click.Context(click.Command("scan"))
    param = click.Argument(["bus"])

    def completed(kind: str, begun: str) -> list[str]:
        complete = ctl_lines.completing(kind, lambda: Path("socket"))
        return [item.value for item in complete(context, param, begun)]

    assert completed("bus", "LI") == ["line-a"]
    assert completed("board", "m") == ["meter-a1"]
    monkeypatch.setattr(Client, "call", lambda _self, _method: (_ for _ in ()).throw(ControlFailure("gone")))
    assert completed("bus", "") == []
