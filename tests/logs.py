"""What a part of the program tells the log, for tests."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from chargerd import log
from chargerd.log import Level


def tell_all() -> None:
    """Have everything printed: a test that fails shows it. Not to stderr, where commands speak to people."""
    log.configure(Level.DEBUG, log.as_columns(lambda line: sys.stdout.write(line)))  # noqa: PLW0108 - captured anew


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """Collect all events instead of writing them."""
    entries: list[dict[str, Any]] = []

    def sink(level: Level, event: str, fields: Mapping[str, object]) -> None:
        entries.append({**fields, "event": event, "level": level})

    log.configure(Level.DEBUG, sink)
    try:
        yield entries
    finally:
        tell_all()


@contextmanager
def silence() -> Iterator[None]:
    """Let nothing be told: a thousand lives would fill the disk with their logs."""
    log.configure(Level.SILENCE)
    try:
        yield
    finally:
        tell_all()
