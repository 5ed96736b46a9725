"""`chargerctl events`: what has happened, from the journal, and what happens from now on."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from chargerd.cli.ctl_lines import Connect, Option, paragraph
from chargerd.cli.event_words import SENTENCES, place_of, sentence
from chargerd.cli.fields import Fields, clock
from chargerd.cli.said import echo
from chargerd.cli.times import Since, read_since
from chargerd.control.client import ControlClient, ControlFailure

USUAL: Final = 50
LATEST: Final = 10
"""Shown before what comes, by `--follow`."""
PAGE: Final = 500
AGAIN_AFTER: Final = 1.0
"""Seconds until a daemon that has gone is asked again."""
TRANSIENT: Final = frozenset({"gone", "not_running", "timeout", "store_unavailable", "too_many_clients"})
"""What a restart of the daemon looks like from here."""
WIDE: Final = 60
"""Columns from which on everything stands on one line, if it fits."""
COLOURS: Final = {"alarm": "bold red", "warning": "yellow", "info": "dim"}
INDENT: Final = 2


def command(connect: Connect, as_json: Option, port_names: Callable[..., Any]) -> click.Command:
    """Return the command; `connect` opens the daemon's socket and leaves with the right exit code."""

    @click.command(
        epilog="Examples: chargerctl events --since 2h; chargerctl events --port A01 --severity warning; "
        "chargerctl events --follow --kind 'line_*' --kind 'board_*'"
    )
    @click.option(
        "--follow",
        "-f",
        "following",
        is_flag=True,
        help="Go on with what happens, over restarts of the daemon too.",
    )
    @click.option("--port", shell_complete=port_names, help="Only of this port, its circuits, boards and lines.")
    @click.option(
        "--since", metavar="WHEN", help="From then on: 90s, 2h, 1d, 14:30, 2026-11-29, 2026-11-29T14:30Z."
    )
    @click.option(
        "--kind",
        "kinds",
        multiple=True,
        shell_complete=_complete_kind,
        metavar="NAME",
        help="Only of this kind; * stands for anything. Again for more.",
    )
    @click.option(
        "--severity", type=click.Choice(["info", "warning", "alarm"]), help="Only as grave as this, or graver."
    )
    @click.option(
        "--limit",
        type=click.IntRange(1, 100_000),
        help="At most so many, the newest.  [default: 50; all with --since]",
    )
    @click.option(
        "--seconds", type=click.FloatRange(0, min_open=True), help="Follow for so long.  [default: until Ctrl-C]"
    )
    @as_json
    @click.pass_obj
    def events(
        path: Path,
        *,
        following: bool,
        port: str | None,
        since: str | None,
        kinds: tuple[str, ...],
        severity: str | None,
        limit: int | None,
        seconds: float | None,
        as_json: bool,
    ) -> None:
        """Show what has happened, oldest first: trips, lines, broker, commands given on site, sessions."""
        wanted: dict[str, Any] = {"port": port, "severity": severity, "kinds": list(kinds) or None}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        start = None if since is None else _since(since)
        most = limit or (None if since is not None else LATEST if following else USUAL)
        out = _Lines(as_json=as_json)
        with connect(path, as_json=as_json) as client:
            newest, found = _collect(client, {**wanted, **({} if start is None else start.params)}, most)
            for one in found:
                out.print(one)
            if not found and not following and not as_json:
                echo("nothing of that kind has happened" if wanted or since else "nothing is kept yet", err=True)
            if following:
                with suppress(KeyboardInterrupt):
                    follow(
                        lambda: ControlClient(path, for_people=not as_json),
                        newest,
                        wanted,
                        _after(seconds),
                        out.print,
                    )

    return events


def _complete_kind(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in sorted(SENTENCES) if name.startswith(incomplete)]


def _since(text: str) -> Since:
    try:
        return read_since(text, datetime.now().astimezone())  # noqa: TID251 - the person's own clock
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from error


def _collect(client: ControlClient, wanted: dict[str, Any], most: int | None) -> tuple[str, list[Fields]]:
    """Return the mark of the newest event there is, and those that are wanted, oldest first."""
    found: list[Fields] = []
    newest, older = None, None
    while True:
        left = PAGE if most is None else min(PAGE, most - len(found))
        more: dict[str, Any] = {} if older is None else {"before": older}
        *some, last = client.stream("events", limit=left, **wanted, **more)
        found += [one["event"] for one in some]
        newest, older = newest or last["newest"], last["older"]
        if older is None or (most is not None and len(found) >= most):
            return newest, found[::-1]


def follow(
    connect: Callable[[], ControlClient],
    mark: str,
    wanted: dict[str, Any],
    over: threading.Event,
    show: Callable[[Fields], None],
) -> None:
    """Show what comes, and what came while the daemon was away, until it is `over`.

    Raises `ControlFailure` for what waiting does not mend.
    """
    told = False
    while not over.is_set():
        try:
            with connect() as client:
                for event in _coming(client, mark, wanted, over):
                    mark = str(event["id"])
                    show(event)
                    told = False
        except ControlFailure as failure:
            if failure.code not in TRANSIENT:
                raise
            if not told:
                echo(f"chargerctl: {failure}; waiting for it", err=True)
            told = True
            over.wait(AGAIN_AFTER)


def _after(seconds: float | None) -> threading.Event:
    """Return what is set after so many seconds; never without any."""
    over = threading.Event()
    if seconds is not None:
        timer = threading.Timer(seconds, over.set)
        timer.daemon = True
        timer.start()
    return over


def _coming(client: ControlClient, mark: str, wanted: dict[str, Any], over: threading.Event) -> Iterator[Fields]:
    updates = client.stream("events", after=mark, **wanted)
    while not over.is_set():
        if not client.ready(AGAIN_AFTER):
            continue
        update = next(updates, None)
        if update is None:
            return
        if "event" in update:
            yield update["event"]


class _Lines:
    """Prints events: a JSON object a line, or words that fit the terminal."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        if not as_json:
            from chargerd.cli.paper import Paper  # noqa: PLC0415 - drawing is loaded where something is drawn

            self._paper = Paper()

    def print(self, event: Fields) -> None:
        """Print one, at once."""
        if self._as_json:
            echo(json.dumps(event))
            sys.stdout.flush()
            return
        from rich.text import Text  # noqa: PLC0415 - as above

        for number, line in enumerate(lines_of(event, self._paper.width)):
            self._paper.print(Text(line, style="" if number else COLOURS.get(str(event.get("severity")), "")))


def lines_of(event: Fields, width: int) -> list[str]:
    """Return an event in lines of at most this width, all but the first indented."""
    severity = str(event.get("severity"))
    head = f"{when(event)}  {severity:<7}  {place_of(event)}"
    if width >= WIDE:
        return paragraph(f"{head:<36}  {event.get('event')}: {sentence(event)}", width, INDENT)
    return [
        *paragraph(head, width, INDENT),
        *paragraph(f"{'':{INDENT}}{event.get('event')}: {sentence(event)}", width, INDENT),
    ]


def when(event: Fields) -> str:
    """Return when it was, on this machine's clock; where none was set, how long after which boot."""
    at = event.get("at")
    if not isinstance(at, str):
        up = event.get("up_ms")
        return f"boot {event.get('boot')} +{clock(up / 1000 if isinstance(up, int) else None)}"
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
