"""What a scrape has found, figure by figure; what is not known has no sample."""

from chargerd.core.units import Seconds
from chargerd.runtime.metrics.families import FAMILIES, Family, Kind

Found = tuple[str, dict[str, str], float]
"""A sample: its name, its labels, its value."""


class Samples:
    """Takes in the samples of one scrape."""

    def __init__(self) -> None:
        self._found: dict[Family, list[Found]] = {family: [] for family in FAMILIES}

    def add(self, family: Family, value: float | None, *labels: str) -> None:
        """Take in a value; `None` is not known. `labels` are in the order of the family's names."""
        if value is not None:
            self._found[family].append((family.name, dict(zip(family.labels, labels, strict=True)), value))

    def add_histogram(
        self, family: Family, edges: tuple[Seconds, ...], counts: list[int], total: float | None, *labels: str
    ) -> None:
        """Take in a histogram; `counts` has one more than there are edges, `total` is the sum of all values."""
        assert family.kind is Kind.HISTOGRAM
        about, so_far = dict(zip(family.labels, labels, strict=True)), 0
        found = self._found[family]
        for edge, count in zip((*(f"{edge:g}" for edge in edges), "+Inf"), counts, strict=True):
            so_far += count
            found.append((f"{family.name}_bucket", {**about, "le": edge}, so_far))
        if total is not None:
            found.append((f"{family.name}_sum", about, total))
        found.append((f"{family.name}_count", about, so_far))

    def all(self) -> list[tuple[Family, list[Found]]]:
        """Return the figures that have samples."""
        return [(family, found) for family, found in self._found.items() if found]
