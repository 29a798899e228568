"""What is there for all callers together, and how much of it one process and one user may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from zendeskd.api.problems import Refused
from zendeskd.connection import Peer

OF_A_PROCESS: Final = 4
OF_A_USER: Final = 2
"""One process may take a quarter of what there is and one user half of it, so that neither locks the others out."""


class Places:
    """A bounded number of something at a time. Event loop only."""

    def __init__(self, what: str, limit: int) -> None:
        self._what, self._limit = what, limit
        self._processes: Counter[int] = Counter()
        self._users: Counter[int] = Counter()

    @contextmanager
    def one(self, peer: Peer) -> Iterator[None]:
        """Raises Refused when there is none left."""
        if (
            self._users.total() >= self._limit
            or self._processes[peer.pid] >= max(1, self._limit // OF_A_PROCESS)
            or self._users[peer.uid] >= max(1, self._limit // OF_A_USER)
        ):
            raise Refused(
                503, "busy", f"too many {self._what} at a time", hint="try again in a second", retry_after_s=1
            )
        shares = ((self._processes, peer.pid), (self._users, peer.uid))
        for held, key in shares:
            held[key] += 1
        try:
            yield
        finally:
            for held, key in shares:
                held[key] -= 1
                if not held[key]:
                    del held[key]


class Pace:
    """A token bucket for each user. Whoever calls it sees to it that one thread does at a time."""

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate, self._burst = rate_per_s, burst
        self._left: dict[int, tuple[float, float]] = {}  # tokens, fewer than none for debts, and as of when

    def take(self, uid: int, now: float, patience_s: float = 0.0) -> float | None:
        """For how long to wait for the next token; None, and none is taken, if that is beyond all patience."""
        tokens, since = self._left.get(uid, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - since) * self._rate) - 1.0
        wait_s = max(0.0, -tokens / self._rate)
        if wait_s > patience_s:
            return None
        self._left[uid] = (tokens, now)
        return wait_s
