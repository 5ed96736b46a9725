"""The demo's stage with a gateway that is made up: what it hears, what it tells, what it counts."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from chargerd.cli.demo_backend import Heard, Ledger, OperatorBackend
from chargerd.cli.demo_stage import RESET_AFTER, WAITING, Happening, Stage
from chargerd.cli.demo_view import Lines, log_panel, ports_table, print_summary
from chargerd.cli.demo_visitor import Told, Visitor
from chargerd.core.units import Instant, PortId, Seconds
from chargerd.fleet.site import Address
from chargerd.sim.loads import Load, kettle
from chargerd.sim.riders import (
    Action,
    Arrives,
    Leaves,
    Orders,
    PhonesStop,
    PlugsIn,
    Riders,
    Unplugs,
    Visit,
)
from chargerd.sim.world import World
from tests.sim.shed import shed

A01 = PortId("A01")
NOTHING = {"power_w": None, "current_a": None, "age_s": None, "quality": "none"}
SETTLED: Mapping[str, Any] = {
    "event": "ended",
    "port": "A01",
    "order_id": "order-1",
    "stop_reason": "overcurrent",
    "energy_wh": 7,
    "energy_quality": "exact",
    "charging_s": 12,
    "peak_power_w": 300.4,
}


class Gateway(OperatorBackend):
    """A backend's connection with nothing at its other end: what it would have sent, and what it is to hear."""

    def __init__(self) -> None:
        super().__init__(Address(host="127.0.0.1", port=1), prefix="chargerd/v1", gateway="demo")
        self.said: list[Heard] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def poll(self) -> list[Heard]:
        said, self.said = self.said, []
        return said

    def start_port(self, port: str, **args: Any) -> str:
        self.sent.append(("start", {"port": port, **args}))
        return "start-1"

    def stop_port(self, port: str, *, session: str) -> str:
        self.sent.append(("stop", {"port": port, "session": session}))
        return "stop-1"

    def reset_port(self, port: str) -> str:
        self.sent.append(("reset", {"port": port}))
        return "reset-1"


class Script(Riders):
    """Riders who do what the test says."""

    def __init__(self) -> None:
        super().__init__(1, [A01])
        self.script: list[Action] = []
        self.news: list[tuple[str, str]] = []
        self.present: Visit | None = None

    def due(self, now: Instant) -> list[Action]:
        del now
        script, self.script = self.script, []
        return script

    def at(self, port: PortId) -> Visit | None:
        del port
        return self.present

    def started(self, port: PortId, now: Instant) -> None:
        del now
        self.news.append(("started", port))

    def ended(self, port: PortId, now: Instant) -> None:
        del now
        self.news.append(("ended", port))

    def block(self, port: PortId) -> None:
        self.news.append(("block", port))

    def unblock(self, port: PortId) -> None:
        self.news.append(("unblock", port))


class Demo:
    """A stage, and everything around it in the test's hand."""

    def __init__(self) -> None:
        self.world = World(shed(), seed=1)
        self.gateway = Gateway()
        self.riders = Script()
        self.told: list[Happening] = []
        self.now = 0.0
        self.stage = Stage(
            world=self.world,
            riders=self.riders,
            backend=self.gateway,
            began=Instant(0.0),
            tell=self.told.append,
        )
        self.hear("state/gateway", status="online")

    def turn(self, **options: bool) -> None:
        self.now += 1.0
        self.world.advance(Instant(self.now))
        self.stage.turn(Instant(self.now), **options)

    def hear(self, topic: str, **body: object) -> None:
        self.gateway.said.append(Heard(topic=topic, body=body))
        self.turn()

    def act(self, *actions: Action) -> None:
        self.riders.script += actions
        self.turn()

    def reply(self, command: str, status: str, code: str = "ok") -> None:
        name = command.split("-", maxsplit=1)[0]
        self.hear("up/reply", id=command, command=name, status=status, code=code, port="A01", session_id=None)

    def state(self, state: str, **more: object) -> None:
        body = {"port": "A01", "state": state, "latches": (), "reading": NOTHING, "session": None}
        self.hear("state/port/A01", **{**body, "relay": {"closed": False}, **more})

    def kinds(self) -> list[str]:
        return [one.kind for one in self.told]

    def screen(self) -> str:
        console = Console(width=120, record=True, force_terminal=False, file=None, quiet=False)
        with console.capture() as capture:
            console.print(ports_table(self.stage, Instant(self.now)))
            console.print(log_panel(self.stage))
        return capture.get()


def visit(load: Load | None = None, energy: float | None = None) -> Visit:
    return Visit(rider="Mei", port=A01, story="cooks", load=load, duration=Seconds(90.0), energy=energy)


def ordered(demo: Demo, energy: float | None = None) -> tuple[Visit, str]:
    """Let a rider arrive, plug in a kettle and order; return the session."""
    mei = visit(kettle(), energy)
    demo.act(Arrives(visit=mei), PlugsIn(visit=mei), Orders(visit=mei))
    return mei, demo.gateway.sent[-1][1]["session"]


def test_a_session_from_arrival_to_settlement() -> None:
    demo = Demo()
    mei, session = ordered(demo)
    assert demo.world.socket("A01").load is mei.load
    demo.reply("start-1", "accepted")
    assert demo.stage.unsettled == 1
    demo.reply("start-1", "done")
    assert demo.riders.news == [("started", "A01")]
    progress = {"energy_wh": 1, "charging_s": 3}
    reading = {"power_w": 120.0, "current_a": 0.5, "age_s": 0.1, "quality": "good"}
    demo.state("charging", relay={"closed": True}, reading=reading, session=progress)
    known = {"port": "A01", "session_energy_wh": 2, "quality": "good"}
    demo.hear("up/reading", **known, power_w=121.0, current_a=0.51, age_s=0.1)
    row = demo.stage.rows[A01]
    assert (row.state, row.power_w, row.current_a, row.energy_wh) == ("charging", 121.0, 0.51, 2)
    assert "Mei charges" in demo.screen()
    assert "121" in demo.screen()
    assert "old" not in demo.screen()
    demo.now += 11.0
    assert "121 (11 s old)" in demo.screen()
    demo.now += 19.0
    assert "121" not in demo.screen()
    demo.hear("up/reading", **{**known, "quality": "stale"}, power_w=-0.04, current_a=0.0, age_s=4.0)
    assert " 0 (4 s old)" in demo.screen()
    demo.act(PhonesStop(visit=mei))
    assert demo.gateway.sent[-1] == ("stop", {"port": "A01", "session": session})
    demo.reply("stop-1", "done")
    demo.hear("up/session", **{**SETTLED, "session_id": session, "stop_reason": "remote"})
    demo.act(Unplugs(visit=mei), Leaves(visit=mei))
    assert demo.world.socket("A01").load is None
    assert demo.stage.unsettled == 0
    summary = demo.stage.summary()
    assert (summary["riders"], summary["sessions"], summary["energy_wh"]) == (1, 1, 7)
    assert summary["reasons"] == {"remote": 1}
    assert demo.kinds() == [
        "gateway",
        "rider_arrived",
        "plugged_in",
        "start_sent",
        "start_accepted",
        "start_done",
        "stop_sent",
        "stop_done",
        "ended",
        "unplugged",
        "rider_left",
    ]


def test_a_trip_is_timed_by_the_world_latched_and_reset_once_the_rider_is_gone() -> None:
    demo = Demo()
    mei, session = ordered(demo)
    relay = demo.world.relay("A01")
    relay.write(demo.world.now, closed=True, span=Seconds(2.25))
    demo.turn()
    demo.turn()
    demo.turn()
    detail = {"measured": 8.0, "limit": 7.5, "unit": "a"}
    trip = {"event": "port_tripped", "port": "A01", "function": "overcurrent_instant", "detail": detail}
    demo.hear("up/event", **trip, session_id=session, latch={"function": "overcurrent_instant"})
    assert demo.told[-2].text == "TRIP overcurrent_instant: 8.0 A, limit 7.5"
    assert demo.told[-1].text == "contact open 2250 ms after the overload began"
    assert demo.stage.summary()["trips"] == [
        {"port": "A01", "function": "overcurrent_instant", **detail, "opened_after_ms": 2250}
    ]
    assert ("block", "A01") in demo.riders.news
    demo.state("tripped", latches=({"function": "overcurrent_instant"},))
    screen = demo.screen()
    assert "overcurrent_instant" in screen
    assert "tripped" in screen
    demo.riders.present = mei
    demo.now += RESET_AFTER
    demo.turn()
    assert demo.gateway.sent[-1][0] == "start", "not while the rider stands there"
    demo.riders.present = None
    demo.turn()
    assert demo.gateway.sent[-1] == ("reset", {"port": "A01"})
    demo.hear("up/event", event="latches_cleared", port="A01", functions=["overcurrent_instant"])
    assert demo.riders.news[-1] == ("unblock", "A01")


def test_a_trip_may_be_heard_of_before_the_contact_is_open() -> None:
    demo = Demo()
    ordered(demo)
    demo.world.relay("A01").write(demo.world.now, closed=True, span=Seconds(3.5))
    demo.turn()
    trip = {"event": "port_tripped", "port": "A01", "function": "overcurrent_instant", "session_id": None}
    demo.hear("up/event", **trip, detail=None, latch=None)
    assert demo.kinds()[-1] == "tripped"
    demo.turn()
    assert demo.stage.summary()["trips"][0]["opened_after_ms"] is None
    demo.turn()
    assert demo.kinds()[-1] == "contact_open"
    assert demo.stage.summary()["trips"][0]["opened_after_ms"] == 3500


def test_a_trip_of_which_the_world_saw_no_overload_or_no_opening_has_no_time() -> None:
    demo = Demo()
    trip = {"event": "port_tripped", "port": "A01", "function": "relay_will_not_open", "detail": None}
    trip["session_id"] = None
    demo.hear("up/event", **trip, latch=None)
    assert demo.told[-1].text == "TRIP relay_will_not_open"
    assert ("block", "A01") not in demo.riders.news, "what is not latched blocks nobody"
    demo.world.socket("A01").plug(kettle())
    demo.world.relay("A01").weld()
    demo.turn()
    demo.hear("up/event", **trip, latch=None)
    assert [one["opened_after_ms"] for one in demo.stage.summary()["trips"]] == [None, None]


def test_other_events_are_told_as_they_come() -> None:
    demo = Demo()
    demo.hear("up/event", event="port_locked_out", port="A01", function="relay_welded")
    demo.hear("up/event", event="board_lost", port=None, board="relay-a")
    demo.hear("up/event", event="local_action", port="A01", board=None, function="stop")
    demo.hear("up/session", event="suspended", port="A01", reason="meter_stale")
    demo.hear("up/session", event="started", port="A01", reason=None)
    demo.hear("state/info", software="chargerd")
    demo.hear("state/gateway", status="online")
    demo.hear("state/gateway", status="offline")
    assert [one.text for one in demo.told[1:]] == [
        "locked out: relay_welded",
        "board_lost relay-a",
        "local_action stop",
        "session suspended",
        "the gateway is offline",
    ]
    assert ("block", "A01") in demo.riders.news


def test_who_is_refused_is_counted_and_sent_home() -> None:
    demo = Demo()
    ordered(demo, energy=3.0)
    assert demo.told[-1].text == "Mei scans and orders 3 Wh"
    demo.reply("start-1", "rejected", "meter_stale")
    assert demo.told[-1].text == "start rejected (meter_stale)"
    assert demo.riders.news == [("ended", "A01")]
    assert demo.stage.summary()["refused"] == 1
    demo.reply("reset-9", "done")
    assert demo.stage.unsettled == 0


def test_a_start_that_fails_later_is_a_session_and_no_refusal() -> None:
    demo = Demo()
    _, session = ordered(demo)
    demo.reply("start-1", "accepted")
    demo.reply("start-1", "failed", "no_load")
    demo.hear("up/session", **{**SETTLED, "session_id": session, "stop_reason": "no_load"})
    demo.reply("start-1", "accepted")
    assert demo.stage.unsettled == 0, "a reply told twice opens nothing again"
    assert demo.stage.summary()["refused"] == 0


def test_at_closing_time_the_operator_stops_what_is_open() -> None:
    demo = Demo()
    _, session = ordered(demo)
    demo.reply("start-1", "accepted")
    demo.stage.closing_time()
    assert demo.gateway.sent[-1] == ("stop", {"port": "A01", "session": session})
    assert demo.kinds()[-1] == "closing"


def test_riders_wait_for_the_gateway_and_have_gone_home_at_the_end() -> None:
    demo = Demo()
    demo.riders.script = [Arrives(visit=visit())]
    demo.turn(riders=False)
    assert demo.kinds() == ["gateway"]
    demo.hear("state/gateway", status="offline")
    assert demo.riders.script


def test_gestures_that_come_too_late_do_nothing() -> None:
    demo = Demo()
    nobody = visit()
    demo.act(PlugsIn(visit=nobody), PhonesStop(visit=nobody), Unplugs(visit=nobody))
    assert demo.kinds() == ["gateway"]
    demo.act(Arrives(visit=nobody))
    assert "with nothing in hand" in demo.told[-1].text


# The backend's ledger


def row(seq: int, stream: str = "S") -> dict[str, Any]:
    return {"stream": stream, "seq": seq}


def test_rows_are_stored_once_and_acknowledged_up_to_the_first_gap() -> None:
    ledger = Ledger()
    assert [ledger.store(row(seq)) for seq in (1, 2, 2, 4)] == [True, True, False, True]
    assert ledger.through == 2
    assert ledger.store(row(3))
    assert ledger.through == 4
    assert not ledger.store(row(5, stream="another")), "a journal that was replaced is another ledger"


# What is printed


@pytest.mark.parametrize("as_json", [True, False])
def test_a_line_says_when_where_and_what(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(as_json=as_json)
    lines.happened(Happening(at_s=1.5, kind="ended", port="A01", text="settled", data={"energy_wh": 3}))
    lines.draw(Demo().stage, Instant(0.0))
    lines.close()
    out = capsys.readouterr().out
    if as_json:
        assert json.loads(out) == {"kind": "ended", "at_s": 1.5, "port": "A01", "text": "settled", "energy_wh": 3}
    else:
        assert out == "    1.5 s  A01  settled\n"


def test_the_summary_for_people_and_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    trip = {"port": "A01", "function": "overcurrent_instant"}
    summary = {
        **Demo().stage.summary(),
        "reasons": {"remote": 2},
        "trips": [{**trip, "opened_after_ms": 90}, {**trip, "opened_after_ms": None}],
    }
    print_summary(summary, print, as_json=False)
    text = capsys.readouterr().out
    assert "(2 remote)" in text
    assert "A01 overcurrent_instant: contact open 90 ms after" in text
    assert "?" not in text, "what is not known is not told"
    print_summary(summary, print, as_json=True)
    assert json.loads(capsys.readouterr().out) == summary


# Whoever comes by phone


def test_a_charger_waits_at_a_socket_that_is_kept_and_a_new_one_after_each_charge() -> None:
    world = World(shed(), seed=1)
    gateway = Gateway()
    stage = Stage(
        world=world,
        riders=Script(),
        backend=gateway,
        began=Instant(0.0),
        tell=lambda _happening: None,
        kept=[A01],
    )
    first = world.socket("A01").load
    assert first is not None
    assert stage.rows[A01].doing == WAITING
    reply = {"id": "theirs", "command": "start", "code": "ok", "port": "A01", "session_id": "S-9"}
    gateway.said += [
        Heard(topic="state/gateway", body={"status": "online"}),
        Heard(topic="up/reply", body={**reply, "status": "accepted"}),
        Heard(topic="up/reply", body={**reply, "status": "done"}),
    ]
    stage.turn(Instant(1.0))
    assert stage.rows[A01].doing == "somebody charges"
    assert stage.unsettled == 1
    stage.closing_time()
    assert gateway.sent == [("stop", {"port": "A01", "session": "S-9"})], "theirs, too"
    gateway.said.append(Heard(topic="up/session", body={**SETTLED, "session_id": "S-9"}))
    stage.turn(Instant(2.0))
    assert stage.unsettled == 0
    assert world.socket("A01").load not in {None, first}
    assert stage.rows[A01].doing == WAITING


def test_what_the_scripted_rider_sees_is_told() -> None:
    demo = Demo()
    visitor = Visitor("http://127.0.0.1:1", "/s/demo/A01")
    visitor.told.put(Told("page_free", "a visitor opens the page: free"))
    stage = Stage(
        world=demo.world,
        riders=demo.riders,
        backend=demo.gateway,
        began=Instant(0.0),
        tell=demo.told.append,
        visitor=visitor,
    )
    stage.turn(Instant(1.0))
    assert (demo.told[-1].kind, demo.told[-1].port) == ("page_free", "A01")
