"""Text from afar, made fit for a terminal: of a backend, a rider, a board, a label.

A control character can move the cursor, colour, clear or retitle; a bidi character can show a figure in another
order than it has. What has no picture of its own is spelt out instead, as Python spells it.
"""

from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What passes between rooms and programs without a model."""


def visible(text: str) -> str:
    """Return text on one line, with what has no picture of its own spelt out."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def visible_lines(text: str) -> str:
    """Return text of several lines in the same way."""
    return "\n".join(visible(line) for line in text.split("\n"))


def visible_all(value: Json) -> Json:
    """Return what came as JSON with all its texts in that form."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [visible_all(one) for one in value]
    if isinstance(value, dict):
        return {visible(name): visible_all(one) for name, one in value.items()}
    return value
