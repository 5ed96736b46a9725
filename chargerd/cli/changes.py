"""`chargerctl limits`, `reset`, `disable` and `enable`: what is changed of what there is."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import click
from click.shell_completion import CompletionItem

from chargerd.cli.fields import obstacles
from chargerd.cli.said import echo
from chargerd.cli.wording import obstacle
from chargerd.control.client import ControlClient, ControlFailure

GOES_ON = frozenset({"starting", "charging", "suspended"})
"""States of a port whose session is finished before it is out of service."""
HELD = frozenset({"tripped", "locked_out"})
"""States in which a port may be left by a reset that has cleared all of its own."""
NOTHING_HELD = "nothing was held"
"""What the daemon says of a reset where no latch was."""
Completions = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class Give(Protocol):
    """Gives a command, shows its replies, and leaves with the right exit code."""

    def __call__(self, path: Path, name: str, params: dict[str, Any], *, wait: bool, as_json: bool) -> None:
        """Give it."""


class Connect(Protocol):
    """Opens the daemon's socket, and leaves with the right exit code."""

    def __call__(self, path: Path, *, as_json: bool) -> AbstractContextManager[ControlClient]:
        """Open it."""


def limits_command(
    give: Give, as_json: Callable[[Any], Any], complete: Completions, figure: Callable[..., float | None]
) -> click.Command:
    """Return `chargerctl limits`; `figure` refuses what is no limit."""

    @click.command(epilog="Example: chargerctl limits A01 --energy-wh 300")
    @click.argument("port", shell_complete=complete)
    @click.option("--minutes", type=float, callback=figure, help="Charge for at most so long in all.")
    @click.option("--duration-s", type=float, callback=figure, help="The same in seconds.")
    @click.option("--energy-wh", type=float, callback=figure, help="Charge at most so much in all.")
    @click.option("--power-w", type=float, callback=figure, help="End above this power.")
    @click.option("--current-a", type=float, callback=figure, help="Trip above this current.")
    @click.option("--session-id", help="Only if this session is under way.")
    @as_json
    @click.pass_obj
    def limits(
        path: Path, /, port: str, *, minutes: float | None, as_json: bool, **asked: float | str | None
    ) -> None:
        """Change the limits of the session on a port, up or down within the port's own. The others stay."""
        named = {name: value for name, value in asked.items() if value is not None}
        if minutes is not None:
            if "duration_s" in named:
                raise click.UsageError("give --minutes or --duration-s, not both")
            named["duration_s"] = minutes * 60
        if not named.keys() - {"session_id"}:
            raise click.UsageError("name at least one limit, such as --energy-wh 300")
        give(path, "limits", {"port": port, **named}, wait=True, as_json=as_json)

    return limits


def service_commands(
    give: Give, connect: Connect, as_json: Callable[[Any], Any], default_socket: Callable[[], Path]
) -> tuple[click.Command, click.Command, click.Command]:
    """Return `chargerctl reset`, `chargerctl disable` and `chargerctl enable`."""
    complete = completing_holders(default_socket)
    about = click.argument("name", metavar="PORT|CIRCUIT", shell_complete=complete)

    def change(path: Path, what: str, name: str, reason: str | None, *, as_json: bool) -> None:
        with connect(path, as_json=as_json) as client:
            given = {find_holder(client.call("status"), name): name}
        given |= {} if reason is None else {"reason": reason}
        give(path, what, given, wait=True, as_json=as_json)
        if what == "reset" and "port" in given and not as_json:
            with connect(path, as_json=as_json) as client:
                status = client.call("status")
            port = next(port for port in status["ports"] if port["port"] == name)
            _what_still_holds(port, draining=bool(status.get("draining")))

    @click.command(epilog="Examples: chargerctl reset A01; chargerctl reset A01 --reason 'relay replaced'")
    @about
    @click.option("--reason", help="What was found and done; needed to clear a lock-out.")
    @as_json
    @click.pass_obj
    def reset(path: Path, name: str, reason: str | None, *, as_json: bool) -> None:
        """Clear what holds a port or a circuit open.

        What is seen to be dangerous still is not cleared: the answer says what is seen.
        """
        change(path, "reset", name, reason, as_json=as_json)

    @click.command(epilog="Example: chargerctl disable A01 --reason 'lid broken'")
    @about
    @click.option("--reason", required=True, help="Why; whoever wonders is shown it.")
    @as_json
    @click.pass_obj
    def disable(path: Path, name: str, reason: str, *, as_json: bool) -> None:
        """Take a port, or a circuit with every port below, out of service. Sessions under way go on.

        Only `chargerctl enable` takes it back. This isolates nothing: switch the circuit off before working on it.
        """
        change(path, "disable", name, reason, as_json=as_json)

    @click.command(epilog="Example: chargerctl enable A01 --reason 'lid replaced'")
    @about
    @click.option("--reason", required=True, help="What was done.")
    @as_json
    @click.pass_obj
    def enable(path: Path, name: str, reason: str, *, as_json: bool) -> None:
        """Put a port or a circuit back in service, whoever had disabled it."""
        change(path, "enable", name, reason, as_json=as_json)

    return reset, disable, enable


def completing_holders(default_socket: Callable[[], Path]) -> Completions:
    """Return what completes the names of ports and circuits from the running daemon."""

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        path = (ctx.find_root().params or {}).get("socket_path") or default_socket()
        try:
            with ControlClient(Path(path), timeout=1.0) as client:
                names = [name for group in _names(client.call("status")).values() for name in group]
        except (ControlFailure, OSError):
            return []
        return [CompletionItem(name) for name in names if name.casefold().startswith(incomplete.casefold())]

    return complete


def _what_still_holds(port: Mapping[str, Any], *, draining: bool) -> None:
    """Say why a start would be refused even so: a reset clears what has been, not what is."""
    from chargerd.cli.wording_claims import out_of_service  # noqa: PLC0415 - only after a reset

    for code in obstacles(port):
        said, step = obstacle(code, str(port["port"]))
        why = out_of_service(port, draining=draining) if code == "disabled" else None
        if why is not None:
            said, step = f"{why[0]}.", why[1]
        echo(f"{port['port']}: a start would still be refused: {said} Next: {step}")


def _names(status: Mapping[str, Any]) -> dict[str, list[str]]:
    kinds = {"port": status["ports"], "circuit": status.get("circuits", [])}
    return {kind: [one[kind] for one in found] for kind, found in kinds.items()}


def find_holder(status: Mapping[str, Any], name: str) -> str:
    """Say whether this is a port or a circuit. Raises `ControlFailure`."""
    names = _names(status)
    for kind, known in names.items():
        if name in known:
            return kind
    known = [*names["port"], *names["circuit"]]
    import difflib  # noqa: PLC0415 - only for whoever has mistyped

    near = difflib.get_close_matches(name.casefold(), [one.casefold() for one in known], n=3, cutoff=0.4)
    like = [one for one in known if one.casefold() in near]
    hint = f"did you mean {', '.join(like)}?" if like else f"there are {', '.join(known)}"
    raise ControlFailure(f"there is no port or circuit {name!r}", hint, "unknown_port")


def sentence(name: str, about: str, reply: Mapping[str, Any]) -> str | None:
    """Return what a person is told of a change that was made; `None` for other commands."""
    said = _SAID.get(name)
    return None if said is None else f"{about}: {said(about, reply)}"


def _limits_said(_about: str, _reply: Mapping[str, Any]) -> str:
    return "the new limits hold"


def _lock_said(about: str, _reply: Mapping[str, Any]) -> str:
    return f"locked; it isolates nothing. To take it away: chargerctl unlock {about}"


def _unlock_said(_about: str, reply: Mapping[str, Any]) -> str:
    return str(reply.get("message") or "unlocked")


def _enable_said(about: str, reply: Mapping[str, Any]) -> str:
    still = reply.get("port_state") == "disabled"
    held = f", but something else still holds it; see: chargerctl port {about}" if still else ""
    return f"enabled{_message(reply)}{held}"


def _reset_said(about: str, reply: Mapping[str, Any]) -> str:
    message = reply.get("message")
    made = "nothing to reset" if message == NOTHING_HELD else message or "cleared"
    still = reply.get("port_state") in HELD
    return made + (f", but a circuit above still holds it open; see: chargerctl port {about}" if still else "")


def _disable_said(about: str, reply: Mapping[str, Any]) -> str:
    message = _message(reply)
    if reply.get("port") is None:
        return f"disabled with every port below{message}; sessions under way go on"
    if reply.get("port_state") in GOES_ON:
        return f"disabled{message} once its session has ended; to end it now: chargerctl stop {about}"
    return f"disabled{message}"


def _message(reply: Mapping[str, Any]) -> str:
    return f" ({reply['message']})" if reply.get("message") else ""


_SAID: Mapping[str, Callable[[str, Mapping[str, Any]], str]] = {
    "limits": _limits_said,
    "lock": _lock_said,
    "unlock": _unlock_said,
    "enable": _enable_said,
    "reset": _reset_said,
    "disable": _disable_said,
}
