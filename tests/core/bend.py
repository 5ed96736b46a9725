"""What a bend is: one protective rule changed, and the scenario that must notice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bend:
    """In `module`, `old` becomes `new`; `scenario` (module:function, below `tests`) must go red."""

    module: str
    old: str
    new: str
    scenario: str
    arguments: tuple[object, ...] = ()
    keywords: tuple[tuple[str, object], ...] = ()
