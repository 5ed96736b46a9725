"""`chargerctl boards` at the real daemon: how each board does, and what is wrong with one that is silent."""

import json

from click.testing import CliRunner

from chargerd.cli.chargerctl import main
from tests.judging import every
from tests.site import DaemonSite


def boards(site: DaemonSite, *options: str) -> str:
    result = CliRunner().invoke(main, ["--socket", str(site.socket), "boards", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_boards_are_shown_with_their_figures_and_a_silent_one_by_name(alone: DaemonSite) -> None:
    told = json.loads(boards(alone, "--json"))
    (bus,) = told["buses"]
    assert bus["connected"]
    assert bus["findings"] == []
    answers = {board["board"]: board["answers"] for board in bus["boards"]}
    assert every(count > 0 for count in answers.values()), answers
    silent = next(name for name in answers if name.startswith("meter"))
    alone.world.board(silent).silence()
    alone.wait(lambda: "does not answer, others do" in boards(alone), "it is not noticed")
    assert f"{silent}: does not answer, others do; look at its supply" in boards(alone)
