"""Comparisons of the copy with its source: the rows of `reconciliations`."""

from __future__ import annotations

from datetime import datetime

from peewee import fn

from zendeskd.errors import NotFound
from zendeskd.models import Integration, Reconciliation, stamp, stamp_or_none
from zendeskd.store import tables as t
from zendeskd.store.edge import Part, text_or_none


class Reconciliations(Part):
    """Any thread may call any method; each raises StorageError when the disk says no."""

    def begin(self, integration: Integration, requested_by: str | None, now: datetime) -> Reconciliation:
        values = {
            "organization_id": integration.organization_id,
            "integration_id": integration.id,
            "system_type": integration.system_type,
            "requested_by": text_or_none(requested_by),
            "status": "running",
            "started_at": stamp(now),
            "local_count": integration.total_records,
            **dict.fromkeys(("source_count", "missing", "stale", "vanished", "repaired", "failed", "pages"), 0),
        }
        with self._db.writing():
            return self.get(self._db.execute(t.Reconciliation.insert(values)))

    def get(self, reconciliation_id: int) -> Reconciliation:
        """Raises NotFound."""
        query = t.Reconciliation.select().where(t.Reconciliation.id == reconciliation_id)
        return self._one(query, Reconciliation, lambda: NotFound(f"There is no comparison {reconciliation_id}."))

    def progress(self, reconciliation: Reconciliation) -> None:
        """Store its figures so far."""
        self._set(reconciliation)

    def finish(self, reconciliation: Reconciliation, now: datetime | None = None) -> None:
        """Store how it ended; `now` is when, unless it says so itself.

        One that is verified saw every record, so what was set aside before it and has no id to be known by is let go.
        """
        self._set(reconciliation, now)
        if reconciliation.status == "verified":
            table = t.QuarantinedRecord
            nameless = (
                (table.integration_id == reconciliation.integration_id)
                & table.external_id.is_null()
                & (table.last_seen_at < stamp(reconciliation.started_at))
            )
            with self._db.writing():
                self._db.execute(table.delete().where(nameless))

    def latest(self) -> dict[int, Reconciliation]:
        """Each integration's newest comparison, running ones included."""
        other = t.Reconciliation.alias()
        newest = other.select(fn.MAX(other.id)).where(other.integration_id == t.Integration.id)
        query = t.Reconciliation.select().where(t.Reconciliation.id.in_(t.Integration.select(newest)))
        return {one.integration_id: one for one in self._structs(query, Reconciliation)}

    def interrupt_orphans(self, now: datetime) -> int:
        """At start-up: comparisons that a daemon left running are `interrupted`. -> how many."""
        query = t.Reconciliation.update(status="interrupted", finished_at=stamp(now)).where(
            t.Reconciliation.status == "running"
        )
        with self._db.writing():
            return self._db.execute(query)

    def _set(self, one: Reconciliation, finished: datetime | None = None) -> None:
        values = {
            "status": one.status,
            "finished_at": stamp_or_none(one.finished_at or finished),
            "source_count": one.source_count,
            "local_count": one.local_count,
            "missing": one.missing,
            "stale": one.stale,
            "vanished": one.vanished,
            "repaired": one.repaired,
            "failed": one.failed,
            "pages": one.pages,
            "error_code": one.error_code,
            "error_message": text_or_none(one.error_message),
        }
        with self._db.writing():
            self._db.execute(t.Reconciliation.update(values).where(t.Reconciliation.id == one.id))
