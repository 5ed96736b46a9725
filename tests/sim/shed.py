"""A small site for tests of the simulation."""

from pathlib import Path

from chargerd.config.loader import load_text
from chargerd.config.site import Site

TEXT = """\
gateway: {{id: shed-1}}
buses:
  line-a: {{serial: "{tty}", baudrate: 9600}}
boards:
  relay-a: {{bus: line-a, address: 1, profile: waveshare-relay-8-d}}
  meter-a1..meter-a3: {{bus: line-a, address: 11..13, profile: eastron-sdm120}}
  meter-p: {{bus: line-a, address: 20, profile: pzem-016}}
circuits:
  shed: {{}}
limits: {{power_w: 1000, current_a: 5.0}}
ports:
  - {{id: A01..A03, relay: relay-a/1..3, meter: meter-a1..meter-a3, circuit: shed}}
  - {{id: P01, relay: relay-a/4, meter: meter-p, circuit: shed}}
"""


def shed(tty: Path = Path("/dev/null")) -> Site:
    """Three ports with meters that follow at once, and one with a meter that refreshes each second."""
    return load_text(TEXT.format(tty=tty), "shed.yaml")
