"""What a bus has to carry when every port is closed, and how often it comes round. Arithmetic only.

The schedule reads the currents of closed ports round and round; between every few of them one slower thing may
come: a renewal, a power, a voltage, the relays' states. So an interval between two readings of one current holds
each other current once and as many slower things as there are gaps for, at worst the longest ones.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from chargerd.config.budget.feeders import feeder_readings
from chargerd.config.budget.line_time import WRITE, Frames, LineTime, inputs, read_back, registers, thermometers
from chargerd.config.budget.pacing import (
    BACK_OFF,
    COILS_EVERY,
    FAST_BETWEEN,
    FAST_EVERY,
    FAST_WITHIN,
    HURRY,
    INPUTS_EVERY,
    READS_A_REFRESH,
    START_BETWEEN,
    THERMOMETERS_EVERY,
    VOLTAGE_EVERY,
)
from chargerd.config.budget.population import Hung, Population
from chargerd.config.plans import POWER_EVERY, RENEW_EVERY, feeder_phases
from chargerd.config.profiles.models import Profile
from chargerd.config.profiles.register_map import Quantity
from chargerd.core.units import PortId, Seconds

ENERGY_EVERY = Seconds(60.0)
"""Energy is read at each checkpoint of a session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fast:
    """The reading of one closed port's current."""

    hung: Hung
    meter: Profile
    takes: Seconds
    after_asking: Seconds
    """From the end of the request to the end of the reply."""
    lost: Seconds
    refresh: Seconds
    waits: Seconds
    """How long after one reading the next may come at the soonest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """A slower thing, due every so often."""

    takes: Seconds
    every: Seconds
    renewal: bool = False
    power: bool = False
    supply: bool = False
    """Inputs and circuits' meters may be read from half of that time on: twice in one round."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a line has to carry with every port closed. What is asked of all ports is found once."""

    fast: tuple[Fast, ...]
    slow: tuple[Slow, ...]
    longest: Seconds
    """The longest transaction there is on this line."""
    longest_lost: Seconds
    """The same for one that is not answered."""
    leased: tuple[PortId, ...] = ()
    """The ports whose relays it keeps closed by leases."""

    @cached_property
    def kinds(self) -> tuple[Fast, ...]:
        """Return each reading once that stands for several ports: it is the same one in `fast` then."""
        return tuple({id(fast): fast for fast in self.fast}.values())

    def with_more(self, other: "Load", times: int) -> "Load":
        """Return this with what `another_port` gives, so many times."""
        return replace(
            self,
            fast=self.fast + other.fast * times,
            slow=self.slow + other.slow * times,
            leased=self.leased + other.leased * times,
        )

    @cached_property
    def round(self) -> Seconds:
        """Return the floor: each current once, nothing between."""
        return Seconds(math.fsum(fast.takes for fast in self.fast))

    def interval(self, fast: Fast) -> Seconds:
        """Return the longest time from one reading of a port's current to the next, while nothing is lost."""
        return Seconds(max(self._crowded(fast), self._unhurried(fast)))

    def poll(self, fast: Fast) -> Seconds:
        """Return how long one poll takes: a crowded line's interval, or how long its meter wants rest if longer.

        What may be under way when such a meter's turn comes is not counted against it.
        """
        return Seconds(max(self._crowded(fast), fast.waits))

    def _crowded(self, fast: Fast) -> float:
        """Return the interval on a line that is never idle."""
        slots = _slots(len(self.fast), FAST_BETWEEN)
        later = fast.waits - self._least_wait
        late = self._longest_of(slots + self._late_slots) - self._longest_of(slots)
        return self.round + later + self._longest_of(slots) + max(late, self._hurried)

    @cached_property
    def _least_wait(self) -> float:
        return min(one.waits for one in self.fast)

    @cached_property
    def _late_slots(self) -> int:
        """Return how many more turns in a round slower things get that are late: none, unless the line is short.

        What is late may come after every fast reading. How much of it there is at once grows with what is missing.
        """
        slots = _slots(len(self.fast), FAST_BETWEEN)
        missing = max(0.0, self.slow_share - 1)
        return min(math.ceil(1.5 * slots * missing), _slots(len(self.fast), START_BETWEEN) - slots)

    def interval_starting(self, fast: Fast) -> Seconds:
        """Return the same while a port is being started: what a start waits for comes more often."""
        usual = self.interval(fast)
        own = [slow.takes for slow in self.slow if slow.power]
        slots = _slots(len(self.fast), START_BETWEEN) - _slots(len(self.fast), FAST_BETWEEN)
        slots = max(slots - self._late_slots, _slots(slots, FAST_BETWEEN))
        slots = min(slots, math.ceil(usual / FAST_EVERY))
        # Where power comes with the current, only the first reading of a start is asked for out of turn.
        return Seconds(usual + (slots * max(own) if own else min(slots, 1) * fast.takes))

    def _unhurried(self, fast: Fast) -> float:
        """Return the interval of a meter that is left alone for longer than a round takes.

        Its turn waits for what is under way then, and for slower things that have held up those before it.
        """
        alike = self._alike
        under_way = 0.0 if alike else self.longest
        return fast.waits + under_way + self._longest_of(_slots(len(self.fast) - 1, FAST_BETWEEN) + alike)

    @cached_property
    def _alike(self) -> bool:
        """Whether all meters are left alone for the same time."""
        return all(one.waits == self._least_wait for one in self.fast)

    def _longest_of(self, slots: int) -> float:
        """Return the longest that so many slower things can take."""
        return math.fsum(self._longest_first[:slots])

    @cached_property
    def _longest_first(self) -> list[float]:
        spans = [slow.takes for slow in self.slow for _time in range(1 + slow.supply)]
        return sorted(spans, reverse=True)

    @cached_property
    def _hurried(self) -> float:
        """Return what renewals take that wait for no reading: those of an overloaded line, which come late."""
        gap = FAST_BETWEEN * max((fast.takes for fast in self.fast), default=0.0)
        late = math.fsum((slow.takes + gap) / (slow.every + HURRY) for slow in self.slow) > 1
        return math.fsum(slow.takes for slow in self.slow if slow.renewal) if late else 0.0

    @cached_property
    def slow_share(self) -> float:
        """Return how much of the turns that slower things have they need; above 1 they come late."""
        gap = FAST_BETWEEN * max((fast.takes for fast in self.fast), default=0.0)
        if len(self.fast) and self.fast[0].waits > FAST_EVERY:
            # Meters that are not read without a break leave the line to the slower things in between.
            return self.share
        return math.fsum((slow.takes + gap) / slow.every for slow in self.slow)

    @cached_property
    def share(self) -> float:
        """Return the part of the line's time that is needed so that nothing is late, from 0 on; above 1: overload.

        A current is needed three times within what counts as stale.
        """
        fast = math.fsum(fast.takes / allowed(fast) for fast in self.fast)
        return fast + math.fsum(slow.takes / slow.every for slow in self.slow)

    @cached_property
    def renewals(self) -> Seconds:
        """Return how long it takes to renew all leases if they fall due together."""
        longest = max((fast.takes for fast in self.fast), default=0.0)
        each = [slow.takes + FAST_BETWEEN * longest for slow in self.slow if slow.renewal]
        return Seconds(math.fsum(each) + (self.longest if each else 0.0))

    @cached_property
    def power_interval(self) -> Seconds:
        """Return the longest time between two readings of a power that takes a frame of its own; else 0."""
        if not any(slow.power for slow in self.slow):
            return Seconds(0.0)
        turn = FAST_BETWEEN * max((fast.takes for fast in self.fast), default=0.0)
        # Due half a second after its time has come, and half of that on average: more, where turns are missing.
        late = max(POWER_EVERY + FAST_WITHIN, (POWER_EVERY + FAST_WITHIN / 2) * self.slow_share)
        return Seconds(late + turn + self.longest)


POLLS = 3
"""Polls that fit into what counts as stale."""


def allowed(fast: Fast) -> Seconds:
    """Return the longest polling interval with which a port's meter is not called stale for nothing."""
    return Seconds(fast.hung.protection.stale_after / POLLS)


def _slots(fast: int, apart: int) -> int:
    return -(-fast // apart)


def again(load: Load, fast: Fast) -> Seconds:
    """Return how much later a reading comes because one was lost: timeout, back-off, what is under way then."""
    return Seconds(fast.lost + BACK_OFF[0] + 2 * load.longest)


def load_of(there: Population) -> Load:
    """Return what a line has to carry."""
    fast = tuple(_fast(there, hung, hung.meter) for hung in there.ports if hung.meter is not None)
    relays = {(relay.name, relay.timing): relay for hung in there.ports if (relay := hung.relay) is not None}
    writes = [(WRITE, relay) for relay in relays.values()]
    slow = [*_renewals(there), *_readings(there), *_of_boards(there)]
    asked = [*writes, *((one.frames, one.profile) for one in slow)]
    asked += [(_current(one.meter), one.meter) for one in fast]
    return Load(
        fast=fast,
        slow=tuple(one.at(there.line) for one in slow),
        longest=max((there.line.takes(frames, board.timing) for frames, board in asked), default=Seconds(0.0)),
        longest_lost=max((there.line.lost(frames, board.timing) for frames, board in asked), default=Seconds(0.0)),
        leased=tuple(hung.port for hung in there.ports if hung.leased),
    )


def another_port(there: Population) -> Load:
    """Return what one more port like the last adds to a line, on boards that are there already but for its meter.

    Its voltage is told by the last one's meter, where both hang on one phase, and its transactions are no longer.
    """
    *known, new = there.with_ports(len(there.ports) + 1).ports
    alone = replace(there, ports=(new,), contactors=(), heartbeats=())
    due = [*_renewals(alone), *_readings(alone, {hung.mains for hung in known})]
    return Load(
        fast=() if new.meter is None else (_fast(alone, new, new.meter),),
        slow=tuple(one.at(there.line) for one in due),
        longest=Seconds(0.0),
        longest_lost=Seconds(0.0),
        leased=(new.port,) if new.leased else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A slower thing as its board is asked for it."""

    frames: Frames
    profile: Profile
    every: Seconds
    renewal: bool = False
    power: bool = False
    supply: bool = False

    def at(self, line: LineTime) -> Slow:
        takes = line.takes(self.frames, self.profile.timing)
        return Slow(takes=takes, every=self.every, renewal=self.renewal, power=self.power, supply=self.supply)


def _renewals(there: Population) -> Iterator[_Due]:
    for board in (*there.contactors, *there.heartbeats):
        yield _Due(frames=WRITE, profile=board, every=RENEW_EVERY, renewal=True)
    for hung in there.ports:
        if hung.relay is not None and hung.leased and hung.alone:
            yield _Due(frames=WRITE, profile=hung.relay, every=RENEW_EVERY, renewal=True)


def _readings(there: Population, known: Iterable[tuple[str, str]] = ()) -> Iterator[_Due]:
    """Yield what is read of meters beside their currents; voltage at one meter of each phase not `known`."""
    told = set(known)
    for hung in there.ports:
        for quantity, every in () if hung.meter is None else _slower(hung.meter):
            assert hung.meter is not None
            if quantity is Quantity.VOLTAGE and hung.mains in told:
                continue
            if quantity is Quantity.VOLTAGE:
                told.add(hung.mains)
            frames, power = _frames(hung.meter, quantity), quantity is Quantity.POWER
            yield _Due(frames=frames, profile=hung.meter, every=every, power=power)


def _of_boards(there: Population) -> Iterator[_Due]:
    for board in there.relay_boards:
        yield _Due(frames=read_back(board), profile=board, every=COILS_EVERY)
    for board in there.input_boards:
        yield _Due(frames=inputs(board), profile=board, every=INPUTS_EVERY, supply=True)
    for board in there.thermometers:
        yield _Due(frames=thermometers(board), profile=board, every=THERMOMETERS_EVERY, supply=True)
    for board in there.feeders:
        yield from _feeder(board)


def _feeder(board: Profile) -> Iterator[_Due]:
    """Yield what is read of a circuit's meter."""
    meter = board.meter
    assert meter is not None
    for read in feeder_readings(meter, feeder_phases(meter)):
        yield _Due(frames=registers(read.block, meter.words), profile=board, every=read.every, supply=True)


def _fast(there: Population, hung: Hung, meter: Profile) -> Fast:
    frames = _current(meter)
    refresh = Seconds(meter.timing.refresh_ms / 1000)
    rest = meter.timing.min_period_ms / 1000
    here = sum(one.meter_board == hung.meter_board for one in there.ports if one.meter is not None)
    # Between two readings of a current the board may be asked for one other thing.
    rests = rest * (here + any(_slower(meter)))
    return Fast(
        hung=hung,
        meter=meter,
        takes=there.line.takes(frames, meter.timing),
        after_asking=Seconds(there.line.turnaround(meter.timing) + frames.reply * there.line.character),
        lost=there.line.lost(frames, meter.timing),
        refresh=refresh,
        waits=Seconds(max(FAST_EVERY, refresh / READS_A_REFRESH, rests)),
    )


def _frames(meter: Profile, quantity: Quantity) -> Frames:
    assert meter.meter is not None
    return registers(meter.meter.block_of(quantity), meter.meter.words)


def _current(meter: Profile) -> Frames:
    return _frames(meter, Quantity.CURRENT)


def _slower(meter: Profile) -> Iterable[tuple[Quantity, Seconds]]:
    """Yield what takes a frame of its own beside the current, and how often it is read."""
    assert meter.meter is not None
    current = meter.meter.block_of(Quantity.CURRENT)
    spans = ((Quantity.POWER, POWER_EVERY), (Quantity.VOLTAGE, VOLTAGE_EVERY), (Quantity.ENERGY, ENERGY_EVERY))
    for quantity, every in spans:
        if quantity in meter.meter.registers and meter.meter.block_of(quantity) != current:
            yield quantity, every
