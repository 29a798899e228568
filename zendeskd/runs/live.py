"""A run while it goes on: its progress, its rate, what it waits for, and the token that ends it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from zendeskd.cancel import CancelToken
from zendeskd.models import BudgetView, CallStats, Page, PageCounts, RunView, Waiting

_RATE_WINDOW_S: Final = 60.0


class LiveRun:
    """Written by the run's worker and by whoever calls its source, read by any thread.

    `window_from` is where in the source's time the run begins; None if not known before the first page.
    `calls` and `budgets` are those of the run's source, once it is open.
    """

    def __init__(
        self,
        run_id: int,
        kind: str,
        trigger: str,
        requested_by: str | None,
        *,
        now: Callable[[], datetime],
        deadline_s: float,
        on_progress: Callable[[], None],
        on_wait: Callable[[Waiting | None], None],
        on_quiet: Callable[[bool], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id, self.kind, self.trigger, self.requested_by = run_id, kind, trigger, requested_by
        self.cancel = CancelToken()
        self.ended = threading.Event()
        self.started_at = now()
        self.window_from: datetime | None = None
        self.base_total = 0  # records there were when it began
        self.calls = CallStats()
        self.budgets: Callable[[], tuple[BudgetView, ...]] = tuple
        self._now, self._monotonic = now, monotonic
        self._deadline = monotonic() + deadline_s
        self._on_progress, self._on_wait, self.quiet = on_progress, on_wait, on_quiet
        self._lock = threading.Lock()
        self._pages = 0
        self._counts = PageCounts()
        self._watermark: datetime | None = None
        self._waiting: Waiting | None = None
        self._samples: deque[tuple[float, int, datetime | None]] = deque()

    # --- told by the run ------------------------------------------------------------------------------------------

    def page_stored(self, page: Page, counts: PageCounts) -> None:
        with self._lock:
            self._pages += 1
            self._counts.add(counts)
            reached = page.watermark or page.reached
            self._watermark = reached or self._watermark
            if self.window_from is None:
                self.window_from = reached
            at = self._monotonic()
            self._samples.append((at, self._counts.read, self._watermark))
            while len(self._samples) > 2 and self._samples[1][0] < at - _RATE_WINDOW_S:
                self._samples.popleft()
        self.alive()
        self._on_progress()

    def waits(self, waiting: Waiting | None) -> None:
        with self._lock:
            if waiting is None and self._waiting is None:
                return
            self._waiting = waiting
        self._on_wait(waiting)

    def alive(self) -> None:
        """Called every few seconds while the run goes on; ends it when its time is over."""
        if self._monotonic() >= self._deadline:
            self.cancel.set("deadline")

    # --- asked by anyone ------------------------------------------------------------------------------------------

    def is_waiting(self) -> bool:
        """Whether the source waits and has said until when: for a rate limit, or before it tries again."""
        with self._lock:
            return self._waiting is not None

    def view(self) -> RunView:
        with self._lock:
            counts = replace(self._counts)
            waiting, pages, watermark = self._waiting, self._pages, self._watermark
            samples = list(self._samples)
        calls = replace(self.calls)
        now = self._now()
        return RunView(
            id=self.id,
            kind=self.kind,
            trigger=self.trigger,
            requested_by=self.requested_by,
            started_at=self.started_at,
            pages=pages,
            counts=counts,
            rate=self._rate(samples, counts.read, now),
            progress=self._progress(watermark, now),
            eta_s=_eta_s(samples, now),
            calls=calls,
            waiting=waiting,
        )

    def _rate(self, samples: list[tuple[float, int, datetime | None]], read: int, now: datetime) -> float | None:
        if len(samples) >= 2 and samples[-1][0] > samples[0][0]:
            return (samples[-1][1] - samples[0][1]) / (samples[-1][0] - samples[0][0])
        took = (now - self.started_at).total_seconds()
        return read / took if samples and took > 0 else None

    def _progress(self, watermark: datetime | None, now: datetime) -> float | None:
        """(where the stream is - where the run began) / (now - where the run began): a share of the time window."""
        if watermark is None or self.window_from is None:
            return None
        window = (now - self.window_from).total_seconds()
        if window <= 0:
            return None
        return min(1.0, max(0.0, (watermark - self.window_from).total_seconds() / window))


def _eta_s(samples: list[tuple[float, int, datetime | None]], now: datetime) -> int | None:
    """Seconds left, from how fast the stream's own time went by lately; None while that says nothing."""
    if len(samples) < 3 or samples[0][2] is None or samples[-1][2] is None:
        return None
    took = samples[-1][0] - samples[0][0]
    covered = samples[-1][2] - samples[0][2]
    if took <= 0 or covered <= timedelta(0):
        return None
    return max(0, round((now - samples[-1][2]).total_seconds() / covered.total_seconds() * took))
