"""The lines of one view of the log: stream and file together, each once, in order, without holes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.mockup import NOW
from zendeskd.models import stamp
from zendeskd.tui import log_lines
from zendeskd.tui.log_lines import LogLines
from zendeskd.tui.state import LogLine, log_line


def line(number: float, org: str = "acme", level: str = "info", **more: Any) -> LogLine:
    at = stamp(NOW + timedelta(seconds=number))
    return log_line("", {"at": at, "level": level, "event": f"line {number}", "org": org, **more})


def numbers(held: LogLines) -> list[str]:
    return [each.event.removeprefix("line ") for each in held.lines]


def test_a_line_has_the_instant_at_which_it_was_written() -> None:
    assert log_line("2026-01-01T00:00:00.000Z", {"event": "x", "at": stamp(NOW)}).at == stamp(NOW)
    for odd in (None, 5, "yesterday", ""):
        assert log_line("2026-01-01T00:00:00.000Z", {"event": "x", "at": odd}).at == "2026-01-01T00:00:00.000Z"


def test_the_usual_system_takes_no_room() -> None:
    assert log_line("", {"event": "x", "system": "zendesk", "run": 5}).rest == "run=5"
    assert log_line("", {"event": "x", "system": "jira", "run": 5}).rest == "system=jira run=5"


def test_what_the_stream_and_the_file_both_tell_is_there_once() -> None:
    held = LogLines()
    held.take([line(5), line(6)])
    held.take_page([line(n) for n in range(3, 8)], has_older=True, whole_until="")
    held.take([line(7), line(8)])  # the stream comes behind the file
    assert numbers(held) == ["3", "4", "5", "6", "7", "8"]
    held.take([line(8)])
    assert numbers(held)[-2:] == ["8", "8"], "a line that is told twice by the stream was written twice"


def test_the_order_is_that_of_their_instants_whoever_tells_them_first() -> None:
    held = LogLines()
    held.take([line(2), line(1), line(3)])
    held.take_page([line(1), line(1.5), line(2)], has_older=False, whole_until="")
    assert numbers(held) == ["1", "1.5", "2", "3"]


def test_only_what_is_wanted() -> None:
    held = LogLines(orgs=["acme"], level="warn", run=5)
    held.take([line(1), line(2, level="warning", run=5), line(3, "hooli", "error", run=5), line(4, level="error")])
    held.take_page([line(0, level="error", run=5), line(0, "hooli", "error", run=5)], has_older=False, whole_until="")
    assert numbers(held) == ["0", "2"]


def test_no_hole_after_a_connection_was_lost() -> None:
    held = LogLines()
    held.take([line(n) for n in range(5)])
    held.take_page([line(n) for n in range(3, 9)], has_older=True, whole_until=line(4).at)
    assert numbers(held) == [str(n) for n in range(9)], "what was missed is filled in"
    held.take_page([line(n) for n in range(20, 25)], has_older=True, whole_until=line(8).at)
    assert numbers(held) == [str(n) for n in range(20, 25)], "more was missed than was read: the older ones go"
    assert held.has_older


def test_a_first_page_does_not_join_lines_between_which_some_may_be_missing() -> None:
    held = LogLines()
    held.begin([line(1), line(9)])  # from before a loss and after it
    held.take_page([line(n) for n in (5, 6, 7, 8)], has_older=True, whole_until="")
    assert numbers(held) == ["5", "6", "7", "8", "9"]
    held.take_older([line(n) for n in (1, 2, 3, 4, 5)], has_older=False)
    assert numbers(held) == [str(n) for n in range(1, 10)]
    assert not held.has_older


def test_a_file_with_nothing_takes_nothing_away() -> None:
    held = LogLines()
    held.take([line(1)])
    for has_older in (True, False):
        held.take_page([], has_older=has_older, whole_until="")
        assert numbers(held) == ["1"]


def test_what_is_held_has_an_end_and_nothing_goes_while_it_is_read(monkeypatch: Any) -> None:
    monkeypatch.setattr(log_lines, "MOST", 10)
    monkeypatch.setattr(log_lines, "_SLACK", 2)
    held = LogLines()
    held.take([line(n) for n in range(40)], may_forget=False)
    assert len(held.lines) == 40
    held.take([line(40)])
    assert (len(held.lines), numbers(held)[-1], held.has_older) == (10, "40", True)


def test_a_revision_tells_that_something_changed() -> None:
    held = LogLines(level="warn")
    before = held.revision
    held.take([line(1)])
    assert held.revision == before
    held.take([line(2, level="error")])
    assert held.revision > before


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 8), st.data())
def test_wherever_the_file_was_read_every_line_is_there_once(
    connected: int, told: int, page: int, data: st.DataObject
) -> None:
    """Lines 0 to 40 are written; the stream tells those from `connected` on; the file is read in the midst of it."""
    lines = [line(n // 3, same=n) for n in range(41)]  # three within each instant
    written = data.draw(st.integers(max(connected, told), 41))
    held = LogLines()
    held.take(lines[connected : max(connected, told)])
    first = max(0, written - page)
    held.take_page(lines[first:written], has_older=first > 0, whole_until="")
    held.take(lines[max(connected, told) :])
    while held.has_older:
        until = held.lines[0].at if held.lines else lines[-1].at + "z"
        older = [each for each in lines if each.at <= until][-max(page, 4) * 2 :]
        held.take_older(older, has_older=older[0] is not lines[0])
    assert [each.at for each in held.lines] == [each.at for each in lines]
    assert sorted(each.rest for each in held.lines) == sorted(each.rest for each in lines)
