"""`docs/logs.md`: every event the daemon logs: level and fields from the code, its meaning from `log_events.yaml`.

`python -m tests.manual --write` writes the page.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from ruamel.yaml import YAML

from chargerd.core.facts import Fact
from chargerd.runtime.reporting.recorder import event_name

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "logs.md"
WORDS = Path(__file__).with_name("log_events.yaml")
LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "exception": "error",
    "critical": "critical",
    "tell": "debug, warning",
}
"""What a call is named, and at which level it tells; `tell` is only called where a board's first is a warning."""
NAMED_ELSEWHERE = {
    "chargerd/daemon.py": "events of the ledger",
    "chargerd/runtime/reporting/recorder.py": "events of the ledger",
    "chargerd/mqtt/alarms.py": "events of the ledger",
    "chargerd/mqtt/attempts.py": "not_connected, disconnected",
}
"""Calls whose event is no word in the code, and what they tell of."""
NOT_THE_DAEMON = {"operator", "log.py"}
AREAS = (
    ("Lines and boards", ("modbus/",)),
    ("The broker", ("mqtt/",)),
    ("The journal", ("store/",)),
    ("Metrics and announcements", ("runtime/metrics/", "runtime/reporting/announcer")),
    ("Start, end, and who is on site", ("",)),
)
HEAD = """\
# The log

<!-- Written by `python -m tests.manual --write`, from the code and tests/manual/log_events.yaml. -->

One event a line on stdout, which systemd keeps: JSON with `event`, `level`, `timestamp` (UTC) and its own fields.

```
journalctl -u chargerd -o cat                                  # all of it
journalctl -u chargerd -o cat -g 'line_gone|line_missing'      # some events
journalctl -u chargerd -o cat --since -1h | jq -c 'select(.level != "info")'
chargerd run --log-level debug                                 # at a terminal, in columns
```

`-` below means that nothing is to be done. An event with a traceback has it in `exception`. Fields may be added;
an event keeps its name within a major version.

**Every event of the ledger is logged, too**, under its name there, with what it is about: `info` as `info`,
`warning` as `warning`, `alarm` as `error`. They are explained with [the messages](mqtt.md#events); a board's loss
is `board_went_silent` here, and its return `board_returned`. Of sessions the log has `session_started`,
`session_updated`, `session_suspended`, `session_resumed` and `session_ended`, with `port`, `session`, `energy_wh`
and `reason`. An alarm of the link that was told within the hour comes as `warning` with `again`.
"""


@dataclass
class Told:
    """An event, as the code tells of it."""

    levels: dict[str, None] = field(default_factory=dict)
    fields: dict[str, None] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


def calls() -> Iterator[tuple[str, str, ast.expr, list[str]]]:
    """Yield each call that logs: file, function, the event, names of fields."""
    for path in sorted((ROOT / "chargerd").rglob("*.py")):
        if NOT_THE_DAEMON & set(path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=name)) if name in LEVELS:
                    event = node.args[1 if name == "tell" else 0]
                    named = [one.arg for one in node.keywords if one.arg is not None]
                    yield str(path.relative_to(ROOT)), name, event, named


def logged() -> dict[str, Told]:
    """Return every event whose name stands in the code, and those of the link's attempts."""
    found = {
        name: Told({"warning": None}, {"broker": None}, ["chargerd/mqtt/attempts.py"])
        for name in ("not_connected", "disconnected")
    }
    for file, call, event, names in calls():
        if isinstance(event, ast.Constant):
            told = found.setdefault(str(event.value), Told())
            told.levels[LEVELS[call]] = None
            told.fields |= dict.fromkeys(name for name in names if name != "exc_info")
            told.files.append(file)
    return found


def unnamed() -> set[str]:
    """Return the files that log events whose names stand elsewhere."""
    return {file for file, _, event, _ in calls() if not isinstance(event, ast.Constant)}


def of_facts() -> set[str]:
    """Return the names that facts of the core are logged by."""
    return {event_name(fact.__new__(fact)) for fact in get_args(Fact)}


def words() -> dict[str, dict[str, Any]]:
    """Return what each event means, and what to do."""
    found: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(WORDS)
    return found


def page() -> str:
    """Return the whole page as Markdown."""
    parts, told, meanings = [HEAD], logged(), words()
    for name, places in AREAS:
        here = {event: one for event, one in told.items() if _area(one.files[0]) == places}
        parts.append(f"\n## {name}\n\n| event | level | fields | means | what to do |\n|---|---|---|---|---|\n")
        parts += [_row(event, here[event], meanings[event]) for event in sorted(here)]
    return "".join(parts)


def _area(file: str) -> tuple[str, ...]:
    inside = file.removeprefix("chargerd/")
    return next(places for _, places in AREAS if inside.startswith(places))


def _row(event: str, told: Told, word: dict[str, Any]) -> str:
    fields = [f"`{name}`" if " " not in name else name for name in (*told.fields, *word.get("fields", ()))]
    cells = (f"`{event}`", ", ".join(told.levels), ", ".join(fields), word["means"], word["do"])
    return f"| {' | '.join(cells)} |\n"
