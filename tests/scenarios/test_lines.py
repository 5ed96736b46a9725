"""Lines that have other boards than before: nothing closes on them, whoever has plugged in what."""

from dataclasses import replace

import pytest

from chargerd.core.commands import Checkpoint
from chargerd.core.events import BoardBack, BoardIdentified, BoardLost, LineAccepted
from chargerd.core.facts import CircuitTripped, LineChanged, LineRestored
from chargerd.core.faults import FaultKind
from chargerd.core.identity import Identity
from chargerd.core.moment import ClockQuality
from chargerd.core.plan import CircuitPlan, LinePlan, StationPlan
from chargerd.core.session import StopReason
from chargerd.core.units import Amps, BoardId, CircuitId, Instant, PortId, Seconds
from chargerd.core.view import PortState
from tests.core.plant import port_plan
from tests.core.world import World

WINDOW = Seconds(1800.0)
PLAN = port_plan()
RELAY, METER, BESIDE = PLAN.relay.board, PLAN.meter.board, BoardId("beside")
PORT = PLAN.id
MINE, OTHERS = (1, 2), (3, 4)
LINE = LinePlan(
    id="line-a",
    boards=tuple(dict.fromkeys((RELAY, METER, BESIDE))),
    telling=frozenset({METER, BESIDE}),
    unique=frozenset({METER}),
)
OTHER = LinePlan(
    id="line-b", boards=(BoardId("b"),), telling=frozenset({BoardId("b")}), unique=frozenset({BoardId("b")})
)
LINE_K = LinePlan(id="line-k", boards=(BoardId("k"),), telling=frozenset({BoardId("k")}))
SITE = StationPlan(
    ports=(PLAN,), circuits=(CircuitPlan(id=CircuitId("shed")),), lines=(LINE, OTHER), resume_window=WINDOW
)


class Site(World):
    """A port whose meter tells its serial number, on the first of two lines."""

    def __init__(self, *kept: Identity) -> None:
        super().__init__(site=SITE, begin=False)
        self.adapters.by_hand = True
        self.journal.identities |= {one.board: one for one in kept}
        self.renew()
        self.begin()

    def says(self, words: tuple[int, ...] | None, board: BoardId = METER) -> None:
        self.tell(BoardIdentified(board=board, at=Instant(self.now), words=words))

    def changes(self) -> list[LineChanged | LineRestored]:
        return [fact for _, fact in self.facts if isinstance(fact, LineChanged | LineRestored)]

    @property
    def why_not(self) -> list[str]:
        return [code.value for code in self.view().blocked_by]


def kept(words: tuple[int, ...] = MINE, board: BoardId = METER) -> Identity:
    return Identity(board=board, words=words)


CHANGED = LineChanged(line="line-a", board=METER)


def in_session(lasts: float) -> Site:
    """A session that has charged for so many seconds on the line it began on."""
    world = Site(kept())
    world.says(MINE)
    world.charging()
    world.run(lasts)
    return world


def test_what_boards_tell_first_is_kept_without_a_word() -> None:
    world = Site()
    world.says(MINE)
    world.says(None, BESIDE)
    world.says(MINE, BoardId("nobody knows"))
    assert world.journal.identities == {METER: kept()}
    assert world.changes() == []
    world.charging()
    world.says(MINE)
    world.says((9,), RELAY)  # A board that was not known to tell.
    world.run(60)
    assert world.state() is PortState.CHARGING


def test_nothing_starts_on_a_line_with_another_board() -> None:
    world = Site(kept())
    world.says(OTHERS)
    assert world.changes() == [CHANGED]
    assert world.station.changed_lines() == {"line-a": (METER,)}
    world.run(10)
    assert world.why_not == ["line_changed"]
    world.start()
    assert world.answers("start-1") == ["rejected line_changed"]
    world.says(OTHERS)
    world.says(None)
    assert world.changes() == [CHANGED]
    assert world.why_not == ["line_changed"]
    assert world.journal.identities == {METER: kept()}


def test_it_is_itself_again_when_the_board_is_back() -> None:
    world = Site(kept())
    world.says(OTHERS)
    world.run(10)
    world.says(MINE)
    assert world.changes() == [CHANGED, LineRestored(line="line-a", kind="itself")]
    assert world.station.changed_lines() == {}
    world.charging()


def test_as_long_as_one_board_is_another_it_is_not() -> None:
    world = Site(kept(), kept((7,), BESIDE))
    world.says(OTHERS)
    world.says((8,), BESIDE)
    world.run(10)
    world.says(MINE)
    assert world.changes() == [CHANGED]
    assert world.why_not == ["line_changed"]
    assert world.station.changed_lines() == {"line-a": (BESIDE,)}


def test_a_board_known_on_another_line_is_none_of_this_one() -> None:
    world = Site(kept(OTHERS, BoardId("b")))
    world.says(OTHERS)
    assert world.changes() == [CHANGED]
    assert METER not in world.journal.identities


def test_what_many_boards_say_is_no_sign_of_another_line() -> None:
    world = Site(kept(OTHERS, BoardId("b")))
    world.says(OTHERS, BESIDE)
    assert world.changes() == []
    assert world.journal.identities[BESIDE] == kept(OTHERS, BESIDE)


def test_nothing_is_kept_of_a_line_that_is_another_one_until_somebody_says_so() -> None:
    world = Site(kept())
    world.says(OTHERS)
    world.says((8,), BESIDE)
    assert world.journal.identities == {METER: kept()}
    world.tell(BoardLost(board=METER, at=Instant(world.now), kind=FaultKind.TIMEOUT))
    world.tell(LineAccepted(line="line-b"))
    assert world.changes() == [CHANGED]
    world.tell(LineAccepted(line="line-a"))
    assert world.changes() == [CHANGED, LineRestored(line="line-a", kind="accepted")]
    assert world.journal.identities == {METER: kept(OTHERS), BESIDE: kept((8,), BESIDE)}
    world.tell(BoardBack(board=METER, at=Instant(world.now)))
    world.says(OTHERS)
    world.charging()


def test_a_start_waits_for_a_board_to_say_who_it_is() -> None:
    world = Site(kept())
    world.run(10)
    assert world.why_not == ["not_yet_known"]
    world.start()
    world.run(1)
    assert world.view().relay_closed is False
    world.says(MINE)
    world.run_until("state charging", within=10)


def test_but_not_for_one_that_is_dead_or_does_not_tell() -> None:
    world = Site(kept(), kept((7,), BESIDE))
    world.tell(BoardLost(board=BESIDE, at=Instant(world.now), kind=FaultKind.TIMEOUT))
    world.says(None)
    world.charging()


def test_a_session_that_charges_is_opened_and_waits_for_its_line() -> None:
    world = in_session(60)
    world.says(OTHERS)
    world.run(1)
    assert (world.state(), world.view().relay_closed) == (PortState.SUSPENDED, False)
    world.run(30)
    world.says(MINE)
    world.run(20)
    assert world.state() is PortState.CHARGING


@pytest.mark.long
@pytest.mark.parametrize(("words", "goes_on"), [(MINE, True), (OTHERS, False), (None, False)])
def test_a_session_goes_on_only_on_the_line_it_began_on(words: tuple[int, ...] | None, goes_on: bool) -> None:
    world = in_session(200)
    world.restart(after=10.0)
    world.run(30)
    assert world.state() is PortState.SUSPENDED  # Nobody has told yet who is there.
    world.says(words)
    world.run(250)
    assert (world.state() is PortState.CHARGING) is goes_on
    # One whose line has changed waits on for it; nothing says that one of which nothing is told ever comes back.
    assert [one.reason for one in world.settlements()] == ([StopReason.POWER_LOSS] if words is None else [])


def test_nor_on_the_word_of_a_board_of_which_there_are_many() -> None:
    world = Site(kept(), kept((7,), BESIDE))
    world.says(MINE)
    world.says((7,), BESIDE)
    world.charging()
    world.run(200)
    world.restart(after=10.0)
    world.says((7,), BESIDE)
    world.says(None)
    world.run(60)
    assert world.state() is PortState.SUSPENDED
    world.says(MINE)
    world.run(30)
    assert world.state() is PortState.CHARGING


def test_a_board_that_was_away_has_to_say_again_who_it_is() -> None:
    world = Site(kept())
    world.says(MINE)
    world.run(10)
    assert world.why_not == []
    world.tell(BoardLost(board=METER, at=Instant(world.now), kind=FaultKind.TIMEOUT))
    world.tell(BoardBack(board=METER, at=Instant(world.now)))
    world.run(10)
    assert world.why_not == ["not_yet_known"]


def test_a_line_that_was_away_is_waited_for_until_it_has_told_or_was_asked_in_vain() -> None:
    world = Site(kept(), kept((7,), BESIDE))
    world.says(MINE)
    world.says((7,), BESIDE)
    world.run(10)
    for board in (METER, BESIDE):
        world.tell(BoardLost(board=board, at=Instant(world.now), kind=FaultKind.OFFLINE))
    world.says(MINE)
    assert world.why_not == ["not_yet_known"]
    world.says(None, BESIDE)
    assert world.why_not == []


def test_a_board_that_is_not_heard_when_it_is_asked_again_is_still_who_it_was() -> None:
    world = Site(kept())
    world.says(MINE)
    world.charging()
    world.says(None)
    world.meters[PORT].silent = True
    world.run_until("state suspended", within=10)
    world.meters[PORT].silent = False
    world.run_until("state charging", within=60)


def test_a_start_under_way_comes_to_nothing() -> None:
    world = Site(kept())
    world.says(MINE)
    world.ready()
    world.start()
    world.says(OTHERS)
    world.run(5)
    assert world.answers("start-1") == ["accepted ok", "failed line_changed"]
    assert world.view().relay_closed is False


def test_a_start_whose_line_was_away_while_it_was_written_comes_to_nothing() -> None:
    world = Site(kept())
    world.says(MINE)
    world.ready()
    world.start()
    world.run_until("persist", within=5)
    world.tell(BoardLost(board=METER, at=Instant(world.now), kind=FaultKind.OFFLINE))
    world.tell(BoardBack(board=METER, at=Instant(world.now)))
    world.run(5)
    assert world.answers("start-1") == ["accepted ok", "failed failed"]
    assert world.view().relay_closed is False


def test_a_contactors_line_counts_for_the_ports_below() -> None:
    contactor = port_plan("K01").relay
    plan = StationPlan(
        ports=(PLAN,),
        circuits=(
            CircuitPlan(id=CircuitId("shed"), parent=CircuitId("site")),
            CircuitPlan(id=CircuitId("site"), contactor=type(contactor)(board=BoardId("k"), channel=1)),
        ),
        lines=(LINE_K,),
    )
    world = World(site=plan)
    for words in (MINE, OTHERS):
        world.tell(BoardIdentified(board=BoardId("k"), at=Instant(world.now), words=words))
    assert "line_changed" in [code.value for code in world.view("A01").blocked_by]
    checkpoints = [command for _, command in world.commands if isinstance(command, Checkpoint)]
    assert [one.identities for one in checkpoints if one.identities] == [
        (Identity(board=BoardId("k"), words=MINE),)
    ]
    assert world.station._surroundings.lines.ports_on("line-k") == (PortId("A01"),)  # noqa: SLF001


@pytest.mark.parametrize("restarted", [False, True])
def test_what_is_accepted_is_the_whole_line_whoever_has_yet_to_tell(*, restarted: bool) -> None:
    world = Site(kept(), kept((7,), BESIDE))
    world.says(OTHERS)
    world.tell(LineAccepted(line="line-a"))
    if restarted:
        world.restart()
    world.says((8,), BESIDE)
    assert world.changes() == [CHANGED, LineRestored(line="line-a", kind="accepted")]
    assert world.journal.identities == {METER: kept(OTHERS), BESIDE: kept((8,), BESIDE)}


def test_what_is_not_there_is_not_accepted() -> None:
    world = Site(kept(), kept((7,), BESIDE))
    world.says(OTHERS)
    world.tell(BoardLost(board=BESIDE, at=Instant(world.now), kind=FaultKind.TIMEOUT))
    world.tell(LineAccepted(line="line-a"))
    world.tell(BoardBack(board=BESIDE, at=Instant(world.now)))
    world.says((8,), BESIDE)
    assert world.changes()[-1] == LineChanged(line="line-a", board=BESIDE)


def test_a_session_has_its_time_to_recover_once_its_line_is_itself_again() -> None:
    world = in_session(60)
    world.says(OTHERS)
    world.run(239.9)
    world.says(MINE)
    world.meters[PORT].silent = True
    world.run(1)
    world.meters[PORT].silent = False
    world.run(20)
    assert world.state() is PortState.CHARGING


def test_an_outage_that_is_not_proved_in_time_is_over_whatever_its_line_is() -> None:
    world = in_session(60)
    world.boot, world.time_from = 2, ClockQuality.NONE
    world.restart()
    world.says(OTHERS)
    world.run(130)
    assert [one.reason for one in world.settlements()] == [StopReason.POWER_LOSS]


SHARED = PortId("contactor/shed")
LINE_A = LinePlan(id="line-a", boards=(RELAY, METER), telling=frozenset({METER}))


def tells(world: World, words: tuple[int, ...], board: BoardId = METER) -> None:
    world.tell(BoardIdentified(board=board, at=Instant(world.now), words=words))


def below_a_contactor(*lines: LinePlan, lease: float | None = 6.0, window: float = 0.0) -> World:
    """Two ports, each on a line of its own, and one contactor above both; who boards are is told by hand."""
    contactor = replace(port_plan("K").relay, board=BoardId("k"))
    ports = [port_plan(lease=None) if lease is None else PLAN, port_plan("C01")]
    ports[1] = replace(ports[1], relay=replace(ports[1].relay, board=BoardId("relay-c")))
    circuit = CircuitPlan(id=CircuitId("shed"), rating=Amps(6.0), contactor=contactor)
    site = StationPlan(
        ports=tuple(ports),
        circuits=(circuit,),
        lines=lines,
        queue_for=Seconds(600.0),
        resume_window=Seconds(window),
    )
    world = World(site=site, begin=False)
    world.adapters.by_hand = True
    world.begin()
    return world


def test_no_contactor_closes_for_a_start_that_has_waited_on_a_line_that_has_changed() -> None:
    world = below_a_contactor(LINE_K)
    contactor = world.contacts[SHARED]
    tells(world, MINE, BoardId("k"))
    world.charging()
    world.start("C01")
    tells(world, OTHERS, BoardId("k"))
    world.run(10)
    world.stop(force=True)
    world.run(60)
    assert world.state("C01") is PortState.QUEUED
    assert [closed for _, closed, _ in contactor.edges] == [True, False]
    tells(world, MINE, BoardId("k"))
    world.run(10)
    assert world.state("C01") is PortState.CHARGING


def test_nor_for_one_under_way_while_nobody_knows_what_hangs_on_its_line() -> None:
    world = below_a_contactor(LinePlan(id="line-k", boards=(BoardId("k"), BESIDE), telling=frozenset({BESIDE})))
    contactor = world.contacts[SHARED]
    tells(world, MINE, BESIDE)
    world.charging()
    world.stop(force=True)
    for _ in range(2):  # The port's, then the contactor's, that has yet to be read back.
        world.run_until("contact open", within=10)
    assert contactor.edges[-1][1] is False
    world.start()
    for event in (
        BoardLost(board=BESIDE, at=Instant(world.now), kind=FaultKind.OFFLINE),
        BoardBack(board=BESIDE, at=Instant(world.now)),
    ):
        world.tell(event)
    world.run(10)
    assert world.answers("start-2")[0] == "accepted ok"
    assert [closed for _, closed, _ in contactor.edges] == [True, False]


@pytest.mark.parametrize(("words", "closes"), [(MINE, True), (OTHERS, False)])
def test_a_contactor_stays_open_above_a_relay_that_only_another_lines_board_calls_open(
    words: tuple[int, ...], *, closes: bool
) -> None:
    world = below_a_contactor(LINE_A, lease=None)
    tells(world, MINE)
    world.charging(current=2.5, power=300.0)
    world.charging("C01", current=2.5, power=300.0)
    for board in (RELAY, METER):
        world.tell(BoardLost(board=board, at=Instant(world.now), kind=FaultKind.OFFLINE))
    world.board.lost = True
    world.run(60)
    assert (world.view().relay_closed, world.state("C01")) == (False, PortState.SUSPENDED)
    assert not world.contacts[SHARED].closed
    tells(world, words)
    world.run(60)
    assert world.contacts[SHARED].closed is closes
    assert (world.state("C01") is PortState.CHARGING) is closes


def out_of_control(world: World) -> list[PortId | None]:
    return [fact.port for _, fact in world.facts if isinstance(fact, CircuitTripped)]


@pytest.mark.long
@pytest.mark.parametrize("window", [0.0, 1800.0])
@pytest.mark.parametrize("words", [MINE, OTHERS])
def test_nor_does_it_close_above_a_line_that_has_changed_after_a_restart(
    words: tuple[int, ...], window: float
) -> None:
    world = below_a_contactor(LINE_A, lease=None, window=window)
    tells(world, MINE)
    for port in (PORT, PortId("C01")):
        world.charging(port, current=2.5, power=300.0)
    world.run(60)
    world.restart(after=5.0)
    world.run(0.5)
    tells(world, words)
    world.run(30)
    if not window:
        world.start("C01")
    world.run(30)
    closes = words == MINE
    assert out_of_control(world) == ([] if closes else [PORT])
    assert (world.contacts[SHARED].closed, world.state("C01") is PortState.CHARGING) == (closes, closes)
    world.tell(LineAccepted(line="line-a"))
    world.run(5)
    world.start("C01")
    world.run(30)
    assert (world.contacts[SHARED].closed, world.state("C01")) == (True, PortState.CHARGING)


@pytest.mark.parametrize("told_again", [True, False])
def test_a_contactor_opens_above_a_relay_that_was_open_only_since_its_line_was_last_known(
    *, told_again: bool
) -> None:
    world = below_a_contactor(LINE_A, lease=None)
    tells(world, MINE)
    for port in (PORT, PortId("C01")):
        world.charging(port, current=2.5, power=300.0)
    world.set_contact(PORT, closed=False, by="power")  # Or it is the other line's that reads open.
    world.run(10)
    assert (world.state(), world.state("C01")) == (PortState.TRIPPED, PortState.CHARGING)
    if told_again:
        tells(world, MINE)
        world.run(10)
    tells(world, OTHERS)
    world.run(30)
    assert world.contacts[SHARED].closed is told_again
    assert out_of_control(world) == ([] if told_again else [PORT])


def test_a_relay_found_closed_is_known_to_be_open_once_its_own_line_has_shown_it() -> None:
    world = below_a_contactor(LINE_A, lease=None)
    tells(world, MINE)
    world.charging("C01", current=2.5, power=300.0)
    tells(world, MINE)
    world.set_contact(PORT, closed=True, by="hand")
    world.run_until("contact open", within=10)
    tells(world, OTHERS)
    world.run(30)
    assert not world.contacts[SHARED].closed
    assert out_of_control(world) == [PORT]


def lose_relay(world: World) -> None:
    world.board.lost = True
    world.tell(BoardLost(board=RELAY, at=Instant(world.now), kind=FaultKind.OFFLINE))


def test_a_relay_whose_closing_nobody_has_read_back_counts_as_closed() -> None:
    world = below_a_contactor(LINE_A, lease=None)
    for _ in range(2):
        world.run(1)
        tells(world, MINE)
    world.start()
    for _ in range(2):  # The contactor's, then the port's, that has yet to be read back.
        world.run_until("contact closed", within=10)
    assert world.contacts[PORT].closed
    lose_relay(world)
    tells(world, OTHERS)
    world.set_contact(PORT, closed=False, by="power")
    world.board.lost = False
    world.tell(BoardBack(board=RELAY, at=Instant(world.now)))
    world.run(10)
    world.start("C01")
    world.run(30)
    assert (world.view().relay_closed, world.contacts[SHARED].closed) == (False, False)


def test_so_does_one_that_nobody_has_read_since_the_daemon_began() -> None:
    world = below_a_contactor(LINE_A, lease=None)
    tells(world, MINE)
    world.charging()
    world.restart()
    lose_relay(world)
    world.run(1)
    tells(world, MINE)
    tells(world, OTHERS)
    world.board.lost = False
    world.tell(BoardBack(board=RELAY, at=Instant(world.now)))
    world.run(5)
    world.start("C01")
    world.run(30)
    assert (world.view().relay_closed, world.contacts[SHARED].closed) == (False, False)
