"""The end of the buses."""

import threading

import pytest

from chargerd.core.units import PortId, Seconds
from chargerd.runtime.process.stopping import stop_buses

WITHIN = Seconds(3.0)


class Slow:
    """A bus that opens and ends only while the others do the same."""

    def __init__(self, name: str, together: threading.Barrier) -> None:
        self.name = PortId(name)
        self.together = together
        self.told: list[str] = []

    def open_all(self, within: Seconds) -> tuple[PortId, ...]:
        self.together.wait(within)
        self.told.append("open")
        return (self.name,)

    def stop(self, timeout: Seconds) -> None:
        self.together.wait(timeout)
        self.told.append("stop")


@pytest.mark.parametrize(("opened", "told"), [(False, ["open", "stop"]), (True, ["stop"])])
def test_no_bus_waits_for_another(opened: bool, told: list[str]) -> None:
    together = threading.Barrier(3)
    buses = [Slow(name, together) for name in ("A01", "B01", "C01")]
    assert stop_buses(buses, WITHIN, WITHIN, opened=opened) == ([] if opened else ["A01", "B01", "C01"])
    assert [bus.told for bus in buses] == [told] * 3


def test_without_a_bus_there_is_nothing_to_stop() -> None:
    assert stop_buses([], WITHIN, WITHIN, opened=False) == []
