"""What is read of a circuit's meter, and how often: the schedule reads by it, and the budget counts by it."""

from collections.abc import Iterator
from dataclasses import dataclass

from chargerd.config.budget.pacing import FEEDER_EVERY, FEEDER_SLOWER_EVERY
from chargerd.config.profiles.register_map import Block, MeterSection, Quantity
from chargerd.core.units import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederReading:
    """One frame: a block of a channel, which may hold those of other channels as well."""

    channel: int
    block: Block
    every: Seconds


def feeder_readings(meter: MeterSection, phases: int) -> Iterator[FeederReading]:
    """Yield as few frames as hold currents, powers and voltages of `phases` channels; the currents most often."""
    seen: set[tuple[int, int]] = set()
    for quantity in (Quantity.CURRENT, Quantity.POWER, Quantity.VOLTAGE):
        if quantity not in meter.registers:
            continue
        block, every = meter.block_of(quantity), _every(quantity)
        for channel in range(1, phases + 1):
            place = (meter.address_of(block, channel), block.count)
            if place not in seen:
                seen.add(place)
                yield FeederReading(channel=channel, block=block, every=every)


def _every(quantity: Quantity) -> Seconds:
    return FEEDER_EVERY if quantity is Quantity.CURRENT else FEEDER_SLOWER_EVERY
