"""`chargerd contract`: writes the contract's documents, which are made from the models."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from chargerd.cli.said import echo, echo_lines
from chargerd.contract.asyncapi import document, schemas
from chargerd.contract.messages import KINDS
from chargerd.contract.ocpp import mapping
from chargerd.contract.pages import index, page


def documents(examples_in: Path) -> dict[str, str]:
    """Return the text of every document, by its path below the folder it belongs into."""
    examples = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(examples_in.glob("*.json"))}
    made = {"asyncapi.json": _json(document(examples)), "ocpp.json": _json(mapping()), "README.md": index()}
    made |= {f"schemas/{name}.json": _json(schema) for name, schema in schemas().items()}
    made |= {f"{kind.name}.md": page(kind, examples) for kind in KINDS}
    return made


def _json(body: Mapping[str, object]) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def differing(folder: Path) -> list[str]:
    """Return the documents in a folder that are not what the models give."""
    return [name for name, text in documents(folder / "examples").items() if _read(folder / name) != text]


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


@click.command(name="contract")
@click.option("--write", "folder", type=click.Path(file_okay=False, path_type=Path), help="Write them all here.")
@click.option(
    "--check",
    "checked",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Say which ones in this folder are not up to date; exit code 1 if any is not.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def command(*, folder: Path | None, checked: Path | None, as_json: bool) -> None:
    """Print the AsyncAPI document of the MQTT contract, or write it with JSON Schemas and a page per message.

    Examples are taken from `examples/` in the folder that is written.
    """
    if checked is not None:
        stale = differing(checked)
        echo_lines(json.dumps({"differing": stale}) if as_json else "\n".join(stale) or "up to date")
        if stale and not as_json:
            echo(f"Run: chargerd contract --write {checked}", err=True)
        sys.exit(1 if stale else 0)
    if folder is None:
        echo_lines(_json(document({})).rstrip("\n"))
        return
    try:
        written = _write(folder)
    except OSError as error:
        echo(f"contract: {error.filename}: {error.strerror}; name a folder you may write to", err=True)
        sys.exit(1)
    echo(json.dumps({"written": written}) if as_json else f"{len(written)} documents written to {folder}")


def _write(folder: Path) -> list[str]:
    made = documents(folder / "examples")
    for name, text in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(made)
