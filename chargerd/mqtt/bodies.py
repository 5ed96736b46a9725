"""From the core's facts and views to the contract's payloads. Pure; the envelope is added on sending."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from chargerd.core.commands import Answer
from chargerd.core.facts import (
    BoardReturned,
    BoardWentSilent,
    Fact,
    Latch,
    LatchesCleared,
    PortLockedOut,
    PortTripped,
    SessionEnded,
    SessionResumed,
    SessionStarted,
    SessionSuspended,
    SessionUpdated,
)
from chargerd.core.ledger import Json, LedgerEntry, LedgerRow, Reply, RowKind
from chargerd.core.moment import Moment
from chargerd.core.plan import Limits
from chargerd.core.session import Interruption, SessionRecord, Settlement, StopDetail, Tier
from chargerd.core.units import Instant, Seconds, SessionId, between
from chargerd.core.view import CircuitView, PortState, PortView
from chargerd.mqtt.contract import (
    OCPP_STATUS,
    CircuitStateBody,
    DeadLetterBody,
    DetailBody,
    EventBody,
    InterruptionBody,
    LatchBody,
    LimitsBody,
    PortStateBody,
    ProgressBody,
    ReadingBody,
    ReadingMessageBody,
    ReadingQuality,
    ReplyBody,
    SessionBody,
    SettlementBody,
    Severity,
    StampBody,
    TierBody,
)
from chargerd.mqtt.drain import covered_by

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CLOCKS_AGREE = Seconds(5.0)
"""How far boot clock and wall clock may differ over a session without one of them having been set."""
LONGEST_SESSION = Seconds(25 * 3600.0)
"""Sessions end 24 h after their start; an outage in which that falls due may make it a little more."""


RENAMED: Mapping[type[Fact], str] = {BoardWentSilent: "board_lost", BoardReturned: "board_back"}
SEVERITY: Mapping[str, Severity] = {
    "relay_unexpected": Severity.ALARM,
    "relay_not_reconciled": Severity.ALARM,
    "relay_open_circuit": Severity.WARNING,
    "board_lost": Severity.WARNING,
    "board_back": Severity.INFO,
    "store_failed": Severity.ALARM,
    "store_recovered": Severity.INFO,
    "input_tripped": Severity.ALARM,
    "inputs_lost": Severity.ALARM,
    "inputs_back": Severity.INFO,
    "circuit_shed": Severity.WARNING,
    "circuit_tripped": Severity.ALARM,
}
"""What is not listed is a warning: a fact that is new must be told, whatever else is wrong with it."""


def stamp(moment: Moment) -> str | None:
    """Return RFC 3339 in UTC with milliseconds; `None` exactly while nothing vouches for the clock."""
    if moment.wall_ms is None:
        return None
    at = EPOCH + timedelta(milliseconds=moment.wall_ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.wall_ms % 1000:03d}Z"


def up_ms(instant: Instant) -> int:
    """Return the boot clock in milliseconds."""
    return round(instant * 1000)


def envelope(gateway: str, moment: Moment) -> dict[str, Json]:
    """Return what every payload carries."""
    return {
        "gateway": gateway,
        "at": stamp(moment),
        "clock": moment.clock.value,
        "boot": moment.boot,
        "up_ms": up_ms(moment.instant),
    }


def ledger_payload(gateway: str, row: LedgerRow) -> dict[str, Json]:
    """Return a ledger row as it is published."""
    head: dict[str, Json] = {"stream": row.stream, "seq": row.seq, "offline": row.offline}
    return {**envelope(gateway, row.moment), **head, **row.body}


def gap_payload(gateway: str, row: LedgerRow, reason: str) -> dict[str, Json]:
    """Return the `gap` that takes the place of a row the broker will never take, and names it."""
    kept = row.body.get("event")
    session = row.body.get("session_id")
    lost = DeadLetterBody(
        topic=f"up/{row.kind.value}",
        event=kept if isinstance(kept, str) else None,
        session_id=SessionId(session) if isinstance(session, str) else None,
    )
    body = EventBody(
        event="gap",
        severity=Severity.ALARM,
        since_seq=row.seq,
        to=covered_by(row),
        reason=reason,
        dead_letter=lost,
    )
    return ledger_payload(gateway, replace(row, body=plain(body)))


def plain(body: BaseModel) -> dict[str, Json]:
    """Return a model as JSON's own types, by the contract's names."""
    return body.model_dump(mode="json", by_alias=True)


# Ledger


def ledger_entry(fact: Fact, moment: Moment, *, offline: bool) -> LedgerEntry:
    """Return the ledger's row for a fact."""
    ended = isinstance(fact, SessionEnded)
    body: BaseModel
    kind = RowKind.SESSION
    match fact:
        case SessionEnded():
            body = settlement(fact.settlement)
        case SessionStarted():
            body = session_event("started", fact.record)
        case SessionUpdated():
            body = session_event("updated", fact.record)
        case SessionResumed():
            body = session_event("resumed", fact.record)
        case SessionSuspended():
            body = session_event("suspended", fact.record, reason=fact.reason, detail=fact.detail)
        case _:
            kind, body = RowKind.EVENT, event(fact)
    dumped = plain(body)
    if ended:
        dumped.pop("digest")
    return LedgerEntry(kind=kind, body=dumped, moment=moment, offline=offline, settlement=ended)


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
            "meter_start_wh": _whole(record.meter_start),
            "limits": _limits(record.order.limits),
            "start_source": record.order.source,
            "reason": reason,
            "detail": _detail(detail),
        }
    )


def settlement(settled: Settlement) -> SettlementBody:
    """Return the settlement. Whole watt-hours and seconds; the tiers sum to the totals exactly."""
    record = settled.record
    energy, charging = round(record.energy), round(record.charging)
    return SettlementBody(
        session_id=record.order.session,
        order_id=record.order.order,
        port=record.order.port,
        started_at=stamp(record.started),
        ended_at=stamp(settled.ended),
        started=StampBody(boot=record.started.boot, up_ms=up_ms(record.started.instant)),
        ended=StampBody(boot=settled.ended.boot, up_ms=up_ms(settled.ended.instant)),
        duration_s=_duration(settled),
        charging_s=charging,
        suspended_s=round(record.suspended),
        energy_wh=energy,
        energy_quality=settled.quality,
        energy_quality_reason=settled.quality_reason,
        energy_resolution_wh=settled.resolution,
        meter_start_wh=_whole(record.meter_start),
        meter_stop_wh=_whole(settled.meter_stop),
        peak_power_w=round(record.peak_power, 1),
        peak_power_first_5_min_w=round(record.peak_power_first_5_min, 1),
        mean_power_w=round(record.energy * 3600 / record.charging, 1) if record.charging > 0 else None,
        tiers=_tiers(record.tiers, energy, charging),
        stop_reason=settled.reason,
        stop_detail=_detail(settled.detail),
        confidence=settled.confidence,
        interruptions=tuple(_interruption(one) for one in record.interruptions),
        start_source=record.order.source,
        limits=_limits(record.order.limits),
    )


def _duration(settled: Settlement) -> int | None:
    """Return the seconds from start to end; `None` if neither clock can tell.

    Within one boot the boot clock tells. Over a reboot only the wall clock can, and it may have been set in
    between: what it says must have room for the time that was counted, and lie within what a session may last.
    """
    record = settled.record
    if record.started.boot == settled.ended.boot:
        return round(between(record.started.instant, settled.ended.instant))
    if record.started.wall_ms is None or settled.ended.wall_ms is None:
        return None
    told = (settled.ended.wall_ms - record.started.wall_ms) / 1000
    counted = record.charging + record.suspended
    return round(told) if counted - CLOCKS_AGREE <= told <= LONGEST_SESSION else None


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


def event(fact: Fact) -> EventBody:
    """Return the event for a fact that is not about a session's course. Raises `KeyError` for one that is."""
    match fact:
        case SessionStarted() | SessionUpdated() | SessionSuspended() | SessionResumed() | SessionEnded():
            raise KeyError(type(fact))
        case PortTripped():
            return EventBody(
                event="port_tripped",
                severity=Severity.ALARM,
                port=fact.port,
                session_id=fact.session,
                function=fact.function,
                detail=_detail(fact.detail),
                latch=None if fact.latch is None else _latch(fact.latch),
            )
        case PortLockedOut():
            return EventBody(
                event="port_locked_out",
                severity=Severity.ALARM,
                port=fact.port,
                session_id=fact.session,
                function=fact.latch.function,
                latch=_latch(fact.latch),
            )
        case LatchesCleared():
            return EventBody(
                event="latches_cleared",
                severity=Severity.INFO,
                port=fact.port if fact.circuit is None else None,
                circuit=fact.circuit,
                functions=fact.functions,
                source=fact.source,
                reason=fact.reason,
            )
        case _:
            return _plain_event(fact)


def _plain_event(fact: Fact) -> EventBody:
    """Return the event for a fact that has no more to say than what it is about."""
    name = RENAMED.get(type(fact)) or re.sub(r"(?<!^)(?=[A-Z])", "_", type(fact).__name__).lower()
    detail, latch = getattr(fact, "detail", None), getattr(fact, "latch", None)
    return EventBody(
        event=name,
        severity=SEVERITY.get(name, Severity.WARNING),
        port=getattr(fact, "port", None),
        circuit=getattr(fact, "circuit", None),
        circuits=getattr(fact, "circuits", None),
        board=getattr(fact, "board", None),
        input=getattr(fact, "input", None),
        session_id=getattr(fact, "session", None),
        function=getattr(fact, "function", None),
        detail=_detail(detail),
        latch=None if latch is None else _latch(latch),
        reason=getattr(fact, "kind", None),
    )


# States


def port_state(view: PortView, *, now: Moment, latency_budget: Seconds | None = None) -> PortStateBody:
    """Return `state/port/{port}`."""
    session = view.session
    return PortStateBody(
        port=view.id,
        label=view.label,
        circuit=view.circuit,
        state=view.state,
        ocpp_status=OCPP_STATUS[view.state],
        since=stamp(view.since),
        since_up_ms=up_ms(view.since.instant),
        relay_closed=view.relay_closed,
        session_id=None if session is None else session.order.session,
        order_id=None if session is None else session.order.order,
        reading=_reading(view, now),
        session=None if session is None else _progress(session),
        limits=_limits(view.limits),
        limits_in_force=None if session is None else _limits(session.order.limits),
        latches=tuple(_latch(latch) for latch in view.latches),
        blocked_by=view.blocked_by,
        queue_position=view.queue_position,
        latency_budget_s=None if latency_budget is None else round(latency_budget, 2),
        temperature_c=None if view.temperature is None else round(view.temperature, 1),
    )


def circuit_state(view: CircuitView) -> CircuitStateBody:
    """Return `state/circuit/{circuit}`."""
    return CircuitStateBody(
        circuit=view.id,
        parent=view.parent,
        load_current_a=tuple(round(current, 2) for current in view.load_currents),
        load_power_w=round(view.load_power),
        allocated_current_a=tuple(round(current, 2) for current in view.allocated_currents),
        allocated_power_w=round(view.allocated_power),
        rating_current_a=view.rating,
        rating_power_w=view.rating_power,
        measured=view.measured,
        contactor_closed=view.contactor_closed,
        queue=view.queue,
        latches=tuple(_latch(latch) for latch in view.latches),
    )


def reading(view: PortView, now: Moment) -> ReadingMessageBody:
    """Return `up/reading`."""
    values = _reading(view, now)
    return ReadingMessageBody(
        port=view.id,
        session_id=None if view.session is None else view.session.order.session,
        session_energy_wh=None if view.session is None else round(view.session.energy),
        **values.model_dump(),
    )


def reply(answer: Answer, state: PortState | None) -> Reply:
    """Return `up/reply`."""
    body = ReplyBody(
        id=answer.command or None,
        command=answer.name,
        status=answer.status,
        code=answer.code,
        message=answer.message,
        port=answer.port,
        session_id=answer.session,
        queue_position=getattr(answer, "queue_position", None),
        port_state=state,
    )
    return Reply(command=answer.command, body=plain(body))


# Parts


def _reading(view: PortView, now: Moment) -> ReadingBody:
    measured = view.measured
    age = None if measured.at is None else round(max(0.0, between(measured.at, now.instant)), 2)
    seen = ReadingQuality.FROZEN if measured.frozen else ReadingQuality.GOOD
    fresh = seen if measured.fresh else ReadingQuality.STALE
    return ReadingBody(
        power_w=None if measured.power is None else round(measured.power, 1),
        current_a=None if measured.current is None else round(measured.current, 3),
        voltage_v=None if measured.voltage is None else round(measured.voltage, 1),
        energy_wh=_whole(measured.energy),
        age_s=age,
        quality=ReadingQuality.NONE if age is None else fresh,
    )


def _progress(record: SessionRecord) -> ProgressBody:
    return ProgressBody(
        charging_s=round(record.charging, 1),
        suspended_s=round(record.suspended, 1),
        energy_wh=round(record.energy),
        peak_power_w=round(record.peak_power, 1),
    )


def _tiers(tiers: Sequence[Tier], energy: int, charging: int) -> tuple[TierBody, ...]:
    if not tiers:
        return ()
    energies = apportion([tier.energy for tier in tiers], energy)
    times = apportion([tier.charging for tier in tiers], charging)
    return tuple(
        TierBody(up_to_w=tier.up_to, charging_s=seconds, energy_wh=wh)
        for tier, seconds, wh in zip(tiers, times, energies, strict=True)
    )


def _limits(limits: Limits) -> LimitsBody:
    return LimitsBody(
        current_a=limits.current,
        power_w=limits.power,
        duration_s=limits.duration,
        energy_wh=limits.energy,
    )


def _detail(detail: StopDetail | None) -> DetailBody | None:
    if detail is None:
        return None
    measured = None if detail.measured is None else round(detail.measured, 3)
    limit = None if detail.limit is None else round(detail.limit, 3)
    return DetailBody(function=detail.function, measured=measured, limit=limit, unit=detail.unit)


def _latch(latch: Latch) -> LatchBody:
    return LatchBody(function=latch.function, clearing=latch.clearing.value, detail=_detail(latch.detail))


def _interruption(one: Interruption) -> InterruptionBody:
    until = None if one.until is None else stamp(one.until)
    return InterruptionBody(since=stamp(one.since), to=until, reason=one.reason)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
