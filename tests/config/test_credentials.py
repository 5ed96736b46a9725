"""Files that a configuration names by path, and credentials that systemd hands over."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from chargerd.cli.check import command
from chargerd.config import credentials
from chargerd.config.loader import load_text
from tests.config.sites import BASE, changed

NAMED = changed(
    "tls: {ca: /ca.pem}", "tls: {ca: /ca.pem, certificate: own.crt, key: own.key}\n  password_file: word"
)


def places(text: str) -> tuple[str | None, ...]:
    mqtt = load_text(text, "site.yaml").mqtt
    assert mqtt is not None
    assert mqtt.tls is not None
    return (mqtt.tls.ca, mqtt.tls.certificate, mqtt.tls.key, mqtt.password_file)


def test_a_name_without_a_slash_is_roots_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(credentials.HANDED, raising=False)
    folder = "/etc/chargerd/credentials"
    assert places(NAMED) == ("/ca.pem", f"{folder}/own.crt", f"{folder}/own.key", f"{folder}/word")


def test_and_for_the_daemon_the_copy_that_systemd_made_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(credentials.HANDED, "/run/credentials/chargerd.service")
    handed = "/run/credentials/chargerd.service/chargerd_"
    assert credentials.origin(f"{handed}own.crt") == credentials.FOLDER / "own.crt"
    assert credentials.origin("/etc/chargerd/own.crt") is None
    assert places(NAMED) == ("/ca.pem", f"{handed}own.crt", f"{handed}own.key", f"{handed}word")


def test_where_they_lie_makes_no_other_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(credentials.HANDED, "/run/credentials/chargerd.service")
    handed = load_text(NAMED, "site.yaml").digest
    monkeypatch.delenv(credentials.HANDED)
    assert load_text(NAMED, "site.yaml").digest == handed


def test_what_is_left_out_stays_out() -> None:
    assert places(changed("tls: {ca: /ca.pem}", "tls: {}")) == (None, None, None, None)


def test_the_unit_hands_over_that_folder_under_that_name() -> None:
    unit = Path(__file__).parents[2] / "systemd" / "chargerd.service"
    assert f"LoadCredential={credentials.PREFIX.rstrip('_')}:{credentials.FOLDER}\n" in unit.read_text()


def test_one_that_may_not_be_looked_at_is_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(BASE)

    def refused(_path: Path, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("chargerd.cli.check_supply.Path.stat", refused)
    assert "is not on this machine" not in CliRunner().invoke(command, [str(site)]).output
