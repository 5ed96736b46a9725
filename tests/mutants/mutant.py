"""What a mutant is: one rule of another room than the core changed, and the tests that must notice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """In `module` (below `chargerd`), `old` becomes `new`; `tests` must then fail."""

    rule: str
    module: str
    old: str
    new: str
    tests: str
