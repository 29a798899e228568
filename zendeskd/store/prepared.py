"""What a page needs before it is written, and no database for: text as one can hold it, the newest of each key, values.

A run does this in the thread that fetches, while the page before it is written: a database has one writer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from zendeskd.models import Page, Record
from zendeskd.store.edge import MOST, NO_DAY, is_utf8, json_text, text, text_or_none

COLUMNS: Final = (
    "external_id",
    "url",
    "title",
    "body",
    "status",
    "priority",
    "requester",
    "assignee",
    "group_name",
    "customer",
    "tags",
    "created_at",
    "updated_at",
    "source_version",
    "deleted_at",
    "content_hash",
    "raw",
)
"""Those of a record's columns that it brings itself, in the order of `_values`."""


class Row(NamedTuple):
    record: Record
    values: tuple[Any, ...]
    """Of COLUMNS."""


class Prepared(msgspec.Struct, frozen=True):
    """A page that can be written. Only `prepare` makes one."""

    page: Page
    rows: dict[str, dict[str, Row]]
    """Of each record type by external id. A key is here once, however often the page carries it: the newest delivery
    wins, the last of equals."""


def prepare(page: Page) -> Prepared:
    """Any thread."""
    newest: dict[str, dict[str, Record]] = {}
    for record in _clean(page.records):
        of_type = newest.setdefault(record.record_type, {})
        other = of_type.get(record.external_id)
        if other is None or record.source_version >= other.source_version:
            of_type[record.external_id] = record
    return Prepared(
        page,
        {kind: {key: Row(record, _values(record)) for key, record in some.items()} for kind, some in newest.items()},
    )


def _values(record: Record) -> tuple[Any, ...]:
    return (
        record.external_id,
        record.url,
        record.title,
        record.body,
        record.status,
        record.priority,
        record.requester,
        record.assignee,
        record.group_name,
        record.customer,
        json_text(record.tags),
        record.created_at,
        record.updated_at or record.created_at or NO_DAY,
        record.source_version,
        record.deleted_at,
        record.content_hash,
        record.raw,
    )


_TEXTS: Final = tuple(field.name for field in msgspec.structs.fields(Record) if field.type in (str, str | None))


def _clean(records: Sequence[Record]) -> list[Record]:
    """The same records where a database can hold them, copies that it can hold of the others."""
    return [record if _is_clean(record) else _cleaned(record) for record in records]


def _is_clean(record: Record) -> bool:
    """One look at all of its text. Not of the whole page's: one emoji in it makes every character four bytes wide."""
    if 0 in record.raw:
        return False
    texts = [value for value in msgspec.structs.astuple(record) if type(value) is str]
    if record.links:
        texts += [text for link in record.links for text in msgspec.structs.astuple(link)]
    whole = "".join([*texts, *record.tags])
    return "\0" not in whole and (whole.isascii() or is_utf8(whole)) and -MOST <= record.source_version <= MOST


def _cleaned(record: Record) -> Record:
    return msgspec.structs.replace(
        record,
        **{name: text_or_none(getattr(record, name)) for name in _TEXTS},
        raw=record.raw.replace(b"\0", b"\\u0000"),
        source_version=max(-MOST, min(MOST, record.source_version)),
        tags=tuple(text(tag) for tag in record.tags),
        links=tuple(
            msgspec.structs.replace(link, **{name: text(getattr(link, name)) for name in link.__struct_fields__})
            for link in record.links
        ),
    )
