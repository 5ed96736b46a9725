"""The daemon on another one's journal: what was open in it is settled, by the first start that lives to do it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from chargerd.config.loader import load_text
from chargerd.config.site import Site
from chargerd.contract.ledger import Batch, Owner
from chargerd.core.clock import Clock
from chargerd.core.events import BusEvent
from chargerd.core.units import WattHours
from chargerd.daemon import Daemon
from chargerd.runtime.process.clock import SystemClock
from chargerd.runtime.process.host import Host
from chargerd.sim.world import World
from chargerd.store.place import Upkeep
from tests.runtime.test_giving_up import SITE, TalkingBus
from tests.store.kit import open_journal, record


def daemon_of(folder: Path) -> Daemon:
    """Return a daemon on a machine the journal does not know."""
    site = load_text(SITE, "test")

    def make_buses(
        site: Site, *, clock: Clock, emit: Callable[[BusEvent], None], on_crash: object
    ) -> tuple[TalkingBus]:
        del on_crash
        return (TalkingBus(site, World(site, seed=1), clock=clock, emit=emit),)

    host = Host(clock=SystemClock(), boot_id="boot-b", machine="two")
    return Daemon(
        site,
        state_dir=folder / "state",
        runtime_dir=folder / "run",
        make_buses=make_buses,
        upkeep=Upkeep(),
        host=host,
    )


def test_a_session_of_another_machine_is_settled_though_the_first_start_there_did_not_live_to_do_it(
    tmp_path: Path,
) -> None:
    path, owner = tmp_path / "state" / "journal.db", Owner(gateway="shed", machine="two")
    written = open_journal(path, owner=replace(owner, machine="one"))
    now = SystemClock().moment()
    going_on = replace(record(energy=5.0), at=now, started=now, charged=True, meter_start=WattHours(1.0))
    assert written.write(Batch(sessions=(going_on,)))
    written.close()
    open_journal(path, owner=owner).close()
    daemon = daemon_of(tmp_path)
    daemon.start()
    assert daemon.stop() == 0
    third = open_journal(path, owner=owner)
    assert third.journal.recovery.moved is None
    assert third.journal.recovery.sessions == ()
    ends = [row.body for row in third.rows() if row.body.get("event") == "ended"]
    assert [(one["session_id"], one["stop_reason"]) for one in ends] == [("s1", "power_loss")]
    third.close()
