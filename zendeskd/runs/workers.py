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
SPARES_A_WORKER: Final = 3


class Turn(IntEnum):
    """Who goes first."""

    MANUAL = 0
    SCHEDULED = 1
    COMPARISON = 2


class Ticket:
    """A place in the queue. `withdraw` before a worker took it."""

    def __init__(self, work: Callable[[], None], what: str) -> None:
        self.work, self.what = work, what
        self.withdrawn = False


class Workers:
    """A bounded pool. `put`, `withdraw`, `lend` and the counts: any thread.

    A piece of work that was told to wait lends its place: a spare thread works meanwhile, so that a few accounts with
    small rate limits do not hold up all others. Places lent are bounded too.
    """

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
        self._doing: dict[str, str] = {}
        self._lenders: set[object] = set()
        self._spares: list[threading.Thread] = []
        self._spares_most = count * SPARES_A_WORKER
        self._spare_names = itertools.count(1)
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{number}", daemon=True) for number in range(1, count + 1)
        ]

    def start(self) -> None:
        for thread in self._threads:
            self._pulses[thread.name] = self._monotonic()
            thread.start()

    def put(self, turn: Turn, work: Callable[[], None], what: str = "") -> Ticket:
        """`what` names the work for people."""
        ticket = Ticket(work, what)
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

    def lend(self, lender: object, waits: bool) -> None:
        """Say whether a piece of work, named by any object, waits and needs no worker of its own now."""
        with self._changed:
            if not waits:
                self._lenders.discard(lender)
                self._changed.notify_all()  # a spare that idles ends
                return
            self._lenders.add(lender)
            if self._closing or not self._is_short_of_spares():
                return
            spare = threading.Thread(
                target=self._work_as_spare, name=f"worker-spare-{next(self._spare_names)}", daemon=True
            )
            self._spares.append(spare)
        spare.start()

    def close(self) -> None:
        """Take no more work; what is queued is dropped, what is going on finishes."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the workers to finish what they do. -> whether all did."""
        until = self._monotonic() + timeout_s
        with self._changed:
            threads = [*self._threads, *self._spares]
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - self._monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def pulse(self) -> None:
        """A worker says that it is alive. Only worker threads call it."""
        self._pulses[threading.current_thread().name] = self._monotonic()

    def pulses(self) -> dict[str, float]:
        """Seconds since each worker last moved. A dead thread's figure only grows."""
        now = self._monotonic()
        return {name: now - at for name, at in list(self._pulses.items())}

    def doing(self) -> dict[str, str]:
        """What each worker that has something to do does."""
        return dict(self._doing)

    def busy(self) -> int:
        return self._busy

    def waiting(self) -> int:
        with self._changed:
            return sum(not entry[2].withdrawn for queue in self._queues.values() for entry in queue)

    def _is_short_of_spares(self) -> bool:
        return len(self._spares) < min(len(self._lenders), self._spares_most)

    def _work_as_spare(self) -> None:
        self._work(is_spare=True)
        with self._changed:
            self._spares.remove(threading.current_thread())
            self._pulses.pop(threading.current_thread().name, None)

    def _work(self, *, is_spare: bool = False) -> None:
        while (taken := self._take(is_spare)) is not None:
            comparison, ticket = taken
            self._doing[threading.current_thread().name] = ticket.what
            try:
                ticket.work()
            except Exception:  # the frame of last resort: a bug costs one piece of work, never a worker
                log.exception("work failed")
            finally:
                del self._doing[threading.current_thread().name]
                with self._changed:
                    self._busy -= 1
                    self._comparing -= comparison
                    self._changed.notify()

    def _take(self, is_spare: bool) -> tuple[bool, Ticket] | None:
        with self._changed:
            while not self._closing:
                if is_spare and len(self._spares) > len(self._lenders):
                    return None
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
