"""All protective functions of a port and the limits of its session, in order of priority: the most urgent first.

They are asked on every reading and at every deadline while the relay is not known to be open, and the first that
has picked up is what happens. Software comes first, the breaker behind it stays the backstop: all thresholds lie
below the curves of IEC 60898-1.
"""

from collections.abc import Callable
from dataclasses import dataclass

from chargerd.core.facts import PortAlarm, PowerJumped
from chargerd.core.plan import Protection
from chargerd.core.protection.charge_end import Full, NoLoad, Unplugged
from chargerd.core.protection.function import Function, Result
from chargerd.core.protection.meter import MeterFrozen, MeterStale
from chargerd.core.protection.overcurrent import OvercurrentDefinite, OvercurrentInstant, OvercurrentThermal
from chargerd.core.protection.overpower import Overpower
from chargerd.core.protection.power_jump import PowerJump
from chargerd.core.protection.reverse_power import ReversePower
from chargerd.core.protection.session_limits import DurationLimit, EnergyLimit
from chargerd.core.protection.temperature import PortTemperature
from chargerd.core.protection.voltage import Overvoltage, Undervoltage
from chargerd.core.session import Clearing, StopReason


@dataclass(frozen=True, slots=True)
class Row:
    """One function, what it does to the port, and the reason a session ends by it."""

    function: type[Function]
    result: Result
    reason: StopReason
    clearing: Clearing | None = None
    """Who may clear the latch a trip sets; `None`: it sets none."""
    tells: type[PortAlarm | PowerJumped] = PortAlarm
    """The fact an alarm is told by, once a session."""
    trips: Callable[[Protection], bool] = lambda _protection: False
    """Whether a site wants an alarm to trip as well."""

    def opens(self, protection: Protection) -> bool:
        """Say whether it may open a port."""
        return self.result is not Result.ALARM or self.trips(protection)


FUNCTIONS: tuple[Row, ...] = (
    Row(OvercurrentInstant, Result.TRIP, StopReason.OVERCURRENT, Clearing.REMOTE),
    Row(OvercurrentDefinite, Result.TRIP, StopReason.OVERCURRENT, Clearing.REMOTE),
    Row(OvercurrentThermal, Result.TRIP, StopReason.OVERCURRENT, Clearing.REMOTE),
    Row(PortTemperature, Result.TRIP, StopReason.OVERTEMPERATURE, Clearing.LOCAL),
    Row(MeterStale, Result.SUSPEND, StopReason.METER_LOST),
    Row(MeterFrozen, Result.SUSPEND, StopReason.METER_LOST),
    Row(Overvoltage, Result.SUSPEND, StopReason.OVERVOLTAGE),
    Row(Undervoltage, Result.SUSPEND, StopReason.UNDERVOLTAGE),
    Row(Overpower, Result.TRIP, StopReason.OVERPOWER),
    Row(
        PowerJump,
        Result.ALARM,
        StopReason.OVERPOWER,
        tells=PowerJumped,
        trips=lambda protection: protection.power_jump_trips,
    ),
    Row(
        ReversePower,
        Result.ALARM,
        StopReason.OVERPOWER,
        trips=lambda protection: protection.reverse_power_trips,
    ),
    Row(EnergyLimit, Result.END, StopReason.ENERGY_LIMIT),
    Row(DurationLimit, Result.END, StopReason.DURATION_LIMIT),
    Row(NoLoad, Result.END, StopReason.NO_LOAD),
    Row(Unplugged, Result.END, StopReason.UNPLUGGED),
    Row(Full, Result.END, StopReason.FULL),
)
