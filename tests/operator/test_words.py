"""Both languages say the same things, and all that the contract knows."""

import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chargerd.operator.words import LANGUAGES, words

SCHEMAS = Path(__file__).parents[2] / "docs" / "contract" / "schemas"
NOT_FOR_RIDERS = {
    *("ok", "duplicate", "conflict", "retained", "malformed", "unsupported", "unknown_port", "unknown_session"),
    *("wrong_session", "queue_full", "session_exists", "not_allowed", "failed"),
}
"""Codes that no start of a page of ours gets: `other` names them."""


def told(texts: Any, path: str = "") -> Iterator[tuple[str, set[str]]]:
    for name, value in texts.items():
        if isinstance(value, dict):
            yield from told(value, f"{path}{name}.")
        else:
            yield path + name, {field for _text, field, _spec, _how in string.Formatter().parse(value) if field}


def test_each_language_has_the_same_names_and_figures() -> None:
    first, *others = [dict(told(words(code).texts)) for code in LANGUAGES]
    for other in others:
        assert other == first


def values(schema: str, kind: str) -> set[str]:
    return set(json.loads((SCHEMAS / schema).read_text())["$defs"][kind]["examples"])


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_reason_and_code_of_the_contract_has_words(code: str) -> None:
    texts = words(code).texts
    assert values("ended.json", "StopReason") <= set(texts["reason"])
    assert values("port.json", "Code") - NOT_FOR_RIDERS <= set(texts["code"])
    assert values("port.json", "PortState") <= set(texts["port_state"])
    assert values("reply.json", "ReplyStatus") <= set(texts["status"])


@pytest.mark.parametrize("code", LANGUAGES)
def test_what_is_new_is_named(code: str) -> None:
    assert "{x}<" in words(code).of("reason", "{x}<")
    assert words(code).of("port_state", "brand_new") == "brand_new"
