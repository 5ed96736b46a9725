"""The end of the daemon, step by step: what each of them may take, on a clock of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from chargerd.contract.ledger import Batch
from chargerd.contract.payloads import EventBody
from chargerd.core.clock import Clock
from chargerd.core.events import Event, RestartRequested, ShutdownRequested
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import Instant, PortId, Seconds
from chargerd.runtime.process.leaving import SETTLE_WITHIN, How, Leaving, Parts

NEVER = 1e9


@dataclass
class Turned(Clock):
    """Time that passes while somebody sleeps or waits."""

    at: float = 100.0

    def now(self) -> Instant:
        return Instant(self.at)

    def sleep(self, span: Seconds) -> None:
        self.at += span

    def moment(self) -> Moment:
        return Moment(instant=self.now(), boot=1, wall_ms=None, clock=ClockQuality.NONE)


@dataclass
class Machine:
    """Everything a daemon has to end, and how long each part of it takes if it is let."""

    opens: float = 0.3
    settles: float = 0.3
    bus_ends: float = 0.03
    writes: float = 0.05
    hands_in: float = 0.1
    goodbye: float = 0.05
    connected: bool = True
    clock: Turned = field(default_factory=Turned)
    done: list[str] = field(default_factory=list)
    began: float = 100.0
    events: list[Event] = field(default_factory=list)
    waiting: bool | None = None

    def _passes(self, span: float, within: float) -> bool:
        self.clock.at += min(span, within)
        return span <= within

    # The engine

    def dispatch(self, event: Event) -> None:
        self.events.append(event)

    def idle(self) -> bool:
        span = self.settles if isinstance(self.events[0], ShutdownRequested) else self.opens
        return self.clock.at >= self.began + span

    def stop_engine(self) -> None:
        self.done.append("engine")

    # A bus

    def open_all(self, within: Seconds) -> tuple[PortId, ...]:
        self.done.append("open all")
        return () if self._passes(self.opens, within) else (PortId("A01"),)

    def stop(self, timeout: Seconds) -> None:
        self._passes(self.bus_ends, timeout)
        self.done.append("bus")

    # The journal

    def append(self, batch: Batch, done: Callable[[bool], None] | None = None) -> None:
        del batch
        self.done.append("append")
        if done is not None and self.writes < NEVER:
            done(True)

    def close(self, timeout: float) -> bool:
        self.done.append("journal")
        return self._passes(self.writes, timeout)

    def parts(self) -> Parts:
        return Parts(
            engine=Engine(self),
            onlookers=[Named(self, "onlooker")],
            buses=(self,),
            link=Link(self),
            control=Named(self, "control"),
            journal=self,
            note=self.note,
            parting=lambda: self.done.append("parting"),
        )

    def note(self, body: EventBody) -> None:
        self.done.append(f"{body.event} {body.reason}")


@dataclass
class Engine:
    machine: Machine

    def dispatch(self, event: Event) -> None:
        self.machine.dispatch(event)

    def idle(self) -> bool:
        return self.machine.idle()

    def stop(self) -> None:
        self.machine.stop_engine()


@dataclass
class Named:
    machine: Machine
    name: str

    def stop(self) -> None:
        self.machine.done.append(self.name)


class Link:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.connected = machine.connected
        self.until = machine.hands_in

    @property
    def drained(self) -> bool:
        self.until -= 0.02
        return self.until <= 0

    def stop(self, cause: str, timeout: Seconds, *, waiting: bool) -> None:
        assert cause == "shutdown"
        self.machine.waiting = waiting
        self.machine.clock.at += min(self.machine.goodbye, timeout)
        self.machine.done.append("link")


def leave(machine: Machine, how: How = How.RESTART, *, hurried: bool = False) -> tuple[PortId, ...]:
    return Leaving(how, machine.clock, lambda: hurried).leave(machine.parts())


def took(machine: Machine) -> float:
    return machine.clock.at - machine.began


def test_a_restart_opens_writes_down_hands_in_and_says_goodbye_in_that_order() -> None:
    machine = Machine()
    assert leave(machine) == ()
    assert [type(event) for event in machine.events] == [RestartRequested]
    assert machine.done == [
        *("onlooker", "engine", "bus", "gateway_stopped restart", "append"),
        *("parting", "link", "control", "journal"),
    ]
    assert machine.waiting is True
    assert took(machine) < 1.0


WORST = {
    "a line without an adapter": {"opens": NEVER, "bus_ends": 0.03},
    "a bus that hangs in its line": {"opens": NEVER, "bus_ends": NEVER},
    "a disk that stands still": {"writes": NEVER},
    "a broker that takes nothing": {"hands_in": NEVER, "goodbye": NEVER},
    "a broker that is away": {"connected": False, "hands_in": NEVER},
    "all of it": {"opens": NEVER, "bus_ends": NEVER, "writes": NEVER, "hands_in": NEVER, "goodbye": NEVER},
}


@pytest.mark.parametrize("case", WORST)
def test_whatever_is_dead_it_takes_less_than_three_seconds(case: str) -> None:
    machine = Machine(**WORST[case])  # type: ignore[arg-type] # seconds by name
    left = leave(machine)
    assert took(machine) <= 2.5, machine.done
    assert (left == ()) is (machine.opens < NEVER)
    assert machine.done[-4:] == ["parting", "link", "control", "journal"], "no step is left out"


def test_what_could_not_be_read_back_is_told_to_open_once_more() -> None:
    machine = Machine(opens=NEVER)
    assert leave(machine) == ("A01",)
    assert "open all" in machine.done
    slow = Machine(opens=0.6)
    leave(slow)
    assert "open all" not in slow.done


def test_a_shutdown_waits_for_sessions_to_be_settled() -> None:
    machine = Machine(settles=6.0)
    leave(machine, How.SHUTDOWN)
    assert [type(event) for event in machine.events] == [ShutdownRequested]
    assert 6.0 <= took(machine) <= 7.0
    assert "gateway_stopped shutdown" in machine.done
    assert machine.waiting is False


def test_but_not_for_ever() -> None:
    machine = Machine(settles=NEVER, opens=NEVER)
    leave(machine, How.SHUTDOWN)
    assert took(machine) <= SETTLE_WITHIN + 3.0


def test_and_not_when_whoever_stops_the_process_counts_the_seconds() -> None:
    machine = Machine(settles=NEVER, opens=NEVER, bus_ends=NEVER, hands_in=NEVER, goodbye=NEVER)
    leave(machine, How.SHUTDOWN, hurried=True)
    assert took(machine) <= 3.0
