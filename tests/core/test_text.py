"""What could do something to a terminal is spelt out, and all else stays."""

import pytest

from chargerd.text import visible, visible_all, visible_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Tür 3 · 东01 é", "Tür 3 · 东01 é"),
        ("\x1b]0;owned\x07\x1b[2J", r"\x1b]0;owned\x07\x1b[2J"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\u202e123\u2066\x9b5m\ud800", r"\u202e123\u2066\x9b5m\ud800"),
    ],
)
def test_what_has_no_picture_is_spelt_out(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible_lines(f"{text}\n") == "\n".join(map(visible, text.split("\n"))) + "\n"


def test_what_came_as_json_keeps_its_shape() -> None:
    assert visible_all({"a": ["\x1b", 1, None, {"\x07": True}]}) == {"a": ["\\x1b", 1, None, {"\\x07": True}]}
