"""The one table of operations on the control socket. Shared by the daemon and its clients."""

from __future__ import annotations

from typing import Final, Literal

import msgspec


class Operation(msgspec.Struct, frozen=True):
    """One call of the API. `changes` marks what a viewer may not do and what is written to the audit log."""

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str  # {placeholders} as in the route
    changes: bool = False


OPERATIONS: Final = tuple(
    Operation(*row)
    for row in (
        ("health", "GET", "/api/health"),
        ("status", "GET", "/api/status"),
        ("sync_status", "GET", "/api/{system}/sync-status"),
        ("sync_config", "GET", "/api/{system}/sync-config"),
        ("trigger", "POST", "/api/{system}/sync-config", True),
        ("start", "POST", "/api/{system}/sync-config", True),
        ("stop", "POST", "/api/{system}/sync-config", True),
        ("interval", "POST", "/api/{system}/sync-config", True),
        ("cancel", "POST", "/api/{system}/sync-config", True),
        ("resync", "POST", "/api/{system}/sync-config", True),
        ("tickets", "GET", "/api/{system}"),
        ("records", "GET", "/api/records"),
        ("record", "GET", "/api/records/{id}"),
        ("links", "GET", "/api/records/{id}/links"),
        ("link", "POST", "/api/records/{id}/links", True),
        ("unlink", "DELETE", "/api/records/{id}/links/{link_id}", True),
        ("runs", "GET", "/api/sync-logs"),
        ("run", "GET", "/api/sync-logs/{id}"),
        ("logs", "GET", "/api/logs"),
        ("events", "GET", "/api/events"),
        ("organizations", "GET", "/api/organizations"),
        ("organization", "GET", "/api/organizations/{org}"),
        ("add_organization", "POST", "/api/organizations", True),
        ("import_organizations", "POST", "/api/organizations/import", True),
        ("export_organizations", "GET", "/api/organizations/export"),
        ("set_organization", "PATCH", "/api/organizations/{org}", True),
        ("remove_organization", "DELETE", "/api/organizations/{org}", True),
        ("set_credentials", "PUT", "/api/organizations/{org}/credentials/{system}", True),
        ("check_credentials", "POST", "/api/organizations/{org}/check", True),
        ("preview_schedule", "POST", "/api/schedules/preview"),
        ("reconcile", "POST", "/api/reconcile", True),
        ("reconciliations", "GET", "/api/reconcile"),
        ("backup", "POST", "/api/backup", True),
        ("reload", "POST", "/api/reload", True),
        ("openapi", "GET", "/api/openapi.json"),
    )
)
"""Adding an operation touches the route, this table, `client`, a `zendeskctl` verb and docs/api.md; a test walks it."""
