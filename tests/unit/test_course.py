"""The course of a run from its log lines: pages, retries, waits, what was set aside, the first and the last error."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.fixtures import mockup
from tests.fixtures.mockup import NOW
from zendeskd import wire
from zendeskd.models import stamp
from zendeskd.present import width
from zendeskd.tui import course
from zendeskd.tui.state import LogLine, log_line
from zendeskd.tui.times import TimeStyle

TIMES = TimeStyle("utc")


def line(event: str, ago_s: float, level: str = "info", **more: Any) -> LogLine:
    at = stamp(NOW - timedelta(seconds=ago_s))
    return log_line("", {"at": at, "level": level, "event": event, "org": "acme", "run": 8815, **more})


def run(**changes: Any) -> wire.RunDocument:
    return mockup.document(mockup.run(8815, pages=2), **changes)


LINES = [
    line("run began", 60, trigger="schedule"),
    line("rate limited", 55, reason="429, export budget", wait_s=30.0),
    line("page stored", 20, page=1, read=100, new=3, updated=90, unchanged=6, deleted=1, took_ms=40000,
         waited_ms=30000),
    line("request failed", 19, "warning", reason="HTTP 502, try 2 of 5", wait_s=0.6, error="acme answered 502.",
         request_id="zd-1"),
    line("request failed", 18, "warning", reason="time-out, try 3 of 5", wait_s=1.1),
    line("record set aside", 10, "warning", record="17", reason="created_at: no date"),
    line("run ended", 5, "error", status="failed", code="server_error", error="acme answers 502.", request_id="zd-9"),
]  # fmt: skip


def test_everything_that_happened_the_newest_first() -> None:
    found = course.steps(run(), LINES)
    assert [step.name for step in found] == ["ended", "skipped", "retry", "retry", "page 1", "limit"]
    assert [step.reason for step in found] == [
        "acme answers 502. · request zd-9",
        "17: created_at: no date",
        "time-out, try 3 of 5",
        "HTTP 502, try 2 of 5: acme answered 502. · request zd-1",
        "waited 30s",
        "429, export budget",
    ]
    assert (found[4].counts, found[4].took_ms) == ((100, 3, 90, 6, 1), 40000)
    assert course.title(found, 2) == "Pages 1 to 1 of 2 · 2 retries, 1s · 1 wait for a limit, 30s · 1 skipped"
    assert course.title(found, 1).startswith("Pages 1 ·")


def test_the_first_and_the_last_error_with_their_requests() -> None:
    found = course.steps(run(), LINES)
    assert course.troubles(found, NOW, TIMES) == [
        ("trouble", "first 14:24:27 HTTP 502, try 2 of 5: acme answered 502. · request zd-1"),
        ("", "last 14:24:28 time-out, try 3 of 5"),
    ]
    assert course.troubles(course.steps(run(), LINES[:3]), NOW, TIMES) == []
    assert [said[:8] for _, said in course.troubles(course.steps(run(), LINES[:4]), NOW, TIMES)] == ["14:24:27"]


def test_a_run_whose_lines_are_gone_still_has_its_page_and_what_it_set_aside() -> None:
    skipped = [wire.SkippedRecord(external_id=None, reason="id is missing", seen_at=mockup.ago(seconds=70))]
    found = course.steps(run(pages=1, skipped=skipped), [])
    assert [(step.name, step.why) for step in found] == [("page 1", ""), ("skipped", "no id: id is missing")]
    assert found[0].counts == (48, 4, 44, 0, 0)
    assert course.steps(run(pages=9), []) == []
    assert course.steps(run(pages=1, status="running"), []) == []


def test_a_record_is_told_once_whether_by_the_log_or_by_the_table() -> None:
    skipped = [
        wire.SkippedRecord(external_id="17", reason="created_at: no date", seen_at=mockup.ago(seconds=10)),
        wire.SkippedRecord(external_id="18", reason="created_at: no date", seen_at=mockup.ago(seconds=10)),
    ]
    found = course.steps(run(skipped=skipped), LINES)
    assert sorted(step.why for step in found if step.what == "skipped") == [
        "17: created_at: no date", "18: created_at: no date",
    ]  # fmt: skip


def test_lines_that_are_alike_are_two() -> None:
    found = course.steps(run(), [LINES[4], LINES[4]])
    assert len({step.key for step in found if step.what == "retry"}) == 2


def test_whatever_the_lines_say_it_is_shown_harmless() -> None:
    odd: list[LogLine] = [
        line("page stored", 9, page="[b]1", read=True, new=1.5, took_ms="long", waited_ms=[]),
        line("request failed", 8, "warning", reason={"a": 1}, wait_s=float("nan"), request_id="\x1b[31m"),
        line("rate limited", 7, reason=None, wait_s=1e300),
        line("record set aside", 6, "warning", record=["\n"], reason=None),
        line("\x1b]0;x\x07", 5, "error"),
    ]
    found = course.steps(run(), odd)
    chosen = course.columns(78)
    for step in found:
        cells = course.row(step, chosen, NOW, TIMES).cells
        assert not any(character < " " for cell in cells for character in cell.text)
    assert next(step for step in found if step.what == "page").counts == (None,) * 5


def test_the_columns_leave_room_for_the_reason() -> None:
    for cells in range(40, 140):
        chosen = course.columns(cells)
        assert chosen[-1].key == "why"
        used = 1 + sum(column.cells for column in chosen) + 2 * (len(chosen) - 1)
        assert used <= cells or cells < 48, cells
    assert [column.key for column in course.columns(78)] == ["at", "what", "read", "new", "updated", "took", "why"]
    assert len(course.columns(98)) == 9
    assert width(course.row(course.steps(run(), LINES)[0], course.columns(78), NOW, TIMES).cells[0].text) == 8


def test_what_is_copied_has_no_empty_keys() -> None:
    assert course.plain(course.steps(run(), LINES)[2]) == {
        "at": stamp(NOW - timedelta(seconds=18)), "what": "retry", "tookMs": 1100, "why": "time-out, try 3 of 5",
    }  # fmt: skip
