"""A link whose other end is not here: what is known of it, until the record arrives."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.timer import Timer

from zendeskd import present, wire
from zendeskd.client import ApiError
from zendeskd.errors import ZendeskdError
from zendeskd.present import Cell
from zendeskd.tui import link_text, record_text
from zendeskd.tui.bindings import BACK, COPY
from zendeskd.tui.screens import copying
from zendeskd.tui.screens.framed import Framed
from zendeskd.tui.widgets.painting import entitle, two_ends
from zendeskd.tui.widgets.reading import Lines, Reading

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard

EVERY_S: Final = 5.0
"""It is asked for again when something happened to its organisation, and no more often than this."""


class LinkScreen(Framed):
    """`record` has the `link`. `arrived` makes the screen of the other end, which takes the place of this one."""

    BINDINGS: ClassVar[list[BindingType]] = [BACK, COPY]
    SHOWN: ClassVar[Sequence[str]] = ("copy", "time-style", "back", "help")

    def __init__(
        self,
        dashboard: Dashboard,
        record: wire.RecordItem,
        link: wire.LinkItem,
        arrived: Callable[[int], Framed],
        *,
        every_s: float = EVERY_S,
    ) -> None:
        super().__init__()
        self._fleet, self._record, self._link, self._arrived = dashboard.fleet, record, link, arrived
        self._every_s, self._asked_at = every_s, float("-inf")
        self._later: Timer | None = None
        self._here: int | None = None  # the record, if it came while another screen was in front
        self._trouble = ""

    def body(self) -> ComposeResult:
        reading = Reading(self._around, id="link")
        reading.add_class("panel")
        yield reading

    def on_mount(self) -> None:
        entitle(self.query_one("#link"), f"Link · {present.relation(self._link)}")
        self.query_one("#link").focus()
        self._ask_soon()  # it may have come since the record was read

    def headline(self, cells: int) -> list[Cell]:
        if not self._fleet.is_live:
            return super().headline(cells)
        app = self.dashboard
        is_ascii = app.voice.ascii_only
        left = link_text.breadcrumb(self._record, self._link, ">" if is_ascii else "›")
        return [Cell(two_ends(left, app.times.header(app.now()), cells, ascii_only=is_ascii))]

    def draw(self) -> None:
        self.query_one(Reading).draw()

    def _around(self, cells: int) -> tuple[Lines, Lines]:
        app = self.dashboard
        is_synced = (self._record.organization_id, self._link.system) in self._fleet.items
        lines = link_text.facts_of(self._record, self._link, cells, app.times, app.now(), is_synced=is_synced)
        return ([[Cell(self._trouble, "bad")]] if self._trouble else []) + lines, ()

    # --- waiting for the record -----------------------------------------------------------------------------------

    def happened(self, event: wire.Event) -> None:
        about = event.run or event.item
        org = event.organization_id if about is None else about.organization_id
        if event.event in {"run", "integration", "removed", "links"} and org == self._record.organization_id:
            self._ask_soon()

    def reconnected(self) -> None:
        self._ask_soon()

    def on_screen_resume(self) -> None:
        if self._here is not None:
            self.call_after_refresh(self._become, self._here)

    def _ask_soon(self) -> None:
        """Once for everything that happens until then."""
        if self._later is None:
            wait_s = self._asked_at + self._every_s - time.monotonic()
            self._later = self.set_timer(max(0.001, wait_s), self._ask)

    @work(exclusive=True, group="link-end")
    async def _ask(self) -> None:
        self._later, self._asked_at = None, time.monotonic()
        try:
            links = (await self.dashboard.client.links(self._record.id)).items
        except ZendeskdError as error:
            is_gone = isinstance(error, ApiError) and error.status == 404
            if is_gone or self._fleet.is_live:
                self._say("The record that has this link left the local copy" if is_gone else error.detail)
            return
        link = next((link for link in links if link.id == self._link.id), None)
        if link is None:
            self._say("This link was removed")
        elif link.record_id is not None:
            self._become(link.record_id)
        else:
            self._link = link
            self._say("")

    def _say(self, trouble: str) -> None:
        self._trouble = f"{present.clean(trouble)}. esc Back" if trouble else ""
        self.draw_frame()

    def _become(self, record: int) -> None:
        if self.app.screen is self:
            self.app.switch_screen(self._arrived(record))
        else:
            self._here = record

    # --- keys -----------------------------------------------------------------------------------------------------

    def action_copy(self) -> None:
        link = record_text.command(self.dashboard.address.zendeskctl, self._record, "link")
        name = f"{self._link.system}/{self._link.external_id}"
        choices = [("id", present.clean(self._link.external_id))]
        if name == present.clean(name):  # else it cannot be typed
            choices.append(("unlink", f"{link} {shlex.quote(name)} --remove"))
        copying.offer(self.dashboard, choices)
