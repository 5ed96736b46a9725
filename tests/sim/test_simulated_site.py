"""The site of `demo` and `simulate`, and how its broker is named."""

from pathlib import Path

import pytest

from chargerd.config.loader import load_text
from chargerd.fleet.site import PORTS_A_BUS, Address, AddressError, FleetSites, SimulatedSite, lines_for

LOCAL = Address(host="127.0.0.1", port=1883)


def site_text(folder: Path, *, broker: str = "127.0.0.1", ports: int = 12, rate: float = 60.0) -> str:
    return SimulatedSite(
        gateway="sim-001",
        name="Demo shed",
        broker=Address.parse(broker),
        prefix="chargerd/v1",
        reading_s=1,
        bus="shed-a",
        lines=('serial: "/dev/a line"',) if ports <= PORTS_A_BUS else lines_for(ports),
        circuit="rating_a: 40",
        ports=ports,
        rate=rate,
    ).text(folder)


@pytest.mark.parametrize("ports", [1, 2, 12, 16])
@pytest.mark.parametrize("rate", [1.0, 60.0, 1000.0])
def test_the_site_passes_the_check(tmp_path: Path, ports: int, rate: float) -> None:
    site = load_text(site_text(tmp_path, ports=ports, rate=rate), "demo.yaml")
    assert [port.id for port in site.ports] == [f"A{number:02}" for number in range(1, ports + 1)]
    assert site.buses["shed-a"].serial == "/dev/a line"
    assert site.plan.ports[0].limits.current == 5.0


def test_a_login_reaches_the_site_and_its_password_a_file_of_its_own(tmp_path: Path) -> None:
    text = site_text(tmp_path, broker="mqtt://me:p%40ss@host")
    assert "p@ss" not in text
    mqtt = load_text(text, "demo.yaml").mqtt
    assert mqtt is not None
    assert mqtt.username == "me"
    secret = tmp_path / "password"
    assert secret.read_text() == "p@ss"
    assert secret.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("url", ["http://broker", "mqtt://", "mqtt://u:secret@broker:notaport"])
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(AddressError, match="mqtt://host:port") as told:
        Address.parse(url)
    assert "secret" not in str(told.value)


def test_an_address_may_carry_a_login() -> None:
    broker = Address.parse("mqtt://me:p%40ss@host")
    assert (broker.host, broker.port, broker.username, broker.password) == ("host", 1883, "me", "p@ss")
    assert "p@ss" not in str(broker)
    assert Address.parse("host:1234").port == 1234
    assert not broker.tls


def test_a_broker_over_tls_is_spoken_to_with_a_certificate_for_each_gateway(tmp_path: Path) -> None:
    broker = Address.parse("mqtts://host")
    assert (broker.port, broker.tls, str(broker)) == (8883, True, "mqtts://host:8883")
    sites = fleet_sites(tmp_path, broker=broker, ca="/etc/ca.crt", certificates=Path("/keys"))
    one, two = sites.site("sim-001"), sites.site("sim-002")
    assert one.mqtt is not None
    assert one.mqtt.tls is not None
    assert one.mqtt.tls.ca == "/etc/ca.crt"
    assert one.mqtt.tls.certificate == "/keys/sim-001.crt"
    assert two.mqtt is not None
    assert two.mqtt.tls is not None
    assert two.mqtt.tls.key == "/keys/sim-002.key"


def test_the_sites_of_a_fleet_share_what_is_the_same_and_differ_in_what_is_told(tmp_path: Path) -> None:
    sites = fleet_sites(tmp_path)
    one, two = sites.site("sim-001"), sites.site("sim-002")
    assert one.boards is two.boards, "set up once, however many there are"
    assert one.gateway.id == "sim-001"
    assert one.digest != two.digest
    assert len(one.digest) == len(two.digest)


@pytest.mark.parametrize("ports", [17, 40, 450])
def test_any_number_of_ports_hangs_on_as_many_buses_as_they_need(tmp_path: Path, ports: int) -> None:
    site = fleet_sites(tmp_path, ports=ports).site("sim-001")
    assert len({port.id for port in site.ports}) == ports
    assert len(site.buses) == -(-ports // PORTS_A_BUS)
    assert [port.id for port in site.ports][15:18] == ["A16", "B01", "B02"][: min(3, ports - 15)]


def fleet_sites(
    folder: Path,
    *,
    broker: Address = LOCAL,
    ports: int = 2,
    ca: str | None = None,
    certificates: Path | None = None,
) -> FleetSites:
    return FleetSites(
        broker=broker,
        prefix="chargerd/v1",
        reading_s=10,
        ports=ports,
        rate=60.0,
        folder=folder,
        ca=ca,
        certificates=certificates,
    )
