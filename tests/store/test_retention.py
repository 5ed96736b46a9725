from collections.abc import Callable

import pytest

from chargerd.contract.ledger import Batch, Reply
from chargerd.core.units import CommandId, SessionId
from chargerd.store import retention, schema
from chargerd.store.place import Upkeep
from tests.store.kit import NOON_MS, HandClock, Opened, command, connection_of, entry, got, record

Open = Callable[..., Opened]
HOUR_S = 3600.0
DAY_S = 86_400.0


def pass_days(opened: Opened, days: float) -> None:
    opened.settle()  # So that the time is looked at before it goes on.
    opened.clock.advance(days * DAY_S)
    # One turn of the thread lets old rows go, the next answers after that.
    opened.settle()
    opened.settle()


def seqs(opened: Opened) -> list[int]:
    return [row.seq for row in opened.rows()]


def test_acknowledged_rows_stay_a_week_and_others_as_long_as_it_takes(opened: Opened) -> None:
    opened.journal.append(Batch(entries=tuple(entry(settlement=True) for _ in range(6))))
    opened.journal.acknowledge(opened.journal.span().stream, 2)
    pass_days(opened, 3)
    opened.journal.acknowledge(opened.journal.span().stream, 4)
    pass_days(opened, 3.9)
    assert seqs(opened) == [1, 2, 3, 4, 5, 6]
    pass_days(opened, 0.2)
    assert seqs(opened) == [3, 4, 5, 6]
    assert opened.journal.verify_settlements() == ()
    pass_days(opened, 4000)
    assert seqs(opened) == [5, 6]
    assert opened.journal.span().first == 5
    opened.journal.acknowledge(opened.journal.span().stream, 6)
    pass_days(opened, 8)
    span = opened.journal.span()
    assert (span.first, span.last, span.acked) == (7, 6, 6)
    assert opened.write(Batch(entries=(entry(settlement=True),)))
    assert seqs(opened) == [7]
    assert opened.journal.verify_settlements() == ()


def test_the_week_begins_when_the_time_has_been_known_for_a_day(opened: Opened) -> None:
    opened.clock.wall_ms = None
    opened.journal.append(Batch(entries=(entry(), entry())))
    opened.journal.acknowledge(opened.journal.span().stream, 1)
    pass_days(opened, 30)
    assert seqs(opened) == [1, 2]
    opened.clock.wall_ms = NOON_MS
    pass_days(opened, 1)
    pass_days(opened, 1)
    pass_days(opened, 6.9)
    assert seqs(opened) == [1, 2]
    pass_days(opened, 0.2)
    assert seqs(opened) == [2]


def test_a_stamp_from_the_future_counts_from_now(opened: Opened) -> None:
    opened.clock.wall_ms = NOON_MS * 2
    opened.journal.append(Batch(entries=(entry(),)))
    opened.journal.acknowledge(opened.journal.span().stream, 1)
    opened.settle()
    opened.clock.wall_ms = NOON_MS
    pass_days(opened, 1)
    pass_days(opened, 1)
    pass_days(opened, 7.1)
    assert seqs(opened) == []


def answered(name: str, status: str, kind: str = "start") -> Batch:
    return Batch(replies=((Reply(command=CommandId(name), body={"command": kind, "status": status}), True),))


def known(opened: Opened, *names: str) -> set[str]:
    opened.settle()
    return {name for name in names if opened.lookup(name)[0] is not None}


@pytest.mark.parametrize("wall_ms", [NOON_MS, None])
def test_ids_are_known_a_week_if_they_had_an_effect_and_else_an_hour(open_: Open, wall_ms: int | None) -> None:
    opened = open_(clock=HandClock(wall_ms))
    gone: list[str] = []
    opened.journal.on_forgotten = gone.extend
    names = ("open", "done", "failed", "rejected", "expired", "get", "local-1")
    for name in names:
        assert opened.write(Batch(commands=(command(name),)))
    for name in ("done", "failed", "rejected", "expired"):
        assert opened.write(answered(name, name))
    assert opened.write(answered("get", "done", "get"))
    assert opened.write(answered("local-1", "done", "start"))
    opened.clock.advance(0.9 * HOUR_S)
    assert known(opened, *names) == set(names)
    opened.clock.advance(1.2 * HOUR_S)
    pass_days(opened, 0)
    assert known(opened, *names) == {"open", "done", "failed"}
    opened.close()
    # Outages do not count, and nor does a clock that jumps: it is hours in which the daemon ran.
    opened = open_(clock=HandClock(NOON_MS + round(1000 * DAY_S * 1000)), boot_id="another")
    opened.journal.on_forgotten = gone.extend
    pass_days(opened, 6.8)
    assert known(opened, *names) == {"open", "done", "failed"}
    pass_days(opened, 0.3)
    assert known(opened, *names) == {"open"}, "what has no last word yet never leaves"
    assert sorted(gone) == sorted(set(names) - {"open"})


def test_what_ids_take_up_is_counted_to_the_byte_as_they_come_and_go(opened: Opened) -> None:
    def counted() -> bool:
        db = connection_of(opened.journal)
        query = f"SELECT coalesce(sum({schema._SIZE['row']}), 0) FROM commands AS row"  # noqa: SLF001
        return bool(db.execute(query).fetchone()[0] == opened.journal.command_bytes)

    assert opened.journal.command_bytes == 0
    for name in ("a", "ü" * 20):
        assert opened.write(Batch(commands=(command(name),)))
    most = opened.journal.command_bytes
    assert counted()
    assert opened.write(answered("a", "rejected"))
    assert opened.journal.command_bytes > most
    assert counted()
    pass_days(opened, 1)
    assert 0 < opened.journal.command_bytes < most
    assert counted()


def test_no_row_makes_room_for_ids(open_: Open) -> None:
    opened = open_(upkeep=Upkeep(limit_bytes=400_000))
    opened.journal.append(Batch(entries=tuple(entry({"event": "x" * 200}) for _ in range(800))))
    ids = tuple(command(f"c{number}") for number in range(3000))
    assert opened.write(Batch(commands=ids))
    for _ in range(3):
        opened.clock.advance(61.0)
        opened.settle()
    assert opened.journal.command_bytes > 1_000_000
    assert [row.body["event"] for row in opened.rows()] == ["x" * 200] * 800


def test_a_clock_that_jumps_by_years_ends_nothing_and_nor_does_setting_it_right(open_: Open) -> None:
    opened = open_()
    assert opened.write(Batch(commands=(command("c1"),), entries=(entry(), entry())))
    opened.journal.acknowledge(opened.journal.span().stream, 1)
    for days in (1000, -1000, 1):
        opened.clock.wall_ms = NOON_MS + round(days * DAY_S * 1000)
        assert opened.write(Batch(entries=(entry(),)))
        pass_days(opened, 0.5)
    pass_days(opened, 3)
    assert [(row.seq, row.body.get("event")) for row in opened.rows()] == [(n, "x") for n in range(1, 6)]
    assert opened.lookup("c1")[0] is not None
    opened.close()
    clock = HandClock(NOON_MS + round(1000 * DAY_S * 1000))
    opened = open_(clock=clock)
    pass_days(opened, 0.9)
    assert opened.journal.span().first == 1, "a boot whose time lies, for less than a day"


def test_ids_of_sessions_are_known_for_four_hundred_days_and_while_open(opened: Opened) -> None:
    opened.journal.append(Batch(sessions=(record("open"), record("over")), ended=(SessionId("over"),)))

    def used() -> list[bool]:
        names = (SessionId("open"), SessionId("over"))
        return [got(lambda deliver, name=name: opened.journal.has_session(name, deliver)) for name in names]  # type: ignore[misc]

    pass_days(opened, 399)
    assert used() == [True, True]
    pass_days(opened, 2)
    assert used() == [True, False]


def test_without_a_clock_the_newest_rows_are_kept_by_number(opened: Opened) -> None:
    opened.clock.wall_ms = None
    opened.journal.append(Batch(entries=tuple(entry() for _ in range(5))))
    opened.settle()
    db = connection_of(opened.journal)
    db.execute("UPDATE ledger SET seq = seq + ?", (retention.MOST,))
    db.execute("UPDATE state SET last = last + ?", (retention.MOST,))
    opened.journal.acknowledge(opened.journal.span().stream, 2)
    copy = (
        "INSERT INTO ledger SELECT ?, kind, body, instant, boot, NULL, clock, offline, 0, NULL FROM ledger LIMIT 1"
    )
    db.executemany(copy, [(2,), (3,)])
    assert opened.write(Batch(entries=(entry(),)))
    opened.journal.acknowledge(opened.journal.span().stream, 2)
    pass_days(opened, 1)
    assert seqs(opened)[0] == 3


def test_a_disk_that_is_full_while_old_rows_leave_is_told(opened: Opened) -> None:
    opened.settle()
    opened.break_disk()
    opened.clock.advance(DAY_S)
    opened.wait_for_health(False)
    opened.mend_disk()
    opened.wait_for_health(False, True)


def test_a_gap_is_parted_where_rows_are_asked_for(opened: Opened) -> None:
    """A backend restored from its backup has rows 1 to 3, and has acknowledged all that stood for the others."""
    opened.journal.append(Batch(entries=tuple(entry() for _ in range(6))))
    pass_days(opened, 2)
    pass_days(opened, 91)
    opened.journal.acknowledge(opened.journal.span().stream, 6)
    assert seqs(opened) == [1]
    for start in (4, 4, 1, 7):
        opened.journal.asked_from(start)
    parts = [(row.seq, row.body["from"], row.body["to"]) for row in opened.rows()]
    assert parts == [(1, 1, 3), (4, 4, 6)]
