"""AsyncAPI's generator of code makes named types of the contract; TypeScript's compiler takes messages for them.

The generator is set as `docs/backend/types.cjs` sets it for backend developers.
"""

import json
import re
from pathlib import Path
from typing import cast

import pytest

from chargerd.contract.asyncapi import schemas, type_name
from chargerd.contract.ledger import Json
from chargerd.contract.messages import KINDS
from tests.contract.node import MODULES, node

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
ENDED = """
const spoilt: contract.Settlement[] = [
  { ...ended, energy_wh: "5" },
  { ...ended, energy_wh: null },
  { ...ended, tiers: undefined },
  { ...ended, event: "started" },
];
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("types")
    document = DOCS / "contract" / "asyncapi.json"
    done = node(DOCS / "backend" / "types.cjs", document, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(("file", "word"), [("contract.ts", "export interface"), ("contract.go", "type")])
def test_every_type_has_the_name_it_has_in_the_contract(made: Path, file: str, word: str) -> None:
    text = (made / file).read_text("utf-8")
    objects = {part for one in schemas().values() for part in cast("dict[str, Json]", one.get("$defs", {}))}
    types = set(re.findall(rf"^{word} (\w+) ", text, re.MULTILINE))
    assert {type_name(kind) for kind in KINDS} <= types <= {type_name(kind) for kind in KINDS} | objects
    assert "Anonym" not in text
    assert "OrNull" not in text


def test_what_may_be_null_is_a_pointer_in_go_and_names_are_those_on_the_wire(made: Path) -> None:
    text = (made / "contract.go").read_text("utf-8")
    for line in (
        'At *string `json:"at"`',
        'UpMs int64 `json:"up_ms"`',
        'MeanPowerW *float64 `json:"mean_power_w"`',
        'StopDetail *DetailBody `json:"stop_detail"`',
        'QueueS *float64 `json:"queue_s,omitempty"`',
    ):
        assert line in text
    assert re.findall(r"interface\{\}.*json", text) == [], "no field whose type is unknown"


def test_the_captured_messages_are_of_these_types_and_spoilt_ones_are_not(made: Path) -> None:
    lines = ['import * as contract from "./contract";']
    for kind in KINDS:
        example = (DOCS / "contract" / "examples" / f"{kind.name}.json").read_text("utf-8")
        lines.append(f"const {kind.name}: contract.{type_name(kind)} = {json.dumps(json.loads(example))};")
    (made / "messages.ts").write_text("\n".join(lines) + ENDED, encoding="utf-8")
    compiler = MODULES / "typescript" / "lib" / "tsc.js"
    strictly = ("--noEmit", "--strict", "--lib", "es2020")
    done = node(compiler, *strictly, made / "messages.ts")
    wrong = re.findall(r"messages\.ts\((\d+),", done.stdout)
    first = len(lines) + 2
    assert wrong == [str(first + number) for number in range(4)], done.stdout
