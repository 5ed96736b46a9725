"""From facts and views to the contract's payloads."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.contract import bodies, parts, session_bodies
from chargerd.contract.ledger import Json, LedgerRow, RowKind
from chargerd.contract.payloads import (
    LARGEST,
    OCPP_STATUS,
    PortStateBody,
    RelayBody,
    SettlementBody,
    Severity,
)
from chargerd.core.commands import Answer, Code, ReplyStatus
from chargerd.core.facts import (
    BoardFlapping,
    BoardNotPrepared,
    BoardReturned,
    BoardWentSilent,
    CircuitShed,
    CircuitTripped,
    EnergyEstimated,
    Fact,
    ForeignAnswers,
    InputsBack,
    InputsFlapping,
    InputsLost,
    InputTripped,
    LatchesCleared,
    LineChanged,
    LineRestored,
    MeterFrozen,
    PortAlarm,
    PortDisabled,
    PortEnabled,
    PortLocked,
    PortLockedOut,
    PortReserved,
    PortTemperatureHigh,
    PortTripped,
    PortUnlocked,
    PowerJumped,
    PowerNegative,
    ReadingImplausible,
    RelayNotReconciled,
    RelayOpenCircuit,
    RelayUnconfirmed,
    RelayUnexpected,
    ReservationEnded,
    SessionEnded,
    SessionResumed,
    SessionStarted,
    SessionSuspended,
    SessionUpdated,
    StoreFailed,
    StoreFlapping,
    StoreRecovered,
    WiringSuspect,
)
from chargerd.core.metering.seen import Measured
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.plan import Limits
from chargerd.core.session import (
    Clearing,
    Disabled,
    EnergyQuality,
    Interruption,
    Latch,
    Order,
    Reservation,
    SessionRecord,
    Settlement,
    Source,
    StopDetail,
    StopReason,
    Tier,
)
from chargerd.core.stance import NOWHERE, Known, Stance
from chargerd.core.units import (
    Amps,
    BoardId,
    Celsius,
    CircuitId,
    CommandId,
    Instant,
    PortId,
    Seconds,
    SessionId,
    Volts,
    WattHours,
    Watts,
)
from chargerd.core.view import PortState, PortView
from tests.judging import every

PORT = PortId("A01")
BEGAN_MS = 1_790_000_000_123
BEGAN = Moment(instant=Instant(100.0), boot=3, wall_ms=BEGAN_MS, clock=ClockQuality.NTP)
NOW = Moment(instant=Instant(460.5), boot=3, wall_ms=1_790_000_360_623, clock=ClockQuality.NTP)
UNSET = Moment(instant=Instant(460.5), boot=3)
ORDER = Order(session=SessionId("S"), port=PORT, limits=Limits(energy=WattHours(500)), order="o")
RESERVATION = Reservation(session=SessionId("S"), since=BEGAN, lasts=Seconds(600.0))
DETAIL = StopDetail(function="overcurrent_instant", measured=9.12345, limit=7.5, unit="a")
LATCH = Latch(port=PORT, function="overcurrent_instant", clearing=Clearing.REMOTE, detail=DETAIL)
RECORD = SessionRecord(
    order=ORDER,
    started=BEGAN,
    at=NOW,
    meter_start=WattHours(1000.4),
    last_register=WattHours(1010.0),
    energy=WattHours(10.4),
    charging=Seconds(300.2),
    suspended=Seconds(20.0),
    peak_power=Watts(160.04),
    peak_power_first_5_min=Watts(150.0),
    tiers=(
        Tier(up_to=Watts(100), charging=Seconds(100.1), energy=WattHours(3.4)),
        Tier(up_to=None, charging=Seconds(200.1), energy=WattHours(7.0)),
    ),
    interruptions=(
        Interruption(since=BEGAN, until=NOW, reason="meter_stale"),
        Interruption(since=UNSET, until=None, reason="relay_board_lost"),
    ),
)


def settled(**changes: Any) -> SettlementBody:
    values: dict[str, Any] = {"record": RECORD, "ended": NOW, "reason": StopReason.OVERCURRENT, "detail": DETAIL}
    return session_bodies.settlement(Settlement(**{**values, **changes}))


def test_a_settlement_in_the_contracts_words() -> None:
    body = bodies.plain(settled(meter_stop=WattHours(1010.6)))
    assert body["started_at"] == "2026-09-21T14:13:20.123Z"
    assert body["ended_at"] == "2026-09-21T14:19:20.623Z"
    assert body["started"] == {"boot": 3, "up_ms": 100_000}
    assert (body["duration_s"], body["charging_s"], body["suspended_s"]) == (320, 300, 20)
    assert body["energy_wh"] == 10
    assert (body["meter_start_wh"], body["meter_stop_wh"]) == (1000, 1011)
    assert body["mean_power_w"] == pytest.approx(124.7)
    assert body["stop_reason"] == "overcurrent"
    assert body["stop_detail"] == {
        "function": "overcurrent_instant",
        "measured": 9.123,
        "limit": 7.5,
        "unit": "a",
    }
    tiers = body["tiers"]
    assert isinstance(tiers, list)
    assert tiers == [
        {"up_to_w": 100.0, "charging_s": 100, "energy_wh": 3},
        {"up_to_w": None, "charging_s": 200, "energy_wh": 7},
    ]
    assert body["interruptions"] == [
        {
            "from": "2026-09-21T14:13:20.123Z",
            "to": "2026-09-21T14:19:20.623Z",
            "reason": "meter_stale",
            "began": {"boot": 3, "up_ms": 100_000},
            "ended": body["ended"],
        },
        {
            "from": None,
            "to": None,
            "reason": "relay_board_lost",
            "began": {"boot": UNSET.boot, "up_ms": round(UNSET.instant * 1000)},
            "ended": None,
        },
    ]
    assert body["order_id"] == "o"
    assert body["limits"] == {"current_a": 5.0, "power_w": 1000.0, "duration_s": 36000.0, "energy_wh": 500.0}


def test_times_are_null_exactly_while_nothing_vouches_for_the_clock() -> None:
    body = settled(ended=UNSET)
    assert body.ended_at is None
    assert body.started_at is not None


@pytest.mark.parametrize(
    "ended",
    [
        UNSET,
        replace(NOW, wall_ms=BEGAN_MS - 86_400_000),
        Moment(instant=Instant(5.0), boot=4),
        Moment(instant=Instant(5.0), boot=4, wall_ms=BEGAN_MS + 10**9, clock=ClockQuality.RTC),
    ],
)
def test_a_length_is_what_was_counted_whatever_clocks_and_boots_say(ended: Moment) -> None:
    assert settled(ended=ended).duration_s == 320


@given(charging=st.floats(0, 1e5), suspended=st.floats(0, 1e5))
def test_a_length_is_the_sum_of_its_parts_to_the_second(charging: float, suspended: float) -> None:
    body = settled(record=replace(RECORD, charging=Seconds(charging), suspended=Seconds(suspended)))
    assert body.duration_s == body.charging_s + body.suspended_s
    assert sum(tier.charging_s for tier in body.tiers) == body.charging_s


@pytest.mark.parametrize("many", [0, 1, 39, 40, 41, 500])
def test_a_settlement_fits_into_a_message_however_often_it_was_interrupted(many: int) -> None:
    late = replace(BEGAN, boot=12_345, instant=Instant(98_765_432.1))
    spans = tuple(
        Interruption(
            since=replace(late, wall_ms=1_790_000_000_000 + 2000 * number),
            until=replace(late, wall_ms=1_790_000_001_000 + 2000 * number),
            reason="relay_unconfirmed",
        )
        for number in range(many)
    )
    body = bodies.plain(settled(record=replace(RECORD, interruptions=spans)))
    assert len(json.dumps(body)) < LARGEST - 2000, "with room for its envelope and long names"
    told = body["interruptions"]
    assert isinstance(told, list)
    assert len(told) == min(many, 40)
    if many > 40:
        first, last = told[0], told[-1]
        assert isinstance(first, dict)
        assert isinstance(last, dict)
        assert first["reason"] == "several"
        assert (first["from"], first["to"]) == (
            parts.stamp(spans[0].since),
            parts.stamp(spans[many - 40].until or UNSET),
        )
        assert last["from"] == parts.stamp(spans[-1].since)


def test_nothing_drawn_is_said_as_such() -> None:
    empty = SessionRecord(order=ORDER, started=BEGAN, at=BEGAN)
    body = settled(record=empty, quality=EnergyQuality.ESTIMATED, quality_reason="interrupted")
    assert body.mean_power_w is None
    assert body.tiers == ()
    assert body.meter_start_wh is None
    assert body.energy_quality is EnergyQuality.ESTIMATED


@given(
    st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=12),
    st.integers(min_value=0, max_value=10**6),
)
def test_tiers_always_sum_to_the_total(parts: list[float], total: int) -> None:
    shares = session_bodies.apportion(parts, total)
    assert sum(shares) == total
    assert every(share >= 0 for share in shares)
    whole = sum(parts)
    if whole > 0:
        assert every(abs(share - part * total / whole) <= 1 for share, part in zip(shares, parts, strict=True))


LOCK = Disabled(holder=PortId("lock/A01"), source=Source.LOCAL, reason="a new socket", since=NOW, by="Ada")


DISABLED = Disabled(holder=PORT, source=Source.LOCAL, reason="a worn plug", since=BEGAN)
FACTS: list[tuple[Fact, str, dict[str, Any]]] = [
    (SessionStarted(record=RECORD), "session", {"event": "started", "energy_wh": 10, "reason": None}),
    (SessionUpdated(record=RECORD), "session", {"event": "updated"}),
    (SessionResumed(record=RECORD), "session", {"event": "resumed"}),
    (
        SessionSuspended(record=RECORD, reason="meter_stale", detail=DETAIL),
        "session",
        {"event": "suspended", "reason": "meter_stale"},
    ),
    (
        SessionEnded(settlement=Settlement(record=RECORD, ended=NOW, reason=StopReason.REMOTE)),
        "session",
        {"event": "ended", "stop_reason": "remote"},
    ),
    (
        PortTripped(port=PORT, function="overpower", detail=DETAIL, session=SessionId("S"), latch=LATCH),
        "event",
        {"event": "port_tripped", "severity": "alarm", "port": "A01", "session_id": "S"},
    ),
    (PortTripped(port=PORT, function="overpower", detail=DETAIL), "event", {"latch": None}),
    (
        PortTemperatureHigh(port=PORT, detail=DETAIL),
        "event",
        {"event": "port_temperature_high", "severity": "warning"},
    ),
    (
        ForeignAnswers(board=BoardId("meter")),
        "event",
        {"event": "foreign_answers", "severity": "warning", "board": "meter"},
    ),
    (
        LineChanged(line="line-a", board=BoardId("meter")),
        "event",
        {"event": "line_changed", "severity": "alarm", "bus": "line-a", "board": "meter"},
    ),
    (
        BoardNotPrepared(board=BoardId("relay"), kind="poll timeout"),
        "event",
        {"event": "board_not_prepared", "board": "relay", "reason": "poll timeout"},
    ),
    (
        PortLockedOut(port=PORT, latch=LATCH),
        "event",
        {"event": "port_locked_out", "function": "overcurrent_instant"},
    ),
    (
        LatchesCleared(port=PORT, functions=("a", "b"), source=Source.LOCAL, reason="looked"),
        "event",
        {"event": "latches_cleared", "functions": ["a", "b"], "source": "local", "reason": "looked"},
    ),
    (RelayUnexpected(port=PORT), "event", {"event": "relay_unexpected", "severity": "alarm", "port": "A01"}),
    (
        WiringSuspect(ports=(PORT, PortId("A02")), detail=StopDetail(function="wiring_suspect", measured=900.0)),
        "event",
        {"event": "wiring_suspect", "severity": "alarm", "port": None, "ports": ["A01", "A02"]},
    ),
    (
        RelayUnconfirmed(port=PORT, board=BoardId("r")),
        "event",
        {"event": "relay_unconfirmed", "severity": "alarm"},
    ),
    (RelayNotReconciled(port=PORT, board=BoardId("r")), "event", {"event": "relay_not_reconciled", "board": "r"}),
    (BoardWentSilent(board=BoardId("r"), kind="timeout"), "event", {"event": "board_lost", "reason": "timeout"}),
    (
        BoardFlapping(board=BoardId("r"), detail=StopDetail(function="flapping", measured=12.0)),
        "event",
        {"event": "board_flapping", "severity": "warning", "board": "r"},
    ),
    (
        StoreFlapping(detail=StopDetail(function="flapping", measured=3.0)),
        "event",
        {"event": "store_flapping", "severity": "alarm"},
    ),
    (BoardReturned(board=BoardId("r")), "event", {"event": "board_back", "severity": "info"}),
    (StoreFailed(), "event", {"event": "store_failed", "severity": "alarm"}),
    (StoreRecovered(), "event", {"event": "store_recovered"}),
    (
        PortDisabled(port=PORT, disabled=DISABLED, reason="a worn plug"),
        "event",
        {"event": "port_disabled", "port": PORT, "severity": "info", "source": "local", "reason": "a worn plug"},
    ),
    (
        PortEnabled(
            port=PortId("circuit/shed"), circuit=CircuitId("shed"), source=Source.REMOTE, reason="inspected"
        ),
        "event",
        {"event": "circuit_enabled", "port": None, "circuit": "shed", "source": "remote", "reason": "inspected"},
    ),
    (
        PortLocked(port=PORT, lock=LOCK),
        "event",
        {"event": "port_locked", "port": PORT, "severity": "warning", "by": "Ada", "reason": "a new socket"},
    ),
    (
        PortUnlocked(port=PortId("circuit/shed"), circuit=CircuitId("shed"), lock=LOCK, by="Bob"),
        "event",
        {
            "event": "circuit_unlocked",
            "port": None,
            "circuit": "shed",
            "source": "local",
            "by": "Bob",
            "reason": "was: Ada, a new socket",
        },
    ),
    (
        PortReserved(port=PORT, session=SessionId("S"), until=RESERVATION.until),
        "event",
        {
            "event": "port_reserved",
            "severity": "info",
            "session_id": "S",
            "expires_at": "2026-09-21T14:23:20.123Z",
        },
    ),
    (
        PortReserved(port=PORT, session=SessionId("S"), until=UNSET),
        "event",
        {"event": "port_reserved", "expires_at": None},
    ),
    (
        ReservationEnded(port=PORT, session=SessionId("S"), kind="expired"),
        "event",
        {"event": "reservation_ended", "severity": "info", "port": PORT, "session_id": "S", "reason": "expired"},
    ),
    (RelayOpenCircuit(port=PORT), "event", {"event": "relay_open_circuit", "severity": "warning", "port": "A01"}),
    (MeterFrozen(port=PORT, detail=DETAIL), "event", {"event": "meter_frozen", "severity": "warning"}),
    (
        PortAlarm(port=PORT, detail=DETAIL, session=SessionId("S")),
        "event",
        {"event": "port_alarm", "severity": "warning", "function": "overcurrent_instant"},
    ),
    (
        PowerJumped(port=PORT, detail=DETAIL, session=SessionId("S")),
        "event",
        {"event": "power_jumped", "severity": "warning", "session_id": "S"},
    ),
    (PowerNegative(port=PORT, detail=DETAIL), "event", {"event": "power_negative", "severity": "warning"}),
    (
        ReadingImplausible(port=PORT, kind="current", detail=DETAIL),
        "event",
        {"event": "reading_implausible", "severity": "warning", "reason": "current"},
    ),
    (
        EnergyEstimated(port=PORT, kind="register_behind", session=SessionId("S")),
        "event",
        {"event": "energy_estimated", "severity": "warning", "reason": "register_behind", "session_id": "S"},
    ),
    (
        InputTripped(input="smoke", circuit=CircuitId("shed"), function="smoke", latch=LATCH),
        "event",
        {"event": "input_tripped", "severity": "alarm", "input": "smoke", "circuit": "shed", "function": "smoke"},
    ),
    (
        InputsLost(board=BoardId("r"), circuits=(CircuitId("shed"),)),
        "event",
        {"event": "inputs_lost", "severity": "alarm", "board": "r", "circuits": ["shed"]},
    ),
    (
        InputsBack(board=BoardId("r"), circuits=(CircuitId("shed"),)),
        "event",
        {"event": "inputs_back", "severity": "info", "circuits": ["shed"]},
    ),
    (
        InputsFlapping(board=BoardId("r"), circuits=(CircuitId("shed"),), detail=DETAIL),
        "event",
        {"event": "inputs_flapping", "severity": "alarm", "circuits": ["shed"]},
    ),
    (
        CircuitShed(circuit=CircuitId("shed"), port=PORT, detail=DETAIL),
        "event",
        {"event": "circuit_shed", "severity": "warning", "circuit": "shed", "port": "A01"},
    ),
    (
        CircuitTripped(circuit=CircuitId("shed"), function="contactor", latch=LATCH),
        "event",
        {"event": "circuit_tripped", "severity": "alarm", "circuit": "shed", "function": "contactor"},
    ),
    (
        LineRestored(line="line-a", kind="itself"),
        "event",
        {"event": "line_restored", "severity": "info", "bus": "line-a", "reason": "itself"},
    ),
]


class Asked(dict[str, Severity]):
    """Severities, and for which events one was looked up in vain."""

    def __init__(self, known: Mapping[str, Severity]) -> None:
        super().__init__(known)
        self.vain: list[str] = []

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self.vain.append(name)
        return super().get(name, default)


def test_each_fact_there_is_has_its_row_and_its_severity(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {type(fact) for fact, _, _ in FACTS}
    missing = [
        f"{fact.__name__} has no row in FACTS of tests/mqtt/test_bodies.py"
        for fact in get_args(Fact)
        if fact not in known
    ]
    severities = Asked(bodies.SEVERITY)
    monkeypatch.setattr(bodies, "SEVERITY", severities)
    for fact, _, _ in FACTS:
        bodies.ledger_entry(fact, NOW, offline=False)
    missing += [f"`{name}` has no severity in SEVERITY of chargerd/contract/bodies.py" for name in severities.vain]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize(("fact", "kind", "expected"), FACTS, ids=lambda value: type(value).__name__)
def test_every_fact_has_its_row(fact: Fact, kind: str, expected: dict[str, Any]) -> None:
    entry = bodies.ledger_entry(fact, NOW, offline=True)
    assert entry.kind.value == kind
    assert entry.settlement is isinstance(fact, SessionEnded)
    assert "digest" not in entry.body, "the digest is the journal's to give"
    for name, value in expected.items():
        assert entry.body[name] == value
    assert entry.offline


def test_a_port_that_is_free_but_for_one_session_has_a_status_of_its_own() -> None:
    free = view(state=PortState.AVAILABLE, session=None, latches=(), reservation=RESERVATION)
    told = bodies.port_state(free, now=NOW)
    assert told.ocpp_status.value == "Reserved"
    assert told.reservation is not None
    assert bodies.plain(told.reservation) == {
        "session_id": "S",
        "ttl_s": 600.0,
        "since": "2026-09-21T14:13:20.123Z",
        "since_up_ms": 100_000,
    }
    assert bodies.port_state(replace(free, state=PortState.DISABLED), now=NOW).ocpp_status.value == "Unavailable"
    assert bodies.port_state(replace(free, reservation=None), now=NOW).ocpp_status.value == "Available"


def test_a_session_is_no_event() -> None:
    with pytest.raises(KeyError):
        bodies.event(SessionStarted(record=RECORD))


def test_a_row_is_wrapped_with_its_own_stamps() -> None:
    row = LedgerRow(stream="s", seq=7, kind=RowKind.EVENT, body={"event": "x"}, moment=UNSET, offline=False)
    assert bodies.ledger_payload("gw", row) == {
        "gateway": "gw",
        "at": None,
        "clock": "none",
        "boot": 3,
        "up_ms": 460_500,
        "stream": "s",
        "seq": 7,
        "offline": False,
        "event": "x",
    }


@pytest.mark.parametrize(("holder", "circuit"), [("lock/A01", None), ("lock/circuit/shed", "shed")])
def test_a_lock_says_whose_it_is_and_where_it_hangs(holder: str, circuit: str | None) -> None:
    lock = replace(LOCK, holder=PortId(holder))
    told = bodies.plain(bodies.port_state(view(lock=lock), now=NOW))["lock"]
    assert told == {"by": "Ada", "reason": "a new socket", "since": parts.stamp(NOW), "circuit": circuit}
    assert bodies.plain(bodies.port_state(view(), now=NOW))["lock"] is None


def view(**changes: Any) -> PortView:
    values: dict[str, Any] = {
        "id": PORT,
        "label": "wall",
        "circuit": CircuitId("shed"),
        "board": BoardId("r"),
        "state": PortState.CHARGING,
        "since": BEGAN,
        "relay_closed": True,
        "limits": Limits(),
        "measured": Measured(
            current=Amps(1.23456),
            power=Watts(151.44),
            voltage=Volts(230.04),
            energy=WattHours(1010.6),
            energy_at=Instant(400.5),
            at=Instant(460.0),
            fresh=True,
        ),
        "latches": (LATCH,),
        "blocked_by": (Code.BUSY,),
        "session": RECORD,
        "relay": Stance(closed=True, known=Known.READ_BACK, read_at=Instant(459.5)),
    }
    return PortView(**{**values, **changes})


def test_a_state_says_why_a_session_is_suspended_for_as_long_as_it_is() -> None:
    over = Interruption(since=BEGAN, until=NOW, reason="meter_stale")
    for interruptions, said in (
        ((), None),
        ((over,), None),
        ((over, Interruption(since=NOW, until=None, reason="undervoltage")), "undervoltage"),
    ):
        record = replace(RECORD, interruptions=interruptions)
        told = bodies.port_state(view(session=record), now=NOW).session
        assert told is not None
        assert told.suspended_by == said


def test_a_ports_state() -> None:
    body = bodies.plain(bodies.port_state(view(), now=NOW))
    assert body["state"] == "charging"
    assert body["ocpp_status"] == "Charging"
    assert body["session_id"] == "S"
    assert body["reading"] == {
        "power_w": 151.4,
        "current_a": 1.235,
        "voltage_v": 230.0,
        "energy_wh": 1011,
        "age_s": 0.5,
        "quality": "good",
        "stale": False,
        "energy_age_s": 60.0,
    }
    assert body["relay"] == {"closed": True, "source": "read_back", "age_s": 1.0}
    assert body["blocked_by"] == ["busy"]
    assert body["session"] == {
        "charging_s": 300.2,
        "suspended_s": 20.0,
        "energy_wh": 10,
        "peak_power_w": 160.0,
        "suspended_by": "relay_board_lost",
    }
    assert PortStateBody.model_validate(body).session_id == "S"


def test_what_is_not_known_is_null_and_never_zero() -> None:
    body = bodies.plain(
        bodies.port_state(view(session=None, measured=Measured(), relay_closed=None, latches=()), now=UNSET)
    )
    reading = body["reading"]
    assert isinstance(reading, dict)
    assert reading.pop("quality") == "none"
    assert reading.pop("stale") is True
    assert set(reading.values()) == {None}
    assert body["relay_closed"] is None
    assert body["session"] is None
    nowhere = bodies.port_state(view(relay=NOWHERE), now=NOW).relay
    assert nowhere == RelayBody(closed=None, source=Known.UNKNOWN, age_s=None)
    stale = view(measured=Measured(current=Amps(1.0), at=Instant(400.0)), session=None)
    assert bodies.port_state(stale, now=NOW).reading.stale is True
    message = bodies.plain(bodies.reading(stale, NOW))
    assert message["quality"] == "stale"
    frozen = view(measured=Measured(current=Amps(1.0), at=Instant(400.0), fresh=True, frozen=True), session=None)
    assert bodies.reading(frozen, NOW).quality.value == "frozen"
    assert message["power_w"] is None
    assert message["session_energy_wh"] is None
    assert bodies.plain(bodies.reading(view(), NOW))["session_energy_wh"] == 10


def test_what_is_nothing_once_it_is_rounded_has_no_sign() -> None:
    nothing = Measured(
        current=Amps(-0.0002), power=Watts(-0.04), voltage=Volts(-0.01), at=Instant(460.0), fresh=True
    )
    told = bodies.port_state(view(measured=nothing, temperature=Celsius(-0.04)), now=NOW).model_dump_json()
    assert "-0.0" not in told
    assert "-0.0" not in bodies.reading(view(measured=nothing), NOW).model_dump_json()


def test_every_state_maps_to_an_ocpp_status() -> None:
    assert set(OCPP_STATUS) == set(PortState)


def test_replies() -> None:
    answer = Answer(
        command=CommandId("c"), name="start", status=ReplyStatus.DONE, port=PORT, session=SessionId("S")
    )
    assert bodies.reply(answer, PortState.CHARGING).body == {
        "id": "c",
        "command": "start",
        "status": "done",
        "code": "ok",
        "message": "",
        "port": "A01",
        "session_id": "S",
        "queue_position": None,
        "port_state": "charging",
    }


def test_a_fact_nobody_has_heard_of_yet_is_told_all_the_same() -> None:
    @dataclass(frozen=True, kw_only=True)
    class CircuitShed:
        circuit: str
        port: PortId
        detail: StopDetail

    @dataclass(frozen=True, kw_only=True)
    class SomethingElse:
        board: str

    detail = StopDetail(function="overload", measured=41.0, limit=40.0, unit="a")
    shed = bodies.event(CircuitShed(circuit="shed-a", port=PortId("A01"), detail=detail))  # type: ignore[arg-type]
    assert (shed.event, shed.severity, shed.circuit, shed.port) == ("circuit_shed", "warning", "shed-a", "A01")
    assert shed.detail is not None
    assert shed.detail.measured == 41.0
    new = bodies.event(SomethingElse(board="b"))  # type: ignore[arg-type]
    assert (new.event, new.severity, new.board) == ("something_else", "warning", "b")


def test_what_a_large_gateway_has_still_fits_into_one_message() -> None:
    def info(ports: int) -> dict[str, Json]:
        boards: list[Json] = [
            {"board": f"meter-{number:03}", "bus": "line-a", "address": number, "profile": "eastron-sdm120"}
            for number in range(ports)
        ]
        names: list[Json] = [
            {"port": f"A{number:03}", "label": f"Stellplatz {number}", "circuit": "shed"}
            for number in range(ports)
        ]
        return {"ports": names, "boards": boards, "ledger": {"stream": "s", "first": 1, "last": 9}}

    assert parts.fitting(info(85), LARGEST) == info(85)
    large, huge = parts.fitting(info(200), LARGEST), parts.fitting(info(1000), LARGEST)
    assert (large["boards"], large["ports"]) == ([], info(200)["ports"])
    assert (huge["boards"], huge["ports"], huge["ledger"]) == ([], [], info(1)["ledger"])
    assert max(len(parts.json_of(one)) for one in (large, huge)) <= LARGEST
