"""Life in a shed on two lines of the same shape, whose adapters swap names now and then."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from chargerd.core.plan import LinePlan, RelayPlan, StationPlan
from chargerd.core.units import BoardId, PortId
from tests.campaign.life import ModelledLife
from tests.campaign.shed import RESUME_WINDOW, Shed
from tests.core.plant import port_plan

LINE_TROUBLES = ("lines exchanged", "lines exchanged while dead")
"""What can happen to adapters."""
MENDED_AFTER = 300.0
"""Seconds until somebody has put adapters back that came up in another order."""


def two_lines(count: int = 12) -> StationPlan:
    """Return a shed whose ports hang on two lines of the same shape, half and half."""
    half = count // 2
    ports = [port_plan(f"A{number:02d}", number) for number in range(1, count + 1)]
    for place in range(half, count):
        relay = RelayPlan(board=BoardId("relay-b"), channel=place - half + 1)
        ports[place] = replace(ports[place], relay=relay)
    lines = []
    for name, mine in (("line-a", ports[:half]), ("line-b", ports[half:])):
        meters = frozenset(port.meter.board for port in mine)
        boards = dict.fromkeys([*(port.relay.board for port in mine), *(port.meter.board for port in mine)])
        lines.append(LinePlan(id=name, boards=tuple(boards), telling=meters, unique=meters))
    return StationPlan(ports=tuple(ports), lines=tuple(lines), resume_window=RESUME_WINDOW)


class TwoLinesLife(ModelledLife):
    """Life where each line may turn out to be the other one, while the daemon lives or while it does not."""

    def __init__(self, seed: int, folder: Path, ports: int = 12) -> None:
        super().__init__(seed, Shed(folder, site=two_lines(ports)))

    def more_faults(self, port: PortId) -> Mapping[str, Callable[[float], None]]:
        """Return what else can break."""
        swap = {"lines exchanged": lambda span: self._swap(min(span, 20.0), 10 * span)}
        return {**super().more_faults(port), **swap}

    def more_rare_ones(self) -> Mapping[str, Callable[[float], None]]:
        """Return what else breaks seldom."""
        return {"lines exchanged while dead": lambda _span: self._swap_dead()}

    def _swap(self, pause: float, lasts: float) -> None:
        """Pull both adapters and plug each in where the other was; somebody mends that after a while."""
        adapters = self.shed.adapters
        if adapters.away or adapters.exchanged:
            return
        adapters.unplug()
        self.shed.later(pause, self._plug)
        self._put_back(pause + lasts, pause)

    def _swap_dead(self) -> None:
        """Let the adapters come up in another order with the next daemon."""
        adapters = self.shed.adapters
        if not (adapters.away or adapters.exchanged):
            adapters.exchange()
            self._put_back(MENDED_AFTER, 3.0)
        self.begin_anew(self.rng.choice((2.0, 10.0, 60.0)), power=False)

    def _put_back(self, after: float, pause: float) -> None:
        self.shed.later(after, self.shed.adapters.unplug)
        self.shed.later(after + pause, self._plug)

    def _plug(self) -> None:
        self.shed.adapters.exchange()
        self.shed.adapters.plug()

    def mend(self) -> None:
        """Mend everything that is broken; both lines hang where they should."""
        super().mend()
        if self.shed.adapters.exchanged:
            self.shed.adapters.exchange()
        self.shed.adapters.plug()
