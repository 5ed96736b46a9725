"""Prices: what a session costs, what an amount buys, what is no file of prices."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargerd.operator.prices import Prices, PricesError, Spent, Tariff, hundredths, load


def prices(folder: Path, text: str) -> Prices:
    path = folder / "prices.toml"
    path.write_text(text)
    return load(path)


def test_by_energy_time_and_tier(tmp_path: Path) -> None:
    spent = Spent(1500, 7200, {})
    assert prices(tmp_path, 'by = "energy"\nper_kwh = "1.20"').tariff.cost(spent) == Decimal("1.8")
    assert prices(tmp_path, 'by = "time"\nper_hour = 0.3').tariff.cost(spent) == Decimal("0.6")
    tiers: dict[float | None, float] = {150: 3600, 285: 1800, None: 1800}
    assert load(None).tariff.cost(Spent(1500, 7200, tiers)) == Decimal("0.575")


def test_tiers_of_somebody_else_count_at_their_mean_power() -> None:
    tariff = load(None).tariff
    assert tariff.cost(Spent(200, 3600, {None: 3600})) == Decimal("0.30"), "200 W"
    assert tariff.cost(Spent(0, 0, {None: 0})) == 0


def test_a_session_keeps_its_tariff() -> None:
    tariff = load(None).tariff
    assert Tariff.from_json(tariff.as_json()) == tariff
    assert tariff.dearest == Decimal("0.45")


def test_halves_go_up_and_an_amount_is_the_most() -> None:
    assert hundredths(Decimal("0.005")) == 1
    assert hundredths(Decimal("0.00499")) == 0
    assert hundredths(Decimal("5.01"), 500) == 500


@given(st.integers(1, 100_000), st.decimals("0.01", "100", places=2))
def test_a_limit_never_costs_more_than_its_amount(amount: int, price: Decimal) -> None:
    for by, unit in (("energy", "energy_wh"), ("time", "duration_s")):
        tariff = Tariff("¥", by, price)  # type: ignore[arg-type]
        limit = tariff.limit(amount)[unit]
        least = 1 if by == "energy" else 60
        spent = Spent(limit, limit, {})
        assert limit == least or tariff.cost(spent) * 100 <= amount


def test_what_costs_nothing_lasts_a_day(tmp_path: Path) -> None:
    assert prices(tmp_path, 'by = "time"\nper_hour = 0').tariff.limit(100) == {"duration_s": 86_400}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("by =", "Invalid value"),
        ('by = "moon"', 'by is "energy"'),
        ('by = "energy"', "per_kwh is an amount"),
        ('by = "energy"\nper_kwh = -1', "per_kwh is an amount"),
        ('by = "energy"\nper_kwh = true', "per_kwh is an amount"),
        ('by = "energy"\nper_kwh = "1"\nper_kw = 3', "nothing here is called per_kw"),
        ('by = "time"\nper_hour = "1"\nhours = [25]', "hours is a list"),
        ('by = "time"\nper_hour = "1"\nhours = [true]', "hours is a list"),
        ('by = "time"\nper_hour = "1"\namounts = 3', "amounts is a list"),
        ('by = "time"\nper_hour = "1"\namounts = ["nan"]', "amounts is an amount"),
        ('by = "tier"', "tiers is a list"),
        ('by = "tier"\ntiers = [{up_to_w = 100, per_hour = "1"}]', "the last has none"),
        ('by = "tier"\ntiers = [{per_hour = "1"}, {per_hour = "1"}]', "tiers rise"),
        (
            'by = "tier"\ntiers = [{up_to_w = 9, per_hour = 1}, {up_to_w = 8, per_hour = 1}, {per_hour = 1}]',
            "tiers rise",
        ),
        ('by = "tier"\ntiers = [{per_hour = "x"}]', "per_hour is an amount"),
    ],
)
def test_what_is_no_file_of_prices_is_told_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(PricesError, match=r"prices\.toml: ") as told:
        prices(tmp_path, text)
    assert complaint in str(told.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PricesError, match="No such file"):
        load(tmp_path / "none.toml")
