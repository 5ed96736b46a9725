"""What a session's rows of the ledger are in OCPP 2.0.1, for a backend that speaks it to a central system.

`mapping` gives the same as data, for a backend in another language.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from uuid import NAMESPACE_OID, uuid5

from chargerd.contract.arguments import KNOWN
from chargerd.contract.ledger import Json
from chargerd.contract.payloads import OCPP_STATUS, OcppStatus
from chargerd.core.session import Source, StopReason

Row: TypeAlias = Mapping[str, Any]
"""A row of `up/session` as it was published; `Any`, since JSON is."""
TransactionEvent: TypeAlias = dict[str, Any]
"""The payload of OCPP's TransactionEventRequest."""
LONGEST_ID = 36

STOPPED: Mapping[StopReason, tuple[str, str]] = {
    StopReason.REMOTE: ("RemoteStop", "Remote"),
    StopReason.LOCAL: ("StopAuthorized", "Local"),
    StopReason.FULL: ("ChargingStateChanged", "StoppedByEV"),
    StopReason.UNPLUGGED: ("EVDeparted", "EVDisconnected"),
    StopReason.NO_LOAD: ("EVConnectTimeout", "Timeout"),
    StopReason.DURATION_LIMIT: ("TimeLimitReached", "TimeLimitReached"),
    StopReason.ENERGY_LIMIT: ("EnergyLimitReached", "EnergyLimitReached"),
    StopReason.OVERCURRENT: ("AbnormalCondition", "OvercurrentFault"),
    StopReason.OVERVOLTAGE: ("AbnormalCondition", "PowerQuality"),
    StopReason.UNDERVOLTAGE: ("AbnormalCondition", "PowerQuality"),
    StopReason.EMERGENCY_STOP: ("AbnormalCondition", "EmergencyStop"),
    StopReason.POWER_LOSS: ("AbnormalCondition", "PowerLoss"),
    StopReason.SUSPENDED_TOO_LONG: ("ChargingStateChanged", "Timeout"),
    StopReason.QUEUE_TIMEOUT: ("ChargingStateChanged", "Timeout"),
    StopReason.SHUTDOWN: ("AbnormalCondition", "Reboot"),
    StopReason.RESTART: ("AbnormalCondition", "Reboot"),
}
"""OCPP's `triggerReason` and `stoppedReason`. What is not listed is an abnormal condition it has no name for."""
OTHER = ("AbnormalCondition", "Other")
COURSE: Mapping[str, tuple[str, str, str]] = {
    "started": ("Started", "Charging", "Transaction.Begin"),
    "updated": ("Updated", "Charging", "Sample.Periodic"),
    "suspended": ("Updated", "SuspendedEVSE", "Sample.Periodic"),
    "resumed": ("Updated", "Charging", "Sample.Periodic"),
}
"""OCPP's `eventType` and `chargingState`, and the `context` of the register's value."""
TRIGGER: Mapping[str, str] = {
    "updated": "MeterValuePeriodic",
    "suspended": "ChargingStateChanged",
    "resumed": "ChargingStateChanged",
}
STARTED_BY: Mapping[Source, str] = {Source.REMOTE: "RemoteStart"}
STARTED_HERE = "Authorized"
"""OCPP's `triggerReason`, of a start by who gave it."""
RESERVATION_ENDED: Mapping[str, Json] = {
    "expired": "Expired",
    "shutdown": "Removed",
    "started": None,
    "released": None,
}
"""OCPP's `reservationUpdateStatus`; `None`: whoever has ended it knows, and no ReservationStatusUpdate is sent."""
HOW = (
    "One TransactionEventRequest for each row of up/session, by seq. seqNo counts the rows of a session from 0.",
    "Rows without a time are rebased first, by the clock_fixed of their boot: at is the timestamp.",
    "transactionId is session_id; of more than 36 characters its UUID (version 5, RFC 9562's namespace for OIDs).",
    "evse.id is yours to give: OCPP numbers connectors, and ports have names.",
    "A register that is not null is a sampledValue in Wh, measurand Energy.Active.Import.Register.",
    "The register of ended is meter_stop_wh, that of other rows is meter_start_wh + energy_wh.",
    "A value that is not listed is other.",
    "A port that is available and has a reservation has the status reserved.",
)
FIELDS: Mapping[str, Json] = {
    "timestamp": "at",
    "offline": "offline",
    "transactionInfo.transactionId": "session_id",
    "transactionInfo.timeSpentCharging": "charging_s",
}


def mapping() -> dict[str, Json]:
    """Return the whole mapping as data: what OCPP calls each event, stop reason, command and state."""
    events: dict[str, Json] = {
        event: {
            "eventType": kind,
            "chargingState": state,
            "triggerReason": TRIGGER.get(event, "by start_source"),
            "context": context,
        }
        for event, (kind, state, context) in COURSE.items()
    }
    stopped: dict[str, Json] = {reason.value: _named(STOPPED.get(reason, OTHER)) for reason in StopReason}
    return {
        "version": "2.0.1",
        "request": "TransactionEvent",
        "how": list(HOW),
        "fields": dict(FIELDS),
        "event": {
            **events,
            "ended": {"eventType": "Ended", "triggerReason": "by stop_reason", "context": "Transaction.End"},
        },
        "start_source": {
            **{source.value: STARTED_BY.get(source, STARTED_HERE) for source in Source},
            "other": STARTED_HERE,
        },
        "stop_reason": {**stopped, "other": _named(OTHER)},
        "command": {name: model.kind.ocpp for name, model in KNOWN.items()},
        "reserved": OcppStatus.RESERVED.value,
        "reservation_ended": dict(RESERVATION_ENDED),
        "state": {state.value: status.value for state, status in OCPP_STATUS.items()},
    }


def _named(names: tuple[str, str]) -> dict[str, Json]:
    trigger, stopped = names
    return {"triggerReason": trigger, "stoppedReason": stopped}


def transaction_id(session_id: str) -> str:
    """Return OCPP's id for a session: the session's own where it has room for it (36 characters), else a UUID."""
    return session_id if len(session_id) <= LONGEST_ID else str(uuid5(NAMESPACE_OID, session_id))


def transaction_events(rows: Iterable[Row], *, evse: int) -> list[TransactionEvent]:
    """Return OCPP's events for all rows of one session, in order.

    `seqNo` counts within the transaction, as OCPP wants it; a session that never charged has only `Ended`.
    Raises `ValueError` for a row without a time: rebase it first, by the `clock_fixed` of its boot.
    """
    return [_event(row, number, evse) for number, row in enumerate(sorted(rows, key=lambda row: row["seq"]))]


def _event(row: Row, number: int, evse: int) -> TransactionEvent:
    if row["at"] is None:
        raise ValueError(f"row {row['seq']} has no time yet; rebase it by the clock_fixed of boot {row['boot']}")
    ended = row["event"] == "ended"
    trigger, transaction = _ended(row) if ended else _under_way(row)
    event: TransactionEvent = {
        "eventType": "Ended" if ended else COURSE[row["event"]][0],
        "timestamp": row["at"],
        "triggerReason": trigger,
        "seqNo": number,
        "offline": row["offline"],
        "transactionInfo": {"transactionId": transaction_id(row["session_id"]), **transaction},
        "evse": {"id": evse, "connectorId": 1},
    }
    register = row.get("meter_stop_wh") if ended else _register(row)
    if register is not None:
        event["meterValue"] = [{"timestamp": row["at"], "sampledValue": [_sample(register, row["event"])]}]
    return event


def _under_way(row: Row) -> tuple[str, dict[str, Any]]:
    _, state, _ = COURSE[row["event"]]
    trigger = TRIGGER.get(row["event"]) or STARTED_BY.get(row["start_source"], STARTED_HERE)
    return trigger, {"chargingState": state, "timeSpentCharging": row["charging_s"]}


def _ended(row: Row) -> tuple[str, dict[str, Any]]:
    trigger, stopped = STOPPED.get(row["stop_reason"], OTHER)
    return trigger, {"stoppedReason": stopped, "timeSpentCharging": row["charging_s"]}


def _register(row: Row) -> int | None:
    start: int | None = row["meter_start_wh"]
    return None if start is None else start + int(row["energy_wh"])


def _sample(register: int, event: str) -> dict[str, Any]:
    context = "Transaction.End" if event == "ended" else COURSE[event][2]
    return {"value": register, "context": context, "measurand": "Energy.Active.Import.Register"}
