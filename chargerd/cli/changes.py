"""`chargerctl limits`, `reset`, `disable` and `enable`: what is changed of what there is."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import click
from click.shell_completion import CompletionItem

from chargerd.control.client import ControlClient, ControlFailure

GOES_ON = frozenset({"starting", "charging", "suspended"})
"""States of a port whose session is finished before it is out of service."""
HELD = frozenset({"tripped", "locked_out"})
"""States in which a port may be left by a reset that has cleared all of its own."""
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

    @click.command()
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

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        path = (ctx.find_root().params or {}).get("socket_path") or default_socket()
        try:
            with ControlClient(Path(path), timeout=1.0) as client:
                names = [name for group in _names(client).values() for name in group]
        except (ControlFailure, OSError):
            return []
        return [CompletionItem(name) for name in names if name.casefold().startswith(incomplete.casefold())]

    about = click.argument("name", metavar="PORT|CIRCUIT", shell_complete=complete)

    def change(path: Path, what: str, name: str, reason: str | None, *, as_json: bool) -> None:
        with connect(path, as_json=as_json) as client:
            given = {_find(client, name): name}
        given |= {} if reason is None else {"reason": reason}
        give(path, what, given, wait=True, as_json=as_json)

    @click.command()
    @about
    @click.option("--reason", help="What was found and done; needed to clear a lock-out.")
    @as_json
    @click.pass_obj
    def reset(path: Path, name: str, reason: str | None, *, as_json: bool) -> None:
        """Clear what holds a port or a circuit open."""
        change(path, "reset", name, reason, as_json=as_json)

    @click.command()
    @about
    @click.option("--reason", required=True, help="Why; whoever wonders is shown it.")
    @as_json
    @click.pass_obj
    def disable(path: Path, name: str, reason: str, *, as_json: bool) -> None:
        """Take a port, or a circuit with every port below, out of service. Sessions under way go on.

        Only `chargerctl enable` takes it back. This isolates nothing: switch the circuit off before working on it.
        """
        change(path, "disable", name, reason, as_json=as_json)

    @click.command()
    @about
    @click.option("--reason", required=True, help="What was done.")
    @as_json
    @click.pass_obj
    def enable(path: Path, name: str, reason: str, *, as_json: bool) -> None:
        """Put a port or a circuit back in service, whoever had disabled it."""
        change(path, "enable", name, reason, as_json=as_json)

    return reset, disable, enable


def _names(client: ControlClient) -> dict[str, list[str]]:
    status = client.call("status")
    kinds = {"port": status["ports"], "circuit": status.get("circuits", [])}
    return {kind: [one[kind] for one in found] for kind, found in kinds.items()}


def _find(client: ControlClient, name: str) -> str:
    """Say whether this is a port or a circuit. Raises `ControlFailure`."""
    names = _names(client)
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
    message = f" ({reply['message']})" if reply.get("message") else ""
    if name == "limits":
        return f"{about}: the new limits hold"
    if name in {"enable", "reset"}:
        made = f"enabled{message}" if name == "enable" else reply.get("message") or "done"
        return f"{about}: {made}{_still(name, about, reply)}"
    if name != "disable":
        return None
    if reply.get("port") is None:
        return f"{about}: disabled with every port below{message}; sessions under way go on"
    if reply.get("port_state") in GOES_ON:
        return f"{about}: disabled{message} once its session has ended; to end it now: chargerctl stop {about}"
    return f"{about}: disabled{message}"


def _still(name: str, about: str, reply: Mapping[str, Any]) -> str:
    """Return what a circuit above still does to a port that is itself in service, or without a latch."""
    state = reply.get("port_state")
    if name == "enable" and state == "disabled":
        return f", but its circuit is still out of service; see: chargerctl port {about}"
    if name == "reset" and state in HELD:
        return f", but a circuit above still holds it open; see: chargerctl port {about}"
    return ""
