"""Organisations, their integrations and their sealed credentials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

import msgspec
from peewee import JOIN, SQL, fn

from zendeskd.db import Database
from zendeskd.errors import Conflict, NotFound, StorageError
from zendeskd.models import Integration, Organization, State, stamp, stamp_or_none
from zendeskd.store import removal
from zendeskd.store import tables as t
from zendeskd.store.edge import Part, column_of, json_text, not_found, sql_of, struct_of, text

CONFIGURATION: Final = ("base_url", "strategy", "is_active", "sync_interval", "timezone", "lookback")

_CHANGEABLE: Final = frozenset(t.Integration._meta.fields) - {"id", "organization_id", "system_type"}


class SealedCredential(msgspec.Struct, frozen=True):
    """What `credentials` holds. `revision` counts what a person stored, not what a renewal replaced."""

    kind: str
    ciphertext: str
    expires_at: datetime | None = None
    revision: int = 1


class NewIntegration(msgspec.Struct, frozen=True, kw_only=True):
    system_type: str
    base_url: str
    strategy: str
    is_active: bool
    sync_interval: str
    timezone: str
    lookback: str
    credential: SealedCredential | None = None
    next_run_at: datetime | None = None
    has_read: bool = False
    """Of one that is here: whether anything was read from its account."""


class NewOrganization(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    timezone: str
    tags: tuple[str, ...] = ()
    integrations: tuple[NewIntegration, ...] = ()


class Changes(Protocol):
    """What is to be added and updated."""

    @property
    def add(self) -> Sequence[NewOrganization]: ...

    @property
    def update(self) -> Sequence[NewOrganization]: ...


C = TypeVar("C", bound=Changes)

_CIPHERTEXT: Final = fn.HEX(t.Credential.ciphertext).alias("bytes")
"""Whatever somebody wrote there: it is damaged then, and costs its own integration."""


class Fleet(Part):
    """Any thread may call any method; each raises StorageError when the disk says no."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)

    # --- reading --------------------------------------------------------------------------------------------------

    def organizations(self) -> list[Organization]:
        return [_organization(row) for row in self._db.rows(t.Organization.select().order_by(t.Organization.id))]

    def organization(self, org_id: str) -> Organization:
        """Raises NotFound, which names the nearest ones."""
        for row in self._db.rows(t.Organization.select().where(t.Organization.id == text(org_id))):
            return _organization(row)
        raise self._no_organization(org_id)

    def integrations(self, system: str | None = None) -> list[Integration]:
        query = _integrations().order_by(t.Integration.organization_id, t.Integration.system_type)
        return self._structs(query if system is None else query.where(t.Integration.system_type == system), Integration)

    def integration(self, org_id: str, system: str) -> Integration:
        """Raises NotFound: no such organisation, or it has no such system."""
        query = _integrations().where(
            (t.Integration.organization_id == text(org_id)) & (t.Integration.system_type == text(system))
        )
        return self._one(query, Integration, lambda: self._no_integration(org_id, system))

    def integration_by_id(self, integration_id: int) -> Integration:
        return self._one(t.Integration.raw(_BY_ID, integration_id), Integration, lambda: _gone(integration_id))

    def ciphertexts(self) -> list[str]:
        """Everything that is sealed with the master key."""
        return [_as_it_is(row["bytes"]) for row in self._db.rows(t.Credential.select(_CIPHERTEXT))]

    def export(self) -> list[NewOrganization]:
        """The fleet as it would be added again: configuration only, no secret, no position."""
        with self._db.snapshot():
            return self._export()

    def _export(self) -> list[NewOrganization]:
        """The same inside the caller's transaction."""
        integrations = self._db.rows(t.Integration.select().order_by(t.Integration.id))
        organizations = self.organizations()
        parts: dict[str, list[NewIntegration]] = {}
        for row in integrations:
            new = {name: row[name] for name in ("system_type", *CONFIGURATION)}
            new["has_read"] = row["copy_from"] is not None or row["total_records"] > 0
            parts.setdefault(row["organization_id"], []).append(struct_of(new, NewIntegration))
        return [
            NewOrganization(
                id=org.id,
                name=org.name,
                timezone=org.timezone,
                tags=org.tags,
                integrations=tuple(parts.get(org.id, ())),
            )
            for org in organizations
        ]

    # --- the fleet changes ----------------------------------------------------------------------------------------

    def apply(self, add: Sequence[NewOrganization], update: Sequence[NewOrganization], now: datetime) -> None:
        """Add and update organisations: all of it or nothing.

        Updating sets name, zone and tags, and adds or sets the integrations given; others stay as they are, and so do
        credentials where none are given. Raises Conflict if one to add is there, NotFound if one to update is not.
        """
        with self._db.writing():
            self._apply(add, update, now)

    def amend(self, plan: Callable[[list[NewOrganization]], C], now: datetime) -> C:
        """Apply what `plan` makes of the fleet as it is, in one transaction: what somebody else changes at the same
        moment comes before it or after it and is not undone. `plan` only computes; what it raises changes nothing."""
        with self._db.writing():
            changes = plan(self._export())
            self._apply(changes.add, changes.update, now)
            return changes

    def change_organization(
        self, org_id: str, *, name: str | None = None, timezone: str | None = None, tags: Sequence[str] | None = None
    ) -> Organization:
        """Set what is given. Raises NotFound."""
        columns: dict[str, Any] = {}
        if name is not None:
            columns["name"] = text(name)
        if timezone is not None:
            columns["timezone"] = text(timezone)
        if tags is not None:
            columns["tags"] = json_text(tuple(text(tag) for tag in tags))
        if columns:
            with self._db.writing():
                self._db.execute(t.Organization.update(columns).where(t.Organization.id == text(org_id)))
        return self.organization(org_id)

    def remove_organization(self, org_id: str) -> None:
        """Remove it and everything of it, search index included. Raises NotFound.

        Its run must have ended. Large copies go in several transactions; cut short, it is left switched off and
        without a position, and removing it again finishes the work.
        """
        self.organization(org_id)
        removal.remove(self._db, org_id)

    def change(self, integration_id: int, **columns: object) -> Integration:
        """Set columns of an integration (names of models.Integration) and return the fresh row. Raises NotFound."""
        with self._db.writing():
            return self.change_within(integration_id, columns)

    def change_within(self, integration_id: int, columns: dict[str, object]) -> Integration:
        """The same inside the caller's `writing`."""
        if unknown := columns.keys() - _CHANGEABLE:
            raise TypeError(f"not columns of an integration that change: {', '.join(sorted(unknown))}")
        if columns:
            values = {name: column_of(value) for name, value in columns.items()}
            self._db.execute(t.Integration.update(values).where(t.Integration.id == integration_id))
        return self.integration_by_id(integration_id)

    # --- credentials ----------------------------------------------------------------------------------------------

    def put_credential(self, org_id: str, system: str, sealed: SealedCredential, now: datetime) -> Integration:
        """Store what a person gave. A blocked integration is free again; it, and one that never ran, is due now."""
        with self._db.writing():
            integration = self.integration(org_id, system)
            self._seal(integration.id, sealed, now)
            columns: dict[str, object] = {}
            if integration.state is State.BLOCKED:
                columns = {"state": State.IDLE if integration.is_active else State.STOPPED, "blocked_at": None}
            if integration.is_active and (columns or integration.last_sync_at is None):
                columns["next_run_at"] = now
            return self.change_within(integration.id, columns)

    def credential(self, integration_id: int) -> SealedCredential | None:
        columns = (t.Credential.kind, t.Credential.expires_at, t.Credential.revision, _CIPHERTEXT)
        here = (t.Credential.integration_id == integration_id) & t.Credential.is_active
        for row in self._db.rows(t.Credential.select(*columns).where(here)):
            row["ciphertext"] = _as_it_is(row.pop("bytes"))
            return struct_of(row, SealedCredential)
        return None

    def renew_credential(self, integration_id: int, sealed: SealedCredential, now: datetime) -> bool:
        """Replace the sealed text by a renewed one of the same `revision`. False: a person stored another meanwhile,
        which stays. Raises StorageError if the integration has gone."""
        with self._db.writing():
            current = self.credential(integration_id)
            if current is None:
                raise StorageError(
                    "The organisation was removed while its credentials were being renewed.",
                    hint="There is nothing to do.",
                )
            if current.revision != sealed.revision:
                return False
            values = {
                "ciphertext": sealed.ciphertext,
                "expires_at": stamp_or_none(sealed.expires_at),
                "updated_at": stamp(now),
            }
            self._db.execute(t.Credential.update(values).where(t.Credential.integration_id == integration_id))
            return True

    def verified(self, integration_id: int, now: datetime) -> None:
        """The source accepted the credentials just now."""
        with self._db.writing():
            query = t.Credential.update(verified_at=stamp(now)).where(t.Credential.integration_id == integration_id)
            self._db.execute(query)

    # --- inside a transaction -------------------------------------------------------------------------------------

    def _apply(self, add: Sequence[NewOrganization], update: Sequence[NewOrganization], now: datetime) -> None:
        for new in add:
            if self._db.rows(t.Organization.select(t.Organization.id).where(t.Organization.id == text(new.id))):
                raise Conflict(f"There is an organisation {new.id} already.", hint="Change it, or remove it first.")
            row = {"id": text(new.id), "created_at": stamp(now), **_organization_columns(new)}
            self._db.execute(t.Organization.insert(row))
            for part in new.integrations:
                self._put(new.id, part, now)
        for new in update:
            query = t.Organization.update(_organization_columns(new)).where(t.Organization.id == text(new.id))
            if not self._db.execute(query):
                raise self._no_organization(new.id)
            for part in new.integrations:
                self._put(new.id, part, now)

    def _put(self, org_id: str, new: NewIntegration, now: datetime) -> None:
        here = (t.Integration.organization_id == text(org_id)) & (t.Integration.system_type == new.system_type)
        values: dict[str, object] = {name: column_of(getattr(new, name)) for name in CONFIGURATION}
        if new.next_run_at is not None:
            values["next_run_at"] = stamp(new.next_run_at)
        columns = (t.Integration.id, t.Integration.state, t.Integration.is_active)
        rows = self._db.rows(t.Integration.select(*columns).where(here))
        if rows:
            integration_id, state, was_active = rows[0]["id"], rows[0]["state"], bool(rows[0]["is_active"])
            if was_active != new.is_active or (state == State.BLOCKED and new.credential is not None):
                values |= _switched(new.is_active)  # otherwise who stopped it, why and until when stays
            self._db.execute(t.Integration.update(values).where(here))
        else:
            values |= {
                **_switched(new.is_active),
                "organization_id": text(org_id),
                "system_type": text(new.system_type),
                "consecutive_failures": 0,
                "total_records": 0,
            }
            integration_id = self._db.execute(t.Integration.insert(values))
        if new.credential is not None:
            self._seal(integration_id, new.credential, now)

    def _seal(self, integration_id: int, sealed: SealedCredential, now: datetime) -> None:
        values = {
            "kind": sealed.kind,
            "ciphertext": sealed.ciphertext,
            "is_active": 1,
            "expires_at": stamp_or_none(sealed.expires_at),
            "verified_at": None,
            "updated_at": stamp(now),
        }
        again = {getattr(t.Credential, name): value for name, value in values.items()}
        self._db.execute(
            t.Credential.insert({**values, "integration_id": integration_id, "revision": 1}).on_conflict(
                conflict_target=[t.Credential.integration_id],
                update={**again, t.Credential.revision: t.Credential.revision + SQL("1")},
            )
        )

    # --- what is not there ----------------------------------------------------------------------------------------

    def _no_organization(self, org_id: str) -> NotFound:
        names = [row["id"] for row in self._db.rows(t.Organization.select(t.Organization.id))]
        otherwise = "zendeskctl org list names them all." if names else "There is none yet: zendeskctl org add"
        return not_found(f"There is no organisation {org_id}", org_id, names, otherwise)

    def _no_integration(self, org_id: str, system: str) -> NotFound:
        self.organization(org_id)
        query = t.Integration.select(t.Integration.system_type).where(t.Integration.organization_id == text(org_id))
        systems = sorted(row["system_type"] for row in self._db.rows(query))
        return NotFound(
            f"The organisation {org_id} has no {system}.",
            hint=f"It has {', '.join(systems)}." if systems else "It has no system at all yet.",
        )


def _as_it_is(hexadecimal: str) -> str:
    return bytes.fromhex(hexadecimal).decode("ascii", "replace")


def _integrations() -> Any:
    return (
        t.Integration.select(
            t.Integration,
            t.Organization.name.alias("organization_name"),
            t.Credential.kind.alias("credential_kind"),
            t.Credential.expires_at.alias("credential_expires_at"),
        )
        .join(t.Organization, on=(t.Organization.id == t.Integration.organization_id))
        .switch(t.Integration)
        .join(t.Credential, JOIN.LEFT_OUTER, on=(t.Credential.integration_id == t.Integration.id))
    )


_BY_ID: Final = sql_of(_integrations().where(t.Integration.id == 0))


def _gone(integration_id: int) -> NotFound:
    return NotFound(
        f"There is no integration {integration_id}.", hint="Its organisation was removed: zendeskctl org list"
    )


def _organization(row: dict[str, Any]) -> Organization:
    try:
        tags = msgspec.json.decode(row["tags"])
    except msgspec.DecodeError:
        tags = None  # written by hand: struct_of says which row
    return struct_of({**row, "tags": tags}, Organization)


def _organization_columns(new: NewOrganization) -> dict[str, Any]:
    return {
        "name": text(new.name),
        "timezone": text(new.timezone),
        "tags": json_text(tuple(text(tag) for tag in new.tags)),
    }


def _switched(is_active: bool) -> dict[str, object]:
    """The stored state of an integration that is switched on or off, and why."""
    return {
        "state": (State.IDLE if is_active else State.STOPPED).value,
        "blocked_at": None,
        "stopped_by": None,
        "stop_reason": None,
        "stopped_until": None,
    }
