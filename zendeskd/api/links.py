"""Links between records, those of the source and those made by hand."""

from __future__ import annotations

import re
from typing import Final

from zendeskd import wire
from zendeskd.api import shapes
from zendeskd.api.asked import Answer, Asked, Endpoint
from zendeskd.api.query import row_id
from zendeskd.api.records import named_record
from zendeskd.errors import BadRequest, NotFound
from zendeskd.store.links import LinkRow
from zendeskd.store.records import RecordRow

_RELATION: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def links(asked: Asked) -> wire.LinkList:
    return _list(asked, named_record(asked))


def link(asked: Asked) -> Answer:
    told = asked.decoded(wire.LinkRequest)
    if _RELATION.fullmatch(told.relation) is None:
        hint = 'a word such as "related_to", "duplicate_of" or "caused_by"'
        raise BadRequest(f"relation {told.relation[:80]!r} is not possible", hint=hint, field="relation")
    record = named_record(asked)
    asked.note = f"{told.relation} {told.other}"
    records = asked.context.store.records
    _tell(asked, record, records.add_link(record.id, _other(told.other), told.relation, asked.by, asked.context.now()))
    return Answer(_list(asked, record), 201)


def _other(text: str) -> int | tuple[str, str]:
    if (number := row_id(text)) is not None:
        return number
    system, _, external_id = text.partition("/")
    if not external_id or len(text) > 200:
        hint = "the id of a record here, or SYSTEM/EXTERNAL_ID: zendesk/35436"
        raise BadRequest(f"other: {text[:80]!r} names no record", hint=hint, field="other")
    return system, external_id


def unlink(asked: Asked) -> wire.LinkList:
    record = named_record(asked)
    number = row_id(asked.path["link_id"])
    if number is None:
        raise NotFound(
            f"there is no link {asked.path['link_id'][:80]!r}", hint=f"zendeskctl link {record.id} lists them"
        )
    _tell(asked, record, asked.context.store.records.remove_link(record.id, number))
    return _list(asked, record)


def _tell(asked: Asked, record: RecordRow, link: LinkRow) -> None:
    """Whoever looks at one of its ends reads it again."""
    ends = [each for each in (record.id, link.record_id) if each is not None]
    asked.context.broker.publish("links", organization_id=record.organization_id, record_ids=ends)


def _list(asked: Asked, record: RecordRow) -> wire.LinkList:
    rows = asked.context.store.records.links(record.id)
    return wire.LinkList(items=[shapes.link_item(row) for row in rows])


ENDPOINTS: Final = (
    Endpoint(("links",), "GET", "/api/records/{id}/links", links, replies={200: wire.LinkList}),
    Endpoint(
        ("link",),
        "POST",
        "/api/records/{id}/links",
        link,
        changes=True,
        takes=wire.LinkRequest,
        replies={201: wire.LinkList},
    ),
    Endpoint(
        ("unlink",),
        "DELETE",
        "/api/records/{id}/links/{link_id}",
        unlink,
        changes=True,
        replies={200: wire.LinkList},
    ),
)
