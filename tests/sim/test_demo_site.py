"""A site's own configuration in the demo: what it describes stays, where its lines and its broker are does not."""

from pathlib import Path

import pytest

from chargerd.cli.demo_parts import DemoError
from chargerd.cli.demo_site import OVER_NETWORK, simulated
from chargerd.config.loader import load
from chargerd.config.site import Site
from chargerd.core.units import BoardId
from chargerd.fleet.site import Address
from chargerd.sim.world import World

EXAMPLES = sorted((Path(__file__).parents[2] / "config").glob("*.yaml"))
BROKER = Address(host="127.0.0.1", port=1884, username="demo", password="a secret")


def shown(path: Path, folder: Path) -> Site:
    target = simulated(path, folder, gateway="demo-1", broker=BROKER, prefix="here/v1", rate=60.0)
    return load(target)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_can_be_shown_with_its_own_ports_and_limits(path: Path, tmp_path: Path) -> None:
    before, site = load(path), shown(path, tmp_path)
    assert site.gateway.id == "demo-1"
    assert {name: bus.serial for name, bus in site.buses.items()} == {
        name: str(tmp_path / name) for name in before.buses
    }
    assert [(port.id, port.limits, port.circuit) for port in site.plan.ports] == [
        (port.id, port.limits, port.circuit) for port in before.plan.ports
    ]
    assert site.plan.circuits == before.plan.circuits
    assert [board.profile for board in site.boards.values()] == [board.profile for board in before.boards.values()]
    assert World(site, seed=1).relay(site.plan.ports[0].id).contact_closed is False


def test_the_broker_is_the_demos(tmp_path: Path) -> None:
    mqtt = shown(EXAMPLES[-1], tmp_path).mqtt
    assert mqtt is not None
    assert (mqtt.host, mqtt.port, mqtt.prefix, mqtt.username, mqtt.tls) == (
        "127.0.0.1",
        1884,
        "here/v1",
        "demo",
        None,
    )
    assert mqtt.password_file is not None
    secret = Path(mqtt.password_file)
    assert (secret.read_text(), secret.stat().st_mode & 0o077) == ("a secret", 0)


def test_lines_keep_their_speed_and_networks_are_fast(tmp_path: Path) -> None:
    by_name = {path.stem: path for path in EXAMPLES}
    (tmp_path / "one").mkdir()
    assert {bus.baudrate for bus in shown(by_name["quarter"], tmp_path).buses.values()} == {9600}
    assert {bus.baudrate for bus in shown(by_name["network"], tmp_path / "one").buses.values()} == {OVER_NETWORK}


def test_profiles_beside_the_file_come_along(tmp_path: Path) -> None:
    site = tmp_path / "site" / "site.yaml"
    (site.parent / "profiles.d").mkdir(parents=True)
    (site.parent / "profiles.d" / "own.yaml").write_text(
        "family: Own\nsource: the manual\nverified: nothing\ncommon:\n"
        "  relay: {dead_man: none, read_back: {function: 1, min_count: 8}}\n"
        "profiles: {own-8: {title: Eight, relay: {channels: 8}}}\n"
    )
    bench = (EXAMPLES[0].parent / "bench.yaml").read_text()
    site.write_text(bench.replace("profile: waveshare-relay-8}", "profile: own-8}"))
    folder = tmp_path / "demo"
    folder.mkdir()
    assert shown(site, folder).boards[BoardId("relay")].profile.name == "own-8"


def test_one_with_a_mistake_is_said_to_have_one(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text((EXAMPLES[0].parent / "bench.yaml").read_text().replace("power_w: 300", "power_w: many"))
    with pytest.raises(DemoError, match="see: chargerd check"):
        shown(site, tmp_path)
