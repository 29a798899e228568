"""Organisations, their integrations and credentials, and what a schedule means."""

from __future__ import annotations

from typing import Any

import msgspec

from zendeskd.wire.base import SCHEMA, Document, Reply, Request
from zendeskd.wire.status import SyncConfig


class IntegrationSpec(Request, kw_only=True):
    """An integration to make. One of `subdomain` and `base_url`."""

    system_type: str = "zendesk"
    subdomain: str | None = None
    base_url: str | None = None
    interval: str | None = None
    timezone: str | None = None
    lookback: str | None = None
    strategy: str | None = None
    is_active: bool = True
    credentials: msgspec.Raw | None = None


class OrganizationSpec(Request, kw_only=True):
    """Body of `POST /api/organizations`, and an element of an import file."""

    id: str
    name: str | None = None
    timezone: str | None = None
    tags: list[str] = []
    integrations: list[IntegrationSpec] = []


class ImportRequest(Request, kw_only=True):
    """Body of `POST /api/organizations/import`: all or nothing. Organisations already there are left alone unless
    `update` is set."""

    organizations: list[OrganizationSpec]
    update: bool = False
    dry_run: bool = False


class ImportResult(Document, kw_only=True):
    dry_run: bool
    added: list[str]
    updated: list[str]
    unchanged: list[str]


class IntegrationPatch(Request, kw_only=True):
    base_url: str | None = None
    subdomain: str | None = None
    timezone: str | None = None
    lookback: str | None = None
    strategy: str | None = None


class OrganizationPatch(Request, kw_only=True):
    """Body of `PATCH /api/organizations/{org}`; only what is given changes. `integrations` is by system type; one
    that is not there yet is added."""

    name: str | None = None
    timezone: str | None = None
    tags: list[str] | None = None
    integrations: dict[str, IntegrationPatch] = {}


class OrganizationItem(Reply, kw_only=True):
    id: str
    name: str
    timezone: str
    tags: list[str]
    created_at: str
    integrations: list[SyncConfig]


class OrganizationDocument(OrganizationItem, kw_only=True):
    schema: int = SCHEMA


class OrganizationList(Document, kw_only=True):
    items: list[OrganizationItem]


class FleetExport(Document, kw_only=True):
    """`GET /api/organizations/export`: what an import takes, without any secret."""

    organizations: list[dict[str, Any]]


class CredentialsSet(Document, kw_only=True):
    """200: stored. `state` is the integration's state after it (a blocked one is unblocked and due at once)."""

    organization_id: str
    system_type: str
    kind: str
    expires_at: str | None
    state: str


class CheckItem(Reply, kw_only=True):
    """A check of one integration's credentials without syncing."""

    organization_id: str
    system_type: str
    ok: bool
    user: str | None
    role: str | None
    code: str | None  # a failure class
    detail: str
    hint: str


class CheckResult(Document, kw_only=True):
    ok: bool
    items: list[CheckItem]


class PreviewRequest(Request, kw_only=True):
    interval: str
    timezone: str | None = None
    after: str | None = None
    count: int = 3


class PreviewTime(Reply, kw_only=True):
    local: str  # wall time with offset, in the zone
    utc: str
    in_s: int


class Preview(Document, kw_only=True):
    interval: str
    timezone: str
    words: str
    times: list[PreviewTime]
