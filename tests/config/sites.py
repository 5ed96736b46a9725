"""A small site with everything in it, and a way to say where a mistake stands."""

from collections.abc import Mapping
from functools import cache

from chargerd.config.loader import load_text
from chargerd.config.problems import ConfigurationError
from chargerd.config.profiles.library import load_profiles
from chargerd.config.profiles.models import Profile
from chargerd.config.site import Site

MARK = "§"
"""Stands right before the token a problem must point at."""
BASE = """\
gateway: {id: gate-1, name: Shed, timezone: Europe/Berlin}
mqtt:
  host: broker.example.net
  tls: {ca: /ca.pem}
buses:
  line-a: {serial: /dev/line-a}
  line-b: {rtu_over_tcp: "10.0.0.2:4196"}
boards:
  relay-a: {bus: line-a, address: 1, profile: waveshare-relay-16}
  io-a: {bus: line-a, address: 2, profile: waveshare-relay-8-d}
  meter-a1..meter-a3: {bus: line-a, address: 11..13, profile: eastron-sdm120}
  feeder-a: {bus: line-a, address: 30, profile: eastron-sdm120}
  relay-b: {bus: line-b, address: 1, profile: waveshare-relay-8}
  meter-b: {bus: line-b, address: 2, profile: pzem-016}
circuits:
  main: {phases: 3}
  shed-a: {parent: main, phase: L1}
  shed-b: {parent: main, phase: L2}
limits: {power_w: 800, current_a: 4}
tariff_tiers_w: [150, 300]
ports:
  - id: A01..A03
    relay: relay-a/1..3
    meter: meter-a1..meter-a3
    circuit: shed-a
  - id: B01
    label: "B01 (wall)"
    relay: relay-b/8
    meter: meter-b
    circuit: shed-b
    limits: {power_w: 400}
"""


@cache
def shipped() -> Mapping[str, Profile]:
    return load_profiles(())


def site(text: str = BASE) -> Site:
    return load_text(text, "site.yaml", profiles=shipped())


def changed(old: str, new: str, text: str = BASE) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def unmarked(text: str) -> tuple[str, list[str]]:
    """Return the text without marks, and `line:column` of each of them."""
    places = [
        f"{number}:{column - earlier}"
        for number, line in enumerate(text.splitlines(), start=1)
        for earlier, column in enumerate(at + 1 for at, letter in enumerate(line) if letter == MARK)
    ]
    return text.replace(MARK, ""), places


def problems(text: str) -> list[str]:
    """Return the problems of a text that must have some, without the file's name."""
    try:
        found = site(text)
    except ConfigurationError as error:
        return [str(problem).removeprefix("site.yaml:") for problem in error.problems]
    raise AssertionError(f"accepted: {found}")
