from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from tests.fakes import page
from tests.waiting import wait_for
from zendeskd.cancel import CancelToken
from zendeskd.errors import Cancelled, NetworkError, ServerError
from zendeskd.models import Page
from zendeskd.runs import ahead as ahead_module
from zendeskd.runs.ahead import FetchAhead


def ahead(pages: Iterator[Page], cancel: CancelToken | None = None, **options: object) -> FetchAhead:
    known: dict[str, object] = {"is_waiting": lambda: False, "alive": lambda: None}
    return FetchAhead(pages, cancel or CancelToken(), **{**known, **options})  # type: ignore[arg-type]


def ended(fetcher: FetchAhead) -> None:
    fetcher.close()
    fetcher.join(5)
    assert not fetcher._thread.is_alive()


def test_all_pages_come_in_order() -> None:
    pages = [page(n, cursor=str(n)) for n in range(50)]
    fetcher = ahead(iter(pages))
    assert [p.cursor for p in fetcher] == [str(n) for n in range(50)]
    ended(fetcher)


def test_never_more_than_one_page_ahead() -> None:
    fetched: list[int] = []

    def source() -> Iterator[Page]:
        for n in range(10):
            fetched.append(n)
            yield page(n)

    fetcher = ahead(source())
    for n in range(10):
        next(fetcher)
        wait_for(lambda n=n: len(fetched) >= min(10, n + 2), "the next page")  # type: ignore[misc]
        assert len(fetched) <= n + 2
    ended(fetcher)


def test_an_error_comes_after_the_pages_before_it() -> None:
    def source() -> Iterator[Page]:
        yield page(1)
        raise ServerError("down")

    fetcher = ahead(source())
    assert next(fetcher).records[0].external_id == "1"
    with pytest.raises(ServerError, match="down"):
        next(fetcher)
    ended(fetcher)


def test_a_cancelled_consumer_leaves_at_once_while_the_source_hangs() -> None:
    cancel, hang = CancelToken(), threading.Event()

    def source() -> Iterator[Page]:
        hang.wait(30)
        yield page(1)

    fetcher = ahead(source(), cancel)
    threading.Timer(0.05, cancel.set, ["cancelled"]).start()
    with pytest.raises(Cancelled):
        next(fetcher)
    hang.set()
    ended(fetcher)


def test_a_source_that_sends_nothing_is_stalled() -> None:
    hang, alive = threading.Event(), []

    def source() -> Iterator[Page]:
        hang.wait(30)
        yield page(1)

    fetcher = ahead(source(), stall_s=0.05, alive=lambda: alive.append(1))
    with pytest.raises(NetworkError, match="stalled"):
        next(fetcher)
    assert alive
    hang.set()
    ended(fetcher)


def test_waiting_for_a_rate_limit_is_no_stall() -> None:
    release, limited = threading.Event(), threading.Event()
    limited.set()

    def source() -> Iterator[Page]:
        release.wait(30)
        yield page(1)

    slices = []

    def alive() -> None:
        slices.append(1)
        if len(slices) == 5:
            release.set()

    fetcher = ahead(source(), stall_s=0.02, alive=alive, is_waiting=limited.is_set)
    assert next(fetcher).records[0].external_id == "1"
    ended(fetcher)


def test_waits_between_tries_do_not_begin_the_stall_anew() -> None:
    """A source that never answers is tried again and again, with a short wait before each try."""
    hang, looks = threading.Event(), itertools.count()

    def source() -> Iterator[Page]:
        hang.wait(30)
        yield page(1)

    fetcher = ahead(source(), stall_s=0.05, is_waiting=lambda: next(looks) % 2 == 0)
    with pytest.raises(NetworkError, match="stalled"):
        next(fetcher)
    assert next(looks) < 50
    hang.set()
    ended(fetcher)


def test_it_tells_when_nothing_comes_and_when_that_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_module, "QUIET_S", 0.02)
    monkeypatch.setattr(ahead_module, "SLICE_S", 0.01)
    release, told = threading.Event(), []

    def source() -> Iterator[Page]:
        yield page(1)
        release.wait(30)
        yield page(2)

    def quiet(is_quiet: bool) -> None:
        told.append(is_quiet)
        release.set()

    fetcher = ahead(source(), quiet=quiet)
    next(fetcher)
    assert told == []
    next(fetcher)
    assert told == [True, False]
    ended(fetcher)


def test_a_fetcher_that_ends_without_a_word_is_noticed_at_once() -> None:
    def source() -> Iterator[Page]:
        yield page(1)
        raise Cancelled  # though nobody has cancelled anything: a bug of the source

    fetcher = ahead(source())
    next(fetcher)
    fetcher.join(5)
    with pytest.raises(RuntimeError, match="ended without a word"):
        next(fetcher)


def test_the_fetcher_ends_when_the_consumer_leaves_early() -> None:
    fetcher = ahead(page(n) for n in range(1000))
    next(fetcher)
    ended(fetcher)


def test_cancelled_inside_the_source_is_the_consumers_cancelled() -> None:
    cancel = CancelToken()

    def source() -> Iterator[Page]:
        yield page(1)
        cancel.wait(30)

    fetcher = ahead(source(), cancel)
    next(fetcher)
    cancel.set("shutdown")
    with pytest.raises(Cancelled):
        next(fetcher)
    ended(fetcher)
