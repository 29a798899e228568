"""Records of the copy, and the links between them."""

from __future__ import annotations

from zendeskd.wire.base import SCHEMA, Document, Reply, Request


class RecordItem(Reply, kw_only=True):
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
    tags: list[str]
    created_at: str | None
    updated_at: str | None
    deleted_at: str | None
    synced_at: str
    link_count: int = 0  # of both directions


class RecordList(Document, kw_only=True):
    """Newest change first. `next` is handed back as `after`; null at the end."""

    items: list[RecordItem]
    next: str | None


class LinkItem(Reply, kw_only=True):
    """A link seen from one record. `direction` is out or in; `record_id` null while the other end is not here."""

    id: int
    direction: str
    relation: str
    system: str
    record_type: str
    external_id: str
    origin: str
    created_by: str | None
    created_at: str
    record_id: int | None
    title: str | None
    status: str | None


class LinkList(Document, kw_only=True):
    items: list[LinkItem]


class LinkRequest(Request, kw_only=True):
    """Body of `POST /api/records/{id}/links`. `other`: a local id, or SYSTEM/EXTERNAL_ID (which need not be here)."""

    other: str
    relation: str = "related_to"


class RecordDocument(RecordItem, kw_only=True):
    schema: int = SCHEMA
    body: str | None
    raw: str
    source_version: int
    first_synced_at: str
    links: list[LinkItem]
