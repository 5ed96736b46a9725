"""`python -m tests.curves --write docs`: the manual's plot of trip times beside the breaker behind them."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.curves.trips import breaker_band, trip_time

CURRENTS = [5.0 * 1.02**step for step in range(180)]
FASTEST_SHOWN, SLOWEST_SHOWN = 0.01, 1e4


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(prog="python -m tests.curves", description=__doc__)
    parser.add_argument("--write", type=Path, required=True, help="the folder that gets trip-times.svg")
    folder = parser.parse_args(arguments).write
    mpl.rcParams |= {"svg.hashsalt": "trip-times", "svg.fonttype": "none"}
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    for kind, colour in (("B", "tab:blue"), ("C", "tab:orange")):
        bands = [[min(time, SLOWEST_SHOWN) for time in breaker_band(amps / 16, kind)] for amps in CURRENTS]
        shortest, longest = zip(*bands, strict=True)
        axes.fill_between(
            CURRENTS, shortest, longest, alpha=0.2, color=colour, label=f"breaker {kind}16 (IEC 60898-1)"
        )
    for limit, colour in ((5.0, "black"), (8.0, "dimgrey")):
        known = [(amps, trip_time(amps, limit=limit, phase=1.0)) for amps in CURRENTS]
        points = [(amps, max(time, FASTEST_SHOWN)) for amps, time in known if time is not None]
        label = f"port with current_a: {limit:g}, read every 0.5 s, at worst"
        axes.plot(*zip(*points, strict=True), color=colour, label=label)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="current, A",
        ylabel="time until it opens, s",
        ylim=(FASTEST_SHOWN, SLOWEST_SHOWN),
        xlim=(5, CURRENTS[-1]),
        title="Trip times of a port and of the breaker behind it",
    )
    axes.set_xticks([5, 7.5, 10, 16, 25, 50, 100, 160], labels=["5", "7.5", "10", "16", "25", "50", "100", "160"])
    axes.grid(which="both", alpha=0.2)
    axes.legend(loc="upper right")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "trip-times.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
