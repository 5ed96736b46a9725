"""What is told of clock, disk and lines beside the ports."""

from pathlib import Path

from chargerd.core.moment import ClockQuality, Moment
from chargerd.core.units import BoardId, Instant, Seconds
from chargerd.modbus.diagnosis import Cause, Finding
from chargerd.runtime.reporting.clock_events import ClockWatch
from chargerd.runtime.reporting.surroundings import disk, surroundings
from tests.runtime.test_engine import HandClock


def test_clock_disk_and_the_findings_of_each_bus_are_told(tmp_path: Path) -> None:
    now = Moment(instant=Instant(100.0), boot=1, wall_ms=1_790_000_000_000, clock=ClockQuality.NTP)
    finding = Finding(cause=Cause.BOARD_SILENT, boards=(BoardId("meter-a1"),))
    told = surroundings(now, tmp_path, Instant(40.0), [("line-a", finding), ("line-a", finding)])
    assert told["clock"] == {"at": "2026-09-21T14:13:20.000Z", "source": "ntp", "for_s": 60.0}
    assert isinstance(told["disk"], dict)
    assert (told["disk"]["read_only"], told["disk"]["why_not"]) == (False, None)
    assert isinstance(told["findings"], dict)
    assert list(told["findings"]) == ["line-a"]
    assert len(told["findings"]["line-a"]) == 2  # type: ignore[arg-type]  # a list of findings


def test_a_disk_that_is_gone_says_why(tmp_path: Path) -> None:
    assert disk(tmp_path / "gone")["why_not"] == "No such file or directory"


class VouchedClock(HandClock):
    """Somebody vouches for it, from some time on."""

    quality = ClockQuality.NONE

    def moment(self) -> Moment:
        wall = None if self.quality is ClockQuality.NONE else 1_790_000_000_000
        return Moment(instant=self.instant, wall_ms=wall, clock=self.quality)


def test_since_when_the_clock_is_what_it_is_begins_anew_with_each_change() -> None:
    clock = VouchedClock()
    watch = ClockWatch(clock, lambda _body: None)
    clock.sleep(Seconds(60.0))
    watch.look()
    assert watch.since == 100.0
    clock.quality = ClockQuality.NTP
    watch.look()
    assert watch.since == 160.0
