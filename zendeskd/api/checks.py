"""Credentials: new ones are stored sealed, and they are checked without syncing. Nothing of them is ever told."""

from __future__ import annotations

from typing import Final

from zendeskd import wire
from zendeskd.api.asked import Asked, Endpoint, known_system
from zendeskd.errors import NotFound, RunError
from zendeskd.models import AnyCredential, StoredCredential, stamp_or_none
from zendeskd.secrets import parse_credential


def set_credentials(asked: Asked) -> wire.CredentialsSet:
    context, org, system = asked.context, asked.path["org"], known_system(asked.path["system"])
    context.store.fleet.integration(org, system)
    credential = parse_credential(asked.body)
    sealed = context.vault.seal(org, system, StoredCredential(credential=credential))
    asked.note = sealed.kind
    stored = context.store.fleet.put_credential(org, system, sealed, context.now())
    context.jobs.adopt(stored.id)
    return wire.CredentialsSet(
        organization_id=org,
        system_type=system,
        kind=sealed.kind,
        expires_at=stamp_or_none(sealed.expires_at),
        state=context.jobs.view(org, system).state.value,
    )


def check(asked: Asked) -> wire.CheckResult:
    """Of one system, or of each that the organisation has."""
    context, org = asked.context, asked.path["org"]
    context.store.fleet.organization(org)
    system = asked.query.text("system")
    if system is not None:
        systems = [context.store.fleet.integration(org, known_system(system)).system_type]
    else:
        systems = [one.system_type for one in context.store.fleet.integrations() if one.organization_id == org]
    if not systems:
        raise NotFound(f"{org} has no system whose credentials could be checked", hint=f"zendeskctl org show {org}")
    asked.changed_nothing = True
    items = [_check_one(asked, org, one) for one in systems]
    asked.note = ", ".join(f"{item.system_type}: {item.code or 'ok'}" for item in items)
    return wire.CheckResult(ok=all(item.ok for item in items), items=items)


def _check_one(asked: Asked, org: str, system: str) -> wire.CheckItem:
    try:
        identity = asked.context.jobs.check(org, system)
    except RunError as error:
        return wire.CheckItem(
            organization_id=org,
            system_type=system,
            ok=False,
            user=None,
            role=None,
            code=error.code,
            detail=error.detail,
            hint=error.hint,
        )
    return wire.CheckItem(
        organization_id=org,
        system_type=system,
        ok=True,
        user=identity.user,
        role=identity.role,
        code=None,
        detail=f"{identity.user} ({identity.role}) on {identity.account}",
        hint="",
    )


ENDPOINTS: Final = (
    Endpoint(
        ("set_credentials",),
        "PUT",
        "/api/organizations/{org}/credentials/{system}",
        set_credentials,
        changes=True,
        takes=AnyCredential,
        replies={200: wire.CredentialsSet},
    ),
    Endpoint(
        ("check_credentials",),
        "POST",
        "/api/organizations/{org}/check",
        check,
        ("system",),
        changes=True,
        where="slow",
        replies={200: wire.CheckResult},
    ),
)
