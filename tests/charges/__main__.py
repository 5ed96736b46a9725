"""`python -m tests.charges`: how generated charges are named, as a confusion matrix. Figures, no verdict."""

import argparse
import json
from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.charges.judge import Matrix, matrix
from tests.charges.profiles import KINDS, Truth, charges

REPORTED, TUNED_ON = 2, 1
"""Seeds: thresholds were chosen on one half, what is reported comes from the other."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the matrix."""
    parser = argparse.ArgumentParser(prog="python -m tests.charges", description=__doc__)
    parser.add_argument("--of-each", type=int, default=25, help="charges of each kind (default: 25)")
    parser.add_argument("--seed", type=int, default=REPORTED, help=f"{TUNED_ON} is the half it was tuned on")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    result = matrix(charges(chosen.seed, chosen.of_each))
    if chosen.json:
        print(json.dumps(as_json(result), indent=1))  # noqa: T201 - what it is for
    else:
        show(result, Console(), chosen.of_each * len(KINDS))


def as_json(result: Matrix) -> dict[str, object]:
    """Return the same as data."""
    return {
        "counted": {f"{truth.value} -> {said}": count for (truth, said), count in result.counted.items()},
        "not_knowable": {f"{kind} -> {said}": count for (kind, said), count in result.unknowable.items()},
        "right_ends": result.right_ends,
        "told_with": {f"{sure:g}": result.right(sure) for sure in sorted({sure for sure, _ in result.told})},
        "least_energy": min(map(min, result.shares.values()), default=None),
        "latest_s": {kind: max(late) for kind, late in result.late.items()},
        "cut_short": [charge.kind for charge, _ in result.cut_short],
    }


def show(result: Matrix, console: Console, total: int) -> None:
    """Print the same as tables."""
    said = [*(truth.value for truth in Truth)]
    table = Table("what happened", *said, title=f"{total} generated charges: what was said of them")
    for truth in Truth:
        table.add_row(truth.value, *(str(result.counted[truth, name] or "·") for name in said))
    console.print(table)
    console.print(f"ends named right: {result.right_ends:.1%}")
    sure = Table("confidence", "ends", "right", title="what it says of how sure it is")
    for confidence in sorted({confidence for confidence, _ in result.told}):
        count = result.told[confidence, True] + result.told[confidence, False]
        sure.add_row(f"{confidence:g}", str(count), f"{result.right(confidence):.1%}")
    console.print(sure)
    when = Table("what happened", "told after, minutes", "at most", "energy drawn when called full, at least")
    for kind, late in result.late.items():
        least = f"{min(result.shares[kind]):.1%}" if kind in result.shares else "-"
        when.add_row(kind, f"{median(late) / 60:.0f}", f"{max(late) / 60:.0f}", least)
    console.print(when)
    beyond = Table("what cannot be known", "said", "times", "confidence at most")
    for (kind, name), count in sorted(result.unknowable.items()):
        said_with = result.confidences.get((kind, name))
        beyond.add_row(kind, str(name), str(count), f"{max(said_with):.2f}" if said_with else "-")
    console.print(beyond)
    known = [charge.kind for charge, _ in result.cut_short if charge.knowable]
    small = len(result.cut_short) - len(known)
    console.print(f"stopped on their plateau: {len(known)}, and {small} that never drew 25 W (after two hours)")
    for charge, verdict in result.wrong:
        console.print(f"wrong: {charge.kind} was called {verdict.said} ({charge.meter})", style="yellow")


if __name__ == "__main__":
    main()
