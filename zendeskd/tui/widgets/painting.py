"""From words and tones to what Textual draws. Text arrives clean and is never read as markup."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from weakref import WeakKeyDictionary

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.content import Content
from textual.widget import Widget

from zendeskd import present
from zendeskd.present import Cell, Tone

COLOURS: Final[dict[Tone, str]] = {
    "plain": "",
    "good": "$text-success",
    "warn": "$text-warning",
    "bad": "bold $text-error",
    "busy": "$text-primary",
    "dim": "dim",
}
"""Theme variables only, so that every theme keeps its contrast."""


def content(cells: Iterable[Cell | str]) -> Content:
    """One line of toned text."""
    parts = [Cell(each) if isinstance(each, str) else each for each in cells]
    return Content.assemble(*((part.text, COLOURS[part.tone]) if COLOURS[part.tone] else part.text for part in parts))


_titles: Final[WeakKeyDictionary[Widget, Text]] = WeakKeyDictionary()
_subtitles: Final[WeakKeyDictionary[Widget, Text]] = WeakKeyDictionary()


def entitle(widget: Widget, text: str, marks: Iterable[tuple[int, int]] = ()) -> None:
    """Give it this title: as `Text`, for a `str` is read as markup; only if it differs, for that draws it anew.
    `marks`: from where to where something was found in it."""
    shown = Text(present.clean(text), no_wrap=True)
    for begin, end in marks:
        shown.stylize("reverse", begin, end)
    if not _is_same(_titles.get(widget), shown):
        _titles[widget] = shown
        widget.border_title = shown


def subtitle(widget: Widget, text: str) -> None:
    """As `entitle`, in its lower edge."""
    shown = Text(present.clean(text), no_wrap=True)
    if not _is_same(_subtitles.get(widget), shown):
        _subtitles[widget] = shown
        widget.border_subtitle = shown


def _is_same(one: Text | None, other: Text) -> bool:
    return one is not None and one.plain == other.plain and one.spans == other.spans


def padded(text: str, cells: int, *, right: bool = False, ascii_only: bool = False) -> str:
    """`text` in exactly so many cells."""
    shown = present.cut(text, cells, ascii_only=ascii_only)
    room = " " * (cells - present.width(shown))
    return room + shown if right else shown + room


def segment(text: str, style: Style) -> Segment:
    return Segment(text, style)


def two_ends(left: str, right: str, cells: int, *, ascii_only: bool = False) -> str:
    """`left` and `right` at the ends of a line; the left one is cut if there is not room for both."""
    room = max(0, cells - present.width(right) - 1)
    return padded(left, room, ascii_only=ascii_only) + " " + right if room else present.cut(right, cells)


def wrapped(text: str, cells: int) -> list[str]:
    """Words of one line broken into lines of at most so many cells; a longer word is cut."""
    lines, line = [], ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if present.width(joined) <= cells:
            line = joined
            continue
        if line:
            lines.append(line)
        line = present.cut(word, cells)
    return [*lines, line] if line else lines
