"""The files TLS is made of: whether they have changed, whether they can be used, and until when they are good."""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from chargerd.config.credentials import origin
from chargerd.config.document import MqttSection, TlsSection

Role: TypeAlias = Literal["ca", "certificate"]
Signature: TypeAlias = tuple[tuple[str, int, int, int] | tuple[str], ...]

SEQUENCE, INTEGER, VERSION, UTC_TIME, GENERALIZED_TIME = 0x30, 0x02, 0xA0, 0x17, 0x18
"""Tags of X.690 as X.509 uses them (RFC 5280, 4.1); the version is tagged explicitly."""
SET, COMMON_NAME = 0x31, bytes.fromhex("0603550403")
LONG_FORM, SHORT_YEAR, CENTURY_TURNS = 0x80, 13, 50
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """Until when a certificate is good, in Unix time."""

    role: Role
    subject: str | None
    expires_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A file of `mqtt.tls` that can be read, and is not what `key` wants."""

    key: str
    path: str
    why: str

    def as_error(self) -> OSError:
        """Return it as the system tells what is wrong with a file."""
        return OSError(errno.EINVAL, f"{self.why} ({self.key})", self.path)


PRIVATE: Final = "PRIVATE KEY-----"
NO_CERTIFICATE, NO_KEY = "holds no certificate in PEM form", "holds no private key in PEM form"


def unusable(tls: TlsSection) -> Iterator[Unusable]:
    """Load what can be read as the link does, and yield what is no good; what is not there is others' to tell."""
    found = [*_of_certificates(tls)]
    yield from found
    yield from _of_key(tls, paired=all(one.key != "mqtt.tls.certificate" for one in found))


def _of_certificates(tls: TlsSection) -> Iterator[Unusable]:
    import ssl  # noqa: PLC0415 - loaded where there is TLS alone

    for key, path in (("ca", tls.ca), ("certificate", tls.certificate)):
        if path is None or not _readable(path):
            continue
        try:
            ssl.create_default_context(cafile=path)
        except (OSError, ValueError) as error:
            why = f"cannot be used: {error}" if _holds(path, "CERTIFICATE-----") else NO_CERTIFICATE
            yield _bad(f"mqtt.tls.{key}", path, why)


def _of_key(tls: TlsSection, *, paired: bool) -> Iterator[Unusable]:
    import ssl  # noqa: PLC0415 - loaded where there is TLS alone

    holder = tls.certificate if tls.key is None else tls.key
    about = "mqtt.tls.certificate" if tls.key is None else "mqtt.tls.key"
    if tls.certificate is None or holder is None or not (_readable(tls.certificate) and _readable(holder)):
        return
    if not _holds(holder, PRIVATE):
        yield _bad(about, holder, NO_KEY)
        return
    if not paired:
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_cert_chain(tls.certificate, tls.key, password=_nobody_types)
    except (OSError, ValueError) as error:
        mismatch = getattr(error, "reason", None) == "KEY_VALUES_MISMATCH"
        yield _bad(
            about, holder, f"is not the key of {tls.certificate}" if mismatch else f"cannot be used: {error}"
        )


def _bad(key: str, path: str, why: str) -> Unusable:
    """Name the file where root has put it, not its copy from systemd."""
    return Unusable(key=key, path=str(origin(path) or path), why=why)


def _nobody_types() -> str:
    raise ValueError("it is encrypted, and nobody is there to type its pass phrase")


def _readable(path: str) -> bool:
    return Path(path).is_file() and os.access(path, os.R_OK)


def _holds(path: str, mark: str) -> bool:
    return mark in Path(path).read_text(encoding="ascii", errors="replace")


class KeyFiles:
    """The files named in the configuration's `mqtt` section. Read by the link's thread alone."""

    def __init__(self, config: MqttSection) -> None:
        self._tls = config.tls
        self._paths = [path for path in (config.password_file,) if path is not None]
        if config.tls is not None:
            named = (config.tls.ca, config.tls.certificate, config.tls.key)
            self._paths += [path for path in named if path is not None]

    def signature(self) -> Signature:
        """Return something that differs once a file was replaced or written."""
        return tuple(_signature(path) for path in self._paths)

    def check(self) -> None:
        """Load everything once. Raises `OSError` with the file's name if it cannot be used."""
        for path in self._paths:
            Path(path).read_bytes()
        if self._tls is not None:
            for one in unusable(self._tls):
                raise one.as_error()

    def expiries(self) -> tuple[Expiry, ...]:
        """Return until when each certificate in the files is good; what cannot be read is left out."""
        if self._tls is None:
            return ()
        named: tuple[tuple[Role, str | None], ...] = (("ca", self._tls.ca), ("certificate", self._tls.certificate))
        found: list[Expiry] = []
        for role, path in named:
            if path is not None:
                found += _expiries(role, Path(path))
        return tuple(found)


def _signature(path: str) -> tuple[str, int, int, int] | tuple[str]:
    try:
        stat = Path(path).stat()
    except OSError:
        return (path,)
    return (path, stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _expiries(role: Role, path: Path) -> Iterator[Expiry]:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return
    import ssl  # noqa: PLC0415 - loaded where there is TLS alone

    for part in text.split(BEGIN)[1:]:
        try:
            der = ssl.PEM_cert_to_DER_cert(f"{BEGIN}{part.partition(END)[0]}{END}\n")
            yield read_expiry(role, der)
        except (ValueError, IndexError):
            continue


def read_expiry(role: Role, der: bytes) -> Expiry:
    """Return until when a certificate is good. Raises `ValueError` or `IndexError` if it is none.

    Python's `ssl` tells this only of certificates of peers, so the few elements ahead of it are read here.
    """
    _tag, certificate, _rest = _element(der)
    _tag, rest, _signature = _element(certificate)
    tag, _value, after = _element(rest)
    if tag == VERSION:
        rest = after
    values: list[bytes] = []
    for expected in (INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE):
        tag, value, rest = _element(rest)
        if tag != expected:
            raise ValueError("not a certificate")
        values.append(value)
    _serial, _algorithm, _issuer, validity, subject = values
    _tag, _not_before, rest = _element(validity)
    tag, not_after, _rest = _element(rest)
    return Expiry(role=role, subject=_common_name(subject), expires_ms=_time(tag, not_after))


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and contents of the first element, and what follows it."""
    tag, length, start = data[0], data[1], 2
    if length & LONG_FORM:
        start += length & ~LONG_FORM
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise ValueError("cut short")
    return tag, data[start : start + length], data[start + length :]


def _time(tag: int, value: bytes) -> int:
    text = value.decode("ascii")
    if tag == UTC_TIME and len(text) == SHORT_YEAR:
        text = ("20" if int(text[:2]) < CENTURY_TURNS else "19") + text
    elif tag != GENERALIZED_TIME:
        raise ValueError("not a time")
    return round(datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp() * 1000)


def _common_name(subject: bytes) -> str | None:
    _before, found, rest = subject.partition(COMMON_NAME)
    return _element(rest)[1].decode("utf-8", "replace") if found else None
