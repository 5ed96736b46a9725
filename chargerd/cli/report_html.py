"""The report of a wiring proof as one HTML file that needs nothing else: no script, no picture, no network."""

from collections.abc import Iterable
from html import escape

from chargerd.cli.report_pages import Block, Grid, Heading, Listed, Text, Title, Wrong

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; max-width: 56rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 2.2rem; margin: 0; } .of { font-size: 1.2rem; color: #555; margin: 0 0 1.5rem; }
h2 { font-size: 1.15rem; border-bottom: 1px solid #bbb; margin-top: 2rem; padding-bottom: .2rem; }
.result { padding: 1rem 1.2rem; border-left: .6rem solid; margin: 1rem 0; } .result b { font-size: 1.4rem; }
.proved { border-color: #1b7a3d; background: #eaf6ee; } .findings { border-color: #b3261e; background: #fcecea; }
.incomplete { border-color: #9a6a00; background: #fdf5e3; }
.wrong { border-left: .3rem solid #b3261e; padding: .1rem 1rem; margin: .8rem 0; } .wrong p { margin: .2rem 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: .6rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .5rem; border-bottom: 1px solid #ddd; }
td, th, p { overflow-wrap: anywhere; } thead th { border-bottom: 2px solid #777; }
.sign { display: flex; gap: 2rem; margin: 3rem 0 1rem; flex-wrap: wrap; }
.sign div { flex: 1 1 12rem; border-top: 1px solid #333; padding-top: .3rem; font-size: .85rem; }
@media print { body { margin: 0; font-size: 10pt; max-width: none; } h2.page { break-before: page; }
  h2, thead { break-after: avoid; } tr, .wrong, .result { break-inside: avoid; } }
"""
RESULTS = {"proved": "PROVED", "findings": "FINDINGS", "incomplete": "INCOMPLETE"}


def html(blocks: Iterable[Block]) -> str:
    """Return the page."""
    told = list(blocks)
    title = next((f"{block.text} {block.of}" for block in told if isinstance(block, Title)), "")
    body = "\n".join(_drawn(block) for block in told)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _drawn(block: Block) -> str:
    match block:
        case Title():
            word, kind = escape(RESULTS.get(block.result, block.result)), escape(block.result)
            told = f"<b>{word}</b><br>{escape(block.sentence)}"
            name = f'<h1>{escape(block.text)}</h1>\n<p class="of">{escape(block.of)}</p>'
            drawn = f'{name}\n<div class="result {kind}">{told}</div>'
        case Heading():
            drawn = f"<h2{' class=page' if block.page else ''}>{escape(block.text)}</h2>"
        case Text():
            drawn = f"<p>{escape(block.text)}</p>"
        case Wrong():
            what = f"<p><b>{escape(block.about)}:</b> {escape(block.what)}</p>"
            drawn = f'<div class="wrong">{what}<p>To do: {escape(block.then)}</p></div>'
        case Listed():
            drawn = f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in block.items)}</ul>"
        case Grid():
            drawn = _table(block)
        case _:
            lines = "".join(f"<div>{escape(who)}: name, date, signature</div>" for who in block.who)
            drawn = f'<div class="sign">{lines}</div>'
    return drawn


def _table(grid: Grid) -> str:
    widths = "".join(f'<col style="width:{share:.0%}">' for share in grid.shares)
    head = "".join(f"<th>{escape(name)}</th>" for name in grid.head)
    rows = []
    for row in grid.rows:
        cells = [f"<td>{escape(cell)}</td>" for cell in row]
        if not grid.head:
            cells[0] = f"<th>{escape(row[0])}</th>"
        rows.append(f"<tr>{''.join(cells)}</tr>")
    top = f"<thead><tr>{head}</tr></thead>" if grid.head else ""
    body = f"<colgroup>{widths}</colgroup>{top}<tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table>{body}</table></div>'
