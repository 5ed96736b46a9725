"""`line`, `probe`, `read`, `write` and `trace` on the virtual line, as the control socket hands them over."""

import pytest

from chargerd.config.loader import load_text
from chargerd.control.client import ControlFailure
from chargerd.control.methods import BadParams
from chargerd.core.view import PortState
from chargerd.runtime.local.line_requests import MOST_WAITING
from tests.modbus.kit import FIRST_METER, Bench, Reply, frame, site
from tests.modbus.kit import SITE as SITE_TEXT
from tests.runtime.technician import Technician

SITE = site(3)
NOWHERE = 99


@pytest.fixture
def technician(monkeypatch: pytest.MonkeyPatch) -> Technician:
    bench = Bench(monkeypatch, SITE)
    plain = bench.boards.script

    def script(request: bytes) -> Reply:
        if request[0] == NOWHERE:
            return []
        if request[1] in {6, 16}:
            return [(0.006, frame(bytes([request[0], request[1] | 0x80, 1]).hex()))]
        return plain(request)

    bench.line.script = script
    bench.run(6.0)
    return Technician(bench, SITE)


def failure(technician: Technician, method: str, **params: object) -> ControlFailure:
    with pytest.raises(ControlFailure) as caught:
        technician.call(method, **params)
    return caught.value


def test_a_line_is_described_with_who_uses_it(technician: Technician) -> None:
    told = technician.call("line", bus="line")
    assert (told["kind"], told["baudrate"], told["parity"], told["connected"]) == ("serial", 9600, "none", True)
    assert told["boards"][0] == {"board": "relay", "address": 1, "profile": "waveshare-relay-16"}
    assert told["in_use"] == []
    technician.view("A02", relay_closed=True, state=PortState.CHARGING)
    assert technician.call("line", bus="line")["in_use"] == ["A02"]
    assert "the buses are line" in failure(technician, "line", bus="other").hint


def test_registers_bits_and_quantities_are_read(technician: Technician) -> None:
    words = technician.call("read", board="meter1", address=0x48, count=2)
    assert (words["function"], words["values"]) == (4, [0x4145, 0x70A4])
    assert words["request"] == "0b0400480002f177"
    assert words["heard"].startswith("0b0404414570a4")
    bits = technician.call("read", board="relay", address=0, count=16)
    assert (bits["function"], bits["values"]) == (1, [False] * 16)
    power = technician.call("read", board="meter2", quantity="power")
    assert (power["value"], power["address"], power["type"]) == (140.0, 0x0C, "f32")
    assert technician.call("read", bus="line", unit=12, address=0, count=2, function=4)["board"] == "meter2"


def test_why_there_is_no_answer_is_told_apart(technician: Technician) -> None:
    assert failure(technician, "read", bus="line", unit=NOWHERE, address=0).code == "no_answer"
    refused = failure(technician, "write", board="meter1", function=6, address=0, values=[1])
    assert (refused.code, str(refused)) == (
        "refused",
        "meter1 refuses: it does not know this function (exception 1)",
    )
    technician.bench.line.script = lambda _request: [(0.01, b"\x00\x01\x02")]
    corrupt = failure(technician, "read", board="meter1", address=0)
    assert corrupt.code == "corrupt"
    assert "00 01 02" in str(corrupt)
    technician.bench.unplug()
    technician.bench.run(2.0)
    assert failure(technician, "read", board="meter1", address=0).code == "not_sent"
    assert failure(technician, "read", board="meter1", quantity="temperature").code == "unsupported"
    assert failure(technician, "read", board="other", address=0).code == "unknown_board"


def test_a_relay_is_looked_at_as_soon_as_it_was_written_to(technician: Technician) -> None:
    technician.bench.forget()
    told = technician.call("write", board="relay", function=5, address=0x200, values=[20])
    assert (told["address"], told["values"]) == (0x200, [20])
    technician.bench.turns(1)
    assert [data[:2] for data in technician.bench.line.requests[-2:]] == [b"\x01\x05", b"\x01\x01"]


def test_what_must_not_be_written_does_not_go_out(technician: Technician) -> None:
    technician.view("A02", relay_closed=True, state=PortState.CHARGING)
    technician.bench.forget()
    told = failure(technician, "write", board="relay", function=5, address=0, values=[0])
    assert told.code == "not_allowed"
    assert "A02 is charging" in str(told)
    assert [data for data in technician.bench.line.requests if data[1] == 5] == []


def test_a_port_that_begins_while_a_write_waits_keeps_it_from_going_out(technician: Technician) -> None:
    technician.bench.forget()
    answers = technician.ask("write", board="relay", function=5, address=0, values=[0])
    technician.view("A01", relay_closed=None, state=PortState.STARTING)
    technician.bench.run(3.0)
    assert answers.failure is not None
    assert "relay is not read" in str(answers.failure)
    assert [data for data in technician.bench.line.requests if data[1] == 5] == []


def test_other_rates_are_refused_while_a_port_of_the_line_has_a_session(technician: Technician) -> None:
    asked = {"bus": "line", "unit": NOWHERE, "function": 3, "address": 0, "count": 1, "baudrate": 19200}
    assert technician.call("probe", **asked)["why_not"] is None
    technician.view("A03", relay_closed=True, state=PortState.CHARGING)
    assert technician.call("probe", **asked)["why_not"] == "A03 is charging"
    del asked["baudrate"]
    assert technician.call("probe", **asked)["why_not"] is None


def test_a_gateway_is_not_kept_busy_while_a_port_behind_it_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    text = SITE_TEXT.format(tty="X", ports=1, last=FIRST_METER, meter="eastron-sdm120")
    behind = load_text(text.replace("serial: X, baudrate: 9600", 'tcp: "10.0.0.2:502"'), "test")
    technician = Technician(Bench(monkeypatch, behind), behind)
    assert technician.call("line", bus="line")["kind"] == "tcp"
    asked = {"bus": "line", "unit": NOWHERE, "function": 3, "address": 0, "count": 1}
    technician.bench.line.script = lambda _request: []
    assert technician.call("probe", **asked)["why_not"] is None
    technician.view("A01", relay_closed=True, state=PortState.CHARGING)
    assert technician.call("probe", **asked)["why_not"] == "A01 is charging"


def test_a_silent_unit_behind_a_gateway_is_neither_read_nor_written_while_a_port_is_in_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = SITE_TEXT.format(tty="X", ports=1, last=FIRST_METER, meter="eastron-sdm120")
    behind = load_text(text.replace("serial: X, baudrate: 9600", 'tcp: "10.0.0.2:502"'), "test")
    technician = Technician(Bench(monkeypatch, behind), behind)
    technician.bench.line.script = lambda _request: []
    assert failure(technician, "read", bus="line", unit=NOWHERE, address=0).code == "no_answer"
    technician.view("A01", relay_closed=True, state=PortState.CHARGING)
    technician.bench.forget()
    read = failure(technician, "read", bus="line", unit=NOWHERE, address=0)
    written = failure(technician, "write", bus="line", unit=NOWHERE, function=5, address=0, values=[0xFF00])
    assert (read.code, written.code) == ("not_sent", "not_allowed")
    assert "A01 is charging, and a gateway that waits" in str(read)
    technician.bench.run(5.0)
    assert technician.bench.bus.lost_boards()
    lost = failure(technician, "read", board="meter1", quantity="power")
    assert "a gateway that waits" in str(lost)
    assert NOWHERE not in [data[6] for data in technician.bench.line.requests]


def test_a_line_is_in_use_that_hears_of_smoke_for_a_port_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """\
gateway: {id: test}
buses: {line: {serial: /dev/x, baudrate: 9600}, other: {serial: /dev/y, baudrate: 9600}}
boards:
  relay: {bus: other, address: 1, profile: waveshare-relay-16}
  meter1: {bus: other, address: 11, profile: eastron-sdm120}
  io: {bus: line, address: 2, profile: waveshare-relay-8-d}
circuits: {shed: {}}
inputs: {smoke: {input: io/1, kind: smoke, circuit: shed}}
ports: [{id: A01, relay: relay/1, meter: meter1, circuit: shed}]
"""
    apart = load_text(text, "test")
    technician = Technician(Bench(monkeypatch, site(1)), apart)
    technician.view("A01", relay_closed=True, state=PortState.CHARGING)
    assert technician.call("line", bus="line")["in_use"] == ["A01"]
    asked = {"bus": "line", "unit": NOWHERE, "function": 3, "address": 0, "count": 1, "baudrate": 1200}
    assert technician.call("probe", **asked)["why_not"] == "A01 is charging"


def test_whoever_has_gone_has_nothing_sent_for_them(technician: Technician) -> None:
    technician.bench.forget()
    answers = technician.ask("probe", bus="line", unit=NOWHERE, function=3, address=0, count=1)
    answers.closed = True
    technician.bench.run(3.0)
    assert NOWHERE not in [data[0] for data in technician.bench.line.requests]


def test_no_more_wait_than_a_line_can_bear(technician: Technician) -> None:
    asked = {"bus": "line", "unit": FIRST_METER, "function": 3, "address": 0, "count": 1}
    answers = [technician.ask("probe", **asked) for _number in range(MOST_WAITING + 1)]
    assert answers[-1].failure is not None
    assert answers[-1].failure.code == "busy"
    technician.bench.run(20.0)
    assert technician.call("probe", **asked)


def test_frames_are_shown_as_they_go_by_until_nobody_looks(technician: Technician) -> None:
    answers = technician.ask("trace", bus="line", unit=FIRST_METER)
    technician.bench.run(6.0)
    begun, *frames = answers.results
    assert begun["bus"] == "line"
    assert {one["unit"] for one in frames} == {FIRST_METER}
    assert {one["result"] for one in frames} == {"answer"}
    errors = technician.ask("trace", bus="line", errors=True)
    technician.bench.boards.silent.add(FIRST_METER + 1)
    technician.bench.run(8.0)
    assert {(one["board"], one["result"]) for one in list(errors.results)[1:]} == {("meter2", "timeout")}
    answers.closed = errors.closed = True
    technician.bench.run(6.0)
    assert not technician.bench.bus.tracers


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("read", {"board": "meter1"}),
        ("read", {"board": "meter1", "address": 0, "quantity": "power"}),
        ("read", {"address": 0}),
        ("read", {"bus": "line", "address": 0}),
        ("read", {"board": "meter1", "bus": "line", "unit": 1, "address": 0}),
        ("read", {"board": "meter1", "address": 0x1_0000}),
        ("write", {"board": "meter1", "function": 3, "address": 0, "values": [1]}),
        ("write", {"board": "meter1", "function": 6, "address": 0, "values": []}),
        ("write", {"bus": "line", "unit": 0, "function": 6, "address": 0, "values": [1]}),
        ("probe", {"bus": "line", "unit": 248, "function": 3, "address": 0, "count": 1}),
        ("probe", {"bus": "line", "unit": 1, "function": 5, "address": 0, "count": 1}),
    ],
)
def test_what_is_not_to_be_asked_is_refused_at_the_door(
    technician: Technician, method: str, params: dict[str, object]
) -> None:
    with pytest.raises(BadParams):
        technician.ask(method, **params)


def test_one_value_is_written_with_the_functions_that_write_one(technician: Technician) -> None:
    assert failure(technician, "write", board="meter1", function=6, address=0, values=[1, 2]).code == "malformed"
    assert (
        failure(technician, "write", board="meter1", function=16, address=0xFFFF, values=[1, 2]).code
        == "malformed"
    )
