"""The report of a wiring proof as a file: JSON as the daemon gives it, HTML and PDF for people."""

import json
from collections.abc import Mapping
from typing import Any


class ReportError(Exception):
    """A report cannot be written so; the message says why and what to do."""


def written(report: Mapping[str, Any], suffix: str) -> bytes:
    """Return a report as a file whose name ends so. Raises `ReportError`."""
    if suffix == ".json":
        return (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode()
    raise ReportError(f"a report is written as .json; {suffix} is not known")
