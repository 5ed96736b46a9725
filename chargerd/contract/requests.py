"""What is wrong with a request in JSON, in plain words: which field, and what is wanted there."""

from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_WANTED = {
    "missing": "is missing",
    "json_invalid": "is not JSON: {error}",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
}
LONGEST = 200


def unknown_fields(error: ValidationError, below: str = "") -> list[str]:
    """Return the fields that do not belong."""
    return [_place(detail, below) for detail in error.errors() if detail["type"] == "extra_forbidden"]


def complaint(error: ValidationError, below: str = "", patterns: Mapping[str, str] | None = None) -> str:
    """Return what is wrong with the first field that is, of those `below` a field of the whole.

    `patterns` says what text must be like that has to match them.
    """
    detail = error.errors()[0]
    kind, context = detail["type"], detail.get("ctx", {})
    place = _place(detail, below)
    if kind == "value_error":
        return f"{place}: {context['error']}".removeprefix(": ")[:LONGEST]
    if kind == "string_pattern_mismatch":
        wanted = f"must be {(patterns or {}).get(context['pattern'], 'as the contract says')}"
    else:
        wanted = _WANTED.get(kind, "is not as the contract says").format(**context)
    return f"{place or 'the whole'} {wanted}"[:LONGEST]


def _place(detail: ErrorDetails, below: str) -> str:
    return ".".join((*((below,) if below else ()), *(str(part) for part in detail["loc"])))
