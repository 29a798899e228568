"""Moving the write-ahead log into the database file beside whoever writes.

By itself SQLite moves it in the commit that fills it: the writer then waits twice for the disk, once for the log and
once for the file, and a sync for the writer. A thread of its own moves most of it meanwhile. What it leaves, or all of
it where no thread is to be had, SQLite still moves in a commit, which bounds the log (sqlite.org/wal.html, section 3).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

ROWS: Final = 6000
"""Changed rows between two moves, those of the search index with them: two pages of a thousand tickets, 10 MB."""


class Checkpoints:
    """`move` is called from the thread, which the first call that is due starts; it must not raise. -> whether the log
    has become so long that a commit has to move the rest, which then begins it anew: two cannot move it at once."""

    def __init__(self, move: Callable[[], bool]) -> None:
        self._move = move
        self._changed = threading.Condition()  # guards the next ones
        self._rows = 0
        self._thread: threading.Thread | None = None

    def wrote(self, rows: int) -> None:
        """So many rows were committed. One thread at a time."""
        with self._changed:
            self._rows += rows
            if self._rows < ROWS:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # no more threads: the commits do it, and the next one asks again
                    self._thread = None
            self._changed.notify()

    def stop(self, timeout_s: float) -> None:
        """End the thread after the move that is going on. The next `wrote` begins anew."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None:
            thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._rows >= ROWS or self._is_over())
                if self._is_over():
                    return
                self._rows = 0
            if self._move():
                with self._changed:
                    self._rows = -ROWS

    def _is_over(self) -> bool:
        return self._thread is not threading.current_thread()
