"""Calls that change nothing, and how many of them are written down."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from zendeskd.api.shares import Pace

_BURST: Final = 100
_RATE_PER_S: Final = 0.1
"""Of each user 100 at once and 8,640 a day: such calls cost nothing to make, and a loop of them would fill the disk."""


class Unchanging:
    """Counts those that are left out of the logs. Any thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._pace = Pace(_RATE_PER_S, _BURST)
        self._left_out: Counter[int] = Counter()

    def due(self, uid: int) -> int | None:
        """How many were left out before this one, which is to be written; None if it is to be left out too."""
        with self._lock:
            if self._pace.take(uid, self._monotonic()) is None:
                self._left_out[uid] += 1
                return None
            return self._left_out.pop(uid, 0)
