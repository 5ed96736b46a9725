"""Gateways without a thread: what they publish over a simulated life, and what a killed one leaves behind."""

from pathlib import Path

import pytest

from chargerd.core.units import Seconds
from chargerd.fleet.crowd import Crowd
from tests.fleet.rig import Rig


def test_riders_charge_at_a_gateway_and_its_counts_are_those_of_its_ledger(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ports=3, rate=600.0)
    crowd = Crowd(rig.gateway, seed=1, rate=600.0, order=True)
    rig.start().run(60.0)
    rig.close()
    rows = [body for held in rig.broker.rows.values() for body in held.values()]
    started = sum(body["event"] == "started" for body in rows)
    ended = sum(body["event"] == "ended" for body in rows)
    assert started >= 2
    assert crowd.orders - crowd.refused == ended, "what was accepted is settled"
    assert rig.gateway.sessions == (started, ended)
    last = max(body["seq"] for body in rows)
    assert rig.gateway.rows == (last, last, 0)
    assert not rig.broker.wrong, rig.broker.wrong[:3]
    assert rows[-1]["event"] == "gateway_stopped"


def test_rows_that_no_broker_has_confirmed_are_unsent(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.broker.barred = True
    rig.start().run(20.0)
    last, acked, unsent = rig.gateway.rows
    assert (acked, unsent) == (0, last)
    assert last > 0
    rig.carrier.bar(barred=False)
    rig.run(10.0)
    assert rig.gateway.rows == (last, last, 0)
    rig.close()


def test_rows_nobody_acknowledges_are_sent_all_the_same(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.broker.listens = False
    rig.start().run(20.0)
    last, acked, unsent = rig.gateway.rows
    assert (acked, unsent) == (0, 0)
    assert last > 0
    rig.close()


@pytest.mark.parametrize(("power", "boot"), [(False, 1), (True, 2)])
def test_a_killed_gateway_comes_back_with_its_journal(tmp_path: Path, power: bool, boot: int) -> None:
    rig = Rig(tmp_path).start()
    rig.run(20.0)
    (stream,) = rig.broker.rows
    before = rig.gateway.rows[0]
    rig.gateway.kill(Seconds(5.0), power=power)
    rig.run(4.0)
    assert rig.gateway.daemon is None
    rig.run(20.0)
    told = [body for seq, body in rig.broker.rows[stream].items() if seq > before]
    assert [body["reason"] for body in told if body["event"] == "gateway_started"] == ["interrupted"]
    assert {body["boot"] for body in told} == {boot}
    rig.close()
