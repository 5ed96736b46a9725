"""What one gateway, one stranger or one bad clock may not do to the others."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chargerd.operator.messages import UnsoundError, understood
from chargerd.operator.prices import load
from tests.operator.rig import ACCOUNT, Phone, Rig
from tests.operator.said import charging, ended, heard, presence, row, state

FAR = "9999-12-31T23:59:59+00:00"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    one = Rig(tmp_path)
    yield one
    one.close()


def operator_of(rig: Rig) -> Phone:
    phone = Phone(rig)
    phone.open("/operator/login", {"user": ACCOUNT.user, "password": ACCOUNT.password})
    return phone


@pytest.mark.parametrize(
    "told",
    [
        b'{"gateway": "shed-1", "label": "\\ud800"}',
        b'{"gateway": "shed-1", "label": "' + b"x" * 300_000 + b'"}',
    ],
    ids=["half a character", "huge"],
)
def test_what_no_disk_and_no_page_can_take_is_no_message(told: bytes) -> None:
    """It would end the thread that stores, again after each start: the broker sends it again."""
    with pytest.raises(UnsoundError):
        understood("chargerd/v1", "chargerd/v1/shed-1/up/event", told)


@pytest.mark.parametrize("nonsense", [{"stream": "\ud800"}, {"boot": 1, "tiers": {}}, {"started": 7}])
def test_one_gateways_nonsense_keeps_nothing_of_the_others_from_the_disk(
    rig: Rig, nonsense: dict[str, Any]
) -> None:
    rig.say("up/session", ended(1, **nonsense))
    rig.say("up/session", ended(1), "shed-2")
    assert [tuple(one) for one in rig.store.all("SELECT gateway, amount FROM session")] == [("shed-2", 20)]


@pytest.mark.parametrize(
    ("level", "body"),
    [
        ("state/port/A09", {"port": "A09"}),
        ("state/gateway", {"conn": 1}),
        ("state/port/A09", {**state("A09"), "latches": 7}),
    ],
)
def test_one_gateways_nonsense_hides_nothing_of_the_others(rig: Rig, level: str, body: dict[str, Any]) -> None:
    good = {**state("B01"), "gateway": "shed-2"}
    rig.picture.take([heard(level, body), heard("state/port/B01", good, "shed-2")])
    assert rig.picture.port("shed-2", "B01") is not None


@pytest.mark.parametrize("row_of", [lambda: row(1, at=FAR), lambda: ended(1, started_at=FAR, ended_at=FAR)])
def test_a_moment_of_another_age_breaks_no_page(rig: Rig, row_of: Any) -> None:
    rig.shed("A01")
    rig.say("state/info", {"name": "x", "timezone": "Asia/Shanghai", "ledger": {"stream": "s", "first": 1},
                           "clock_anchor": {"offset_ms": None}})  # fmt: skip
    rig.say("up/event", row_of())
    phone = operator_of(rig)
    for page in ("", "/sessions", "/sessions.csv", "/s/shed-1/A01"):
        phone.open(f"/operator{page}")
        assert phone.status == 200, page


def test_an_offset_of_another_age_breaks_no_page(rig: Rig) -> None:
    rig.shed("A01")
    rig.say("up/session", ended(1))
    rig.say("up/event", row(2, "clock_fixed", severity="info", offset_ms=2**52))
    phone = operator_of(rig)
    for page in ("/sessions", "/sessions.csv"):
        phone.open(f"/operator{page}")
        assert phone.status == 200, page
        assert "120" in phone.text


def test_tiers_without_what_is_asked_of_them_break_no_file(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    phone.press(phone.socket(), "start")
    session = str(rig.commands[-1].args["session_id"])
    rig.reply("accepted")
    rig.say("up/session", ended(1, session, tiers=[{}]))
    receipt = next(link for link in phone.socket().links if link.startswith("/r/"))
    phone.open(receipt)
    assert phone.status == 200
    office = operator_of(rig)
    office.open("/operator/sessions.csv")
    assert session in office.text


@pytest.mark.parametrize("path", ["//evil.example/x", "/%5Cevil.example", "/%2F/evil.example"])
def test_no_link_of_ours_leads_elsewhere(rig: Rig, path: str) -> None:
    phone = Phone(rig)
    page = phone.open(path)
    assert phone.status == 404
    assert page.links == [f"{link}" for link in page.links if link[:2] not in {"//", "/\\"}]


def test_prices_that_have_changed_since_a_page_was_drawn_are_shown_before_anything_starts(
    rig: Rig, tmp_path: Path
) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    page = phone.socket()
    rig.close()
    prices = load(None)
    dearer = replace(prices, tariff=replace(prices.tariff, symbol="€"))
    later = Rig(tmp_path, prices=dearer)
    later.shed("A01")
    phone.rig = later
    told = phone.press(page, "start")
    assert "This page was old" in told.text
    assert later.commands == []
    assert phone.press(told, "start").kind == "asked"
    later.close()


def test_what_was_chosen_is_said_though_it_cannot_be_chosen_any_more(rig: Rig, tmp_path: Path) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    phone.press(phone.socket(), "start", goal="amount:300")
    rig.close()
    later = Rig(tmp_path, prices=replace(load(None), amounts=()))
    later.shed("A01")
    phone.rig = later
    assert "You chose: For ¥3.00" in phone.socket().text
    later.close()


def test_a_clock_that_is_set_back_sends_no_start_again(rig: Rig) -> None:
    """It would be good for as long again, and begin when nobody waits for it any more."""
    rig.shed("A01")
    phone = Phone(rig)
    phone.press(phone.socket(), "start")
    assert len(rig.store.unanswered()) == 1
    rig.care(-3600.0)
    assert rig.store.unanswered() == []
    assert phone.socket().kind == "unanswered"


def test_pages_beyond_what_we_serve_live_are_served_without(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.shed("A01")
    monkeypatch.setattr("chargerd.operator.picture.MOST_READERS", 1)
    phone = Phone(rig)

    async def look() -> None:
        with rig.picture.reader("shed-1", "A01"):
            await asyncio.to_thread(phone.ask, "/s/shed-1/A01/live")
            assert phone.status == 503
            await asyncio.to_thread(phone.socket)
            assert phone.status == 200

    asyncio.run(look())


def test_a_session_that_is_settled_comes_again_under_another_stream(rig: Rig) -> None:
    rig.shed("A01")
    phone = Phone(rig)
    phone.press(phone.socket(), "start")
    session = str(rig.commands[-1].args["session_id"])
    rig.reply("accepted")
    rig.say("state/port/A01", charging(session))
    rig.say("up/session", ended(1, session))
    again = {**ended(1, session, energy_wh=999, charging_s=99_999), "stream": "another"}
    rig.say("up/session", again)
    rig.say("state/gateway", {**presence(0), "ledger": {"stream": "another", "first": 1, "last": 1}})
    rows = rig.store.all("SELECT amount, energy_wh FROM session")
    assert [tuple(one) for one in rows] == [(20, 120)]
