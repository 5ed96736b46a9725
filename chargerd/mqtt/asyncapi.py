"""The contract as documents: JSON Schemas and an AsyncAPI 3 document, made from the models."""

from collections.abc import Mapping
from typing import TypeAlias, cast

from chargerd.core.ledger import Json
from chargerd.mqtt.contract import MAJOR, MINOR
from chargerd.mqtt.messages import KINDS, Kind

Schema: TypeAlias = dict[str, Json]
Examples: TypeAlias = Mapping[str, Json]
"""One captured payload for each kind of message, by its name."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
DESCRIPTION = """\
What a gateway says and what it takes, over MQTT 5: JSON, UTF-8, one object a message, at most 16 KiB.

Within a major version fields are only added. Ignore fields you do not know, and treat a value you do not know, of
a field that lists its values, as `other`: such a list is `examples` beside `type: string`. What is not known is
`null`, never 0. Rows of the ledger (`up/session`, `up/event`) are numbered without gaps by (`stream`, `seq`) and
come again until an `ack` covers them.
"""
PARAMETERS: Mapping[str, str] = {
    "prefix": "Root of all topics, `chargerd/v1` unless configured otherwise.",
    "gateway": "The gateway's id, which is its client id too.",
    "port": "A port's id.",
    "board": "A board's id.",
    "circuit": "A circuit's id.",
}
OPEN = "The values of this version. More will come: treat one you do not know as `other`."
AT_AND_CLOCK: Schema = {
    "if": {"properties": {"clock": {"const": "none"}}},
    "then": {"properties": {"at": {"type": "null"}}},
    "else": {"properties": {"at": {"type": "string"}}},
}


def schema(kind: Kind, *, closed: bool = False) -> Schema:
    """Return the JSON Schema of a message.

    What a gateway sends may have more fields than listed, and other values where some are listed, in a later minor
    version; `closed` gives the form that allows neither, for tests of this version. Commands are closed always: an
    unknown argument is refused.
    """
    made = _body(kind, "#/$defs/{model}", closed=closed)
    return {"$schema": DIALECT, "title": kind.name, **made}


def schemas() -> dict[str, Schema]:
    """Return the JSON Schemas of all messages, by name."""
    return {kind.name: schema(kind) for kind in KINDS}


def document(examples: Examples) -> Schema:
    """Return the AsyncAPI 3 document of a gateway."""
    parts: Schema = {}
    messages: Schema = {}
    for kind in KINDS:
        body = _body(kind, "#/components/schemas/{model}", closed=False)
        parts.update(cast("Schema", body.pop("$defs", {})))
        message: Schema = {
            "name": kind.name,
            "title": kind.name,
            "summary": kind.summary,
            "contentType": "application/json",
            "payload": body,
        }
        if kind.name in examples:
            message["examples"] = [{"name": kind.name, "payload": examples[kind.name]}]
        messages[kind.name] = message
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "chargerd", "version": f"{MAJOR}.{MINOR}.0", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": _channels(),
        "operations": {f"{'send' if kind.up else 'receive'}_{kind.name}": _operation(kind) for kind in KINDS},
        "components": {"messages": messages, "schemas": dict(sorted(parts.items()))},
    }


def channel_name(kind: Kind) -> str:
    """Return the name of the channel a kind of message goes through."""
    return "_".join(level for level in kind.topic.split("/") if not level.startswith("{"))


def _channels() -> Schema:
    channels: dict[str, Schema] = {}
    for kind in KINDS:
        names = [level[1:-1] for level in kind.topic.split("/") if level.startswith("{")]
        parameters: Schema = {name: {"description": PARAMETERS[name]} for name in ("prefix", "gateway", *names)}
        channel = channels.setdefault(
            channel_name(kind),
            {"address": f"{{prefix}}/{{gateway}}/{kind.topic}", "messages": {}, "parameters": parameters},
        )
        cast("Schema", channel["messages"])[kind.name] = {"$ref": f"#/components/messages/{kind.name}"}
    return cast("Schema", channels)


def _operation(kind: Kind) -> Schema:
    channel = f"#/channels/{channel_name(kind)}"
    mqtt: Schema = {"qos": kind.qos, "retain": kind.retained, "bindingVersion": "0.2.0"}
    if kind.expiry_s is not None:
        mqtt["messageExpiryInterval"] = kind.expiry_s
    return {
        "action": "send" if kind.up else "receive",
        "channel": {"$ref": channel},
        "summary": kind.summary,
        "messages": [{"$ref": f"{channel}/messages/{kind.name}"}],
        "bindings": {"mqtt": mqtt},
    }


def _body(kind: Kind, template: str, *, closed: bool) -> Schema:
    made = cast(
        "Schema", _plain(kind.model.model_json_schema(ref_template=template), closed=closed or not kind.up)
    )
    if kind.up:
        made.update(AT_AND_CLOCK)
    return made


def _plain(made: Json, *, closed: bool) -> Json:
    """Drop what says nothing: titles made from names; and, in the open form, that there is nothing else."""
    if isinstance(made, list):
        return [_plain(one, closed=closed) for one in made]
    if not isinstance(made, dict):
        return made
    plain: Schema = {
        key: " ".join(value.split())
        if key == "description" and isinstance(value, str)
        else _plain(value, closed=closed)
        for key, value in made.items()
        if not (key == "title" and isinstance(value, str))
        and not (key == "additionalProperties" and value is False and not closed)
    }
    if not closed and isinstance(plain.get("enum"), list):
        # Words that every validator and generator knows: a string, of which the known ones are examples.
        plain = {**plain, "examples": plain["enum"], "$comment": OPEN}
        del plain["enum"]
    return plain
