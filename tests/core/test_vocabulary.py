"""The words that pass between the rooms are plain values."""

import pytest

from chargerd.contract.ledger import Batch, LedgerEntry, LedgerRow, LedgerSpan, Recovery, RowKind
from chargerd.core.clock import Clock
from chargerd.core.moment import Moment
from chargerd.core.units import Instant, Seconds
from tests.core.world import World


class Stopped(Clock):
    """A clock that stands."""

    def now(self) -> Instant:
        return Instant(5.0)

    def sleep(self, span: Seconds) -> None:
        """Nothing passes."""

    def moment(self) -> Moment:
        return Moment(instant=self.now())


def test_a_clock_must_tell_all() -> None:
    assert Stopped().moment().instant == Stopped().now()
    Stopped().sleep(Seconds(1.0))
    with pytest.raises(TypeError, match="abstract"):
        Clock()  # type: ignore[misc]  # on purpose


def test_an_empty_batch_writes_nothing_and_an_empty_journal_knows_nothing() -> None:
    batch = Batch()
    assert len(batch.sessions) + len(batch.entries) == 0
    recovery = Recovery(boot=1, stream="s", starts=1)
    assert len(recovery.sessions) + len(recovery.latches) == 0
    assert recovery.salvaged is None


def test_a_row_keeps_the_stamps_of_its_making() -> None:
    made = Moment(instant=Instant(1.0), boot=3)
    entry = LedgerEntry(kind=RowKind.EVENT, body={"event": "started"}, moment=made, offline=True)
    row = LedgerRow(
        stream="s", seq=1, kind=entry.kind, body=entry.body, moment=entry.moment, offline=entry.offline
    )
    assert row.moment is made
    assert LedgerSpan(stream="s", first=1, last=0, acked=0).last == 0


def test_what_is_shown_of_a_meter_is_what_it_said_last() -> None:
    world = World()
    world.ready()
    world.show(0.0, 0.0, voltage=231.0)
    world.show(0.1, None)
    measured = world.view().measured
    assert (measured.voltage, measured.power, measured.current) == (231.0, 0.0, 0.1)
    assert measured.at == world.now
