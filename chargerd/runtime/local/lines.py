"""Serves questions about lines and boards on the control socket: how each does, what is probably wrong.

And takes the word of whoever has looked at a line that has changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

from chargerd.contract.ledger import Json
from chargerd.control.server import Responder
from chargerd.core.events import Event, LineAccepted
from chargerd.core.units import BoardId, Seconds
from chargerd.modbus.diagnosis import BusStatistics, Cause, Finding
from chargerd.modbus.health import BUCKETS, BoardStatistics

Fields = Mapping[str, Json]


class Lines:
    """The methods `boards` and `accept-line`. Never blocks."""

    def __init__(
        self,
        statistics: Callable[[], Sequence[BusStatistics]],
        changed: Callable[[], Mapping[str, tuple[BoardId, ...]]],
        dispatch: Callable[[Event], None],
    ) -> None:
        """`changed`: the lines that have other boards than before, and the boards that show it."""
        self._statistics = statistics
        self._changed = changed
        self._dispatch = dispatch
        self.methods: Mapping[str, Callable[[Fields, Responder], None]] = {
            "boards": self._tell,
            "accept-line": self._accept,
        }

    def _tell(self, _params: Fields, respond: Responder) -> None:
        buses: list[Json] = [bus_as_json(bus) for bus in self._with_changes()]
        respond.send({"buses": buses, "latency_up_to_ms": [*(edge * 1000 for edge in BUCKETS), None]})

    def findings(self) -> list[tuple[str, Finding]]:
        """Return what is probably wrong with which bus."""
        return [(bus.bus, one) for bus in self._with_changes() for one in bus.findings]

    def _with_changes(self) -> list[BusStatistics]:
        changed = self._changed()
        return [
            replace(bus, findings=(*bus.findings, Finding(cause=Cause.LINE_CHANGED, boards=changed[bus.bus])))
            if bus.bus in changed
            else bus
            for bus in self._statistics()
        ]

    def _accept(self, params: Fields, respond: Responder) -> None:
        line, changed = str(params.get("bus")), self._changed()
        if line not in changed:
            others = f"changed are {', '.join(changed)}" if changed else "no line has changed"
            respond.fail("unchanged", f"there is nothing to accept on {line!r}", others)
            return
        self._dispatch(LineAccepted(line=line))
        respond.send({"bus": line, "boards": list(changed[line])})


def bus_as_json(bus: BusStatistics) -> dict[str, Json]:
    """Return a bus as the socket tells it; spans are milliseconds, ages seconds."""
    return {
        "bus": bus.bus,
        "connected": bus.connected,
        "hears_itself": bus.hears_itself,
        "transactions": bus.transactions,
        "boards": [_board(board) for board in bus.boards],
        "late": [{"what": one.what, "count": one.count, "worst_ms": _ms(one.worst)} for one in bus.late],
        "why": bus.why,
        "findings": [finding_as_json(one) for one in bus.findings],
    }


def finding_as_json(found: Finding) -> dict[str, Json]:
    """Return a finding as the socket tells it."""
    return {
        "cause": found.cause.value,
        "boards": list(found.boards),
        "share": found.share,
        "pre_silence_ms": _ms(found.silence),
        "why": found.why,
    }


def _board(board: BoardStatistics) -> dict[str, Json]:
    fields = asdict(board)
    for name in ("latency_mean", "timeout", "retry_in", "silence_wanted"):
        fields[f"{name}_ms"] = _ms(fields.pop(name))
    ages = {f"{name}age_s": fields.pop(f"{age}age") for name, age in (("", "stale_"), ("tainted_", "tainted_"))}
    rounded = {name: None if age is None else round(age, 1) for name, age in ages.items()}
    return {**fields, "latency": list(board.latency), **rounded}


def _ms(span: Seconds | None) -> float | None:
    return None if span is None else round(span * 1000, 1)
