"""The line behind `/`: what is filtered by, searched or found. There while somebody types."""

from __future__ import annotations

from textual.widget import Widget
from textual.widgets import Input


class Field(Input):
    def __init__(self, placeholder: str, *, id: str) -> None:
        super().__init__(placeholder=placeholder, id=id, compact=True)
        self.display = False

    @property
    def is_open(self) -> bool:
        return bool(self.display)

    def open(self) -> None:
        self.display = True
        self.screen.set_focus(self)

    def close(self, to: Widget) -> None:
        """What was typed stays. `to` has the focus again, unless it is elsewhere already."""
        if self.has_focus or self.screen.focused is None:
            self.screen.set_focus(to)
        self.display = False
