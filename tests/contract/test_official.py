"""AsyncAPI's own parser, with all its rules, reads the contract's document and objects to nothing in it.

`make npm` takes the parser from the npm registry, at the version and with the hashes of `package-lock.json`.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.node import node

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "contract" / "asyncapi.json"
WARNING = 1
"""Severities are 0 for an error, 1 for a warning; from 2 on it is advice."""


def broken(made: dict[str, Any]) -> dict[str, Any]:
    """Return a document with two mistakes that the schema of such documents does not see."""
    made["operations"]["send_ended"]["messages"] = [{"$ref": "#/channels/up_session/messages/nowhere"}]
    made["channels"]["up_event"]["address"] = "{prefix}/{gateway}/up/{nobody}"
    return made


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("asyncapi")
    wrong = folder / "wrong.json"
    wrong.write_text(json.dumps(broken(json.loads(DOCUMENT.read_text("utf-8")))), encoding="utf-8")
    done = node(HERE / "parse.js", DOCUMENT, wrong)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def objections(one: dict[str, Any]) -> list[dict[str, Any]]:
    return [said for said in one["objections"] if said["severity"] <= WARNING]


def test_the_official_parser_objects_to_nothing(read: list[dict[str, Any]]) -> None:
    assert read[0]["read"]
    assert objections(read[0]) == []


def test_the_official_parser_does_object_to_what_is_wrong(read: list[dict[str, Any]]) -> None:
    said = " ".join(one["message"] for one in objections(read[1]))
    assert "nowhere" in said
    assert "nobody" in said
