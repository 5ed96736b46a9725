"""Books of relays being opened: a station that feeds one that calls for its contactor is caught."""

import math
from dataclasses import replace

import pytest

from chargerd.core.commands import CloseRelay, Command, OpenRelay, ReadRelay, RenewLease
from chargerd.core.events import (
    BoardBack,
    BoardLost,
    BoardPrepared,
    DeadlineReached,
    Event,
    MeterReading,
    PreparationFailed,
    RelayReadBack,
)
from chargerd.core.facts import Fact, MeterFrozen
from chargerd.core.faults import FaultKind
from chargerd.core.invariants.relay_books import RelayBooks
from chargerd.core.outbox import Outcome
from chargerd.core.plan import CircuitPlan, LeaseScope, StationPlan
from chargerd.core.session import StopDetail
from chargerd.core.units import Amps, Instant, PortId, Seconds
from tests.core.plant import port_plan
from tests.core.sheds import CONTACTOR, SHED, SWITCH

A01 = PortId("A01")
FEED = RenewLease(port=CONTACTOR, lease=Seconds(6.0), not_after=Instant(99.0))


class Play:
    """One port below a contactor; `lease=None`: nothing but a command opens it."""

    def __init__(
        self, lease: float | None, *, prepared: bool = True, scope: LeaseScope = LeaseScope.RELAY
    ) -> None:
        port = replace(port_plan(lease=lease) if lease is None else port_plan(), circuit=SHED)
        port = replace(port, relay=replace(port.relay, prepared=prepared, scope=scope))
        self.board = port.relay.board
        self.books = RelayBooks(StationPlan(ports=(port,), circuits=(CircuitPlan(id=SHED, contactor=SWITCH),)))

    def tell(self, at: float, event: Event, *commands: Command, facts: tuple[Fact, ...] = ()) -> str | None:
        return self.books.wrong(event, Outcome(commands=commands, facts=facts), Instant(at))

    def open(self, at: float) -> None:
        assert self.tell(at, DeadlineReached(), OpenRelay(port=A01), ReadRelay(port=A01)) is None

    def hear(self, at: float, amps: float) -> None:
        assert self.tell(at, MeterReading(port=A01, at=Instant(at), current=Amps(amps))) is None

    def fed(self, at: float) -> bool:
        wrong = self.tell(at, DeadlineReached(), FEED)
        assert wrong is None or "S6" in wrong
        return wrong is None


@pytest.mark.parametrize(("lease", "until"), [(6.0, 8.0), (None, 7.0)])
def test_current_through_a_relay_that_should_be_open_wants_the_contactor_open(
    lease: float | None, until: float
) -> None:
    play = Play(lease)
    play.open(0.0)
    play.hear(until - 0.1, 2.0)
    assert play.fed(until)
    play.hear(until, 0.2)
    assert not play.fed(until)
    assert play.fed(until + 3.1), "what was measured then is not of now"
    play.hear(until + 4.0, 0.19)
    assert play.fed(until + 4.0)
    play.hear(until + 5.0, math.nan)
    assert play.fed(until + 5.0)


def test_one_that_was_read_back_open_or_closed_anew_calls_for_nothing() -> None:
    for command in (None, CloseRelay(port=A01, lease=None, not_after=Instant(99.0))):
        play = Play(6.0)
        play.open(0.0)
        play.hear(20.0, 9.0)
        assert not play.fed(20.0)
        if command is None:
            play.tell(20.0, RelayReadBack(port=A01, closed=True, sent_at=Instant(20.0), at=Instant(20.0)))
            assert not play.fed(20.0)
            play.tell(20.0, RelayReadBack(port=A01, closed=False, sent_at=Instant(20.0), at=Instant(20.0)))
        else:
            play.tell(20.0, DeadlineReached(), command)
        assert play.fed(20.0)


@pytest.mark.parametrize(("lease", "fed"), [(6.0, True), (None, False)])
def test_a_silent_meter_counts_where_nothing_else_opens(lease: float | None, *, fed: bool) -> None:
    play = Play(lease)
    play.open(0.0)
    assert play.fed(6.9)
    assert play.fed(10.0) is fed
    play.hear(11.0, 0.0)
    assert play.fed(28.0)
    assert play.fed(28.1) is fed


def test_a_lease_counts_only_on_a_board_that_was_prepared() -> None:
    play = Play(6.0, prepared=False)
    play.open(0.0)
    assert play.fed(6.9)
    assert not play.fed(10.0), "nobody knows whether it opens by itself"
    play.tell(11.0, BoardPrepared(board=play.board, at=Instant(0.0)))
    assert play.fed(11.0)
    play.tell(12.0, PreparationFailed(board=play.board, at=Instant(0.0), setting="poll_timeout"))
    assert not play.fed(12.0)
    play.tell(13.0, BoardPrepared(board=play.board, at=Instant(0.0)))
    play.tell(14.0, BoardBack(board=play.board, at=Instant(0.0)))
    assert not play.fed(14.0)


def test_a_lease_of_the_whole_board_counts_only_once_the_board_is_lost() -> None:
    play = Play(6.0, scope=LeaseScope.BOARD)
    play.open(0.0)
    assert play.fed(6.9)
    assert not play.fed(10.0), "another of its relays may have been renewed"
    play.tell(11.0, BoardLost(board=play.board, at=Instant(11.0), kind=FaultKind.TIMEOUT))
    assert play.fed(11.0)
    play.tell(12.0, BoardBack(board=play.board, at=Instant(12.0)))
    assert not play.fed(12.0)


def test_what_a_frozen_meter_shows_is_left_to_the_station() -> None:
    play = Play(6.0)
    play.open(0.0)
    frozen = MeterFrozen(port=A01, detail=StopDetail(function="meter_frozen"))
    play.tell(1.0, DeadlineReached(), facts=(frozen,))
    play.hear(20.0, 9.0)
    assert play.fed(20.0)
