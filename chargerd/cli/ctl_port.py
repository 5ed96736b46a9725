"""How one port looks on a terminal: what it is and does, what holds it, and what was last."""

from collections.abc import Iterator

from rich.console import Group
from rich.text import Text

from chargerd.cli.ctl_explain import explained, headline, last
from chargerd.cli.ctl_lines import paragraph
from chargerd.cli.fields import Fields, clock, is_gone, is_stale, number, relay_of, table
from chargerd.text import Json

MINUTE = 60
LABEL = 10
"""Columns in which each line says what it is about."""


def port_view(found: Fields, width: int) -> Group:
    """Return everything there is to say about one port that was explained."""
    facts = _facts(table(found.get("port")), width)
    return Group(headline(found), *facts, *explained(found, width), *last(found, width))


def _facts(port: Fields, width: int) -> Iterator[Text]:
    reading, session = table(port.get("reading")), table(port.get("session"))
    limits = table(port.get("limits_in_force")) or table(port.get("limits"))
    yield from _line(
        "socket",
        f"{port.get('label')}, circuit {port.get('circuit')}, {_relay(port)}, "
        f"{port.get('state')} since {port.get('since') or '(clock not set)'}",
        width,
    )
    yield from _line("reading", f"{_reading(reading)}{_warmth(port)}", width, "dim" if is_stale(reading) else "")
    yield from _line(
        "limits",
        f"{number(limits.get('current_a'), 1)} A, {number(limits.get('power_w'), 0)} W, "
        f"{clock(limits.get('duration_s'))}, {_energy_limit(limits)}",
        width,
    )
    if session:
        yield from _line(
            "session",
            f"{port.get('session_id')}: {number(session.get('energy_wh'), 0)} Wh in "
            f"{clock(session.get('charging_s'))}, peak {number(session.get('peak_power_w'), 0)} W"
            + (f", order {port['order_id']}" if port.get("order_id") else ""),
            width,
        )


def _line(label: str, text: str, width: int, style: str = "") -> Iterator[Text]:
    for line in paragraph(f"{label:{LABEL}}{text}", width, LABEL):
        yield Text(line, style=style)


def _relay(port: Fields) -> str:
    """Return where the relay is, how that is known, and what it was last read back as if that is not it."""
    known, last = table(port.get("relay")), port.get("relay_closed")
    if not known:
        return f"relay {relay_of(port)}"
    age = known.get("age_s")
    read = "never read back" if age is None else f"read back {_ago(age)}"
    if known.get("source") == "read_back" or not isinstance(last, bool):
        return f"relay {relay_of(port)}, {read}"
    return f"relay {relay_of(port)}; last {read}, {'closed' if last else 'open'} then"


def _ago(age: Json) -> str:
    return f"{number(age, 1)} s ago" if isinstance(age, int | float) and age < MINUTE else f"{clock(age)} ago"


def _reading(reading: Fields) -> str:
    """Return the values, and how old they are; those that tell nothing any more only by their age."""
    if reading.get("age_s") is None:
        return "none since the daemon began"
    register = f"register {number(reading.get('energy_wh'), 0)} Wh"
    if reading.get("energy_age_s") is not None:
        register += f" ({_ago(reading['energy_age_s'])})"
    if is_gone(reading):
        return f"none for {_span(reading['age_s'])}; {register}"
    return (
        f"{number(reading.get('power_w'), 1)} W, {number(reading.get('current_a'), 3)} A, "
        f"{number(reading.get('voltage_v'), 1)} V ({reading.get('quality')}, {number(reading.get('age_s'), 1)} s "
        f"old); {register}"
    )


def _span(age: Json) -> str:
    return _ago(age).removesuffix(" ago")


def _warmth(port: Fields) -> str:
    celsius = port.get("temperature_c")
    return "" if celsius is None else f", socket {number(celsius, 1)} °C"


def _energy_limit(limits: Fields) -> str:
    energy = limits.get("energy_wh")
    return "no energy limit" if energy is None else f"{number(energy, 0)} Wh"
