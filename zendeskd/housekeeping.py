"""Chores that read or write the database for a while, one after the other on a thread of their own: behind runs and
comparisons they might never have their turn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger("zendeskd.housekeeping")


class Housekeeping:
    """Any thread may call any method."""

    def __init__(self) -> None:
        self.ending: Final = threading.Event()  # a long chore looks at it
        self._due: dict[str, Callable[[], None]] = {}
        self._changed = threading.Condition()  # guards the last
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, name: str, chore: Callable[[], None]) -> None:
        """Have it done after those that wait. One of this name that waits already is done once."""
        with self._changed:
            self._due.setdefault(name, chore)
            self._changed.notify()

    def stop(self, timeout_s: float) -> bool:
        """End after the chore that is going on, the others stay undone. -> whether it has ended. Also a second time."""
        self.ending.set()
        with self._changed:
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (chore := self._next()) is not None:
            name, work = chore
            try:
                work()
            except Exception:  # the thread's frame of last resort: the next one is done all the same
                log.exception("a chore failed by a bug", chore=name)

    def _next(self) -> tuple[str, Callable[[], None]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._due or self.ending.is_set())
            if self.ending.is_set():
                return None
            name = next(iter(self._due))
            return name, self._due.pop(name)
