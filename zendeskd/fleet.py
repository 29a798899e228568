"""From drafts to organisations: new ones get the defaults, known ones keep what a draft leaves out; and back again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace as changed

from zendeskd.drafts import Found, ImportDraft, IntegrationDraft, Invalid, OrganizationDraft, at
from zendeskd.errors import BadRequest
from zendeskd.models import STRATEGIES, AnyCredential
from zendeskd.store.fleet import NewIntegration, NewOrganization, SealedCredential

Seal = Callable[[str, str, AnyCredential], SealedCredential]
"""Organisation, system and credential -> what the database may hold."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a new organisation gets where nothing else is said."""

    timezone: str
    interval: str
    lookback: str


def complete(draft: OrganizationDraft, defaults: Defaults, seal: Seal, *, path: str = "") -> NewOrganization:
    """A new organisation. Raises Invalid if an integration does not say where its account is."""
    found = Found()
    zone = draft.timezone or defaults.timezone
    parts = [
        _new(draft.id, part, zone, defaults, seal, at(path, f"integrations[{number}]"), found)
        for number, part in enumerate(draft.integrations)
    ]
    found.settle()
    return NewOrganization(
        id=draft.id, name=draft.name or draft.id, timezone=zone, tags=draft.tags or (), integrations=tuple(parts)
    )


def _new(
    org: str, part: IntegrationDraft, zone: str, defaults: Defaults, seal: Seal, path: str, found: Found
) -> NewIntegration:
    if part.base_url is None:
        hint = 'for example "subdomain": "acme" for https://acme.zendesk.com'
        found.add(at(path, "subdomain"), BadRequest("subdomain or baseUrl is missing", hint=hint))
    return NewIntegration(
        system_type=part.system_type,
        base_url=part.base_url or "",
        strategy=part.strategy or STRATEGIES[part.system_type][0],
        is_active=True if part.is_active is None else part.is_active,
        sync_interval=part.interval or defaults.interval,
        timezone=part.timezone or zone,
        lookback=part.lookback or defaults.lookback,
        credential=None if part.credential is None else seal(org, part.system_type, part.credential),
    )


def merge(draft: OrganizationDraft, here: NewOrganization, defaults: Defaults, seal: Seal) -> NewOrganization | None:
    """What `here` becomes; None if the draft changes nothing. Only integrations that change are in it.

    Integrations that kept the organisation's own zone follow it to a new one. Raises Invalid as `complete` does, and
    where an integration that has read one account would go on with another: an id means something in one only.
    """
    zone = draft.timezone or here.timezone
    asked = {part.system_type: part for part in draft.integrations}
    found = Found()
    parts: list[NewIntegration] = []
    for old in here.integrations:
        part = asked.pop(old.system_type, IntegrationDraft(old.system_type))
        follows = zone if old.timezone == here.timezone else old.timezone
        if part.base_url is not None and old.has_read and _account(part.base_url) != _account(old.base_url):
            found.add(f"integrations.{old.system_type}.baseUrl", _other_account(here.id, old.base_url))
        new = _over(here.id, old, part, follows, seal)
        if new != old:
            parts.append(new)
    for system, part in asked.items():
        parts.append(_new(here.id, part, zone, defaults, seal, f"integrations.{system}", found))
    found.settle()
    tags = here.tags if draft.tags is None else draft.tags
    result = changed(here, name=draft.name or here.name, timezone=zone, tags=tags, integrations=tuple(parts))
    return None if result == changed(here, integrations=()) else result


def _over(org: str, old: NewIntegration, part: IntegrationDraft, zone: str, seal: Seal) -> NewIntegration:
    return changed(
        old,
        base_url=part.base_url or old.base_url,
        strategy=part.strategy or old.strategy,
        is_active=old.is_active if part.is_active is None else part.is_active,
        sync_interval=part.interval or old.sync_interval,
        timezone=part.timezone or zone,
        lookback=part.lookback or old.lookback,
        credential=None if part.credential is None else seal(org, part.system_type, part.credential),
    )


def _account(base_url: str) -> tuple[str, str]:
    """What tells accounts apart. The port and the scheme do not."""
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.path.rstrip("/")


def _other_account(org: str, base_url: str) -> BadRequest:
    return BadRequest(
        f"{org} holds what was read from {base_url}; records of another account would mix with it",
        hint=f"add a new organisation for the other account, or remove {org} and add it again",
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import does: organisations to add and to update, and the ids of those that stay as they are."""

    add: tuple[NewOrganization, ...]
    update: tuple[NewOrganization, ...]
    unchanged: tuple[str, ...]


def patch(draft: OrganizationDraft, here: Sequence[NewOrganization], defaults: Defaults, seal: Seal) -> Plan:
    """Lay a change of one organisation over the fleet that is `here`; nothing if it has gone. Raises Invalid."""
    merged = [merge(draft, one, defaults, seal) for one in here if one.id == draft.id]
    return Plan((), tuple(one for one in merged if one is not None), ())


def plan(draft: ImportDraft, here: Sequence[NewOrganization], defaults: Defaults, seal: Seal) -> Plan:
    """Lay an import over the fleet that is `here`. Raises Invalid with everything that is wrong."""
    known = {one.id: one for one in here}
    found = Found()
    add: list[NewOrganization] = []
    update: list[NewOrganization] = []
    unchanged: list[str] = []
    for number, one in enumerate(draft.organizations):
        path = f"organizations[{number}]"
        try:
            if one.id not in known:
                add.append(complete(one, defaults, seal, path=path))
            elif draft.update and (merged := merge(one, known[one.id], defaults, seal)) is not None:
                update.append(merged)
            else:
                unchanged.append(one.id)
        except Invalid as error:
            found.problems.extend(changed(item, path=_under(path, item.path)) for item in error.problems)
    found.settle()
    return Plan(tuple(add), tuple(update), tuple(unchanged))


def _under(path: str, inner: str) -> str:
    return inner if inner.startswith(path) else at(path, inner)


def export(fleet: Sequence[NewOrganization]) -> list[dict[str, Any]]:
    """The fleet as an import takes it, without any secret."""
    return [
        {
            "id": org.id,
            "name": org.name,
            "timezone": org.timezone,
            "tags": list(org.tags),
            "integrations": [
                {
                    "systemType": part.system_type,
                    "baseUrl": part.base_url,
                    "interval": part.sync_interval,
                    "timezone": part.timezone,
                    "lookback": part.lookback,
                    "strategy": part.strategy,
                    "isActive": part.is_active,
                }
                for part in org.integrations
            ],
        }
        for org in fleet
    ]
