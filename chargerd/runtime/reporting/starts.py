"""What the ledger says of the gateway's own comings and goings: that it started, and how it had ended before."""

from typing import Final

from chargerd.contract.ledger import Recovery
from chargerd.contract.payloads import EventBody, Severity

STARTED: Final = "gateway_started"
STOPPED: Final = "gateway_stopped"
FAILED: Final = "gateway_failed"


def ended_before(recovery: Recovery) -> str:
    """Return how the process before this one ended, told by the newest row of the ledger.

    `first_start` where there was none, `stopped` in order, `failed` by its own decision, else `interrupted`: a
    power cut, or a kill.
    """
    if recovery.starts <= 1:
        return "first_start"
    event = None if recovery.newest is None else recovery.newest.get("event")
    return {STOPPED: "stopped", FAILED: "failed"}.get(str(event), "interrupted")


def cut_off(recovery: Recovery) -> bool:
    """Say whether the process before this one had no time to hand over what it had to say."""
    return ended_before(recovery) in {"interrupted", "failed"}


def started(recovery: Recovery, *, version: str, configuration: str, interrupted: int) -> EventBody:
    """Return the event of a start: how the process before it ended, and how many sessions that cut short."""
    before = ended_before(recovery)
    usual = before in {"first_start", "stopped"}
    return EventBody(
        event=STARTED,
        severity=Severity.INFO if usual else Severity.WARNING,
        reason=before,
        version=version,
        configuration=configuration,
        sessions_interrupted=interrupted,
    )


def stopped(how: str) -> EventBody:
    """Return the event of an orderly end; it is the process's last row. `how`: what becomes of the sessions."""
    return EventBody(event=STOPPED, severity=Severity.INFO, reason=how)


def failed(reason: str) -> EventBody:
    """Return the event of an end that nobody foresaw."""
    return EventBody(event=FAILED, severity=Severity.ALARM, reason=reason)
