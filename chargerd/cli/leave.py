"""What stops the daemon from the command line: with its sessions waiting, when the last has ended, or ending them.

`chargerd stop` and `chargerd shutdown` are for whoever runs the machine, `chargerctl drain` and `chargerctl
shutdown` for whoever stands at the sockets. Both ask the daemon; systemd does not start it again then.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from chargerd.cli.ctl_lines import Connect, Option
from chargerd.cli.fields import Fields
from chargerd.cli.folders import runtime_folder
from chargerd.cli.said import echo
from chargerd.cli.times import read_span
from chargerd.control.client import ControlClient, ControlFailure
from chargerd.control.protocol import SOCKET_NAME

FAILED, NOT_RUNNING = 1, 3
GONE_WITHIN = 5.0
"""Seconds an end takes after its last word, at most."""
AGAIN = "start it with: systemctl start chargerd"

socket_option = click.option(
    "--socket",
    "path",
    type=click.Path(path_type=Path, readable=False),
    envvar="CHARGERCTL_SOCKET",
    default=lambda: runtime_folder() / SOCKET_NAME,
    help="The daemon's socket.  [default: chargerctl.sock in $RUNTIME_DIRECTORY or /run/chargerd]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead: one object a line.")
timeout_option = click.option(
    "--timeout",
    metavar="SPAN",
    help="Stop after so long all the same, as 90s, 30m or 2h; what charges then waits for the next start.",
)
cancel_option = click.option("--cancel", is_flag=True, help="Take a drain back: everything may start again.")


@contextmanager
def connected(path: Path, *, as_json: bool) -> Iterator[ControlClient]:
    """Connect for `chargerd`; what goes wrong becomes a line to act on, and an exit code."""
    try:
        with ControlClient(path, for_people=not as_json) as client:
            yield client
    except ControlFailure as error:
        if as_json:
            echo(json.dumps({"error": {"code": error.code, "message": str(error), "hint": error.hint}}))
        echo(f"chargerd: {error}" + (f"; {error.hint}" if error.hint else ""), err=True)
        sys.exit(error.exit_code)


def drain_command(connect: Connect, as_json: Option) -> click.Command:
    """Return `chargerctl drain`."""

    @click.command(
        epilog="Examples: chargerctl drain; chargerctl drain --timeout 2h; chargerctl drain --cancel. "
        "Exit code 1 if sessions were left when the time was up."
    )
    @timeout_option
    @cancel_option
    @as_json
    @click.pass_obj
    def drain(path: Path, *, timeout: str | None, cancel: bool, as_json: bool) -> None:
        """Start nothing any more, wait until every session has ended by itself, then stop for good."""
        with connect(path, as_json=as_json) as client:
            drained(client, timeout=timeout, cancel=cancel, as_json=as_json)

    return drain


def shutdown_command(connect: Connect, as_json: Option) -> click.Command:
    """Return `chargerctl shutdown`."""

    @click.command(epilog="Example: chargerctl shutdown. To let sessions wait instead: chargerd stop.")
    @as_json
    @click.pass_obj
    def shutdown(path: Path, *, as_json: bool) -> None:
        """End every session, open every relay, then stop for good."""
        with connect(path, as_json=as_json) as client:
            follow(client, "shutdown", {}, as_json=as_json)

    return shutdown


def drained(client: ControlClient, *, timeout: str | None, cancel: bool, as_json: bool) -> None:
    """Drain, or take that back. Raises `click.UsageError`, `ControlFailure`."""
    if cancel and timeout is not None:
        raise click.UsageError("give --timeout or --cancel, not both")
    if cancel:
        follow(client, "undrain", {}, as_json=as_json)
    else:
        follow(client, "drain", {} if timeout is None else {"timeout_s": _seconds(timeout)}, as_json=as_json)


def follow(client: ControlClient, method: str, params: dict[str, Any], *, as_json: bool) -> None:
    """Ask, show how far it is, and wait for the end; exit code 1 if sessions were left that were to end."""
    last: dict[str, Any] = {}
    try:
        for said in client.stream(method, **params):
            last = said
            echo(json.dumps(said) if as_json else sentence(said))
            sys.stdout.flush()
        if last.get("status") == "stopped":
            client.await_end(GONE_WITHIN)
    except KeyboardInterrupt:
        _not_waiting(method)
    if last.get("out_of_time"):
        sys.exit(FAILED)


def sentence(said: Fields) -> str:
    """Return what the daemon says of its end, for a person."""
    count = int(str(said.get("sessions", 0)))
    ports = said.get("ports")
    where = f" on {', '.join(map(str, ports))}" if isinstance(ports, list) and ports else ""
    many = "no session" if not count else "1 session" if count == 1 else f"{count} sessions"
    if said.get("status") == "draining":
        return f"nothing starts any more; {many} left{where}"
    if said.get("status") == "stopping":
        return f"stopping; {many}{where}"
    if said.get("status") == "taken_back":
        return f"serves again; {many} under way"
    waiting = f"{many} waiting for the next start, 30 minutes at most by default; " if count else ""
    return f"stopped, every relay told to open; {waiting}{AGAIN}"


def _not_waiting(method: str) -> NoReturn:
    """Whoever interrupts the waiting may believe the drain gone as well."""
    then = "take it back with: chargerd stop --cancel" if method == "drain" else "see: systemctl status chargerd"
    echo(f"chargerd: no longer waiting, but it goes on; {then}", err=True)
    sys.exit(FAILED)


def _seconds(text: str) -> float:
    try:
        return read_span(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--timeout") from error
