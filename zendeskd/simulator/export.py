"""GET /api/v2/incremental/tickets/cursor.

Rows live and deleted in the order of (generated_timestamp, id), those of the most recent minute hidden; a page is what
lies strictly after the cursor, or from `start_time` on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from zendeskd.simulator.answers import Answer, bad_cursor, bad_parameter, gzipped, too_recent
from zendeskd.simulator.calls import Call
from zendeskd.simulator.clock import SETTLE_S
from zendeskd.simulator.cursors import BadCursor, export_cursor, read_export_cursor
from zendeskd.simulator.faults import SPOILED, Fault
from zendeskd.simulator.pages import TicketPage, side_loads, spoil, spoil_encoded
from zendeskd.simulator.rows import AI_AGENT, DELETED, SCRUBBED, Ticket

if TYPE_CHECKING:
    from zendeskd.simulator.account import Account

LARGEST_PAGE: Final = 1000
_SCOPES: Final = ("agent", "all", "ai_agent")
_WORTH_KEEPING: Final = 50  # tickets; smaller pages are quicker made than looked up


class _Wrong(Exception):
    """A parameter that gets a 400."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True)
class _Asked:
    size: int
    sent_size: str | None
    start_time: int | None
    cursor: str | None
    place: tuple[int, int] | None
    without: int  # rows with one of these flags are left out
    only: int  # rows without these flags are left out
    include: tuple[str, ...]


def export(account: Account, call: Call, fault: Fault | None) -> Answer:
    """The answer to a call that is allowed. Under the account's lock."""
    now = account.clock.seconds()
    try:
        asked = _read(call, int(now))
    except _Wrong as wrong:
        return wrong.answer
    horizon = int(now) - SETTLE_S
    rows = account.rows
    first = rows.start(*asked.place) if asked.place else rows.start(asked.start_time or 0)
    picked, has_more = _pick(account, asked, first, rows.end(horizon))
    if not has_more:
        account.read_up_to = max(account.read_up_to, horizon)
    kept = (account.name, rows.version, first, len(picked), has_more, asked, call.takes_gzip)
    if fault is None or fault.kind not in SPOILED:
        if len(picked) >= _WORTH_KEEPING and (body := account.kept_pages.get(kept)) is not None:
            return Answer(200, body, is_gzip=call.takes_gzip)
        fault = None
    body = _write(account, asked, _page(account, asked, picked, has_more, first), fault)
    if call.takes_gzip:
        body = gzipped(body)
    if fault is None and len(picked) >= _WORTH_KEEPING:
        account.kept_pages.put(kept, body)
    return Answer(200, body, is_gzip=call.takes_gzip)


def _read(call: Call, now: int) -> _Asked:
    """Raises _Wrong."""
    query = call.query
    size = _number(query.get("per_page"), "per_page", LARGEST_PAGE)
    cursor = query.get("cursor")
    scope = query.get("support_type_scope", "agent")
    if scope not in _SCOPES:
        raise _Wrong(bad_parameter("support_type_scope", "must be one of all, agent, ai_agent"))
    without = AI_AGENT if scope == "agent" else 0
    if query.get("exclude_deleted", "").lower() in {"true", "1"}:
        without |= DELETED | SCRUBBED
    place, start = None, None
    if cursor is not None:
        try:
            place = read_export_cursor(cursor)
        except BadCursor:
            raise _Wrong(bad_cursor("cursor")) from None
    else:
        start = _number(query.get("start_time"), "start_time", None, least=0)
        if start >= now - SETTLE_S:
            raise _Wrong(too_recent())
    include = tuple(name.strip() for name in query.get("include", "").split(",") if name.strip())
    only = AI_AGENT if scope == "ai_agent" else 0
    return _Asked(min(size, LARGEST_PAGE), query.get("per_page"), start, cursor, place, without, only, include)


def _number(text: str | None, name: str, otherwise: int | None, least: int = 1) -> int:
    if text is None and otherwise is not None:
        return otherwise
    try:
        number = int(text or "")
    except ValueError:
        number = least - 1
    if number < least:
        raise _Wrong(bad_parameter(name, "must be an integer"))
    return number


def _pick(account: Account, asked: _Asked, first: int, end: int) -> tuple[list[int], bool]:
    """The ids of the page, and whether a visible row follows."""
    rows, flags = account.rows, account.rows.flags
    if not asked.without and not asked.only:
        stop = min(first + asked.size, end)
        return [rows.id_at(place) for place in range(first, stop)], stop < end
    picked: list[int] = []
    for place in range(first, end):
        ticket_id = rows.id_at(place)
        has = flags[ticket_id - 1]
        if not has & asked.without and has & asked.only == asked.only:
            if len(picked) == asked.size:
                return picked, True
            picked.append(ticket_id)
    return picked, False


def _page(account: Account, asked: _Asked, picked: list[int], has_more: bool, first: int) -> TicketPage:
    rows = account.rows
    tickets = [rows[ticket_id] for ticket_id in picked]
    if tickets:
        cursor: str | None = _cursor_after(tickets[-1])
    else:
        cursor = None if account.has_null_cursor_at_end else asked.cursor
    before = [rows[rows.id_at(place)] for place in range(max(0, first - 10), first)]
    account.first_cursor = account.first_cursor or cursor
    return TicketPage(tickets, has_more, cursor, asked.cursor, _cursor_after, before, account.first_cursor)


def _cursor_after(ticket: Ticket) -> str:
    return export_cursor(ticket.generated, ticket.id)


def _write(account: Account, asked: _Asked, page: TicketPage, fault: Fault | None) -> bytes:
    if fault is not None:
        spoil(page, fault, account.rows)
    encoded = [account.writer.ticket(ticket) for ticket in page.tickets]
    loads = side_loads(asked.include, encoded, account.people)
    if fault is not None:
        spoil_encoded(encoded, fault)
    cursor, url = b"null", b"null"
    if page.cursor is not None:
        cursor = b'"%b"' % page.cursor.encode()
        sent = f"per_page={asked.sent_size}&" if asked.sent_size is not None else ""
        address = (
            f"{account.base_url}/api/v2/incremental/tickets/cursor.json?{sent}cursor={quote(page.cursor, safe='')}"
        )
        url = b'"%b"' % address.encode()
    return b'{"tickets":[%b]%b,"after_url":%b,"after_cursor":%b,"before_url":null,"before_cursor":null,%b}' % (
        b",".join(encoded),
        loads,
        url,
        cursor,
        b'"end_of_stream":false' if page.has_more else b'"end_of_stream":true',
    )
