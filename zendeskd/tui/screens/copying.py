"""What can be copied of what is looked at: choose one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from zendeskd import present
from zendeskd.present import Cell
from zendeskd.tui.screens.dialog import Dialog
from zendeskd.tui.widgets.grid import Grid, GridColumn, GridRow

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard

LONG: Final = 200
"""A text of more characters, or of several lines, is told by its name and size."""

_BOX: Final = 72
_AROUND: Final = 4  # frame and padding


class Copying(Dialog[None]):
    """`choices`: names and clean texts, nine at most. Enter, its digit or `y` copies one; esc copies nothing."""

    FIRST = "#texts"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(str(place), f"take({place})", show=False) for place in range(1, 10)
    ]

    def __init__(self, dashboard: Dashboard, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__("Copy", keep="Leave (esc)", do="Copy (enter)")
        self._choices = list(choices)
        self._ascii = dashboard.voice.ascii_only

    def body(self) -> ComposeResult:
        name = max(present.width(name) for name, _ in self._choices)
        room = min(_BOX, self.app.size.width * 96 // 100) - _AROUND - name - 8
        columns = [GridColumn("place", "", 1), GridColumn("name", "", name), GridColumn("text", "", max(1, room))]
        grid = Grid(columns, ascii_only=self._ascii, id="texts", has_header=False)
        grid.styles.height = len(self._choices)
        yield grid

    def on_mount(self) -> None:
        self.query_one(Grid).show([
            GridRow(place, (Cell(str(place), "busy"), Cell(name), Cell(preview(text), "dim")))
            for place, (name, text) in enumerate(self._choices, 1)
        ])  # fmt: skip

    def on_grid_opened(self, event: Grid.Opened) -> None:
        self.action_take(event.key)

    def action_do(self) -> None:
        self.action_take(self.query_one(Grid).cursor_key)

    def action_take(self, place: int) -> None:
        if place <= len(self._choices):
            copy(self.dashboard, *self._choices[place - 1])
            self.dismiss(None)


def offer(dashboard: Dashboard, choices: Sequence[tuple[str, str]]) -> None:
    """Let one of these be copied; empty texts are none, and where there is one alone nothing is asked."""
    there = [(name, text) for name, text in choices if text]
    if len(there) > 1:
        dashboard.push_screen(Copying(dashboard, there))
    elif there:
        copy(dashboard, *there[0])


def copy(dashboard: Dashboard, name: str, text: str) -> None:
    is_short = "\n" not in text and len(text) <= LONG
    dashboard.copy(text, said="" if is_short else f"{name}, {extent(text)}")


def preview(text: str) -> str:
    """Its beginning as one line; how long it is if that is not all of it."""
    begin = present.clean(text[:LONG])
    return begin if "\n" not in text and len(text) <= LONG else f"({extent(text)}) {begin}"


def extent(text: str) -> str:
    count = text.count("\n")
    return present.plural(count + 1, "line") if count else present.plural(len(text), "character")
