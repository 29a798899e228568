"""The daemon's log: what was before, read from its file, and what comes; follows, and holds still while it is read."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import work
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from zendeskd import present
from zendeskd.errors import ZendeskdError
from zendeskd.present import Cell, Tone
from zendeskd.tui import past
from zendeskd.tui.log_lines import LogLines
from zendeskd.tui.state import Fleet, LogLine
from zendeskd.tui.widgets.painting import padded

_TONES: Final[dict[str, Tone]] = {"debug": "dim", "warn": "warn", "error": "bad"}


class LogView(ScrollView, can_focus=True):
    """Lines of a level and above, of organisations, of a run. `time` says how an instant is shown; `read` asks for the
    lines that were before, so many at a time: when it is first drawn, after each snapshot of the fleet, and when
    somebody scrolls up to the first one."""

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
        self,
        fleet: Fleet,
        time: Callable[[str], str],
        read: past.Read,
        *,
        orgs: Collection[str] = (),
        run: int | None = None,
        page: int = past.PAGE,
        id: str | None = None,
        ascii_only: bool = False,
    ) -> None:
        super().__init__(id=id)
        self._fleet, self._time, self._read, self._ascii, self._page = fleet, time, read, ascii_only, page
        self._held = LogLines(orgs=orgs, run=run)
        self._held.begin(fleet.log)
        self._seen = fleet.logged
        self._asked_at = 0  # the snapshot after which the file was read
        self._reading = 0  # questions under way
        self._trouble = ""
        self.words = ""
        self.is_following = True
        self.is_wrapping = False
        self._texts: list[str] = []  # of the lines that are laid out
        self._last: LogLine | None = None  # of these
        self._longest = 0
        self._wrapped: list[tuple[int, str]] = []  # line, piece of its text
        self._current: int | None = None

    # --- what is shown --------------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[LogLine]:
        return self._held.lines

    @property
    def level(self) -> str:
        return self._held.level

    @property
    def orgs(self) -> frozenset[str]:
        return self._held.orgs

    @property
    def revision(self) -> int:
        """Grows with every change of `lines`."""
        return self._held.revision

    @property
    def has_older(self) -> bool:
        """Whether there are lines in the file that are not here."""
        return self._held.has_older

    @property
    def state(self) -> str:
        """For the title: whether it follows, and what is known of the lines before."""
        words = "following" if self.is_following else "holding still"
        if self._trouble:
            return f"{words} · nothing older can be read"
        if not self.is_following and self._reading:
            return f"{words} · reading older lines"
        return f"{words} · from the beginning" if self._is_at_the_beginning else words

    @property
    def _is_at_the_beginning(self) -> bool:
        return not self.is_following and self.scroll_y <= 0 and self._asked_at > 0 and not self._held.has_older

    def draw(self) -> None:
        """Take in what was logged since the last time; ask for what was before, if that is not known."""
        if self.display and self._fleet.is_live and self._asked_at != self._fleet.snapshots:
            self.load(whole_until=self.lines[-1].at if self.lines and self._asked_at else "")
        new = self._fleet.logged - self._seen
        if not new:
            return
        self._seen = self._fleet.logged
        before = len(self.lines)
        if self._held.take(list(self._fleet.log)[-new:], may_forget=self.is_following):
            added = len(self.lines) - before
            self._lay_out(known=before if added > 0 and self._stands(before) else 0)

    def _stands(self, count: int) -> bool:
        """Whether the first lines are those that are laid out, and look as they did (it may be another day)."""
        is_same = len(self._texts) == count > 0 and self._last is self.lines[count - 1]
        return is_same and self._texts[0] == self._text(self.lines[0])

    def narrow(self, *, level: str | None = None, words: str | None = None) -> None:
        """Show only lines of this level and above; mark the words. What is not given stays."""
        self.words = self.words if words is None else words
        if level is not None:
            self._held.level = level
            self._held.begin(self._fleet.log)
            self._seen = self._fleet.logged
            if self._fleet.is_live:
                self.load()
        self.again()

    def again(self) -> None:
        """Draw every line anew."""
        self._current = None
        self._lay_out()
        self.post_message(self.Changed())

    # --- what was before ------------------------------------------------------------------------------------------

    def load(self, *, whole_until: str = "") -> None:
        """Read the newest lines of the file. Up to `whole_until` nothing was missed."""
        self._asked_at = self._fleet.snapshots
        self._load(whole_until)

    def load_older(self) -> None:
        """Read what was before the first line, unless that is being done, or there is nothing."""
        if self._held.has_older and not self._reading and self._fleet.is_live:
            self._load_older()

    @work(exclusive=True, group="past")
    async def _load(self, whole_until: str) -> None:
        page = await self._asked(past.page(self._read, self._held, limit=self._page))
        if page is not None:
            self._keeping_place(
                lambda: self._held.take_page(page.lines, has_older=page.has_older, whole_until=whole_until)
            )
            self.post_message(self.Changed())

    @work(exclusive=True, group="past")
    async def _load_older(self) -> None:
        before = self.lines[0] if self.lines else None
        page = await self._asked(past.page(self._read, self._held, limit=self._page, before=before))
        if page is not None:
            self._keeping_place(lambda: self._held.take_older(page.lines, has_older=page.has_older))
            self.post_message(self.Changed())

    async def _asked(self, question: Awaitable[past.Page]) -> past.Page | None:
        """None if there is no answer: the title says so."""
        self._reading += 1
        self.post_message(self.Changed())
        try:
            page = await question
        except ZendeskdError as error:
            self._trouble = present.clean(error.detail)
            return None
        finally:
            self._reading -= 1
            self.post_message(self.Changed())
        self._trouble = ""
        return page

    def _keeping_place(self, change: Callable[[], None]) -> None:
        """Change the lines; the one at the top stays there, unless the log follows."""
        top = int(self.scroll_y)
        anchor = self.lines[self._wrapped[top][0]] if top < len(self._wrapped) else None
        found = None if self._current is None else self.lines[self._wrapped[self._current][0]]
        change()
        self._lay_out()
        line_at = {line: index for index, line in enumerate(self.lines)}
        places = {index: place for place, (index, _) in reversed(list(enumerate(self._wrapped)))}
        self._current = None if found not in line_at else places[line_at[found]]
        if not self.is_following and anchor in line_at:
            self.scroll_to(y=places[line_at[anchor]], animate=False, force=True, immediate=True)

    # --- layout ---------------------------------------------------------------------------------------------------

    def _lay_out(self, known: int = 0) -> None:
        """Break the lines into what fits. The first `known` of them are as they were."""
        self._texts[known:] = [self._text(line) for line in self.lines[known:]]
        self._last = self.lines[-1] if self.lines else None
        added = list(enumerate(self._texts[known:], known))
        cells = self.scrollable_content_region.width
        if self.is_wrapping and cells > 20:
            added = [(index, piece) for index, text in added for piece in _pieces(text, cells)]
        self._wrapped = [*self._wrapped, *added] if known else added
        self._longest = max([self._longest if known else 0, *(present.width(text) for _, text in added)])
        self.virtual_size = Size(0 if self.is_wrapping else self._longest, len(self._wrapped))
        if self.is_following:
            self.scroll_end(animate=False, force=True, immediate=True)
        self.refresh()

    def _text(self, line: LogLine) -> str:
        if (run := self._held.run) is not None:  # all of one run, which the title names
            rest = re.sub(rf"^(system=\w+ )?run={run}( |$)", "", line.rest)
            return f"{self._time(line.at)} {line.level:<5} {line.event:<16} {rest}".rstrip()
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
        if new_value < old_value and new_value <= 0:
            self.load_older()
        if min(old_value, new_value) <= 0:
            self.post_message(self.Changed())
        if new_value < old_value and new_value < self.max_scroll_y:
            self._set_following(False)
        elif new_value > old_value and new_value >= self.max_scroll_y:
            self._set_following(True)

    def action_scroll_by(self, lines: int) -> None:
        if lines < 0 and self.scroll_y <= 0:
            self.load_older()
        self.scroll_relative(y=lines, animate=False, force=True)

    def action_scroll_page(self, by: int) -> None:
        self.action_scroll_by(by * max(1, self.scrollable_content_region.height - 1))

    def action_scroll_first(self) -> None:
        if self.scroll_y <= 0:
            self.load_older()
        self.scroll_to(y=0, animate=False, force=True)

    def action_scroll_last(self) -> None:
        self.follow(True)

    def wrap(self, on: bool) -> None:
        self.is_wrapping = on
        self._lay_out()

    def on_resize(self) -> None:
        self._lay_out()

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
        tone = _TONES.get(self.lines[index].level, "plain")
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
