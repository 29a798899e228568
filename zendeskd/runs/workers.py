"""The worker threads and their queue: what a person asked for first, what may take long never on every worker."""

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
SPARES_MOST: Final = 64
"""However many workers there are: each has two threads more, which fetch and ask ahead, and pages in memory. TasksMax
in the unit fits it."""


class Turn(IntEnum):
    """Who goes first. From DOUBTFUL on, half of the workers is the most they get together."""

    MANUAL = 0
    SCHEDULED = 1
    DOUBTFUL = 2  # a call to a source that could not be reached the last time
    COMPARISON = 3


class Ticket:
    """A place in the queue. `withdraw` before a worker took it."""

    def __init__(self, turn: Turn, work: Callable[[], None], what: str) -> None:
        self.turn, self.work, self.what = turn, work, what
        self.withdrawn = False

    @property
    def may_take_half(self) -> bool:
        """Rather than every worker."""
        return self.turn >= Turn.DOUBTFUL


class Workers:
    """A bounded pool. `put`, `withdraw`, `lend`, `mend` and the counts: any thread.

    A piece of work that waits for its source lends its place: a spare thread works meanwhile, so that a few accounts
    with small rate limits, or that do not answer, do not hold up all others. Places lent are bounded too.
    """

    def __init__(self, count: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._queues: dict[bool, list[tuple[Turn, int, Ticket]]] = {False: [], True: []}  # by `may_take_half`
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closing = False
        self._half = max(1, count // 2)
        self._pulses: dict[str, float] = {}
        self._going: dict[str, Ticket] = {}  # by the name of the thread
        self._lenders: dict[Ticket, set[str]] = {}  # and what each waits for
        self._spares: list[threading.Thread] = []
        self._spares_most = min(count * SPARES_A_WORKER, SPARES_MOST)
        self._spare_names = itertools.count(1)
        self._threads = [self._worker(f"worker-{number}") for number in range(1, count + 1)]

    def start(self) -> None:
        for thread in self._threads:
            self._pulses[thread.name] = self._monotonic()
            thread.start()

    def put(self, turn: Turn, work: Callable[[], None], what: str = "") -> Ticket:
        """`what` names the work for people."""
        ticket = Ticket(turn, work, what)
        with self._changed:
            self._push(ticket)
        return ticket

    def hasten(self, ticket: Ticket) -> None:
        """Move a place in the queue among those that people asked for."""
        with self._changed:
            for queue in self._queues.values():
                waiting = [entry for entry in queue if entry[2] is not ticket]
                if len(waiting) < len(queue):
                    queue[:] = waiting
                    heapq.heapify(queue)
                    ticket.turn = Turn.MANUAL
                    self._push(ticket)
                    return

    def withdraw(self, ticket: Ticket) -> bool:
        """Take the place back. False if a worker has begun with it."""
        with self._changed:
            waiting = any(entry[2] is ticket for queue in self._queues.values() for entry in queue)
            ticket.withdrawn = waiting
            return waiting

    def lend(self, ticket: Ticket, waits: bool, why: str) -> None:
        """Say whether a piece of work that is going on waits, for `why`, and needs no worker of its own now."""
        with self._changed:
            reasons = self._lenders.setdefault(ticket, set())
            (reasons.add if waits else reasons.discard)(why)
            if not reasons:
                del self._lenders[ticket]
            self._changed.notify_all()  # a spare that idles ends, or there is room among the half
            if not waits or self._closing or not self._is_short_of_spares():
                return
            spare = self._worker(f"worker-spare-{next(self._spare_names)}", is_spare=True)
            self._spares.append(spare)
        self._begin(spare)

    def mend(self) -> list[str]:
        """Start threads that died anew. -> their names; what they were doing is lost. Raises RuntimeError while there
        are no more threads to be had."""
        with self._changed:
            if self._closing:
                return []
            dead = [one for one in (*self._threads, *self._spares) if one.ident is not None and not one.is_alive()]
            for thread in dead:
                self._finished(thread)
                if thread in self._spares:
                    self._spares.remove(thread)
                    self._pulses.pop(thread.name, None)
                    continue
                fresh = self._worker(thread.name)
                fresh.start()
                self._threads[self._threads.index(thread)] = fresh
                self._pulses[fresh.name] = self._monotonic()
        return [thread.name for thread in dead]

    def close(self) -> None:
        """Take no more work; what is queued is dropped, what is going on finishes."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the workers to finish what they do. -> whether all did."""
        until = time.monotonic() + timeout_s  # as `Thread.join` measures it
        with self._changed:
            threads = [*self._threads, *self._spares]
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, until - time.monotonic()))
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
        with self._changed:
            return {name: ticket.what for name, ticket in self._going.items()}

    def busy(self) -> int:
        return len(self._going)

    def waiting(self) -> int:
        with self._changed:
            return sum(not entry[2].withdrawn for queue in self._queues.values() for entry in queue)

    # --- inside; all but the threads' own frames hold the condition ---------------------------------------------------

    def _worker(self, name: str, *, is_spare: bool = False) -> threading.Thread:
        return threading.Thread(target=self._work_as_spare if is_spare else self._work, name=name, daemon=True)

    def _push(self, ticket: Ticket) -> None:
        heapq.heappush(self._queues[ticket.may_take_half], (ticket.turn, next(self._order), ticket))
        self._changed.notify()

    def _is_short_of_spares(self) -> bool:
        return len(self._spares) < min(len(self._lenders), self._spares_most)

    def _begin(self, spare: threading.Thread) -> None:
        try:
            spare.start()
        except RuntimeError as error:  # no more threads to be had: the others do without it
            log.warning("no spare worker", error=str(error))
            with self._changed:
                self._spares.remove(spare)

    def _work_as_spare(self) -> None:
        self._work(is_spare=True)
        with self._changed:
            self._spares.remove(threading.current_thread())
            self._pulses.pop(threading.current_thread().name, None)

    def _work(self, *, is_spare: bool = False) -> None:
        while (ticket := self._take(is_spare)) is not None:
            try:
                ticket.work()
            except BaseException:  # the frame of last resort: a bug costs one piece of work, never a worker
                log.exception("work failed", what=ticket.what)
            finally:
                with self._changed:
                    self._finished(threading.current_thread())

    def _finished(self, thread: threading.Thread) -> None:
        ticket = self._going.pop(thread.name, None)
        if ticket is not None:
            self._lenders.pop(ticket, None)
        self._changed.notify_all()

    def _take(self, is_spare: bool) -> Ticket | None:
        with self._changed:
            while not self._closing:
                if is_spare and len(self._spares) > len(self._lenders):
                    self._changed.notify()  # what woke it may be for another one
                    return None
                self.pulse()
                for queue in self._queues.values():
                    while queue and (queue[0][2].withdrawn or self._has_room_for(queue[0][2])):
                        ticket = heapq.heappop(queue)[2]
                        if not ticket.withdrawn:
                            self._going[threading.current_thread().name] = ticket
                            return ticket
                self._changed.wait(_IDLE_SLICE_S)
        return None

    def _has_room_for(self, ticket: Ticket) -> bool:
        if not ticket.may_take_half:
            return True
        going = [one for one in self._going.values() if one.may_take_half]
        if ticket.turn is Turn.COMPARISON and sum(one.turn is Turn.COMPARISON for one in going) >= self._half:
            return False  # however they wait: what they hold in memory is bounded
        replaced = set(itertools.islice(self._lenders, self._spares_most))  # a spare works in their place
        return sum(one not in replaced for one in going) < self._half
