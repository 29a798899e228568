"""Who runs when and where: the fleet's one live state, the clock's jobs, and what people ask for.

Two locks. `_commands` is held by whoever changes an integration's row or its place in the queue (a person's command,
a tick, a run that ends), so that the row in memory is always the newest; it may be held across a database write.
`_state` guards the fields of `Post` and is never held across I/O. The order is `_commands`, then `_state`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Final

import structlog
from msgspec.structs import replace

from zendeskd.cancel import CancelToken
from zendeskd.clock import CronScheduler
from zendeskd.connectors.base import Connector, CredentialDoor
from zendeskd.cron import CronExpression
from zendeskd.errors import Conflict, NotFound, StorageError
from zendeskd.ledger import Ledger
from zendeskd.models import (
    EPOCH,
    CallStats,
    Health,
    Identity,
    Integration,
    IntegrationView,
    Queued,
    Reconciliation,
    RunResult,
    RunRow,
    RunStatus,
    RunView,
    State,
    Today,
    Trigger,
    utcnow,
)
from zendeskd.outcome import due_first, due_next
from zendeskd.performance import Bench, compare_once, probe_once, run_once
from zendeskd.post import Post
from zendeskd.sync import OVERLAP
from zendeskd.workers import Turn, Workers

log = structlog.get_logger("zendeskd.jobs")

FORGET_WITHIN_S: Final = 20.0
_HEALTH_ORDER: Final = {health: place for place, health in enumerate(Health)}


class Jobs:
    """Any thread may call any method; commands raise Refusal subclasses, and StorageError when nothing was changed.

    `on_change` gets an integration's new view, `on_run` a run that was queued, began or ended, `on_removed` an
    organisation and system. They are called outside the locks, from the thread that caused the change.
    """

    def __init__(
        self,
        ledger: Ledger,
        connectors: Mapping[str, Connector],
        credentials: Callable[[Integration], CredentialDoor],
        *,
        workers: int = 8,
        now: Callable[[], datetime] = utcnow,
        monotonic: Callable[[], float] = time.monotonic,
        on_change: Callable[[IntegrationView], None] = lambda _: None,
        on_run: Callable[[RunRow], None] = lambda _: None,
        on_removed: Callable[[str, str], None] = lambda _org, _system: None,
        run_deadline_s: float = 86_400.0,
    ) -> None:
        self._ledger, self._connectors, self._credentials = ledger, connectors, credentials
        self._now, self._monotonic = now, monotonic
        self._on_change, self._on_run, self._on_removed = on_change, on_run, on_removed
        self._commands = threading.RLock()
        self._state = threading.Lock()
        self._posts: dict[int, Post] = {}
        self._by_name: dict[tuple[str, str], int] = {}
        self._moved_at = monotonic()
        self.clock = CronScheduler(now, monotonic=monotonic, on_pass=self._scheduler_moved)
        self._workers = Workers(workers, monotonic=monotonic)
        self._scheduler = threading.Thread(target=self.clock.run_forever, name="scheduler", daemon=True)
        self._bench = Bench(
            ledger=ledger,
            connectors=connectors,
            credentials=credentials,
            now=now,
            monotonic=monotonic,
            pulse=self._workers.pulse,
            changed=self._announce,
            run_deadline_s=run_deadline_s,
        )

    # --- life -----------------------------------------------------------------------------------------------------

    def load(self) -> list[RunRow]:
        """Take over from the daemon before: cut-off runs become `interrupted` (returned), everything is planned."""
        now = self._now()
        interrupted = self._ledger.runs.interrupt_orphans(now)
        self._ledger.reconciliations.interrupt_orphans(now)
        cut_off = {row.integration_id for row in interrupted}
        recent, compared = self._ledger.runs.recent(), self._ledger.reconciliations.latest()
        with self._commands:
            for integration in self._ledger.fleet.integrations():
                post = self._add(integration)
                post.recent.extend(recent.get(integration.id, ()))
                post.reconciled = compared.get(integration.id)
                known = replace(integration, next_run_at=now) if integration.id in cut_off else integration
                self._plan(post, *due_first(known, post.cron, now))
            self._load_today()
            for row in self._ledger.runs.queued():
                if (owner := self._posts.get(row.integration_id)) is not None:
                    self._into_queue(owner, row, Turn.MANUAL if row.trigger is Trigger.MANUAL else Turn.SCHEDULED)
        self.clock.put("minute", CronExpression("* * * * *", "UTC"), self._each_minute)
        return interrupted

    def start_threads(self) -> None:
        self._workers.start()
        self._scheduler.start()

    def shut_down(self, drain_s: float) -> bool:
        """End every run at its next page, wait up to `drain_s`. -> whether all threads ended."""
        self.clock.stop()
        self._workers.close()
        for post in self._all():
            for live in (post.run, post.census):
                if live is not None:
                    live.cancel.set("shutdown")
        ended = self._workers.join(drain_s)
        if self._scheduler.ident is not None:
            self._scheduler.join(5)
        return ended and not self._scheduler.is_alive()

    # --- views ----------------------------------------------------------------------------------------------------

    def views(self, system: str | None = None) -> list[IntegrationView]:
        """All, worst first, then by name."""
        posts = [post for post in self._all() if system in {None, post.integration.system_type}]
        views = [self._view(post) for post in posts]
        return sorted(views, key=lambda v: (_HEALTH_ORDER[v.health], v.integration.organization_id))

    def view(self, org: str, system: str) -> IntegrationView:
        return self._view(self._find(org, system))

    def live_run(self, run_id: int) -> RunView | None:
        for post in self._all():
            live = post.run
            if live is not None and live.id == run_id:
                return live.view()
        return None

    def pulses(self) -> dict[str, float]:
        """Seconds since each thread last moved."""
        return {"scheduler": self._monotonic() - self._moved_at, **self._workers.pulses()}

    def busy(self) -> int:
        return self._workers.busy()

    def queue_length(self) -> int:
        return self._workers.waiting()

    # --- commands -------------------------------------------------------------------------------------------------

    def trigger(self, org: str, system: str, by: str) -> Queued:
        """Run it now, or join the run or the place in the queue that it has. A stopped one runs once."""
        with self._commands:
            post = self._find(org, system)
            self._refuse_unready(post, "trigger")
            return self._enqueue(post, Trigger.MANUAL, by)

    def start(self, org: str, system: str, by: str, interval: str | None = None) -> bool:
        """Make it active and due at once, blocked or not. -> whether anything changed."""
        with self._commands:
            post = self._find(org, system)
            one = post.integration
            cron = None if interval is None else CronExpression(interval, one.timezone)
            columns: dict[str, object] = {}
            if cron is not None and cron.text != one.sync_interval:
                columns["sync_interval"] = cron.text
            if not one.is_active or one.state is not State.IDLE:
                columns |= {"is_active": True, "state": State.IDLE, "blocked_at": None}
                columns |= {"stopped_by": None, "stop_reason": None, "stopped_until": None}
            if not columns:
                return False
            revived = "is_active" in columns
            self._change(post, columns)
            if not revived or post.integration.credential_kind is None:
                self._plan(post, *due_next(post.integration, post.cron, self._now()))
            elif post.run is None and post.queued is None:
                self._enqueue(post, Trigger.START, by)
            log.info("started", org=org, system=system, by=by, interval=post.integration.sync_interval)
        self._announce(post)
        return True

    def stop(self, org: str, system: str, by: str, reason: str | None = None, until: datetime | None = None) -> bool:
        """No more runs until `start` (or `until`); one going on ends at its next page. -> whether it was active."""
        with self._commands:
            post = self._find(org, system)
            was_active = post.integration.is_active
            self._change(
                post,
                {
                    "is_active": False,
                    "state": State.STOPPED,
                    "blocked_at": None,
                    "stopped_by": by,
                    "stop_reason": reason,
                    "stopped_until": until,
                },
            )
            self._end(post, "stopped")
            self._plan(post, *due_next(post.integration, post.cron, self._now()))
            log.info("stopped", org=org, system=system, by=by, reason=reason)
        self._announce(post)
        return was_active

    def set_interval(self, org: str, system: str, by: str, interval: str) -> bool:
        """Give it another schedule; a run going on is not touched. -> whether it was another one."""
        with self._commands:
            post = self._find(org, system)
            cron = CronExpression(interval, post.integration.timezone)
            if cron.text == post.integration.sync_interval:
                return False
            self._change(post, {"sync_interval": cron.text})
            if post.integration.state is not State.BLOCKED:
                self._plan(post, *due_next(post.integration, post.cron, self._now()))
            log.info("interval changed", org=org, system=system, by=by, interval=cron.text)
        self._announce(post)
        return True

    def cancel(self, org: str, system: str, by: str) -> int:
        """End the run at its next page, at once if it waits or is queued. The schedule goes on. -> its id."""
        with self._commands:
            post = self._find(org, system)
            run_id = self._end(post, "cancelled")
            if run_id is None:
                raise Conflict(
                    f"no run of {org} ({system}) is going on or queued", hint="zendeskctl status shows what runs"
                )
            log.info("cancel asked", org=org, system=system, run=run_id, by=by)
        self._announce(post)
        return run_id

    def resync(self, org: str, system: str, by: str, since: datetime | None) -> Queued:
        """Read again from `since` (None: everything). Records are compared, so nothing is doubled."""
        with self._commands:
            post = self._find(org, system)
            self._refuse_unready(post, "resync")
            if post.run is not None:
                raise Conflict(
                    f"run {post.run.id} of {org} is going on and would lose its place",
                    hint=f"wait for it, or end it first: zendeskctl cancel {org}",
                )
            # without a cursor a run begins at the watermark less the overlap
            begin = EPOCH if since is None else max(since, EPOCH)
            self._change(post, {"cursor": None, "cursor_strategy": None, "watermark": begin + OVERLAP})
            return self._enqueue(post, Trigger.MANUAL, by)

    def reconcile(self, org: str, system: str, by: str) -> tuple[int, bool]:
        """Queue a comparison with the source. -> its id, and whether it joined one that was there already."""
        with self._commands:
            post = self._find(org, system)
            self._refuse_unready(post, "reconcile")
            if post.integration.copy_from is None:
                raise Conflict(f"{org} has not been read yet, so there is nothing to compare", hint="trigger it first")
            if post.reconciled is not None and post.reconciled.status == "running":
                return post.reconciled.id, True
            begun = self._ledger.reconciliations.begin(post.integration, by, self._now())
            post.reconciled = begun
            post.census_ticket = self._workers.put(Turn.COMPARISON, lambda: self._compare(post, begun))
        self._announce(post)
        return begun.id, False

    def check(self, org: str, system: str) -> Identity:
        """Prove the credentials, without syncing, in the calling thread. Raises RunError."""
        post = self._find(org, system)
        source = self._connectors[system].open(
            post.integration, self._credentials(post.integration), CancelToken(), lambda _: None
        )
        try:
            identity = source.check()
        finally:
            source.close()
        self._ledger.fleet.verified(post.integration.id, self._now())
        return identity

    def adopt(self, integration_id: int) -> None:
        """Read an integration again after it was added or changed in the store. One that never ran, is blocked or
        fails is due at once: the change may be what it needs."""
        with self._commands:
            fresh = self._ledger.fleet.integration_by_id(integration_id)
            post = self._posts.get(integration_id)
            if post is None:
                post = self._add(fresh)
                self._load_today()
            if fresh.state is State.BLOCKED and fresh.is_active:
                self._change(post, {"state": State.IDLE, "blocked_at": None})
            else:
                post.take(fresh)
            one = post.integration
            wants = one.is_active and one.credential_kind is not None
            self._plan(post, *due_next(one, post.cron, self._now()))
            if wants and (one.last_success_at is None or one.consecutive_failures) and post.run is None:
                self._enqueue(post, Trigger.START, None)
        self._announce(post)

    def forget(self, integration_id: int) -> None:
        """Let go of an integration that is to be removed: ends its run first. Raises Conflict if that takes long."""
        post = self._posts.get(integration_id)
        if post is None:
            return
        with self._commands:
            self.clock.remove(post.tag)
            post.leaving = True
            self._end(post, "stopped")
            self._end_census(post, "stopped")
        for live in (post.run, post.census):
            if live is not None and not live.ended.wait(FORGET_WITHIN_S):
                post.leaving = False
                self.adopt(integration_id)
                raise Conflict("its run is still ending, so it was not removed", hint="try again in a minute")
        one = post.integration
        with self._commands, self._state:
            self._posts.pop(integration_id, None)
            self._by_name.pop((one.organization_id, one.system_type), None)
        self._on_removed(one.organization_id, one.system_type)

    # --- the clock ------------------------------------------------------------------------------------------------

    def _due(self, post: Post) -> None:
        """The clock's call for one integration. The scheduler's thread."""
        with self._commands:
            cause, post.cause = post.cause, Trigger.SCHEDULE
            post.next_at = self.clock.next_run_of(post.tag)
            one = post.integration
            if post.leaving:
                return
            if not one.is_active:
                self.start(one.organization_id, one.system_type, "schedule")
                return
            if one.state is State.BLOCKED:
                self._plan(post, *due_next(one, post.cron, self._now()))
                if post.run is None and post.probing is None:
                    post.probing = self._workers.put(Turn.SCHEDULED, lambda: self._probe(post))
                return
            if post.run is not None or post.queued is not None:
                post.skipped_ticks += 1
                return
            try:
                self._enqueue(post, cause, None)
            except StorageError as error:
                self._remember_failure(post, error)
        self._announce(post)

    def _probe(self, post: Post) -> None:
        works = probe_once(self._bench, post)
        with self._commands:
            post.probing = None
            if works and post.integration.state is State.BLOCKED and not post.leaving:
                self._change(post, {"state": State.IDLE, "blocked_at": None})
                self._enqueue(post, Trigger.RETRY, None)
        self._announce(post)

    def _each_minute(self) -> None:
        """Announce what time alone has changed (lateness, a new day), and write down what could not be written."""
        for post in self._all():
            if post.unrecorded is not None and post.run is None:
                with self._commands:
                    self._record(post)
            view = self._view(post)
            if (view.health, view.today.day) != post.announced:
                self._announce(post)

    def _plan(self, post: Post, when: datetime | None, cause: Trigger) -> None:
        """Put the integration's job on the clock: `when` first, then its cron. Holds `_commands`."""
        now = self._now()
        post.cause = cause
        post.interval_s = post.cron.distance_s(now)
        if when is None:
            self.clock.remove(post.tag)
            post.next_at = None
        else:
            repeats = post.cron if post.integration.is_active else None
            post.next_at = self.clock.put(post.tag, repeats, lambda: self._due(post), next_run=when)
        if post.integration.next_run_at != post.next_at:
            try:
                self._change(post, {"next_run_at": post.next_at})
            except StorageError as error:
                log.warning("plan not stored", org=post.integration.organization_id, error=error.detail)

    # --- queue and runs -------------------------------------------------------------------------------------------

    def _enqueue(self, post: Post, trigger: Trigger, by: str | None) -> Queued:
        """Holds `_commands`."""
        if post.run is not None:
            return Queued(post.run.id, State.RUNNING, joined=True)
        if post.queued is not None:
            if trigger is Trigger.MANUAL and post.ticket is not None:
                self._workers.hasten(post.ticket)
            return Queued(post.queued.id, State.QUEUED, joined=True)
        if post.unrecorded is not None:
            self._record(post)
        row = self._ledger.runs.enqueue(post.integration, trigger, by, self._now())
        self._into_queue(post, row, Turn.MANUAL if trigger is Trigger.MANUAL else Turn.SCHEDULED)
        self._on_run(row)
        self._announce(post)
        return Queued(row.id, State.QUEUED, joined=False)

    def _into_queue(self, post: Post, row: RunRow, turn: Turn) -> None:
        with self._state:
            post.queued = row
        post.ticket = self._workers.put(turn, lambda: self._run(post))

    def _run(self, post: Post) -> None:
        """A worker's whole work on one run."""
        with self._commands:
            row = post.queued
            if row is None:
                return
            live = self._bench.live_run(post, "sync", row.id, row.trigger, row.requested_by)
            with self._state:
                post.run, post.queued, post.ticket = live, None, None
        self._announce(post)
        result = run_once(self._bench, post, row, live, on_begin=self._on_run)
        with self._commands:
            post.unrecorded = (row, result, live.calls)
            recorded = self._record(post)
            with self._state:
                post.run = None
            if recorded is not None and not post.leaving:
                now = self._now()
                if result.status is RunStatus.INTERRUPTED:
                    self._change(post, {"next_run_at": now})  # cut off by a shutdown: due at the next start
                else:
                    self._plan(post, *due_next(post.integration, post.cron, now))
        live.ended.set()
        if recorded is not None:
            self._on_run(recorded)
        self._announce(post)

    def _compare(self, post: Post, begun: Reconciliation) -> None:
        """A worker's whole work on one comparison."""
        live = self._bench.live_run(post, "reconcile", begun.id, "reconcile", begun.requested_by)
        with self._commands:
            if post.leaving:
                return
            with self._state:
                post.census, post.census_ticket = live, None
        self._announce(post)
        result = compare_once(self._bench, post, begun, live)
        try:
            self._ledger.reconciliations.finish(result)
            fresh = self._ledger.fleet.integration_by_id(post.integration.id)
        except (StorageError, NotFound) as error:
            log.error("comparison not stored", org=begun.organization_id, error=error.detail)
            fresh = post.integration
        with self._commands, self._state:
            post.take(fresh)
            post.reconciled, post.census = result, None
        live.ended.set()
        self._announce(post)

    def _record(self, post: Post) -> RunRow | None:
        """Write down how a run ended; if the database does not take it, keep it and try again. Holds `_commands`."""
        assert post.unrecorded is not None
        row, result, calls = post.unrecorded
        try:
            ended, fresh = self._bench.record(post.integration, row, result, calls)
        except StorageError as error:
            self._remember_failure(post, error)
            return None
        with self._state:
            post.unrecorded = None
            post.ended(ended, self._now())
        post.take(fresh)
        return ended

    def _remember_failure(self, post: Post, error: StorageError) -> None:
        """The database cannot even take the failure: hold it in memory and come back. Holds `_commands`."""
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
        post.next_at = self.clock.bring_forward(post.tag, when)
        log.error("not stored", org=one.organization_id, system=one.system_type, error=error.detail)

    def _end(self, post: Post, reason: str) -> int | None:
        """Ask the run going on to end, or take the queued one back. -> its id. Holds `_commands`."""
        if post.run is not None:
            post.run.cancel.set(reason)
            return post.run.id
        if post.queued is None or post.ticket is None:
            return None
        row = post.queued
        self._workers.withdraw(post.ticket)  # a worker that has just taken it finds nothing queued
        with self._state:
            post.queued, post.ticket = None, None
        post.unrecorded = (row, RunResult(status=RunStatus.CANCELLED, end_reason=reason), CallStats())
        if (ended := self._record(post)) is not None:
            self._on_run(ended)
        return row.id

    def _end_census(self, post: Post, reason: str) -> None:
        if post.census is not None:
            post.census.cancel.set(reason)
        elif post.census_ticket is not None:
            self._workers.withdraw(post.census_ticket)

    # --- the fleet in memory --------------------------------------------------------------------------------------

    def _add(self, integration: Integration) -> Post:
        post = Post(integration, self._now())
        with self._state:
            self._posts[integration.id] = post
            self._by_name[integration.organization_id, integration.system_type] = integration.id
        return post

    def _load_today(self) -> None:
        now = self._now()
        posts = {post.integration.id: post for post in self._all()}
        days = {one: post.day(now) for one, post in posts.items()}
        counted = self._ledger.runs.today(days)
        for one, post in posts.items():
            post.today = counted.get(one, Today(days[one]))

    def _all(self) -> list[Post]:
        with self._state:
            return list(self._posts.values())

    def _find(self, org: str, system: str) -> Post:
        with self._state:
            found = self._by_name.get((org, system))
            if found is not None:
                return self._posts[found]
            systems = sorted(s for o, s in self._by_name if o == org)
            names = sorted({o for o, _ in self._by_name})
        if systems:
            raise NotFound(f"organisation {org!r} has no {system}", hint=f"it has: {', '.join(systems)}")
        near = get_close_matches(org, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "zendeskctl org list shows all"
        raise NotFound(f"there is no organisation {org!r}", hint=hint)

    def _refuse_unready(self, post: Post, verb: str) -> None:
        one = post.integration
        if one.credential_kind is None:
            raise Conflict(
                f"{one.organization_id} has no {one.system_type} credentials yet",
                hint=f"zendeskctl credentials set {one.organization_id}",
            )
        if one.is_active and one.state is State.BLOCKED:
            raise Conflict(
                f"{one.organization_id} is blocked: {one.last_error_message or 'its credentials were refused'}",
                hint=f"give new credentials, or try these once more: zendeskctl start {one.organization_id}",
            )
        if post.leaving:
            raise Conflict(f"{one.organization_id} is being removed", hint=f"nothing to {verb}")

    def _change(self, post: Post, columns: dict[str, object]) -> None:
        """Write columns of the integration's row, then take the fresh row. Holds `_commands`."""
        post.take(self._ledger.fleet.change(post.integration.id, **columns))

    def _view(self, post: Post) -> IntegrationView:
        with self._state:
            return post.view(self._now())

    def _announce(self, post: Post) -> None:
        view = self._view(post)
        post.announced = (view.health, view.today.day)
        self._on_change(view)

    def _scheduler_moved(self) -> None:
        self._moved_at = self._monotonic()
