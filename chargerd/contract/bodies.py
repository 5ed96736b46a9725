"""From the core's facts and views to the contract's payloads. Pure; the envelope is added on sending."""

import re
from collections.abc import Mapping
from dataclasses import replace

from pydantic import BaseModel

from chargerd.contract import session_bodies
from chargerd.contract.ledger import Json, LedgerEntry, LedgerRow, Reply, RowKind, covered_by
from chargerd.contract.parts import (
    detail_body,
    latch_body,
    limits_body,
    relay_body,
    rounded,
    stamp,
    up_ms,
    whole,
)
from chargerd.contract.payloads import (
    OCPP_STATUS,
    CircuitStateBody,
    DeadLetterBody,
    DisabledBody,
    EventBody,
    LockBody,
    OcppStatus,
    PortStateBody,
    ProgressBody,
    ReadingBody,
    ReadingMessageBody,
    ReadingQuality,
    ReplyBody,
    ReservationBody,
    Severity,
)
from chargerd.core.commands import Answer
from chargerd.core.facts import (
    BoardReturned,
    BoardWentSilent,
    Fact,
    LatchesCleared,
    PortDisabled,
    PortEnabled,
    PortLocked,
    PortLockedOut,
    PortTripped,
    PortUnlocked,
    SessionEnded,
    SessionResumed,
    SessionStarted,
    SessionSuspended,
    SessionUpdated,
)
from chargerd.core.moment import Moment
from chargerd.core.plan import circuit_of, locked_by
from chargerd.core.session import Disabled, Reservation, SessionRecord, Source
from chargerd.core.units import Instant, Seconds, SessionId, between
from chargerd.core.view import CircuitView, PortState, PortView

RENAMED: Mapping[type[Fact], str] = {BoardWentSilent: "board_lost", BoardReturned: "board_back"}
SEVERITY: Mapping[str, Severity] = {
    "relay_unexpected": Severity.ALARM,
    "relay_not_reconciled": Severity.ALARM,
    "relay_unconfirmed": Severity.ALARM,
    "wiring_suspect": Severity.ALARM,
    "relay_open_circuit": Severity.WARNING,
    "board_lost": Severity.WARNING,
    "board_back": Severity.INFO,
    "store_failed": Severity.ALARM,
    "store_recovered": Severity.INFO,
    "input_tripped": Severity.ALARM,
    "inputs_lost": Severity.ALARM,
    "inputs_back": Severity.INFO,
    "inputs_flapping": Severity.ALARM,
    "store_flapping": Severity.ALARM,
    "circuit_shed": Severity.WARNING,
    "circuit_tripped": Severity.ALARM,
    "line_changed": Severity.ALARM,
    "line_restored": Severity.INFO,
    "port_reserved": Severity.INFO,
    "reservation_ended": Severity.INFO,
    "port_temperature_high": Severity.WARNING,
    "meter_frozen": Severity.WARNING,
    "port_alarm": Severity.WARNING,
    "power_jumped": Severity.WARNING,
    "power_negative": Severity.WARNING,
    "reading_implausible": Severity.WARNING,
    "energy_estimated": Severity.WARNING,
    "board_flapping": Severity.WARNING,
    "board_not_prepared": Severity.WARNING,
    "foreign_answers": Severity.WARNING,
}
"""Of each event whose fact has no case of its own in `event`. What is not listed is told as a warning."""


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
    # A settlement names its gateway itself; should that have been renamed since, the topic's own counts.
    return {**envelope(gateway, row.moment), **head, **row.body, "gateway": gateway}


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
            body = session_bodies.settlement(fact.settlement)
        case SessionStarted():
            body = session_bodies.session_event("started", fact.record)
        case SessionUpdated():
            body = session_bodies.session_event("updated", fact.record)
        case SessionResumed():
            body = session_bodies.session_event("resumed", fact.record)
        case SessionSuspended():
            body = session_bodies.session_event("suspended", fact.record, reason=fact.reason, detail=fact.detail)
        case _:
            kind, body = RowKind.EVENT, event(fact)
    dumped = plain(body)
    if ended:
        dumped.pop("digest")
    return LedgerEntry(kind=kind, body=dumped, moment=moment, offline=offline, settlement=ended)


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
                detail=detail_body(fact.detail),
                latch=None if fact.latch is None else latch_body(fact.latch),
            )
        case PortLockedOut():
            return EventBody(
                event="port_locked_out",
                severity=Severity.ALARM,
                port=fact.port,
                session_id=fact.session,
                function=fact.latch.function,
                latch=latch_body(fact.latch),
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
        case PortDisabled() | PortEnabled() | PortLocked() | PortUnlocked():
            return _availability(fact)
        case _:
            return _plain_event(fact)


def _availability(fact: PortDisabled | PortEnabled | PortLocked | PortUnlocked) -> EventBody:
    """Return `port_disabled`, `circuit_disabled` and the like; a lock's have a name, and want to be seen."""
    what, source, by, reason = "disabled", Source.LOCAL, None, fact.reason
    match fact:
        case PortDisabled():
            source = fact.disabled.source
        case PortEnabled():
            what, source = "enabled", fact.source
        case PortLocked():
            what, by = "locked", fact.lock.by
        case PortUnlocked():
            what, by, reason = "unlocked", fact.by, fact.reason or f"was: {fact.lock.by}, {fact.lock.reason}"
    return EventBody(
        event=f"{'port' if fact.circuit is None else 'circuit'}_{what}",
        severity=Severity.INFO if by is None else Severity.WARNING,
        port=fact.port if fact.circuit is None else None,
        circuit=fact.circuit,
        source=source,
        by=by,
        reason=reason,
    )


def _plain_event(fact: Fact) -> EventBody:
    """Return the event for a fact that has no more to say than what it is about."""
    name = RENAMED.get(type(fact)) or re.sub(r"(?<!^)(?=[A-Z])", "_", type(fact).__name__).lower()
    detail, latch = getattr(fact, "detail", None), getattr(fact, "latch", None)
    until = getattr(fact, "until", None)
    return EventBody(
        event=name,
        severity=SEVERITY.get(name, Severity.WARNING),
        port=getattr(fact, "port", None),
        ports=getattr(fact, "ports", None),
        circuit=getattr(fact, "circuit", None),
        circuits=getattr(fact, "circuits", None),
        bus=getattr(fact, "line", None),
        board=getattr(fact, "board", None),
        input=getattr(fact, "input", None),
        session_id=getattr(fact, "session", None),
        function=getattr(fact, "function", None),
        detail=detail_body(detail),
        latch=None if latch is None else latch_body(latch),
        reason=getattr(fact, "kind", None),
        expires_at=None if until is None else stamp(until),
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
        ocpp_status=_ocpp_status(view),
        since=stamp(view.since),
        since_up_ms=up_ms(view.since.instant),
        relay_closed=view.relay_closed,
        session_id=None if session is None else session.order.session,
        order_id=None if session is None else session.order.order,
        reading=_reading(view, now),
        session=None if session is None else _progress(session),
        limits=limits_body(view.limits),
        limits_in_force=None if session is None else limits_body(session.order.limits),
        latches=tuple(latch_body(latch) for latch in view.latches),
        blocked_by=view.blocked_by,
        queue_position=view.queue_position,
        disabled=None if view.disabled is None else _disabled(view.disabled),
        latency_budget_s=None if latency_budget is None else round(latency_budget, 2),
        temperature_c=None if view.temperature is None else rounded(view.temperature, 1),
        reservation=None if view.reservation is None else _reservation(view.reservation),
        lock=None if view.lock is None else _lock(view.lock),
        relay=relay_body(view.relay, now),
    )


def circuit_state(view: CircuitView, *, now: Moment) -> CircuitStateBody:
    """Return `state/circuit/{circuit}`."""
    return CircuitStateBody(
        circuit=view.id,
        parent=view.parent,
        load_current_a=tuple(rounded(current, 2) for current in view.load_currents),
        load_power_w=round(view.load_power),
        allocated_current_a=tuple(rounded(current, 2) for current in view.allocated_currents),
        allocated_power_w=round(view.allocated_power),
        rating_current_a=view.rating,
        rating_power_w=view.rating_power,
        measured=view.measured,
        contactor_closed=view.contactor_closed,
        queue=view.queue,
        latches=tuple(latch_body(latch) for latch in view.latches),
        disabled=None if view.disabled is None else _disabled(view.disabled),
        lock=None if view.lock is None else _lock(view.lock),
        contactor=None if view.contactor is None else relay_body(view.contactor, now),
    )


def reading(view: PortView, now: Moment) -> ReadingMessageBody:
    """Return `up/reading`."""
    values = _reading(view, now).model_dump(exclude={"stale", "energy_age_s"})
    return ReadingMessageBody(
        port=view.id,
        session_id=None if view.session is None else view.session.order.session,
        session_energy_wh=None if view.session is None else round(view.session.energy),
        **values,
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
    age = _age(measured.at, now)
    seen = ReadingQuality.FROZEN if measured.frozen else ReadingQuality.GOOD
    fresh = seen if measured.fresh else ReadingQuality.STALE
    quality = ReadingQuality.NONE if age is None else fresh
    return ReadingBody(
        power_w=None if measured.power is None else rounded(measured.power, 1),
        current_a=None if measured.current is None else rounded(measured.current, 3),
        voltage_v=None if measured.voltage is None else rounded(measured.voltage, 1),
        energy_wh=whole(measured.energy),
        age_s=age,
        quality=quality,
        stale=quality is not ReadingQuality.GOOD,
        energy_age_s=_age(measured.energy_at, now),
    )


def _age(at: Instant | None, now: Moment) -> float | None:
    return None if at is None else rounded(max(0.0, between(at, now.instant)), 2)


def _progress(record: SessionRecord) -> ProgressBody:
    return ProgressBody(
        charging_s=round(record.charging, 1),
        suspended_s=round(record.suspended, 1),
        energy_wh=round(record.energy),
        peak_power_w=rounded(record.peak_power, 1),
        suspended_by=next((one.reason for one in record.interruptions[-1:] if one.until is None), None),
    )


def _ocpp_status(view: PortView) -> OcppStatus:
    """Return OCPP's status: to it, a port that is free but for one session is in a state of its own."""
    kept = view.reservation is not None and view.state is PortState.AVAILABLE
    return OcppStatus.RESERVED if kept else OCPP_STATUS[view.state]


def _reservation(reservation: Reservation) -> ReservationBody:
    return ReservationBody(
        session_id=reservation.session,
        ttl_s=reservation.lasts,
        since=stamp(reservation.since),
        since_up_ms=up_ms(reservation.since.instant),
    )


def _disabled(disabled: Disabled) -> DisabledBody:
    return DisabledBody(
        source=disabled.source,
        reason=disabled.reason,
        since=stamp(disabled.since),
        circuit=circuit_of(disabled.holder),
    )


def _lock(lock: Disabled) -> LockBody:
    return LockBody(
        by=lock.by or "",
        reason=lock.reason,
        since=stamp(lock.since),
        circuit=circuit_of(locked_by(lock.holder)),
    )
