"""What another version made of the same configuration, beside what this one makes of it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

UNTOLD = frozenset({"digest"})
"""Differs with anything else that differs, and tells nobody what."""


def read_summary(path: Path) -> dict[str, Any] | None:
    """Return the summary that `chargerd check --json` had printed into a file; `None` if it had refused.

    Raises `click.ClickException` if the file is something else.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        summary: dict[str, Any] | None = said["summary"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise click.ClickException(f"{path} is not what `chargerd check --json` prints: {error}") from error
    return summary


def differences(before: object, now: object, where: str = "") -> Iterator[str]:
    """Tell what both say differently, and what is no longer said; what is only said now is new, not changed."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted(before):
            if key in UNTOLD:
                continue
            place = f"{where}.{key}" if where else str(key)
            if key in now:
                yield from differences(before[key], now[key], place)
            else:
                yield f"{place}: was {_told(before[key])}, and is gone"
    elif isinstance(before, list) and isinstance(now, list) and (_named(before) and _named(now)):
        yield from differences({one["id"]: one for one in before}, {one["id"]: one for one in now}, where)
    elif before != now:
        yield f"{where}: was {_told(before)}, is {_told(now)}"


def _named(rows: list[Any]) -> bool:
    return all(isinstance(row, dict) and "id" in row for row in rows)


def _told(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
