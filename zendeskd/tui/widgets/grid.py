"""A table of fixed columns whose cursor stays on a row's key, however the rows are sorted and replaced."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import accumulate
from typing import Any, ClassVar, Final, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from zendeskd.present import Cell, Tone
from zendeskd.tui.widgets.painting import padded

GAP: Final = "  "


class GridColumn(NamedTuple):
    key: str
    title: str
    cells: int
    right: bool = False


class GridRow(NamedTuple):
    """`cells` in the order of the columns, their text clean. `is_faded`: there, but not of today. `marks`: what was
    found, each as (place of the cell, begin, end)."""

    key: Hashable
    cells: tuple[Cell, ...]
    is_marked: bool = False
    is_faded: bool = False
    marks: tuple[tuple[int, int, int], ...] = ()


class Grid(ScrollView, can_focus=True):
    """Draws only lines that differ from what is on the screen."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "grid--header", "grid--cursor", "grid--blurred", "grid--marked",
        "grid--plain", "grid--good", "grid--warn", "grid--bad", "grid--busy", "grid--dim", "grid--found",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", key_display="⏎", id="open", tooltip="Open what is under the cursor"),
        Binding("up,k", "move(-1)", "Up", show=False, id="up", tooltip="A line up"),
        Binding("down,j", "move(1)", "Down", show=False, id="down", tooltip="A line down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="page-up", tooltip="A page up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="page-down", tooltip="A page down"),
        Binding("home,g", "edge(0)", "First", show=False, id="first", tooltip="To the first line"),
        Binding("end,G", "edge(1)", "Last", show=False, id="last", tooltip="To the last line"),
    ]

    class Opened(Message):
        """Enter, or a click on the row that has the cursor."""

        def __init__(self, grid: Grid, key: Any) -> None:
            super().__init__()
            self.grid, self.key = grid, key

        @property
        def control(self) -> Grid:
            return self.grid

    class Moved(Message):
        """The cursor is on another row, or on none (`key` is None)."""

        def __init__(self, grid: Grid, key: Any) -> None:
            super().__init__()
            self.grid, self.key = grid, key

        @property
        def control(self) -> Grid:
            return self.grid

    class Resized(Message):
        """It is wider or narrower: other columns may fit."""

        def __init__(self, grid: Grid) -> None:
            super().__init__()
            self.grid = grid

        @property
        def control(self) -> Grid:
            return self.grid

    class HeaderPressed(Message):
        def __init__(self, grid: Grid, column: str) -> None:
            super().__init__()
            self.grid, self.column = grid, column

        @property
        def control(self) -> Grid:
            return self.grid

    def __init__(
        self, columns: Sequence[GridColumn], *, ascii_only: bool = False, id: str | None = None, has_header: bool = True
    ) -> None:
        super().__init__(id=id)
        self._columns, self._ascii, self._head = tuple(columns), ascii_only, int(has_header)
        self._keys: list[Hashable] = []
        self._make: Callable[[Any], GridRow] = {}.__getitem__
        self._rows: dict[int, GridRow] = {}  # by place; those that can be seen, and some that could be
        self._at: dict[Hashable, int] = {}
        self._cursor: Hashable = None
        self._painted: dict[int, tuple[tuple[object, ...], Strip]] = {}

    # --- what is shown --------------------------------------------------------------------------------------------

    @property
    def cursor_key(self) -> Any:
        """The key of the row under the cursor; None when there is no row."""
        return self._cursor

    @property
    def keys(self) -> list[Any]:
        return list(self._keys)

    def show(self, rows: Sequence[GridRow], columns: Sequence[GridColumn] | None = None) -> None:
        """Show these rows in this order. The cursor stays on its key; where that is gone, on its place."""
        self.show_keys([row.key for row in rows], {row.key: row for row in rows}.__getitem__, columns)

    def show_keys(
        self,
        keys: Sequence[Hashable],
        make: Callable[[Any], GridRow],
        columns: Sequence[GridColumn] | None = None,
    ) -> None:
        """As `show`, for many rows: `make` is asked for those that can be seen, and later for others."""
        anew = (columns is not None and tuple(columns) != self._columns) or list(keys) != self._keys
        if columns is not None:
            self._columns = tuple(columns)
        was_at, was_on = self._at.get(self._cursor, 0), self._cursor
        if anew:
            self._keys = list(keys)
            self._at = {key: index for index, key in enumerate(self._keys)}
        if self._cursor not in self._at:
            self._cursor = self._keys[min(was_at, len(self._keys) - 1)] if self._keys else None
        self._make = make
        size = Size(self._line_cells, len(self._keys) + self._head)
        if size != self.virtual_size:
            self.virtual_size = size
        self._look(anew)
        if self._cursor != was_on:
            self.post_message(self.Moved(self, self._cursor))
        if self._at.get(self._cursor, 0) != was_at:
            self._into_view()

    def _look(self, anew: bool) -> None:
        """Make the rows that can be seen; draw those that differ, or all of them."""
        first = int(self.scroll_y)
        seen = range(first, min(len(self._keys), first + self.size.height))
        rows = {index: self._make(self._keys[index]) for index in seen}
        before, self._rows = self._rows, rows
        if anew:
            self.refresh()
            return
        for index, row in rows.items():
            if before.get(index) != row:
                self._refresh_row(index, self._differs_until(before.get(index), row))

    def _differs_until(self, before: GridRow | None, row: GridRow) -> int | None:
        """The end of the last cell that is not as it was; None where more than the cells differs."""
        if before is None or before._replace(cells=row.cells) != row:
            return None
        pairs = zip(before.cells, row.cells, self._ends, strict=True)
        return max(end for was, now, end in pairs if was != now)

    def move_to(self, key: Hashable) -> None:
        """Put the cursor on that row, if it is there."""
        if key in self._at and key != self._cursor:
            before, self._cursor = self._at.get(self._cursor), key
            if before is not None:
                self._refresh_row(before)
            self._refresh_row(self._at[key])
            self._into_view()
            self.post_message(self.Moved(self, key))

    @property
    def _line_cells(self) -> int:
        return 1 + sum(column.cells for column in self._columns) + len(GAP) * max(0, len(self._columns) - 1)

    # --- moving ---------------------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        if self._keys:
            index = self._at.get(self._cursor, 0) + by
            self.move_to(self._keys[max(0, min(len(self._keys) - 1, index))])
            self._into_view()  # a wheel may have scrolled away from a cursor that has nowhere to go

    def action_page(self, by: int) -> None:
        self.action_move(by * max(1, self.scrollable_content_region.height - self._head))

    def action_edge(self, last: int) -> None:
        self.action_move(len(self._keys) if last else -len(self._keys))

    def action_open(self) -> None:
        if self._cursor is not None:
            self.post_message(self.Opened(self, self._cursor))

    def on_click(self, event: Click) -> None:
        place = event.get_content_offset(self)
        if place is None:
            return
        if place.y < self._head:
            if column := self._column_at(place.x + int(self.scroll_x)):
                self.post_message(self.HeaderPressed(self, column))
            return
        index = place.y - self._head + int(self.scroll_y)
        if index < len(self._keys):
            key = self._keys[index]
            if key == self._cursor:
                self.action_open()
            self.move_to(key)

    def _column_at(self, x: int) -> str:
        return next((column.key for column, end in zip(self._columns, self._ends, strict=True) if x < end), "")

    @property
    def _ends(self) -> list[int]:
        """Where each column ends with the gap behind it, from the line's beginning."""
        return list(accumulate((column.cells + len(GAP) for column in self._columns), initial=1))[1:]

    def _into_view(self) -> None:
        """Scroll no further than needed. The header stays."""
        rows = self.scrollable_content_region.height - self._head
        index = self._at.get(self._cursor, 0)
        if index < self.scroll_y:
            self.scroll_to(y=index, animate=False, force=True)
        elif rows > 0 and index >= self.scroll_y + rows:
            self.scroll_to(y=index - rows + 1, animate=False, force=True)

    def on_resize(self) -> None:
        self._into_view()
        self.post_message(self.Resized(self))

    # --- drawing --------------------------------------------------------------------------------------------------

    def _refresh_row(self, index: int, until: int | None = None) -> None:
        """`until`: what is right of it stays. So a countdown that ticks costs a slow line half as much."""
        y = index - int(self.scroll_y) + self._head
        if self._head <= y < self.size.height:
            cells = self.size.width if until is None else max(1, until - int(self.scroll_x))
            self.refresh(Region(0, y, min(cells, self.size.width), 1))

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._painted.clear()

    def render_line(self, y: int) -> Strip:
        cells, base = self.scrollable_content_region.width, self.rich_style
        if y < self._head:
            strip = self._paint_header(base + self.get_component_rich_style("grid--header", partial=True))
            style = base
        else:
            index = y - self._head + int(self.scroll_y)
            if not 0 <= index < len(self._keys):
                return Strip.blank(cells, base)
            row = self._rows.get(index) or self._rows.setdefault(index, self._make(self._keys[index]))
            style = self._row_style(row, base)
            strip = self._painted_row(index, row, style)
        return strip.crop_extend(int(self.scroll_x), int(self.scroll_x) + cells, style)

    def _row_style(self, row: GridRow, base: Style) -> Style:
        if row.is_marked:
            base += self.get_component_rich_style("grid--marked", partial=True)
        if row.is_faded:
            base += self.get_component_rich_style("grid--dim", partial=True)
        if row.key == self._cursor:
            base += self.get_component_rich_style("grid--cursor" if self.has_focus else "grid--blurred", partial=True)
        return base

    def _painted_row(self, index: int, row: GridRow, style: Style) -> Strip:
        state = (row, style, self._columns)
        known = self._painted.get(index)
        if known is not None and known[0] == state:
            return known[1]
        strip = self._paint(("*" if row.is_marked else " "), row.cells, style, row.marks)
        if len(self._painted) > 500:
            self._painted.clear()
        self._painted[index] = (state, strip)
        return strip

    def _paint_header(self, style: Style) -> Strip:
        return self._paint(" ", tuple(Cell(column.title) for column in self._columns), style)

    def _paint(
        self, lead: str, cells: Sequence[Cell], style: Style, marks: Sequence[tuple[int, int, int]] = ()
    ) -> Strip:
        segments = [Segment(lead, style)]
        for index, (column, cell) in enumerate(zip(self._columns, cells, strict=True)):
            text = padded(cell.text, column.cells, right=column.right, ascii_only=self._ascii)
            gap = GAP if index < len(self._columns) - 1 else ""
            toned = style + self._tone(cell.tone)
            found = [(begin, end) for place, begin, end in marks if place == index]
            segments += self._marked(text, found, toned) if found else [Segment(text, toned)]
            segments.append(Segment(gap, toned))
        return Strip(segments).simplify()  # else each cell is written with its whole style

    def _marked(self, text: str, found: Sequence[tuple[int, int]], style: Style) -> Iterator[Segment]:
        """`text` is that of a cell from its first character on, though it may be cut."""
        at = 0
        for begin, end in found:
            yield Segment(text[at:begin], style)
            yield Segment(text[begin:end], style + self.get_component_rich_style("grid--found", partial=True))
            at = max(at, end)
        yield Segment(text[at:], style)

    def _tone(self, tone: Tone) -> Style:
        if tone == "plain":
            return Style.null()
        return self.get_component_rich_style(f"grid--{tone}", partial=True)
