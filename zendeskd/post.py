"""One integration's live state: its row, its place in the queue, its run, and what happened lately.

A plain holder. `jobs` guards it (see there); `view` turns it into what everybody else may see.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from zendeskd.cron import CronExpression, parse_zone
from zendeskd.health import Facts, judge, live_state
from zendeskd.live import LiveRun
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
from zendeskd.workers import Ticket

RECENT: Final = 8


class Post:
    def __init__(self, integration: Integration, now: datetime) -> None:
        self.integration = integration
        self.cron = CronExpression(integration.sync_interval, integration.timezone)
        self.tag = f"integration-{integration.id}"
        self.cause = Trigger.SCHEDULE  # why the clock's next call will come
        self.next_at: datetime | None = None
        self.interval_s = self.cron.distance_s(now)
        self.queued: RunRow | None = None
        self.ticket: Ticket | None = None
        self.run: LiveRun | None = None
        self.probing: Ticket | None = None
        self.census: LiveRun | None = None
        self.census_ticket: Ticket | None = None
        self.reconciled: Reconciliation | None = None
        self.unrecorded: tuple[RunRow, RunResult, CallStats] | None = None  # an end the database did not take yet
        self.recent: deque[RunRow] = deque(maxlen=RECENT)
        self.today = Today(self.day(now))
        self.skipped_ticks = 0
        self.leaving = False
        self.announced: tuple[Health, str] | None = None

    def take(self, fresh: Integration) -> None:
        """The integration's row as it is now in the database."""
        if (fresh.sync_interval, fresh.timezone) != (self.cron.text, self.cron.timezone):
            self.cron = CronExpression(fresh.sync_interval, fresh.timezone)
        self.integration = fresh

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
                next_at=self.next_at,
                interval_s=self.interval_s,
                now=now,
            )
        )
        today, one = self._today(now), self.integration
        if run is not None:
            today = Today(today.day, today.records + run.counts.created + run.counts.updated, today.failures)
            one = _counting(one, run.counts.created - run.counts.deleted)
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
            reconciled=self.reconciled,
            skipped_ticks=self.skipped_ticks,
            budgets=() if live is None else live.budgets(),
        )

    def _today(self, now: datetime) -> Today:
        day = self.day(now)
        return self.today if self.today.day == day else Today(day)


def _planned(integration: Integration, next_at: datetime | None) -> Integration:
    return integration if integration.next_run_at == next_at else replace(integration, next_run_at=next_at)


def _counting(integration: Integration, more: int) -> Integration:
    """The row's total is read again when the run ends; until then the run's own counts are added."""
    return replace(integration, total_records=max(0, integration.total_records + more))
