"""Long text from outside, made harmless and broken into lines that fit. Pure.

Lines are kept as places in the text, so that what was found in the text can be marked wherever it was broken.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from rich.cells import get_character_cell_size

from zendeskd import present

TAB: Final = 8
STACKED: Final = 8
"""So many characters without a width may follow each other; more are a flood and are left out."""

_WITH_PICTURE: Final = "\ufe0f"
"""Makes the sign before it a picture, which is two cells wide."""

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


class Row(NamedTuple):
    """One line on the screen: `text[begin:end]`."""

    begin: int
    end: int


def readable(text: str | None) -> str:
    """As `present.clean_block`, with tabs as blanks, and without blank lines at the end."""
    whole = present.clean_block(text).expandtabs(TAB).rstrip()
    return whole if whole.isascii() else _NOT_ASCII.sub(lambda found: _without_floods(found.group()), whole)


def _without_floods(text: str) -> str:
    kept, run = [], 0
    for char in text:
        run = 0 if _cells(char) else run + 1
        if run <= STACKED:
            kept.append(char)
    return "".join(kept)


def lines(text: str) -> list[Row]:
    """Only broken where the text itself is."""
    rows, begin = [], 0
    for line in text.split("\n"):
        rows.append(Row(begin, begin + len(line)))
        begin += len(line) + 1
    return rows


def folded(text: str, cells: int) -> list[Row]:
    """Each line in at most `cells` (2 or more), broken at blanks, which are left out; a longer word is broken too."""
    rows: list[Row] = []
    for line in lines(text):
        if line.end - line.begin <= cells and text[line.begin : line.end].isascii():
            rows.append(line)
        elif text[line.begin : line.end].isascii():
            rows += _folded_ascii(text, line, cells)
        else:
            rows += _folded_any(text, line, cells)
    return rows


def _folded_ascii(text: str, line: Row, cells: int) -> list[Row]:
    rows, begin = [], line.begin
    while line.end - begin > cells:
        blank = text.rfind(" ", begin, begin + cells + 1)
        end = begin + cells if blank < 0 or text[begin:blank].isspace() or blank == begin else blank
        rows.append(_trimmed(text, begin, end))
        begin = _after_blanks(text, end, line.end)
    return [*rows, Row(begin, line.end)] if begin < line.end or not rows else rows


def _folded_any(text: str, line: Row, cells: int) -> list[Row]:
    rows, begin, at, used = [], line.begin, line.begin, 0
    blank = -1  # the last one since `begin` that has something before it
    while at < line.end:
        took = _more_cells(text, at)
        if used + took > cells and at > begin:
            is_between = text[at] == " " and not text[begin:at].isspace()
            end = at if is_between or blank < 0 else blank
            rows.append(_trimmed(text, begin, end))
            begin = at = _after_blanks(text, end, line.end)
            used, blank = 0, -1
            continue
        if text[at] == " " and not text[begin:at].isspace() and at > begin:
            blank = at
        used += took
        at += 1
    return [*rows, Row(begin, line.end)] if begin < line.end or not rows else rows


def _trimmed(text: str, begin: int, end: int) -> Row:
    """Without the blanks at which it was broken."""
    kept = begin + len(text[begin:end].rstrip(" "))
    return Row(begin, kept if kept > begin else end)


def _after_blanks(text: str, at: int, end: int) -> int:
    while at < end and text[at] == " ":
        at += 1
    return at


def _more_cells(text: str, at: int) -> int:
    """By how many cells the line grows with that character."""
    if text[at] == _WITH_PICTURE:
        return 1 if at and _cells(text[at - 1]) == 1 else 0
    return _cells(text[at])


@lru_cache(maxsize=4096)
def _cells(char: str) -> int:
    """Terminals differ; the larger of what two tables say, so that nothing is ever cut off."""
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return max(present.width(char), get_character_cell_size(char))


def cells_of(text: str) -> int:
    """As `folded` counts them."""
    return len(text) if text.isascii() else sum(_more_cells(text, at) for at in range(len(text)))
