"""Long work in steps, with rests that grow with the steps: what others want of processor and disk comes first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

_REST_MOST_S: Final = 1.0  # after one step: a disk that hung for a minute is not waited for again


class Pace:
    """Rests `yielded` times as long as a step took. Made and used by the thread that works."""

    def __init__(self, stop: threading.Event, yielded: float, on_step: Callable[[], None] = lambda: None) -> None:
        self._stop, self._yielded, self._on_step = stop, yielded, on_step
        self._worked_since = time.monotonic()

    def rest(self) -> bool:
        """After a step. -> whether to end: `stop` was set."""
        self._on_step()
        worked_s = time.monotonic() - self._worked_since
        stopped = self._stop.wait(min(worked_s * self._yielded, _REST_MOST_S))
        self._worked_since = time.monotonic()
        return stopped
