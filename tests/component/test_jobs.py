"""Jobs with a real database, real threads and the real clock thread; only the source is scripted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes import START, ScriptedConnector, ScriptedSource, Step, page
from tests.waiting import wait_for
from zendeskd.db import Database
from zendeskd.errors import BadRequest, Conflict, CredentialError, NetworkError, NotFound, StorageError
from zendeskd.jobs import Jobs
from zendeskd.models import (
    Health,
    Identity,
    IntegrationView,
    Page,
    Quarantined,
    RunRow,
    RunStatus,
    State,
    Trigger,
    Waiting,
    utcnow,
)
from zendeskd.store import Store
from zendeskd.store.fleet import NewIntegration, NewOrganization, SealedCredential

YEARLY = "0 0 1 1 *"  # far away, so that only what a test asks for happens


class Part:
    """One part of the store; raises StorageError for the calls that `failing` names, as often as it says."""

    def __init__(self, real: object, failing: dict[str, int]) -> None:
        self.real, self.failing = real, failing
        self.before_failing: Callable[[], None] = lambda: None

    def __getattr__(self, name: str) -> object:
        if self.failing.get(name, 0) > 0:
            self.failing[name] -= 1
            self.before_failing()
            raise StorageError("The disk is full.")
        return getattr(self.real, name)


class FailingLedger:
    """A store whose disk is full for some calls: `failing["finish"] = 2`."""

    def __init__(self, store: Store) -> None:
        self.failing: dict[str, int] = {}
        self.fleet, self.runs = Part(store.fleet, self.failing), Part(store.runs, self.failing)
        self.pages, self.reconciliations = store.pages, Part(store.reconciliations, self.failing)


class Fleet:
    """A database, and jobs that are started on it as often as a test likes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.db = Database(f"sqlite:///{path / 'fleet.db'}")
        self.db.open()
        self.store = Store(self.db)
        self.ledger = FailingLedger(self.store)
        self.failing = self.ledger.failing
        self.jobs: Jobs | None = None
        self.changes: list[IntegrationView] = []
        self.runs: list[RunRow] = []
        self.removed: list[tuple[str, str]] = []
        self.connector = ScriptedConnector([[page(1, end=True)]])

    def add(self, org: str = "acme", *, interval: str = YEARLY, credential: bool = True, active: bool = True) -> int:
        new = NewIntegration(
            system_type="zendesk",
            base_url=f"https://{org}.zendesk.com",
            strategy="export",
            is_active=active,
            sync_interval=interval,
            timezone="America/New_York",
            lookback="7d",
            credential=SealedCredential(kind="api_token", ciphertext="sealed", expires_at=None) if credential else None,
            next_run_at=None,
        )
        self.store.fleet.apply(
            add=[NewOrganization(id=org, name=org.title(), timezone="America/New_York", tags=(), integrations=(new,))],
            update=[],
            now=utcnow(),
        )
        return self.store.fleet.integration(org, "zendesk").id

    def start(self, *scripts: Sequence[Step], workers: int = 2, **options: object) -> Jobs:
        if scripts:
            self.connector = ScriptedConnector(scripts)
        self.jobs = Jobs(
            self.ledger,  # type: ignore[arg-type]
            {"zendesk": self.connector},
            lambda one: None,  # type: ignore[arg-type, return-value]
            workers=workers,
            **{  # type: ignore[arg-type]
                "on_change": self.changes.append,
                "on_run": self.runs.append,
                "on_removed": lambda org, system: self.removed.append((org, system)),
                **options,
            },
        )
        self.jobs.load()
        self.jobs.start_threads()
        return self.jobs

    def stop(self) -> None:
        if self.jobs is not None:
            assert self.jobs.shut_down(10)
            self.jobs = None

    def rows(self, org: str = "acme") -> list[RunRow]:
        return self.store.runs.list(org=org)

    def ended(self, org: str = "acme", *, count: int = 1, status: RunStatus = RunStatus.SUCCESS) -> RunRow:
        """The newest run, once `count` of them have ended with `status`."""
        return wait_for(
            lambda: (rows := [r for r in self.rows(org) if r.status is status]) and len(rows) >= count and rows[0],
            f"{count} runs with {status}",
        )

    def idle(self, org: str = "acme") -> IntegrationView:
        assert self.jobs is not None
        jobs = self.jobs

        def now_idle() -> IntegrationView | None:
            view = jobs.view(org, "zendesk")
            return view if view.run is None and view.queued_run_id is None and view.recent else None

        return wait_for(now_idle, "the end of the run")  # type: ignore[return-value]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    one = Fleet(tmp_path)
    yield one
    one.stop()
    one.db.close()


class Gate:
    """A step that waits to be opened, and tells that it was reached."""

    def __init__(self, then: Page) -> None:
        self.then, self.reached, self.open = then, threading.Event(), threading.Event()

    def __call__(self) -> Page:
        self.reached.set()
        assert self.open.wait(20)
        return self.then

    def wait(self) -> None:
        assert self.reached.wait(10)


@pytest.fixture
def gate() -> Iterator[Callable[..., Gate]]:
    made: list[Gate] = []

    def make(*numbers: int, cursor: str = "g", end: bool = True) -> Gate:
        made.append(Gate(page(*numbers, cursor=cursor, end=end)))
        return made[-1]

    yield make
    for one in made:
        one.open.set()


def test_an_active_one_with_credentials_runs_without_being_asked(fleet: Fleet) -> None:
    fleet.add()
    fleet.start([page(1, 2, cursor="a"), page(3, cursor="b", end=True)])
    row = fleet.ended()
    assert (row.trigger, row.records_created, row.pages, row.end_reason) == (Trigger.START, 3, 2, "end_of_stream")
    view = fleet.idle()
    assert (view.state, view.health, view.integration.total_records) == (State.IDLE, Health.OK, 3)
    assert view.integration.cursor == "b"
    assert view.integration.next_run_at is not None
    assert view.today.records == 3


def test_without_credentials_or_stopped_nothing_runs_by_itself(fleet: Fleet) -> None:
    fleet.add("bare", credential=False)
    fleet.add("halted", active=False)
    fleet.add("acme")
    jobs = fleet.start()
    fleet.ended("acme")
    assert fleet.rows("bare") == fleet.rows("halted") == []
    bare = jobs.view("bare", "zendesk")
    assert (bare.state, bare.why) == (State.BLOCKED, "no credentials yet")
    with pytest.raises(Conflict, match="no zendesk credentials"):
        jobs.trigger("bare", "zendesk", "ana")


def test_a_tick_runs_what_is_due(fleet: Fleet) -> None:
    one = fleet.add()
    now = utcnow()
    fleet.store.fleet.change(one, last_sync_at=now, next_run_at=now + timedelta(milliseconds=300))
    fleet.start()
    assert fleet.ended().trigger is Trigger.SCHEDULE


def test_what_was_missed_runs_once(fleet: Fleet) -> None:
    one = fleet.add()
    now = utcnow()
    fleet.store.fleet.change(one, last_sync_at=now, next_run_at=now - timedelta(days=2))
    fleet.start()
    fleet.ended()
    fleet.idle()
    assert [row.trigger for row in fleet.rows()] == [Trigger.CATCHUP]


def test_a_trigger_joins_the_run_and_a_tick_is_skipped(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add()
    step = gate(1)
    jobs = fleet.start([step], [page(2, end=True)])
    step.wait()
    first = jobs.trigger("acme", "zendesk", "ana")
    assert (first.joined, first.state) == (True, State.RUNNING)
    assert jobs.trigger("acme", "zendesk", "ben") == first
    tag = f"integration-{jobs.view('acme', 'zendesk').integration.id}"
    jobs.clock.bring_forward(tag, utcnow())
    wait_for(lambda: jobs.view("acme", "zendesk").skipped_ticks == 1, "the tick to be skipped")
    step.open.set()
    assert fleet.ended().id == first.run_id
    fleet.idle()
    assert len(fleet.rows()) == 1


def test_manual_goes_before_what_the_clock_queued(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    for org in ("aaa", "bbb", "ccc"):
        fleet.add(org)
    step = gate(1)
    jobs = fleet.start([step], [page(2, end=True)], workers=1)
    step.wait()
    wait_for(lambda: jobs.queue_length() == 2, "two in the queue")
    waiting = [v.integration.organization_id for v in jobs.views() if v.state is State.QUEUED]
    last = waiting[-1]
    queued = jobs.trigger(last, "zendesk", "ana")
    assert (queued.joined, queued.state) == (True, State.QUEUED)
    step.open.set()
    for org in waiting:
        fleet.ended(org)
    assert fleet.rows(last)[0].started_at <= fleet.rows(waiting[0])[0].started_at  # type: ignore[operator]


def test_an_error_is_retried_sooner_than_the_schedule(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([page(1, cursor="a"), NetworkError("The connection was reset.")], [page(2, end=True)])
    fleet.ended(status=RunStatus.FAILED)
    view = fleet.idle()
    assert (view.state, view.integration.consecutive_failures) == (State.RETRYING, 1)
    assert view.integration.cursor == "a"
    assert view.why == "not reachable"
    assert "The connection was reset." in view.happened
    assert view.integration.next_run_at is not None
    assert view.integration.next_run_at - utcnow() < timedelta(seconds=61)
    assert view.today.failures == 1
    jobs.clock.bring_forward(f"integration-{view.integration.id}", utcnow())
    assert fleet.ended().trigger is Trigger.RETRY
    assert fleet.idle().integration.consecutive_failures == 0


def test_refused_credentials_block_until_a_probe_works(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([CredentialError("Zendesk rejected the API token (HTTP 401).")], [page(1, end=True)])
    fleet.ended(status=RunStatus.FAILED)
    view = fleet.idle()
    assert (view.state, view.health) == (State.BLOCKED, Health.BLOCKED)
    assert view.you.startswith("zendeskctl credentials set acme")
    assert view.integration.next_run_at is not None
    assert timedelta(minutes=59) < view.integration.next_run_at - utcnow() <= timedelta(hours=1)
    with pytest.raises(Conflict, match="blocked"):
        jobs.trigger("acme", "zendesk", "ana")
    jobs.clock.bring_forward(f"integration-{view.integration.id}", utcnow())
    assert fleet.ended().trigger is Trigger.RETRY
    assert fleet.idle().state is State.IDLE


def test_a_probe_that_is_refused_changes_nothing(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([CredentialError("refused")])
    fleet.ended(status=RunStatus.FAILED)
    view = fleet.idle()
    jobs.clock.bring_forward(f"integration-{view.integration.id}", utcnow())
    wait_for(lambda: len(fleet.connector.opened) == 2 and fleet.connector.opened[1].closed.is_set(), "the probe")
    wait_for(lambda: jobs.busy() == 0, "the worker")
    assert jobs.view("acme", "zendesk").state is State.BLOCKED
    assert len(fleet.rows()) == 1


def test_start_tries_a_blocked_one_at_once(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([CredentialError("refused")], [page(1, end=True)])
    fleet.ended(status=RunStatus.FAILED)
    fleet.idle()
    assert jobs.start("acme", "zendesk", "ana")
    assert fleet.ended().requested_by == "ana"


def test_new_credentials_unblock(fleet: Fleet) -> None:
    one = fleet.add()
    jobs = fleet.start([CredentialError("refused")], [page(1, end=True)])
    fleet.ended(status=RunStatus.FAILED)
    fleet.idle()
    jobs.adopt(one)
    fleet.ended()
    assert fleet.idle().health is Health.OK


def test_stop_ends_the_run_and_start_brings_it_back(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add()
    step = gate(2, cursor="b", end=False)
    jobs = fleet.start([page(1, cursor="a"), step, page(3, end=True)], [page(3, end=True)])
    step.wait()
    assert jobs.stop("acme", "zendesk", "ana", reason="change freeze")
    assert fleet.ended(status=RunStatus.CANCELLED).end_reason == "stopped"
    view = fleet.idle()
    assert (view.state, view.why, view.integration.next_run_at) == (State.STOPPED, "ana: change freeze", None)
    assert not jobs.stop("acme", "zendesk", "ben")
    assert jobs.view("acme", "zendesk").why == "ana: change freeze"
    assert jobs.trigger("acme", "zendesk", "ana").joined is False
    fleet.ended()
    assert fleet.idle().state is State.STOPPED
    assert jobs.start("acme", "zendesk", "ana", interval="*/30 * * * *")
    fleet.ended(count=2)
    view = fleet.idle()
    assert (view.state, view.integration.sync_interval) == (State.IDLE, "*/30 * * * *")
    assert not jobs.start("acme", "zendesk", "ana")


def test_a_stop_with_an_end_starts_again_by_itself(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start()
    fleet.ended()
    fleet.idle()
    jobs.stop("acme", "zendesk", "ana", until=utcnow() + timedelta(milliseconds=200))
    row = fleet.ended(count=2)
    assert (row.trigger, row.requested_by) == (Trigger.START, "schedule")
    assert fleet.idle().integration.is_active


def test_cancel_leaves_a_hanging_source_at_once(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add()
    step = gate(2)
    jobs = fleet.start([page(1, cursor="a"), step])
    step.wait()
    run_id = jobs.cancel("acme", "zendesk", "ana")
    row = fleet.ended(status=RunStatus.CANCELLED)
    assert (row.id, row.records_created) == (run_id, 1)
    fleet.idle()
    with pytest.raises(Conflict, match="no run"):
        jobs.cancel("acme", "zendesk", "ana")


def test_cancel_takes_a_queued_run_back(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add("aaa")
    fleet.add("bbb")
    step = gate(1)
    jobs = fleet.start([step], [page(2, end=True)], workers=1)
    step.wait()
    wait_for(lambda: jobs.queue_length() == 1, "one in the queue")
    queued = next(v for v in jobs.views() if v.state is State.QUEUED).integration.organization_id
    jobs.cancel(queued, "zendesk", "ana")
    assert fleet.rows(queued)[0].status is RunStatus.CANCELLED
    assert jobs.queue_length() == 0


def test_an_interval_that_is_wrong_leaves_the_old_one(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start()
    fleet.ended()
    before = fleet.idle().integration
    with pytest.raises(BadRequest, match="minute: 75"):
        jobs.set_interval("acme", "zendesk", "ana", "75 * * * *")
    assert jobs.view("acme", "zendesk").integration == before
    assert jobs.set_interval("acme", "zendesk", "ana", "*/5  * * * *")
    after = jobs.view("acme", "zendesk").integration
    assert after.sync_interval == "*/5 * * * *"
    assert after.next_run_at is not None
    assert after.next_run_at - utcnow() <= timedelta(minutes=5)
    assert not jobs.set_interval("acme", "zendesk", "ana", "*/5 * * * *")


def test_resync_reads_from_the_given_instant(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([page(1, cursor="a", end=True)])
    fleet.ended()
    fleet.idle()
    since = START - timedelta(days=30)
    jobs.resync("acme", "zendesk", "ana", since)
    row = fleet.ended(count=2)
    assert (row.records_created, row.records_unchanged) == (0, 1)
    (position,) = fleet.connector.opened[1].positions
    assert (position.cursor, position.since) == (None, since)
    assert fleet.idle().integration.total_records == 1


def test_resync_is_refused_while_a_run_would_lose_its_place(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add()
    step = gate(1)
    jobs = fleet.start([step])
    step.wait()
    with pytest.raises(Conflict, match="would lose its place"):
        jobs.resync("acme", "zendesk", "ana", None)


def test_a_bug_costs_its_own_integration_alone(fleet: Fleet) -> None:
    fleet.add("buggy")
    jobs = fleet.start([ZeroDivisionError("oops")], [page(1, end=True)], workers=1)
    fleet.add("fine")
    jobs.adopt(fleet.store.fleet.integration("fine", "zendesk").id)
    row = fleet.ended("buggy", status=RunStatus.FAILED)
    assert (row.error_code, row.error_message) == ("internal_error", "A bug ended the run: ZeroDivisionError: oops")
    fleet.ended("fine")


def test_bad_records_make_the_run_partial_and_show(fleet: Fleet) -> None:
    fleet.add()
    bad = page(1, end=True)
    bad.quarantined = [Quarantined(raw='{"id":"x"}', reason="id is no number", external_id="x")]
    fleet.start([bad])
    fleet.ended(status=RunStatus.PARTIAL)
    view = fleet.idle()
    assert (view.health, view.why) == (Health.OK, "1 set aside")
    assert fleet.jobs is not None
    fleet.connector.scripts = [[page(1, end=True, version=2)]]
    fleet.jobs.trigger("acme", "zendesk", "ana")
    fleet.ended()
    assert fleet.idle().set_aside == 1  # a later run that does not show it does not make it good


def test_waiting_for_a_rate_limit_is_seen_and_no_failure(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add()
    step = gate(1)
    jobs = fleet.start([step])
    step.wait()
    until = utcnow() + timedelta(seconds=38)
    fleet.connector.waits[0](Waiting(state=State.LIMITED, until=until, reason="429, export budget"))
    view = jobs.view("acme", "zendesk")
    assert (view.state, view.health, view.why) == (State.LIMITED, Health.LIMITED, "429, export budget")
    fleet.connector.waits[0](None)
    assert jobs.view("acme", "zendesk").state is State.RUNNING
    step.open.set()
    fleet.ended()


def test_shutdown_interrupts_and_the_next_start_goes_on(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add()
    step = gate(2, cursor="b")
    fleet.start([page(1, cursor="a"), step])
    step.wait()
    fleet.stop()
    assert fleet.rows()[0].status is RunStatus.INTERRUPTED
    fleet.start([page(2, cursor="b", end=True)])
    row = fleet.ended()
    assert row.trigger is Trigger.CATCHUP
    assert fleet.connector.opened[0].positions[0].cursor == "a"


def test_runs_left_by_a_killed_daemon_become_interrupted(fleet: Fleet) -> None:
    one = fleet.add()
    integration = fleet.store.fleet.integration_by_id(one)
    cut = fleet.store.runs.enqueue(integration, Trigger.SCHEDULE, None, utcnow())
    fleet.store.runs.begin(cut.id, utcnow())
    fleet.store.fleet.change(one, last_sync_at=utcnow(), next_run_at=utcnow() + timedelta(hours=9))
    fleet.start()
    assert fleet.ended().trigger is Trigger.CATCHUP
    assert fleet.store.runs.get(cut.id).status is RunStatus.INTERRUPTED


def test_a_trigger_accepted_before_the_end_is_carried_out_after_the_start(fleet: Fleet) -> None:
    one = fleet.add()
    integration = fleet.store.fleet.integration_by_id(one)
    fleet.store.fleet.change(one, last_sync_at=utcnow(), next_run_at=utcnow() + timedelta(hours=9))
    accepted = fleet.store.runs.enqueue(integration, Trigger.MANUAL, "ana", utcnow())
    fleet.start()
    row = fleet.ended()
    assert (row.id, row.trigger, row.requested_by) == (accepted.id, Trigger.MANUAL, "ana")


def test_removal_ends_the_run_first(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    one = fleet.add()
    step = gate(2)
    jobs = fleet.start([page(1, cursor="a"), step])
    step.wait()
    jobs.forget(one)
    fleet.store.fleet.remove_organization("acme")
    assert fleet.removed == [("acme", "zendesk")]
    with pytest.raises(NotFound, match="acme"):
        jobs.view("acme", "zendesk")


def test_an_unknown_organisation_lists_near_names(fleet: Fleet) -> None:
    fleet.add("acme-eu")
    jobs = fleet.start()
    with pytest.raises(NotFound) as refused:
        jobs.trigger("acme-ue", "zendesk", "ana")
    assert "acme-eu" in refused.value.hint
    with pytest.raises(NotFound, match="has no jira"):
        jobs.view("acme-eu", "jira")


def test_reconcile_mends_what_differs(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([page(1, 2, 3, cursor="a", end=True)], [page(1, 3, 4, cursor="z", end=True)])
    fleet.ended()
    fleet.idle()
    compared, joined = jobs.reconcile("acme", "zendesk", "ana")
    assert not joined

    def verified() -> bool:
        found = jobs.view("acme", "zendesk").reconciled
        return found is not None and found.status == "verified"

    wait_for(verified, "the comparison")
    result = fleet.store.reconciliations.latest()[jobs.view("acme", "zendesk").integration.id]
    assert (result.id, result.missing, result.vanished, result.repaired) == (compared, 1, 1, 2)
    assert (result.local_count, result.source_count) == (3, 3)
    view = jobs.view("acme", "zendesk")
    assert (view.integration.total_records, view.integration.cursor) == (3, "a")


def test_reconcile_before_the_first_run_is_refused(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add()
    step = gate(1)
    jobs = fleet.start([step])
    step.wait()
    with pytest.raises(Conflict, match="nothing to compare"):
        jobs.reconcile("acme", "zendesk", "ana")


def test_progress_is_announced(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add()
    step = gate(2)
    fleet.start([page(1, cursor="a"), step])
    step.wait()
    wait_for(lambda: [c for c in fleet.changes if c.run is not None and c.run.pages == 1], "the progress")
    step.open.set()
    fleet.ended()
    wait_for(lambda: [r.status for r in fleet.runs][-1:] == [RunStatus.SUCCESS], "the end to be told")
    assert [r.status for r in fleet.runs] == [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.SUCCESS]


def test_a_run_past_its_deadline_ends_at_its_page(fleet: Fleet) -> None:
    fleet.add()
    fleet.start([page(1, cursor="a"), page(2, cursor="b", end=True)], run_deadline_s=0.0)
    row = fleet.ended(status=RunStatus.FAILED)
    assert (row.end_reason, row.records_created) == ("deadline", 1)


def test_many_organisations_on_few_workers_each_run_once(fleet: Fleet) -> None:
    for n in range(60):
        fleet.add(f"org-{n:02}")
    jobs = fleet.start(workers=4)
    wait_for(lambda: all(v.recent for v in jobs.views()), "all to run", 30)
    assert all(len(fleet.rows(f"org-{n:02}")) == 1 for n in range(60))
    assert set(jobs.pulses()) == {"scheduler", "worker-1", "worker-2", "worker-3", "worker-4"}


# --- when the disk does not take it -----------------------------------------------------------------------------------


def test_an_end_that_cannot_be_written_is_kept_and_written_later(fleet: Fleet) -> None:
    fleet.add()
    fleet.failing["finish"] = 1
    jobs = fleet.start([page(1, end=True)])
    shown = wait_for(
        lambda: (v := jobs.view("acme", "zendesk")).integration.last_error_code == "storage_error" and v, "the failure"
    )
    assert "The disk is full." in shown.happened
    assert shown.run is None
    assert fleet.rows()[0].status is RunStatus.RUNNING
    jobs.clock.bring_forward("minute", utcnow())
    fleet.ended()
    wait_for(lambda: jobs.view("acme", "zendesk").health is Health.OK, "health")
    assert len(fleet.rows()) == 1


def test_an_end_that_could_not_be_written_goes_before_the_next_run(fleet: Fleet) -> None:
    fleet.add()
    fleet.failing["finish"] = 1
    jobs = fleet.start([page(1, cursor="a", end=True)], [page(2, cursor="b", end=True)])
    wait_for(lambda: jobs.view("acme", "zendesk").integration.last_error_code == "storage_error", "the failure")
    wait_for(lambda: jobs.view("acme", "zendesk").run is None, "the end of the run")
    jobs.trigger("acme", "zendesk", "ana")
    fleet.ended(count=2)
    assert [row.status for row in fleet.rows()] == [RunStatus.SUCCESS] * 2


def test_a_tick_whose_run_cannot_be_queued_comes_again_soon(fleet: Fleet) -> None:
    one = fleet.add()
    fleet.store.fleet.change(one, last_sync_at=utcnow(), next_run_at=utcnow())
    fleet.failing["enqueue"] = 1
    jobs = fleet.start()
    wait_for(lambda: jobs.view("acme", "zendesk").integration.last_error_code == "storage_error", "the failure")
    planned = jobs.view("acme", "zendesk").integration.next_run_at
    assert planned is not None
    assert planned - utcnow() <= timedelta(minutes=1)
    with_error = jobs.view("acme", "zendesk")
    assert (with_error.state, with_error.why) == (State.RETRYING, "cannot store")
    jobs.clock.bring_forward(f"integration-{one}", utcnow())
    fleet.ended()
    assert fleet.idle().integration.consecutive_failures == 0


def test_a_command_that_cannot_be_stored_changes_nothing(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start()
    fleet.ended()
    before = fleet.idle().integration
    fleet.failing["change"] = 1
    with pytest.raises(StorageError):
        jobs.stop("acme", "zendesk", "ana")
    assert jobs.view("acme", "zendesk").integration == before


def test_a_plan_that_cannot_be_stored_still_holds(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start()
    fleet.ended()
    fleet.idle()
    jobs.stop("acme", "zendesk", "ana")
    fleet.failing["change"] = 0
    before = fleet.failing

    def only_the_plan() -> None:
        before["change"] = 1

    original = jobs._dispatch.plan

    def plan(post: object, when: object, cause: object) -> None:
        only_the_plan()
        original(post, when, cause)  # type: ignore[arg-type]

    jobs._dispatch.plan = plan  # type: ignore[method-assign, assignment]
    assert jobs.start("acme", "zendesk", "ana")
    fleet.ended(count=2)
    assert jobs.view("acme", "zendesk").integration.next_run_at is not None


def test_a_run_whose_organisation_vanishes_from_the_store_just_ends(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add()
    step = gate(1)
    jobs = fleet.start([step])
    step.wait()
    fleet.store.fleet.remove_organization("acme")
    step.open.set()
    wait_for(lambda: jobs.view("acme", "zendesk").run is None, "the end of the run")
    wait_for(lambda: jobs.busy() == 0, "the worker")


# --- comparisons ------------------------------------------------------------------------------------------------------


def compared(fleet: Fleet, *script: Step, org: str = "acme") -> Jobs:
    """Jobs with one organisation that was read once; `script` is what its comparison will see."""
    fleet.add(org)
    jobs = fleet.start([page(1, cursor="a", end=True)], list(script) or [page(1, end=True)])
    fleet.ended(org)
    fleet.idle(org)
    return jobs


def outcome(jobs: Jobs) -> str:
    found = jobs.view("acme", "zendesk").reconciled
    return "running" if found is None else found.status


@pytest.mark.parametrize(
    ("trouble", "code"), [(NetworkError("reset"), "network_error"), (ZeroDivisionError("oops"), "internal_error")]
)
def test_a_comparison_that_fails_says_so(fleet: Fleet, trouble: Exception, code: str) -> None:
    jobs = compared(fleet, trouble)
    jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "failed", "the failure")
    found = jobs.view("acme", "zendesk").reconciled
    assert found is not None
    assert found.error_code == code
    assert jobs.view("acme", "zendesk").health is Health.OK


def test_a_comparison_goes_on_beside_a_run_and_is_joined(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    step = gate(1)
    jobs = compared(fleet, step)
    first, _ = jobs.reconcile("acme", "zendesk", "ana")
    step.wait()
    assert jobs.reconcile("acme", "zendesk", "ben") == (first, True)
    live = jobs.view("acme", "zendesk").run
    assert live is not None
    assert (live.kind, live.id) == ("reconcile", first)
    fleet.connector.scripts = [[page(2, cursor="z", end=True)]]
    jobs.trigger("acme", "zendesk", "ana")
    fleet.ended(count=2)
    step.open.set()
    wait_for(lambda: outcome(jobs) == "verified", "the comparison")


def test_a_comparison_that_cannot_be_written_down_still_ends(fleet: Fleet) -> None:
    jobs = compared(fleet)
    fleet.failing["finish"] = 1
    jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "verified", "the comparison")
    wait_for(lambda: jobs.busy() == 0, "the worker")


def test_removal_ends_a_comparison_going_on_or_queued(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    step = gate(1)
    jobs = compared(fleet, page(1, cursor="b"), step)
    jobs.reconcile("acme", "zendesk", "ana")
    step.wait()
    jobs.forget(jobs.view("acme", "zendesk").integration.id)
    fleet.store.fleet.remove_organization("acme")
    assert fleet.removed == [("acme", "zendesk")]


def test_shutdown_interrupts_a_comparison(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    step = gate(1)
    jobs = compared(fleet, page(1, cursor="b"), step)
    compared_id, _ = jobs.reconcile("acme", "zendesk", "ana")
    step.wait()
    fleet.stop()
    assert fleet.store.reconciliations.get(compared_id).status == "interrupted"


def test_a_probe_without_an_answer_leaves_it_blocked(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([CredentialError("refused")], [NetworkError("reset")])
    fleet.ended(status=RunStatus.FAILED)
    view = fleet.idle()
    jobs.clock.bring_forward(f"integration-{view.integration.id}", utcnow())
    wait_for(lambda: len(fleet.connector.opened) == 2 and fleet.connector.opened[1].closed.is_set(), "the probe")
    wait_for(lambda: jobs.busy() == 0, "the worker")
    assert jobs.view("acme", "zendesk").state is State.BLOCKED


def test_a_check_tells_who_the_credentials_are_and_refuses_the_rest(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([page(1, end=True)], [page(1, end=True)], [CredentialError("refused")])
    fleet.ended()
    assert jobs.check("acme", "zendesk").user == "Ana"
    with pytest.raises(CredentialError):
        jobs.check("acme", "zendesk")
    assert all(source.closed.is_set() for source in fleet.connector.opened)


def test_an_organisation_that_does_not_let_go_is_not_removed(
    fleet: Fleet, gate: Callable[..., Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zendeskd.jobs.FORGET_WITHIN_S", 0.05)
    one = fleet.add()
    held = threading.Event()
    jobs = fleet.start([page(1, cursor="a", end=True)])
    fleet.ended()
    fleet.idle()
    original = fleet.store.runs.finish

    def slow(*args: object, **kwargs: object) -> object:
        assert held.wait(20)
        return original(*args, **kwargs)  # type: ignore[arg-type]

    fleet.store.runs.finish = slow  # type: ignore[method-assign, assignment]
    step = gate(2)
    fleet.connector.scripts = [[step]]
    jobs.trigger("acme", "zendesk", "ana")
    step.wait()
    threading.Timer(0.3, held.set).start()
    with pytest.raises(Conflict, match="still ending"):
        jobs.forget(one)
    step.open.set()
    wait_for(lambda: jobs.view("acme", "zendesk").run is None, "the end of the run")
    assert jobs.trigger("acme", "zendesk", "ana")


# --- what a reviewer broke --------------------------------------------------------------------------------------------


def test_a_stop_is_not_undone_by_a_tick_that_was_under_way(fleet: Fleet) -> None:
    one = fleet.add()
    jobs = fleet.start()
    fleet.ended()
    fleet.idle()
    post = jobs._roster.get(one)
    assert post is not None
    jobs.stop("acme", "zendesk", "ana")
    jobs._dispatch._due(post)
    assert jobs.view("acme", "zendesk").state is State.STOPPED
    jobs.stop("acme", "zendesk", "ana", until=utcnow() + timedelta(hours=1))
    jobs._dispatch._due(post)
    assert jobs.view("acme", "zendesk").state is State.STOPPED
    assert len(fleet.rows()) == 1


def test_a_stop_or_removal_that_cannot_write_the_queued_runs_end_still_holds(
    fleet: Fleet, gate: Callable[..., Gate]
) -> None:
    fleet.add("aaa")
    fleet.add("bbb")
    step = gate(1)
    jobs = fleet.start([step], [page(2, end=True)], workers=1)
    step.wait()
    wait_for(lambda: jobs.queue_length() == 1, "one in the queue")
    queued = next(v for v in jobs.views() if v.state is State.QUEUED).integration.organization_id
    fleet.failing["finish"] = 1
    jobs.stop(queued, "zendesk", "ana")
    view = jobs.view(queued, "zendesk")
    assert (view.state, view.integration.next_run_at) == (State.STOPPED, None)
    jobs.clock.bring_forward("minute", utcnow())
    assert fleet.ended(queued, status=RunStatus.CANCELLED).end_reason == "stopped"
    fleet.failing["finish"] = 1
    jobs.start(queued, "zendesk", "ana")
    jobs.forget(view.integration.id)
    assert fleet.removed == [(queued, "zendesk")]


def test_a_database_that_stays_locked_holds_up_one_write_not_all(fleet: Fleet) -> None:
    """Each refused write takes ten seconds of a clock that only tests move."""
    from tests.fakes import FakeClock

    time = FakeClock(utcnow())
    for n in range(20):
        one = fleet.add(f"org-{n:02}")
        fleet.store.fleet.change(one, last_sync_at=time.now(), next_run_at=time.now())
    fleet.failing["enqueue"] = 1000
    asked: list[float] = []

    def ten_seconds() -> None:
        asked.append(time.ticks)
        time.ticks += 10

    fleet.ledger.runs.before_failing = ten_seconds
    jobs = fleet.start(now=time.now, monotonic=time.monotonic)
    wait_for(lambda: all(v.integration.last_error_code == "storage_error" for v in jobs.views()), "all to be put off")
    assert len(asked) == 1
    fleet.failing["enqueue"] = 0
    time.ticks += 30
    assert jobs.trigger("org-07", "zendesk", "ana").joined is False
    fleet.ended("org-07")


def test_a_start_or_trigger_while_a_run_is_ending_is_carried_out_after_it(
    fleet: Fleet, gate: Callable[..., Gate]
) -> None:
    fleet.add()
    step = gate(2, cursor="b")
    jobs = fleet.start([page(1, cursor="a"), step], [page(3, cursor="c", end=True)])
    step.wait()
    with jobs._dispatch.commands:  # the run cannot get to its end before the trigger has come
        jobs.cancel("acme", "zendesk", "ana")
        queued = jobs.trigger("acme", "zendesk", "ben")
    assert (queued.joined, queued.state) == (False, State.QUEUED)
    row = fleet.ended()
    assert (row.id, row.requested_by) == (queued.run_id, "ben")
    assert fleet.rows()[1].status is RunStatus.CANCELLED


def test_shutdown_leaves_a_run_that_was_just_taken_for_the_next_daemon(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start()
    fleet.ended()
    fleet.idle()
    with jobs._dispatch.commands:
        queued = jobs.trigger("acme", "zendesk", "ana")
        wait_for(lambda: jobs.queue_length() == 0, "a worker to take it")
        jobs._dispatch.close()
    assert jobs.shut_down(10)
    fleet.jobs = None
    assert fleet.store.runs.get(queued.run_id).status is RunStatus.QUEUED
    fleet.start([page(2, end=True)])
    assert fleet.ended(count=2).id == queued.run_id


def test_a_resync_from_later_than_the_position_loses_nothing(fleet: Fleet) -> None:
    one = fleet.add()
    jobs = fleet.start([page(1, cursor="a", end=True)])
    fleet.ended()
    fleet.idle()
    behind = START - timedelta(days=3)
    fleet.store.fleet.change(one, watermark=behind)
    jobs.adopt(one)
    jobs.resync("acme", "zendesk", "ana", START - timedelta(hours=1))
    fleet.ended(count=2)
    since = fleet.connector.opened[1].positions[0].since
    assert since is not None
    assert since <= behind


def test_stop_and_cancel_end_a_comparison_too(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    step = gate(1)
    jobs = compared(fleet, page(1, cursor="b"), step)
    compared_id, _ = jobs.reconcile("acme", "zendesk", "ana")
    step.wait()
    assert jobs.cancel("acme", "zendesk", "ana") == compared_id
    wait_for(lambda: outcome(jobs) == "cancelled", "the comparison to end")
    again = gate(1)
    fleet.connector.scripts = [[page(1, cursor="b"), again]]
    jobs.reconcile("acme", "zendesk", "ana")
    again.wait()
    jobs.stop("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "cancelled", "the comparison to end")


def test_a_queued_comparison_that_is_taken_back_is_not_joined_for_ever(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    jobs = compared(fleet)
    fleet.add("other")
    step = gate(5)
    fleet.connector.scripts = [[step], [step], [page(1, end=True)]]
    jobs.adopt(fleet.store.fleet.integration("other", "zendesk").id)
    step.wait()
    jobs.trigger("acme", "zendesk", "ana")
    wait_for(lambda: jobs.busy() == 2, "both workers to be busy")
    first, _ = jobs.reconcile("acme", "zendesk", "ana")
    jobs.stop("acme", "zendesk", "ana")
    assert fleet.store.reconciliations.get(first).status == "cancelled"
    second, joined = jobs.reconcile("acme", "zendesk", "ana")
    assert (second != first, joined) == (True, False)
    step.open.set()


def test_a_comparison_whose_cursor_goes_in_a_circle_or_that_never_ends_fails(fleet: Fleet) -> None:
    jobs = compared(fleet, *[page(1, cursor=cursor) for cursor in "abababab"])
    jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "failed", "the failure")
    fleet.connector.scripts = [[page(1, cursor="x")]]
    second, _ = jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: fleet.store.reconciliations.get(second).status == "failed", "the failure")
    assert jobs.view("acme", "zendesk").integration.total_records == 1


def test_a_source_that_shows_nothing_any_more_is_not_believed(fleet: Fleet) -> None:
    fleet.add()
    many = page(*range(200), cursor="a", end=True)
    jobs = fleet.start([many], [page(cursor="z", end=True)])
    fleet.ended()
    fleet.idle()
    jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "failed", "the failure")
    found = jobs.view("acme", "zendesk")
    assert found.reconciled is not None
    assert "showed none of 200" in (found.reconciled.error_message or "")
    assert found.integration.total_records == 200


def test_a_comparisons_end_that_cannot_be_stored_is_stored_later(fleet: Fleet) -> None:
    jobs = compared(fleet)
    compared_id, _ = jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "verified", "the comparison")
    fleet.failing["finish"] = 1
    second, _ = jobs.reconcile("acme", "zendesk", "ana")
    wait_for(lambda: outcome(jobs) == "verified" and fleet.failing["finish"] == 0, "the comparison")
    wait_for(lambda: jobs.busy() == 0, "the worker")
    assert fleet.store.reconciliations.get(second).status == "running"
    jobs.clock.bring_forward("minute", utcnow())
    wait_for(lambda: fleet.store.reconciliations.get(second).status == "verified", "the end to be stored")
    assert compared_id != second


def test_one_row_that_cannot_be_read_stands_still_and_the_others_run(fleet: Fleet) -> None:
    broken = fleet.add("broken")
    fleet.add("fine")
    with fleet.db.writing() as connection:
        connection.execute("UPDATE integrations SET timezone = 'Mars/Olympus' WHERE id = ?", (broken,))
    jobs = fleet.start()
    fleet.ended("fine")
    view = jobs.view("broken", "zendesk")
    assert view.state is State.STOPPED
    assert "Mars/Olympus" in view.happened
    assert fleet.rows("broken") == []


def test_a_listener_that_fails_holds_up_nobody(fleet: Fleet) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("bug")

    fleet.add()
    jobs = fleet.start(on_change=broken, on_run=broken)
    fleet.ended()
    assert fleet.idle().health is Health.OK
    jobs.trigger("acme", "zendesk", "ana")
    fleet.ended(count=2)


def test_a_bug_in_a_probe_does_not_end_all_probing(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([CredentialError("refused")], [ZeroDivisionError("oops")], [page(1, end=True)])
    fleet.ended(status=RunStatus.FAILED)
    tag = f"integration-{fleet.idle().integration.id}"
    jobs.clock.bring_forward(tag, utcnow())
    wait_for(lambda: len(fleet.connector.opened) == 2 and jobs.busy() == 0, "the probe that fails")
    jobs.clock.bring_forward(tag, utcnow())
    assert fleet.ended().trigger is Trigger.RETRY


def test_a_check_that_waits_too_long_ends(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zendeskd.runs.performance.ASIDE_S", 0.05)
    fleet.add()
    jobs = fleet.start()
    fleet.ended()
    fleet.idle()

    class Waits(ScriptedSource):
        def check(self) -> Identity:
            fleet.connector.cancels[-1].wait(30)
            raise AssertionError("it waited to the end")

    opened = fleet.connector.open

    def opens(*args: object, **kwargs: object) -> ScriptedSource:
        opened(*args, **kwargs)  # type: ignore[arg-type]
        return Waits([])

    fleet.connector.open = opens  # type: ignore[method-assign, assignment]
    with pytest.raises(NetworkError, match="no answer within"):
        jobs.check("acme", "zendesk")


def test_a_failure_that_could_not_be_stored_is_counted_once(fleet: Fleet) -> None:
    fleet.add()
    fleet.failing["finish"] = 1
    jobs = fleet.start([NetworkError("reset")])
    wait_for(lambda: jobs.view("acme", "zendesk").integration.last_error_code == "storage_error", "the failure")
    jobs.clock.bring_forward("minute", utcnow())
    fleet.ended(status=RunStatus.FAILED)
    wait_for(lambda: jobs.view("acme", "zendesk").integration.last_error_code == "network_error", "the true reason")
    assert jobs.view("acme", "zendesk").integration.consecutive_failures == 1


def test_a_run_that_waits_for_its_limit_holds_up_nobody(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add("limited")
    step = gate(1)
    jobs = fleet.start([step], [page(2, end=True)], workers=1)
    step.wait()
    fleet.add("other")
    jobs.adopt(fleet.store.fleet.integration("other", "zendesk").id)
    assert fleet.rows("other")[0].status is RunStatus.QUEUED
    soon = utcnow() + timedelta(seconds=50)
    fleet.connector.waits[0](Waiting(state=State.LIMITED, until=soon, reason="429, export budget"))
    fleet.ended("other")
    assert jobs.view("limited", "zendesk").state is State.LIMITED
    fleet.connector.waits[0](None)
    step.open.set()
    fleet.ended("limited")


def test_many_that_are_added_are_queued_by_the_clock(fleet: Fleet) -> None:
    jobs = fleet.start()
    for n in range(30):
        jobs.adopt(fleet.add(f"org-{n:02}"), at_once=False)
    wait_for(lambda: len(jobs.views()) == 30 and all(v.recent for v in jobs.views()), "all to run")
    assert {row.trigger for n in range(30) for row in fleet.rows(f"org-{n:02}")} == {Trigger.START}
    assert all(len(fleet.rows(f"org-{n:02}")) == 1 for n in range(30))
