"""After a crash: a command stands if the journal holds what it wanted."""

import pytest

from chargerd.contract.ledger import Recovery, RememberedCommand, Reply
from chargerd.core.moment import Moment
from chargerd.core.plan import Limits, NamedLimits, lock_of
from chargerd.core.session import Disabled, Order, SessionRecord, Source
from chargerd.core.units import Amps, CommandId, Instant, PortId, SessionId, WattHours, Watts
from chargerd.runtime.commands.after_restart import ports_to_stop
from chargerd.runtime.commands.handlers import fulfilled

A01 = PortId("A01")
THEN = Moment(instant=Instant(1.0))
IN_FORCE = Limits(power=Watts(500.0), energy=WattHours(300.0))
ORDER = Order(session=SessionId("S-1"), port=A01, limits=IN_FORCE)
LOCK = Disabled(holder=lock_of(A01), source=Source.LOCAL, reason="a new socket", since=THEN, by="Ada")
OUT = Disabled(holder=A01, source=Source.LOCAL, reason="a worn plug", since=THEN)


def stands(
    name: str,
    *,
    limits: NamedLimits | None = None,
    session: str | None = None,
    disabled: bool = False,
    locked: bool = False,
) -> bool:
    command = RememberedCommand(
        command=CommandId("c"),
        name=name,
        digest="d",
        moment=THEN,
        port=A01,
        session=None if session is None else SessionId(session),
        limits=limits,
    )
    recovery = Recovery(
        boot=1,
        stream="s",
        starts=2,
        sessions=(SessionRecord(order=ORDER, started=THEN, at=THEN),),
        disabled=(*((OUT,) if disabled else ()), *((LOCK,) if locked else ())),
        unfinished=(command,),
    )
    return fulfilled(recovery) == {"c"}


@pytest.mark.parametrize("disabled", [False, True])
def test_what_is_out_of_service_or_in_it_is_what_was_wanted(*, disabled: bool) -> None:
    assert stands("disable", disabled=disabled) is disabled
    assert stands("enable", disabled=disabled) is not disabled


@pytest.mark.parametrize("disabled", [False, True])
@pytest.mark.parametrize("locked", [False, True])
def test_so_is_a_lock_whatever_else_holds_the_port(*, disabled: bool, locked: bool) -> None:
    assert stands("lock", disabled=disabled, locked=locked) is locked
    assert stands("unlock", disabled=disabled, locked=locked) is not locked
    assert stands("enable", disabled=disabled, locked=locked) is not disabled


@pytest.mark.parametrize(
    ("limits", "session", "holds"),
    [
        (NamedLimits(power=Watts(500.0)), "S-1", True),
        (NamedLimits(power=Watts(500.0), energy=WattHours(300.0)), None, True),
        (NamedLimits(power=Watts(500.0), energy=WattHours(400.0)), "S-1", False),
        (NamedLimits(current=Amps(2.0)), "S-1", False),
        (NamedLimits(power=Watts(500.0)), "S-2", False),
        (None, "S-1", False),
    ],
)
def test_limits_stand_if_the_session_has_them(
    limits: NamedLimits | None, session: str | None, *, holds: bool
) -> None:
    assert stands("update_limits", limits=limits, session=session) is holds


def test_of_other_commands_nothing_is_known() -> None:
    assert not stands("reset")


def left(session: str | None, *, port: str = "A01", accepted: bool = False) -> Recovery:
    """Return what a crash has left: session S-1 open at A01, S-0 settled, and a stop without a last word."""
    number = CommandId("c")
    stop = RememberedCommand(
        command=number,
        name="stop",
        digest="d",
        moment=THEN,
        port=PortId(port),
        session=None if session is None else SessionId(session),
        reply=Reply(command=number, body={"status": "accepted"}) if accepted else None,
    )
    return Recovery(
        boot=1,
        stream="s",
        starts=2,
        sessions=(SessionRecord(order=ORDER, started=THEN, at=THEN),),
        settled=frozenset({SessionId("S-0")}),
        unfinished=(stop,),
    )


@pytest.mark.parametrize(
    ("recovery", "ends", "done"),
    [
        (left("S-1", accepted=True), {A01}, True),
        (left("S-1"), {A01}, True),
        (left(None), {A01}, True),
        (left("S-0", accepted=True), set(), True),
        (left("S-0"), set(), True),
        (left("S-2"), set(), False),
        (left(None, port="A02"), set(), False),
        (left(None, port="A02", accepted=True), set(), True),
    ],
)
def test_a_stop_ends_the_session_it_was_for_and_no_other_and_is_done(
    recovery: Recovery, ends: set[PortId], *, done: bool
) -> None:
    assert ports_to_stop(recovery) == ends
    assert (fulfilled(recovery) == {"c"}) is done
