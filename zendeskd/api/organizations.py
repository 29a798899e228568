"""The fleet: organisations are added, changed, imported, exported and removed here. Every change is all or nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from zendeskd import drafts, fleet, wire
from zendeskd.api import shapes
from zendeskd.api.asked import IMPORT_BODY_MAX, Answer, Asked, Endpoint
from zendeskd.api.context import ControlContext
from zendeskd.errors import Conflict, StorageError
from zendeskd.models import AnyCredential, IntegrationView, State, StoredCredential
from zendeskd.secrets import parse_credential
from zendeskd.store.fleet import NewOrganization, SealedCredential

log = structlog.get_logger("zendeskd.api.organizations")


def organizations(asked: Asked) -> wire.OrganizationList:
    views: defaultdict[str, list[IntegrationView]] = defaultdict(list)
    for view in asked.context.jobs.views():
        views[view.integration.organization_id].append(view)
    rows = asked.context.store.fleet.organizations()
    return wire.OrganizationList(items=[shapes.organization(row, views[row.id]) for row in rows])


def organization(asked: Asked) -> wire.OrganizationDocument:
    return document(asked.context, asked.path["org"])


def document(context: ControlContext, org: str) -> wire.OrganizationDocument:
    row = context.store.fleet.organization(org)
    views = [view for view in context.jobs.views() if view.integration.organization_id == org]
    return shapes.organization_document(row, views)


def add(asked: Asked) -> Answer:
    draft = drafts.read_organization(asked.body, parse_credential)
    asked.target = draft.id
    new = fleet.complete(draft, asked.context.defaults, _seal(asked.context))
    asked.context.store.fleet.apply([new], [], asked.context.now())
    _adopt(asked.context, [new])
    return Answer(document(asked.context, new.id), 201)


def change(asked: Asked) -> wire.OrganizationDocument:
    """Only what is given changes; an integration that is not there yet is added."""
    context, org = asked.context, asked.path["org"]
    context.store.fleet.organization(org)
    draft = drafts.read_patch(org, asked.body)

    def merged(here: Sequence[NewOrganization]) -> fleet.Plan:
        return fleet.patch(draft, here, context.defaults, _seal(context))

    done = context.store.fleet.amend(merged, context.now())
    _adopt(context, done.update)
    return document(context, org)


def remove(asked: Asked) -> wire.OrganizationDocument:
    """Ends its runs, then removes all rows of it. Gives what it was."""
    context, org = asked.context, asked.path["org"]
    was = document(context, org)
    parts = [one for one in context.store.fleet.integrations() if one.organization_id == org]
    let_go: list[int] = []
    try:
        for part in parts:
            context.jobs.forget(part.id)
            let_go.append(part.id)
        context.store.fleet.remove_organization(org)
    except (Conflict, StorageError):
        for number in let_go:
            context.jobs.adopt(number)
        raise
    return was


def import_fleet(asked: Asked) -> wire.ImportResult:
    context = asked.context
    draft = drafts.read_import(asked.body, parse_credential)
    asked.target = "fleet"

    def laid_over(here: Sequence[NewOrganization]) -> fleet.Plan:
        return fleet.plan(draft, here, context.defaults, _seal(context))

    store = context.store.fleet
    plan = laid_over(store.export()) if draft.dry_run else store.amend(laid_over, context.now())
    result = wire.ImportResult(
        dry_run=draft.dry_run,
        added=[one.id for one in plan.add],
        updated=[one.id for one in plan.update],
        unchanged=list(plan.unchanged),
    )
    asked.note = f"{len(plan.add)} added, {len(plan.update)} updated{' (dry run)' if draft.dry_run else ''}"
    asked.changed_nothing = draft.dry_run or not (plan.add or plan.update)
    if not draft.dry_run:
        _adopt(context, [*plan.add, *plan.update])
    return result


def export(asked: Asked) -> wire.FleetExport:
    return wire.FleetExport(organizations=fleet.export(asked.context.store.fleet.export()))


def _seal(context: ControlContext) -> fleet.Seal:
    def seal(org: str, system: str, credential: AnyCredential) -> SealedCredential:
        return context.vault.seal(org, system, StoredCredential(credential=credential))

    return seal


FEW: Final = 10
"""Organisations of one import whose first runs the caller waits to see queued; with more, the clock does that."""


def _adopt(context: ControlContext, changed: Iterable[NewOrganization]) -> None:
    """Tell the jobs of the integrations of these organisations. What is stored stays, and is found at the next start at
    the latest; the first error is raised when all have been told.

    A blocked one is left alone when only its organisation has another name: being told would unblock it.
    """
    parts = {org.id: {part.system_type for part in org.integrations} for org in changed}
    first: StorageError | None = None
    for one in context.store.fleet.integrations():
        if one.organization_id not in parts:
            continue
        if one.state is State.BLOCKED and one.system_type not in parts[one.organization_id]:
            continue
        try:
            context.jobs.adopt(one.id, at_once=len(parts) <= FEW)
        except StorageError as error:
            log.error("stored but not scheduled", org=one.organization_id, system=one.system_type, error=error.detail)
            first = first or error
    if first is not None:
        raise first


ENDPOINTS: Final = (
    Endpoint(("organizations",), "GET", "/api/organizations", organizations, replies={200: wire.OrganizationList}),
    Endpoint(
        ("add_organization",),
        "POST",
        "/api/organizations",
        add,
        changes=True,
        takes=wire.OrganizationSpec,
        replies={201: wire.OrganizationDocument},
    ),
    Endpoint(
        ("import_organizations",),
        "POST",
        "/api/organizations/import",
        import_fleet,
        changes=True,
        body_max=IMPORT_BODY_MAX,
        takes=wire.ImportRequest,
        replies={200: wire.ImportResult},
    ),
    Endpoint(("export_organizations",), "GET", "/api/organizations/export", export, replies={200: wire.FleetExport}),
    Endpoint(
        ("organization",), "GET", "/api/organizations/{org}", organization, replies={200: wire.OrganizationDocument}
    ),
    Endpoint(
        ("set_organization",),
        "PATCH",
        "/api/organizations/{org}",
        change,
        changes=True,
        takes=wire.OrganizationPatch,
        replies={200: wire.OrganizationDocument},
    ),
    Endpoint(
        ("remove_organization",),
        "DELETE",
        "/api/organizations/{org}",
        remove,
        changes=True,
        where="slow",
        replies={200: wire.OrganizationDocument},
    ),
)
