"""What the commands about lines share: which bus or board is meant, and paragraphs that fit any terminal."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from textwrap import wrap
from typing import Any, TypeAlias

import click
from click.shell_completion import CompletionItem

from chargerd.cli.fields import entries
from chargerd.control.client import ControlClient, ControlFailure

Connect: TypeAlias = Callable[..., AbstractContextManager[ControlClient]]
"""Opens the daemon's socket, and leaves with the right exit code."""
Option: TypeAlias = Callable[[Any], Any]
DefaultSocket: TypeAlias = Callable[[], Path]
UNITS = range(1, 248)
NARROW = 20


def completing(kind: str, default_socket: DefaultSocket) -> Callable[..., list[CompletionItem]]:
    """Return what completes the names of buses or boards (`kind`: `bus` or `board`) from the running daemon."""

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        path = (ctx.find_root().params or {}).get("socket_path") or default_socket()
        try:
            with ControlClient(Path(path), timeout=1.0) as client:
                buses = entries(client.call("boards")["buses"])
        except (ControlFailure, OSError):
            return []
        names = [bus["bus"] for bus in buses]
        if kind == "board":
            names = [board["board"] for bus in buses for board in entries(bus["boards"])]
        word = incomplete.casefold()
        return [CompletionItem(str(name)) for name in names if str(name).casefold().startswith(word)]

    return complete


def place_of(name: str) -> dict[str, Any]:
    """Return which unit a name means: a board of the configuration, or BUS:ADDRESS. Raises `click.UsageError`."""
    bus, colon, unit = name.rpartition(":")
    if not colon:
        return {"board": name}
    if not unit.isascii() or not unit.isdecimal() or int(unit) not in UNITS:
        raise click.UsageError(f"{name!r} is no board; write its name, or BUS:ADDRESS such as line-a:17")
    return {"bus": bus, "unit": int(unit)}


def paragraph(text: str, width: int, indent: int = 2) -> list[str]:
    """Return a text in lines that fit, all but the first indented."""
    return wrap(
        text, max(width, NARROW), subsequent_indent=" " * indent, break_long_words=True, break_on_hyphens=False
    ) or [""]


def width_of_terminal() -> int:
    """Return how wide lines may be; without an end where nobody reads them on a screen."""
    from chargerd.cli.paper import Paper  # noqa: PLC0415 - drawing is loaded where something is drawn

    return Paper().width


def spans(numbers: Sequence[int]) -> str:
    """Return numbers in short: 1..3, 7."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][-1] == number - 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(f"{run[0]}..{run[-1]}" if len(run) > 1 else str(run[0]) for run in found)


def on_terminal() -> bool:
    """Say whether somebody watches the progress: it goes to stderr."""
    return os.isatty(2)
