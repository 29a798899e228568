"""Runs and what is counted of them; comparisons; the audit log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from tests.fixtures.stores import NOW, add_organization, begin_run, record, table, write
from zendeskd.db import Database
from zendeskd.errors import NotFound
from zendeskd.models import (
    CallStats,
    Integration,
    Page,
    Quarantined,
    RunResult,
    RunRow,
    RunStatus,
    State,
    Today,
    Trigger,
)
from zendeskd.store import Store, runs

SUCCESS = RunResult(status=RunStatus.SUCCESS, end_reason="end_of_stream")
FAILED = RunResult(
    status=RunStatus.FAILED,
    end_reason="error",
    error_code="server_error",
    error_message="Zendesk answers 502.\0",
    error_hint="It usually passes.",
    request_id="abc",
)


def run(store: Store, integration: Integration, result: RunResult | None = SUCCESS, at: datetime = NOW) -> RunRow:
    queued = store.runs.enqueue(integration, Trigger.MANUAL, "jane (1000)", at)
    store.runs.begin(queued.id, at)
    if result is not None:
        return store.runs.finish(queued.id, result, CallStats(), at + timedelta(seconds=2))[0]
    return store.runs.get(queued.id)


def test_the_life_of_a_run(database: Database, store: Store, acme: Integration) -> None:
    queued = store.runs.enqueue(acme, Trigger.MANUAL, "jane (1000)", NOW)
    assert (queued.status, queued.trigger, queued.requested_by) == (RunStatus.QUEUED, Trigger.MANUAL, "jane (1000)")
    assert (queued.organization_id, queued.system_type, queued.queued_at) == ("acme", "zendesk", NOW)
    assert (queued.started_at, queued.synced_at, queued.duration_ms) == (None, None, None)
    assert store.runs.queued() == [queued]
    begun = NOW + timedelta(seconds=3)
    store.runs.begin(queued.id, begun)
    running = store.runs.get(queued.id)
    assert (running.status, running.started_at, running.synced_at) == (RunStatus.RUNNING, begun, begun)
    assert store.runs.queued() == []
    ended = begun + timedelta(seconds=1.5)
    calls = CallStats(api_calls=4, retries=2, rate_limit_wait_ms=900, request_id="last")
    row, integration = store.runs.finish(queued.id, FAILED, calls, ended, consecutive_failures=1, last_sync_at=ended)
    assert (row.status, row.synced_at, row.duration_ms) == (RunStatus.FAILED, ended, 1500)
    assert (row.api_calls, row.retries, row.rate_limit_wait_ms) == (4, 2, 900)
    assert (row.end_reason, row.error_code, row.error_message) == (
        "error",
        "server_error",
        "Zendesk answers 502.\ufffd",
    )
    assert (integration.consecutive_failures, integration.last_sync_at) == (1, ended)
    assert table(database, "SELECT error_hint, request_id FROM sync_logs") == [("It usually passes.", "abc")]


def test_a_run_begins_and_ends_once(store: Store, acme: Integration) -> None:
    row = run(store, acme)
    store.runs.begin(row.id, NOW + timedelta(hours=1))
    again, integration = store.runs.finish(row.id, FAILED, CallStats(), NOW, state=State.BLOCKED)
    assert again == row == store.runs.get(row.id)
    assert integration.state is State.IDLE
    assert store.runs.today({acme.id: "2026-11-23"})[acme.id].failures == 0


def test_a_clock_set_back_gives_no_negative_duration(store: Store, acme: Integration) -> None:
    queued = store.runs.enqueue(acme, Trigger.SCHEDULE, None, NOW)
    store.runs.begin(queued.id, NOW)
    assert store.runs.finish(queued.id, SUCCESS, CallStats(), NOW - timedelta(hours=1))[0].duration_ms == 0


def test_a_run_cancelled_in_the_queue_was_never_begun(store: Store, acme: Integration, database: Database) -> None:
    queued = store.runs.enqueue(acme, Trigger.SCHEDULE, None, NOW)
    cancelled = RunResult(status=RunStatus.CANCELLED, end_reason="cancelled")
    row, _ = store.runs.finish(queued.id, cancelled, CallStats(), NOW)
    assert (row.status, row.started_at, row.duration_ms) == (RunStatus.CANCELLED, None, None)
    assert table(database, "SELECT * FROM daily_counts") == []


def test_a_run_that_is_not_there(store: Store, acme: Integration) -> None:
    with pytest.raises(NotFound, match="no run 4711"):
        store.runs.get(4711)
    with pytest.raises(NotFound):
        store.runs.finish(4711, SUCCESS, CallStats(), NOW)


def test_ids_are_not_given_out_twice(store: Store, acme: Integration) -> None:
    last = run(store, acme)
    store.fleet.remove_organization("acme")
    assert run(store, add_organization(store, "acme")).id > last.id


def test_lists_are_newest_first_and_narrowed(store: Store, acme: Integration) -> None:
    globex = add_organization(store, "globex")
    rows = [run(store, one, result) for one in (acme, globex) for result in (SUCCESS, FAILED, None)]
    newest = rows[::-1]
    assert store.runs.list() == newest
    assert store.runs.list(limit=2) == newest[:2]
    assert store.runs.list(limit=2, before=newest[1].id) == newest[2:4]
    assert store.runs.list(org="acme") == newest[3:]
    assert store.runs.list(org="acme", failed=True) == [rows[1]]
    assert store.runs.list(system="zendesk", failed=True) == [rows[4], rows[1]]
    assert store.runs.list(system="jira") == store.runs.list(org="nobody\0") == []


def test_a_row_changed_by_hand_reads_the_same_alone_and_in_a_list(
    database: Database, store: Store, acme: Integration
) -> None:
    run = store.runs.enqueue(acme, Trigger.MANUAL, "ana", NOW)
    with database.writing() as connection:
        connection.execute("UPDATE sync_logs SET pages = 2.5, requested_by = x'6162'")
    changed = store.runs.get(run.id)
    assert (changed.pages, changed.requested_by) == (2, "ab")
    assert store.runs.list() == [changed]


def test_the_recent_runs_of_each_integration(store: Store, acme: Integration) -> None:
    globex = add_organization(store, "globex")
    of_acme = [run(store, acme) for _ in range(5)]
    run(store, acme, None)
    of_globex = [run(store, globex)]
    add_organization(store, "quiet")
    assert store.runs.recent(3) == {acme.id: of_acme[:1:-1], globex.id: of_globex}


def test_runs_left_running_are_interrupted_at_start_up(database: Database, store: Store, acme: Integration) -> None:
    finished = run(store, acme)
    left = run(store, acme, None)
    queued = store.runs.enqueue(acme, Trigger.SCHEDULE, None, NOW)
    write(store.pages.open(acme, left.id), [record(1)], NOW + timedelta(seconds=30))
    (orphan,) = store.runs.interrupt_orphans(NOW + timedelta(days=2))
    assert (orphan.id, orphan.status, orphan.end_reason) == (left.id, RunStatus.INTERRUPTED, "daemon went away")
    assert (orphan.synced_at, orphan.duration_ms) == (NOW + timedelta(seconds=30), 30_000)
    assert store.runs.get(finished.id) == finished
    assert store.runs.queued() == [queued]
    assert store.runs.interrupt_orphans(NOW) == []
    assert table(database, "SELECT day, runs FROM daily_counts") == [("2026-11-23", 2)]


def test_today_is_the_integrations_own_day(store: Store, acme: Integration) -> None:
    tokyo = add_organization(store, "tokyo", integration_timezone="Asia/Tokyo")
    nowhere = add_organization(store, "nowhere", integration_timezone="No/Where")
    late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
    for one in (acme, tokyo, nowhere):
        write(begin_run(store, one), [record(1), record(2)], late, quarantined=[Quarantined("x", "y")])
        run(store, one, FAILED, late)
    days = {acme.id: "2026-11-23", tokyo.id: "2026-11-24", nowhere.id: "2026-11-23", 99: "2026-11-23"}
    assert store.runs.today(days) == {
        one: Today(day=day, records=0 if one == 99 else 2, failures=0 if one == 99 else 1) for one, day in days.items()
    }
    assert store.runs.today({tokyo.id: "2026-11-23"}) == {tokyo.id: Today(day="2026-11-23")}


def test_pruning_keeps_the_newest_and_what_is_not_old(
    store: Store, acme: Integration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "KEPT_RUNS", 3)
    monkeypatch.setattr(runs, "_BATCH", 2)
    old, new = NOW - timedelta(days=100), NOW
    globex = add_organization(store, "globex")
    of_acme = [run(store, acme, at=old) for _ in range(7)] + [run(store, acme, at=new) for _ in range(2)]
    of_globex = [run(store, globex, at=old) for _ in range(3)]
    unfinished = run(store, globex, None, at=old)
    for at in (old, old, old, new):
        store.audit.write(now=at, uid=0, user="root", pid=1, operation="trigger", target="acme", detail="", outcome=202)
    assert store.runs.prune(NOW - timedelta(days=90), NOW - timedelta(days=90)) == 6 + 1 + 3
    kept = [row.id for row in store.runs.list(limit=100)]
    assert kept == sorted([one.id for one in (*of_acme[6:], *of_globex[1:], unfinished)], reverse=True)
    assert [entry.at for entry in store.audit.list()] == [new]
    assert store.runs.prune(NOW - timedelta(days=90), NOW - timedelta(days=90)) == 0


def test_the_audit_log(store: Store) -> None:
    common = {"uid": 1000, "user": "jane", "pid": 4711, "target": "acme"}
    store.audit.write(now=NOW, operation="trigger", detail="", outcome=202, **common)
    store.audit.write(now=NOW, operation="stop", detail="a\0b", outcome=409, **common | {"uid": None, "user": None})
    newest, oldest = store.audit.list()
    assert (oldest.at, oldest.user, oldest.pid, oldest.operation, oldest.outcome) == (NOW, "jane", 4711, "trigger", 202)
    assert (newest.user, newest.detail, newest.outcome) == (None, "a\ufffdb", 409)
    assert store.audit.list(1) == [newest]


def test_comparisons(store: Store, acme: Integration) -> None:
    globex = add_organization(store, "globex")
    write(begin_run(store, acme), [record(1)])
    first = store.reconciliations.begin(store.fleet.integration("acme", "zendesk"), "jane", NOW)
    assert (first.status, first.local_count, first.requested_by, first.finished_at) == ("running", 1, "jane", None)
    store.reconciliations.progress(replace(first, pages=1, source_count=1000))
    assert store.reconciliations.get(first.id).source_count == 1000
    done = replace(first, status="verified", pages=3, source_count=2000, missing=2, error_message="a\0")
    store.reconciliations.finish(done, NOW + timedelta(minutes=1))
    stored = store.reconciliations.get(first.id)
    assert stored == replace(done, finished_at=NOW + timedelta(minutes=1), error_message="a\ufffd")
    second = store.reconciliations.begin(acme, None, NOW)
    other = store.reconciliations.begin(globex, None, NOW)
    store.reconciliations.finish(replace(other, status="failed", finished_at=NOW))
    assert {one: latest.id for one, latest in store.reconciliations.latest().items()} == {
        acme.id: second.id,
        globex.id: other.id,
    }
    assert store.reconciliations.interrupt_orphans(NOW) == 1
    assert store.reconciliations.get(second.id).status == "interrupted"
    assert store.reconciliations.get(other.id).status == "failed"
    with pytest.raises(NotFound):
        store.reconciliations.get(99)


def test_what_is_set_aside_is_counted_until_it_is_read_or_a_comparison_saw_everything(
    store: Store, acme: Integration
) -> None:
    pages = begin_run(store, acme)
    bad = [Quarantined(raw='{"id":5}', reason="no subject", external_id="5"), Quarantined(raw="{}", reason="no id")]
    page = Page(records=[], end_of_stream=True, quarantined=bad)
    pages.write_page(pages.prepare(page), CallStats(), NOW)
    assert store.runs.set_aside() == {acme.id: 2}
    begun = store.reconciliations.begin(acme, None, NOW + timedelta(minutes=1))
    store.reconciliations.finish(replace(begun, status="verified", finished_at=NOW + timedelta(minutes=2)))
    assert store.runs.set_aside(acme.id) == {acme.id: 1}
    pages.write_page(pages.prepare(Page(records=[record("5")], end_of_stream=True)), CallStats(), NOW)
    assert store.runs.set_aside() == {}
