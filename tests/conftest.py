"""What holds for all tests."""

import signal
from collections.abc import Iterator

import pytest

from tests.logs import tell_all


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """Take interrupts again: a shell that runs us in the background has them ignored, by our children, too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Undo what a command has configured about the log in this process; a test that fails shows all of it."""
    tell_all()
    yield
    tell_all()
