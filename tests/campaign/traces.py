"""`python -m tests.campaign.traces --write FILE` or `--compare FILE`: what seeded lives do, one digest for each.

A change that only moves code leaves every digest as it was: write them before it, and compare afterwards. A digest
is over every command, fact and reply of a life and its instant, and frame by frame over all requests on its lines.
"""

import argparse
import concurrent.futures
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.campaign.frame_life import FrameLife
from tests.campaign.gateways import GatewayLife
from tests.campaign.life import Life
from tests.campaign.lines_life import TwoLinesLife
from tests.campaign.quarter import QuarterLife
from tests.logs import silence

KINDS: tuple[tuple[Callable[[int, Path], Life], float], ...] = (
    (QuarterLife, 0.5),
    (TwoLinesLife, 0.5),
    (FrameLife, 0.05),
    (QuarterLife, 0.5),
    (GatewayLife, 0.05),
)
"""How deep a life of a seed goes, and for how many hours."""


def digest(seed: int) -> str:
    """Lead the life of a seed, and return the digest of its trace."""
    live, hours = KINDS[seed % len(KINDS)]
    with tempfile.TemporaryDirectory() as folder, silence():
        life = live(seed, Path(folder))
        life.reserving = life.locking = False  # Digests from before anybody could stay comparable.
        return life.run(hours)


def digests(seeds: int) -> dict[str, str]:
    """Return the digests of the first seeds, computed on all processors."""
    with concurrent.futures.ProcessPoolExecutor() as pool:
        return {str(seed): one for seed, one in enumerate(pool.map(digest, range(seeds), chunksize=4))}


def main(arguments: list[str] | None = None) -> int:
    """Write the digests, or compare them with those that were written before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", type=Path, metavar="FILE")
    what.add_argument("--compare", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    now = digests(options.seeds)
    if options.write is not None:
        options.write.write_text(json.dumps(now, indent=1) + "\n", "utf-8")
        return 0
    before = json.loads(options.compare.read_text("utf-8"))
    other = [seed for seed, one in now.items() if before.get(seed) != one]
    rest = f"; others: {' '.join(other)}" if other else ""
    sys.stdout.write(f"{len(now) - len(other)} of {len(now)} lives as before{rest}\n")
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main())
