"""Settings a board must have before it is used: read, written where they are wrong, and read again. No I/O here.

One transaction at a time, so that an opening never waits for more than one of them. A board that is silent to a
setting is read back before it is asked again: openings are confirmed meanwhile, and a board that answers that is
not away, but does not know the question.
"""

from collections import deque

from chargerd.modbus.board import RelayBoard
from chargerd.modbus.frames import Request

SILENCES = 5
"""How often in a row a board that answers other questions may leave one of these unanswered. Lost frames are
likelier than such a board: of a line that loses each tenth, one preparation in thousands ends by this."""


class Preparing:
    """How far the preparation of one board has come. A board that does not take a setting is used all the same."""

    def __init__(self, board: RelayBoard) -> None:
        self._board = board
        self.attempt = 0
        """How often it has begun."""
        self.begin()

    def begin(self) -> None:
        """Begin anew: the board may be another one, or have forgotten."""
        self.attempt += 1
        self._left = deque(self._board.settings)
        self._writes: deque[Request] = deque()
        self._written = False
        self._silences = 0
        self.unheard = False
        """Whether what was asked last was not answered, and nothing else since."""
        self.failed: str | None = None
        """The name of the setting the board did not take; `None` while all is well."""

    @property
    def over(self) -> bool:
        """Say whether there is nothing more to try."""
        return not self._left or self.failed is not None

    @property
    def good(self) -> bool:
        """Say whether every setting has been read and was right."""
        return not self._left and self.failed is None

    def request(self) -> Request:
        """Return the next request. Asked again after a silence, it is the same."""
        return self._writes[0] if self._writes else self._board.read_setting(self._left[0])

    def answered(self, pdu: bytes) -> None:
        """Take the answer to the last request."""
        self._silences, self.unheard = 0, False
        if self._writes:
            self._writes.popleft()
            return
        wrong = self._board.wrong(self._left[0], pdu)
        if not wrong:
            self._left.popleft()
            self._written = False
        elif self._written:
            self.refused()
        else:
            self._writes.extend(wrong)
            self._written = True

    def refused(self) -> None:
        """Give up: the board does not know what was asked, or did not keep what it was told.

        What an older board need not know it has not got, as long as it says so when it is only asked.
        """
        if self._left[0].optional and not self._written:
            self._left.popleft()
        else:
            self.failed = self._left[0].name

    def silent(self) -> None:
        """The last request was not answered: the board is away, or does not speak of this."""
        self.unheard = True

    def spoke(self) -> None:
        """The board has answered something else: what it is silent to is given up in the end.

        Silence is no refusal: also what an older board need not know counts as not set then.
        """
        self._silences, self.unheard = self._silences + 1, False
        if self._silences >= SILENCES:
            self.failed = self._left[0].name
