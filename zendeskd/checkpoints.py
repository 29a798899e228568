"""Moving the write-ahead log into the database file beside whoever writes.

By itself SQLite moves it in a commit that finds it long: the writer then waits twice for the disk, once for the log and
once for the file, and a sync waits for the writer. A thread of its own moves what a commit brought while the next one
is made. Two cannot move it at once, so a commit waits for the move that is going on: it finds little left to do, the
log stays as short as SQLite keeps it, and no writer runs away from a slow disk (sqlite.org/wal.html, sections 3, 4).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger("zendeskd.checkpoints")

ROWS: Final = 3000
"""Changed rows, those of the search index among them, that are worth a move: a page of a thousand new tickets, 5 MB."""


class Checkpoints:
    """`move` is called from the thread, which the first commit that is worth it starts; -> whether it went well. If it
    did not, every commit is followed by one until it does."""

    def __init__(self, move: Callable[[], bool]) -> None:
        self._move = move
        self._changed = threading.Condition()  # guards the next ones
        self._thread: threading.Thread | None = None
        self._rows = 0
        self._is_due = self._is_moving = self._failed = False
        self._is_over = True

    @property
    def failed(self) -> bool:
        """Whether the last move did not go well. Any thread."""
        return self._failed

    def start(self) -> None:
        """Be ready. The thread that opens the database."""
        with self._changed:
            self._is_over, self._failed, self._rows = False, False, 0

    def wrote(self, rows: int) -> None:
        """So many rows were committed. Who has the turn to write."""
        with self._changed:
            self._rows += rows
            self._is_due = (self._rows >= ROWS or self._failed) and not self._is_over and self._has_thread()
            self._changed.notify_all()

    def rest(self, timeout_s: float) -> bool:
        """Wait until no move is going on; none begins until `wrote`. -> whether that came about. Who has the turn."""
        with self._changed:
            self._is_due = False  # one that has not begun is left to the next commit
            return self._changed.wait_for(lambda: not self._is_moving, timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """End the thread after the move that is going on, and wait so long for it. -> whether it has ended."""
        with self._changed:
            self._is_over, self._is_due = True, False
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def _has_thread(self) -> bool:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no more threads: the commits move it by themselves, and the next one asks again
                self._thread = None
        return self._thread is not None

    def _run(self) -> None:
        while self._begins():
            went_well = False
            try:
                went_well = self._move()
            except Exception:  # the thread's frame of last resort: a commit can still move it
                log.exception("the log was not moved by a bug")
            finally:
                with self._changed:
                    self._is_moving, self._failed = False, not went_well
                    self._changed.notify_all()

    def _is_left(self) -> bool:
        """Whether this thread is no more the one: a move that hung may end after the next `start`."""
        return self._is_over or self._thread is not threading.current_thread()

    def _begins(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._is_due or self._is_left())
            if self._is_left():
                return False
            self._is_due, self._is_moving, self._rows = False, True, 0
            return True
