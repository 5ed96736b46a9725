"""What 100,000 gateways ask of a broker, on paper: each assumption is a figure here, each cost a measured one."""

from dataclasses import dataclass
from typing import Any

GATEWAYS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What a gateway does at the busiest hour of a day."""

    ports: int = 12
    charging: int = 6
    """Of them, at once."""
    reading_s: float = 10.0
    session_h: float = 2.0
    rows_each_session: float = 10.0
    """`started`, `updated` each quarter of an hour, `ended`, and an event."""
    sessions_a_day: float = 24.0
    """Of all ports together."""
    states: int = 16
    """Of ports, boards, circuit and gateway, which go again each quarter of an hour."""
    row_bytes: int = 700

    @property
    def up_per_s(self) -> dict[str, float]:
        """Messages a second of one gateway, by what they are."""
        rows = self.charging * self.rows_each_session / (self.session_h * 3600)
        return {
            "readings": self.charging / self.reading_s,
            "rows of the ledger": rows,
            "states": self.states / 900 + 2 * self.charging / (self.session_h * 3600),
            "presence and health": 2 / 60,
        }

    @property
    def total_per_s(self) -> float:
        """Messages a second of one gateway."""
        return sum(self.up_per_s.values())

    @property
    def rows_a_day(self) -> float:
        """Rows a day of one gateway."""
        return self.sessions_a_day * self.rows_each_session


def largest_good(ladder: dict[str, Any]) -> dict[str, Any]:
    """Return the row with the most gateways that went well."""
    rows = ladder["rows"]
    good = [row for row in rows if not row.get("ended")]
    return dict((good or rows)[-1])


def cost(ladder: dict[str, Any]) -> dict[str, float]:
    """Return what a gateway and a message cost this broker: memory, processor time."""
    row = largest_good(ladder)
    gateways = row["gateways"]
    return {
        "kib_per_gateway": (row["memory_mib"] - ladder["idle_mib"]) * 1024 / gateways,
        "ms_per_message": row["ms_per_message"],
        "gateways_per_core": gateways / max(row["cores"], 1e-9),
    }


def paper(results: dict[str, Any], assumed: Assumptions) -> list[tuple[str, dict[str, float]]]:
    """Return for each measured broker what 100,000 gateways cost it."""
    found = []
    for name, measured in results["load"].items():
        one = cost(measured["ladder"])
        messages = GATEWAYS * assumed.total_per_s
        found.append(
            (
                name,
                {
                    "messages_per_s": messages,
                    "cores": messages * one["ms_per_message"] / 1000,
                    "memory_gib": GATEWAYS * one["kib_per_gateway"] / 1024**2,
                },
            )
        )
    return found
