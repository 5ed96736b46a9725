"""The plots of the performance document, as SVG."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

NAMES = {
    "daemon": "chargerd, whole daemon",
    "bus": "chargerd, bus alone",
    "wire": "chargerd, its transactions in a loop",
    "libmodbus": "libmodbus (C), silence kept",
    "minimalmodbus": "minimalmodbus in a loop",
    "pymodbus": "pymodbus, twelve tasks",
}
COLOURS = {
    "daemon": "#0b3d91",
    "bus": "#2f6fde",
    "wire": "#7fb0ff",
    "libmodbus": "#555555",
    "minimalmodbus": "#b8860b",
    "pymodbus": "#c0392b",
}


def draw(results: dict[str, Any], folder: Path) -> list[str]:
    """Draw what there are results for; returns the names of the files."""
    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "chargerd", "font.size": 9, "axes.spines.top": False})
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    if results.get("race"):
        drawn += [_race(results["race"], folder), _trips(results["race"], folder)]
    for section, label in (("growth", "buses"), ("ports", "ports")):
        if results.get(section):
            drawn.append(_growth(results[section], label, folder / f"{section}.svg"))
    return drawn


def _save(figure: Any, path: Path) -> str:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path.name


def _bars(axes: Any, races: list[dict[str, Any]], value: Any) -> None:
    names = [name for name in NAMES if any(name in race["racers"] for race in races)]
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        here = [(at, race["racers"][name]) for at, race in enumerate(races) if name in race["racers"]]
        heights = [value(race) for _at, race in here]
        places = [at + (index - len(names) / 2 + 0.5) * width for at, _race in here]
        axes.bar(places, heights, width, color=COLOURS[name], label=NAMES[name])
    axes.set_xticks(range(len(races)), [f"{race['baudrate']} Bd" for race in races])


def _race(races: list[dict[str, Any]], folder: Path) -> str:
    figure, axes = plt.subplots(figsize=(8, 4))
    _bars(axes, races, lambda racer: racer["over_floor"]["median"])
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.set_ylim(bottom=0.8)
    axes.set_ylabel("time / floor of the frames sent")
    axes.legend(fontsize=7, ncols=2)
    return _save(figure, folder / "cycle.svg")


def _trips(races: list[dict[str, Any]], folder: Path) -> str:
    figure, axes = plt.subplots(figsize=(8, 4))
    _bars(axes, races, lambda racer: racer["trip_ms"]["p99"] if racer["trip_ms"] else 0.0)
    axes.set_ylabel("register changes to last bit of the opening, p99, ms")
    axes.legend(fontsize=7, ncols=2)
    return _save(figure, folder / "trips.svg")


def _growth(found: list[dict[str, Any]], label: str, path: Path) -> str:
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.5))
    places = [one[label] for one in found]
    left.plot(places, [100 * one["core"] for one in found], "o-", color=COLOURS["daemon"])
    left.set_ylabel("% of one core")
    right.plot(places, [one["resident_mb"] for one in found], "o-", color=COLOURS["daemon"])
    right.set_ylabel("resident, MB")
    for axes in (left, right):
        axes.set_xlabel(label)
        axes.set_xticks(places)
        axes.set_ylim(bottom=0)
    return _save(figure, path)
