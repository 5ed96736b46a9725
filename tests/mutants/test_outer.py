"""No rule outside the core can be bent unnoticed; those of the core are bent beside their scenarios."""

import os
from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.outer import MUTANTS, survives
from tests.sampling import sampled

SHARE, SHARES = (int(figure) for figure in os.environ.get("MUTANTS_SHARE", "1/1").split("/"))
"""Most of their time is waiting for other processes, so several parts of the gate take a share each."""
CHOICES = sampled(sorted({mutant.tests for mutant in MUTANTS}), str, 3)[SHARE - 1 :: SHARES]
MINE = [mutant for tests in CHOICES for mutant in MUTANTS if mutant.tests == tests]
"""Who has the same tests is in the same share: that they are green without a bend is seen once."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", MINE, ids=lambda mutant: mutant.rule)
def test_a_bent_rule_is_noticed(mutant: Mutant, tmp_path: Path) -> None:
    assert not survives(mutant, tmp_path)


def test_a_rule_that_is_not_there_is_an_error_not_a_victory(tmp_path: Path) -> None:
    gone = Mutant(rule="x", module="contract/commands.py", old="no such line", new="", tests="tests/mqtt")
    with pytest.raises(ValueError, match="0 places"):
        survives(gone, tmp_path)


def test_a_change_that_bends_nothing_survives(tmp_path: Path) -> None:
    same = Mutant(
        rule="nothing",
        module="modbus/frames.py",
        old="return pdu == request.echo",
        new="return request.echo == pdu",
        tests="tests/modbus/test_frames.py",
    )
    assert survives(same, tmp_path)


def test_tests_that_are_red_without_the_bend_notice_nothing(tmp_path: Path) -> None:
    red = tmp_path / "test_red.py"
    red.write_text("def test_red() -> None:\n    assert False\n", encoding="utf-8")
    same = Mutant(
        rule="nothing",
        module="modbus/frames.py",
        old="return pdu == request.echo",
        new="return request.echo == pdu",
        tests=str(red),
    )
    with pytest.raises(ValueError, match="red without it"):
        survives(same, tmp_path / "copy")
