"""How a figure of a plan is configured, said where the figure is.

A section of the configuration, its page for installers and the conversion to the plan are made from it: a key that
is accepted and goes nowhere, or a figure that nobody can set, cannot be written.
"""

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """How a figure of a port is configured: its key, its meaning for installers, and its bounds."""

    name: str
    what: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None


def key(default: T, name: str, what: str, **bounds: float) -> T:
    """Declare a figure that a port takes from the site, and the site from `default`: all that is to be said of it.

    `bounds` are `ge`, `gt` and `le`: what no site can leave.
    """
    return field(default=default, metadata={"key": Key(name=name, what=what, **bounds)})


def keys(plan: type) -> dict[str, tuple[str, Key, Any]]:
    """Return how the figures of a plan are configured: by key the name of the field, the key and the default.

    Raises `KeyError` for a figure that nobody could configure.
    """
    found = ((one.name, one.metadata["key"], one.default) for one in fields(plan))
    return {how.name: (name, how, default) for name, how, default in found}
