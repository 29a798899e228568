"""What the end of a run does to its integration, and when it is due next. Pure: applies the failure table."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from zendeskd.cron import CronExpression
from zendeskd.errors import FAILURES
from zendeskd.models import Integration, RunResult, RunStatus, State, Trigger

PROBE_EVERY: Final = timedelta(hours=1)
FIRST_RETRY: Final = timedelta(minutes=1)


def after_run(integration: Integration, result: RunResult, now: datetime) -> dict[str, object]:
    """The columns of `integrations` that this result changes. `next_run_at` is planned apart, see `due_next`."""
    columns: dict[str, object] = {"last_sync_at": now}
    if result.status in {RunStatus.SUCCESS, RunStatus.PARTIAL}:
        partial = result.status is RunStatus.PARTIAL
        columns |= {
            "last_success_at": now,
            "consecutive_failures": 0,
            "last_error_code": result.error_code if partial else None,
            "last_error_message": result.error_message if partial else None,
            "last_error_at": now if partial else None,
        }
        if integration.state is State.BLOCKED:
            columns |= {"state": State.IDLE, "blocked_at": None}
    elif result.status is RunStatus.FAILED:
        rule = FAILURES[result.error_code or "internal_error"]
        columns |= {
            "consecutive_failures": integration.consecutive_failures + rule.counts,
            "last_error_code": rule.code,
            "last_error_message": _told(result),
            "last_error_at": now,
        }
        if rule.reaction == "block" and integration.is_active:
            columns |= {"state": State.BLOCKED, "blocked_at": now}
    elif result.status is RunStatus.INTERRUPTED:
        columns["next_run_at"] = now  # cut off by the daemon's end: due as soon as there is one again
    return columns


def _told(result: RunResult) -> str | None:
    """The sentence with its hint, which knows more than advice for the whole class; credentials have only one fix."""
    if result.error_hint and result.error_code != "credential_error":
        return f"{result.error_message} {result.error_hint}"
    return result.error_message


def due_next(integration: Integration, cron: CronExpression, now: datetime) -> tuple[datetime | None, Trigger]:
    """When and why the clock acts on it next, given how its last run ended. None: not by itself.

    A stopped integration is looked at again when its stop runs out, a blocked one for its hourly probe, a failed one
    after 1, 2, 4, ... minutes but never later than its schedule.
    """
    if not integration.is_active:
        return integration.stopped_until, Trigger.START
    if integration.credential_kind is None:
        return None, Trigger.START
    if integration.state is State.BLOCKED:
        return now + PROBE_EVERY, Trigger.RETRY
    tick = cron.next_after(now)
    if integration.consecutive_failures:
        # 2 ** 30 minutes is far beyond any schedule; the cap keeps a year of failures from overflowing
        retry = now + FIRST_RETRY * 2 ** min(integration.consecutive_failures - 1, 30)
        if tick is None or retry < tick:
            return retry, Trigger.RETRY
    return tick, Trigger.SCHEDULE


def due_first(integration: Integration, cron: CronExpression, now: datetime) -> tuple[datetime | None, Trigger]:
    """The same at start-up: what was planned before still holds, and what was missed is due once, now."""
    planned = integration.next_run_at
    if not integration.is_active or integration.credential_kind is None:
        return due_next(integration, cron, now)
    if integration.state is State.BLOCKED:
        probe = planned if planned is not None else (integration.blocked_at or now) + PROBE_EVERY
        return min(probe, now + PROBE_EVERY), Trigger.RETRY
    if integration.last_sync_at is None:
        return now, Trigger.START
    if planned is None or planned <= now:
        return now, Trigger.CATCHUP
    tick = cron.next_after(now)
    if tick is None or planned < tick:
        return planned, Trigger.RETRY if integration.consecutive_failures else Trigger.SCHEDULE
    return tick, Trigger.SCHEDULE
