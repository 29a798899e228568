"""What an integration's facts mean: its health, the short reason, and the sentences for a person. Pure.

Health answers "does it need me?", worst first. The words come from here alone; front ends add glyphs and ages.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from zendeskd.models import Health, Integration, RunRow, RunStatus, RunView, State, stamp

FAILING_AFTER: Final = 3
LATE_GRACE: Final = timedelta(minutes=2)
SLOW_TIMES: Final = 3
SLOW_LEAST_S: Final = 600
"""A run is slow when it takes this many times as long as the longest of the last ones, and at least so long."""

SYSTEM_NAMES: Final = {"zendesk": "Zendesk", "jira": "Jira", "slack": "Slack"}

_SHORT: Final = {
    "credential_error": "credentials rejected",
    "permission_error": "permission refused",
    "network_error": "not reachable",
    "server_error": "server error",
    "bad_response": "unreadable answer",
    "cursor_stuck": "cursor does not move",
    "storage_error": "cannot store",
    "internal_error": "bug, see the log",
}
_ADVICE: Final = {
    "network_error": "zendeskctl credentials check {org}      (shows whether name, network or account is at fault)",
    "server_error": "nothing; if it lasts, look at the system's status page",
    "bad_response": "zendeskctl credentials check {org}      (an account that is suspended answers with a web page)",
    "cursor_stuck": "zendeskctl resync {org} --since 7d      (if it does not clear by itself)",
    "storage_error": "zendeskd doctor      (on its host: looks at the disk and the database)",
    "internal_error": "report it with the lines of the log that name run {run}",
}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at. `next_at` is what the clock has planned; `late_from` the second tick after the last success,
    or after it was first seen: counted in ticks, so that nights and weekends of a schedule are not lateness."""

    integration: Integration
    state: State
    run: RunView | None
    recent: Sequence[RunRow]
    set_aside: int
    next_at: datetime | None
    late_from: datetime | None
    now: datetime


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    health: Health
    why: str
    happened: str
    daemon: str
    you: str
    late_s: int | None
    slow_s: int | None


def live_state(integration: Integration, run: RunView | None, *, queued: bool, stopping: bool) -> State:
    """The state a person sees: what goes on now, before what is stored."""
    if run is not None:
        if stopping:
            return State.STOPPING
        return State.RUNNING if run.waiting is None else run.waiting.state
    if queued:
        return State.QUEUED
    if not integration.is_active:
        return State.STOPPED
    if integration.state is State.BLOCKED or integration.credential_kind is None:
        return State.BLOCKED  # both need a person
    if integration.consecutive_failures and _retries(integration):
        return State.RETRYING
    return State.IDLE


def judge(facts: Facts) -> Verdict:
    """Health, reason and sentences. Any thread; no I/O."""
    late_s, slow_s = _late_s(facts), _slow_s(facts)
    health = _health(facts, late_s)
    happened, daemon, you = _sentences(facts, health, late_s)
    if slow_s is not None:
        daemon = f"{daemon} It is slow: it takes more than {SLOW_TIMES} times as long as the last ones."
    return Verdict(
        health=health,
        why=_why(facts, health, late_s, slow_s),
        happened=happened,
        daemon=daemon,
        you=you,
        late_s=late_s,
        slow_s=slow_s,
    )


def _retries(integration: Integration) -> bool:
    return integration.last_error_code not in {None, "bad_record"}


def _late_s(facts: Facts) -> int | None:
    """Seconds since two ticks and a grace have passed without success; None while they have not."""
    one = facts.integration
    if not one.is_active or one.state is State.BLOCKED or one.credential_kind is None or facts.late_from is None:
        return None
    if one.last_success_at is None and facts.run is not None:
        return None  # a first import takes as long as it takes
    beyond = (facts.now - facts.late_from - LATE_GRACE).total_seconds()
    return int(beyond) if beyond > 0 else None


def _slow_s(facts: Facts) -> int | None:
    """Seconds that the run goes on beyond what is usual here; None while it does not, waits, or nothing is usual yet.

    The longest of the last runs stands for their 95th percentile: there are eight."""
    run = facts.run
    lasted = [
        row.duration_ms for row in facts.recent if row.status is RunStatus.SUCCESS and row.duration_ms is not None
    ]
    if run is None or run.kind != "sync" or run.waiting is not None or not lasted:
        return None
    usual_s = max(SLOW_TIMES * max(lasted) / 1000, SLOW_LEAST_S)
    beyond = (facts.now - run.started_at).total_seconds() - usual_s
    return int(beyond) if beyond > 0 else None


def _health(facts: Facts, late_s: int | None) -> Health:
    one = facts.integration
    if facts.state is State.BLOCKED or (one.is_active and one.state is State.BLOCKED):
        return Health.BLOCKED
    if one.is_active and one.consecutive_failures >= FAILING_AFTER:
        return Health.FAILING
    if late_s is not None:
        return Health.LATE
    if facts.state in {State.LIMITED, State.RETRYING}:
        return Health(facts.state.value)
    if one.is_active and one.consecutive_failures:
        return Health.FAILED
    if facts.state in {State.RUNNING, State.STOPPING}:
        return Health.RUNNING
    if facts.state is State.QUEUED:
        return Health.QUEUED
    return Health.OK if one.is_active else Health.STOPPED


def _why(facts: Facts, health: Health, late_s: int | None, slow_s: int | None) -> str:
    one, run = facts.integration, facts.run
    if run is not None and run.waiting is not None:
        return _cells(run.waiting.reason)
    if one.is_active and one.credential_kind is None:
        return "no credentials yet"
    if health is Health.BLOCKED:
        return _SHORT.get(one.last_error_code or "", "blocked")
    if run is not None:
        if slow_s is not None:
            return _cells("slow" if run.rate is None else f"slow, {run.rate:.0f}/s")
        if run.rate is None:
            return "reconciling" if run.kind == "reconcile" else ""
        first = "first import" if one.last_success_at is None else f"page {run.pages}"
        return _cells(f"{first}, {run.rate:.0f}/s")
    if facts.state is State.QUEUED:
        return "waits for a worker"
    if not one.is_active:
        if one.stopped_by is None:
            return ""
        who = one.stopped_by.partition(" (")[0]  # by which program is in the sentences
        return _cells(f"{who}: {one.stop_reason}" if one.stop_reason else f"by {who}")
    if one.consecutive_failures:
        short = _SHORT.get(one.last_error_code or "", one.last_error_code or "failed")
        return _cells(f"{one.consecutive_failures}x {short}" if one.consecutive_failures > 1 else short)
    if late_s is not None:
        return f"late by {late_s // 60}m"
    if facts.set_aside:
        return _cells(f"{facts.set_aside} set aside")
    return ""


def _cells(text: str) -> str:
    return text if len(text) <= 20 else text[:19] + "…"


def _sentences(facts: Facts, health: Health, late_s: int | None) -> tuple[str, str, str]:
    one, run = facts.integration, facts.run
    org, system = one.organization_id, SYSTEM_NAMES.get(one.system_type, one.system_type)
    next_at = "" if facts.next_at is None else _clock(facts.next_at, facts.now)
    error = one.last_error_message or "The last run failed."
    if one.last_error_at is not None:
        error = f"{error} ({_clock(one.last_error_at, facts.now)}{_run_of(facts)})"
    if one.is_active and one.credential_kind is None:
        return (
            f"There are no {system} credentials for it yet.",
            "Waits; the first run starts as soon as there are some.",
            f"zendeskctl credentials set {org}",
        )
    if health is Health.BLOCKED:
        return (
            error,
            f"Syncs nothing, so that the account is not locked out; next probe {next_at or 'within an hour'}.",
            f"zendeskctl credentials set {org}      (at once: zendeskctl start {org})",
        )
    if run is not None:
        return _while_running(facts, run, system)
    if not one.is_active:
        by = f"{one.stopped_by or 'a person'} stopped it" + (f": {one.stop_reason}" if one.stop_reason else "")
        until = "" if one.stopped_until is None else f" until {_clock(one.stopped_until, facts.now)}"
        return f"{by}.", f"Syncs nothing{until}; what is stored stays.", f"zendeskctl start {org}"
    if one.consecutive_failures:
        advice = _ADVICE.get(one.last_error_code or "", "").format(org=org, run=_last_run_id(facts))
        times = "" if one.consecutive_failures == 1 else f", {one.consecutive_failures} failures in a row"
        return error, f"Tries again {next_at or 'at the next tick'}{times}; what is stored stays.", advice
    if facts.state is State.QUEUED:
        return "Its run waits for a free worker.", "Starts it as soon as one is free.", ""
    if late_s is not None:
        return (
            f"Two ticks have passed without a good run; it is late by {late_s // 60 + 1} minutes.",
            f"Next run {next_at}." if next_at else "No run is planned.",
            f"zendeskctl trigger {org}",
        )
    if one.last_success_at is None:
        return "It has not run yet.", f"First run {next_at}." if next_at else "No run is planned.", ""
    done = f"The last run brought the copy up to date at {_clock(one.last_success_at, facts.now)}."
    then = f"Next run {next_at}." if next_at else "No run is planned."
    if facts.set_aside:
        which = "1 record" if facts.set_aside == 1 else f"{facts.set_aside} records"
        done += f" {which} could not be read and {'is' if facts.set_aside == 1 else 'are'} not here."
        return done, f"{then} It takes them in when they can be read.", "their text and the reason: quarantined_records"
    return done, then, ""


def _while_running(facts: Facts, run: RunView, system: str) -> tuple[str, str, str]:
    org, what = facts.integration.organization_id, "comparison" if run.kind == "reconcile" else "run"
    read = f"{run.pages} page{'' if run.pages == 1 else 's'}, {run.counts.read:,} records read"
    if run.waiting is not None:
        return (
            f"{what.capitalize()} {run.id} waits: {run.waiting.reason}.",
            f"Goes on {_clock(run.waiting.until, facts.now)} at the place it is ({read}).",
            "",
        )
    started = _clock(run.started_at, facts.now)
    return (
        f"{what.capitalize()} {run.id} reads from {system} since {started}.",
        f"{read} so far.",
        (f"zendeskctl watch {org}      (to follow it)"),
    )


def _run_of(facts: Facts) -> str:
    run = _last_run_id(facts)
    return "" if run == "?" else f", run {run}"


def _last_run_id(facts: Facts) -> str:
    return next((str(row.id) for row in facts.recent if row.error_code == facts.integration.last_error_code), "?")


def _clock(when: datetime, now: datetime) -> str:
    """`14:24:02 UTC`, with the date when it is another day."""
    text = stamp(when)
    return f"{text[11:19]} UTC" if text[:10] == stamp(now)[:10] else f"{text[:10]} {text[11:19]} UTC"
