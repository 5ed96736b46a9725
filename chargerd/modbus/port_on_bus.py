"""What is read of one port on a bus, and how often at its pace. Pure."""

from dataclasses import dataclass, field

from chargerd.config.budget.pacing import FAST_EVERY, IDLE_EVERY
from chargerd.core.commands import Pace
from chargerd.core.units import Instant, Seconds
from chargerd.modbus.jobs import Kind, Reading


@dataclass(slots=True, kw_only=True)
class PortOnBus:
    """A port's pace and its readings on this bus."""

    mains: tuple[str, str]
    """The same for all ports whose voltage one meter can tell."""
    pace: Pace = Pace.IDLE
    untold: bool = False
    """Whether its meter has failed to tell its voltage when it was last asked for it."""
    readings: dict[Kind, Reading] = field(default_factory=dict)
    power_every: Seconds = Seconds(2.0)

    def set_pace(self, pace: Pace) -> None:
        """Want each reading as often as this pace has it; the voltage is chosen among all ports."""
        self.pace = pace
        power = {Pace.IDLE: IDLE_EVERY, Pace.ARMED: FAST_EVERY, Pace.CLOSED: self.power_every}
        current = None if pace is Pace.IDLE else self.readings.get(Kind.CURRENT)
        for kind, reading in self.readings.items():
            reading.along = tuple(one for one in self.readings.values() if one.block is reading.block)
            reading.tells_voltage = any(one.kind is Kind.VOLTAGE for one in reading.along)
            fast = reading is current
            reading.place(
                fast=fast,
                starts=pace is Pace.ARMED and fast and not self._tells_power(),
                beside=current is not None and not fast and reading.block is current.block,
            )
            if kind is Kind.CURRENT:
                reading.want(IDLE_EVERY if pace is Pace.IDLE else FAST_EVERY)
            elif kind is Kind.POWER:
                reading.want(power[pace])
            elif kind is Kind.ENERGY and pace is Pace.IDLE:
                reading.ask(None)

    def ask(self, kind: Kind, now: Instant) -> None:
        """Read this once and soon, if its meter tells it."""
        if kind in self.readings:
            self.readings[kind].ask(now)

    def _tells_power(self) -> bool:
        """Say whether the current comes with the power, or there is none to be read."""
        current, power = self.readings[Kind.CURRENT], self.readings.get(Kind.POWER)
        return power is None or power.block is current.block
