"""What each entry point loads. A module more is time more on every start: the weight must not creep back."""

import subprocess
import sys

import pytest

COUNT = """
import sys
before = set(sys.modules)
{code}
print(*sorted(set(sys.modules) - before))
"""
HEAVY = {
    "asyncio",
    "attr",
    "click",
    "paho",
    "prometheus_client",
    "pydantic",
    "pygments",
    "pymodbus",
    "rich",
    "ruamel",
    "sqlite3",
    "structlog",
    "ulid",
}


def loaded(code: str) -> set[str]:
    """Return the modules a piece of code loads in a process of its own."""
    command = [sys.executable, "-c", COUNT.format(code=code)]
    return set(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split())


@pytest.mark.parametrize(
    ("entry", "most", "needs"),
    [
        pytest.param("chargerd.cli.chargerd", 12, set(), id="chargerd itself"),
        pytest.param("chargerd.cli.open_relays", 112, set(), id="chargerd open-relays"),
        pytest.param("chargerd.cli.run", 112, set(), id="chargerd run, until the relays are told"),
        pytest.param("chargerd.cli.chargerctl", 106, {"click"}, id="chargerctl status --json"),
        pytest.param(
            "chargerd.cli.chargerctl, chargerd.cli.ctl_tables, rich.console",
            180,
            {"click", "rich"},
            id="chargerctl",
        ),
    ],
)
def test_an_entry_point_loads_no_more_than_it_needs(entry: str, most: int, needs: set[str]) -> None:
    found = loaded(f"import {entry}")
    assert {name.partition(".")[0] for name in found} & HEAVY == needs
    assert len(found) <= most, sorted(found)


def test_the_log_loads_nothing_to_draw_with() -> None:
    found = loaded("from chargerd import log; log.configure(log.Level.INFO, log.as_json(print))")
    assert "structlog" in found
    assert {name.partition(".")[0] for name in found} & {"rich", "pygments", "better_exceptions"} == set()
    assert not {name for name in found if name.startswith("asyncio.")}


def test_what_the_log_puts_off_is_there_for_whoever_uses_it() -> None:
    found = loaded("from chargerd import log; log.error('told'); import asyncio; asyncio.run(asyncio.sleep(0))")
    assert "asyncio.events" in found


def test_the_daemon_loads_nothing_that_draws_and_no_broker_client_before_it_knows_of_one() -> None:
    found = loaded("import chargerd.cli.running")
    assert {name.partition(".")[0] for name in found} & HEAVY == {"pydantic", "ruamel", "sqlite3", "ulid"}
    assert not found & {"ssl", "chargerd.contract.asyncapi", "chargerd.mqtt.client", "chargerd.cli.ctl_tables"}
    assert len(found) <= 495, sorted(found)


def test_the_link_to_a_broker_without_tls_loads_no_openssl() -> None:
    found = loaded(
        """
from chargerd.cli.running import leave_out_tls
leave_out_tls()
from chargerd.config.document import MqttSection
from chargerd.mqtt.client import MqttLink
from chargerd.mqtt.reasons import of_error
config = MqttSection(host="broker.example.net")
assert of_error(ConnectionRefusedError(), config).code == "nobody_listens"
assert of_error(ConnectionResetError(), config).code == "hung_up"
"""
    )
    assert "chargerd.mqtt.attempt" in found
    assert "_ssl" not in found


def test_the_daemon_makes_its_digests_without_openssl_and_speaks_tls_all_the_same() -> None:
    loaded(
        """
from chargerd.cli.run import leave_out_openssl
leave_out_openssl()
import chargerd.cli.running, hashlib
assert hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf8f01cfea")
assert "libcrypto" not in open("/proc/self/maps").read()
import paho.mqtt.client, ssl
ssl.create_default_context()
"""
    )
