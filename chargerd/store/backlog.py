"""Batches that could not be written yet, in the order in which they have to be."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from chargerd.contract.ledger import Batch, LedgerEntry


def is_checkpoint(batch: Batch) -> bool:
    """Say whether a batch holds nothing but totals and warmths, which newer ones make worthless."""
    totals = Batch(sessions=batch.sessions, warmths=batch.warmths)
    return batch == totals and totals != Batch()


def only_replies(batch: Batch) -> bool:
    """Say whether a batch holds nothing but replies, which stay true whatever became of the waiting caller."""
    return bool(batch.replies) and batch == Batch(replies=batch.replies)


class Backlog:
    """Keeps batches until they are written. Of checkpoints only the newest of each session stays."""

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()

    def __len__(self) -> int:
        return len(self._batches)

    def keep(self, batch: Batch) -> None:
        """Add a batch behind all others."""
        if is_checkpoint(batch):
            self._forget_older(batch)
        self._batches.append(batch)

    def first(self, count: int) -> Sequence[Batch]:
        """Return the `count` oldest batches, or all if there are fewer."""
        return [self._batches[place] for place in range(min(count, len(self._batches)))]

    def written(self, count: int) -> None:
        """Forget the `count` oldest batches."""
        for _ in range(count):
            self._batches.popleft()

    def tell_boot(self, unknown: int, boot: int) -> None:
        """Give rows that were made before anybody could count the boots the number of theirs."""
        self._batches = deque(
            replace(batch, entries=tuple(_of_boot(entry, unknown, boot) for entry in batch.entries))
            for batch in self._batches
        )

    def _forget_older(self, newer: Batch) -> None:
        thinned = (_without(batch, newer) if is_checkpoint(batch) else batch for batch in self._batches)
        self._batches = deque(batch for batch in thinned if batch != Batch())


def _of_boot(entry: LedgerEntry, unknown: int, boot: int) -> LedgerEntry:
    if entry.moment.boot != unknown:
        return entry
    return replace(entry, moment=replace(entry.moment, boot=boot))


def _without(batch: Batch, newer: Batch) -> Batch:
    sessions = {record.order.session for record in newer.sessions}
    ports = {warmth.port for warmth in newer.warmths}
    return replace(
        batch,
        sessions=tuple(record for record in batch.sessions if record.order.session not in sessions),
        warmths=tuple(warmth for warmth in batch.warmths if warmth.port not in ports),
    )
