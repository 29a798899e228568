"""Storing what a page brought: one call, one transaction."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any, Final

from zendeskd.db import Database
from zendeskd.models import RECORD_TYPES, CallStats, Integration, Page, PageCounts, stamp, stamp_or_none
from zendeskd.store import counting
from zendeskd.store.census import Census
from zendeskd.store.edge import text_or_none
from zendeskd.store.prepared import Prepared, prepare
from zendeskd.store.writing import RecordWriter, Written

_INTEGRATION: Final = """
UPDATE integrations SET
    total_records = total_records + :more,
    cursor = coalesce(:cursor, cursor),
    cursor_strategy = CASE WHEN :cursor IS NULL THEN cursor_strategy ELSE :strategy END,
    watermark = CASE
        WHEN :watermark IS NULL THEN watermark
        WHEN watermark IS NULL OR :watermark > watermark OR :reset THEN :watermark
        ELSE watermark END,
    copy_from = coalesce(:copy_from, copy_from)
WHERE id = :id
"""

_RUN: Final = """
UPDATE sync_logs SET
    records_processed = records_processed + :read,
    records_created = records_created + :created,
    records_updated = records_updated + :updated,
    records_unchanged = records_unchanged + :unchanged,
    records_deleted = records_deleted + :deleted,
    records_failed = records_failed + :failed,
    pages = pages + 1,
    api_calls = :api_calls,
    retries = :retries,
    rate_limit_wait_ms = :rate_limit_wait_ms,
    synced_at = :now
WHERE id = :run_id
"""


class Pages:
    """Any thread may open a run's pages; one thread writes them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def open(
        self, integration: Integration, run_id: int, *, copy_from: datetime | None = None, reset: bool = False
    ) -> RunPages:
        """The writing side of one run. With its first page `copy_from` is set, if given; with `reset` (a resync) that
        page's watermark is taken even if it lies before the stored one."""
        return RunPages(self._db, integration, run_id, copy_from=copy_from, reset=reset)

    def census(self, integration: Integration, reconciliation_id: int) -> Census:
        """The writing side of one comparison. Close it."""
        return Census(self._db, integration, reconciliation_id)


class RunPages:
    """Stores the pages of one run. See `sync.PageStore`."""

    def __init__(
        self, db: Database, integration: Integration, run_id: int, *, copy_from: datetime | None, reset: bool
    ) -> None:
        self._db, self._integration, self._run_id = db, integration, run_id
        self._copy_from, self._reset = copy_from, reset
        system = integration.system_type
        self._records = RecordWriter(integration.organization_id, system, RECORD_TYPES[system])

    def prepare(self, page: Page) -> Prepared:
        """What can be done before it is the page's turn. Any thread."""
        return prepare(page)

    def write_page(self, prepared: Prepared, calls: CallStats, now: datetime) -> PageCounts:
        """Records, links, search index, quarantine, cursor and counters together. Raises StorageError with nothing of
        the page stored; the page can then be written again. A null cursor never replaces a stored one."""
        page = prepared.page
        with self._db.writing() as connection:
            counting.must_be_here(connection, self._integration)
            written = self._records.write(connection, prepared, stamp(now))
            counting.quarantine(connection, self._integration, page, self._run_id, stamp(now))
            self._advance(connection, page, written)
            self._count(connection, calls, written.counts, now)
            counting.add_changes(self._db, self._integration, written.counts, now)
        self._copy_from, self._reset = None, False
        return written.counts

    def _advance(self, connection: sqlite3.Connection, page: Page, written: Written) -> None:
        values = {
            "id": self._integration.id,
            "more": written.more,
            "cursor": text_or_none(page.cursor),
            "strategy": page.strategy,
            "watermark": stamp_or_none(page.watermark),
            "reset": self._reset,
            "copy_from": stamp_or_none(self._copy_from),
        }
        connection.execute(_INTEGRATION, values)

    def _count(self, connection: sqlite3.Connection, calls: CallStats, counts: PageCounts, now: datetime) -> None:
        values: dict[str, Any] = {name: getattr(counts, name) for name in counts.__struct_fields__}
        values |= {
            "api_calls": calls.api_calls,
            "retries": calls.retries,
            "rate_limit_wait_ms": calls.rate_limit_wait_ms,
            "now": stamp(now),
            "run_id": self._run_id,
        }
        connection.execute(_RUN, values)
