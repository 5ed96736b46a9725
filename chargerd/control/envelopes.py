"""Both kinds of lines of the control socket, as the daemon checks and writes them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Line(BaseModel):
    """One line either way."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Request(Line):
    """A question to the daemon. `params` and results are plain JSON; the methods know their shapes."""

    id: int = Field(ge=0, lt=2**53)
    method: str = Field(max_length=64)
    params: dict[str, Any] = Field(default_factory=dict)


class Error(Line):
    """Why a request was not served, and what to do."""

    code: str
    message: str
    hint: str = ""


class Response(Line):
    """An answer, or one of several."""

    id: int | None
    result: Any = None
    more: bool = False
    error: Error | None = None
