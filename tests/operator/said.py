"""What gateways say, made up."""

import json
from typing import Any

from chargerd.operator.messages import Message

GATEWAY = "shed-1"
STREAM = "s"
AT = 1_790_000_000.0
"""Seconds since 1970, when nothing else is said."""
STAMP = {"boot": 1, "up_ms": 1000}


def heard(level: str, body: dict[str, Any], gateway: str = GATEWAY, expires_s: float | None = None) -> Message:
    return Message(gateway, level, {"gateway": gateway, **body}, expires_s)


def row(seq: int, event: str = "port_tripped", **more: Any) -> dict[str, Any]:
    stood = {"stream": STREAM, "seq": seq, "gateway": GATEWAY, "event": event, "severity": "alarm", "port": "A01"}
    return {**stood, "at": None, "boot": 1, "up_ms": 5000, "reason": None, **more}


def under_way(seq: int, event: str = "started", session: str = "S-1", **more: Any) -> dict[str, Any]:
    body = row(seq, event, session_id=session, order_id=None, started_at=None, start_source="remote")
    return {**body, "charging_s": 0, "suspended_s": 0, "energy_wh": 0, **more}


def ended(seq: int, session: str = "S-1", **more: Any) -> dict[str, Any]:
    body = row(seq, "ended", session_id=session, order_id=None, started_at=None, ended_at=None)
    figures = {
        "energy_wh": 120,
        "charging_s": 3600,
        "suspended_s": 0,
        "energy_quality": "exact",
        "peak_power_w": 180.0,
    }
    tiers = [{"up_to_w": None, "charging_s": 3600, "energy_wh": 120}]
    ends = {"started": STAMP, "ended": {"boot": 1, "up_ms": 3_601_000}}
    told = {"stop_reason": "full", "start_source": "remote", "tiers": tiers}
    return {**body, **figures, **ends, **told, **more}


def presence(last: int, *, first: int = 1, status: str = "online", conn: int = 1) -> dict[str, Any]:
    stood = {"stream": STREAM, "first": first, "last": last}
    told = stood if status == "online" else None  # A last will was written when the connection was made.
    return {"status": status, "conn": conn, "ledger": told, "gateway": GATEWAY}


def state(port: str = "A01", state: str = "available", **more: Any) -> dict[str, Any]:
    reading = {"power_w": None, "energy_wh": 71510}
    body = {"port": port, "label": port, "circuit": "shed", "state": state, "relay_closed": False, "boot": 1}
    body |= {
        "up_ms": 1000,
        "session_id": None,
        "reading": reading,
        "session": None,
        "blocked_by": [],
        "latches": [],
    }
    body |= {"limits": {"duration_s": 36000.0, "energy_wh": None}, "disabled": None, "queue_position": None}
    return {**body, **more}


def charging(named: str, *, power_w: float | None = 150.0, **more: Any) -> dict[str, Any]:
    so_far = {"charging_s": 60.0, "energy_wh": 3, "suspended_by": None}
    told = {
        "state": "charging",
        "relay_closed": True,
        "session_id": named,
        "blocked_by": ["busy"],
        "session": so_far,
    }
    return state("A01", **{**told, "reading": {"power_w": power_w, "energy_wh": 71513}, **more})


def payload(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()
