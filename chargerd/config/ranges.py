"""Ranges as installers write them: `A01..A12`, `relay-a/1..12`, `11..22`."""

import re

_RANGE = re.compile(r"(?P<stem>.*?)(?P<first>\d+)\.\.(?P<again>.*?)(?P<last>\d+)", re.ASCII)
LONGEST = 250
_DIGITS = 9
"""Longer numbers are nobody's channel or address, and slow to read."""


class RangeError(ValueError):
    """A range cannot be understood; the message says why."""


def spell_out(text: str) -> tuple[str, ...]:
    """Return what a range stands for, or the text itself if it is none. Zero padding is kept.

    The stem may stand again before the last number (`A01..A12`) or not (`relay-a/1..12`). Raises `RangeError`.
    """
    if ".." not in text:
        return (text,)
    match = _RANGE.fullmatch(text)
    if match is None or match["again"] not in {"", match["stem"]}:
        raise RangeError(f"{text!r} is not a range such as A01..A12")
    if max(len(match["first"]), len(match["last"])) > _DIGITS:
        raise RangeError(f"{text!r} has too many digits")
    first, last = int(match["first"]), int(match["last"])
    if last < first:
        raise RangeError(f"{text!r} runs backwards")
    if last - first >= LONGEST:
        raise RangeError(f"{text!r} is longer than {LONGEST}")
    width = len(match["first"]) if match["first"].startswith("0") else 0
    return tuple(f"{match['stem']}{number:0{width}d}" for number in range(first, last + 1))


def run_along(text: str, length: int) -> tuple[str, ...]:
    """Return what stands beside a range of `length`: one as long, or one thing for all. Raises `RangeError`."""
    items = spell_out(text)
    if len(items) == length:
        return items
    if len(items) == 1:
        return items * length
    raise RangeError(f"{text!r} has {len(items)} members beside {length}")
