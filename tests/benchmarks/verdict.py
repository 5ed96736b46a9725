"""What was promised, what was measured, and whether that is enough."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CYCLE_LIMITS = {9600: 1.03, 19200: 1.03, 38400: 1.10, 115200: 1.10}
AS_MINIMALMODBUS = 1.0
AS_LIBMODBUS = 1.02
TRIP_GRACE_MS = 5.0
CPU_LIMITS_MS = {19200: 0.22}
"""CPU of the whole daemon a transaction, with twelve ports, on the machine these limits were set on."""
OURS = ("daemon", "bus", "wire")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One promise."""

    what: str
    wanted: str
    measured: str
    met: bool

    @property
    def word(self) -> str:
        """How it ended."""
        return "met" if self.met else "short"


def verdicts(results: dict[str, Any]) -> list[Verdict]:
    """Return a verdict on each promise there are results for."""
    found: list[Verdict] = []
    for race in results.get("race", ()):
        found += [*_cycles(race), *_neighbours(race), *_trips(race), *_silent(race), *_cpu(race)]
    found += [*_violations(results), *_load(results.get("load")), *_growth(results.get("growth"))]
    found += _ports(results.get("ports"))
    return found


def _cycles(race: dict[str, Any]) -> Iterator[Verdict]:
    limit = CYCLE_LIMITS[race["baudrate"]]
    for name in OURS[:2]:
        if name in race["racers"]:
            ratio = race["racers"][name]["over_floor"]
            yield Verdict(
                what=f"{race['baudrate']} Bd: cycle of the {name} over the floor of its frames",
                wanted=f"<= {limit:.2f}",
                measured=f"{ratio['median']:.3f} ({ratio['least']:.3f} to {ratio['most']:.3f})",
                met=ratio["median"] <= limit,
            )


def _neighbours(race: dict[str, Any]) -> Iterator[Verdict]:
    ours = race["racers"]["wire"]["over_floor"]["median"]
    others = [("minimalmodbus", AS_MINIMALMODBUS)]
    if race["baudrate"] == 9600:
        others.append(("libmodbus", AS_LIBMODBUS))
    for name, factor in others:
        theirs = race["racers"][name]["over_floor"]["median"]
        yield Verdict(
            what=f"{race['baudrate']} Bd: a loop of our transactions against {name}",
            wanted=f"<= {factor:.2f} of its time",
            measured=f"{ours / theirs:.3f}",
            met=ours <= factor * theirs,
        )


def _trips(race: dict[str, Any]) -> Iterator[Verdict]:
    two = 2 * race["transaction_floor_ms"]
    for name in OURS[:2]:
        racer = race["racers"].get(name)
        if racer is None or not racer["trip_ms"]:
            continue
        for what, floor in (
            ("the floor of a turn of its schedule", racer["turn_floor_ms"]),
            ("the floor of the twelve currents alone", race["floor_ms"]),
        ):
            limit = floor + two + TRIP_GRACE_MS
            yield Verdict(
                what=f"{race['baudrate']} Bd: trip of the {name}, p99 of {racer['trips']}, against {what}",
                wanted=f"<= {floor:.0f} + {two:.0f} + {TRIP_GRACE_MS:.0f} = {limit:.0f} ms",
                measured=f"{racer['trip_ms']['p99']:.0f} ms",
                met=racer["trip_ms"]["p99"] <= limit and not racer["missed_trips"],
            )


def _silent(race: dict[str, Any]) -> Iterator[Verdict]:
    if "silent_growth" in race:
        growth = race["silent_growth"]
        yield Verdict(
            what=f"{race['baudrate']} Bd: the others' cycle with one of twelve boards silent, after two timeouts",
            wanted="<= +5 %",
            measured=f"{100 * growth:+.1f} %",
            met=growth <= 0.05,
        )


def _cpu(race: dict[str, Any]) -> Iterator[Verdict]:
    limit, racer = CPU_LIMITS_MS.get(race["baudrate"]), race["racers"].get("daemon")
    if limit is not None and racer is not None:
        used = racer["cpu_ms_per_transaction"]["median"]
        yield Verdict(
            what=f"{race['baudrate']} Bd: CPU of the whole daemon a transaction",
            wanted=f"<= {limit:.2f} ms",
            measured=f"{used:.2f} ms",
            met=used <= limit,
        )


def _violations(results: dict[str, Any]) -> Iterator[Verdict]:
    ours = [race["racers"][name] for race in results.get("race", ()) for name in OURS if name in race["racers"]]
    ours += [*results.get("growth", ()), *results.get("ports", ())]
    if results.get("load"):
        ours.append(results["load"])
    if ours:
        count = sum(one["violations"] for one in ours)
        yield Verdict(
            what="silences shorter than 3.5 characters, all runs of ours together",
            wanted="0",
            measured=str(count),
            met=count == 0,
        )


def _load(load: dict[str, Any] | None) -> Iterator[Verdict]:
    if not load:
        return
    second = load["a_second"]
    cycle = load["cycle_ms"]["mean"]
    beside = {"feeder": "feeder_reads", "inputs": "input_reads", "coils": "coil_reads", "power": "power_reads"}
    missing = [what for what, name in beside.items() if not second[name]]
    asked = f"{cycle:.0f} ms" + (f"; never asked: {', '.join(missing)}" if missing else "")
    yield Verdict(
        what="9600 Bd, full load: a cycle of the currents beside feeder, inputs, coils, power and leases",
        wanted="<= 750 ms",
        measured=asked,
        met=cycle <= 750 and not missing,
    )
    yield Verdict(
        what="9600 Bd, the line time of twelve currents and their leases within that",
        wanted="<= 400 ms a cycle",
        measured=f"{load['currents_and_leases_ms']:.0f} ms",
        met=load["currents_and_leases_ms"] <= 400,
    )


def _growth(growth: list[dict[str, Any]] | None) -> Iterator[Verdict]:
    for one in growth or ():
        if one["buses"] == 8:
            yield Verdict(
                what="8 buses of 12 ports at 19200 Bd: CPU",
                wanted="< 50 % of one core",
                measured=f"{100 * one['core']:.1f} %",
                met=one["core"] < 0.5,
            )
            yield Verdict(
                what="8 buses of 12 ports at 19200 Bd: memory",
                wanted="< 80 MB",
                measured=f"{one['resident_mb']:.1f} MB",
                met=one["resident_mb"] < 80,
            )


def _ports(ports: list[dict[str, Any]] | None) -> Iterator[Verdict]:
    first = ports[0] if ports else None
    for one in ports or ():
        if first is not None and one is not first:
            change = one["cpu_ms_per_transaction"] / first["cpu_ms_per_transaction"] - 1
            yield Verdict(
                what=f"{one['ports']} ports: CPU of a transaction against {first['ports']} ports",
                wanted="<= +20 %",  # fewer is not a promise broken: what a daemon costs anyway is shared by more
                measured=f"{change:+.1%}",
                met=change <= 0.2,
            )
