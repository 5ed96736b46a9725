"""`chargerctl lock` and `unlock`: somebody works at a port, and nobody else puts it back in service."""

import getpass
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from chargerd.cli.changes import Completions, Connect, Give, find_holder
from chargerd.cli.fields import Fields, above, entries, table
from chargerd.cli.said import echo

NOT_DONE: Final = 1


def lock_commands(
    give: Give, connect: Connect, as_json: Callable[[Any], Any], complete: Completions
) -> tuple[click.Command, click.Command]:
    """Return `chargerctl lock` and `chargerctl unlock`."""
    about = click.argument("name", metavar="PORT|CIRCUIT", shell_complete=complete)
    by = click.option("--by", default=whoever, help="Whose lock it is.  [default: who is logged in]")
    yes = click.option("--yes", is_flag=True, help="Do not ask first.")

    @click.command(
        epilog="Examples: chargerctl lock A01 --reason 'changing the socket'; "
        "chargerctl lock shed --by 'Ada, 555-0100' --reason 'new breaker' --yes"
    )
    @about
    @click.option("--reason", required=True, help="Why; whoever wonders is shown it.")
    @by
    @yes
    @as_json
    @click.pass_obj
    def lock(path: Path, name: str, reason: str, by: str, *, yes: bool, as_json: bool) -> None:
        """Lock a port, or a circuit with every port below: sessions end, and nothing starts there.

        It outlives restarts, and no command of the backend overrides it: only `chargerctl unlock` takes it away.
        This isolates nothing: switch the circuit off before working on it.
        """
        with connect(path, as_json=as_json) as client:
            status = client.call("status")
            given = {find_holder(status, name): name, "by": by, "reason": reason}
        busy = in_session(status, name)
        if busy and not yes:
            _ask(f"{', '.join(busy)}: a session is under way, and the lock ends it. Lock {name}?", as_json=as_json)
        give(path, "lock", given, wait=True, as_json=as_json)
        why_not = table(status.get("store")).get("why_not")
        if why_not:
            echo(f"chargerctl: {why_not}: a restart before that is mended would forget the lock", err=True)

    @click.command(epilog="Example: chargerctl unlock A01 --reason 'new socket, tried with the test load'")
    @about
    @click.option("--reason", help="What was done.")
    @by
    @yes
    @as_json
    @click.pass_obj
    def unlock(path: Path, name: str, reason: str | None, by: str, *, yes: bool, as_json: bool) -> None:
        """Take the lock of a port or a circuit away. Who has done it, when and why is written down."""
        with connect(path, as_json=as_json) as client:
            status = client.call("status")
            given = {find_holder(status, name): name, "by": by} | ({} if reason is None else {"reason": reason})
        found = lock_of(status, name)
        if found and found.get("by") != by and not yes:
            since = found.get("since") or "(clock not set)"
            question = f"{name} is locked by {found.get('by')} since {since}: {found.get('reason')}. Take it away?"
            _ask(question, as_json=as_json)
        give(path, "unlock", given, wait=True, as_json=as_json)

    return lock, unlock


def whoever() -> str:
    """Return who is logged in, also behind sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def in_session(status: Fields, name: str) -> list[str]:
    """Return the ports that a lock of this port or circuit would end a session of."""
    circuits = entries(status.get("circuits"))
    return [
        str(port["port"])
        for port in entries(status.get("ports"))
        if port.get("session")
        and (port["port"] == name or name in {circuit.get("circuit") for circuit in above(port, circuits)})
    ]


def lock_of(status: Fields, name: str) -> Fields:
    """Return the lock that hangs on this port or circuit itself; empty if there is none."""
    for one in (*entries(status.get("ports")), *entries(status.get("circuits"))):
        found = table(one.get("lock"))
        if name in {one.get("port"), None if "port" in one else one.get("circuit")} and "by" in found:
            return found if found.get("circuit") in {None, name} else {}
    return {}


def _ask(question: str, *, as_json: bool) -> None:
    """Ask, where there is somebody to answer; leave with an exit code unless the answer is yes."""
    if as_json or not sys.stdin.isatty():
        hint = "say so with --yes"
        if as_json:
            echo(json.dumps({"error": {"code": "busy", "message": question, "hint": hint}}))
        echo(f"chargerctl: {question} {hint}", err=True)
        sys.exit(NOT_DONE)
    echo(question, err=True)
    if not click.confirm("Go on?", err=True):
        echo("chargerctl: nothing is changed", err=True)
        sys.exit(NOT_DONE)
