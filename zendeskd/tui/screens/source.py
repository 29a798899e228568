"""What the source itself said of a record: its JSON, one value a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from zendeskd import wire
from zendeskd.tui import record_text
from zendeskd.tui.bindings import COPY
from zendeskd.tui.screens import copying
from zendeskd.tui.screens.searching import Searching
from zendeskd.tui.widgets.painting import entitle
from zendeskd.tui.widgets.reading import Reading


class SourceScreen(Searching):
    """As it was when the record was read; to read it again, open it again."""

    BINDINGS: ClassVar[list[BindingType]] = [COPY]
    SHOWN: ClassVar[Sequence[str]] = ("search", "next-found", "copy", "wrap", "back", "help")
    FIRST_TO_GO: ClassVar[Sequence[str]] = ("next-found",)

    def __init__(self, record: wire.RecordDocument, words: Sequence[str] = ()) -> None:
        super().__init__(words)
        self._record = record

    def body(self) -> ComposeResult:
        reading = Reading(lambda cells: ((), ()), id="source")
        reading.add_class("panel")
        yield reading
        yield self.find_field()

    def on_mount(self) -> None:
        reading = self.query_one(Reading)
        entitle(reading, f"Source JSON · {record_text.name_of(self._record)}")
        reading.show(record_text.source_json(self._record.raw))
        reading.focus()

    def action_copy(self) -> None:
        copying.copy(self.dashboard, "source JSON", self.query_one(Reading).text)
