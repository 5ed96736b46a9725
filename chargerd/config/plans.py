"""From the sections of a document to the plain figures of the core; what a port leaves out the site gives."""

from collections.abc import Mapping
from typing import Any

from chargerd.config.document import BusSection, ChargeEndSection, LimitsSection, ProtectionSection
from chargerd.config.profiles.models import Profile
from chargerd.config.profiles.register_map import MeterSection, Number, Quantity, Register
from chargerd.config.site import Board, Channel, PortWiring
from chargerd.core.keys import keys
from chargerd.core.plan import (
    LEASES,
    ChargeEnd,
    DeadMan,
    FeederPlan,
    LeaseScope,
    Limits,
    MeterPlan,
    Protection,
    RelayPlan,
)
from chargerd.core.units import BoardId, Seconds, WattHours, Watts

LEASE = Seconds(6.0)
"""How long a timed closing lasts."""
RENEW_EVERY = Seconds(3.0)
GOLDEN = 0.618034
"""Multiples of it, without their whole part, lie well apart however many there are and wherever they begin."""
MOST_PHASES = 3
POWER_EVERY = Seconds(2.0)
"""How often power is read where that takes a frame of its own."""


def limits(site: LimitsSection, port: LimitsSection) -> Limits:
    """Return a port's limits: its own where it says any, else the site's, else the core's defaults."""
    return Limits(**_said(Limits, site, port))


def protection(site: ProtectionSection, port: ProtectionSection) -> Protection:
    """Return a port's thresholds and delays, found like its limits."""
    return Protection(**_said(Protection, site, port))


def charge_end(site: ChargeEndSection, port: ChargeEndSection) -> ChargeEnd:
    """Return a port's rules for the end of a charge."""
    return ChargeEnd(**_said(ChargeEnd, site, port))


def _said(plan: type, *sections: object) -> dict[str, Any]:
    """Return the figures that are given, under the core's names; a later section wins."""
    return {
        name: value if isinstance(value, int) else float(value)
        for section in sections
        for key, (name, _, _) in keys(plan).items()
        if (value := getattr(section, key)) is not None
    }


def contradictions(plan: Protection, end: ChargeEnd) -> list[tuple[str, str, str, str]]:
    """Return what cannot all be meant: section, the two keys, and what should be between them."""
    ordered = (
        ("overcurrent_definite_factor", plan.definite_factor, "overcurrent_instant_factor", plan.instant_factor),
        ("overcurrent_instant_factor", plan.instant_factor, "overcurrent_inrush_factor", plan.inrush_factor),
        ("overpower_factor", plan.overpower_factor, "overpower_instant_factor", plan.overpower_instant_factor),
        ("recover_s", plan.recover_within, "suspend_total_s", plan.suspend_total),
        ("voltage_back_s", plan.voltage_back, "suspend_total_s", plan.suspend_total),
        ("shed_wait_s", plan.shed_wait, "suspend_total_s", plan.suspend_total),
        ("undervoltage_v", plan.undervoltage, "overvoltage_v", plan.overvoltage),
        ("temperature_warn_c", plan.temperature_warn, "temperature_trip_c", plan.temperature_trip),
        ("unplugged_below_w", end.unplugged_below, "full_below_w", end.full_below),
    )
    return [
        (
            "charge_end" if lower in keys(ChargeEnd) else "protection",
            lower,
            upper,
            f"{lower} of {low:g} is not below {upper} of {high:g}",
        )
        for lower, low, upper, high in ordered
        if low >= high
    ]


def is_leased(board: Board) -> bool:
    """Say whether the board's relays are closed for a limited time only, unless somebody renews that."""
    return lease_scope(board) is not None


def lease_scope(board: Board) -> LeaseScope | None:
    """Return what the board's leases keep closed; `None` if it knows of none, or is to give none."""
    relay = board.profile.relay
    return None if relay is None or not board.lease else LEASES.get(relay.dead_man)


def lease_fits(profile: Profile) -> bool:
    """Say whether the board can keep exactly the lease's time; true of one that is not timed."""
    relay = profile.relay
    if relay is not None and relay.heartbeat is not None:
        return relay.heartbeat.within_ms == LEASE * 1000
    if relay is None or relay.timed_on is None:
        return True
    value, rest = divmod(LEASE * 1000, relay.timed_on.unit_ms)
    return not rest and 1 <= value <= relay.timed_on.max_value


def relay_plan(channel: Channel, board: Board) -> RelayPlan:
    """Return the plan of a port's relay. The board has relays."""
    relay = board.profile.relay
    assert relay is not None
    scope = lease_scope(board)
    switched_off = relay.dead_man in LEASES and scope is None
    return RelayPlan(
        board=channel.board,
        channel=channel.channel,
        dead_man=DeadMan.NONE if switched_off else relay.dead_man,
        lease=None if scope is None else LEASE,
        scope=scope or LeaseScope.RELAY,
        renew_every=RENEW_EVERY,
        stagger=Seconds(RENEW_EVERY * (channel.channel * GOLDEN % 1)),
        prepared=not relay.prepare,
        settling=Seconds(relay.settling_ms / 1000.0),
    )


def meter_plan(channel: Channel, board: Board) -> MeterPlan:
    """Return the plan of a port's meter. The board has meters."""
    meter = board.profile.meter
    assert meter is not None
    together = meter.block_of(Quantity.CURRENT) == meter.block_of(Quantity.POWER)
    return MeterPlan(
        board=channel.board,
        channel=channel.channel,
        refresh=Seconds(board.profile.timing.refresh_ms / 1000),
        power_every=Seconds(0.0) if together else POWER_EVERY,
        power_step=_power_step(meter.registers[Quantity.POWER]),
        energy_resolution=WattHours(meter.energy_resolution_wh),
    )


def _power_step(register: Register) -> Watts:
    """Return the smallest difference a register can show; 0 for a floating-point number."""
    return Watts(0.0 if register.type is Number.F32 else abs(register.scale))


def wired(port: PortWiring, boards: Mapping[BoardId, Board], buses: Mapping[str, BusSection]) -> str:
    """Say where a port's relay and meter are, whatever bus and boards are called."""

    def place(channel: Channel) -> str:
        board = boards[channel.board]
        line = buses[board.bus].place if board.bus in buses else board.bus
        return f"{line} {board.address} {board.profile.name} {channel.channel}"

    return f"relay {place(port.relay)}, meter {place(port.meter)}"


def feeder_phases(meter: MeterSection) -> int:
    """Return how many channels of a circuit's meter are read: the first three are the phases."""
    return min(meter.channels, MOST_PHASES)


def feeder_plan(board: Board) -> FeederPlan:
    """Return the plan of a circuit's meter. The board has meters."""
    meter = board.profile.meter
    assert meter is not None
    refresh = Seconds(board.profile.timing.refresh_ms / 1000)
    return FeederPlan(board=board.id, phases=feeder_phases(meter), refresh=refresh)
