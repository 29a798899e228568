"""The fleet in memory: one post an integration (its row, its place in the queue, its run, what happened lately).

Plain holders; `dispatch` says which lock guards what. `Post.view` is what everybody else may see.
"""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime
from typing import Final, NamedTuple

from msgspec.structs import replace

from zendeskd.cron import CronExpression, parse_zone
from zendeskd.models import (
    CallStats,
    Health,
    Integration,
    IntegrationView,
    Reconciliation,
    RunResult,
    RunRow,
    RunStatus,
    Today,
    Trigger,
)
from zendeskd.runs.health import Facts, judge, live_state
from zendeskd.runs.live import LiveRun
from zendeskd.runs.workers import Ticket

RECENT: Final = 8


class Ended(NamedTuple):
    """How a run ended, before it is written down."""

    row: RunRow
    result: RunResult
    calls: CallStats
    at: datetime

    def as_written(self, row: RunRow) -> RunRow:
        """The row as it will be."""
        result = self.result
        return replace(
            row,
            status=result.status,
            synced_at=self.at,
            end_reason=result.end_reason,
            error_code=result.error_code,
            error_message=result.error_message,
            request_id=result.request_id or self.calls.request_id,
        )


class Post:
    def __init__(self, integration: Integration, now: datetime) -> None:
        self.integration = integration
        self.cron = CronExpression(integration.sync_interval, integration.timezone)
        self.tag = f"integration-{integration.id}"
        self.cause = Trigger.SCHEDULE  # why the clock's next call will come
        self.next_at: datetime | None = None
        self._made_at = now
        self.late_from = self._second_tick()
        self.queued: RunRow | None = None
        self.ticket: Ticket | None = None
        self.run: LiveRun | None = None
        self.is_probing = False
        self.called_at: float | None = None  # when a run or probe of it last ended, on the clock that nobody sets
        self.census: LiveRun | None = None
        self.census_ticket: Ticket | None = None
        self.reconciled: Reconciliation | None = None
        self.unrecorded: deque[Ended] = deque()  # ends the database did not take yet, oldest first
        self.is_behind = False  # it has refused one
        self.uncompared: Reconciliation | None = None  # a comparison's end that it did not take yet
        self.recent: deque[RunRow] = deque(maxlen=RECENT)
        self.today = Today(self.day(now))
        self.set_aside = 0
        self.skipped_ticks = 0
        self.looks_late = 0  # how many looks in a row, a minute apart, have found it late
        self.leaving = False
        self.announced: tuple[Health, str, bool] | None = None  # `changed_by_time` when it was last told

    def take(self, fresh: Integration) -> None:
        """The integration's row as it is now in the database."""
        if (fresh.sync_interval, fresh.timezone) != (self.cron.text, self.cron.timezone):
            self.cron = CronExpression(fresh.sync_interval, fresh.timezone)
        elif fresh.last_success_at == self.integration.last_success_at:
            self.integration = fresh
            return
        self.integration = fresh
        self.late_from = self._second_tick()

    def day(self, now: datetime) -> str:
        """The local day in the integration's zone."""
        return now.astimezone(parse_zone(self.integration.timezone)).date().isoformat()

    def ended(self, row: RunRow, now: datetime) -> None:
        """A run of it ended and was written down."""
        self.recent.appendleft(row)
        today = self._today(now)
        self.today = Today(
            day=today.day,
            records=today.records + row.records_created + row.records_updated,
            failures=today.failures + (row.status is RunStatus.FAILED),
        )

    def view(self, now: datetime) -> IntegrationView:
        live = self.run or self.census
        run = None if live is None else live.view()
        stopping = self.run is not None and self.run.cancel.is_set()
        state = live_state(self.integration, run, queued=self.queued is not None, stopping=stopping)
        verdict = judge(
            Facts(
                integration=self.integration,
                state=state,
                run=run,
                recent=self.recent,
                set_aside=self.set_aside,
                next_at=self.next_at,
                late_from=self.late_from,
                now=now,
            )
        )
        today, one = self._today(now), self.integration
        if live is not None and run is not None:
            today = Today(today.day, today.records + run.counts.created + run.counts.updated, today.failures)
            # the row is counted when the run ends; what it marks as deleted is taken off then
            one = replace(one, total_records=max(one.total_records, live.base_total + run.counts.created))
        return IntegrationView(
            integration=_planned(one, self.next_at),
            state=state,
            health=verdict.health,
            why=verdict.why,
            happened=verdict.happened,
            daemon=verdict.daemon,
            you=verdict.you,
            run=run,
            queued_run_id=None if self.queued is None else self.queued.id,
            recent=tuple(self.recent),
            today=today,
            late_s=verdict.late_s,
            slow_s=verdict.slow_s,
            reconciled=self.reconciled,
            set_aside=self.set_aside,
            skipped_ticks=self.skipped_ticks,
            budgets=() if live is None else live.budgets(),
        )

    def notice_step_back(self, now: datetime) -> None:
        """A success that the host's clock, set back since, calls future must not hide for so long that it is late."""
        base = self.integration.last_success_at or self._made_at
        soonest = self._second_tick(now) if base > now else None
        if soonest is not None and (self.late_from is None or soonest < self.late_from):
            self.late_from = soonest

    def _second_tick(self, base: datetime | None = None) -> datetime | None:
        """After the last success, or after it was first seen if there was none."""
        first = self.cron.next_after(base or self.integration.last_success_at or self._made_at)
        return None if first is None else self.cron.next_after(first)

    def _today(self, now: datetime) -> Today:
        day = self.day(now)
        return self.today if self.today.day == day else Today(day)


def changed_by_time(view: IntegrationView) -> tuple[Health, str, bool]:
    """What of it may be another one later though nothing happens."""
    return view.health, view.today.day, view.slow_s is not None


class Roster:
    """All posts, by id and by name. Any thread. `lock` also guards the fields of every post."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._posts: dict[int, Post] = {}
        self._by_name: dict[tuple[str, str], Post] = {}

    def add(self, post: Post) -> None:
        with self.lock:
            self._posts[post.integration.id] = post
            self._by_name[post.integration.organization_id, post.integration.system_type] = post

    def remove(self, post: Post) -> None:
        with self.lock:
            self._posts.pop(post.integration.id, None)
            self._by_name.pop((post.integration.organization_id, post.integration.system_type), None)

    def all(self) -> list[Post]:
        with self.lock:
            return list(self._posts.values())

    def get(self, integration_id: int) -> Post | None:
        with self.lock:
            return self._posts.get(integration_id)

    def find(self, org: str, system: str) -> Post | None:
        with self.lock:
            return self._by_name.get((org, system))


def _planned(integration: Integration, next_at: datetime | None) -> Integration:
    return integration if integration.next_run_at == next_at else replace(integration, next_run_at=next_at)
