"""What all pages have in common: tokens, cookies, forms, headers, and how a page is drawn."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from chargerd.operator.words import Words, preferred, words

HERE = Path(__file__).parent
PHONE, LANGUAGE = "phone", "language"
PHONE_S = 30 * 86_400
LONGEST_FORM = 4096
MOST_FIELDS = 20
TOKEN_BYTES = 24
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
SECONDS_PER_MINUTE = 60


class FormError(ValueError):
    """This is no form of ours."""


class Signer:
    """Tokens that nobody else can make."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def token(self, *parts: object) -> str:
        """Return a token for some texts; it may stand in a page."""
        said = "\0".join(str(part) for part in parts).encode()
        return hmac.new(self._secret, said, hashlib.sha256).hexdigest()[:40]

    def fits(self, token: str, *parts: object) -> bool:
        """Whether a token is the one for these texts."""
        return hmac.compare_digest(token.encode(), self.token(*parts).encode())


def new_secret() -> str:
    """Make a phone's secret."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def secret_of(request: Request) -> str | None:
    """Return a phone's secret, if it has one."""
    secret = request.cookies.get(PHONE, "")
    return secret if len(secret) >= TOKEN_BYTES else None


def known_by(secret: str) -> str:
    """Return what a phone's secret is known by here: we store no secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def phone_of(request: Request) -> str | None:
    """Return what the phone is known by that a request comes from."""
    secret = secret_of(request)
    return None if secret is None else known_by(secret)


def language_of(request: Request) -> Words:
    """Return the words of a request."""
    headers = request.headers.get("accept-language", "")
    return words(preferred(request.query_params.get("lang"), request.cookies.get(LANGUAGE), headers))


async def form_of(request: Request) -> Mapping[str, str]:
    """Return the fields of a form. Raises `FormError`."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise FormError("not a form")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            raise FormError("too long")
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=MOST_FIELDS, keep_blank_values=True))
    except ValueError as error:  # UnicodeDecodeError is one, too.
        raise FormError(str(error)) from error


def path(*parts: str) -> str:
    """Return a path from what it names, whatever is in the names."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page, and what tells it from another drawing of it.

    A page has the mark, so that what it shows already stays untouched: no button goes from under a finger.
    """

    text: Markup
    mark: str

    @classmethod
    def of(cls, drawn: str) -> "Part":
        """Mark what was drawn."""
        return cls(Markup(drawn), hashlib.sha256(drawn.encode()).hexdigest()[:12])  # noqa: S704 - a template has escaped it


Parts: TypeAlias = Mapping[str, Part]


def event(parts: Parts, shown: Parts) -> str:
    """Return the server-sent event that brings a page up to date."""
    changed = {name: [part.mark, part.text] for name, part in parts.items() if shown.get(name) != part}
    return f"data: {json.dumps(changed)}\n\n" if changed else ": still here\n\n"


class Pages:
    """Draws pages. `secure`: whether we are reached by HTTPS, so that cookies are for nothing else."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        self._jinja = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.filters |= {"energy": energy, "duration": duration, "watts": watts}
        static = HERE / "static"
        stamp = hashlib.sha256(b"".join(one.read_bytes() for one in sorted(static.iterdir()))).hexdigest()[:12]
        self._jinja.globals |= {"path": path, "static": lambda name: f"/static/{name}?{stamp}"}

    def draw(self, template: str, said: Words, **more: Any) -> str:
        """Return a page, or a part of one."""
        return self._jinja.get_template(template).render(t=said, **more)

    def parts(self, folder: str, names: Iterable[str], said: Words, **more: Any) -> Parts:
        """Return parts of a page, drawn from one state of things."""
        return {name: Part.of(self.draw(f"{folder}/{name}.html", said, **more)) for name in names}

    def page(self, request: Request, template: str, *, status: int = 200, **more: Any) -> Response:
        """Return a page in the language of a request."""
        said = language_of(request)
        # A browser would take two slashes for the beginning of another site's address.
        here = "/" + quote(request.scope["path"].lstrip("/"))
        response = HTMLResponse(self.draw(template, said, here=here, **more), status, dict(HEADERS))
        response.headers["Content-Language"] = said.locale
        response.headers["Vary"] = "Accept-Language, Cookie"
        if request.query_params.get("lang") == said.code:
            self._cookie(response, LANGUAGE, said.code, PHONE_S)
        return response

    def error(self, request: Request, name: str, status: int) -> Response:
        """Return a page with a sentence of its own."""
        return self.page(request, "error.html", status=status, name=name)

    def give_phone(self, response: Response, secret: str) -> None:
        """See to it that a phone has its secret, and keeps it as long as it comes back."""
        self._cookie(response, PHONE, secret, PHONE_S)

    def back(self, where: str, notice: str = "") -> Response:
        """Return to a page after a form, so that to load it again sends nothing again."""
        return RedirectResponse(f"{where}?notice={notice}" if notice else where, 303, dict(HEADERS))

    def cookie(self, response: Response, name: str, value: str, seconds: int) -> None:
        """Set a cookie that goes to us alone and to no script."""
        self._cookie(response, name, value, seconds, strict=True)

    def _cookie(self, response: Response, name: str, value: str, seconds: int, *, strict: bool = False) -> None:
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            secure=self._secure,
            httponly=True,
            samesite="strict" if strict else "lax",
        )


# How figures are written


def money(amount: Decimal, symbol: str, digits: int = 2) -> str:
    """Return an amount in its main unit."""
    return f"{symbol}{amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP):f}"


def energy(watt_hours: float) -> str:
    """Return an energy."""
    return f"{watt_hours:.0f} Wh" if watt_hours < 1000 else f"{watt_hours / 1000:.2f} kWh"  # noqa: PLR2004 - a kWh


def watts(power: float | None) -> str:
    """Return a power, or a dash where it is not known."""
    return "–" if power is None else f"{power:z.0f} W"  # noqa: RUF001 - a dash


def duration(seconds: float) -> str:
    """Return a span as h:mm:ss, or m:ss."""
    minutes, rest = divmod(int(seconds), SECONDS_PER_MINUTE)
    hours, minutes = divmod(minutes, SECONDS_PER_MINUTE)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def zone(name: str) -> tzinfo:
    """Return a gateway's time zone, as it names it."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def about(known: float | None, otherwise: float | None) -> tuple[float | None, str]:
    """Return a moment, or the one we know best where the gateway had no clock, and what is put before it."""
    return (known, "") if known is not None else (otherwise, "≈ ")


def moment(at: float | None, where: tzinfo, form: str = "%Y-%m-%d %H:%M") -> str:
    """Return a moment as a clock there shows it."""
    try:
        return "" if at is None else datetime.fromtimestamp(at, where).strftime(form)
    except (ValueError, OverflowError, OSError):  # Stored before anybody looked at what it was.
        return "?"
