"""Overtemperature of the socket: a loose or burnt contact, which no current gives away."""

from chargerd.core.protection.function import Function, Protected
from chargerd.core.session import StopDetail
from chargerd.core.units import Instant


class PortTemperature(Function):
    """The socket's own sensor has shown 70 °C or more for 30 s; one that is silent or invalid is not hot.

    Threshold: a 12-port pile's firmware. IEC 60884-1 lets a terminal rise by 45 K, which is 70 °C at 25 °C.
    """

    name = "port_temperature"

    def __init__(self, on: Protected) -> None:
        super().__init__(on)
        self._heat = on.models.heat
        self.timer = self._heat.over
        self._limit = on.plan.protection.temperature_trip

    def finding(self, now: Instant) -> StopDetail | None:
        """Judge it closed or not: a fire does not go out with the relay."""
        if not self._heat.over.reached(now):
            return None
        return StopDetail(function=self.name, measured=self._heat.celsius, limit=self._limit, unit="c")
