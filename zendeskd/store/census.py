"""The writing side of a comparison: what the source still shows is remembered, so that what it no longer shows is
found. The run's cursor and the counters of runs are not touched."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from zendeskd.db import Database
from zendeskd.errors import StorageError
from zendeskd.models import RECORD_TYPES, Integration, Page, PageCounts, stamp
from zendeskd.store import counting
from zendeskd.store.edge import text
from zendeskd.store.prepared import prepare
from zendeskd.store.writing import RecordWriter
from zendeskd.troubles import trouble_of

_STEP: Final = 2_000
_IDS: Final = (  # answered by the unique index alone
    "SELECT external_id FROM flow_records WHERE organization_id = ? AND source_system = ? AND record_type = ? "
    "AND external_id > ? ORDER BY external_id LIMIT ?"
)
_LIVE: Final = (
    "SELECT external_id, source_version FROM flow_records "
    "WHERE organization_id = ? AND source_system = ? AND record_type = ? "
    "AND deleted_at IS NULL AND external_id IN (SELECT value FROM json_each(?))"
)


class Census:
    """One comparison's memory and writes. Used by one thread at a time, ended by `close`.

    What was seen and asked about is kept in a file without a name that SQLite makes for it, so memory stays flat
    whatever the account's size, and nothing is left behind by a process that dies.
    """

    def __init__(self, db: Database, integration: Integration, reconciliation_id: int) -> None:
        self._db, self._integration = db, integration
        self._id = reconciliation_id
        record_type = RECORD_TYPES[integration.system_type]
        self._scope = (integration.organization_id, integration.system_type, record_type)
        self._writer = RecordWriter(*self._scope, revive=True)
        self._last = ""
        self._over = False
        self._seen = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._seen.execute("PRAGMA journal_mode = off")
        self._seen.execute("PRAGMA cache_size = -4000")
        self._seen.execute("CREATE TABLE seen (external_id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._seen.execute("CREATE TABLE asked (external_id TEXT PRIMARY KEY, version INTEGER) WITHOUT ROWID")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was seen. May be called twice."""
        self._seen.close()

    def write_page(self, page: Page, now: datetime) -> PageCounts:
        """Store what is missing or stale here; `created` was missing, `updated` and `deleted` were stale. One
        transaction; raises StorageError with nothing of the page stored."""
        prepared = prepare(page)
        with self._db.writing() as connection:
            counting.must_be_here(connection, self._integration)
            written = self._writer.write(connection, prepared, stamp(now))
            counting.quarantine(connection, self._integration, page, None, stamp(now))
            counting.add_records(connection, self._integration, written.more)
            counting.add_changes(self._db, self._integration, written.counts, now)
        self._remember(record.external_id for record in page.records)
        self._remember(bad.external_id for bad in page.quarantined if bad.external_id is not None)
        return written.counts

    def unseen(self, limit: int) -> list[str]:
        """Up to `limit` more ids that are here, not deleted, and were not on any page; none when all were looked at.

        Goes once through the ids in order: what was returned does not come again. Raises StorageError.
        """
        found: list[tuple[str, int]] = []
        while len(found) < limit and not self._over:
            with self._db.reading() as connection:
                ids = [row[0] for row in connection.execute(_IDS, (*self._scope, self._last, _STEP))]
                missed = json.dumps(self._not_seen(ids))
                live = sorted(connection.execute(_LIVE, (*self._scope, missed)).fetchall())
            room = limit - len(found)
            found += live[:room]
            if len(live) > room:
                self._last = live[room - 1][0]
            else:
                self._last = ids[-1] if ids else self._last
                self._over = len(ids) < _STEP
        with _noting():
            self._seen.executemany("INSERT OR REPLACE INTO asked VALUES (?, ?)", found)
        return [external_id for external_id, _ in found]

    def mark_gone(self, external_ids: Sequence[str], now: datetime) -> int:
        """The source no longer shows these of `unseen`: mark them deleted. -> how many were.

        One that a run has written since `unseen` gave it stays as it is: it may have been restored meanwhile. Raises
        StorageError.
        """
        gone = 0
        for at in range(0, len(external_ids), _STEP):
            asked = self._asked(external_ids[at : at + _STEP])
            with self._db.writing() as connection:
                some = self._writer.mark_deleted(connection, asked, stamp(now))
                counting.add_records(connection, self._integration, -some)
                counting.add_changes(self._db, self._integration, PageCounts(deleted=some), now)
            gone += some
        return gone

    def _remember(self, external_ids: Iterable[str]) -> None:
        with _noting():
            self._seen.executemany("INSERT OR IGNORE INTO seen VALUES (?)", [(text(one),) for one in external_ids])

    def _not_seen(self, external_ids: list[str]) -> list[str]:
        query = "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT external_id FROM seen)"
        with _noting():
            return [row[0] for row in self._seen.execute(query, (json.dumps(external_ids),))]

    def _asked(self, external_ids: Sequence[str]) -> list[tuple[str, int]]:
        query = "SELECT external_id, version FROM asked WHERE external_id IN (SELECT value FROM json_each(?))"
        with _noting():
            return self._seen.execute(query, (json.dumps(external_ids),)).fetchall()


@contextmanager
def _noting() -> Iterator[None]:
    """Errors of the file without a name, in words; those that are bugs come through."""
    try:
        yield
    except sqlite3.Error as error:
        if trouble_of(error) is None:
            raise
        raise StorageError(
            f"The comparison cannot note what it saw: {error}.",
            hint="Make room in the folder for temporary files (SQLITE_TMPDIR, /var/tmp).",
        ) from error
