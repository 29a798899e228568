"""Removing an organisation and everything of it, in bounded transactions."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from zendeskd.db import Database
from zendeskd.models import State
from zendeskd.store import search
from zendeskd.store import tables as t
from zendeskd.store.edge import text

_BATCH: Final = 2_000

_BY_INTEGRATION: Final[tuple[Any, ...]] = (t.Credential, t.DailyCount)
_BY_ORGANIZATION: Final[tuple[Any, ...]] = (
    t.QuarantinedRecord,
    t.Reconciliation,
    t.RecordLink,
    t.SyncLog,
)


def remove(db: Database, org_id: str) -> None:
    """Remove the organisation. If this is cut short, what is left has no credentials and no position: it cannot pass
    for a complete copy, and removing it again goes on from there. Any thread; raises StorageError."""
    org_id = text(org_id)
    integrations = t.Integration.select(t.Integration.id).where(t.Integration.organization_id == org_id)
    with db.writing():
        for table in _BY_INTEGRATION:
            db.execute(table.delete().where(table.integration_id.in_(integrations)))
        nothing = dict.fromkeys(("cursor", "cursor_strategy", "watermark", "copy_from", "next_run_at"))
        columns = {**nothing, "is_active": 0, "state": State.STOPPED.value, "stop_reason": "being removed"}
        db.execute(t.Integration.update(columns).where(t.Integration.organization_id == org_id))
    while _remove_records(db, org_id):
        pass
    for table in _BY_ORGANIZATION:
        while _remove_some(db, table, org_id):
            pass
    with db.writing():
        for table in _BY_INTEGRATION:
            db.execute(table.delete().where(table.integration_id.in_(integrations)))
        db.execute(t.Integration.delete().where(t.Integration.organization_id == org_id))
        db.execute(t.Organization.delete().where(t.Organization.id == org_id))


def _remove_records(db: Database, org_id: str) -> bool:
    """Some records, out of the search index and the integration's total too."""
    table = t.FlowRecord
    with db.writing() as connection:
        query = table.select(table.id, table.source_system, table.deleted_at)
        rows = db.rows(query.where(table.organization_id == org_id).limit(_BATCH))
        ids = [row["id"] for row in rows]
        search.forget(connection, search.entries(connection, ids))
        db.execute(table.delete().where(table.id.in_(ids)))
        for system, live in Counter(row["source_system"] for row in rows if row["deleted_at"] is None).items():
            here = (t.Integration.organization_id == org_id) & (t.Integration.system_type == system)
            db.execute(t.Integration.update(total_records=t.Integration.total_records - live).where(here))
    return bool(rows)


def _remove_some(db: Database, table: Any, org_id: str) -> bool:
    some = table.select(table.id).where(table.organization_id == org_id).limit(_BATCH)
    with db.writing():
        return bool(db.execute(table.delete().where(table.id.in_(some))))
