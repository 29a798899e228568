from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import START, ScriptedSource, Step, integration, page
from zendeskd import sync
from zendeskd.cancel import CancelToken
from zendeskd.errors import (
    BadResponse,
    Cancelled,
    CredentialError,
    CursorInvalid,
    CursorStuck,
    NetworkError,
    ServerError,
    StorageError,
)
from zendeskd.models import CallStats, Integration, Page, PageCounts, Position, Quarantined, RunResult, RunStatus
from zendeskd.runs.ahead import FetchAhead

T = TypeVar("T")


class Ready(NamedTuple):
    page: Page


class ListStore:
    """Keeps the pages it is given; fails on the page whose number is `fails_at`."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.pages: list[Page] = []
        self.fails_at = fails_at

    def prepare(self, page: Page) -> Ready:
        return Ready(page)

    def write_page(self, prepared: Ready, calls: CallStats, now: datetime) -> PageCounts:
        page = prepared.page
        if len(self.pages) + 1 == self.fails_at:
            raise StorageError("The disk is full.")
        self.pages.append(page)
        return PageCounts(read=len(page.records), created=len(page.records), failed=len(page.quarantined))

    def ids(self) -> list[str]:
        return [record.external_id for stored in self.pages for record in stored.records]


class Heard:
    def __init__(self) -> None:
        self.counts: list[PageCounts] = []

    def page_stored(self, page: Page, counts: PageCounts) -> None:
        self.counts.append(counts)


def straight(pages: Iterator[T], cancel: CancelToken) -> Iterator[T]:
    return pages


def run(
    script: Sequence[Step],
    *,
    of: Integration | None = None,
    store: ListStore | None = None,
    cancel: CancelToken | None = None,
) -> tuple[RunResult, ListStore, ScriptedSource]:
    source, store = ScriptedSource(script), store or ListStore()
    result = sync.run(
        of or integration(), source, store, cancel or CancelToken(), Heard(), ahead=straight, now=lambda: START
    )
    return result, store, source


def test_success_is_said_only_at_the_end_of_the_stream() -> None:
    result, store, _ = run([page(1, 2, cursor="a"), page(3, cursor="b", end=True)])
    assert (result.status, result.end_reason, result.error_code) == (RunStatus.SUCCESS, "end_of_stream", None)
    assert store.ids() == ["1", "2", "3"]


def test_an_empty_page_in_the_middle_is_not_the_end() -> None:
    result, store, _ = run([page(1, cursor="a"), page(cursor="b"), page(2, cursor="c", end=True)])
    assert result.status is RunStatus.SUCCESS
    assert store.ids() == ["1", "2"]


def test_pages_that_cease_without_an_end_are_a_failure() -> None:
    result, store, _ = run([page(1, cursor="a")])
    assert (result.status, result.error_code) == (RunStatus.FAILED, "cursor_stuck")
    assert store.ids() == ["1"]


@pytest.mark.parametrize("cursors", [["a", "a"], ["a", None], ["a", "b", "a", "b", "a", "b"], [None]])
def test_a_cursor_that_does_not_advance_ends_the_run(cursors: list[str | None]) -> None:
    result, _, _ = run([page(n, cursor=cursor) for n, cursor in enumerate(cursors)])
    assert (result.status, result.error_code) == (RunStatus.FAILED, "cursor_stuck")


@given(lead=st.integers(0, 40), loop=st.integers(1, 40))
def test_every_circle_of_cursors_is_found(lead: int, loop: int) -> None:
    guard = sync.CursorGuard(None)
    walk = [str(n) for n in range(lead)] + [f"loop-{n % loop}" for n in range(6 * (lead + loop) + 6)]
    with pytest.raises(CursorStuck):
        for cursor in walk:
            guard.advance(cursor)


def test_a_long_straight_walk_is_no_circle() -> None:
    guard = sync.CursorGuard("start")
    for n in range(5000):
        guard.advance(str(n))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CredentialError("no"), "credential_error"),
        (NetworkError("no"), "network_error"),
        (ServerError("no"), "server_error"),
        (BadResponse("no"), "bad_response"),
    ],
)
def test_an_error_keeps_what_was_stored_and_names_its_class(error: Exception, code: str) -> None:
    result, store, _ = run([page(1, cursor="a"), error])
    assert (result.status, result.error_code, result.error_message) == (RunStatus.FAILED, code, "no")
    assert store.ids() == ["1"]


def test_a_page_that_cannot_be_stored_ends_the_run() -> None:
    result, store, _ = run([page(1, cursor="a"), page(2, cursor="b", end=True)], store=ListStore(fails_at=2))
    assert (result.status, result.error_code) == (RunStatus.FAILED, "storage_error")
    assert store.ids() == ["1"]


@pytest.mark.parametrize(("bad", "said"), [(1, "1 record could not be read and was"), (2, "2 records could not")])
def test_bad_records_make_the_run_partial(bad: int, said: str) -> None:
    stored = page(1, cursor="a", end=True)
    stored.quarantined = [Quarantined(raw="{}", reason="no id")] * bad
    result, _, _ = run([stored])
    assert (result.status, result.error_code) == (RunStatus.PARTIAL, "bad_record")
    assert said in (result.error_message or "")


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        ("cancelled", RunStatus.CANCELLED, None),
        ("stopped", RunStatus.CANCELLED, None),
        ("shutdown", RunStatus.INTERRUPTED, None),
        ("deadline", RunStatus.FAILED, "network_error"),
    ],
)
def test_a_run_asked_to_end_ends_after_the_page_it_is_at(reason: str, status: RunStatus, code: str | None) -> None:
    cancel = CancelToken()

    def last_page() -> Page:
        cancel.set(reason)
        return page(2, cursor="b")

    result, store, _ = run([page(1, cursor="a"), last_page, page(3, cursor="c", end=True)], cancel=cancel)
    assert (result.status, result.end_reason, result.error_code) == (status, reason, code)
    assert store.ids() == ["1", "2"]


def test_a_run_that_reached_the_end_is_good_even_if_asked_to_end_meanwhile() -> None:
    cancel = CancelToken()

    def last_page() -> Page:
        cancel.set("cancelled")
        return page(1, end=True)

    assert run([last_page], cancel=cancel)[0].status is RunStatus.SUCCESS


def test_a_wait_that_is_cancelled_ends_the_run() -> None:
    cancel = CancelToken()
    cancel.set("cancelled")
    result, store, _ = run([page(1, cursor="a"), Cancelled()], cancel=cancel)
    assert result.status is RunStatus.CANCELLED
    assert store.ids() == ["1"]


# --- where a run begins -----------------------------------------------------------------------------------------------


def test_the_first_run_begins_at_the_lookback() -> None:
    assert sync.starting_position(integration(lookback="7d"), START).since == START - timedelta(days=7)
    assert sync.starting_position(integration(lookback="all"), START).since is None


def test_a_stored_cursor_goes_before_everything() -> None:
    position = sync.starting_position(integration(cursor="x", cursor_strategy="export", watermark=START), START)
    assert (position.cursor, position.since) == ("x", None)


def test_a_cursor_of_another_strategy_is_not_used() -> None:
    one = integration(cursor="x", cursor_strategy="export", strategy="list", watermark=START)
    position = sync.starting_position(one, START)
    assert (position.cursor, position.since, position.strategy) == (None, START - sync.OVERLAP, "list")


def test_an_invalid_cursor_falls_back_to_the_watermark() -> None:
    one = integration(cursor="old", cursor_strategy="export", watermark=START - timedelta(hours=5))
    attempts: list[Sequence[Step]] = [[CursorInvalid("expired")], [page(1, end=True)]]

    class Twice(ScriptedSource):
        def pages(self, position: sync.Position) -> Iterator[Page]:
            self.script = attempts.pop(0)
            return super().pages(position)

    source, store = Twice([]), ListStore()
    result = sync.run(one, source, store, CancelToken(), Heard(), ahead=straight, now=lambda: START)
    assert result.status is RunStatus.SUCCESS
    assert [p.cursor for p in source.positions] == ["old", None]
    assert source.positions[1].since == START - timedelta(hours=5) - sync.OVERLAP


def test_an_invalid_cursor_without_a_watermark_falls_back_to_the_lookback() -> None:
    one = integration(cursor="old", cursor_strategy="export")
    result, _, source = run([CursorInvalid("expired")], of=one)
    assert [p.cursor for p in source.positions] == ["old", None]
    assert source.positions[1].since == START - timedelta(days=7)
    assert (result.status, result.error_code) == (RunStatus.FAILED, "cursor_stuck")


@pytest.mark.parametrize(
    ("text", "span"),
    [("7d", timedelta(days=7)), ("12h", timedelta(hours=12)), ("2W", timedelta(weeks=2)), ("all", None)],
)
def test_lookback(text: str, span: timedelta | None) -> None:
    assert sync.parse_lookback(text) == span


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "-1d", "7 days", "1.5d", "٣d", "999999999d"])
def test_a_bad_lookback_says_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match='write "7d"'):
        sync.parse_lookback(text)


def test_a_page_is_made_ready_by_the_thread_that_fetches_it() -> None:
    ready: list[int] = []
    written: list[int] = []

    class Watched(ListStore):
        def prepare(self, page: Page) -> Ready:
            ready.append(threading.get_ident())
            return super().prepare(page)

        def write_page(self, prepared: Ready, calls: CallStats, now: datetime) -> PageCounts:
            written.append(threading.get_ident())
            return super().write_page(prepared, calls, now)

    def elsewhere(pages: Iterator[T], cancel: CancelToken) -> Iterator[T]:
        with ThreadPoolExecutor(1) as fetcher:
            yield from fetcher.submit(list, pages).result()

    store = Watched()
    result = sync.run(
        integration(),
        ScriptedSource([page(1, cursor="a"), page(2, cursor="b", end=True)]),
        store,
        CancelToken(),
        Heard(),
        ahead=elsewhere,
        now=lambda: START,
    )
    assert (result.status, store.ids()) == (RunStatus.SUCCESS, ["1", "2"])
    assert written == [threading.get_ident()] * 2
    assert len(ready) == 2 and threading.get_ident() not in ready


def test_whoever_fetches_closes_the_sources_pages_when_the_run_is_over() -> None:
    """What they still have under way ends before the run does."""
    closed_by: list[str] = []
    fetchers: list[FetchAhead[Any]] = []

    class Source:
        calls = CallStats()

        def pages(self, position: Position) -> Iterator[Page]:
            try:
                while True:
                    yield page(1, cursor="c")
            finally:
                closed_by.append(threading.current_thread().name)

    def ahead(pages: Iterator[T], cancel: CancelToken) -> Iterator[T]:
        fetchers.append(FetchAhead(pages, cancel, is_waiting=lambda: False, alive=lambda: None))
        return fetchers[0]

    store = ListStore(fails_at=1)
    sync.run(integration(), Source(), store, CancelToken(), Heard(), ahead=ahead, now=lambda: START)
    fetchers[0].join(10)
    assert closed_by == ["MainThread-fetch"]
