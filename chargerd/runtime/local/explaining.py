"""Serves `explain` and `circuit`: what holds a port or a circuit, as the station tells it, and what was last.

What the station tells goes out at once. What the journal has of a port follows when it has been read: a disk that
takes its time keeps nobody from seeing why nothing charges.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from chargerd.contract import bodies
from chargerd.contract.ledger import Json, LedgerRow, LedgerSpan, RowKind
from chargerd.contract.parts import detail_body, rounded, stamp
from chargerd.control.server import Responder
from chargerd.core.clock import Clock
from chargerd.core.moment import Moment, passed
from chargerd.core.units import CircuitId, PortId, between
from chargerd.core.view import Allocation, CircuitExplained, Claim, PortExplained, PortView, Suspension, Waiter
from chargerd.runtime.engine import Engine

Fields = Mapping[str, Json]
NEWEST = 300
"""Rows of the ledger among which the last event of a port is looked for: 10 ms of the journal's time."""
SETTLEMENTS = 100
"""Settlements among which its last session is looked for."""


class JournalForExplaining(Protocol):
    """What this needs of the journal."""

    def span(self) -> LedgerSpan:
        """Return what the ledger holds."""

    def read_rows(self, after: int, limit: int, deliver: Callable[[Sequence[LedgerRow]], None]) -> None:
        """Deliver rows with numbers above `after`, in order; none if they cannot be read."""

    def history(
        self, limit: int, deliver: Callable[[Sequence[LedgerRow] | None], None], before: int | None = None
    ) -> None:
        """Deliver settlements, newest first; `None` if they cannot be read."""


class PortAsked:
    """Answers `explain`. Never blocks."""

    def __init__(
        self,
        engine: Engine,
        journal: JournalForExplaining,
        clock: Clock,
        port_state: Callable[[PortView], dict[str, Json]],
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._port_state = port_state

    def tell(self, params: Fields, respond: Responder) -> None:
        """Tell what holds a port, then what was last of it."""
        name = str(params.get("port"))
        try:
            explained = self._engine.explain(PortId(name))
        except KeyError:
            ports = ", ".join(view.id for view in self._engine.views())
            respond.fail("unknown_port", f"there is no port {name!r}", f"the ports are {ports}")
            return
        state, now = self._port_state(explained.port), self._clock.moment()
        respond.send({"port": state, **explained_as_json(explained, now)}, more=True)
        _Last(self._journal, name, respond).go()


def tell_circuit(engine: Engine, clock: Clock, params: Fields, respond: Responder) -> None:
    """Answer `circuit`."""
    name = str(params.get("circuit"))
    try:
        explained = engine.explain_circuit(CircuitId(name))
    except KeyError:
        circuits = ", ".join(view.id for view in engine.circuit_views()) or "none"
        respond.fail("unknown_circuit", f"there is no circuit {name!r}", f"the circuits are {circuits}")
        return
    respond.send(circuit_as_json(explained, clock.moment()))


def explained_as_json(explained: PortExplained, now: Moment) -> dict[str, Json]:
    """Return what holds a port as the socket tells it."""
    suspension = explained.suspension
    return {
        "claims": [claim_as_json(claim, now) for claim in explained.claims],
        "suspension": None if suspension is None else _suspension(suspension, now),
        "ending": None if explained.ending is None else explained.ending.value,
    }


class _Last:
    """What the journal has of a port: its last session, and its last event."""

    def __init__(self, journal: JournalForExplaining, port: str, respond: Responder) -> None:
        self._journal = journal
        self._port = port
        self._respond = respond
        self._session: Json = None

    def go(self) -> None:
        """Ask for the newest settlements."""
        self._journal.history(SETTLEMENTS, self._settlements)

    def _settlements(self, rows: Sequence[LedgerRow] | None) -> None:
        mine = (dict(row.body) for row in rows or () if row.body.get("port") == self._port)
        self._session = next(mine, None)
        newest = self._journal.span().last
        self._journal.read_rows(max(0, newest - NEWEST), NEWEST, self._events)

    def _events(self, rows: Sequence[LedgerRow]) -> None:
        mine = [row for row in rows if row.kind is RowKind.EVENT and _about(row, self._port)]
        event: Json = {**mine[-1].body, "at": stamp(mine[-1].moment)} if mine else None
        self._respond.send({"last_session": self._session, "last_event": event})


def _about(row: LedgerRow, port: str) -> bool:
    ports = row.body.get("ports")
    return row.body.get("port") == port or (isinstance(ports, list) and port in ports)


def claim_as_json(claim: Claim, now: Moment) -> dict[str, Json]:
    """Return a claim as the socket tells it; spans are seconds from now."""
    detail = detail_body(claim.detail)
    return {
        "what": claim.what,
        "code": None if claim.code is None else claim.code.value,
        "measured": None if detail is None else detail.measured,
        "limit": None if detail is None else detail.limit,
        "unit": None if detail is None else detail.unit,
        "since": None if claim.since is None else stamp(claim.since),
        "for_s": _since(claim.since, now),
        "ends_in_s": _until(claim.until, now),
        "clearing": None if claim.clearing is None else claim.clearing.value,
        "source": None if claim.source is None else claim.source.value,
        "reason": claim.reason,
        "circuit": claim.circuit,
        "boards": list(claim.boards),
        "lines": list(claim.lines),
        "ports": list(claim.ports),
        "session_id": claim.session,
    }


def circuit_as_json(explained: CircuitExplained, now: Moment) -> dict[str, Json]:
    """Return a circuit that was explained as the socket tells it."""
    room = explained.room_current
    return {
        "circuit": bodies.plain(bodies.circuit_state(explained.circuit, now=now)),
        "claims": [claim_as_json(claim, now) for claim in explained.claims],
        "allocations": [_allocation(one) for one in explained.allocations],
        "waiters": [_waiter(one, now) for one in explained.waiters],
        "room_current_a": None if room is None else [rounded(current, 2) for current in room],
        "room_power_w": None if explained.room_power is None else round(explained.room_power),
    }


def _suspension(suspension: Suspension, now: Moment) -> dict[str, Json]:
    return {
        "by": suspension.by,
        "since": stamp(suspension.since),
        "for_s": _since(suspension.since, now),
        "ends_in_s": _until(suspension.until, now),
        "times": suspension.times,
        "most": suspension.most,
    }


def _allocation(one: Allocation) -> dict[str, Json]:
    return {
        "port": one.port,
        "state": one.state.value,
        "current_a": rounded(one.current, 2),
        "power_w": round(one.power),
        "allocated_current_a": rounded(one.allocated_current, 2),
        "allocated_power_w": round(one.allocated_power),
        "seen": one.seen,
    }


def _waiter(one: Waiter, now: Moment) -> dict[str, Json]:
    return {
        "port": one.port,
        "current_a": rounded(one.current, 2),
        "power_w": round(one.power),
        "full": list(one.full),
        "ends_in_s": _until(one.until, now),
    }


def _since(since: Moment | None, now: Moment) -> float | None:
    span = None if since is None else passed(since, now)
    return None if span is None else rounded(span, 1)


def _until(until: Moment | None, now: Moment) -> float | None:
    return None if until is None else rounded(max(0.0, between(now.instant, until.instant)), 1)
