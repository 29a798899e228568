"""The worker threads and their queue: what a person asked for first, comparisons last and never on every worker."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Final

import structlog

log = structlog.get_logger("zendeskd.runs.workers")

_IDLE_SLICE_S: Final = 10.0


class Turn(IntEnum):
    """Who goes first."""

    MANUAL = 0
    SCHEDULED = 1
    COMPARISON = 2


class Ticket:
    """A place in the queue. `withdraw` before a worker took it."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.withdrawn = False


class Workers:
    """A bounded pool. `put`, `withdraw` and the counts: any thread."""

    def __init__(self, count: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._queues: dict[bool, list[tuple[Turn, int, Ticket]]] = {False: [], True: []}  # by "is a comparison"
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closing = False
        self._busy = 0
        self._comparing = 0
        self._comparing_most = max(1, count // 2)
        self._pulses: dict[str, float] = {}
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True) for number in range(1, count + 1)
        ]

    def start(self) -> None:
        for thread in self._threads:
            self._pulses[thread.name] = self._monotonic()
            thread.start()

    def put(self, turn: Turn, work: Callable[[], None]) -> Ticket:
        ticket = Ticket(work)
        with self._changed:
            heapq.heappush(self._queues[turn is Turn.COMPARISON], (turn, next(self._order), ticket))
            self._changed.notify()
        return ticket

    def hasten(self, ticket: Ticket) -> None:
        """Move a place in the queue among those that people asked for."""
        with self._changed:
            queue = self._queues[False]
            for at, (_, order, waiting) in enumerate(queue):
                if waiting is ticket:
                    queue[at] = (Turn.MANUAL, order, ticket)
                    heapq.heapify(queue)
                    return

    def withdraw(self, ticket: Ticket) -> bool:
        """Take the place back. False if a worker has begun with it."""
        with self._changed:
            waiting = any(entry[2] is ticket for queue in self._queues.values() for entry in queue)
            ticket.withdrawn = waiting
            return waiting

    def close(self) -> None:
        """Take no more work; what is queued is dropped, what is going on finishes."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the workers to finish what they do. -> whether all did."""
        until = self._monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - self._monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def pulse(self) -> None:
        """A worker says that it is alive. Only worker threads call it."""
        self._pulses[threading.current_thread().name] = self._monotonic()

    def pulses(self) -> dict[str, float]:
        """Seconds since each worker last moved. A dead thread's figure only grows."""
        now = self._monotonic()
        return {name: now - at for name, at in list(self._pulses.items())}

    def busy(self) -> int:
        return self._busy

    def waiting(self) -> int:
        with self._changed:
            return sum(not entry[2].withdrawn for queue in self._queues.values() for entry in queue)

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            comparison, ticket = taken
            try:
                ticket.work()
            except Exception:  # the frame of last resort: a bug costs one piece of work, never a worker
                log.exception("work failed")
            finally:
                with self._changed:
                    self._busy -= 1
                    self._comparing -= comparison
                    self._changed.notify()

    def _take(self) -> tuple[bool, Ticket] | None:
        with self._changed:
            while not self._closing:
                self.pulse()
                for comparison in (False, True):
                    if comparison and self._comparing >= self._comparing_most:
                        continue
                    queue = self._queues[comparison]
                    while queue:
                        ticket = heapq.heappop(queue)[2]
                        if not ticket.withdrawn:
                            self._busy += 1
                            self._comparing += comparison
                            return comparison, ticket
                self._changed.wait(_IDLE_SLICE_S)
        return None
