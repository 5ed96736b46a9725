"""What the ledger says of the gateway's comings and goings."""

import pytest

from chargerd.contract.ledger import Body, Recovery
from chargerd.contract.payloads import EventBody, Severity
from chargerd.runtime.reporting import starts


def recovery(count: int, newest: Body | None) -> Recovery:
    return Recovery(boot=1, stream="s", starts=count, newest=newest)


@pytest.mark.parametrize(
    ("count", "newest", "reason", "severity"),
    [
        (1, None, "first_start", Severity.INFO),
        (2, {"event": starts.STOPPED}, "stopped", Severity.INFO),
        (2, {"event": starts.FAILED}, "failed", Severity.WARNING),
        (2, {"event": "updated"}, "interrupted", Severity.WARNING),
        (2, None, "interrupted", Severity.WARNING),
    ],
)
def test_a_start_says_how_it_ended_before(
    count: int, newest: Body | None, reason: str, severity: Severity
) -> None:
    event = starts.started(recovery(count, newest), version="1.2.3", configuration="abc", interrupted=2)
    assert event == EventBody(
        event="gateway_started",
        severity=severity,
        reason=reason,
        version="1.2.3",
        configuration="abc",
        sessions_interrupted=2,
    )


@pytest.mark.parametrize(
    ("count", "newest", "cut"),
    [
        (1, None, False),
        (2, {"event": starts.STOPPED}, False),
        (2, {"event": starts.FAILED}, True),
        (2, {"event": "ended"}, True),
    ],
)
def test_only_an_orderly_end_hands_over_all_it_has_to_say(count: int, newest: Body | None, cut: bool) -> None:
    assert starts.cut_off(recovery(count, newest)) is cut


def test_an_end_says_whether_it_was_meant() -> None:
    for how in ("restart", "shutdown"):
        assert starts.stopped(how) == EventBody(event="gateway_stopped", severity=Severity.INFO, reason=how)
    assert starts.failed("hung: bus line") == EventBody(
        event="gateway_failed", severity=Severity.ALARM, reason="hung: bus line"
    )
