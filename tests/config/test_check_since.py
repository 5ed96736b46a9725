"""What an upgrade makes of a configuration, told beside what the version before made of it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chargerd.cli.check import command
from tests.config.sites import BASE, changed


def said_before(tmp_path: Path, text: str = BASE) -> Path:
    """Return what `--json` printed of a configuration, in a file."""
    path = tmp_path / "before.json"
    site = tmp_path / "before.yaml"
    site.write_text(text)
    path.write_text(CliRunner().invoke(command, [str(site), "--json"]).stdout)
    return path


def since(tmp_path: Path, before: Path, text: str = BASE) -> Result:
    site = tmp_path / "site.yaml"
    site.write_text(text)
    return CliRunner().invoke(command, [str(site), "--since", str(before)])


def test_what_means_the_same_is_said_to(tmp_path: Path) -> None:
    result = since(tmp_path, said_before(tmp_path))
    assert (result.exit_code, result.stdout) == (
        0,
        f"{tmp_path / 'site.yaml'}: good, and means the same as before\n",
    )


def test_what_is_read_otherwise_is_told_by_name_with_both_values(tmp_path: Path) -> None:
    """A version with another default is stood in for by what another file would mean."""
    result = since(tmp_path, said_before(tmp_path), changed("power_w: 800", "power_w: 700"))
    assert result.exit_code == 0
    assert "  ports.A01.power_w: was 800.0, is 700.0" in result.stdout.splitlines()


def test_what_is_gone_is_told_and_what_is_new_is_not(tmp_path: Path) -> None:
    before = said_before(tmp_path)
    said = json.loads(before.read_text())
    said["summary"]["earlier"] = {"key": 1}
    del said["summary"]["mqtt"]
    before.write_text(json.dumps(said))
    lines = since(tmp_path, before).stdout.splitlines()
    assert lines[1:] == ['  earlier: was {"key": 1}, and is gone']


def test_one_that_was_refused_before_is_no_loss(tmp_path: Path) -> None:
    before = said_before(tmp_path, "gateway: {}")
    assert "had refused it" in since(tmp_path, before).stdout


def test_one_that_is_refused_now_is_an_error(tmp_path: Path) -> None:
    result = since(tmp_path, said_before(tmp_path), changed("power_w: 800", "power_w: many"))
    assert result.exit_code == 1
    assert "not a number" in result.stderr


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"summary": '])
def test_something_else_is_said_to_be_that(tmp_path: Path, text: str) -> None:
    before = tmp_path / "before.json"
    before.write_text(text)
    result = since(tmp_path, before)
    assert result.exit_code == 1
    assert "is not what `chargerd check --json` prints" in result.stderr
