"""Ranges, as properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.config.ranges import RangeError, run_along, spell_out

STEMS = st.text(st.characters(exclude_characters=".0123456789\n", exclude_categories=["Nd", "Cs"]), max_size=8)


@given(stem=STEMS, first=st.integers(0, 500), more=st.integers(0, 249), again=st.booleans())
def test_a_range_has_each_number_once_in_order(stem: str, first: int, more: int, again: bool) -> None:
    members = spell_out(f"{stem}{first}..{stem if again else ''}{first + more}")
    if first:
        assert members == tuple(f"{stem}{number}" for number in range(first, first + more + 1))
    assert len(set(members)) == more + 1


@given(stem=STEMS, first=st.integers(1, 9), more=st.integers(0, 90))
def test_zero_padding_is_kept(stem: str, first: int, more: int) -> None:
    members = spell_out(f"{stem}{first:03}..{first + more:03}")
    assert members == tuple(f"{stem}{number:03}" for number in range(first, first + more + 1))


@given(text=st.text(max_size=20), length=st.integers(1, 300))
def test_any_text_is_a_range_or_is_refused(text: str, length: int) -> None:
    said = ""
    members: tuple[str, ...] = ()
    try:
        members = run_along(text, length)
    except RangeError as error:
        said = str(error)
    assert repr(text) in said if said else len(members) == length


@pytest.mark.parametrize("text", ["A01", "relay-a/1", "", "7", "a.b"])
def test_what_is_no_range_stands_for_itself(text: str) -> None:
    assert spell_out(text) == (text,)
    assert run_along(text, 3) == (text,) * 3
