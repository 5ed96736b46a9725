"""What the contract says of sessions: their course, and the settlement each of them ends in. Pure."""

from collections.abc import Sequence

from chargerd.contract.parts import detail_body, limits_body, stamp, up_ms, whole
from chargerd.contract.payloads import InterruptionBody, SessionBody, SettlementBody, StampBody, TierBody
from chargerd.core.moment import Moment
from chargerd.core.session import Interruption, SessionRecord, Settlement, StopDetail, Tier

MOST_INTERRUPTIONS = 40
"""More are told as one with the first of them, or a gateway that crashes again and again could settle its sessions
in messages that are too large for any broker: these take 8 KiB."""
SEVERAL = "several"


def session_event(
    name: str, record: SessionRecord, *, reason: str | None = None, detail: StopDetail | None = None
) -> SessionBody:
    """Return an event of a session that goes on."""
    return SessionBody.model_validate(
        {
            "event": name,
            "session_id": record.order.session,
            "order_id": record.order.order,
            "port": record.order.port,
            "started_at": stamp(record.started),
            "charging_s": round(record.charging),
            "suspended_s": round(record.suspended),
            "energy_wh": round(record.energy),
            "meter_start_wh": whole(record.meter_start),
            "limits": limits_body(record.order.limits),
            "start_source": record.order.source,
            "reason": reason,
            "detail": detail_body(detail),
        }
    )


def settlement(settled: Settlement) -> SettlementBody:
    """Return the settlement. Whole watt-hours and seconds; the tiers sum to the totals exactly."""
    record = settled.record
    energy, charging, suspended = round(record.energy), round(record.charging), round(record.suspended)
    return SettlementBody(
        event="ended",
        session_id=record.order.session,
        order_id=record.order.order,
        port=record.order.port,
        started_at=stamp(record.started),
        ended_at=stamp(settled.ended),
        started=_boot_stamp(record.started),
        ended=_boot_stamp(settled.ended),
        duration_s=charging + suspended,
        charging_s=charging,
        suspended_s=suspended,
        energy_wh=energy,
        energy_quality=settled.quality,
        energy_quality_reason=settled.quality_reason,
        energy_resolution_wh=settled.resolution,
        meter_start_wh=whole(record.meter_start),
        meter_stop_wh=whole(settled.meter_stop),
        peak_power_w=round(record.peak_power, 1),
        peak_power_first_5_min_w=round(record.peak_power_first_5_min, 1),
        mean_power_w=round(record.energy * 3600 / record.charging, 1) if record.charging > 0 else None,
        tiers=_tiers(record.tiers, energy, charging),
        stop_reason=settled.reason,
        stop_detail=detail_body(settled.detail),
        confidence=settled.confidence,
        interruptions=_interruptions(record.interruptions),
        start_source=record.order.source,
        limits=limits_body(record.order.limits),
    )


def apportion(parts: Sequence[float], total: int) -> list[int]:
    """Return whole numbers in proportion to `parts` that sum to `total` exactly (largest remainder)."""
    whole = sum(parts)
    if whole <= 0:
        return [total, *(0 for _ in parts[1:])]
    shares = [part * total / whole for part in parts]
    floors = [int(share) for share in shares]
    by_remainder = sorted(range(len(parts)), key=lambda index: floors[index] - shares[index])
    for index in by_remainder[: total - sum(floors)]:
        floors[index] += 1
    return floors


def _tiers(tiers: Sequence[Tier], energy: int, charging: int) -> tuple[TierBody, ...]:
    if not tiers:
        return ()
    energies = apportion([tier.energy for tier in tiers], energy)
    times = apportion([tier.charging for tier in tiers], charging)
    return tuple(
        TierBody(up_to_w=tier.up_to, charging_s=seconds, energy_wh=wh)
        for tier, seconds, wh in zip(tiers, times, energies, strict=True)
    )


def _interruptions(all_of_them: Sequence[Interruption]) -> tuple[InterruptionBody, ...]:
    """Return the newest one by one; those before them as one span, if there are too many."""
    older, newest = all_of_them[: 1 - MOST_INTERRUPTIONS], all_of_them[1 - MOST_INTERRUPTIONS :]
    if len(older) > 1:
        older = (Interruption(since=older[0].since, until=older[-1].until, reason=SEVERAL),)
    return tuple(_interruption(one) for one in (*older, *newest))


def _interruption(one: Interruption) -> InterruptionBody:
    until = one.until
    return InterruptionBody(
        since=stamp(one.since),
        to=None if until is None else stamp(until),
        reason=one.reason,
        began=_boot_stamp(one.since),
        ended=None if until is None else _boot_stamp(until),
    )


def _boot_stamp(at: Moment) -> StampBody:
    return StampBody(boot=at.boot, up_ms=up_ms(at.instant))
