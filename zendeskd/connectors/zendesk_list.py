"""The `list` strategy: the ticket list in the order of `updated_at`, and the list of deleted tickets.

For accounts where the incremental export is not to be had. What it cannot see: archived tickets (older than 120 days),
and changes by the system that move no `updated_at`. Facts it is built on: the list's cursor is base64 of
`{"o": "updated_at,id", "v": base64("d" + epoch + "i" + id)}`, 64 bits each, little endian, and one made by hand is
accepted; it is null on an empty page; `meta.has_more` alone says that this is the end; at most 100 a page; deleted
tickets are listed apart, for 30 days.

A run reads the tickets first and the deletions after them, so that a long list of deletions holds nothing up. Only its
last page has a watermark: before it the deletions of the time that the tickets were read up to are still to come.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from zendeskd.connectors.account import FEW_TRIES, Account
from zendeskd.connectors.faults import Answer, Rejected
from zendeskd.connectors.odd_text import decoded, text_of
from zendeskd.connectors.transport import Request
from zendeskd.connectors.zendesk_tickets import INCLUDE, Envelope, SecondLook, TicketMapper, decode_envelope
from zendeskd.errors import BadResponse, CursorInvalid, CursorStuck
from zendeskd.models import Deletion, Page, Position, Quarantined, parse_stamp, stamp

TICKETS: Final = "/api/v2/tickets"
DELETED: Final = "/api/v2/deleted_tickets"
PAGE: Final = 100  # the most the lists give
OVERLAP: Final = timedelta(minutes=5)
"""How far behind its stored place a run begins: rows of one second come in any order, and late ones happen."""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """The stored cursor of this strategy: where the ticket list was, and since when deletions are to be read."""

    after: str | None
    deleted_since: int  # epoch seconds
    run: int = 0  # 0 when that run was complete; else it tells the places of one run from those of another
    deletions: str | None = None  # tells the pages of deletions apart; a run reads those from the newest again

    def text(self) -> str:
        return msgspec.json.encode(self).decode()


class _Meta(msgspec.Struct):
    has_more: bool
    after_cursor: str | None = None


class _Listing(Envelope, kw_only=True):
    meta: _Meta


class _Deleted(msgspec.Struct):
    id: int
    deleted_at: datetime


class _DeletedListing(msgspec.Struct):
    deleted_tickets: list[msgspec.Raw]
    meta: _Meta


class _Cursor(msgspec.Struct):
    o: str
    v: str


_listing_decoder = msgspec.json.Decoder(_Listing)
_decode_deleted = msgspec.json.Decoder(_Deleted).decode
_ORDER: Final = "updated_at,id"
_VALUES: Final = struct.Struct("<cqcq")


class ListReader:
    """Reads one account's tickets by the lists, for one run."""

    def __init__(self, account: Account, mapper: TicketMapper) -> None:
        self._account = account
        self._mapper = mapper
        self._second_look = SecondLook(account.stats)
        self._answered_at = account.time.now()  # by the server's clock, where that is behind ours
        self._deleted_sort = {"sort": "-deleted_at"}

    def pages(self, position: Position) -> Iterator[Page]:
        """Every changed ticket, then every deletion. Raises CursorInvalid and every RunError of a call."""
        if position.cursor is None:
            place = Place(made_cursor(position.since), _epoch(position.since))
            begin = [place.after, None]
        else:
            place = _place_in(position.cursor)
            begin = [made_cursor(instant_in(place.after)) or place.after, place.after]
        after, began = place.after, 0
        for page in self._tickets(begin):
            began = began or int(self._answered_at.timestamp())
            after = page.cursor or after
            page.cursor = Place(after, place.deleted_since, began).text()
            page.end_of_stream = False
            yield page
        yield from self._deletions(after, place.deleted_since, began)

    def census(self, since: Position) -> Iterator[Page]:
        """Every ticket of the list from there on. Archived tickets are not in it: `confirm` tells whether they are."""
        return self._tickets([made_cursor(since.since), None])

    def first(self, *, ask_again: bool) -> None:
        """The cheapest call that needs all the rights of a run."""
        self._account.get(
            lambda: _tickets_request(None, size=1), "list", self._decode, most_tries=FEW_TRIES, ask_again=ask_again
        )

    def _tickets(self, begin: Sequence[str | None]) -> Iterator[Page]:
        """Pages whose cursor is the list's own, the last with `end_of_stream`. `begin`: cursors to try in turn."""
        cursor, page = self._first_of(begin)
        while True:
            is_last, following = page.end_of_stream, page.cursor
            yield page
            if is_last:
                return
            if following is None or following == cursor:
                raise CursorStuck("The ticket list says there is more but its cursor does not move on.")
            cursor = following
            page = self._page(cursor)

    def _first_of(self, begin: Sequence[str | None]) -> tuple[str | None, Page]:
        rejected: Rejected | None = None
        for cursor in dict.fromkeys(begin):
            try:
                return cursor, self._page(cursor)
            except Rejected as error:
                if cursor is None or error.status not in {400, 404, 422}:
                    raise
                rejected = error
        assert rejected is not None
        raise CursorInvalid(
            f"Zendesk does not accept the stored cursor any more (HTTP {rejected.status}).",
            status=rejected.status,
            request_id=rejected.request_id,
        ) from rejected

    def _page(self, cursor: str | None) -> Page:
        def ask() -> Page:
            return self._account.get(lambda: _tickets_request(cursor), "list", self._decode)

        return self._second_look.at(ask(), ask)

    def _decode(self, answer: Answer) -> Page:
        envelope, raws = decode_envelope(answer, _listing_decoder)
        now = self._account.time.now()
        self._answered_at = min(answer.date or now, now)
        tickets = self._mapper.map(envelope, raws)
        return Page(
            records=tickets.records,
            quarantined=tickets.quarantined,
            end_of_stream=not envelope.meta.has_more,
            cursor=envelope.meta.after_cursor or None,
            strategy="list",
            reached=parse_stamp(max((one.updated_at for one in tickets.records if one.updated_at), default=None)),
        )

    def _deletions(self, after: str | None, since: int, began: int) -> Iterator[Page]:
        """Deletions since then, newest first, page by page; the last page completes the run."""
        oldest = datetime.fromtimestamp(max(0.0, since - OVERLAP.total_seconds()), UTC)
        cursor: str | None = None
        newest: datetime | None = None  # nothing on this page may be newer, if the order is the one asked for
        is_sorted = True
        while True:
            page, times, meta = self._deleted_page(cursor, oldest)
            is_sorted = is_sorted and _is_falling(times, newest)
            newest = times[-1] if times else newest
            # a list in another order than the one asked for is read to its end
            if not meta.has_more or (is_sorted and newest is not None and newest < oldest):
                page.end_of_stream = True
                page.cursor = Place(after, began).text()
                page.watermark = datetime.fromtimestamp(began, UTC) - OVERLAP
                yield page
                return
            if not meta.after_cursor or meta.after_cursor == cursor:
                raise CursorStuck("The list of deleted tickets says there is more but its cursor does not move on.")
            cursor = meta.after_cursor
            page.cursor = Place(after, since, began, cursor).text()
            yield page

    def _deleted_page(self, cursor: str | None, oldest: datetime) -> tuple[Page, list[datetime], _Meta]:
        """One page of deletions, their times, and what the list says of the next page."""
        try:
            listing = self._listing_of_deleted(cursor)
        except Rejected as error:
            if error.status != 400 or cursor is not None or not self._deleted_sort:
                raise
            self._deleted_sort = {}  # sorting is documented for the older pages of this list only
            listing = self._listing_of_deleted(cursor)
        page = Page(records=[], end_of_stream=False, strategy="list")
        times: list[datetime] = []
        for raw in listing.deleted_tickets:
            try:
                one = _decode_deleted(raw)
                at = one.deleted_at.replace(tzinfo=one.deleted_at.tzinfo or UTC)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                page.quarantined.append(Quarantined(raw=text_of(bytes(raw)), reason=f"deleted ticket: {error}"[:300]))
                continue
            times.append(at)
            if at >= oldest:
                page.deletions.append(Deletion(str(one.id), "ticket", stamp(at)))
        return page, times, listing.meta

    def _listing_of_deleted(self, cursor: str | None) -> _DeletedListing:
        place: dict[str, str | int] = {} if cursor is None else {"page[after]": cursor}
        request = Request(DELETED, {"page[size]": PAGE, **self._deleted_sort, **place})
        return self._account.get(lambda: request, "deleted", _decode_listing_of_deleted)


def made_cursor(since: datetime | None) -> str | None:
    """The list's own kind of cursor for a time, an overlap back. None: from the beginning."""
    if since is None:
        return None
    seconds = max(0, int((since - OVERLAP).timestamp()))
    values = base64.b64encode(_VALUES.pack(b"d", seconds, b"i", 0)).decode()
    return base64.b64encode(msgspec.json.encode(_Cursor(_ORDER, values))).decode()


def instant_in(cursor: str | None) -> datetime | None:
    """The time that one of the list's cursors stands for; None if it is made otherwise than it used to be."""
    try:
        inner = msgspec.json.decode(base64.b64decode(cursor or "", validate=True), type=_Cursor)
        d, seconds, i, _ = _VALUES.unpack(base64.b64decode(inner.v, validate=True))
        return datetime.fromtimestamp(seconds, UTC) if (inner.o, d, i) == (_ORDER, b"d", b"i") else None
    except (binascii.Error, msgspec.DecodeError, struct.error, ValueError, OverflowError, OSError):
        return None


def _place_in(cursor: str) -> Place:
    try:
        return msgspec.json.decode(cursor, type=Place)
    except msgspec.DecodeError as error:
        raise CursorInvalid("The stored cursor is not one of the ticket list.") from error


def _epoch(since: datetime | None) -> int:
    return 0 if since is None else max(0, int(since.timestamp()))


def _is_falling(times: Sequence[datetime], newest: datetime | None) -> bool:
    before = newest
    for at in times:
        if before is not None and at > before:
            return False
        before = at
    return True


def _tickets_request(cursor: str | None, size: int = PAGE) -> Request:
    place: dict[str, str | int] = {} if cursor is None else {"page[after]": cursor}
    return Request(TICKETS, {"sort": "updated_at", "page[size]": size, "include": INCLUDE, **place})


def _decode_listing_of_deleted(answer: Answer) -> _DeletedListing:
    try:
        return decoded(answer.body, _DeletedListing)  # subjects are people's text
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadResponse(
            f"{answer.host} answered with something else than the list of deleted tickets.",
            status=answer.status,
            request_id=answer.request_id,
        ) from error
