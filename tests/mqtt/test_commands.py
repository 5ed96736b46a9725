"""Commands are read strictly: in time, never retained, nothing in them unknown."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.contract.arguments import KNOWN, ResetArgs, StartArgs, StopArgs
from chargerd.contract.commands import Arrived, Incoming, Refusal, parse
from chargerd.contract.payloads import LARGEST
from chargerd.core.commands import Code, ReplyStatus
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import Instant

UNSET = Moment(instant=Instant(1000.0))
NTP = Moment(instant=Instant(1000.0), wall_ms=1_790_000_000_000, clock=ClockQuality.NTP)
SOON = "2026-09-21T14:13:50Z"  # 30 s after NTP's wall time


def arrived(
    name: str, body: Any, *, retained: bool = False, expiry: int | None = 20, now: Moment = UNSET
) -> Arrived:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Arrived(
        name=name, payload=payload, retained=retained, message_expiry=expiry, received=now, correlation=b"c"
    )


def start(**changes: Any) -> dict[str, Any]:
    return {"id": "c-1", "ttl_s": 30, "args": {"port": "A01"}, **changes}


def refused(found: Incoming | Refusal) -> Refusal:
    assert isinstance(found, Refusal), found
    return found


def taken(found: Incoming | Refusal) -> Incoming:
    assert isinstance(found, Incoming), found
    return found


def test_a_start_with_everything() -> None:
    args = {
        "port": "A01",
        "session_id": "S-1",
        "order_id": "Auftrag ü",
        "limits": {"power_w": 300, "current_a": 2.5, "duration_s": 60, "energy_wh": 10},
        "tariff_tiers_w": [100, 200.5],
    }
    found = taken(parse(arrived("start", start(args=args))))
    assert isinstance(found.args, StartArgs)
    assert found.args.limits is not None
    assert found.args.limits.power_w == 300
    assert found.expires == 1020.0, "what the broker says is left is less than the command's own time"
    assert found.correlation == b"c"
    assert len(found.digest) == 64


def test_stop_and_reset() -> None:
    stop = taken(parse(arrived("stop", start(args={"port": "A01", "force": True}))))
    assert isinstance(stop.args, StopArgs)
    assert stop.args.force
    reset = taken(parse(arrived("reset", start())))
    assert isinstance(reset.args, ResetArgs)


def test_the_digest_tells_bodies_apart_and_not_their_layout() -> None:
    first = taken(parse(arrived("start", start())))
    spaced = taken(parse(arrived("start", b'{ "args" : {"port":"A01"}, "ttl_s":30, "id":"c-1" }')))
    other = taken(parse(arrived("start", start(args={"port": "A02"}))))
    stop = taken(parse(arrived("stop", start())))
    assert first.digest == spaced.digest
    assert len({first.digest, other.digest, stop.digest}) == 3


PORT_AND_REASON = {"port": "A01", "reason": "a worn plug"}
OF_SESSION: dict[str, Any] = {"port": "A01", "session_id": "S-1"}
AT_SOON: dict[str, Any] = {"ttl_s": None, "expires_at": SOON}


def test_what_is_safe_needs_no_clock_and_what_may_be_is_decided_later() -> None:
    for name, args in (("disable", PORT_AND_REASON), ("update_limits", {**OF_SESSION, "limits": {"power_w": 5}})):
        assert taken(parse(arrived(name, start(**AT_SOON, args=args)))).expires is None


@pytest.mark.parametrize(
    ("name", "body", "code", "words"),
    [
        (
            "dance",
            start(),
            Code.UNSUPPORTED,
            f"knows {', '.join(sorted(KNOWN))}",
        ),
        ("start", start(args={"port": "A01", "limits": {"colour": 1}}), Code.UNSUPPORTED, "limits.colour"),
        ("start", start(colour=1), Code.UNSUPPORTED, "colour"),
        ("start", start(args={"port": "A01", "colour": 5}), Code.UNSUPPORTED, "colour"),
        ("start", start(args={}), Code.MALFORMED, "port"),
        ("start", start(args={"port": 1}), Code.MALFORMED, "port"),
        ("start", start(args={"port": "A01", "limits": {"power_w": -1}}), Code.MALFORMED, "power_w"),
        ("start", start(args={"port": "A01", "limits": {"power_w": 0}}), Code.MALFORMED, "power_w"),
        ("start", start(args={"port": "A01", "limits": {"power_w": True}}), Code.MALFORMED, "power_w"),
        ("start", start(args={"port": "A01", "tariff_tiers_w": [9, 9]}), Code.MALFORMED, "twice"),
        ("start", start(id=""), Code.MALFORMED, "id"),
        ("start", start(id="x" * 65), Code.MALFORMED, "id"),
        ("start", start(id="a\nb"), Code.MALFORMED, "id"),
        ("start", start(ttl_s=None), Code.MALFORMED, "exactly one"),
        ("start", start(expires_at=SOON), Code.MALFORMED, "exactly one"),
        ("start", start(ttl_s=61), Code.MALFORMED, "60 at most"),
        ("start", start(ttl_s=19), Code.MALFORMED, "Message Expiry"),
        ("stop", start(ttl_s=601), Code.MALFORMED, "600 at most"),
        ("start", start(ttl_s=None, expires_at="yesterday"), Code.MALFORMED, "RFC 3339"),
        ("start", start(ttl_s=None, expires_at="2026-09-21T14:13:50"), Code.MALFORMED, "with its zone"),
        ("start", start(ttl_s=None, expires_at="2026-02-30T14:13:50Z"), Code.MALFORMED, "RFC 3339"),
        ("start", start(ttl_s=0.5), Code.MALFORMED, "at least 1"),
        ("start", start(ttl_s=None, expires_at=SOON), Code.CLOCK_UNSYNCHRONISED, "use ttl_s"),
        ("reset", start(ttl_s=None, expires_at=SOON), Code.CLOCK_UNSYNCHRONISED, "use ttl_s"),
        ("enable", start(**AT_SOON, args=PORT_AND_REASON), Code.CLOCK_UNSYNCHRONISED, "use ttl_s"),
        ("enable", start(args={"port": "A01"}), Code.MALFORMED, "reason"),
        ("disable", start(args={"reason": "x"}), Code.MALFORMED, "exactly one"),
        ("disable", start(args={**PORT_AND_REASON, "circuit": "shed"}), Code.MALFORMED, "exactly one"),
        ("disable", start(args={**PORT_AND_REASON, "until": 5}), Code.UNSUPPORTED, "until"),
        ("update_limits", start(args={**OF_SESSION, "limits": {}}), Code.MALFORMED, "at least one"),
        ("update_limits", start(args=OF_SESSION), Code.MALFORMED, "limits"),
        ("update_limits", start(args={"port": "A01", "limits": {"power_w": 5}}), Code.MALFORMED, "session_id"),
        ("update_limits", start(args={**OF_SESSION, "limits": {"volts": 5}}), Code.UNSUPPORTED, "limits.volts"),
        ("update_limits", start(ttl_s=61, args=OF_SESSION), Code.MALFORMED, "limits"),
        ("start", start(args={"port": "A01", "full_stop": "no"}), Code.MALFORMED, "full_stop"),
        ("start", b"\xff", Code.MALFORMED, "not JSON"),
        ("start", b"[1]", Code.MALFORMED, "not a JSON object"),
        ("start", b'{"id": NaN}', Code.MALFORMED, "not JSON"),
        ("start", b"[" * 10_000, Code.MALFORMED, "not JSON"),
        ("start", b'{"id": "' + b"x" * LARGEST + b'"}', Code.MALFORMED, "larger"),
    ],
)
def test_what_is_refused_and_why(name: str, body: Any, code: Code, words: str) -> None:
    found = refused(parse(arrived(name, body)))
    assert found.code is code
    assert words in found.message
    assert found.status is ReplyStatus.REJECTED
    assert found.correlation == b"c"


def test_ttl_without_a_message_expiry_is_refused() -> None:
    assert refused(parse(arrived("start", start(), expiry=None))).code is Code.MALFORMED


def test_a_retained_command_is_refused_whatever_it_says() -> None:
    for name in ("start", "stop", "reset", "dance"):
        found = refused(parse(arrived(name, start(), retained=True)))
        assert found.code is Code.RETAINED
        assert found.id == "c-1"
        assert found.answer().port == "A01"


def test_absolute_expiry_needs_a_clock_and_holds() -> None:
    body = start(ttl_s=None, expires_at=SOON)
    assert taken(parse(arrived("start", body, now=NTP))).expires == 1030.0
    late = Moment(instant=Instant(1000.0), wall_ms=NTP.wall_ms and NTP.wall_ms + 31_000, clock=ClockQuality.RTC)
    found = refused(parse(arrived("start", body, now=late)))
    assert found.code is Code.EXPIRED
    assert found.status is ReplyStatus.EXPIRED
    early = Moment(instant=Instant(1000.0), wall_ms=NTP.wall_ms and NTP.wall_ms - 31_000, clock=ClockQuality.NTP)
    assert refused(parse(arrived("start", body, now=early))).code is Code.MALFORMED
    assert taken(parse(arrived("stop", body, now=early))).expires == 1061.0


def test_a_stop_runs_without_a_clock() -> None:
    assert taken(parse(arrived("stop", start(ttl_s=None, expires_at=SOON)))).expires is None


@pytest.mark.parametrize("off_ms", [-86_400_000, 31_000])
def test_a_clock_nobody_has_synchronised_stops_no_stop(off_ms: int) -> None:
    assert NTP.wall_ms is not None
    wrong = Moment(instant=Instant(1000.0), wall_ms=NTP.wall_ms + off_ms, clock=ClockQuality.RTC)
    body = {"id": "c-1", "expires_at": SOON, "args": {"port": "A01", "force": True}}
    assert taken(parse(arrived("stop", body, now=wrong))).expires is None
    late = Moment(instant=Instant(1000.0), wall_ms=NTP.wall_ms + 31_000, clock=ClockQuality.NTP)
    assert refused(parse(arrived("stop", body, now=late))).code is Code.EXPIRED
    right = Moment(instant=Instant(1000.0), wall_ms=NTP.wall_ms, clock=ClockQuality.RTC)
    assert taken(parse(arrived("stop", body, now=right))).expires == 1030.0


def test_a_message_without_a_readable_id_is_answered_with_none() -> None:
    found = refused(parse(arrived("start", {"id": 7})))
    assert found.id is None
    assert found.answer().command == ""
    assert found.answer().port is None


@given(st.binary(max_size=200))
def test_no_bytes_break_it(payload: bytes) -> None:
    assert isinstance(parse(arrived("start", payload)), Incoming | Refusal)


JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSONS, JSONS, JSONS, JSONS)
def test_no_json_breaks_it(number: object, ttl: object, args: object, more: object) -> None:
    for body in ({"id": number, "ttl_s": ttl, "args": args}, {**start(), "args": {"port": "A01", "limits": more}}):
        found = parse(arrived("start", body))
        assert isinstance(found, Incoming | Refusal)
        if isinstance(found, Incoming):
            assert found.expires is not None


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"c","ttl_s":30,"args":{"port":"A01","limits":{"energy_wh":5},"limits":{"energy_wh":50000}}}',
        b'{"id":"c","id":"d","ttl_s":30,"args":{"port":"A01"}}',
    ],
)
def test_a_name_given_twice_is_refused(body: bytes) -> None:
    assert refused(parse(arrived("start", body))).code is Code.MALFORMED


@pytest.mark.parametrize(
    "changes", [{"ttl_s": "30"}, {"ttl_s": True}, {"args": {"port": "A", "limits": {"power_w": "3"}}}]
)
def test_a_text_is_no_number(changes: dict[str, Any]) -> None:
    assert refused(parse(arrived("start", start(**changes), expiry=1))).code is Code.MALFORMED


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("start", {"id": "c-1", "args": {"port": "A01"}}, "give exactly one of expires_at and ttl_s"),
        (
            "update_limits",
            start(args={"port": "A01", "session_id": "S", "limits": {}}),
            "args.limits: name at least one limit",
        ),
        ("enable", start(args={"port": "A01"}), "args.reason is missing"),
        ("start", start(args=[]), "args must be an object"),
        ("start", start(args={"port": 7}), "args.port must be text"),
        ("start", start(args={"port": ""}), "args.port must not be empty"),
        ("start", start(args={"port": "tür"}), "args.port must be of printable ASCII characters"),
        (
            "start",
            start(args={"port": "A", "order_id": "x" * 257}),
            "args.order_id must have at most 256 characters",
        ),
        ("start", start(args={"port": "A", "limits": 5}), "args.limits must be an object"),
        ("start", start(args={"port": "A", "limits": {"power_w": 0}}), "args.limits.power_w must be above 0"),
        ("start", start(args={"port": "A", "limits": {"power_w": "5"}}), "args.limits.power_w must be a number"),
        ("start", start(args={"port": "A", "queue_s": 1e6}), "args.queue_s must be at most 36000"),
        ("start", start(args={"port": "A", "tariff_tiers_w": 5}), "args.tariff_tiers_w must be a list"),
        ("stop", start(args={"port": "A", "force": 1}), "args.force must be true or false"),
        ("replay", start(args={"stream": "S", "from": 1.5}), "args.from must be a whole number"),
        ("start", start(id="\u001b"), "id must be 1 to 64 printable ASCII characters, not framed by blanks"),
    ],
)
def test_what_is_malformed_is_said_plainly(name: str, body: dict[str, Any], message: str) -> None:
    found = refused(parse(arrived(name, body)))
    assert (found.code, found.message) == (Code.MALFORMED, message)


def test_what_clears_a_retained_command_is_told_apart_from_broken_json() -> None:
    assert refused(parse(arrived("start", b""))).message == "empty, which is no command and clears a retained one"


def test_bounds_of_tiers_come_in_any_order() -> None:
    found = taken(parse(arrived("start", start(args={"port": "A01", "tariff_tiers_w": [285, 150]}))))
    assert isinstance(found.args, StartArgs)
    assert found.args.tariff_tiers_w == [150, 285]
