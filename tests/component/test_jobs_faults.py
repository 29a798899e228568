"""Jobs under fire: a disk that refuses, commands that meet at the wrong moment, listeners that fail."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.fakes import START, ScriptedSource, page
from tests.fixtures.fleets import Fleet, Gate
from tests.waiting import wait_for
from zendeskd.errors import CredentialError, NetworkError, StorageError
from zendeskd.models import (
    Health,
    Identity,
    RunStatus,
    State,
    Trigger,
    Waiting,
    utcnow,
)


def test_an_end_that_cannot_be_written_is_kept_and_written_later(fleet: Fleet) -> None:
    fleet.add()
    fleet.failing["finish"] = 1
    jobs = fleet.start([page(1, end=True)])
    wait_for(lambda: jobs.view("acme", "zendesk").integration.last_error_code == "storage_error", "the failure")
    wait_for(lambda: jobs.view("acme", "zendesk").run is None, "the end of the run")
    assert "The disk is full." in jobs.view("acme", "zendesk").happened
    assert fleet.rows()[0].status is RunStatus.RUNNING
    assert jobs.as_it_is(fleet.rows()[0]).status is RunStatus.SUCCESS  # who waits for it must not wait for the disk
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
    fleet.idle()
    fleet.an_hour_later()
    wait_for(lambda: len(fleet.connector.opened) == 2 and jobs.busy() == 0, "the probe that fails")
    fleet.an_hour_later()
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


@pytest.mark.parametrize(("state", "reason"), [(State.LIMITED, "429, export budget"), (State.RETRYING, "HTTP 503")])
def test_a_run_that_waits_holds_up_nobody(state: State, reason: str, fleet: Fleet, gate: Callable[..., Gate]) -> None:
    fleet.add("limited")
    step = gate(1)
    jobs = fleet.start([step], [page(2, end=True)], workers=1)
    step.wait()
    fleet.add("other")
    jobs.adopt(fleet.store.fleet.integration("other", "zendesk").id)
    assert fleet.rows("other")[0].status is RunStatus.QUEUED
    soon = utcnow() + timedelta(seconds=50)
    fleet.connector.waits[0](Waiting(state=state, until=soon, reason=reason))
    fleet.ended("other")
    assert jobs.view("limited", "zendesk").state is state
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


def test_a_run_for_which_there_is_no_thread_is_tried_again_and_is_no_bug(fleet: Fleet) -> None:
    fleet.add(active=False)
    jobs = fleet.start([page(1, end=True)], workers=1)
    before = threading.stack_size(1 << 60)  # the kernel has no room for the stack of another thread
    try:
        jobs.start("acme", "zendesk", "ana")
        row = fleet.ended(status=RunStatus.FAILED)
    finally:
        threading.stack_size(before)
    assert row.error_code == "network_error"
    assert "no more threads" in (row.error_message or "")
    jobs.clock.bring_forward(f"integration-{fleet.idle().integration.id}", utcnow())
    assert fleet.ended().records_created == 1
