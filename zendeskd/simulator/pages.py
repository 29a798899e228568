"""A page of tickets: picked, spoiled if a fault says so, and written out with its side-loads."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from zendeskd.simulator.faults import Fault
from zendeskd.simulator.people import People
from zendeskd.simulator.rows import STRANGE, Rows, Ticket

_USERS: Final = re.compile(rb'"(?:requester|submitter|assignee)_id":(\d+)')
_GROUPS: Final = re.compile(rb'"group_id":(\d+)')
_ORGANIZATIONS: Final = re.compile(rb'"organization_id":(\d+)')


@dataclass
class TicketPage:
    """`cursor` is where the next page begins, `sent` the cursor this page was asked with, `before` the rows just
    before it, `earlier` a cursor that was given out long ago."""

    tickets: list[Ticket]
    has_more: bool
    cursor: str | None
    sent: str | None
    make_cursor: Callable[[Ticket], str]
    before: Sequence[Ticket] = ()
    earlier: str | None = None
    encoded: list[bytes] = field(default_factory=list)


def spoil(page: TicketPage, fault: Fault, rows: Rows) -> None:
    """Do to the page what the fault says, before it is encoded."""
    if fault.kind == "strange_text" and page.tickets:
        first = page.tickets[0].id
        rows.mark([first], STRANGE)  # what is sent is what there is
        page.tickets[0] = rows[first]
    if fault.kind in {"stuck_cursor", "repeating_cursor", "null_cursor"}:
        page.has_more = True
    if fault.kind == "stuck_cursor":
        page.cursor = page.sent or page.cursor
    elif fault.kind == "repeating_cursor":
        page.cursor = page.earlier or page.cursor
    elif fault.kind == "null_cursor":
        page.cursor = None
    elif fault.kind == "short_page" and len(page.tickets) > fault.options["rows"]:
        page.tickets = page.tickets[: max(1, fault.options["rows"])]
        page.has_more = True
        page.cursor = page.make_cursor(page.tickets[-1])
    elif fault.kind == "duplicates":
        again = page.tickets[: fault.options["rows"]]
        if fault.options["is_stale"]:
            stale = [_older(one) for one in again]
            page.tickets = [*stale[1:], *page.tickets, *stale[:1]]
        else:
            page.tickets = [*page.tickets, *again]
    elif fault.kind == "duplicates_across":
        page.tickets = [*page.before[-fault.options["rows"] :], *page.tickets]


def spoil_encoded(encoded: list[bytes], fault: Fault) -> None:
    """As above, to the encoded first ticket."""
    if not encoded:
        return
    if fault.kind == "malformed_ticket":
        encoded[0] = _MALFORMED[fault.options["variant"]](encoded[0])


_MALFORMED: Final[dict[str, Callable[[bytes], bytes]]] = {
    "no_id": lambda raw: re.sub(rb'"id":\d+,', b"", raw, count=1),
    "null_id": lambda raw: re.sub(rb'"id":\d+,', b'"id":null,', raw, count=1),
    "text_id": lambda raw: re.sub(rb'"id":(\d+),', rb'"id":"no \1",', raw, count=1),
    "wrong_types": lambda raw: re.sub(rb'"tags":\[[^]]*\]', b'"tags":{"a":1}', raw, count=1).replace(
        b'"subject":"', b'"subject":["', 1
    ).replace(b'","raw_subject"', b'"],"raw_subject"', 1),
    "not_an_object": lambda _: b'"a ticket"',
}  # fmt: skip


def _older(ticket: Ticket) -> Ticket:
    """An earlier delivery of the same ticket, with another status."""
    return ticket._replace(revision=ticket.revision + 3, updated=ticket.updated - 90, generated=ticket.generated - 90)


def side_loads(include: Iterable[str], tickets: Sequence[bytes], people: People) -> bytes:
    """`,"users":[…],"groups":[…]` with what these tickets refer to and nothing else."""
    text = b"\n".join(tickets)
    kinds = {
        "users": (_USERS, people.user),
        "groups": (_GROUPS, people.group),
        "organizations": (_ORGANIZATIONS, people.organization),
    }
    parts = []
    for name in include:
        if name in kinds:
            pattern, write = kinds[name]
            ids = dict.fromkeys(pattern.findall(text))
            parts.append(b',"%b":[%b]' % (name.encode(), b",".join([write(int(one)) for one in ids])))
    return b"".join(parts)


class PageCache:
    """Encoded pages, the latest used, up to a number of bytes. Any thread."""

    def __init__(self, most: int = 64 * 1024 * 1024) -> None:
        self._most, self._held = most, 0
        self._pages: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> bytes | None:
        with self._lock:
            if key in self._pages:
                self._pages.move_to_end(key)
            return self._pages.get(key)

    def put(self, key: Hashable, body: bytes) -> None:
        with self._lock:
            self._held += len(body) - len(self._pages.pop(key, b""))
            self._pages[key] = body
            while self._held > self._most and self._pages:
                self._held -= len(self._pages.popitem(last=False)[1])
