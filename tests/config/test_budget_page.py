"""The page for installers shows what the program says now."""

from tests.config.budget_page import FENCE, PAGE, page


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count(FENCE) == 6
    assert text == page(), "python -m tests.config.budget_page --write"
