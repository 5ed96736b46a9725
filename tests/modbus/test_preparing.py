"""What a board must be told before it is used: set, verified, said if it fails, and never in an opening's way."""

import pytest

from chargerd.config.loader import load_text
from chargerd.config.profiles.models import RelaySection, Setting
from chargerd.config.site import Site
from chargerd.core.commands import CloseRelay, OpenRelay, ReadRelay
from chargerd.core.events import (
    BoardBack,
    BoardLost,
    BoardPrepared,
    PreparationFailed,
    RelayAction,
    RelayReadBack,
    RelayWritten,
)
from chargerd.core.units import BoardId, Instant, PortId, Seconds
from chargerd.modbus.board import RelayBoard
from chargerd.modbus.diagnosis import Cause, Finding
from chargerd.modbus.preparing import Preparing
from chargerd.sim.boards import BoardSim
from chargerd.sim.parts import Relay
from tests.judging import every
from tests.logs import capture_logs
from tests.modbus.kit import SILENCE, TURNAROUND, Bench, Reply, crc

A01 = PortId("A01")
RELAY = BoardId("relay")
SITE = """\
gateway: {id: test}
buses: {line: {serial: /dev/null, stopbits: 2}}
boards:
  relay: {bus: line, address: 1, profile: wirenboard-mr6c}
  meter: {bus: line, address: 11, profile: eastron-sdm120}
circuits: {shed: {}}
ports: [{id: A01, relay: relay/1, meter: meter, circuit: shed}]
"""
POLL_TIMEOUT = 8
TRIGGER, TIMERS, CURTAINS = 19, range(1760, 1766), range(1280, 1283)
GOOD = {
    **dict.fromkeys(range(930, 936), 0),
    **dict.fromkeys(range(938, 944), 1),
    6: 0,
    POLL_TIMEOUT: 6,
    TRIGGER: 0,
    **dict.fromkeys(range(9, 15), 3),
    16: 2,
    5: 0,
    **dict.fromkeys(TIMERS, 0),
    **dict.fromkeys(CURTAINS, 0),
}


class Prepared(Bench):
    """A bus with a board that comes out of its box with every setting wrong."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
        super().__init__(monkeypatch, site)
        self.board = BoardSim(site.boards[RELAY], [Relay() for _ in range(6)], [])
        self.refused: set[int] = set()
        """Registers that the board does not know."""
        self.forgets = False
        meters = self.boards.script

        def script(request: bytes) -> Reply:
            if request[0] != 1:
                return meters(request)
            reply = self._relay(request[1:-2])
            frame = b"" if reply is None else bytes([1]) + reply
            return [(SILENCE + TURNAROUND, frame + crc(frame))] if frame else []

        self.line.script = script

    def _relay(self, pdu: bytes) -> bytes | None:
        address = int.from_bytes(pdu[1:3], "big")
        if address in self.refused and pdu[0] in {3, 6}:
            return bytes([pdu[0] | 0x80, 2])
        before = dict(self.board.settings)
        reply = self.board.answer(pdu, self.clock.now())
        if self.forgets:
            self.board.settings.update(before)
        return reply

    @property
    def settings(self) -> dict[int, int]:
        return {address: value for (_function, address), value in self.board.settings.items()}

    @property
    def writes(self) -> list[int]:
        return [int.from_bytes(sent[2:4], "big") for sent in self.line.requests if sent[:2] == b"\x01\x06"]

    def close(self) -> None:
        not_after = Instant(self.clock.time + 3)
        self.bus.execute(CloseRelay(port=A01, lease=None, not_after=not_after))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Prepared:
    return Prepared(monkeypatch, load_text(SITE, "test"))


def test_a_board_is_set_and_read_again_before_it_is_used(bench: Prepared) -> None:
    assert bench.bus.unprepared_boards() == (RELAY,)
    with capture_logs() as logs:
        bench.run(2.0)
    assert bench.settings == GOOD
    assert bench.bus.unprepared_boards() == ()
    assert [event.board for event in bench.told(BoardPrepared)] == [RELAY]
    assert [entry["event"] for entry in logs if "prepared" in entry["event"]] == ["board_prepared"]
    own = [sent for sent in bench.line.requests if sent[0] == 1]
    first_use = next(index for index, sent in enumerate(own) if sent[1] == 2)
    assert every(sent[1] in {3, 6} for sent in own[:first_use])
    assert own[first_use - 1][1] == 3, "what was written last has been read again"
    assert bench.told(RelayReadBack)


def test_nothing_is_closed_before_the_dead_man_is_set(bench: Prepared) -> None:
    bench.close()
    bench.run(2.0)
    closings = [index for index, sent in enumerate(bench.line.requests) if sent[1] == 5]
    writes = [index for index, sent in enumerate(bench.line.requests) if sent[:2] == b"\x01\x06"]
    assert len(closings) == 1
    assert max(writes) < closings[0]
    assert bench.told(RelayWritten)


def test_what_is_right_already_is_only_read(bench: Prepared) -> None:
    bench.board.settings.update({(6, address): value for address, value in GOOD.items()})
    bench.run(2.0)
    assert bench.writes == []
    assert bench.bus.unprepared_boards() == ()


def test_an_opening_waits_for_one_transaction_of_it_only(bench: Prepared) -> None:
    bench.turns(3)
    bench.forget()
    bench.bus.execute(OpenRelay(port=A01, attempt=1))
    bench.turns(1)
    assert [sent[1] for sent in bench.line.requests] == [5]


def test_a_board_back_from_silence_is_prepared_anew(bench: Prepared) -> None:
    bench.run(2.0)
    bench.board.silence()
    bench.run(8.0)
    assert bench.bus.lost_boards() == (RELAY,)
    bench.board.settings[6, POLL_TIMEOUT] = 10
    bench.board.speak()
    bench.forget()
    bench.run(12.0)
    (back,) = bench.told(BoardBack)
    assert [event.at > back.at for event in bench.told(BoardPrepared)] == [True], "verified after it came back"
    assert bench.settings == GOOD
    assert bench.writes == [POLL_TIMEOUT]


def test_an_answer_to_a_write_of_before_a_silence_is_no_setting_read(bench: Prepared) -> None:
    """The board falls silent under a write, and what is asked first when it is back is that write again."""
    fresh = dict(bench.board.settings)
    while not bench.writes:
        bench.turns(1)
    bench.board.silence()
    bench.run(8.0)
    assert bench.bus.lost_boards() == (RELAY,)
    bench.board.settings.update(fresh)
    bench.board.speak()
    bench.run(12.0)
    assert bench.settings == GOOD
    assert bench.bus.unprepared_boards() == ()


def test_so_is_one_whose_line_was_gone(bench: Prepared) -> None:
    bench.run(2.0)
    bench.unplug()
    bench.run(2.0)
    bench.board.settings[6, POLL_TIMEOUT] = 10
    bench.plug()
    bench.forget()
    bench.run(3.0)
    assert bench.settings == GOOD
    assert bench.bus.unprepared_boards() == ()


def test_a_board_that_never_heard_of_a_register_goes_without_it(bench: Prepared) -> None:
    """A v2 has no choice of what triggers its safety mode, and older firmware neither timers nor curtains."""
    missing = {TRIGGER, *TIMERS, *CURTAINS}
    bench.refused = set(missing)
    bench.run(4.0)
    assert {address: bench.settings[address] for address in GOOD if address not in missing} == {
        address: value for address, value in GOOD.items() if address not in missing
    }
    assert bench.bus.unprepared_boards() == ()


def test_one_that_knows_it_and_does_not_take_it_is_not_prepared(bench: Prepared) -> None:
    bench.board.settings.update({(6, address): value for address, value in GOOD.items()})
    bench.board.settings[6, TRIGGER] = 1
    bench.forgets = True
    bench.run(4.0)
    assert [event.setting for event in bench.told(PreparationFailed)] == [
        "safe state on poll timeout or loss of supply"
    ]


@pytest.mark.parametrize("fault", ["refuses", "forgets"])
def test_a_board_that_does_not_take_it_is_told_of_once_and_used_all_the_same(bench: Prepared, fault: str) -> None:
    if fault == "refuses":
        bench.refused.add(POLL_TIMEOUT)
    else:
        bench.board.settings.update({(6, address): value for address, value in GOOD.items()})
        bench.board.settings[6, POLL_TIMEOUT] = 10
        bench.forgets = True
    with capture_logs() as logs:
        bench.run(6.0)
    failed = [entry for entry in logs if entry["event"] == "board_not_prepared"]
    assert [(entry["board"], entry["setting"]) for entry in failed] == [("relay", "poll timeout in seconds")]
    told = bench.told(PreparationFailed)
    assert [(event.board, event.setting) for event in told] == [("relay", "poll timeout in seconds")]
    assert not bench.told(BoardPrepared)
    assert Finding(cause=Cause.UNPREPARED, boards=(RELAY,)) in bench.bus.statistics().findings
    assert bench.bus.unprepared_boards() == (RELAY,)
    assert bench.told(RelayReadBack)
    bench.bus.execute(ReadRelay(port=A01))
    bench.close()
    bench.run(1.0)
    assert bench.told(RelayWritten)


def silent_to(bench: Prepared, *functions: int) -> None:
    """Let the relay board answer none of these functions."""
    script = bench.line.script
    bench.line.script = lambda request: [] if request[0] == 1 and request[1] in functions else script(request)


def test_a_board_that_is_silent_to_its_settings_is_read_back_and_used_all_the_same(bench: Prepared) -> None:
    """It answers writes and read-backs, and does not know the function its settings are read by."""
    silent_to(bench, 3)
    bench.bus.execute(OpenRelay(port=A01))
    with capture_logs() as logs:
        bench.run(10.0)
    (written,) = bench.told(RelayWritten)
    confirmed = bench.told(RelayReadBack)[0]
    assert not confirmed.closed
    assert confirmed.at - written.at < 1.0, "an opening waits for no setting to be confirmed"
    (failed,) = bench.told(PreparationFailed)
    assert [entry["setting"] for entry in logs if entry["event"] == "board_not_prepared"] == ["safe state: open"]
    assert failed.setting == "safe state: open"
    assert bench.bus.unprepared_boards() == (RELAY,)
    assert Finding(cause=Cause.UNPREPARED, boards=(RELAY,)) in bench.bus.statistics().findings
    assert bench.bus.lost_boards() == ()
    assert bench.told(BoardLost) == []
    asked = len([sent for sent in bench.line.requests if sent[:2] == b"\x01\x03"])
    bench.close()
    bench.run(5.0)
    assert [event.action for event in bench.told(RelayWritten)] == [RelayAction.OPEN, RelayAction.CLOSE]
    assert len([sent for sent in bench.line.requests if sent[:2] == b"\x01\x03"]) == asked, "it is asked no more"


def test_nor_does_silence_to_a_write_keep_a_board_from_being_used(bench: Prepared) -> None:
    silent_to(bench, 6)
    bench.run(10.0)
    assert len(bench.told(PreparationFailed)) == 1
    assert bench.bus.unprepared_boards() == (RELAY,)
    assert bench.told(RelayReadBack)


def test_silence_to_what_an_older_board_need_not_know_says_nothing_of_it(bench: Prepared) -> None:
    bench.board.settings.update({(6, address): value for address, value in GOOD.items()})
    script = bench.line.script
    about = TRIGGER.to_bytes(2, "big")
    bench.line.script = lambda request: [] if request[:4] == b"\x01\x03" + about else script(request)
    bench.run(10.0)
    assert [event.setting for event in bench.told(PreparationFailed)] == [
        "safe state on poll timeout or loss of supply"
    ]


def test_a_board_that_is_away_has_refused_nothing(bench: Prepared) -> None:
    bench.board.silence()
    bench.run(60.0)
    assert bench.bus.lost_boards() == (RELAY,)
    assert bench.told(PreparationFailed) == []
    bench.board.speak()
    bench.run(12.0)
    assert [event.board for event in bench.told(BoardPrepared)] == [RELAY]


def test_a_line_that_loses_most_of_it_only_takes_longer(bench: Prepared) -> None:
    script, count = bench.line.script, iter(range(10_000))

    def lossy(request: bytes) -> Reply:
        reply = script(request)
        return [] if request[:2] == b"\x01\x03" and next(count) % 5 < 4 else reply

    bench.line.script = lossy
    bench.run(180.0)
    assert bench.settings == GOOD
    assert bench.bus.unprepared_boards() == ()
    assert bench.told(PreparationFailed) == []


def test_a_lost_frame_within_it_is_asked_again(bench: Prepared) -> None:
    bench.turns(2)
    bench.board.silence()
    bench.turns(4)
    bench.board.speak()
    bench.run(4.0)
    assert bench.settings == GOOD


def test_opening_everything_at_the_end_prepares_nothing(bench: Prepared) -> None:
    assert bench.bus.open_all(Seconds(2.0)) == ()
    assert bench.writes == []


def test_coils_can_be_settings_too() -> None:
    setting = Setting(name="inputs off", write=5, address=0x20, count=3, value=0xFF00)
    board = RelayBoard(1, RelaySection(channels=2, prepare=(setting,)))
    preparing = Preparing(board)
    assert preparing.request().pdu == bytes.fromhex("01 00 20 00 03")
    preparing.answered(bytes.fromhex("01 01 05"))
    write = bytes.fromhex("05 00 21 FF 00")
    assert preparing.request().pdu == write
    preparing.answered(write)
    preparing.answered(bytes.fromhex("01 01 07"))
    assert preparing.good


def test_what_is_lapsing_is_read_back_when_it_has_lapsed(monkeypatch: pytest.MonkeyPatch) -> None:
    site = load_text(SITE.replace("wirenboard-mr6c", "eletechsup-r4d8a08").replace(", stopbits: 2", ""), "test")
    bench = Prepared(monkeypatch, site)
    bench.board = BoardSim(site.boards[RELAY], [Relay() for _ in range(8)], [])
    bench.run(1.0)
    bench.board.relays[0].short_driver()
    bench.forget()
    bench.bus.execute(OpenRelay(port=A01, attempt=3))
    bench.bus.execute(ReadRelay(port=A01))
    bench.run(3.0)
    own = [sent for sent in bench.line.sent if sent.data[0] == 1]
    lapse = next(index for index, sent in enumerate(own) if sent.data[1:6].hex() == "0600010601")
    assert own[0].data[1:6].hex() == "0600010600"
    assert own[lapse + 1].data[1] == 3
    assert own[lapse + 1].at - own[lapse].until >= 1.1
