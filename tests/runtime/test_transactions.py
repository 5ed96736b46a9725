"""What the whole daemon does for a transaction, counted: a Pi pays for each function and each system call."""

import pytest

from tests.benchmarks.counted import Count, count

TRANSACTIONS = 136
"""Two seconds of the line: each port's current ten times, each power once, two looks of who shows it all."""
FUNCTIONS, CALLS, OPCODES = 207, 295, 7480
"""A tenth more than what it takes. Who needs more of them writes the reason beside the figure here."""


@pytest.fixture(scope="module")
def counted() -> Count:
    return count(TRANSACTIONS)


def test_a_transaction_takes_no_more_functions_than_it_did(counted: Count) -> None:
    assert 0.8 * FUNCTIONS < counted.different_each <= FUNCTIONS, "lower the figure where less is needed now"


def test_nor_more_calls(counted: Count) -> None:
    assert 0.8 * CALLS < counted.calls_each <= CALLS


def test_nor_more_steps_of_the_interpreter(counted: Count) -> None:
    assert 0.8 * OPCODES < counted.opcodes_each <= OPCODES
