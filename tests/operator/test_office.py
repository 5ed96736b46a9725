"""The operator's pages: who sees them, what they show, what they do."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chargerd.operator.guard import MOST_GUESSES, Account
from tests.judging import every
from tests.operator.rig import ACCOUNT, Phone, Rig
from tests.operator.said import AT, charging, ended, presence, row, state

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    yield one
    one.close()


def inside(rig: Rig, language: str = "en") -> Phone:
    """Log in."""
    phone = Phone(rig, language)
    phone.open("/operator/login", {"user": ACCOUNT.user, "password": ACCOUNT.password})
    assert phone.status == 200
    return phone


@pytest.mark.parametrize("path", ["", "/live", "/sessions", "/sessions.csv", "/s/shed-1/A01"])
def test_nothing_is_shown_to_whoever_has_not_logged_in(rig: Rig, path: str) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    for cookie in ("", "9999999999.x.0123", "9999999999", "..", "é.é.é"):
        phone.cookies = {"operator": cookie} if cookie else {}
        phone.open(f"/operator{path}", follow=False)
        assert (phone.status, phone.headers["location"]) == (303, "/operator/login")


def test_nothing_is_done_for_whoever_has_not_logged_in(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    phone.open("/operator/s/shed-1/A01/disable", {"reason": "x", "token": ""}, follow=False)
    assert phone.headers["location"] == "/operator/login"
    assert rig.commands == []


def test_a_wrong_password_is_said_and_many_of_them_have_to_wait(rig: Rig) -> None:
    phone = Phone(rig)
    for _guess in range(MOST_GUESSES):
        assert "not right" in phone.open("/operator/login", {"user": "caretaker", "password": "guess"}).text
    assert "Too many attempts" in phone.open("/operator/login", {"user": "caretaker", "password": "guess"}).text
    assert phone.status == 429
    rig.clock.now += 61
    phone.open("/operator/login", {"user": ACCOUNT.user, "password": ACCOUNT.password})
    assert phone.status == 200


def test_without_an_account_the_pages_stay_shut(tmp_path: Path) -> None:
    rig = Rig(tmp_path, account=None)
    phone = Phone(rig)
    page = phone.open("/operator/login")
    assert "OPERATOR_PASSWORD" in page.text
    assert not page.forms
    phone.open("/operator/login", {"user": "", "password": ""})
    assert phone.status == 403
    rig.close()


def test_a_login_ends_by_time_by_logging_out_and_with_its_password(rig: Rig, tmp_path: Path) -> None:
    phone = inside(rig)
    assert "SameSite=strict" in phone.set_cookies[0] if phone.set_cookies else True
    cookie = dict(phone.cookies)
    page = phone.open("/operator")
    assert "All well" not in page.text
    phone.press(page, "logout")
    phone.open("/operator", follow=False)
    assert phone.status == 303
    rig.clock.now += 12 * 3600 + 1
    phone.cookies = cookie
    phone.open("/operator", follow=False)
    assert phone.status == 303
    rig.clock.now = AT
    rig.close()
    other = Rig(tmp_path, account=Account("caretaker", "another"))
    phone.rig = other
    phone.open("/operator", follow=False)
    assert phone.status == 303
    other.close()


def test_the_overview_shows_sheds_and_the_worst_first(rig: Rig) -> None:
    rig.shed("A02", "A03", "A04")
    rig.say("state/port/A01", charging("S-1", power_w=152.4))
    rig.say("state/port/A02", state("A02", state="disabled", disabled={"reason": "painting", "source": "remote"}))
    latch = {"function": "overcurrent_instant", "clearing": "remote", "detail": None}
    rig.say("state/port/A03", state("A03", state="tripped", latches=[latch]))
    rig.say("state/port/A04", state("A04", state="locked_out", latches=[{**latch, "function": "relay_welded"}]))
    rig.say("state/board/meter-a1", {"board": "meter-a1", "health": "lost"})
    rig.say("state/port/B01", state("B01"), "shed-2")
    rig.say("state/gateway", presence(0, status="offline"), "shed-2")
    rig.say("up/session", ended(1, "S-0", energy_wh=1500))
    rig.say("up/event", row(2, function="overcurrent_instant", port="A03"))
    text = " ".join(inside(rig).open("/operator").text.split())
    places = [
        text.index(one) for one in ("locked out relay_welded", "overcurrent_instant", "meter-a1", "painting")
    ]
    assert places == sorted(places)
    for said in ("A01 152 W", "1 · 152 W", "1 · 1.50 kWh", "¥0.45", "shed-2", "offline", "port_tripped"):
        assert said in text


def test_a_power_that_is_none_of_now_has_its_age_and_is_gone_after_a_while(rig: Rig) -> None:
    rig.shed("A01")
    rig.say("state/port/A01", charging("S-1", power_w=152.4))
    phone = inside(rig)
    there = "/operator/s/shed-1/A01"

    def shown() -> tuple[str, str]:
        both = (" ".join(phone.open(page).text.split()) for page in ("/operator", there))
        return next(both), next(both)

    assert every("152 W" in page and " old)" not in page for page in shown())
    rig.clock.now += 61.0
    assert every("152 W (61 s old)" in page for page in shown())
    assert "1 · 0 W" in shown()[0], "it counts for nothing that flows"
    rig.clock.now += 600.0
    assert not any("152 W" in page for page in shown())
    reading = {"power_w": 200.0, "energy_wh": 71513, "age_s": 12.0, "quality": "stale"}
    rig.say("state/port/A01", charging("S-1", reading=reading, state="suspended"))
    assert every("200 W (12 s old)" in page for page in shown())
    gone = {"closed": False, "source": "believed", "age_s": 44.0}
    rig.say("state/port/A01", charging("S-1", reading=reading, state="suspended", relay=gone))
    assert not any("200 W" in page for page in shown())


def test_a_socket_is_stopped_disabled_enabled_and_reset(rig: Rig) -> None:
    rig.shed("A01")
    phone = inside(rig)
    there = "/operator/s/shed-1/A01"
    rig.say("state/port/A01", charging("S-1"))
    page = phone.press(phone.open(there), "stop")
    assert "Sent." in page.text
    phone.press(page, "stop")
    assert [(one.name, one.args) for one in rig.commands] == [("stop", {"port": "A01", "session_id": "S-1"})]
    rig.reply("done")
    assert "done" in phone.open(there).text
    phone.press(phone.open(there), "disable", reason="")
    assert len(rig.commands) == 1, "a reason is needed"
    phone.press(phone.open(there), "disable", reason="  burnt\x1b[2J plug \u202e" + "x" * 500)
    reason = rig.commands[-1].args["reason"]
    assert reason.startswith("burnt[2J plug x")
    assert len(reason) == 120
    latch = {"function": "overcurrent_instant", "clearing": "remote", "detail": None}
    rig.say(
        "state/port/A01", state(state="tripped", latches=[latch], disabled={"reason": EVIL, "source": "remote"})
    )
    page = phone.open(there)
    assert EVIL in page.text
    assert EVIL not in phone.text, "it is escaped"
    phone.press(page, "enable", reason="mended")
    assert (rig.commands[-1].name, rig.commands[-1].args) == ("enable", {"port": "A01", "reason": "mended"})
    phone.press(page, "reset")
    assert (rig.commands[-1].name, rig.commands[-1].args) == ("reset", {"port": "A01"})
    rig.reply("rejected", "not_allowed")
    assert "rejected (not_allowed)" in " ".join(phone.open(there).text.split())
    rig.clock.now += 40
    assert "no reply" in phone.open(there).text, "of the enable"
    rig.say("state/port/A01", state(state="disabled", disabled={"reason": "somebody works", "source": "local"}))
    assert "on site" in phone.open(there).text
    rig.say("state/port/A01", state(state="disabled", lock={"by": "Ada", "reason": "a new socket"}))
    assert "Locked on site by Ada: a new socket" in " ".join(phone.open(there).text.split())


def test_a_form_of_another_site_does_nothing(rig: Rig) -> None:
    rig.shed("A01")
    phone = inside(rig)
    rig.say("state/port/A01", charging("S-1"))
    for form in ({"session": "S-1"}, {"session": "S-1", "token": "0" * 40}, {"session": "S-1", "token": "é"}):
        phone.open("/operator/s/shed-1/A01/stop", form)
        assert phone.status == 403
    phone.open("/operator/logout", {})
    assert phone.status == 403
    other = inside(rig)
    form = other.open("/operator/s/shed-1/A01").forms["/operator/s/shed-1/A01/stop"]
    phone.open("/operator/s/shed-1/A01/stop", form)
    assert phone.status == 403, "nor does one of another login"
    assert rig.commands == []


@pytest.mark.parametrize("path", ["/operator/s/shed-1/A99", "/operator/s/x/y", "/operator/s/shed-1/A01/explode"])
def test_what_is_not_there(rig: Rig, path: str) -> None:
    rig.shed("A01")
    phone = inside(rig)
    phone.open(path)
    assert phone.status == 404


# Sessions


def test_sessions_are_paged_summed_and_given_as_csv(rig: Rig) -> None:
    rig.shed("A01")
    for number in range(120):
        rig.clock.now += 10
        rig.say("up/session", ended(number + 1, f"S-{number}", stop_reason="full"))
    phone = inside(rig)
    page = phone.open("/operator/sessions")
    assert "Charges: 120, 14.40 kWh, ¥24.00" in page.text
    seen = phone.text.count("<td>shed-1</td>")
    while older := [link for link in page.links if "before=" in link]:
        page = phone.open(older[0].replace("&amp;", "&"))
        seen += phone.text.count("<td>shed-1</td>")
    assert seen == 120
    phone.open("/operator/sessions.csv?from=&to=")
    lines = list(csv.DictReader(io.StringIO(phone.text.removeprefix("\ufeff"))))
    assert [line["session_id"] for line in lines] == [f"S-{number}" for number in range(120)]
    assert lines[0] | {"energy_wh": "120", "amount": "0.2", "currency": "¥", "stop_reason": "full"} == lines[0]
    assert "attachment" in phone.headers["content-disposition"]


def test_days_are_chosen(rig: Rig) -> None:
    rig.shed("A01")
    rig.say("up/session", ended(1, "S-1"))
    rig.clock.now += 86_400 * 3
    rig.say("up/session", ended(2, "S-2"))
    phone = inside(rig)
    assert "Charges: 1," in phone.open("/operator/sessions?from=2026-09-21&to=2026-09-22").text
    assert "Charges: 2," in phone.open("/operator/sessions?from=nonsense&to=9999-99-99&before=nan").text
    assert "1 · 120 Wh" in " ".join(phone.open("/operator").text.split()), "today's"


@pytest.mark.parametrize("order", ["=cmd|' /C calc'!A0", "+1", "@x", "-2"])
def test_a_cell_of_the_csv_is_no_formula(rig: Rig, order: str) -> None:
    rig.say("up/session", ended(1, order_id=order))
    phone = inside(rig)
    phone.open("/operator/sessions.csv")
    assert [line["order_id"] for line in csv.DictReader(io.StringIO(phone.text))] == [f"'{order}"]


def test_ten_thousand_sessions_are_no_wait(rig: Rig) -> None:
    """Counted in steps of SQLite's machine: how long they take says how busy this one is."""
    with rig.store.transaction() as db:
        rig.store.sessions.row("shed-1", ended(1, "S"))
        names = [str(one[1]) for one in db.execute("PRAGMA table_info(session)")]
        columns = ", ".join(
            {"session_id": "'S-' || value", "heard_at": f"{AT} - value * 60"}.get(name, name) for name in names
        )
        numbers = "WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 10000) "
        db.execute(f"{numbers} INSERT INTO session ({', '.join(names)}) SELECT {columns} FROM session, n")
    phone, steps = inside(rig), [0]

    def count() -> int:
        steps[0] += 1
        return 0

    db.set_progress_handler(count, 1000)
    for path, most in (
        ("/operator/sessions", 400),
        ("/operator/sessions?before=1789700000", 400),
        ("/operator", 100),
    ):
        steps[0] = 0
        phone.open(path)
        assert phone.status == 200
        assert steps[0] < most, path
    assert "¥" in phone.text


def test_history_and_alarms_of_one_socket(rig: Rig) -> None:
    rig.shed("A01", "A02")
    rig.say("up/session", ended(1, "S-1", stop_reason="overcurrent"))
    rig.say("up/session", ended(2, "S-2", port="A02", stop_reason="unplugged"))
    rig.say("up/event", row(3, function=EVIL))
    rig.say("up/event", row(4, "relay_open_circuit", severity="warning", port="A02"))
    phone = inside(rig)
    text = phone.open("/operator/s/shed-1/A01").text
    assert "overcurrent" in text
    assert "unplugged" not in text
    assert "relay_open_circuit" not in text
    assert EVIL in text
    assert EVIL not in phone.text


def test_each_socket_has_a_label_to_print(rig: Rig, tmp_path: Path) -> None:
    rig.shed("A01", "A02")
    phone = inside(rig)
    page = phone.open("/operator/labels")
    assert "http://operator/s/shed-1/A02" in page.text
    assert phone.text.count("<svg") == 2
    folder = tmp_path / "named"
    folder.mkdir()
    named = Rig(folder, url="https://charge.example/")
    named.shed("A01")
    assert "https://charge.example/s/shed-1/A01" in inside(named).open("/operator/labels").text
    named.close()


def test_the_pages_speak_chinese(rig: Rig) -> None:
    rig.shed("A01")
    phone = inside(rig, "zh-CN")
    told: dict[str, Any] = {
        "/operator": "需要处理",
        "/operator/sessions": "充电记录",
        "/operator/s/shed-1/A01": "停用",
    }
    for path, word in told.items():
        assert word in phone.open(path).text
