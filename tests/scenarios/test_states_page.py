"""The page on states and its picture show what the table and the scenarios show now."""

from pathlib import Path

from tests.scenarios import states_page
from tests.scenarios.moves import kept

AGAIN = "python -m tests.scenarios --write"


def test_the_page_is_up_to_date() -> None:
    assert states_page.PAGE.read_text(encoding="utf-8") == states_page.page(), AGAIN


def test_the_picture_is_up_to_date() -> None:
    assert states_page.PICTURE.read_text(encoding="utf-8") == states_page.picture(), AGAIN


def test_every_scenario_it_names_is_there_to_show_its_move() -> None:
    for scenario in kept().values():
        module, name = scenario.split(":")
        source = Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
        assert f"def {name.partition('[')[0]}(" in source, f"{scenario} is gone: {AGAIN}"
