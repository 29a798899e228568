"""Reading records: lists by keyset, search, single ones. Nothing counts or skips by scanning."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple, Self

import msgspec
import peewee
from peewee import SQL, fn

from zendeskd.errors import BadRequest, NotFound
from zendeskd.models import RECORD_TYPES, parse_stamp, stamp
from zendeskd.store import search
from zendeskd.store import tables as t
from zendeskd.store.edge import MOST, struct_of, text
from zendeskd.store.links import Links

COUNT_MOST: Final = 100_000
"""`count_since` stops here."""

SOME_HITS: Final = 5_000
"""Up to so many hits of a search are sorted at once, which costs 3 µs each. With more the newest records are walked,
which costs 3 µs each too and finds a page the sooner the more hits there are."""

FEW_HITS: Final = 50_000
"""Up to so many are sorted all the same where the walk has not filled the page."""

MANY_HITS: Final = 100_000
"""Up to so many are known by heart on the walk. With more, its records are looked up in the index."""

WALK_MOST: Final = 20_000
"""So many records are looked at in one call at most; the next call goes on from there."""

_STEP: Final = 500
_LEAST: Final = 5
"""Of several organisations so many each are read at a time, at least."""

_TAGGED: Final = "EXISTS (SELECT 1 FROM json_each(t1.tags) WHERE json_each.value = ?)"


class RecordRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `flow_records`, columns as they are stored. `body`, `raw`, `source_version` are None in lists."""

    id: int
    organization_id: str
    source_system: str
    record_type: str
    external_id: str
    url: str | None
    title: str | None
    status: str | None
    priority: str | None
    requester: str | None
    assignee: str | None
    group_name: str | None
    customer: str | None
    tags: tuple[str, ...]
    created_at: str | None
    updated_at: str
    deleted_at: str | None
    first_synced_at: str
    synced_at: str
    body: str | None = None
    raw: str | None = None
    source_version: int | None = None


RecordRows = list[RecordRow]
_Places = list["_Place"]
"""Have names of their own because `Records.list` hides the builtin."""

_R = t.FlowRecord
_LISTED: Final = [
    field
    for field in _R._meta.sorted_fields
    if field.column_name not in ("body", "raw", "content_hash", "source_version")
]
_WHOLE: Final = [*_LISTED, _R.body, _R.raw_.alias("raw"), _R.source_version]
_LISTED_ROWS: Final = _R.select(*_LISTED)
_LISTED_BY_ID: Final = _LISTED_ROWS.from_(SQL("flow_records AS t1 NOT INDEXED"))
"""For a query that gives ids: SQLite's planner might walk an index by time and look for them there."""

_NEWEST_FIRST: Final = (_R.updated_at.desc(), _R.id.desc())


class Records(Links):
    """Any thread may call any method; each raises StorageError when the disk says no."""

    def list(
        self,
        *,
        org: str | Collection[str] | None = None,
        system: str | None = None,
        record_type: str | None = None,
        status: str | None = None,
        tag: str | None = None,
        deleted: bool | None = None,
        query: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> tuple[RecordRows, str | None]:
        """Records, the one that changed last first, and what to hand back as `after` for the next page; None at the
        end. `query` is what a person typed (see `search.expression`). A page may be short, even empty, with more to
        come: one call looks at a bounded number of records. `org` may be several. Raises BadRequest for an `after`
        that is not ours.
        """
        place = None if after is None else _Place.parse(after)
        orgs = [org] if isinstance(org, str) else list(dict.fromkeys(org or ()))
        scope = [_R.organization_id.in_([text(each) for each in orgs])] if orgs else []
        if system is not None:
            scope.append(_R.source_system == text(system))
        filters: Any
        scope, filters = scope[:1], scope[1:]  # an index by time begins with either, none with both
        for column, value in ((_R.record_type, record_type), (_R.status, status)):
            if value is not None:
                filters.append(column == text(value))
        if deleted is not None:
            filters.append(_R.deleted_at.is_null(not deleted))
        if tag is not None:
            filters.append(SQL(_TAGGED, (text(tag),)))
        if query is not None and query.strip():
            words = search.expression(query)
            if words is None:
                return [], None
            return self._search(words, orgs, scope, filters, place, limit)
        scopes = _by_organization(orgs, scope)
        if filters or len(scopes) > 1:
            return self._walk(scopes, filters, place, limit)
        return self._page(scopes[0], place, limit)

    def get(self, record_id: int) -> RecordRow:
        """With body and raw. Raises NotFound."""
        for row in self._db.rows(_R.select(*_WHOLE).where(_R.id == record_id)):
            return _record(row)
        raise NotFound(f"There is no record {record_id}.", hint="zendeskctl records ORG lists them with their ids.")

    def find(self, org: str, system: str, external_id: str) -> RecordRow:
        """By the source's own id, with body and raw. Raises NotFound."""
        query = _R.select(*_WHOLE).where(
            (_R.organization_id == text(org))
            & (_R.source_system == text(system))
            & (_R.record_type == RECORD_TYPES.get(system, ""))
            & (_R.external_id == text(external_id))
        )
        for row in self._db.rows(query):
            return _record(row)
        raise NotFound(
            f"There is no {RECORD_TYPES.get(system, 'record')} {external_id} of {org} in {system}.",
            hint="It may not have been synced yet, or lie before the organisation's lookback.",
        )

    def total(self) -> int:
        """Records here that are not deleted, all organisations together. From the counters."""
        sums = fn.COALESCE(fn.SUM(t.Integration.total_records), 0).alias("total")
        return int(self._db.rows(t.Integration.select(sums))[0]["total"])

    def count_since(self, integration_id: int, since: datetime | None) -> int:
        """Records of an integration that changed since then (None: all, from the counter); 100,000 means at least."""
        rows = self._db.rows(t.Integration.select().where(t.Integration.id == integration_id))
        if not rows:
            raise NotFound(f"There is no integration {integration_id}.")
        if since is None:
            return int(rows[0]["total_records"])
        some = (
            _R.select(SQL("1"))
            .where(
                (_R.organization_id == rows[0]["organization_id"])
                & (_R.updated_at >= stamp(since))
                & (_R.source_system == rows[0]["system_type"])
            )
            .limit(COUNT_MOST)
        )
        counted = peewee.Select([some], [fn.COUNT(SQL("*")).alias("found")])
        return int(self._db.rows(counted)[0]["found"])

    # --- pages of a list ------------------------------------------------------------------------------------------

    def _page(
        self, conditions: Any, place: _Place | None, limit: int, rows: Any = _LISTED_ROWS
    ) -> tuple[RecordRows, str | None]:
        query = _where(rows, conditions, place).order_by(*_NEWEST_FIRST).limit(limit + 1)
        return _cut([_record(row) for row in self._db.rows(query)], limit)

    def _search(
        self, words: str, orgs: Sequence[str], scope: Any, filters: Any, place: _Place | None, limit: int
    ) -> tuple[RecordRows, str | None]:
        hits = self._hits(words)
        scopes = _by_organization(orgs, scope)
        if isinstance(hits, float):
            return self._walk(scopes, filters, place, limit, keep=lambda ids: self._hits_among(words, ids, hits))
        if len(hits) > SOME_HITS:
            most, known = min(len(hits), WALK_MOST), frozenset(hits)
            keep = partial(filter, known.__contains__)
            rows, after = self._walk(scopes, filters, place, limit, keep=keep, most=most)
            if len(rows) == limit or after is None or len(hits) > FEW_HITS:
                return rows, after
        return self._page([_among(hits), *scope, *filters], place, limit, rows=_LISTED_BY_ID)

    def _hits(self, words: str) -> Sequence[int] | float:
        """All of them, or for more than MANY_HITS how frequent they are among the newest records. Those tell whether it
        is worth counting: 100,000 take 25 to 60 ms, and where they are frequent a page is soon found by look-ups."""
        with self._db.reading() as connection:
            hits = search.hits(connection, words, SOME_HITS + 1)
            if len(hits) <= SOME_HITS:
                return hits
            (newest,) = connection.execute("SELECT max(id) FROM flow_records").fetchone()
            newest = max(newest or 0, hits[0])  # which may have been removed meanwhile
            frequency = len(hits) / (newest - hits[-1] + 1)
            if frequency * newest > MANY_HITS:
                return frequency
            hits = search.hits(connection, words, MANY_HITS + 1)
        return hits if len(hits) <= MANY_HITS else frequency

    def _hits_among(self, words: str, ids: Iterable[int], frequency: float) -> Iterable[int]:
        with self._db.reading() as connection:
            return search.hits_among(connection, words, ids, frequency)

    def _walk(
        self,
        scopes: Any,
        filters: Any,
        place: _Place | None,
        limit: int,
        *,
        keep: Callable[[Iterable[int]], Iterable[int]] = iter,
        most: int | None = None,
    ) -> tuple[RecordRows, str | None]:
        """Look at the newest records, some at a time, and keep what `keep` and the filters let through."""
        found: RecordRows = []
        for _ in range(max(1, (most or WALK_MOST) // max(_STEP, 40 * len(scopes)))):
            looked_at, is_end = self._newest(scopes, place, _STEP)
            ids = list(keep(each.id for each in looked_at))
            if ids:
                query = _where(_LISTED_BY_ID, [_among(ids), *filters], None)
                found += [_record(row) for row in self._db.rows(query.order_by(*_NEWEST_FIRST).limit(limit + 1))]
            if len(found) > limit or is_end:
                return _cut(found, limit)
            place = looked_at[-1]
        return found, str(place)

    def _newest(self, scopes: Any, place: _Place | None, most: int) -> tuple[_Places, bool]:
        """The next records of these scopes together, at most so many, and whether there are no more.

        Each scope is read by its own index: SQLite would walk all organisations' records for a few quiet ones.
        """
        each = most if len(scopes) == 1 else max(_LEAST, 2 * most // len(scopes))
        found: _Places = []
        known: _Place | None = None  # beyond this one a scope may have others that were not read yet
        for scope in scopes:
            query = _where(_R.select(_R.id, _R.updated_at), scope, place).order_by(*_NEWEST_FIRST).limit(each)
            part = [_Place(row["updated_at"], row["id"]) for row in self._db.rows(query)]
            found += part
            if len(part) == each:
                known = part[-1] if known is None else max(known, part[-1])
        found = sorted((one for one in found if known is None or one >= known), reverse=True)
        return found[:most], known is None and len(found) <= most


class _Place(NamedTuple):
    """The last record of a page."""

    updated_at: str
    id: int

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(f"{self.id} {self.updated_at}".encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, after: str) -> Self:
        try:
            plain = base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True).decode()
            record_id, _, updated_at = plain.partition(" ")
            parse_stamp(updated_at)
            return cls(updated_at, min(int(record_id), MOST))
        except ValueError:  # binascii.Error and UnicodeDecodeError are ones
            raise BadRequest(
                "`after` is not the end of a page.", hint="Hand back what `next` of the last page said.", field="after"
            ) from None


def _where(query: Any, conditions: Any, place: _Place | None) -> Any:
    if place is not None:
        query = query.where(peewee.Tuple(_R.updated_at, _R.id) < peewee.Tuple(place.updated_at, place.id))
    return query.where(*conditions) if conditions else query


def _by_organization(orgs: Sequence[str], scope: Any) -> Any:
    """Conditions, each of which an index by time begins with."""
    return [[_R.organization_id == text(each)] for each in orgs] or [scope]


def _among(ids: Sequence[int]) -> Any:
    return _R.id.in_(SQL("(SELECT value FROM json_each(?))", (json.dumps(ids),)))


def _cut(found: RecordRows, limit: int) -> tuple[RecordRows, str | None]:
    page = found[:limit]
    return page, str(_Place(page[-1].updated_at, page[-1].id)) if len(found) > limit else None


def _record(row: dict[str, Any]) -> RecordRow:
    try:
        tags = msgspec.json.decode(row["tags"])
    except msgspec.DecodeError:
        tags = None  # written by hand: struct_of says in which row
    return struct_of({**row, "tags": tags}, RecordRow)
