"""What is told of a line that is short of time, with instants made up."""

from chargerd.core.units import Instant, Seconds, after
from chargerd.modbus.lateness import LATE_AFTER, OVERLOADED, TOLD_EVERY, Late, Lateness

T = Instant(1000.0)


def late(lateness: Lateness, name: str, *spans: float) -> None:
    for span in spans:
        lateness.note(name, Seconds(span))


def test_a_little_late_is_not_late() -> None:
    lateness = Lateness()
    late(lateness, "power", -1.0, 0.0, LATE_AFTER)
    assert not lateness.known


def test_it_counts_and_keeps_the_worst() -> None:
    lateness = Lateness()
    late(lateness, "power", 0.4, 0.9, 0.3)
    assert lateness.known == {"power": Late(count=3, worst=Seconds(0.9))}


def test_what_happens_now_and_then_is_no_overload() -> None:
    lateness = Lateness()
    late(lateness, "power", *[1.0] * OVERLOADED)
    late(lateness, "coils", *[1.0] * (OVERLOADED - 1))
    assert lateness.overload(T) == {"power": Late(count=OVERLOADED, worst=Seconds(1.0))}


def test_an_overload_is_told_once_in_a_while_and_counted_anew() -> None:
    lateness = Lateness()
    assert not lateness.overload(T)
    late(lateness, "power", *[1.0] * OVERLOADED)
    assert not lateness.overload(T)
    later = after(T, TOLD_EVERY)
    assert lateness.overload(later)["power"].count == OVERLOADED
    late(lateness, "power", *[0.5] * OVERLOADED)
    told = lateness.overload(after(later, TOLD_EVERY))
    assert told == {"power": Late(count=OVERLOADED, worst=Seconds(1.0))}
    assert not lateness.overload(after(later, Seconds(2 * TOLD_EVERY)))
