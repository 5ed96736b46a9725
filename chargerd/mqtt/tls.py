"""What TLS raises, told apart. Where the broker is spoken to without it, OpenSSL is not loaded: 5.7 MB of 50.

`chargerd run` leaves it out (`leave_out_tls`). Then there are no such errors, and nothing is an instance of one.
"""

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import ssl

Kinds: TypeAlias = tuple[type[OSError], ...]


def _kinds() -> tuple[Kinds, Kinds, Kinds, Kinds]:
    try:
        import ssl  # noqa: PLC0415 - may have been left out
    except ImportError:
        return (), (), (), (BlockingIOError,)
    waits = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
    return (ssl.SSLError,), (ssl.SSLCertVerificationError,), (ssl.SSLEOFError,), waits


ERRORS, NOT_TRUSTED, HUNG_UP, WAITS = _kinds()
"""All; a certificate that does not do; an end without a word; nothing to read or room to write yet."""


def is_error(error: BaseException | None) -> "ssl.SSLError | None":
    """Return the error if it is one of TLS."""
    return error if isinstance(error, ERRORS) else None  # type: ignore[return-value] # by the tuple's meaning


def is_not_trusted(error: BaseException | None) -> "ssl.SSLCertVerificationError | None":
    """Return the error if it is about the broker's certificate."""
    return error if isinstance(error, NOT_TRUSTED) else None  # type: ignore[return-value] # by the tuple's meaning
