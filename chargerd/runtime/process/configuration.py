"""The configuration that the daemon goes by: which one it is, why no newer one, and which is kept for bad days.

A configuration counts as having started well once the daemon has worked with it for ten seconds, has read back
every relay that it names, and has reached its broker. What is not its fault is not held against it: a board, or a
broker, that the kept one describes just the same. Where nothing is kept yet, one relay that was read back will do.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from chargerd import __version__, log
from chargerd.config.choosing import Chosen
from chargerd.config.kept import KEPT_FILE, Kept, KeptError, check_kept, with_lowered, write_kept
from chargerd.config.loader import Checked, Files, read
from chargerd.config.problems import ConfigurationError, Problem
from chargerd.config.site import Site
from chargerd.contract.ledger import Json
from chargerd.contract.payloads import EventBody, Severity
from chargerd.core.clock import Clock
from chargerd.core.plan import Limits
from chargerd.core.units import BoardId, Instant, PortId, Seconds, after, between
from chargerd.core.view import CircuitView, PortView
from chargerd.modbus.emergency import RELAYS_FILE
from chargerd.modbus.relay_list import write_relays_file

WORKED_FOR: Final = Seconds(10.0)
NOBODY_FOR: Final = Seconds(30.0)
"""For so long nobody has to have used the site before it begins anew for what waits: who scans next is not met."""
LOOK_EVERY: Final = 2.0
"""Seconds between two looks at whether it has started well."""
FILE, KEPT = "file", "kept"
REFUSED: Final = "configuration_refused"


@dataclass(slots=True, kw_only=True)
class Running:
    """What runs. Whoever changes it holds the lock of `Configuration`."""

    checked: Checked
    """As it was started with, or as it was last taken on as a whole."""
    site: Site
    """What holds: that, with what was applied of a later file."""
    refused: tuple[Problem, ...]
    lowered: Mapping[PortId, Limits] = field(default_factory=dict)
    """What a later file has lowered, of which the rest waits for a restart."""
    waiting: tuple[str, ...] = ()
    """What of the file as it was read last waits for a restart."""
    seen: Files | None = None
    """The file as it was read last, if not all of it holds."""


class Configuration:
    """Knows what runs, and keeps it once it has started well. Safe to use from any thread."""

    def __init__(self, chosen: Chosen, path: Path, state_dir: Path, clock: Clock) -> None:
        self.path = path
        self._state_dir = state_dir
        self._clock = clock
        self._began = clock.now()
        self._lock = threading.RLock()
        self._kept = chosen.kept
        lowered = chosen.kept.lowered if chosen.refused and chosen.kept is not None else {}
        seen = _files(path) if chosen.refused else None
        self._running = Running(
            checked=chosen.checked, site=chosen.site, refused=chosen.refused, lowered=lowered, seen=seen
        )
        self._from_kept = bool(chosen.refused)
        self._kept_well = self._from_kept
        self._kept_lowered = False
        """Whether what is kept allows no more than what runs."""
        self._unused_from: Instant | None = None
        self._trouble = ""
        self._stopped = threading.Event()

    # What runs

    @property
    def running(self) -> Running:
        """What runs now; not to be changed."""
        with self._lock:
            return replace(self._running)

    @property
    def refusal(self) -> Problem | None:
        """The first reason why the file is not what runs; `None` if it is, or was never looked at since."""
        with self._lock:
            return self._running.refused[0] if self._running.refused else None

    def status(self) -> dict[str, Json]:
        """Return what `chargerctl status` tells of it."""
        running = self.running
        problems: list[Json] = [as_plain(problem) for problem in running.refused]
        with self._lock:
            kept, source = self._kept, KEPT if self._from_kept else FILE
        told: Json = None
        if kept is not None:
            told = {"digest": kept.digest, "version": kept.version, "wall_ms": kept.wall_ms}
        return {
            "path": str(self.path),
            "digest": running.checked.site.digest,
            "from": source,
            "file": self._file_is(running),
            "waiting": list(running.waiting),
            "refused": problems,
            "kept": told,
        }

    def _file_is(self, running: Running) -> str:
        """Say how the file stands to what runs: `same`, `differs`, `waits` for a restart, or `refused`."""
        try:
            files = read(self.path)
        except ConfigurationError:
            return "refused"
        if files == running.checked.files and not self._from_kept:
            return "same"
        if files == running.seen:
            return "refused" if running.refused else "waits"
        return "differs"

    def remark(self) -> str:
        """Return what `systemctl status` is to show beside ports and buses; empty if the file is what runs."""
        with self._lock:
            running, from_kept = self._running, self._from_kept
        if running.refused:
            runs = "the one that last started well" if from_kept else "the one before"
            return f"; REFUSED {running.refused[0]}; {runs} runs on"
        if running.waiting:
            count = len(running.waiting)
            what = (
                "1 change of the configuration waits"
                if count == 1
                else f"{count} changes of the configuration wait"
            )
            return f"; {what} for a restart"
        return ""

    # What waits for a restart

    def may_begin_anew(self, unused: Callable[[], bool]) -> bool:
        """Say whether what waits can have its restart without anybody noticing; `unused`: nobody uses the site.

        Only what was read by a reload is applied so: a file that was written since may not be finished.
        """
        with self._lock:
            waits = bool(self._running.waiting)
        now = self._clock.now()
        if not (waits and unused()):
            self._unused_from = None
            return False
        if self._unused_from is None:
            self._unused_from = now
        return now >= after(self._unused_from, NOBODY_FOR) and self._file_is(self.running) == "waits"

    # A file that was read anew

    def refuse(self, problems: Sequence[Problem]) -> None:
        """Remember why the file as it is now is not used."""
        with self._lock:
            self._running = replace(self._running, refused=tuple(problems), seen=_files(self.path), waiting=())

    def take_on(self, checked: Checked, site: Site, waiting: Sequence[str]) -> None:
        """Go by a file as far as nothing of it is `waiting` for a restart; `site` is what holds now."""
        with self._lock:
            running = self._running
            if waiting:
                lowered = _lowered(running.checked.site, site)
                self._running = replace(
                    running, site=site, lowered=lowered, waiting=tuple(waiting), seen=checked.files, refused=()
                )
            else:
                self._running = Running(checked=checked, site=site, refused=())
                self._from_kept = False
            well = self._kept_well
        if well:
            self.keep()
        else:
            self._lower_kept()

    # Keeping it

    def watch(self, look: Callable[[], tuple[Sequence[PortView], Sequence[CircuitView], bool]]) -> None:
        """Keep it once it has started well; `look` tells ports, circuits, and whether the broker is reached."""
        threading.Thread(target=self._watch, args=(look,), name="keeping", daemon=True).start()

    def stop(self) -> None:
        """Keep nothing any more."""
        self._stopped.set()

    def _watch(self, look: Callable[[], tuple[Sequence[PortView], Sequence[CircuitView], bool]]) -> None:
        try:
            while not self._stopped.wait(LOOK_EVERY):
                if self.look(*look()):
                    return
        except Exception:  # Nobody charges by what is kept: a mistake in here opens no relay.
            log.exception("configuration_not_kept")

    def look(self, ports: Sequence[PortView], circuits: Sequence[CircuitView], connected: bool) -> bool:
        """Keep it if it has started well; say whether that is done."""
        with self._lock:
            well = self._kept_well
        if well or (self.has_started_well(ports, circuits, connected) and self.keep()):
            return True
        if not self._kept_lowered and between(self._began, self._clock.now()) >= WORKED_FOR:
            self._lower_kept()
        return False

    def _lower_kept(self) -> None:
        """Have the kept one, which would stand in for it, allow no more than what runs: that may take long."""
        with self._lock:
            kept, running = self._kept, self._running
            if kept is None:
                return
            self._kept_lowered = True
            try:
                before = check_kept(kept).site
                limits = {port.id: port.limits for port in running.site.plan.ports}
                lowered = _lowered(before, with_lowered(with_lowered(before, kept.lowered), limits))
                if lowered != kept.lowered:
                    self._kept = replace(kept, lowered=lowered)
                    write_kept(self._state_dir / KEPT_FILE, self._kept)
            except KeptError:
                pass  # It stands in for nothing.
            except OSError as error:
                self._kept, self._kept_lowered = kept, False
                self._tell_trouble(str(error))

    def has_started_well(
        self, ports: Sequence[PortView], circuits: Sequence[CircuitView], connected: bool
    ) -> bool:
        """Say whether the configuration that runs has shown that a site can be run with it."""
        if between(self._began, self._clock.now()) < WORKED_FOR:
            return False
        site = self.running.site
        unread = _unread(site, ports, circuits)
        unreached = site.mqtt is not None and not connected
        if not unread and not unreached:
            return True
        before = self._site_kept()
        if before is None:
            return any(port.relay_closed is not None for port in ports)
        to_blame = {board for board in unread if _place_of(site, board) != _place_of(before, board)}
        return not to_blame and not (unreached and site.mqtt != before.mqtt)

    def _site_kept(self) -> Site | None:
        with self._lock:
            kept, same = self._kept, self._kept is not None and self._kept.files == self._running.checked.files
            if same:
                return self._running.checked.site
        try:
            return None if kept is None else check_kept(kept).site
        except KeptError:
            return None

    def keep(self) -> bool:
        """Keep what runs; say whether that is done, or a later look has to try again."""
        with self._lock:
            running = self._running
            kept = Kept(
                files=running.checked.files,
                digest=running.checked.site.digest,
                version=__version__,
                wall_ms=self._clock.moment().wall_ms,
                lowered=running.lowered,
            )
            known = self._kept
            if known is None or replace(known, version=kept.version, wall_ms=kept.wall_ms) != kept:
                try:
                    write_kept(self._state_dir / KEPT_FILE, kept)
                except OSError as error:
                    self._tell_trouble(str(error))
                    return False
                self._kept = kept
                log.info("configuration_kept", digest=kept.digest)
            self._kept_well = True
        try:
            # What the one before had wired and this one has not was open by now, or is nobody's any more.
            write_relays_file(running.site, self._state_dir / RELAYS_FILE)
        except OSError as error:
            self._tell_trouble(str(error))
        return True

    def _tell_trouble(self, why: str) -> None:
        if why != self._trouble:
            self._trouble = why
            log.warning("configuration_not_kept", why=why)


def refused(why: Problem, digest: str) -> EventBody:
    """Return the event of a file that is not used: its place and the reason; `digest` is what runs instead."""
    return EventBody(event=REFUSED, severity=Severity.ALARM, reason=str(why), configuration=digest)


def as_plain(problem: Problem) -> dict[str, Json]:
    """Return a problem as the socket tells it."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "what": problem.what,
        "hint": problem.hint,
    }


def _lowered(before: Site, now: Site) -> dict[PortId, Limits]:
    """Return the limits that are other ones now; both have the same ports."""
    ports = zip(before.plan.ports, now.plan.ports, strict=True)
    return {port.id: port.limits for old, port in ports if old.limits != port.limits}


def _files(path: Path) -> Files | None:
    try:
        return read(path)
    except ConfigurationError:
        return None


def _unread(site: Site, ports: Sequence[PortView], circuits: Sequence[CircuitView]) -> set[BoardId]:
    """Return the boards of relays whose state nobody has read back."""
    relays = {port.id: port.relay.board for port in site.ports}
    unread = {relays[view.id] for view in ports if view.relay_closed is None}
    switched = {plan.id: plan.contactor.board for plan in site.plan.circuits if plan.contactor is not None}
    return unread | {
        switched[view.id] for view in circuits if view.contactor_closed is None and view.id in switched
    }


def _place_of(site: Site, name: BoardId) -> object:
    """Return where a board is, and what it speaks; `None` if there is none of this name."""
    board = site.boards.get(name)
    return None if board is None else (site.buses[board.bus], board.address, board.profile)
