"""Opening every relay from the list, with no daemon there."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chargerd.config.loader import load_text
from chargerd.config.site import Site
from chargerd.core.units import Instant, Seconds
from chargerd.modbus import emergency
from chargerd.modbus.emergency import RelaysFile, open_relays, write_relays_file
from chargerd.modbus.lines import LineGone
from tests.modbus.kit import Boards, VirtualClock, frame, site
from tests.modbus.live import CLOCK, PtySlave

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


def slave(tty: Path, script: Callable[[bytes], bytes]) -> PtySlave:
    return PtySlave(tty, lambda request: [(0.004, script(request))])


def echo(request: bytes) -> bytes:
    return request


def test_the_list_says_what_to_send_where(path: Path) -> None:
    write_relays_file(load_text(SITE, "test"), path)
    lines = json.loads(path.read_text())["lines"]
    told = {
        line["bus"]["serial"] or line["bus"]["tcp"]: [
            (relay["port"], relay["unit"], relay["pdu"]) for relay in line["relays"]
        ]
        for line in lines
    }
    assert told == {"/dev/null": [("A01", 1, "0500020000")], "127.0.0.1:502": [("B01", 9, "0500000000")]}


def test_a_new_list_replaces_the_old_one_in_one_step(path: Path, own_site: Site) -> None:
    path.write_text("old")
    write_relays_file(own_site, path)
    assert RelaysFile.model_validate_json(path.read_text()).lines
    assert list(path.parent.iterdir()) == [path]


def test_every_relay_is_opened_and_confirmed(path: Path, tty: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    boards = Boards(VirtualClock())
    boards.lapses = dict.fromkeys(range(3), 1e12)
    with slave(tty, lambda request: b"".join(data for _at, data in boards.script(request))) as far:
        assert open_relays(path, CLOCK) == ()
        assert far.requests == [frame(f"01 05 00 0{channel} 00 00") for channel in range(3)]
    assert not any(boards.closed(channel) for channel in range(3))


def test_what_is_not_confirmed_is_sent_again_and_only_that(path: Path, tty: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    second = frame("01 05 00 01 00 00")
    lost = iter([True])
    with slave(tty, lambda request: b"" if request == second and next(lost, False) else request) as far:
        assert open_relays(path, CLOCK) == ()
        assert far.requests.count(second) == 2
        assert len(far.requests) == 4


def test_whoever_never_confirms_is_named(path: Path, tty: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    with slave(tty, lambda request: request if request[3] == 0 else frame("01 05 00 00 00 00")):
        assert open_relays(path, CLOCK) == ("A02", "A03")


@pytest.mark.parametrize("answer", [b"", frame("01 85 04"), frame("01 05 00 01 00 00")])
def test_one_relay_a_board_does_not_open_keeps_none_of_its_others_closed(
    path: Path, tty: Path, own_site: Site, answer: bytes
) -> None:
    write_relays_file(own_site, path)
    first = frame("01 05 00 00 00 00")
    with slave(tty, lambda request: answer if request == first else request):
        assert open_relays(path, CLOCK) == ("A01",)


def test_of_a_silent_board_two_relays_are_tried_at_a_time_and_all_in_the_end(
    path: Path, tty: Path, own_site: Site
) -> None:
    write_relays_file(own_site, path)
    with slave(tty, lambda _request: b"") as far:
        assert set(open_relays(path, CLOCK)) == {"A01", "A02", "A03"}
        assert [request[3] for request in far.requests] == [0, 1, 2, 0, 1, 2]


def test_a_line_that_is_free_a_little_later_is_found(path: Path, tty: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    far: list[PtySlave] = []

    class Clock(VirtualClock):
        def sleep(self, span: Seconds) -> None:
            if not far:
                far.append(slave(tty, echo))
                far[0].__enter__()
            CLOCK.sleep(span)

        def now(self) -> Instant:
            return CLOCK.now()

    try:
        assert open_relays(path, Clock()) == ()
    finally:
        far[0].__exit__()


def test_a_line_that_is_not_there_has_all_its_relays_named(path: Path, own_site: Site) -> None:
    write_relays_file(own_site, path)
    assert open_relays(path, CLOCK) == ("A01", "A02", "A03")


def test_a_line_that_goes_in_between_as_well(
    path: Path, tty: Path, own_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_relays_file(own_site, path)

    def gone(*_arguments: object) -> bool:
        raise LineGone("pulled out")

    monkeypatch.setattr(emergency, "_open", gone)
    with slave(tty, echo):
        assert open_relays(path, CLOCK) == ("A01", "A02", "A03")


def test_a_list_that_is_none_is_refused(path: Path) -> None:
    with pytest.raises(OSError, match="relays"):
        open_relays(path, CLOCK)
    path.write_text('{"lines": [{}]}')
    with pytest.raises(ValueError, match="is no list of relays"):
        open_relays(path, CLOCK)
