"""One event a line: its name says what happened, its fields under which circumstances.

    from chargerd import log
    log.warning("line_gone", bus="shed", why="unplugged")

structlog does the work. What stands here keeps it from being loaded before the relays are safe: it comes when a
log is configured. What is told before that goes to stderr as plain words.
"""

import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from enum import IntEnum
from io import StringIO
from types import ModuleType
from typing import Any, Final, TextIO

from chargerd.text import visible, visible_lines

_OPTIONAL = ("rich", "better_exceptions")
"""What structlog would load where it is installed, to colour tracebacks: 0.18 s of CPU for what is never shown."""
_UNUSED = "asyncio"
"""What structlog loads for its asynchronous methods, which nobody calls here: 3 MB in a daemon of threads."""


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


class _Lines:
    """A sink that has structlog write a line for each event."""

    def __init__(self, write: Callable[[str], object], *, columns: bool, colours: bool = False) -> None:
        self._write = write
        self._columns = columns
        self._colours = colours
        self._logger: Any = self._made()

    def __call__(self, level: Level, event: str, fields: Mapping[str, object]) -> None:
        self._logger.log(level, event, **fields)

    def _made(self) -> Any:
        with _without(_OPTIONAL, _UNUSED):
            import structlog  # noqa: PLC0415 - not before the relays are safe
        renderers: list[Any] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ]
        if self._columns:
            plain = structlog.dev.plain_traceback

            def formatted(to: TextIO, cause: Any) -> None:
                lines = StringIO()
                plain(lines, cause)
                to.write(visible_lines(lines.getvalue()))

            columns = structlog.dev.ConsoleRenderer(colors=self._colours, exception_formatter=formatted)
            renderers = [_visible, columns]
        return structlog.wrap_logger(
            structlog.WriteLogger(_File(self._write)),  # type: ignore[arg-type]  # write and flush are all it uses
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                *renderers,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(Level.DEBUG),
        )


def _visible(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Spell out what would do something to the terminal, or to who reads it; machines read JSON, which does."""
    kept = {"exc_info", "level", "timestamp"}
    return {name: value if name in kept else visible(str(value)) for name, value in fields.items()}


class _File:
    """What structlog writes to."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self.write = write

    def flush(self) -> None:
        """Each line is whole."""


@contextmanager
def _without(names: tuple[str, ...], empty: str) -> Iterator[None]:
    """Let modules that are not loaded yet count as not installed, and one as having nothing in it."""
    hidden: dict[str, ModuleType | None] = {name: None for name in names if name not in sys.modules}
    if empty not in sys.modules:
        hidden[empty] = ModuleType(empty)
    sys.modules.update(hidden)  # type: ignore[arg-type]  # None is what the import system asks for.
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


def as_json(write: Callable[[str], object]) -> Sink:
    """Return a sink that writes one JSON object a line, for machines."""
    return _Lines(write, columns=False)


def as_columns(write: Callable[[str], object], *, colours: bool = False) -> Sink:
    """Return a sink that writes columns, for people."""
    return _Lines(write, columns=True, colours=colours)


def in_words(level: Level, event: str, fields: Mapping[str, object]) -> None:
    """Say it on stderr without loading anything: the sink of what has not configured another."""
    told = " ".join(f"{name}={value}" for name, value in fields.items() if name != "exc_info")
    sys.stderr.write(visible(f"{level.name.lower()}: {event} {told}".rstrip()) + "\n")
    cause = fields.get("exc_info")
    if cause:
        raised = cause if isinstance(cause, BaseException) else sys.exception()
        sys.stderr.write(visible_lines("".join(traceback.format_exception(raised))))


class _Output:
    """Where all events of the process go, and from which level on."""

    def __init__(self) -> None:
        self.level = Level.WARNING
        self.sink: Sink = in_words
        self.listener: Sink | None = None


_OUTPUT: Final = _Output()


def configure(level: Level, sink: Sink = in_words) -> None:
    """Have events from a level on go to a sink; without one, to stderr."""
    _OUTPUT.level = level
    _OUTPUT.sink = sink


def listen(listener: Sink | None) -> None:
    """Have somebody hear what is told besides, from `INFO` on, whatever the sink's level is; one at a time."""
    _OUTPUT.listener = listener


def tell(level: Level, event: str, /, **fields: object) -> None:
    """Tell of an event. A field `exc_info` is an exception, or true for the one being handled."""
    if level >= _OUTPUT.level:
        _OUTPUT.sink(level, event, fields)
    if _OUTPUT.listener is not None and level > Level.DEBUG:
        _OUTPUT.listener(level, event, fields)


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
