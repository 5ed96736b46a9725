"""Serves questions about lines and boards on the control socket: how each does, and what is probably wrong."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from chargerd.control.server import Responder
from chargerd.core.ledger import Json
from chargerd.core.units import Seconds
from chargerd.modbus.diagnosis import BusStatistics, Finding
from chargerd.modbus.health import BUCKETS, BoardStatistics

Fields = Mapping[str, Json]


class Lines:
    """The method `boards`. Never blocks."""

    def __init__(self, statistics: Callable[[], Sequence[BusStatistics]]) -> None:
        self._statistics = statistics
        self.methods: Mapping[str, Callable[[Fields, Responder], None]] = {"boards": self._tell}

    def _tell(self, _params: Fields, respond: Responder) -> None:
        buses: list[Json] = [bus_as_json(bus) for bus in self._statistics()]
        respond.send({"buses": buses, "latency_up_to_ms": [*(edge * 1000 for edge in BUCKETS), None]})


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
