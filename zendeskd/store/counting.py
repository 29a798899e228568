"""What a page changes beside its records: the integration's total, its day, what was set aside.

Everything here runs inside the caller's `writing`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from peewee import EXCLUDED

from zendeskd.db import Database
from zendeskd.errors import StorageError
from zendeskd.models import Integration, Page, PageCounts, Quarantined
from zendeskd.store import tables as t
from zendeskd.store.edge import raw_text, text, text_or_none

_QUARANTINE: Final = """
INSERT INTO quarantined_records
    (organization_id, integration_id, run_id, external_id, fingerprint, reason, first_seen_at, last_seen_at, raw)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (integration_id, fingerprint) DO UPDATE SET
    run_id = excluded.run_id, reason = excluded.reason, last_seen_at = excluded.last_seen_at, raw = excluded.raw
"""
_ANY_QUARANTINED: Final = "SELECT 1 FROM quarantined_records WHERE integration_id = ? LIMIT 1"
_RELEASE: Final = (
    "DELETE FROM quarantined_records WHERE integration_id = ? AND fingerprint IN (SELECT value FROM json_each(?))"
)


def must_be_here(connection: sqlite3.Connection, integration: Integration) -> None:
    """Raises StorageError if the integration has gone, so that no record of a removed organisation comes back."""
    if connection.execute("SELECT 1 FROM integrations WHERE id = ?", (integration.id,)).fetchone() is None:
        raise StorageError(
            f"The organisation {integration.organization_id} was removed while it was being read.",
            hint="Nothing of this page was stored; there is nothing to do.",
        )


def add_records(connection: sqlite3.Connection, integration: Integration, more: int) -> None:
    connection.execute("UPDATE integrations SET total_records = total_records + ? WHERE id = ?", (more, integration.id))


def add_changes(db: Database, integration: Integration, counts: PageCounts, now: datetime) -> None:
    changes = {"created": counts.created, "updated": counts.updated, "deleted": counts.deleted}
    if any(changes.values()):
        add_to_day(db, integration, now, **changes)


def add_to_day(db: Database, integration: Integration, now: datetime, **counts: int) -> None:
    """Add to the integration's local day."""
    table = t.DailyCount
    zero = dict.fromkeys(("created", "updated", "deleted", "runs", "failures"), 0)
    values = {**zero, **counts, "integration_id": integration.id, "day": local_day(integration, now)}
    db.execute(
        table.insert(values).on_conflict(
            conflict_target=[table.integration_id, table.day],
            update={getattr(table, name): getattr(table, name) + getattr(EXCLUDED, name) for name in counts},
        )
    )


def local_day(integration: Integration, now: datetime) -> str:
    """The day of `now` in the integration's zone; in UTC if the zone is no longer known."""
    try:
        zone: Any = ZoneInfo(integration.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        zone = UTC
    return now.astimezone(zone).date().isoformat()


def quarantine(
    connection: sqlite3.Connection, integration: Integration, page: Page, run_id: int | None, now: str
) -> None:
    """Set aside what could not be mapped, once however often it comes, and let go what now could."""
    if page.records and connection.execute(_ANY_QUARANTINED, (integration.id,)).fetchone():
        arrived = json.dumps([text(record.external_id) for record in page.records])
        connection.execute(_RELEASE, (integration.id, arrived))
    scope = (integration.organization_id, integration.id, run_id)
    rows = []
    for bad in page.quarantined:
        raw = raw_text(bad.raw)
        rows.append((*scope, text_or_none(bad.external_id), _fingerprint(bad, raw), text(bad.reason), now, now, raw))
    if rows:
        connection.executemany(_QUARANTINE, rows)


def _fingerprint(bad: Quarantined, raw: str) -> str:
    """By what a quarantined record is known again: its id, or else its text."""
    if bad.external_id is not None:
        return text(bad.external_id)
    return "sha256:" + hashlib.sha256(raw.encode()).hexdigest()
