"""The published schemas refuse what a gateway refuses, and accept what a newer one may say.

Judged by ajv in its strict mode, which knows no keywords but JSON Schema's own; and, for whatever hypothesis
thinks of, side by side with what reads commands in the gateway.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chargerd.contract.arguments import KNOWN, StopArgs
from chargerd.contract.asyncapi import schema
from chargerd.contract.commands import Arrived, Incoming, Refusal, parse
from chargerd.contract.ledger import Json
from chargerd.contract.messages import BY_NAME, KINDS
from chargerd.core.commands import Code
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import Instant
from tests.contract.checking import validator
from tests.contract.node import node

HERE = Path(__file__).parent
SCHEMAS = HERE.parents[1] / "docs" / "contract" / "schemas"
NTP = Moment(instant=Instant(1000.0), wall_ms=1_790_000_000_000, clock=ClockQuality.NTP)
SOON = "2026-09-21T14:13:50Z"
PORT: dict[str, Any] = {"port": "A01"}
SESSION: dict[str, Any] = {**PORT, "session_id": "S-1"}


def ajv(cases: list[tuple[str, Any]]) -> list[str]:
    """What ajv says is wrong with each message; it compiles every schema before it begins."""
    done = node(HERE / "strict.mjs", SCHEMAS, given=json.dumps(cases))
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def command(name: str, args: Any, **more: Any) -> tuple[str, dict[str, Any]]:
    return name, {"id": "c-1", "ttl_s": 30, "args": args, **more}


REFUSED = [
    command("stop", PORT),
    command("stop", {**PORT, "force": False}),
    command("stop", {**PORT, "session_id": None}),
    command("update_limits", {**SESSION, "limits": {}}),
    command("update_limits", {**SESSION, "limits": {"power_w": None}}),
    command("start", {**PORT, "tariff_tiers_w": [100, 200, 100.0]}),
    command("start", {**PORT, "limits": {"power_w": 0}}),
    command("start", {**PORT, "colour": "green"}),
    command("start", PORT, ttl_s=0.5),
    command("start", PORT, ttl_s=61),
    command("start", PORT, expires_at=SOON),
    command("start", PORT, ttl_s=None),
    command("start", PORT, ttl_s=None, expires_at="yesterday"),
    command("start", PORT, ttl_s=None, expires_at="2026-09-21T14:13:50"),
    command("start", PORT, ttl_s=None, expires_at="2026-13-21T14:13:50Z"),
    command("start", PORT, ttl_s=None, expires_at="2026-02-30T14:13:50Z"),
    command("reset", {}),
    command("reset", {**PORT, "circuit": "shed"}),
    command("disable", PORT),
    command("reserve", {**SESSION, "ttl_s": 901}),
    command("reserve", {**SESSION, "ttl_s": -1}),
    command("reserve", SESSION),
    command("replay", {"stream": "x", "from": 0}),
    ("ack", {"stream": "x", "through": -1}),
]
TAKEN = [
    command("stop", SESSION),
    command("stop", {**PORT, "force": True}),
    command("update_limits", {**SESSION, "limits": {"power_w": None, "energy_wh": 5}}),
    command("start", {**PORT, "tariff_tiers_w": [285, 150]}),
    command("start", PORT, ttl_s=1),
    command("start", PORT, ttl_s=None, expires_at=SOON),
    command("start", PORT, ttl_s=None, expires_at="2026-09-21T16:13:50.25+02:00"),
    command("reset", {"port": None, "circuit": "shed"}),
    command("reserve", {**SESSION, "ttl_s": 0}),
    ("ack", {"stream": "x", "through": 5.0, "note": "of a newer backend"}),
]


def examples() -> list[tuple[str, Any]]:
    folder = SCHEMAS.parent / "examples"
    return [(kind.name, json.loads((folder / f"{kind.name}.json").read_text("utf-8"))) for kind in KINDS]


def with_new_values(name: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The message with each of its values that is one of a list replaced by one nobody knows yet."""
    made = schema(BY_NAME[name], closed=True)
    parts: Any = made.get("$defs", {})

    def listed(part: Any) -> bool:
        return "enum" in part or ("$ref" in part and listed(parts[part["$ref"].rpartition("/")[2]]))

    return [
        {**body, field: "of_a_newer_version", **({"at": "2026-09-21T14:13:50.000Z"} if field == "clock" else {})}
        for field, part in made["properties"].items()  # type: ignore[union-attr]
        if listed(part) and body.get(field) is not None
    ]


@pytest.fixture(scope="module")
def newer() -> list[tuple[str, Any]]:
    ups = [(name, body) for name, body in examples() if BY_NAME[name].up]
    return [(name, {**changed, "more": 1}) for name, body in ups for changed in with_new_values(name, body)]


def test_ajv_takes_every_schema_in_its_strict_mode_and_judges_as_a_gateway_does(newer: list[Any]) -> None:
    good = [*examples(), *newer, *TAKEN]
    said = ajv([*good, *REFUSED])
    assert [(case, words) for case, words in zip(good, said, strict=False) if words] == []
    assert [case for case, words in zip(REFUSED, said[len(good) :], strict=True) if not words] == []


def test_what_a_newer_gateway_says_is_closed_for_this_one(newer: list[tuple[str, Any]]) -> None:
    assert {name for name, _ in newer} == {kind.name for kind in KINDS if kind.up}
    for name, body in newer:
        known = {key: value for key, value in body.items() if key != "more"}
        assert validator(name, closed=False).is_valid(known)
        assert not validator(name).is_valid(known), (name, known)


FIGURES: st.SearchStrategy[object] = st.sampled_from(
    [None, 0, -1, 1, 0.5, 30, 100, 1e9, 2e9, 2**60, True, "5", [], 5.0]
)
TEXTS = st.sampled_from([None, "", "A01", "x" * 129, "tab\t", "ü", 7])
LIMITS = st.none() | st.dictionaries(st.sampled_from(["power_w", "energy_wh", "volts"]), FIGURES, max_size=2)
TIERS = st.none() | st.lists(st.sampled_from([50, 50.0, 100, 200.5, 0, "1"]), max_size=3)
ARGUMENTS = {
    "port": TEXTS,
    "circuit": TEXTS,
    "session_id": TEXTS,
    "order_id": TEXTS,
    "force": st.sampled_from([True, False, None, 1]),
    "full_stop": st.sampled_from([True, False, None]),
    "limits": LIMITS,
    "tariff_tiers_w": TIERS,
    "queue_s": FIGURES,
    "reason": TEXTS,
    "stream": TEXTS,
    "from": FIGURES,
    "to": FIGURES,
    "ttl_s": FIGURES,
}
TIMES = st.sampled_from(
    [None, SOON, "2026-09-21T16:13:50+02:00", "20260921T141350Z", "2026-09-21 14:13:50Z", "2026-W39-1", "", 5]
)


@st.composite
def commands(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Commands with what belongs in them, some of it wrong, and now and then with what does not."""
    name = draw(st.sampled_from(sorted(KNOWN)))
    own = [field.alias or key for key, field in KNOWN[name].model_fields.items()]
    wanted = draw(st.lists(st.sampled_from(own), unique=True)) if own else []
    stray = draw(st.sampled_from([[], [], [], ["colour"]]))
    args = {field: draw(ARGUMENTS.get(field, TEXTS)) for field in {*wanted, *stray}}
    expiry = draw(st.sampled_from(["ttl_s", "expires_at", "both", "none"]))
    body: dict[str, Any] = {"id": draw(st.sampled_from(["c-1", "", " x", "x" * 65])), "args": args}
    body |= {"ttl_s": draw(FIGURES)} if expiry in {"ttl_s", "both"} else {}
    body |= {"expires_at": draw(TIMES)} if expiry in {"expires_at", "both"} else {}
    return name, body


@given(case=commands())
@example(case=command("start", {**PORT, "tariff_tiers_w": [200, 100]}))
@example(case=command("replay", {"stream": "x", "from": 5.0}))
@example(case=command("update_limits", {**SESSION, "limits": {"energy_wh": None}}))
def test_schema_and_gateway_are_of_one_mind(case: tuple[str, dict[str, Json]]) -> None:
    name, body = case
    arrived = Arrived(name=name, payload=json.dumps(body).encode(), retained=False, message_expiry=1, received=NTP)
    found = parse(arrived)
    by_schema = validator(name).is_valid(body)
    refused = found.code if isinstance(found, Refusal) else None
    assert refused in {None, Code.MALFORMED, Code.UNSUPPORTED}
    if isinstance(found, Incoming) and isinstance(found.args, StopArgs) and not by_schema:
        # The station itself refuses this one, since whoever stands at the socket may do it.
        assert found.args.session_id is None
        assert not found.args.force
    elif isinstance(found, Refusal) and found.message == "args: to must not be below from":
        assert by_schema, "no schema compares two figures"
    else:
        assert by_schema == (refused is None), found
