"""The site of `demo` and `simulate`, and how its broker is named."""

from pathlib import Path

import pytest

from chargerd.cli.simulated_site import Address, AddressError, SimulatedSite
from chargerd.config.loader import load_text


def site_text(folder: Path, *, broker: str = "127.0.0.1", ports: int = 12, rate: float = 60.0) -> str:
    return SimulatedSite(
        gateway="sim-001",
        name="Demo shed",
        broker=Address.parse(broker),
        prefix="chargerd/v1",
        reading_s=1,
        bus="shed-a",
        line='serial: "/dev/a line"',
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


@pytest.mark.parametrize("url", ["http://broker", "mqtt://", "mqtts://broker", "mqtt://u:secret@broker:notaport"])
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(AddressError, match="mqtt://host:port") as told:
        Address.parse(url)
    assert "secret" not in str(told.value)


def test_an_address_may_carry_a_login() -> None:
    broker = Address.parse("mqtt://me:p%40ss@host")
    assert (broker.host, broker.port, broker.username, broker.password) == ("host", 1883, "me", "p@ss")
    assert "p@ss" not in str(broker)
    assert Address.parse("host:1234").port == 1234
