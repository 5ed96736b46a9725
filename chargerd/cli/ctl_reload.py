"""`chargerctl reload`: the configuration is read anew while ports charge; `chargerd check` tells beforehand."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from chargerd.cli.ctl_lines import Connect, Option
from chargerd.cli.fields import Fields, entries, words
from chargerd.cli.said import echo

REFUSED = 1
HEADINGS = (
    ("limits", "lower at once, higher when the session under way has ended:"),
    ("next", "for new sessions:"),
    ("restart", "waits for a restart:"),
)


def command(connect: Connect, as_json: Option) -> click.Command:
    """Return the command."""

    @click.command(
        epilog="Example: chargerctl reload --dry-run. Exit code 1 if the file is refused; nothing is changed then."
    )
    @click.option("--dry-run", "only_look", is_flag=True, help="Only say what would come of it.")
    @click.option(
        "--restart",
        "restart",
        is_flag=True,
        help="If something waits for a restart, restart: sessions are suspended meanwhile.",
    )
    @as_json
    @click.pass_obj
    def reload(path: Path, *, only_look: bool, restart: bool, as_json: bool) -> None:
        """Read the configuration anew. No session is ended or raised by it.

        What is lower holds at once, what is higher for new sessions. What cannot be changed while ports charge is
        named and waits for a restart; then limits that are higher wait with it. A file with a mistake changes
        nothing.
        """
        if only_look and restart:
            raise click.UsageError("give --dry-run or --restart, not both")
        with connect(path, as_json=as_json) as client:
            told = client.call("compare") if only_look else client.call("reload", restart=restart)
        if as_json:
            echo(json.dumps(told))
        else:
            for line in lines_of(told, only_look=only_look):
                echo(line, err=told["result"] == "refused")
        if told["result"] == "refused":
            sys.exit(REFUSED)

    return reload


def lines_of(told: Fields, *, only_look: bool = False) -> Iterator[str]:
    """Say what came of it, or would."""
    if told["result"] == "refused":
        for one in entries(told["problems"]):
            place = f"{one['file']}:{one['line']}:{one['column']}" if one["line"] else one["file"]
            yield f"{place}: {one['what']}; {one['hint']}"
        yield "refused; what runs stays as it is"
        return
    if told["result"] == "unchanged":
        yield f"{told['path']} means what runs already"
        return
    for key, heading in HEADINGS:
        rows = entries(told[key])
        if rows:
            yield heading
            yield from (f"  {_row(row)}" for row in rows)
    yield from _then(told, only_look=only_look)


def _row(row: Fields) -> str:
    place = f"line {row['line']}: " if row["line"] else ""
    busy = words(row["in_use"])
    in_use = f" (a session goes on at {', '.join(busy)})" if busy else ""
    return f"{place}{row['what']}{in_use}"


def _then(told: Fields, *, only_look: bool) -> Iterator[str]:
    sessions = told["sessions"]
    who = "the session that goes on is" if sessions == 1 else f"the {sessions} sessions that go on are"
    for_so_long = f"{who} suspended for about {told['restart_s']} s"
    if told["result"] == "restarting":
        yield f"restarting; {for_so_long}" if sessions else "restarting"
    elif entries(told["restart"]):
        yield "the rest is applied by a restart of its own, once nobody has used the site for half a minute"
        then = "chargerctl reload --restart, or systemctl restart chargerd"
        yield f"to apply it at once: {then}" + (f"; {for_so_long}" if sessions else "")
    if only_look:
        waits = bool(entries(told["restart"]))
        yield "nothing was changed yet" if waits else "nothing was changed; chargerctl reload applies it"
