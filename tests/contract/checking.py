"""Checks messages against the contract's own JSON Schemas, in the form that allows no unlisted field."""

from functools import cache
from typing import Any

import jsonschema

from chargerd.contract.asyncapi import schema
from chargerd.contract.messages import BY_NAME, kind_of


@cache
def validator(name: str, *, closed: bool = True) -> jsonschema.Draft202012Validator:
    made = schema(BY_NAME[name], closed=closed)
    return jsonschema.Draft202012Validator(made, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def complaints(topic: str, payload: dict[str, Any]) -> list[str]:
    """What is wrong with a message, by its topic below the gateway's root; empty if nothing is."""
    try:
        kind = kind_of(topic, payload)
    except KeyError:
        return [f"{topic}: no message of the contract"]
    errors = validator(kind.name).iter_errors(payload)
    return [f"{topic} ({kind.name}), {error.json_path}: {error.message[:300]}" for error in errors]


def complaints_of_link(topic: str, payload: dict[str, Any]) -> list[str]:
    """The same where a test makes up bodies: only of what the link itself says, presence and gaps."""
    own = topic == "state/gateway" or payload.get("event") == "gap"
    return complaints(topic, payload) if own else []
