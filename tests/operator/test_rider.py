"""The rider's page, path by path: each has its right sentence."""

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chargerd.cli.demo_rider import Page
from chargerd.operator.hooks import Payment
from chargerd.operator.link import Broker
from chargerd.operator.picture import Curve
from chargerd.operator.prices import load
from chargerd.operator.rides import Goal, NewRide
from chargerd.operator.store import TakenError
from chargerd.operator.words import LANGUAGES, words
from tests.judging import every
from tests.operator.rig import Phone, Rig
from tests.operator.said import AT, STREAM, charging, ended, presence, row, state, under_way

EVIL = "<script>alert(1)</script>\"'&{{7*7}}"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    yield one
    one.close()


def begun(rig: Rig, phone: Phone, goal: str = "full") -> str:
    """Start at A01; return the session."""
    phone.press(phone.socket(), "start", goal=goal)
    return str(rig.commands[-1].args["session_id"])


def settled(rig: Rig, session: str, **more: Any) -> None:
    rig.say("up/session", ended(1, session, **more))
    rig.say("state/port/A01", state())


def test_a_charge_from_free_to_its_receipt(rig: Rig) -> None:
    rig.shed("A01", "A02")
    phone = Phone(rig)
    page = phone.socket()
    assert page.kind == "free"
    assert "¥0.20 per hour up to 150 W" in page.text
    page = phone.press(page, "start", goal="full")
    assert page.kind == "asked"
    command = rig.commands[-1]
    assert command.name == "start"
    assert command.args == {
        "port": "A01",
        "session_id": command.args["session_id"],
        "tariff_tiers_w": [150, 285],
    }
    session = str(command.args["session_id"])
    rig.reply("accepted")
    assert phone.socket().kind == "starting"
    rig.say("state/port/A01", charging(session, power_w=None))
    assert phone.socket().kind == "plug_in"
    assert "Plug in your charger" in phone.socket().text
    rig.reply("done")
    rig.say("state/port/A01", charging(session, power_w=152.2))
    page = phone.socket()
    assert page.kind == "charging"
    for figure in ("152 W", "3 Wh", "1:00", "¥0.005"):
        assert figure in page.text
    page = phone.press(page, "stop")
    assert "Stopping" in page.text
    assert (rig.commands[-1].name, rig.commands[-1].args) == ("stop", {"port": "A01", "session_id": session})
    rig.say("state/port/A01", state(state="stopping", session_id=session))
    settled(rig, session, stop_reason="remote", energy_wh=154)
    page = phone.socket()
    assert page.kind == "ended"
    assert "You stopped it." in page.text
    receipt = next(link for link in page.links if link.startswith("/r/"))
    told = Phone(rig).open(receipt).text
    for figure in ("154 Wh", "1:00:00", "¥0.30", "180 W", session):
        assert figure in told, "also for another phone: it has the link"
    assert phone.press(page, "start").kind == "asked", "again, under a session of its own"
    assert rig.commands[-1].args["session_id"] != session


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_of_an_end_is_in_plain_words(rig: Rig, language: str) -> None:
    rig.shed("A01")
    for reason in ("full", "unplugged", "overcurrent", "power_loss", "something_new"):
        phone = Phone(rig, language)
        session = begun(rig, phone)
        rig.reply("accepted")
        settled(rig, session, stop_reason=reason)
        assert words(language).of("reason", reason) in phone.socket().text


def test_what_the_operator_or_the_amount_stopped_is_not_said_to_be_the_rider(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    session = begun(rig, phone, "amount:100")
    rig.reply("accepted")
    rig.say("state/port/A01", charging(session, power_w=2000.0))
    spent = {"charging_s": 8000.0, "energy_wh": 4000, "suspended_by": None}
    rig.say("state/port/A01", charging(session, power_w=2000.0, session=spent))
    rig.care()
    assert rig.commands[-1].name == "stop", "0.45 an hour"
    rig.care()
    assert [command.name for command in rig.commands] == ["start", "stop"], "told once"
    settled(rig, session, stop_reason="remote", charging_s=8040, energy_wh=4020, tiers=[
        {"up_to_w": 150, "charging_s": 0, "energy_wh": 0},
        {"up_to_w": 285, "charging_s": 0, "energy_wh": 0},
        {"up_to_w": None, "charging_s": 8040, "energy_wh": 4020},
    ])  # fmt: skip
    page = phone.socket()
    assert "Your amount was used up." in page.text
    receipt = phone.open(next(link for link in page.links if link.startswith("/r/"))).text
    assert "¥1.00" in receipt
    assert "No more than the ¥1.00 you chose." in receipt, "it would be 1.005"


def test_an_amount_is_a_limit_of_the_start(rig: Rig, tmp_path: Path) -> None:
    rig.shed("A01")
    begun(rig, Phone(rig), "amount:100")
    assert rig.commands[-1].args["limits"] == {"duration_s": 5 * 3600}, "at the cheapest tier"
    rig.shed("A02")
    phone = Phone(rig)
    phone.press(phone.socket("A02"), "start", goal="hours:2")
    assert rig.commands[-1].args["limits"] == {"duration_s": 7200}
    folder = tmp_path / "energy"
    folder.mkdir()
    (folder / "prices.toml").write_text('by = "energy"\nper_kwh = "1.25"\namounts = ["2"]\n')
    other = Rig(folder, prices=load(folder / "prices.toml"))
    other.shed("A01")
    begun(other, Phone(other), "amount:200")
    assert other.commands[-1].args["limits"] == {"energy_wh": 1600}
    other.close()


def test_no_more_hours_are_offered_than_the_socket_gives(rig: Rig) -> None:
    rig.say("state/port/A01", state(limits={"duration_s": 7200.0, "energy_wh": None}))
    rig.say("state/gateway", presence(0))
    phone = Phone(rig)
    page = phone.socket()
    assert "2 h" in page.text
    assert "4 h" not in page.text
    phone.press(page, "start", goal="amount:500")
    assert rig.commands[-1].args["limits"] == {"duration_s": 7200.0}


# Who may stop


def test_nobody_else_can_stop(rig: Rig) -> None:
    rig.shed("A01")
    mine, other = Phone(rig), Phone(rig)
    session = begun(rig, mine)
    rig.reply("accepted")
    rig.say("state/port/A01", charging(session))
    page = other.socket()
    assert page.kind == "taken"
    assert "In use" in page.text
    assert not page.forms, "nothing to press"
    assert session not in other.text
    form = mine.socket().forms["/s/shed-1/A01/stop"]
    stolen = other.open("/s/shed-1/A01/stop", form)
    assert "Only the phone that started this charge can stop it" in stolen.text
    other.cookies = {"phone": "x" * 32}
    assert "Only the phone that started" in other.open("/s/shed-1/A01/stop", form).text
    assert len(rig.commands) == 1
    mine.open("/s/shed-1/A01/stop", {**form, "token": "0" * 40})
    assert mine.status == 403
    assert len(rig.commands) == 1, "a form of another site has no token"


def test_a_double_tap_starts_once_and_stops_once(rig: Rig) -> None:
    rig.shed("A01", "A02")
    phone = Phone(rig)
    page = phone.socket()
    assert [phone.press(page, "start").kind for _tap in range(3)] == ["asked"] * 3
    assert len(rig.commands) == 1
    session = str(rig.commands[0].args["session_id"])
    rig.reply("accepted")
    rig.say("state/port/A01", charging(session))
    page = phone.socket()
    for _tap in range(3):
        phone.press(page, "stop")
    assert [command.name for command in rig.commands] == ["start", "stop"]
    settled(rig, session)
    page = phone.open("/s/shed-1/A01/start", page.forms.get("/s/shed-1/A01/start", {"tap": "old", "goal": "full"}))
    assert "This page was old" in page.text


def test_two_riders_in_one_second(rig: Rig) -> None:
    """Both have the page of a free socket; the gateway has said nothing yet."""
    rig.shed("A01", "A02")
    first, second = Phone(rig), Phone(rig)
    pages = [phone.socket() for phone in (first, second)]
    assert first.press(pages[0], "start").kind == "asked"
    lost = second.press(pages[1], "start")
    assert "Somebody has just taken this socket" in lost.text
    assert "Next free socket: A02" in lost.text
    assert "/s/shed-1/A02" in lost.links
    assert len(rig.commands) == 1


def test_somebody_on_site_was_faster(rig: Rig) -> None:
    """The gateway itself refuses the start: what we show of it may be a second old."""
    rig.shed("A01", "A02")
    phone = Phone(rig)
    begun(rig, phone)
    rig.reply("rejected", "busy")
    page = phone.socket()
    assert page.kind == "refused"
    assert "a moment before you" in page.text
    rig.say("state/port/A01", charging("S-local"))
    assert "Next free socket: A02" in phone.socket().text


# What goes wrong


def test_an_offline_gateway(rig: Rig) -> None:
    rig.shed("A01")
    rig.shed("B01", gateway="shed-2")
    phone = Phone(rig)
    page = phone.socket()
    rig.say("state/gateway", presence(0, status="offline"))
    told = phone.press(page, "start")
    assert "so nothing was started" in told.text
    assert told.kind == "offline"
    assert "Next free socket: B01 in shed-2" in told.text
    assert rig.commands == []


def test_a_gateway_that_falls_silent_is_offline_when_its_presence_is_over(rig: Rig) -> None:
    rig.shed("A01")
    rig.say("state/gateway", presence(0), expires_s=60.0)
    rig.care(59.0)
    assert Phone(rig).socket().kind == "free"
    rig.care(2.0)
    assert Phone(rig).socket().kind == "offline"


def test_an_old_death_comes_after_a_newer_birth(rig: Rig) -> None:
    rig.shed("A01")
    rig.say("state/gateway", presence(0, conn=3))
    rig.say("state/gateway", presence(0, conn=2, status="offline"))
    assert Phone(rig).socket().kind == "free"


def test_a_charge_goes_on_while_its_gateway_cannot_be_reached(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    session = begun(rig, phone)
    rig.reply("accepted")
    rig.reply("done")
    rig.say("state/port/A01", charging(session))
    rig.say("state/gateway", presence(0, status="offline"))
    page = phone.socket()
    assert page.kind == "mine_offline"
    assert "goes on without a connection" in page.text
    told = phone.press(page, "stop")
    assert "carried out if it comes back within 5 minutes" in told.text
    assert rig.commands[-1].ttl_s == 300


def test_a_charge_whose_gateway_was_stopped_in_order_does_not_go_on(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    session = begun(rig, phone)
    rig.reply("accepted")
    rig.say("state/port/A01", charging(session))
    rig.say("state/gateway", {**presence(0, status="offline"), "cause": "shutdown"})
    page = phone.socket()
    assert page.kind == "mine_shut"
    assert "The socket is off." in page.text
    rig.say("state/gateway", {**presence(0, status="offline"), "cause": "shutdown", "sessions": "suspended"})
    page = phone.socket()
    assert page.kind == "mine_waits"
    assert "goes on by itself" in page.text
    rig.say("state/gateway", presence(0, conn=2))
    rig.say("state/gateway", {**presence(0, status="offline", conn=2), "cause": "lost"})
    assert phone.socket().kind == "mine_offline"


def test_a_start_nobody_answers_is_void_and_said_so(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    session = begun(rig, phone)
    rig.care(22.0)
    assert phone.socket().kind == "asked", "a reply may be under way"
    rig.care(4.0)
    page = phone.socket()
    assert page.kind == "unanswered"
    assert "is void" in page.text
    assert "Nothing costs." in page.text
    rig.reply("accepted")
    rig.say("state/port/A01", charging(session, power_w=None))
    assert phone.socket().kind == "plug_in", "it was carried out, and the reply came late: shown as it is"


def test_an_expired_command(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    begun(rig, phone)
    rig.reply("expired", "expired")
    page = phone.socket()
    assert page.kind == "refused"
    assert "The shed did not answer in time" in page.text
    assert phone.press(page, "start").kind == "asked", "and may try again"


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"blocked_by": ["circuit_full"]}, "The line is fully used"),
        ({"blocked_by": ["brand_new_code"]}, "The shed has refused it (brand_new_code)"),
        ({"state": "tripped"}, "A protective function has switched this socket off"),
        ({"state": "locked_out"}, "Somebody has to look at this socket first"),
        ({"state": "disabled", "disabled": {"reason": "x", "source": "remote"}}, "out of service"),
        ({"state": "unknown"}, "has just started"),
    ],
)
def test_why_a_socket_is_not_free(rig: Rig, told: dict[str, Any], sentence: str) -> None:
    rig.shed("A01", "A02")
    rig.say("state/port/A01", state(**told))
    page = Phone(rig).socket()
    assert page.kind == "blocked"
    assert sentence in page.text
    assert "Next free socket: A02" in page.text


def test_no_socket_is_free(rig: Rig) -> None:
    rig.say("state/port/A01", charging("S-else"))
    rig.say("state/gateway", presence(0))
    assert "No other socket is free right now." in Phone(rig).socket().text


@pytest.mark.parametrize(
    ("reason", "sentence"), [("undervoltage", "mains voltage is too low"), ("moonlight", "(moonlight)")]
)
def test_a_pause_says_why(rig: Rig, reason: str, sentence: str) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    session = begun(rig, phone)
    rig.reply("accepted")
    so_far = {"charging_s": 60.0, "energy_wh": 3, "suspended_by": reason}
    # Its relay is told to open, and nobody has seen yet that it is.
    rig.say("state/port/A01", charging(session, state="suspended", relay_closed=True, session=so_far))
    page = phone.socket()
    assert page.kind == "suspended"
    assert sentence in page.text
    assert "150 W" not in page.text, "that was before"
    assert "Pulling the plug" not in page.text, "nobody sees a plug that draws nothing"


def test_a_queue_says_the_place_in_it(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    session = begun(rig, phone)
    rig.reply("accepted")
    rig.say("state/port/A01", state(state="queued", session_id=session, queue_position=3))
    assert "You are number 3" in phone.socket().text


def test_a_full_line_is_waited_for_if_its_rider_says_so(rig: Rig) -> None:
    rig.shed("A01", "A02")
    phone = Phone(rig)
    before = phone.socket()
    rig.say("state/port/A01", state(blocked_by=["circuit_full"]))
    assert "not free any more" in phone.press(before, "start").text, "that was a start without a wait"
    assert rig.commands == []
    page = phone.socket()
    assert page.kind == "blocked"
    assert "within 60 minutes, nothing is started" in page.text
    assert "Next free socket: A02" in page.text
    phone.press(page, "start")
    assert rig.commands[-1].args["queue_s"] == 3600
    session = str(rig.commands[-1].args["session_id"])
    rig.reply("accepted")
    rig.say("state/port/A01", state(state="queued", session_id=session, queue_position=1))
    page = phone.socket()
    assert "If there is no room by 15:13" in page.text
    assert "Leave the queue" in page.text
    assert "Pulling the plug" not in page.text, "nobody sees a plug that draws nothing"
    assert phone.press(page, "stop").kind == "queued"
    assert rig.commands[-1].name == "stop"
    rig.reply("failed", "queue_timeout", rig.commands[0])
    settled(rig, session, stop_reason="queue_timeout", energy_wh=0, charging_s=0, tiers=[])
    assert "There was no room on the line in time." in phone.socket().text


@pytest.mark.parametrize("held", [["thermal"], ["circuit_full", "thermal"], ["latched"]])
def test_nothing_else_than_a_full_line_is_waited_for(rig: Rig, held: list[str]) -> None:
    rig.shed("A01")
    rig.say("state/port/A01", state(blocked_by=["circuit_full"]))
    phone = Phone(rig)
    page = phone.socket()
    rig.say("state/port/A01", state(blocked_by=held))
    assert "not free any more" in phone.press(page, "start").text
    assert phone.socket().forms == {}
    assert rig.commands == []


def test_the_page_opened_again_in_mid_charge_and_after_a_restart(rig: Rig, tmp_path: Path) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    session = begun(rig, phone)
    rig.reply("accepted")
    rig.reply("done")
    rig.close()
    later = Rig(tmp_path)
    phone.rig = later
    assert phone.socket().kind == "mine_offline", "known before the broker has said anything"
    later.say("state/port/A01", charging(session))
    later.say("state/gateway", presence(3))
    assert phone.socket().kind == "charging"
    assert "stop" in " ".join(phone.socket().forms)
    later.close()


def test_a_ledger_that_is_lost_ends_a_ride_without_a_bill(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    session = begun(rig, phone)
    rig.reply("accepted")
    rig.say("up/session", under_way(1, session=session))
    rig.say("state/port/A01", state())
    rig.care()
    assert phone.socket().kind == "starting"
    anew = {"stream": "another", "first": 1, "last": 1}
    rig.say("state/gateway", {**presence(1), "ledger": anew})
    rig.care()
    assert phone.socket().kind == "starting", "not all of the new ledger is here"
    rig.say("up/event", {**row(1, "gateway_started", severity="info"), "stream": "another"})
    rig.care()
    page = phone.socket()
    assert page.kind == "lost"
    assert "Nothing costs." in page.text


def test_a_phone_that_keeps_no_cookies_is_told_before_anything_starts(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    phone.keeps_cookies = False
    told = phone.press(phone.socket(), "start")
    assert "keeps no cookies" in told.text
    assert rig.commands == []


def test_a_phone_without_script_reloads_by_itself_while_something_is_under_way(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    phone.socket()
    assert 'http-equiv="refresh"' not in phone.text, "or a choice that is being made would be lost"
    begun(rig, phone)
    phone.socket()
    assert '<noscript><meta http-equiv="refresh" content="5;url=/s/shed-1/A01"></noscript>' in phone.text


# Payment and identity


def test_a_payment_that_is_refused_sends_nothing(tmp_path: Path) -> None:
    asked: list[Payment] = []

    def pay(payment: Payment) -> bool:
        asked.append(payment)
        return False

    rig = Rig(tmp_path, hooked=SimpleNamespace(pay=pay, identify=lambda headers: headers["x-rider"]))
    rig.shed("A01")
    phone = Phone(rig)
    form = phone.socket().forms["/s/shed-1/A01/start"]
    told = phone.open("/s/shed-1/A01/start", {**form, "goal": "amount:300"}, x_rider="mei")
    assert "The payment was not accepted" in told.text
    assert rig.commands == []
    assert [(one.step, one.rider, one.amount) for one in asked] == [("reserve", "mei", 300)]
    rig.close()


def test_a_bill_is_handed_over_until_it_is_taken(tmp_path: Path) -> None:
    bills: list[Payment] = []

    def pay(payment: Payment) -> bool:
        if payment.step == "settle":
            bills.append(payment)
            if len(bills) == 1:
                raise ConnectionError("the bank is away")
        return len(bills) != 2

    rig = Rig(tmp_path, hooked=SimpleNamespace(pay=pay, identify=lambda _headers: None))
    rig.shed("A01")
    session = begun(rig, Phone(rig))
    rig.reply("accepted")
    settled(rig, session)
    for _turn in range(5):
        rig.care(1.0)
    assert [(bill.session_id, bill.amount) for bill in bills] == [(session, 20)] * 3
    rig.close()


# Languages, weight, hostile input


@pytest.mark.parametrize(
    ("accepted", "spoken"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("de,en;q=0.5,zh;q=0.4", "en"), ("", "en"), (";q=x,,\x7f", "en")],
)
def test_the_language_is_the_browsers(rig: Rig, accepted: str, spoken: str) -> None:
    rig.shed("A01")
    phone = Phone(rig, accepted)
    phone.socket()
    assert f'<html lang="{spoken}">' in phone.text
    phone.open("/s/shed-1/A01?lang=zh")
    assert "空闲" in phone.text
    phone.socket()
    assert "空闲" in phone.text, "what was chosen by the link stays"


def test_the_page_is_light(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    phone.socket()
    weight = len(phone.body)
    for name in [part.split('"')[0] for part in phone.text.split('"/static/')[1:]]:
        phone.ask(f"/static/{name}")
        assert phone.status == 200
        assert "immutable" in phone.headers["cache-control"]
        weight += len(phone.body)
    assert weight <= 60_000


@pytest.mark.parametrize(
    "path",
    [
        "/s/shed-1/A99",
        "/s/nowhere/A01",
        "/s/%3Cscript%3E/x",
        "/s/shed-1/A01%00",
        "/r/none",
        "/wp-admin",
        "/s/a/b/c",
    ],
)
def test_what_is_not_there_says_so(rig: Rig, path: str) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    phone.open(path)
    assert phone.status == 404
    assert "There is no such" in phone.text
    assert "<script>" not in phone.text


def test_hostile_names_do_nothing(rig: Rig) -> None:
    rig.say("state/port/A01", state(label=EVIL, blocked_by=[EVIL]))
    rig.say("state/gateway", presence(0))
    rig.say("state/info", {"name": EVIL, "timezone": "../../etc/passwd", "ledger": {"stream": STREAM, "first": 1}})
    phone = Phone(rig)
    phone.socket()
    assert "alert(1)" in phone.text
    assert "<script>alert" not in phone.text
    assert "49" not in Page(phone.text).text
    live = asyncio.run(_first_event(rig))
    assert "<script>alert" not in json.loads(live.removeprefix("data: "))["state"][1]


async def _first_event(rig: Rig) -> str:
    routes = next(one for one in rig.operator.app.routes if getattr(one, "path", "") == "/s/{gateway}/{port}/live")
    request = SimpleNamespace(
        path_params={"gateway": "shed-1", "port": "A01"}, headers={}, query_params={}, cookies={}
    )
    response = await routes.endpoint(request)  # type: ignore[attr-defined]
    events = response.body_iterator
    try:
        return str(await anext(events))
    finally:
        await events.aclose()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"x" * 10_000, "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % one for one in range(100)), "application/x-www-form-urlencoded"),
        (b"tap=\xff", "application/x-www-form-urlencoded"),
        (b'{"tap": "x"}', "application/json"),
        (b"", "text/plain"),
    ],
)
def test_hostile_forms_are_refused(rig: Rig, data: bytes, kind: str) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    phone.socket()
    for action in ("start", "stop"):
        phone.ask(f"/s/shed-1/A01/{action}", data=data, content_type=kind)
        assert phone.status == 403
    assert rig.commands == []


@pytest.mark.parametrize("goal", ["", "hours:9999", "hours:-1", "amount:1", "full; DROP TABLE ride", "hours:1e9"])
def test_a_goal_that_was_not_to_choose_from_is_none(rig: Rig, goal: str) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    assert "This page was old" in phone.press(phone.socket(), "start", goal=goal).text
    assert rig.commands == []


def test_a_notice_is_one_of_ours(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    phone.open("/s/shed-1/A01?notice=%3Cb%3Eowned")
    assert phone.status == 200
    assert "owned" not in phone.text


def test_cookies_and_headers_are_as_tight_as_they_can_be(rig: Rig, tmp_path: Path) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    phone.socket()
    assert "HttpOnly" in phone.set_cookies[0]
    assert "SameSite=lax" in phone.set_cookies[0]
    assert "Secure" not in phone.set_cookies[0]
    assert "default-src 'none'" in phone.headers["content-security-policy"]
    secret = phone.cookies["phone"]
    begun(rig, phone)
    assert every(secret not in str(tuple(one)) for one in rig.store.all("SELECT * FROM ride")), "a hash is stored"
    folder = tmp_path / "secure"
    folder.mkdir()
    safe = Rig(folder, url="https://charge.example")
    safe.shed("A01")
    other = Phone(safe)
    other.socket()
    assert "Secure" in other.set_cookies[0]
    safe.close()


def test_the_cost_so_far_counts_each_second_at_its_own_tier(rig: Rig) -> None:
    rig.shed("A01")
    session = begun(rig, Phone(rig))
    nothing = {"charging_s": 0.0, "energy_wh": 0, "suspended_by": None}
    rig.say("state/port/A01", charging(session, power_w=None, session=nothing))
    for second in range(1, 121):
        told = {"boot": 1, "up_ms": 1000 + second * 1000, "port": "A01", "session_id": session}
        watts = 100.0 if second <= 60 else 300.0
        rig.say("up/reading", {**told, "power_w": watts, "session_energy_wh": second // 20, "quality": "good"})
    port = rig.picture.port("shed-1", "A01")
    assert port is not None
    spent = rig.picture.spent(port, load(None).tariff)
    assert sum(spent.tiers.values()) == pytest.approx(120)
    assert spent.tiers[150] == pytest.approx(60, abs=2)
    assert spent.tiers[None] == pytest.approx(60, abs=2)
    page = Phone(rig).socket()
    assert page.kind == "taken"
    assert load(None).tariff.cost(spent) == pytest.approx(Decimal("0.0108"), abs=Decimal("0.0005"))


def test_a_broker_says_where_it_is_and_no_password() -> None:
    assert str(Broker(host="b", port=8883, password="hush", tls=True)) == "mqtts://b:8883"


def test_of_two_that_are_stored_together_the_first_has_the_socket(rig: Rig) -> None:
    rides = [
        NewRide("shed-1", "A01", phone, tap, Goal())
        for phone, tap in (("a", "1"), ("a", "2"), ("a", "1"), ("b", "3"))
    ]
    kept = [rig.store.open_ride(ride, ride.command(rig.store.tariff, AT)) for ride in rides[:3]]
    assert kept == [rides[0].session_id] * 3, "of one phone, be it another sheet"
    with pytest.raises(TakenError):
        rig.store.open_ride(rides[3], rides[3].command(rig.store.tariff, AT))
    assert len(rig.store.all("SELECT * FROM command")) == 1


def test_a_long_curve_stays_small(rig: Rig) -> None:
    line = Curve()
    for second in range(8 * 3600):
        line.add(float(second), 150.0, rig.store.tariff, max(1.0, second / 120))
    assert len(line.points) <= 240
    assert line.points[0][0] == 0.0
    assert line.points[-1][0] > 7.5 * 3600


def test_alarms_of_last_season_are_let_go(rig: Rig) -> None:
    rig.say("up/event", row(1))
    rig.care(91 * 86_400)
    assert rig.store.all("SELECT * FROM alarm") == []
    assert len(rig.store.all("SELECT * FROM ledger")) == 1


def test_a_page_that_is_closed_is_forgotten(rig: Rig) -> None:
    rig.shed("A01")
    asyncio.run(_first_event(rig))
    assert rig.picture.reading() == 0
