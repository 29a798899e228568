"""The other reads: the ticket list by keyset, deleted tickets, several tickets by id, and their number."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from zendeskd.simulator.answers import Answer, as_json, bad_cursor, bad_parameter, gzipped, too_many_values
from zendeskd.simulator.calls import Call
from zendeskd.simulator.cursors import BadCursor, internal_id, list_cursor, read_list_cursor, ticket_number
from zendeskd.simulator.faults import SPOILED, Fault
from zendeskd.simulator.pages import TicketPage, side_loads, spoil, spoil_encoded
from zendeskd.simulator.rows import ARCHIVED, DAY_S, DELETED, GONE, SCRUBBED, Ticket, key_parts, list_key
from zendeskd.simulator.tickets import iso

if TYPE_CHECKING:
    from zendeskd.simulator.account import Account

LARGEST_PAGE: Final = 100
DELETED_DAYS: Final = 30
_TICKET_SORTS: Final = {"updated_at": "updated_at,id", "id": "nice_id"}
_DELETED_SORTS: Final = {"deleted_at": "deleted_at,id", "id": "nice_id"}


class _Keyset:
    """A sort order over keys `instant << 32 | id`, ascending or descending, and the cursors into it."""

    def __init__(self, sort: str, sorts: Mapping[str, str]) -> None:
        self.is_descending = sort.startswith("-")
        names = sorts.get(sort.lstrip("-"), "nice_id")
        self.by_time = names != "nice_id"
        self.order = ("-" if self.is_descending else "") + names

    def cursor(self, key: int) -> str:
        when, ticket_id = key_parts(key)
        values = (when, internal_id(ticket_id)) if self.by_time else (ticket_id,)
        return list_cursor(self.order, *values)

    def key(self, cursor: str) -> int:
        """Raises BadCursor."""
        values = read_list_cursor(cursor, self.order)
        if any(not 0 <= value < 1 << 62 for value in values):
            raise BadCursor(cursor)
        if not self.by_time:
            return min(values[0], (1 << 32) - 1)
        return list_key(min(values[0], (1 << 30) * 3), min(ticket_number(values[1]), (1 << 32) - 1))

    def page(self, keys: Sequence[int], after: str | None, size: int) -> tuple[list[int], bool, list[int]]:
        """(keys of the page, whether more follow, a few keys before it). `keys` ascend. Raises BadCursor."""
        if self.is_descending:
            end = len(keys) if after is None else bisect_left(keys, self.key(after))
            first = max(0, end - size)
            return list(keys[first:end])[::-1], first > 0, list(keys[end : end + 10])[::-1]
        first = 0 if after is None else bisect_right(keys, self.key(after))
        return list(keys[first : first + size]), first + size < len(keys), list(keys[max(0, first - 10) : first])


def _size(call: Call) -> int | None:
    """None for a page size that is not allowed."""
    text = call.query.get("page[size]", str(LARGEST_PAGE))
    return int(text) if text.isdecimal() and 1 <= int(text) <= LARGEST_PAGE else None


def _sort(call: Call) -> str:
    """The old `sort_by` beside it silently drops the sort (probed)."""
    return "id" if "sort_by" in call.query else call.query.get("sort", "id")


def tickets(account: Account, call: Call, fault: Fault | None) -> Answer:
    """GET /api/v2/tickets: nothing deleted, nothing archived; `start_time` is ignored."""
    size = _size(call)
    if size is None:
        return bad_parameter("page[size]", f"must be an integer from 1 to {LARGEST_PAGE}")
    keyset, after = _Keyset(_sort(call), _TICKET_SORTS), call.query.get("page[after]")
    keys = account.rows.listed() if keyset.by_time else account.rows.listed_ids()
    try:
        picked, has_more, before = keyset.page(keys, after, size)
    except BadCursor:
        return bad_cursor("page[after]")
    rows = account.rows

    def cursor_of(ticket: Ticket) -> str:
        return keyset.cursor(list_key(ticket.updated, ticket.id) if keyset.by_time else ticket.id)

    page = TicketPage(
        [rows[key_parts(key)[1]] for key in picked],
        has_more,
        keyset.cursor(picked[-1]) if picked else None,
        after,
        cursor_of,
        [rows[key_parts(key)[1]] for key in before],
        keyset.cursor(keys[0]) if keys else None,
    )
    spoils = fault if fault is not None and fault.kind in SPOILED else None
    if spoils:
        spoil(page, spoils, account.rows)
    encoded = [account.writer.ticket(ticket) for ticket in page.tickets]
    loads = side_loads(_include(call), encoded, account.people)
    if spoils:
        spoil_encoded(encoded, spoils)
    end = _pagination(account, call, page.cursor, keyset.cursor(picked[0]) if picked else None, page.has_more)
    return _packed(call, b'{"tickets":[%b]%b,%b}' % (b",".join(encoded), loads, end))


def deleted_tickets(account: Account, call: Call, fault: Fault | None) -> Answer:
    """GET /api/v2/deleted_tickets: deleted in the last 30 days, not purged, not archived."""
    del fault
    size = _size(call)
    if size is None:
        return bad_parameter("page[size]", f"must be an integer from 1 to {LARGEST_PAGE}")
    keyset, after = _Keyset(_sort(call), _DELETED_SORTS), call.query.get("page[after]")
    oldest = account.clock.seconds() - DELETED_DAYS * DAY_S
    flags = account.rows.flags
    keys = sorted(
        list_key(when, ticket_id) if keyset.by_time else ticket_id
        for ticket_id, when in account.rows.deleted_at.items()
        if when > oldest and flags[ticket_id - 1] & (DELETED | SCRUBBED | ARCHIVED | GONE) == DELETED
    )
    try:
        picked, has_more, _ = keyset.page(keys, after, size)
    except BadCursor:
        return bad_cursor("page[after]")
    items = [_deleted(account, key_parts(key)[1]) for key in picked]
    first, last = (keyset.cursor(picked[0]), keyset.cursor(picked[-1])) if picked else (None, None)
    body = b'{"deleted_tickets":[%b],"count":%d,%b}' % (
        b",".join(items),
        len(keys),
        _pagination(account, call, last, first, has_more),
    )
    return _packed(call, body)


def _deleted(account: Account, ticket_id: int) -> bytes:
    ticket = account.rows[ticket_id]
    actor = account.people.user_id(0)
    return b'{"id":%d,"subject":"%b","actor":{"id":%d,"name":%b},"deleted_at":"%b","previous_state":"%b"}' % (
        ticket_id,
        account.writer.subject(ticket),
        actor,
        json.dumps(account.people.name(0), ensure_ascii=False).encode(),
        iso(account.rows.deleted_at[ticket_id]),
        account.writer.status(ticket).encode(),
    )


def show_many(account: Account, call: Call, fault: Fault | None) -> Answer:
    """GET /api/v2/tickets/show_many: those of up to 100 ids that are there; deleted ones are not."""
    del fault
    asked = [part.strip() for part in call.query.get("ids", "").split(",") if part.strip()]
    if len(asked) > LARGEST_PAGE:
        return too_many_values(LARGEST_PAGE)
    if not asked or not all(part.isdecimal() for part in asked):
        return bad_parameter("ids", "must be a list of integers")
    encoded = []
    for ticket_id in sorted({int(part) for part in asked}):
        if 1 <= ticket_id <= len(account.rows):
            ticket = account.rows[ticket_id]
            if not ticket.flags & (DELETED | SCRUBBED | GONE):
                encoded.append(account.writer.ticket(ticket))
    loads = side_loads(_include(call), encoded, account.people)
    return _packed(
        call,
        b'{"tickets":[%b]%b,"next_page":null,"previous_page":null,"count":%d}'
        % (b",".join(encoded), loads, len(encoded)),
    )


def count(account: Account, call: Call, fault: Fault | None) -> Answer:
    """GET /api/v2/tickets/count."""
    del call, fault
    at = datetime.fromtimestamp(account.clock.seconds(), UTC).isoformat(timespec="seconds")
    return as_json({"count": {"value": len(account.rows.listed()), "refreshed_at": at}})


def _include(call: Call) -> tuple[str, ...]:
    return tuple(name.strip() for name in call.query.get("include", "").split(",") if name.strip())


def _pagination(account: Account, call: Call, last: str | None, first: str | None, has_more: bool) -> bytes:
    """`meta` and `links`. `links.next` is there on the last page too (recorded); on an empty page all is null."""
    query = {name: value for name, value in call.query.items() if name not in {"page[after]", "page[before]"}}

    def link(name: str, cursor: str | None) -> str | None:
        return None if cursor is None else f"{account.base_url}{call.path}.json?{urlencode({**query, name: cursor})}"

    said = {
        "meta": {"has_more": has_more, "after_cursor": last, "before_cursor": first},
        "links": {"prev": link("page[before]", first), "next": link("page[after]", last)},
    }
    return json.dumps(said, separators=(",", ":")).encode()[1:-1]


def _packed(call: Call, body: bytes) -> Answer:
    return Answer(200, gzipped(body), is_gzip=True) if call.takes_gzip else Answer(200, body)
