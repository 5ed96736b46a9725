"""Turns many gateways in one thread, each when it is due."""

import heapq
from collections import deque
from functools import partial

from chargerd.core.units import LONG_AGO, Instant
from chargerd.fleet.clock import RealTime, StoryTime
from chargerd.fleet.gateway import Gateway
from chargerd.fleet.network import Network

AT_ONCE = 20
"""How many gateways are turned before the network is served again."""


UNPLANNED = LONG_AGO
"""In place of when a gateway is due, while it is not planned."""


class Fleet:
    """All gateways, their time and their network."""

    def __init__(self, time: RealTime | StoryTime, network: Network) -> None:
        self.gateways: list[Gateway] = []
        self._time = time
        self._network = network
        self._plan: list[tuple[Instant, int]] = []
        self._due: list[Instant] = []
        self._wanted: deque[int] = deque()
        self._is_wanted: list[bool] = []

    def add(self, gateway: Gateway) -> None:
        """Turn this gateway, too; it was not started yet."""
        number = len(self.gateways)
        self.gateways.append(gateway)
        self._due.append(UNPLANNED)
        self._is_wanted.append(False)
        gateway.on_wanted = partial(self._want, number)
        gateway.start()

    def turn(self, *, wait: bool = True) -> None:
        """Turn who is due, and serve the network; `wait`: until the next one is."""
        now = self._time.now()
        for _ in range(AT_ONCE):
            number = self._next(now)
            if number is None:
                self._time.advance()
                break
            self._turn(number)
        self._network.serve(self._wait() if wait else 0.0)

    def _want(self, number: int) -> None:
        if not self._is_wanted[number]:
            self._is_wanted[number] = True
            self._wanted.append(number)

    def _next(self, now: Instant) -> int | None:
        if self._wanted:
            return self._wanted.popleft()
        while self._plan and self._plan[0][0] <= now:
            due, number = heapq.heappop(self._plan)
            if due == self._due[number]:
                self._due[number] = UNPLANNED
                return number
        return None

    def _turn(self, number: int) -> None:
        self._is_wanted[number] = False
        gateway = self.gateways[number]
        gateway.turn()
        due = gateway.due()
        if due != self._due[number]:
            self._due[number] = due
            heapq.heappush(self._plan, (due, number))

    def _wait(self) -> float:
        if self._wanted:
            return 0.0
        if not self._plan:
            return self._time.longest_wait
        left = (self._plan[0][0] - self._time.now()) / self._time.pace
        return min(self._time.longest_wait, max(0.0, left))
