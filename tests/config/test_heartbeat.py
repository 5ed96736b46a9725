"""A board whose relays a heartbeat keeps closed, as `check`, the budget and `doctor` see it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from chargerd.cli.commands import group
from chargerd.config.budget.budget import populations_of
from chargerd.config.budget.bus_load import another_port, load_of
from chargerd.config.devices import this_user
from chargerd.config.loader import load_text
from chargerd.config.plans import lease_fits
from chargerd.config.profiles.library import load_profiles
from chargerd.config.profiles.models import Profile
from chargerd.config.site import Site
from chargerd.core.plan import DeadMan, LeaseScope
from chargerd.runtime.local.examine_site import of_site
from tests.boards import BOARDS

SITE = """\
gateway: {{id: test}}
buses: {{line: {{serial: /dev/null, baudrate: 9600}}}}
boards:
  relay: {{bus: line, address: 1, profile: heartbeat-16{more}}}
  meter1..meter4: {{bus: line, address: 11..14, profile: eastron-sdm120}}
circuits: {{shed: {{{circuit}}}}}
ports: [{{id: A01..A04, relay: relay/1..4, meter: meter1..meter4, circuit: shed}}]
"""


def site(more: str = "", circuit: str = "") -> Site:
    return load_text(SITE.format(more=more, circuit=circuit), "test", profiles=load_profiles((BOARDS,)))


def profile(**heartbeat: Any) -> Profile:
    shown = load_profiles((BOARDS,))["heartbeat-16"].model_dump()
    shown["relay"]["heartbeat"] = {**shown["relay"]["heartbeat"], **heartbeat} if heartbeat else None
    return Profile.model_validate(shown)


def test_its_leases_are_the_boards() -> None:
    for port in site().plan.ports:
        assert (port.relay.lease, port.relay.scope, port.relay.dead_man) == (
            6.0,
            LeaseScope.BOARD,
            DeadMan.HEARTBEAT,
        )
    assert site().notes == ()


def test_switched_off_there_is_none_and_that_is_noted() -> None:
    found = site(", lease: off")
    assert {port.relay.lease for port in found.plan.ports} == {None}
    assert {port.relay.dead_man for port in found.plan.ports} == {DeadMan.NONE}
    assert ["closes its relays without a time limit" in str(note) for note in found.notes] == [True]


@pytest.mark.parametrize(("within_ms", "fits"), [(6000, True), (5999, False), (60000, False)])
def test_it_has_to_last_as_long_as_a_lease(within_ms: int, *, fits: bool) -> None:
    assert lease_fits(profile(within_ms=within_ms)) is fits


def test_a_heartbeat_nobody_says_how_to_write_is_refused() -> None:
    with pytest.raises(ValidationError, match="need each other"):
        profile()


def test_check_and_profiles_say_it_in_words(tmp_path: Path) -> None:
    path = tmp_path / "chargerd.yaml"
    (tmp_path / "profiles.d").mkdir()
    (tmp_path / "profiles.d" / "own.yaml").write_text((BOARDS / "heartbeat.yaml").read_text())
    path.write_text(SITE.format(more="", circuit=""))
    told = json.loads(CliRunner().invoke(group, ["check", str(path), "--json"]).stdout)
    assert told["summary"]["boards"][0]["dead_man"] == "lease 6 s, of all its relays together"
    shown = CliRunner().invoke(group, ["profiles", "--config", str(path), "heartbeat-16"], env={"COLUMNS": "200"})
    assert "at 0x0100, function 6: 0x5555, at least every 6 s" in shown.stdout


def test_a_visit_on_site_says_what_opens_it() -> None:
    (check,) = [one for one in of_site(site(), this_user()) if one.about == "board relay"]
    assert (
        check.what
        == "it opens all its relays when nobody renews that any more; not proved on site yet (chargerctl prove)"
    )


@pytest.mark.parametrize("circuit", ["", "contactor: relay/16"])
def test_one_write_renews_all_its_relays_that_of_a_contactor_too(circuit: str) -> None:
    there = populations_of(site(circuit=circuit))["line"]
    assert sum(slow.renewal for slow in load_of(there).slow) == 1
    assert not any(slow.renewal for slow in another_port(there).slow), "another port costs no further one"
    assert len(load_of(there).leased) == 4
