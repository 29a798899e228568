"""Links between records, of one system or of several; the other end need not be here yet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec
from peewee import JOIN

from zendeskd.errors import BadRequest, Conflict, NotFound
from zendeskd.models import RECORD_TYPES, stamp
from zendeskd.store import tables as t
from zendeskd.store.edge import Part, struct_of, text, text_or_none


class LinkRow(msgspec.Struct, frozen=True, kw_only=True):
    """A link seen from one record: the other end. `direction` is out or in; `record_id` None while it is not here."""

    id: int
    direction: str
    relation: str
    system: str
    record_type: str
    external_id: str
    origin: str
    created_by: str | None
    created_at: str
    record_id: int | None
    title: str | None
    status: str | None


_L = t.RecordLink
_R = t.FlowRecord
_OUT: Final = (_L.source_system, _L.record_type, _L.external_id)
_IN: Final = (_L.target_system, _L.target_type, _L.target_external_id)
_COUNTED: Final = (
    "SELECT id,"
    " (SELECT COUNT(*) FROM record_links AS l WHERE l.organization_id = r.organization_id"
    " AND l.source_system = r.source_system AND l.record_type = r.record_type AND l.external_id = r.external_id)"
    " + (SELECT COUNT(*) FROM record_links AS l WHERE l.organization_id = r.organization_id"
    " AND l.target_system = r.source_system AND l.target_type = r.record_type"
    " AND l.target_external_id = r.external_id)"
    " FROM flow_records AS r WHERE id IN (SELECT value FROM json_each(?))"
)


class Links(Part):
    def links(self, record_id: int) -> list[LinkRow]:
        """Both directions, oldest first. Raises NotFound for the record."""
        own = self._key(record_id)
        rows = self._linked(own, _OUT, _IN, "out") + self._linked(own, _IN, _OUT, "in")
        return sorted((struct_of(row, LinkRow) for row in rows), key=lambda link: link.id)

    def link_counts(self, record_ids: Iterable[int]) -> dict[int, int]:
        """How many links, of both directions, each of these records has."""
        with self._db.reading() as connection:
            return dict(connection.execute(_COUNTED, (json.dumps(list(record_ids)),)).fetchall())

    def add_link(
        self, record_id: int, other: int | tuple[str, str], relation: str, created_by: str | None, now: datetime
    ) -> LinkRow:
        """Link a record to another by hand: to one that is here by its id, or to (system, the source's id).

        A link that is there already is returned as it is. Raises NotFound, and BadRequest for a link to itself, to
        another organisation's record or to a system that is not known.
        """
        own = self._key(record_id)
        target = self._target(own, other)
        if target == own:
            raise BadRequest("A record cannot be linked to itself.", hint="Name another one.", field="other")
        key = {
            "organization_id": own["organization_id"],
            "source_system": own["source_system"],
            "record_type": own["record_type"],
            "external_id": own["external_id"],
            "relation": text(relation),
            "target_system": target["source_system"],
            "target_type": target["record_type"],
            "target_external_id": target["external_id"],
        }
        values = {**key, "origin": "manual", "created_by": text_or_none(created_by), "created_at": stamp(now)}
        with self._db.writing():
            self._db.execute(_L.insert(values).on_conflict_ignore())
            same = [getattr(_L, name) == value for name, value in key.items()]
            link_id = self._db.rows(_L.select(_L.id).where(*same))[0]["id"]
            return next(link for link in self.links(record_id) if link.id == link_id and link.direction == "out")

    def remove_link(self, record_id: int, link_id: int) -> LinkRow:
        """Remove a link made by hand, seen from either end. -> what it was. Raises NotFound, and Conflict for one that
        the source made."""
        with self._db.writing():
            link = next((link for link in self.links(record_id) if link.id == link_id), None)
            if link is None:
                raise NotFound(
                    f"Record {record_id} has no link {link_id}.", hint=f"zendeskctl link {record_id} lists its links."
                )
            if link.origin != "manual":
                raise Conflict(
                    f"Link {link_id} was made by the source, so the next sync would bring it back.",
                    hint="Remove it at the source.",
                )
            self._db.execute(_L.delete().where(_L.id == link_id))
            return link

    def _key(self, record_id: int) -> dict[str, Any]:
        query = _R.select(_R.organization_id, _R.source_system, _R.record_type, _R.external_id)
        for row in self._db.rows(query.where(_R.id == record_id)):
            return row
        raise NotFound(f"There is no record {record_id}.", hint="zendeskctl records ORG lists them with their ids.")

    def _target(self, own: dict[str, Any], other: int | tuple[str, str]) -> dict[str, Any]:
        if isinstance(other, int):
            target = self._key(other)
            if target["organization_id"] != own["organization_id"]:
                raise BadRequest(
                    f"Record {other} belongs to {target['organization_id']}, not to {own['organization_id']}.",
                    hint="Records are linked within an organisation.",
                    field="other",
                )
            return target
        system, external_id = other
        if system not in RECORD_TYPES or not external_id:
            raise BadRequest(
                f"There is no record {system}/{external_id} to link to.",
                hint=f"Write SYSTEM/ID, where SYSTEM is {', '.join(RECORD_TYPES)}.",
                field="other",
            )
        return {
            "organization_id": own["organization_id"],
            "source_system": system,
            "record_type": RECORD_TYPES[system],
            "external_id": text(external_id),
        }

    def _linked(self, own: dict[str, Any], here: Any, there: Any, direction: str) -> list[dict[str, Any]]:
        system, kind, external_id = there
        query = (
            _L.select(
                _L.id,
                _L.relation,
                _L.origin,
                _L.created_by,
                _L.created_at,
                system.alias("system"),
                kind.alias("record_type"),
                external_id.alias("external_id"),
                _R.id.alias("record_id"),
                _R.title,
                _R.status,
            )
            .join(
                _R,
                JOIN.LEFT_OUTER,
                on=(
                    (_R.organization_id == _L.organization_id)
                    & (_R.source_system == system)
                    & (_R.record_type == kind)
                    & (_R.external_id == external_id)
                ),
            )
            .where(
                (_L.organization_id == own["organization_id"])
                & (here[0] == own["source_system"])
                & (here[1] == own["record_type"])
                & (here[2] == own["external_id"])
            )
        )
        return [{**row, "direction": direction} for row in self._db.rows(query)]
