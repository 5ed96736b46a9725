"""Who may see the operator's pages: one account from the environment, a signed cookie, and a limit on guesses."""

import hashlib
import hmac
import secrets
from collections import deque
from dataclasses import dataclass

from starlette.requests import Request

from chargerd.operator.clock import Clock, steady, wall
from chargerd.operator.web import Signer

COOKIE = "operator"
STAYS_S = 12 * 3600
MOST_GUESSES, GUESSES_WITHIN_S = 10, 60.0


@dataclass(frozen=True, slots=True)
class Account:
    """The one account. A new password ends every login made with the old one."""

    user: str
    password: str

    @property
    def mark(self) -> str:
        """Return what stands for it in a cookie's signature."""
        return hashlib.sha256(f"{self.user}\0{self.password}".encode()).hexdigest()


class Guard:
    """Lets in whoever has the account."""

    def __init__(
        self, account: Account | None, signer: Signer, *, now: Clock = wall, clock: Clock = steady
    ) -> None:
        self.account = account
        self._signer = signer
        self._now = now
        self._clock = clock
        self._guesses: deque[float] = deque()

    def too_many(self) -> bool:
        """Whether so many have guessed wrong that all have to wait."""
        while self._guesses and self._guesses[0] <= self._clock() - GUESSES_WITHIN_S:
            self._guesses.popleft()
        return len(self._guesses) >= MOST_GUESSES

    def login(self, user: str, password: str) -> str | None:
        """Return the cookie of a login, or `None`."""
        account = self.account
        if account is None:
            return None
        right = hmac.compare_digest(user.encode(), account.user.encode())
        right &= hmac.compare_digest(password.encode(), account.password.encode())
        if not right:
            self._guesses.append(self._clock())
            return None
        said = f"{int(self._now()) + STAYS_S}.{secrets.token_urlsafe(12)}"
        return f"{said}.{self._signer.token('login', said, account.mark)}"

    def lets_in(self, request: Request) -> bool:
        """Whether a request comes from somebody who has logged in."""
        until, _dot, rest = (cookie := request.cookies.get(COOKIE, "")).partition(".")
        said, _dot, token = cookie.rpartition(".")
        if self.account is None or not rest or not self._signer.fits(token, "login", said, self.account.mark):
            return False
        return until.isdecimal() and self._now() < int(until)

    def form_token(self, request: Request) -> str:
        """Return what each form of a login carries: no other site can make it."""
        return self._signer.token("office", request.cookies.get(COOKIE, ""))

    def form_fits(self, request: Request, token: str) -> bool:
        """Whether a form is one of this login's pages."""
        return self._signer.fits(token, "office", request.cookies.get(COOKIE, ""))
