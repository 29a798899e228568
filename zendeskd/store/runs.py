"""Runs: the rows of `sync_logs`, and the day's counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from peewee import fn

from zendeskd.db import Database
from zendeskd.errors import NotFound
from zendeskd.models import (
    FINISHED,
    CallStats,
    Integration,
    RunResult,
    RunRow,
    RunStatus,
    Today,
    Trigger,
    stamp,
)
from zendeskd.store import tables as t
from zendeskd.store.counting import add_to_day
from zendeskd.store.edge import Part, sql_of, struct_of, text, text_or_none
from zendeskd.store.fleet import Fleet

KEPT_RUNS: Final = 50
"""So many of each integration's newest runs are kept, however old."""

_BY_ID: Final = sql_of(t.SyncLog.select().where(t.SyncLog.id == 0))
_BATCH: Final = 1_000
_FINISHED: Final = sorted(status.value for status in FINISHED)
_RECENT: Final = (
    "SELECT * FROM sync_logs WHERE integration_id = ? AND status IN (?, ?, ?, ?, ?) ORDER BY id DESC LIMIT ?"
)


class SkippedRow(msgspec.Struct, frozen=True):
    """A row of `quarantined_records`, without the record."""

    external_id: str | None
    reason: str
    last_seen_at: str


RunRows = list[RunRow]
"""Has a name of its own because `Runs.list` hides the builtin."""


class Runs(Part):
    """Any thread may call any method; each raises StorageError when the disk says no."""

    def __init__(self, db: Database, fleet: Fleet) -> None:
        super().__init__(db)
        self._fleet = fleet

    # --- the life of a run ----------------------------------------------------------------------------------------

    def enqueue(self, integration: Integration, trigger: Trigger, requested_by: str | None, now: datetime) -> RunRow:
        values = {
            "organization_id": integration.organization_id,
            "integration_id": integration.id,
            "system_type": integration.system_type,
            "trigger": trigger.value,
            "requested_by": text_or_none(requested_by),
            "status": RunStatus.QUEUED.value,
            "queued_at": stamp(now),
        }
        with self._db.writing():
            return self.get(self._db.execute(t.SyncLog.insert(values)))

    def begin(self, run_id: int, now: datetime) -> None:
        """A worker took it. Does nothing to a run that was begun or ended before."""
        query = t.SyncLog.update(status=RunStatus.RUNNING.value, started_at=stamp(now), synced_at=stamp(now)).where(
            (t.SyncLog.id == run_id) & (t.SyncLog.status == RunStatus.QUEUED.value)
        )
        with self._db.writing():
            self._db.execute(query)

    def finish(
        self, run_id: int, result: RunResult, calls: CallStats, now: datetime, **columns: object
    ) -> tuple[RunRow, Integration]:
        """End a run, set `columns` of its integration and count it, in one transaction.

        A second end of the same run changes nothing. Raises NotFound if the run was removed with its organisation.
        """
        with self._db.writing():
            run = self.get(run_id)
            if run.status in FINISHED:
                return run, self._fleet.integration_by_id(run.integration_id)
            values = {
                "status": result.status.value,
                "synced_at": stamp(now),
                "duration_ms": _milliseconds(run.started_at, now),
                "api_calls": calls.api_calls,
                "retries": calls.retries,
                "rate_limit_wait_ms": calls.rate_limit_wait_ms,
                "end_reason": text(result.end_reason),
                "error_code": result.error_code,
                "error_message": text_or_none(result.error_message),
                "error_hint": text_or_none(result.error_hint),
                "request_id": text_or_none(result.request_id or calls.request_id),
            }
            self._db.execute(t.SyncLog.update(values).where(t.SyncLog.id == run_id))
            integration = self._fleet.change_within(run.integration_id, columns)
            if run.started_at is not None:
                add_to_day(self._db, integration, now, runs=1, failures=int(result.status is RunStatus.FAILED))
            return self.get(run_id), integration

    def interrupt_orphans(self, now: datetime) -> RunRows:
        """At start-up: runs that a daemon left running are `interrupted`; they ended when they last committed."""
        with self._db.writing():
            orphans = self._rows(t.SyncLog.select().where(t.SyncLog.status == RunStatus.RUNNING.value))
            for run in orphans:
                values = {
                    "status": RunStatus.INTERRUPTED.value,
                    "end_reason": "daemon went away",
                    "duration_ms": _milliseconds(run.started_at, run.synced_at or now),
                }
                self._db.execute(t.SyncLog.update(values).where(t.SyncLog.id == run.id))
                add_to_day(self._db, self._fleet.integration_by_id(run.integration_id), run.synced_at or now, runs=1)
            return [self.get(run.id) for run in orphans]

    # --- reading --------------------------------------------------------------------------------------------------

    def get(self, run_id: int) -> RunRow:
        """Raises NotFound."""
        return self._one(t.SyncLog.raw(_BY_ID, run_id), RunRow, lambda: _gone(run_id))

    def skipped(self, run: RunRow, most: int) -> Sequence[SkippedRow]:
        """What the run set aside and no later one could read or set aside again, the first ones."""
        table = t.QuarantinedRecord
        query = table.select(table.id, table.external_id, table.reason, table.last_seen_at).where(
            (table.integration_id == run.integration_id) & (table.run_id == run.id)
        )
        return self._structs(query.order_by(table.id).limit(most), SkippedRow)

    def list(
        self,
        *,
        org: str | None = None,
        system: str | None = None,
        failed: bool = False,
        limit: int = 20,
        before: int | None = None,
    ) -> RunRows:
        """The newest first, by id, those before the run `before`."""
        query = t.SyncLog.select()
        if org is not None:
            query = query.where(t.SyncLog.organization_id == text(org))
        if system is not None:
            query = query.where(t.SyncLog.system_type == text(system))
        if failed:
            query = query.where(t.SyncLog.status == RunStatus.FAILED.value)
        if before is not None:
            query = query.where(t.SyncLog.id < before)
        return self._rows(query.order_by(t.SyncLog.id.desc()).limit(limit))

    def recent(self, n: int = 8) -> dict[int, RunRows]:
        """Each integration's last finished runs, newest first: one step into an index per integration, because one
        statement for all would let SQLite's planner walk every run there is."""
        runs: dict[int, RunRows] = {}
        with self._db.snapshot() as connection:
            cursor = connection.execute("SELECT id FROM integrations")
            for (integration_id,) in cursor.fetchall():
                cursor = connection.execute(_RECENT, (integration_id, *_FINISHED, n))
                names = [column[0] for column in cursor.description]
                rows = [struct_of(dict(zip(names, row, strict=True)), RunRow) for row in cursor]
                if rows:
                    runs[integration_id] = rows
        return runs

    def queued(self) -> RunRows:
        """What waits for a worker, in the order in which it was asked for."""
        return self._rows(t.SyncLog.select().where(t.SyncLog.status == RunStatus.QUEUED.value).order_by(t.SyncLog.id))

    def today(self, days: Mapping[int, str]) -> dict[int, Today]:
        """Integration id -> its local day, to integration id -> that day's counts."""
        table = t.DailyCount
        query = table.select().where(table.integration_id.in_(list(days)) & table.day.in_(sorted(set(days.values()))))
        counted = {integration_id: Today(day=day) for integration_id, day in days.items()}
        for row in self._db.rows(query):
            if days.get(row["integration_id"]) == row["day"]:
                records = row["created"] + row["updated"]
                counted[row["integration_id"]] = Today(day=row["day"], records=records, failures=row["failures"])
        return counted

    # --- keeping it small -----------------------------------------------------------------------------------------

    def set_aside(self, integration_id: int | None = None) -> dict[int, int]:
        """How many records of each integration (or of one) could not be read and wait in `quarantined_records`."""
        table = t.QuarantinedRecord
        query = table.select(table.integration_id, fn.COUNT(table.id).alias("records")).group_by(table.integration_id)
        if integration_id is not None:
            query = query.where(table.integration_id == integration_id)
        return {row["integration_id"]: row["records"] for row in self._db.rows(query)}

    def prune(self, logs_before: datetime, audit_before: datetime) -> int:
        """Remove finished runs and audit entries that are older, a bounded number in each transaction. -> how many.

        The newest 50 runs of each integration stay however old they are.
        """
        removed = 0
        floors = self._floors()
        after = ("", 0)
        while batch := self._old_runs(logs_before, after):
            after = (batch[-1]["synced_at"], batch[-1]["id"])
            ids = [row["id"] for row in batch if row["id"] < floors.get(row["integration_id"], 0)]
            removed += self._delete(t.SyncLog, ids)
        while batch := self._db.rows(
            t.AuditEntry.select(t.AuditEntry.id).where(t.AuditEntry.at < stamp(audit_before)).limit(_BATCH)
        ):
            removed += self._delete(t.AuditEntry, [row["id"] for row in batch])
        self._db.optimize()
        return removed

    def _floors(self) -> dict[int, int]:
        """Integration id -> the oldest of the runs that are kept anyway."""
        floors = {}
        for row in self._db.rows(t.Integration.select(t.Integration.id)):
            query = (
                t.SyncLog.select(t.SyncLog.id)
                .where(t.SyncLog.integration_id == row["id"])
                .order_by(t.SyncLog.id.desc())
                .limit(1)
                .offset(KEPT_RUNS - 1)
            )
            for kept in self._db.rows(query):
                floors[row["id"]] = kept["id"]
        return floors

    def _old_runs(self, before: datetime, after: tuple[str, int]) -> Any:
        log = t.SyncLog
        later = (log.synced_at > after[0]) | ((log.synced_at == after[0]) & (log.id > after[1]))
        return self._db.rows(
            log.select(log.id, log.integration_id, log.synced_at)
            .where((log.synced_at >= after[0]) & (log.synced_at < stamp(before)) & later & log.status.in_(_FINISHED))
            .order_by(log.synced_at, log.id)
            .limit(_BATCH)
        )

    def _delete(self, table: Any, ids: Iterable[int]) -> int:
        if not ids:
            return 0
        with self._db.writing():
            return self._db.execute(table.delete().where(table.id.in_(ids)))

    def _rows(self, query: Any) -> RunRows:
        return self._structs(query, RunRow)


def _milliseconds(begin: datetime | None, end: datetime) -> int | None:
    """None for what never began; never negative, also when the host's clock was set back."""
    return None if begin is None else max(0, round((end - begin).total_seconds() * 1000))


def _gone(run_id: int) -> NotFound:
    return NotFound(f"There is no run {run_id}.", hint="zendeskctl runs lists them; old ones are pruned.")
