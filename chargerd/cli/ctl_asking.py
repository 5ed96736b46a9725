"""Asks what takes the daemon two answers: what it knows at once, and what takes files. Loads nothing to draw."""

from collections.abc import Callable
from typing import Any, TypeAlias

from chargerd.control.client import ControlClient, ControlFailure

JOURNAL_WITHIN = 2.0
"""Seconds within which the journal tells what was last of a port, or is not waited for."""
MACHINE_WITHIN = 5.0
"""The same of what is looked at of the machine."""
Near: TypeAlias = Callable[[ControlClient, str, ControlFailure], ControlFailure]
"""Names the ports that are near to one there is not."""


def ask(client: ControlClient, method: str, within: float, **params: Any) -> dict[str, Any]:
    """Return what the daemon tells, with what follows if it comes in time. Raises `ControlFailure`."""
    answers = client.stream(method, **params)
    found: dict[str, Any] = dict(next(answers))
    if client.ready(within):
        found |= next(answers, {})
    return found


def ask_port(client: ControlClient, port: str, near: Near) -> dict[str, Any]:
    """Return a port explained; an unknown name gets the near ones named. Raises `ControlFailure`."""
    try:
        return ask(client, "explain", JOURNAL_WITHIN, port=port)
    except ControlFailure as error:
        raise near(client, port, error) from error
