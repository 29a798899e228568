"""The nouns of the domain, as plain immutable values. Depends on nothing but msgspec.

Vocabulary: an *organisation* is a customer; an *integration* is one system of it (its Zendesk, its Jira); a *run*
is one attempt to bring an integration's copy up to date; a *page* is what one request of a run delivered; a *record*
is one ticket, issue or message; the *cursor* is the source's own opaque position.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

SYSTEMS: Final = ("zendesk",)
RECORD_TYPES: Final = {"zendesk": "ticket", "jira": "issue", "slack": "message"}

STRATEGIES: Final = {"zendesk": ("export", "list")}
"""How tickets are read: `export` is the incremental cursor export, `list` the keyset listing."""


# --- instants ---------------------------------------------------------------------------------------------------------

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def utcnow() -> datetime:
    return datetime.now(UTC)


def stamp(when: datetime) -> str:
    """An aware instant as fixed-width text, `2026-11-23T14:05:00.000Z`: what the database and the API hold."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stamp_or_none(when: datetime | None) -> str | None:
    return None if when is None else stamp(when)


def parse_stamp(text: str | None) -> datetime | None:
    """The aware instant of ISO-8601 text. Raises ValueError for text that is not an instant or has no zone."""
    if text is None:
        return None
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"an instant needs a zone: {text!r}")
    return when.astimezone(UTC)


# --- secrets ----------------------------------------------------------------------------------------------------------


class Secret:
    """A secret that does not show itself. `reveal()` is the only way to the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)


def enc_secret(value: Any) -> Any:
    """msgspec enc_hook. Only `secrets.py` (which seals what it writes) may pass it."""
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"cannot encode {type(value)}")


def dec_secret(kind: type, value: Any) -> Any:
    """msgspec dec_hook."""
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError("Expected `str`")


class Credential(msgspec.Struct, frozen=True, tag_field="kind", rename="camel", forbid_unknown_fields=True):
    """Base of the four kinds. JSON: `{"kind": "...", ...}` with camelCase keys."""


class OAuthClientCredentials(Credential, frozen=True, tag="oauth_client_credentials"):
    client_id: str
    client_secret: Secret
    scope: str = "read"


class OAuthRefreshToken(Credential, frozen=True, tag="oauth_refresh_token"):
    client_id: str
    client_secret: Secret
    refresh_token: Secret


class ApiToken(Credential, frozen=True, tag="api_token"):
    email: str
    token: Secret


class Bearer(Credential, frozen=True, tag="bearer"):
    token: Secret


AnyCredential = OAuthClientCredentials | OAuthRefreshToken | ApiToken | Bearer


class AccessToken(msgspec.Struct, frozen=True, rename="camel"):
    """A token got with an OAuth credential. `expires_at` None means unknown, neither "expired" nor "never"."""

    token: Secret
    expires_at: datetime | None = None


class StoredCredential(msgspec.Struct, frozen=True, rename="camel"):
    """What is sealed into `credentials.ciphertext`: the credential and the access token it last got."""

    credential: AnyCredential
    access: AccessToken | None = None


# --- the fleet --------------------------------------------------------------------------------------------------------


class State(StrEnum):
    """What an integration is doing now."""

    IDLE = "idle"
    QUEUED = "queued"
    RUNNING = "running"
    LIMITED = "limited"
    RETRYING = "retrying"
    STOPPED = "stopped"
    BLOCKED = "blocked"
    STOPPING = "stopping"


class Health(StrEnum):
    """Ordered worst first; the order of every list."""

    BLOCKED = "blocked"
    FAILING = "failing"
    LATE = "late"
    LIMITED = "limited"
    RETRYING = "retrying"
    FAILED = "failed"
    RUNNING = "running"
    QUEUED = "queued"
    OK = "ok"
    STOPPED = "stopped"


class Trigger(StrEnum):
    SCHEDULE = "schedule"
    MANUAL = "manual"
    CATCHUP = "catchup"
    RETRY = "retry"
    START = "start"


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


FINISHED: Final = frozenset(
    {RunStatus.SUCCESS, RunStatus.PARTIAL, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED}
)


class Organization(msgspec.Struct, frozen=True):
    id: str
    name: str
    timezone: str
    tags: tuple[str, ...]
    created_at: datetime


class Integration(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `integrations`: configuration, position and what happened last."""

    id: int
    organization_id: str
    organization_name: str
    system_type: str
    base_url: str
    strategy: str
    is_active: bool
    sync_interval: str
    timezone: str
    lookback: str
    state: State  # stored: idle, stopped or blocked; the live states are in memory
    cursor: str | None = None
    cursor_strategy: str | None = None
    watermark: datetime | None = None  # the stream was read up to here, in the source's time
    copy_from: datetime | None = None  # the copy holds everything the source changed since; None: nothing read yet
    next_run_at: datetime | None = None
    last_sync_at: datetime | None = None
    last_success_at: datetime | None = None
    consecutive_failures: int = 0
    last_error_code: str | None = None
    last_error_message: str | None = None
    last_error_at: datetime | None = None
    blocked_at: datetime | None = None
    stopped_by: str | None = None
    stop_reason: str | None = None
    stopped_until: datetime | None = None
    total_records: int = 0
    credential_kind: str | None = None  # None: no credentials yet
    credential_expires_at: datetime | None = None


# --- what a page brings -----------------------------------------------------------------------------------------------


class Link(msgspec.Struct, frozen=True, gc=False):
    """A record's reference to another one, which need not be here yet."""

    relation: str  # "incident_of", "followup_of", "escalated_to", ...
    target_system: str
    target_type: str
    target_external_id: str


class Record(msgspec.Struct, gc=False):
    """One mapped record. Instants are already in the database's text form (see `stamp`); text may still hold what no
    database does, which the store sees to."""

    external_id: str
    record_type: str
    source_version: int  # decides which of two deliveries is newer
    content_hash: bytes  # of everything but what moves without meaning (Zendesk: generated_timestamp)
    raw: bytes  # what the source sent; UTF-8, which whoever reads a source sees to
    url: str | None = None
    title: str | None = None
    body: str | None = None
    status: str | None = None
    priority: str | None = None
    requester: str | None = None
    assignee: str | None = None
    group_name: str | None = None
    customer: str | None = None
    tags: tuple[str, ...] = ()
    created_at: str | None = None
    updated_at: str | None = None
    deleted_at: str | None = None
    links: tuple[Link, ...] = ()


class Deletion(msgspec.Struct, frozen=True):
    """A deletion that a source reports without the record itself."""

    external_id: str
    record_type: str
    deleted_at: str


class Quarantined(msgspec.Struct, frozen=True):
    """A record that could not be mapped. `external_id` if at least that could be read."""

    raw: str
    reason: str
    external_id: str | None = None


class Page(msgspec.Struct):
    """What one request delivered. `cursor` None never replaces a stored one."""

    records: list[Record]
    end_of_stream: bool
    cursor: str | None = None
    strategy: str = "export"  # which kind of cursor this is
    watermark: datetime | None = None  # after this page everything is read up to here
    reached: datetime | None = None  # the same of a part of what there is to read, which is progress only
    deletions: list[Deletion] = msgspec.field(default_factory=list)
    quarantined: list[Quarantined] = msgspec.field(default_factory=list)


class Position(msgspec.Struct, frozen=True):
    """Where a run begins: a cursor of `strategy`, or else `since` (None: from the very beginning)."""

    strategy: str
    cursor: str | None = None
    since: datetime | None = None


class PageCounts(msgspec.Struct):
    """What writing a page did. `read` = created + updated + unchanged + deleted + failed.

    `deleted` counts records that became deleted with this page; `failed` the quarantined ones.
    """

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0

    def add(self, other: PageCounts) -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class CallStats(msgspec.Struct):
    """Counted by a source over one run; other threads read it."""

    api_calls: int = 0
    retries: int = 0
    rate_limit_wait_ms: int = 0
    request_id: str | None = None  # of the last answer


class Identity(msgspec.Struct, frozen=True):
    """Who the credentials are, as the source sees them."""

    user: str
    role: str
    account: str


class Waiting(msgspec.Struct, frozen=True):
    """A source waits. `state` is LIMITED (told to) or RETRYING (backing off)."""

    state: State
    until: datetime
    reason: str  # "429, export budget", "connect timeout, try 2 of 5"
    error: str | None = None  # what went wrong before it, as a sentence
    request_id: str | None = None  # the source's own name of the call that failed


class BudgetView(msgspec.Struct, frozen=True, rename="camel"):
    """A rate budget as the source last announced it, per minute."""

    name: str  # "export", "account"
    remaining: int
    total: int


# --- runs -------------------------------------------------------------------------------------------------------------


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. `end_reason` says why in one word: `end_of_stream`, `error`, `cancelled`, `stopped`,
    `shutdown`, `deadline`, `stalled`."""

    status: RunStatus
    end_reason: str
    error_code: str | None = None
    error_message: str | None = None
    error_hint: str | None = None
    request_id: str | None = None


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `sync_logs`."""

    id: int
    organization_id: str
    integration_id: int
    system_type: str
    trigger: Trigger
    requested_by: str | None
    status: RunStatus
    queued_at: datetime
    started_at: datetime | None = None
    synced_at: datetime | None = None
    duration_ms: int | None = None
    records_processed: int = 0
    records_created: int = 0
    records_updated: int = 0
    records_unchanged: int = 0
    records_deleted: int = 0
    records_failed: int = 0
    pages: int = 0
    api_calls: int = 0
    retries: int = 0
    rate_limit_wait_ms: int = 0
    end_reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    request_id: str | None = None  # the source's own name of the call that failed, or of the last one


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of the copy with the source: a row of `reconciliations`.

    Differences by kind: `missing` (there, not here: fetched), `stale` (older here: replaced), `vanished` (here, no
    longer there: marked deleted). `status`: running, verified, failed, cancelled, interrupted.
    """

    id: int
    organization_id: str
    integration_id: int
    requested_by: str | None
    status: str
    started_at: datetime
    finished_at: datetime | None = None
    source_count: int = 0
    local_count: int = 0
    missing: int = 0
    stale: int = 0
    vanished: int = 0
    repaired: int = 0
    failed: int = 0
    pages: int = 0
    error_code: str | None = None
    error_message: str | None = None


class Today(msgspec.Struct, frozen=True):
    """One local day of one integration, from `daily_counts`."""

    day: str  # 2026-11-23, in the integration's zone
    records: int = 0  # created + updated
    failures: int = 0


# --- live views -------------------------------------------------------------------------------------------------------


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run or a reconcile pass that is going on, as it was at one moment."""

    id: int
    kind: str  # "sync" or "reconcile"
    trigger: str
    requested_by: str | None
    started_at: datetime
    pages: int
    counts: PageCounts
    rate: float | None  # records a second
    progress: float | None  # 0..1 of the time window, where known
    eta_s: int | None
    calls: CallStats
    waiting: Waiting | None


class IntegrationView(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one integration at one moment. `happened`, `daemon` and `you` are whole sentences."""

    integration: Integration
    state: State
    health: Health
    why: str
    happened: str
    daemon: str
    you: str
    run: RunView | None
    queued_run_id: int | None
    recent: tuple[RunRow, ...]  # finished, newest first, at most 8
    today: Today
    late_s: int | None
    slow_s: int | None
    reconciled: Reconciliation | None
    set_aside: int  # records that could not be read and are not here yet
    skipped_ticks: int
    budgets: tuple[BudgetView, ...]


class Queued(msgspec.Struct, frozen=True):
    """What became of a trigger. `joined`: there was a run or a place in the queue already, and this is its id."""

    run_id: int
    state: State
    joined: bool
