"""Long and hostile texts: made harmless, broken into lines, searched."""

from __future__ import annotations

import time

import pytest

from tests.fixtures import mockup
from zendeskd import present
from zendeskd.tui import finding, folding


def shown(text: str, cells: int) -> list[str]:
    return [text[row.begin : row.end] for row in folding.folded(text, cells)]


# --- lines ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "cells", "lines"),
    [
        ("", 10, [""]),
        ("one two", 10, ["one two"]),
        ("one two three", 7, ["one two", "three"]),
        ("one two three", 8, ["one two", "three"]),
        ("one   two", 4, ["one", "two"]),
        ("a\n\nb", 10, ["a", "", "b"]),
        ("  indented text", 10, ["  indented", "text"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("ab cdefghij", 4, ["ab", "cdef", "ghij"]),
        ("          x", 4, ["    ", "x"]),
        ("日本語のチケット", 6, ["日本語", "のチケ", "ット"]),
        ("grün größer", 5, ["grün", "größe", "r"]),
        ("grün öl", 7, ["grün öl"]),
        ("grün ölige", 6, ["grün", "ölige"]),
        ("e\u0301" * 6, 4, ["e\u0301" * 4, "e\u0301" * 2]),
        ("ééé ééé", 3, ["ééé", "ééé"]),
    ],
)
def test_lines_are_broken_at_blanks_and_long_words_anywhere(text: str, cells: int, lines: list[str]) -> None:
    assert shown(text, cells) == lines


@pytest.mark.parametrize(
    "text", ["mixed ünd wide 日本 words\tand 👩\u200d👧 ❤\ufe0f signs " * 40, "plain words only " * 60]
)
@pytest.mark.parametrize("cells", [2, 3, 17, 76])
def test_nothing_but_blanks_is_lost_and_nothing_is_too_wide(text: str, cells: int) -> None:
    text = folding.readable(text)
    lines = shown(text, cells)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert max(map(folding.cells_of, lines)) <= cells


def test_text_from_outside_is_made_harmless_and_keeps_its_lines() -> None:
    text = folding.readable("a\r\nb\rc\u2028d\te\n\n" + mockup.HOSTILE + "\n \n\n")
    assert text.split("\n")[:4] == ["a", "b", "c", "d       e"]
    assert not any(char in text for char in "\x1b\x07\x9b\u202e\x00\x7f\t\r")
    assert "[bold]x[/bold]" in text, "markup is text"
    assert not text.endswith("\n")


def test_a_flood_of_signs_without_width_is_left_out() -> None:
    text = folding.readable("e" + "\u0301" * 60_000 + "x" + "\u200b" * 60_000 + "y e\u0301 👩\u200d👧")
    assert text == "e" + "\u0301" * 8 + "x" + "\u200b" * 8 + "y e\u0301 👩\u200d👧"


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "wörter " * 10_000, "\n" * 10_000 + "x", " " * 60_000 + "x", "日" * 60_000]
)
def test_long_texts_are_laid_out_in_time_that_grows_with_them(text: str) -> None:
    """A bound far beyond what it takes: only something quadratic gets there."""
    began = time.monotonic()
    folding.folded(folding.readable(text), 76)
    assert time.monotonic() - began < 5


# --- finding ----------------------------------------------------------------------------------------------------------


def found(text: str, *words: str) -> list[str]:
    return [text[span.begin : span.end] for span in finding.spans(text, finding.words(words))]


def test_the_words_of_a_search_are_whole_words_without_case_and_accents() -> None:
    text = "Payment 500 on PAYMENTS, 1500; Café CAFE\u0301 request-id x"
    assert found(text, "payment", "500") == ["Payment", "500"]
    assert found(text, "pay*") == ["Payment", "PAYMENTS"]
    assert found(text, "cafe")[0] == "Café"
    assert found(text, "request.id") == ["request-id"]
    assert found(text, "[bold]", "*", "") == []
    assert finding.words(["-", '"']) is None


def test_what_is_typed_to_find_is_found_anywhere() -> None:
    text = "the payment\npage 1500"
    assert [text[a:b] for a, b in finding.spans(text, finding.phrase(" Payment page "))] == ["payment\npage"]
    assert [text[a:b] for a, b in finding.spans(text, finding.phrase("500"))] == ["500"]
    assert finding.spans(text, finding.phrase("(")) == [] and finding.phrase("  ") is None


def test_places_stay_right_where_small_letters_are_longer() -> None:
    text = "İİİ ticket"
    assert [text[a:b] for a, b in finding.spans(text, finding.phrase("ticket"))] == ["ticket"]


# --- words for records ------------------------------------------------------------------------------------------------


def test_how_links_and_records_are_named() -> None:
    assert present.relation(mockup.link(direction="in", relation="incident_of")) == "incident of (in)"
    assert present.origin(mockup.link()) == "manual, ana" and present.origin(mockup.link(created_by=None)) == "manual"
    assert present.record_name(mockup.record(external_id="a\x1bb")) == "acme-eu/zendesk/a\ufffdb"
