"""Generated charges of all kinds are named right, and none is stopped on its plateau."""

import json

import pytest

from tests.charges.__main__ import main
from tests.charges.judge import Matrix, matrix
from tests.charges.profiles import KINDS, Truth, charges

OF_EACH = 12


@pytest.fixture(scope="module")
def judged() -> Matrix:
    return matrix(charges(2, OF_EACH))


def test_there_are_enough_of_them(judged: Matrix) -> None:
    assert sum(judged.counted.values()) + sum(judged.unknowable.values()) == OF_EACH * len(KINDS) >= 200


def test_at_least_98_percent_of_the_ends_are_named_right(judged: Matrix) -> None:
    assert judged.right_ends >= 0.98


def test_no_bike_on_its_plateau_is_stopped(judged: Matrix) -> None:
    assert {charge.kind for charge, _ in judged.cut_short} <= {"small_charger"}
    assert all(judged.counted[Truth.CHARGING, said] == 0 for said in (Truth.FULL, Truth.UNPLUGGED, Truth.NO_LOAD))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("ends_on_plateau", "unplugged"),
        ("small_charger", "full"),
        ("storage_mode", "full"),
    ],
)
def test_where_it_cannot_be_known_the_confidence_says_so(judged: Matrix, kind: str, said: str) -> None:
    assert max(judged.confidences[kind, said]) <= 0.7
    assert min(judged.confidences["lithium", "full"]) > 0.9


def test_the_matrix_can_be_read_by_people_and_by_programs(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--of-each", "1"])
    assert "ends named right" in capsys.readouterr().out
    main(["--of-each", "1", "--json"])
    assert json.loads(capsys.readouterr().out)["right_ends"] > 0.5
