"""What a rider has asked for."""

import secrets
from dataclasses import dataclass, field

from chargerd.operator.messages import Command
from chargerd.operator.prices import SECONDS_PER_HOUR, Tariff

TOKEN_BYTES = 12
WAIT_S = 3600
"""How long a rider may wait for room on a full line: bikes stand there overnight, and a place costs nothing."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Until the charge is full, for `hours`, or for `amount` hundredths."""

    hours: int | None = None
    amount: int | None = None

    def __str__(self) -> str:
        if self.hours is not None:
            return f"hours:{self.hours}"
        return "full" if self.amount is None else f"amount:{self.amount}"

    @classmethod
    def parse(cls, said: str, hours: tuple[int, ...], amounts: tuple[int, ...]) -> "Goal | None":
        """Return what a form says, if that was to choose from."""
        choices = [cls(), *(cls(hours=one) for one in hours), *(cls(amount=one) for one in amounts)]
        return next((goal for goal in choices if str(goal) == said), None)

    @classmethod
    def kept(cls, said: str) -> "Goal":
        """Return what was stored."""
        kind, _colon, figure = said.partition(":")
        return cls(**{kind: int(figure)}) if figure else cls()

    def limits(self, tariff: Tariff) -> dict[str, float]:
        """Return the limits of its start."""
        if self.hours is not None:
            return {"duration_s": self.hours * SECONDS_PER_HOUR}
        return {} if self.amount is None else tariff.limit(self.amount)


@dataclass(frozen=True, slots=True)
class NewRide:
    """A start that a phone asks for. `tap`: one sheet of the form; a second tap on it is the same start."""

    gateway: str
    port: str
    phone: str
    tap: str
    goal: Goal
    rider: str | None = None
    stream: str | None = None
    """The gateway's ledger as it was: under another one no settlement may come."""
    waits: bool = False
    """Whether it may wait for room on its line, for `WAIT_S`."""
    session_id: str = field(default_factory=lambda: secrets.token_hex(16))
    receipt: str = field(default_factory=lambda: secrets.token_urlsafe(TOKEN_BYTES))

    def command(
        self, tariff: Tariff, now: float, *, longest_s: float | None = None, most_wh: float | None = None
    ) -> Command:
        """Return the `start` that it is, within the socket's own limits: above them it would be refused."""
        args: dict[str, object] = {"port": self.port, "session_id": self.session_id}
        own = {"duration_s": longest_s, "energy_wh": most_wh}
        limits = {name: min(value, own[name] or value) for name, value in self.goal.limits(tariff).items()}
        if limits:
            args["limits"] = limits
        if bounds := tariff.bounds:
            args["tariff_tiers_w"] = bounds
        if self.waits:
            args["queue_s"] = WAIT_S
        return Command.new(self.gateway, "start", args, now=now)
