"""Serves `why`: all that is wrong now over the whole site, the worst first, each thing once.

What the station and the lines tell goes out at once; what is looked at of the machine, which takes files, follows.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from chargerd.config.problems import Problem
from chargerd.config.site import Site
from chargerd.contract.ledger import Json
from chargerd.control.server import Responder
from chargerd.core.clock import Clock
from chargerd.core.commands import Code
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import BoardId, PortId
from chargerd.core.view import CircuitExplained, Claim, PortExplained, PortState, PortView
from chargerd.modbus.diagnosis import Cause, Finding
from chargerd.runtime.local.examine_site import of_refusal
from chargerd.runtime.local.explaining import claim_as_json
from chargerd.runtime.local.lines import finding_as_json

RANKS: Sequence[frozenset[str]] = (
    frozenset(
        (
            "relay_welded",
            "relay_will_not_open",
            "relay_board_lost",
            "relay_unconfirmed",
            "relay_out_of_control",
            "contactor_will_not_open",
            "current_seen",
        )
    ),
    frozenset(("smoke", "heat", "water", "emergency_stop")),
    frozenset(("store_unavailable", "latches_unknown", "leaving")),
    frozenset(
        (
            Cause.NO_LINE.value,
            Cause.NO_PERMISSION.value,
            Cause.LINE_IN_USE.value,
            Cause.REFUSED.value,
            Cause.NOT_MODBUS_TCP.value,
            Cause.HUNG_UP.value,
            Cause.BUS_SILENT.value,
            Cause.NETWORK_SILENT.value,
        )
    ),
    frozenset((Cause.BOARD_SILENT.value, "board_lost", "contactor_board_lost", "input_board_lost")),
)
"""What is worst, and what comes after it; all else comes below, what is only out of service or only waits last."""
FILE, CLOCK, QUIET, LAST = 7, 8, 9, 10
ADVICE = frozenset({Cause.WANTS_SILENCE})
"""What works, and would work better: it is worth a look, no fault, and explains none."""
NO_FAULTS = frozenset((Code.BUSY, Code.RESERVED, Code.PROVING, Code.CIRCUIT_FULL, Code.NOT_YET_KNOWN))
"""Codes of what is as it should be."""
WAITS = frozenset(
    {"relay_not_open", "line_not_recognised", "voltage_settling", "circuit_overload", "feeder_stale"}
)
"""Of what holds no start, or only a session that waits, what is worth telling of the whole site."""
OF_BOARDS = frozenset({"board_lost", "contactor_board_lost", "meter_stale", "input_board_lost", "line_changed"})
"""Claims that a finding about their boards explains better."""


class Why:
    """What is wrong with a site. Never blocks."""

    def __init__(
        self,
        *,
        explain: Callable[[], tuple[tuple[PortExplained, ...], tuple[CircuitExplained, ...]]],
        findings: Callable[[], Sequence[tuple[str, Finding]]],
        site: Site,
        clock: Clock,
        look: Callable[[Callable[[Sequence[Json]], None]], None],
        refused: Problem | None = None,
    ) -> None:
        """`findings`: what is probably wrong with which bus; `look` has the machine looked at.

        `refused`: why the configuration's file is not what runs.
        """
        self._explain = explain
        self._findings = findings
        self._site = site
        self._clock = clock
        self._look = look
        self._refused = refused

    def serve(self, respond: Responder) -> None:
        """Tell what is wrong."""
        ports, circuits = self._explain()
        now = self._clock.moment()
        lines = [(line, one, one.boards or self._on(line)) for line, one in self._findings()]
        found = wrong(ports, circuits, lines, now)
        if self._refused is not None:
            found.append(_of_file(self._refused))
        if self._site.mqtt is not None and now.clock is ClockQuality.NONE:
            found.append({"rank": CLOCK, "kind": "clock"})
        ranked: list[Json] = [*sorted(found, key=lambda one: int(str(one["rank"])))]
        counts: dict[str, Json] = {**Counter(shown_state(one.port) for one in ports)}
        respond.send({"wrong": ranked, "ports": counts}, more=True)
        self._look(lambda checks: respond.send({"checks": list(checks)}))

    def _on(self, line: str) -> tuple[BoardId, ...]:
        return tuple(board.id for board in self._site.boards.values() if board.bus == line)


def _of_file(problem: Problem) -> dict[str, Json]:
    told = of_refusal(problem)
    return {"rank": FILE, "kind": "configuration", "about": told.about, "what": told.what, "then": told.then}


def shown_state(view: PortView) -> str:
    """Return a port's state; one that is available and would refuse a start is blocked."""
    return "blocked" if view.state is PortState.AVAILABLE and view.blocked_by else view.state.value


Claimed = Mapping[tuple[object, ...], tuple[Claim, list[PortId]]]


def wrong(
    ports: Iterable[PortExplained],
    circuits: Iterable[CircuitExplained],
    lines: Sequence[tuple[str, Finding, Sequence[BoardId]]],
    now: Moment,
) -> list[dict[str, Json]]:
    """Return what is wrong, each thing once, with the ports it concerns."""
    claimed = _claimed(ports, circuits)
    found = [_on_line(line, finding, boards, claimed) for line, finding, boards in lines]
    explained = {board for _line, finding, boards in lines if finding.cause not in ADVICE for board in boards}
    for claim, of in claimed.values():
        if claim.what in OF_BOARDS and claim.boards and set(claim.boards) <= explained:
            continue
        told: list[Json] = [*of]
        found.append({"rank": _rank(claim.what), "kind": "claim", "held": told, **claim_as_json(claim, now)})
    return found


def _claimed(ports: Iterable[PortExplained], circuits: Iterable[CircuitExplained]) -> Claimed:
    """Return each claim that something is wrong once, and the ports it holds."""
    grouped: dict[tuple[object, ...], tuple[Claim, list[PortId]]] = {}
    for explained in ports:
        for claim in filter(_is_fault, explained.claims):
            _, of = grouped.setdefault(_key(claim, explained.port.id), (claim, []))
            of.append(explained.port.id)
    for circuit in circuits:
        for claim in filter(_is_fault, circuit.claims):
            if claim.circuit == circuit.circuit.id:
                grouped.setdefault(_key(claim, None), (claim, []))
    return grouped


def _on_line(line: str, finding: Finding, boards: Sequence[BoardId], claimed: Claimed) -> dict[str, Json]:
    holds = [name for claim, of in claimed.values() if set(claim.boards) & set(boards) for name in of]
    told: list[Json] = [*dict.fromkeys(holds)]
    fields = finding_as_json(finding)
    if finding.cause in ADVICE:
        return {"rank": LAST, "kind": "line", "verdict": "warning", "line": line, "held": [], **fields}
    rank = _rank(finding.cause.value)
    return {"rank": rank, "kind": "line", "verdict": "fault", "line": line, "held": told, **fields}


def _is_fault(claim: Claim) -> bool:
    return claim.what in WAITS if claim.code is None and claim.clearing is None else claim.code not in NO_FAULTS


def _key(claim: Claim, port: PortId | None) -> tuple[object, ...]:
    """Return what makes a claim the same as that of another port: a circuit, a board, a line they share."""
    shared = claim.circuit is not None or claim.lines or claim.what in {"store_unavailable", "leaving", "draining"}
    if claim.what in {"board_lost", "contactor_board_lost"} or shared:
        return (claim.what, claim.circuit, claim.boards, claim.lines)
    return (claim.what, port)


def _rank(what: str) -> int:
    if what in {"disabled", "locked", "draining"}:
        return QUIET
    return next((place for place, names in enumerate(RANKS) if what in names), len(RANKS))
