"""Jobs: what runs by itself, and what people may ask for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.fakes import START, page
from tests.fixtures.fleets import Fleet, Gate
from tests.waiting import wait_for
from zendeskd import heap
from zendeskd.errors import BadRequest, Conflict, CredentialError, NetworkError, NotFound
from zendeskd.models import (
    Health,
    Quarantined,
    RunStatus,
    State,
    Trigger,
    Waiting,
    utcnow,
)


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


def test_memory_is_given_back_after_a_run_of_several_pages(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[None] = []
    monkeypatch.setattr(heap, "give_back", lambda: given.append(None))
    fleet.add()
    jobs = fleet.start([page(1, 2, cursor="a", end=True)], [page(3, cursor="b"), page(4, cursor="c", end=True)])
    fleet.ended()
    fleet.idle()
    assert given == []
    jobs.trigger("acme", "zendesk", "ana")
    wait_for(lambda: given, "the memory to be given back")


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


def test_those_that_were_not_reached_have_half_of_the_workers(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    for org in ("aaa", "bbb"):
        fleet.add(org)
    step = gate(1)
    jobs = fleet.start([NetworkError("reset")], [NetworkError("reset")], [step], [page(2, end=True)], workers=2)
    for org in ("aaa", "bbb"):
        fleet.ended(org, status=RunStatus.FAILED)
    for one in [fleet.idle(org).integration for org in ("aaa", "bbb")]:
        jobs.clock.bring_forward(f"integration-{one.id}", utcnow())
    step.wait()
    wait_for(lambda: State.QUEUED in {view.state for view in jobs.views()}, "the other one to be queued")
    assert (jobs.busy(), jobs.queue_length()) == (1, 1)
    fleet.add("good")
    jobs.adopt(fleet.store.fleet.integration("good", "zendesk").id)
    fleet.ended("good")
    assert (jobs.busy(), jobs.queue_length()) == (1, 1)
    step.open.set()
    for org in ("aaa", "bbb"):
        fleet.ended(org)


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
    fleet.an_hour_later()
    assert fleet.ended().trigger is Trigger.RETRY
    assert fleet.idle().state is State.IDLE


def test_a_probe_that_is_refused_changes_nothing(fleet: Fleet) -> None:
    fleet.add()
    jobs = fleet.start([CredentialError("refused")])
    fleet.ended(status=RunStatus.FAILED)
    fleet.idle()
    fleet.an_hour_later()
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
    assert jobs.stop("acme", "zendesk", "ben", reason="on holiday")
    assert jobs.view("acme", "zendesk").why == "ben: on holiday"
    assert jobs.start("acme", "zendesk", "ana", interval="*/30 * * * *")
    fleet.ended(count=2)
    view = fleet.idle()
    assert (view.state, view.integration.sync_interval) == (State.IDLE, "*/30 * * * *")
    assert not jobs.start("acme", "zendesk", "ana")


def test_a_stop_that_ends_what_a_person_began_changes_something(fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add(active=False)
    step = gate(1)
    jobs = fleet.start([step], [page(2, end=True)])
    assert not jobs.stop("acme", "zendesk", "ana")
    jobs.trigger("acme", "zendesk", "ana")
    step.wait()
    assert jobs.stop("acme", "zendesk", "ana")
    assert fleet.ended(status=RunStatus.CANCELLED).end_reason == "stopped"
    fleet.idle()
    assert not jobs.stop("acme", "zendesk", "ana")


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


def test_resync_of_what_was_never_read_leaves_nothing_of_its_lookback_out(fleet: Fleet) -> None:
    fleet.add()  # with a lookback of 7 days
    jobs = fleet.start([NetworkError("not yet")], [page(1, end=True)])
    fleet.ended(status=RunStatus.FAILED)
    fleet.idle()
    jobs.resync("acme", "zendesk", "ana", utcnow() - timedelta(days=1))
    fleet.ended()
    (position,) = fleet.connector.opened[1].positions
    assert position.since is not None
    assert position.since <= utcnow() - timedelta(days=7)
    assert fleet.idle().integration.copy_from == position.since


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
