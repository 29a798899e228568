"""What a run or a comparison tells the log of its pages and waits, and how loudly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from zendeskd.models import CallStats, Page, PageCounts, State, Waiting

LOUD_WAIT: Final = timedelta(seconds=10)
"""Shorter waits for a rate limit are the usual pacing: an export may call ten times a minute."""

SET_ASIDE_MAX: Final = 100
"""So many records that were set aside are told one by one."""


class Telling:
    """`event` is what a stored page is called. The run's worker tells pages, who calls its source waits; `calls` has
    the waits so far. A page that changed nothing is told at level debug if it was all there was, or if `is_quiet`."""

    def __init__(
        self,
        bound: Any,
        event: str,
        *,
        calls: Callable[[], CallStats],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        is_quiet: bool = False,
    ) -> None:
        self._log, self._event, self._calls, self._is_quiet = bound, event, calls, is_quiet
        self._now, self._monotonic = now, monotonic
        self._page = self._set_aside = 0
        self._at, self._waited_ms = monotonic(), 0

    def page_stored(self, page: Page, counts: PageCounts) -> None:
        self._page += 1
        at, waited_ms = self._monotonic(), self._calls().rate_limit_wait_ms
        took_ms, waits_ms = round((at - self._at) * 1000), waited_ms - self._waited_ms
        self._at, self._waited_ms = at, waited_ms
        if counts.read:
            changed = counts.created or counts.updated or counts.deleted or counts.failed
            was_all = self._page == 1 and page.end_of_stream
            tell = self._log.info if changed or not (self._is_quiet or was_all) else self._log.debug
            tell(
                self._event,
                page=self._page,
                read=counts.read,
                new=counts.created,
                updated=counts.updated,
                unchanged=counts.unchanged,
                deleted=counts.deleted,
                took_ms=took_ms,
                **({"waited_ms": waits_ms} if waits_ms else {}),
            )
        for bad in page.quarantined:
            self._set_aside += 1
            if self._set_aside <= SET_ASIDE_MAX:
                self._log.warning("record set aside", record=bad.external_id, reason=bad.reason)
            elif self._set_aside == SET_ASIDE_MAX + 1:
                self._log.warning("more records set aside", table="quarantined_records")

    def waits(self, waiting: Waiting | None) -> None:
        if waiting is None:
            return
        left = waiting.until - self._now()
        said = {"reason": waiting.reason, "wait_s": max(0.0, round(left.total_seconds(), 1))}
        if waiting.state is State.LIMITED:
            (self._log.info if left >= LOUD_WAIT else self._log.debug)("rate limited", **said)
            return
        self._log.warning(
            "request failed",
            **said,
            **({} if waiting.error is None else {"error": waiting.error}),
            **({} if waiting.request_id is None else {"request_id": waiting.request_id}),
        )
