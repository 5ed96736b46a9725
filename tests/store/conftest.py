from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.store.kit import Opened, open_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def open_(path: Path) -> Iterator[Callable[..., Opened]]:
    """Open the journal; whatever a test leaves open is closed, and no thread may have crashed."""
    opened: list[Opened] = []

    def open_one(**options: object) -> Opened:
        opened.append(open_journal(path, **options))  # type: ignore[arg-type] # passed on as they came
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
        assert one.crashes == []


@pytest.fixture
def opened(open_: Callable[..., Opened]) -> Opened:
    return open_()
