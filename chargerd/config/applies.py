"""How a change of each key takes effect: the one table that a reload, `chargerd check` and the manual go by."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from chargerd.core.keys import keys
from chargerd.core.plan import ChargeEnd, Limits, Protection


class Applies(StrEnum):
    """When a changed key holds."""

    LIMITS = "limits"
    """At once where it is lower; where it is higher, when the session under way at the port has ended."""
    NEXT = "next"
    """For what begins afterwards."""
    RESTART = "restart"
    """With the next start of the daemon, which suspends what charges."""


TOLD: Final = {
    Applies.LIMITS: "lower: at once; higher: new sessions",
    Applies.NEXT: "new sessions",
    Applies.RESTART: "restart",
}
"""In a person's words."""


def _all(names: str, how: Applies = Applies.RESTART) -> dict[str, Applies]:
    return dict.fromkeys(names.split(), how)


def _of(plan: type, how: Applies) -> dict[str, Applies]:
    return dict.fromkeys(keys(plan), how)


SECTIONS: Final[Mapping[str, Mapping[str, Applies]]] = {
    "gateway": _all("id name timezone"),
    "mqtt": _all("host port prefix username password_file tls reading_interval_s home_assistant"),
    "mqtt.tls": _all("ca certificate key"),
    "mqtt.home_assistant": _all("prefix"),
    "metrics": _all("address port"),
    "buses": _all("serial tcp rtu_over_tcp baudrate parity stopbits echo timeout_ms turnaround_ms pre_silence_ms"),
    "boards": _all("bus address profile lease timeout_ms turnaround_ms pre_silence_ms"),
    "circuits": _all("parent rating_a power_w phases phase meter contactor"),
    "limits": _of(Limits, Applies.LIMITS),
    # What protects is never loosened under a load, and which way that is differs from figure to figure.
    "protection": _of(Protection, Applies.RESTART),
    "charge_end": _of(ChargeEnd, Applies.RESTART),
    "resume": _all("window_s"),
    "queue": _all("queue_s", Applies.NEXT),
    "tariff_tiers_w": {"": Applies.NEXT},
    "ports": _all("id label relay meter temperature circuit phase")
    | _all("limits", Applies.LIMITS)
    | _all("protection charge_end"),
    "inputs": _all("input kind circuit active"),
}
"""By section as `chargerd.config.reference` names them, and by key."""


def how(section: str, key: str) -> Applies:
    """Return when a changed key holds; an empty one is the whole object, new or gone.

    Raises `KeyError` for one that nobody has thought of.
    """
    if not key and section != "tariff_tiers_w":
        return Applies.RESTART
    inner, dot, rest = key.partition(".")
    return SECTIONS[inner][rest] if dot else SECTIONS[section][key]
