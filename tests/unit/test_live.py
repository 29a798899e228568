from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fakes import START, FakeClock, page
from zendeskd.models import PageCounts, State, Waiting
from zendeskd.runs.live import LiveRun


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


def live(time: FakeClock, told: list[str], deadline_s: float = 3600) -> LiveRun:
    return LiveRun(
        1,
        "sync",
        "manual",
        "ana",
        now=time.now,
        monotonic=time.monotonic,
        deadline_s=deadline_s,
        on_progress=lambda: told.append("progress"),
        on_wait=lambda _: told.append("wait"),
    )


def stored(run: LiveRun, watermark_ago: timedelta, read: int = 100) -> None:
    one = page(1)
    one.watermark = START - watermark_ago
    run.page_stored(one, PageCounts(read=read, created=read))


def test_progress_is_the_share_of_the_time_window(time: FakeClock) -> None:
    run = live(time, [])
    assert (run.view().progress, run.view().rate, run.view().eta_s) == (None, None, None)
    run.window_from = START - timedelta(hours=10)
    time.advance(seconds=10)
    for hours in (8, 6, 4):
        stored(run, timedelta(hours=hours))
        time.advance(seconds=10)
    view = run.view()
    assert (view.pages, view.counts.read) == (3, 300)
    assert view.progress == pytest.approx(0.6, abs=0.01)
    assert view.rate == pytest.approx(10)
    assert view.eta_s == pytest.approx(20, abs=1)


def test_a_window_whose_beginning_is_not_known_begins_at_the_first_page(time: FakeClock) -> None:
    run = live(time, [])
    stored(run, timedelta(hours=2))
    assert run.view().progress == 0.0
    stored(run, timedelta(hours=1))
    assert run.view().progress == pytest.approx(0.5)


def test_the_rate_is_that_of_the_last_minute(time: FakeClock) -> None:
    run = live(time, [])
    stored(run, timedelta(hours=9), read=100_000)
    time.advance(seconds=600)
    for _ in range(4):
        stored(run, timedelta(hours=9), read=60)
        time.advance(seconds=30)
    assert run.view().rate == pytest.approx(2, rel=0.5)


def test_no_time_left_is_told_while_the_stream_stands_still(time: FakeClock) -> None:
    run = live(time, [])
    for _ in range(5):
        stored(run, timedelta(hours=2))
        time.advance(seconds=5)
    assert run.view().eta_s is None


def test_waits_are_told_once_each(time: FakeClock) -> None:
    told: list[str] = []
    run = live(time, told)
    run.waits(None)
    run.waits(Waiting(state=State.LIMITED, until=START, reason="429"))
    assert run.is_waiting()
    run.waits(Waiting(state=State.RETRYING, until=START, reason="reset"))
    assert run.is_waiting()
    run.waits(None)
    run.waits(None)
    assert told == ["wait"] * 3
    assert run.view().waiting is None


def test_the_deadline_ends_the_run(time: FakeClock) -> None:
    run = live(time, [], deadline_s=60)
    time.advance(seconds=59)
    run.alive()
    assert not run.cancel.is_set()
    time.advance(seconds=1)
    run.alive()
    assert run.cancel.reason == "deadline"
