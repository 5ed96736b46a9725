"""What goes over the control socket: one JSON object a line.

Request `{id, method, params}`; response `{id, result, more}`, where `more` says that further ones follow, or
`{id, error: {code, message, hint}}`. What the methods take stands in `chargerd.control.methods`.
"""

PROTOCOL = 1
"""Said by `hello`; a new number where an old client would misread what it is told."""
HELLO = "hello"
"""Answered by the server itself: `{protocol, version}`."""
LONGEST_REQUEST = 16 * 1024
LONGEST_RESPONSE = 4 * 1024 * 1024
SOCKET_NAME = "chargerctl.sock"
