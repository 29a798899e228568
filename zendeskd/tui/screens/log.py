"""The log over the whole screen, for reading and searching."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input

from zendeskd.tui.bindings import BACK, FOLLOW, READING, WRAP
from zendeskd.tui.log_lines import LEVELS
from zendeskd.tui.screens.framed import Framed
from zendeskd.tui.widgets.field import Field
from zendeskd.tui.widgets.log import LogView
from zendeskd.tui.widgets.painting import entitle

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard


class LogScreen(Framed):
    """`orgs`: only these; none: all of them."""

    BINDINGS: ClassVar[list[BindingType]] = [BACK, FOLLOW, WRAP, *READING]
    SHOWN: ClassVar[Sequence[str]] = ("back", "level-1", "search", "next-found", "follow", "wrap", "time-style", "help")
    FIRST_TO_GO: ClassVar[Sequence[str]] = ("time-style", "next-found")

    def __init__(self, dashboard: Dashboard, orgs: Collection[str] = ()) -> None:
        super().__init__()
        self._fleet, self._ascii = dashboard.fleet, dashboard.voice.ascii_only
        self._orgs = list(orgs)

    def body(self) -> ComposeResult:
        log = LogView(
            self._fleet,
            self._time,
            self.dashboard.client.logs,
            orgs=self._orgs,
            id="whole-log",
            ascii_only=self._ascii,
        )
        log.add_class("panel")
        yield log
        yield Field("find", id="find")

    def on_mount(self) -> None:
        log = self.query_one(LogView)
        log.again()
        log.focus()

    def draw(self) -> None:
        self.query_one(LogView).draw()

    def _time(self, text: str) -> str:
        return self.dashboard.times.clock(text, self.dashboard.now())

    def on_log_view_changed(self) -> None:
        log = self.query_one(LogView)
        whose = "all orgs" if not self._orgs else ", ".join(self._orgs[:3]) + (" ..." if len(self._orgs) > 3 else "")
        words = f" · find {log.words}" if log.words else ""
        entitle(log, f"Log · {whose} · {log.level} and above{words} · {log.state}")

    # --- keys -----------------------------------------------------------------------------------------------------

    def action_level(self, place: int) -> None:
        self.query_one(LogView).narrow(level=LEVELS[place - 1])

    def action_follow(self) -> None:
        log = self.query_one(LogView)
        log.follow(not log.is_following)

    def action_wrap(self) -> None:
        log = self.query_one(LogView)
        log.wrap(not log.is_wrapping)

    def action_search(self) -> None:
        self.query_one(Field).open()

    def action_find(self, by: int) -> None:
        log = self.query_one(LogView)
        if log.words and not log.find(by):
            self.dashboard.tell(f"not found: {log.words}", "warning")

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one(LogView).narrow(words=event.value.strip())

    def on_input_submitted(self) -> None:
        self._close_search()
        self.action_find(-1)

    def _close_search(self) -> None:
        self.query_one(Field).close(self.query_one(LogView))

    def action_back(self) -> None:
        if self.query_one(Field).is_open:
            self._close_search()
        elif self.query_one(LogView).words:
            self.query_one(Field).value = ""
        else:
            super().action_back()

    def times_changed(self) -> None:
        self.query_one(LogView).again()
