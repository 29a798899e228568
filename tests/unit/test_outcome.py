from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from tests.fakes import START, integration
from zendeskd.cron import CronExpression
from zendeskd.errors import FAILURES
from zendeskd.models import Integration, RunResult, RunStatus, State, Trigger
from zendeskd.runs.outcome import after_run, due_first, due_next

CRON = CronExpression("*/15 * * * *", "America/New_York")
NEXT_TICK = START.replace(minute=15, second=0)


def ended(status: RunStatus, code: str | None = None) -> RunResult:
    return RunResult(status=status, end_reason="x", error_code=code, error_message=code and f"{code} happened")


def applied(one: Integration, result: RunResult) -> Integration:
    return replace(one, **after_run(one, result, START))  # type: ignore[arg-type]


@pytest.mark.parametrize("code", sorted(set(FAILURES) - {"rate_limited", "bad_record"}))
def test_each_failure_class_does_what_the_table_says(code: str) -> None:
    after = applied(integration(consecutive_failures=1), ended(RunStatus.FAILED, code))
    rule = FAILURES[code]
    assert after.consecutive_failures == 1 + rule.counts
    assert (after.last_error_code, after.last_error_message) == (code, f"{code} happened")
    assert after.state is (State.BLOCKED if rule.reaction == "block" else State.IDLE)
    when, why = due_next(after, CRON, START)
    assert why is Trigger.RETRY
    assert when == START + (timedelta(hours=1) if rule.reaction == "block" else timedelta(minutes=2))


def test_the_hint_of_an_error_is_kept_with_it() -> None:
    result = RunResult(
        status=RunStatus.FAILED,
        end_reason="error",
        error_code="network_error",
        error_message="There is no account.",
        error_hint="Check the subdomain.",
    )
    assert applied(integration(), result).last_error_message == "There is no account. Check the subdomain."


def test_success_clears_what_went_before() -> None:
    failed = integration(
        consecutive_failures=3, last_error_code="server_error", last_error_message="x", last_error_at=START
    )
    after = applied(failed, ended(RunStatus.SUCCESS))
    assert (after.consecutive_failures, after.last_error_code, after.last_error_at) == (0, None, None)
    assert after.last_success_at == after.last_sync_at == START
    assert due_next(after, CRON, START) == (NEXT_TICK, Trigger.SCHEDULE)


def test_partial_counts_as_up_to_date_but_keeps_its_reason() -> None:
    after = applied(integration(consecutive_failures=2), ended(RunStatus.PARTIAL, "bad_record"))
    assert (after.consecutive_failures, after.last_error_code, after.last_success_at) == (0, "bad_record", START)


@pytest.mark.parametrize("status", [RunStatus.CANCELLED, RunStatus.INTERRUPTED])
def test_a_run_that_was_ended_is_no_failure(status: RunStatus) -> None:
    after = applied(integration(consecutive_failures=1, last_error_code="server_error"), ended(status))
    assert (after.consecutive_failures, after.last_error_code, after.last_success_at) == (1, "server_error", None)


def test_a_run_cut_off_by_the_end_of_the_daemon_is_due_at_the_next_start() -> None:
    after = applied(integration(last_sync_at=START), ended(RunStatus.INTERRUPTED))
    assert due_first(after, CRON, START + timedelta(seconds=5)) == (START + timedelta(seconds=5), Trigger.CATCHUP)


def test_a_stopped_one_is_not_blocked_by_its_single_run() -> None:
    after = applied(integration(is_active=False, state=State.STOPPED), ended(RunStatus.FAILED, "credential_error"))
    assert after.state is State.STOPPED


@pytest.mark.parametrize(
    ("failures", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 14.5), (60, 14.5), (100_000, 14.5)]
)
def test_retries_back_off_up_to_the_schedule(failures: int, minutes: float) -> None:
    one = integration(consecutive_failures=failures, last_error_code="server_error")
    when, _ = due_next(one, CRON, START)
    assert when == START + timedelta(minutes=minutes)


def test_stopped_and_without_credentials_are_not_due() -> None:
    assert due_next(integration(is_active=False), CRON, START)[0] is None
    assert due_next(integration(credential_kind=None), CRON, START)[0] is None
    until = START + timedelta(hours=2)
    assert due_next(integration(is_active=False, stopped_until=until), CRON, START) == (until, Trigger.START)
    assert due_first(integration(is_active=False), CRON, START)[0] is None


# --- at start-up ------------------------------------------------------------------------------------------------------


def test_one_that_never_ran_is_due_at_once() -> None:
    assert due_first(integration(), CRON, START) == (START, Trigger.START)


@pytest.mark.parametrize("planned", [None, START - timedelta(days=3), START])
def test_what_was_missed_is_due_once(planned: object) -> None:
    one = integration(last_sync_at=START - timedelta(days=4), next_run_at=planned)
    assert due_first(one, CRON, START) == (START, Trigger.CATCHUP)


def test_what_was_planned_still_holds() -> None:
    one = integration(last_sync_at=START, next_run_at=NEXT_TICK)
    assert due_first(one, CRON, START) == (NEXT_TICK, Trigger.SCHEDULE)
    soon = START + timedelta(minutes=1)
    retry = integration(last_sync_at=START, next_run_at=soon, consecutive_failures=1)
    assert due_first(retry, CRON, START) == (soon, Trigger.RETRY)


def test_a_plan_beyond_the_schedule_is_brought_forward() -> None:
    one = integration(last_sync_at=START, next_run_at=START + timedelta(days=900))
    assert due_first(one, CRON, START) == (NEXT_TICK, Trigger.SCHEDULE)


def test_a_blocked_one_keeps_its_hourly_probe_over_restarts() -> None:
    blocked = integration(state=State.BLOCKED, blocked_at=START - timedelta(minutes=20))
    assert due_first(blocked, CRON, START) == (START + timedelta(minutes=40), Trigger.RETRY)
    planned = replace(blocked, next_run_at=START + timedelta(minutes=5))
    assert due_first(planned, CRON, START)[0] == START + timedelta(minutes=5)
