"""The contract as documents: JSON Schemas and an AsyncAPI 3.1 document, made from the models."""

from collections.abc import Mapping
from typing import TypeAlias, cast

from chargerd.contract.arguments import rules
from chargerd.contract.ledger import Json
from chargerd.contract.messages import BY_NAME, KINDS, Kind
from chargerd.contract.payloads import MAJOR, MINOR

Schema: TypeAlias = dict[str, Json]
Examples: TypeAlias = Mapping[str, Json]
"""One captured payload for each kind of message, by its name."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
DESCRIPTION = """\
What a gateway says and what it takes, over MQTT 5: JSON, UTF-8, one object a message, at most 16 KiB.
Written from the gateway's side: what it sends, a backend receives.

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
    "anyOf": [
        {"properties": {"clock": {"const": "none"}, "at": {"type": "null"}}},
        {"properties": {"clock": {"not": {"const": "none"}}, "at": {"type": "string"}}},
    ]
}
NULL: Schema = {"type": "null"}
OR_NULL = "OrNull"
"""Ends the name of an object that may be absent: a type of its own, so that no generator has to make up a name."""


REPLY = "reply"
CORRELATION: Schema = {
    "description": "A reply has the id of its command, and the command's Correlation Data if it had any.",
    "location": "$message.payload#/id",
}
SECURITY: Schema = {
    "certificate": {"type": "X509", "description": "Its common name is the gateway's id."},
    "password": {"type": "userPassword", "description": "Where the broker wants one."},
}
SERVERS: Schema = {
    "broker": {
        "host": "{host}",
        "protocol": "secure-mqtt",
        "protocolVersion": "5.0",
        "description": "The operator's broker, or the site's own: MQTT 5, by TLS but on a network of one's own.",
        "variables": {"host": {"description": "Its name and port.", "examples": ["mqtt.example.org:8883"]}},
        "security": [
            {"$ref": "#/components/securitySchemes/certificate"},
            {"$ref": "#/components/securitySchemes/password"},
        ],
    },
}


def schema(kind: Kind, *, closed: bool = False) -> Schema:
    """Return the JSON Schema of a message.

    What a gateway sends may have more fields than listed, and other values where some are listed, in a later minor
    version; `closed` gives the form that allows neither, for tests of this version. Commands are closed always: an
    unknown argument is refused.
    """
    made = _body(kind, "#/$defs/{model}", closed=closed)
    return {"$schema": DIALECT, **made}


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
        if kind.name == REPLY or is_command(kind):
            message["correlationId"] = dict(CORRELATION)
        if kind.name in examples:
            message["examples"] = [{"name": kind.name, "payload": examples[kind.name]}]
        messages[kind.name] = message
    return {
        "asyncapi": "3.1.0",
        "info": {"title": "chargerd", "version": f"{MAJOR}.{MINOR}.0", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": dict(SERVERS),
        "channels": _channels(),
        "operations": {f"{'send' if kind.up else 'receive'}_{kind.name}": _operation(kind) for kind in KINDS},
        "components": {
            "messages": messages,
            "schemas": dict(sorted(parts.items())),
            "securitySchemes": dict(SECURITY),
        },
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
    made: Schema = {
        "action": "send" if kind.up else "receive",
        "channel": {"$ref": channel},
        "summary": kind.summary,
        "messages": [{"$ref": f"{channel}/messages/{kind.name}"}],
        "bindings": {"mqtt": mqtt},
    }
    if is_command(kind):
        replies = f"#/channels/{channel_name(BY_NAME[REPLY])}"
        made["reply"] = {
            "channel": {"$ref": replies},
            "messages": [{"$ref": f"{replies}/messages/{REPLY}"}],
        }
    return made


def is_command(kind: Kind) -> bool:
    """Say whether a message is answered by replies."""
    return kind.topic.startswith("cmd/")


def type_name(kind: Kind) -> str:
    """Return the name of a message's type, as generated code has it."""
    return kind.model.__name__.removesuffix("Body")


def _body(kind: Kind, template: str, *, closed: bool) -> Schema:
    made = cast(
        "Schema", _plain(kind.model.model_json_schema(ref_template=template), closed=closed or not kind.up)
    )
    if kind.up:
        made.update(rules(AT_AND_CLOCK))
    parts = cast("dict[str, Schema]", made.pop("$defs", {}))
    nullable = _Nullable(parts, template)
    whole = cast("Schema", nullable.within(made))
    named = {name: {"title": name, **cast("Schema", nullable.within(part))} for name, part in parts.items()}
    named |= nullable.named
    title: Schema = {"title": type_name(kind)}
    return {**title, "$defs": cast("Json", dict(sorted(named.items()))), **whole} if named else title | whole


def _plain(made: Json, *, closed: bool) -> Json:
    """Drop what says nothing: titles made from names, a default of `null`; and in the open form what closes it."""
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
        and not (key == "default" and value is None)
        and not (key == "additionalProperties" and isinstance(value, bool) and not closed)
    }
    if not closed and isinstance(plain.get("enum"), list):
        # Words that every validator and generator knows: a string, of which the known ones are examples.
        plain = {**plain, "examples": plain["enum"], "$comment": OPEN}
        del plain["enum"]
    return plain


class _Nullable:
    """Puts what may be `null` into a form that generators of code take: a pair of types, or a name of its own."""

    def __init__(self, parts: Mapping[str, Schema], template: str) -> None:
        self._parts = parts
        self._template = template
        self.named: dict[str, Schema] = {}

    def within(self, part: Json) -> Json:
        """Return a schema with all its parts in that form."""
        if isinstance(part, list):
            return [self.within(one) for one in part]
        if not isinstance(part, dict):
            return part
        made: Schema = {key: self.within(one) for key, one in part.items()}
        match made.get("anyOf"):
            case [dict(one), dict(null)] if null == NULL:
                del made["anyOf"]
                return {**self._or_null(one), **made}
        return made

    def _or_null(self, one: Schema) -> Schema:
        name = str(one.get("$ref", "")).rpartition("/")[2]
        simple = one if not name else self._parts[name]
        if simple.get("type") == "object":
            self.named[name + OR_NULL] = {"title": name + OR_NULL, "anyOf": [one, dict(NULL)]}
            return {"$ref": self._template.format(model=name + OR_NULL)}
        made = {**simple, "type": [simple["type"], "null"]}
        if isinstance(made.get("enum"), list):
            made["enum"] = [*cast("list[Json]", made["enum"]), None]
        return made
