"""`chargerctl sessions`: what was charged here, and whether the accounts are whole."""

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from chargerd.cli.groups import Group
from chargerd.cli.paper import Paper
from chargerd.cli.said import echo
from chargerd.control.client import ControlClient

BROKEN = 1
MOST = 1000

Option = Callable[[Any], Any]
Connect = Callable[..., AbstractContextManager[ControlClient]]
AskPort = Callable[[ControlClient, str], Any]


def group(connect: Connect, as_json: Option, port_names: Callable[..., Any], ask_port: AskPort) -> click.Group:
    """Return the commands; `connect` opens the daemon's socket and leaves with the right exit code.

    `ask_port` fails where there is no such port.
    """

    @click.group(cls=Group)
    def sessions() -> None:
        """List, show and verify what was charged and settled."""

    sessions.add_command(_list(connect, as_json, port_names, ask_port))
    sessions.add_command(_show(connect, as_json))
    sessions.add_command(_verify(connect, as_json))
    return sessions


def _list(connect: Connect, as_json: Option, port_names: Callable[..., Any], ask_port: AskPort) -> click.Command:
    @click.command("list", epilog="Example: chargerctl sessions list --port A01 --limit 200")
    @click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True, help="How many.")
    @click.option("--port", shell_complete=port_names, help="Only those of this port.")
    @as_json
    @click.pass_obj
    def list_(path: Path, limit: int, port: str | None, *, as_json: bool) -> None:
        """List settlements, newest first."""
        params: dict[str, Any] = {"limit": limit} if port is None else {"limit": limit, "port": port}
        with connect(path, as_json=as_json) as client:
            *some, last = client.stream("sessions", **params)
            if port is not None and not some:  # One that is no longer there may have settlements all the same.
                ask_port(client, port)
        found = [one["settlement"] for one in some]
        if as_json:
            for one in found:
                echo(json.dumps(one))
        elif found:
            Paper().print(listed(found))
        else:
            echo("no settlements")
        if last.get("unreadable"):
            echo(f"{last['unreadable']} that cannot be read; see: chargerctl sessions verify", err=True)

    return list_


def _show(connect: Connect, as_json: Option) -> click.Command:
    @click.command(epilog="Example: chargerctl sessions show 01J9ZSESSION")
    @click.argument("session_id")
    @as_json
    @click.pass_obj
    def show(path: Path, session_id: str, *, as_json: bool) -> None:
        """Show everything about one settlement."""
        with connect(path, as_json=as_json) as client:
            found = next(client.stream("session", session_id=session_id))["settlement"]
        if as_json:
            echo(json.dumps(found))
        else:
            Paper().print(detailed(found))

    return show


def _verify(connect: Connect, as_json: Option) -> click.Command:
    @click.command(epilog="Example: chargerctl sessions verify")
    @as_json
    @click.pass_obj
    def verify(path: Path, *, as_json: bool) -> None:
        """Check the chain of settlements: whether one is missing or was changed. Exit code 1 if so."""
        with connect(path, as_json=as_json) as client:
            found = client.call("verify")
        if as_json:
            echo(json.dumps(found))
        else:
            for problem in found["problems"]:
                echo(problem)
            echo(verdict(found))
        if not found["ok"]:
            sys.exit(BROKEN)

    return verify


def verdict(found: dict[str, Any]) -> str:
    """Return one sentence on the whole chain."""
    if found["ok"]:
        return f"{found['settlements']} settlements, each follows the one before: the chain is whole"
    return (
        f"{found['settlements']} settlements, {len(found['problems'])} problems: keep the state directory as "
        "it is, and compare with what the backend has stored"
    )


def listed(found: list[dict[str, Any]]) -> Table:
    """Return settlements as a table."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("SESSION", "PORT", "ENDED", "WHY"):
        shown.add_column(name, overflow="fold")
    for name in ("Wh", "TIME"):
        shown.add_column(name, justify="right")
    for one in found:
        estimated = "~" if one.get("energy_quality") == "estimated" else ""
        shown.add_row(
            str(one.get("session_id")),
            str(one.get("port")),
            _minute(one.get("ended_at")),
            str(one.get("stop_reason")),
            f"{estimated}{one.get('energy_wh')}",
            _clock(one.get("charging_s")),
        )
    return shown


def detailed(found: dict[str, Any]) -> Table:
    """Return one settlement, a line a field."""
    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_column(style="bold")
    shown.add_column(overflow="fold")
    for name, value in found.items():
        shown.add_row(name, value if isinstance(value, str) else json.dumps(value))
    return shown


def _minute(stamp: Any) -> str:
    return "time not known" if stamp is None else str(stamp)[:16].replace("T", " ")


def _clock(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return "?"
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
