"""What holds for all tests."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Undo what a command has configured about the log in this process: the next test reads it."""
    yield
    structlog.reset_defaults()
