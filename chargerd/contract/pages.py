"""The manual's pages, one for each message of the contract: where it goes, its fields, a captured example."""

import json
from collections.abc import Mapping
from typing import cast

from chargerd.contract.asyncapi import OR_NULL, Examples, Schema, schema
from chargerd.contract.ledger import Json
from chargerd.contract.messages import KINDS, Kind

INDEX = """\
# The messages

One page for each message, made by `chargerd contract --write DIR` from the models that the gateway itself uses.
The same for programs: [asyncapi.json](asyncapi.json) (AsyncAPI 3.1), and one JSON Schema each in
`schemas/`. The examples, in `examples/`, were captured from a run; [ocpp.json](ocpp.json) has OCPP's names.
How the messages belong together is told in [the contract for backend developers](../mqtt.md).

| message | topic | direction | QoS | retained | expires after |
|---|---|---|---|---|---|
"""


def index() -> str:
    """Return the list of all messages."""
    return INDEX + "".join(
        f"| [{kind.name}]({kind.name}.md) | `{kind.topic}` | {_direction(kind)} | {kind.qos} | {_retained(kind)}"
        f" | {_expiry(kind)} |\n"
        for kind in KINDS
    )


def page(kind: Kind, examples: Examples) -> str:
    """Return the page of one message."""
    made = schema(kind)
    text = (
        f"# `{kind.name}`\n\n{kind.summary}\n\n"
        f"Topic `{{prefix}}/{{gateway}}/{kind.topic}`, {_direction(kind)}, QoS {kind.qos},"
        f" {'retained' if kind.retained else 'never retained'}, {_expires(kind)}."
        f" [JSON Schema](schemas/{kind.name}.json).\n\n"
    )
    text += f"{made['description']}\n\n" if made.get("description") else ""
    text += _fields(made)
    if kind.name in examples:
        text += f"\n## Example\n\n```json\n{json.dumps(examples[kind.name], indent=2, ensure_ascii=False)}\n```\n"
    for name, part in sorted(cast("Mapping[str, Schema]", made.get("$defs", {})).items()):
        if name.endswith(OR_NULL):
            continue
        text += f"\n## {name}\n\n"
        text += f"{part['description']}\n\n" if part.get("description") else ""
        text += _values(part) if _listed(part) else _fields(part)
    return text


def _fields(part: Schema) -> str:
    required = cast("list[str]", part.get("required", []))
    rows = cast("Mapping[str, Schema]", part.get("properties", {}))
    if not rows:
        return "No fields.\n"
    head = "| field | type | always there |\n|---|---|---|\n"
    return head + "".join(
        f"| `{name}` | {type_of(one)} | {'yes' if name in required else 'no'} |\n" for name, one in rows.items()
    )


def _listed(part: Mapping[str, Json]) -> list[str]:
    """Return the values a field may have, if it lists them; what a gateway sends may have others later."""
    return cast("list[str]", part.get("enum", part.get("examples", [])))


def _values(part: Schema) -> str:
    more = " More will come." if "examples" in part else ""
    return "One of " + ", ".join(f"`{value}`" for value in _listed(part)) + f".{more}\n"


def type_of(part: Mapping[str, Json]) -> str:
    """Return how a field's type is named on a page."""
    if "$ref" in part:
        name = str(part["$ref"]).rpartition("/")[2]
        plain = name.removesuffix(OR_NULL)
        return f"[{plain}](#{plain.lower()})" + (" or `null`" if name != plain else "")
    types = part.get("type")
    if isinstance(types, list):
        return f"{type_of({**part, 'type': types[0]})} or `null`"
    if "const" in part:
        return f"`{part['const']}`"
    if _listed(part):
        return ", ".join(f"`{one}`" for one in _listed(part))
    if types == "array":
        return f"list of {type_of(cast('Schema', part.get('items', {})))}"
    return str(types)


def _direction(kind: Kind) -> str:
    return "from the gateway" if kind.up else "to the gateway"


def _retained(kind: Kind) -> str:
    return "yes" if kind.retained else "no"


def _expiry(kind: Kind) -> str:
    return "never" if kind.expiry_s is None else f"{kind.expiry_s} s"


def _expires(kind: Kind) -> str:
    return "does not expire" if kind.expiry_s is None else f"expires after at most {kind.expiry_s} s"
