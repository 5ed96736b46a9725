"""The chain of settlements: each digest covers the one before it, so that no change and no gap goes unseen."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import rfc8785

from chargerd.core.ledger import Body
from chargerd.store.codec import CodecError, dump_body, load_body, load_for_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One settlement as it stands in the ledger: its number, its body as text and the digest before it."""

    seq: int
    text: str
    previous: str | None


def digest_of(body: Body, previous: str | None) -> str:
    """Return SHA-256, in hex, over the canonical JSON (RFC 8785) of `{previous, record}`.

    `record` is the body without its digest. Integers beyond 2^53 - 1 are hashed as decimal strings.
    """
    record = load_for_digest(dump_body({name: value for name, value in body.items() if name != "digest"}))
    canonical = rfc8785.dumps({"previous": previous, "record": dict(record)})
    return hashlib.sha256(canonical).hexdigest()


def problems_of(links: Iterable[Link], newest: str | None) -> tuple[str, ...]:
    """Return what is wrong with settlements in the order of their numbers; empty if nothing is.

    `newest` is the digest the journal remembers as its last. The first link may refer to one that has left.
    """
    problems: list[str] = []
    before: Link | None = None
    digest: str | None = None
    for link in links:
        if before is not None and link.previous != digest:
            problems.append(
                f"row {link.seq}: does not follow row {before.seq}; a settlement is missing or changed"
            )
        digest = _stated(link)
        if digest is None or digest != digest_of(load_body(link.text), link.previous):
            problems.append(f"row {link.seq}: the record does not match its digest")
        before = link
    if before is not None and digest != newest:
        problems.append(f"row {before.seq}: is not the newest settlement the journal remembers")
    return tuple(problems)


def _stated(link: Link) -> str | None:
    try:
        digest = load_body(link.text).get("digest")
    except CodecError:
        return None
    return digest if isinstance(digest, str) else None
