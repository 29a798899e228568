"""The clock: `schedule` with jobs that take their next instant from a cron expression, in UTC, under a lock.

Plain schedule thinks in naive local time, has no locks and calls a failing job for ever. The three classes here keep
its Job and Scheduler (tags, the job list, cancelling) and replace what decides *when*.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import schedule
import structlog

from zendeskd.cron import CronExpression

log = structlog.get_logger("zendeskd.runs.clock")

_FAR: Final = datetime.max.replace(tzinfo=UTC)
_STEP_BACK_S: Final = 30.0
_LEAST: Final = timedelta(microseconds=1)


class CronJob(schedule.Job):
    """A job whose `next_run` is an aware UTC instant. `next_run` None: not due until someone sets it."""

    next_run: datetime | None

    def __init__(self, cron: CronExpression | None, scheduler: CronScheduler) -> None:
        super().__init__(1, scheduler)
        self.cron = cron
        self.name = ""

    @property
    def should_run(self) -> bool:
        return self.next_run is not None and self._now() >= self.next_run

    def __lt__(self, other: object) -> bool:
        return isinstance(other, CronJob) and (self.next_run or _FAR) < (other.next_run or _FAR)

    def _now(self) -> datetime:
        return cast("CronScheduler", self.scheduler).now()

    def _schedule_next_run(self) -> None:
        self.next_run = None if self.cron is None else self.cron.next_after(self._now())

    def run(self) -> Any:
        """Reschedule, then call: a job that raises must not stay due for ever."""
        self.last_run = self._now()
        self._schedule_next_run()
        return self.job_func() if self.job_func is not None else None


class CronScheduler(schedule.Scheduler):
    """Every use of the job list goes through one lock; jobs are called outside it, so they may use the scheduler.

    `now` returns aware UTC. Jobs must be quick: they only queue work. Missed instants (suspend, a late thread) come
    once, not once each.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        max_wait_s: float = 15.0,
        on_pass: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self.now = now
        self._monotonic = monotonic
        self._max_wait_s = max_wait_s  # a cap, so that a stepped clock or a suspend is noticed
        self._on_pass = on_pass
        self._changed = threading.Condition(threading.RLock())
        self._by_tag: dict[str, CronJob] = {}
        self._stopped = False
        self._seen = (now(), monotonic())

    def put(
        self, tag: str, cron: CronExpression | None, call: Callable[[], None], *, next_run: datetime | None = None
    ) -> datetime | None:
        """Replace the job of this tag. `next_run` (UTC) is its first instant; without it, the expression's next one."""
        job = CronJob(cron, self)
        job.tag(tag)
        job.name = tag
        with self._changed:
            self.remove(tag)
            job.do(call)
            if next_run is not None:
                job.next_run = next_run
            self._by_tag[tag] = job
            self._changed.notify_all()
            return job.next_run

    def bring_forward(self, tag: str, when: datetime | None) -> datetime | None:
        """Make the job due at `when` if that is sooner than planned (None: leave it). -> its next instant."""
        with self._changed:
            job = self._by_tag.get(tag)
            if job is None:
                return None
            if when is not None and (job.next_run is None or when < job.next_run):
                job.next_run = when
                self._changed.notify_all()
            return job.next_run

    def remove(self, tag: str) -> None:
        with self._changed:
            job = self._by_tag.pop(tag, None)
            if job is not None:
                self.cancel_job(job)

    def next_run_of(self, tag: str) -> datetime | None:
        with self._changed:
            job = self._by_tag.get(tag)
            return None if job is None else job.next_run

    def run_pending(self) -> None:
        """Call every job that is due, oldest first."""
        self._notice_step_back()
        with self._changed:
            due = sorted(cast("CronJob", job) for job in self.jobs if job.should_run)
        for job in due:
            with self._changed:
                if self._by_tag.get(job.name) is not job:
                    continue  # an earlier job of this pass, or a person, has removed or replaced it meanwhile
            try:
                job.run()
            except Exception:  # the clock outlives a bug in one job
                log.exception("scheduled job failed", job=job.name)
            self._on_pass()

    def run_forever(self) -> None:
        """The scheduler thread's whole life, until `stop`."""
        while not self._stopped:
            try:
                self.run_pending()
            except Exception:  # whatever it was, nothing else would run what is due
                log.exception("the clock failed")
            self._on_pass()
            with self._changed:
                if not self._stopped:
                    self._changed.wait(self._idle_s())

    def stop(self) -> None:
        """Any thread. Jobs that are being called finish."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _idle_s(self) -> float:
        soonest = min((cast("CronJob", job).next_run or _FAR for job in self.jobs), default=_FAR)
        return max(0.0, min(self._max_wait_s, (soonest - self.now()).total_seconds()))

    def _notice_step_back(self) -> None:
        """After the host's clock was set back, instants planned on the old time are too far away: plan again. Not
        where it was set back by less than the schedule's own distance: what ran a moment ago would run twice. What
        waits for a while and not for an instant of its schedule (another try, a probe) still waits for as long; what
        has no schedule waits for the very instant that somebody named."""
        wall, mono = self.now(), self._monotonic()
        then_wall, then_mono = self._seen
        self._seen = (wall, mono)
        lost = timedelta(seconds=mono - then_mono) - (wall - then_wall)
        if lost < timedelta(seconds=_STEP_BACK_S):
            return
        log.warning("the host's clock was set back", seconds=round(lost.total_seconds()))
        with self._changed:
            for job in cast("list[CronJob]", self.jobs):
                again = None if job.cron is None or job.next_run is None else job.cron.next_after(wall)
                if again is None or job.cron is None or job.next_run is None:
                    continue
                if job.cron.next_after(job.next_run - _LEAST) != job.next_run:
                    job.next_run -= lost
                if lost >= (job.cron.next_after(again) or _FAR) - again:
                    job.next_run = min(job.next_run, again)
