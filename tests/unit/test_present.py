"""Words, glyphs, durations, ages, cells: what both front ends say."""

from __future__ import annotations

import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures import mockup
from tests.fixtures.mockup import NOW
from zendeskd import models, present
from zendeskd.errors import FAILURES
from zendeskd.present import SIGNS, Cell, Column, Voice


@pytest.mark.parametrize(
    ("seconds", "age", "left"),
    [
        (-5, "0s", "0:00"),
        (0, "0s", "0:00"),
        (38, "38s", "0:38"),
        (59.9, "59s", "0:59"),
        (112, "1m", "1:52"),
        (3599, "59m", "59:59"),
        (3600, "1h 00m", "1h 00m"),
        (21660, "6h 01m", "6h 01m"),
        (86400 * 3 + 4 * 3600, "3d 04h", "3d 04h"),
    ],
)
def test_ages_and_countdowns(seconds: float, age: str, left: str) -> None:
    assert (present.span(seconds), present.countdown(seconds)) == (age, left)


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(None, "-"), (0, "0.0s"), (420, "0.4s"), (5200, "5s"), (106_000, "1m 46s"), (7_500_000, "2h 05m")],
)
def test_how_long_it_took(milliseconds: int | None, words: str) -> None:
    assert present.took(milliseconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (4096, "4.1 kB"), (412_000_000, "412 MB"), (3_200_000_000_000, "3.2 TB")],
)
def test_bytes(count: int, words: str) -> None:
    assert present.size(count) == words


def test_instants_carry_their_zone_and_their_day_where_it_is_another() -> None:
    assert present.clock("2026-11-23T14:24:02.000Z", NOW) == "14:24:02 UTC"
    assert present.clock("2026-11-20T09:30:00.000Z", NOW) == "Fri 20 Nov 09:30 UTC"
    assert present.clock("2025-01-02T03:04:05.000Z", NOW, zone=False) == "Thu 2 Jan 2025 03:04"
    assert present.clock(None, NOW) == "-"
    assert present.clock("whatever a newer daemon says", NOW) == "-"
    assert present.until(mockup.ahead(seconds=0.5), NOW) == "now"
    assert present.since(None, NOW) == "-"


# --- glyphs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", SIGNS)
def test_glyphs_are_one_cell_everywhere(word: str) -> None:
    sign = SIGNS[word]
    assert unicodedata.east_asian_width(sign.glyph) in {"N", "Na"}
    assert present.width(sign.glyph) == 1
    assert sign.plain.isascii()
    assert len(sign.plain) == 1


def test_every_word_of_the_daemon_has_its_sign_and_every_failure_its_reason() -> None:
    assert set(present.HEALTH_ORDER) == {word.value for word in models.Health}
    assert [word.value for word in models.Health] == list(present.HEALTH_ORDER)
    assert set(SIGNS) >= set(present.HEALTH_ORDER) | {word.value for word in models.State} - {"idle"}
    assert set(present.REASONS) == set(FAILURES) - {"rate_limited", "bad_record"}


def test_words_that_a_newer_daemon_may_send_are_shown_as_they_are() -> None:
    item = mockup.status(state="meditating", health="serene", last_status="enlightened")
    assert Voice().now(item, NOW).text == "meditating"
    assert Voice().last(item.last_status, None).text == "enlightened"
    assert present.counts_line(["serene", "ok"]) == "2 orgs: 1 ok, 1 serene"


# --- cells ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "now", "due"),
    [
        ({}, "idle", "12:14"),
        ({"next_run_at": None}, "idle", "-"),
        ({"next_run_at": mockup.ago(seconds=3)}, "idle", "now"),
        ({"state": "queued"}, "∙ queued", "now"),
        ({"state": "running", "run": mockup.live()}, "» 62% 0:48", "-"),
        ({"state": "running", "run": mockup.live(eta_s=None)}, "» 62%", "-"),
        ({"state": "running", "run": mockup.live(progress=None)}, "» 3,100", "-"),
        ({"state": "running", "run": None}, "» running", "12:14"),
        ({"state": "limited", "run": mockup.live(waiting_until=mockup.ahead(seconds=38))}, "~ limit 0:38", "0:38"),
        ({"state": "retrying", "next_run_at": mockup.ahead(seconds=112)}, "~ retry 1:52", "1:52"),
        ({"state": "retrying", "next_run_at": None}, "~ retry", "-"),
        ({"state": "blocked"}, "! blocked", "-"),
        ({"state": "stopped"}, "= stopped", "stopped"),
        ({"state": "stopping", "run": mockup.live()}, "= stopping", "stopped"),
    ],
)
def test_now_and_next(changes: dict[str, object], now: str, due: str) -> None:
    item = mockup.status(**changes)
    assert Voice().now(item, NOW, idle="idle").text == now
    assert present.next_cell(item, NOW).text == due


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (None, None, "◌ never"),
        ("success", None, "✓ ok"),
        ("partial", "bad_record", "◕ partial"),
        ("failed", "credential_error", "✗ auth"),
        ("failed", "network_error", "✗ network"),
        ("failed", "brand_new_error", "✗ brand_new_error"),
        ("failed", None, "✗ failed"),
        ("cancelled", None, "cancelled"),
        ("interrupted", None, "interrupted"),
    ],
)
def test_last(status: str | None, code: str | None, text: str) -> None:
    assert Voice().last(status, code).text == text


def test_a_late_copy_is_marked() -> None:
    item = mockup.status(late_s=600, last_success_at=mockup.ago(minutes=45))
    assert present.age_cell(item, NOW) == Cell("!45m", "bad")


def test_a_slow_run_is_marked() -> None:
    slow = mockup.status(state="running", run=mockup.live(), slow_s=60)
    assert Voice().now(slow, NOW) == Cell("! 62% 0:48", "bad")
    unknown = mockup.status(state="running", run=mockup.live(records=8400, progress=None), slow_s=60)
    assert Voice(ascii_only=True).now(unknown, NOW) == Cell("! 8,400", "bad")


def test_the_last_runs_read_from_left_to_right() -> None:
    words = ["failed", "success", "partial", "cancelled", "interrupted"]  # newest first
    runs = [mockup.run(9 - each, status=word) for each, word in enumerate(words)]
    assert Voice().history(runs).text == "--◕✓✗"
    assert Voice(ascii_only=True).history(runs).text == "--o+x"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "14:20:46 UTC, 0 differences"),
        ({"stale": 1, "repaired": 1}, "14:20:46 UTC, 1 difference: 1 stale; 1 repaired"),
        ({"status": "failed", "error_message": "HTTP 500"}, "14:20:46 UTC, failed (HTTP 500)"),
        ({"status": "running", "finished_at": None}, "14:19:46 UTC, running"),
    ],
)
def test_what_a_comparison_found(changes: dict[str, object], text: str) -> None:
    assert present.verified(mockup.reconciled(**changes), NOW) == text


# --- text from outside ------------------------------------------------------------------------------------------------


def test_hostile_text_becomes_one_plain_line() -> None:
    assert (
        present.clean(mockup.HOSTILE)
        == "\ufffd[31mred\ufffd[0m\ufffd \ufffd2J [bold]x[/bold] second\ufffdline \ufffd\ufffd"
    )
    assert present.clean_block("a\r\nb\tc\u2028d\x1b") == "a\nb\tc\nd\ufffd"
    assert present.clean(None) == ""


@given(st.text(alphabet=st.characters()))
def test_nothing_that_a_terminal_acts_on_gets_through(text: str) -> None:
    for cleaned in (present.clean(text), present.clean_block(text).replace("\n", "").replace("\t", "")):
        assert all(unicodedata.category(char) not in {"Cc", "Cs", "Zl", "Zp"} for char in cleaned)
        assert not set(cleaned) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
    assert "\n" not in present.clean(text)


@given(st.text(), st.integers(0, 40))
def test_cut_text_fits(text: str, cells: int) -> None:
    text = present.clean(text)
    shown = present.cut(text, cells)
    assert present.width(shown) <= cells
    assert shown == text or shown.endswith("…") or cells == 0


def test_columns_stand_below_each_other_whatever_is_in_them() -> None:
    columns = [Column("ORG", 4), Column("N", 3, right=True), Column("WHY")]
    rows = [
        [Cell("日本"), Cell("1"), Cell("x")],
        [Cell("e\u0301té"), Cell("1,234"), Cell("long reason")],
    ]
    lines = ["|".join(cell.text for cell in row) for row in present.rows_of_text(columns, rows)]
    assert lines == ["ORG |    N|WHY", "日本|    1|x", "e\u0301té |1,234|long reason"]


def test_known_until_says_when_it_is_not_complete() -> None:
    assert present.known_until(mockup.status(total_records=1), NOW) == "1 ticket, up to date 2m ago"
    item = mockup.status(last_success_at=None, total_records=0)
    assert present.known_until(item, NOW + timedelta(hours=1)) == "0 tickets, not complete yet"


# --- what fits into a line --------------------------------------------------------------------------------------------


@given(st.text(alphabet="ab -\u4e2d", max_size=60), st.integers(4, 30), st.integers(0, 3))
def test_wrapped_text_keeps_its_words_and_fits(text: str, cells: int, indent: int) -> None:
    lines = present.wrapped(text, cells, indent=indent)
    assert " ".join(lines).split() == text.split()
    for line in lines:
        assert present.width(line.rstrip()) <= cells or len(line.split()) == 1


def test_wrapped_lines_go_on_below_the_text() -> None:
    assert present.wrapped("you       log in again and retry", 20, indent=10) == [
        "you       log in",
        "          again and",
        "          retry",
    ]
    assert present.wrapped("  short", 20) == ["  short"]


def test_columns_go_by_their_rank_until_the_rest_fits() -> None:
    columns = [Column("ORG", 5), Column("A", 5, spare=1), Column("B", 5, spare=2), Column("WHY")]
    row = [Cell("acme"), Cell("a"), Cell("b"), Cell("because of something")]
    assert present.fitting(columns, [row], 29) == [0, 1, 2, 3]  # the last is cut to eight cells
    assert present.fitting(columns, [row], 28) == [0, 1, 3]
    assert present.fitting(columns, [row], 21) == [0, 3]
    assert present.fitting(columns, [row], 3) == [0, 3]
