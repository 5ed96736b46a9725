"""The contract's documents: up to date, valid by the official schemas, true to every example ever released."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from chargerd.cli.contract import command, differing
from chargerd.contract.asyncapi import schema, schemas
from chargerd.contract.messages import BY_NAME, KINDS, kind_of
from chargerd.contract.payloads import MAJOR, MINOR
from tests.contract.checking import complaints, validator
from tests.contract.node import MODULES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "contract"
HERE = Path(__file__).parent
OFFICIAL = MODULES / "@asyncapi" / "specs" / "schemas" / "3.1.0-without-$id.json"
"""Without the addresses under which each part would be looked up on the web."""
RELEASED = sorted((HERE / "released").glob("*/*.json"))
EXAMPLES = sorted((DOCS / "examples").glob("*.json"))


def load(path: Path) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return made


def test_the_documents_are_those_the_models_give() -> None:
    assert differing(DOCS) == [], "run: chargerd contract --write docs/contract"


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_schema_is_valid_by_the_metaschema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(BY_NAME[name]))
    jsonschema.Draft202012Validator.check_schema(schema(BY_NAME[name], closed=True))


def test_the_document_is_asyncapi_3() -> None:
    assert OFFICIAL.exists(), "AsyncAPI's schema is not installed; run: make npm"
    official = load(OFFICIAL)
    validator_ = jsonschema.Draft7Validator(official)
    made = load(DOCS / "asyncapi.json")
    jsonschema.validate(made, official, cls=jsonschema.Draft7Validator)
    made["channels"]["ack"]["adress"] = "mistyped"
    assert list(validator_.iter_errors(made)), "and the official schema does object to what is wrong"


def test_every_reference_of_the_document_leads_somewhere() -> None:
    made = load(DOCS / "asyncapi.json")

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                target: Any = made
                for level in part["$ref"].removeprefix("#/").split("/"):
                    target = target[level]
            for one in part.values():
                walk(one)
        elif isinstance(part, list):
            for one in part:
                walk(one)

    walk(made)


def test_every_schema_has_a_name_of_its_own() -> None:
    components = load(DOCS / "asyncapi.json")["components"]
    payloads = [message["payload"]["title"] for message in components["messages"].values()]
    assert {name: part["title"] for name, part in components["schemas"].items()} == {
        name: name for name in components["schemas"]
    }
    assert len({*payloads, *components["schemas"]}) == len(payloads) + len(components["schemas"])
    assert [load(DOCS / "schemas" / f"{kind.name}.json")["title"] for kind in KINDS] == payloads


def test_what_may_be_null_is_in_a_form_that_generators_take() -> None:
    def unions(part: Any, where: str) -> list[str]:
        if isinstance(part, list):
            return [found for one in part for found in unions(one, where)]
        if not isinstance(part, dict):
            return []
        own = [where] if {"type": "null"} in part.get("anyOf", []) else []
        return own + [found for key, one in part.items() for found in unions(one, f"{where}/{key}")]

    components = load(DOCS / "asyncapi.json")["components"]
    assert {where.rpartition("/")[2] for where in unions(components, "")} == {
        name for name in components["schemas"] if name.endswith("OrNull")
    }


def test_a_command_leads_to_its_replies_and_a_settlement_to_its_event() -> None:
    made = load(DOCS / "asyncapi.json")
    answered = {name for name, one in made["operations"].items() if "reply" in one}
    assert answered == {f"receive_{kind.name}" for kind in KINDS if kind.topic.startswith("cmd/")}
    for name in [*(one.removeprefix("receive_") for one in answered), "reply"]:
        assert made["components"]["messages"][name]["correlationId"]["location"] == "$message.payload#/id"
    ended = made["components"]["messages"]["ended"]["payload"]
    assert "event" in ended["required"]
    assert ended["properties"]["event"]["const"] == "ended"
    assert [server["protocolVersion"] for server in made["servers"].values()] == ["5.0"]


def test_there_is_an_example_of_every_message() -> None:
    assert {path.stem for path in EXAMPLES} == {kind.name for kind in KINDS}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_of_this_version(path: Path) -> None:
    errors = list(validator(path.stem).iter_errors(load(path)))
    assert not errors, errors


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_ever_released_is_valid_for_ever(path: Path) -> None:
    major, minor = map(int, path.parent.name.split("."))
    assert (major, minor) <= (MAJOR, MINOR)
    errors = list(validator(path.stem, closed=False).iter_errors(load(path)))
    assert not errors, errors


def test_a_receiver_may_get_more_than_is_listed_and_a_gateway_may_not() -> None:
    more = {**load(DOCS / "examples" / "port.json"), "colour": "green"}
    assert validator("port", closed=False).is_valid(more)
    assert complaints("state/port/A01", more)
    start = load(DOCS / "examples" / "start.json")
    start["args"]["colour"] = "green"
    assert not validator("start", closed=False).is_valid(start)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"clock": "none", "at": "2026-01-01T00:00:00.000Z"}, "no clock, and yet a time"),
        ({"clock": "ntp", "at": None}, "a clock, and no time"),
        ({"clock": "ntp", "at": "2026-01-01T00:00:00Z"}, "no milliseconds"),
        ({"energy_wh": 12.5}, "watt-hours are whole"),
        ({"seq": None}, "a row without its number"),
        ({"stop_reason": "boredom"}, "no such reason"),
        ({"tiers": [{"up_to_w": 1.0}]}, "a tier without its share"),
    ],
)
def test_what_breaks_the_contract_is_noticed(change: dict[str, Any], why: str) -> None:
    settlement = load(DOCS / "examples" / "ended.json")
    assert not complaints("up/session", settlement)
    assert complaints("up/session", {**settlement, **change}), why


def test_a_command_has_exactly_one_expiry() -> None:
    start = load(DOCS / "examples" / "start.json")
    assert validator("start").is_valid(start)
    assert not validator("start").is_valid({**start, "expires_at": "2026-01-01T00:00:00Z"})
    del start["ttl_s"]
    assert not validator("start").is_valid(start)


def test_a_topic_of_no_message_is_told() -> None:
    assert complaints("state/weather", {}) == ["state/weather: no message of the contract"]
    assert kind_of("state/port/A01", {}).name == "port"


def test_the_command_writes_and_checks(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(command, ["--write", str(tmp_path)]).exit_code == 0
    assert json.loads(run(command, ["--check", str(tmp_path), "--json"]).output) == {"differing": []}
    (tmp_path / "schemas" / "ack.json").write_text("{}")
    (tmp_path / "port.md").unlink()
    stale = run(command, ["--check", str(tmp_path)])
    assert stale.exit_code == 1
    assert "schemas/ack.json" in stale.output
    assert f"chargerd contract --write {tmp_path}" in stale.output
    assert json.loads(run(command, []).output)["asyncapi"] == "3.1.0"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "schemas").write_text("in the way")
    result = CliRunner().invoke(command, ["--write", str(tmp_path)])
    assert result.exit_code == 1
    assert "name a folder you may write to" in result.output
