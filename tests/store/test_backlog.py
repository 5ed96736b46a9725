from hypothesis import given
from hypothesis import strategies as st

from chargerd.contract.ledger import Batch
from chargerd.core.units import SessionId
from chargerd.store.backlog import Backlog
from tests.store.kit import entry, latch, record, warmth


def kept(*batches: Batch) -> list[Batch]:
    backlog = Backlog()
    for batch in batches:
        backlog.keep(batch)
    assert len(backlog) == len(backlog.first(1000))
    return list(backlog.first(1000))


def test_newer_totals_replace_older_ones_session_by_session() -> None:
    newer = Batch(sessions=(record("s1", energy=2.0),))
    older = Batch(sessions=(record("s1", energy=1.0), record("s2", energy=5.0)))
    assert kept(older, newer) == [Batch(sessions=(record("s2", energy=5.0),)), newer]
    assert kept(newer, newer, newer) == [newer]


def test_newer_warmths_replace_older_ones_port_by_port() -> None:
    newer = Batch(warmths=(warmth("A01", 0.5),))
    older = Batch(sessions=(record("s1"),), warmths=(warmth("A01", 0.9), warmth("A02", 0.4)))
    assert kept(older, newer) == [Batch(sessions=(record("s1"),), warmths=(warmth("A02", 0.4),)), newer]


def test_totals_that_belong_to_a_fact_stay_with_it() -> None:
    fact = Batch(sessions=(record("s1", energy=1.0),), entries=(entry(),))
    newer = Batch(sessions=(record("s1", energy=2.0),))
    assert kept(fact, newer) == [fact, newer]


def test_what_was_written_leaves_from_the_front() -> None:
    backlog = Backlog()
    batches = [Batch(entries=(entry({"n": n}),)) for n in range(3)]
    for batch in batches:
        backlog.keep(batch)
    assert backlog.first(2) == batches[:2]
    backlog.written(2)
    assert backlog.first(2) == batches[2:]


PIECES = st.one_of(
    st.builds(
        lambda name, energy: Batch(sessions=(record(name, energy=energy),)),
        st.sampled_from(["s1", "s2"]),
        st.integers(0, 9).map(float),
    ),
    st.integers().map(lambda n: Batch(entries=(entry({"n": n}, settlement=True),))),
    st.just(Batch(ended=(SessionId("s1"),))),
    st.just(Batch(latches=(latch(),))),
)


def outcome(batches: list[Batch]) -> tuple[dict[str, float], list[object], int]:
    open_: dict[str, float] = {}
    rows: list[object] = []
    latches = 0
    for batch in batches:
        open_ |= {one.order.session: one.energy for one in batch.sessions}
        for ended in batch.ended:
            open_.pop(ended, None)
        rows += [one.body["n"] for one in batch.entries]
        latches += len(batch.latches)
    return open_, rows, latches


@given(st.lists(PIECES, max_size=12))
def test_thinning_out_never_changes_what_comes_of_it_and_drops_nothing_but_totals(batches: list[Batch]) -> None:
    assert outcome(kept(*batches)) == outcome(batches)
