"""Drives a scan over the virtual line's bus, as a client of the daemon does: one question after the other."""

from collections.abc import Mapping, Sequence

from chargerd.config.profiles.library import load_profiles
from chargerd.config.site import Site
from chargerd.core.units import BoardId, Seconds
from chargerd.modbus.bus import Bus
from chargerd.modbus.manual import Manual, Outcome, Rate
from chargerd.modbus.scan import FIRST, LAST, Known, Report, scan
from tests.modbus.kit import VirtualClock

WINDOW = Seconds(0.08)
ALL = range(FIRST, LAST + 1)


def known_of(site: Site) -> dict[int, Known]:
    return {board.address: Known(board=board.id, profile=board.profile) for board in site.boards.values()}


class Scanner:
    """Asks what the scan wants whenever the last question is over; `report` is there when it has ended."""

    def __init__(
        self,
        bus: Bus,
        known: Mapping[int, Known],
        *,
        units: Sequence[int] = ALL,
        rates: Sequence[Rate] = (),
        window: Seconds = WINDOW,
        thorough: bool = True,
    ) -> None:
        self.report: Report | None = None
        self.outcomes: list[Outcome] = []
        self._bus = bus
        self._known = known
        self._window = window
        profiles = load_profiles(()).values()
        self._steps = scan(units=units, known=known, profiles=profiles, other_rates=rates, thorough=thorough)
        self._ask(None)

    def _ask(self, outcome: Outcome | None) -> None:
        if outcome is not None:
            self.outcomes.append(outcome)
        try:
            question = next(self._steps) if outcome is None else self._steps.send(outcome)
        except StopIteration as end:
            self.report = end.value
            return
        known = self._known.get(question.request.unit)
        self._bus.ask(
            Manual(
                request=question.request,
                timeout=self._window,
                whole=True,
                rate=question.rate,
                board=None if known is None else BoardId(known.board),
                done=self._ask,
            )
        )


def until_done(scanner: Scanner, bus: Bus, clock: VirtualClock, within: float) -> float:
    """Turn the bus until the scan has ended; returns how long it took."""
    began = clock.time
    while scanner.report is None:
        assert clock.time < began + within, f"{len(scanner.outcomes)} questions in {within} s"
        if not bus.turn():
            clock.sleep(Seconds(0.001))
    return clock.time - began
