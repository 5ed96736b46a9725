"""Which configuration a start goes by: whatever is wrong with the file, the one that is kept stands in."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chargerd.config.choosing import NoneUsable, choose
from chargerd.config.kept import KEPT_FILE, Kept, KeptError, check_kept, read_kept, with_lowered, write_kept
from chargerd.config.loader import Checked, check, read
from chargerd.core.plan import Limits
from chargerd.core.units import Amps, PortId, Seconds, WattHours, Watts
from tests.config.sites import BASE

OWN = """\
family: Own relays
source: a manual
verified: nothing
profiles:
  own-relay-8:
    title: Own relay board
    line: {baudrate: 9600, parity: none, baudrates: [9600]}
    timing: {timeout_ms: 150, pre_silence_ms: 0, min_period_ms: 0, refresh_ms: 0}
    relay:
      channels: 8
      write: 5
      first: 0
      timed_on: {first: 0x0200, unit_ms: 100, max_value: 0x7FFF}
      dead_man: timed_on
      read_back: {function: 1, first: 0, min_count: 8}
"""
GOOD = BASE.replace("waveshare-relay-8}", "own-relay-8}")


class Place:
    """A folder with a configuration, a profile of the site's own, a secret, and what is kept."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "chargerd.yaml"
        self.secret = folder / "ca.pem"
        self.profile = folder / "profiles.d" / "own.yaml"
        self.kept = folder / KEPT_FILE
        self.profile.parent.mkdir()
        self.profile.write_text(OWN)
        self.secret.write_text("secret")
        self.file.write_text(GOOD.replace("/ca.pem", str(self.secret)))

    def make_folder(self) -> None:
        self.file.unlink()
        self.file.mkdir()

    def lose_secret(self) -> None:
        """The file names another one, which is not there."""
        self.file.write_text(self.file.read_text().replace("ca.pem", "new-ca.pem"))

    def checked(self) -> Checked:
        return check(read(self.file, profile_folders=()))

    def keep(self, lowered: dict[PortId, Limits] | None = None) -> Kept:
        checked = self.checked()
        kept = Kept(
            files=checked.files,
            digest=checked.site.digest,
            version="1.0",
            wall_ms=1_750_000_000_000,
            lowered=lowered or {},
        )
        write_kept(self.kept, kept)
        return kept


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def text(old: str, new: str) -> Callable[[Place], object]:
    return lambda place: place.file.write_text(place.file.read_text().replace(old, new))


WRONG: dict[str, tuple[Callable[[Place], object], str]] = {
    "syntax": (text("ports:", "ports: ]"), "chargerd.yaml:21:8: "),
    "an unknown key": (text("power_w: 800", "power: 800"), "chargerd.yaml:19:10: "),
    "a wrong type": (text("power_w: 800", "power_w: much"), "chargerd.yaml:19:19: "),
    "a contradiction": (
        text("address: 2, profile: pzem-016", "address: 1, profile: pzem-016"),
        "chargerd.yaml:14",
    ),
    "empty": (lambda place: place.file.write_bytes(b""), "the file is empty"),
    "cut off": (lambda place: place.file.write_bytes(place.file.read_bytes()[:600]), "chargerd.yaml:"),
    "zeros of a power cut": (lambda place: place.file.write_bytes(bytes(4096)), "chargerd.yaml:1:1: "),
    "not UTF-8": (lambda place: place.file.write_bytes(b"gateway: {name: B\xe4r}"), "not UTF-8"),
    "missing": (lambda place: place.file.unlink(), "no such file"),
    "a folder": (lambda place: place.make_folder(), "this is a folder"),
    "a profile that is missing": (lambda place: place.profile.unlink(), "unknown profile 'own-relay-8'"),
    "a profile that is wrong": (
        lambda place: place.profile.write_text(OWN.replace("write: 5", "write: 7")),
        "own.yaml:",
    ),
    "a profile cut off": (lambda place: place.profile.write_text(OWN[:200]), "own.yaml:"),
    "a secret that is missing": (lambda place: place.lose_secret(), "chargerd.yaml:4:13: "),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_with_its_place_and_the_kept_one_used(place: Place, name: str) -> None:
    spoil, told = WRONG[name]
    kept = place.keep()
    spoil(place)
    chosen = choose(place.file, place.kept)
    assert told in str(chosen.refused[0])
    assert chosen.site.digest == kept.digest
    assert len(chosen.site.ports) == 4
    assert chosen.kept == kept


@pytest.mark.parametrize("name", sorted(set(WRONG) - {"a secret that is missing"}))
def test_where_nothing_is_kept_it_is_told_why_nothing_can_be_used(place: Place, name: str) -> None:
    spoil, told = WRONG[name]
    spoil(place)
    with pytest.raises(NoneUsable) as error:
        choose(place.file, place.kept)
    assert told in str(error.value.problems[0])
    assert "none is kept" in error.value.why_not_kept


def test_a_file_that_may_not_be_read_is_one_of_them(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.keep()
    may = Path.read_text

    def refused(path: Path, *arguments: Any, **others: Any) -> str:
        if path == place.file:  # To root, as whom these tests may run, the system would give it all the same.
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return may(path, *arguments, **others)

    monkeypatch.setattr(Path, "read_text", refused)
    assert "may not be read" in str(choose(place.file, place.kept).refused[0])


def test_what_nobody_has_foreseen_leaves_no_site_dark(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.keep()
    calls = iter([ZeroDivisionError("unforeseen")])

    def spoilt(files: object) -> Checked:
        error = next(calls, None)
        if error is not None:
            raise error
        return check(files)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr("chargerd.config.choosing.check", spoilt)
    chosen = choose(place.file, place.kept)
    assert "ZeroDivisionError: unforeseen" in str(chosen.refused[0])


def test_a_good_file_is_used_whatever_is_kept(place: Place) -> None:
    assert choose(place.file, place.kept).kept is None
    place.keep()
    text("power_w: 800", "power_w: 700")(place)
    chosen = choose(place.file, place.kept)
    assert chosen.refused == ()
    assert chosen.site.plan.ports[0].limits.power == 700.0
    place.kept.write_text("nonsense")
    assert choose(place.file, place.kept).refused == ()


def test_without_a_secret_that_the_kept_one_has_not_either_the_file_is_used_all_the_same(place: Place) -> None:
    kept = place.keep()
    place.secret.unlink()
    assert choose(place.file, place.kept).refused == ()
    text("power_w: 800", "power_w: 700")(place)
    chosen = choose(place.file, place.kept)
    assert (chosen.refused, chosen.site.plan.ports[0].limits.power) == ((), 700.0)
    place.lose_secret()
    assert choose(place.file, place.kept).refused
    write_kept(place.kept, replace(kept, files=replace(kept.files, text="nonsense")))
    assert choose(place.file, place.kept).refused == (), "one that cannot be used is none to go by"
    place.kept.unlink()
    assert choose(place.file, place.kept).refused == ()


# What is kept


def test_what_is_kept_is_read_back_as_it_was_and_is_nobody_elses_to_read(place: Place) -> None:
    limits = Limits(current=Amps(1.0), power=Watts(2.0), duration=Seconds(3.0), energy=WattHours(4.0))
    kept = place.keep({PortId("A01"): limits, PortId("B01"): Limits()})
    assert read_kept(place.kept) == kept
    assert place.kept.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in place.kept.parent.glob("kept*")] == [KEPT_FILE]
    assert "secret" not in json.loads(place.kept.read_text())["kept"]["text"].replace(str(place.secret), "")


def test_what_was_lowered_since_stays_low(place: Place) -> None:
    low = replace(Limits(), power=Watts(100.0), current=Amps(9.0))
    place.keep({PortId("A01"): low})
    place.file.write_text("nonsense")
    chosen = choose(place.file, place.kept)
    first, second = chosen.site.plan.ports[:2]
    assert (first.limits.power, first.limits.current) == (100.0, 4.0), "of each the lower"
    assert second.limits.power == 800.0
    assert with_lowered(chosen.checked.site, {}) == chosen.checked.site


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-20],
        lambda _: b"",
        lambda data: data.replace(b"power_w: 800", b"power_w: 900"),
        lambda data: data.replace(b'"format": 1', b'"format": 2'),
        lambda _: b"[]",
        lambda _: b"\xff",
    ],
)
def test_what_is_damaged_drives_no_relays(place: Place, spoil: Callable[[bytes], bytes]) -> None:
    place.keep()
    before = place.kept.read_bytes()
    place.kept.write_bytes(spoil(before))
    with pytest.raises(KeptError, match=r"damaged"):
        read_kept(place.kept)
    place.file.write_text("nonsense")
    with pytest.raises(NoneUsable) as error:
        choose(place.file, place.kept)
    assert "damaged" in error.value.why_not_kept


def test_what_this_version_refuses_is_not_used(place: Place) -> None:
    kept = place.keep()
    older = replace(kept, files=replace(kept.files, text=kept.files.text.replace("power_w: 800", "watts: 800")))
    write_kept(place.kept, older)
    with pytest.raises(KeptError, match="this version refuses"):
        check_kept(older)
    place.file.unlink()
    with pytest.raises(NoneUsable) as error:
        choose(place.file, place.kept)
    assert "this version refuses" in error.value.why_not_kept


def test_what_cannot_be_kept_leaves_what_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = place.keep()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_kept(place.kept, replace(kept, version="2.0"))
    assert read_kept(place.kept) == kept
