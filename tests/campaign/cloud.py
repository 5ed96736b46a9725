"""The other end of the ledger: a broker that goes away, rows lost on the way, and a backend that keeps them all.

What decides which row is sent is the real thing; the connection is a model.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping

from chargerd.contract.ledger import LedgerRow, RowKind
from chargerd.core.units import Seconds, SessionId, after
from chargerd.mqtt.drain import READ_AHEAD, Drain
from tests.campaign.shed import Shed

TURN = 1.0
"""Seconds between two turns of the link."""
HEARD_WITHIN = Seconds(2.0)
"""How long a new connection waits for the backend's word."""
LOST = 0.02
"""How many of the rows a broker takes never reach the backend."""


class Cloud:
    """Takes a shed's rows over, acknowledges what it has without a gap, and never forgets."""

    def __init__(self, seed: int, shed: Shed) -> None:
        self.away = 0
        """How often the broker has gone away."""
        self._rng = random.Random(f"{seed}/cloud")
        self._shed = shed
        self._lost = LOST
        self._up = True
        self._stream = ""
        self._rows: dict[int, tuple[RowKind, Mapping[str, object]]] = {}
        self._through = 0
        shed.watchers.append(self._see)
        self._begin()
        self._turn()

    def go_away(self, span: float) -> None:
        """Let the broker be gone for a while."""
        if self._up:
            self.away += 1
            self._up = False
            self._drain.disconnected()
            self._shed.later(span, self.come_back)

    def come_back(self) -> None:
        """Let it be there again; the link connects anew."""
        if not self._up:
            self._up = True
            self._connect()

    def mend(self) -> None:
        """Lose nothing any more, and send all there is."""
        self._lost = 0.0
        self._up = True
        self._drain.disconnected()
        self._connect()

    def _see(self, _now: float, what: object) -> None:
        if what == "restart":
            self._drain.disconnected()
        elif what == "begin":
            self._shed.later(0.0, self._begin)

    def _begin(self) -> None:
        """A new daemon: it knows only what the journal knows."""
        self._drain = Drain()
        self._drain.begin(self._shed.real.found_last)
        if self._up:
            self._connect()

    def _connect(self) -> None:
        self._drain.connected(after(self._shed.clock.now(), HEARD_WITHIN))

    def _turn(self) -> None:
        if not self._shed.dead:
            self._send()
        self._shed.later(TURN, self._turn)

    def _send(self) -> None:
        journal, now = self._shed.real, self._shed.clock.now()
        span = journal.span()
        wanted = self._drain.wants(span, now)
        if wanted is not None:
            journal.read_rows(wanted, READ_AHEAD, self._drain.fetched)
            self._shed.due()
        while (row := self._drain.take(span, now)) is not None:
            if self._rng.random() >= self._lost:
                self._take(row)
        if self._up and self._through > span.acked:
            assert self._drain.may_acknowledge(self._through), "S7: acknowledged what was never sent"
            self._drain.answered(now, self._through)
            self._shed.handed_in |= set(self._settled(self._through))
            journal.acknowledge(self._stream, self._through)
            self._shed.due()

    def _take(self, row: LedgerRow) -> None:
        self._stream = self._stream or row.stream
        assert row.stream == self._stream, f"S7: another stream: {row}"
        told = (row.kind, row.body)
        assert self._rows.setdefault(row.seq, told) == told, f"S7: row {row.seq} says something else: {told}"
        while self._through + 1 in self._rows:
            self._through += 1

    def close(self, settled: Mapping[SessionId, int]) -> None:
        """Assert that the backend has every row, and of each session that has ended one settlement."""
        last = self._shed.real.span().last
        assert self._through == last, f"S7: {last - self._through} rows never came, from {self._through + 1} on"
        ended = Counter(self._settled(last))
        assert ended == Counter(settled), f"S7: {ended} for {settled}"

    def _settled(self, through: int) -> Iterator[SessionId]:
        for seq, (kind, body) in self._rows.items():
            if seq <= through and kind is RowKind.SESSION and body["event"] == "ended":
                yield SessionId(str(body["session_id"]))
