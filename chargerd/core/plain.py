"""Plain JSON, for what passes between rooms and programs without a model."""

from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
