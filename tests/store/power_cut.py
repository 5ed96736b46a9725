"""A journal under load on a recording disk, and the journal that is found after each power cut."""

import json
import multiprocessing
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from chargerd.contract.ledger import Batch, Body, Reply
from chargerd.core.units import CommandId, PortId, SessionId
from chargerd.store import retention, schema
from chargerd.store.codec import SESSION
from chargerd.store.journal import Journal
from chargerd.store.place import Upkeep
from tests.store.kit import HandClock, command, connection_of, entry, latch, open_journal, record
from tests.store.recorder import Connection, Disk, Op, RecordingVfs

LIVES = 3
STEPS = 70
"""Batches or groups of them in one life of the daemon."""
LIMIT_BYTES = 100 * 1024
"""How large the journal may grow in its last life, so that facts make room and gaps take their places."""
SLICE = 5
"""Rows that leave in one transaction."""
FULL = "PRAGMA synchronous = FULL"
NAME = "journal.db"
ENDED = "SELECT json_extract(body, '$.session_id') FROM ledger WHERE settlement = 1"
MEMORY = Path("/dev/shm")


@dataclass(slots=True)
class Books:
    """What the journal was given, and what it has to hold after any number of batches."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    open: dict[str, str] = field(default_factory=dict)
    latches: frozenset[str] = frozenset()
    replied: dict[str, int] = field(default_factory=dict)
    week_over: int = 1_000_000
    states: list[tuple[Any, ...]] = field(default_factory=list)

    def close_page(self) -> int:
        """Note what stands after one more batch; return how many there were."""
        self.states.append(
            (len(self.rows), tuple(sorted(self.open.items())), self.latches, tuple(sorted(self.replied.items())))
        )
        return len(self.states) - 1


@dataclass(slots=True)
class Load:
    """A life of a busy station, one batch after the other."""

    vfs: RecordingVfs
    chance: Random
    books: Books = field(default_factory=Books)
    under_way: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def run(self, path: Path) -> None:
        """Live several lives; the first finds an empty journal."""
        self.books.close_page()
        clock = HandClock()
        for life in range(LIVES):
            upkeep = Upkeep(limit_bytes=LIMIT_BYTES) if life == LIVES - 1 else Upkeep()
            journal = open_journal(path, clock, boot_id=f"boot-{life}", start=False, upkeep=upkeep).journal
            journal.on_appended = lambda seq: self._mark("rows", seq)
            for _ in range(STEPS):
                for _ in range(self.chance.choice((1, 1, 1, 2, 5))):
                    self._step(journal)
                journal.turn()
                clock.advance(self.chance.choice((1.0, 60.0, 700.0)))
            journal.acknowledge(journal.span().stream, len(self.books.rows) - self.chance.randrange(20))
            journal.turn()
            if life == 1:
                self.books.week_over = len(self.books.states) - 1
                clock.advance(8 * 86_400.0)  # The next turn lets go of what was acknowledged.
            if life < LIVES - 1:
                journal.close(10.0)

    def _mark(self, what: str, number: int) -> None:
        self.vfs.note(Op("mark", what, number))

    def _step(self, journal: Journal) -> None:
        self.count += 1
        kinds = ["start", "start", "checkpoint", "end", "end", "latch", "event"]
        batch = getattr(self, f"_{self.chance.choice(kinds)}")()
        for one in batch.entries:
            self.books.rows.append(dict(one.body))
        for one in batch.sessions:
            self.books.open[one.order.session] = SESSION.dump(one)
        for session in batch.ended:
            self.books.open.pop(session, None)
        for one in batch.commands:
            self.books.replied[one.command] = 0
        for reply, final in batch.replies:
            self.books.replied[reply.command] = int(final)
        page = self.books.close_page()
        self.vfs.note(Op("mark", "given", page))
        journal.append(batch, lambda done: self._mark("told", page) if done else self._mark("failed", page))

    def _start(self) -> Batch:
        name = f"s{self.count}"
        self.under_way[name] = 0.0
        return Batch(
            sessions=(record(name),),
            commands=(command(f"c-{name}", session=name),),
            entries=(entry({"event": "started", "session_id": name, "n": self.count}),),
        )

    def _checkpoint(self) -> Batch:
        for name in self.under_way:
            self.under_way[name] += 7.5
        return Batch(sessions=tuple(record(name, energy=wh) for name, wh in self.under_way.items()))

    def _end(self) -> Batch:
        if not self.under_way:
            return self._event()
        name = self.chance.choice(sorted(self.under_way))
        energy = self.under_way.pop(name)
        reply = Reply(command=CommandId(f"c-{name}"), body={"status": "done"})
        body: Body = {"event": "ended", "session_id": name, "energy_wh": int(energy)}
        return Batch(
            ended=(SessionId(name),),
            replies=((reply, True),),
            entries=(entry(body, settlement=True), *self._event().entries),
        )

    def _latch(self) -> Batch:
        port = f"A{self.chance.randrange(4):02}"
        if port in self.books.latches:
            self.books.latches -= {port}
            return Batch(cleared=(PortId(port),))
        self.books.latches |= {port}
        return Batch(latches=(latch(port),), entries=self._event().entries)

    def _event(self) -> Batch:
        return Batch(entries=(entry({"event": "x", "n": self.count, "text": "y" * self.chance.randrange(400)}),))


def recorded(folder: Path, seed: int, synchronous: str) -> tuple[list[Op], Books]:
    """Run the real journal under load on a recording disk; return what was done to it, and the books."""
    vfs = RecordingVfs(f"recording-{seed}-{synchronous}")
    instead = {FULL: f"PRAGMA synchronous = {synchronous}"}
    # A log of 60 pages instead of 1000: more checkpoints, so more places to be cut at.
    often = ("PRAGMA wal_autocheckpoint = 60",)
    with (
        patch.object(schema, "opened", lambda path: Connection(path, vfs, instead, often)),
        patch.object(retention, "SLICE", SLICE),
    ):
        load = Load(vfs, Random(seed))
        load.run(folder / NAME)
    return _from_the_first_start(vfs.ops), load.books


def _from_the_first_start(ops: list[Op]) -> list[Op]:
    # A journal is made under another name, synced and renamed; the log of its making stays under that name.
    made = [op for op in ops if op.file.startswith(f"{NAME}.new")]
    lived = [op for op in ops if not op.file.startswith(f"{NAME}.new")]
    return [Op(op.what, NAME, op.offset, op.data) for op in made if op.file == f"{NAME}.new"] + [
        Op("sync", NAME),
        *lived,
    ]


@dataclass(slots=True)
class Tally:
    """How many cuts were looked into, and what was wrong after them."""

    points: int = 0
    syncs: int = 0
    problems: list[str] = field(default_factory=list)


def cuts(ops: list[Op], points: int, chance: Random) -> Iterator[tuple[int, str]]:
    """Yield where the power is cut: before and after every sync, and at random places as often as is left."""
    begin = next(place for place, op in enumerate(ops) if op.what == "mark")
    syncs = [place for place, op in enumerate(ops) if op.what == "sync" and place >= begin]
    at_syncs = [(place, mode) for place in syncs for mode in ("none", "all", "some")]
    at_syncs += [(place + 1, "some") for place in syncs]
    while len(at_syncs) < points:
        at_syncs.append((chance.randrange(begin, len(ops)), "some"))
    yield from sorted(at_syncs)


def look(seed: int, points: int, synchronous: str, share: int = 0, shares: int = 1) -> Tally:
    """Cut the power at one share of the points, and look what the journal is like when opened again."""
    tally = Tally()
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    try:
        ops, books = recorded(folder / "load", seed, synchronous)
        disk, done, given, told, rows = Disk(), 0, 0, 0, 0
        for number, (place, mode) in enumerate(cuts(ops, points, Random(seed))):
            for op in ops[done:place]:
                disk.take(op)
                if op.what == "mark":
                    given = op.offset if op.file == "given" else given
                    told = op.offset if op.file == "told" else told
                    rows = op.offset if op.file == "rows" else rows
            done = max(done, place)
            tally.syncs += place < len(ops) and ops[place].what == "sync"
            if number % shares != share:
                continue
            chance = Random(f"{seed}-{number}")
            problem = _problem(folder / "found", disk.left(chance, mode), books, (told, given, rows))
            tally.points += 1
            if problem is not None:
                tally.problems.append(f"seed {seed}, cut {number} at {place} ({mode}): {problem}")
    finally:
        shutil.rmtree(folder)
    return tally


def _problem(folder: Path, files: dict[str, bytes], books: Books, known: tuple[int, int, int]) -> str | None:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    try:
        opened = open_journal(folder / NAME, HandClock(), boot_id="after", start=False)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"not opened: {error}"
    with closing(connection_of(opened.journal)):  # No orderly end: the next cut comes.
        try:
            return _compared(opened.journal, books, known)
        except sqlite3.Error as error:
            return f"not readable: {error}"


def _compared(journal: Journal, books: Books, known: tuple[int, int, int]) -> str | None:
    told, given, rows = known
    if journal.recovery.salvaged is not None:
        return "damaged: it had to be salvaged"
    added = "'$.digest', '$.previous_digest', '$.gateway'"  # What the journal adds to a settlement.
    query = f"SELECT seq, json_remove(body, {added}) FROM ledger ORDER BY seq"
    found = list(connection_of(journal).execute(query))
    last = journal.span().last
    if last < rows:
        return f"row {rows} was announced, the last one is {last}"
    first = found[0][0] if found else last + 1
    missing = _missing([(seq, _loaded(text)) for seq, text in found], first, last, books)
    if missing is not None or first > journal.span().acked + 1:
        return missing or "a row has left that nobody had acknowledged"
    state = _state(journal, last)
    matching = [
        page
        for page in range(told, given + 1)
        if _same(books.states[page], state, forgetful=page >= books.week_over)
    ]
    if not matching:
        return f"it holds neither what was told durable (batch {told}) nor anything given since (to {given})"
    return _settled_once(journal, books)


def _missing(found: list[tuple[int, Any]], first: int, last: int, books: Books) -> str | None:
    """Say what is wrong with the rows: each is there once and as it was written, or a gap stands for it."""
    wanted = first
    for seq, row in found:
        if seq != wanted:
            return f"row {wanted} is missing, or there twice"
        wanted = seq + 1
        if row["event"] == "gap":
            wanted = row["to"] + 1
            if row["from"] != seq or any(
                books.rows[place - 1]["event"] == "ended" for place in range(seq, wanted)
            ):
                return f"the gap at {seq} stands for a settlement, or not for itself"
        elif row != books.rows[seq - 1]:
            return f"row {seq} is not what was written"
    return None if wanted == last + 1 else f"row {wanted} is missing"


def _loaded(text: str) -> Any:
    return json.loads(text)


def _state(journal: Journal, last: int) -> tuple[Any, ...]:
    db = connection_of(journal)
    return (
        last,
        tuple(
            sorted(
                (str(session), str(text)) for session, text in db.execute("SELECT session, record FROM sessions")
            )
        ),
        frozenset(str(one.port) for one in journal.recovery.latches),
        tuple(
            sorted((str(name), int(final)) for name, final in db.execute("SELECT command, final FROM commands"))
        ),
    )


def _same(expected: tuple[Any, ...], found: tuple[Any, ...], *, forgetful: bool) -> bool:
    # Once a week has passed, commands may be gone; nothing else may.
    commands, left = set(expected[3]), set(found[3])
    return expected[:3] == found[:3] and (left == commands or (forgetful and left < commands))


def _settled_once(journal: Journal, books: Books) -> str | None:
    begun = [row["session_id"] for row in books.rows[: journal.span().last] if row["event"] == "started"]
    for one in journal.recovery.sessions:
        body: Body = {"event": "ended", "session_id": one.order.session, "energy_wh": int(one.energy)}
        journal.append(Batch(ended=(one.order.session,), entries=(entry(body, settlement=True),)))
    journal.turn()
    db = connection_of(journal)
    ended = [session for (session,) in db.execute(ENDED)]
    first = journal.span().first
    left = {row["session_id"] for row in books.rows[: first - 1] if row["event"] == "ended"}
    if sorted([*ended, *left]) != sorted(begun):
        return "a session is not settled exactly once"
    problems = journal.verify_settlements()
    return problems[0] if problems else None


def campaign(points: int, seed: int, part: int = 0, parts: int = 1, workers: int = 2) -> Tally:
    """Look at one part of so many points in several processes; the last point of each process counts."""
    jobs = [(seed, points, "FULL", part + parts * worker, parts * workers) for worker in range(workers)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        tallies = pool.starmap(look, jobs)
    return Tally(
        points=sum(one.points for one in tallies),
        syncs=tallies[0].syncs,
        problems=[problem for one in tallies for problem in one.problems],
    )
