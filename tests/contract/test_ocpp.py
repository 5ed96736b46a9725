"""A session's rows as OCPP 2.0.1 has them, against OCPP's own published schemas."""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from chargerd.contract.ocpp import LONGEST_ID, STOPPED, transaction_events, transaction_id
from chargerd.contract.payloads import OCPP_STATUS
from chargerd.core.session import StopReason
from chargerd.core.view import PortState

OCPP = importlib.util.find_spec("ocpp")
"""Ships OCPP's own schemas, in a folder for each version."""
EXAMPLES = Path(__file__).parents[2] / "docs" / "contract" / "examples"
AT = "2026-03-01T12:00:00.000Z"


@cache
def published(version: str, name: str) -> dict[str, Any]:
    assert OCPP is not None
    assert OCPP.origin is not None
    path = Path(OCPP.origin).parent / version / "schemas" / f"{name}.json"
    made: dict[str, Any] = json.loads(path.read_text("utf-8-sig"))
    return made


def row(name: str, seq: int, **change: Any) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    return {**made, "at": AT, "clock": "ntp", "seq": seq, **change}


def checked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    events = transaction_events(rows, evse=3)
    for event in events:
        jsonschema.validate(event, published("v201", "TransactionEventRequest"))
    return events


@pytest.mark.parametrize("reason", list(StopReason))
def test_a_settlement_is_the_end_of_a_transaction(reason: StopReason) -> None:
    [event] = checked([row("ended", 7, stop_reason=reason.value, offline=True)])
    trigger, stopped = STOPPED.get(reason, ("AbnormalCondition", "Other"))
    assert event["eventType"] == "Ended"
    assert event["offline"] is True
    assert event["triggerReason"] == trigger
    assert event["transactionInfo"]["stoppedReason"] == stopped


def by_the_file(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a backend makes of rows that has the file and nothing else."""
    told = json.loads((EXAMPLES.parent / "ocpp.json").read_text("utf-8"))

    def listed(field: str, row: dict[str, Any]) -> Any:
        return told[field].get(row[field], told[field]["other"])

    made = []
    for number, row in enumerate(rows):
        event = told["event"][row["event"]]
        ended = row["event"] == "ended"
        one: dict[str, Any] = {
            "eventType": event["eventType"],
            "seqNo": number,
            "evse": {"id": 3, "connectorId": 1},
        }
        if ended:
            stopped = listed("stop_reason", row)
            one["triggerReason"] = stopped["triggerReason"]
            one["transactionInfo"] = {"stoppedReason": stopped["stoppedReason"]}
        else:
            trigger = event["triggerReason"]
            one["triggerReason"] = listed("start_source", row) if trigger == "by start_source" else trigger
            one["transactionInfo"] = {"chargingState": event["chargingState"]}
        for path, field in told["fields"].items():
            part, _, name = path.rpartition(".")
            (one[part] if part else one)[name] = row[field]
        register = row["meter_stop_wh"] if ended else row["meter_start_wh"] + row["energy_wh"]
        sample = {"value": register, "context": event["context"], "measurand": "Energy.Active.Import.Register"}
        made.append({**one, "meterValue": [{"timestamp": row["at"], "sampledValue": [sample]}]})
    return made


@pytest.mark.parametrize("reason", [*StopReason, "of_a_later_version"])
def test_the_file_says_the_same_to_a_backend_in_another_language(reason: str) -> None:
    course = [
        row("session", seq, event=name, start_source=source)
        for seq, name, source in (
            (5, "started", "remote"),
            (6, "updated", "local"),
            (7, "suspended", "remote"),
            (8, "resumed", "remote"),
            (9, "started", "local"),
            (10, "started", "of_a_later_version"),
        )
    ]
    rows = [*course, row("ended", 99, session_id="S-2026-000017", stop_reason=str(reason))]
    assert by_the_file(rows) == checked(rows)


def test_the_file_names_the_states_as_ports_do() -> None:
    told = json.loads((EXAMPLES.parent / "ocpp.json").read_text("utf-8"))
    assert told["state"] == {state.value: status.value for state, status in OCPP_STATUS.items()}


def test_a_reason_of_a_later_version_is_other() -> None:
    [event] = checked([row("ended", 7, stop_reason="of_a_later_version")])
    assert event["transactionInfo"]["stoppedReason"] == "Other"


def test_a_whole_session_counts_within_its_transaction() -> None:
    course = [
        row("session", seq, event=name)
        for seq, name in enumerate(("started", "updated", "suspended", "resumed"), 5)
    ]
    events = checked([row("ended", 99, session_id="S-2026-000017"), *course])
    assert [event["seqNo"] for event in events] == [0, 1, 2, 3, 4]
    assert [event["eventType"] for event in events] == ["Started", "Updated", "Updated", "Updated", "Ended"]
    assert len({event["transactionInfo"]["transactionId"] for event in events}) == 1
    assert events[2]["transactionInfo"]["chargingState"] == "SuspendedEVSE"


def test_who_started_it_is_told() -> None:
    [remote] = checked([row("session", 1, event="started", start_source="remote")])
    [local] = checked([row("session", 1, event="started", start_source="local")])
    assert (remote["triggerReason"], local["triggerReason"]) == ("RemoteStart", "Authorized")


def test_a_register_that_is_not_known_is_left_out() -> None:
    [event] = checked([row("ended", 1, meter_stop_wh=None)])
    assert "meterValue" not in event
    [event] = checked([row("session", 1, meter_start_wh=None)])
    assert "meterValue" not in event


def test_a_row_without_a_time_is_refused_with_the_way_to_one() -> None:
    with pytest.raises(ValueError, match="rebase it by the clock_fixed of boot 1"):
        transaction_events([row("ended", 1, at=None, clock="none", boot=1)], evse=1)


def test_a_long_session_id_gets_a_short_one_that_stays() -> None:
    long = "x" * (LONGEST_ID + 1)
    assert transaction_id("x" * LONGEST_ID) == "x" * LONGEST_ID
    assert transaction_id(long) == transaction_id(long) != transaction_id(long + "x")
    assert len(transaction_id(long)) <= LONGEST_ID


def test_every_ocpp_status_is_one_of_ocpp_s() -> None:
    statuses = published("v16", "StatusNotification")["properties"]["status"]["enum"]
    assert set(OCPP_STATUS) == set(PortState)
    assert {status.value for status in OCPP_STATUS.values()} <= set(statuses)
