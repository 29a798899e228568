"""A page of Zendesk tickets -> records.

Only what becomes a column is decoded; the rest of a ticket stays what it is: its own bytes. One ticket that cannot be
read is set aside and the page goes on. Shapes: Zendesk's Tickets page and recorded traffic; unknown keys and nulls
are normal. Speed matters here, a first import is millions of tickets: no regular expression on the usual path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, TypeVar

import msgspec

from zendeskd.connectors.faults import Answer, Rejected, is_transient
from zendeskd.connectors.odd_text import escaped, mask, slices, text_of
from zendeskd.errors import BadResponse, RunError
from zendeskd.models import CallStats, Link, Page, Quarantined, Record, stamp

INCLUDE: Final = "users,groups,organizations"
_EMPTY: Final = msgspec.Raw(b"[]")
_TITLE_CHARS: Final = 80
_HASH_BYTES: Final = 16
_MOST_TICKETS: Final = 10_000
"""At most 1000 are ever asked for. Each that is set aside is kept with its reason, so a flood must end here."""
_LATEST: Final = 253_402_300_799  # the last second a datetime can hold


class Envelope(msgspec.Struct):
    """What every list of tickets has in common."""

    tickets: list[msgspec.Raw]
    users: msgspec.Raw = _EMPTY
    groups: msgspec.Raw = _EMPTY
    organizations: msgspec.Raw = _EMPTY


class _Named(msgspec.Struct):
    id: int
    name: str | None = None


class _Identified(msgspec.Struct):
    id: int


class _Origin(msgspec.Struct):
    ticket_id: int | None = None


class _ViaSource(msgspec.Struct):
    rel: str | None = None
    origin: _Origin | None = msgspec.field(name="from", default=None)


class _Via(msgspec.Struct):
    source: _ViaSource | None = None


class _Ticket(msgspec.Struct, gc=False):
    id: int
    generated_timestamp: int | float | None = None
    created_at: str | None = None
    updated_at: str | None = None
    subject: str | None = None
    description: str | None = None
    status: str | None = None
    priority: str | None = None
    requester_id: int | None = None
    assignee_id: int | None = None
    group_id: int | None = None
    organization_id: int | None = None
    problem_id: int | None = None
    followup_ids: list[int] | None = None
    tags: list[str] | None = None
    via: msgspec.Raw = _EMPTY


_decode_ticket = msgspec.json.Decoder(_Ticket).decode
_decode_named = msgspec.json.Decoder(list[_Named]).decode
_decode_each = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_one_named = msgspec.json.Decoder(_Named).decode
_decode_id = msgspec.json.Decoder(_Identified).decode
_decode_via = msgspec.json.Decoder(_Via).decode

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Tickets(msgspec.Struct):
    """The mapped tickets of one page, in the page's order."""

    records: list[Record]
    quarantined: list[Quarantined]


E = TypeVar("E", bound=Envelope)


def decode_envelope(answer: Answer, decoder: msgspec.json.Decoder[E]) -> tuple[E, list[bytes]]:
    """The page and the exact bytes of each of its tickets. Raises BadResponse if it is not such a page."""
    try:
        envelope = _bounded(decoder.decode(answer.body), answer)
        return envelope, [bytes(raw) for raw in envelope.tickets]
    except _UNREADABLE as error:
        problem = str(error)
    try:
        # half a surrogate pair in one ticket makes the parser refuse the whole page
        masked = mask(answer.body)
        envelope = _bounded(decoder.decode(masked), answer)
        return envelope, slices(answer.body, masked, (bytes(raw) for raw in envelope.tickets))
    except _UNREADABLE as error:
        media = answer.headers.get("content-type", "no content type")[:60]
        raise BadResponse(
            f"{answer.host} answered with something else than tickets ({media}, {len(answer.body)} bytes: {problem}).",
            hint="A suspended or expired account answers with a web page.",
            status=answer.status,
            request_id=answer.request_id,
        ) from error


def _bounded(envelope: E, answer: Answer) -> E:
    if len(envelope.tickets) > _MOST_TICKETS:
        raise BadResponse(
            f"{answer.host} answered with {len(envelope.tickets)} tickets in one page.",
            status=answer.status,
            request_id=answer.request_id,
        )
    return envelope


class TicketMapper:
    """Maps the tickets of one account. Stateless but for the account's address."""

    def __init__(self, base_url: str) -> None:
        self._agent_url = f"{base_url.rstrip('/')}/agent/tickets/"

    def map(self, envelope: Envelope, raws: Sequence[bytes]) -> Tickets:
        """Every ticket of the page, in its order, as a Record or set aside with the reason."""
        users, groups, organizations = (
            _names(envelope.users),
            _names(envelope.groups),
            _names(envelope.organizations),
        )
        records: list[Record] = []
        quarantined: list[Quarantined] = []
        for raw in raws:
            try:
                records.append(self._record(raw, users, groups, organizations))
            except (*_UNREADABLE, ValueError, OverflowError) as error:
                quarantined.append(_set_aside(raw, error))
        return Tickets(records, quarantined)

    def _record(
        self,
        raw: bytes,
        users: dict[int, str],
        groups: dict[int, str],
        organizations: dict[int, str],
    ) -> Record:
        try:
            raw.decode()  # the parser passes over what becomes no column
        except UnicodeDecodeError:
            raw = escaped(raw)
        try:
            ticket = _decode_ticket(raw)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:  # half a surrogate pair
            ticket = _decode_ticket(mask(raw))
        updated_at = _instant(ticket.updated_at)
        requester = users.get(ticket.requester_id) if ticket.requester_id is not None else None
        assignee = users.get(ticket.assignee_id) if ticket.assignee_id is not None else None
        group = groups.get(ticket.group_id) if ticket.group_id is not None else None
        customer = organizations.get(ticket.organization_id) if ticket.organization_id is not None else None
        external_id = str(ticket.id)
        return Record(
            external_id,
            "ticket",
            _version(ticket, updated_at),
            _hash(raw, ticket.generated_timestamp, (requester, assignee, group, customer)),
            raw,
            self._agent_url + external_id,
            ticket.subject or _first_words(ticket.description),
            ticket.description,
            ticket.status,
            ticket.priority,
            requester,
            assignee,
            group,
            customer,
            tuple(ticket.tags) if ticket.tags else (),
            _instant(ticket.created_at),
            updated_at,
            updated_at if ticket.status == "deleted" else None,
            _links(ticket),
        )


class SecondLook:
    """Asks for a page again on which tickets could not be read: a lone garbled answer happens, and behind its cursor
    they would not come again. For one run; where that did not help once, the tickets are like that."""

    def __init__(self, stats: CallStats) -> None:
        self._stats = stats
        self._helps = True

    def is_due(self, page: Page) -> bool:
        return bool(page.quarantined) and self._helps

    def at(self, page: Page, ask_again: Callable[[], Page]) -> Page:
        """The better of two answers, the first if it is good, or if there is no other to be had."""
        if not self.is_due(page):
            return page
        self._stats.retries += 1
        try:
            other = ask_again()
        except RunError as error:
            if not is_transient(error) and not isinstance(error, Rejected):
                raise
            self._helps = False
            return page  # what is good of it must not wait for the next run
        self._helps = len(other.quarantined) < len(page.quarantined)
        return other if self._helps else page


def instant_of(version: int) -> datetime:
    """A ticket's `source_version` as an instant."""
    return datetime.fromtimestamp(version, UTC)


def _names(raw: msgspec.Raw) -> dict[int, str]:
    """A side-load as id -> name. An entry that cannot be read is left out: it is only a name."""
    try:
        return {one.id: one.name for one in _decode_named(raw) if one.name}
    except _UNREADABLE:
        pass
    names = {}
    try:
        entries = _decode_each(raw)
    except _UNREADABLE:
        return {}
    for entry in entries:
        try:
            one = _decode_one_named(entry)
        except _UNREADABLE:
            continue
        if one.name:
            names[one.id] = one.name
    return names


def _version(ticket: _Ticket, updated_at: str | None) -> int:
    """What decides which of two deliveries is newer. Some answers have a `generated_timestamp` of 0, or none."""
    version = int(ticket.generated_timestamp or 0)
    if version <= 0:
        if updated_at is None:
            raise ValueError("neither generated_timestamp nor updated_at tells how new it is")
        version = int(datetime.fromisoformat(updated_at).timestamp())
    if not 0 <= version <= _LATEST:
        raise ValueError("generated_timestamp is out of range")
    return version


def _hash(raw: bytes, generated: int | float | None, names: tuple[str | None, ...]) -> bytes:
    """Of all that means something: `generated_timestamp` moves without any change, names change without the ticket."""
    digest = sha256()  # modern processors have instructions for it: half the time of BLAKE2
    start, end = _moving(raw, generated)
    digest.update(raw[:start])
    digest.update(raw[end:])
    digest.update(msgspec.json.encode(names))
    return digest.digest()[:_HASH_BYTES]


def _moving(raw: bytes, generated: int | float | None) -> tuple[int, int]:
    """From where to where the key and its value stand; nowhere if they are not there in so many words. In a text its
    quotes would be escaped."""
    if generated is None:
        return 0, 0
    told = b'"generated_timestamp":%d' % generated
    start = raw.find(told)
    end = start + len(told)
    if start >= 0 and raw[end : end + 1] in (b",", b"}"):
        return start, end
    spaced = re.search(rb'"generated_timestamp"\s*:\s*%d(?=[\s,}])' % generated, raw)
    return spaced.span() if spaced else (0, 0)


def _instant(text: str | None) -> str | None:
    """An instant in the database's fixed width. Raises ValueError for what is none."""
    if text is None:
        return None
    when = datetime.fromisoformat(text)
    if len(text) == 20 and text[4] == "-" and text[10] == "T" and text[19] == "Z":
        return text[:19] + ".000Z"
    if when.tzinfo is None:
        raise ValueError(f"an instant without a zone: {text[:40]!r}")
    return stamp(when)


def _first_words(text: str | None) -> str | None:
    """A title for a ticket that has none: the beginning of its text."""
    if not text:
        return None
    words = " ".join(text[: _TITLE_CHARS * 4].split())
    if len(words) <= _TITLE_CHARS:
        return words or None
    return words[:_TITLE_CHARS].rpartition(" ")[0] + "…" if " " in words[:_TITLE_CHARS] else words[:_TITLE_CHARS] + "…"


def _links(ticket: _Ticket) -> tuple[Link, ...]:
    via = bytes(ticket.via)
    if ticket.problem_id is None and not ticket.followup_ids and b'"follow_up"' not in via:
        return ()
    links = []
    if ticket.problem_id is not None:
        links.append(Link("incident_of", "zendesk", "ticket", str(ticket.problem_id)))
    try:
        source = _decode_via(via).source
    except _UNREADABLE:
        source = None
    if source is not None and source.rel == "follow_up" and source.origin is not None and source.origin.ticket_id:
        links.append(Link("followup_of", "zendesk", "ticket", str(source.origin.ticket_id)))
    links.extend(Link("followed_up_by", "zendesk", "ticket", str(one)) for one in ticket.followup_ids or ())
    return tuple(links)


def _set_aside(raw: bytes, error: Exception) -> Quarantined:
    try:
        external_id = str(_decode_id(mask(raw)).id)
    except _UNREADABLE:
        external_id = None
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:300]
    return Quarantined(raw=text_of(raw), reason=reason, external_id=external_id)
