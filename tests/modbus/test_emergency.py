"""Opening every relay from the list, with no daemon there."""

import json
import threading
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from chargerd.config.loader import load_text
from chargerd.config.site import Site
from chargerd.core.clock import Clock
from chargerd.core.events import RelayReadBack
from chargerd.core.units import Seconds
from chargerd.modbus import emergency
from chargerd.modbus.board import RelayBoard
from chargerd.modbus.connector import connector
from chargerd.modbus.emergency import Openings, open_relays, read_list
from chargerd.modbus.frames import Request
from chargerd.modbus.lines import LineGone, LineSettings
from chargerd.modbus.relay_list import listed, write_relays_file
from chargerd.modbus.wire import Answered, Counters, Failed, RtuWire, Wire
from tests.config.sites import shipped
from tests.logs import capture_logs
from tests.modbus.kit import Boards, VirtualClock, frame, site
from tests.modbus.live import CLOCK, LiveBus, PtySlave, wait
from tests.patience import PATIENCE_S

SITE = """\
gateway: {id: test}
buses:
  one: {serial: /dev/null, baudrate: 9600}
  two: {tcp: "127.0.0.1:502"}
  three: {serial: /dev/zero}
boards:
  relay-a: {bus: one, address: 1, profile: waveshare-relay-8}
  relay-b: {bus: two, address: 9, profile: waveshare-relay-8}
  meter-a: {bus: three, address: 11, profile: eastron-sdm120}
  meter-b: {bus: three, address: 12, profile: eastron-sdm120}
circuits: {shed: {}}
ports:
  - {id: A01, relay: relay-a/3, meter: meter-a, circuit: shed}
  - {id: B01, relay: relay-b/1, meter: meter-b, circuit: shed}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relays.json"


@pytest.fixture
def tty(tmp_path: Path) -> Path:
    return tmp_path / "tty"


@pytest.fixture
def own_site(tty: Path) -> Site:
    return site(3, tty=tty)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emergency, "RETRY_AFTER", Seconds(0.01))


class Relays:
    """A relay board that takes what it is told and shows it, but for what is asked of it otherwise."""

    def __init__(self) -> None:
        self.boards = Boards(VirtualClock())
        self.boards.lapses = dict.fromkeys(range(3), 1e12)
        self.answers: dict[bytes, Iterator[bytes]] = {}
        """What is said to a request instead, one time after the other."""

    def __call__(self, request: bytes) -> bytes:
        own = self.answers.get(request)
        instead = None if own is None else next(own, None)
        if instead is not None:
            return instead
        return b"".join(data for _at, data in self.boards.script(request))

    def closed(self) -> list[int]:
        return [channel for channel in range(3) if self.boards.closed(channel)]


def opening(channel: int) -> bytes:
    return frame(f"01 05 00 0{channel} 00 00")


READ = frame("01 01 00 00 00 10")


def slave(tty: Path, script: Callable[[bytes], bytes]) -> PtySlave:
    return PtySlave(tty, lambda request: [(0.004, script(request))])


def test_the_list_says_what_to_send_where_and_what_to_read(path: Path) -> None:
    write_relays_file(load_text(SITE, "test"), path)
    lines = json.loads(path.read_text())["lines"]
    told = {
        line["bus"]["serial"] or line["bus"]["tcp"]: [
            (relay["port"], relay["unit"], relay["pdu"], relay["read_back"]["pdu"], relay["read_back"]["place"])
            for relay in line["relays"]
        ]
        for line in lines
    }
    assert told == {
        "/dev/null": [("A01", 1, "0500020000", "0100000008", 2)],
        "127.0.0.1:502": [("B01", 9, "0500000000", "0100000008", 0)],
    }


def test_every_shipped_relay_board_is_listed_with_its_own_cut_off_and_read_back(path: Path) -> None:
    for name, profile in shipped().items():
        if profile.relay is None:
            continue
        write_relays_file(load_text(SITE.replace("waveshare-relay-8", name), "test"), path)
        (relay, *_more) = read_list(path)[0].relays
        board = RelayBoard(1, profile.relay)
        assert relay.pdu == board.open(3).pdu
        assert relay.silence * 1000 == profile.timing.pre_silence_ms
        assert relay.read_back is not None
        assert (relay.read_back.pdu, relay.read_back.reply_size) == (board.read().pdu, board.read().reply_size)


def test_a_new_list_replaces_the_old_one_in_one_step(path: Path, own_site: Site) -> None:
    path.write_text("old")
    write_relays_file(own_site, path)
    assert read_list(path)
    assert list(path.parent.iterdir()) == [path]


def test_what_another_configuration_had_wired_stays_on_the_list(path: Path) -> None:
    """Each relay once where both say the same; both ways where they differ."""
    before, now = load_text(SITE, "test"), load_text(SITE.replace("relay-a/3", "relay-a/4"), "test")
    assert listed(path) == ()
    write_relays_file(before, path)
    write_relays_file(now, path, beside=listed(path))
    told = [
        (line["bus"]["serial"], relay["port"], relay["pdu"]) for line in listed(path) for relay in line["relays"]
    ]
    assert told == [
        ("/dev/null", "A01", "0500030000"),
        (None, "B01", "0500000000"),
        ("/dev/null", "A01", "0500020000"),
    ]
    write_relays_file(now, path, beside=listed(path))
    assert len(listed(path)) == 3, "and once only, however often that is written"
    write_relays_file(now, path)
    assert len(listed(path)) == 2
    path.write_text("{")
    assert listed(path) == ()


def test_a_line_that_is_listed_twice_is_open_once_at_a_time(
    path: Path, tty: Path, own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    relays, opened, at_once = Relays(), [0], [0]

    def counted(*given: Any) -> Callable[[Counters], Wire]:
        make = connector(*given)

        def made(counters: Counters) -> Wire:
            wire, opened[0] = make(counters), opened[0] + 1
            at_once[0] = max(at_once[0], opened[0])
            close = wire.close

            def closed() -> None:
                opened[0] -= 1
                close()

            monkeypatch.setattr(wire, "close", closed)
            return wire

        return made

    monkeypatch.setattr(emergency, "connector", counted)
    write_relays_file(own_site, path)
    faster = json.loads(path.read_text())["lines"][0]
    faster["bus"]["baudrate"] = 19200
    write_relays_file(own_site, path, beside=[faster])
    assert len(listed(path)) == 2
    with slave(tty, relays):
        assert open_relays(path, CLOCK) == ()
    assert (at_once, opened, relays.closed()) == ([1], [0], [])


def test_a_line_that_was_handed_over_while_it_was_waited_for_is_left_alone(path: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    twice = [*read_list(path), *read_list(path)]
    openings = Openings(twice, CLOCK)
    turn = openings._lines[0]._turn  # noqa: SLF001 - whoever holds it has the line
    with turn:
        openings.start()
        openings._over.set()  # noqa: SLF001 - as `hand_over` does first of all
    assert len(openings.hand_over(Seconds(PATIENCE_S))) == 6


def test_every_relay_is_opened_and_then_read_back(path: Path, tty: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    boards = Relays()
    with slave(tty, boards) as far:
        assert open_relays(path, CLOCK) == ()
        assert far.requests == [READ, *map(opening, range(3)), READ]
    assert boards.closed() == []


def test_a_list_of_before_read_backs_is_sent_all_the_same_and_confirms_nothing(
    path: Path, tty: Path, own_site: Site
) -> None:
    write_relays_file(own_site, path)
    told = json.loads(path.read_text())
    del told["lines"][0]["bus"]["echo"]
    for relay in told["lines"][0]["relays"]:
        del relay["read_back"], relay["silence_s"]
    path.write_text(json.dumps(told))
    boards = Relays()
    with slave(tty, boards):
        assert open_relays(path, CLOCK) == ("A01", "A02", "A03")
    assert boards.closed() == []


def test_an_adapter_that_hears_itself_confirms_no_opening_of_a_dead_board(
    path: Path, tty: Path, own_site: Site
) -> None:
    write_relays_file(own_site, path)
    with slave(tty, lambda request: request) as far:
        assert set(open_relays(path, CLOCK)) == {"A01", "A02", "A03"}
        assert {opening(channel) for channel in range(3)} <= set(far.requests)


@pytest.mark.parametrize("echo", ["auto", "yes"])
def test_behind_an_adapter_that_hears_itself_relays_are_opened_and_read_back(
    path: Path, tty: Path, own_site: Site, echo: str
) -> None:
    write_relays_file(own_site, path)
    path.write_text(path.read_text().replace('"auto"', f'"{echo}"'))
    boards = Relays()
    with slave(tty, lambda request: request + boards(request)) as far:
        assert open_relays(path, CLOCK) == ()
        assert far.requests == [*([READ] if echo == "auto" else []), *map(opening, range(3)), READ]
    assert boards.closed() == []


def test_each_try_keeps_a_longer_silence_and_never_less_than_the_boards_own(
    path: Path, tty: Path, own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_relays_file(own_site, path)
    path.write_text(path.read_text().replace('"silence_s": 0.0', '"silence_s": 0.03'))
    kept: list[float] = []
    real = RtuWire.transact

    def transact(wire: RtuWire, request: Request, timeout: Seconds, **how: Any) -> Answered | Failed:
        kept.append(how["silence"])
        return real(wire, request, timeout, **how)

    monkeypatch.setattr(RtuWire, "transact", transact)
    with slave(tty, lambda _request: b""):
        open_relays(path, CLOCK)
    assert list(dict.fromkeys(kept)) == [0.03, 0.06]


def test_what_is_not_confirmed_is_sent_again_and_only_that(path: Path, tty: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    boards = Relays()
    boards.answers[opening(1)] = iter([b""])
    with slave(tty, boards) as far:
        assert open_relays(path, CLOCK) == ()
        assert far.requests == [READ, *map(opening, range(3)), READ, READ, opening(1), READ]


def test_a_dead_line_is_tried_as_often_as_is_said_and_one_with_a_lost_frame_goes_on(
    path: Path, tty: Path, own_site: Site
) -> None:
    write_relays_file(own_site, path)
    boards = Relays()
    boards.answers[READ] = repeat(b"")
    with slave(tty, boards) as far:
        assert set(open_relays(path, CLOCK, in_vain=1)) == {"A01", "A02", "A03"}
        assert far.requests.count(opening(0)) == 1
    boards = Relays()
    boards.answers[opening(1)] = iter([b""])
    with slave(tty, boards) as far:
        assert open_relays(path, CLOCK, in_vain=1) == ()
        assert far.requests.count(opening(1)) == 2


def test_a_relay_that_is_read_back_closed_is_named(path: Path, tty: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    boards = Relays()
    boards.boards.welded = {1}
    with slave(tty, boards):
        assert open_relays(path, CLOCK) == ("A02",)


@pytest.mark.parametrize("answer", [b"", frame("01 81 02"), frame("01 01 01 00")])
def test_an_echo_alone_confirms_nothing(path: Path, tty: Path, own_site: Site, answer: bytes) -> None:
    write_relays_file(own_site, path)
    boards = Relays()
    boards.answers[READ] = repeat(answer)
    with slave(tty, boards):
        assert set(open_relays(path, CLOCK)) == {"A01", "A02", "A03"}
    assert boards.closed() == []


def test_a_board_that_shows_fewer_relays_than_it_has_confirms_those_it_shows(
    path: Path, tty: Path, own_site: Site
) -> None:
    write_relays_file(own_site, path)
    told = json.loads(path.read_text())
    told["lines"][0]["relays"][2]["read_back"]["place"] = 16
    path.write_text(json.dumps(told))
    with slave(tty, Relays()):
        assert open_relays(path, CLOCK) == ("A03",)


def test_a_board_whose_states_are_registers_is_read_as_such(path: Path, tty: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    told = json.loads(path.read_text())
    for relay in told["lines"][0]["relays"]:
        relay["read_back"].update(pdu="0300000003", reply_size=8)
    path.write_text(json.dumps(told))
    boards = Relays()
    boards.answers[frame("01 03 00 00 00 03")] = repeat(frame("01 03 06 00 00 00 01 00 00"))
    with slave(tty, boards):
        assert open_relays(path, CLOCK) == ("A02",)


def test_whoever_never_confirms_is_named(path: Path, tty: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    boards = Relays()
    boards.answers = {opening(channel): repeat(opening(0)) for channel in (1, 2)}
    with slave(tty, boards):
        assert open_relays(path, CLOCK) == ("A02", "A03")


@pytest.mark.parametrize("answer", [b"", frame("01 85 04"), frame("01 05 00 01 00 00")])
def test_one_relay_a_board_does_not_open_keeps_none_of_its_others_closed(
    path: Path, tty: Path, own_site: Site, answer: bytes
) -> None:
    write_relays_file(own_site, path)
    boards = Relays()
    boards.answers[opening(0)] = repeat(answer)
    with slave(tty, boards):
        assert open_relays(path, CLOCK) == ("A01",)
    assert boards.closed() == [0]


def test_of_a_silent_board_two_relays_are_tried_at_a_time_and_all_in_the_end(
    path: Path, tty: Path, own_site: Site
) -> None:
    write_relays_file(own_site, path)
    with slave(tty, lambda _request: b"") as far:
        assert set(open_relays(path, CLOCK)) == {"A01", "A02", "A03"}
        assert [request[3] for request in far.requests if request[1] == 5] == [0, 1, 2, 0, 1, 2]


def test_a_line_that_is_free_a_little_later_is_found(
    path: Path, tty: Path, own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_relays_file(own_site, path)
    freed = threading.Event()

    def taken(settings: LineSettings, clock: Clock) -> Callable[[Counters], Wire]:
        connect = connector(settings, clock)

        def later(counters: Counters) -> Wire:
            if not freed.is_set():
                freed.set()
                raise LineGone("somebody else's")
            return connect(counters)

        return later

    monkeypatch.setattr(emergency, "connector", taken)
    boards = Relays()
    with slave(tty, boards):
        assert open_relays(path, CLOCK) == ()
    assert boards.closed() == []


def test_a_line_that_is_not_there_has_all_its_relays_named_and_its_reason_told_once(
    path: Path, tty: Path, own_site: Site
) -> None:
    write_relays_file(own_site, path)
    with capture_logs() as told:
        assert open_relays(path, CLOCK) == ("A01", "A02", "A03")
    (missing,) = [one for one in told if one["event"] == "line_missing"]
    assert missing["line"] == str(tty)
    assert "No such file" in missing["why"]


def test_a_line_that_goes_in_between_as_well(
    path: Path, tty: Path, own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_relays_file(own_site, path)

    def gone(*_arguments: object) -> bool:
        raise LineGone("pulled out")

    monkeypatch.setattr(emergency, "_open", gone)
    with slave(tty, Relays()):
        assert open_relays(path, CLOCK) == ("A01", "A02", "A03")


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"lines": [{}]}', '{"lines": [{"bus": [], "relays": [1]}]}', '{"lines": 3}']
)
def test_a_list_that_is_none_is_refused(path: Path, text: str) -> None:
    with pytest.raises(OSError, match="relays"):
        open_relays(path, CLOCK)
    path.write_text(text)
    with pytest.raises(ValueError, match="is no list of relays"):
        open_relays(path, CLOCK)


def test_a_line_without_relays_is_none(path: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    told = json.loads(path.read_text())
    told["lines"].append({**told["lines"][0], "relays": []})
    path.write_text(json.dumps(told))
    assert len(read_list(path)) == 1


def test_a_list_cut_short_at_any_place_is_refused_and_not_half_sent(path: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    whole = path.read_text()
    for size in range(0, len(whole), 7):
        path.write_text(whole[:size])
        with pytest.raises(ValueError, match="is no list of relays"):
            read_list(path)


def test_at_a_start_a_dead_line_keeps_no_other_waiting_and_is_tried_until_it_is_handed_over(
    path: Path, tty: Path, own_site: Site
) -> None:
    write_relays_file(own_site, path)
    told = json.loads(path.read_text())
    dead = json.loads(json.dumps(told["lines"][0]))
    dead["bus"]["serial"] = str(tty.with_name("dead"))
    told["lines"].insert(0, dead)
    path.write_text(json.dumps(told))
    boards = Relays()
    with slave(tty, boards), slave(tty.with_name("dead"), lambda _request: b"") as silent:
        openings = Openings(read_list(path), CLOCK)
        openings.start()
        wait(lambda: boards.closed() == [])
        assert openings.wait(Seconds(PATIENCE_S))
        wait(lambda: len(silent.requests) > 6)
        assert set(openings.hand_over(Seconds(PATIENCE_S))) == {"A01", "A02", "A03"}
        known = len(silent.requests)
        with LiveBus(own_site) as bus:  # The line is free for whoever comes next.
            bus.wait(RelayReadBack, port="A01", closed=False)
        assert len(silent.requests) == known


def test_whoever_is_to_hand_over_tells_no_further_relay(path: Path, tty: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    boards = Relays()
    asked = threading.Event()
    go_on = threading.Event()

    def slow(request: bytes) -> bytes:
        asked.set()
        go_on.wait(PATIENCE_S)
        return boards(request)

    with slave(tty, slow) as far:
        openings = Openings(read_list(path), CLOCK)
        openings.start()
        assert asked.wait(PATIENCE_S)
        assert not openings.wait(Seconds(0.0))
        assert openings.hand_over(Seconds(0.0)) == ("A01", "A02", "A03")
        go_on.set()
        openings.finish()
        assert len(far.requests) == 1


def test_the_list_keeps_how_a_line_is_driven(path: Path) -> None:
    one = "{serial: /dev/null, baudrate: 19200, parity: even, stopbits: 2, echo: yes}"
    write_relays_file(load_text(SITE.replace("{serial: /dev/null, baudrate: 9600}", one), "test"), path)
    settings = read_list(path)[0].settings
    assert (settings.serial, settings.baudrate) == ("/dev/null", 19200)
    assert (settings.parity, settings.stopbits, settings.echo) == ("even", 2, "yes")
