"""The digest of a settlement, recomputed in another language from what the manual says."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chargerd.contract import bodies
from chargerd.contract.ledger import Batch, Json, Owner
from chargerd.contract.payloads import SettlementBody
from chargerd.core.facts import SessionEnded
from chargerd.core.session import EnergyQuality, Settlement, StopReason
from chargerd.core.units import WattHours
from chargerd.store.chain import UNCOVERED
from tests.contract.node import node
from tests.store.kit import MOMENT, open_journal, record

DOCS = Path(__file__).parents[2] / "docs"
MANUAL = DOCS / "mqtt.md"
VERIFY = Path(__file__).with_name("verify_chain.mjs")
Message = dict[str, Json]


def covered() -> list[str]:
    """Return the fields that a digest covers, as the manual lists them."""
    listed = re.search(r"`digest` covers (.*?)\n\n", MANUAL.read_text(), re.DOTALL)
    assert listed is not None
    return re.findall(r"`(\w+)`", listed[1])


def settled(number: int) -> SessionEnded:
    mine = record(f"S-{number}", energy=1234.5)
    order = replace(mine.order, order=f"Auftrag Nr. {number} · 单号")
    return SessionEnded(
        settlement=Settlement(
            record=replace(mine, order=order, meter_start=WattHours(71510.0)),
            ended=MOMENT,
            reason=StopReason.FULL,
            quality=EnergyQuality.EXACT,
            resolution=WattHours(10.0),
            meter_stop=WattHours(72744.5),
        )
    )


@pytest.fixture
def messages(tmp_path: Path) -> list[Message]:
    opened = open_journal(tmp_path / "journal.db", owner=Owner(gateway="shed-1"))
    for number in range(3):
        entry = bodies.ledger_entry(settled(number), MOMENT, offline=False)
        assert opened.write(Batch(entries=(entry,)))
    rows = opened.rows()
    opened.close()
    return [bodies.ledger_payload("shed-1", row) for row in rows]


def verified(messages: list[Message]) -> list[str]:
    lines = "".join(json.dumps(message) + "\n" for message in messages)
    return node(VERIFY, *covered(), given=lines, packages=False).stdout.split("\n")[:-1]


def test_the_manual_lists_what_is_covered() -> None:
    assert set(covered()) == {"gateway", *SettlementBody.model_fields} - UNCOVERED


def test_another_implementation_verifies_the_chain(messages: list[Message]) -> None:
    assert verified(messages) == ["S-0 holds", "S-1 holds", "S-2 holds"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda rows: [rows[0], {**rows[1], "energy_wh": 1}, rows[2]], "S-1 changed"),
        (lambda rows: [rows[0], {**rows[1], "gateway": "shed-2"}, rows[2]], "S-1 changed"),
        (lambda rows: [rows[0], {**rows[1], "session_id": "S-9"}, rows[2]], "S-9 changed"),
        (lambda rows: [rows[0], {**rows[1], "order_id": "another"}, rows[2]], "S-1 changed"),
        (lambda rows: [rows[0], rows[2]], "S-2 does not follow"),
    ],
    ids=["energy", "gateway", "session", "order", "left out"],
)
def test_what_was_changed_or_left_out_is_found(
    messages: list[Message], change: Callable[[list[Message]], list[Message]], found: str
) -> None:
    assert found in verified(change(messages))


def test_the_examples_hold() -> None:
    example = json.loads((DOCS / "contract" / "examples" / "ended.json").read_text("utf-8"))
    manual = MANUAL.read_text("utf-8")
    at = manual.index('"event": "ended"')
    shown = json.loads(manual[manual.rindex("```json", 0, at) + len("```json") : manual.index("```", at)])
    for message in (example, shown):
        assert verified([message]) == [f"{message['session_id']} holds"]
