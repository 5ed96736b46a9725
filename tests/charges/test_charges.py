"""Generated charges of all kinds are named right, and none is stopped on its plateau."""

import json

import pytest

from tests.charges.__main__ import main
from tests.charges.judge import Matrix, matrix
from tests.charges.profiles import KINDS, Truth, charges
from tests.judging import every
from tests.sampling import TURN

OF_EACH = 12


pytestmark = pytest.mark.skipif(TURN != "" and int(TURN) % 2 == 1, reason="its turn comes with each second commit")


@pytest.fixture(scope="module")
def judged() -> Matrix:
    return matrix(charges(2, OF_EACH))


def test_there_are_enough_of_them(judged: Matrix) -> None:
    assert sum(judged.counted.values()) + sum(judged.unknowable.values()) == OF_EACH * len(KINDS) >= 200


def test_at_least_98_percent_of_the_ends_are_named_right(judged: Matrix) -> None:
    assert judged.right_ends >= 0.98


def test_no_bike_on_its_plateau_is_stopped(judged: Matrix) -> None:
    assert {charge.kind for charge, _ in judged.cut_short} <= {"small_charger"}
    assert every(
        judged.counted[Truth.CHARGING, said] == 0 for said in (Truth.FULL, Truth.UNPLUGGED, Truth.NO_LOAD)
    )


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


def test_confidence_is_kept_by_what_really_happened(judged: Matrix) -> None:
    assert judged.told[0.95, True] > 0
    for sure in (0.4, 0.7, 0.95):
        assert judged.right(sure) >= sure, judged.told


def test_a_battery_taken_from_its_charger_is_noticed_in_minutes(judged: Matrix) -> None:
    assert len(judged.late["battery_taken"]) == OF_EACH
    assert max(judged.late["battery_taken"]) <= 21 * 60
    assert max(judged.late["taken_one_by_one"]) <= 21 * 60


def test_an_empty_socket_is_noticed_by_the_coarsest_meter_too(judged: Matrix) -> None:
    assert max(judged.late["pulled_on_plateau"]) <= 6 * 60


def test_a_full_charge_has_drawn_its_energy(judged: Matrix) -> None:
    tapers = {"lithium", "lead_acid", "slow_taper", "ends_by_step", "taper_recovers", "nearly_full", "precharge"}
    assert tapers <= judged.shares.keys()
    assert min(min(judged.shares[kind]) for kind in tapers) >= 0.985
    shares = sorted(share for kind in tapers for share in judged.shares[kind])
    assert shares[len(shares) // 50] >= 0.99, "but for one in fifty"


def test_no_end_but_that_of_a_slow_taper_is_told_late(judged: Matrix) -> None:
    late = [
        when
        for kind, whens in judged.late.items()
        if kind not in {"slow_taper", "cell_balancing"}
        for when in whens
    ]
    assert sum(when > 46 * 60 for when in late) <= len(late) / 50
    assert max(late) <= 75 * 60


def test_the_matrix_can_be_read_by_people_and_by_programs(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--of-each", "1"])
    assert "ends named right" in capsys.readouterr().out
    main(["--of-each", "1", "--json"])
    assert json.loads(capsys.readouterr().out)["right_ends"] > 0.5
