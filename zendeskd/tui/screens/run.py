"""One run: its numbers, its error, its own log lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType

from zendeskd import present, wire
from zendeskd.errors import ZendeskdError
from zendeskd.present import Cell
from zendeskd.tui import cards
from zendeskd.tui.bindings import BACK, COPY, FOLLOW, WRAP
from zendeskd.tui.screens.framed import Framed
from zendeskd.tui.widgets.lines import Lines
from zendeskd.tui.widgets.log import LogView
from zendeskd.tui.widgets.painting import entitle, wrapped

if TYPE_CHECKING:
    from zendeskd.tui.app import Dashboard


class RunScreen(Framed):
    """`org` is clean text."""

    BINDINGS: ClassVar[list[BindingType]] = [BACK, COPY, FOLLOW, WRAP]
    SHOWN: ClassVar[Sequence[str]] = ("back", "copy", "follow", "wrap", "help")

    def __init__(self, dashboard: Dashboard, run_id: int, org: str) -> None:
        super().__init__()
        self.run_id, self._org = run_id, org
        self._fleet, self._voice = dashboard.fleet, dashboard.voice
        self._run: wire.RunDocument | None = None
        self._trouble = ""

    def body(self) -> ComposeResult:
        yield Lines(self._facts, id="facts", classes="panel")
        log = LogView(self._fleet, self._time, id="run-log", ascii_only=self._voice.ascii_only)
        log.add_class("panel")
        yield log

    def on_mount(self) -> None:
        arrow = ">" if self._voice.ascii_only else "›"
        entitle(self.query_one("#facts"), f"Organisations {arrow} {self._org} {arrow} run {self.run_id}")
        log = self.query_one(LogView)
        log.narrow(run=self.run_id)
        log.focus()
        self._load()

    def draw(self) -> None:
        self.query_one("#facts", Lines).draw()
        self.query_one(LogView).draw()

    def _facts(self, cells: int) -> list[list[Cell]]:
        app = self.dashboard
        if self._run is None:
            return [[Cell(self._trouble or "reading ...")]]
        lines = cards.run_facts(self._with_live(self._run), self._voice, app.now(), app.times)
        long = lines[-1] if lines[-1][0].text.startswith("error") else None
        if long is None:
            return lines
        pieces = wrapped(long[0].text.removeprefix("error"), max(20, cells - 10))[:4]
        said = [f"{'' if index else 'error':<10}{piece}" for index, piece in enumerate(pieces)]
        return [*lines[:-1], *([Cell(each, "bad")] for each in said)]

    def _with_live(self, run: wire.RunDocument) -> wire.RunDocument:
        """With the numbers that the events bring while it goes on."""
        item = self._fleet.items.get((run.organization_id, run.system_type))
        live = None if item is None or item.run is None or item.run.id != run.id else item.run
        return msgspec.structs.replace(run, live=live)

    def _time(self, text: str) -> str:
        return self.dashboard.times.clock(text, self.dashboard.now())

    def on_log_view_changed(self) -> None:
        log = self.query_one(LogView)
        state = "following" if log.is_following else "holding still"
        entitle(log, f"Log · run {self.run_id} · since this dashboard was opened · {state}")

    def happened(self, event: wire.Event) -> None:
        if event.run is not None and event.run.id == self.run_id:
            self._load()

    def reconnected(self) -> None:
        self._load()

    @work(exclusive=True, group="run")
    async def _load(self) -> None:
        try:
            self._run = await self.dashboard.client.run(self.run_id)
        except ZendeskdError as error:
            self._trouble = present.clean(f"run {self.run_id} cannot be read: {error.detail}")
        self.draw_frame()

    # --- keys -----------------------------------------------------------------------------------------------------

    def action_copy(self) -> None:
        """What to send to somebody who helps: the run and its log lines. Neither has secrets."""
        if self._run is None:
            return
        lines = [f"{line.at} {line.level} {line.event} {line.rest}" for line in self.query_one(LogView).lines]
        bundle = {"run": msgspec.to_builtins(self._run), "log": lines}
        self.app.copy_to_clipboard(json.dumps(bundle, indent=1))
        self.dashboard.tell(f"copied (if your terminal allows): run {self.run_id} and {len(lines)} log lines")

    def action_follow(self) -> None:
        log = self.query_one(LogView)
        log.follow(not log.is_following)

    def action_wrap(self) -> None:
        log = self.query_one(LogView)
        log.wrap(not log.is_wrapping)
