"""What a session costs: by energy, by time, or by time in tiers of power. Money is whole hundredths."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

By: TypeAlias = Literal["energy", "time", "tier"]
SECONDS_PER_HOUR = 3600
WH_PER_KWH = 1000
MOST_HOURS = 24
"""No session lasts longer."""
EXAMPLE = """\
# Prices, in the currency's main unit. Sessions under way keep the prices they began with.
symbol = "¥"
by = "tier"         # "energy": per_kwh; "time": per_hour; "tier": per_hour of each tier of power
# per_kwh = "1.20"
# per_hour = "0.30"
tiers = [
    {up_to_w = 150, per_hour = "0.20"},
    {up_to_w = 285, per_hour = "0.30"},
    {per_hour = "0.45"},              # above
]
hours = [1, 2, 4, 8]                  # what a rider may choose from, beside "until full"
amounts = ["1", "2", "3", "5"]
"""


class PricesError(ValueError):
    """These are no prices; the message says what to mend."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Time at up to `up_to_w` watts costs so much an hour; `None`: above the others."""

    up_to_w: float | None
    per_hour: Decimal


@dataclass(frozen=True, slots=True)
class Spent:
    """What a session has drawn. `tiers`: seconds by upper bound in watts, `None`: above the last."""

    energy_wh: float
    charging_s: float
    tiers: Mapping[float | None, float]


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of one session. `per`: of a kWh or an hour, for `by` "energy" and "time"."""

    symbol: str
    by: By
    per: Decimal
    tiers: tuple[Tier, ...] = ()

    @property
    def bounds(self) -> list[float]:
        """Return what a start tells the gateway as `tariff_tiers_w`."""
        return [tier.up_to_w for tier in self.tiers if tier.up_to_w is not None]

    @property
    def dearest(self) -> Decimal:
        """Return the most that a unit can cost."""
        return max((tier.per_hour for tier in self.tiers), default=self.per)

    @property
    def cheapest(self) -> Decimal:
        """Return the least that a unit can cost."""
        return min((tier.per_hour for tier in self.tiers), default=self.per)

    def cost(self, spent: Spent) -> Decimal:
        """Return what it costs in the main unit, not rounded."""
        if self.by == "energy":
            return self.per * Decimal(str(spent.energy_wh)) / WH_PER_KWH
        if self.by == "time":
            return self.per * Decimal(str(spent.charging_s)) / SECONDS_PER_HOUR
        return sum(
            (self.price_at(bound) * Decimal(str(span)) for bound, span in self._by_tier(spent).items()), Decimal(0)
        ) / Decimal(SECONDS_PER_HOUR)

    def price_at(self, power_w: float | None) -> Decimal:
        """Return what an hour costs at a power; `None`: above every bound."""
        for tier in self.tiers:
            if tier.up_to_w is None or (power_w is not None and power_w <= tier.up_to_w):
                return tier.per_hour
        return self.per

    def bound_of(self, power_w: float) -> float | None:
        """Return the upper bound of the tier a power is in."""
        return next((bound for bound in self.bounds if power_w <= bound), None)

    def limit(self, amount: int) -> dict[str, float]:
        """Return the limits of a session that may cost `amount` hundredths at most.

        By energy and by time they are exact. By tier they are the time the cheapest tier allows, since nobody
        knows what the load will draw: the session is stopped when the amount is reached, and costs no more.
        """
        units = Decimal(amount) / 100 / self.cheapest if self.cheapest else Decimal(MOST_HOURS)
        if self.by == "energy":
            return {"energy_wh": max(1, int(units * WH_PER_KWH))}
        return {"duration_s": max(60, int(min(units, Decimal(MOST_HOURS)) * SECONDS_PER_HOUR))}

    def as_json(self) -> str:
        """Return it as a session keeps it."""
        tiers = [[tier.up_to_w, str(tier.per_hour)] for tier in self.tiers]
        return json.dumps({"symbol": self.symbol, "by": self.by, "per": str(self.per), "tiers": tiers})

    @classmethod
    def from_json(cls, kept: str) -> "Tariff":
        """Return what a session has kept."""
        raw = json.loads(kept)
        tiers = tuple(Tier(bound, Decimal(price)) for bound, price in raw["tiers"])
        return cls(raw["symbol"], raw["by"], Decimal(raw["per"]), tiers)

    def _by_tier(self, spent: Spent) -> Mapping[float | None, float]:
        """Return the seconds in each tier of ours.

        A session that somebody else began may have been told in other tiers: then all of it counts in the tier of
        its mean power.
        """
        ours: set[float | None] = {*self.bounds, None}
        if spent.tiers and set(spent.tiers) <= ours and (len(spent.tiers) == len(ours)):
            return spent.tiers
        mean_w = float(spent.energy_wh * SECONDS_PER_HOUR / spent.charging_s) if spent.charging_s else 0.0
        return {self.bound_of(mean_w): spent.charging_s}


@dataclass(frozen=True, slots=True)
class Prices:
    """The file: the tariff of sessions to come, and what a rider may choose."""

    tariff: Tariff
    hours: tuple[int, ...]
    amounts: tuple[int, ...]
    """Hundredths."""


def hundredths(amount: Decimal, most: int | None = None) -> int:
    """Return an amount in whole hundredths, half up; `most`: what was agreed that it costs at most."""
    whole = int((amount * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return whole if most is None else min(whole, most)


def load(path: Path | None) -> Prices:
    """Read a file of prices; `None`: the example's. Raises `PricesError`."""
    try:
        raw = tomllib.loads(EXAMPLE if path is None else path.read_text(encoding="utf-8"))
        return _prices(raw)
    except OSError as error:
        raise PricesError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, PricesError) as error:
        raise PricesError(f"{path}: {error}") from error


def _prices(raw: Mapping[str, Any]) -> Prices:
    unknown = set(raw) - {"symbol", "by", "per_kwh", "per_hour", "tiers", "hours", "amounts"}
    if unknown:
        raise PricesError(f"nothing here is called {', '.join(sorted(unknown))}")
    by, symbol = raw.get("by"), raw.get("symbol", "¥")
    if by not in {"energy", "time", "tier"} or not isinstance(symbol, str):
        raise PricesError('by is "energy", "time" or "tier", and symbol a text')
    tiers = _tiers(raw.get("tiers")) if by == "tier" else ()
    per = Decimal(0) if by == "tier" else _money(raw, "per_kwh" if by == "energy" else "per_hour")
    hours, amounts = raw.get("hours", []), raw.get("amounts", [])
    if not isinstance(hours, list) or not all(type(one) is int and 0 < one <= MOST_HOURS for one in hours):
        raise PricesError(f"hours is a list of whole numbers from 1 to {MOST_HOURS}")
    if not isinstance(amounts, list):
        raise PricesError('amounts is a list, as ["1", "2.50"]')
    chosen = tuple(hundredths(_money({"amounts": one}, "amounts")) for one in amounts)
    return Prices(Tariff(symbol, cast("By", by), per, tiers), tuple(hours), chosen)


def _tiers(raw: object) -> tuple[Tier, ...]:
    if not isinstance(raw, Sequence) or not raw or not all(isinstance(one, dict) for one in raw):
        raise PricesError("tiers is a list of {up_to_w = ..., per_hour = ...}")
    tiers = tuple(Tier(one.get("up_to_w"), _money(one, "per_hour")) for one in raw)
    bounds = [tier.up_to_w for tier in tiers[:-1] if isinstance(tier.up_to_w, int | float) and tier.up_to_w > 0]
    if tiers[-1].up_to_w is not None or len(bounds) != len(tiers) - 1 or bounds != sorted(set(bounds)):
        raise PricesError("tiers rise by up_to_w, and the last has none: it is for all above")
    return tiers


def _money(raw: Mapping[str, Any], name: str) -> Decimal:
    value = raw.get(name)
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("nan")
    if isinstance(value, bool) or not amount.is_finite() or amount < 0:
        raise PricesError(f'{name} is an amount, as "1.20"')
    return amount
