"""Runs that were, and the one that is."""

from __future__ import annotations

from typing import Final

from zendeskd import wire
from zendeskd.api import shapes
from zendeskd.api.asked import Asked, Endpoint, known_system
from zendeskd.api.query import row_id
from zendeskd.errors import BadRequest, NotFound
from zendeskd.models import RunStatus

SKIPPED_MAX: Final = 100


def runs(asked: Asked) -> wire.RunList:
    """Newest first. One more than asked for is read, to know whether there is more."""
    query = asked.query
    limit = query.limit()
    org, system, after = query.text("organizationId"), query.text("system"), query.text("after")
    before = None if after is None else row_id(after)
    if after is not None and before is None:
        raise BadRequest(f"after: {after[:80]!r} is not from here", hint="hand back `next` as it came", field="after")
    if org is not None:
        asked.context.store.fleet.organization(org)
    if system is not None:
        known_system(system)
    failed = query.flag("failed") or False
    rows = asked.context.store.runs.list(org=org, system=system, failed=failed, limit=limit + 1, before=before)
    more = str(rows[limit - 1].id) if len(rows) > limit else None
    return wire.RunList(items=[shapes.run_summary(asked.context.jobs.as_it_is(row)) for row in rows[:limit]], next=more)


def run(asked: Asked) -> wire.RunDocument:
    number = row_id(asked.path["id"])
    if number is None:
        raise NotFound(f"there is no run {asked.path['id'][:80]!r}", hint="zendeskctl runs lists them")
    live = asked.context.jobs.live_run(number)  # asked first: a run that ends meanwhile is then read as ended
    row = asked.context.jobs.as_it_is(asked.context.store.runs.get(number))
    skipped = asked.context.store.runs.skipped(row, SKIPPED_MAX) if row.records_failed else []
    if live is None or row.status is not RunStatus.RUNNING:
        return shapes.run_document(row, None, skipped)
    return shapes.run_document(row, shapes.live_run(live, ()), skipped)


ENDPOINTS: Final = (
    Endpoint(
        ("runs",),
        "GET",
        "/api/sync-logs",
        runs,
        ("organizationId", "system", "failed", "after"),
        page=(20, 1000),
        replies={200: wire.RunList},
    ),
    Endpoint(("run",), "GET", "/api/sync-logs/{id}", run, replies={200: wire.RunDocument}),
)
