"""The copied records: lists, search, and single ones."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from starlette.convertors import Convertor, register_url_convertor

from zendeskd import wire
from zendeskd.api import shapes
from zendeskd.api.asked import Asked, Endpoint, known_system
from zendeskd.api.query import row_id
from zendeskd.errors import BadRequest, NotFound
from zendeskd.models import RECORD_TYPES
from zendeskd.store.records import RecordRow

_PAGE: Final = (50, 500)
ORGS_MAX: Final = 500
_QUERY: Final = ("organizationId", "status", "tag", "deleted", "q", "after")
_SEVERAL: Final = ("organizationId",)
_WORDS: Final = ("health", "status", "records", "sync-logs", "events", "organizations", "schedules", "reconcile")


class RecordName(Convertor[str]):
    """A local id, or ORG/SYSTEM/EXTERNAL_ID."""

    regex = rf"[^/]+(?:/(?:{'|'.join(RECORD_TYPES)})/[^/]+)?"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("record", RecordName())


def tickets(asked: Asked) -> wire.RecordList:
    """The records of the system in the path."""
    name = asked.path["system"]
    if near := get_close_matches(name, _WORDS, n=1):
        raise NotFound(f"there is no /api/{name}", hint=f"did you mean /api/{near[0]}?")
    return _list(asked, asked.system(), None)


def records(asked: Asked) -> wire.RecordList:
    """The records of every system."""
    system = asked.query.text("system")
    return _list(asked, None if system is None else known_system(system), asked.query.text("recordType"))


def _list(asked: Asked, system: str | None, record_type: str | None) -> wire.RecordList:
    query = asked.query
    orgs = query.texts("organizationId")
    if len(orgs) > ORGS_MAX:
        detail = f"organizationId is given {len(orgs)} times"
        raise BadRequest(detail, hint=f"at most {ORGS_MAX} times, or not at all for every one", field="organizationId")
    fleet, store = asked.context.store.fleet, asked.context.store.records
    known = {one.id for one in fleet.organizations()} if len(orgs) > 1 else ()
    for org in orgs:
        if org not in known:
            fleet.organization(org)  # an unknown one is an error, not an empty list
    rows, more = store.list(
        org=orgs,
        system=system,
        record_type=record_type,
        status=query.text("status"),
        tag=query.text("tag"),
        deleted=query.flag("deleted"),
        query=query.text("q"),
        limit=query.limit(),
        after=query.text("after"),
    )
    links = store.link_counts(row.id for row in rows)
    return wire.RecordList(items=[shapes.record_item(row, links.get(row.id, 0)) for row in rows], next=more)


def record(asked: Asked) -> wire.RecordDocument:
    row = named_record(asked)
    return shapes.record_document(row, asked.context.store.records.links(row.id))


def named_record(asked: Asked) -> RecordRow:
    """The record that the path names. Raises NotFound."""
    name = asked.path["id"]
    if (number := row_id(name)) is not None:
        return asked.context.store.records.get(number)
    org, _, rest = name.partition("/")
    system, _, external_id = rest.partition("/")
    if not external_id:
        hint = "a record is named by its id here, or by ORG/SYSTEM/EXTERNAL_ID"
        raise NotFound(f"there is no record {name[:80]!r}", hint=hint)
    asked.context.store.fleet.organization(org)
    return asked.context.store.records.find(org, system, external_id)


ENDPOINTS: Final = (
    Endpoint(
        ("records",),
        "GET",
        "/api/records",
        records,
        (*_QUERY, "system", "recordType"),
        several=_SEVERAL,
        page=_PAGE,
        replies={200: wire.RecordList},
    ),
    Endpoint(("record",), "GET", "/api/records/{id}", record, replies={200: wire.RecordDocument}),
)
SYSTEM_ENDPOINTS: Final = (
    Endpoint(
        ("tickets",),
        "GET",
        "/api/{system}",
        tickets,
        _QUERY,
        several=_SEVERAL,
        page=_PAGE,
        replies={200: wire.RecordList},
    ),
)
