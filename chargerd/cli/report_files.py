"""The report of a wiring proof as a file: JSON as the daemon gives it, HTML and PDF for people."""

import json
from collections.abc import Mapping
from typing import Any

from chargerd.cli.report_pages import blocks

KNOWN = 1
"""The version of reports this program can draw."""


class ReportError(Exception):
    """A report cannot be written so; the message says why and what to do."""


def read(text: str) -> Mapping[str, Any]:
    """Return a report from its JSON. Raises `ReportError`."""
    try:
        report = json.loads(text)
    except ValueError as error:
        raise ReportError(f"is no JSON: {error}") from error
    if not isinstance(report, dict) or not isinstance(report.get("report"), int):
        raise ReportError(
            "is no report of a wiring proof; one is made by: chargerctl prove --show --report FILE.json"
        )
    if report["report"] != KNOWN:
        raise ReportError(f"is a report of version {report['report']}, and this program knows {KNOWN}")
    return report


def written(report: Mapping[str, Any], suffix: str) -> bytes:
    """Return a report as a file whose name ends so: .json, .html or .pdf. Raises `ReportError`."""
    if suffix == ".json":
        return (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode()
    try:
        told = list(blocks(report))
    except (KeyError, TypeError, ValueError) as error:
        raise ReportError(f"lacks what a report has: {error}") from error
    if suffix == ".html":
        from chargerd.cli.report_html import html  # noqa: PLC0415 - one of two is wanted

        return html(told).encode()
    if suffix != ".pdf":
        raise ReportError(f"a report is a .json, .html or .pdf, not a {suffix}")
    try:
        from chargerd.cli.report_pdf import pdf  # noqa: PLC0415 - loads reportlab
    except ImportError as error:
        raise ReportError(
            "a PDF needs reportlab, which is not here: write .html and print it, or write .json and make the PDF "
            "on another computer: pip install 'chargerd[report]', chargerd report FILE.json --to FILE.pdf"
        ) from error
    return pdf(told)
