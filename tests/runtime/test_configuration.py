"""When a configuration has started well, what is kept of it then, and what a reload does to ports that charge."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargerd.config.choosing import Chosen, choose
from chargerd.config.kept import KEPT_FILE, read_kept
from chargerd.config.loader import Files, check, read
from chargerd.config.site import Site
from chargerd.contract.ledger import Json
from chargerd.contract.payloads import EventBody
from chargerd.control.server import Responder
from chargerd.core.events import Event
from chargerd.core.plan import Limits, exceeds
from chargerd.core.units import PortId, Seconds
from chargerd.core.view import CircuitView, PortView
from chargerd.modbus.emergency import RELAYS_FILE
from chargerd.runtime.local.reloading import Reloading
from chargerd.runtime.process.configuration import WORKED_FOR, Configuration
from tests.config.sites import BASE, changed
from tests.core.world import World
from tests.runtime.test_engine import HandClock

STAND_ALONE = changed("mqtt:\n  host: broker.example.net\n  tls: {ca: /ca.pem}\n", "")
WITH_CONTACTOR = changed("shed-a: {parent: main,", "shed-a: {parent: main, contactor: io-a/1,", STAND_ALONE)


def place(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "chargerd.yaml"
    path.write_text(text)
    return path


def started(folder: Path, text: str) -> tuple[Configuration, HandClock]:
    path, clock = place(folder, text), HandClock()
    return Configuration(choose(path, folder / KEPT_FILE), path, folder, clock), clock


def looks(
    configuration: Configuration, *silent: str, connected: bool = True
) -> tuple[list[PortView], list[CircuitView], bool]:
    """What is seen of a site some of whose boards of relays have never answered."""
    site = configuration.running.site
    ports = [
        SimpleNamespace(id=port.id, relay_closed=None if port.relay.board in silent else False)
        for port in site.ports
    ]
    circuits = [
        SimpleNamespace(
            id=plan.id,
            contactor_closed=None if plan.contactor is None or plan.contactor.board in silent else False,
        )
        for plan in site.plan.circuits
    ]
    return cast("list[PortView]", ports), cast("list[CircuitView]", circuits), connected


def test_it_has_started_well_when_it_has_worked_for_a_while_and_every_relay_was_read(tmp_path: Path) -> None:
    configuration, clock = started(tmp_path, WITH_CONTACTOR)
    assert not configuration.has_started_well(*looks(configuration))
    clock.sleep(WORKED_FOR)
    assert configuration.has_started_well(*looks(configuration))


def test_where_nothing_is_kept_one_board_will_do(tmp_path: Path) -> None:
    configuration, clock = started(tmp_path, BASE)
    clock.sleep(WORKED_FOR)
    assert configuration.has_started_well(*looks(configuration, "relay-a", connected=False))
    assert not configuration.has_started_well(*looks(configuration, "relay-a", "relay-b"))


@pytest.mark.parametrize(
    ("silent", "old", "new", "well"),
    [
        (("relay-a",), "power_w: 800", "power_w: 700", True),
        (("relay-a",), "relay-a: {bus: line-a, address: 1,", "relay-a: {bus: line-a, address: 3,", False),
        (("relay-a",), "/dev/line-a}", "/dev/line-c}", False),
        (("relay-b",), "/dev/line-a}", "/dev/line-c}", True),
        (("io-a",), "power_w: 800", "power_w: 700", True),
        (("io-a",), "io-a: {bus: line-a, address: 2,", "io-a: {bus: line-a, address: 3,", False),
    ],
)
def test_a_board_that_is_silent_is_held_against_whoever_describes_it_anew(
    tmp_path: Path, silent: tuple[str, ...], old: str, new: str, well: bool
) -> None:
    keep(tmp_path, WITH_CONTACTOR)
    configuration, clock = started(tmp_path, changed(old, new, WITH_CONTACTOR))
    clock.sleep(WORKED_FOR)
    assert configuration.has_started_well(*looks(configuration, *silent)) is well


@pytest.mark.parametrize(("host", "well"), [("broker.example.net", True), ("other.example.net", False)])
def test_so_is_a_broker(tmp_path: Path, host: str, well: bool) -> None:
    text = changed("  tls: {ca: /ca.pem}\n", "")
    keep(tmp_path, text)
    changes = text.replace("broker.example.net", host).replace("power_w: 800", "power_w: 700")
    configuration, clock = started(tmp_path, changes)
    clock.sleep(WORKED_FOR)
    assert configuration.has_started_well(*looks(configuration, connected=False)) is well
    assert configuration.has_started_well(*looks(configuration))


def keep(folder: Path, text: str) -> None:
    """Let a configuration start well, and be kept."""
    configuration, _ = started(folder, text)
    configuration.keep()


def test_once_it_is_kept_only_its_own_relays_are_listed(tmp_path: Path) -> None:
    keep(tmp_path, STAND_ALONE)
    kept = read_kept(tmp_path / KEPT_FILE)
    assert kept.files == read(tmp_path / "chargerd.yaml", profile_folders=())
    listed = json.loads((tmp_path / RELAYS_FILE).read_text())["lines"]
    assert sorted(relay["port"] for line in listed for relay in line["relays"]) == ["A01", "A02", "A03", "B01"]


def test_a_disk_that_takes_nothing_is_told_once_and_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration, _ = started(tmp_path, STAND_ALONE)
    (tmp_path / KEPT_FILE).mkdir()
    assert not configuration.keep()
    assert not configuration.keep()
    assert capsys.readouterr().out.count("configuration_not_kept") == 1
    (tmp_path / KEPT_FILE).rmdir()
    assert configuration.keep()


def test_what_runs_in_place_of_a_wrong_file_is_told(tmp_path: Path) -> None:
    keep(tmp_path, STAND_ALONE)
    configuration, _ = started(tmp_path, changed("power_w: 800", "power_w: much", STAND_ALONE))
    told = configuration.status()
    assert (told["from"], told["file"]) == ("kept", "refused")
    assert ":16:" in str(configuration.refusal)
    assert "the one that last started well runs on" in configuration.remark()
    place(tmp_path, STAND_ALONE)
    assert configuration.status()["file"] == "differs"


@pytest.mark.parametrize("looked", [True, False])
def test_what_a_file_lowers_is_lower_in_the_kept_one_before_it_is_kept_itself(
    tmp_path: Path, looked: bool
) -> None:
    """Its broker may be away for weeks: a wrong file in that time must not raise what was lowered."""
    text = changed("  tls: {ca: /ca.pem}\n", "")
    keep(tmp_path, text)
    other = text.replace("broker.example.net", "other.example.net")
    limits = "limits: {power_w: 800, current_a: 4}"
    configuration, clock = started(tmp_path, changed(limits, "limits: {power_w: 500, current_a: 5}", other))
    if looked:
        clock.sleep(WORKED_FOR)
        configuration.look(*looks(configuration, connected=False))
    else:
        lower = configuration.running
        configuration.take_on(lower.checked, lower.site, ["mqtt host"])
    kept = read_kept(tmp_path / KEPT_FILE)
    assert kept.files.text == text
    configuration, _ = started(tmp_path, other.replace("power_w: 800", "power_w: much"))
    assert configuration.running.refused
    runs = {port.id: (port.limits.power, port.limits.current) for port in configuration.running.site.plan.ports}
    assert runs == {"A01": (500.0, 4.0), "A02": (500.0, 4.0), "A03": (500.0, 4.0), "B01": (400.0, 4.0)}


def test_a_kept_one_that_is_to_be_kept_anew_soon_is_left_alone(tmp_path: Path) -> None:
    keep(tmp_path, STAND_ALONE)
    before = (tmp_path / KEPT_FILE).read_bytes()
    configuration, _ = started(tmp_path, changed("power_w: 800", "power_w: 500", STAND_ALONE))
    assert not configuration.look(*looks(configuration))
    assert (tmp_path / KEPT_FILE).read_bytes() == before


# Reading it anew


class Reloaded:
    """A configuration that runs in a simulated world, and whoever reads it anew."""

    def __init__(self, folder: Path, text: str) -> None:
        self.path = place(folder, text)
        checked = check(read(self.path, profile_folders=()))
        chosen = Chosen(checked=checked, site=checked.site, kept=None)
        self.world = World(site=chosen.site.plan)
        self.clock = HandClock()
        self.configuration = Configuration(chosen, self.path, folder, self.clock)
        self.adopted: Site = chosen.site
        self.events: list[EventBody] = []
        self.told: list[bool] = []
        self.left = 0
        self.answer: dict[str, Any] = {}
        self._reloading = Reloading(
            configuration=self.configuration,
            engine=self,
            adopt=self._adopt,
            audit=self.events.append,
            notify=self.told.append,
            restart=self._leave,
        )

    def dispatch(self, event: Event) -> None:
        self.world.tell(event)

    def views(self) -> tuple[PortView, ...]:
        return self.world.station.views(self.world.moment())

    def _adopt(self, site: Site) -> None:
        self.adopted = site

    def _leave(self) -> None:
        self.left += 1

    def reload(self, text: str, *, restart: bool = False, only_look: bool = False) -> dict[str, Any]:
        self.path.write_text(text)
        thread = self._reloading.begin(cast("Responder", self), restart=restart, only_look=only_look)
        thread.join()
        return self.answer

    def send(self, result: Json, *, more: bool = False) -> None:
        assert not more
        self.answer = cast("dict[str, Any]", result)

    def fail(self, code: str, message: str, hint: str = "") -> None:
        self.answer = {"result": "failed", "code": code, "message": message, "hint": hint}

    def sessions(self) -> Mapping[PortId, tuple[Any, Limits]]:
        return {
            view.id: ((view.state, view.session.order.session), view.session.order.limits)
            for view in self.views()
            if view.session is not None
        }


@pytest.fixture
def site(tmp_path: Path) -> Reloaded:
    """Ports A01 and A02 charge, A03 and B01 do not."""
    one = Reloaded(tmp_path, STAND_ALONE)
    for port in ("A01", "A02"):
        one.world.charging(port)
    return one


def limits_of(site: Reloaded, port: str) -> Limits:
    return site.world.view(port).limits


def test_lower_limits_hold_at_once_and_higher_ones_for_who_comes_next(site: Reloaded) -> None:
    text = STAND_ALONE.replace("{power_w: 800, current_a: 4}", "{power_w: 700, current_a: 5}")
    told = site.reload(text)
    assert told["result"] == "applied"
    assert [row["what"] for row in told["limits"]] == [
        "ports A01..A03 limits.power_w: was 800, is 700",
        "ports A01..A03, B01 limits.current_a: was 4, is 5",
    ]
    assert told["limits"][0]["in_use"] == ["A01", "A02"]
    assert (limits_of(site, "A01").power, limits_of(site, "A01").current) == (700.0, 4.0)
    assert (limits_of(site, "A03").power, limits_of(site, "A03").current) == (700.0, 5.0)
    assert site.configuration.status()["file"] == "same"
    assert site.configuration.running.checked.site.digest == site.adopted.digest == check_digest(text)
    assert site.told == [True, False]
    assert site.events[0].reason == f"applied: {', '.join(row['what'] for row in told['limits'])}"


def check_digest(text: str) -> str:
    return check(Files(name="site.yaml", text=text)).site.digest


def test_of_a_file_of_which_anything_waits_only_what_is_lower_holds(site: Reloaded) -> None:
    text = changed("{power_w: 800, current_a: 4}", "{power_w: 700, current_a: 5}", STAND_ALONE)
    text = changed("tariff_tiers_w: [150, 300]", "tariff_tiers_w: [150]", text)
    told = site.reload(changed("main: {phases: 3}", "main: {phases: 3}\n  new: {}", text))
    assert told["result"] == "waits"
    assert [row["key"] for row in told["limits"]] == ["limits.power_w"]
    assert [row["key"] for row in told["restart"]] == ["", "limits.current_a", ""]
    assert (limits_of(site, "A03").power, limits_of(site, "A03").current) == (700.0, 4.0)
    assert site.adopted.digest == check_digest(STAND_ALONE), "what runs has the digest it was started with"
    assert site.adopted.plan.tariff_tiers == (150.0, 300.0)
    status = site.configuration.status()
    assert (status["file"], len(cast("list[str]", status["waiting"]))) == ("waits", 3)
    assert "3 changes" in site.configuration.remark()
    site.configuration.keep()
    kept = read_kept(site.path.parent / KEPT_FILE)
    assert kept.files.text == STAND_ALONE
    assert {port: limits.power for port, limits in kept.lowered.items()} == dict.fromkeys(
        ("A01", "A02", "A03"), 700.0
    )


def test_taken_back_it_is_as_it_was_but_for_those_who_charge(site: Reloaded) -> None:
    lower = changed("power_w: 800", "power_w: 700", STAND_ALONE)
    site.reload(changed("main: {phases: 3}", "main: {phases: 3}\n  new: {}", lower))
    site.configuration.keep()
    told = site.reload(STAND_ALONE)
    assert told["result"] == "applied"
    assert (limits_of(site, "A01").power, limits_of(site, "A03").power) == (700.0, 800.0)
    assert read_kept(site.path.parent / KEPT_FILE).lowered == {}
    assert site.reload(STAND_ALONE)["result"] == "unchanged"


@pytest.mark.parametrize("text", ["", "ports: [", STAND_ALONE.replace("power_w: 800", "power_w: 9000")])
def test_a_wrong_file_changes_nothing_and_says_why(site: Reloaded, text: str) -> None:
    before, digest = site.sessions(), site.adopted.digest
    told = site.reload(text)
    assert told["result"] == "refused"
    assert told["problems"][0]["line"] >= 1
    assert site.sessions() == before
    assert site.configuration.running.checked.site.digest == told["digest"] == digest
    assert (site.events[0].event, site.events[0].severity) == ("configuration_refused", "alarm")
    assert f"{site.path}:" in str(site.events[0].reason)
    assert site.configuration.status()["file"] == "refused"
    assert "the one before runs on" in site.configuration.remark()
    assert site.reload(STAND_ALONE)["result"] == "unchanged"
    assert site.configuration.remark() == ""


def test_a_secret_that_is_missing_is_a_reason_to_refuse(site: Reloaded) -> None:
    told = site.reload(BASE)
    assert (told["result"], told["problems"][0]["line"], told["problems"][0]["column"]) == ("refused", 4, 13)


def test_a_credential_that_is_missing_wants_a_restart(site: Reloaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (problem,) = site.reload(BASE.replace("/ca.pem", "ca.pem"))["problems"]
    assert problem["what"].startswith("/etc/chargerd/credentials/ca.pem: ")
    assert "systemctl restart chargerd" in problem["hint"], "a reload cannot bring it"


def test_a_credential_that_systemd_hands_over_with_the_next_start_is_none(
    site: Reloaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/handed")
    assert site.reload(BASE.replace("/ca.pem", "ca.pem"))["result"] == "waits"


def test_to_look_changes_nothing(site: Reloaded) -> None:
    text = changed("power_w: 800", "power_w: 700", STAND_ALONE)
    assert site.reload(text, only_look=True)["result"] == "applies"
    assert site.reload(text.replace("phase: L1", "phase: L3"), only_look=True)["result"] == "waits"
    assert site.reload("", only_look=True)["result"] == "refused"
    assert (limits_of(site, "A01").power, site.events, site.told) == (800.0, [], [])
    assert site.configuration.status()["refused"] == []


def test_it_restarts_only_if_something_waits_for_that_and_systemd_begins_it_anew(
    site: Reloaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower, new = (
        changed("power_w: 800", "power_w: 700", STAND_ALONE),
        changed("phase: L1", "phase: L3", STAND_ALONE),
    )
    assert site.reload(new, restart=True)["result"] == "waits"
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
    assert site.reload(lower, restart=True)["result"] == "applied"
    assert site.left == 0
    told = site.reload(new, restart=True)
    assert (told["result"], told["sessions"], site.left) == ("restarting", 2, 1)


def test_what_waits_has_its_restart_when_nobody_has_used_the_site_for_half_a_minute(site: Reloaded) -> None:
    may = site.configuration.may_begin_anew
    assert not may(lambda: True), "nothing waits"
    site.reload(changed("phase: L1", "phase: L3", STAND_ALONE))
    assert not may(lambda: True)
    site.clock.sleep(Seconds(20.0))
    assert not may(lambda: False), "somebody came, and is gone again"
    site.clock.sleep(Seconds(20.0))
    assert not may(lambda: True)
    site.clock.sleep(Seconds(29.9))
    assert not may(lambda: True)
    site.clock.sleep(Seconds(0.1))
    assert may(lambda: True)


def test_a_file_that_was_written_since_is_not_taken_on_behind_anybodys_back(site: Reloaded) -> None:
    may = site.configuration.may_begin_anew
    site.reload(changed("phase: L1", "phase: L3", STAND_ALONE))
    assert not may(lambda: True)
    site.clock.sleep(Seconds(60.0))
    site.path.write_text(changed("phase: L1", "phase: L2", STAND_ALONE))
    assert not may(lambda: True)


def test_a_mistake_of_its_own_is_told_and_changes_nothing(site: Reloaded, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(*_: object) -> None:
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr("chargerd.runtime.local.reloading.differences", spoilt)
    assert "unforeseen" in site.reload(STAND_ALONE)["message"]
    assert site.told == [True, False]


FIGURES = {"power_w": (100, 3000), "current_a": (1, 16), "duration_s": (3600, 57600), "energy_wh": (500, 90000)}
figures = st.fixed_dictionaries(
    {}, optional={name: st.integers(*between) for name, between in FIGURES.items()}
).map(lambda found: "{" + ", ".join(f"{name}: {value}" for name, value in found.items()) + "}")
configurations = st.builds(
    lambda site, port, other: (
        STAND_ALONE.replace("{power_w: 800, current_a: 4}", site).replace("{power_w: 400}", port).replace(*other)
    ),
    figures,
    figures,
    st.sampled_from(
        [("", ""), ("phase: L1", "phase: L3"), ("relay-b/8", "relay-b/7"), ("A01..A03", "A02..A04"), ("150, ", "")]
    ),
)


@settings(max_examples=12, deadline=None)
@given(pair=st.tuples(configurations, configurations), more=st.lists(configurations, max_size=2))
def test_no_reload_touches_a_session_or_raises_a_limit_under_one(
    tmp_path_factory: pytest.TempPathFactory, pair: tuple[str, str], more: list[str]
) -> None:
    site = Reloaded(tmp_path_factory.mktemp("site"), pair[0])
    charging = [port.id for port in site.adopted.plan.ports][:3]
    for port in charging:
        site.world.draw(0.5, 60.0, port)
        site.world.charging(port)
    for text in (pair[1], *more):
        before = site.sessions()
        told = site.reload(text)
        after = site.sessions()
        assert {port: one for port, (one, _) in after.items()} == {port: one for port, (one, _) in before.items()}
        for port, (_, limits) in after.items():
            assert not exceeds(limits, before[port][1])
            assert not exceeds(limits_of(site, port), before[port][1])
        wanted = {port.id: port.limits for port in check(Files(name="site.yaml", text=text)).site.plan.ports}
        for port, limits in wanted.items():
            if port in after:
                assert not exceeds(after[port][1], limits), "what is lower holds at once"
            elif told["result"] != "waits":
                assert limits_of(site, port) == limits
        site.world.run(5)
        assert site.sessions().keys() == before.keys()
