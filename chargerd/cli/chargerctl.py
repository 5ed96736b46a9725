"""The command `chargerctl`: what a technician sees and does, through the running daemon."""

import difflib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from rich.console import Console
from rich.live import Live

from chargerd import __version__
from chargerd.cli.ctl_tables import clock, number, port_view, status_view, table
from chargerd.cli.wording import refusal
from chargerd.control.client import ControlClient, ControlFailure, DaemonNotRunning
from chargerd.control.protocol import SOCKET_NAME

REFUSED, NOT_RUNNING = 1, 3
START_TIMEOUT = 150.0
"""A start is done when current flows, which may take its rider two minutes."""


def _default_socket() -> Path:
    return Path(os.environ.get("RUNTIME_DIRECTORY", "/run/chargerd").split(":")[0]) / SOCKET_NAME


@contextmanager
def _client(path: Path, timeout: float = 10.0) -> Iterator[ControlClient]:
    """Connect; turn what goes wrong into a line a person can act on, and an exit code."""
    try:
        with ControlClient(path, timeout) as client:
            yield client
    except DaemonNotRunning as error:
        _complain(str(error), error.hint)
        sys.exit(NOT_RUNNING)
    except ControlFailure as error:
        _complain(str(error), error.hint)
        sys.exit(REFUSED)


def _complain(what: str, hint: str) -> None:
    click.echo(f"chargerctl: {what}" + (f"; {hint}" if hint else ""), err=True)


def _complete_port(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete ports from the running daemon; in silence if there is none."""
    path = (ctx.find_root().params or {}).get("socket_path") or _default_socket()
    try:
        with ControlClient(Path(path), timeout=1.0) as client:
            ports = client.call("status")["ports"]
    except (ControlFailure, OSError):
        return []
    return [CompletionItem(port["port"]) for port in ports if port["port"].startswith(incomplete.upper())]


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead: one object, or one a line.")
port_argument = click.argument("port", shell_complete=_complete_port)


@click.group()
@click.version_option(__version__, prog_name="chargerctl")
@click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path),
    envvar="CHARGERCTL_SOCKET",
    help="The daemon's socket.  [default: chargerctl.sock in $RUNTIME_DIRECTORY or /run/chargerd]",
)
@click.pass_context
def main(ctx: click.Context, socket_path: Path | None) -> None:
    """See and steer a charging station on site.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the daemon does not run.
    """
    ctx.obj = socket_path or _default_socket()


@main.command()
@as_json
@click.pass_obj
def status(path: Path, *, as_json: bool) -> None:
    """Show every port."""
    with _client(path) as client:
        found = client.call("status")
    if as_json:
        click.echo(json.dumps(found))
    else:
        Console(highlight=False).print(status_view(found))


@main.command()
@as_json
@click.option("--seconds", type=float, default=0.0, help="Stop after so many seconds (0: never).")
@click.pass_obj
def watch(path: Path, seconds: float, *, as_json: bool) -> None:
    """Show every port, live; one line a change where stdout is no terminal."""
    deadline = time.monotonic() + seconds if seconds > 0 else float("inf")
    console = Console(highlight=False)
    with _client(path, timeout=seconds or 3600.0) as client:
        updates = client.stream("watch")
        try:
            if console.is_terminal and not as_json:
                _watch_live(updates, console, deadline)
            else:
                _watch_lines(updates, deadline, as_json=as_json)
        except KeyboardInterrupt:
            return
        except ControlFailure as error:
            if error.code != "timeout" or seconds <= 0:
                raise


def _watch_live(updates: Iterator[Any], console: Console, deadline: float) -> None:
    first = next(updates)
    ports = {port["port"]: port for port in first["ports"]}
    with Live(status_view(first), console=console, screen=True, refresh_per_second=4) as live:
        for update in updates:
            ports[update["port"]["port"]] = update["port"]
            live.update(status_view({**first, "ports": list(ports.values())}))
            if time.monotonic() >= deadline:
                return


def _watch_lines(updates: Iterator[Any], deadline: float, *, as_json: bool) -> None:
    for update in updates:
        if as_json:
            click.echo(json.dumps(update))
        else:
            for port in update.get("ports") or [update["port"]]:
                click.echo(_line(port))
        sys.stdout.flush()
        if time.monotonic() >= deadline:
            return


def _line(port: dict[str, Any]) -> str:
    reading, session = table(port["reading"]), table(port["session"])
    return (
        f"{port['port']:<6} {port['state']:<10} {number(reading.get('power_w'), 0):>6} W "
        f"{number(reading.get('current_a'), 2):>6} A {number(session.get('energy_wh'), 0):>6} Wh "
        f"{clock(session.get('charging_s')):>8}"
    )


@main.command()
@port_argument
@as_json
@click.pass_obj
def port(path: Path, port: str, *, as_json: bool) -> None:
    """Say everything about one port: why it charges or does not, and what to do next."""
    with _client(path) as client:
        found = _ask_port(client, port)
    if as_json:
        click.echo(json.dumps(found))
    else:
        Console(highlight=False).print(port_view(found))


def _ask_port(client: ControlClient, name: str) -> Any:
    """Return a port's state; an unknown name gets the near ones named."""
    try:
        return client.call("port", port=name)
    except ControlFailure as error:
        raise _near(client, name, error) from error


def _near(client: ControlClient, name: str, error: ControlFailure) -> ControlFailure:
    if error.code != "unknown_port":
        return error
    known = [port["port"] for port in client.call("status")["ports"]]
    near = difflib.get_close_matches(name.upper(), known, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else error.hint
    return ControlFailure(str(error), hint, error.code)


@main.command()
@port_argument
@click.option("--minutes", type=float, help="Charge for at most so long.")
@click.option("--energy-wh", type=float, help="Charge at most so much.")
@click.option("--power-w", type=float, help="Trip above this power.")
@click.option("--current-a", type=float, help="Trip above this current.")
@click.option("--order-id", help="Written into the session's records.")
@click.option("--wait/--no-wait", default=True, help="Wait until current flows.  [default: wait]")
@as_json
@click.pass_obj
def start(
    path: Path,
    port: str,
    minutes: float | None,
    energy_wh: float | None,
    power_w: float | None,
    current_a: float | None,
    order_id: str | None,
    *,
    wait: bool,
    as_json: bool,
) -> None:
    """Start charging on a port."""
    params = {
        "port": port,
        "duration_s": None if minutes is None else minutes * 60,
        "energy_wh": energy_wh,
        "power_w": power_w,
        "current_a": current_a,
        "order_id": order_id,
    }
    given = {name: value for name, value in params.items() if value is not None}
    _command(path, "start", given, wait=wait, as_json=as_json)


@main.command()
@port_argument
@click.option("--session-id", help="Only if this session is under way.")
@click.option("--wait/--no-wait", default=True, help="Wait for the settlement.  [default: wait]")
@as_json
@click.pass_obj
def stop(path: Path, port: str, session_id: str | None, *, wait: bool, as_json: bool) -> None:
    """Stop whatever charges on a port."""
    given = {"port": port} if session_id is None else {"port": port, "session_id": session_id}
    _command(path, "stop", given, wait=wait, as_json=as_json)


@main.command()
@port_argument
@click.option("--reason", help="What was found and done; needed to clear a lock-out.")
@as_json
@click.pass_obj
def reset(path: Path, port: str, reason: str | None, *, as_json: bool) -> None:
    """Clear what holds a port open."""
    given = {"port": port} if reason is None else {"port": port, "reason": reason}
    _command(path, "reset", given, wait=True, as_json=as_json)


def _command(path: Path, name: str, params: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    """Give a command and show its replies; exit code 1 if it was refused or came to nothing."""
    last: dict[str, Any] = {}
    with _client(path, timeout=START_TIMEOUT) as client:
        try:
            for reply in client.stream(name, **params):
                last = reply
                click.echo(json.dumps(reply) if as_json else _sentence(name, reply))
                if not wait and reply["status"] == "accepted":
                    return
        except ControlFailure as error:
            raise _near(client, params["port"], error) from error
    if last.get("status") != "done" or last.get("code") == "no_load":
        sys.exit(REFUSED)


def _sentence(name: str, reply: dict[str, Any]) -> str:
    status, code = reply["status"], reply["code"]
    port = reply.get("port") or ""
    if status == "accepted":
        return f"{port}: {name} accepted" + (f", session {reply['session_id']}" if name == "start" else "")
    if status == "done" and code == "ok":
        return {"start": f"{port}: current flows", "stop": f"{port}: stopped and settled"}.get(
            name, f"{port}: done"
        )
    message = f" ({reply['message']})" if reply.get("message") else ""
    return f"{port}: {name} {status}: {refusal(code)}{message}; see: chargerctl port {port}"
