"""The `export` strategy: Zendesk's incremental cursor export of tickets.

Facts it is built on: the cursor is a place in the order of (generated_timestamp, id) and lives across runs; it is null
on an empty first page; only `end_of_stream` says that this is the end; the most recent minute is held back, and a
`start_time` in it is refused; parameters are not surely part of a cursor, so they are sent with each; big pages time
out; tickets of AI agents come only with `support_type_scope=all`; deleted tickets come with status "deleted".
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

import msgspec

from zendeskd.connectors.account import FEW_TRIES, Account
from zendeskd.connectors.budgets import EXPORT
from zendeskd.connectors.faults import Answer, Rejected
from zendeskd.connectors.transport import Request
from zendeskd.connectors.zendesk_tickets import (
    INCLUDE,
    Envelope,
    SecondLook,
    TicketMapper,
    decode_envelope,
    instant_of,
)
from zendeskd.errors import CursorInvalid, CursorStuck, NetworkError, PermissionDenied, RunError
from zendeskd.models import Page, Position
from zendeskd.threads import Companion

PATH: Final = "/api/v2/incremental/tickets/cursor"
LARGEST_PAGE: Final = 1000
LAG: Final = timedelta(seconds=120)
"""How far behind the server's clock a start must lie: one minute by its rules, two for certain."""
LEGACY_LAG: Final = timedelta(minutes=5, seconds=30)
_GOOD_BEFORE_GROWING: Final = 3
_FAR_S: Final = 0.01
"""An answer that begins later is worth a thread that waits for the next: a page of tickets is read in about as long."""
_LOOK_WITHIN_S: Final = 90.0
"""So long a page that is to be asked for again waits for the call under way: a minute's rate limit, or a time-out."""
_ENDS_WITHIN_S: Final = 2.0


class _Export(Envelope, kw_only=True):
    end_of_stream: bool
    after_cursor: str | None = None


_decoder = msgspec.json.Decoder(_Export)


class _Unread(NamedTuple):
    """An answer that is a page, before its tickets are read."""

    read: Callable[[], Page]
    following: str | None = None  # the cursor of the page after it
    after_s: float = 0.0
    request: Request = Request(PATH)  # what it answers


def _nothing_new() -> Page:
    return Page(records=[], end_of_stream=True)


class PageSize:
    """How many tickets to ask for: halves when a page is too slow or too large, doubles after three good ones.

    One per account, kept between runs: an account that can only do 60 a page need not time out every time.
    """

    def __init__(self) -> None:
        self.now = LARGEST_PAGE
        self._good = 0

    def shrink(self) -> bool:
        """Halve. False if it is 1 already."""
        self._good = 0
        if self.now == 1:
            return False
        self.now = max(1, self.now // 2)
        return True

    def went_well(self) -> None:
        self._good += 1
        if self._good >= _GOOD_BEFORE_GROWING:
            self._good = 0
            self.now = min(LARGEST_PAGE, self.now * 2)


class ExportReader:
    """Reads one account's tickets by the export, for one run."""

    def __init__(self, account: Account, mapper: TicketMapper, page_size: PageSize) -> None:
        self._account = account
        self._mapper = mapper
        self._page_size = page_size
        self._second_look = SecondLook(account.stats)

    def pages(self, position: Position) -> Iterator[Page]:
        """Every page from the position to the end of the stream. Raises CursorInvalid and every RunError of a call.

        Where answers take their time, the next page is asked for before the tickets of this one are read.
        """
        cursor = position.cursor
        start = None if cursor is not None else self._start(position.since, self._account.time.now() - LAG)
        asked: Future[_Unread] | None = None
        companion = Companion(f"{threading.current_thread().name}-ask")
        try:
            while True:
                unread = self._ask(cursor, start) if asked is None else asked.result()
                following, request = unread.following, unread.request
                asked = None if following == cursor else self._ask_ahead(unread, companion)
                page = unread.read()
                del unread  # and with it the whole answer
                if self._second_look.is_due(page) and _ended_well(asked):
                    page = self._second_look.at(page, partial(self._ask_again, request))
                yield page
                if page.end_of_stream:
                    return
                if page.cursor is None or page.cursor == cursor:
                    raise CursorStuck("The export says there is more but its cursor does not move on.")
                if page.cursor != following:  # so said the second answer
                    asked = None
                cursor, start = page.cursor, None
        finally:
            companion.close(_ENDS_WITHIN_S)

    def census(self, since: Position) -> Iterator[Page]:
        """The whole export from there on, deleted tickets included."""
        return self.pages(Position(strategy="export", since=since.since))

    def first(self, *, ask_again: bool) -> None:
        """The cheapest call that needs all the rights of a run."""
        start = int((self._account.time.now() - LEGACY_LAG).timestamp())

        def call(cursor: str | None, start: int | None) -> _Unread:
            return self._account.get(
                lambda: _request(cursor, start, 1), EXPORT, self._decode, most_tries=FEW_TRIES, ask_again=ask_again
            )

        self._too_recent_is_nothing(call, None, start)

    def _start(self, since: datetime | None, latest: datetime) -> int:
        """`start_time`: 0 is the beginning."""
        return 0 if since is None else max(0, int(min(since, latest).timestamp()))

    def _too_recent_is_nothing(
        self, call: Callable[[str | None, int | None], _Unread], cursor: str | None, start: int | None
    ) -> _Unread:
        """A page; where the start is refused as too recent, once more by the server's own clock, then nothing new."""
        for lag in (LAG, LEGACY_LAG, None):
            try:
                return call(cursor, start)
            except PermissionDenied as error:
                raise self._refused("refuses the incremental export of tickets", error, error.hint) from error
            except Rejected as error:
                if not _is_too_recent(error):
                    raise self._meaning_of(error, cursor) from error
                if start is None or lag is None:
                    break
                latest = (error.date or self._account.time.now()) - lag
                start = min(start, max(0, int(latest.timestamp())))
        return _Unread(_nothing_new)

    def _ask(self, cursor: str | None, start: int | None) -> _Unread:
        return self._too_recent_is_nothing(self._answer, cursor, start)

    def _ask_ahead(self, unread: _Unread, companion: Companion) -> Future[_Unread] | None:
        """The page after it, on its way. None where there is none, or where it is not worth it."""
        if unread.following is None or unread.after_s < _FAR_S:
            return None
        try:
            return companion.call(partial(self._ask, unread.following, None))
        except NetworkError:  # no more threads: it is asked for in its turn
            return None

    def _ask_again(self, request: Request) -> Page:
        """The same request: only then are both the same page. With few tries, since there is a page that waits."""
        return self._account.get(lambda: request, EXPORT, self._decode, most_tries=FEW_TRIES).read()

    def _answer(self, cursor: str | None, start: int | None) -> _Unread:
        size = self._page_size
        request = Request(PATH)

        def sent() -> Request:
            nonlocal request
            request = _request(cursor, start, size.now)
            return request

        unread = self._account.get(sent, EXPORT, self._decode, shrink=size.shrink)
        size.went_well()
        return unread._replace(request=request)

    def _decode(self, answer: Answer) -> _Unread:
        envelope, raws = decode_envelope(answer, _decoder)
        following = None if envelope.end_of_stream else envelope.after_cursor or None
        now = self._account.time.now()
        return _Unread(partial(self._read, envelope, raws, min(answer.date or now, now)), following, answer.after_s)

    def _read(self, envelope: _Export, raws: list[bytes], answered_at: datetime) -> Page:
        tickets = self._mapper.map(envelope, raws)
        watermark = None
        if tickets.records:
            watermark = instant_of(max(record.source_version for record in tickets.records))
        if envelope.end_of_stream:
            # everything up to the held-back minute was shown, if it was nothing too
            watermark = max(watermark or answered_at - LAG, answered_at - LAG)
        return Page(
            records=tickets.records,
            quarantined=tickets.quarantined,
            end_of_stream=envelope.end_of_stream,
            cursor=envelope.after_cursor or None,
            strategy="export",
            watermark=watermark,
        )

    def _refused(self, how: str, error: RunError, hint: str) -> PermissionDenied:
        without = f"Without the export: zendeskctl org set {self._account.org} --strategy list"
        return PermissionDenied(
            f"Zendesk {how} (HTTP {error.status}).",
            hint=f"{hint} {without}".strip(),
            status=error.status,
            request_id=error.request_id,
        )

    def _meaning_of(self, error: Rejected, cursor: str | None) -> Exception:
        if error.status == 404 and error.name == "InvalidEndpoint":
            return self._refused("does not offer the incremental export of tickets to this account", error, "")
        if cursor is not None and error.status in {400, 404, 422}:
            return CursorInvalid(
                f"Zendesk does not accept the stored cursor any more (HTTP {error.status}).",
                status=error.status,
                request_id=error.request_id,
            )
        return error


def _ended_well(asked: Future[_Unread] | None) -> bool:
    """Whether the call under way, if there is one, has ended well, so that the account is free for another. One that
    fails or lasts does not hold up the page that waits."""
    if asked is None:
        return True
    wait([asked], _LOOK_WITHIN_S)
    return asked.done() and asked.exception() is None


def _request(cursor: str | None, start: int | None, per_page: int) -> Request:
    place: dict[str, str | int] = {"cursor": cursor} if cursor is not None else {"start_time": start or 0}
    return Request(PATH, {**place, "support_type_scope": "all", "include": INCLUDE, "per_page": per_page})


def _is_too_recent(error: Rejected) -> bool:
    return error.name == "StartTimeTooRecent" or (error.status in {400, 422} and "too recent" in error.message.lower())
