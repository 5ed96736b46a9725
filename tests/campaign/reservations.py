"""People who have a socket kept for them some minutes ahead, and books of whom it was kept for.

They draw from a seed of their own, so that lives without them are as they were before there were any.
"""

import random
from collections import Counter
from collections.abc import Sequence

from chargerd.core.commands import Answer, ReplyStatus
from chargerd.core.facts import PortReserved, ReservationEnded
from chargerd.core.units import PortId, SessionId
from tests.campaign.shed import Shed

RESERVING = ("reserved", "reserved start", "given back", "refused as reserved", "reservation expired")
"""What comes of it."""
EVERY = 180.0
"""Seconds between two of these people, on the average."""
SLACK = 0.5


class Reservations:
    """Reserves, starts, gives back, or forgets; and asserts that nobody else starts on a socket that is kept."""

    def __init__(self, seed: int, shed: Shed, names: Sequence[PortId], happened: Counter[str]) -> None:
        self._rng = random.Random(f"{seed} reserves")
        self._shed = shed
        self._names = names
        self._happened = happened
        self._kept: dict[PortId, tuple[SessionId, float]] = {}
        self._begins: dict[PortId, SessionId] = {}
        """For whom a reservation has just ended, whose start is answered next."""
        self._asked = 0
        self._over = False
        shed.watchers.append(self.see)

    def come(self) -> None:
        """Let somebody come now and then, until the life is over."""
        self._shed.later(self._rng.expovariate(1 / EVERY), self._comes)

    def end(self) -> None:
        """Give back what is kept; from now on nobody asks for anything."""
        self._over = True
        for port, (session, _until) in self._kept.items():
            self._shed.ask_reserve(port, session, 0.0)

    def see(self, now: float, what: object) -> None:
        """Take note of what is kept, and of whoever starts."""
        match what:
            case PortReserved():
                lasts = what.until.instant - self._shed.clock.now()
                self._kept[what.port] = (what.session, now + lasts)
            case ReservationEnded():
                session, until = self._kept.pop(what.port)
                assert session == what.session, (what, session)
                assert (what.kind == "expired") == (now >= until), (what, until, now)
                self._happened["reservation expired"] += what.kind == "expired"
                if what.kind == "started":
                    self._begins[what.port] = session
            case Answer(name="start", port=str() as port):
                self._answered(
                    what, self._begins.pop(PortId(port), None) or self._kept.get(PortId(port), (None, now))[0]
                )
            case "restart" | "begin":
                self._kept.clear()
                self._begins.clear()
            case _:
                pass

    def _answered(self, answer: Answer, session: SessionId | None) -> None:
        if answer.status is ReplyStatus.ACCEPTED and session is not None:
            assert answer.session == session, f"{answer} on a port kept for {session}"
        self._happened["refused as reserved"] += answer.code == "reserved"

    def check(self, now: float) -> None:
        """Assert that nothing is kept for longer than was asked for."""
        for port, (session, until) in self._kept.items():
            assert self._shed.dead or now <= until + SLACK, f"{port} is still kept for {session} at {now}"

    def _comes(self) -> None:
        self.come()
        rng, shed = self._rng, self._shed
        port, lasts = rng.choice(self._names), rng.choice((5.0, 60.0, 300.0, 900.0))
        self._asked += 1
        session = SessionId(f"kept-{self._asked}")
        if shed.dead or self._over:
            return
        self._happened["reserved"] += 1
        shed.ask_reserve(port, session, lasts)
        what = rng.random()
        if what < 0.5:
            shed.later(rng.uniform(0.0, 1.2 * lasts), self._start, port, session)
        elif what < 0.7:
            shed.later(rng.uniform(0.0, lasts), self._give_back, port, session)

    def _start(self, port: PortId, session: SessionId) -> None:
        if not self._shed.dead and not self._over:
            self._happened["reserved start"] += 1
            self._shed.ask_start_of(port, session)

    def _give_back(self, port: PortId, session: SessionId) -> None:
        if not self._shed.dead and not self._over:
            self._happened["given back"] += 1
            self._shed.ask_reserve(port, session, 0.0)
