"""A protective function is one file and one row; what else it needs is asked for here, by its name.

Its scenario and its row in the manual are asked for in `tests/scenarios/test_every_row.py`, the words of its latch
in `tests/control/test_chargerctl.py`, what a key of it does in `tests/config/test_site.py`.
"""

import inspect

import pytest

from chargerd.core.facts import PortAlarm, PowerJumped
from chargerd.core.keys import keys
from chargerd.core.plan import Protection
from chargerd.core.protection.function import Function, Result
from chargerd.core.protection.table import FUNCTIONS, Row
from tests.core.bends import BENDS


def name_of(row: Row) -> str:
    return row.function.name


def test_every_function_is_in_the_table_once() -> None:
    missing = {one.__name__ for one in Function.__subclasses__()} - {row.function.__name__ for row in FUNCTIONS}
    assert not missing, f"add a row to chargerd/core/protection/table.py for {sorted(missing)}"
    names = [row.function.name for row in FUNCTIONS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", FUNCTIONS, ids=name_of)
def test_a_row_says_what_its_result_needs_and_no_more(row: Row) -> None:
    assert row.clearing is None or row.result is Result.TRIP, "only a trip sets a latch"
    assert not row.trips(Protection()), "a trip that a site may want is off by default"
    assert row.tells is PortAlarm or row.result is Result.ALARM, "what opens a port is told as a trip"


def test_alarms_of_before_are_told_as_before_and_new_ones_by_their_name() -> None:
    """Backends know `power_jumped`; one `port_alarm` with the function's name serves all that come after it."""
    told = {row.function.name: row.tells for row in FUNCTIONS if row.result is Result.ALARM}
    assert told.pop("power_jump") is PowerJumped
    assert set(told.values()) <= {PortAlarm}


@pytest.mark.parametrize("row", FUNCTIONS, ids=name_of)
def test_a_function_has_a_bend_that_must_be_noticed(row: Row) -> None:
    module = row.function.__module__.removeprefix("chargerd.core.")
    source, own = inspect.getsource(row.function), row.function.__name__
    bent = [
        bend
        for bend in BENDS
        if (bend.module == module and bend.old in source)
        or (bend.module == "protection.table" and own in bend.old)
    ]
    assert bent, f"bend {own} in one of the lists of tests/core/bends.py, and name the scenario that notices"


def test_a_figure_has_a_bend_that_must_be_noticed() -> None:
    bent = [bend.old for bend in BENDS if bend.module == "plan"]
    figures = [field for field, _, _ in keys(Protection).values()]
    missing = [field for field in figures if not any(f"{field}: " in old for old in bent)]
    assert not missing, f"bend {missing} of Protection in one of the lists of tests/core/bends.py"


def test_a_figure_nobody_can_configure_is_refused() -> None:
    with pytest.raises(KeyError, match="key"):
        keys(Row)
