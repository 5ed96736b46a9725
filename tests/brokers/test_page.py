"""docs/brokers.md is what the kept results say, and these say that nothing was lost."""

import json
from typing import Any

import pytest

from tests.brokers.__main__ import DOCUMENT, KEPT
from tests.brokers.document import document
from tests.brokers.documented import DOCUMENTED
from tests.brokers.load import ended
from tests.brokers.needs import NEEDS
from tests.brokers.paper import Assumptions, cost


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(KEPT.read_text())
    return kept


def test_the_page_is_what_was_measured(results: dict[str, Any]) -> None:
    assert DOCUMENT.read_text() == document(results), ".venv/bin/python -m tests.brokers --none --write"


def test_each_broker_was_asked_for_each_need(results: dict[str, Any]) -> None:
    keys = {need.key for need in NEEDS}
    assert set(results["needs"]) == set(results["links"]) == {"mosquitto", "rabbitmq", "ejabberd", "iotcore"}
    for broker, found in results["needs"].items():
        assert set(found) == keys, broker
    for one in DOCUMENTED:
        assert set(one.does) == (keys if one.does["mqtt5"] == "yes" else {"mqtt5"}), one.name


def test_what_is_kept_lost_nothing(results: dict[str, Any]) -> None:
    trial = results["cluster"]
    assert trial["exit_codes"] == [0, 0]
    assert len(trial["faults"]) == 3
    for key in ("rows", "started", "ended"):
        assert trial["found"][key] == trial["told"][key] > 0
    for key in ("holes", "gaps", "ended_twice", "started_twice", "never_ended"):
        assert trial["found"][key] == 0
    assert trial["commands"]["begun_after_their_time"] == 0
    assert trial["commands"]["done"] > trial["commands"].get("unanswered", 0) * 10


def test_a_broker_at_its_end_is_known() -> None:
    well = {"refused": 0, "lost": 0, "offered_per_s": 100, "received_per_s": 100, "confirmed_per_s": 100}
    assert not ended(well)
    for worse in ({"lost": 1}, {"refused": 1}, {"received_per_s": 90}, {"confirmed_per_s": 90}):
        assert ended({**well, **worse})


def test_the_sum_counts_what_went_well() -> None:
    good = {"gateways": 1000, "memory_mib": 110, "cores": 0.5, "ms_per_message": 0.02, "ended": False}
    ladder = {"idle_mib": 10, "rows": [good, {**good, "gateways": 3000, "ended": True}]}
    assert cost(ladder) == {"kib_per_gateway": 102.4, "ms_per_message": 0.02, "gateways_per_core": 2000}
    assert 0.6 < Assumptions().total_per_s < 0.7
