"""`chargerd open-relays`, as far as its words go; that it opens is tried elsewhere."""

from pathlib import Path

import pytest

from chargerd.cli.open_relays import main
from chargerd.modbus.emergency import RELAYS_FILE


@pytest.mark.parametrize(
    ("left", "code", "words"),
    [
        ((), 0, "every relay has been read back open"),
        (
            ("A01", "A02"),
            1,
            "not confirmed open: A01, A02; if chargerd runs, it holds the lines: stop it",
        ),
    ],
)
def test_whoever_gets_no_answer_is_told_that_the_daemon_may_hold_the_lines(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    left: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    (tmp_path / RELAYS_FILE).touch()
    monkeypatch.setattr("chargerd.cli.open_relays.open_relays", lambda _path, _clock, **_in_vain: left)
    assert main(["--state-dir", str(tmp_path)]) == code
    told = capsys.readouterr()
    assert words in (told.err if code else told.out)


@pytest.mark.parametrize(("result", "tries"), [(None, 3), ("success", 1), ("exit-code", 3), ("watchdog", 3)])
def test_after_an_end_in_order_a_dead_line_is_tried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: str | None, tries: int
) -> None:
    monkeypatch.delenv("SERVICE_RESULT", raising=False)
    if result is not None:
        monkeypatch.setenv("SERVICE_RESULT", result)
    (tmp_path / RELAYS_FILE).touch()
    asked: list[int] = []
    monkeypatch.setattr(
        "chargerd.cli.open_relays.open_relays", lambda _path, _clock, in_vain: asked.append(in_vain)
    )
    assert main(["--state-dir", str(tmp_path)]) == 0
    assert asked == [tries]


def test_before_any_daemon_has_run_there_is_nothing_to_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--state-dir", str(tmp_path)]) == 0
    assert "no daemon has run yet" in capsys.readouterr().err


def test_a_list_that_cannot_be_read_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / RELAYS_FILE).write_text('{"lines": [')
    assert main(["--state-dir", str(tmp_path)]) == 1
    assert "is no list of relays" in capsys.readouterr().err


def test_the_folder_is_the_one_systemd_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:/elsewhere")
    assert main([]) == 0
    assert str(tmp_path / RELAYS_FILE) in capsys.readouterr().err
