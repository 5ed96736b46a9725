"""Keeps the listings of the page on reaction times real: `python -m tests.config.budget_page --write`."""

import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from click.testing import CliRunner

from chargerd.cli.check import command

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "budget.md"
FENCE = "```\n"


def nothing(_site: object, _path: object) -> tuple[()]:
    """Lack nothing."""
    return ()


def _output(path: str, *, begin: str = "") -> str:
    # What this machine lacks is no business of the page's.
    with patch.multiple("chargerd.cli.check", unusable_devices=nothing, missing_files=nothing):
        result = CliRunner().invoke(command, [path], env={"COLUMNS": "80"})
    lines = [f"{line.rstrip()}\n" for line in result.output.splitlines() if not line.startswith("note: ")]
    start = next((place for place, line in enumerate(lines) if line.startswith(begin)), 0)
    return "".join(lines[start:])


def page() -> str:
    """Return the page with its three listings as the program prints them now."""
    parts = PAGE.read_text(encoding="utf-8").split(FENCE)
    with chdir(ROOT):
        parts[1], parts[3] = (
            _output("config/one-shed.yaml"),
            _output("config/quarter.yaml", begin="Reaction times"),
        )
        text = Path("config/one-shed.yaml").read_text(encoding="utf-8")
    buses = "buses:\n  meters: {serial: /dev/ttyUSB1, baudrate: 2400}\n"
    text = text.replace("buses:\n", buses).replace("meter-a12: {bus: line-a", "meter-a12: {bus: meters")
    with TemporaryDirectory() as folder, chdir(folder):
        Path("site.yaml").write_text(text, encoding="utf-8")
        parts[5] = _output("site.yaml")
    return FENCE.join(parts)


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
