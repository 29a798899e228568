"""What each operation of the control socket is as a request, and what comes back. No I/O.

One function per name of `OPERATIONS`; `client` turns each into a method of its two faces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

import msgspec

from zendeskd import wire
from zendeskd.operations import OPERATIONS, Operation

T = TypeVar("T")

QUICK_S: Final = 30.0
SLOW_S: Final = 180.0
"""Seconds without a byte of answer: most calls, and those that ask the source or write the whole fleet."""

_OPERATIONS: Final = {operation.name: operation for operation in OPERATIONS}


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, ready to be sent, and the shape of its answer."""

    operation: Operation
    reply: type[T]
    path: str
    params: dict[str, str | list[str]]
    body: bytes | None = None
    timeout_s: float = QUICK_S
    also: tuple[int, ...] = ()  # statuses beyond 2xx that carry the reply, not a problem


def _call(
    name: str,
    reply: type[T],
    *,
    parts: dict[str, object] | None = None,
    params: dict[str, object] | None = None,
    body: object = None,
    timeout_s: float = QUICK_S,
    also: tuple[int, ...] = (),
) -> Call[T]:
    operation = _OPERATIONS[name]
    path = operation.path.format(**{key: quote(str(value), safe="") for key, value in (parts or {}).items()})
    given = {key: _text(value) for key, value in (params or {}).items() if value is not None}
    encoded = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
    return Call(operation, reply, path, given, encoded, timeout_s, also)


def _text(value: object) -> str | list[str]:
    if isinstance(value, (list, tuple)):
        return [str(each) for each in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- status -----------------------------------------------------------------------------------------------------------


def health() -> Call[wire.Health]:
    """A daemon that is not well answers too (503), with `ok` false."""
    return _call("health", wire.Health, also=(503,))


def status() -> Call[wire.DaemonStatus]:
    return _call("status", wire.DaemonStatus)


def sync_status(system: str = "zendesk") -> Call[wire.SyncStatusList]:
    return _call("sync_status", wire.SyncStatusList, parts={"system": system})


def sync_status_one(org: str, system: str = "zendesk") -> Call[wire.SyncStatusOne]:
    return _call("sync_status", wire.SyncStatusOne, parts={"system": system}, params={"organizationId": org})


def sync_config(system: str = "zendesk") -> Call[wire.SyncConfigList]:
    return _call("sync_config", wire.SyncConfigList, parts={"system": system})


def sync_config_one(org: str, system: str = "zendesk") -> Call[wire.SyncConfigOne]:
    return _call("sync_config", wire.SyncConfigOne, parts={"system": system}, params={"organizationId": org})


# --- commands ---------------------------------------------------------------------------------------------------------


def _command(name: str, reply: type[T], org: str, system: str, **body: object) -> Call[T]:
    given = {key: value for key, value in body.items() if value is not None}
    return _call(name, reply, parts={"system": system}, params={"organizationId": org}, body=given)


def trigger(org: str, system: str = "zendesk") -> Call[wire.Accepted]:
    return _command("trigger", wire.Accepted, org, system, action="trigger")


def start(org: str, system: str = "zendesk", *, interval: str | None = None) -> Call[wire.Changed]:
    return _command("start", wire.Changed, org, system, action="start", interval=interval)


def stop(
    org: str, system: str = "zendesk", *, reason: str | None = None, until: str | None = None
) -> Call[wire.Changed]:
    """`until`: an instant with its zone, at which it starts again by itself."""
    return _command("stop", wire.Changed, org, system, action="stop", reason=reason, until=until)


def interval(org: str, interval: str, system: str = "zendesk") -> Call[wire.Changed]:
    return _command("interval", wire.Changed, org, system, action="update-interval", interval=interval)


def cancel(org: str, system: str = "zendesk") -> Call[wire.Changed]:
    return _command("cancel", wire.Changed, org, system, action="cancel")


def resync(org: str, since: str, system: str = "zendesk") -> Call[wire.Accepted]:
    """`since`: an instant, a date, a span ("30d") or "all"."""
    return _command("resync", wire.Accepted, org, system, action="resync", since=since)


def plan_resync(org: str, since: str, system: str = "zendesk") -> Call[wire.ResyncPlan]:
    """What `resync` would do; changes nothing."""
    return _command("resync", wire.ResyncPlan, org, system, action="resync", since=since, dryRun=True)


# --- records ----------------------------------------------------------------------------------------------------------


def tickets(
    org: str | Sequence[str] | None = None,
    system: str = "zendesk",
    *,
    status: str | None = None,
    tag: str | None = None,
    deleted: bool | None = None,
    query: str | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> Call[wire.RecordList]:
    """The records of one system, newest change first; `after` is the `next` of the page before. `org` may be several;
    none of them: every one."""
    params = _record_params(org, status, tag, deleted, query, limit, after)
    return _call("tickets", wire.RecordList, parts={"system": system}, params=params)


def records(
    org: str | Sequence[str] | None = None,
    *,
    system: str | None = None,
    record_type: str | None = None,
    status: str | None = None,
    tag: str | None = None,
    deleted: bool | None = None,
    query: str | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> Call[wire.RecordList]:
    """The records of every system, newest change first; `after` is the `next` of the page before. `org` as above."""
    params = _record_params(org, status, tag, deleted, query, limit, after)
    return _call("records", wire.RecordList, params=params | {"system": system, "recordType": record_type})


def _record_params(
    org: str | Sequence[str] | None,
    status: str | None,
    tag: str | None,
    deleted: bool | None,
    query: str | None,
    limit: int | None,
    after: str | None,
) -> dict[str, object]:
    params: dict[str, object] = {"organizationId": org, "status": status, "tag": tag, "deleted": deleted}
    return params | {"q": query, "limit": limit, "after": after}


def record(record: int | str) -> Call[wire.RecordDocument]:
    """`record`: its local id, or ORG/SYSTEM/EXTERNAL_ID."""
    return _record_call("record", wire.RecordDocument, record)


def links(record: int | str) -> Call[wire.LinkList]:
    return _record_call("links", wire.LinkList, record)


def link(record: int | str, other: str, relation: str | None = None) -> Call[wire.LinkList]:
    """Link to `other` (a local id, or SYSTEM/EXTERNAL_ID). Gives all links of the record."""
    body = {"other": other} if relation is None else {"other": other, "relation": relation}
    return _record_call("link", wire.LinkList, record, body=body)


def unlink(record: int | str, link_id: int) -> Call[wire.LinkList]:
    """Gives the links that are left."""
    return _record_call("unlink", wire.LinkList, record, link_id=link_id)


def _record_call(name: str, reply: type[T], record: int | str, *, body: object = None, **parts: object) -> Call[T]:
    operation = _OPERATIONS[name]
    where = "/".join(quote(part, safe="") for part in str(record).split("/", 2))
    return Call(
        operation,
        reply,
        operation.path.format(id=where, **parts),
        {},
        None if body is None else msgspec.json.encode(body),
    )


# --- history ----------------------------------------------------------------------------------------------------------


def runs(
    org: str | None = None,
    *,
    system: str | None = None,
    failed: bool | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> Call[wire.RunList]:
    """Newest first; `after` is the `next` of the page before."""
    params: dict[str, object] = {"organizationId": org, "system": system, "failed": failed}
    return _call("runs", wire.RunList, params=params | {"limit": limit, "after": after})


def run(run_id: int) -> Call[wire.RunDocument]:
    return _call("run", wire.RunDocument, parts={"id": run_id})


def logs(
    orgs: Iterable[str] = (),
    *,
    run: int | None = None,
    level: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> Call[wire.LogList]:
    """Lines of the daemon's log file, newest first; `after` is the `next` of the page before. `orgs`: none means all;
    `level` and above; `since`: an instant, a date or a span ("1h"); `until`: an instant."""
    params: dict[str, object] = {"organizationId": list(orgs) or None, "run": run, "level": level}
    return _call("logs", wire.LogList, params=params | {"since": since, "until": until, "limit": limit, "after": after})


def events(*, heartbeat_s: int = 15) -> Call[wire.Event]:
    """A stream: one `wire.Event` a line, and an empty line after `heartbeat_s` quiet seconds."""
    return _call("events", wire.Event, params={"heartbeatS": heartbeat_s}, timeout_s=heartbeat_s + 25.0)


# --- the fleet --------------------------------------------------------------------------------------------------------


def organizations() -> Call[wire.OrganizationList]:
    return _call("organizations", wire.OrganizationList)


def organization(org: str) -> Call[wire.OrganizationDocument]:
    return _call("organization", wire.OrganizationDocument, parts={"org": org})


def add_organization(spec: wire.OrganizationSpec | bytes) -> Call[wire.OrganizationDocument]:
    return _call("add_organization", wire.OrganizationDocument, body=spec)


def import_organizations(
    document: wire.ImportRequest | bytes, *, update: bool = False, dry_run: bool = False
) -> Call[wire.ImportResult]:
    """`document` as bytes is a file's content: `{"organizations": [...]}`, or the bare list. Anything wrong in it is
    left for the daemon to find."""
    body: object = document
    if isinstance(document, bytes):
        body = _import_body(document, update=update, dry_run=dry_run)
    elif update or dry_run:
        body = msgspec.structs.replace(document, update=update, dry_run=dry_run)
    return _call("import_organizations", wire.ImportResult, body=body, timeout_s=SLOW_S)


def _import_body(document: bytes, *, update: bool, dry_run: bool) -> object:
    flags = {"update": update, "dryRun": dry_run}
    try:
        if document.lstrip()[:1] == b"[":
            return {"organizations": msgspec.json.decode(document, type=msgspec.Raw), **flags}
        given = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return document
    return {**given, **{key: value for key, value in flags.items() if value or key not in given}}


def export_organizations() -> Call[wire.FleetExport]:
    return _call("export_organizations", wire.FleetExport)


def set_organization(
    org: str,
    *,
    name: str | None = None,
    timezone: str | None = None,
    tags: Sequence[str] | None = None,
    integrations: dict[str, wire.IntegrationPatch] | None = None,
) -> Call[wire.OrganizationDocument]:
    """Change only what is given."""
    body: dict[str, Any] = {"name": name, "timezone": timezone, "tags": tags}
    if integrations is not None:
        body["integrations"] = {system: _given(patch) for system, patch in integrations.items()}
    body = {key: value for key, value in body.items() if value is not None}
    return _call("set_organization", wire.OrganizationDocument, parts={"org": org}, body=body)


def _given(patch: wire.IntegrationPatch) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(patch)
    return {key: value for key, value in plain.items() if value is not None}


def remove_organization(org: str) -> Call[wire.OrganizationDocument]:
    """Ends its run, then removes it and every record of it. Gives what it was."""
    return _call("remove_organization", wire.OrganizationDocument, parts={"org": org}, timeout_s=SLOW_S)


def set_credentials(org: str, credentials: bytes, system: str = "zendesk") -> Call[wire.CredentialsSet]:
    """`credentials`: the JSON object with its `kind`."""
    return _call("set_credentials", wire.CredentialsSet, parts={"org": org, "system": system}, body=credentials)


def check_credentials(org: str, system: str | None = None) -> Call[wire.CheckResult]:
    """Ask the source who the credentials are, without syncing. `system` None: every system it has."""
    params: dict[str, object] = {"system": system}
    return _call("check_credentials", wire.CheckResult, parts={"org": org}, params=params, timeout_s=SLOW_S)


# --- operations -------------------------------------------------------------------------------------------------------


def preview_schedule(
    interval: str, *, timezone: str | None = None, after: str | None = None, count: int | None = None
) -> Call[wire.Preview]:
    body = {"interval": interval, "timezone": timezone, "after": after, "count": count}
    return _call(
        "preview_schedule", wire.Preview, body={key: value for key, value in body.items() if value is not None}
    )


def reconcile(organizations: Sequence[str] = ()) -> Call[wire.ReconcileAccepted]:
    """Queue a comparison with the source; none named: every organisation that can be compared."""
    body = {"organizationIds": list(organizations)}
    return _call("reconcile", wire.ReconcileAccepted, body=body, timeout_s=SLOW_S)


def reconciliations() -> Call[wire.ReconcileList]:
    return _call("reconciliations", wire.ReconcileList)


def backup() -> Call[wire.BackupAccepted]:
    """Have a backup of the database made, or join the one that is being made."""
    return _call("backup", wire.BackupAccepted)


def reload() -> Call[wire.ReloadResult]:
    return _call("reload", wire.ReloadResult)


def openapi() -> Call[dict[str, Any]]:
    """The daemon's own description of its API, in OpenAPI 3.1."""
    return _call("openapi", dict[str, Any])
