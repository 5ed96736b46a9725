"""Profiles of a site's own: which replaces which, where they are looked for, and what is refused."""

from pathlib import Path

import pytest

import chargerd
from chargerd.config.loader import load
from chargerd.config.problems import ConfigurationError
from chargerd.config.profiles import library
from chargerd.config.profiles.library import load_library
from chargerd.config.profiles.models import Profile
from chargerd.config.source import Source, parse
from tests.config.sites import BASE, changed, problems, shipped, site, unmarked

OWN = """\
family: Own
source: the manual
verified: nothing
profiles:
  waveshare-relay-8:
    title: Another board
    relay: {channels: 8, dead_man: timed_on, timed_on: {first: 512, unit_ms: 100}}
"""
EXAMPLE = """\
gateway:
  id: bincheng-01
  name: 锦绣滨城 东区
  timezone: Asia/Shanghai
mqtt:
  host: broker.example.net
  port: 8883
  prefix: chargerd/v1
  username: bincheng-01
  password_file: /etc/chargerd/mqtt-password
  tls:
    ca: /etc/chargerd/ca.pem
    certificate: /etc/chargerd/gateway.pem
    key: /etc/chargerd/gateway.key
  reading_interval_s: 10
buses:
  shed-a: {serial: /dev/serial/by-path/platform-usb-0:1.2, baudrate: 9600, parity: none, stopbits: 1}
  shed-b: {tcp: 192.168.10.20:502}
  shed-c: {rtu_over_tcp: 192.168.10.30:4196, baudrate: 19200}
boards:
  relay-a: {bus: shed-a, address: 1, profile: waveshare-relay-16}
  io-a:    {bus: shed-a, address: 2, profile: waveshare-relay-8-d}
  meter-a1..meter-a12: {bus: shed-a, address: 11..22, profile: eastron-sdm120}
  feeder-a: {bus: shed-a, address: 30, profile: eastron-sdm630}
  relay-b: {bus: shed-b, address: 1, profile: waveshare-relay-8}
  meter-b: {bus: shed-b, address: 2, profile: wirenboard-map12}
circuits:
  main:   {rating_a: 125, phases: 3}
  shed-a: {parent: main, phase: L1, rating_a: 40, power_w: 7800, meter: feeder-a, contactor: io-a/1}
  shed-b: {parent: main, phase: L2, rating_a: 40}
limits:
  power_w: 1000
  current_a: 5.0
  duration_s: 36000
charge_end: {full_below_w: 25, full_after_s: 2700, unplugged_below_w: 2, unplugged_after_s: 300,
             no_load_below_w: 8, no_load_after_s: 120, float_s: 0}
resume: {window_s: 1800}
queue: {queue_s: 0}
tariff_tiers_w: [150, 285, 400, 600]
ports:
  - id: A01..A12
    relay: relay-a/1..12
    meter: meter-a1..meter-a12
    circuit: shed-a
  - id: B01
    label: "B01 (wall)"
    relay: relay-b/1
    meter: meter-b/1
    circuit: shed-b
    limits: {power_w: 400}
inputs:
  smoke-a: {input: io-a/1, kind: smoke, circuit: shed-a, active: open}
  stop-a:  {input: io-a/2, kind: emergency_stop, circuit: main, active: open}
"""


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_site_with_every_section_is_accepted(tmp_path: Path) -> None:
    found = load(written(tmp_path / "site.yaml", EXAMPLE), profile_folders=())
    assert len(found.ports) == 13
    assert found.boards[found.ports[12].meter.board].profile.name == "wirenboard-map12"


def test_a_profile_that_replaces_another_is_noted_at_its_place(tmp_path: Path) -> None:
    own = written(tmp_path / "profiles.d" / "own.yaml", OWN)
    found = load(written(tmp_path / "site.yaml", BASE), profile_folders=())
    assert found.boards[found.ports[3].relay.board].profile.title == "Another board"
    hint = "give it another name unless that is meant; chargerd profiles waveshare-relay-8 shows what holds"
    what = "profile waveshare-relay-8 here replaces the one of chargerd/waveshare-relay.yaml"
    assert [str(note) for note in found.notes] == [f"{own}:5:3: {what}; {hint}"]


def test_of_several_folders_the_last_holds_and_each_replacement_is_noted(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        written(folder / "own.yaml", OWN.replace("Another board", folder.name))
    library = load_library(folders)
    assert library.profiles["waveshare-relay-8"].title == "b"
    assert library.files["waveshare-relay-8"] == str(tmp_path / "b" / "own.yaml")
    assert [str(tmp_path / "a" / "own.yaml") in note.what for note in library.overrides] == [False, True]


def test_a_folder_named_twice_is_read_once(tmp_path: Path) -> None:
    written(tmp_path / "profiles.d" / "own.yaml", OWN)
    found = load(written(tmp_path / "site.yaml", BASE), profile_folders=(tmp_path / "profiles.d",))
    assert len(found.notes) == 1


METER = """\
source: s
verified: v
profiles:
  own:
    title: t
    meter:
      energy_resolution_wh: 1
      registers:
        current: {address: 0, type: u16, most: 100}
        power: {address: 1, type: u16}
        energy: {address: 2, type: u32}
      blocks: [{address: 0, count: 4}]
"""
WRONG = [
    (
        "address: 0, type: u16, most",
        "address: §70000, type: u16, most",
        "is 70000, above the fixed ceiling of 65535",
    ),
    ("type: u32", "type: §f64", "cannot be f64"),
    ("energy: {address: 2", "enrgy: {address: 2", ""),
    ("most: 100", "§mots: 100", "profile own: unknown key 'mots'; did you mean most?"),
    ("count: 4", "count: 3", "energy lies in no block; correct it"),
    ("type: u16, most: 100", "type: u16, scale: 0", "scale is 0, which makes every value 0; correct it"),
    ("most: 100", "least: 5, most: 5", "least is not below most; exchange them"),
    ("most: 100", "invalid: [65536]", "invalid holds what a u16 cannot be; give raw values as they are sent"),
    (
        "title: t",
        "title: t\n    timing: {timeout_ms: 60, least_timeout_ms: 70}",
        "timeout_ms lies outside least_timeout_ms to most_timeout_ms; put them in order",
    ),
    (
        "title: t",
        "title: t\n    line: {baudrate: 19200}",
        "baudrate 19200 is not among baudrates; add it there, or correct it",
    ),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG, ids=[case[1] for case in WRONG])
def test_a_mistake_in_a_profile_has_a_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    text, places = unmarked(changed(old, new, METER))
    path = written(tmp_path / "own.yaml", text)
    with pytest.raises(ConfigurationError) as caught:
        load_library([tmp_path])
    for problem in caught.value.problems:
        assert problem.file == str(path)
        assert problem.line > 0
        assert problem.column > 0
    assert any(said in str(problem) for problem in caught.value.problems)
    if places:
        assert str(caught.value.problems[0]).startswith(f"{path}:{places[0]}:")


RELAY = {"channels": 8, "timed_on": {"first": 512, "unit_ms": 100}}


@pytest.mark.parametrize(
    ("relay", "said"),
    [
        ({"open_value": 0xFF00}, "open_value and close_value are the same"),
        ({"deceptive_values": [0]}, "open_value is a deceptive one"),
        ({"first": 0xFFFC}, "lies beyond address 0xFFFF"),
        ({"dead_man": "poll_timeout"}, "poll_timeout needs what sets it"),
        (
            {"timed_on": {"first": 0, "unit_ms": 1, "base_value": 0xFF00, "max_value": 256}},
            "do not fit a register",
        ),
        ({"prepare": [{"name": "x", "address": 0xFFFF, "count": 2, "value": 0}]}, "reach beyond 0xFFFF"),
        (
            {"prepare": [{"name": "x", "write": 5, "address": 0, "value": 1}]},
            "a coil is set with 0x0000 or 0xFF00",
        ),
    ],
)
def test_a_relay_board_that_contradicts_itself_is_refused(relay: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Profile.model_validate(
            {"name": "n", "title": "t", "source": "s", "verified": "v", "relay": {**RELAY, **relay}}
        )


def test_a_board_with_nothing_on_it_is_refused() -> None:
    with pytest.raises(ValueError, match="neither relay nor inputs nor meter"):
        Profile(name="n", title="t", source="s", verified="v")


def test_two_ports_on_a_meter_that_counts_all_phases_together_are_refused() -> None:
    text = changed(
        "meter-a1..meter-a3: {bus: line-a, address: 11..13, profile: eastron-sdm120}",
        "m: {bus: line-a, address: 11, profile: chint-dtsu666}",
    )
    found, places = unmarked(changed("meter: meter-a1..meter-a3", "meter: §m/1..3", text))
    told = problems(found)
    said = "m (chint-dtsu666) counts the energy of all its channels together, A01's too"
    assert told == [f"{places[0]}: {said} (and 1 more like it); give each port a meter that counts by itself"]


def test_one_port_may_use_a_phase_of_such_a_meter() -> None:
    text = changed(
        "feeder-a: {bus: line-a, address: 30, profile: eastron-sdm120}",
        "m: {bus: line-a, address: 30, profile: chint-dtsu666}",
    )
    text = changed("relay: relay-b/8\n    meter: meter-b", "relay: relay-b/8\n    meter: m/2", text)
    assert "m/2" in text
    assert site(text).ports[3].meter.channel == 2


def test_no_row_claims_to_have_been_tried() -> None:
    rows = [(name, place) for name, profile in shipped().items() for place, row in profile.rows() if row.tried]
    assert rows == []


def test_the_names_of_our_own_profiles_are_known_without_reading_them() -> None:
    known = load_library(())
    told: dict[str, str] = {}
    for path in sorted((Path(chargerd.__file__).parent / "config" / "profiles").glob("*.yaml")):
        data = parse(path.read_text(encoding="utf-8"), path.name).data
        assert isinstance(data, dict)
        told |= dict.fromkeys(data["profiles"], f"chargerd/{path.name}")
    assert known.files == told
    assert list(known.profiles) == list(told)
    assert len(known.profiles) == len(told)


def test_only_the_files_of_profiles_that_are_asked_for_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    library.shipped_family.cache_clear()

    def parsed(text: str, name: str) -> Source:
        read.append(name)
        return parse(text, name)

    monkeypatch.setattr(library, "parse", parsed)
    profiles = load_library(()).profiles
    assert profiles["waveshare-relay-8"].relay is not None
    assert profiles["waveshare-relay-16"].relay is not None
    assert profiles.get("no-such-board") is None
    assert read == ["chargerd/waveshare-relay.yaml"]
