"""Alarms of the link: once an hour for each thing, and what was not told is counted."""

from chargerd.core.units import Seconds
from chargerd.mqtt.alarms import SAME_AGAIN_AFTER, Alarms
from tests.runtime.test_engine import HandClock


def test_what_is_not_told_again_is_counted_and_the_count_told() -> None:
    clock = HandClock()
    told: list[tuple[str, str]] = []
    alarms = Alarms(clock, lambda name, detail: told.append((name, detail)))
    for number in range(207):
        alarms.say("ack_ahead", f"acknowledged {number}")
    assert told == [("ack_ahead", "acknowledged 0")]
    clock.sleep(Seconds(SAME_AGAIN_AFTER + 1))
    alarms.say("ack_ahead", "acknowledged 900")
    assert told[1:] == [("ack_ahead", "acknowledged 900; 206 more of these since it was last told")]
