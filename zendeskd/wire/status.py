"""How each integration is, and what may be asked of it."""

from __future__ import annotations

from typing import Literal

from zendeskd.wire.base import SCHEMA, Document, Reply, Request


class LastError(Reply, kw_only=True):
    code: str
    message: str
    at: str


class Budget(Reply, kw_only=True):
    name: str
    remaining: int
    total: int


class LiveRun(Reply, kw_only=True):
    """The run going on. `progress` is 0..1 of the time window where that is known, else null."""

    id: int
    kind: str  # "sync" or "reconcile"
    trigger: str
    requested_by: str | None
    started_at: str
    pages: int
    records: int
    created: int
    updated: int
    unchanged: int
    deleted: int
    failed: int
    rate: float | None  # records per second over the last minute
    progress: float | None
    eta_s: int | None
    api_calls: int
    retries: int
    waiting_until: str | None
    waiting_for: str | None
    budgets: list[Budget]


class RunSummary(Reply, kw_only=True):
    """A run as lists show it; the columns of `sync_logs`."""

    id: int
    organization_id: str
    system_type: str
    trigger: str
    requested_by: str | None
    status: str
    queued_at: str
    started_at: str | None
    synced_at: str | None
    duration_ms: int | None
    records_processed: int
    records_created: int
    records_updated: int
    records_unchanged: int
    records_deleted: int
    records_failed: int
    pages: int
    api_calls: int
    retries: int
    rate_limit_wait_ms: int
    end_reason: str | None
    error_code: str | None
    error_message: str | None


class CredentialStatus(Reply, kw_only=True):
    kind: str
    expires_at: str | None


class Explanation(Reply, kw_only=True):
    """Sentences: what happened, what the daemon does about it, what a person can do ("" if nothing)."""

    happened: str
    daemon: str
    you: str


class Reconciled(Reply, kw_only=True):
    """The last (or running) comparison with the source. The columns of `reconciliations`."""

    id: int
    organization_id: str
    system_type: str
    requested_by: str | None
    status: str
    started_at: str
    finished_at: str | None
    source_count: int
    local_count: int
    missing: int
    stale: int
    vanished: int
    repaired: int
    failed: int
    pages: int
    error_code: str | None
    error_message: str | None


class SyncStatus(Reply, kw_only=True):
    """Status and statistics of one integration. An item of `GET /api/{system}/sync-status`; also an event."""

    organization_id: str
    organization_name: str
    system_type: str
    state: str
    health: str
    why: str  # at most 20 cells
    explanation: Explanation
    is_active: bool
    interval: str
    timezone: str
    next_run_at: str | None
    last_sync_at: str | None
    last_success_at: str | None
    last_status: str | None  # outcome of the last finished run; null: never ran
    consecutive_failures: int
    last_error: LastError | None
    total_records: int
    records_today: int
    failures_today: int
    run: LiveRun | None
    queued_run_id: int | None
    recent_runs: list[RunSummary]  # newest first, at most 8
    credential: CredentialStatus | None
    watermark: str | None  # the copy is complete up to here, in the source's time
    stopped_by: str | None
    stop_reason: str | None
    stopped_until: str | None
    late_s: int | None  # by how much it is late, if it is
    slow_s: int | None = None  # for how long its run goes on beyond what is usual, if it does
    reconciled: Reconciled | None
    set_aside: int = 0  # records that could not be read and are not here yet (table quarantined_records)
    skipped_ticks: int  # ticks that came while a run was going on, since the daemon started
    budgets: list[Budget]


class SyncStatusOne(SyncStatus, kw_only=True):
    """The whole reply when `organizationId` is given: the item itself."""

    schema: int = SCHEMA
    seq: int = 0


class SyncStatusList(Document, kw_only=True):
    """The whole reply otherwise. `seq` is that of the newest event the items already contain."""

    seq: int
    items: list[SyncStatus]


class SyncConfig(Reply, kw_only=True):
    """The configuration of one job."""

    organization_id: str
    system_type: str
    base_url: str
    strategy: str
    is_active: bool
    interval: str
    timezone: str
    lookback: str
    next_run_at: str | None
    state: str
    credential: CredentialStatus | None


class SyncConfigOne(SyncConfig, kw_only=True):
    schema: int = SCHEMA


class SyncConfigList(Document, kw_only=True):
    items: list[SyncConfig]


class Command(Request, kw_only=True):
    """Body of `POST /api/{system}/sync-config`. Which keys go with which action is checked by the daemon."""

    action: Literal["trigger", "start", "stop", "update-interval", "cancel", "resync"]
    interval: str | None = None  # start, update-interval
    reason: str | None = None  # stop
    until: str | None = None  # stop: an instant at which it starts again by itself
    since: str | None = None  # resync: an instant, a date, a span ("30d") or "all"
    dry_run: bool = False  # resync: only say what it would do


class Accepted(Document, kw_only=True):
    """202: work was queued, or joined what was there already."""

    run_id: int
    state: str  # queued or running
    joined: bool


class Changed(SyncConfig, kw_only=True):
    """200: the integration's configuration after the change. `changed` is false if it was so already."""

    schema: int = SCHEMA
    action: str
    changed: bool
    run_id: int | None = None  # cancel: the run that was asked to end


class ResyncPlan(Document, kw_only=True):
    """200: what a resync would do (`dryRun`)."""

    organization_id: str
    system_type: str
    since: str | None  # null: everything
    records_stored: int  # rows of the copy changed since then
    api_calls_expected: int
