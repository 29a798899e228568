"""The daemon's log as it comes: a pane that follows, and holds still while it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from zendeskd import present
from zendeskd.present import Cell, Tone
from zendeskd.tui.state import Fleet, LogLine
from zendeskd.tui.widgets.painting import padded

LEVELS: Final = ("debug", "info", "warn", "error")
_TONES: Final[dict[str, Tone]] = {"debug": "dim", "warn": "warn", "error": "bad"}


class LogView(ScrollView, can_focus=True):
    """Lines of `fleet.log`, narrowed to a level, organisations, a run. `time` says how an instant is shown."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"log--dim", "log--warn", "log--bad", "log--found", "log--current"}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_by(-1)", show=False),
        Binding("down,j", "scroll_by(1)", show=False),
        Binding("pageup", "scroll_page(-1)", show=False),
        Binding("pagedown", "scroll_page(1)", show=False),
        Binding("home,g", "scroll_first", show=False),
        Binding("end,G", "scroll_last", show=False),
    ]

    class Changed(Message):
        """Following or what is shown changed: the title may say something else."""

    def __init__(
        self, fleet: Fleet, time: Callable[[str], str], *, id: str | None = None, ascii_only: bool = False
    ) -> None:
        super().__init__(id=id)
        self._fleet, self._time, self._ascii = fleet, time, ascii_only
        self._lines: list[LogLine] = []
        self._seen = 0
        self.level = "info"
        self.orgs: frozenset[str] = frozenset()
        self.run: int | None = None
        self.words = ""
        self.is_following = True
        self.is_wrapping = False
        self._wrapped: list[tuple[int, str]] = []  # line, piece of its text
        self._current: int | None = None

    # --- what is shown --------------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[LogLine]:
        return self._lines

    def draw(self) -> None:
        """Take in what was logged since the last time."""
        new = self._fleet.logged - self._seen
        if not new:
            return
        self._seen = self._fleet.logged
        kept = list(self._fleet.log)[-new:]
        self._lines += [line for line in kept if self._wants(line)]
        if len(self._lines) > (self._fleet.log.maxlen or 0):
            del self._lines[: -(self._fleet.log.maxlen or 0)]
        self._laid_out()

    def narrow(
        self,
        *,
        level: str | None = None,
        orgs: Collection[str] | None = None,
        run: int | None = None,
        words: str | None = None,
    ) -> None:
        """Show only these; what is not given stays."""
        self.level = self.level if level is None else level
        self.orgs = self.orgs if orgs is None else frozenset(orgs)
        self.run = self.run if run is None else run
        self.words = self.words if words is None else words
        self.again()

    def again(self) -> None:
        """Choose and draw every line anew."""
        self._seen = self._fleet.logged
        self._lines = [line for line in self._fleet.log if self._wants(line)]
        self._current = None
        self._laid_out()
        self.post_message(self.Changed())

    def _wants(self, line: LogLine) -> bool:
        if self.orgs and line.org not in self.orgs:
            return False
        if self.run is not None and line.run != self.run:
            return False
        return line.level not in LEVELS or LEVELS.index(line.level) >= LEVELS.index(self.level)

    def _laid_out(self) -> None:
        texts = [self._text(line) for line in self._lines]
        if self.is_wrapping and (cells := self.scrollable_content_region.width) > 20:
            self._wrapped = [(index, piece) for index, text in enumerate(texts) for piece in _pieces(text, cells)]
        else:
            self._wrapped = list(enumerate(texts))
        longest = max((present.width(text) for _, text in self._wrapped), default=0)
        self.virtual_size = Size(0 if self.is_wrapping else longest, len(self._wrapped))
        if self.is_following:
            self.scroll_end(animate=False, force=True, immediate=True)
        self.refresh()

    def _text(self, line: LogLine) -> str:
        org = padded(line.org, 9, ascii_only=self._ascii)
        return f"{self._time(line.at)} {line.level:<5} {org} {line.event:<21} {line.rest}".rstrip()

    # --- following ------------------------------------------------------------------------------------------------

    def follow(self, on: bool) -> None:
        self._set_following(on)
        if on:
            self.scroll_end(animate=False, force=True, immediate=True)

    def _set_following(self, on: bool) -> None:
        if on != self.is_following:
            self.is_following = on
            self.post_message(self.Changed())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling up holds the log still; the end follows again. Must not scroll: it may be called by a scroll."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and new_value < self.max_scroll_y:
            self._set_following(False)
        elif new_value > old_value and new_value >= self.max_scroll_y:
            self._set_following(True)

    def action_scroll_by(self, lines: int) -> None:
        self.scroll_relative(y=lines, animate=False, force=True)

    def action_scroll_page(self, by: int) -> None:
        self.action_scroll_by(by * max(1, self.scrollable_content_region.height - 1))

    def action_scroll_first(self) -> None:
        self.scroll_to(y=0, animate=False, force=True)

    def action_scroll_last(self) -> None:
        self.follow(True)

    def wrap(self, on: bool) -> None:
        self.is_wrapping = on
        self._laid_out()

    def on_resize(self) -> None:
        self._laid_out()

    # --- finding --------------------------------------------------------------------------------------------------

    def find(self, by: int) -> bool:
        """Go to the next (1) or previous (-1) line that has the words. -> whether there is one."""
        if not self.words:
            return False
        found = [index for index, (_, text) in enumerate(self._wrapped) if self.words.lower() in text.lower()]
        if not found:
            return False
        at = self._current if self._current is not None else (-1 if by > 0 else len(self._wrapped))
        ahead = [index for index in found if (index > at if by > 0 else index < at)]
        self._current = (ahead[0] if by > 0 else ahead[-1]) if ahead else (found[0] if by > 0 else found[-1])
        self.follow(False)
        self.scroll_to(y=max(0, self._current - self.size.height // 2), animate=False, force=True)
        self.refresh()
        return True

    # --- drawing --------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        cells, base = self.scrollable_content_region.width, self.rich_style
        at = y + int(self.scroll_y)
        if at >= len(self._wrapped):
            return Strip.blank(cells, base)
        index, text = self._wrapped[at]
        tone = _TONES.get(self._lines[index].level, "plain")
        style = base if tone == "plain" else base + self.get_component_rich_style(f"log--{tone}", partial=True)
        if at == self._current:
            style += self.get_component_rich_style("log--current", partial=True)
        strip = Strip([Segment(piece, style + found) for piece, found in self._marked(text)], present.width(text))
        return strip.crop_extend(int(self.scroll_x), int(self.scroll_x) + cells, base)

    def _marked(self, text: str) -> list[tuple[str, Style]]:
        if not self.words:
            return [(text, Style.null())]
        style = self.get_component_rich_style("log--found", partial=True)
        pieces = re.split(f"({re.escape(self.words)})", text, flags=re.IGNORECASE)
        return [(piece, style if index % 2 else Style.null()) for index, piece in enumerate(pieces) if piece]


def _pieces(text: str, cells: int) -> list[str]:
    """`text` broken after so many cells; what follows is indented below the event."""
    pieces, indent = [], " " * 15
    while present.width(text) > cells:
        kept = present.cut(text, cells + 1)[:-1] if present.width(text) > cells + 1 else text[:-1]
        kept = kept[:cells] if kept.isascii() else kept
        if not kept.strip():
            break
        pieces.append(kept)
        text = indent + text[len(kept) :]
    return [*pieces, text]


def cell(line: LogLine) -> Cell:
    """One log line as a cell, for lists that show a few."""
    return Cell(f"{line.level:<5} {line.event}  {line.rest}".rstrip(), _TONES.get(line.level, "plain"))
