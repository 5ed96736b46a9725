"""The page of all words is of today, and leaves out none the code knows."""

import pytest

from tests.manual.words_page import KINDS, PAGE, Kind, explained, page


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_manual_explains_every_word_of_the_code(kind: Kind) -> None:
    told = explained(kind)
    assert not [word for word, meaning in told.items() if not meaning], (
        f"{kind.page}, {kind.heading}: rows without a meaning"
    )
    missing = set(kind.wanted or ()) - set(told)
    assert told
    assert not missing, f"explain these in {kind.page}, {kind.heading}: {sorted(missing)}"


def test_the_page_is_of_today() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.manual --write"
