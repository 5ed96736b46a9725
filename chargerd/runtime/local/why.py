"""Serves `why`: all that is wrong now over the whole site, the worst first, each thing once.

What the station and the lines tell goes out at once; what is looked at of the machine, which takes files, follows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from chargerd.contract.ledger import Json
from chargerd.control.server import Responder
from chargerd.core.clock import Clock
from chargerd.core.commands import Code
from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import BoardId, PortId
from chargerd.core.view import CircuitExplained, Claim, PortExplained
from chargerd.modbus.diagnosis import Cause, Finding
from chargerd.runtime.local.explaining import claim_as_json
from chargerd.runtime.local.lines import finding_as_json

Fields = Mapping[str, Json]
RANKS: Sequence[frozenset[str]] = (
    frozenset(
        {
            "relay_welded",
            "relay_will_not_open",
            "relay_board_lost",
            "relay_unconfirmed",
            "relay_out_of_control",
            "contactor_will_not_open",
            "current_seen",
        }
    ),
    frozenset({"smoke", "heat", "water", "emergency_stop"}),
    frozenset({"store_unavailable", "latches_unknown", "leaving"}),
    frozenset(
        {
            *(cause.value for cause in (Cause.NO_LINE, Cause.NO_PERMISSION, Cause.LINE_IN_USE, Cause.REFUSED)),
            *(
                cause.value
                for cause in (Cause.BUS_SILENT, Cause.NETWORK_SILENT, Cause.NOT_MODBUS_TCP, Cause.HUNG_UP)
            ),
        }
    ),
    frozenset({Cause.BOARD_SILENT.value, "board_lost", "contactor_board_lost", "input_board_lost"}),
)
"""What is worst, and what comes after it; all else comes below, what is only out of service or only waits last."""
CLOCK, QUIET = 8, 9
NO_FAULTS = frozenset({Code.BUSY, Code.RESERVED, Code.CIRCUIT_FULL, Code.NOT_YET_KNOWN})
"""Codes of what is as it should be."""
WAITS = frozenset(
    {"relay_not_open", "line_not_recognised", "voltage_settling", "circuit_overload", "feeder_stale"}
)
"""Of what holds no start, or only a session that waits, what is worth telling of the whole site."""
OF_BOARDS = frozenset({"board_lost", "contactor_board_lost", "meter_stale", "input_board_lost", "line_changed"})
"""Claims that a finding about their boards explains better."""


class Why:
    """The method `why`. Never blocks."""

    def __init__(
        self,
        *,
        explain: Callable[[], tuple[tuple[PortExplained, ...], tuple[CircuitExplained, ...]]],
        findings: Callable[[], Sequence[tuple[str, Finding]]],
        boards: Callable[[str], Sequence[BoardId]],
        clock: Clock,
        needs_clock: bool,
        look: Callable[[Callable[[Sequence[Json]], None]], None],
    ) -> None:
        """`findings`: what is probably wrong with which line, which has `boards`; `look` tells of the machine."""
        self._explain = explain
        self._findings = findings
        self._boards = boards
        self._clock = clock
        self._needs_clock = needs_clock
        self._look = look

    def serve(self, _params: Fields, respond: Responder) -> None:
        """Tell what is wrong."""
        ports, circuits = self._explain()
        now = self._clock.moment()
        found = wrong(ports, circuits, self._on_lines(), now)
        if self._needs_clock and now.clock is ClockQuality.NONE:
            found.append({"rank": CLOCK, "kind": "clock"})
        states: dict[str, int] = {}
        for one in ports:
            kind = "blocked" if one.port.state == "available" and one.port.blocked_by else one.port.state.value
            states[kind] = states.get(kind, 0) + 1
        counted: dict[str, Json] = {**states}
        ranked: list[Json] = [*sorted(found, key=lambda one: int(str(one["rank"])))]
        respond.send({"wrong": ranked, "states": counted}, more=True)
        self._look(lambda checks: respond.send({"checks": list(checks)}))

    def _on_lines(self) -> list[tuple[str, Finding, Sequence[BoardId]]]:
        return [(line, one, one.boards or self._boards(line)) for line, one in self._findings()]


def wrong(
    ports: Iterable[PortExplained],
    circuits: Iterable[CircuitExplained],
    lines: Sequence[tuple[str, Finding, Sequence[BoardId]]],
    now: Moment,
) -> list[dict[str, Json]]:
    """Return what is wrong, each thing once, with the ports it concerns."""
    grouped: dict[tuple[object, ...], tuple[Claim, list[PortId]]] = {}
    for explained in ports:
        for claim in explained.claims:
            if _is_fault(claim):
                _, of = grouped.setdefault(_key(claim, explained.port.id), (claim, []))
                of.append(explained.port.id)
    for circuit in circuits:
        for claim in circuit.claims:
            if _is_fault(claim) and claim.circuit == circuit.circuit.id:
                grouped.setdefault(_key(claim, None), (claim, []))
    found: list[dict[str, Json]] = []
    explained_by: set[BoardId] = set()
    for line, finding, boards in lines:
        explained_by |= set(boards)
        holds = [name for claim, of in grouped.values() if set(claim.boards) & set(boards) for name in of]
        found.append(
            {
                "rank": _rank(finding.cause.value),
                "kind": "line",
                "line": line,
                "ports": list(dict.fromkeys(holds)),
                **finding_as_json(finding),
            }
        )
    for claim, of in grouped.values():
        if claim.what in OF_BOARDS and claim.boards and set(claim.boards) <= explained_by:
            continue
        told: list[Json] = [*of]
        found.append({"rank": _rank(claim.what), "kind": "claim", "held": told, **claim_as_json(claim, now)})
    return found


def _is_fault(claim: Claim) -> bool:
    return claim.what in WAITS if claim.code is None and claim.clearing is None else claim.code not in NO_FAULTS


def _key(claim: Claim, port: PortId | None) -> tuple[object, ...]:
    """Return what makes a claim the same as that of another port: a circuit, a board, a line they have in common."""
    shared = claim.circuit is not None or claim.lines or claim.what in {"store_unavailable", "leaving"}
    if claim.what in {"board_lost", "contactor_board_lost"} or shared:
        return (claim.what, claim.circuit, claim.boards, claim.lines)
    return (claim.what, port)


def _rank(what: str) -> int:
    if what == "disabled":
        return QUIET
    return next((place for place, names in enumerate(RANKS) if what in names), len(RANKS))
