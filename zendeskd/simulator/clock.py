"""The simulator's own time: that of a given clock, and as much ahead of it as it was told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

SETTLE_S = 60
"""The export does not show rows of the most recent minute."""


class Clock:
    """Any thread."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._ahead_s = 0.0

    def seconds(self) -> float:
        """Unix time."""
        with self._lock:
            return self._now().timestamp() + self._ahead_s

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds(), UTC)

    def advance(self, seconds: float) -> None:
        """Move this clock alone ahead. Raises ValueError for a negative span: Zendesk's clock does not go back."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back: {seconds}")
        with self._lock:
            self._ahead_s += seconds
