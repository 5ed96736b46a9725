"""What every part of a profile is made of: checked rows, each with where it is known from."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Address = Annotated[int, Field(ge=0, le=0xFFFF)]
Value = Annotated[int, Field(ge=0, le=0xFFFF)]
UnitId = Annotated[int, Field(ge=1, le=255)]
HIGHEST = 0xFFFF
"""The last address of a board, and the largest value of a register."""


class Model(BaseModel):
    """Frozen, and nothing unknown passes."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, allow_inf_nan=False)


class Basis(StrEnum):
    """Where a row of a profile is known from."""

    DOCUMENT = "document"
    """Read in the vendor's own document, or in source code of the vendor."""
    REPORTED = "reported"
    """Told by others: public drivers, users' measurements."""
    ASSUMED = "assumed"
    """Nobody states it; what stands here is meant to err on the safe side."""


class Row(Model):
    """One row of a profile that can be right or wrong by itself."""

    basis: Basis = Basis.REPORTED
    tried: str = ""
    """On which board and firmware it was tried; empty: on none."""
