"""Reads the configuration anew while ports charge: applies what can be, names the rest, or changes nothing.

The whole file is checked first, with everything that a start would check. Then what may hold at once does so in
one turn of the station. What is wired, protected or spoken to otherwise waits for a restart, which suspends what
charges: buses, boards and circuits are made once, and whatever is proved of them is proved of a station that was
begun with them.

A file of which anything waits is not taken on in halves: limits that it raises wait with the rest, since they may
have been meant for the wiring that it describes. Only what it lowers holds at once; that is safe with any wiring.

It is done in a thread of its own: nobody waits for it but whoever has asked.
"""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from chargerd import log
from chargerd.config.applies import Applies
from chargerd.config.choosing import read_and_check, unreadable_files
from chargerd.config.credentials import HANDED
from chargerd.config.differences import Difference, differences
from chargerd.config.kept import with_lowered
from chargerd.config.loader import Checked
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.site import Site
from chargerd.contract.ledger import Json
from chargerd.contract.payloads import EventBody, Severity
from chargerd.control.server import Responder
from chargerd.core.events import Configured, Event
from chargerd.core.session import Source
from chargerd.core.units import PortId
from chargerd.core.view import PortView
from chargerd.runtime.process import sd_notify
from chargerd.runtime.process.configuration import Configuration, as_plain, refused

RELOADED: Final = "configuration_reloaded"
ABOUT_S: Final = 10
"""How long a restart suspends what charges, in seconds: opening, starting, and the start sequence of each port."""
MOST_TOLD: Final = 5
"""Changes that are named in a row of the ledger; the answer has all of them."""


class Station(Protocol):
    """What is needed of the engine."""

    def dispatch(self, event: Event) -> None:
        """Have an event handled."""

    def views(self) -> Sequence[PortView]:
        """Return snapshots of all ports."""


class Reloading:
    """Serves `reload` and `compare`. Never blocks."""

    def __init__(
        self,
        *,
        configuration: Configuration,
        engine: Station,
        adopt: Callable[[Site], None],
        audit: Callable[[EventBody], None],
        notify: Callable[[bool], None],
        restart: Callable[[], None],
    ) -> None:
        """`adopt` takes what holds now; `notify` is told when a reload begins (`True`) and when it is over.

        `restart` has the daemon leave in order; systemd begins it anew.
        """
        self._configuration = configuration
        self._engine = engine
        self._adopt = adopt
        self._audit = audit
        self._notify = notify
        self._restart = restart
        self._one_at_a_time = threading.Lock()

    def begin(
        self, respond: Responder | None, *, restart: bool = False, only_look: bool = False
    ) -> threading.Thread:
        """Begin, and return the thread that does it.

        `respond` is told what came of it; without one, as after SIGHUP, it is in the log and the ledger.
        `restart`: leave if something waits for that. `only_look`: say what would come of it.
        """

        def work() -> None:
            try:
                with self._one_at_a_time:
                    told = self._compare() if only_look else self._reload(restart=restart)
            except Exception as error:
                # A mistake of the program's own: nothing is applied before everything was understood.
                log.exception("reload_failed")
                if respond is not None:
                    respond.fail("failed", f"it could not be done: {error}", "see: journalctl -u chargerd")
                return
            if respond is not None:
                respond.send(told)
            if told["result"] == "restarting":
                self._restart()

        thread = threading.Thread(target=work, name="reload", daemon=True)
        thread.start()
        return thread

    # Looking

    def _compare(self) -> dict[str, Json]:
        """Return what a reload would do."""
        try:
            found = self._read()[1]
        except ConfigurationError as error:
            return self._told("refused", problems=error.problems)
        waits = any(one.applies is Applies.RESTART for one in found)
        return self._told("waits" if waits else "applies" if found else "unchanged", found)

    def _read(self) -> tuple[Checked, tuple[Difference, ...]]:
        """Read the file, and compare it with what holds. Raises `ConfigurationError`."""
        running = self._configuration.running
        checked = read_and_check(self._configuration.path)
        if checked.site.mqtt != running.site.mqtt:
            lacks = tuple(unreadable_files(checked, before=os.environ.get(HANDED)))
            if lacks:
                raise ConfigurationError(lacks)
        return checked, in_halves(differences(replace(running.checked, site=running.site), checked))

    # Doing

    def _reload(self, *, restart: bool) -> dict[str, Json]:
        self._notify(True)
        try:
            return self._take_on(restart=restart)
        finally:
            self._notify(False)

    def _take_on(self, *, restart: bool) -> dict[str, Json]:
        try:
            checked, found = self._read()
        except ConfigurationError as error:
            self._configuration.refuse(error.problems)
            self._audit(refused(error.problems[0], self._configuration.running.checked.site.digest))
            return self._told("refused", problems=error.problems)
        waiting = [one for one in found if one.applies is Applies.RESTART]
        site = lowered(self._configuration.running.site, checked.site) if waiting else checked.site
        plan = site.plan
        self._engine.dispatch(
            Configured(limits={port.id: port.limits for port in plan.ports}, queue_for=plan.queue_for)
        )
        self._adopt(site)
        self._configuration.take_on(checked, site, [str(one) for one in waiting])
        self._audit(reloaded(found, self._configuration.running.checked.site.digest))
        result = "unchanged" if not found else "waits" if waiting else "applied"
        if restart and waiting:
            result = "restarting" if sd_notify.is_expected() else "waits"
        return self._told(result, found)

    def _told(
        self, result: str, found: Sequence[Difference] = (), problems: Sequence[Problem] = ()
    ) -> dict[str, Json]:
        running = self._configuration.running
        busy = {view.id for view in self._engine.views() if view.session is not None}
        rows: dict[Applies, list[Json]] = {each: [] for each in Applies}
        for one in found:
            rows[one.applies].append(plain(one, busy))
        wrong: list[Json] = [as_plain(problem) for problem in problems]
        return {
            "result": result,
            "path": str(self._configuration.path),
            "digest": running.checked.site.digest,
            "limits": rows[Applies.LIMITS],
            "next": rows[Applies.NEXT],
            "restart": rows[Applies.RESTART],
            "restart_s": ABOUT_S,
            "sessions": len(busy),
            "problems": wrong,
        }


def lowered(holds: Site, new: Site) -> Site:
    """Return what holds, with the limits that a newer configuration lowers."""
    return with_lowered(holds, {port.id: port.limits for port in new.plan.ports})


def in_halves(found: Sequence[Difference]) -> tuple[Difference, ...]:
    """Return differences as they apply together: with one that waits, all wait but those that lower a limit."""
    if all(one.applies is not Applies.RESTART for one in found):
        return tuple(found)
    return tuple(one if _lowers(one) else replace(one, applies=Applies.RESTART) for one in found)


def _lowers(one: Difference) -> bool:
    if one.applies is not Applies.LIMITS or not isinstance(one.now, int | float):
        return False
    return not isinstance(one.was, int | float) or one.now < one.was


def plain(one: Difference, busy: set[PortId]) -> dict[str, Json]:
    """Return a difference as the socket tells it; `in_use`: those of its ports at which a session goes on."""
    names: list[Json] = list(one.names)
    in_use: list[Json] = [name for name in one.names if one.section == "ports" and name in busy]
    return {
        "what": str(one),
        "section": one.section,
        "names": names,
        "key": one.key,
        "was": _json(one.was),
        "is": _json(one.now),
        "file": one.file,
        "line": one.line,
        "column": one.column,
        "in_use": in_use,
    }


def _json(value: object) -> Json:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return [_json(one) for one in value] if isinstance(value, list) else str(value)


def reloaded(found: Sequence[Difference], digest: str) -> EventBody:
    """Return the event of a file that was read anew."""
    applied = [str(one) for one in found if one.applies is not Applies.RESTART]
    waiting = [str(one) for one in found if one.applies is Applies.RESTART]
    parts = [
        f"{name}: {_some(rows)}" for name, rows in (("applied", applied), ("waits for a restart", waiting)) if rows
    ]
    return EventBody(
        event=RELOADED,
        severity=Severity.INFO,
        source=Source.LOCAL,
        reason="; ".join(parts) or "nothing has changed",
        configuration=digest,
    )


def _some(rows: Sequence[str]) -> str:
    more = len(rows) - MOST_TOLD
    return ", ".join(rows[:MOST_TOLD]) + (f" and {more} more" if more > 0 else "")
