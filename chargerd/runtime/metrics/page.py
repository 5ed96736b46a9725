"""Writes the page of all figures, from their table: `python -m chargerd.runtime.metrics.page`."""

import sys
from collections.abc import Iterator

from chargerd.runtime.metrics.families import FAMILIES, PROCESS, Family

_HEAD = """\
# Metrics

Every figure that `http://address:port/metrics` tells once the configuration has a section `metrics`. How to come
from nothing to a dashboard says [monitoring.md](monitoring.md). This page is generated from the table that the
daemon exports by: `python -m chargerd.runtime.metrics.page > docs/metrics.md`.

- Units are Prometheus' base units and end the names: joules, not watt-hours (1 kWh is 3,600,000 J).
- Counters begin at 0 with each start of the daemon, unless their line says otherwise; `rate` and `increase` know.
- What is not known has no sample. A meter that was never read shows no power, and not 0 W.
- Ports and circuits are as they were last looked at, which is once a second and whenever something happens:
  `chargerd_snapshot_age_seconds` says how long ago. Everything else is of the moment of the scrape.
- Labels have values of the configuration (ids of ports, circuits, lines, boards) or of lists of the contract
  (states, reasons, events): no series is made for a session or a rider.
- Names and labels are kept as those of the contract are: within a major version they are only added.

"""
_ROWS = "| metric | type | labels | meaning |\n|---|---|---|---|\n"


def page() -> str:
    """Return the whole page as Markdown."""
    return "".join([_HEAD, _ROWS, *map(_row, FAMILIES), *_process()])


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.kind.value} | {labels} | {family.help} |\n"


def _process() -> Iterator[str]:
    yield "\nOf the process, under the names that any process has:\n\n| metric | meaning |\n|---|---|\n"
    for name, about in PROCESS.items():
        yield f"| `{name}` | {about} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
