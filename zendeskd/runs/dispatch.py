"""From due to done: the clock's jobs, the queue, and the work on each integration.

Two locks. `commands` is held by whoever changes an integration's row or its place in the queue (a person's command,
a tick, a run that ends), so that the row in memory is always the newest; it may be held across a database write. The
roster's lock guards the fields of `Post` and is never held across I/O. The order is `commands`, then the roster's.
Methods that need `commands` to be held say so.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import datetime

import structlog
from msgspec.structs import replace

from zendeskd.errors import NotFound, StorageError
from zendeskd.models import (
    CallStats,
    IntegrationView,
    Queued,
    Reconciliation,
    RunResult,
    RunRow,
    RunStatus,
    State,
    Trigger,
)
from zendeskd.runs.clock import CronScheduler
from zendeskd.runs.live import LiveRun
from zendeskd.runs.outcome import due_next
from zendeskd.runs.performance import Bench, compare_once, probe_once, run_once
from zendeskd.runs.roster import Post, Roster
from zendeskd.runs.workers import Turn, Workers

log = structlog.get_logger("zendeskd.runs.dispatch")


class Dispatch:
    """Any thread. `on_change` and `on_run` are called outside the roster's lock, from the thread that caused it."""

    def __init__(
        self,
        roster: Roster,
        clock: CronScheduler,
        workers: Workers,
        bench: Bench,
        *,
        on_change: Callable[[IntegrationView], None],
        on_run: Callable[[RunRow], None],
    ) -> None:
        self.commands = threading.RLock()
        self._roster, self._clock, self._workers, self._bench = roster, clock, workers, bench
        self._ledger, self._now = bench.ledger, bench.now
        self._on_change, self._on_run = on_change, on_run

    def _due(self, post: Post) -> None:
        """The clock's call for one integration. The scheduler's thread."""
        with self.commands:
            cause, post.cause = post.cause, Trigger.SCHEDULE
            post.next_at = self._clock.next_run_of(post.tag)
            one = post.integration
            if post.leaving:
                return
            if not one.is_active:
                self.revive(post, "schedule")
                return
            if one.state is State.BLOCKED:
                self.plan(post, *due_next(one, post.cron, self._now()))
                if post.run is None and post.probing is None:
                    post.probing = self._workers.put(Turn.SCHEDULED, lambda: self._probe(post))
                return
            if post.run is not None or post.queued is not None:
                post.skipped_ticks += 1
                return
            try:
                self.enqueue(post, cause, None)
            except StorageError as error:
                self._remember_failure(post, error)
        self.announce(post)

    def revive(self, post: Post, by: str) -> None:
        """Make it active, due at once if it can run. Holds `commands`."""
        active = {"is_active": True, "state": State.IDLE, "blocked_at": None}
        self.change(post, active | {"stopped_by": None, "stop_reason": None, "stopped_until": None})
        self.plan(post, *due_next(post.integration, post.cron, self._now()))
        if post.integration.credential_kind is not None and post.run is None and post.queued is None:
            self.enqueue(post, Trigger.START, by)
        log.info("started", org=post.integration.organization_id, system=post.integration.system_type, by=by)

    def compare(self, post: Post, by: str) -> Reconciliation:
        """Queue a comparison with the source. Holds `commands`."""
        begun = self._ledger.reconciliations.begin(post.integration, by, self._now())
        with self._roster.lock:
            post.reconciled = begun
        post.census_ticket = self._workers.put(Turn.COMPARISON, lambda: self._compare(post, begun))
        return begun

    def record_late(self, post: Post) -> None:
        """Write down what the database did not take before, if it does now."""
        with self.commands:
            if post.unrecorded is not None and post.run is None:
                with contextlib.suppress(StorageError):
                    self.record(post)

    def _probe(self, post: Post) -> None:
        works = probe_once(self._bench, post.integration)
        with self.commands:
            post.probing = None
            if works and post.integration.state is State.BLOCKED and not post.leaving:
                self.change(post, {"state": State.IDLE, "blocked_at": None})
                self.enqueue(post, Trigger.RETRY, None)
        self.announce(post)

    def plan(self, post: Post, when: datetime | None, cause: Trigger) -> None:
        """Put the integration's job on the clock: `when` first, then its cron. Holds `commands`."""
        post.cause = cause
        if when is None:
            self._clock.remove(post.tag)
            post.next_at = None
        else:
            repeats = post.cron if post.integration.is_active else None
            post.next_at = self._clock.put(post.tag, repeats, lambda: self._due(post), next_run=when)
        if post.integration.next_run_at != post.next_at:
            try:
                self.change(post, {"next_run_at": post.next_at})
            except StorageError as error:
                log.warning("plan not stored", org=post.integration.organization_id, error=error.detail)

    def change(self, post: Post, columns: dict[str, object]) -> None:
        """Write columns of the integration's row, then take the fresh row. Holds `commands`."""
        post.take(self._ledger.fleet.change(post.integration.id, **columns))

    def enqueue(self, post: Post, trigger: Trigger, by: str | None) -> Queued:
        """Holds `commands`."""
        if post.run is not None:
            return Queued(post.run.id, State.RUNNING, joined=True)
        if post.queued is not None:
            if trigger is Trigger.MANUAL and post.ticket is not None:
                self._workers.hasten(post.ticket)
            return Queued(post.queued.id, State.QUEUED, joined=True)
        if post.unrecorded is not None:
            self.record(post)  # the end of the run before comes first; raises if it still cannot be written
        row = self._ledger.runs.enqueue(post.integration, trigger, by, self._now())
        self.into_queue(post, row)
        self._on_run(row)
        self.announce(post)
        return Queued(row.id, State.QUEUED, joined=False)

    def into_queue(self, post: Post, row: RunRow) -> None:
        turn = Turn.MANUAL if row.trigger is Trigger.MANUAL else Turn.SCHEDULED
        with self._roster.lock:
            post.queued = row
        post.ticket = self._workers.put(turn, lambda: self._run(post))

    def _run(self, post: Post) -> None:
        """A worker's whole work on one run."""
        with self.commands:
            row = post.queued
            if row is None:
                return
            live = self._live("sync", row.id, row.trigger, row.requested_by, post)
            with self._roster.lock:
                post.run, post.queued, post.ticket = live, None, None
        self.announce(post)
        result = run_once(self._bench, row, live, on_begin=self._on_run)
        recorded = None
        with self.commands:
            try:
                post.unrecorded = (row, result, live.calls)
                recorded = self.record(post)
                if result.status is not RunStatus.INTERRUPTED and not post.leaving:
                    self.plan(post, *due_next(post.integration, post.cron, self._now()))
            except StorageError as error:
                self._remember_failure(post, error)
            except NotFound:  # its organisation was removed meanwhile
                post.unrecorded = None
            finally:
                with self._roster.lock:
                    post.run = None
                live.ended.set()
        if recorded is not None:
            self._on_run(recorded)
        self.announce(post)

    def _compare(self, post: Post, begun: Reconciliation) -> None:
        """A worker's whole work on one comparison."""
        live = self._live("reconcile", begun.id, "reconcile", begun.requested_by, post)
        with self.commands:
            if post.leaving:
                return
            with self._roster.lock:
                post.census, post.census_ticket = live, None
        self.announce(post)
        result = compare_once(self._bench, post.integration, begun, live)
        try:
            self._ledger.reconciliations.finish(result)
            fresh = self._ledger.fleet.integration_by_id(post.integration.id)
        except (StorageError, NotFound) as error:
            log.error("comparison not stored", org=begun.organization_id, error=error.detail)
            fresh = post.integration
        with self.commands, self._roster.lock:
            post.take(fresh)
            post.reconciled, post.census = result, None
        live.ended.set()
        self.announce(post)

    def record(self, post: Post) -> RunRow:
        """Write down how a run ended. Raises StorageError; `unrecorded` then keeps it for later. Holds `commands`."""
        assert post.unrecorded is not None
        row, result, calls = post.unrecorded
        ended, fresh = self._bench.record(post.integration, row, result, calls)
        with self._roster.lock:
            post.unrecorded = None
            post.ended(ended, self._now())
        post.take(fresh)
        return ended

    def _remember_failure(self, post: Post, error: StorageError) -> None:
        """The database cannot even take the failure: hold it in memory and come back. Holds `commands`."""
        now = self._now()
        one = post.integration
        post.take(
            replace(
                one,
                consecutive_failures=one.consecutive_failures + 1,
                last_error_code=error.code,
                last_error_message=error.detail,
                last_error_at=now,
            )
        )
        when, post.cause = due_next(post.integration, post.cron, now)
        post.next_at = self._clock.bring_forward(post.tag, when)
        log.error("not stored", org=one.organization_id, system=one.system_type, error=error.detail)

    def end(self, post: Post, reason: str) -> int | None:
        """Ask the run going on to end, or take the queued one back. -> its id. Holds `commands`."""
        if post.run is not None:
            post.run.cancel.set(reason)
            return post.run.id
        if post.queued is None or post.ticket is None:
            return None
        row = post.queued
        self._workers.withdraw(post.ticket)  # a worker that has just taken it finds nothing queued
        with self._roster.lock:
            post.queued, post.ticket = None, None
        post.unrecorded = (row, RunResult(status=RunStatus.CANCELLED, end_reason=reason), CallStats())
        self._on_run(self.record(post))
        return row.id

    def end_census(self, post: Post, reason: str) -> None:
        if post.census is not None:
            post.census.cancel.set(reason)
        elif post.census_ticket is not None:
            self._workers.withdraw(post.census_ticket)

    def _live(self, kind: str, run_id: int, trigger: str, by: str | None, post: Post) -> LiveRun:
        return self._bench.live_run(kind, run_id, trigger, by, lambda: self.announce(post))

    def view(self, post: Post) -> IntegrationView:
        with self._roster.lock:
            return post.view(self._now())

    def announce(self, post: Post) -> None:
        view = self.view(post)
        post.announced = (view.health, view.today.day)
        self._on_change(view)
