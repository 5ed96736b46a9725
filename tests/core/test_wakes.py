"""When ports are woken: against the plain way of asking all of them."""

from hypothesis import given
from hypothesis import strategies as st

from chargerd.core.site.wakes import Wakes
from chargerd.core.units import Instant, PortId

PORTS = [PortId(name) for name in ("B", "A", "C")]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(PORTS), st.one_of(st.none(), st.integers(0, 9).map(Instant))),
            st.integers(0, 10),
        )
    )
)
def test_it_says_what_asking_all_of_them_says(doings: list[tuple[PortId, Instant | None] | int]) -> None:
    wakes, plain = Wakes(PORTS), dict.fromkeys(PORTS)
    known: dict[PortId, Instant | None] = dict(plain)
    for doing in doings:
        if isinstance(doing, tuple):
            known[doing[0]] = doing[1]
            wakes.set(*doing)
        else:
            assert wakes.due(Instant(doing)) == [p for p in PORTS if (at := known[p]) is not None and at <= doing]
        assert wakes.first() == min((at for at in known.values() if at is not None), default=None)
