"""The chain of settlements: each digest covers the one before it, so that no change and no gap goes unseen."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import rfc8785

from chargerd.contract.ledger import Body
from chargerd.store.codec import CodecError, dump_body, load_body, load_for_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One settlement as it stands in the ledger: its number, its body as text and the digest before it."""

    seq: int
    text: str
    previous: str | None


UNCOVERED = frozenset({"event", "digest"})
"""What of a settlement's body its digest does not cover."""


def sealed(body: Body, *, gateway: str | None, previous: str | None) -> Body:
    """Return a settlement's body with its gateway, the digest before it and its own."""
    whole = {**body, "gateway": gateway, "previous_digest": previous}
    return {**whole, "digest": digest_of(whole)}


def digest_of(body: Body) -> str:
    """Return SHA-256, in hex, over the canonical JSON (RFC 8785) of a settlement, all but `UNCOVERED` of it.

    Integers beyond 2^53 - 1 are hashed as decimal strings.
    """
    covered = load_for_digest(dump_body({name: value for name, value in body.items() if name not in UNCOVERED}))
    return hashlib.sha256(rfc8785.dumps(dict(covered))).hexdigest()


def _digest_before_gateways(body: Body, previous: str | None) -> str:
    """Return what the digest was while settlements did not name their gateway and the one before them."""
    record = load_for_digest(dump_body({name: value for name, value in body.items() if name != "digest"}))
    return hashlib.sha256(rfc8785.dumps({"previous": previous, "record": dict(record)})).hexdigest()


def problems_of(links: Iterable[Link], newest: str | None) -> tuple[str, ...]:
    """Return what is wrong with settlements in the order of their numbers; empty if nothing is.

    `newest` is the digest the journal remembers as its last. The first link may refer to one that has left.
    """
    check = ChainCheck()
    check.take(links)
    check.finish(newest)
    return tuple(check.problems)


@dataclass(slots=True)
class ChainCheck:
    """Goes through the chain in as many pieces as one likes."""

    problems: list[str] = field(default_factory=list)
    count: int = 0
    before: Link | None = None
    digest: str | None = None

    def take(self, links: Iterable[Link]) -> None:
        """Look at the next settlements."""
        for link in links:
            self.count += 1
            if self.before is not None and link.previous != self.digest:
                self.problems.append(
                    f"row {link.seq}: does not follow row {self.before.seq}; a settlement is missing or changed"
                )
            self.digest = _stated(link)
            if self.digest is None or self.digest != _due(link):
                self.problems.append(f"row {link.seq}: the record does not match its digest")
            self.before = link

    def finish(self, newest: str | None) -> None:
        """Compare the end with what the journal remembers as its newest settlement."""
        if self.before is not None and self.digest != newest:
            self.problems.append(f"row {self.before.seq}: is not the newest settlement the journal remembers")


def _due(link: Link) -> str | None:
    """Return what a settlement's digest has to be, given its place in the chain."""
    body = load_body(link.text)
    if "previous_digest" not in body:
        return _digest_before_gateways(body, link.previous)
    return digest_of(body) if body["previous_digest"] == link.previous else None


def _stated(link: Link) -> str | None:
    try:
        digest = load_body(link.text).get("digest")
    except CodecError:
        return None
    return digest if isinstance(digest, str) else None
