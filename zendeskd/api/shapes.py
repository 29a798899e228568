"""From the nouns of the domain to the shapes of the wire. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec.structs import fields

from zendeskd import wire
from zendeskd.backup import Backup
from zendeskd.models import (
    BudgetView,
    Integration,
    IntegrationView,
    Organization,
    Reconciliation,
    RunRow,
    RunView,
    stamp,
    stamp_or_none,
)
from zendeskd.store.links import LinkRow
from zendeskd.store.records import RecordRow
from zendeskd.store.runs import SkippedRow


def sync_status(view: IntegrationView) -> wire.SyncStatus:
    return wire.SyncStatus(**_status_fields(view))  # type: ignore[arg-type]


def sync_status_one(view: IntegrationView, seq: int) -> wire.SyncStatusOne:
    return wire.SyncStatusOne(**_status_fields(view), seq=seq)  # type: ignore[arg-type]


def _status_fields(view: IntegrationView) -> dict[str, object]:
    one = view.integration
    budgets = [budget(each) for each in view.budgets]
    return {
        "organization_id": one.organization_id,
        "organization_name": one.organization_name,
        "system_type": one.system_type,
        "state": view.state.value,
        "health": view.health.value,
        "why": view.why,
        "explanation": wire.Explanation(happened=view.happened, daemon=view.daemon, you=view.you),
        "is_active": one.is_active,
        "interval": one.sync_interval,
        "timezone": one.timezone,
        "next_run_at": stamp_or_none(one.next_run_at),
        "last_sync_at": stamp_or_none(one.last_sync_at),
        "last_success_at": stamp_or_none(one.last_success_at),
        "last_status": view.recent[0].status.value if view.recent else None,
        "consecutive_failures": one.consecutive_failures,
        "last_error": last_error(one),
        "total_records": one.total_records,
        "records_today": view.today.records,
        "failures_today": view.today.failures,
        "run": None if view.run is None else live_run(view.run, view.budgets),
        "queued_run_id": view.queued_run_id,
        "recent_runs": [run_summary(row) for row in view.recent],
        "credential": credential(one),
        "watermark": stamp_or_none(one.watermark),
        "stopped_by": one.stopped_by,
        "stop_reason": one.stop_reason,
        "stopped_until": stamp_or_none(one.stopped_until),
        "late_s": view.late_s,
        "slow_s": view.slow_s,
        "reconciled": None if view.reconciled is None else reconciled(view.reconciled, one.system_type),
        "set_aside": view.set_aside,
        "skipped_ticks": view.skipped_ticks,
        "budgets": budgets,
    }


def budget(view: BudgetView) -> wire.Budget:
    return wire.Budget(name=view.name, remaining=view.remaining, total=view.total)


def last_error(one: Integration) -> wire.LastError | None:
    if one.last_error_code is None or one.last_error_at is None:
        return None
    return wire.LastError(code=one.last_error_code, message=one.last_error_message or "", at=stamp(one.last_error_at))


def credential(one: Integration) -> wire.CredentialStatus | None:
    if one.credential_kind is None:
        return None
    return wire.CredentialStatus(kind=one.credential_kind, expires_at=stamp_or_none(one.credential_expires_at))


def live_run(run: RunView, budgets: Iterable[BudgetView]) -> wire.LiveRun:
    waiting = run.waiting
    return wire.LiveRun(
        id=run.id,
        kind=run.kind,
        trigger=run.trigger,
        requested_by=run.requested_by,
        started_at=stamp(run.started_at),
        pages=run.pages,
        records=run.counts.read,
        created=run.counts.created,
        updated=run.counts.updated,
        unchanged=run.counts.unchanged,
        deleted=run.counts.deleted,
        failed=run.counts.failed,
        rate=None if run.rate is None else round(run.rate, 1),
        progress=None if run.progress is None else round(run.progress, 3),
        eta_s=run.eta_s,
        api_calls=run.calls.api_calls,
        retries=run.calls.retries,
        waiting_until=None if waiting is None else stamp(waiting.until),
        waiting_for=None if waiting is None else waiting.reason,
        budgets=[budget(each) for each in budgets],
    )


def run_summary(row: RunRow) -> wire.RunSummary:
    return wire.RunSummary(**_run_fields(row))  # type: ignore[arg-type]


def run_document(row: RunRow, live: wire.LiveRun | None, skipped: Iterable[SkippedRow]) -> wire.RunDocument:
    return wire.RunDocument(
        **_run_fields(row),  # type: ignore[arg-type]
        live=live,
        skipped=[wire.SkippedRecord(external_id=one.external_id, reason=one.reason, seen_at=one.last_seen_at)
                 for one in skipped],
        request_id=row.request_id,
    )  # fmt: skip


def _run_fields(row: RunRow) -> dict[str, object]:
    return {
        "id": row.id,
        "organization_id": row.organization_id,
        "system_type": row.system_type,
        "trigger": row.trigger.value,
        "requested_by": row.requested_by,
        "status": row.status.value,
        "queued_at": stamp(row.queued_at),
        "started_at": stamp_or_none(row.started_at),
        "synced_at": stamp_or_none(row.synced_at),
        "duration_ms": row.duration_ms,
        "records_processed": row.records_processed,
        "records_created": row.records_created,
        "records_updated": row.records_updated,
        "records_unchanged": row.records_unchanged,
        "records_deleted": row.records_deleted,
        "records_failed": row.records_failed,
        "pages": row.pages,
        "api_calls": row.api_calls,
        "retries": row.retries,
        "rate_limit_wait_ms": row.rate_limit_wait_ms,
        "end_reason": row.end_reason,
        "error_code": row.error_code,
        "error_message": row.error_message,
    }


def reconciled(row: Reconciliation, system: str) -> wire.Reconciled:
    return wire.Reconciled(
        id=row.id,
        organization_id=row.organization_id,
        system_type=system,
        requested_by=row.requested_by,
        status=row.status,
        started_at=stamp(row.started_at),
        finished_at=stamp_or_none(row.finished_at),
        source_count=row.source_count,
        local_count=row.local_count,
        missing=row.missing,
        stale=row.stale,
        vanished=row.vanished,
        repaired=row.repaired,
        failed=row.failed,
        pages=row.pages,
        error_code=row.error_code,
        error_message=row.error_message,
    )


def sync_config(view: IntegrationView) -> wire.SyncConfig:
    return wire.SyncConfig(**_config_fields(view))  # type: ignore[arg-type]


def sync_config_one(view: IntegrationView) -> wire.SyncConfigOne:
    return wire.SyncConfigOne(**_config_fields(view))  # type: ignore[arg-type]


def changed(view: IntegrationView, *, action: str, changed: bool, run_id: int | None) -> wire.Changed:
    return wire.Changed(**_config_fields(view), action=action, changed=changed, run_id=run_id)  # type: ignore[arg-type]


def _config_fields(view: IntegrationView) -> dict[str, object]:
    one = view.integration
    return {
        "organization_id": one.organization_id,
        "system_type": one.system_type,
        "base_url": one.base_url,
        "strategy": one.strategy,
        "is_active": one.is_active,
        "interval": one.sync_interval,
        "timezone": one.timezone,
        "lookback": one.lookback,
        "next_run_at": stamp_or_none(one.next_run_at),
        "state": view.state.value,
        "credential": credential(one),
    }


def record_item(row: RecordRow, link_count: int) -> wire.RecordItem:
    return wire.RecordItem(**_record_fields(row), link_count=link_count)  # type: ignore[arg-type]


def record_document(row: RecordRow, links: Collection[LinkRow]) -> wire.RecordDocument:
    return wire.RecordDocument(
        **_record_fields(row),  # type: ignore[arg-type]
        link_count=len(links),
        body=row.body,
        raw=row.raw or "",
        source_version=row.source_version or 0,
        first_synced_at=row.first_synced_at,
        links=[link_item(link) for link in links],
    )


def _record_fields(row: RecordRow) -> dict[str, object]:
    names = (field.name for field in fields(wire.RecordItem) if field.name not in {"tags", "link_count"})
    return {name: getattr(row, name) for name in names} | {"tags": list(row.tags)}


def link_item(row: LinkRow) -> wire.LinkItem:
    return wire.LinkItem(**{name: getattr(row, name) for name in (field.name for field in fields(wire.LinkItem))})


def organization(org: Organization, views: Iterable[IntegrationView]) -> wire.OrganizationItem:
    return wire.OrganizationItem(**_organization_fields(org, views))  # type: ignore[arg-type]


def organization_document(org: Organization, views: Iterable[IntegrationView]) -> wire.OrganizationDocument:
    return wire.OrganizationDocument(**_organization_fields(org, views))  # type: ignore[arg-type]


def _organization_fields(org: Organization, views: Iterable[IntegrationView]) -> dict[str, object]:
    return {
        "id": org.id,
        "name": org.name,
        "timezone": org.timezone,
        "tags": list(org.tags),
        "created_at": stamp(org.created_at),
        "integrations": [sync_config(view) for view in views],
    }


def backup(one: Backup) -> wire.Backup:
    return wire.Backup(
        path=str(one.path),
        requested_by=one.requested_by,
        started_at=stamp(one.started_at),
        finished_at=stamp_or_none(one.finished_at),
        bytes=one.bytes,
        duration_ms=one.duration_ms,
        trouble=one.trouble,
        hint=one.hint,
    )
