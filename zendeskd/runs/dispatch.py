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
from datetime import datetime, timedelta
from typing import Final, TypeVar

import structlog
from msgspec.structs import replace

from zendeskd.errors import NetworkError, NotFound, StorageError
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
    Waiting,
)
from zendeskd.runs.clock import CronScheduler
from zendeskd.runs.live import LiveRun
from zendeskd.runs.outcome import PROBE_EVERY, due_next
from zendeskd.runs.performance import Bench, compare_once, probe_once, run_once
from zendeskd.runs.roster import Ended, Post, Roster, changed_by_time
from zendeskd.runs.workers import Ticket, Turn, Workers

log = structlog.get_logger("zendeskd.runs.dispatch")

T = TypeVar("T")

SLOW_REFUSAL_S: Final = 1.0
"""A write that was refused after this long waited for something; a full disk refuses at once."""

PROBE_SLACK: Final = timedelta(minutes=1)
"""An hour by the host's clock may be a little less than one by the other."""

LENDS_AFTER: Final = timedelta(seconds=3)
"""A run that waits longer than this, for a rate limit or before it tries again, lends its worker."""


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
        self._closing = False
        self._refused: StorageError | None = None
        self._refused_until = 0.0

    # --- due --------------------------------------------------------------------------------------------------------

    def _due(self, post: Post) -> None:
        """The clock's call for one integration. The scheduler's thread."""
        with self.commands:
            cause, post.cause = post.cause, Trigger.SCHEDULE
            post.next_at = self._clock.next_run_of(post.tag)
            one, now = post.integration, self._now()
            if post.leaving:
                return
            try:
                if not one.is_active:
                    if one.stopped_until is not None and one.stopped_until <= now:
                        self.revive(post, "schedule")
                elif one.state is State.BLOCKED:
                    self._due_probe(post)
                elif post.run is not None or post.queued is not None:
                    post.skipped_ticks += 1
                else:
                    self.enqueue(post, cause, None)
            except StorageError as error:
                self._remember_failure(post, error)
        self.announce(post)

    def revive(self, post: Post, by: str) -> None:
        """Make it active, due at once if it can run. Holds `commands`."""
        active = {"is_active": True, "state": State.IDLE, "blocked_at": None}
        self.change(post, active | {"stopped_by": None, "stop_reason": None, "stopped_until": None})
        self.plan(post, *due_next(post.integration, post.cron, self._now()))
        if post.integration.credential_kind is not None:
            self.enqueue(post, Trigger.START, by)
        log.info("started", org=post.integration.organization_id, system=post.integration.system_type, by=by)

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
        post.take(self._write(lambda: self._ledger.fleet.change(post.integration.id, **columns)))

    def _write(self, write: Callable[[], T]) -> T:
        """A write under `commands`. When one has just waited long and been refused (another program's lock), the next
        ones are refused at once for as long, so that clock, workers and people do not queue up behind it."""
        begun = self._bench.monotonic()
        if self._refused is not None and begun < self._refused_until:
            raise self._refused
        try:
            return write()
        except StorageError as error:
            now = self._bench.monotonic()
            if now - begun >= SLOW_REFUSAL_S:
                self._refused, self._refused_until = error, now + (now - begun)
            raise

    # --- runs -------------------------------------------------------------------------------------------------------

    def enqueue(self, post: Post, trigger: Trigger, by: str | None) -> Queued:
        """Queue a run, or join the one there is. One that is ending is not joined: the new one follows it. Holds
        `commands`. Raises StorageError."""
        if post.run is not None and not post.run.cancel.is_set():
            return Queued(post.run.id, State.RUNNING, joined=True)
        if post.queued is not None:
            if trigger is Trigger.MANUAL and post.ticket is not None:
                self._workers.hasten(post.ticket)
            return Queued(post.queued.id, State.QUEUED, joined=True)
        self.record(post)  # the end of the run before comes first
        row = self._write(lambda: self._ledger.runs.enqueue(post.integration, trigger, by, self._now()))
        self.into_queue(post, row)
        self._tell(row)
        self.announce(post)
        return Queued(row.id, State.QUEUED, joined=False)

    def into_queue(self, post: Post, row: RunRow) -> None:
        """Give a row that says `queued` its place; while a run is ending, that comes at its end. Holds `commands`."""
        with self._roster.lock:
            post.queued = row
        if post.run is None:
            turn = Turn.MANUAL if row.trigger is Trigger.MANUAL else _turn(post)
            what = f"run {row.id} of {row.organization_id}"
            post.ticket = self._workers.put(turn, lambda: self._run(post), what)

    def _run(self, post: Post) -> None:
        """A worker's whole work on one run."""
        with self.commands:
            row = post.queued
            if row is None or self._closing:
                return  # taken back; or left for the next daemon
            live = self._live("sync", row.id, row.trigger, row.requested_by, post, post.ticket)
            with self._roster.lock:
                post.run, post.queued, post.ticket = live, None, None
        self.announce(post)
        result = run_once(self._bench, row, live, on_begin=self._tell)
        with self.commands:
            post.unrecorded.append(Ended(row, result, live.calls, self._now()))
            try:
                self.record(post)
                if result.status is not RunStatus.INTERRUPTED and not post.leaving:
                    self.plan(post, *due_next(post.integration, post.cron, self._now()))
            except StorageError as error:
                self._remember_failure(post, error)
            finally:
                post.called_at = self._bench.monotonic()
                with self._roster.lock:
                    post.run = None
                live.ended.set()
                if post.queued is not None and not post.leaving:
                    self.into_queue(post, post.queued)
        self.announce(post)

    def record(self, post: Post) -> None:
        """Write down how runs ended, oldest first. Raises StorageError; what is left is kept. Holds `commands`."""
        while post.unrecorded:
            ended = post.unrecorded[0]
            try:
                row, fresh = self._write(lambda ended=ended: self._bench.record(ended))  # type: ignore[misc]
            except NotFound:  # its organisation was removed meanwhile
                post.unrecorded.popleft()
                continue
            except StorageError:
                post.is_behind = True
                raise
            with self._roster.lock:
                post.unrecorded.popleft()
                post.ended(row, self._now())
            post.take(fresh)
            if row.records_failed or post.set_aside:
                self._count_set_aside(post)
            self._tell(row)
        post.is_behind = False

    def record_late(self, post: Post) -> None:
        """Write down what the database did not take before, if it does now."""
        with self.commands, contextlib.suppress(StorageError):
            self.record(post)
            if post.uncompared is not None:
                self._finish_comparison(post, post.uncompared)

    def end(self, post: Post, reason: str) -> int | None:
        """Ask the run going on to end, and take a queued one back. -> its id. Holds `commands`."""
        taken_back = post.queued
        if taken_back is not None:
            if post.ticket is not None:
                self._workers.withdraw(post.ticket)  # a worker that has just taken it finds nothing queued
            with self._roster.lock:
                post.queued, post.ticket = None, None
            result = RunResult(status=RunStatus.CANCELLED, end_reason=reason)
            post.unrecorded.append(Ended(taken_back, result, CallStats(), self._now()))
            with contextlib.suppress(StorageError):  # kept, and written when that works again
                self.record(post)
        if post.run is not None:
            post.run.cancel.set(reason)
            return post.run.id
        return None if taken_back is None else taken_back.id

    def _remember_failure(self, post: Post, error: StorageError) -> None:
        """The database cannot even take the failure: hold it in memory and come back. Holds `commands`."""
        now = self._now()
        one = post.integration
        post.take(
            replace(
                one,
                consecutive_failures=one.consecutive_failures + 1,
                last_error_code=error.code,
                last_error_message=f"{error.detail} {error.hint}".rstrip(),
                last_error_at=now,
            )
        )
        when, post.cause = due_next(post.integration, post.cron, now)
        post.next_at = self._clock.bring_forward(post.tag, when)
        log.error("not stored", org=one.organization_id, system=one.system_type, error=error.detail)

    # --- comparisons and probes ---------------------------------------------------------------------------------------

    def compare(self, post: Post, by: str) -> Reconciliation:
        """Queue a comparison with the source. Holds `commands`. Raises StorageError."""
        begun = self._write(lambda: self._ledger.reconciliations.begin(post.integration, by, self._now()))
        with self._roster.lock:
            post.reconciled = begun
        what = f"comparison of {post.integration.organization_id}"
        post.census_ticket = self._workers.put(Turn.COMPARISON, lambda: self._compare(post, begun), what)
        return begun

    def _compare(self, post: Post, begun: Reconciliation) -> None:
        """A worker's whole work on one comparison."""
        with self.commands:
            if post.census_ticket is None or self._closing:
                return  # taken back; the next daemon marks it as interrupted
            live = self._live("reconcile", begun.id, "reconcile", begun.requested_by, post, post.census_ticket)
            with self._roster.lock:
                post.census, post.census_ticket = live, None
        self.announce(post)
        result = compare_once(self._bench, post.integration, begun, live)
        with self.commands:
            try:
                self._finish_comparison(post, result)
            except StorageError as error:
                log.error("comparison not stored", org=begun.organization_id, error=error.detail)
            finally:
                with self._roster.lock:
                    post.census = None
                live.ended.set()
        self.announce(post)

    def _finish_comparison(self, post: Post, result: Reconciliation) -> None:
        """Holds `commands`. Raises StorageError with the result kept for later."""
        left: Reconciliation | None = result
        try:
            self._write(lambda: self._ledger.reconciliations.finish(result))
            left = None
        finally:
            with self._roster.lock:
                post.reconciled, post.uncompared, post.census = result, left, None
        self._count_set_aside(post)
        with contextlib.suppress(NotFound):
            post.take(self._ledger.fleet.integration_by_id(post.integration.id))

    def _count_set_aside(self, post: Post) -> None:
        one = post.integration.id
        with contextlib.suppress(StorageError):
            post.set_aside = self._ledger.runs.set_aside(one).get(one, 0)

    def end_census(self, post: Post, reason: str) -> int | None:
        """The same for a comparison. -> its id. Holds `commands`."""
        if post.census is not None:
            post.census.cancel.set(reason)
            return post.census.id
        if post.census_ticket is None or post.reconciled is None:
            return None
        self._workers.withdraw(post.census_ticket)
        post.census_ticket = None
        ended = replace(post.reconciled, status="cancelled", finished_at=self._now())
        with contextlib.suppress(StorageError):  # kept, and written when that works again
            self._finish_comparison(post, ended)
        return ended.id

    def _due_probe(self, post: Post) -> None:
        """Queue the hourly probe, or what is left of the hour where the host's clock was set. Holds `commands`."""
        since_s = PROBE_EVERY.total_seconds()
        if post.called_at is not None:
            since_s = self._bench.monotonic() - post.called_at
        rest = PROBE_EVERY - timedelta(seconds=since_s)
        if rest > PROBE_SLACK:
            self.plan(post, self._now() + rest, Trigger.RETRY)
            return
        self.plan(post, *due_next(post.integration, post.cron, self._now()))
        if post.run is None and not post.is_probing:
            post.is_probing = True
            what = f"credential probe of {post.integration.organization_id}"
            self._workers.put(Turn.DOUBTFUL, lambda: self._probe(post), what)

    def _probe(self, post: Post) -> None:
        try:
            works = probe_once(self._bench, post.integration)
        finally:
            post.is_probing, post.called_at = False, self._bench.monotonic()
        with self.commands:
            if works and post.integration.state is State.BLOCKED and not post.leaving:
                try:
                    self.change(post, {"state": State.IDLE, "blocked_at": None})
                    self.enqueue(post, Trigger.RETRY, None)
                except StorageError as error:
                    log.error("probe's result not stored", org=post.integration.organization_id, error=error.detail)
        self.announce(post)

    # --- the end, and what others see ---------------------------------------------------------------------------------

    def close(self) -> None:
        """End every run and comparison at its next page; none begins any more."""
        with self.commands:
            self._closing = True
            for post in self._roster.all():
                for live in (post.run, post.census):
                    if live is not None:
                        live.cancel.set("shutdown")
        self._bench.asides.end()

    def view(self, post: Post) -> IntegrationView:
        with self._roster.lock:
            return post.view(self._now())

    def announce(self, post: Post) -> None:
        """Tell everybody how it is now. Raises nothing: who listens must not hold up who works."""
        try:
            view = self.view(post)
            post.announced = changed_by_time(view)
            self._on_change(view)
        except Exception:  # a listener's bug
            log.exception("change not announced", org=post.integration.organization_id)

    def _tell(self, row: RunRow) -> None:
        try:
            self._on_run(row)
        except Exception:  # a listener's bug
            log.exception("run not announced", org=row.organization_id, run=row.id)

    def _live(self, kind: str, run_id: int, trigger: str, by: str | None, post: Post, ticket: Ticket | None) -> LiveRun:
        assert ticket is not None  # whoever calls is at work on it

        def waits(waiting: Waiting | None) -> None:
            lends = waiting is not None and waiting.until - self._now() > LENDS_AFTER
            self._workers.lend(ticket, lends, "its time")
            self.announce(post)

        def quiet(is_quiet: bool) -> None:
            self._workers.lend(ticket, is_quiet, "an answer")

        return self._bench.live_run(
            kind, run_id, trigger, by, changed=lambda: self.announce(post), waits=waits, quiet=quiet
        )


def _turn(post: Post) -> Turn:
    """Who was not reached the last time may keep a worker waiting for minutes again."""
    one = post.integration
    is_doubtful = one.consecutive_failures > 0 and one.last_error_code == NetworkError.code
    return Turn.DOUBTFUL if is_doubtful else Turn.SCHEDULED
