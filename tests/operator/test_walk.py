"""Chromium walks the pages against the real daemon on simulated boards, and axe looks at each.

`make walks` is the long form: every path, in both languages, at 360 and 1280 px, by day and by night, with
screenshots in `build/walks`. The short form walks the main path once on a phone and once on a desk.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chargerd.core.units import Volts
from chargerd.operator.words import Words, words
from chargerd.sim.loads import resistive
from tests.operator.browser import CHROMIUM, DESK, PHONE, Browser
from tests.operator.rig import ACCOUNT
from tests.operator.stage import Stage, accessible, charger, fits, wait

LONG = bool(os.environ.get("WALKS"))
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None and not LONG, reason="no browser here; make walks installs one"),
]

SHOTS = Path("build") / "walks"
TAB, ENTER = "\ue004", "\ue007"


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody at a screen."""

    language: str
    size: tuple[int, int]
    dark: bool

    def __str__(self) -> str:
        return f"{self.language}-{self.size[0]}{'-dark' if self.dark else ''}"

    @property
    def words(self) -> Words:
        return words(self.language)


SHORT = [Reader("en", PHONE, False), Reader("zh", DESK, True)]
ALL = [
    *(Reader("en", PHONE, False), Reader("zh", PHONE, True), Reader("en", DESK, True), Reader("zh", DESK, False)),
    *(Reader("zh", PHONE, False), Reader("en", PHONE, True)),
]
long = pytest.mark.skipif(not LONG, reason="minutes of Chromium: make walks leads them")
readers = pytest.mark.parametrize("reader", ALL if LONG else SHORT, ids=str)


class Walk:
    """A reader's way through the pages."""

    def __init__(self, browser: Browser, stage: Stage) -> None:
        self.browser = browser
        self.stage = stage
        self._reader = SHORT[0]

    def be(self, reader: Reader, *, script: bool = True) -> Words:
        self._reader = reader
        self.browser.forget()
        self.browser.look(size=reader.size, dark=reader.dark, language=reader.language, script=script)
        return reader.words

    def see(self, text: str, shot: str = "", *, reload: bool = False, axe: bool = True) -> str:
        """Wait until a text is there; then look whether all is well with the page."""
        shown = self.browser.wait_for(text, reload=reload)
        fits(self.browser, text)
        if axe:
            accessible(self.browser, text)
        if shot and LONG:
            self.browser.screenshot(SHOTS / f"{shot}-{self._reader}.png")
        return shown

    def stands(self, kind: str, shot: str = "", *, axe: bool = True) -> None:
        """Wait until a socket's page says that it stands so; other sentences have the same words in them."""
        self.browser.wait_for(f"\n{self._reader.words(f'headline.{kind}')}\n")
        self.see("", shot, axe=axe)

    def open(self, port: str) -> None:
        self.browser.open(self.stage.address(port))

    def log_in(self) -> Words:
        self.browser.open(f"{self.stage.operator.url}/operator/login")
        self.browser.type("input[name=user]", ACCOUNT.user)
        self.browser.type("input[name=password]", ACCOUNT.password)
        self.browser.click("main button")
        self.browser.wait_for(self._reader.words("office.under_way"))
        return self._reader.words


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    with Stage(tmp_path_factory.mktemp("walk")) as stage, Browser() as browser:
        yield Walk(browser, stage)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """A line that takes one new charge; a second when the first is known to draw little."""
    soon = "protection: {voltage_back_s: 10, shed_wait_s: 10}"
    folder = tmp_path_factory.mktemp("crowded")
    with Stage(folder, ports=2, circuit="rating_a: 8", more=soon) as stage, Browser() as browser:
        yield Walk(browser, stage)


def closed(walk: Walk, port: str) -> None:
    wait(lambda: walk.stage.site.contact(port), f"the relay of {port} does not close")


@readers
def test_a_charge_from_free_to_its_receipt_and_what_the_operator_sees(walk: Walk, reader: Reader) -> None:
    said, site, port = walk.be(reader), walk.stage.site, "A01"
    wait(lambda: walk.stage.look(port).kind == "free", "it is not free")
    walk.open(port)
    walk.stands("free", "free")
    walk.browser.click("input[value='hours:2']" if reader.size == DESK else "input[value=full]")
    walk.browser.click("button.start")
    closed(walk, port)
    walk.stands("plug_in", "plug-in")
    site.world.socket(port).plug(charger())
    walk.see(said("page.curve", watts="1")[:4], axe=False)
    walk.stands("charging", "charging")
    assert walk.browser.run("return document.title").endswith(f"· {said('headline.charging')}")
    walk.open(port)
    walk.stands("charging", axe=False)
    walk.log_in()
    walk.see(said("office.under_way"), "office-sheds")
    walk.browser.open(f"{walk.stage.operator.url}/operator/s/shed-1/{port}")
    walk.see(said("office.history"), "office-socket")
    walk.open(port)
    walk.browser.click("button.stop")
    walk.see(said("reason.remote"), "ended")
    assert not site.contact(port)
    site.world.socket(port).unplug()
    walk.browser.click("a.button")
    walk.see(said("receipt.to_pay"), "receipt")
    walk.browser.open(f"{walk.stage.operator.url}/operator/sessions")
    walk.see(said("office.csv"), "office-sessions")
    walk.browser.open(f"{walk.stage.operator.url}/operator/labels")
    walk.see(said("office.labels_detail"), "office-labels")


def test_without_script_a_page_reloads_by_itself(walk: Walk) -> None:
    """And somebody else's page says that the socket is in use, and which one is free."""
    said = walk.be(SHORT[0], script=False)
    walk.stage.site.world.socket("A02").plug(charger())
    walk.open("A02")
    walk.browser.click("button.start")
    closed(walk, "A02")
    wait(lambda: said("headline.charging") in walk.browser.text, "nothing reloads")
    walk.browser.click("button.stop")
    wait(lambda: said("reason.remote") in walk.browser.text, "nothing reloads")
    walk.stage.site.world.socket("A02").unplug()


# The long form


@long
@readers
def test_keys_alone_are_enough(walk: Walk, reader: Reader) -> None:
    said = walk.be(reader)
    walk.stage.site.world.socket("A03").plug(charger())
    walk.open("A03")
    walk.stands("free")
    walk.browser.press(TAB, TAB, TAB, ENTER)
    closed(walk, "A03")
    walk.stands("charging")
    walk.browser.run("document.querySelector('button.stop').focus()")
    walk.browser.press(ENTER)
    walk.see(said("reason.remote"))
    walk.stage.site.world.socket("A03").unplug()


@long
@readers
def test_a_socket_in_use_and_one_that_was_taken_in_the_same_second(walk: Walk, reader: Reader) -> None:
    walk.be(reader)
    site = walk.stage.site
    walk.open("A03")
    walk.stands("free")
    other = walk.stage.operator.phone()
    other.press(walk.stage.look("A03", other), "start")
    walk.browser.run("document.querySelector('button.start')?.click()")
    walk.stands("taken", "taken")
    site.world.socket("A03").plug(charger())
    walk.stands("taken", "in-use")
    wait(lambda: "stop" in " ".join(walk.stage.look("A03", other).forms), "no stop")
    other.press(walk.stage.look("A03", other), "stop")
    walk.stands("free")
    site.world.socket("A03").unplug()


@long
@readers
def test_a_trip_and_its_clearing(walk: Walk, reader: Reader) -> None:
    said, site = walk.be(reader), walk.stage.site
    # A socket that trips often is cleared on site only.
    port = f"A0{2 + ALL.index(reader) % 3}"
    site.world.socket(port).plug(charger())
    walk.open(port)
    walk.browser.click("button.start")
    walk.stands("charging")
    site.wait(lambda: site.port(port)["session"]["charging_s"] > 2.5, f"{port} does not charge on")
    site.world.socket(port).plug(resistive("short", 9.0))
    walk.see(said("reason.overcurrent"), "tripped-mine")
    site.world.socket(port).unplug()
    walk.browser.forget()
    walk.open(port)
    walk.see(said("code.latched"), "tripped")
    walk.log_in()
    walk.see("overcurrent", "office-tripped")
    walk.browser.open(f"{walk.stage.operator.url}/operator/s/shed-1/{port}")
    walk.see(said("office.reset"), "office-reset")
    walk.browser.click("form[action$=reset] button")
    walk.see(said("status.done"), reload=True)
    walk.open(port)
    walk.stands("free")


@long
@readers
def test_out_of_service_and_back(walk: Walk, reader: Reader) -> None:
    said = walk.be(reader)
    walk.browser.open(f"{walk.stage.operator.url}/operator")
    walk.see(said("office.login"), "office-login")
    walk.browser.type("input[name=user]", "caretaker")
    walk.browser.type("input[name=password]", "guess")
    walk.browser.click("main button")
    walk.see(said("office.wrong"), "office-wrong")
    walk.log_in()
    walk.browser.open(f"{walk.stage.operator.url}/operator/s/shed-1/A04")
    walk.browser.type("input[name=reason]", "<b>burnt</b>")
    walk.browser.click("form[action$=disable] button")
    walk.see("<b>burnt</b>", "office-disabled", reload=True)
    walk.open("A04")
    walk.see(said("code.disabled"), "disabled")
    walk.browser.open(f"{walk.stage.operator.url}/operator/s/shed-1/A04")
    walk.browser.type("input[name=reason]", "mended")
    walk.browser.click("form[action$=enable] button")
    walk.see(said("port_state.available"), reload=True)
    walk.open("A04")
    walk.stands("free")


@long
def test_a_gateway_that_is_killed_comes_back_and_the_charge_goes_on(walk: Walk) -> None:
    said, site = walk.be(ALL[1]), walk.stage.site
    site.world.socket("A01").plug(charger())
    walk.open("A01")
    walk.browser.click("button.start")
    walk.stands("charging")
    site.end(signal.SIGKILL)
    walk.stands("mine_offline", "mine-offline")
    other = walk.stage.operator.phone("zh")
    assert walk.stage.look("A02", other).kind == "offline"
    walk.open("A02")
    walk.stands("offline", "offline")
    walk.open("A01")
    site.start()
    walk.stands("charging", "goes-on")
    walk.browser.click("button.stop")
    walk.see(said("reason.remote"))
    site.world.socket("A01").unplug()


@long
def test_a_start_that_nobody_answers(walk: Walk) -> None:
    said, site = walk.be(ALL[4]), walk.stage.site
    walk.open("A01")
    assert site.process is not None
    site.process.send_signal(signal.SIGSTOP)
    try:
        walk.browser.click("button.start")
        walk.stands("asked", "asked")
        walk.stands("unanswered", "unanswered")
    finally:
        site.process.send_signal(signal.SIGCONT)
    walk.see(said("page.again"))
    assert not site.contact("A01"), "it came too late, and nothing happened"


@long
@readers
def test_a_full_line_is_waited_for_left_and_waited_for_again(crowded: Walk, reader: Reader) -> None:
    said, site, look = crowded.be(reader), crowded.stage.site, crowded.stage.look
    first = crowded.stage.operator.phone()
    wait(lambda: look("A01").kind == "free", "A01 is not free")
    site.world.socket("A01").plug(charger())
    site.world.socket("A02").plug(charger())
    first.press(look("A01", first), "start")
    closed(crowded, "A01")
    crowded.open("A02")
    crowded.see(said("page.wait_note", minutes=60), "line-full")
    crowded.browser.click("button.start")
    crowded.stands("queued", "queued")
    crowded.see(said("detail.queued", position=1))
    crowded.browser.click("button.stop")
    crowded.see(said("reason.remote"), "queue-left")
    crowded.see(said("page.wait_note", minutes=60))
    crowded.browser.click("button.start")
    crowded.stands("queued")
    first.press(look("A01", first), "stop")
    closed(crowded, "A02")
    crowded.stands("charging", "queued-charging")
    crowded.browser.click("button.stop")
    crowded.see(said("reason.remote"))
    for port in ("A01", "A02"):
        site.world.socket(port).unplug()


@long
def test_a_line_that_carries_too_much_pauses_the_newest(crowded: Walk) -> None:
    """A second is let in when the first is known to draw little; then both draw more."""
    said, site, look = crowded.be(ALL[1]), crowded.stage.site, crowded.stage.look
    first = crowded.stage.operator.phone()
    wait(lambda: look("A01").kind == "free", "A01 is not free")
    for port in ("A01", "A02"):
        site.world.socket(port).plug(charger())
    first.press(look("A01", first), "start")
    closed(crowded, "A01")
    crowded.open("A02")
    crowded.see(said("page.wait_note", minutes=60))
    crowded.browser.click("button.start")
    crowded.stands("queued")
    site.wait(lambda: site.contact("A02"), "there is no room", timeout=300)
    crowded.stands("charging")
    for port in ("A01", "A02"):
        site.world.socket(port).plug(charger(620.0))
    crowded.stands("suspended")
    crowded.see(said("suspended.circuit_overload"), "suspended-circuit")
    first.press(look("A01", first), "stop")
    crowded.stands("charging")
    crowded.browser.click("button.stop")
    crowded.see(said("reason.remote"))
    for port in ("A01", "A02"):
        site.world.socket(port).unplug()


@long
@readers
def test_a_voltage_that_is_too_low_for_a_while(crowded: Walk, reader: Reader) -> None:
    said, site = crowded.be(reader), crowded.stage.site
    wait(lambda: crowded.stage.look("A01").kind == "free", "A01 is not free")
    site.world.socket("A01").plug(charger())
    crowded.open("A01")
    crowded.browser.click("button.start")
    crowded.stands("charging")
    mains, site.world.mains = site.world.mains, Volts(160.0)
    try:
        crowded.stands("suspended")
        crowded.see(said("suspended.undervoltage"), "suspended-voltage")
        assert not site.contact("A01")
        crowded.log_in()
        crowded.see("undervoltage", "office-suspended")
    finally:
        site.world.mains = mains
    crowded.open("A01")
    crowded.stands("charging")
    crowded.browser.click("button.stop")
    crowded.see(said("reason.remote"))
    site.world.socket("A01").unplug()


@long
@readers
def test_what_is_not_there(walk: Walk, reader: Reader) -> None:
    said = walk.be(reader)
    walk.open("<img src=x onerror=alert(1)>")
    walk.see(said("error.no_socket"), "no-socket")
    walk.browser.open(f"{walk.stage.operator.url}/r/nothing")
    walk.see(said("error.no_page"))
