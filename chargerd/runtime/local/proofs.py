"""Wiring proofs as the daemon knows them: what the newest has shown, and who serves one when somebody asks for it.

What drives a proof is loaded when there is one. Of a proof before, a few words are read at the start: which boards
were seen not to open by themselves, and which ports were found exchanged when it was cut off.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from chargerd import log
from chargerd.config.site import Site
from chargerd.contract.ledger import Json
from chargerd.control.server import Responder
from chargerd.core.clock import Clock
from chargerd.core.events import DeadManTested, Event, ProofSuspected
from chargerd.core.facts import Fact
from chargerd.core.units import BoardId, PortId
from chargerd.runtime.engine import Engine

if TYPE_CHECKING:
    from chargerd.runtime.local.prover import Prover

Fields = Mapping[str, Json]
Listen: TypeAlias = Callable[[Callable[[tuple[Fact, ...]], None] | None], None]
FILE = "proof.json"
METHODS = ("prove", "prove-answer", "prove-report")


class Proofs:
    """All that the daemon has to do with proofs."""

    def __init__(
        self, *, site: Callable[[], Site], engine: Engine, clock: Clock, folder: Path, listen: Listen
    ) -> None:
        """`folder` is where the daemon keeps its state; `listen` hands facts on to whoever is given, or nobody."""
        self._site = site
        self._engine = engine
        self._clock = clock
        self._folder = folder
        self._listen = listen
        self._prover: Prover | None = None
        self.proved: frozenset[BoardId] = frozenset()
        """Boards whose dead-man has passed all its tests, with this configuration."""
        self.methods: Mapping[str, Callable[[Fields, Responder], None]] = {
            name: self._served_by(name) for name in METHODS
        }

    @property
    def busy(self) -> bool:
        """Whether one goes on just now."""
        return self._prover is not None and self._prover.busy

    def begin(self) -> None:
        """Tell the station what the newest proof had to say when the daemon before ended."""
        data = self._read()
        boards = {BoardId(str(name)): holds is True for name, holds in _object(data, "boards").items()}
        if data.get("digest") == self._site().digest:
            self.proved = frozenset(board for board, holds in boards.items() if holds)
        events: list[Event] = [
            DeadManTested(board=board, holds=False) for board, holds in boards.items() if not holds
        ]
        crossed = data.get("crossed")
        if data.get("settled") is not True and isinstance(crossed, list) and crossed:
            events.append(ProofSuspected(ports=tuple(PortId(str(port)) for port in crossed)))
        for event in events:
            self._engine.dispatch(event)

    def take_in(self, boards: Mapping[BoardId, bool]) -> None:
        """Take in what a proof has shown of boards, just now."""
        self.proved = frozenset(board for board, holds in boards.items() if holds)

    def _read(self) -> Fields:
        """Return the proof that was kept; an empty one if there is none.

        What it found good holds for its own configuration alone, what it found bad until it is proved again.
        """
        try:
            data = json.loads((self._folder / FILE).read_text(encoding="utf-8"))
            return _object(data, "data")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("proof_not_readable", path=str(self._folder / FILE), why=str(error))
            return {}

    def _served_by(self, method: str) -> Callable[[Fields, Responder], None]:
        def serve(params: Fields, respond: Responder) -> None:
            self._serving().methods[method](params, respond)

        return serve

    def _serving(self) -> "Prover":
        if self._prover is None:
            from chargerd.runtime.local.prover import Prover  # noqa: PLC0415 - loaded when somebody proves

            self._prover = Prover(
                site=self._site,
                engine=self._engine,
                clock=self._clock,
                path=self._folder / FILE,
                listen=self._listen,
                shown=self.take_in,
            )
        return self._prover


def _object(data: object, name: str) -> Fields:
    found = data.get(name) if isinstance(data, Mapping) else None
    return found if isinstance(found, dict) else {}
