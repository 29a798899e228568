"""One run of one integration: pages -> records -> cursor.

Knows no thread, no socket, no clock but the one it is handed. A source, a store, a cancel token and a progress
callback come in; a RunResult goes out. Nothing but Cancelled and RunError is expected from source and store; anything
else is a bug and is left to the worker's outer frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from zendeskd.cancel import CancelToken
from zendeskd.errors import Cancelled, CursorInvalid, CursorStuck, RunError
from zendeskd.models import CallStats, Integration, Page, PageCounts, Position, RunResult, RunStatus

OVERLAP: Final = timedelta(minutes=10)
"""How far before the watermark a run begins when the source no longer accepts the stored cursor."""


class PageSource(Protocol):
    calls: CallStats

    def pages(self, position: Position) -> Iterator[Page]: ...


class Prepared(Protocol):
    """A page that a store has made ready to be written."""

    @property
    def page(self) -> Page: ...


P = TypeVar("P", bound=Prepared)
T = TypeVar("T")


class PageStore(Protocol[P]):
    """The writing side. One call, one transaction: records, links, search index, cursor and counters together."""

    def prepare(self, page: Page) -> P:
        """What can be done before it is the page's turn. Called by the thread that fetches; touches no database."""

    def write_page(self, prepared: P, calls: CallStats, now: datetime) -> PageCounts:
        """Store a page of the run this store was opened for. Raises StorageError with nothing of the page stored."""


class Ahead(Protocol):
    def __call__(self, pages: Iterator[T], cancel: CancelToken, /) -> Iterator[T]:
        """Fetches the next page while this one is written; raises Cancelled in the consumer at once."""


class Progress(Protocol):
    def page_stored(self, page: Page, counts: PageCounts) -> None:
        """Told after each commit, with what the page did."""


def parse_lookback(text: str) -> timedelta | None:
    """`7d`, `12h`, `2w` as a span; `all` as None. Raises ValueError that says what would be right."""
    value = text.strip().lower()
    if value == "all":
        return None
    units = {"h": "hours", "d": "days", "w": "weeks"}
    number, unit = value[:-1], value[-1:]
    if unit not in units or not (number.isascii() and number.isdigit()) or int(number) < 1 or int(number) > 100_000:
        raise ValueError(f'lookback {text!r} is not a span: write "7d", "12h", "2w" or "all"')
    return timedelta(**{units[unit]: int(number)})


def starting_position(integration: Integration, now: datetime) -> Position:
    """The stored cursor if it is of the strategy in use; else the watermark less an overlap; else now - lookback."""
    if integration.cursor and integration.cursor_strategy == integration.strategy:
        return Position(strategy=integration.strategy, cursor=integration.cursor)
    if integration.watermark is not None:
        return Position(strategy=integration.strategy, since=integration.watermark - OVERLAP)
    lookback = parse_lookback(integration.lookback)
    return Position(strategy=integration.strategy, since=None if lookback is None else now - lookback)


class CursorGuard:
    """Finds a cursor that stands still or goes in a circle, in constant memory (Brent's cycle search)."""

    def __init__(self, first: str | None) -> None:
        self._last = first
        self._mark = first
        self._steps = 0
        self._limit = 1

    def advance(self, cursor: str | None) -> None:
        """Raises CursorStuck if `cursor`, which promises more pages, was here before."""
        if cursor is None or cursor in (self._last, self._mark):
            raise CursorStuck(
                "The source says there is more but its cursor does not move on "
                f"({'no cursor' if cursor is None else 'the same cursor again'}).",
                hint="The next run tries again from the last stored page. If it stays: zendeskctl resync",
            )
        self._last = cursor
        self._steps += 1
        if self._steps == self._limit:
            self._mark, self._steps, self._limit = cursor, 0, self._limit * 2


def run(
    integration: Integration,
    source: PageSource,
    store: PageStore[P],
    cancel: CancelToken,
    progress: Progress,
    *,
    ahead: Ahead,
    now: Callable[[], datetime],
) -> RunResult:
    """Read everything new and store it. The result is `success` only if the source said end of stream.

    Called by a worker thread. What was stored stays stored whatever the result; the next run goes on from there.
    """
    position = starting_position(integration, now())
    totals = PageCounts()
    try:
        try:
            _read(position, source, store, cancel, progress, ahead, now, totals)
        except CursorInvalid:
            if position.cursor is None:
                raise
            since = None if integration.watermark is None else integration.watermark - OVERLAP
            if since is None:
                since = starting_position(_without_cursor(integration), now()).since
            fallback = Position(strategy=position.strategy, since=since)
            _read(fallback, source, store, cancel, progress, ahead, now, totals)
    except Cancelled:
        return cancelled(cancel)
    except RunError as error:
        return failed(error)
    if totals.failed:
        return RunResult(
            status=RunStatus.PARTIAL,
            end_reason="end_of_stream",
            error_code="bad_record",
            error_message=f"{totals.failed} record{'s' if totals.failed > 1 else ''} could not be read and "
            f"{'were' if totals.failed > 1 else 'was'} set aside.",
        )
    return RunResult(status=RunStatus.SUCCESS, end_reason="end_of_stream")


def _read(
    position: Position,
    source: PageSource,
    store: PageStore[P],
    cancel: CancelToken,
    progress: Progress,
    ahead: Ahead,
    now: Callable[[], datetime],
    totals: PageCounts,
) -> None:
    guard = CursorGuard(position.cursor)
    # not map(): whoever closes this closes the source's pages with it
    pages = ahead((store.prepare(page) for page in source.pages(position)), cancel)
    try:
        for prepared in pages:
            page = prepared.page
            counts = store.write_page(prepared, source.calls, now())
            totals.add(counts)
            progress.page_stored(page, counts)
            if page.end_of_stream:
                return
            cancel.check()
            guard.advance(page.cursor)
    finally:
        close = getattr(pages, "close", None)
        if close is not None:
            close()
    raise CursorStuck("The source stopped sending pages without saying that this was the end.")


def _without_cursor(integration: Integration) -> Integration:
    from msgspec.structs import replace  # noqa: PLC0415 - one rare path

    return replace(integration, cursor=None)


def failed(error: RunError) -> RunResult:
    return RunResult(
        status=RunStatus.FAILED,
        end_reason="error",
        error_code=error.code,
        error_message=error.detail,
        error_hint=error.hint,
        request_id=error.request_id,
    )


def cancelled(cancel: CancelToken) -> RunResult:
    """How a run ends whose token was set: by the daemon's end `interrupted`, out of time `failed`, else `cancelled`."""
    reason = cancel.reason or "cancelled"
    if reason == "shutdown":
        return RunResult(status=RunStatus.INTERRUPTED, end_reason=reason)
    if reason == "deadline":
        return RunResult(
            status=RunStatus.FAILED,
            end_reason=reason,
            error_code="network_error",
            error_message="The run reached its time limit; what was read is stored and the next run goes on there.",
        )
    return RunResult(status=RunStatus.CANCELLED, end_reason=reason)
