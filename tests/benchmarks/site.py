"""The configurations measured: so many lines of twelve ports each, or one with everything a line can carry."""

from pathlib import Path

PORTS = 12
FIRST_UNIT = 11
UNITS = range(FIRST_UNIT, FIRST_UNIT + PORTS)
BAUDRATES = (9600, 19200, 38400, 115200)

PROFILES = """\
family: the benchmark's meters
source: the paced slave of these benchmarks
verified: nothing, they do not exist
common:
  line: {address: 1, baudrate: 9600, parity: none, baudrates: [9600, 19200, 38400, 115200], basis: document}
  timing: {timeout_ms: 200, turnaround_ms: 2, refresh_ms: 0, basis: assumed}
  meter:
    function: 4
    max_registers: 80
    even_counts: true
    energy_resolution_wh: 10
    registers:
      voltage: {address: 0x0000, type: f32, least: 0, most: 400, basis: document}
      current: {address: 0x0006, type: f32, least: 0, most: 200, basis: document}
      power: {address: 0x000C, type: f32, least: -50000, most: 50000, basis: document}
      energy: {address: 0x0048, type: f32, scale: 1000, least: 0, most: 1000000000, basis: document}
    blocks:
      - {address: 0x0000, count: 2}
      - {address: 0x0006, count: 2}
      - {address: 0x000C, count: 2}
      - {address: 0x0048, count: 2}
profiles:
  bench-meter: {title: A meter with its quantities apart}
"""

HEAD = """\
gateway: {id: bench}
limits: {power_w: 1000, current_a: 5.0}
charge_end: {no_load_after_s: 3600}
"""
FULL_SHED = "{meter: feeder, rating_a: 125}"
INPUTS = "inputs: {smoke: {input: module/1, kind: smoke, circuit: shed1, active: closed}}\n"
FULL_BOARDS = """\
  module: {bus: line1, address: 2, profile: waveshare-relay-8-d}
  feeder: {bus: line1, address: 30, profile: bench-meter}
"""


def port_names(ports: int = PORTS) -> list[list[str]]:
    """Return the ports' names, line by line."""
    lines = [min(PORTS, ports - first) for first in range(0, ports, PORTS)]
    return [[f"L{line}P{number:02d}" for number in range(1, count + 1)] for line, count in enumerate(lines, 1)]


def write_site(folder: Path, links: list[Path], baudrate: int, *, ports: int, full: bool = False) -> Path:
    """Write a configuration and its profiles into a folder; returns the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profiles.d").mkdir(exist_ok=True)
    (folder / "profiles.d" / "bench.yaml").write_text(PROFILES)
    buses, boards, circuits, rows = "", FULL_BOARDS if full else "", "", ""
    for line, (link, names) in enumerate(zip(links, port_names(ports), strict=True), 1):
        count = len(names)
        buses += f"  line{line}: {{serial: {link}, baudrate: {baudrate}}}\n"
        boards += f"  relay{line}: {{bus: line{line}, address: 1, profile: waveshare-relay-16}}\n"
        meters = f"m{line}x1..m{line}x{count}"
        span = f"{FIRST_UNIT}..{FIRST_UNIT + count - 1}"
        boards += f"  {meters}: {{bus: line{line}, address: {span}, profile: bench-meter}}\n"
        rows += f"  - {{id: {names[0]}..{names[-1]}, relay: relay{line}/1..{count}, meter: {meters}, "
        rows += f"circuit: shed{line}}}\n"
        circuits += f"  shed{line}: {FULL_SHED if full else '{}'}\n"
    text = HEAD + f"buses:\n{buses}boards:\n{boards}circuits:\n{circuits}ports:\n{rows}" + (INPUTS if full else "")
    config = folder / "chargerd.yaml"
    config.write_text(text)
    return config
