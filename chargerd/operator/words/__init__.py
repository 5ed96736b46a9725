"""What pages say, in each language: the same names in each file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "zh")
LOCALES = {"en": "en", "zh": "zh-CN"}


@dataclass(frozen=True, slots=True)
class Words:
    """One language."""

    code: str
    texts: Mapping[str, Any]

    @property
    def locale(self) -> str:
        """Return what a page's `lang` says."""
        return LOCALES[self.code]

    def __call__(self, name: str, **figures: object) -> str:
        """Return a text by `section.name`, with its figures."""
        section, _dot, key = name.partition(".")
        found = self.texts[section]
        return str(found[key] if key else found).format(**figures)

    def of(self, section: str, code: str) -> str:
        """Return what a value of the contract means; more of them will come."""
        texts: Mapping[str, str] = self.texts[section]
        return texts.get(code, texts.get("other", "{code}")).format(code=code)


@cache
def words(code: str) -> Words:
    """Read a language."""
    path = Path(__file__).with_name(f"{code}.toml")
    return Words(code, tomllib.loads(path.read_text(encoding="utf-8")))


def preferred(asked: str | None, kept: str | None, accepted: str) -> str:
    """Return the language to speak: the one asked for, or kept, or what a browser accepts first."""
    for choice in (asked, kept):
        if choice in LANGUAGES:
            return choice
    best, chosen = 0.0, "en"
    for entry in accepted[:500].split(","):
        tag, _semicolon, weight = entry.strip().partition(";q=")
        language = tag.split("-")[0].lower()
        try:
            how_much = float(weight) if weight else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and how_much > best:
            best, chosen = how_much, language
    return chosen
