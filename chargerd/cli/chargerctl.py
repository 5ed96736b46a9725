"""The command `chargerctl`: what a technician sees and does, through the running daemon."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from chargerd import __version__
from chargerd.cli import changes
from chargerd.cli.ctl_asking import ask_port
from chargerd.cli.fields import (
    entries,
)
from chargerd.cli.groups import Group
from chargerd.cli.said import echo
from chargerd.cli.wording import refusal
from chargerd.control.client import ControlClient, ControlFailure, DaemonNotRunning
from chargerd.control.protocol import SOCKET_NAME

REFUSED = 1
PATIENCE = 10.0
"""Seconds without a word after which somebody who waits for a command wonders whether anything happens at all."""


def _default_socket() -> Path:
    return Path(os.environ.get("RUNTIME_DIRECTORY", "/run/chargerd").split(":")[0]) / SOCKET_NAME


@contextmanager
def _client(path: Path, *, as_json: bool) -> Iterator[ControlClient]:
    """Connect; turn what goes wrong into a line a person can act on, and an exit code."""
    try:
        with ControlClient(path, for_people=not as_json) as client:
            yield client
    except DaemonNotRunning as error:
        if error.code == "not_running":
            _not_running(path, error, as_json=as_json)
        _leave(error, error.exit_code, as_json=as_json)
    except ControlFailure as error:
        _leave(_of_another_version(path, error), REFUSED, as_json=as_json)


def _leave(error: ControlFailure, exit_code: int, *, as_json: bool, **more: Any) -> NoReturn:
    """Say what went wrong: to a person on stderr, to a program as its one object."""
    if as_json:
        body = {"code": error.code, "message": str(error), "hint": error.hint, **more}
        echo(json.dumps({"error": body}))
    echo(f"chargerctl: {error}" + (f"; {error.hint}" if error.hint else ""), err=True)
    sys.exit(exit_code)


def _not_running(path: Path, error: DaemonNotRunning, *, as_json: bool) -> NoReturn:
    """Say why the daemon does not run: nobody is to look for that in the log first."""
    from chargerd.cli.ctl_absent import absence

    found = absence(path)
    told = DaemonNotRunning(f"{error}: {found.why}", found.then, error.code)
    _leave(told, error.exit_code, as_json=as_json, last_exit=found.last_exit, systemd=found.systemd)


def _of_another_version(path: Path, error: ControlFailure) -> ControlFailure:
    """Explain what is not understood by the daemon's version, if that is another one."""
    if error.code not in {"unsupported", "protocol"}:
        return error
    try:
        with ControlClient(path) as client:
            theirs = client.hello().get("version")
    except ControlFailure:
        return error
    if theirs == __version__:
        return error
    hint = f"the daemon runs version {theirs}, this is {__version__}: systemctl restart chargerd"
    return ControlFailure(str(error), hint, error.code)


def _complete_port(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete ports from the running daemon; in silence if there is none."""
    return _complete(ctx, "port", incomplete)


def _complete_circuit(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete circuits in the same way."""
    return _complete(ctx, "circuit", incomplete)


def _complete(ctx: click.Context, kind: str, incomplete: str) -> list[CompletionItem]:
    path = (ctx.find_root().params or {}).get("socket_path") or _default_socket()
    try:
        with ControlClient(Path(path), timeout=1.0) as client:
            found = entries(client.call("status").get(f"{kind}s"))
    except (ControlFailure, OSError):
        return []
    word = incomplete.casefold()
    return [CompletionItem(str(one[kind])) for one in found if str(one[kind]).casefold().startswith(word)]


def _above_zero(_ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuse what is no positive, finite number: such a limit would be none."""
    if value is not None and not 0 < value < math.inf:
        raise click.BadParameter("give a number above 0", param=param)
    return value


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead: one object, or one a line.")
port_argument = click.argument("port", shell_complete=_complete_port)


class Lazy(Group):
    """A group some of whose commands are loaded when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), *LATER])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, loaded if need be."""
        return LATER[cmd_name]() if cmd_name in LATER else super().get_command(ctx, cmd_name)


def _boards() -> click.Command:
    from chargerd.cli import boards

    return boards.command(_client, as_json)


def _sessions() -> click.Command:
    from chargerd.cli import sessions

    return sessions.group(_client, as_json, _complete_port, _ask_port)


def _accept_line() -> click.Command:
    from chargerd.cli import boards

    return boards.accept_command(_client, as_json)


def _circuit() -> click.Command:
    from chargerd.cli import ctl_explain

    return ctl_explain.circuit_command(_client, as_json, _complete_circuit)


def _explain() -> click.Command:
    from chargerd.cli import ctl_explain

    return ctl_explain.explain_command(_client, as_json, _complete_port, _near)


def _all_wrong() -> click.Command:
    from chargerd.cli import ctl_explain

    return ctl_explain.why_command(_client, as_json)


def _doctor() -> click.Command:
    from chargerd.cli import ctl_doctor

    return ctl_doctor.command(_client, as_json)


def _drain() -> click.Command:
    from chargerd.cli import leave

    return leave.drain_command(_client, as_json)


def _shutdown() -> click.Command:
    from chargerd.cli import leave

    return leave.shutdown_command(_client, as_json)


def _events() -> click.Command:
    from chargerd.cli import ctl_events

    return ctl_events.command(_client, as_json, _complete_port)


def _prove() -> click.Command:
    from chargerd.cli import ctl_prove

    return ctl_prove.command(_client, as_json, _complete_port)


def _lock() -> click.Command:
    return _locks()[0]


def _locks() -> tuple[click.Command, click.Command]:
    from chargerd.cli import locks

    return locks.lock_commands(_command, _client, as_json, changes.completing_holders(_default_socket))


def _unlock() -> click.Command:
    return _locks()[1]


def _read() -> click.Command:
    from chargerd.cli import ctl_registers

    return ctl_registers.read_command(_client, as_json, _default_socket)


def _reload() -> click.Command:
    from chargerd.cli import ctl_reload

    return ctl_reload.command(_client, as_json)


def _scan() -> click.Command:
    from chargerd.cli import ctl_scan

    return ctl_scan.command(_client, as_json, _default_socket)


def _trace() -> click.Command:
    from chargerd.cli import ctl_trace

    return ctl_trace.command(_client, as_json, _default_socket)


def _watch() -> click.Command:
    from chargerd.cli import ctl_watch

    return ctl_watch.command(_client, as_json, _above_zero)


def _write() -> click.Command:
    from chargerd.cli import ctl_registers

    return ctl_registers.write_command(_client, as_json, _default_socket)


LATER: dict[str, Callable[[], click.Command]] = {
    "accept-line": _accept_line,
    "boards": _boards,
    "circuit": _circuit,
    "doctor": _doctor,
    "drain": _drain,
    "events": _events,
    "explain": _explain,
    "prove": _prove,
    "lock": _lock,
    "read": _read,
    "reload": _reload,
    "scan": _scan,
    "sessions": _sessions,
    "shutdown": _shutdown,
    "trace": _trace,
    "unlock": _unlock,
    "watch": _watch,
    "why": _all_wrong,
    "write": _write,
}
"""Commands that draw tables whatever is asked of them."""


@click.group(cls=Lazy)
@click.version_option(__version__, prog_name="chargerctl")
@click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path, readable=False),
    envvar="CHARGERCTL_SOCKET",
    help="The daemon's socket.  [default: chargerctl.sock in $RUNTIME_DIRECTORY or /run/chargerd]",
)
@click.pass_context
def main(ctx: click.Context, socket_path: Path | None) -> None:
    """See and steer a charging station on site.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the daemon does not run, 77 the socket is not yours.
    """
    ctx.obj = socket_path or _default_socket()


@main.command(epilog="Examples: chargerctl status; chargerctl status --json")
@as_json
@click.pass_obj
def status(path: Path, *, as_json: bool) -> None:
    """Show every port."""
    with _client(path, as_json=as_json) as client:
        found = client.call("status")
    if as_json:
        echo(json.dumps(found))
    else:
        from chargerd.cli.ctl_tables import status_view
        from chargerd.cli.paper import Paper

        Paper().print(status_view(found))


@main.command(epilog="Example: chargerctl port A01")
@port_argument
@as_json
@click.pass_obj
def port(path: Path, port: str, *, as_json: bool) -> None:
    """Say everything about one port: why it charges or does not, and what to do next."""
    with _client(path, as_json=as_json) as client:
        found = ask_port(client, port, _near)
    if as_json:
        echo(json.dumps({**found.pop("port"), "explained": found}))
    else:
        from chargerd.cli.ctl_port import port_view
        from chargerd.cli.paper import Paper

        paper = Paper()
        paper.print(port_view(found, paper.width))


def _ask_port(client: ControlClient, name: str) -> Any:
    """Return a port's state; an unknown name gets the near ones named."""
    try:
        return client.call("port", port=name)
    except ControlFailure as error:
        raise _near(client, name, error) from error


def _near(client: ControlClient, name: str, error: ControlFailure) -> ControlFailure:
    if error.code != "unknown_port":
        return error
    known = {port["port"].casefold(): port["port"] for port in client.call("status")["ports"]}
    import difflib

    near = difflib.get_close_matches(name.casefold(), known, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(known[one] for one in near)}?" if near else error.hint
    return ControlFailure(str(error), hint, error.code)


@main.command(epilog="Examples: chargerctl start A01 --minutes 30; chargerctl start A01 --energy-wh 300 --no-wait")
@port_argument
@click.option("--minutes", type=float, callback=_above_zero, help="Charge for at most so long.")
@click.option("--duration-s", type=float, callback=_above_zero, help="The same in seconds.")
@click.option("--energy-wh", type=float, callback=_above_zero, help="Charge at most so much.")
@click.option("--power-w", type=float, callback=_above_zero, help="End above this power.")
@click.option("--current-a", type=float, callback=_above_zero, help="Trip above this current.")
@click.option("--order-id", help="Written into the session's records.")
@click.option("--no-full-stop", "stays_on", is_flag=True, help="Stay on when the charge is full.")
@click.option("--wait/--no-wait", default=True, help="Wait until current flows.  [default: wait]")
@as_json
@click.pass_obj
def start(
    path: Path,
    /,
    port: str,
    *,
    minutes: float | None,
    stays_on: bool,
    wait: bool,
    as_json: bool,
    **asked: float | str | None,
) -> None:
    """Start charging on a port. What is not limited here is limited by the port's own."""
    given: dict[str, Any] = {"port": port, **{name: value for name, value in asked.items() if value is not None}}
    if stays_on:
        given["full_stop"] = False
    if minutes is not None:
        if "duration_s" in given:
            raise click.UsageError("give --minutes or --duration-s, not both")
        given["duration_s"] = minutes * 60
    _command(path, "start", given, wait=wait, as_json=as_json)


@main.command(epilog="Example: chargerctl stop A01")
@port_argument
@click.option("--session-id", help="Only if this session is under way.")
@click.option("--wait/--no-wait", default=True, help="Wait for the settlement.  [default: wait]")
@as_json
@click.pass_obj
def stop(path: Path, port: str, session_id: str | None, *, wait: bool, as_json: bool) -> None:
    """Stop whatever charges on a port."""
    given = {"port": port} if session_id is None else {"port": port, "session_id": session_id}
    _command(path, "stop", given, wait=wait, as_json=as_json)


def _command(path: Path, name: str, params: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    """Give a command and show its replies; exit code 1 if it was refused or came to nothing."""
    last: dict[str, Any] = {}
    about = params.get("port") or params["circuit"]
    with _client(path, as_json=as_json) as client:
        try:
            for reply in client.stream(name, **params):
                last = reply
                echo(json.dumps(reply) if as_json else _told(client, name, about, reply))
                if reply["status"] == "accepted":
                    if not wait:
                        return
                    await_reply(client, about)
        except KeyboardInterrupt:
            _not_waiting(name, about)
        except ControlFailure as error:
            raise _near(client, about, error) from error
    if last.get("status") != "done" or last.get("code") == "no_load":
        sys.exit(REFUSED)


def await_reply(client: ControlClient, port: str) -> None:
    """Wait for the next reply; whoever waits for long is told where to look meanwhile."""
    if not client.ready(PATIENCE):
        echo(f"chargerctl: still waiting; to see for what, elsewhere: chargerctl port {port}", err=True)


def _not_waiting(name: str, port: str) -> NoReturn:
    """Whoever interrupts the waiting may believe the command gone as well."""
    step = f"stop it with: chargerctl stop {port}" if name == "start" else f"see: chargerctl port {port}"
    echo(f"chargerctl: no longer waiting, but the {name} goes on; {step}", err=True)
    sys.exit(REFUSED)


main.add_command(changes.limits_command(_command, as_json, _complete_port, _above_zero))
for _changing in changes.service_commands(_command, _client, as_json, _default_socket):
    main.add_command(_changing)


def _told(client: ControlClient, name: str, port: str, reply: dict[str, Any]) -> str:
    """Return a reply for a person; of a port out of service with who and why, which its code does not say."""
    if reply["status"] == "rejected" and reply["code"] == "disabled":
        from chargerd.cli.wording_claims import out_of_service

        found = client.call("status")
        state = next((one for one in entries(found.get("ports")) if one.get("port") == port), {})
        why = out_of_service(state, draining=bool(found.get("draining")))
        if why is not None:
            return f"{port}: {name} rejected: {why[0]}; {why[1]}"
    return _sentence(name, port, reply)


def _sentence(name: str, port: str, reply: dict[str, Any]) -> str:
    status, code = reply["status"], reply["code"]
    if status == "accepted":
        return f"{port}: {name} accepted" + (f", session {reply['session_id']}" if name == "start" else "")
    if status == "done" and code == "ok":
        return changes.sentence(name, port, reply) or {
            "start": f"{port}: current flows",
            "stop": f"{port}: stopped and settled",
        }.get(name, f"{port}: done")
    return f"{port}: {name} {status}: {_why(reply)}; {_step(name, port, reply)}"


def _why(reply: dict[str, Any]) -> str:
    """Return why a command was refused; in the daemon's words where the code may mean several things."""
    code, message = reply["code"], reply.get("message")
    if code == "not_allowed" and message:
        return str(message)
    return refusal(code) + (f" ({message})" if message else "")


def _step(name: str, port: str, reply: dict[str, Any]) -> str:
    if name == "reset" and reply["code"] == "locked_out":
        return f"when the cause is found and mended: chargerctl reset {port} --reason '...'"
    return "see: chargerctl " + ("status" if reply.get("port") is None else f"port {port}")
