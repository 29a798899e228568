"""Screens with one long text that can be searched: `/`, `n` and `N`, `w`."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.widgets import Input

from zendeskd import present
from zendeskd.tui import finding
from zendeskd.tui.bindings import BACK, SEARCHING, WRAP
from zendeskd.tui.screens.framed import Framed
from zendeskd.tui.widgets.field import Field
from zendeskd.tui.widgets.painting import subtitle
from zendeskd.tui.widgets.reading import Reading


class Searching(Framed):
    """`words`: what is marked as long as nothing is typed. The body yields a Reading and `self.find_field()`."""

    BINDINGS: ClassVar[list[BindingType]] = [BACK, WRAP, *SEARCHING]

    def __init__(self, words: Sequence[str] = ()) -> None:
        super().__init__()
        self._words = tuple(word for word in words if finding.words([word]) is not None)
        self.typed = ""

    def find_field(self) -> Field:
        return Field("search", id="find")

    def on_mount(self) -> None:
        self._mark()

    @property
    def pattern(self) -> re.Pattern[str] | None:
        """What is marked."""
        return finding.phrase(self.typed) if self.typed else finding.words(self._words)

    def found(self) -> None:
        """What is marked changed, for screens that mark it elsewhere too."""

    def needless_hints(self) -> Collection[str]:
        return () if self.pattern is not None else {"next-found"}

    # --- keys -----------------------------------------------------------------------------------------------------

    def action_search(self) -> None:
        self.query_one(Field).open()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.value.strip() != self.typed:
            self.typed = event.value.strip()
            self._mark()
            if self.typed:
                self.query_one(Reading).find(1)

    def on_input_submitted(self) -> None:
        self._close_search()
        if self.typed and not self.query_one(Reading).found[1]:
            self._not_found()

    def _mark(self) -> None:
        self.query_one(Reading).mark(self.pattern)
        self.found()

    def action_find(self, by: int) -> None:
        if self.pattern is None:
            self.action_search()
        elif not self.query_one(Reading).find(by):
            self._not_found()

    def _not_found(self) -> None:
        self.dashboard.tell(f"not in the text: {self._said}", "warning")

    def action_wrap(self) -> None:
        reading = self.query_one(Reading)
        reading.wrap(not reading.is_wrapping)
        self._say()

    def action_back(self) -> None:
        """First out of the search, then off what was typed, then away."""
        if self.query_one(Field).is_open:
            self._close_search()
        elif self.typed:
            self.query_one(Field).value = ""
        else:
            super().action_back()

    def _close_search(self) -> None:
        self.query_one(Field).close(self.query_one(Reading))

    # --- what is said of it ---------------------------------------------------------------------------------------

    @property
    def _said(self) -> str:
        return present.clean(self.typed or " ".join(self._words))

    def on_reading_changed(self) -> None:
        self._say()

    def _say(self) -> None:
        reading = self.query_one(Reading)
        at, count = reading.found
        of = f"{present.number(at)} of {present.number(count)}" if at else present.number(count)
        said = [] if reading.is_wrapping else ["not wrapped"]
        if self.pattern is not None:
            said.append(f"find {self._said}: {of}")
        subtitle(reading, " · ".join(said))
