"""The one-line and few-line texts around a screen's list."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.content import Content
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from zendeskd import present
from zendeskd.present import Cell
from zendeskd.tui.widgets.painting import content


class Lines(Widget):
    """Toned lines made by a function of the width; drawn again only when they differ."""

    def __init__(
        self, make: Callable[[int], Sequence[Sequence[Cell]]], *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._make = make
        self._shown: list[list[Cell]] = []

    def draw(self) -> None:
        cells = self.content_size.width
        lines = [list(line) for line in self._make(cells)] if cells else []
        if lines != self._shown:
            anew = len(lines) != len(self._shown)
            self._shown = lines
            self.refresh(layout=anew)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._make(width))

    def on_resize(self) -> None:
        self.draw()

    def render(self) -> Content:
        return Content("\n").join(content(line) for line in self._shown)


class Counts(Widget):
    """How many of each health word. A click on one, or its place as a digit, narrows the list to it."""

    class Pressed(Message):
        def __init__(self, word: str) -> None:
            super().__init__()
            self.word = word

    def __init__(self, voice: present.Voice) -> None:
        super().__init__()
        self._voice = voice
        self._counts: dict[str, int] = {}

    @property
    def words(self) -> list[str]:
        """In the order in which they stand."""
        return list(self._counts)

    def show(self, health: Sequence[str]) -> None:
        found = present.counts(health)
        counts = {word: found[word] for word in sorted(found, key=lambda word: word == "ok")}  # the quiet one last
        if counts != self._counts:
            self._counts = counts
            self.refresh()

    def _chips(self) -> list[Cell]:
        is_wide = self.size.width >= 96
        gap = " " if is_wide else ""
        chips = []
        for word, count in self._counts.items():
            tone = present.SIGNS[word].tone if word in present.SIGNS else "plain"
            chips.append(Cell(f"{self._voice.sign(word)}{gap}{count} {present.clean(word)}".strip(), tone))
        return chips

    def _gap(self) -> str:
        return "   " if self.size.width >= 96 else "  "

    def render(self) -> Content:
        return Content(self._gap()).join(content([chip]) for chip in self._chips())

    def on_click(self, event: Click) -> None:
        begin = 0
        for word, chip in zip(self._counts, self._chips(), strict=True):
            end = begin + present.width(chip.text)
            if begin <= event.x < end:
                self.post_message(self.Pressed(word))
            begin = end + len(self._gap())


class Note(Widget):
    """A few lines of plain text, as an empty list shows them."""

    def __init__(self, text: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = text

    def show(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self.refresh(layout=True)

    def render(self) -> Content:
        return Content(self._text)
