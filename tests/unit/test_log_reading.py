"""Reading the log file back: newest first, in pieces, over rotated files, past whatever is garbled."""

from __future__ import annotations

import itertools
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zendeskd import log_pieces, log_reading
from zendeskd.log_reading import Wanted, is_place, read
from zendeskd.models import stamp

START = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


def line(number: int, org: str = "acme", level: str = "info", **more: Any) -> str:
    at = stamp(START + timedelta(seconds=number))
    return json.dumps({"at": at, "level": level, "event": f"line {number}", "org": org, **more}, separators=(",", ":"))


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.write_bytes(("\n".join(lines) + (end if lines else "")).encode(errors="surrogatepass"))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sync-service.log"


def events(path: Path, wanted: Wanted | None = None, **options: Any) -> list[str]:
    return [one["event"] for one in read(path, wanted or Wanted(), **{"limit": 1000, **options}).lines]


def all_pages(path: Path, wanted: Wanted | None = None, **options: Any) -> tuple[list[str], int]:
    """Every line, page after page; and how many pages there were."""
    found, after, pages = [], None, 0
    while True:
        page = read(path, wanted or Wanted(), after=after, **{"limit": 1000, **options})
        found += [one["event"] for one in page.lines]
        pages += 1
        if page.next is None:
            return found, pages
        assert is_place(page.next)
        assert page.next != after, "each page goes on"
        after = page.next


def test_the_newest_come_first_and_the_next_page_goes_on(path: Path) -> None:
    write(path, *(line(n) for n in range(10)))
    first = read(path, Wanted(), limit=4)
    assert [one["event"] for one in first.lines] == ["line 9", "line 8", "line 7", "line 6"]
    assert first.complete
    with path.open("a", encoding="utf-8") as file:
        file.write(line(10) + "\n")  # what is logged meanwhile changes nothing for who reads on
    second = read(path, Wanted(), limit=4, after=first.next)
    assert [one["event"] for one in second.lines] == ["line 5", "line 4", "line 3", "line 2"]
    last = read(path, Wanted(), limit=4, after=second.next)
    assert ([one["event"] for one in last.lines], last.next, last.complete) == (["line 1", "line 0"], None, True)


def test_rotated_files_go_on_where_the_newest_begins(path: Path) -> None:
    write(path.with_name("sync-service.log.10"), line(0))
    write(path.with_name("sync-service.log.2"), line(1), line(2))
    write(path.with_name("sync-service.log.1"), line(3))
    write(path, line(4))
    write(path.with_name("sync-service.log.bak"), line(98))
    write(path.with_name("sync-service.log.3.gz"), line(99))
    assert events(path) == ["line 4", "line 3", "line 2", "line 1", "line 0"]
    assert all_pages(path, limit=1)[0] == ["line 4", "line 3", "line 2", "line 1", "line 0"]


def test_logrotate_may_name_them_by_the_day(path: Path) -> None:
    for place, name in enumerate(("sync-service.log-20261121", "sync-service.log-20261122")):
        os.utime(write(path.with_name(name), line(place)), (place + 1, place + 1))
    write(path, line(2))
    assert events(path) == ["line 2", "line 1", "line 0"]


def test_a_rotation_between_two_pages_loses_and_doubles_nothing(path: Path) -> None:
    write(path, *(line(n) for n in range(6)))
    first = read(path, Wanted(), limit=2)
    path.rename(path.with_name("sync-service.log.1"))
    write(path, line(6))
    assert [one["event"] for one in read(path, Wanted(), limit=9, after=first.next).lines] == [
        "line 3", "line 2", "line 1", "line 0",
    ]  # fmt: skip


def test_a_place_in_a_file_that_is_gone_is_the_end(path: Path) -> None:
    write(path, line(0), line(1))
    found = read(path, Wanted(), limit=5, after="ffffffffffff-10")
    assert (found.lines, found.next, found.complete) == ([], None, True)


def test_no_file_and_an_empty_one(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(path, Wanted(), limit=5)
    write(path)
    assert read(path, Wanted(), limit=5).lines == []


def test_what_is_garbled_or_half_is_left_out(path: Path) -> None:
    write(
        path,
        line(0),
        "\0" * 4000,
        "not json",
        '{"at":"2026-11-23T14:00:01.000Z","level":"info","event":"cut of',
        "[1]",
        "{}",
        '{"at":5,"event":"no instant"}',
        '{"at":"yesterday","event":"no instant"}',
        "[" * 5000,
        line(1, text="\x1b[31m"),
        '{"at":"2026-11-23T14:00:02.000Z","level":"info","event":"half \\ud83d a pair"}',
        line(3)[:-9],
        end="",
    )
    assert events(path) == ["half ? a pair", "line 1", "line 0"]


def test_a_line_longer_than_what_is_read_at_once_is_left_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pieces, "CHUNK", 1000)
    write(path, line(0), line(1, text="x" * 5000), line(2), line(3))
    assert events(path) == ["line 3", "line 2", "line 0"]


def test_lines_are_chosen_by_level_organisation_and_run(path: Path) -> None:
    write(
        path,
        line(0, level="debug", run=5),
        line(1, run=5),
        line(2, org="hooli", level="warning", run=55),
        line(3, org="hooli", level="error"),
        line(4, level="error", run=True),
        line(5, org="acme-eu", run=5),
        line(6, level="warning", reason="run 5, org hooli"),
    )
    assert events(path, Wanted(level="debug"))[-1] == "line 0"
    assert events(path, Wanted(level="warning")) == ["line 6", "line 4", "line 3", "line 2"]
    assert events(path, Wanted(level="error")) == ["line 4", "line 3"]
    assert events(path, Wanted(orgs=frozenset({"acme", "none"}))) == ["line 6", "line 4", "line 1"]
    assert events(path, Wanted(orgs=frozenset({"hooli"}), level="error")) == ["line 3"]
    assert events(path, Wanted(run=5)) == ["line 5", "line 1"], "neither 55 nor a text that has a 5"
    assert events(path, Wanted(run=1)) == [], "true is no number"


def test_lines_between_two_instants(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pieces, "CHUNK", 1000)
    write(path.with_name("sync-service.log.1"), *(line(n) for n in range(100)))
    write(path, *(line(n) for n in range(100, 200)))
    between = Wanted(since=START + timedelta(seconds=97), until=START + timedelta(seconds=103))
    assert events(path, between) == [f"line {n}" for n in (102, 101, 100, 99, 98, 97)]
    assert all_pages(path, between, limit=2)[0] == events(path, between)
    assert events(path, Wanted(until=START)) == []
    assert events(path, Wanted(since=START + timedelta(hours=1))) == []


def test_it_does_not_look_through_what_is_too_old_or_too_new(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pieces, "CHUNK", 1000)
    write(path, *(line(n) for n in range(20_000)))
    wanted = Wanted(since=START + timedelta(seconds=9000), until=START + timedelta(seconds=9003))
    found = read(path, wanted, limit=10, most_bytes=5000)
    assert ([one["event"] for one in found.lines], found.complete) == (["line 9002", "line 9001", "line 9000"], True)


def test_it_stops_after_so_much_and_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pieces, "CHUNK", 1000)
    write(path, line(0, org="rare"), *(line(n) for n in range(1, 500)))
    wanted = Wanted(orgs=frozenset({"rare"}))
    first = read(path, wanted, limit=10, most_bytes=5000)
    assert (first.lines, first.complete) == ([], False)
    assert first.next is not None
    found, pages = all_pages(path, wanted, most_bytes=5000)
    assert found == ["line 0"]
    assert pages > 5


def test_it_stops_after_so_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pieces, "CHUNK", 1000)
    write(path, *(line(n) for n in range(500)))
    ticks = iter(range(1000))
    found = read(path, Wanted(orgs=frozenset({"rare"})), limit=10, most_s=3.0, monotonic=lambda: float(next(ticks)))
    assert not found.complete
    assert found.next is not None


@pytest.mark.parametrize("odd", ["[]", "{}", "7", "true", "null", '["acme"]'])
def test_an_organisation_or_a_run_that_is_none_is_left_out(path: Path, odd: str) -> None:
    begin = line(1)[:-1]
    write(
        path, f'{{"org":"acme",{begin[1:]},"org":{odd},"run":{odd}}}', f'{begin},"more":{{"org":"acme"}},"org":{odd}}}'
    )
    assert events(path, Wanted(orgs=frozenset({"acme"}))) == []
    assert events(path, Wanted(run=1)) == []


@pytest.mark.parametrize("wanted", [Wanted(run=5), Wanted(run=55), Wanted(orgs=frozenset({"b", "zz"}))])
def test_what_only_looks_alike_is_not_taken(path: Path, wanted: Wanted) -> None:
    """Neither by the cheap look before the JSON is read, nor after it."""
    lines = [line(n, org=org, run=run) for n, (org, run) in enumerate([("b", 5), ("ab", 55), ("b", 555), ("bb", 15)])]
    write(path, *lines, line(9, org="c", text='"org":"b","run":5,"run":55'))
    is_wanted = {
        "line 0": wanted.run == 5,
        "line 1": wanted.run == 55,
        "line 2": False,
        "line 3": False,
        "line 9": False,
    }
    if wanted.orgs:
        is_wanted |= {"line 0": True, "line 2": True}
    assert events(path, wanted) == [one for one in reversed(is_wanted) if is_wanted[one]]


def test_the_ends_of_time_are_instants_like_others(path: Path) -> None:
    write(path, line(1))
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert events(path, Wanted(since=first, until=last)) == ["line 1"]
    assert events(path, Wanted(until=first)) == []
    assert events(path, Wanted(since=last)) == []


@pytest.mark.parametrize("name", ["sync-service.log", "sync-service.log.1"])
def test_a_pipe_in_the_place_of_a_log_is_not_waited_for(path: Path, name: str) -> None:
    if name != path.name:
        write(path, line(1))
        os.mkfifo(path.with_name(name))
        assert events(path) == ["line 1"]
        return
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a file"):
        read(path, Wanted(), limit=5)


def test_an_answer_does_not_grow_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "MOST_FOUND_BYTES", 3000)
    write(path, *(line(n, text="x" * 900) for n in range(9)))
    assert len(read(path, Wanted(), limit=9).lines) == 4
    assert len(all_pages(path)[0]) == 9


@given(
    st.lists(st.integers(0, 400), max_size=30), st.integers(80, 600), st.integers(1, 7),
    st.lists(st.integers(0, 30), max_size=3),
)  # fmt: skip
def test_whatever_the_sizes_every_line_comes_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], chunk: int, limit: int, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    path = folder / "sync-service.log"
    lines = [line(number, text="é" * length) for number, length in enumerate(lengths)]
    edges = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    parts = [lines[begin:end] for begin, end in itertools.pairwise(edges)]
    for age, part in enumerate(reversed(parts)):
        write(path if age == 0 else path.with_name(f"{path.name}.{age}"), *part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_pieces, "CHUNK", chunk)
        found, _ = all_pages(path, limit=limit)
    readable = [f"line {n}" for n, text in enumerate(lines) if len(text.encode()) < chunk]
    missing = [one for one in readable if one not in found]
    assert found == sorted(found, key=lambda one: -int(one.split()[1]))
    assert len(set(found)) == len(found)
    assert missing == []
