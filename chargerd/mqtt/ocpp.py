"""What a session's rows of the ledger are in OCPP 2.0.1, for a backend that speaks it to a central system."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from uuid import NAMESPACE_OID, uuid5

from chargerd.core.session import StopReason

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
COURSE: Mapping[str, tuple[str, str]] = {
    "started": ("Started", "Charging"),
    "updated": ("Updated", "Charging"),
    "suspended": ("Updated", "SuspendedEVSE"),
    "resumed": ("Updated", "Charging"),
}
"""OCPP's `eventType` and `chargingState`."""


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
    _, state = COURSE[row["event"]]
    if row["event"] == "started":
        trigger = "RemoteStart" if row["start_source"] == "remote" else "Authorized"
    else:
        trigger = "MeterValuePeriodic" if row["event"] == "updated" else "ChargingStateChanged"
    return trigger, {"chargingState": state, "timeSpentCharging": row["charging_s"]}


def _ended(row: Row) -> tuple[str, dict[str, Any]]:
    known = {reason.value: reason for reason in STOPPED}
    reason = known.get(row["stop_reason"])
    trigger, stopped = ("AbnormalCondition", "Other") if reason is None else STOPPED[reason]
    return trigger, {"stoppedReason": stopped, "timeSpentCharging": row["charging_s"]}


def _register(row: Row) -> int | None:
    start: int | None = row["meter_start_wh"]
    return None if start is None else start + int(row["energy_wh"])


def _sample(register: int, event: str) -> dict[str, Any]:
    context = {"started": "Transaction.Begin", "ended": "Transaction.End"}.get(event, "Sample.Periodic")
    return {"value": register, "context": context, "measurand": "Energy.Active.Import.Register"}
