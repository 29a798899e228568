"""Writing the records of one page: what is new, what is newer, what is the same; rows, links and search index.

The hot path: a page of a thousand records is a few statements. peewee writes the upsert once; values are already in the
columns' form (`prepared`). Everything here runs inside the caller's `writing`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from peewee import EXCLUDED, SQL

from zendeskd.models import Deletion, PageCounts, Record
from zendeskd.store import search
from zendeskd.store import tables as t
from zendeskd.store.edge import json_text, sql_of, text
from zendeskd.store.prepared import COLUMNS, Prepared, Row

_SCOPE: Final = ("organization_id", "source_system", "record_type")
_SHARED: Final = (*_SCOPE, "first_synced_at", "synced_at")
"""Those of a record's columns that are the same for all of a page."""
_KEY: Final = (*_SCOPE, "external_id")
_FIXED: Final = {"id", "first_synced_at", *_KEY}

_KNOWN: Final = (
    "SELECT id, external_id, source_version, content_hash, deleted_at IS NOT NULL FROM flow_records "
    "WHERE organization_id = ? AND source_system = ? AND record_type = ? "
    "AND external_id IN (SELECT value FROM json_each(?))"
)
_MARK_DELETED: Final = "UPDATE flow_records SET deleted_at = ?, synced_at = ? WHERE id = ?"
_MARK_GONE: Final = (
    "UPDATE flow_records SET deleted_at = ?, synced_at = ? WHERE organization_id = ? AND source_system = ? "
    "AND record_type = ? AND external_id = ? AND source_version = ? AND deleted_at IS NULL"
)
_NEXT_ID: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'flow_records'"
_LINKED: Final = (
    "SELECT DISTINCT external_id FROM record_links WHERE organization_id = ? AND source_system = ? "
    "AND record_type = ? AND origin = 'source' AND external_id IN (SELECT value FROM json_each(?))"
)
_UNLINK: Final = (
    "DELETE FROM record_links WHERE organization_id = ? AND source_system = ? AND record_type = ? "
    "AND origin = 'source' AND external_id IN (SELECT value FROM json_each(?))"
)
_LINK: Final = (
    "INSERT INTO record_links (organization_id, source_system, record_type, external_id, relation, target_system, "
    "target_type, target_external_id, origin, created_at) "
    "SELECT ?, ?, ?, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'), "
    "json_extract(value, '$[3]'), json_extract(value, '$[4]'), 'source', ? FROM json_each(?) WHERE true "
    "ON CONFLICT DO NOTHING"
)


def _upsert(rows: int) -> str:
    """A statement for so many at once: of each `_SHARED`, its id and `COLUMNS`. What the source sent comes as its own
    bytes: to make a string of them and bytes again would cost a tenth of a sync."""
    table = t.FlowRecord
    fields = [table._meta.columns[name] for name in (*_SHARED, "id", *COLUMNS)]
    changing = {
        getattr(table, field.name): getattr(EXCLUDED, field.column_name)
        for field in fields
        if field.column_name not in _FIXED
    }
    one = [SQL("CAST(? AS TEXT)" if field.column_name == "raw" else "?") for field in fields]
    query = table.insert_many([one] * rows, fields=fields).on_conflict(
        conflict_target=[getattr(table, name) for name in _KEY],
        update=changing,
        where=EXCLUDED.source_version >= table.source_version,
    )
    return sql_of(query)


_AT_ONCE: Final = 250
"""Rows of one statement. Between two of them other threads take the interpreter's lock: with one a row, the thread that
fetches the next page takes it a thousand times a page, and this one waits for it as often."""

_UPSERT: Final = _upsert(1)
_UPSERT_MANY: Final = _upsert(_AT_ONCE)


class Known(NamedTuple):
    """A record as it is here before the page."""

    id: int
    version: int
    content_hash: bytes
    is_deleted: bool


class Written(NamedTuple):
    counts: PageCounts
    more: int
    """By how much the number of records that are not deleted grew."""


class RecordWriter:
    """Writes records of one organisation's system. `revive`: the records are what the source shows at this moment
    (a comparison), so one that is marked deleted here by id alone is live again."""

    def __init__(self, organization_id: str, system: str, record_type: str, *, revive: bool = False) -> None:
        self._org, self._system, self._type, self._revive = organization_id, system, record_type, revive

    def write(self, connection: sqlite3.Connection, prepared: Prepared, now: str) -> Written:
        """Each key is counted once, however often the page carries it."""
        page = prepared.page
        deletions: dict[str, list[Deletion]] = {}
        for deletion in page.deletions:
            deletions.setdefault(text(deletion.record_type), []).append(deletion)
        outcomes: list[str] = []
        more = 0
        for record_type in dict.fromkeys((*prepared.rows, *deletions)):
            batch = _Batch(connection, (self._org, self._system, record_type), now, revive=self._revive)
            batch.put(prepared.rows.get(record_type, {}))
            batch.delete(deletions.get(record_type, ()))
            outcomes.extend(batch.outcomes.values())
            more += batch.more
        counts = PageCounts(read=len(outcomes) + len(page.quarantined), failed=len(page.quarantined))
        for outcome in outcomes:
            setattr(counts, outcome, getattr(counts, outcome) + 1)
        return Written(counts, more)

    def mark_deleted(self, connection: sqlite3.Connection, versions: Sequence[tuple[str, int]], now: str) -> int:
        """Those (external id, version) that are here in that version and not deleted become so. -> how many."""
        marks = [(now, now, self._org, self._system, self._type, *one) for one in versions]
        return connection.executemany(_MARK_GONE, marks).rowcount if marks else 0


class _Batch:
    """The records of one type on one page."""

    def __init__(
        self, connection: sqlite3.Connection, scope: tuple[str, str, str], now: str, *, revive: bool = False
    ) -> None:
        self._connection, self._scope, self._now, self._revive = connection, scope, now, revive
        self.outcomes: dict[str, str] = {}
        self.more = 0

    def put(self, rows: Mapping[str, Row]) -> None:
        known = self._known(rows)
        new: list[Row] = []
        moved: list[tuple[Known, Row]] = []
        for key, row in rows.items():
            here, record = known.get(key), row.record
            if here is None:
                new.append(row)
                self.outcomes[key] = "created" if record.deleted_at is None else "deleted"
                self.more += record.deleted_at is None
                continue
            self.outcomes[key] = outcome = self._judge(here, record)
            if outcome != "older":
                moved.append((here, row))
                self.more += here.is_deleted - (record.deleted_at is not None)
        for key, outcome in self.outcomes.items():
            if outcome in ("older", "same"):
                self.outcomes[key] = "unchanged"
        self._store(new, moved)

    def delete(self, deletions: Sequence[Deletion]) -> None:
        """A deletion of something that is not here, or is deleted here already, changes nothing."""
        gone = {text(deletion.external_id): deletion for deletion in deletions}
        known = self._known(gone)
        marks = []
        for key, deletion in gone.items():
            here = known.get(key)
            if here is None or here.is_deleted:
                self.outcomes.setdefault(key, "unchanged")
                continue
            marks.append((text(deletion.deleted_at), self._now, here.id))
            self.outcomes[key] = "deleted"
            self.more -= 1
        self._connection.executemany(_MARK_DELETED, marks)

    def _judge(self, here: Known, record: Record) -> str:
        same = record.content_hash == here.content_hash
        revives = self._revive and here.is_deleted and record.deleted_at is None
        if record.source_version < here.version or (same and record.source_version == here.version and not revives):
            return "older"
        if record.deleted_at is not None and not here.is_deleted:
            return "deleted"
        return "updated" if not same or here.is_deleted != (record.deleted_at is not None) else "same"

    def _known(self, keys: Iterable[str]) -> dict[str, Known]:
        wanted = json.dumps(list(keys))
        if wanted == "[]":
            return {}
        rows = self._connection.execute(_KNOWN, (*self._scope, wanted))
        return {row[1]: Known(row[0], row[2], row[3], bool(row[4])) for row in rows}

    def _store(self, new: list[Row], moved: list[tuple[Known, Row]]) -> None:
        if not new and not moved:
            return
        first = self._next_id()
        rows = [(first + at, row) for at, row in enumerate(new)]
        rows += [(here.id, row) for here, row in moved]
        search.replace(self._connection, self._entries_to_replace(moved))
        for start in range(0, len(rows), _AT_ONCE):
            self._upsert(rows[start : start + _AT_ONCE])
        if new:
            search.learn_range(self._connection, first, first + len(new) - 1)
        self._link([row.record for row in new], [row.record for _, row in moved])

    def _upsert(self, rows: list[tuple[int, Row]]) -> None:
        shared = (*self._scope, self._now, self._now)
        if len(rows) < _AT_ONCE:
            self._connection.executemany(_UPSERT, ((*shared, row_id, *row.values) for row_id, row in rows))
            return
        values: list[Any] = []
        for row_id, row in rows:
            values += (*shared, row_id, *row.values)
        self._connection.execute(_UPSERT_MANY, values)

    def _next_id(self) -> int:
        """Ids are given out here, so that the new rows of a page are one range for the search index."""
        row = self._connection.execute(_NEXT_ID).fetchone()
        return 1 if row is None else int(row[0]) + 1

    def _entries_to_replace(self, moved: list[tuple[Known, Row]]) -> list[tuple[search.Entry, search.Entry]]:
        """What the search index holds of those whose indexed text changes, whatever their hash says, and what it is to
        hold: an entry that is taken out with other text than it was put in with would damage the index."""
        if not moved:
            return []
        records = {here.id: row.record for here, row in moved}
        pairs = [
            (old, (old[0], *_indexed(records[old[0]])))
            for old in sorted(search.entries(self._connection, list(records)), key=itemgetter(0))
        ]
        return [(old, new) for old, new in pairs if old != new]

    def _link(self, new: list[Record], moved: list[Record]) -> None:
        """The links a source reports are those of a record's newest version; the ones made by hand stay."""
        had: set[str] = set()
        if moved:
            wanted = json.dumps([record.external_id for record in moved])
            had = {row[0] for row in self._connection.execute(_LINKED, (*self._scope, wanted))}
        link = [
            (record.external_id, link.relation, link.target_system, link.target_type, link.target_external_id)
            for record in (*new, *moved)
            for link in record.links
        ]
        if had:
            self._connection.execute(_UNLINK, (*self._scope, json.dumps(list(had))))
        if link:
            self._connection.execute(_LINK, (*self._scope, self._now, json_text(link)))


def _indexed(record: Record) -> tuple[Any, ...]:
    return (record.title, record.body, record.requester, record.assignee, json_text(record.tags))
