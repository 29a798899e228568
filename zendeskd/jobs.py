"""Who runs when and where, as the rest of the daemon sees it: views of the fleet, and what people may ask for.

The work itself is split below: `clock` (when), `workers` (where), `roster` (the live state), `dispatch` (from due to
done), `performance` (one piece of work).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import structlog
from msgspec.structs import replace

from zendeskd.connectors.base import Connector, CredentialDoor
from zendeskd.cron import CronExpression
from zendeskd.errors import BadRequest, Conflict
from zendeskd.models import (
    EPOCH,
    FINISHED,
    Health,
    Identity,
    Integration,
    IntegrationView,
    Queued,
    RunRow,
    RunView,
    State,
    Today,
    Trigger,
    utcnow,
)
from zendeskd.runs.clock import CronScheduler
from zendeskd.runs.dispatch import Dispatch
from zendeskd.runs.ledger import Ledger
from zendeskd.runs.outcome import due_first, due_next
from zendeskd.runs.performance import Asides, Bench
from zendeskd.runs.roster import Post, Roster, changed_by_time
from zendeskd.runs.workers import Workers
from zendeskd.sync import OVERLAP, starting_position

log = structlog.get_logger("zendeskd.jobs")

FORGET_WITHIN_S: Final = 20.0
LOOKS_BEFORE_TOLD: Final = 2
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
        self._on_removed = on_removed
        self._moved_at = monotonic()
        self._roster = Roster()
        self._workers = Workers(workers, monotonic=monotonic)
        self.clock = CronScheduler(now, monotonic=monotonic, on_pass=self._scheduler_moved)
        bench = Bench(
            ledger=ledger,
            connectors=connectors,
            credentials=credentials,
            now=now,
            monotonic=monotonic,
            pulse=self._workers.pulse,
            run_deadline_s=run_deadline_s,
            asides=Asides(),
        )
        self._bench = bench
        self._dispatch = Dispatch(self._roster, self.clock, self._workers, bench, on_change=on_change, on_run=on_run)
        self._scheduler = self._scheduler_thread()
        self._ending = False

    # --- life -----------------------------------------------------------------------------------------------------

    def load(self) -> list[RunRow]:
        """Take over from the daemon before: cut-off runs become `interrupted` (returned), everything is planned."""
        now = self._now()
        interrupted = self._ledger.runs.interrupt_orphans(now)
        self._ledger.reconciliations.interrupt_orphans(now)
        cut_off = {row.integration_id for row in interrupted}
        recent, compared = self._ledger.runs.recent(), self._ledger.reconciliations.latest()
        set_aside = self._ledger.runs.set_aside()
        with self._dispatch.commands:
            for integration in self._ledger.fleet.integrations():
                post = _post_of(integration, now)
                self._roster.add(post)
                post.recent.extend(recent.get(integration.id, ()))
                post.reconciled = compared.get(integration.id)
                post.set_aside = set_aside.get(integration.id, 0)
                known = post.integration
                known = replace(known, next_run_at=now) if known.id in cut_off else known
                self._dispatch.plan(post, *due_first(known, post.cron, now))
            self._load_today(self._roster.all())
            for row in self._ledger.runs.queued():
                if (owner := self._roster.get(row.integration_id)) is not None:
                    self._dispatch.into_queue(owner, row)
        self.clock.put("minute", CronExpression("* * * * *", "UTC"), self._each_minute)
        return interrupted

    def start_threads(self) -> None:
        self._workers.start()
        self._scheduler.start()

    def mend(self) -> list[str]:
        """Start the threads that died anew. -> their names. Called every few seconds by whoever calls `shut_down`.
        Raises RuntimeError while there are no more threads to be had."""
        if self._ending:
            return []
        died = self._workers.mend()
        if self._scheduler.ident is not None and not self._scheduler.is_alive():
            fresh = self._scheduler_thread()
            fresh.start()
            self._scheduler = fresh
            died.append(fresh.name)
        return died

    def shut_down(self, drain_s: float) -> bool:
        """End every run at its next page, wait up to `drain_s`. -> whether all threads ended."""
        self._ending = True
        self.clock.stop()
        self._workers.close()
        self._dispatch.close()
        ended = self._workers.join(drain_s)
        if self._scheduler.ident is not None:
            self._scheduler.join(5)
        return ended and not self._scheduler.is_alive()

    # --- views ----------------------------------------------------------------------------------------------------

    def views(self, system: str | None = None) -> list[IntegrationView]:
        """All, worst first, then by name."""
        posts = [post for post in self._roster.all() if system in {None, post.integration.system_type}]
        views = [self._dispatch.view(post) for post in posts]
        return sorted(views, key=lambda v: (_HEALTH_ORDER[v.health], v.integration.organization_id))

    def view(self, org: str, system: str) -> IntegrationView:
        return self._dispatch.view(self._post(org, system))

    def live_run(self, run_id: int) -> RunView | None:
        for post in self._roster.all():
            live = post.run
            if live is not None and live.id == run_id:
                return live.view()
        return None

    def as_it_is(self, row: RunRow) -> RunRow:
        """A row as it would be if the database had not refused the end of its run."""
        post = self._roster.get(row.integration_id)
        if row.status not in FINISHED and post is not None and post.is_behind:
            for ended in list(post.unrecorded):
                if ended.row.id == row.id:
                    return ended.as_written(row)
        return row

    def pulses(self) -> dict[str, float]:
        """Seconds since each thread last moved."""
        return {"scheduler": self._monotonic() - self._moved_at, **self._workers.pulses()}

    def doing(self) -> dict[str, str]:
        """What each worker that has something to do does, in words."""
        return self._workers.doing()

    def busy(self) -> int:
        return self._workers.busy()

    def queue_length(self) -> int:
        return self._workers.waiting()

    # --- commands -------------------------------------------------------------------------------------------------

    def trigger(self, org: str, system: str, by: str) -> Queued:
        """Run it now, or join the run or the place in the queue that it has. A stopped one runs once."""
        with self._dispatch.commands:
            post = self._post(org, system)
            _refuse_unready(post)
            return self._dispatch.enqueue(post, Trigger.MANUAL, by)

    def start(self, org: str, system: str, by: str, interval: str | None = None) -> bool:
        """Make it active and due at once, blocked or not. -> whether anything changed."""
        with self._dispatch.commands:
            post = self._post(org, system)
            one = post.integration
            changed = interval is not None and self._take_interval(post, interval)
            if not one.is_active or one.state is not State.IDLE:
                self._dispatch.revive(post, by)
                changed = True
        if changed:
            self._dispatch.announce(post)
        return changed

    def stop(self, org: str, system: str, by: str, reason: str | None = None, until: datetime | None = None) -> bool:
        """No more runs until `start` (or `until`); one going on ends at its next page. -> whether anything changed."""
        with self._dispatch.commands:
            post = self._post(org, system)
            says_more = post.integration.is_active or reason is not None or until is not None
            if says_more:  # a second stop that does not leaves what the first one said
                stopped = {"is_active": False, "state": State.STOPPED, "blocked_at": None}
                self._dispatch.change(post, stopped | {"stopped_by": by, "stop_reason": reason, "stopped_until": until})
            self._dispatch.plan(post, *due_next(post.integration, post.cron, self._now()))
            ended = self._dispatch.end(post, "stopped"), self._dispatch.end_census(post, "stopped")
            log.info("stopped", org=org, system=system, by=by, reason=reason)
        self._dispatch.announce(post)
        return says_more or ended != (None, None)

    def set_interval(self, org: str, system: str, by: str, interval: str) -> bool:
        """Give it another schedule; a run going on is not touched. -> whether it was another one."""
        with self._dispatch.commands:
            post = self._post(org, system)
            changed = self._take_interval(post, interval)
        if changed:
            log.info("interval changed", org=org, system=system, by=by, interval=post.integration.sync_interval)
            self._dispatch.announce(post)
        return changed

    def cancel(self, org: str, system: str, by: str) -> int:
        """End the run at its next page, at once if it waits or is queued. The schedule goes on. -> its id."""
        with self._dispatch.commands:
            post = self._post(org, system)
            run_id = self._dispatch.end(post, "cancelled")
            if run_id is None:  # then the comparison with the source, if one is going on
                run_id = self._dispatch.end_census(post, "cancelled")
            if run_id is None:
                raise Conflict(
                    f"no run of {org} ({system}) is going on or queued", hint="zendeskctl status shows what runs"
                )
            log.info("cancel asked", org=org, system=system, run=run_id, by=by)
        self._dispatch.announce(post)
        return run_id

    def resync(self, org: str, system: str, by: str, since: datetime | None) -> Queued:
        """Read again from `since` (None: everything). Records are compared, so nothing is doubled."""
        with self._dispatch.commands:
            post = self._post(org, system)
            _refuse_unready(post)
            if post.run is not None:
                raise Conflict(
                    f"run {post.run.id} of {org} is going on and would lose its place",
                    hint=f"wait for it, or end it first: zendeskctl cancel {org}",
                )
            # Never later than where a run would begin without a cursor: what lies between would be lost.
            place = starting_position(replace(post.integration, cursor=None), self._now()).since or EPOCH
            begin = min(EPOCH if since is None else max(since, EPOCH), place) + OVERLAP
            self._dispatch.change(post, {"cursor": None, "cursor_strategy": None, "watermark": begin})
            return self._dispatch.enqueue(post, Trigger.MANUAL, by)

    def reconcile(self, org: str, system: str, by: str) -> tuple[int, bool]:
        """Queue a comparison with the source. -> its id, and whether it joined one that was there already."""
        with self._dispatch.commands:
            post = self._post(org, system)
            _refuse_unready(post)
            if post.integration.last_success_at is None:
                raise Conflict(f"{org} has not been read once, so there is nothing to compare", hint="trigger it first")
            if post.reconciled is not None and post.reconciled.status == "running":
                return post.reconciled.id, True
            begun = self._dispatch.compare(post, by)
        self._dispatch.announce(post)
        return begun.id, False

    def check(self, org: str, system: str) -> Identity:
        """Prove the credentials, without syncing, in the calling thread. Raises RunError."""
        post = self._post(org, system)
        with self._bench.aside(post.integration) as source:
            identity = source.check()
        self._ledger.fleet.verified(post.integration.id, self._now())
        return identity

    def adopt(self, integration_id: int, *, at_once: bool = True) -> None:
        """Read an integration again after it was added or changed in the store. One that never ran, is blocked or
        fails is due at once: the change may be what it needs. `at_once=False`, for many: the clock queues its run,
        so that the caller does not wait behind the runs of those before."""
        with self._dispatch.commands:
            fresh = self._ledger.fleet.integration_by_id(integration_id)
            post = self._roster.get(integration_id)
            if post is None:
                post = Post(fresh, self._now())
                self._roster.add(post)
                self._load_today([post])
            if fresh.state is State.BLOCKED and fresh.is_active:
                self._dispatch.change(post, {"state": State.IDLE, "blocked_at": None})
            else:
                post.take(fresh)
            one = post.integration
            wants = one.is_active and one.credential_kind is not None
            wants = wants and (one.last_success_at is None or one.consecutive_failures > 0)
            now = self._now()
            if wants and not at_once:
                due = one.next_run_at if one.next_run_at is not None and one.next_run_at <= now else now
                self._dispatch.plan(post, due, Trigger.START)
            else:
                self._dispatch.plan(post, *due_next(one, post.cron, now))
            if wants and at_once:
                self._dispatch.enqueue(post, Trigger.START, None)
        self._dispatch.announce(post)

    def forget(self, integration_id: int) -> None:
        """Let go of an integration that is to be removed: ends its run first. Raises Conflict if that takes long."""
        post = self._roster.get(integration_id)
        if post is None:
            return
        with self._dispatch.commands:
            self.clock.remove(post.tag)
            post.leaving = True
            self._dispatch.end(post, "stopped")
            self._dispatch.end_census(post, "stopped")
            going = [live for live in (post.run, post.census) if live is not None]
        if not all(live.ended.wait(FORGET_WITHIN_S) for live in going):
            with self._dispatch.commands:
                post.leaving = False
                self._dispatch.plan(post, *due_next(post.integration, post.cron, self._now()))
            raise Conflict("its run is still ending, so it was not removed", hint="try again in a minute")
        one = post.integration
        self._roster.remove(post)
        self._on_removed(one.organization_id, one.system_type)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _post(self, org: str, system: str) -> Post:
        """Raises NotFound that says which systems or near names there are."""
        post = self._roster.find(org, system)
        if post is None:
            self._ledger.fleet.integration(org, system)
            raise Conflict(f"{org} has only just been added", hint="try again in a second")
        return post

    def _take_interval(self, post: Post, interval: str) -> bool:
        cron = CronExpression(interval, post.integration.timezone)
        if cron.text == post.integration.sync_interval:
            return False
        self._dispatch.change(post, {"sync_interval": cron.text})
        if post.integration.state is not State.BLOCKED:
            self._dispatch.plan(post, *due_next(post.integration, post.cron, self._now()))
        return True

    def _each_minute(self) -> None:
        """Announce what time alone has changed (late, slow, a new day), and write down what could not be written."""
        for post in self._roster.all():
            try:
                self._dispatch.record_late(post)
                post.notice_step_back(self._now())
                view = self._dispatch.view(post)
                if changed_by_time(view) != post.announced:
                    self._dispatch.announce(post)
                _tell_lateness(post, view)
            except Exception:  # a bug with one costs the others nothing
                log.exception("not looked after", org=post.integration.organization_id)

    def _load_today(self, posts: list[Post]) -> None:
        now = self._now()
        days = {post.integration.id: post.day(now) for post in posts}
        counted = self._ledger.runs.today(days)
        for post in posts:
            post.today = counted.get(post.integration.id, Today(post.day(now)))

    def _scheduler_thread(self) -> threading.Thread:
        return threading.Thread(target=self.clock.run_forever, name="scheduler", daemon=True)

    def _scheduler_moved(self) -> None:
        self._moved_at = self._monotonic()


def _post_of(integration: Integration, now: datetime) -> Post:
    """A row whose schedule or zone can no longer be read (a zone that tzdata dropped) stands still and says why; it
    must not keep the others from running."""
    try:
        return Post(integration, now)
    except BadRequest as error:
        log.error("cannot be scheduled", org=integration.organization_id, error=error.detail, hint=error.hint)
        still = {"is_active": False, "state": State.STOPPED, "stopped_by": "zendeskd", "stop_reason": error.detail}
        return Post(replace(integration, sync_interval="@hourly", timezone="UTC", **still), now)


def _tell_lateness(post: Post, view: IntegrationView) -> None:
    """Once each time that it becomes late, and once that it is not any more. Not before the second look: after a
    suspend of the host all are late, and run within the minute."""
    one = view.integration
    bound = log.bind(org=one.organization_id, system=one.system_type)
    was_told = post.looks_late >= LOOKS_BEFORE_TOLD
    post.looks_late = 0 if view.late_s is None else post.looks_late + 1
    is_told = post.looks_late >= LOOKS_BEFORE_TOLD
    if is_told and not was_told:
        bound.warning("late", late_s=view.late_s, state=view.state.value, why=view.why, happened=view.happened)
    elif was_told and not is_told:
        bound.info("not late any more", state=view.state.value)


def _refuse_unready(post: Post) -> None:
    one = post.integration
    if post.leaving:
        raise Conflict(f"{one.organization_id} is being removed")
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
