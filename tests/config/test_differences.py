"""What two configurations mean differently, by name and place, and when that holds."""

from importlib.resources import files

import pytest

from chargerd.config.applies import SECTIONS
from chargerd.config.differences import differences, shown, things
from chargerd.config.loader import Checked, Files, check
from tests.config.sites import BASE, changed

FILE = "site.yaml"
INPUT = "inputs: {smoke: {input: io-a/1, kind: smoke, circuit: shed-a}}\n"


def checked(text: str = BASE, *profiles: tuple[str, str]) -> Checked:
    return check(Files(name=FILE, text=text, profiles=profiles))


def told(old: str, new: str) -> list[str]:
    return told_of(checked(changed(old, new)))


def told_of(now: Checked, before: Checked | None = None) -> list[str]:
    found = differences(checked() if before is None else before, now)
    assert {one.file for one in found} <= {FILE}
    return [f"{one.line}:{one.column} {one} [{one.applies.value}]" for one in found]


@pytest.mark.parametrize(
    ("old", "new", "rows"),
    [
        ("power_w: 800", "power_w: 700", ["19:10 ports A01..A03 limits.power_w: was 800, is 700 [limits]"]),
        ("{power_w: 400}", "{power_w: 500}", ["31:14 ports B01 limits.power_w: was 400, is 500 [limits]"]),
        ("{power_w: 400}", "{energy_wh: 9}", [
            "19:10 ports B01 limits.power_w: was 400, is 800 [limits]",
            "31:14 ports B01 limits.energy_wh: was none, is 9 [limits]",
        ]),
        ("[150, 300]", "[150]", ["20:1 tariff_tiers_w: was [150.0, 300.0], is [150.0] [next]"]),
        ("main: {phases: 3}", "main: {phases: 3}\n  new: {}", ["17:3 circuits new: is new [restart]"]),
        ("phase: L2", "phase: L3", ["18:26 circuits shed-b phase: was L2, is L3 [restart]"]),
        ("address: 30", "address: 31", ["12:27 boards feeder-a address: was 30, is 31 [restart]"]),
        ("  feeder-a: {bus: line-a, address: 30, profile: eastron-sdm120}\n", "", [
            "0:0 boards feeder-a: is gone [restart]"
        ]),
        ("relay: relay-b/8", "relay: relay-b/7", ["28:5 ports B01 relay: was relay-b/8, is relay-b/7 [restart]"]),
        ("host: broker.example.net", "host: b.example.net", [
            "3:3 mqtt host: was broker.example.net, is b.example.net [restart]"
        ]),
        ("  tls: {ca: /ca.pem}\n", "", ["0:0 mqtt.tls: is gone [restart]"]),
        ("name: Shed,", "name: Barn,", ["1:23 gateway name: was Shed, is Barn [restart]"]),
        ("/dev/line-a}", "/dev/line-c}", ["6:12 buses line-a serial: was /dev/line-a, is /dev/line-c [restart]"]),
        ("A01..A03", "A01..A03\n    temperature: null", []),
    ],
)  # fmt: skip
def test_a_change_is_told_with_its_name_and_its_place(old: str, new: str, rows: list[str]) -> None:
    assert told(old, new) == rows


def test_nothing_that_can_be_written_is_overlooked() -> None:
    """A section that is new is compared, too; `limits` and the like are, port by port."""
    whole = changed("mqtt:\n", "mqtt:\n  home_assistant: {}\n") + "metrics: {}\nqueue: {}\nresume: {}\n" + INPUT
    said = {(section, key) for (section, _), keys in things(checked(whole)) for key in keys if key}
    ported = ("limits", "protection", "charge_end")
    wanted = {
        ("ports", f"{section}.{key}") if section in ported else (section, key)
        for section, keys in SECTIONS.items()
        for key in keys
    } - {
        ("tariff_tiers_w", ""),
        ("mqtt", "tls"),
        ("mqtt", "home_assistant"),
        ("ports", "id"),
        *(("ports", name) for name in ported),
    }
    assert said == wanted


def test_how_something_is_written_does_not_matter() -> None:
    ranged = "  meter-a1..meter-a3: {bus: line-a, address: 11..13, profile: eastron-sdm120}"
    rows = [f"  meter-a{n}: {{bus: line-a, address: {10 + n}, profile: eastron-sdm120}}" for n in (1, 2, 3)]
    text = changed(
        "{power_w: 800, current_a: 4}", "{current_a: 4.0, power_w: 800}", changed(ranged, "\n".join(rows))
    )
    assert checked(text).site.digest != checked().site.digest
    assert told_of(checked(text)) == []


def test_a_port_that_is_gone_and_one_that_is_new_are_told_as_that() -> None:
    assert told("A01..A03", "A02..A04")[:2] == [
        "0:0 ports A01: is gone [restart]",
        "22:5 ports A04: is new [restart]",
    ]


def test_a_profile_that_says_something_else_is_a_change_of_its_boards() -> None:
    shipped = files("chargerd.config.profiles").joinpath("pzem.yaml").read_text(encoding="utf-8")
    slower = shipped.replace("timeout_ms: 200", "timeout_ms: 201")
    assert slower != shipped
    before, now = checked(BASE, ("own.yaml", shipped)), checked(BASE, ("own.yaml", slower))
    assert told_of(now, before) == ["14:38 boards meter-b profile: pzem-016 says something else [restart]"]


def test_names_that_follow_each_other_are_shown_as_ranges() -> None:
    assert shown(["A01", "A02", "A03", "B01", "B03"]) == "A01..A03, B01, B03"
    assert shown([]) == ""
