"""What a run tells the log: pages, waits, records that were set aside; and how loudly."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.fakes import FakeClock, page
from zendeskd.models import CallStats, PageCounts, Quarantined, State, Waiting
from zendeskd.runs.telling import SET_ASIDE_MAX, Telling


class Heard:
    """A bound logger that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **said: self.lines.append((level, event, said))


class Told:
    def __init__(self, **options: Any) -> None:
        self.clock, self.calls, self.heard = FakeClock(), CallStats(), Heard()
        self.telling = Telling(
            self.heard, "page stored", calls=lambda: self.calls, now=self.clock.now, monotonic=self.clock.monotonic,
            **options,
        )  # fmt: skip

    def page(self, *, end: bool = False, **counts: int) -> tuple[str, str, dict[str, Any]] | None:
        before = len(self.heard.lines)
        self.telling.page_stored(page(1, end=end), PageCounts(**counts))
        return self.heard.lines[-1] if len(self.heard.lines) > before else None

    def wait(self, state: State, seconds: float, **said: Any) -> tuple[str, str, dict[str, Any]]:
        until = self.clock.now() + timedelta(seconds=seconds)
        self.telling.waits(Waiting(state=state, until=until, reason="why", **said))
        return self.heard.lines[-1]


def test_a_page_is_told_with_its_numbers_and_how_long_it_took() -> None:
    told = Told()
    told.clock.advance(seconds=1.5)
    told.calls.rate_limit_wait_ms = 400
    first = told.page(read=100, created=3, updated=90, unchanged=7)
    assert first == (
        "info",
        "page stored",
        {"page": 1, "read": 100, "new": 3, "updated": 90, "unchanged": 7, "deleted": 0, "took_ms": 1500,
         "waited_ms": 400},
    )  # fmt: skip
    told.clock.advance(seconds=0.25)
    second = told.page(read=10, unchanged=10)
    assert second is not None
    assert second[0] == "info", "a page of several is told even if nothing was new"
    assert (second[2]["page"], second[2]["took_ms"], "waited_ms" in second[2]) == (2, 250, False)


def test_a_run_of_one_page_with_nothing_new_is_quiet() -> None:
    assert (Told().page(end=True, read=3, unchanged=3) or ("",))[0] == "debug"
    assert (Told().page(end=True, read=3, unchanged=2, updated=1) or ("",))[0] == "info"
    assert (Told().page(read=3, unchanged=3) or ("",))[0] == "info", "there is more to come"
    assert Told().page(end=True) is None, "an empty page"


def test_a_comparison_tells_only_pages_that_mended_something() -> None:
    told = Told(is_quiet=True)
    assert [(told.page(read=9, unchanged=9) or ("",))[0] for _ in range(3)] == ["debug"] * 3
    assert (told.page(read=9, unchanged=8, created=1) or ("",))[0] == "info"


def test_retries_are_told_with_their_reason_and_the_request() -> None:
    told = Told()
    level, event, said = told.wait(State.RETRYING, 1.52, error="acme answered 502.", request_id="abc-1")
    assert (level, event) == ("warning", "request failed")
    assert said == {"reason": "why", "wait_s": 1.5, "error": "acme answered 502.", "request_id": "abc-1"}
    assert told.wait(State.RETRYING, 1)[2] == {"reason": "why", "wait_s": 1.0}


def test_long_waits_for_a_limit_are_told_and_the_usual_pacing_is_not() -> None:
    assert Told().wait(State.LIMITED, 60)[:2] == ("info", "rate limited")
    assert Told().wait(State.LIMITED, 6)[:2] == ("debug", "rate limited")
    told = Told()
    told.telling.waits(None)
    assert told.heard.lines == []


def test_thousands_of_bad_records_do_not_fill_the_log() -> None:
    told = Told()
    bad = page(1)
    bad.quarantined = [Quarantined(raw="{", reason="garbled", external_id=str(n)) for n in range(SET_ASIDE_MAX + 50)]
    told.telling.page_stored(bad, PageCounts(read=len(bad.quarantined), failed=len(bad.quarantined)))
    lines = [event for level, event, _ in told.heard.lines if level == "warning"]
    assert lines.count("record set aside") == SET_ASIDE_MAX
    assert lines.count("more records set aside") == 1
