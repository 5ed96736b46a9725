"""Serves `doctor`: looks at everything around the decisions that can be wrong, and says what to do about it.

Looking takes files and certificates, so it is done in a thread of its own; nobody waits for it but whoever has
asked. What takes long, as reading the configuration again, is left to them.
"""

import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path

from chargerd import log
from chargerd.config.devices import this_user
from chargerd.config.problems import Problem
from chargerd.config.site import Site
from chargerd.contract.ledger import Json
from chargerd.control.server import Responder
from chargerd.core.clock import Clock
from chargerd.core.units import BoardId
from chargerd.runtime.local.examine import Check, fault, of_machine, of_watchdog, ok, warning
from chargerd.runtime.local.examine_site import of_certificates, of_file, of_refusal, of_site
from chargerd.runtime.process.sd_notify import watchdog_interval
from chargerd.runtime.reporting.health import Watched

Fields = Mapping[str, Json]
LOOK_AT_LINE = "look at its supply and its plug: chargerctl boards; chargerctl scan {line}"


class Doctor:
    """Looks around. Never blocks."""

    def __init__(
        self,
        *,
        site: Site,
        configuration: Path | None,
        folder: Path,
        clock: Clock,
        buses: Callable[[], Sequence[Watched]],
        link: Callable[[], Fields | None],
        why_no_journal: Callable[[], str | None],
        why_no_metrics: Callable[[], str | None] = lambda: None,
        proved: Callable[[], Container[BoardId]] = tuple,
    ) -> None:
        """`configuration`: the file the site was read from, if it was; `folder`: where the journal lies."""
        self._site = site
        self._configuration = configuration
        self._folder = folder
        self._clock = clock
        self._buses = buses
        self._link = link
        self._why_no_journal = why_no_journal
        self._why_no_metrics = why_no_metrics
        self._proved = proved

    def serve(self, respond: Responder, refused: Problem | None = None) -> None:
        """Look at everything, and tell; `refused`: why the newest file is not what runs."""
        threading.Thread(target=self._look, args=(respond, refused), name="doctor", daemon=True).start()

    def tell(self, deliver: Callable[[Sequence[Json]], None]) -> None:
        """Look at everything, and deliver what was seen."""
        threading.Thread(target=self._deliver, args=(deliver,), name="doctor", daemon=True).start()

    def _deliver(self, deliver: Callable[[Sequence[Json]], None]) -> None:
        try:
            checks = list(self.checks())
        except Exception as error:
            log.exception("doctor_failed")
            what = f"it could not look at everything: {error}"
            checks = [fault("doctor", what, "see: journalctl -u chargerd")]
        deliver([as_plain(check) for check in checks])

    def _look(self, respond: Responder, refused: Problem | None = None) -> None:
        try:
            checks = list(self.checks())
        except Exception as error:
            log.exception("doctor_failed")
            respond.fail("failed", f"it could not look at everything: {error}", "see: journalctl -u chargerd")
            return
        place = None if self._configuration is None else str(self._configuration)
        why: Json = None if refused is None else as_plain(of_refusal(refused))
        used: dict[str, Json] = {"path": place, "digest": self._site.digest, "refused": why}
        told: list[Json] = [as_plain(check) for check in checks]
        respond.send({"user": this_user().name, "configuration": used, "checks": told})

    def checks(self) -> Iterator[Check]:
        """Look at everything."""
        moment = self._clock.moment()
        yield from of_machine(self._folder, moment.clock)
        yield from of_watchdog(watchdog_interval())
        yield self._journal()
        yield from self._lines()
        yield from of_site(self._site, this_user(), self._proved())
        yield from self._broker()
        yield from self._metrics()
        if self._site.mqtt is not None and self._site.mqtt.tls is not None and moment.wall_ms is not None:
            yield from of_certificates(self._site.mqtt, moment.wall_ms)
        file = None if self._configuration is None else of_file(self._configuration, this_user())
        if file is not None:
            yield file

    def _journal(self) -> Check:
        why_not = self._why_no_journal()
        if why_not is None:
            return ok("journal", "it takes what is written")
        return fault(
            "journal", f"it takes nothing: {why_not}", "no relay closes: look at the disk, dmesg and df -h"
        )

    def _metrics(self) -> Iterator[Check]:
        metrics = self._site.metrics
        if metrics is None:
            return
        where, why_not = f"{metrics.address}:{metrics.port}", self._why_no_metrics()
        if why_not is None:
            yield ok("metrics", f"they are served at {where}")
            return
        then = "free the port, or name an address that this gateway has: metrics.address; it is tried each 10 s"
        yield warning("metrics", f"nobody can listen at {where}: {why_not}", then)

    def _lines(self) -> Iterator[Check]:
        for bus in self._buses():
            about, lost, unprepared = f"line {bus.name}", bus.lost_boards(), bus.unprepared_boards()
            then = LOOK_AT_LINE.format(line=bus.name)
            if not bus.connected:
                yield fault(about, "it is not there", "see why: chargerctl boards")
                continue
            for board in lost:
                yield fault(f"board {board}", f"it does not answer on {bus.name}", then)
            for board in unprepared:
                if board not in lost:
                    what = "it has not taken its settings, and counts as having no dead-man"
                    yield fault(f"board {board}", what, "compare its firmware with its profile")
            if not lost:
                yield ok(about, "every board answers")

    def _broker(self) -> Iterator[Check]:
        state = self._link()
        if state is None:
            yield ok("broker", "none is configured: the gateway works by itself")
            return
        if not state["connected"]:
            reason = state["reason"]
            told = reason if isinstance(reason, dict) else {"what": "no connection yet", "then": "wait a moment"}
            said = f" ({told['said']})" if told.get("said") else ""
            what = f"{told['what']}{said}, for {float(str(state['since_s'])):.0f} s"
            yield fault("broker", what, str(told["then"]))
            return
        yield ok("broker", f"connected for {float(str(state['since_s'])):.0f} s")
        shortfalls = state["shortfalls"]
        for one in shortfalls if isinstance(shortfalls, list) else []:
            if isinstance(one, dict):
                yield warning("broker", str(one["what"]), str(one["then"]))


def as_plain(check: Check) -> dict[str, Json]:
    """Return a look as the socket tells it."""
    return {"about": check.about, "verdict": check.verdict.value, "what": check.what, "then": check.then}
