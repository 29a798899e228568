"""A long text to read, with a few toned lines before and after it. Draws only what can be seen."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from zendeskd.present import Cell, Tone
from zendeskd.tui import finding, folding
from zendeskd.tui.folding import Row

Lines = Sequence[Sequence[Cell]]


class Reading(ScrollView, can_focus=True):
    """`around`: the lines before and after the text, for so many cells; their words are clean. They stay where they
    are when the text is moved sideways."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "reading--found", "reading--current",
        "reading--good", "reading--warn", "reading--bad", "reading--busy", "reading--dim",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_by(-1)", show=False),
        Binding("down,j", "scroll_by(1)", show=False),
        Binding("pageup", "scroll_page(-1)", show=False),
        Binding("pagedown", "scroll_page(1)", show=False),
        Binding("home,g", "scroll_first", show=False),
        Binding("end,G", "scroll_last", show=False),
    ]

    class Changed(Message):
        """Something else is looked for, or the next one was gone to."""

    def __init__(self, around: Callable[[int], tuple[Lines, Lines]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._around = around
        self._head: list[list[Cell]] = []
        self._tail: list[list[Cell]] = []
        self._text = ""
        self._rows: list[Row] = []
        self._cells = 0  # the width for which it is laid out
        self.is_wrapping = True
        self._pattern: re.Pattern[str] | None = None
        self._found: list[finding.Span] = []
        self._current: int | None = None  # of `_found`

    # --- what is shown --------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        return self._text

    def show(self, text: str) -> None:
        """Show this text, which is `folding.readable`; what is read stays where it is."""
        if text == self._text:
            return
        before = self._text
        self._text = text
        self._find_all()
        self._lay_out(anchored=bool(before))
        self.post_message(self.Changed())

    def draw(self) -> None:
        """Bring the lines around the text up to date."""
        head, tail = self._made(self._width)
        if self._width != self._cells or (len(head), len(tail)) != (len(self._head), len(self._tail)):
            self._lay_out()
        elif (head, tail) != (self._head, self._tail):
            self._head, self._tail = head, tail
            self.refresh()

    def wrap(self, on: bool) -> None:
        if on != self.is_wrapping:
            at = self._place()
            self.is_wrapping = on
            self._lay_out(at)
            self.scroll_to(x=0, animate=False, force=True, immediate=True)

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    def _made(self, cells: int) -> tuple[list[list[Cell]], list[list[Cell]]]:
        head, tail = self._around(cells) if cells > 0 else ((), ())
        return [list(line) for line in head], [list(line) for line in tail]

    def on_resize(self) -> None:
        if self._width != self._cells:
            self._lay_out()

    def _lay_out(self, at: int | None = None, *, anchored: bool = True) -> None:
        """Break everything into lines anew. The text stays at the place `at`, that of its first line by default."""
        cells = self._width
        if cells <= 0:
            return  # not to be seen just now
        at = self._place() if at is None else at
        self._cells = cells
        self._head, self._tail = self._made(cells)
        if not self._text:
            self._rows = []
        else:
            self._rows = folding.folded(self._text, max(2, cells)) if self.is_wrapping else folding.lines(self._text)
        self.virtual_size = Size(0 if self.is_wrapping else self._longest(), self._count)
        if anchored and at >= 0 and (y := self._line_of(at)) != int(self.scroll_y):
            self.scroll_to(y=y, animate=False, force=True, immediate=True)
        self.refresh()

    def _longest(self) -> int:
        return max((folding.cells_of(self._text[row.begin : row.end]) for row in self._rows), default=0)

    @property
    def _count(self) -> int:
        return len(self._head) + len(self._rows) + len(self._tail)

    def _place(self) -> int:
        """Where in the text the first line on the screen begins; -1 while that is one of those before it."""
        row = int(self.scroll_y) - len(self._head)
        return -1 if row < 0 or not self._rows else self._rows[min(row, len(self._rows) - 1)].begin

    def _line_of(self, place: int) -> int:
        """The line that has that place of the text."""
        row = bisect_right(self._rows, place, key=lambda row: row.begin) - 1
        return len(self._head) + max(0, row)

    # --- moving ---------------------------------------------------------------------------------------------------

    def action_scroll_by(self, lines: int) -> None:
        self.scroll_relative(y=lines, animate=False, force=True)

    def action_scroll_page(self, by: int) -> None:
        self.action_scroll_by(by * max(1, self.scrollable_content_region.height - 1))

    def action_scroll_first(self) -> None:
        self.scroll_to(y=0, animate=False, force=True)

    def action_scroll_last(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True)

    # --- finding --------------------------------------------------------------------------------------------------

    @property
    def found(self) -> tuple[int, int]:
        """Which of the places that were found it is at (from 1; 0: none yet), and how many there are."""
        return (0 if self._current is None else self._current + 1, len(self._found))

    def mark(self, pattern: re.Pattern[str] | None) -> None:
        """Mark every place of it, in the text and in the words around it."""
        self._pattern = pattern
        self._find_all()
        self.refresh()
        self.post_message(self.Changed())

    def _find_all(self) -> None:
        self._found, self._current = finding.spans(self._text, self._pattern), None

    def find(self, by: int) -> bool:
        """Go to the next (1) or previous (-1) place, the first time from what is on the screen. -> is there one."""
        if not self._found:
            return False
        if self._current is None:
            here = bisect_left(self._found, max(0, self._place()), key=lambda span: span.begin)
            self._current = (here if by > 0 else here - 1) % len(self._found)
        else:
            self._current = (self._current + by) % len(self._found)
        self._into_view(self._found[self._current])
        self.refresh()
        self.post_message(self.Changed())
        return True

    def _into_view(self, span: finding.Span) -> None:
        y, height = self._line_of(span.begin), max(1, self.scrollable_content_region.height)
        top = int(self.scroll_y)
        if not top <= y < top + height:
            self.scroll_to(y=max(0, y - height // 3), animate=False, force=True)
        if not self.is_wrapping:
            begin = self._rows[y - len(self._head)].begin
            x = folding.cells_of(self._text[begin : span.begin])
            if not int(self.scroll_x) <= x < int(self.scroll_x) + self._cells - (span.end - span.begin):
                self.scroll_to(x=max(0, x - self._cells // 3), animate=False, force=True)

    # --- drawing --------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        cells, base, left = self._width, self.rich_style, int(self.scroll_x)
        at = y + int(self.scroll_y)
        row = at - len(self._head)
        if row < 0:
            return self._toned(self._head[at], base).crop_extend(0, cells, base)
        if row < len(self._rows):
            place = self._rows[row]
            if not self.is_wrapping and self._text[place.begin : place.end].isascii():
                seen = Row(min(place.begin + left, place.end), min(place.begin + left + cells, place.end))
                return Strip(self._marked(seen, base)).crop_extend(0, cells, base)
            return Strip(self._marked(place, base)).crop_extend(left, left + cells, base)
        if row - len(self._rows) < len(self._tail):
            return self._toned(self._tail[row - len(self._rows)], base).crop_extend(0, cells, base)
        return Strip.blank(cells, base)

    def _marked(self, row: Row, base: Style) -> list[Segment]:
        """A part of the text, what was found in it marked."""
        first = bisect_right(self._found, row.begin, key=lambda span: span.end)
        segments, at = [], row.begin
        for index in range(first, len(self._found)):
            span = self._found[index]
            if span.begin >= row.end:
                break
            begin, end = max(at, span.begin), min(row.end, span.end)
            name = "reading--current" if index == self._current else "reading--found"
            segments += [
                Segment(self._text[at:begin], base),
                Segment(self._text[begin:end], base + self.get_component_rich_style(name, partial=True)),
            ]
            at = end
        return [each for each in (*segments, Segment(self._text[at : row.end], base)) if each.text]

    def _toned(self, line: Sequence[Cell], base: Style) -> Strip:
        """A line around the text. Its labels, which are dim, are never what was looked for."""
        segments: list[Segment] = []
        for cell in line:
            text, style, at = cell.text, base + self._tone(cell.tone), 0
            for begin, end in finding.spans(text, None if cell.tone == "dim" else self._pattern):
                found = style + self.get_component_rich_style("reading--found", partial=True)
                segments += [Segment(text[at:begin], style), Segment(text[begin:end], found)]
                at = end
            segments.append(Segment(text[at:], style))
        return Strip([each for each in segments if each.text])

    def _tone(self, tone: Tone) -> Style:
        return Style.null() if tone == "plain" else self.get_component_rich_style(f"reading--{tone}", partial=True)
