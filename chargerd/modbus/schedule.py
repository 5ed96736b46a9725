"""What a bus does next. Pure: the instant is an argument, and nothing here knows a line.

Theory. A line carries one transaction at a time: at 9600 Bd the currents of twelve meters take 324 ms, with
nothing between them. So how soon an overload is seen is a question of what stands between two readings of the
same current, and an opening waits for the transaction under way at most. In this order:

1. Openings: before everything, always. `PassedOverError` ends the process if a second job goes before one.
2. Read-backs that somebody waits for; closings, and renewals in a hurry, whose lease is about to end.
3. The currents of closed ports, round and round, and between them everything slower: renewals, inputs, feeders,
   coils, power, voltage. Each of these has a deadline, and the one that is due first goes first.

What falls due together is spread. As many fast readings stand between two slower things as the deadlines of all
that wait allow (done evenly, each would just be in time), and fewer than two only when one of them is late for
long. So nothing starves, and a cycle holds an even share of slower things, not a heap of them. Where nothing
fast is to be read, the slower ones have the line to themselves.

What somebody on site asks for (`manual_queue.py`) is one of the slower things. Between two of them each fast
reading has its turn: so no port is looked at later, by more than one such transaction, than if nobody had asked.

A board that does not answer costs one timeout and is then left alone (`back_off.py`); its first question after
that is the same again, lest a late answer pass for another quantity's. What is late while its board answers is
counted (`lateness.py`): then the line is short of time, which `chargerd check` foretells.

What this cannot see: how long a transaction will really take (the board's timeout bounds it), and how old a
value is that a board answers with (its profile's `refresh_ms` bounds that).

Figures: how often what is read stands in `chargerd.config.budget.pacing`, each with its reason; the budget goes by
the same.
"""

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple

from chargerd.config.budget.pacing import (
    COILS_EVERY,
    EARLY,
    FAST_BETWEEN,
    FAST_EVERY,
    FAST_WITHIN,
    HURRY,
    START_BETWEEN,
)
from chargerd.core.commands import Pace, RenewLease
from chargerd.core.units import LONG_AGO, BoardId, Instant, PortId, Seconds, after, between
from chargerd.modbus.back_off import BackOffs
from chargerd.modbus.identity import Identities
from chargerd.modbus.jobs import NEVER, Identify, Job, Kind, Open, Poll, ReadBack, Reading, Renew, Wants
from chargerd.modbus.lateness import LATE_AFTER, Lateness
from chargerd.modbus.manual import Manual
from chargerd.modbus.manual_queue import ManualQueue
from chargerd.modbus.port_on_bus import PortOnBus
from chargerd.modbus.voltages import Voltages

LATE_FOR_LONG = Seconds(1.0)
"""How long after its deadline a slower thing is let in after each fast reading: the line is overloaded."""


class _Due(NamedTuple):
    """A slower thing whose time has come, and by when it is to be done."""

    by: Instant
    job: Job
    starting: bool = False
    pressing: bool = False
    """Whether it goes before what is late already: an alarm must not wait for a power."""


class PassedOverError(Exception):
    """Something went before an opening. The bus must not go on like that."""


class Schedule:
    """The queue of one bus. Not thread-safe: whoever calls it holds its `lock`."""

    def __init__(
        self,
        ports: dict[PortId, PortOnBus],
        boards: Iterable[BoardId],
        relay_boards: Iterable[BoardId],
        min_periods: Mapping[BoardId, Seconds] | None = None,
        regulars: Iterable[Poll] = (),
        identities: Identities | None = None,
    ) -> None:
        """`min_periods`: how long after a request some boards want to be left alone."""
        self.lock = threading.RLock()
        """For all that belongs to the bus: who is given the queue cannot be given another's lock."""
        self.identities = identities or Identities({})
        self._ports = ports
        self._readings = tuple(reading for port in ports.values() for reading in port.readings.values())
        self._wants = Wants()
        for reading in self._readings:
            reading.wants = self._wants
        self._fast: list[Reading] = []
        self._taking_turns: list[Reading] = []
        """Of the readings that are wanted those with a turn among the slower things, beside `_fast`."""
        self._regulars = tuple(regulars)
        self._slow_at = LONG_AGO
        self.lateness = Lateness()
        self._settled_at: dict[BoardId, Instant] = {}
        self.back_offs = BackOffs(boards, min_periods or {})
        self.voltages = Voltages(ports, self.back_offs)
        self._passed_over = 0
        """How many jobs have begun in a row while an opening waited that could have gone out."""
        self._cuts: dict[PortId, Open] = {}
        self._holds: dict[PortId, Renew] = {}
        self._coils_last = dict.fromkeys(relay_boards, LONG_AGO)
        self._coils_asked: dict[BoardId, None] = {}
        self._fast_since = FAST_BETWEEN
        self.manual = ManualQueue(self._readings, self._may_read, self.back_offs.rests)
        self._out_of_turn: Job | None = None
        """What was chosen last where slower things have their turn."""
        for port in ports.values():
            port.set_pace(Pace.IDLE)

    # What is wanted

    def cut(self, job: Open) -> Renew | None:
        """Open a relay, and forget that anybody wanted it closed; returns what was forgotten.

        An opening that is queued already and this one become one.
        """
        purged = self._holds.pop(job.port, None)
        earlier = self._cuts.pop(job.port, None)
        attempt = max(job.attempt, earlier.attempt if earlier else 0)
        self._cuts[job.port] = replace(job, attempt=attempt)
        return purged

    def repeat(self, job: Open) -> None:
        """Queue an opening again behind the others, unless it has been asked for anew meanwhile."""
        self._cuts.setdefault(job.port, job)

    def hold(self, job: Renew) -> Renew | None:
        """Close a relay or keep it closed. Returns what will not be done: an older one of the port, or this one.

        It is refused while the port's opening is queued.
        """
        if job.command.port in self._cuts:
            return job
        earlier = self._holds.get(job.command.port)
        self._holds[job.command.port] = job
        return earlier

    def ask_coils(self, board: BoardId) -> None:
        """Read back a board's relays soon."""
        self._coils_asked[board] = None

    def settle(self, board: BoardId, until: Instant) -> None:
        """Read a board's relays back no sooner than this: one of them lapses until then."""
        self._settled_at[board] = until

    def ask_energy(self, port: PortId, now: Instant) -> None:
        """Read a port's register soon; asked again by itself until it is there or the port falls idle."""
        self._ports[port].ask(Kind.ENERGY, now)

    def set_pace(self, port: PortId, pace: Pace, now: Instant) -> None:
        """Read a port's meter at this pace from now on."""
        on_bus = self._ports[port]
        on_bus.set_pace(pace)
        if pace is Pace.ARMED:
            for kind in (Kind.CURRENT, Kind.POWER):
                on_bus.ask(kind, now)
        self.voltages.choose()

    @property
    def in_use(self) -> bool:
        """Say whether a port of this bus is closed or about to be; openings go first anyway."""
        paces = (port.pace is not Pace.IDLE for port in self._ports.values())
        return bool(self._holds) or any(paces)

    @property
    def holding(self) -> bool:
        """Say whether a closing or a renewal is queued."""
        return bool(self._holds)

    def opening(self, port: PortId, board: BoardId) -> bool:
        """Say whether a port's opening or a read-back of its board is queued."""
        return port in self._cuts or board in self._coils_asked

    # What comes next

    def next(self, now: Instant) -> Job | None:
        """Return the most urgent job whose time has come, or `None`."""
        if not (self._cuts or self._coils_asked or self._holds):
            return self._next_in_turn(None, now)
        for cut in self._cuts.values():
            if self.back_offs.may(cut.board, now, cutting=True):
                return cut
        for board in self._coils_asked:
            if self._coils_wait_for(board, now) <= now:
                return ReadBack(board=board)
        hold = self._next_hold(now)
        if hold is not None and not self._can_wait(hold, now):
            return hold
        return self._next_in_turn(hold, now)

    def overdue(self, now: Instant) -> tuple[Renew, ...]:
        """Remove and return closings and renewals whose time has passed while their board was left alone."""
        if not self._holds:
            return ()
        late = tuple([hold for hold in self._holds.values() if hold.command.not_after < now])
        for hold in late:
            del self._holds[hold.command.port]
        return late

    def due_at(self, now: Instant) -> Instant | None:
        """Return when there is something to do; `now` if there is already."""
        instants = [self.back_offs.wait_for(cut.board, now, cutting=True) for cut in self._cuts.values()]
        instants += [self._coils_wait_for(board, now) for board in self._coils_asked]
        for hold in self._holds.values():
            instants.append(min(self.back_offs.wait_for(hold.board, now), hold.command.not_after))
        for reading in self._readings:
            if reading.begins < NEVER and (reading.fast or reading.has_turns):
                instants.append(max(reading.begins, self.back_offs.wait_for(reading.board, now)))
        for regular in self._regulars:
            instants.append(max(regular.eligible_at(), self.back_offs.wait_for(regular.board, now)))
        for job in self.identities.jobs:
            if job.begins < NEVER:
                instants.append(max(job.begins, self.back_offs.wait_for(job.board, now)))
        for board, last in self._coils_last.items():
            instants.append(max(after(last, COILS_EVERY), self._coils_wait_for(board, now)))
        instants += self.manual.due(now)
        return min(instants, default=None)

    # What came of it

    def begin(self, job: Job, now: Instant) -> None:
        """Take a job off the queue: it is being done."""
        if self._cuts or self._passed_over:
            self._check_openings(job, now)
        self._note_lateness(job, now)
        self.back_offs.asked(job.board, now)
        self._count_turn(job, now)
        self._take_off(job, now)

    def _take_off(self, job: Job, now: Instant) -> None:
        match job:
            case Reading():
                self._begin_reading(job, now)
            case Open():
                self._cuts.pop(job.port, None)
            case Renew():
                self._holds.pop(job.command.port, None)
            case ReadBack():
                self._coils_asked.pop(job.board, None)
                self._coils_last[job.board] = now
            case Poll():
                job.last = now
            case Identify():
                self.identities.asked(job, now)
            case Manual():
                self.manual.begun(job, now)

    def _begin_reading(self, job: Reading, now: Instant) -> None:
        for reading in job.along:
            reading.done(now)
            self.manual.served(reading)

    def _check_openings(self, job: Job, now: Instant) -> None:
        """Raise `PassedOverError` if an opening that could go out has to wait for more than one other job (S2)."""
        if not self._cuts:
            self._passed_over = 0
            return
        could = (self.back_offs.may(cut.board, now, cutting=True) for cut in self._cuts.values())
        waits = not isinstance(job, Open) and any(could)
        self._passed_over = self._passed_over + 1 if waits else 0
        if self._passed_over > 1:
            raise PassedOverError(f"S2: openings of {', '.join(self._cuts)} wait, and {job} goes first")

    def _count_turn(self, job: Job, now: Instant) -> None:
        if isinstance(job, Reading) and job.fast and job is not self._out_of_turn:
            self._fast_since += 1
        elif not isinstance(job, Open | Identify):  # A frame that takes no other slower thing's turn.
            self._fast_since, self._slow_at = 0, now

    def unanswered(self, job: ReadBack | Reading | Poll) -> None:
        """What a silent board was asked is due as soon as it is asked again: its back-off alone says when."""
        match job:
            case Reading():
                self.back_offs.boards[job.board].unheard = job
                for reading in job.along:
                    reading.renew()
                self.voltages.choose()
            case Poll():
                job.last = LONG_AGO
            case ReadBack():
                self._coils_asked[job.board] = None

    def forgive(self) -> None:
        """The line is back: every board may be asked at once, relays first, and who it is after that.

        What went before an opening over a line that is gone is no reason to give up on this one.
        """
        self._passed_over = 0
        self.back_offs.forgive()
        self._coils_asked.update(dict.fromkeys(self._coils_last))

    def drop_holds(self) -> tuple[Renew, ...]:
        """Remove and return all queued closings and renewals."""
        holds = tuple(self._holds.values())
        self._holds.clear()
        return holds

    def drop_renewal(self, port: PortId) -> Renew | None:
        """Remove and return a port's queued renewal, if there is one: its relay has opened, it would close it."""
        hold = self._holds.get(port)
        return self._holds.pop(port) if hold is not None and isinstance(hold.command, RenewLease) else None

    # Within

    def _next_hold(self, now: Instant) -> Renew | None:
        """Return what is to be held next; a renewal that can wait hides nothing that cannot."""
        if not self._holds:
            return None
        holds = [hold for hold in self._holds.values() if self.back_offs.may(hold.board, now)]
        pressing = [hold for hold in holds if not self._can_wait(hold, now)]
        return min(pressing or holds, key=lambda hold: hold.command.not_after, default=None)

    def _can_wait(self, hold: Renew, now: Instant) -> bool:
        renewal = isinstance(hold.command, RenewLease)
        hurry = hold.command.not_after < after(now, HURRY)
        return renewal and not hurry

    def _next_in_turn(self, renewal: Renew | None, now: Instant) -> Job | None:
        if self._wants.changed:
            self._sort_out()
        # Nearly every fast reading is due nearly always: of these only the first is looked at any closer.
        fast = min([one for one in self._fast if one.begins <= now], key=_by, default=None)
        if fast is not None and not self._may_read(fast, now):
            readable = [one for one in self._fast if one.begins <= now and self._may_read(one, now)]
            fast = min(readable, key=_by, default=None)
        due: list[_Due] = [] if renewal is None else self._renewals(now)
        for reading in self._taking_turns:
            if reading.begins <= now and self._may_read(reading, now):
                due.append(self._slower(reading))  # noqa: PERF401 - nearly always there is one or none
        due += self._of_boards(now)
        if self.identities.jobs:
            due += self._to_identify(now, idle=fast is None and not due, alone=not due)
        if self.manual:
            due += [_Due(by, job) for by, job in self.manual.ready(now)]
        due.sort(key=lambda one: LONG_AGO if one.pressing and one.by <= now else one.by)
        if due and (fast is None or self._slower_goes(due, now)):
            self._out_of_turn = due[0].job
            return due[0].job
        self._out_of_turn = None
        return fast

    def _sort_out(self) -> None:
        """Find the readings there are to be chosen from: others than before are wanted, or in other ways."""
        wanted = [reading for reading in self._readings if reading.begins < NEVER]
        self._fast = [reading for reading in wanted if reading.fast]
        self._taking_turns = [reading for reading in wanted if reading.has_turns]
        self._wants.changed = False

    def _slower_goes(self, due: list[_Due], now: Instant) -> bool:
        """Say whether the next thing is the slower one that is due first; `due` is sorted."""
        first = due[0]
        late = after(first.by, LATE_FOR_LONG) <= now
        apart = START_BETWEEN if first.starting or late else FAST_BETWEEN
        if self._fast_since < apart:
            return False
        # Done evenly from now on, each of them would just be in time.
        spacing = min([(one.by - EARLY - now) / place for place, one in enumerate(due, 1)])
        return first.starting or now >= after(self._slow_at, Seconds(spacing))

    def _may_read(self, reading: Reading, now: Instant) -> bool:
        unheard = self.back_offs.boards[reading.board].unheard
        confuses = unheard is not None and _may_confuse(unheard, reading, now)
        return not confuses and self.back_offs.may(reading.board, now)

    def _slower(self, reading: Reading) -> _Due:
        """Return a slower reading with its deadline; a starting port waits for its own, and every of them."""
        starting = self._ports[reading.port].pace is Pace.ARMED
        by = after(reading.by, Seconds(-FAST_WITHIN - FAST_EVERY)) if starting else reading.by
        return _Due(by=by, job=reading, starting=starting)

    def _renewals(self, now: Instant) -> list[_Due]:
        return [
            _Due(by=after(hold.command.not_after, Seconds(-HURRY - FAST_WITHIN)), job=hold)
            for hold in self._holds.values()
            if self.back_offs.may(hold.board, now)
        ]

    def _of_boards(self, now: Instant) -> list[_Due]:
        """Return what is due of the supply, and the relays of boards that are to be read back."""
        due = []
        for regular in self._regulars:
            if regular.eligible_at() <= now and self.back_offs.may(regular.board, now):
                by = after(regular.deadline(), Seconds(-EARLY))
                due.append(_Due(by, regular, pressing=regular.name == "inputs"))
        for board, last in self._coils_last.items():
            if last + COILS_EVERY <= now and self._coils_wait_for(board, now) <= now:
                due.append(_Due(after(last, Seconds(COILS_EVERY + FAST_WITHIN)), ReadBack(board=board)))
        return due

    def _to_identify(self, now: Instant, *, idle: bool, alone: bool) -> list[_Due]:
        """Return the next board that is to be asked who it is, if it is time for that.

        Where no relay is closed it takes its turn with the rest, since a start waits for it.
        """
        if all(job.begins > now for job in self.identities.jobs):
            return []
        calm = all(port.pace is not Pace.CLOSED for port in self._ports.values())
        asked = (
            _Due(by=by, job=job)
            for by, job in self.identities.due(now, idle=idle, alone=alone, calm=calm)
            if self.back_offs.may(job.board, now)
        )
        return list(itertools.islice(asked, 1))

    def _note_lateness(self, job: Job, now: Instant) -> None:
        """Count what is done late while its board has been answering: the line is short of time then."""
        if isinstance(job, Reading) and now <= after(job.by, LATE_AFTER):
            return
        due = self._due_of(job)
        if due is None or job.board is None or due[1] == LONG_AGO or self.back_offs.boards[job.board].misses:
            return
        name, by = due
        self.lateness.note(name, between(by, now))

    def _due_of(self, job: Job) -> tuple[str, Instant] | None:
        """Return a job's name and by when it was to be done; `None` for what has its own way to be late."""
        match job:
            case Reading():
                return job.kind.value, job.by if job.asked_at is None else after(job.by, FAST_WITHIN)
            case Poll():
                return job.name, job.deadline()
            case ReadBack():
                return "coils", after(self._coils_last[job.board], Seconds(COILS_EVERY + FAST_WITHIN))
            case Renew() if isinstance(job.command, RenewLease):
                return "renewal", after(job.command.not_after, Seconds(-HURRY))
            case _:
                return None

    def _coils_wait_for(self, board: BoardId, now: Instant) -> Instant:
        return max(self.back_offs.wait_for(board, now), self._settled_at.get(board, now))


_by: Callable[[Reading], Instant] = attrgetter("by")


def _may_confuse(unheard: Reading, reading: Reading, now: Instant) -> bool:
    """Say whether a late answer to another question might be taken for this one's; that is asked first."""
    other = (unheard.channel, unheard.block) != (reading.channel, reading.block)
    return other and unheard.begins <= now
