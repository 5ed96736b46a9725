"""What one port takes of its circuits: what it draws now, and what is kept free for it.

A port without fresh readings counts with its limit, in both: what is not seen may be all it is allowed to be. Once
its load has shown its plateau, less is kept free for it than it ordered. Current and power are followed apart;
watts are never derived from volts and amperes, since small chargers have a power factor of 0.5 to 0.65.
"""

from typing import NamedTuple

from chargerd.core.plan import Limits
from chargerd.core.units import Amps, Watts

HEADROOM_SHARE = 0.2
HEADROOM_POWER = Watts(50.0)
HEADROOM_CURRENT = Amps(0.43)
"""50 W at 230 V and a power factor of 0.5."""


class Share(NamedTuple):
    """What a port draws, and what is kept free for it; amperes and watts."""

    current: Amps = Amps(0.0)
    power: Watts = Watts(0.0)
    allocated_current: Amps = Amps(0.0)
    allocated_power: Watts = Watts(0.0)


NO_SHARE = Share()


def whole(limits: Limits) -> Share:
    """Return the share of a port nobody sees: its limit."""
    return Share(
        current=limits.current,
        power=limits.power,
        allocated_current=limits.current,
        allocated_power=limits.power,
    )


def ordered(limits: Limits, current: Amps, power: Watts) -> Share:
    """Return the share of a port that is about to close: its limit is kept free."""
    return Share(
        current=current,
        power=power,
        allocated_current=max(limits.current, current),
        allocated_power=max(limits.power, power),
    )


def drawn(current: Amps, power: Watts) -> Share:
    """Return the share of a port without a session: what flows all the same."""
    return Share(current=current, power=power, allocated_current=current, allocated_power=power)


def settled(limits: Limits, current: Amps, power: Watts, plateau: tuple[Amps, Watts]) -> Share:
    """Return the share of a port whose plateau is known: that and max(50 W, 20 %), within its limit."""
    held_current, held_power = plateau
    amps = held_current + max(HEADROOM_CURRENT, HEADROOM_SHARE * held_current)
    watts = held_power + max(HEADROOM_POWER, HEADROOM_SHARE * held_power)
    return Share(
        current=current,
        power=power,
        allocated_current=max(Amps(min(limits.current, amps)), current),
        allocated_power=max(Watts(min(limits.power, watts)), power),
    )
