"""Where log lines go so that no thread ever waits for whoever reads them.

A full pipe, a stalled disk behind it or a reader that has gone must not hold a bus thread: lines are put into a
bounded queue and written by a thread of their own. What does not fit, or cannot be written, is dropped.
"""

import queue
import threading
from typing import TextIO

MOST_LINES = 2000


class LogQueue:
    """A file to write to. Never blocks, never raises."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: queue.Queue[str] = queue.Queue(MOST_LINES)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self.dropped = 0
        self._thread.start()

    def write(self, line: str) -> int:
        """Queue a line; a full queue drops it, since a trip must not wait for whoever reads the log."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1
        return len(line)

    def flush(self) -> None:
        """Do nothing: the thread flushes what it writes."""

    def close(self, timeout: float) -> None:
        """Give the thread a moment to write what is queued."""
        waiter = threading.Thread(target=self._lines.join, name="last lines", daemon=True)
        waiter.start()
        waiter.join(timeout)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            try:
                self._file.write(line)
                self._file.flush()
            except (OSError, ValueError):
                self.dropped += 1  # The reader is gone, or the disk behind it is full.
            finally:
                self._lines.task_done()
