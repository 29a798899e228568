"""Comparing with the source, backups, and reading the settings again."""

from __future__ import annotations

from typing import Final

from zendeskd import wire
from zendeskd.api import shapes
from zendeskd.api.asked import Answer, Asked, Endpoint
from zendeskd.errors import BadRequest, Conflict, NotFound
from zendeskd.models import stamp


def reconcile(asked: Asked) -> Answer:
    """Queue a comparison of each organisation that is named, or of all that can be compared. Every name is looked at
    before anything is queued."""
    jobs = asked.context.jobs
    named = list(dict.fromkeys(asked.decoded(wire.ReconcileRequest).organization_ids)) if asked.body.strip() else []
    asked.target, asked.note = "fleet", " ".join(named)
    views = jobs.views()
    known = {view.integration.organization_id for view in views}
    for org in named:
        if org not in known:
            asked.context.store.fleet.organization(org)
            raise NotFound(f"organisation {org!r} has no system to compare with", hint=f"zendeskctl org show {org}")
    items: list[wire.ReconcileItem] = []
    refused: list[Conflict] = []
    for one in (view.integration for view in views if not named or view.integration.organization_id in named):
        try:
            number, joined = jobs.reconcile(one.organization_id, one.system_type, asked.by)
        except Conflict as error:
            refused.append(error)
            continue
        items.append(
            wire.ReconcileItem(
                organization_id=one.organization_id,
                system_type=one.system_type,
                reconciliation_id=number,
                joined=joined,
            )
        )
    if refused and not items:
        raise refused[0]
    asked.changed_nothing = all(item.joined for item in items)
    return Answer(wire.ReconcileAccepted(items=sorted(items, key=lambda item: item.organization_id)), 202)


def reconciliations(asked: Asked) -> wire.ReconcileList:
    """The newest comparison of each integration, as the jobs know it: a running one has its progress in the status."""
    items = [
        shapes.reconciled(view.reconciled, view.integration.system_type)
        for view in asked.context.jobs.views()
        if view.reconciled is not None
    ]
    return wire.ReconcileList(items=sorted(items, key=lambda item: (item.organization_id, item.system_type)))


def backup(asked: Asked) -> Answer:
    """Does not wait for it: a large database takes minutes."""
    asked.target = "database"
    _refuse_body(asked, "the folder is backups in the state folder")
    one, joined = asked.context.backups.begin(asked.by)
    asked.note = one.path.name + (", joined" if joined else "")
    asked.changed_nothing = joined
    return Answer(wire.BackupAccepted(path=str(one.path), started_at=stamp(one.started_at), joined=joined), 202)


def _refuse_body(asked: Asked, hint: str) -> None:
    if asked.body.strip() not in {b"", b"{}"}:
        raise BadRequest(f"{asked.operation} takes no body", hint=hint)


def reload(asked: Asked) -> wire.ReloadResult:
    asked.target = "settings"
    _refuse_body(asked, "the settings are in the file; status names it")
    result = asked.context.reload()
    asked.note = ", ".join(change.key for change in result.changes)
    asked.changed_nothing = not result.changes
    return result


ENDPOINTS: Final = (
    Endpoint(
        ("reconcile",),
        "POST",
        "/api/reconcile",
        reconcile,
        changes=True,
        takes=wire.ReconcileRequest,
        may_be_empty=True,
        replies={202: wire.ReconcileAccepted},
    ),
    Endpoint(("reconciliations",), "GET", "/api/reconcile", reconciliations, replies={200: wire.ReconcileList}),
    Endpoint(("backup",), "POST", "/api/backup", backup, changes=True, replies={202: wire.BackupAccepted}),
    Endpoint(("reload",), "POST", "/api/reload", reload, changes=True, replies={200: wire.ReloadResult}),
)
