"""One event a line: its name says what happened, its fields under which circumstances.

    from chargerd import log
    log.warning("line_gone", bus="shed", why="unplugged")

Small on purpose: it is loaded before the relays are safe. Nothing here blocks or raises but the sink.
"""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

_EVENT_WIDTH = 30


class Level(IntEnum):
    """How grave an event is; the figures are those of Python's own `logging`."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    CRITICAL = 50
    SILENCE = 100
    """No event is as grave as this."""


Sink = Callable[[Level, str, Mapping[str, object]], None]
"""Takes an event: level, name, fields. Never raises, never blocks."""


def as_json(write: Callable[[str], object]) -> Sink:
    """Return a sink that writes one JSON object a line, for machines."""

    def sink(level: Level, event: str, fields: Mapping[str, object]) -> None:
        told = {**fields, "event": event, "level": level.name.lower(), "timestamp": _now()}
        write(json.dumps(told, default=str) + "\n")

    return sink


def as_columns(write: Callable[[str], object]) -> Sink:
    """Return a sink that writes columns, for people."""

    def sink(level: Level, event: str, fields: Mapping[str, object]) -> None:
        told = " ".join(f"{name}={value}" for name, value in fields.items() if name != "exception")
        line = f"{_now()} {level.name.lower():<8} {event:<{_EVENT_WIDTH}} {told}".rstrip()
        write(f"{line}\n{fields.get('exception', '')}")

    return sink


def _to_stderr(line: str) -> None:
    # Looked up at each call: whoever redirects stderr means us as well.
    sys.stderr.write(line)


def _now() -> str:
    # For whoever reads the log; nothing is decided by it.
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")  # noqa: TID251


class _Output:
    """Where all events of the process go, and from which level on."""

    def __init__(self) -> None:
        self.level = Level.WARNING
        self.sink = as_columns(_to_stderr)


_OUTPUT: Final = _Output()


def configure(level: Level, sink: Sink | None = None) -> None:
    """Have events from a level on go to a sink; without one, as columns to stderr."""
    _OUTPUT.level = level
    _OUTPUT.sink = as_columns(_to_stderr) if sink is None else sink


def tell(level: Level, event: str, /, **fields: object) -> None:
    """Tell of an event. A field `exc_info` is an exception, or true for the one being handled."""
    if level < _OUTPUT.level:
        return
    cause = fields.pop("exc_info", None)
    if cause:
        raised = cause if isinstance(cause, BaseException) else sys.exception()
        fields["exception"] = "".join(traceback.format_exception(raised))
    _OUTPUT.sink(level, event, fields)


def debug(event: str, /, **fields: object) -> None:
    """Tell what only somebody who looks for a fault wants to know."""
    tell(Level.DEBUG, event, **fields)


def info(event: str, /, **fields: object) -> None:
    """Tell what happened as it should."""
    tell(Level.INFO, event, **fields)


def warning(event: str, /, **fields: object) -> None:
    """Tell what somebody should look at."""
    tell(Level.WARNING, event, **fields)


def error(event: str, /, **fields: object) -> None:
    """Tell what failed."""
    tell(Level.ERROR, event, **fields)


def exception(event: str, /, **fields: object) -> None:
    """Tell what failed, with the exception being handled."""
    tell(Level.ERROR, event, exc_info=True, **fields)


def critical(event: str, /, **fields: object) -> None:
    """Tell why the daemon gives up, or that protection is lost."""
    tell(Level.CRITICAL, event, **fields)
