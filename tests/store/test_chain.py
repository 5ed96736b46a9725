import hashlib
from dataclasses import replace

import pytest

from chargerd.contract.ledger import Body
from chargerd.store.chain import Link, digest_of, problems_of, sealed
from chargerd.store.codec import dump_body


def chain(*bodies: Body) -> tuple[list[Link], str | None]:
    links: list[Link] = []
    previous: str | None = None
    for seq, body in enumerate(bodies, start=1):
        whole = sealed(body, gateway="shed-1", previous=previous)
        links.append(Link(seq=seq, text=dump_body(whole), previous=previous))
        previous = str(whole["digest"])
    return links, previous


def test_a_digest_is_sha_256_over_the_canonical_settlement_with_gateway_and_the_digest_before() -> None:
    canonical = b'{"a":1,"b":2.5,"gateway":"shed-1","previous_digest":null}'
    whole = sealed({"event": "ended", "b": 2.5, "a": 1}, gateway="shed-1", previous=None)
    assert whole["digest"] == hashlib.sha256(canonical).hexdigest()
    canonical = b'{"a":1,"gateway":"shed-2","previous_digest":"ff"}'
    whole = sealed({"a": 1, "digest": "is not covered by itself"}, gateway="shed-2", previous="ff")
    assert whole["digest"] == hashlib.sha256(canonical).hexdigest()


@pytest.mark.parametrize(("number", "text"), [(2**53 - 1, b"9007199254740991"), (2**53, b'"9007199254740992"')])
def test_an_integer_no_double_can_hold_is_hashed_as_text(number: int, text: bytes) -> None:
    assert digest_of({"a": number}) == hashlib.sha256(b'{"a":' + text + b"}").hexdigest()


def test_a_settlement_that_names_another_before_it_is_found() -> None:
    links, newest = chain({"energy_wh": 1}, {"energy_wh": 2})
    forged = sealed({"energy_wh": 2}, gateway="shed-1", previous="ff")
    links[1] = replace(links[1], text=dump_body(forged))
    assert problems_of(links, str(forged["digest"])) == ("row 2: the record does not match its digest",)
    assert newest != forged["digest"]


def test_an_untouched_chain_has_no_problems() -> None:
    links, newest = chain({"energy_wh": 1}, {"energy_wh": 2}, {"energy_wh": 3})
    assert problems_of(links, newest) == ()
    assert problems_of(links[1:], newest) == ()
    assert problems_of([], None) == ()


def test_a_changed_record_is_found() -> None:
    links, newest = chain({"energy_wh": 1}, {"energy_wh": 2})
    links[0] = replace(links[0], text=links[0].text.replace('"energy_wh": 1', '"energy_wh": 9'))
    assert problems_of(links, newest) == ("row 1: the record does not match its digest",)


@pytest.mark.parametrize("text", ["{", "{}", '{"digest": 5}'])
def test_a_record_without_a_digest_is_found(text: str) -> None:
    links, _ = chain({"energy_wh": 1})
    assert problems_of([replace(links[0], text=text)], None)


def test_a_missing_record_is_found_in_the_middle_and_at_the_end() -> None:
    links, newest = chain({"energy_wh": 1}, {"energy_wh": 2}, {"energy_wh": 3})
    assert problems_of([links[0], links[2]], newest) == (
        "row 3: does not follow row 1; a settlement is missing or changed",
    )
    assert problems_of(links[:2], newest) == ("row 2: is not the newest settlement the journal remembers",)
