"""The machine a daemon runs on, as far as it asks it: a clock, which boot this is, and what it is known by."""

from dataclasses import dataclass
from typing import Protocol

from chargerd.core.clock import Clock
from chargerd.runtime.process.clock import SystemClock, boot_id
from chargerd.runtime.process.machine import machine


class HostClock(Clock, Protocol):
    """A clock that is told which boot it is; `boot` is 0 until the journal has counted the boots."""

    boot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine: this one, or one that is simulated. `machine` is `None` if it tells nothing of itself."""

    clock: HostClock
    boot_id: str
    machine: str | None


def this_machine() -> Host:
    """Return the machine this process runs on."""
    return Host(clock=SystemClock(), boot_id=boot_id(), machine=machine())
