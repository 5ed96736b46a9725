"""Where a payment and an identity go. What stands here lets anybody charge, and takes no money.

`chargerd operator --hooks MODULE` takes both functions from a module of yours. Each may block: it has a thread.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, cast


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A sum in hundredths. `reserve`: the most a start will cost, if its rider has set that; `settle`: the bill.

    A bill is handed over until `pay` has said yes to it once, after a restart again: take it once by `session_id`.
    """

    step: Literal["reserve", "settle"]
    gateway: str
    session_id: str
    rider: str | None
    amount: int | None


class Hooks(Protocol):
    """A module with two functions."""

    def identify(self, headers: Mapping[str, str]) -> str | None:
        """Return who a request comes from, as you name riders, or `None`: a phone, and no more."""

    def pay(self, payment: Payment) -> bool:
        """Return whether a payment is taken. A start that is not paid for is not sent."""


def identify(headers: Mapping[str, str]) -> str | None:
    """Return nobody: no accounts."""
    del headers
    return None


def pay(payment: Payment) -> bool:
    """Take everything for paid."""
    del payment
    return True


def load(module: str = __name__) -> Hooks:
    """Import a module of hooks. Raises `ImportError`, also if one of the functions is missing."""
    loaded = importlib.import_module(module)
    for name in ("identify", "pay"):
        if not callable(getattr(loaded, name, None)):
            raise ImportError(f"{module} has no function {name}")  # noqa: TRY004 - of the module, no argument
    return cast("Hooks", loaded)
