import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.contract.ledger import RememberedCommand, Reply
from chargerd.core.session import Latch, SessionRecord
from chargerd.store.codec import (
    LATCH,
    SESSION,
    CodecError,
    dump_body,
    dump_command,
    key,
    load_body,
    load_command,
)
from tests.store.kit import command, latch, record

FINITE = st.floats(allow_nan=False)
st.register_type_strategy(float, FINITE)
BODIES = st.dictionaries(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | FINITE.filter(math.isfinite) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(st.from_type(SessionRecord))
def test_every_session_record_comes_back_as_it_was(session: SessionRecord) -> None:
    assert SESSION.load(SESSION.dump(session)) == session


@given(st.from_type(Latch))
def test_every_latch_comes_back_as_it_was(one: Latch) -> None:
    assert LATCH.load(LATCH.dump(one)) == one


@given(
    st.builds(RememberedCommand, reply=st.none()),
    BODIES,
    st.booleans(),
)
def test_every_command_comes_back_with_its_reply(
    one: RememberedCommand, body: dict[str, object], final: bool
) -> None:
    back = load_command(dump_command(one), dump_body(body), final)  # type: ignore[arg-type] # JSON by construction
    assert back.reply == Reply(command=one.command, body=body)  # type: ignore[arg-type] # JSON by construction
    assert load_command(dump_command(one), None, one.final) == one


@given(BODIES)
def test_every_body_comes_back_as_it_was(body: dict[str, object]) -> None:
    assert load_body(dump_body(body)) == body  # type: ignore[arg-type] # JSON by construction


def test_not_a_number_survives_in_a_record_and_is_unknown_in_a_body() -> None:
    assert math.isnan(SESSION.load(SESSION.dump(record(energy=math.nan))).energy)
    assert load_body(dump_body({"power_w": math.nan, "x": [math.inf]})) == {"power_w": None, "x": [None]}


def test_half_a_surrogate_pair_harms_nothing() -> None:
    assert SESSION.load(SESSION.dump(record("\ud800"))).order.session == "?"
    assert load_body(dump_body({"order_id": "\ud800"})) == {"order_id": "?"}
    assert key("a\ud800") == "a\\ud800"


def test_texts_of_the_first_version_stay_readable() -> None:
    moment = {"instant": 1.5, "boot": 1, "wall_ms": 1760000000000, "clock": "ntp"}
    limits = {"current": 5.0, "power": 500.0, "duration": 36000.0, "energy": None}
    order: dict[str, object] = {
        "session": "s1",
        "port": "A01",
        "limits": limits,
        "order": None,
        "tiers": [],
        "source": "remote",
    }
    data = {"order": {**order, "command": "c1"}, "started": moment, "at": moment}
    assert SESSION.load(json.dumps({"v": 1, "data": data})) == record()
    old = {"port": "A01", "function": "relay_will_not_open", "clearing": "lock_out", "detail": None}
    assert LATCH.load(json.dumps({"v": 1, "data": old})) == latch()
    remembered = {"command": "c1", "name": "start", "digest": "d1", "moment": moment, "port": "A01"}
    assert load_command(json.dumps({"v": 1, "data": remembered}), None, False) == command()


def test_fields_of_a_newer_program_are_ignored_so_that_going_back_works() -> None:
    stored = json.loads(LATCH.dump(latch()))
    stored["data"]["weather"] = "rain"
    assert LATCH.load(json.dumps(stored)) == latch()


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", '{"v": 2, "data": %s}', '{"v": 1, "data": {}}', '{"v": 1}', '{"v": 1, "data": 3}'],
)
def test_a_text_that_is_no_record_is_refused(text: str) -> None:
    data = json.dumps(json.loads(LATCH.dump(latch()))["data"])
    with pytest.raises(CodecError):
        LATCH.load(text.replace("%s", data))


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_text_that_is_no_body_is_refused(text: str) -> None:
    with pytest.raises(CodecError):
        load_body(text)
