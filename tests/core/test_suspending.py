"""What a session suspended for too long is said to have ended for; scenarios of half an hour show it whole."""

import pytest

from chargerd.core.moment import Moment
from chargerd.core.outbox import Outbox
from chargerd.core.port.port import Port, StationContext
from chargerd.core.port.suspending import outlasted
from chargerd.core.session import StopReason
from chargerd.core.units import Instant, Seconds, Volts
from tests.core.plant import port_plan

NOW = Moment(instant=Instant(10.0))


@pytest.mark.parametrize(
    ("suspended", "volts", "said"),
    [
        (StopReason.UNDERVOLTAGE, 3.0, StopReason.POWER_LOSS),
        (StopReason.UNDERVOLTAGE, 120.0, StopReason.UNDERVOLTAGE),
        (StopReason.OVERVOLTAGE, 280.0, StopReason.OVERVOLTAGE),
        (StopReason.METER_LOST, 3.0, StopReason.SUSPENDED_TOO_LONG),
    ],
)
def test_a_dead_line_is_a_power_loss_and_a_wrong_voltage_is_named(
    suspended: StopReason, volts: float, said: StopReason
) -> None:
    port = Port(port_plan(), StationContext(), Outbox(), NOW, ())
    port.mains.take_in((Volts(volts),), NOW.instant, rank=0, refresh=Seconds(1.0))
    port.suspended_for = suspended
    assert outlasted(port, NOW) is said
