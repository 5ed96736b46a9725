"""What an outage leaves in the journal, handed in: the benchmark of a week, for some hours of it."""

import time
from pathlib import Path

from chargerd.core.units import Seconds
from chargerd.runtime.process.clock import SystemClock, boot_id
from chargerd.store.journal import Journal
from tests.broker import Mosquitto
from tests.faults.gateway import fail
from tests.mqtt import bench_drain

DAYS, PORTS, WEEK = 0.25, 85, 7.0


def test_hours_without_a_broker_take_little_room_and_go_out_quickly_and_in_order(tmp_path: Path) -> None:
    clock = SystemClock()
    journal = Journal.open(
        tmp_path / "journal.db", clock=clock, boot_id=boot_id(), on_health=lambda _: None, on_crash=fail
    )
    journal.start()
    bench_drain.fill(journal, clock, DAYS, PORTS)
    rows, occupied = journal.span().last, bench_drain.size(tmp_path)
    assert rows > 2000
    with Mosquitto(tmp_path / "broker") as broker:
        began = time.process_time()
        _took, consumer, _late = bench_drain.drain(journal, clock, broker)
        took = time.process_time() - began
    journal.close(Seconds(10))
    assert consumer.out_of_order == 0
    assert rows / took >= bench_drain.LEAST_PER_S, f"{rows} rows in {took:.1f} s of CPU"
    assert occupied * WEEK / DAYS <= bench_drain.MOST_BYTES, f"{occupied} bytes for {DAYS} days"
