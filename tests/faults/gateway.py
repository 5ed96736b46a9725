"""A gateway without ports: the real journal and the real link, and a source of rows; made to be killed.

`python -m tests.faults.gateway JOURNAL PORT ROWS PER_S [bent]` appends rows, every tenth a settlement, until the
ledger holds ROWS, at PER_S each second, and says on stdout which settlements it was told are durable. It goes on
handing in until it is killed. `bent` takes the broker's PUBACK for the backend's acknowledgement.
"""

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from chargerd.config.document import MqttSection
from chargerd.contract.ledger import Batch, Body, LedgerEntry, RowKind
from chargerd.core.units import PortId, Seconds
from chargerd.mqtt import back_off
from chargerd.mqtt.client import MqttLink
from chargerd.mqtt.heard import PubAck
from chargerd.mqtt.publisher import Publisher
from chargerd.runtime.process.clock import SystemClock, boot_id
from chargerd.store.journal import Journal
from tests.patience import PATIENCE_S

ROWS_A_BATCH = 10


class States:
    def info(self) -> Body:
        return {"version": "test"}

    def port_ids(self) -> Sequence[PortId]:
        return [PortId("A01")]

    def port_state(self, port: PortId) -> Body:
        return {"port": port, "state": "available"}


def fail(error: BaseException) -> None:
    os.write(2, f"crashed: {error!r}\n".encode())
    os._exit(70)


def warn(name: str, detail: str) -> None:
    os.write(2, f"{name}: {detail}\n".encode())


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def entries(clock: SystemClock, number: int) -> tuple[LedgerEntry, ...]:
    """Return a batch: nine events, and the settlement of session `number`."""
    moment = clock.moment()
    events = [
        LedgerEntry(kind=RowKind.EVENT, body={"event": "made_up", "batch": number}, moment=moment, offline=False)
        for _ in range(ROWS_A_BATCH - 1)
    ]
    body: Body = {"event": "ended", "session_id": f"S-{number}", "energy_wh": number}
    ended = LedgerEntry(kind=RowKind.SESSION, body=body, moment=moment, offline=False, settlement=True)
    return (*events, ended)


def bend(journal: Journal) -> None:
    """Plant the mistake the tests must be able to see: what the broker has taken counts as handed in."""
    confirmed = Publisher.confirmed

    def trusting(self: Publisher, heard: PubAck) -> None:
        sent = self._in_flight.get(heard.mid)
        confirmed(self, heard)
        if sent is not None and sent.row is not None:
            journal.acknowledge(sent.row.stream, sent.row.seq)

    Publisher.confirmed = trusting  # type: ignore[method-assign]


def main() -> None:
    path, port, rows, per_s = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    clock = SystemClock()
    back_off.BACK_OFF_FIRST = Seconds(0.5)
    back_off.BACK_OFF_MOST = Seconds(2.0)
    journal = Journal.open(path, clock=clock, boot_id=boot_id(), on_health=lambda _well: None, on_crash=fail)
    link = MqttLink(
        config=MqttSection(host="127.0.0.1", port=port),
        gateway="shed-1",
        clock=clock,
        ledger=journal,
        states=States(),
        on_command=lambda _incoming, acknowledge: acknowledge(),
        on_refused=lambda _refusal: None,
        on_alarm=warn,
        on_crash=fail,
    )
    if "bent" in sys.argv:
        bend(journal)
    journal.on_appended = lambda _seq: link.rows_added()
    journal.start()
    link.start()
    pause = threading.Event()
    while journal.span().last < rows:
        number = journal.span().last // ROWS_A_BATCH
        written = threading.Event()

        def done(durable: bool, number: int = number, written: threading.Event = written) -> None:
            if durable:
                say(f"durable {number}")
            written.set()

        journal.append(Batch(entries=entries(clock, number)), done)
        written.wait(PATIENCE_S)
        pause.wait(ROWS_A_BATCH / per_s)
    say("all")
    while not link.connected or not link.drained:
        pause.wait(0.02)
    say("drained")
    threading.Event().wait()


if __name__ == "__main__":
    main()
