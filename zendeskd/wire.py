"""Everything that crosses the control socket: the shapes. `operations` has the calls.

Names are snake_case here and camelCase in JSON. Replies tolerate unknown keys (a newer daemon may send more); requests
refuse them (a typo must not be ignored). Times are UTC text with milliseconds, durations carry their unit in the name.
Shared by the daemon, `client`, `ctl` and the dashboard; imports nothing but msgspec.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

SCHEMA: Final = 1
API_VERSION: Final = 1


class Reply(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=False):
    """Base of what the daemon sends."""


class Document(Reply, kw_only=True):
    """Base of whole reply documents."""

    schema: int = SCHEMA


class Request(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of what a caller sends."""


# --- status -----------------------------------------------------------------------------------------------------------


class Health(Document, kw_only=True):
    """`GET /api/health`. 200 when `ok`, 503 otherwise. `threads` maps each thread to seconds since it last moved,
    `doing` those that have something to do to what that is."""

    ok: bool
    detail: str
    scheduler_moving: bool
    threads: dict[str, float]
    doing: dict[str, str] = {}


class DatabaseStatus(Reply, kw_only=True):
    path: str
    bytes: int
    wal_bytes: int
    records: int
    trouble: str | None = None  # "disk full", in words, while writing fails


class Backup(Reply, kw_only=True):
    """A backup of the database, going on (`finishedAt` null) or ended. `trouble` says why it has no file."""

    path: str
    requested_by: str | None  # null: made before the daemon started
    started_at: str
    finished_at: str | None
    bytes: int
    duration_ms: int | None
    trouble: str | None
    hint: str


class BackupStatus(Reply, kw_only=True):
    schedule: str | None  # null: none but those that are asked for
    keep: int
    next_at: str | None
    running: Backup | None
    recent: list[Backup]  # that ended, the newest first


class SocketAccess(Reply, kw_only=True):
    """Who may use the control socket: by the file as it is now, then by the groups of the configuration."""

    mode: str | None  # "0660"; null: the file is gone, and nobody else can connect
    owner: str | None
    group: str | None
    operators: str | None = None  # the group that may do everything
    viewers: str | None = None  # the group that may look; null: whoever can open the socket is an operator


class DaemonStatus(Document, kw_only=True):
    """`GET /api/status`."""

    version: str
    api_version: int
    boot_id: str
    pid: int
    started_at: str
    now: str
    uptime_s: int
    workers: int
    workers_busy: int
    queue_length: int
    organizations: int
    integrations: int
    health: dict[str, int]  # counts by health word; zeros left out
    database: DatabaseStatus
    config_file: str | None
    config_loaded_at: str
    socket: str
    access: SocketAccess | None = None  # null: a daemon that does not tell
    log_file: str
    role: str  # of the caller: operator or viewer
    seq: int
    backup: BackupStatus | None = None  # null: a daemon that makes none


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


# --- commands ---------------------------------------------------------------------------------------------------------


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


# --- records ----------------------------------------------------------------------------------------------------------


class RecordItem(Reply, kw_only=True):
    id: int
    organization_id: str
    source_system: str
    record_type: str
    external_id: str
    url: str | None
    title: str | None
    status: str | None
    priority: str | None
    requester: str | None
    assignee: str | None
    group_name: str | None
    customer: str | None
    tags: list[str]
    created_at: str | None
    updated_at: str | None
    deleted_at: str | None
    synced_at: str
    link_count: int = 0  # of both directions


class RecordList(Document, kw_only=True):
    """Newest change first. `next` is handed back as `after`; null at the end."""

    items: list[RecordItem]
    next: str | None


class LinkItem(Reply, kw_only=True):
    """A link seen from one record. `direction` is out or in; `record_id` null while the other end is not here."""

    id: int
    direction: str
    relation: str
    system: str
    record_type: str
    external_id: str
    origin: str
    created_by: str | None
    created_at: str
    record_id: int | None
    title: str | None
    status: str | None


class LinkList(Document, kw_only=True):
    items: list[LinkItem]


class LinkRequest(Request, kw_only=True):
    """Body of `POST /api/records/{id}/links`. `other`: a local id, or SYSTEM/EXTERNAL_ID (which need not be here)."""

    other: str
    relation: str = "related_to"


class RecordDocument(RecordItem, kw_only=True):
    schema: int = SCHEMA
    body: str | None
    raw: str
    source_version: int
    first_synced_at: str
    links: list[LinkItem]


# --- history ----------------------------------------------------------------------------------------------------------


class SkippedRecord(Reply, kw_only=True):
    """A record that could not be read and was set aside. `external_id` null: not even that could be read."""

    external_id: str | None
    reason: str
    seen_at: str


class RunDocument(RunSummary, kw_only=True):
    """One run. While it goes on, `live` has its progress. `skipped`: the first 100 records that it set aside and that
    no later run could read; `request_id` is the source's own name for the call that failed, or for the last one."""

    schema: int = SCHEMA
    live: LiveRun | None = None
    skipped: list[SkippedRecord] = []
    request_id: str | None = None


class RunList(Document, kw_only=True):
    items: list[RunSummary]
    next: str | None


class LogList(Document, kw_only=True):
    """`GET /api/logs`: lines of the daemon's log as they are in its file, newest first. `next` is handed back as
    `after`; null: there is nothing older. `complete` is false if it stopped for having looked through so much of the
    file: there may be more at `next`. `hint` says why there is nothing."""

    items: list[dict[str, Any]]
    next: str | None
    complete: bool
    file: str
    hint: str = ""


# --- the fleet --------------------------------------------------------------------------------------------------------


class IntegrationSpec(Request, kw_only=True):
    """An integration to make. One of `subdomain` and `base_url`."""

    system_type: str = "zendesk"
    subdomain: str | None = None
    base_url: str | None = None
    interval: str | None = None
    timezone: str | None = None
    lookback: str | None = None
    strategy: str | None = None
    is_active: bool = True
    credentials: msgspec.Raw | None = None


class OrganizationSpec(Request, kw_only=True):
    """Body of `POST /api/organizations`, and an element of an import file."""

    id: str
    name: str | None = None
    timezone: str | None = None
    tags: list[str] = []
    integrations: list[IntegrationSpec] = []


class ImportRequest(Request, kw_only=True):
    """Body of `POST /api/organizations/import`: all or nothing. Organisations already there are left alone unless
    `update` is set."""

    organizations: list[OrganizationSpec]
    update: bool = False
    dry_run: bool = False


class ImportResult(Document, kw_only=True):
    dry_run: bool
    added: list[str]
    updated: list[str]
    unchanged: list[str]


class IntegrationPatch(Request, kw_only=True):
    base_url: str | None = None
    subdomain: str | None = None
    timezone: str | None = None
    lookback: str | None = None
    strategy: str | None = None


class OrganizationPatch(Request, kw_only=True):
    """Body of `PATCH /api/organizations/{org}`; only what is given changes. `integrations` is by system type; one
    that is not there yet is added."""

    name: str | None = None
    timezone: str | None = None
    tags: list[str] | None = None
    integrations: dict[str, IntegrationPatch] = {}


class OrganizationItem(Reply, kw_only=True):
    id: str
    name: str
    timezone: str
    tags: list[str]
    created_at: str
    integrations: list[SyncConfig]


class OrganizationDocument(OrganizationItem, kw_only=True):
    schema: int = SCHEMA


class OrganizationList(Document, kw_only=True):
    items: list[OrganizationItem]


class FleetExport(Document, kw_only=True):
    """`GET /api/organizations/export`: what an import takes, without any secret."""

    organizations: list[dict[str, Any]]


class CredentialsSet(Document, kw_only=True):
    """200: stored. `state` is the integration's state after it (a blocked one is unblocked and due at once)."""

    organization_id: str
    system_type: str
    kind: str
    expires_at: str | None
    state: str


class CheckItem(Reply, kw_only=True):
    """A check of one integration's credentials without syncing."""

    organization_id: str
    system_type: str
    ok: bool
    user: str | None
    role: str | None
    code: str | None  # a failure class
    detail: str
    hint: str


class CheckResult(Document, kw_only=True):
    ok: bool
    items: list[CheckItem]


# --- operations -------------------------------------------------------------------------------------------------------


class PreviewRequest(Request, kw_only=True):
    interval: str
    timezone: str | None = None
    after: str | None = None
    count: int = 3


class PreviewTime(Reply, kw_only=True):
    local: str  # wall time with offset, in the zone
    utc: str
    in_s: int


class Preview(Document, kw_only=True):
    interval: str
    timezone: str
    words: str
    times: list[PreviewTime]


class ReconcileRequest(Request, kw_only=True):
    organization_ids: list[str] = []  # none: every organisation


class ReconcileItem(Reply, kw_only=True):
    organization_id: str
    system_type: str
    reconciliation_id: int
    joined: bool


class ReconcileAccepted(Document, kw_only=True):
    items: list[ReconcileItem]


class ReconcileList(Document, kw_only=True):
    """The newest comparison of each integration."""

    items: list[Reconciled]


class BackupAccepted(Document, kw_only=True):
    """202: it is being made, or was already. How it ended is in the status, by its path, and told as an event."""

    path: str
    started_at: str
    joined: bool


class ReloadChange(Reply, kw_only=True):
    key: str
    old: str
    new: str
    applied: bool  # false: takes effect at the next start


class ReloadResult(Document, kw_only=True):
    changes: list[ReloadChange]


class ProblemItem(Reply, kw_only=True):
    """One of several things that are wrong. `path` names it: `organizations[3].integrations[0].interval`."""

    path: str
    detail: str
    hint: str = ""


class Problem(Reply, kw_only=True):
    """RFC 9457 `application/problem+json`: every error reply. `problems` lists all that is wrong with an import."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    hint: str = ""
    field: str = ""
    problems: list[ProblemItem] = []


# --- events -----------------------------------------------------------------------------------------------------------


class Event(Reply, kw_only=True):
    """One line of `GET /api/events`. `event` says which of the other keys are there:

    `hello` (first line: boot_id, version), `integration` (`item`: its whole new status), `removed` (organization_id,
    system_type), `run` (`run`: it began or ended), `links` (organization_id, `record_ids`: a link made by hand came to
    these records or went), `log` (`log`), `daemon` (`message`; `backup` if one began or ended).
    """

    seq: int
    event: str
    at: str
    boot_id: str | None = None
    version: str | None = None
    organization_id: str | None = None
    system_type: str | None = None
    item: SyncStatus | None = None
    run: RunSummary | None = None
    record_ids: list[int] | None = None
    log: dict[str, Any] | None = None
    message: str | None = None
    backup: Backup | None = None
