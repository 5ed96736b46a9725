"""Carries out manual requests, in the bus's thread.

Nothing of them counts for or against a board. One that is not answered leaves its board alone for a moment, as any
miss does, and its late answer must not pass for another's.
"""

from collections.abc import Mapping
from contextlib import nullcontext

from chargerd import log
from chargerd.config.budget.pacing import BACK_OFF
from chargerd.core.clock import Clock
from chargerd.core.faults import FaultKind
from chargerd.core.units import BoardId, Instant, Seconds, after
from chargerd.modbus.board import BoardOnBus
from chargerd.modbus.connection import Connection
from chargerd.modbus.frames import MatchKind, find_rtu
from chargerd.modbus.manual import CannotTune, Manual, Outcome
from chargerd.modbus.schedule import Schedule
from chargerd.modbus.trace import Traced, Tracers
from chargerd.modbus.wire import Answered, Failed, Wire

IN_USE = "a port of this line is in use: another rate is tried only while none is"

NOT_JUDGED = "nobody can say whether it may be sent; the daemon's log says more"


class ByHand:
    """Does one manual request after the other. The lock of `schedule` is held for none of them."""

    def __init__(
        self,
        *,
        bus: str,
        boards: Mapping[BoardId, BoardOnBus],
        schedule: Schedule,
        connection: Connection,
        clock: Clock,
        tracers: Tracers,
    ) -> None:
        self._bus = bus
        self._boards = boards
        self._schedule = schedule
        self._lock = schedule.lock
        self._connection = connection
        self._clock = clock
        self._tracers = tracers

    def do(self, job: Manual) -> None:
        """Do a manual request and tell whoever asked. Raises `LineGone`."""
        wire = self._connection.wire
        assert wire is not None
        why_not = self._why_not(job)
        if why_not is not None:
            self.put_off(job, why_not)
            return
        try:
            with nullcontext() if job.rate is None else wire.tuned(job.rate):
                outcome = self._hear_out(wire, job) if job.whole else self._ask(wire, job)
        except CannotTune as error:
            self.put_off(job, str(error))
            return
        if outcome.pdu is None and outcome.code is None and outcome.why_not is None and job.board is not None:
            self._was_silent(wire, job, outcome.at)
        self._tell(job, outcome)

    def put_off(self, job: Manual, why: str) -> None:
        """Tell that a request was not made."""
        now = self._clock.now()
        self._tell(job, Outcome(request=job.request, sent_at=now, at=now, why_not=why))

    def _why_not(self, job: Manual) -> str | None:
        if job.rate is not None:
            with self._lock:
                in_use = self._schedule.in_use
            if in_use:
                return IN_USE
        try:
            return job.guard()
        except Exception:  # What cannot be judged is not sent; and the line goes on.
            log.exception("manual_request_not_judged", bus=self._bus)
            return NOT_JUDGED

    def _silence(self, job: Manual) -> Seconds:
        board = None if job.board is None else self._boards.get(job.board)
        return Seconds(0.0) if board is None else board.silence

    def _ask(self, wire: Wire, job: Manual) -> Outcome:
        result = wire.transact(job.request, job.timeout, silence=self._silence(job))
        self._trace(wire, job, kind_of(result), result.sent_at, result.at)
        sent = isinstance(result, Answered) or result.sent
        return Outcome(
            request=job.request,
            sent_at=result.sent_at,
            at=result.at,
            pdu=result.pdu if isinstance(result, Answered) else None,
            code=None if isinstance(result, Answered) else result.code,
            stray=wire.stray,
            heard=wire.taken,
            why_not=None if sent else "the line does not fall silent",
        )

    def _hear_out(self, wire: Wire, job: Manual) -> Outcome:
        heard = wire.hear_out(job.request, job.timeout, silence=self._silence(job))
        data = heard.data.removeprefix(job.request.rtu)
        match = find_rtu(job.request, data)
        refused = match is not None and match.kind is MatchKind.EXCEPTION
        result = "timeout" if not data else "corrupt" if match is None else "exception" if refused else "answer"
        self._trace(wire, job, result, heard.sent_at, heard.at)
        return Outcome(
            request=job.request,
            sent_at=heard.sent_at,
            at=heard.at,
            pdu=None if match is None or refused else match.pdu,
            code=match.pdu[1] if match is not None and refused else None,
            stray=wire.stray,
            heard=heard.data,
            why_not=None if heard.sent else "the line does not fall silent",
        )

    def _trace(self, wire: Wire, job: Manual, result: str, sent_at: Instant, at: Instant) -> None:
        if self._tracers:
            self._tracers.tell(
                Traced(
                    bus=self._bus,
                    board=job.board,
                    request=job.request.rtu,
                    stray=wire.stray,
                    heard=wire.taken,
                    result=result,
                    sent_at=sent_at,
                    at=at,
                    by_hand=True,
                )
            )

    def _was_silent(self, wire: Wire, job: Manual, at: Instant) -> None:
        assert job.board is not None
        wire.beware(job.request)
        with self._lock:
            self._schedule.back_offs.rest(job.board, after(at, BACK_OFF[0]))

    def _tell(self, job: Manual, outcome: Outcome) -> None:
        try:
            job.done(outcome)
        except Exception:  # Whoever looks at a line must not be able to end what protects it.
            log.exception("manual_request_failed", bus=self._bus)


def kind_of(result: Answered | Failed) -> str:
    """Return what came of a transaction, in a word."""
    if isinstance(result, Answered):
        return "answer"
    if not result.sent:
        return "withheld"
    if result.kind is FaultKind.EXCEPTION or result.code is not None:
        return "exception"
    return "timeout" if result.kind is FaultKind.TIMEOUT else "corrupt"
