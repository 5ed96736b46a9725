"""The live view: what stands first, what each key does, what fits the screen, and what is not shown as live."""

import io
import os
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from chargerd.cli import ctl_watch
from chargerd.cli.ctl_watch import Live, keyboard, keys_of
from chargerd.cli.fields import Fields
from chargerd.cli.live import SILENT_AFTER, Screen, counts
from chargerd.cli.live_views import HELP, bar, circuit_share, draw, share_of
from chargerd.cli.paper import Canvas
from chargerd.contract.ledger import Json
from chargerd.control.server import ControlServer
from chargerd.runtime.process.clock import SystemClock
from tests.control.test_chargerctl import (
    LATCH,
    LIMITS,
    READING,
    Daemon,
    daemon,
    ended,
    explained,
    port,
    run,
    spawn,
)
from tests.judging import every
from tests.logs import capture_logs

__all__ = ["daemon"]  # the fixture
LIVE: dict[str, Json] = {**READING, "stale": False}
SESSION: dict[str, Json] = {"charging_s": 3723.0, "energy_wh": 155, "peak_power_w": 160.0}
LOCK: dict[str, Json] = {"by": "Ada", "reason": "a new socket", "since": None, "circuit": None}
PORTS: list[dict[str, Json]] = [
    port("A01", reading={**LIVE, "power_w": 0.0, "current_a": 0.0}),
    port("A02", "charging", reading=LIVE, session=SESSION, limits_in_force=LIMITS, label="by the door"),
    port("A03", "tripped", latches=[LATCH], blocked_by=["latched"], reading={**LIVE, "power_w": 0.0}),
    port("A04", "locked_out", latches=[{"function": "relay_welded", "clearing": "lock_out"}], reading=LIVE),
    port("A05", "disabled", lock=LOCK, blocked_by=["locked"], reading=LIVE),
    port("A06", blocked_by=["board_lost"], reading=LIVE),
]
CIRCUITS: list[Json] = [
    {
        "circuit": "shed", "parent": None, "load_current_a": [12.0, 28.8, 3.0], "rating_current_a": 32.0,
        "load_power_w": 4200, "rating_power_w": None, "measured": False, "contactor_closed": True,
        "queue": ["A07"], "latches": [{"function": "smoke", "clearing": "local"}], "lock": LOCK,
        "disabled": {"reason": "a breaker"},
    },
    {"circuit": "lamp", "parent": None, "load_current_a": [], "rating_power_w": 100.0, "load_power_w": 25},
]  # fmt: skip
STATUS: dict[str, Any] = {
    "gateway": "shed-1",
    "version": "1",
    "up_s": 61.0,
    "mqtt": {"broker": "b:1883", "connected": True},
    "buses": [{"bus": "line-a", "line": "/dev/ttyUSB0", "connected": True, "boards_lost": ["meter-a4"]}],
    "ports": PORTS,
    "circuits": CIRCUITS,
}
BUSES: list[Fields] = [
    {
        "bus": "line-a",
        "connected": False,
        "transactions": 12,
        "findings": [{"cause": "board_silent", "boards": ["meter-a4"], "pre_silence_ms": None}],
        "boards": [
            {"board": "meter-a3", "answers": 9, "timeouts": 0, "corrupt": 1, "lost": False, "age_s": 0.4},
            {"board": "meter-a4", "answers": 0, "timeouts": 9, "corrupt": 0, "lost": True, "age_s": None},
        ],
    }
]
EVENTS: list[Fields] = [
    {"event": "line_gone", "severity": "warning", "bus": "line-a", "reason": f"unplugged {number}", "boot": 1}
    for number in range(40)
]


def screen(*keys: str) -> Screen:
    one = Screen()
    one.take_status(STATUS, 100.0)
    for key in keys:
        one.press(key, 100.0)
    return one


def names(one: Screen, now: float = 100.0) -> list[str]:
    return [str(found["port"]) for found in one.shown(now)]


def drawn(one: Screen, width: int = 80, height: int = 24, now: float = 100.0, **more: Any) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    lines = draw(one, console, now, events=EVENTS, buses=BUSES, **more)
    assert len(lines) == height
    assert max(line.cell_len for line in lines) <= width
    return [line.plain for line in lines]


def test_what_needs_somebody_stands_first() -> None:
    assert names(screen()) == ["A04", "A03", "A06", "A05", "A02", "A01"]
    assert counts(PORTS) == "6 ports: 1 locked_out, 1 tripped, 1 blocked, 1 disabled, 1 charging, 1 free"
    assert counts([]) == "no ports"


def test_faults_only_and_all_again() -> None:
    assert names(screen("!")) == ["A04", "A03", "A06", "A05"]
    assert names(screen("!", "!")) == names(screen())
    assert names(screen("!", "esc")) == names(screen())


@pytest.mark.parametrize(
    ("typed", "found"),
    [("door", ["A02"]), ("WELD", ["A04"]), ("ada", ["A05"]), ("a0", 6), ("trip", ["A03"]), ("z", [])],
)
def test_a_filter_finds_labels_states_and_reasons(typed: str, found: list[str] | int) -> None:
    shown = names(screen("f", *typed, "enter"))
    assert shown == found if isinstance(found, list) else len(shown) == found


def test_while_a_filter_is_typed_keys_are_letters() -> None:
    one = screen("/", "q", "x", "backspace", "up")
    assert (one.sought, one.over, one.typing) == ("q", False, True)
    assert "filter: q" in drawn(one)[-1]
    one.press("esc", 100.0)
    assert (one.sought, one.typing) == ("", False)
    one.press("q", 100.0)
    assert one.over


def test_the_marked_port_stays_marked_when_others_pass_it() -> None:
    one = screen("down", "down")
    assert one.chosen == "A03"
    one.take_port(port("A01", "locked_out", reading=LIVE), 101.0)
    assert names(one)[:2] == ["A01", "A04"]
    assert one.chosen == "A03"
    for _ in range(9):
        one.press("j", 101.0)
    assert one.chosen == names(one)[-1]
    for _ in range(9):
        one.press("k", 101.0)
    assert one.chosen == "A01"


def test_every_view_and_back() -> None:
    assert screen("down", "enter").view == "detail"
    for key, view in (("e", "events"), ("b", "buses"), ("c", "circuits"), ("?", "help"), ("p", "ports")):
        assert screen(key).view == view
        assert screen(key, "esc").view == "ports"
    assert screen("~").view == "ports"
    assert screen("f", *"nothing", "enter", "down", "enter").view == "ports", "there is none to look at"


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("height", [8, 24, 50])
@pytest.mark.parametrize(
    "keys", [(), ("down",), ("d",), ("e",), ("b",), ("c",), ("?",), ("f", "a"), ("f", *"zz", "enter")]
)
def test_every_view_fits_every_screen(width: int, height: int, keys: str) -> None:
    lines = drawn(screen(*keys), width, height)
    assert "q" in lines[-1] or "filter" in lines[-1]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_each_port_says_what_is_wrong_with_it(width: int) -> None:
    lines = {line.split()[0]: line for line in drawn(screen(), width) if line.strip()}
    assert "relay_weld" in lines["A04"]
    assert "locked by Ada" in lines["A05"]
    assert "151" in lines["A02"]
    if width > 40:
        assert "1:02:03" in lines["A02"]
        assert "22%" in lines["A02"], "1.1 of 5 A is more than 151 of 1000 W"
    assert "6 ports:" in " ".join(drawn(screen(), width))
    assert "no answer from meter-a4" in " ".join(drawn(screen(), width, 50))
    assert "and more: chargerctl status" in " ".join(drawn(screen(), 40, 12)), "the ports come first"


def test_more_ports_than_lines_scroll_with_the_mark() -> None:
    one = screen()
    many: list[Json] = [port(f"B{number:02d}", reading=LIVE) for number in range(60)]
    one.take_status({**STATUS, "ports": many}, 100.0)
    assert "more below" in "\n".join(drawn(one, 80, 20))
    for _ in range(60):
        one.press("down", 100.0)
    lines = "\n".join(drawn(one, 80, 20))
    assert "B59" in lines
    assert "more below" not in lines


def test_the_other_views_say_what_they_are_for() -> None:
    known: Fields = {"port": PORTS[2], **explained(PORTS[2], []), "last_session": None, "last_event": None}
    detail = "\n".join(drawn(screen("f", *"A03", "enter", "d"), 120, 40, explained=known))
    assert "A03 tripped: " in detail
    assert "chargerctl reset A03" in detail
    other = "\n".join(drawn(screen("f", *"A02", "enter", "d"), 120, 40, explained=known))
    assert "reset A03" not in other, "what was told of another port is none of this one"
    assert detail.index("LAST EVENTS") < detail.index("unplugged 39"), "the newest last"
    assert "unplugged 39" in drawn(screen("e"))[-2]
    buses = "\n".join(drawn(screen("b")))
    assert "NOT THERE" in buses
    assert "meter-a4: does not answer" in buses
    circuits = "\n".join(drawn(screen("c")))
    for told in ("held open: smoke", "locked by Ada", "out of service: a breaker", "waiting for room: A07", "90%"):
        assert told in circuits
    assert every(key in "\n".join(drawn(screen("?"))) for key, _ in HELP)


def test_where_there_is_nothing_it_says_so() -> None:
    empty = Screen()
    empty.take_status({"gateway": "x", "ports": [], "circuits": []}, 100.0)
    console = Console(width=60, height=12, file=io.StringIO())
    for keys, words in (
        ("", "nothing of that kind"),
        ("e", "nothing is kept"),
        ("b", "simulated"),
        ("c", "no circuits"),
    ):
        one = Screen(ports=[], status=empty.status, view="ports")
        for key in keys:
            one.press(key, 100.0)
        assert words in "\n".join(line.plain for line in draw(one, console, 100.0))
    gone = Screen(view="detail", status=empty.status)
    assert "no such port any more" in "\n".join(line.plain for line in draw(gone, console, 100.0))


# Honesty


def test_a_daemon_that_is_silent_leaves_nothing_looking_live() -> None:
    one = screen()
    soon, late, gone = (one.shown(100.0 + passed)[4]["reading"] for passed in (1.0, SILENT_AFTER + 1, 200.0))
    assert (soon["age_s"], soon["stale"]) == (1.3, False)  # type: ignore[index, call-overload]
    assert late["stale"] is True  # type: ignore[index, call-overload]
    assert "11 s" in "\n".join(drawn(one, now=100.0 + SILENT_AFTER + 1)), "its age stands beside it"
    lines = {line.split()[0]: line for line in drawn(one, now=300.0) if line.strip()}
    assert "151" not in lines["A02"]
    assert "22%" not in lines["A02"]
    assert gone["age_s"] > 200.0  # type: ignore[index, operator, call-overload]
    told = drawn(one, silent="the daemon has gone: what stands here is of 20:15:03")
    assert told[0].startswith("the daemon has gone")


def test_an_unknown_share_has_no_bar() -> None:
    assert bar(None, 10, dim=False, unicode=True).plain == "-         "
    assert bar(0.5, 10, dim=False, unicode=True).plain == "██░░░  50%"
    assert bar(0.5, 6, dim=False, unicode=False).plain == "###..."
    assert bar(12.0, 10, dim=True, unicode=True).plain == "█████ 999%"
    assert bar(0.01, 6, dim=False, unicode=True).plain == "█░░░░░", "what flows is seen"
    assert share_of(port("A01", session=SESSION, reading={"quality": "none"})) is None
    assert share_of(port("A01", reading={**LIVE, "power_w": -1200.0})) == 1.2, "whichever way it flows"
    assert circuit_share({"load_current_a": [1.0]}) is None


# The terminal


def test_keys_by_their_names() -> None:
    assert list(keys_of("q\x1b[A\x1bOB\r\x7fx\x1b")) == ["q", "up", "down", "enter", "backspace", "x", "esc"]


def test_only_lines_that_have_changed_are_drawn() -> None:
    file = io.StringIO()
    canvas = Canvas()
    canvas.file = file
    canvas._force_terminal = True  # noqa: SLF001 - as on a terminal
    with canvas.whole():
        canvas.show([Text("one"), Text("two")])
        before = len(file.getvalue())
        canvas.show([Text("one"), Text("three")])
        changed = file.getvalue()[before:]
        assert "three" in changed
        assert "one" not in changed
        before = len(file.getvalue())
        canvas.show([Text("one"), Text("three")])
        assert file.getvalue()[before:] == ""
    assert file.getvalue().endswith("\x1b[?25h\x1b[?1049l"), "and the screen is as it was"


def test_without_a_keyboard_it_goes_on_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with keyboard() as keys:
        assert keys is None
    read, write = os.pipe()
    os.close(write)
    live = Live(Path("nowhere"), None, read)
    assert live._wait(None, 0.0) is False  # noqa: SLF001 - nobody is there any more
    assert live._keys is None  # noqa: SLF001
    os.close(read)


def test_keys_do_what_they_are_for_on_a_real_terminal(daemon: Daemon, tmp_path: Path) -> None:
    daemon.endless = True
    child = spawn(tmp_path, "watch")
    child.expect("WHY NOT")
    child.send("?")
    child.expect("everything about it")
    child.send("f")
    child.send("A03\r")
    child.expect("showing 'A03'")
    child.send("q")
    assert ended(child) == 0


def test_it_waits_for_a_daemon_that_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctl_watch, "AGAIN_AFTER", 0.05)
    monkeypatch.setattr(ctl_watch, "DRAW_EVERY", 0.02)
    shown: list[list[Text]] = []
    handler = Daemon()
    handler.endless = True
    servers: list[ControlServer] = []

    def serve() -> None:
        server = ControlServer(tmp_path / "c.sock", handler, clock=SystemClock(), on_crash=lambda _error: None)
        server.start()
        servers.append(server)

    class Picture(Canvas):
        def show(self, lines: Any) -> None:
            shown.append(list(lines))
            first = lines[0].plain
            if len(servers) == 1 and len(handler.watchers) == 1 and len(shown) > 1:
                servers[0].stop()
                servers.append(servers[0])
            elif "waiting for the daemon" in " ".join(line.plain for line in lines[:2]) and len(servers) == 2:
                serve()
            elif len(servers) == 3 and "gone" not in first:
                live._ended = True  # noqa: SLF001 - that is enough

    with capture_logs():
        serve()
        live = Live(tmp_path / "c.sock", Picture(), None)
        live.run(time.monotonic() + 60.0)
        servers[-1].stop()
    assert len(handler.watchers) == 2
    assert any("of" in lines[0].plain and "waiting" in " ".join(line.plain for line in lines) for lines in shown)


def test_watch_is_in_the_help_with_an_example(tmp_path: Path) -> None:
    told = run(tmp_path, "watch", "--help").stdout
    assert "Examples: chargerctl watch" in told
    assert "q quits" in told
