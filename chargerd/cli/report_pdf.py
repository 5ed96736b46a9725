"""The report of a wiring proof as PDF, A4. Loads reportlab, which only whoever writes a PDF needs."""

import io
from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import (
    CondPageBreak,
    HRFlowable,
    KeepTogether,
    ListFlowable,
    ListItem,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

from chargerd.cli.report_pages import Block, Grid, Heading, Listed, Signatures, Text, Title, Wrong

MARGIN = 18 * mm
WIDTH = A4[0] - 2 * MARGIN
COLOURS = {
    "proved": (colors.HexColor("#1b7a3d"), colors.HexColor("#eaf6ee"), "PROVED"),
    "findings": (colors.HexColor("#b3261e"), colors.HexColor("#fcecea"), "FINDINGS"),
    "incomplete": (colors.HexColor("#9a6a00"), colors.HexColor("#fdf5e3"), "INCOMPLETE"),
}
GREY, LINE = colors.HexColor("#555555"), colors.HexColor("#cccccc")
REGULAR, BOLD = "Vera", "VeraBd"
FONTS = {REGULAR: "Vera.ttf", BOLD: "VeraBd.ttf"}
"""Bitstream Vera comes with reportlab and is put into the file, so that it looks the same everywhere."""


def _style(size: float, *, bold: bool = False, **more: Any) -> ParagraphStyle:
    font = BOLD if bold else REGULAR
    return ParagraphStyle(
        "", fontName=font, fontSize=size, leading=size * 1.35, wordWrap="LTR", splitLongWords=1, **more
    )


PLAIN, SMALL, HEAD = _style(9), _style(7.5), _style(7.5, bold=True)


def pdf(blocks: Iterable[Block]) -> bytes:
    """Return the file."""
    told = list(blocks)
    for name, file in FONTS.items():
        pdfmetrics.registerFont(TTFont(name, file))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)
    title = next((block for block in told if isinstance(block, Title)), None)
    name = "" if title is None else f"{title.text}: {title.of}"
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        title=name,
        author="chargerd",
        invariant=1,
    )

    def foot(canvas: Any, page: Any) -> None:
        canvas.saveState()
        canvas.setFont(REGULAR, 7)
        canvas.setFillColor(GREY)
        canvas.drawString(MARGIN, MARGIN / 2, _shown(name)[:100])
        canvas.drawRightString(A4[0] - MARGIN, MARGIN / 2, f"page {page.page}")
        canvas.restoreState()

    flow = [part for block in told for part in _drawn(block)]
    document.build(flow, onFirstPage=foot, onLaterPages=foot)
    return buffer.getvalue()


def _shown(text: str) -> str:
    """Return text with what the font has no picture for spelt out."""
    known = pdfmetrics.getFont(REGULAR).face.charToGlyph
    return "".join(one if ord(one) in known else one.encode("unicode_escape").decode() for one in text)


def _paragraph(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(_shown(text)), style)


def _drawn(block: Block) -> list[Any]:
    match block:
        case Title():
            drawn = _title(block)
        case Heading():
            begin: list[Any] = [PageBreak()] if block.page else [CondPageBreak(28 * mm), Spacer(0, 3 * mm)]
            line = HRFlowable(width="100%", thickness=0.6, color=LINE, spaceBefore=1 * mm, spaceAfter=2 * mm)
            drawn = [*begin, _paragraph(block.text, _style(11.5, bold=True)), line]
        case Text():
            drawn = [_paragraph(block.text, PLAIN), Spacer(0, 2 * mm)]
        case Wrong():
            drawn = [_wrong(block), Spacer(0, 2 * mm)]
        case Listed():
            items = [ListItem(_paragraph(item, PLAIN), leftIndent=5 * mm) for item in block.items]
            drawn = [ListFlowable(items, bulletType="bullet", start="•", bulletFontName=REGULAR, bulletFontSize=7)]
        case Grid():
            drawn = [_table(block), Spacer(0, 3 * mm)]
        case _:
            drawn = [_signatures(block)]
    return drawn


def _title(block: Title) -> list[Any]:
    dark, light, word = COLOURS.get(block.result, COLOURS["incomplete"])
    result = Table(
        [
            [
                [
                    _paragraph(word, _style(20, bold=True, textColor=dark)),
                    Spacer(0, 2 * mm),
                    _paragraph(block.sentence, _style(10.5)),
                ]
            ]
        ],
        colWidths=[WIDTH],
    )
    result.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, -1), light),
                ("LINEBEFORE", (0, 0), (0, -1), 5, dark),
                ("LEFTPADDING", (0, 0), (-1, -1), 6 * mm),
                ("TOPPADDING", (0, 0), (-1, -1), 4 * mm),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 5 * mm),
            ]
        )
    )
    return [
        _paragraph(block.text, _style(26, bold=True)),
        Spacer(0, 2 * mm),
        _paragraph(block.of, _style(14, textColor=GREY)),
        Spacer(0, 5 * mm),
        result,
        Spacer(0, 4 * mm),
    ]


def _wrong(block: Wrong) -> Table:
    first = Paragraph(f"<b>{escape(_shown(block.about))}:</b> {escape(_shown(block.what))}", PLAIN)
    table = Table([[[first, _paragraph(f"To do: {block.then}", PLAIN)]]], colWidths=[WIDTH])
    table.setStyle(
        TableStyle(
            [
                ("LINEBEFORE", (0, 0), (0, -1), 2.5, COLOURS["findings"][0]),
                ("LEFTPADDING", (0, 0), (-1, -1), 4 * mm),
            ]
        )
    )
    return table


def _table(grid: Grid) -> Table:
    rows = [[_paragraph(name, HEAD) for name in grid.head]] if grid.head else []
    for row in grid.rows:
        style = SMALL if grid.head else PLAIN
        cells = [_paragraph(cell, style) for cell in row]
        if not grid.head:
            cells[0] = _paragraph(row[0], _style(9, bold=True))
        rows.append(cells)
    table = Table(rows, colWidths=[WIDTH * share for share in grid.shares], repeatRows=1 if grid.head else 0)
    lines: list[tuple[Any, ...]] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("LEFTPADDING", (0, 0), (-1, -1), 1.5 * mm),
        ("RIGHTPADDING", (0, 0), (-1, -1), 1.5 * mm),
        ("TOPPADDING", (0, 0), (-1, -1), 0.8 * mm),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.2 * mm),
    ]
    if grid.head:
        lines.append(("LINEBELOW", (0, 0), (-1, 0), 1, GREY))
    table.setStyle(TableStyle(lines))
    return table


def _signatures(block: Signatures) -> KeepTogether:
    cells = [[_paragraph(f"{who}: name, date, signature", _style(7.5, textColor=GREY)) for who in block.who]]
    gap = 6 * mm
    width = (WIDTH - gap * (len(block.who) - 1)) / len(block.who)
    widths, row = [], []
    for number, cell in enumerate(cells[0]):
        if number:
            widths.append(gap)
            row.append("")
        widths.append(width)
        row.append(cell)
    table = Table([row], colWidths=widths)
    over = [("LINEABOVE", (column, 0), (column, 0), 0.7, colors.black) for column in range(0, len(row), 2)]
    table.setStyle(TableStyle([*over, ("LEFTPADDING", (0, 0), (-1, -1), 0)]))
    return KeepTogether([Spacer(0, 14 * mm), table])
