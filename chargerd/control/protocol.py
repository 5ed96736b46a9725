"""What goes over the control socket: one JSON object a line.

Request `{id, method, params}`; response `{id, result, more}`, where `more` says that further ones follow, or
`{id, error: {code, message, hint}}`. What the methods take stands in `chargerd.control.methods`.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

PROTOCOL = 1
"""Said by `hello`; a new number where an old client would misread what it is told."""
LONGEST_REQUEST = 16 * 1024
LONGEST_RESPONSE = 4 * 1024 * 1024
SOCKET_NAME = "chargerctl.sock"


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
