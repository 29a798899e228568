"""What happened: runs, comparisons, log lines, and events as they come."""

from __future__ import annotations

from typing import Any

from zendeskd.wire.base import SCHEMA, Document, Reply, Request
from zendeskd.wire.daemon import Backup
from zendeskd.wire.status import LiveRun, Reconciled, RunSummary, SyncStatus


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
