"""What the pages for developers name is there: files, and classes and functions of the code."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("CONTRIBUTING.md", "docs/architecture.md", "docs/extending.md", "docs/glossary.md")


@cache
def words() -> frozenset[str]:
    """Return every word of the source."""
    sources = [path for folder in ("chargerd", "tests") for path in (ROOT / folder).rglob("*.py")]
    return frozenset(word for path in sources for word in re.findall(r"\w+", path.read_text(encoding="utf-8")))


def found(path: str) -> bool:
    """Say whether there is such a file: from the top, in the package, or, by its name alone, anywhere."""
    if "/" not in path:
        return any(place.exists() for place in (ROOT / path, ROOT / "chargerd" / path)) or any(
            any((ROOT / folder).rglob(path)) for folder in ("chargerd", "tests", "docs")
        )
    return any(any(place.glob(path)) for place in (ROOT, ROOT / "chargerd"))


def named(page: str) -> list[str]:
    """Return what a page sets in the type of code, without its listings and without what is left to the reader."""
    prose = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [text for text in re.findall(r"`([^`\n]+)`", prose) if not set("<…") & set(text)]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_a_page_names_is_there(page: str) -> None:
    paths = [
        text
        for text in named(page)
        if re.fullmatch(r"[\w.*/-]+", text)
        and (text.endswith("/") or re.search(r"\.(py|yaml|md|json|toml|js)$", text))
    ]

    gone = [text for text in paths if not found(text.rstrip("/"))]
    assert not gone, f"{page} names files that are not there (moved?): {gone}"


@pytest.mark.parametrize("page", PAGES)
def test_every_name_of_the_code_that_a_page_tells_is_in_the_code(page: str) -> None:
    calls = [re.sub(r"\(.*", "", text) for text in named(page)]
    names = [text for text in calls if re.fullmatch(r"[A-Z]\w*[a-z]\w*(\.\w+)*|test_\w+", text)]
    gone = [text for text in names if not words().issuperset(text.split("."))]
    assert not gone, f"{page} tells names that are nowhere in the code (renamed?): {gone}"
