"""Single values of a configuration: how names, switches, addresses and places on the network are written.

A validator's message is `what is wrong; what to do`. Numbers are strict: a word or a truth value is none.
"""

import re
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

from chargerd.config.ranges import RangeError, spell_out

Number = Annotated[float, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]

_ID = r"[A-Za-z0-9._-]{1,32}"
"""Ids are levels of MQTT topics and arguments of commands: what the contract allows, and no more."""
_ID_HINT = "use 1 to 32 letters (a to z), digits, dots, dashes and underscores"


def _named(value: str) -> str:
    try:
        ids = spell_out(value)
    except RangeError:
        ids = ()  # Whoever spells it out says what is wrong with it, and where.
    if any(re.fullmatch(_ID, each) is None for each in ids):
        raise ValueError(f"cannot be {value[:40]!r}; {_ID_HINT}")
    return value


def _single(value: str) -> str:
    if ".." in value:
        raise ValueError("cannot be a range; describe each by itself")
    return value


Name = Annotated[str, AfterValidator(_named)]
"""A name, or a range of them."""
SingleName = Annotated[Name, AfterValidator(_single)]
Reference = Annotated[str, Field(min_length=1, max_length=200)]
"""The name of something described elsewhere, or a board and a channel of it, or a range of those."""


def _switch(value: object) -> object:
    """Read `on` and `off`, which YAML 1.2 leaves as words."""
    words = {"on": True, "off": False, "yes": True, "no": False}
    switched = words.get(value.lower(), value) if isinstance(value, str) else value
    if not isinstance(switched, bool):
        raise ValueError("is neither on nor off; write on or off")  # noqa: TRY004 - pydantic takes ValueError only
    return switched


Switch = Annotated[bool, BeforeValidator(_switch)]


class Echo(StrEnum):
    """Whether an adapter hears what it sends itself."""

    AUTO = "auto"
    YES = "yes"
    NO = "no"


def _echo(value: object) -> object:
    """Take yes and no also as truth values: some editors write them so."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


EchoSetting = Annotated[Echo, BeforeValidator(_echo)]


def _address(value: object) -> object:
    """Take an address as a number or as text, such as a range."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("is no address; write a number such as 11, or a range such as 11..22")  # noqa: TRY004 - same
    return str(value)


Address = Annotated[str, BeforeValidator(_address)]


LONGEST_NAME, LONGEST_LABEL = 253, 63
"""Characters of a host name, and of what stands between its dots (RFC 1035, 2.3.4)."""


def _resolvable(host: str) -> str:
    """Check a name as the resolver does before it asks anybody."""
    try:
        name = host if host.isascii() else host.encode("idna").decode()  # That codec is loaded where it is needed.
    except UnicodeError:
        name = ""
    labels = name.removesuffix(".").split(".")
    if len(name) > LONGEST_NAME or not all(0 < len(label) <= LONGEST_LABEL for label in labels):
        raise ValueError("is no name or address; each part between dots has 1 to 63 characters")
    return host


def _endpoint(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not re.fullmatch(r"\d{1,5}", port, re.ASCII) or not 0 < int(port) < 65536:  # noqa: PLR2004 - ports
        raise ValueError("is no host and port; write it as 192.168.10.20:502")
    _resolvable(host)
    return value


EndpointText = Annotated[str, AfterValidator(_endpoint)]


def _host(value: str) -> str:
    """Read a name or an address; one in the form of a URL would be looked up as it stands, and never be found."""
    if re.search(r"/|[\s\[\]]|^[^:]*:\d+$", value):
        raise ValueError("is no name or address; write the name alone: the port goes into port, TLS into tls")
    return _resolvable(value)


HostName = Annotated[str, AfterValidator(_host)]


def _ip_address(value: str) -> str:
    """Read an address of this machine: a name would have to be looked up, which takes a network and time."""
    from ipaddress import ip_address  # noqa: PLC0415 - few configurations need it

    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError(
            "is no address; write 127.0.0.1, or one that this gateway has, such as 10.8.0.7"
        ) from None


IpAddress = Annotated[str, AfterValidator(_ip_address)]


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, KeyError):
        # A gateway without a time zone database cannot tell; the name is for people only.
        if available_timezones():
            raise ValueError("is no time zone; write one such as Europe/Berlin or UTC") from None
    return value


TimeZone = Annotated[str, AfterValidator(_timezone)]


def _matching(pattern: str, hint: str) -> AfterValidator:
    """Return a validator of text that has a form of its own."""

    def check(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise ValueError(f"cannot be {value[:40]!r}; {hint}")
        return value

    return AfterValidator(check)


GatewayId = Annotated[str, _matching(_ID, _ID_HINT)]
Prefix = Annotated[
    str,
    _matching(
        r"(?!\$)[^+#\s/\0]+(/[^+#\s/\0]+)*",
        "write topic levels with / between, such as chargerd/v1, and no $ first",
    ),
]
