"""`chargerd open-relays`, as far as its words go; that it opens is tried elsewhere."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from chargerd.cli.open_relays import command
from chargerd.modbus.emergency import RELAYS_FILE


@pytest.mark.parametrize(
    ("left", "code", "words"),
    [
        ((), 0, "every relay has confirmed"),
        (
            ("A01", "A02"),
            1,
            "no answer from the relays of A01, A02; if chargerd runs, it holds the lines: stop it",
        ),
    ],
)
def test_whoever_gets_no_answer_is_told_that_the_daemon_may_hold_the_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: tuple[str, ...], code: int, words: str
) -> None:
    (tmp_path / RELAYS_FILE).touch()
    monkeypatch.setattr("chargerd.cli.open_relays.open_relays", lambda _path, _clock: left)
    told = CliRunner().invoke(command, ["--state-dir", str(tmp_path)])
    assert told.exit_code == code
    assert words in told.output


def test_before_any_daemon_has_run_there_is_nothing_to_open(tmp_path: Path) -> None:
    told = CliRunner().invoke(command, ["--state-dir", str(tmp_path)])
    assert told.exit_code == 0
    assert "no daemon has run yet" in told.stderr
