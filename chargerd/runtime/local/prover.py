"""Serves `prove`: drives the course of a wiring proof through the running station, and tells whoever asked for it.

The connection that has begun a proof keeps it: when it closes, as after Ctrl-C, what is closed is opened and the
ports are let go. What was seen by then is on the disk, and gone on with next time. There is one thread while there
is a proof; it holds no lock while it calls anybody.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ulid import ULID

from chargerd import log
from chargerd.config.site import Site
from chargerd.contract.ledger import Json
from chargerd.control.server import Responder
from chargerd.core.clock import Clock
from chargerd.core.events import DeadManTested, ProofSuspected
from chargerd.core.facts import Fact
from chargerd.core.proof import Evidence, Finding, Verdicts, of_lease, proved
from chargerd.core.proof_course import Answer, Course, Doing, News, Question
from chargerd.core.proof_watch import Sight
from chargerd.core.units import BoardId, PortId, SessionId, Watts
from chargerd.runtime.engine import Engine
from chargerd.runtime.local.proof_report import finding_of, report
from chargerd.runtime.local.proofs_kept import Kept, ProofFile

Fields = Mapping[str, Json]
TURN = 0.25
"""Seconds between two looks: a meter is read a few times a second at most."""


class Prover:
    """The methods `prove`, `prove-answer` and `prove-report`. Never blocks."""

    def __init__(
        self,
        *,
        site: Callable[[], Site],
        engine: Engine,
        clock: Clock,
        path: Path,
        listen: Callable[[Callable[[tuple[Fact, ...]], None] | None], None],
        shown: Callable[[Mapping[BoardId, bool]], None],
    ) -> None:
        """`path` is where proofs are kept, `listen` hands facts on, `shown` is told what boards have shown."""
        self._site = site
        self._engine = engine
        self._clock = clock
        self._file = ProofFile(path)
        self._listen = listen
        self._shown = shown
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._busy = False
        self.methods: Mapping[str, Callable[[Fields, Responder], None]] = {
            "prove": self._prove,
            "prove-answer": self._answer,
            "prove-report": self._report,
        }

    @property
    def busy(self) -> bool:
        """Whether a proof goes on."""
        return self._busy

    def _prove(self, params: Fields, respond: Responder) -> None:
        names = params.get("ports")
        known = tuple(port.id for port in self._site().plan.ports)
        ports = tuple(PortId(str(name)) for name in names) if isinstance(names, list) else known
        unknown = [port for port in ports if port not in known]
        if unknown:
            respond.fail("unknown_port", f"there is no port {unknown[0]!r}", f"the ports are {', '.join(known)}")
            return
        with self._lock:
            if self._busy:
                respond.fail(
                    "busy", "another proof is under way", "end it where it was begun, or wait until it is over"
                )
                return
            self._busy = True
        chosen = tuple(dict.fromkeys(ports))
        threading.Thread(target=self._run, args=(params, chosen, respond), name="prover", daemon=True).start()

    def _run(self, params: Fields, ports: tuple[PortId, ...], respond: Responder) -> None:
        """Go through one proof, in a thread of its own: what is kept of it lies on a disk."""
        try:
            kept = self._begin(params, ports, respond)
            if not self._file.save(kept):
                respond.fail("store_unavailable", "the proof cannot be kept", "look at the disk: df -h, dmesg")
                return
            asks = params.get("asks") is not False
            running = _Running(self._site(), self._engine, self._clock, self._file, kept, respond, asks=asks)
            self._running = running
            self._listen(running.take_in)
            try:
                running.run()
            except Exception:  # Whatever it was, the relay it has closed comes first; it is told below.
                running.give_up()
                raise
            finally:
                self._shown(running.kept.boards)
        except Exception as error:
            log.exception("proof_failed")
            respond.fail("failed", f"the proof has failed: {error}", "see: journalctl -u chargerd")
        finally:
            self._listen(None)
            self._running, self._busy = None, False

    def _begin(self, params: Fields, ports: tuple[PortId, ...], respond: Responder) -> Kept:
        """Return a new proof, or the one that was broken off, as it is to go on."""
        load = params.get("load_w")
        new = Kept(
            proof=f"proof-{ULID()}",
            digest=self._site().digest,
            ports=ports,
            load=Watts(float(load)) if isinstance(load, int | float) else None,
            moving=params.get("each") is not True,
            by=str(params.get("by") or f"uid {respond.peer.uid}"),
            uid=respond.peer.uid,
            began_ms=self._clock.moment().wall_ms,
        )
        old = self._file.load()
        if old is None:
            return new
        if old.digest != new.digest:
            return replace(new, boards={board: holds for board, holds in old.boards.items() if not holds})
        provoked = old.evidence.provoked
        same = (old.ports, old.load, old.moving) == (new.ports, new.load, new.moving)
        if not same or params.get("anew") is True or old.whole:
            # What it has provoked it may still clear, once it has proved better.
            return replace(new, evidence=Evidence(provoked=provoked), boards=old.boards)
        return replace(old, by=new.by, uid=new.uid)

    def _answer(self, params: Fields, respond: Responder) -> None:
        running = self._running
        if running is None or running.kept.proof != params.get("proof"):
            respond.fail("unknown_session", "this proof is not under way", "begin it: chargerctl prove")
        elif running.answer(Answer(str(params["answer"]))):
            respond.send({"ok": True})
        else:
            respond.fail("not_allowed", "nothing is asked that this answers", "wait for the next question")

    def _report(self, _params: Fields, respond: Responder) -> None:
        threading.Thread(target=self._tell_report, args=(respond,), name="proof report", daemon=True).start()

    def _tell_report(self, respond: Responder) -> None:
        kept, site = self._file.load(), self._site()
        if kept is None:
            respond.fail("not_allowed", "nothing was proved yet", "begin with: chargerctl prove")
        elif kept.digest != site.digest:
            hint = "prove this one: chargerctl prove"
            respond.fail("not_allowed", "the proof is of another configuration", hint)
        else:
            respond.send(report(site, kept, self._clock.moment()))


class _Running:
    """One proof while it is under way."""

    def __init__(
        self,
        site: Site,
        engine: Engine,
        clock: Clock,
        file: ProofFile,
        kept: Kept,
        respond: Responder,
        *,
        asks: bool,
    ) -> None:
        self._site = site
        self._engine = engine
        self._clock = clock
        self._file = file
        self._respond = respond
        self.kept = kept
        self._facts: list[Fact] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._asked: Question | None = None
        self._course = Course(
            site.plan,
            proof=kept.proof,
            ports=kept.ports,
            new_session=lambda: SessionId(f"{kept.proof}-{ULID()}"),
            load=kept.load,
            moving=kept.moving,
            asks=asks,
            evidence=kept.evidence,
        )

    def run(self) -> None:
        """Begin, or go on, until the end; whoever has gone by then has broken it off."""
        evidence = self.kept.evidence
        ports: list[Json] = [*self.kept.ports]
        done: list[Json] = [port for port in self.kept.ports if evidence.own(port) is not None]
        self._send({"proof": self.kept.proof, "ports": ports, "load_w": self.kept.load, "done": done})
        while not self._course.done:
            self._turn()
            self._wake.wait(TURN)
            self._wake.clear()
        self._end()

    def give_up(self) -> None:
        """Open what is closed, latch what is exchanged, and let the ports go: nobody looks any more."""
        events = self._course.abandon()
        if self.kept.crossed:
            events.append(ProofSuspected(ports=self.kept.crossed))
        for event in events:
            self._engine.dispatch(event)

    def take_in(self, facts: tuple[Fact, ...]) -> None:
        """Queue facts for the next look, and look at once."""
        with self._lock:
            self._facts += facts
        self._wake.set()

    def answer(self, answer: Answer) -> bool:
        """Take an answer; say whether it is one to what is asked."""
        taken = self._course.answer(answer)
        if taken:
            self._wake.set()
        return taken

    def _turn(self) -> None:
        if self._respond.closed:
            self._course.leave()
        views = {view.id: view for view in self._engine.views()}
        now = self._clock.moment()
        with self._lock:
            # After the views: an end that they show must have been told.
            facts, self._facts = tuple(self._facts), []
        events = self._course.turn(Sight(now=now, views=views, circuits=self._engine.circuit_views(), facts=facts))
        if self._course.has_changed:
            self._course.has_changed = False
            self._keep(settled=False)
        for event in events:
            self._engine.dispatch(event)
        self._tell()

    def _keep(self, *, settled: bool) -> None:
        """Keep what was seen, before anything is done that follows from it."""
        evidence = self._course.evidence
        verdicts = Verdicts(self._site.plan, evidence, self.kept.load)
        boards = dict(self.kept.boards)
        for board in verdicts.leased(self.kept.ports):
            shown = proved(evidence.lease(board))
            if shown is not None:
                boards[board] = shown
        crossed = verdicts.crossed(self.kept.ports)
        self.kept = replace(self.kept, evidence=evidence, boards=boards, crossed=crossed, settled=settled)
        if not self._file.save(self.kept):
            self._course.leave()  # What cannot be kept must not be cleared by what comes next.

    def _tell(self) -> None:
        for news in self._course.news:
            self._send({**_plain(news), "findings": self._found(news)})
        self._course.news.clear()
        question = self._course.question
        if question != self._asked:
            self._asked = question
            if question is not None:
                answers: list[Json] = [*sorted(answer.value for answer in question.answers)]
                self._send({"ask": question.ask.value, "port": question.port, "answers": answers})

    def _found(self, news: News) -> list[Json]:
        """Return what was found wrong with what the news are about, as far as it is known."""
        evidence = self._course.evidence
        found: list[Finding] = []
        if news.doing is Doing.PORT:
            found = Verdicts(self._site.plan, evidence, self.kept.load).of_port(news.port)
        elif news.doing is Doing.BOARD and evidence.leases:
            found = of_lease(evidence.leases[-1])
        return [finding_of(one) for one in found]

    def _end(self) -> None:
        if self._course.refused:
            ports = ", ".join(f"{port} ({code.value})" for port, code in self._course.refused.items())
            self._respond.fail(
                "busy", f"a session or another proof is under way: {ports}", "wait, or name --ports"
            )
            return
        evidence = self._course.evidence
        whole = all(evidence.own(port) is not None for port in self.kept.ports)
        self.kept = replace(self.kept, whole=whole, ended_ms=self._clock.moment().wall_ms if whole else None)
        self._keep(settled=True)
        for board, holds in self.kept.boards.items():
            if evidence.lease(board) is not None:  # Of others nothing new is known.
                self._engine.dispatch(DeadManTested(board=board, holds=holds))
        self._respond.send({"report": report(self._site, self.kept, self._clock.moment())})

    def _send(self, what: dict[str, Json]) -> None:
        self._respond.send(what, more=True)


def _plain(news: News) -> dict[str, Json]:
    """Return news as the socket tells them."""
    return {
        "doing": news.doing.value,
        "port": news.port,
        "board": news.board,
        "result": None if news.result is None else news.result.value,
        "power_w": news.power,
    }
